"""Train: a cohort and a configuration into a run folder.

Device, precision and several processes are Lightning Fabric's; the loop is `genograph.training.fit`.
Batches are a function of seed and step alone, so a resumed training gives the weights of an
unbroken one.
"""

import csv
import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from pydantic import ValidationError

from genograph.cohorts import TRAIN, VALIDATION, Cohort
from genograph.engine.base import Engine
from genograph.engine.choose import choose_engine
from genograph.engine.topology import Topology, threads
from genograph.errors import RunError
from genograph.files import is_draft, write_file
from genograph.models.config import TrainConfig
from genograph.models.statistics import setting_of, single_effects
from genograph.run import FORMAT, Run, file_sha256, write_json
from genograph.schema import graph_schema
from genograph.training.checkpoint import Progress
from genograph.training.examples import HEAD_OF, TASKS, Scalars, Tasks, tasks_of
from genograph.training.fit import Epoch, Material, fit, material_of
from genograph.training.validation import MOST_VALIDATED

__all__ = ["TrainConfig", "read_config", "train"]

Report = Callable[[float, str], None]


def read_config(path: Path | str | None = None, **settings: object) -> TrainConfig:
    """The configuration: defaults, then a TOML file, then `settings`.

    Raises:
        RunError: no such file, no TOML, an unknown key or a value out of range.
    """
    found: dict[str, object] = {}
    if path is not None:
        try:
            found = tomllib.loads(Path(path).read_text("utf-8"))
        except FileNotFoundError:
            msg = f"{path}: no such file"
            raise RunError(msg) from None
        except (ValueError, RecursionError, OSError) as error:
            # a TOMLDecodeError is a ValueError, and so is a number of too many digits
            msg = f"{path}: cannot be read as TOML: {error}"
            raise RunError(msg) from error
    try:
        return TrainConfig.model_validate({**found, **settings})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][:1]) or "config"
        where = f"{path}: " if name in found and name not in settings else ""
        if first["type"] == "extra_forbidden":
            choices = ", ".join(TrainConfig.model_fields)
            msg = f"{where}no setting is called {name}; choose from {choices}"
        else:
            msg = f"{where}setting {name}: got {first['input']!s:.80}; {first['msg']}"
        raise RunError(msg) from error


def train(
    cohort: Cohort,
    config: TrainConfig,
    out: Path | str,
    *,
    cohort_folder: Path | str | None = None,
    report: Report | None = None,
) -> Run:
    """Fit an ensemble to a cohort and return its run folder.

    The same call again resumes a training that was killed or interrupted, and returns at once
    where it is complete. `report` hears the fraction done and a few words. Heads that the cohort
    has no experiments of are left out, which the run's manifest states.

    Raises:
        RunError: nothing to train on, no such device, or `out` holds something else.
    """
    out = Path(out)
    config, left_out = _with_heads(cohort, config)
    topology = Topology.of(cohort.genome, largest_term=config.largest_term)
    singles = single_effects(cohort, floor=config.fitness_floor)
    folds = tuple(
        tasks_of(cohort, fold, singles.log_fitness, topology, config, most=most)
        for fold, most in ((TRAIN, None), (VALIDATION, MOST_VALIDATED))
    )
    untrained = [
        h for h in config.heads if not any(_size(folds[0], t) for t in TASKS if HEAD_OF[t] == h)
    ]
    if untrained:
        msg = (
            f"the cohort has no {untrained[0]} experiment in its training fold; "
            f"export more strains or leave the head out"
        )
        raise RunError(msg)
    setting = setting_of(cohort, topology, config)
    fabric = _fabric(config)
    fabric.launch()
    left_out_of_validation = {
        t: task.n_left_out for t in TASKS if isinstance(task := getattr(folds[1], t), Scalars)
    }
    facts = {
        "examples": {
            name: {t: _size(tasks, t) for t in TASKS}
            for name, tasks in zip(("train", "validation"), folds, strict=True)
        },
        "validation_left_out": left_out_of_validation,
        "heads_left_out": left_out,
        "singles_floored": singles.n_floored,
        "terms_left_out": topology.n_general_terms,
        "expression_columns_without_gene": int((setting.expression_gene < 0).sum()),
    }
    engine = choose_engine(
        config.engine, topology.to(fabric.device), layers=config.layers, degree=config.degree
    )
    manifest = _manifest(cohort, config, cohort_folder, facts, fabric, engine.name)
    ledger = _Ledger(out, config, report or (lambda fraction, words: None))
    if fabric.is_global_zero:
        with _writing(out):
            manifest = begin(out, manifest)
            ledger.resume()
    manifest = fabric.broadcast(manifest)
    if manifest["status"] == "complete":
        return Run.open(out)
    with threads(config.threads, topology.n_node) as n_thread:
        words = _circumstances(config, fabric, engine, n_thread)
    if n_left := sum(left_out_of_validation.values()):
        words += f", validation without {n_left:,} more examples of its fold"
    material = material_of(
        cohort, engine.topology, engine, setting, (folds[0], folds[1]), fabric.device
    )
    try:
        with threads(config.threads, topology.n_node), _writing(out):
            _fit_all(fabric, config, material, out, manifest, ledger, words)
    except KeyboardInterrupt:
        if fabric.is_global_zero:
            write_json(out / "run.json", manifest | {"status": "interrupted"})
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


