"""A small cohort with planted structure, and predictions of it, for tests of evaluation."""

import hashlib

import numpy as np
import pyarrow as pa

from genograph.cohorts import (
    RELATIONS,
    TEST,
    TRAIN,
    VALIDATION,
    Cohort,
    Edges,
    Fitness,
    Genome,
    Strains,
    Vectors,
    save_cohort,
)
from genograph.config import read_config
from genograph.evaluation.predictions import MeasuredPrediction
from genograph.evaluation.profiles import average_repeats
from genograph.evaluation.scores import combine
from genograph.run import Predicted
from genograph.training import train

N_GENE, N_TERM = 60, 12


def gene_name(row):
    return f"Y{'ABCDEFGHIJ'[row // 6]}L{row % 6 + 1:03d}C"


def edges(source, target, weight=None):
    weight = np.ones(len(source)) if weight is None else weight
    return Edges(np.array(source, np.int64), np.array(target, np.int64), np.array(weight, "f4"))


def both(source, target):
    return edges([*source, *target], [*target, *source])


def small_genome(rng):
    genes = range(N_GENE)
    empty = edges([], [])
    parts = dict.fromkeys(RELATIONS, empty)
    # gene g is in term g % 12, all genes in term 12, whose specificity is 0
    parts["gene:annotated_with:term"] = edges(
        [*genes, *genes], [*(g % N_TERM for g in genes), *[N_TERM] * N_GENE],
        [0.6] * N_GENE + [0.0] * N_GENE,
    )  # fmt: skip
    parts["gene:member_of:complex"] = edges(
        [g for g in genes if g % N_TERM < 3], [g % N_TERM for g in genes if g % N_TERM < 3]
    )
    a = rng.integers(0, N_GENE, 150)
    b = rng.integers(0, N_GENE, 150)
    different = a != b
    parts["gene:interacts_with:gene"] = both(a[different], b[different])
    parts["gene:regulates:gene"] = edges(
        [g % 5 for g in genes if g > 5], [g for g in genes if g > 5]
    )
    parts["gene:paralog_of:gene"] = both([0, 1], [12, 13])
    features = rng.normal(size=(N_GENE, 24)).astype(np.float32)
    return Genome(
        tuple(gene_name(g) for g in genes),
        tuple(f"ABC{g}" for g in genes),
        tuple(f"GO:{t:07d}" for t in range(N_TERM + 1)),
        tuple(f"process <{t}>" for t in range(N_TERM + 1)),
        ("c:0", "c:1", "c:2"),
        ("kmer:upstream",),
        features,
        np.ones(N_GENE, bool),
        parts,
        np.ones(2 * N_GENE, bool),
    )


