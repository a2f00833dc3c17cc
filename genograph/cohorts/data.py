"""Cohort: the genome and the selected experiments as arrays, valid by construction."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int8, Int64
from numpy.typing import NDArray

from genograph.errors import CohortError, format_count
from genograph.notebook import html_table, one_line, shorten
from genograph.schema import graph_schema, names_sha256

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
TRAIN, VALIDATION, TEST = 0, 1, 2
FOLDS = ("train", "validation", "test")

RELATIONS = (
    "gene:annotated_with:term",
    "term:is_a:term",
    "term:part_of:term",
    "gene:member_of:complex",
    "gene:interacts_with:gene",
    "gene:regulates:gene",
    "gene:paralog_of:gene",
)
"""Edge types of the heterograph, source node type : relation : target node type."""


class Edges(NamedTuple):
    """Edges of one relation.

    Undirected relations (interacts_with, paralog_of) hold both directions.

    Attributes:
        source: row of the node where each edge begins, 0-based.
        target: row of the node where it ends, 0-based.
        weight: 0 to 1; see `Genome`.
    """

    source: Int64[np.ndarray, " edge"]
    target: Int64[np.ndarray, " edge"]
    weight: Float32[np.ndarray, " edge"]


@dataclass(frozen=True)
class Genome:
    """The nodes, their features and the typed edges of the genome heterograph.

    Attributes:
        gene_ids: systematic names, sorted; the gene vocabulary.
        gene_symbols: standard names, aligned.
        term_ids: GO ids, sorted; every term that has a gene, and its ancestors.
        term_names: aligned.
        complex_ids: sorted.
        feature_names: what the features are, e.g. kmer:upstream, one per block of columns.
        features: CRE embeddings, upstream then downstream, model by model; zero where missing.
        has_features: false for genes without any embedded window.
        edges: one entry for each of RELATIONS. Annotation edges are the closure over is_a and
            part_of (NOT annotations left out); their weight is the term's specificity,
            1 - log(genes under the term) / log(all genes), in [0, 1]. Others: confidence, else 1.
        direct: for annotation edges, whether the source states it itself.
    """

    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    term_ids: tuple[str, ...]
    term_names: tuple[str, ...]
    complex_ids: tuple[str, ...]
    feature_names: tuple[str, ...]
    features: Float32[np.ndarray, "gene feature"]
    has_features: Bool[np.ndarray, " gene"]
    edges: Mapping[str, Edges]
    direct: Bool[np.ndarray, " edge"]

    def __repr__(self) -> str:
        """Return the counts, in one line."""
        features = shorten(self.feature_names) or "none"
        return (
            f"Genome({len(self.gene_ids):,} genes, {len(self.term_ids):,} terms, "
            f"{len(self.complex_ids):,} complexes; features: {features})"
        )

    @cached_property
    def genes_sha256(self) -> str:
        """Hash of the gene vocabulary; equal wherever arrays may meet."""
        return names_sha256(self.gene_ids)

    @cached_property
    def terms_sha256(self) -> str:
        """Hash of the term vocabulary."""
        return names_sha256(self.term_ids)

    @cached_property
    def gene_row(self) -> Mapping[str, int]:
        """From gene id to 0-based row."""
        return {gene: row for row, gene in enumerate(self.gene_ids)}

    def n_node(self, kind: str) -> int:
        """The number of nodes of a type.

        Args:
            kind: gene, term or complex.
        """
        return len(
            {"gene": self.gene_ids, "term": self.term_ids, "complex": self.complex_ids}[kind]
        )


@dataclass(frozen=True)
class Strains:
    """Strains as ragged lists of perturbed genes; the wild type is an empty list.

    Attributes:
        ids: canonical strain ids, sorted, an Arrow string array.
        offsets: strain i perturbs entries offsets[i] to offsets[i + 1].
        gene: gene row of each perturbation.
        dose: fraction of wild-type function left, 0 to 2.
        single: strain row of the strain that carries this perturbation alone, -1 where the cohort
            does not have it (alleles are told apart).
    """

    ids: pa.StringArray
    offsets: Int64[np.ndarray, " strain_1"]
    gene: Int64[np.ndarray, " perturbation"]
    dose: Float32[np.ndarray, " perturbation"]
    single: Int64[np.ndarray, " perturbation"]

    def __len__(self) -> int:
        """Return the number of strains."""
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        """Return the number of strains and the first ids, in one line."""
        more = ", …" if len(self) > 4 else ""
        return f"Strains({len(self):,}: {shorten(self.ids[:4].to_pylist())}{more})"

    @cached_property
    def n_perturbed(self) -> Int64[np.ndarray, " strain"]:
        """The number of perturbations of each strain."""
        count: NDArray[Any] = np.diff(self.offsets)
        return count


@dataclass(frozen=True)
class Fitness:
    """Fitness experiments, one row each; NaN where a number was not reported.

    Attributes:
        strain: strain row.
        study: index into Cohort.studies.
        value: fitness relative to the wild type (1).
        sd: s.d. of value.
        interaction: reported genetic interaction score epsilon.
        interaction_sd: s.d. of the score.
    """

    strain: Int64[np.ndarray, " experiment"]
    study: Int64[np.ndarray, " experiment"]
    value: Float32[np.ndarray, " experiment"]
    sd: Float32[np.ndarray, " experiment"]
    interaction: Float32[np.ndarray, " experiment"]
    interaction_sd: Float32[np.ndarray, " experiment"]

    def __len__(self) -> int:
        """Return the number of experiments."""
        return len(self.strain)


@dataclass(frozen=True)
class Vectors:
    """Experiments that measured a vector, one row each.

    Attributes:
        strain: strain row.
        study: index into Cohort.studies.
        values: NaN where not measured.
        names: of the columns: gene ids or parameters, by the phenotype's axis.
        unit: of every value.
        gene: along genes: gene row of each column, -1 where the genome lacks the gene; along
            parameters: empty.
    """

    strain: Int64[np.ndarray, " experiment"]
    study: Int64[np.ndarray, " experiment"]
    values: Float32[np.ndarray, "experiment axis"]
    names: tuple[str, ...]
    unit: str
    gene: Int64[np.ndarray, " column"]

    def __len__(self) -> int:
        """Return the number of experiments."""
        return len(self.strain)


@dataclass(frozen=True)
class Cohort:
    """What a model is trained on: a genome, strains, their experiments and the folds.

    Attributes:
        genome: nodes, features and edges.
        strains: the strains that were selected, and their single mutants.
        studies: study ids, sorted.
        measured: experiments by phenotype, in the order of the schema; only what there is.
        gene_fold: TRAIN, VALIDATION or TEST (0, 1, 2); a gene of another fold than TRAIN is unseen.
        strain_fold: TEST if a gene is TEST, else VALIDATION if a gene is VALIDATION, else by hash.
        provenance: query, parameters, seed, database, versions; strings and numbers.

    Example:
        >>> cohort = genograph.load_cohort("cohort")
        >>> cohort.vectors["expression"].unit
        'log2 fold change'
        >>> list(cohort.to_pandas("fitness"))[:4]
        ['strain', 'n_perturbed', 'study', 'fold']
    """

    genome: Genome
    strains: Strains
    studies: tuple[str, ...]
    measured: Mapping[str, Fitness | Vectors]
    gene_fold: Int8[np.ndarray, " gene"]
    strain_fold: Int8[np.ndarray, " strain"]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the counts and the studies, in one line."""
        counts = ", ".join(f"{len(each):,} {name}" for name, each in self.measured.items())
        strains = format_count(len(self.strains), "strain")
        return (
            f"Cohort({len(self.genome.gene_ids):,} genes, {strains}; "
            f"{one_line(counts) or 'no experiments'}; {shorten(self.studies) or 'no study'})"
        )

    def _repr_html_(self) -> str:
        """Return the counts as a table, for a notebook."""
        genome = self.genome
        rows: list[tuple[str, object]] = [
            ("genes", len(genome.gene_ids)),
            ("terms", len(genome.term_ids)),
            ("complexes", len(genome.complex_ids)),
            ("strains", len(self.strains)),
            *(
                (f"strains for {fold}", int((self.strain_fold == k).sum()))
                for k, fold in enumerate(FOLDS)
            ),
            *((f"experiments of {name}", len(each)) for name, each in self.measured.items()),
            ("studies", shorten(self.studies)),
        ]
        return html_table("Cohort", (), rows)

    @property
    def fitness(self) -> Fitness | None:
        """The fitness experiments; None where the cohort has none."""
        found = self.measured.get("fitness")
        return found if isinstance(found, Fitness) else None

    @property
    def vectors(self) -> Mapping[str, Vectors]:
        """The experiments that measured vectors, by phenotype."""
        return {name: each for name, each in self.measured.items() if isinstance(each, Vectors)}

    @cached_property
    def n_unseen(self) -> Int64[np.ndarray, " strain"]:
        """How many of a strain's perturbations are of genes that training never perturbs."""
        return count_unseen(self.strains, self.gene_fold)

    def test_strains(self, split: str) -> Bool[np.ndarray, " strain"]:
        """Which strains a split tests on.

        Args:
            split: random: no gene is unseen; one_gene_unseen: exactly one of two or more, or the
                gene of a single mutant; all_genes_unseen: every gene, of two or more.

        Raises:
            CohortError: unknown split.
        """
        splits = divide_splits(self.strains, self.n_unseen)
        if split in splits:
            chosen: NDArray[Any] = (self.strain_fold == TEST) & splits[split]
            return chosen
        msg = f"no split is called {split}; choose one of {', '.join(SPLITS)}"
        raise CohortError(msg)

    @cached_property
    def sha256(self) -> str:
        """Hash of every array and vocabulary; equal for the same selection of the same data."""
        total = hashlib.sha256()
        manifest, genome, labels = collect_content(self)
        total.update(json.dumps(manifest, sort_keys=True).encode())
        for arrays in (genome, labels):
            for name in sorted(arrays):
                array = np.ascontiguousarray(arrays[name])
                total.update(f"{name}{array.dtype}{array.shape}".encode())
                total.update(array.data)
        return total.hexdigest()

    def to_pandas(self, phenotype: str = "fitness") -> "pd.DataFrame":
        """The experiments of a phenotype, one row each, sorted as in the cohort.

        Columns strain, n_perturbed, study, fold, n_unseen; then value, sd, interaction and
        interaction_sd of fitness, or one column a name of the axis; NaN where not reported.

        Args:
            phenotype: one that the cohort has experiments of.

        Raises:
            CohortError: the cohort has no experiments of this phenotype.
        """
        import pandas as pd

        found = self.measured.get(phenotype)
        if found is None:
            has = ", ".join(self.measured)
            msg = f"the cohort has no experiments of {phenotype}; it has {has or 'none'}"
            raise CohortError(msg)
        strain = found.strain
        fixed: dict[str, Any] = {
            "strain": self.strains.ids.take(pa.array(strain)).to_pandas(),
            "n_perturbed": self.strains.n_perturbed[strain],
            "study": np.array(self.studies, dtype=object)[found.study],
            "fold": np.array(FOLDS, dtype=object)[self.strain_fold[strain]],
            "n_unseen": self.n_unseen[strain],
        }
        if isinstance(found, Fitness):
            names = ("value", "sd", "interaction", "interaction_sd")
            return pd.DataFrame(fixed | {name: getattr(found, name) for name in names})
        along = pd.DataFrame(found.values, columns=list(found.names))
        return pd.concat([pd.DataFrame(fixed), along], axis=1)


