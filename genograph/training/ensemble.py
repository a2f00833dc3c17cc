"""Train: a cohort and a configuration into a run folder.

Device, precision and several processes are Lightning Fabric's; the loop is in `fit`. Batches are a
function of seed and step alone, so a resumed training gives the weights of an unbroken one.
"""

import csv
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning_fabric import Fabric

from genograph.cohorts import TRAIN, VALIDATION, Cohort, load_cohort
from genograph.config import TrainConfig, TrainingConfig
from genograph.engine.topology import threads
from genograph.errors import RunError, format_count
from genograph.files import LOCK, claim, hash_file, is_draft, write_file
from genograph.models import find_model
from genograph.models.base import Inputs, StrainModel
from genograph.run import FORMAT, RECORD_NAME, Run, RunRecord
from genograph.schema import graph_schema
from genograph.training.checkpoint import Progress
from genograph.training.examples import StrainBatches, Task, VectorTask, find_examples
from genograph.training.fit import JOINT, Epoch, Limit, Pace, Planned, Step, Told, fit
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
    record states. Ctrl-C leaves a run that resumes. `minutes` shorten the schedule to the epochs
    that fit; where they end within an epoch, the step under way is the last one, its state is
    saved, and the same call goes on with the next one, for as many minutes again.

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
        RunError: nothing to train on, no such device, or `out` holds something else; the minutes
            were over within an epoch; or a loss, a gradient or a weight is not finite, and then the
            step and the largest labels are named and the run is not complete.
        CohortError: the folder cannot be read.

    Example:
        >>> config = genograph.read_config(members=1, epochs=1, device="cpu")
        >>> run = genograph.train("cohort", config, "run")
        >>> run.complete
        True
    """
    out, begun = Path(out), time.perf_counter()
    # from a notebook anything may come
    given: object = config
    if not isinstance(given, TrainConfig):
        msg = f"config: got {type(given).__name__}, wanted a TrainConfig; read_config makes one"
        raise RunError(msg)
    if not isinstance(cohort, Cohort):
        cohort_folder = cohort if cohort_folder is None else cohort_folder
        cohort = load_cohort(cohort)
    minutes = config.training.minutes
    stop = None if minutes is None else begun + 60.0 * minutes
    config, left_out = _leave_out_heads(cohort, config)
    fabric = _make_fabric(config.training)
    fabric.launch()
    with ExitStack() as stack:
        # of several processes the first claims the folder for all
        if fabric.is_global_zero:
            with _writing(out):
                stack.enter_context(claim(out, error=RunError))
        n_thread = stack.enter_context(threads(config.training.threads, cohort.genome))
        return _train(cohort, config, left_out, out, cohort_folder, fabric, n_thread, stop, report)


def _train(
    cohort: Cohort,
    config: TrainConfig,
    left_out: list[str],
    out: Path,
    cohort_folder: Path | str | None,
    fabric: Fabric,
    n_thread: int,
    stop: float | None,
    report: Report | None,
) -> Run:
    """See `train`; the heads that the cohort lacks are left out, and the folder is claimed.

    `stop` is the moment at which the time of the training ends.
    """
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
    words = _circumstances(config.training, fabric, inputs, n_thread)
    if n_left := sum(left_out_of_validation.values()):
        words += f", validation without {n_left:,} more examples of its fold"
    members = _Members(fabric, config, kind, inputs, statistics, folds[0], folds[1], words, stop)
    try:
        with _writing(out):
            members.fit(out, record, ledger)
    except (KeyboardInterrupt, RunError):
        if fabric.is_global_zero:
            # a disk that refused the training may refuse this too
            with suppress(OSError):
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
    stop: float | None

    def fit(self, out: Path, record: RunRecord, ledger: "_Ledger") -> None:
        """Fit those whose weights `record` does not name yet.

        Raises:
            RunError: the time is over within an epoch; or of a member's `fit`.
        """
        fabric, config = self.fabric, self.config.training
        means = {
            name: task.mean_profile()
            for name, task in self.train.items()
            if isinstance(task, VectorTask) and graph_schema().phenotypes[name].axis == "gene"
        }
        validation = Validation(self.validation, means)
        told = False
        for member in range(config.members):
            folder = f"member-{member}"
            if f"{folder}/{JOINT}.safetensors" in record.checkpoints:
                continue
            seed = config.seed + member
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                model = self.kind(self.config.model, self.inputs, self.statistics)

            def tell(heard: Told, member: int = member, told: bool = told) -> None:
                if isinstance(heard, Epoch):
                    ledger.epoch(member, heard)
                elif isinstance(heard, Step):
                    ledger.step(member, heard)
                elif fabric.is_global_zero and not told:
                    ledger.begin(member, heard, self.words)

            batches = StrainBatches(self.train, config, seed)
            try:
                progress = fit(
                    fabric,
                    config,
                    model,
                    batches,
                    out / folder,
                    validate=validation,
                    report=tell,
                    limit=self._limit(member),
                )
            except RunError as error:
                msg = f"{out}: member {member + 1}: {error}"
                raise RunError(msg) from error
            if not progress.done:
                self._say_stopped(out, member, progress, batches.steps)
            told = True
            weights = {
                f"{folder}/{file.name}": hash_file(file)
                for file in sorted((out / folder).glob("*.safetensors"))
                if file.name != "state.safetensors"
            }
            record = record.replace(checkpoints={**record.checkpoints, **weights})
            if fabric.is_global_zero:
                record.write(out)
        if fabric.is_global_zero:
            record.replace(status="complete").write(out)
            ledger.report(1.0, f"{format_count(config.members, 'member')} trained")

    def _limit(self, member: int) -> Limit | None:
        """The time of a member: it plans with its share of what is left, and may take all of it."""
        if self.stop is None:
            return None
        now = time.perf_counter()
        left = self.config.training.members - member
        return Limit(self.stop, now + (self.stop - now) / left)

    def _say_stopped(self, out: Path, member: int, progress: Progress, steps: int) -> NoReturn:
        config = self.config.training
        msg = (
            f"{out}: the limit of {config.minutes:g} minutes was reached: training stopped at step "
            f"{progress.step} of {steps} of epoch {progress.epoch + 1} of member {member + 1} of "
            f"{config.members}; its state is saved, and the same command resumes after this step"
        )
        raise RunError(msg)


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
        if not (out / name).is_file() or hash_file(out / name) != digest
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
        words = [f"loss {loss:.3f}"]
        if JOINT in progress.best:
            words.append(f"best validation {progress.best[JOINT]:.3f}")
        steps = told.step // number
        share = 1.0 if progress.done else number / progress.planned
        self._tell(member, share, [f"epoch {number}", *words], progress, told.pace, steps)

    def begin(self, member: int, told: Planned, words: str) -> None:
        """Tell of the circumstances, and how long the training should take."""
        first = Progress(planned=self.config.epochs)
        seconds = self._left(member, first, told.pace, told.steps)
        plan = f"{told.steps} steps an epoch, at most {self.config.epochs} epochs a member"
        plan += f", {_duration(seconds)} at the pace of 2 steps"
        if self.config.minutes is not None:
            plan += f", limit {self.config.minutes:g} min"
        self.report(0.0, f"{words}; {plan}")

    def step(self, member: int, told: Step) -> None:
        """Tell how far an epoch is."""
        progress = told.progress
        words = [f"epoch {progress.epoch + 1}", f"step {progress.step} of {told.steps}"]
        share = (progress.epoch + progress.step / told.steps) / progress.planned
        self._tell(member, share, words, progress, told.pace, told.steps)

    def _tell(
        self,
        member: int,
        share: float,
        words: Sequence[str],
        progress: Progress,
        pace: Pace,
        steps: int,
    ) -> None:
        left = _duration(self._left(member, progress, pace, steps))
        done = (member + share) / self.config.members
        self.report(min(done, 0.999), ", ".join([f"member {member + 1}", *words, f"{left} left"]))

    def _left(self, member: int, progress: Progress, pace: Pace, steps: int) -> float:
        """Seconds to the end of the training, should no member stop early."""
        epochs = 0 if progress.done else progress.planned - progress.epoch
        epochs += (self.config.members - member - 1) * progress.planned
        return pace.seconds(epochs * steps - progress.step, epochs)


def _duration(seconds: float) -> str:
    """About so long, in words."""
    if seconds < 100:
        return f"about {max(seconds, 1):.0f} s"
    minutes = seconds / 60
    return f"about {minutes:.0f} min" if minutes < 100 else f"about {minutes / 60:.1f} h"
