"""A simulated yeast: source files in the official formats, from a mechanistic cell.

The one dial is the number of genes. What is true is written apart, to truth/, which
sources.toml does not name.
"""

import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genograph.errors import SourceError
from genograph.files import write_file
from genograph.simulation.architecture import SICK, draw_architecture
from genograph.simulation.genome import ROMAN, DrawnGenome, draw_genome, draw_promoters
from genograph.simulation.observed import Observed, observe
from genograph.simulation.phenotypes import (
    MORPHOLOGY,
    WILD_TYPE,
    Cell,
    draw_cell,
    draw_collection,
    name_strain,
)
from genograph.simulation.regulation import (
    PROMOTER,
    Regulation,
    Sites,
    draw_matrices,
    draw_regulons,
    plant,
    read_weights,
)
from genograph.simulation.screens import (
    MeasuredPairs,
    MeasuredSingles,
    MeasuredVectors,
    measure_expression,
    measure_morphology,
    measure_pairs,
    measure_singles,
)
from genograph.simulation.writers import (
    write_complexes,
    write_fasta,
    write_features,
    write_gaf,
    write_matrix,
    write_obo,
    write_regulation,
    write_sga,
    write_singles,
    write_string,
    write_text,
)

__all__ = ["Simulation", "simulate"]

FEWEST = 120
SOURCES = """\
# A simulated yeast of {genes} genes, seed {seed}. What is true stands in truth/, for evaluation.
[[source]]
loader = "sgd_features"
file = "SGD_features.tab"

[[source]]
loader = "cre"
file = "genome.fa.gz"

[[source]]
loader = "paralogs"
file = "genome.fa.gz"

[[source]]
loader = "obo"
file = "go.obo"

[[source]]
loader = "gaf"
file = "gene_association.sgd.gaf"

[[source]]
loader = "string_links"
file = "4932.protein.physical.links.full.txt.gz"

[[source]]
loader = "yeastract_matrix"
file = "regulation_matrix.tsv.gz"

[[source]]
loader = "cyc2008"
file = "complexes.tab"

[[source]]
loader = "smf_baryshnikova2010"
file = "smf.xlsx"
study = "simulated_smf"

[[source]]
loader = "sga_costanzo2010"
file = "sga.txt.gz"
study = "simulated_sga"
singles = "simulated_smf"

[[source]]
loader = "expression_matrix"
file = "expression_log2fc.tsv.gz"
study = "simulated_expression"
unit = "log2 fold change"

[[source]]
loader = "morphology_matrix"
file = "morphology.tsv.gz"
study = "simulated_morphology"
unit = "CalMorph-like parameter"

[[embed]]
provider = "kmer"
"""


class Simulation(NamedTuple):
    """What was written, with the statistics of the true values.

    Attributes:
        genes: genes, all of them ORFs.
        essential: genes whose deletion is inviable; they are measured as alleles.
        singles: single mutants with fitness.
        sick_share: share of the viable deletions with true fitness below .95.
        pairs: measured pairs, both orders counted.
        double_mean, double_sd: true fitness of the measured pairs.
        negative_share, positive_share: pairs with true interaction < -.08 and > .08.
        expression_strains, morphology_strains: strains with these vectors.
        annotations: rows of the annotation file.
    """

    genes: int
    essential: int
    singles: int
    sick_share: float
    pairs: int
    double_mean: float
    double_sd: float
    negative_share: float
    positive_share: float
    expression_strains: int
    morphology_strains: int
    annotations: int


def simulate(
    out: Path | str, *, genes: int = 600, seed: int = 0, force: bool = False
) -> Simulation:
    """Write a simulated yeast: source files in the official formats, and their sources.toml.

    The same `genes` and `seed` give the same bytes. The true fitness, interactions, expression and
    morphology go to `out`/truth/truth.npz, which no loader reads.

    Args:
        out: the folder to write.
        genes: how many genes the yeast has, 120 or more; all are protein-coding.
        seed: 0 or more.
        force: replace files of the same names in a folder that is not empty; others stay.

    Returns:
        Counts of what was written, and statistics of the true values.

    Raises:
        SourceError: too few genes, a negative seed, or a folder that is not empty.

    Example:
        >>> made = genograph.simulate("yeast", genes=120, seed=0)
        >>> made.genes
        120
    """
    out = Path(out)
    if genes < FEWEST:
        msg = f"a simulated yeast has at least {FEWEST} genes, got {genes}; raise genes"
        raise SourceError(msg)
    if seed < 0:
        msg = f"a seed is 0 or more, got {seed}"
        raise SourceError(msg)
    if out.exists() and not out.is_dir():
        msg = f"{out} is a file; name a folder"
        raise SourceError(msg)
    if out.is_dir() and any(out.iterdir()) and not force:
        msg = f"{out} is not empty; choose another folder or pass force (--force)"
        raise SourceError(msg)

    def rng(stage: str) -> np.random.Generator:
        # a stream for each stage: a change in one leaves the draws of the others alone
        return np.random.default_rng([seed, zlib.crc32(stage.encode())])

    architecture = draw_architecture(rng("architecture"), genes)
    matrix = draw_matrices(rng("matrices"), len(architecture.regulator))
    targets, factors, senses = draw_regulons(rng("regulons"), architecture)
    sites = plant(rng("sites"), matrix, targets, factors)
    promoters = draw_promoters(rng("promoters"), genes, sites)
    activates = np.where(rng("signs").random(len(matrix)) < 0.8, 1.0, -1.0)
    weight = read_weights(promoters, matrix, activates, architecture.regulator)
    regulation = Regulation(architecture.regulator, activates, matrix, weight, senses)
    cell = draw_cell(rng("cell"), architecture, regulation)
    genome = draw_genome(rng("genome"), cell.architecture, promoters)
    names = [gene.name for gene in genome.genes]
    graph = observe(rng("observed"), cell.architecture, regulation, names)
    strains = draw_collection(rng("collection"), cell)
    singles = measure_singles(rng("singles"), cell, strains)
    pairs = measure_pairs(rng("pairs"), cell, strains)
    expression = measure_expression(rng("expression"), cell, strains)
    morphology = measure_morphology(rng("morphology"), cell, strains)

    out.mkdir(parents=True, exist_ok=True)
    _write_graph(out, genome, graph, cell)
    write_singles(out / "smf.xlsx", singles, names)
    write_sga(out / "sga.txt.gz", pairs, genome)
    order = np.argsort(names)
    _write_vectors(out / "expression_log2fc.tsv.gz", "gene", expression, names, order)
    _write_vectors(out / "morphology.tsv.gz", "orf", morphology, names, None)
    write_text(out / "sources.toml", SOURCES.format(genes=genes, seed=seed).splitlines())
    _write_truth(out / "truth", cell, genome, sites, singles, pairs, expression, morphology)
    viable = singles.true[: len(strains.deletions)]
    return Simulation(
        genes=genes,
        essential=len(strains.inviable),
        singles=len(singles.strains),
        sick_share=round(float((viable < SICK).mean()), 4),
        pairs=len(pairs.strains),
        double_mean=round(float(pairs.true_fitness.mean()), 4),
        double_sd=round(float(pairs.true_fitness.std()), 4),
        negative_share=round(float((pairs.true_interaction < -0.08).mean()), 4),
        positive_share=round(float((pairs.true_interaction > 0.08).mean()), 4),
        expression_strains=len(expression.strains),
        morphology_strains=len(morphology.strains),
        annotations=len(graph.annotations),
    )


