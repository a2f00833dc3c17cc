"""Folder: the directory that carries a cohort, and the check that its arrays fit each other.

A cohort directory is what a GPU node needs: JSON and safetensors, no database, no pickle.

    manifest.json       versions, hashes, query, counts, units, small vocabularies
    genome.safetensors  gene features and edges
    labels.safetensors  strains (ragged), experiments, folds
    genome.dgl          the heterograph, where `export` wrote the directory

A hash tells that a cohort is as it was written, not that what was written makes sense. Kernels and
Arrow read where an index points, without looking, so every array is checked on loading.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator
from safetensors import SafetensorError

from genograph.cohorts.data import (
    FORMAT,
    RELATIONS,
    Arrays,
    Cohort,
    Edges,
    Fitness,
    Genome,
    Strains,
    Vectors,
    collect_content,
    unpack,
)
from genograph.cohorts.mapped import map_arrays, write_arrays
from genograph.errors import CohortError
from genograph.files import RECORD, read_folder, read_record, write_folder, write_record
from genograph.schema import graph_schema

MANIFEST = "manifest.json"


class AxisRecord(BaseModel):
    """The columns of a vector phenotype."""

    model_config = RECORD
    names: tuple[str, ...]
    unit: str


class CohortManifest(BaseModel):
    """manifest.json: the names that arrays follow, versions and hashes.

    Each vector phenotype that the cohort has is a further field, its axis.
    """

    model_config = RECORD | {"extra": "allow"}
    __pydantic_extra__: dict[str, AxisRecord] = Field(init=False)
    format: int
    schema_version: int
    version: str
    genes: tuple[str, ...]
    symbols: tuple[str, ...]
    terms: tuple[str, ...]
    term_names: tuple[str, ...]
    complexes: tuple[str, ...]
    feature_names: tuple[str, ...]
    studies: tuple[str, ...]
    sha256: str
    genes_sha256: str
    terms_sha256: str
    provenance: dict[str, Any] = {}  # Any: JSON

    @property
    def axes(self) -> Mapping[str, AxisRecord]:
        """The axis of each vector phenotype."""
        return self.__pydantic_extra__ or {}

    @model_validator(mode="after")
    def _known_axes(self) -> "CohortManifest":
        known = {phenotype.name for phenotype in graph_schema().modelled if phenotype.axis}
        for name in self.axes:
            if name not in known:
                msg = f"{name} is no vector phenotype"
                raise ValueError(msg)
        return self


def save_cohort(
    cohort: Cohort,
    folder: Path | str,
    *,
    force: bool = False,
    also: Callable[[Cohort, Path], None] | None = None,
) -> Path:
    """Write a cohort directory, whole or not at all, and return its path.

    Args:
        cohort: any cohort, for instance of `select`.
        folder: the directory: manifest.json, genome.safetensors, labels.safetensors.
        force: replace a cohort that is there.
        also: called with the cohort and the draft of the directory, before that takes its place, to
            write more files.

    Returns:
        The directory.

    Raises:
        CohortError: the folder exists and is not empty, unless `force` and it is a cohort; or it
            cannot be written.

    Example:
        >>> genograph.save_cohort(genograph.load_cohort("cohort"), "copy")
        PosixPath('copy')
    """
    folder = Path(folder)
    manifest, genome, labels = collect_content(cohort)
    manifest |= {
        "sha256": cohort.sha256,
        "genes_sha256": cohort.genome.genes_sha256,
        "terms_sha256": cohort.genome.terms_sha256,
        "provenance": dict(cohort.provenance),
    }
    record = CohortManifest.model_validate(manifest)
    with write_folder(folder, force=force, mark=MANIFEST, error=CohortError) as draft:
        write_arrays(draft / "genome.safetensors", genome)
        write_arrays(draft / "labels.safetensors", labels)
        write_record(draft / MANIFEST, record)
        if also is not None:
            also(cohort, draft)
    return folder


def load_cohort(folder: Path | str) -> Cohort:
    """Read a cohort directory; its large arrays are mapped, not read.

    Args:
        folder: what `export` or `save_cohort` wrote.

    Returns:
        The cohort, its hash and every array checked.

    Raises:
        CohortError: not a cohort, of another format or schema version, or changed since written.

    Example:
        >>> cohort = genograph.load_cohort("cohort")
        >>> cohort.genome.gene_ids[:3]
        ('YAL001C', 'YAL002C', 'YAL003C')
    """
    folder = Path(folder)
    return read_folder(folder, lambda: _load(folder))


def _load(folder: Path) -> Cohort:
    manifest = read_record(
        folder / MANIFEST,
        CohortManifest,
        error=CohortError,
        kind="cohort",
        advice="export it again",
        missing=f"{folder}: no cohort is here, {MANIFEST} is missing",
        versions={"format": FORMAT, "schema_version": graph_schema().version},
    )
    try:
        for name in ("genome.safetensors", "labels.safetensors"):
            if not (folder / name).is_file():
                msg = f"{folder}: damaged cohort, {name} is missing; export it again"
                raise CohortError(msg)
        genome_arrays = map_arrays(folder / "genome.safetensors")
        # of tens of millions of experiments a training touches the rows of its batches
        labels = map_arrays(folder / "labels.safetensors")
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{folder}: damaged cohort ({reason}); export it again"
        raise CohortError(msg) from error
    try:
        cohort = _assemble(manifest, genome_arrays, labels)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        msg = f"{folder}: damaged cohort ({error!r}); export it again"
        raise CohortError(msg) from error
    if cohort.sha256 != manifest.sha256:
        msg = f"{folder}: does not match its hash, it was changed or damaged; export it again"
        raise CohortError(msg)
    check_bounds(cohort, folder)
    return cohort


def _assemble(manifest: CohortManifest, genome: Arrays, labels: Arrays) -> Cohort:
    edges = {
        relation: Edges(*(genome[f"{relation}/{name}"] for name in Edges._fields))
        for relation in RELATIONS
    }
    measured: dict[str, Fitness | Vectors] = {}
    for phenotype in graph_schema().modelled:
        kind = phenotype.name
        if f"{kind}/strain" not in labels:
            continue
        if phenotype.axis:
            axis = manifest.axes[kind]
            measured[kind] = Vectors(
                labels[f"{kind}/strain"],
                labels[f"{kind}/study"],
                labels[f"{kind}/values"],
                axis.names,
                axis.unit,
                labels[f"{kind}/gene"],
            )
        else:
            measured[kind] = Fitness(
                *(labels[f"{kind}/{name}"] for name in Fitness.__dataclass_fields__)
            )
    return Cohort(
        Genome(
            manifest.genes,
            manifest.symbols,
            manifest.terms,
            manifest.term_names,
            manifest.complexes,
            manifest.feature_names,
            genome["features"],
            genome["has_features"],
            edges,
            genome["direct"],
        ),
        Strains(
            unpack(labels["strain/id"], labels["strain/id_offsets"]),
            labels["strain/offsets"],
            labels["strain/gene"],
            labels["strain/dose"],
            labels["strain/single"],
        ),
        manifest.studies,
        measured,
        labels["gene_fold"],
        labels["strain_fold"],
        manifest.provenance,
    )


Array = NDArray[Any]

LARGEST = 1e12
"""The size up to which sums and products of weights and features stay within float32."""


class _Wanted(NamedTuple):
    """What one array must be: its type, its shape, and its smallest and largest value."""

    name: str
    array: Array
    kind: type
    shape: tuple[int, ...]
    first: float | None = None
    last: float | None = None


def check_bounds(cohort: Cohort, where: Path | str) -> None:
    """Refuse a cohort with an array of the wrong type, length or range.

    `where` is the folder that messages name.

    Raises:
        CohortError: names the first such array, with what it holds and what was wanted.
    """
    for wrong in _wrong(cohort):
        msg = f"{where}: damaged cohort: {wrong}; export it again"
        raise CohortError(msg)


def _wrong(cohort: Cohort) -> Iterator[str]:
    """Describe what is wrong with the arrays; each check relies on those before it."""
    yield from _wrong_names(cohort)
    for wanted in _arrays(cohort):
        yield from _wrong_array(wanted)
    offsets, n = cohort.strains.offsets, len(cohort.strains.gene)
    if offsets[0] != 0 or offsets[-1] != n or (np.diff(offsets) < 0).any():
        yield f"strain/offsets do not cut {n:,} perturbations"


def _wrong_names(cohort: Cohort) -> Iterator[str]:
    genome = cohort.genome
    try:
        # Arrow looks neither at the offsets nor for text when it is given buffers
        cohort.strains.ids.validate(full=True)
    except pa.ArrowInvalid as error:
        yield f"strain/id: {str(error).splitlines()[0]}"
    for name, along, of in (
        ("symbols", genome.gene_symbols, genome.gene_ids),
        ("term_names", genome.term_names, genome.term_ids),
    ):
        if len(along) != len(of):
            yield f"{len(along):,} {name} for {len(of):,} ids"


def _arrays(cohort: Cohort) -> Iterator[_Wanted]:
    genome, strains = cohort.genome, cohort.strains
    n_gene, n_strain, n_study = len(genome.gene_ids), len(strains.ids), len(cohort.studies)
    n_feature = genome.features.shape[-1] if genome.features.ndim == 2 else 0
    yield _Wanted("features", genome.features, np.float32, (n_gene, n_feature), -LARGEST, LARGEST)
    yield _Wanted("has_features", genome.has_features, np.bool_, (n_gene,))
    for relation, edges in genome.edges.items():
        source, _, target = relation.split(":")
        n_edge = (len(edges.source),) if edges.source.ndim else (0,)
        for end, kind, rows in (("source", source, edges.source), ("target", target, edges.target)):
            last = genome.n_node(kind) - 1
            yield _Wanted(f"{relation}/{end}", rows, np.int64, n_edge, 0, last)
        yield _Wanted(f"{relation}/weight", edges.weight, np.float32, n_edge, 0.0, LARGEST)
    annotated = (len(genome.edges["gene:annotated_with:term"].source),)
    yield _Wanted("direct", genome.direct, np.bool_, annotated)

    n = strains.gene.shape[:1]
    dose = graph_schema().relationships["PERTURBS"].properties["dose"]
    yield _Wanted("strain/offsets", strains.offsets, np.int64, (n_strain + 1,))
    yield _Wanted("strain/gene", strains.gene, np.int64, n, 0, n_gene - 1)
    yield _Wanted("strain/dose", strains.dose, np.float32, n, dose.min, dose.max)
    yield _Wanted("strain/single", strains.single, np.int64, n, -1, n_strain - 1)
    yield _Wanted("gene_fold", cohort.gene_fold, np.int8, (n_gene,), 0, 2)
    yield _Wanted("strain_fold", cohort.strain_fold, np.int8, (n_strain,), 0, 2)

    phenotypes = graph_schema().phenotypes
    for phenotype, held in cohort.measured.items():
        n = held.strain.shape[:1]
        yield _Wanted(f"{phenotype}/strain", held.strain, np.int64, n, 0, n_strain - 1)
        yield _Wanted(f"{phenotype}/study", held.study, np.int64, n, 0, n_study - 1)
        if isinstance(held, Fitness):
            for name in ("value", "sd", "interaction", "interaction_sd"):
                yield _Wanted(f"{phenotype}/{name}", getattr(held, name), np.float32, n)
            continue
        n_name = len(held.names)
        yield _Wanted(f"{phenotype}/values", held.values, np.float32, (*n, n_name))
        n_column = n_name if phenotypes[phenotype].axis == "gene" else 0
        yield _Wanted(f"{phenotype}/gene", held.gene, np.int64, (n_column,), -1, n_gene - 1)


def _wrong_array(wanted: _Wanted) -> Iterator[str]:
    name, array, kind, shape, first, last = wanted
    if array.dtype != kind or array.shape != shape:
        got = f"{array.dtype} of {array.shape}"
        yield f"{name} is {got}, wanted {np.dtype(kind)} of {shape}"
    elif first is not None and last is not None and array.size:
        least, most = array.min().item(), array.max().item()
        if not first <= least <= most <= last:  # nor is it for what is not a number
            yield f"{name} holds {least} to {most}, wanted {first} to {last}"