def small_cohort(*, seed=0, pairs=True, repeats=True):
    """Terms are pathways: two deletions in one mask each other, by an amount of the pathway."""
    rng = np.random.default_rng(seed)
    genome = small_genome(rng)
    gene_fold = np.zeros(N_GENE, np.int8)
    gene_fold[rng.choice(N_GENE, 8, replace=False)] = TEST
    gene_fold[rng.choice(np.flatnonzero(gene_fold == TRAIN), 5, replace=False)] = VALIDATION
    single = rng.choice([1.0, 0.95, 0.8, 0.6], N_GENE) + 0.02 * rng.normal(size=N_GENE)
    names = {gene_name(g): (g,) for g in range(N_GENE)}
    if pairs:
        for _ in range(1200):
            i, j = sorted(int(g) for g in rng.choice(N_GENE, 2, replace=False))
            if rng.random() < 0.4:
                j = (i + N_TERM * int(rng.integers(1, 5))) % N_GENE
                i, j = sorted((i, j))
            names[f"{gene_name(i)}+{gene_name(j)}"] = (i, j)
    ids = sorted(names)
    row = {name: at for at, name in enumerate(ids)}
    lists = [names[name] for name in ids]
    gene = np.array([g for entry in lists for g in entry], np.int64)
    offsets = np.concatenate([[0], np.cumsum([len(entry) for entry in lists])]).astype(np.int64)
    strains = Strains(
        pa.array(ids, pa.string()),
        offsets,
        gene,
        np.zeros(len(gene), np.float32),
        np.array([row[gene_name(g)] for g in gene], np.int64),
    )
    fold = []
    for name, entry in zip(ids, lists, strict=True):
        folds = gene_fold[list(entry)]
        chance = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10
        by_hash = TEST if chance == 0 else VALIDATION if chance == 1 else TRAIN
        held = TEST if (folds == TEST).any() else VALIDATION
        fold.append(held if (folds != TRAIN).any() else by_hash)
    strength = rng.choice([0.25, 0.15, 0.02], N_TERM)
    epsilon = np.full(len(ids), np.nan)
    value = np.empty(len(ids))
    for at, entry in enumerate(lists):
        if len(entry) == 1:
            value[at] = single[entry[0]]
            continue
        i, j = entry
        same = i % N_TERM == j % N_TERM
        loss = (1 - single[i]) * (1 - single[j])
        epsilon[at] = same * strength[i % N_TERM] * (0.5 + 2 * loss) + 0.02 * rng.normal()
        value[at] = single[i] * single[j] + epsilon[at]
    order = np.arange(len(ids))
    if repeats:
        order = np.concatenate([order, np.flatnonzero(np.diff(offsets) == 2)[::5]])
    f4 = np.float32
    noise = 0.01 * rng.normal(size=len(order))
    fitness = Fitness(
        order,
        np.zeros(len(order), np.int64),
        (value[order] + noise).astype(f4),
        np.full(len(order), 0.02, f4),
        (epsilon[order] + noise).astype(f4),
        np.full(len(order), 0.02, f4),
    )
    singles = np.array([row[gene_name(g)] for g in range(N_GENE)])
    profile = rng.normal(size=(N_TERM, N_GENE))
    slow = rng.normal(size=N_GENE)
    expression = (
        0.8 * profile[np.arange(N_GENE) % N_TERM]
        + np.outer(1 - single, 3 * slow)
        + 0.2 * rng.normal(size=(N_GENE, N_GENE))
    ).astype(f4)
    expression[3, 7] = np.nan
    expression[:2] *= 0.001
    shape = rng.normal(size=(N_TERM, 5))
    morphology = shape[np.arange(N_GENE) % N_TERM] + 0.5 * rng.normal(size=(N_GENE, 5))
    morphology = np.concatenate([morphology, np.ones((N_GENE, 1))], axis=1).astype(f4)
    zero = np.zeros(N_GENE, np.int64)
    parameters = ("size", "ratio", "<angle>", "count", "area", "flat")
    genes, none = np.arange(N_GENE), np.array([], np.int64)
    return Cohort(
        genome,
        strains,
        ("small",),
        {
            "fitness": fitness,
            "expression": Vectors(
                singles, zero, expression, genome.gene_ids, "log2 fold change", genes
            ),
            "morphology": Vectors(singles, zero, morphology, parameters, "pixels", none),
        },
        gene_fold,
        np.array(fold, np.int8),
        {"query": "MATCH (e:Experiment) <all>"},
    )


def measured_predictions(cohort, *, noise=0.03, seed=1):
    """Predictions as good as the measurements and some noise, for every measured strain."""
    rng = np.random.default_rng(seed)
    n = len(cohort.strains)
    fitness = combine(cohort.fitness.strain, cohort.fitness.value, cohort.fitness.sd, n)
    f = cohort.fitness
    interaction = combine(f.strain, f.interaction, f.interaction_sd, n)

    def noisy(values):
        return (values + noise * rng.normal(size=values.shape)).astype(np.float32)

    def vector(name, measured):
        rows, values = average_repeats(measured)
        mean = noisy(np.nan_to_num(values))
        sd = np.full_like(mean, noise)
        return MeasuredPrediction(rows, {name: Predicted(mean, sd, measured.names)})

    sd = (noise * rng.uniform(0.8, 1.2, n)).astype(np.float32)
    numbers = {
        "fitness": Predicted(noisy(fitness.value), sd, None),
        "interaction": Predicted(noisy(interaction.value), sd, None),
    }
    return {
        "fitness": MeasuredPrediction(np.arange(n), numbers),
        **{name: vector(name, measured) for name, measured in cohort.vectors.items()},
    }


def small_run(folder):
    """A run trained for three steps, and its cohort's folder."""
    cohort = small_cohort()
    save_cohort(cohort, folder / "cohort")
    config = read_config(members=2, epochs=1, steps_per_epoch=3, batch={"pairs": 64})
    return train(cohort, config, folder / "run", cohort_folder=folder / "cohort")