def _write_graph(out: Path, genome: DrawnGenome, graph: Observed, cell: Cell) -> None:
    names = [gene.name for gene in genome.genes]
    write_features(out / "SGD_features.tab", genome)
    write_fasta(out / "genome.fa.gz", genome)
    write_obo(out / "go.obo", graph.terms)
    write_gaf(out / "gene_association.sgd.gaf", graph.annotations, genome, graph.terms)
    write_string(out / "4932.protein.physical.links.full.txt.gz", graph.links, names)
    factors = [names[row] for row in cell.regulation.factor_gene]
    write_regulation(out / "regulation_matrix.tsv.gz", graph.regulation, names, factors)
    write_complexes(out / "complexes.tab", graph.complexes, genome)


def _write_vectors(
    path: Path, corner: str, vectors: MeasuredVectors, names: list[str], genes: np.ndarray | None
) -> None:
    """Strains by name; `genes` is the order of the gene rows of an expression matrix."""
    strains = [names[strain[0].row] for strain in vectors.strains]
    by_name = np.argsort(strains)
    if genes is None:
        rows = [strains[i] for i in by_name]
        write_matrix(path, corner, rows, MORPHOLOGY, vectors.measured[by_name])
    else:
        columns = [strains[i] for i in by_name]
        values = vectors.measured[np.ix_(by_name, genes)].T
        write_matrix(path, corner, [names[g] for g in genes], columns, values)


def _write_truth(
    folder: Path,
    cell: Cell,
    genome: DrawnGenome,
    sites: Sites,
    singles: MeasuredSingles,
    pairs: MeasuredPairs,
    expression: MeasuredVectors,
    morphology: MeasuredVectors,
) -> None:
    """truth.npz: plain arrays, rows named by ids of the graph; no pickle.

    Gene rows follow `gene`; `site_offset` is 0-based in the 400 bp before the start codon.
    """
    names = [gene.name for gene in genome.genes]
    a = cell.architecture
    folder.mkdir(exist_ok=True)
    arrays = {
        "gene": np.array(names),
        "chromosome": np.array([ROMAN[g.chromosome - 1] for g in genome.genes]),
        "single_strain": np.array([name_strain(s, names) for s in singles.strains]),
        "single_fitness": singles.true,
        "pair_strain": np.array([name_strain(s, names) for s in pairs.strains]),
        "pair_query": np.array([names[q.row] + q.suffix() for q, _ in pairs.strains]),
        "pair_array": np.array([names[x.row] + x.suffix() for _, x in pairs.strains]),
        "pair_fitness": pairs.true_fitness,
        "pair_interaction": pairs.true_interaction,
        "expression_strain": np.array([name_strain(s, names) for s in expression.strains]),
        "expression": expression.true,
        "morphology_strain": np.array([name_strain(s, names) for s in morphology.strains]),
        "morphology_parameter": np.array(MORPHOLOGY),
        "morphology": morphology.true,
        "morphology_wild_type": WILD_TYPE,
        "member_gene": a.member_gene,
        "member_step": a.member_step,
        "step_kind": a.step_kind,
        "step_pathway": a.step_pathway,
        "pathway_system": a.pathway_system,
        "system_buffered": a.buffered,
        "isozymes": a.isozymes(),
        "factor_gene": cell.regulation.factor_gene,
        "factor_activates": cell.regulation.activates,
        "factor_matrix": cell.regulation.matrix,
        "weight": cell.regulation.weight,
        "promoter_length": np.array(PROMOTER),
        "site_gene": sites.gene,
        "site_factor": sites.factor,
        "site_offset": sites.offset,
        "site_forward": sites.forward,
        "site_affinity": sites.affinity,
        "site_letters": sites.letters,
    }
    # twelve decimals: the last bits of a product depend on how the sums were split
    arrays = {k: v.round(12) if v.dtype.kind == "f" else v for k, v in arrays.items()}
    with write_file(folder / "truth.npz") as draft, draft.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