SPLITS = ("random", "one_gene_unseen", "all_genes_unseen")


def count_unseen(
    strains: Strains, gene_fold: Int8[np.ndarray, " gene"]
) -> Int64[np.ndarray, " strain"]:
    """How many of each strain's perturbations are of genes that training never perturbs."""
    unseen = (gene_fold[strains.gene] != TRAIN).astype(np.int64)
    total = np.concatenate([[0], np.cumsum(unseen)])
    count: NDArray[Any] = total[strains.offsets[1:]] - total[strains.offsets[:-1]]
    return count


def divide_splits(
    strains: Strains, n_unseen: Int64[np.ndarray, " strain"]
) -> dict[str, Bool[np.ndarray, " strain"]]:
    """Which strains are of the kind of each of SPLITS, by how many of their genes are unseen."""
    n = strains.n_perturbed
    of_kind = (n_unseen == 0, n_unseen == 1, (n_unseen == n) & (n >= 2))
    return dict(zip(SPLITS, of_kind, strict=True))


Arrays = dict[str, NDArray[Any]]


def collect_content(cohort: Cohort) -> tuple[dict[str, Any], Arrays, Arrays]:
    """What is hashed and saved: names and units, arrays of the genome, arrays of the labels."""
    g = cohort.genome
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "schema_version": graph_schema().version,
        "version": version("genograph"),
        "genes": list(g.gene_ids),
        "symbols": list(g.gene_symbols),
        "terms": list(g.term_ids),
        "term_names": list(g.term_names),
        "complexes": list(g.complex_ids),
        "feature_names": list(g.feature_names),
        "studies": list(cohort.studies),
    }
    genome: Arrays = {"features": g.features, "has_features": g.has_features, "direct": g.direct}
    for relation, edges in g.edges.items():
        for name, array in edges._asdict().items():
            genome[f"{relation}/{name}"] = array
    s = cohort.strains
    joined, offsets = pack(s.ids)
    labels: Arrays = {
        "strain/id": joined,
        "strain/id_offsets": offsets,
        "strain/offsets": s.offsets,
        "strain/gene": s.gene,
        "strain/dose": s.dose,
        "strain/single": s.single,
        "gene_fold": cohort.gene_fold,
        "strain_fold": cohort.strain_fold,
    }
    for phenotype, measured in cohort.measured.items():
        if isinstance(measured, Fitness):
            for name in Fitness.__dataclass_fields__:
                labels[f"{phenotype}/{name}"] = getattr(measured, name)
            continue
        for name in ("strain", "study", "values", "gene"):
            labels[f"{phenotype}/{name}"] = getattr(measured, name)
        manifest[phenotype] = {"names": list(measured.names), "unit": measured.unit}
    return manifest, genome, labels