def _fit_all(
    fabric: Fabric,
    config: TrainConfig,
    material: Material,
    out: Path,
    manifest: dict[str, Any],
    ledger: "_Ledger",
    circumstances: str,
) -> None:
    said = False

    def planned(steps: int, seconds: float) -> None:
        if fabric.is_global_zero:
            ledger.report(
                0.0, f"{circumstances}; {steps} steps an epoch, about {seconds:.3g} s planned"
            )

    for member in range(config.members):
        name = f"member-{member}/model.safetensors"
        if name not in manifest["checkpoints"]:
            fit(
                fabric,
                config,
                material,
                member,
                out / f"member-{member}",
                told=ledger.epoch,
                planned=None if said else planned,
            )
            said = True
            manifest["checkpoints"][name] = file_sha256(out / name)
            if fabric.is_global_zero:
                write_json(out / "run.json", manifest)
    manifest["status"] = "complete"
    if fabric.is_global_zero:
        write_json(out / "run.json", manifest)
        ledger.report(1.0, f"{config.members} members trained")


def _size(tasks: Tasks, name: str) -> int:
    task = getattr(tasks, name)
    return 0 if task is None else len(task)


def _with_heads(cohort: Cohort, config: TrainConfig) -> tuple[TrainConfig, list[str]]:
    """The configuration with the heads that the cohort has experiments for, and the others."""
    left_out: list[str] = [h for h in config.heads if getattr(cohort, h) is None]
    heads = tuple(h for h in config.heads if h not in left_out)
    if not heads:
        msg = f"the cohort has no experiments of {', '.join(config.heads)}; nothing to train on"
        raise RunError(msg)
    return config.model_copy(update={"heads": heads}), left_out


def _fabric(config: TrainConfig) -> Fabric:
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


def _circumstances(config: TrainConfig, fabric: Fabric, engine: Engine, n_thread: int) -> str:
    chosen = "as configured"
    if config.device == "auto":
        chosen = "auto: CUDA is there" if fabric.device.type == "cuda" else "auto: no CUDA device"
    return (
        f"{fabric.device.type} ({chosen}), {fabric.world_size} process(es), "
        f"{n_thread} thread(s), {config.precision}, engine {engine.name} ({engine.why}), "
        f"seed {config.seed}, {config.members} members"
    )


def _manifest(
    cohort: Cohort,
    config: TrainConfig,
    cohort_folder: Path | str | None,
    facts: dict[str, Any],
    fabric: Fabric,
    engine: str,
) -> dict[str, Any]:
    settings = config.model_dump(mode="json")
    text = json.dumps(settings, sort_keys=True)
    return {
        "format": FORMAT,
        "version": version("genograph"),
        "schema_version": graph_schema().version,
        "config": settings,
        "config_sha256": sha256(text.encode()).hexdigest(),
        "cohort": None if cohort_folder is None else str(Path(cohort_folder).resolve()),
        "cohort_sha256": cohort.sha256,
        "genes_sha256": cohort.genome.genes_sha256,
        "terms_sha256": cohort.genome.terms_sha256,
        "seeds": [config.seed + k for k in range(config.members)],
        "device": fabric.device.type,
        "processes": fabric.world_size,
        "engine": engine,
        "status": "training",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "checkpoints": {},
        **facts,
    }


def begin(out: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest to go on with: of the training that `out` holds, or a new one.

    Raises:
        RunError: `out` holds another training, or something that is none.
    """
    if (out / "run.json").is_file():
        held = Run.open(out).manifest
        for name in ("cohort_sha256", "config_sha256"):
            if held[name] != manifest[name]:
                what = "cohort" if name == "cohort_sha256" else _difference(held, manifest)
                msg = f"{out}: holds a training with another {what}; choose another folder"
                raise RunError(msg)
        going_on = dict(held)
        if held["status"] != "complete":
            going_on["status"] = "training"
            write_json(out / "run.json", going_on)
        return going_on
    # a training that was killed at its very beginning leaves no more than a draft of run.json
    if out.exists() and (not out.is_dir() or not all(map(is_draft, out.iterdir()))):
        msg = f"{out}: exists and holds no training; choose another folder"
        raise RunError(msg)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "run.json", manifest)
    return manifest


def _difference(held: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = [n for n in new["config"] if held["config"].get(n) != new["config"][n]]
    return f"configuration ({', '.join(names)})"


@dataclass
class _Ledger:
    """metrics.csv of a run, and what is told to the caller."""

    out: Path
    config: TrainConfig
    report: Report
    rows: list[dict[str, str]] = field(default_factory=list)

    def resume(self) -> None:
        """Take up the lines that an earlier training wrote."""
        path = self.out / "metrics.csv"
        if path.is_file():
            try:
                with path.open(newline="", encoding="utf-8") as text:
                    self.rows = list(csv.DictReader(text))
                for row in self.rows:
                    if set(row) != set(Epoch._fields):
                        msg = f"columns {', '.join(map(str, row))}"
                        raise ValueError(msg)
                    int(row["member"]), int(row["epoch"])
            except (ValueError, TypeError, KeyError, csv.Error) as error:
                msg = f"{path}: damaged metrics ({error}); delete it, the same command resumes"
                raise RunError(msg) from error

    def epoch(self, epoch: Epoch, progress: Progress) -> None:
        """Write an epoch's line and tell of it; a line written before a kill is replaced."""
        key = (str(epoch.member), epoch.epoch)
        self.rows = [
            r for r in self.rows if not (r["member"] == key[0] and int(r["epoch"]) >= key[1])
        ]
        self.rows.append({k: f"{v:.6g}" for k, v in epoch._asdict().items()})
        with (
            write_file(self.out / "metrics.csv") as draft,
            draft.open("w", newline="", encoding="utf-8") as text,
        ):
            writer = csv.DictWriter(text, Epoch._fields, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        share = 1.0 if progress.done else epoch.epoch / progress.planned
        done = (epoch.member + share) / self.config.members
        score = f"best validation {progress.best:.3f}" if progress.best is not None else ""
        words = f"member {epoch.member + 1}, epoch {epoch.epoch}, loss {epoch.loss:.3f} {score}"
        self.report(min(done, 0.999), words.rstrip())
