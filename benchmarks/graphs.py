"""Genomes to measure on: a synthetic one with log-normal degrees, and yeast's public tables."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from genograph.cohorts import RELATIONS, Cohort, Edges, Fitness, Genome, Strains

Array = NDArray[Any]
Column = Array | pd.Series | pd.Index
SHAPE = {
    "gene:annotated_with:term": 64_000,
    "term:is_a:term": 8_000,
    "term:part_of:term": 2_000,
    "gene:member_of:complex": 2_000,
    "gene:regulates:gene": 11_500,
    "gene:paralog_of:gene": 550,
    "gene:interacts_with:gene": 137_950,
}
"""Edges of each relation, undirected ones once: 452,000 messages, both ways counted."""
FEATURES = 64


def synthetic(*, scale: float = 1.0, seed: int = 0) -> Genome:
    """6,607 genes, 6,000 terms and 452,000 messages, times `scale`; degrees are log-normal."""
    rng = np.random.default_rng(seed)
    sizes = {
        "gene": round(6607 * scale),
        "term": round(6000 * scale),
        "complex": round(400 * scale),
    }
    # how attractive a node is at the end of an edge
    pull = {kind: rng.lognormal(0.0, 1.0, n) for kind, n in sizes.items()}
    edges = {}
    for relation in RELATIONS:
        source, name, target = relation.split(":")
        wanted = round(SHAPE[relation] * scale)
        mutual = name in ("interacts_with", "paralog_of")
        a, b = _drawn(rng, pull[source], pull[target], wanted, below=source == target, rise=mutual)
        weight = rng.uniform(0.2, 1.0, len(a)).astype(np.float32)
        if mutual:
            a, b, weight = np.append(a, b), np.append(b, a), np.append(weight, weight)
        edges[relation] = Edges(a, b, weight)
    return _genome(sizes, edges, rng)


def _drawn(
    rng: np.random.Generator, of: Array, to: Array, n: int, *, below: bool, rise: bool
) -> tuple[Array, Array]:
    """n distinct edges, ends drawn by their pull; within a kind no loops, upwards if `rise`."""
    keys: Array = np.zeros(0, np.int64)
    p, q = of / of.sum(), to / to.sum()
    while len(keys) < n:
        a = rng.choice(len(of), n, p=p)
        b = rng.choice(len(to), n, p=q)
        if below:
            a, b = a[a != b], b[a != b]
            if rise:
                a, b = np.minimum(a, b), np.maximum(a, b)
        keys = np.unique(np.append(keys, a * len(to) + b))
    keys = np.sort(rng.permutation(keys)[:n])
    return keys // len(to), keys % len(to)


def _genome(sizes: dict[str, int], edges: dict[str, Edges], rng: np.random.Generator) -> Genome:
    n_gene = sizes["gene"]
    names = tuple(f"Y{i:06d}" for i in range(n_gene))
    return Genome(
        names,
        names,
        tuple(f"GO:{i:07d}" for i in range(sizes["term"])),
        tuple(f"term {i}" for i in range(sizes["term"])),
        tuple(f"complex {i}" for i in range(sizes["complex"])),
        ("random",),
        rng.normal(size=(n_gene, FEATURES)).astype(np.float32),
        np.ones(n_gene, bool),
        edges,
        np.ones(len(edges["gene:annotated_with:term"].source), bool),
    )


def yeast(folder: Path | None = None) -> Genome:
    """STRING physical interactions, YEASTRACT regulation, GO and CYC2008 of S288C's 6,604 ORFs.

    `folder` is that of the public tables; GENOGRAPH_REALDATA names it by default.
    """
    given = os.environ.get("GENOGRAPH_REALDATA", "../shared/data/yeast")
    folder = folder or Path(given)
    features = pd.read_csv(folder / "genome/SGD_features.tab.gz", sep="\t", header=None, dtype=str)
    genes = sorted(set(features.loc[features[1] == "ORF", 3].dropna()))
    gene = {name: i for i, name in enumerate(genes)}
    terms, parents = _ontology(folder)
    term = {name: i for i, name in enumerate(terms)}
    found: dict[str, pd.DataFrame] = {}
    go = pd.read_csv(folder / "ontology/sgd_gene_go.tsv.gz", sep="\t", dtype=str)
    found["gene:annotated_with:term"] = _rows(go.iloc[:, 0].map(gene), go.iloc[:, 2].map(term))
    found["term:is_a:term"] = _rows(
        pd.Series([a for a, _ in parents]).map(term), pd.Series([b for _, b in parents]).map(term)
    )
    string = pd.read_csv(
        folder / "networks/4932.protein.physical.links.full.v12.0.txt.gz", sep=" ", dtype=str
    )
    ends = [string[c].str.removeprefix("4932.").map(gene) for c in ("protein1", "protein2")]
    found["gene:interacts_with:gene"] = _rows(*ends, weight=string["combined_score"].astype(float))
    matrix = pd.read_csv(
        folder / "networks/yeastract2019_regulation_matrix.tsv.gz", sep="\t", index_col=0
    )
    target, factor = np.nonzero(matrix.to_numpy())
    symbol = dict(zip(features[4], features[3], strict=True)) | {g: g for g in genes}
    rows, columns = (
        pd.Series(axis.astype(str)).str.upper().map(lambda s: gene.get(symbol.get(s, s)))
        for axis in (matrix.index, matrix.columns)
    )
    found["gene:regulates:gene"] = _rows(columns[factor], rows[target])
    mates = pd.read_csv(folder / "networks/cyc2008_complexes.tab.gz", sep="\t", dtype=str)
    names = mates["Complex"].ffill()
    complexes = sorted(set(names.dropna()))
    place = {name: i for i, name in enumerate(complexes)}
    found["gene:member_of:complex"] = _rows(mates["ORF"].map(gene), names.map(place))
    edges = {}
    for relation in RELATIONS:
        rows_ = found.get(relation, _rows(pd.Series(dtype=float), pd.Series(dtype=float)))
        edges[relation] = Edges(
            rows_["a"].to_numpy(np.int64),
            rows_["b"].to_numpy(np.int64),
            rows_["w"].to_numpy(np.float32),
        )
    sizes = {"gene": len(genes), "term": len(terms), "complex": len(complexes)}
    return _genome(sizes, edges, np.random.default_rng(0))


def _rows(a: Column, b: Column, *, weight: Column | float = 1.0) -> pd.DataFrame:
    frame = pd.DataFrame({"a": np.asarray(a, float), "b": np.asarray(b, float)})
    frame["w"] = np.asarray(weight, float) / np.max(weight) if len(frame) else 1.0
    return frame.dropna().drop_duplicates(["a", "b"]).sort_values(["a", "b"])


def _ontology(folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    import gzip

    terms, parents, current = [], [], ""
    with gzip.open(folder / "ontology/go_yeast_derived.obo.gz", "rt") as text:
        for line in text:
            if line.startswith("id: GO:"):
                current = line[4:].strip()
                terms.append(current)
            elif line.startswith("is_a: ") and current:
                parents.append((current, line[6:].split("!")[0].strip()))
            elif line.startswith("[Typedef]"):
                current = ""
    return sorted(set(terms)), parents


def screen(genome: Genome, n_pair: int, *, seed: int = 0) -> Cohort:
    """A cohort of all single and `n_pair` double deletions of a genome, with random fitness.

    Made without sorting strings, so that tens of millions of pairs take seconds and 3 GB.
    """
    rng = np.random.default_rng(seed)
    n = len(genome.gene_ids)
    # a single's id is followed by those of the pairs it begins: "+" stands before every letter
    assert list(genome.gene_ids) == sorted(genome.gene_ids)
    assert min(min(name) for name in genome.gene_ids) > "+"
    first_of = np.arange(n)
    # how many pairs there are before those that begin with each gene
    before = first_of * (2 * n - first_of - 1) // 2
    rank = rng.choice(n * (n - 1) // 2, n_pair, replace=False, shuffle=False)
    rank.sort()
    low = np.searchsorted(before, rank, side="right") - 1
    high = rank - before[low] + low + 1
    single = first_of + np.searchsorted(low, first_of)
    m = n + n_pair
    double = np.ones(m, bool)
    double[single] = False
    offsets = np.zeros(m + 1, np.int64)
    np.cumsum(1 + double, out=offsets[1:])
    names = pa.array(genome.gene_ids)
    joined = pc.binary_join_element_wise(names.take(pa.array(low)), names.take(pa.array(high)), "+")
    source = np.empty(m, np.int64)
    source[single], source[double] = first_of, n + np.arange(n_pair)
    ids = pa.concat_arrays([names, joined]).take(pa.array(source))
    del source, joined
    gene = np.empty(offsets[-1], np.int64)
    gene[offsets[single]] = first_of
    start = offsets[:-1][double]
    gene[start], gene[start + 1] = low, high
    del rank, low, high, start
    strains = Strains(ids, offsets, gene, np.zeros(len(gene), np.float32), single[gene])
    score = rng.normal(0.0, 0.05, m).astype(np.float32)
    score[single] = np.nan
    value = rng.uniform(0.6, 1.0, m).astype(np.float32)
    sd = np.full(m, 0.02, np.float32)
    fitness = Fitness(np.arange(m), np.zeros(m, np.int64), value, sd, score, sd)
    fold = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 2], np.int8)[rng.integers(0, 10, m)]
    return Cohort(
        genome,
        strains,
        ("random",),
        {"fitness": fitness},
        np.zeros(n, np.int8),
        fold,
        {"made": "benchmark"},
    )
