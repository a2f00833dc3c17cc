"""What each query of the library must answer, worked out with pandas from the tables alone."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import small_yeast

from genograph.schema import graph_schema
from genograph.tables import Table

FITNESS = "relative to wild type"


def extra_tables():
    """What small_yeast lacks: scores on both sides of thresholds, odd pairs, two runs."""
    strains = {
        "YAL001C+YAL002C+YAL003C": [("YAL001C", "deletion", ""), ("YAL002C", "deletion", ""),
                                    ("YAL003C", "deletion", "")],
        # nobody measured the DAmP single mutant
        "YAL001C(damp)+YBL001C": [("YAL001C", "damp", ""), ("YBL001C", "deletion", "")],
        # two alleles of one gene are a pair of perturbations, not of genes
        "YAL001C(damp)+YAL001C(ts:tsq1)": [("YAL001C", "damp", ""), ("YAL001C", "ts", "tsq1")],
        # predicted only
        "YAL001C+YBL004C": [("YAL001C", "deletion", ""), ("YBL004C", "deletion", "")],
        "WT": [],
    }  # fmt: skip
    yield Table.of(
        "Strain", {"id": list(strains), "n_perturbed": [len(p) for p in strains.values()]}
    )
    rows = [(strain, *part) for strain, parts in strains.items() for part in parts]
    yield Table.of(
        "PERTURBS",
        {
            "from_id": [r[0] for r in rows],
            "to_id": [r[1] for r in rows],
            "kind": [r[2] for r in rows],
            "allele": [r[3] for r in rows],
            "dose": [0.0 if r[2] == "deletion" else 0.5 for r in rows],
        },
    )
    yield Table.of("Study", {"id": ["late2016"]})
    # strain, value, interaction, p
    measured = [
        ("YAL001C+YAL002C", 0.9, 0.3, 0.01),
        ("YAL001C+YAL003C", None, 0.2, 0.05),
        ("YAL002C+YBL001C", 0.8, 0.19, 0.01),
        ("YAL003C+YAL004C", 0.7, 0.4, 0.06),
        ("YBL003C+YCL001C", 0.6, 0.4, None),
        ("YCL001C+YCL002C", 0.1, -0.6, 0.0),
        ("YAL001C(ts:tsq1)+YAL002C", None, -0.3, 0.04),
        ("YAL001C+YAL002C+YAL003C", 0.5, 0.9, 0.0),
        ("YAL001C(damp)+YBL001C", 0.75, -0.12, 0.02),
        ("YAL001C(damp)+YAL001C(ts:tsq1)", 0.4, None, None),
        ("WT", 1.0, None, None),
    ]
    ids = [f"late2016:fitness:{m[0]}" for m in measured]
    yield Table.of(
        "Experiment",
        {
            "id": ids,
            "phenotype": ["fitness"] * len(ids),
            "unit": [FITNESS] * len(ids),
            "value": [m[1] for m in measured],
            "interaction": [m[2] for m in measured],
            "p": [m[3] for m in measured],
        },
    )
    yield Table.of("TESTS", {"from_id": ids, "to_id": [m[0] for m in measured]})
    yield Table.of("FROM_STUDY", {"from_id": ids, "to_id": ["late2016"] * len(ids)})
    windows = ["YAL003C:upstream", "YAL001C:downstream"]
    yield Table.of(
        "Embedding",
        {
            "id": [f"{w}@other" for w in windows],
            "model": ["other"] * 2,
            "dim": [2] * 2,
            "vector": [[1.0, 2.0], [3.0, 4.0]],
        },
    )
    yield Table.of("EMBEDDED_AS", {"from_id": windows, "to_id": [f"{w}@other" for w in windows]})
    yield from runs([*(m[0] for m in measured), "YAL001C+YBL004C", "YAL001C", "YAL002C"], seed=0)


def runs(strains, *, seed):
    """Two runs that predict the strains, one of them not all and without some s.d."""
    draw = np.random.default_rng(seed)
    yield Table.of("Run", {"id": ["first", "second"]})
    yield Table.of("Database", {"id": ["genograph"], "promoted_run": ["second"]})
    for run, kept in (("first", strains), ("second", strains[1:])):
        n = len(kept)
        some = [None if i % 4 == 3 else v for i, v in enumerate(draw.uniform(0.01, 0.1, n))]
        yield Table.of(
            "PREDICTED",
            {
                "from_id": [run] * n,
                "to_id": kept,
                "fitness": draw.normal(0.8, 0.2, n).tolist(),
                "fitness_sd": some if run == "second" else draw.uniform(0.01, 0.1, n).tolist(),
                "interaction": [
                    v if "+" in s else None
                    for s, v in zip(kept, draw.normal(0, 0.1, n), strict=True)
                ],
                "interaction_sd": [0.05 if "+" in s else None for s in kept],
                "split": draw.choice(["train", "test", "validation", "unmeasured"], n).tolist(),
            },
        )


def fixture_tables():
    """small_yeast and what it lacks."""
    return [*small_yeast.tables(), *extra_tables()]


def frames_of_tables(tables):
    """One frame a type, of all its tables; columns that no table fills are there, empty."""
    held = {}
    for table in tables:
        held.setdefault(table.type, []).append(table.rows.to_pandas())
    schema = graph_schema()
    out = {}
    for name in (*schema.nodes, *schema.relationships):
        columns = list(schema.type(name).columns)
        parts = held.get(name, [pd.DataFrame(columns=columns)])
        out[name] = pd.concat(parts, ignore_index=True).reindex(columns=columns)
    return out


def frames_of_store(store):
    """The same, read out of a database type by type: every row, and no predicate."""
    schema = graph_schema()
    out = {}
    for name, columns in READ.items():
        if name in schema.nodes:
            pattern, own = f"(n:{name})", ["n.id AS id"]
        else:
            spec = schema.relationships[name]
            pattern = f"(a:{spec.from_label})-[n:{name}]->(b:{spec.to_label})"
            own = ["a.id AS from_id", "b.id AS to_id"]
        returned = ", ".join([*own, *(f"n.{c} AS {c}" for c in columns)])
        out[name] = store.query(f"MATCH {pattern} RETURN {returned}").to_pandas()
    return out


def under(f, go):
    """Genes annotated with a term or one below it."""
    below = pd.concat([f["IS_A"], f["PART_OF"]]).groupby("to_id")["from_id"].agg(list).to_dict()
    terms, new = set(), [go] if go in set(f["Term"]["id"]) else []
    while new:
        term = new.pop()
        if term not in terms:
            terms.add(term)
            new += below.get(term, [])
    noted = f["ANNOTATED_WITH"]
    return set(noted[noted["to_id"].isin(terms) & (noted["negated"] != True)]["from_id"])  # noqa: E712


def inside(f, genes, every):
    """Strains of which every perturbed gene, or one, is among some."""
    held = f["PERTURBS"][f["PERTURBS"]["to_id"].isin(genes)]
    counts = held.groupby("from_id").size().rename("n_inside").reset_index()
    out = counts.merge(f["Strain"][["id", "n_perturbed"]], left_on="from_id", right_on="id")
    if every:
        out = out[out["n_inside"] == out["n_perturbed"]]
    return out.rename(columns={"id": "strain"}).sort_values("strain")[
        ["strain", "n_perturbed", "n_inside"]
    ]


def experiments(f, phenotype=None):
    """Experiments with their strain."""
    held = f["Experiment"].merge(f["TESTS"], left_on="id", right_on="from_id")
    held = held.rename(columns={"id": "experiment", "to_id": "strain"})
    held = held.merge(f["Strain"][["id", "n_perturbed"]], left_on="strain", right_on="id")
    return held if phenotype is None else held[held["phenotype"] == phenotype]


def strains_of_pathway(f, go, every):
    return inside(f, under(f, go), every)


def strains_of_complex(f, complex, every):
    member = f["MEMBER_OF"]
    return inside(f, set(member[member["to_id"] == complex]["from_id"]), every)


def strains_near_gene(f, gene, k, min_score, every):
    genes = f["Gene"]
    near = set(genes[(genes["id"] == gene) | (genes["symbol"] == gene)]["id"])
    links = f["INTERACTS_WITH"]
    links = links[links["score"] >= min_score]
    for _ in range(k):
        out = set(links[links["from_id"].isin(near)]["to_id"])
        near |= out | set(links[links["to_id"].isin(near)]["from_id"])
    return inside(f, near, every)


def pairs_across_terms(f, go_a, go_b):
    first, second = under(f, go_a), under(f, go_b)
    pairs = f["Strain"][f["Strain"]["n_perturbed"] == 2]["id"]
    held = f["PERTURBS"][["from_id", "to_id"]]
    held = held[held["from_id"].isin(set(pairs))]
    both = held.merge(held, on="from_id")
    both = both[both["to_id_x"].isin(first) & both["to_id_y"].isin(second)]
    both = both[both["to_id_x"] != both["to_id_y"]].drop_duplicates()
    both.columns = ["strain", "gene_a", "gene_b"]
    return both.sort_values(["strain", "gene_a"])


def pairs_with_singles(f, study):
    held = experiments(f, "fitness").dropna(subset="value")
    mean = held.groupby("strain")["value"].mean()
    of = f["FROM_STUDY"][f["FROM_STUDY"]["to_id"] == study]["from_id"]
    pairs = held[held["experiment"].isin(set(of)) & (held["n_perturbed"] == 2)]
    carried = f["PERTURBS"].merge(f["Strain"], left_on="from_id", right_on="id")
    alone = carried[carried["n_perturbed"] == 1]
    key = ["to_id", "kind", "allele"]
    singles = dict(zip(map(tuple, alone[key].values), alone["from_id"], strict=True))
    parts = {s: [tuple(r) for r in rows.values] for s, rows in carried.groupby("from_id")[key]}
    rows = []
    for strain, fitness in pairs.groupby("strain")["value"].mean().items():
        ids = [singles.get(part) for part in parts[strain]]
        values = sorted(mean[i] for i in ids if i in mean.index)
        if len(values) == 2:
            low, high = values
            rows.append((strain, fitness, low, high, low * high, fitness - low * high))
    names = ["strain", "fitness", "fitness_low", "fitness_high", "product", "interaction"]
    return pd.DataFrame(rows, columns=names).sort_values("strain")


def _scored(f, max_p):
    held = experiments(f, "fitness").rename(columns={"value": "fitness"})
    return held[(held["n_perturbed"] == 2) & (held["p"] <= max_p)]


def suppressors(f, min_interaction, max_p):
    held = _scored(f, max_p)
    held = held[held["interaction"] >= min_interaction]
    held = held.sort_values(["interaction", "experiment"], ascending=[False, True])
    return held[["experiment", "strain", "interaction", "p", "fitness"]]


def synthetic_sick(f, max_interaction, max_p):
    held = _scored(f, max_p)
    held = held[held["interaction"] <= max_interaction]
    held = held.sort_values(["interaction", "experiment"])
    return held[["experiment", "strain", "interaction", "p", "fitness"]]


def strains_with_all_phenotypes(f):
    held = experiments(f)
    held = held[(held["phenotype"] != "fitness") | held["value"].notna()]
    counts = held.groupby(["strain", "n_perturbed", "phenotype"]).size().unstack()
    counts = counts.dropna().reset_index()
    out = counts.rename(columns={p: f"n_{p}" for p in ("fitness", "expression", "morphology")})
    names = ["strain", "n_perturbed", "n_fitness", "n_expression", "n_morphology"]
    return out[names].sort_values("strain")


def unmeasured_genes(f, go, phenotype):
    measured = set(experiments(f, phenotype)["strain"])
    held = f["PERTURBS"][f["PERTURBS"]["from_id"].isin(measured)]
    genes = f["Gene"][f["Gene"]["id"].isin(under(f, go) - set(held["to_id"]))]
    return genes.rename(columns={"id": "gene"}).sort_values("gene")[["gene", "symbol", "kind"]]


def unmeasured_pairs(f, go, limit):
    genes = under(f, go)
    held = experiments(f)[["strain", "n_perturbed", "phenotype"]]
    held = held.merge(f["PERTURBS"], left_on="strain", right_on="from_id")
    alone = held[(held["n_perturbed"] == 1) & (held["phenotype"] == "fitness")]
    known = sorted(genes & set(alone["to_id"]))
    of = held[held["to_id"].isin(genes)].groupby("strain")["to_id"].agg(set)
    done = {(a, b) for found in of for a in found for b in found}
    rows = [(a, b) for i, a in enumerate(known) for b in known[i + 1 :] if (a, b) not in done]
    return pd.DataFrame(rows[:limit], columns=["gene_a", "gene_b"])


def predictions(f, min_perturbed):
    promoted = f["Database"]["promoted_run"].tolist()
    told = f["PREDICTED"][f["PREDICTED"]["from_id"].isin(promoted)]
    out = told.merge(f["Strain"][["id", "n_perturbed"]], left_on="to_id", right_on="id")
    out = out[out["n_perturbed"] >= min_perturbed]
    out = out.rename(columns={"id": "strain", "from_id": "run"}).sort_values("strain")
    numbers = ["fitness", "fitness_sd", "interaction", "interaction_sd"]
    return out[["strain", "n_perturbed", "run", "split", *numbers]]


def predicted_and_measured(f, run, split):
    told = f["PREDICTED"][f["PREDICTED"]["from_id"] == run]
    if split != "all":
        told = told[told["split"] == split]
    held = experiments(f, "fitness").astype({"value": float, "interaction": float})
    mean = held.groupby("strain")[["value", "interaction"]].mean().dropna(how="all")
    mean.columns = ["measured_fitness", "measured_interaction"]
    names = ["fitness", "fitness_sd", "interaction", "interaction_sd"]
    told = told.rename(columns={n: f"predicted_{n}" for n in names})
    out = told.merge(mean, left_on="to_id", right_index=True)
    out = out.merge(f["Strain"][["id", "n_perturbed"]], left_on="to_id", right_on="id")
    out = out.rename(columns={"id": "strain"}).sort_values("strain")
    return out[
        ["strain", "n_perturbed", "split", "measured_fitness", "predicted_fitness",
         "predicted_fitness_sd", "measured_interaction", "predicted_interaction",
         "predicted_interaction_sd"]
    ]  # fmt: skip


def runs_disagree(f, run_a, run_b, min_difference):
    told = f["PREDICTED"]
    told = told.astype({n: float for n in ("fitness", "fitness_sd")})
    a, b = (told[told["from_id"] == run] for run in (run_a, run_b))
    both = a.merge(b, on="to_id", suffixes=("_a", "_b"))
    both["difference"] = both["fitness_a"] - both["fitness_b"]
    spread = np.sqrt(both["fitness_sd_a"] ** 2 + both["fitness_sd_b"] ** 2)
    both["z"] = both["difference"] / spread.where(spread > 0)
    both["size"] = both["difference"].abs()
    both = both[both["size"] >= min_difference].rename(columns={"to_id": "strain"})
    both = both.sort_values(["size", "strain"], ascending=[False, True])
    return both[["strain", "fitness_a", "fitness_b", "difference", "z"]]


def embeddings(f, study, phenotype, model):
    of = f["FROM_STUDY"][f["FROM_STUDY"]["to_id"] == study]["from_id"]
    held = experiments(f, phenotype)
    strains = set(held[held["experiment"].isin(set(of))]["strain"])
    genes = set(f["PERTURBS"][f["PERTURBS"]["from_id"].isin(strains)]["to_id"])
    out = f["HAS_CRE"][f["HAS_CRE"]["from_id"].isin(genes)].rename(columns={"from_id": "gene"})
    out = out.merge(f["CRE"][["id", "kind"]], left_on="to_id", right_on="id")
    out = out.rename(columns={"id": "window", "kind": "side"})[["gene", "side", "window"]]
    vectors = f["Embedding"][f["Embedding"]["model"] == model][["id", "vector"]]
    links = f["EMBEDDED_AS"].merge(vectors, left_on="to_id", right_on="id")
    out = out.merge(links[["from_id", "vector"]], left_on="window", right_on="from_id")
    return out.sort_values("window")[["gene", "side", "window", "vector"]]


ORACLES = {
    made.__name__: made
    for made in (
        strains_of_pathway,
        strains_of_complex,
        strains_near_gene,
        pairs_across_terms,
        pairs_with_singles,
        suppressors,
        synthetic_sick,
        strains_with_all_phenotypes,
        unmeasured_genes,
        unmeasured_pairs,
        predictions,
        predicted_and_measured,
        runs_disagree,
        embeddings,
    )
}
# what the oracles look at, beside ids and ends
READ = {
    "Gene": ("symbol", "kind"),
    "CRE": ("kind",),
    "Embedding": ("model", "vector"),
    "Term": (),
    "Strain": ("n_perturbed",),
    "Experiment": ("phenotype", "value", "interaction", "p"),
    "HAS_CRE": (),
    "EMBEDDED_AS": (),
    "IS_A": (),
    "PART_OF": (),
    "ANNOTATED_WITH": ("negated",),
    "INTERACTS_WITH": ("score",),
    "MEMBER_OF": (),
    "PERTURBS": ("kind", "allele"),
    "TESTS": (),
    "FROM_STUDY": (),
    "Database": ("promoted_run",),
    "PREDICTED": ("fitness", "fitness_sd", "interaction", "interaction_sd", "split"),
}


class Difference(NamedTuple):
    """Where an answer is not the one that was worked out."""

    row: int
    column: str
    found: object
    wanted: object


def differences(found, wanted):
    """The first place at which an answer (Arrow) differs from an oracle's (pandas), else None."""
    if list(found.column_names) != list(wanted.columns):
        return Difference(-1, "columns", found.column_names, list(wanted.columns))
    if len(found) != len(wanted):
        return Difference(-1, "rows", len(found), len(wanted))
    for name in wanted.columns:
        pairs = zip(found[name].to_pylist(), wanted[name].tolist(), strict=True)
        for row, (have, want) in enumerate(pairs):
            if not _same(have, want):
                return Difference(row, name, have, want)
    return None


def _same(have, want):
    if isinstance(want, np.ndarray | list):
        return np.array_equal(np.array(have, "f4"), np.array(want, "f4"))
    if want is None or (isinstance(want, float) and math.isnan(want)):
        return have is None
    if isinstance(want, float):
        return have is not None and math.isclose(have, want, rel_tol=1e-9, abs_tol=1e-12)
    return have == want
