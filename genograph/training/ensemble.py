"""Train: a cohort and a configuration into a run folder.

Device, precision and several processes are Lightning Fabric's; the loop is in `fit`. Batches are a
function of seed and step alone, so a resumed training gives the weights of an unbroken one.
"""

import csv
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from genograph.cohorts import TRAIN, VALIDATION, Cohort, load_cohort
from genograph.config import TrainConfig, TrainingConfig
from genograph.engine.topology import threads
from genograph.errors import RunError, format_count
from genograph.files import LOCK, claim, is_draft, write_file
from genograph.models import find_model
from genograph.models.base import Inputs, StrainModel
from genograph.run import FORMAT, RECORD_NAME, Run, RunRecord, file_sha256
from genograph.schema import graph_schema
from genograph.training.examples import StrainBatches, Task, VectorTask, find_examples
from genograph.training.fit import JOINT, Epoch, Planned, fit
from genograph.training.validation import MOST_VALIDATED, Validation, wild_type_values

Report = Callable[[float, str], None]


def train(
    cohort: Cohort | Path | str,
    config: TrainConfig,
    out: Path | str,
    *,
    cohort_folder: Path | str | None = None,
    report: Report | None = None,
) -> Run:
    """Fit an ensemble to a cohort and return its run folder.

    The same call again resumes a training that was killed or interrupted, and returns at once
    where it is complete. Heads that the cohort has no experiments of are left out, which the run's
    record states. Ctrl-C leaves a run that resumes.

    Args:
        cohort: a cohort; or the folder that `export` wrote, which the run then remembers.
        config: the model and how it is trained, see `read_config`.
        out: the run folder, made where it is not there: run.json, metrics.csv and, a member,
            safetensors of its weights.
        cohort_folder: where a cohort that is given itself lies, for `evaluate` and `predict`.
        report: told the fraction done, 0 to 1, and a few words.

    Returns:
        The run, complete.

    Raises:
        RunError: nothing to train on, no such device, or `out` holds something else.
        CohortError: the folder cannot be read.

    Example:
        >>> config = genograph.read_config(members=1, epochs=1, device="cpu")
        >>> run = genograph.train("cohort", config, "run")
        >>> run.complete
        True
    """
    out = Path(out)
    # from a notebook anything may come
    given: object = config
    if not isinstance(given, TrainConfig):
        msg = f"config: got {type(given).__name__}, wanted a TrainConfig; read_config makes one"
        raise RunError(msg)
    if not isinstance(cohort, Cohort):
        cohort_folder = cohort if cohort_folder is None else cohort_folder
        cohort = load_cohort(cohort)
    config, left_out = _leave_out_heads(cohort, config)
    fabric = _make_fabric(config.training)
    fabric.launch()
    with ExitStack() as stack:
        # of several processes the first claims the folder for all
        if fabric.is_global_zero:
            with _writing(out):
                stack.enter_context(claim(out, error=RunError))
        return _train(cohort, config, left_out, out, cohort_folder, fabric, report)


