"""Run: the folder of one training, its configuration, and what its predictions look like.

run.json                    configuration, versions, hashes, seeds, status
metrics.csv                 one line an epoch and member
member-0/model.safetensors  averaged weights of the best epoch; one folder a member
member-0/state.safetensors  what a killed training resumes from
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float32
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genograph.cohorts import Cohort, load_cohort
from genograph.config import TrainConfig
from genograph.errors import RunError
from genograph.files import RECORD, read_record, write_record

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
    """

    strain_ids: pa.StringArray
    quantities: Mapping[str, Predicted]
    genes_sha256: str

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


def to_lists(rows: Float32[np.ndarray, "row column"]) -> pa.ListArray:
    """A matrix as a list of 32-bit floats a row; NaN stays NaN."""
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * rows.shape[1]
    flat = pa.array(np.ascontiguousarray(rows, dtype=np.float32).reshape(-1))
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


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
        cohort_sha256: hash of its content; `genes_sha256` and `terms_sha256` of its vocabularies.
        seeds: one a member.
        device: cpu or cuda.
        processes: how many trained together.
        status: interrupted and training ones are resumed by the same command.
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
        """The same record with some fields changed."""
        return self.model_copy(update=changes)

    def write(self, folder: Path) -> None:
        """Write run.json, so that a reader never sees half of it.

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
    """

    folder: Path
    config: TrainConfig
    record: RunRecord

    @classmethod
    def open(cls, folder: Path | str) -> "Run":
        """Read a run folder.

        Raises:
            RunError: not a run folder, of another format, or damaged.
        """
        folder = Path(folder)
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

        Raises:
            RunError: missing or changed.
        """
        own, joint = (f"member-{member}/{name}.safetensors" for name in (quantity, JOINT))
        name = own if own in self.record.checkpoints else joint
        path = self.folder / name
        if not path.is_file():
            msg = f"{path}: no such checkpoint; finish the training (the same command resumes it)"
            raise RunError(msg)
        if file_sha256(path) != self.record.checkpoints.get(name):
            msg = f"{path}: is not the checkpoint that run.json names, it was changed or damaged"
            raise RunError(msg)
        return path

    def require_head(self, head: str) -> None:
        """Refuse a phenotype that the run does not predict.

        Raises:
            RunError: the message lists those that it does.
        """
        heads = self.config.model.heads
        if head not in heads:
            msg = f"run {self.folder} has no head {head}; choose from {', '.join(heads)}"
            raise RunError(msg)

    def cohort(self, override: Path | str | None = None) -> Cohort:
        """The cohort the run was trained on, from where it was, or from `override`.

        Raises:
            RunError: it is another cohort.
            CohortError: it cannot be read.
        """
        folder = override or self.record.cohort
        if folder is None:
            msg = f"{self.folder}: does not know its cohort folder; name it (--cohort)"
            raise RunError(msg)
        place = Path(folder)
        if override is None and not place.is_dir():
            msg = f"{place}: the run's cohort is not there any more; name its folder (--cohort)"
            raise RunError(msg)
        cohort = load_cohort(place)
        self.check(cohort, where=str(place))
        return cohort

    def check(self, cohort: Cohort, *, where: str = "the cohort") -> None:
        """Refuse a cohort that is not the one the run was trained on.

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


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    return sha256(path.read_bytes()).hexdigest()