def pack(ids: pa.StringArray) -> tuple[NDArray[Any], NDArray[Any]]:
    """An Arrow string array as UTF-8 bytes (uint8) and offsets (int64) from 0."""
    _, where, raw = ids.buffers()
    offsets: NDArray[Any] = np.zeros(1, np.int64)
    if where is not None and len(ids):
        own = slice(ids.offset, ids.offset + len(ids) + 1)
        offsets = np.frombuffer(where, np.int32)[own].astype(np.int64)
    if raw is None:
        return np.empty(0, np.uint8), offsets
    text = np.frombuffer(raw, np.uint8)[offsets[0] : offsets[-1]]
    offsets -= offsets[0]
    return text, offsets


def unpack(text: NDArray[Any], offsets: Int64[np.ndarray, " strain_1"]) -> pa.StringArray:
    """The Arrow string array of `packed`; the text is not copied.

    Raises:
        CohortError: there is more text than one array takes.
    """
    if offsets[-1] > np.iinfo(np.int32).max:
        msg = f"{offsets[-1]:,} bytes of strain ids, a cohort takes 2,147,483,647; select less"
        raise CohortError(msg)
    where = pa.py_buffer(offsets.astype(np.int32))
    return pa.StringArray.from_buffers(len(offsets) - 1, where, pa.py_buffer(text))
