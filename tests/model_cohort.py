"""Small random cohorts for the tests of the model: every relation, hubs, isolated genes, doses."""

import numpy as np
import pyarrow as pa

from genograph.cohorts import RELATIONS, TRAIN, Cohort, Edges, Fitness, Genome, Strains, Vectors
from genograph.schema import Perturbation, strain_id


def genome_of(n_gene=30, n_term=12, n_complex=4, *, seed=0, density=0.1):
    """A random genome; gene 0 is a hub of every relation, the last gene is isolated."""
    rng = np.random.default_rng(seed)
    sizes = {"gene": n_gene, "term": n_term, "complex": n_complex}
    edges = {}
    for relation in RELATIONS:
        source, name, target = relation.split(":")
        linked = rng.random((sizes[source], sizes[target])) < density
        if source == "gene" and sizes[target]:
            linked[0] |= rng.random(sizes[target]) < 0.7
        if name in ("is_a", "part_of"):
            linked &= np.tri(n_term, k=-1, dtype=bool)
        if name in ("interacts_with", "paralog_of"):
            linked = np.triu(linked, 1)
            linked |= linked.T
        if source == "gene":
            linked[-1] = False
        if target == "gene":
            linked[:, -1] = False
        a, b = (np.ascontiguousarray(axis) for axis in np.nonzero(linked))
        weight = rng.uniform(0.2, 1.0, len(a))
        if name in ("interacts_with", "paralog_of"):
            symmetric = np.triu(rng.uniform(0.2, 1.0, linked.shape))
            weight = (symmetric + symmetric.T)[a, b]
        edges[relation] = Edges(a, b, weight.astype(np.float32))
    features = rng.normal(size=(n_gene, 10)).astype(np.float32)
    has = np.ones(n_gene, bool)
    has[-1:] = False
    features[~has] = 0.0
    names = [f"YAL{i:03d}C" for i in range(n_gene)]
    return Genome(
        tuple(names),
        tuple(names),
        tuple(f"GO:{i:07d}" for i in range(n_term)),
        tuple(f"term {i}" for i in range(n_term)),
        tuple(f"complex {i}" for i in range(n_complex)),
        ("kmer:upstream",),
        features,
        has,
        edges,
        np.ones(len(edges[RELATIONS[0]].source), bool),
    )


def strains_of(genotypes, n_gene):
    """Strains from lists of (gene row, dose); their single mutants are looked up among them."""
    spelled = {}
    for genotype in genotypes:
        parts = [
            Perturbation.of(f"YAL{g:03d}C", "deletion" if d == 0 else "knockdown", "", float(d))
            for g, d in genotype
        ]
        spelled[strain_id(parts)] = sorted(parts, key=str)
    ids = sorted(spelled)
    row = {name: i for i, name in enumerate(ids)}
    offsets, gene, dose, single = [0], [], [], []
    for name in ids:
        for p in spelled[name]:
            gene.append(int(p.gene_id[3:6]))
            dose.append(p.dose)
            single.append(row.get(strain_id([p]), -1))
        offsets.append(len(gene))
    assert not gene or max(gene) < n_gene
    return Strains(
        pa.array(ids, pa.string()),
        np.array(offsets, np.int64),
        np.array(gene, np.int64),
        np.array(dose, np.float32),
        np.array(single, np.int64),
    )


def cohort_of(*, seed=0, n_gene=30, n_pair=120):
    """A cohort whose fitness falls with shared terms; all three phenotypes, and the wild type."""
    rng = np.random.default_rng(seed)
    genome = genome_of(n_gene, seed=seed)
    pairs = {tuple(sorted(rng.choice(n_gene, 2, replace=False))) for _ in range(n_pair)}
    genotypes = [[], *[[(g, 0.0)] for g in range(n_gene)], [(2, 0.5)], [(1, 0), (2, 0), (3, 0)]]
    genotypes += [[(a, 0.0), (b, 0.0)] for a, b in pairs]
    strains = strains_of(genotypes, n_gene)
    n = len(strains)
    alone = rng.uniform(0.6, 1.0, n_gene)
    annotated = genome.edges["gene:annotated_with:term"]
    under = np.zeros((n_gene, len(genome.term_ids)))
    under[annotated.source, annotated.target] = 1
    value, score = np.ones(n), np.full(n, np.nan)
    for i in range(n):
        genes = strains.gene[strains.offsets[i] : strains.offsets[i + 1]]
        value[i] = alone[genes].prod()
        if len(genes) == 2:
            score[i] = -0.05 * (under[genes[0]] * under[genes[1]]).sum() + rng.normal(0, 0.01)
            value[i] += score[i]
    sd = np.full(n, 0.02, np.float32)
    sd[::5] = np.nan
    study = np.where(strains.n_perturbed >= 2, 2, 3)
    fitness = Fitness(
        np.arange(n),
        study,
        value.astype(np.float32),
        sd,
        score.astype(np.float32),
        np.where(np.isnan(score), np.nan, 0.02).astype(np.float32),
    )
    singles = np.flatnonzero(strains.n_perturbed == 1)
    profile = rng.normal(size=(len(singles), n_gene + 1)).astype(np.float32)
    profile[rng.random(profile.shape) < 0.1] = np.nan
    expression = Vectors(
        singles,
        np.zeros(len(singles), np.int64),
        profile,
        (*genome.gene_ids, "YBR999W"),
        "log2 fold change",
        np.append(np.arange(n_gene), -1),
    )
    shape = rng.normal(2.0, 1.0, (len(singles), 3)).astype(np.float32)
    shape[0, 1] = np.nan
    morphology = Vectors(
        singles,
        np.ones(len(singles), np.int64),
        shape,
        ("size", "axis ratio", "vacuole"),
        "arbitrary",
        np.zeros(0, np.int64),
    )
    fold = np.where(rng.random(n) < 0.7, TRAIN, rng.integers(1, 3, n)).astype(np.int8)
    return Cohort(
        genome,
        strains,
        ("expression", "morphology", "pairs", "singles"),
        {"fitness": fitness, "expression": expression, "morphology": morphology},
        np.zeros(n_gene, np.int8),
        fold,
        {"made": "by hand"},
    )
