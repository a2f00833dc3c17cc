"""Predict: what a run says of any strains of its genome, measured or not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray

from genograph.cohorts import Cohort, Strains
from genograph.cohorts.ragged import take_strains
from genograph.cohorts.strains import name_strains
from genograph.engine.topology import threads
from genograph.errors import RunError, format_count
from genograph.models import find_model
from genograph.models.base import Inputs, StrainModel
from genograph.run import Predicted, Prediction, Run
from genograph.training.checkpoint import read_tensors

Array = NDArray[Any]


class Moments(NamedTuple):
    """Mean and s.d. over the members of a run; the s.d. is NaN with one member."""

    mean: Float32[np.ndarray, "strain ..."]
    sd: Float32[np.ndarray, "strain ..."]


def predict(
    run: Run | Path | str,
    strains: Strains | Sequence[str],
    *,
    cohort: Cohort | Path | str | None = None,
    device: str = "auto",
    heads: Sequence[str] | None = None,
    report: Callable[[float, str], None] | None = None,
) -> Prediction:
    """What a run says of any strains of its genome, measured or not.

    Args:
        run: the run or its folder; its training is complete.
        strains: from `read_strains`, or the cohort's own: on the genes of the run's cohort, with
            `single` as rows of its strains. Or a list of strain ids, of which repeats are merged;
            predictions are sorted by id.
        cohort: the one it was trained on, or its folder where it is now; None: where it was.
        device: auto, cpu or cuda.
        heads: phenotypes to predict, of the run's; None: all.
        report: told the fraction done, 0 to 1, and a few words.

    Returns:
        Mean and s.d. over the run's members, strain by strain, in the data's units.

    Raises:
        RunError: the training is not complete, the cohort is not the run's, a gene row is not in
            its vocabulary, there is no such device, or a head is not one of the run's.
        SchemaError: an id is no strain, or its gene is not one of the cohort's.
        CohortError: the cohort cannot be read.

    Example:
        >>> cohort = genograph.load_cohort("cohort")
        >>> strains = genograph.read_strains("pairs.csv", cohort)
        >>> prediction = genograph.predict("run", strains, heads=("fitness",))
        >>> prediction
        Prediction(2 strains; fitness, interaction)
        >>> float(prediction["fitness"].mean[0])
        1.0
    """
    tell = report or (lambda fraction, words: None)
    run = Run.open(run)
    held = require_complete(run, cohort)
    chosen = run.config.model.heads if heads is None else tuple(heads)
    for head in chosen:
        run.require_head(head)
    if not isinstance(strains, Strains):
        strains = name_strains([strains] if isinstance(strains, str) else strains, held)
    _check_strains(strains, held)
    wanted = [head for head in run.config.model.heads if head in chosen]
    found: dict[str, Moments] = {}
    with threads(run.config.training.threads, held.genome):
        ensemble = Ensemble(run, held, choose_device(device))
        for number, head in enumerate(wanted):

            def share(done: int, number: int = number, head: str = head) -> None:
                fraction = (number + done / max(len(strains), 1)) / len(wanted)
                tell(fraction, f"{head} of {format_count(done, 'strain')}")

            found |= ensemble.predict(strains, head, share)
    tell(1.0, f"{format_count(len(strains), 'strain')} predicted")
    quantities = {}
    for quantity in ensemble.inputs.quantities:
        if quantity.phenotype not in wanted:
            continue
        mean, sd = found[quantity.name]
        for values in (mean, sd):
            values[strains.n_perturbed < quantity.needs] = np.nan
        quantities[quantity.name] = Predicted(mean, sd, quantity.columns)
    return Prediction(strains.ids, quantities, held.genome.genes_sha256)


def _check_strains(strains: Strains, cohort: Cohort) -> None:
    n = len(cohort.genome.gene_ids)
    outside = np.flatnonzero((strains.gene < 0) | (strains.gene >= n))
    if len(outside):
        strain = np.searchsorted(strains.offsets, outside, side="right") - 1
        names = ", ".join(sorted({str(strains.ids[int(i)]) for i in strain})[:5])
        msg = (
            f"{len(set(strain.tolist()))} strains perturb genes outside the run's {n}-gene "
            f"vocabulary: {names}; export a cohort that has the genes, and train on it"
        )
        raise RunError(msg)
    if len(strains.single) and int(strains.single.max()) >= len(cohort.strains):
        msg = "strains.single does not hold rows of the run's cohort; make strains from that cohort"
        raise RunError(msg)


def choose_device(name: str) -> torch.device:
    """The device of this name; auto is CUDA if there is one.

    Raises:
        RunError: no such device.
    """
    if name not in ("auto", "cpu", "cuda"):
        msg = f"no device is called {name}; choose auto, cpu or cuda"
        raise RunError(msg)
    if name == "cuda" and not torch.cuda.is_available():
        msg = "device cuda: no CUDA device is visible; use cpu or auto"
        raise RunError(msg)
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def require_complete(run: Run, cohort: Cohort | Path | str | None) -> Cohort:
    """The cohort of a run whose training is complete; see `Run.cohort`.

    Raises:
        RunError: the training is not complete, or the cohort is not the run's.
    """
    held = run.cohort(cohort)
    if not run.complete:
        status = run.record.status
        msg = f"{run.folder}: the training is {status}; the same command resumes it"
        raise RunError(msg)
    return held


class _Member(NamedTuple):
    """One set of weights, with the wild type encoded, and the quantities that it predicts."""

    model: StrainModel
    encoded: Any  # the model's own
    quantities: frozenset[str]


class Ensemble:
    """The trained members of a run on a device, without gradients; they share their inputs.

    Attributes:
        inputs: what they read of the cohort.
    """

    def __init__(self, run: Run, cohort: Cohort, device: torch.device) -> None:
        """Read every checkpoint.

        Raises:
            RunError: a checkpoint is missing, damaged or of another model.
        """
        self._run = run
        kind = find_model(run.config.model.name)
        self.inputs: Inputs = kind.read_inputs(
            cohort, run.config.model, device, facts=run.record.facts
        )
        self._members = [
            list(self._read(kind, member)) for member in range(run.config.training.members)
        ]

    def _read(self, kind: type[StrainModel], member: int) -> Sequence[_Member]:
        """The sets of weights of a member: one, or several that predict a quantity each."""
        by_file: dict[Any, set[str]] = {}
        for quantity in self.inputs.quantities:
            by_file.setdefault(self._run.checkpoint(member, quantity.name), set()).add(
                quantity.name
            )
        found = []
        for path, names in by_file.items():
            tensors, _ = read_tensors(path)
            prefix = "statistics."
            statistics = {
                name.removeprefix(prefix): tensor
                for name, tensor in tensors.items()
                if name.startswith(prefix)
            }
            try:
                model = kind(self._run.config.model, self.inputs, statistics)
                model.load_state_dict(tensors)
            except (KeyError, AttributeError, RuntimeError) as error:
                msg = (
                    f"{self._run.folder}: member {member} is not a checkpoint of this model; "
                    f"train again"
                )
                raise RunError(msg) from error
            model = model.to(self.inputs.device, torch.float32).requires_grad_(False)
            with torch.no_grad():
                found.append(_Member(model, model.encode(), frozenset(names)))
        return found

    @torch.no_grad()
    def predict(
        self, strains: Strains, phenotype: str, report: Callable[[int], None]
    ) -> dict[str, Moments]:
        """Every quantity of a phenotype for all strains, in chunks; mean and s.d. over members.

        `report` is told how many strains are done.
        """
        n, collected = len(strains), dict[str, list[Moments]]()
        size = self._members[0][0].model.strains_at_once(phenotype)
        for start in range(0, max(n, 1), size):
            rows = np.arange(start, min(start + size, n))
            plan = self.inputs.plan(take_strains(strains, rows), phenotype)
            for name, moments in self.combine(plan.tensors(self.inputs.device), phenotype).items():
                collected.setdefault(name, []).append(moments)
            report(start + len(rows))
        return {
            name: Moments(*(np.concatenate(column) for column in zip(*parts, strict=True)))
            for name, parts in collected.items()
        }

    @torch.no_grad()
    def combine(
        self,
        plan: Any,  # noqa: ANN401  of StrainPlan.tensors
        phenotype: str,
    ) -> dict[str, Moments]:
        """Every quantity of a phenotype for planned strains; mean and s.d. over members."""
        each: dict[str, list[Array]] = {}
        wanted = {q.name for q in self.inputs.quantities if q.phenotype == phenotype}
        for member in self._members:
            for weights in member:
                if not weights.quantities & wanted:
                    continue
                found = weights.model.predict(weights.encoded, plan, phenotype)
                for name in found:
                    if name in weights.quantities:
                        each.setdefault(name, []).append(found[name].float().cpu().numpy())
        return {name: _moments(arrays) for name, arrays in each.items()}


def _moments(arrays: list[Array]) -> Moments:
    whole = np.stack(arrays).astype(np.float64)
    sd = whole.std(0, ddof=1) if len(arrays) > 1 else np.full(whole.shape[1:], np.nan)
    return Moments(whole.mean(0).astype(np.float32), sd.astype(np.float32))
