"""Predict: what a run says of any strains of its genome, measured or not."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray

from genograph.cohorts import Cohort, Strains
from genograph.engine.base import Engine
from genograph.engine.choose import choose_engine
from genograph.engine.topology import Topology, threads
from genograph.errors import RunError
from genograph.models.config import HEADS
from genograph.models.genome import Encoded, GenomeModel, Setting
from genograph.models.plans import Meetings, Plan
from genograph.models.statistics import perturbation_effects, single_effects
from genograph.run import Prediction, Run
from genograph.training.checkpoint import read_tensors
from genograph.training.examples import Objective, perturbed_of

Array = NDArray[Any]
CHUNK = {"fitness": 4096, "expression": 16, "morphology": 512}
"""Strains at a time, by head."""


class _Moments(NamedTuple):
    mean: Float32[np.ndarray, "..."]
    sd: Float32[np.ndarray, "..."]


def predict(
    run: Run,
    strains: Strains,
    *,
    cohort: Cohort | None = None,
    device: str = "auto",
    heads: Sequence[str] | None = None,
    report: Callable[[float, str], None] | None = None,
) -> Prediction:
    """Mean and s.d. over the run's members, strain by strain.

    `strains` are on the genes of the run's cohort, with `single` as rows of its strains; make them
    with genograph.cohorts.strains or take cohort.strains. `heads` picks some of the run's.

    Raises:
        RunError: the training is not complete, the cohort is not the run's, a gene row is not in
            its vocabulary, or a head is not one of the run's.
    """
    if cohort is None:
        cohort = run.cohort()
    else:
        run.check(cohort)
    if not run.complete:
        msg = f"{run.folder}: the training is {run.manifest['status']}; the same command resumes it"
        raise RunError(msg)
    chosen = tuple(run.config.heads if heads is None else heads)
    for head in chosen:
        if head not in run.config.heads:
            msg = f"run {run.folder} has no head {head}; choose from {', '.join(run.config.heads)}"
            raise RunError(msg)
    _check(strains, cohort)
    where = chosen_device(device)
    topology = Topology.of(cohort.genome, largest_term=run.config.largest_term)
    effects = single_effects(cohort, floor=run.config.fitness_floor).log_fitness
    members = load_members(run, cohort, topology, where)
    tell = report or (lambda fraction, words: None)
    found: dict[str, _Moments] = {}
    wanted = [h for h in HEADS if h in chosen]
    with threads(run.config.threads, topology.n_node):
        for number, head in enumerate(wanted):

            def share(done: int, number: int = number, head: str = head) -> None:
                fraction = (number + done / max(len(strains), 1)) / len(wanted)
                tell(fraction, f"{head} of {done:,} strains")

            effect = perturbation_effects(strains, effects, run.config, head)
            found |= _head(head, members, strains, effect, topology, where, share)
    tell(1.0, f"{len(strains)} strains predicted")
    few = strains.n_perturbed < 2
    for values in found.get("interaction", ()):
        values[few] = np.nan
    names = {h: v.names for h in HEADS[1:] if h in chosen and (v := getattr(cohort, h)) is not None}
    arrays: dict[str, Array | None] = {}
    for name in ("fitness", "interaction", "expression", "morphology"):
        arrays[name] = found[name].mean if name in found else None
        arrays[f"{name}_sd"] = found[name].sd if name in found else None
    return Prediction(
        strain_ids=strains.ids,
        **arrays,
        expression_names=names.get("expression", ()),
        morphology_names=names.get("morphology", ()),
        genes_sha256=cohort.genome.genes_sha256,
    )


def _check(strains: Strains, cohort: Cohort) -> None:
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


def chosen_device(name: str) -> torch.device:
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


def load_members(
    run: Run, cohort: Cohort, topology: Topology, device: torch.device
) -> list[Objective]:
    """The trained members on a device, without gradients; they share one engine."""
    config, name = run.config, run.manifest["engine"]
    if name == "dgl" and device.type != "cpu":
        name = "shared"  # dgl may be built for the CPU alone
    engine = choose_engine(name, topology.to(device), layers=config.layers, degree=config.degree)
    return [_member(run, k, cohort, topology, engine, device) for k in range(config.members)]


def _member(
    run: Run,
    number: int,
    cohort: Cohort,
    topology: Topology,
    engine: Engine,
    device: torch.device,
) -> Objective:
    """A trained member on the device."""
    tensors, _ = read_tensors(run.checkpoint(number))
    try:
        setting = Setting(**{name: tensors[name] for name in Setting._fields})
        model = GenomeModel(run.config, topology, setting)
        model.load_state_dict(tensors)
    except (KeyError, RuntimeError) as error:
        msg = f"{run.folder}: member {number} is not a checkpoint of this model; train again"
        raise RunError(msg) from error
    return Objective(
        model.to(device, torch.float32).requires_grad_(False),
        engine.topology,
        engine,
        torch.from_numpy(cohort.genome.features).to(device),
        torch.from_numpy(cohort.genome.has_features).to(device),
    )


@torch.no_grad()
def _head(
    head: str,
    members: list[Objective],
    strains: Strains,
    effect: Float32[np.ndarray, " perturbation"],
    topology: Topology,
    device: torch.device,
    tell: Callable[[int], None],
) -> dict[str, _Moments]:
    """A head's predictions for all strains, in chunks; mean and s.d. over members."""
    encoded = [member.encode() for member in members]
    collected: dict[str, list[_Moments]] = {}
    n, size = len(strains), CHUNK[head]
    for start in range(0, max(n, 1), size):
        rows = np.arange(start, min(start + size, n))
        at_least = 1 if head == "morphology" else 2
        plan = Plan.of(
            strains, rows, effect, topology.reach, topology.n_node, at_least=at_least
        ).tensors(device)
        each: dict[str, list[Array]] = {}
        for member, wild in zip(members, encoded, strict=True):
            model, h = member.model, wild.h
            if head == "fitness":
                found = model.fitness(h, plan, member.topology)
                answers = {"fitness": found.fitness, "interaction": found.interaction}
            elif head == "expression":
                values = model.expression(wild, perturbed_of(plan), plan, member.engine)
                lacking = model.expression_gene < 0
                answers = {head: values.masked_fill(lacking, float("nan"))}
            else:
                values = model.morphology(h, plan, member.topology)
                answers = {head: values + model.morphology_reference}
            for name, answer in answers.items():
                each.setdefault(name, []).append(answer.float().cpu().numpy())
        for name, arrays in each.items():
            collected.setdefault(name, []).append(_moments(arrays))
        tell(start + len(rows))
    return {
        name: _Moments(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        for name, parts in collected.items()
    }


def moments_of(
    members: list[Objective], encoded: list[Encoded], tensors: Meetings
) -> dict[str, Float32[np.ndarray, " strain"]]:
    """Fitness and interaction of planned strains, by name, each with its s.d. over members."""
    answers = [
        member.model.fitness(wild.h, tensors, member.topology)
        for member, wild in zip(members, encoded, strict=True)
    ]
    out: dict[str, Float32[np.ndarray, " strain"]] = {}
    for name in ("fitness", "interaction"):
        moments = _moments([getattr(a, name).float().cpu().numpy() for a in answers])
        out |= {name: moments.mean, f"{name}_sd": moments.sd}
    return out


def _moments(arrays: list[Array]) -> _Moments:
    whole = np.stack(arrays).astype(np.float64)
    sd = whole.std(0, ddof=1) if len(arrays) > 1 else np.full(whole.shape[1:], np.nan)
    return _Moments(whole.mean(0).astype(np.float32), sd.astype(np.float32))
