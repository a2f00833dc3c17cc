"""Run: the folder of one training, its configuration, and what its predictions look like.

run.json                    configuration, versions, hashes, seeds, status
metrics.csv                 one line an epoch and member
member-0/model.safetensors  averaged weights of the best epoch; one folder a member
member-0/state.safetensors  what a killed training resumes from
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float32
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from genograph.cohorts import Cohort, load_cohort
from genograph.config import TrainConfig
from genograph.errors import RunError, format_count
from genograph.files import RECORD, hash_file, read_record, write_record
from genograph.notebook import html_table, one_line, shorten
from genograph.schema import graph_schema

FORMAT = 2
RECORD_NAME = "run.json"
JOINT = "model"
"""Name of the checkpoint that predicts every quantity which has none of its own."""


class Predicted(NamedTuple):
    """One quantity of every strain.

    Attributes:
        mean: over the ensemble's members, in the data's unit; NaN where it cannot be predicted.
        sd: over the members, NaN with one member.
        names: along the quantity's axis; None for one number.
    """

    mean: Float32[np.ndarray, "strain ..."]
    sd: Float32[np.ndarray, "strain ..."]
    names: tuple[str, ...] | None


@dataclass(frozen=True)
class Prediction:
    """What a run predicts, strain by strain.

    Interaction scores are NaN for strains with fewer than two perturbations, vectors NaN where the
    genome lacks the column's gene.

    Attributes:
        strain_ids: canonical ids; rows of every array follow them.
        quantities: what is predicted, by name: fitness, interaction, expression ...
        genes_sha256: hash of the gene vocabulary.

    Example:
        >>> cohort = genograph.load_cohort("cohort")
        >>> prediction = genograph.predict("run", genograph.read_strains("pairs.csv", cohort))
        >>> prediction["expression"].mean.shape
        (2, 120)
        >>> prediction.to_arrow().column_names[:3]
        ['strain', 'fitness', 'fitness_sd']
    """

    strain_ids: pa.StringArray
    quantities: Mapping[str, Predicted]
    genes_sha256: str

    def __repr__(self) -> str:
        """Return the number of strains and the quantities, in one line."""
        return (
            f"Prediction({format_count(len(self), 'strain')}; {shorten(self.quantities, most=8)})"
        )

    def _repr_html_(self) -> str:
        """Return the quantities of the first strains as a table, for a notebook."""
        scalars = {name: each for name, each in self.quantities.items() if each.names is None}
        vectors = {name: each for name, each in self.quantities.items() if each.names is not None}
        wide = [f"{name} ({len(each.names or ()):,} numbers)" for name, each in vectors.items()]
        rows = [
            [name, *(float(each.mean[row]) for each in scalars.values()), *("…" for _ in wide)]
            for row, name in enumerate(self.strain_ids[:10].to_pylist())
        ]
        return html_table(
            f"Prediction of {format_count(len(self), 'strain')}", ("strain", *scalars, *wide), rows
        )

    def __len__(self) -> int:
        """Return the number of strains."""
        return len(self.strain_ids)

    def __getitem__(self, quantity: str) -> Predicted:
        """One quantity.

        Raises:
            RunError: it is not predicted; the message lists what is.
        """
        if quantity not in self.quantities:
            msg = f"no prediction of {quantity}; choose from {', '.join(self.quantities)}"
            raise RunError(msg)
        return self.quantities[quantity]

    def find_missing(self, cohort: Cohort) -> dict[str, Bool[np.ndarray, " strain"]]:
        """Which strains lack a finite number that the run owes them, by quantity.

        A run owes every strain its fitness, strains with two or more perturbations an interaction,
        and of vectors the columns whose gene the genome has. The s.d. is owed where any strain has
        one.

        Args:
            cohort: the one that the run was trained on.
        """
        needs = {name: n for p in graph_schema().modelled for name, n in p.quantities.items()}
        # one perturbation more than there are plus signs: the wild type, which has none, needs none
        n_perturbed = pc.add(pc.count_substring(self.strain_ids, "+"), 1).to_numpy()
        found = {}
        for name, (mean, sd, columns) in self.quantities.items():
            lacking = ~np.isfinite(mean)
            if not np.isnan(sd).all():
                lacking |= np.isinf(sd) | (np.isnan(sd) & ~np.isnan(mean))
            if columns is not None:
                vectors = cohort.vectors.get(name)
                if vectors is not None and len(vectors.gene):
                    lacking = lacking[:, vectors.gene >= 0]
                lacking = lacking.any(1)
            found[name] = lacking & (n_perturbed >= needs.get(name, 0))
        return found

    def to_arrow(self) -> pa.Table:
        """One row a strain; numbers that are not there are null, vectors are lists."""
        columns: dict[str, pa.Array] = {"strain": self.strain_ids}
        for name, found in self.quantities.items():
            if found.names is None:
                columns[name] = pa.array(found.mean, mask=np.isnan(found.mean))
                columns[f"{name}_sd"] = pa.array(found.sd, mask=np.isnan(found.sd))
        for name, found in self.quantities.items():
            if found.names is not None:
                columns[name] = to_lists(found.mean)
        return pa.table(columns)


def say_missing(missing: Mapping[str, Bool[np.ndarray, " strain"]], ids: pa.StringArray) -> str:
    """What `Prediction.find_missing` found, in words; empty where nothing is missing."""
    words = []
    for name, lacking in missing.items():
        if lacking.any():
            first = ids[int(np.argmax(lacking))]
            words.append(f"no finite {name} of {lacking.sum():,} of {len(ids):,} strains ({first})")
    return ", ".join(words)


def to_lists(rows: Float32[np.ndarray, "row column"]) -> pa.ListArray:
    """A matrix as a list of 32-bit floats a row; NaN stays NaN."""
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    flat = pa.array(np.ascontiguousarray(rows, dtype=np.float32).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def _check_digest(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        msg = "64 hexadecimal digits"
        raise ValueError(msg)
    return text


Digest = Annotated[str, AfterValidator(_check_digest)]


class RunRecord(BaseModel):
    """run.json: what a training is of and how far it is.

    Attributes:
        format: of this record.
        version: of the genograph that trained.
        schema_version: of the graph's schema.
        model: the model's configuration.
        training: the training's configuration.
        config_sha256: hash of both configurations.
        cohort: the cohort's folder; None where the cohort was given itself.
        cohort_sha256: hash of the cohort's content.
        genes_sha256, terms_sha256: hash of its gene and term vocabulary.
        seeds: one a member.
        device: cpu or cuda.
        processes: how many trained together.
        status: training, interrupted or complete; the first two are resumed by the same command.
        created: when it began, ISO 8601 in UTC.
        checkpoints: hash of every file of weights, by its path in the folder.
        examples: how many of each task, by fold.
        validation_left_out: validation examples that were not scored, by task.
        heads_left_out: heads that the cohort has no experiments of.
        facts: what the model found while it read the cohort.
    """

    model_config = ConfigDict(**RECORD)

    format: int
    version: str
    schema_version: int
    model: Mapping[str, Any]  # Any: JSON, which TrainConfig reads
    training: Mapping[str, Any]
    config_sha256: Digest
    cohort: str | None
    cohort_sha256: Digest
    genes_sha256: Digest
    terms_sha256: Digest
    seeds: tuple[int, ...]
    device: str
    processes: int
    status: Literal["training", "interrupted", "complete"]
    created: str
    checkpoints: Mapping[str, Digest]
    examples: Mapping[str, Mapping[str, int]]
    validation_left_out: Mapping[str, int]
    heads_left_out: tuple[str, ...]
    facts: Mapping[str, int | str]

    def replace(self, **changes: Any) -> "RunRecord":  # noqa: ANN401  values of its fields
        """The same record with some fields changed.

        Args:
            changes: new values by field.
        """
        return self.model_copy(update=changes)

    def write(self, folder: Path) -> None:
        """Write run.json, so that a reader never sees half of it.

        Args:
            folder: the run's.

        Raises:
            OSError: the disk refuses.
        """
        write_record(folder / RECORD_NAME, self)


@dataclass(frozen=True)
class Run:
    """A training's folder.

    Attributes:
        folder: where it is.
        config: what it was trained with.
        record: run.json.

    Example:
        >>> run = genograph.Run.open("run")
        >>> run
        Run(run, ...: genome, 1 member, complete)
        >>> run.config.model.heads
        ('fitness', 'expression', 'morphology')
    """

    folder: Path
    config: TrainConfig
    record: RunRecord

    @classmethod
    def open(cls, run: "Run | Path | str") -> "Run":
        """Read a run folder.

        Args:
            run: the folder; a run that is open already is returned as it is.

        Raises:
            RunError: not a run folder, of another format, or damaged.
        """
        if isinstance(run, Run):
            return run
        folder = Path(run)
        path = folder / RECORD_NAME
        record = read_record(
            path,
            RunRecord,
            error=RunError,
            kind="run",
            advice="train again",
            missing=f"{folder}: no run is here, {RECORD_NAME} is missing; name a folder that "
            f"genograph train wrote",
            versions={"format": FORMAT},
        )
        if record.schema_version != graph_schema().version:
            msg = (
                f"{path}: run schema {record.schema_version}, this genograph reads "
                f"{graph_schema().version}; export its cohort and train again"
            )
            raise RunError(msg)
        try:
            config = TrainConfig.model_validate(
                {"model": record.model, "training": record.training}
            )
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            msg = f"{path}: config {where}: {first['msg']}; it was written by another version"
            raise RunError(msg) from error
        return cls(folder, config, record)

    def __repr__(self) -> str:
        """Return the folder, the identity and the state, in one line."""
        members = format_count(self.config.training.members, "member")
        return (
            f"Run({one_line(str(self.folder))}, {self.id}: {one_line(self.config.model.name)}, "
            f"{members}, {self.record.status})"
        )

    def _repr_html_(self) -> str:
        """Return the folder, the identity and the state as a table, for a notebook."""
        rows: list[tuple[str, object]] = [
            ("folder", self.folder),
            ("id", self.id),
            ("model", self.config.model.name),
            ("phenotypes", ", ".join(self.config.model.heads)),
            ("members", self.config.training.members),
            ("status", self.record.status),
            ("cohort", self.record.cohort or "–"),
            ("created", self.record.created),
        ]
        return html_table("Run", (), rows)

    @property
    def id(self) -> str:
        """The run's identity: of its cohort, configuration and weights."""
        parts = [
            self.record.cohort_sha256,
            self.record.config_sha256,
            *self.record.checkpoints.values(),
        ]
        return sha256("\n".join(parts).encode()).hexdigest()[:16]

    @property
    def complete(self) -> bool:
        """Whether every member was trained to its end."""
        return self.record.status == "complete"

    @property
    def genes_sha256(self) -> str:
        """Hash of the gene vocabulary the run was trained on."""
        return self.record.genes_sha256

    def checkpoint(self, member: int, quantity: str = JOINT) -> Path:
        """The averaged weights of a member that predict a quantity, checked against the run's hash.

        Args:
            member: 0-based.
            quantity: fitness, interaction, ...; by default the weights of all that have none of
                their own.

        Raises:
            RunError: missing or changed.
        """
        own, joint = (f"member-{member}/{name}.safetensors" for name in (quantity, JOINT))
        name = own if own in self.record.checkpoints else joint
        path = self.folder / name
        if not path.is_file():
            msg = f"{path}: no such checkpoint; train again into the same folder, which makes it"
            raise RunError(msg)
        if hash_file(path) != self.record.checkpoints.get(name):
            msg = (
                f"{path}: is not the checkpoint that run.json names, it was changed or damaged; "
                f"train again into the same folder, which makes it anew"
            )
            raise RunError(msg)
        return path

    def require_head(self, head: str) -> None:
        """Refuse a phenotype that the run does not predict.

        Args:
            head: the phenotype.

        Raises:
            RunError: the message lists those that it does.
        """
        heads = self.config.model.heads
        if head not in heads:
            msg = f"run {self.folder} has no head {head}; choose from {', '.join(heads)}"
            raise RunError(msg)

    def cohort(self, override: Cohort | Path | str | None = None) -> Cohort:
        """The cohort the run was trained on, with its hashes compared.

        Args:
            override: the cohort itself, or its folder where it is now; None: where it was.

        Raises:
            RunError: it is another cohort, or the run does not know where it is.
            CohortError: it cannot be read.
        """
        if isinstance(override, Cohort):
            self.check(override)
            return override
        folder = override or self.record.cohort
        if folder is None:
            msg = f"{self.folder}: does not know its cohort folder; pass cohort (--cohort)"
            raise RunError(msg)
        place = Path(folder)
        if override is None and not place.is_dir():
            msg = (
                f"{place}: the run's cohort is not there any more; "
                f"pass cohort, its folder now (--cohort)"
            )
            raise RunError(msg)
        cohort = load_cohort(place)
        self.check(cohort, where=str(place))
        return cohort

    def check(self, cohort: Cohort, *, where: str = "the cohort") -> None:
        """Refuse a cohort that is not the one the run was trained on.

        Args:
            cohort: any cohort.
            where: how the message names it.

        Raises:
            RunError: gene vocabulary or content differ.
        """
        for name, found in (
            ("genes", cohort.genome.genes_sha256),
            ("terms", cohort.genome.terms_sha256),
            ("cohort", cohort.sha256),
        ):
            wanted = getattr(self.record, f"{name}_sha256")
            if found != wanted:
                msg = (
                    f"{where}: {name} hash {found[:12]}, run {self.folder} was trained on "
                    f"{wanted[:12]}; name the cohort it was trained on"
                )
                raise RunError(msg)