def _train(
    cohort: Cohort,
    config: TrainConfig,
    left_out: list[str],
    out: Path,
    cohort_folder: Path | str | None,
    fabric: Fabric,
    report: Report | None,
) -> Run:
    """See `train`; the heads that the cohort lacks are left out, and the folder is claimed."""
    kind = find_model(config.model.name)
    held = _held_facts(out)
    inputs = kind.read_inputs(cohort, config.model, fabric.device, facts=held)
    folds = [
        find_examples(cohort, inputs, fold, most=most)
        for fold, most in ((TRAIN, None), (VALIDATION, MOST_VALIDATED))
    ]
    _check_trained(config, folds[0])
    statistics = kind.fit_statistics(cohort, inputs, config.model)
    left_out_of_validation = {name: task.n_left_out for name, task in folds[1].items()}
    found = {
        "examples": {
            fold: {name: len(tasks[name]) if name in tasks else 0 for name in config.training.batch}
            for fold, tasks in zip(("train", "validation"), folds, strict=True)
        },
        "validation_left_out": left_out_of_validation,
        "heads_left_out": left_out,
        "facts": dict(inputs.facts),
    }
    record = _new_record(cohort, config, cohort_folder, found, fabric)
    ledger = _Ledger(out, config.training, inputs, folds[0], report or (lambda done, words: None))
    if fabric.is_global_zero:
        with _writing(out):
            record = begin(out, record)
            ledger.resume()
    record = fabric.broadcast(record)
    if record.status == "complete":
        ledger.report(1.0, f"complete already, {format_count(config.training.members, 'member')}")
        return Run.open(out)
    n_node = len(cohort.genome.gene_ids) + len(cohort.genome.term_ids)
    n_node += len(cohort.genome.complex_ids)
    with threads(config.training.threads, n_node) as n_thread:
        words = _circumstances(config.training, fabric, inputs, n_thread)
    if n_left := sum(left_out_of_validation.values()):
        words += f", validation without {n_left:,} more examples of its fold"
    members = _Members(fabric, config, kind, inputs, statistics, folds[0], folds[1], words)
    try:
        with threads(config.training.threads, n_node), _writing(out):
            members.fit(out, record, ledger)
    except KeyboardInterrupt:
        if fabric.is_global_zero:
            Run.open(out).record.replace(status="interrupted").write(out)
        raise
    fabric.barrier()
    return Run.open(out)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Say which run folder the disk refuses, and what to do."""
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        msg = f"{out}: cannot be written: {why}; when it can, the same command resumes"
        raise RunError(msg) from error


@dataclass
class _Members:
    """The members of an ensemble, fitted one after the other."""

    fabric: Fabric
    config: TrainConfig
    kind: type[StrainModel]
    inputs: Inputs
    statistics: Mapping[str, torch.Tensor]
    train: Mapping[str, Task]
    validation: Mapping[str, Task]
    words: str

    def fit(self, out: Path, record: RunRecord, ledger: "_Ledger") -> None:
        """Fit those whose weights `record` does not name yet."""
        fabric, config = self.fabric, self.config.training
        means = {
            name: task.mean_profile()
            for name, task in self.train.items()
            if isinstance(task, VectorTask) and graph_schema().phenotypes[name].axis == "gene"
        }
        validation = Validation(self.validation, means)
        minutes = None if config.minutes is None else config.minutes / config.members
        own = config.model_copy(update={"minutes": minutes})
        said = False
        for member in range(config.members):
            folder = f"member-{member}"
            if f"{folder}/{JOINT}.safetensors" in record.checkpoints:
                continue
            seed = config.seed + member
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                model = self.kind(self.config.model, self.inputs, self.statistics)

            def tell(told: Planned | Epoch, member: int = member, said: bool = said) -> None:
                if isinstance(told, Epoch):
                    ledger.epoch(member, told)
                elif fabric.is_global_zero and not said:
                    pace = f"{told.steps} steps an epoch, about {told.seconds:.3g} s planned"
                    ledger.report(0.0, f"{self.words}; {pace}")

            fit(
                fabric,
                own,
                model,
                StrainBatches(self.train, config, seed),
                out / folder,
                validate=validation,
                report=tell,
            )
            said = True
            weights = {
                f"{folder}/{file.name}": file_sha256(file)
                for file in sorted((out / folder).glob("*.safetensors"))
                if file.name != "state.safetensors"
            }
            record = record.replace(checkpoints={**record.checkpoints, **weights})
            if fabric.is_global_zero:
                record.write(out)
        if fabric.is_global_zero:
            record.replace(status="complete").write(out)
            ledger.report(1.0, f"{format_count(config.members, 'member')} trained")


def _leave_out_heads(cohort: Cohort, config: TrainConfig) -> tuple[TrainConfig, list[str]]:
    """The configuration with the heads that the cohort has experiments for, and the others."""
    heads = config.model.heads
    left_out = [head for head in heads if head not in cohort.measured]
    kept = tuple(head for head in heads if head not in left_out)
    if not kept:
        msg = f"the cohort has no experiments of {', '.join(heads)}; nothing to train on"
        raise RunError(msg)
    model = config.model.model_copy(update={"heads": kept})
    return config.model_copy(update={"model": model}), left_out


def _check_trained(config: TrainConfig, train: Mapping[str, Task]) -> None:
    trained = {task.phenotype for task in train.values()}
    for head in config.model.heads:
        if head not in trained:
            msg = (
                f"the cohort has no {head} experiment in its training fold; "
                f"export more strains or leave the head out"
            )
            raise RunError(msg)


def _held_facts(out: Path) -> Mapping[str, int | str]:
    """What an earlier start of the same training found; nothing where there was none."""
    if not (out / "run.json").is_file():
        return {}
    return Run.open(out).record.facts


def _make_fabric(config: TrainingConfig) -> Fabric:
    """Fabric on the configured device; under torchrun, on all its processes."""
    if config.device == "cuda" and not torch.cuda.is_available():
        msg = "device cuda: no CUDA device is visible; use cpu or auto"
        raise RunError(msg)
    accelerator = "cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu"
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    world = int(os.environ.get("WORLD_SIZE", str(here)))
    if world == 1:
        return Fabric(accelerator=accelerator, devices=1, precision=config.precision)
    return Fabric(
        accelerator=accelerator,
        devices=here,
        num_nodes=world // here,
        strategy="ddp",
        precision=config.precision,
    )


def _circumstances(config: TrainingConfig, fabric: Fabric, inputs: Inputs, n_thread: int) -> str:
    chosen = "as configured"
    if config.device == "auto":
        chosen = "auto: CUDA is there" if fabric.device.type == "cuda" else "auto: no CUDA device"
    words = [
        f"{fabric.device.type} ({chosen})",
        f"{fabric.world_size} process(es)",
        f"{n_thread} thread(s)",
        config.precision,
        *([inputs.words] if inputs.words else []),
        f"seed {config.seed}",
        format_count(config.members, "member"),
    ]
    return ", ".join(words)


def _new_record(
    cohort: Cohort,
    config: TrainConfig,
    cohort_folder: Path | str | None,
    found: dict[str, Any],
    fabric: Fabric,
) -> RunRecord:
    settings = config.model_dump(mode="json")
    text = json.dumps(settings, sort_keys=True)
    return RunRecord(
        format=FORMAT,
        version=version("genograph"),
        schema_version=graph_schema().version,
        **settings,
        config_sha256=sha256(text.encode()).hexdigest(),
        cohort=None if cohort_folder is None else str(Path(cohort_folder).resolve()),
        cohort_sha256=cohort.sha256,
        genes_sha256=cohort.genome.genes_sha256,
        terms_sha256=cohort.genome.terms_sha256,
        seeds=tuple(config.training.seed + k for k in range(config.training.members)),
        device=fabric.device.type,
        processes=fabric.world_size,
        status="training",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        checkpoints={},
        **found,
    )


def begin(out: Path, record: RunRecord) -> RunRecord:
    """The record to go on with: of the training that `out` holds, or a new one.

    Raises:
        RunError: `out` holds another training, or something that is none.
    """
    if (out / RECORD_NAME).is_file():
        held = Run.open(out).record
        for what, same in (
            ("cohort", held.cohort_sha256 == record.cohort_sha256),
            (_difference(held, record), held.config_sha256 == record.config_sha256),
            ("list of seeds", held.seeds == record.seeds),
            ("list of heads", held.heads_left_out == record.heads_left_out),
        ):
            if not same:
                msg = f"{out}: holds a training with another {what}; choose another folder"
                raise RunError(msg)
        whole = _keep_whole_members(out, held.checkpoints)
        if held.status != "complete" or whole != held.checkpoints:
            held = held.replace(status="training", checkpoints=whole)
            held.write(out)
        return held
    # a training that was killed at its very beginning leaves no more than a draft of run.json
    if any(not is_draft(file) and file.name != LOCK for file in out.iterdir()):
        msg = f"{out}: exists and holds no training; choose another folder"
        raise RunError(msg)
    record.write(out)
    return record


def _keep_whole_members(out: Path, checkpoints: Mapping[str, str]) -> dict[str, str]:
    """The checkpoints of members of which none is missing or changed; the others train again."""
    lost = {
        name.split("/")[0]
        for name, digest in checkpoints.items()
        if not (out / name).is_file() or file_sha256(out / name) != digest
    }
    return {name: digest for name, digest in checkpoints.items() if name.split("/")[0] not in lost}


def _difference(held: RunRecord, new: RunRecord) -> str:
    names = [
        f"{part}.{name}"
        for part, one, other in (
            ("model", held.model, new.model),
            ("training", held.training, new.training),
        )
        for name in {**one, **other}
        if one.get(name) != other.get(name)
    ]
    return f"configuration ({', '.join(names)})"


@dataclass
class _Ledger:
    """metrics.csv of a run, and what is told to the caller.

    A line an epoch and member: mean losses by task over the epoch, and scores after it.
    """

    out: Path
    config: TrainingConfig
    inputs: Inputs
    tasks: Mapping[str, Task]
    report: Report
    rows: list[dict[str, str]] = field(default_factory=list)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of metrics.csv."""
        quantities = self.inputs.quantities
        scalars = [q.name for q in quantities if q.columns is None and not q.needs]
        # as tasks are: what takes several perturbations first
        scored = sorted(quantities, key=lambda q: q.name == q.phenotype)
        return (
            *("member", "epoch", "step", "seconds", "learning_rate", "loss"),
            *(f"loss_{name}" for name in self.tasks),
            *(f"validation_{q.name}" for q in scored),
            *(f"wild_type_{name}" for name in scalars),
        )

    def resume(self) -> None:
        """Take up the lines that an earlier training wrote."""
        path = self.out / "metrics.csv"
        if path.is_file():
            try:
                with path.open(newline="", encoding="utf-8") as text:
                    self.rows = list(csv.DictReader(text))
                for row in self.rows:
                    if set(row) != set(self.columns):
                        msg = f"columns {', '.join(map(str, row))}"
                        raise ValueError(msg)
                    int(row["member"]), int(row["epoch"])
            except (ValueError, TypeError, KeyError, csv.Error) as error:
                msg = f"{path}: damaged metrics ({error}); delete it, the same command resumes"
                raise RunError(msg) from error

    def epoch(self, member: int, told: Epoch) -> None:
        """Write an epoch's line and tell of it; a line written before a kill is replaced."""
        progress, number = told.progress, told.progress.epoch
        self.rows = [
            r for r in self.rows if not (r["member"] == str(member) and int(r["epoch"]) >= number)
        ]
        loss = sum(told.losses.values())
        assert isinstance(told.module, StrainModel)
        values: dict[str, float] = {
            "member": member,
            "epoch": number,
            "step": told.step,
            "seconds": progress.seconds,
            "learning_rate": told.learning_rate,
            "loss": loss,
            **{f"loss_{name}": value for name, value in told.losses.items()},
            **{f"validation_{name}": value for name, value in told.scores.values.items()},
            **{f"wild_type_{k}": value for k, value in wild_type_values(told.module).items()},
        }
        self.rows.append({name: f"{values.get(name, math.nan):.6g}" for name in self.columns})
        with (
            write_file(self.out / "metrics.csv") as draft,
            draft.open("w", newline="", encoding="utf-8") as text,
        ):
            writer = csv.DictWriter(text, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        share = 1.0 if progress.done else number / progress.planned
        done = (member + share) / self.config.members
        score = f"best validation {progress.best[JOINT]:.3f}" if JOINT in progress.best else ""
        self.report(
            min(done, 0.999),
            f"member {member + 1}, epoch {number}, loss {loss:.3f} {score}".rstrip(),
        )
