"""A graph of twelve genes, written by hand, for tests of what reads a database."""

import numpy as np

from genograph.tables import Table

GENES = tuple(f"Y{letter}L00{n}C" for letter in "ABC" for n in range(1, 5))
SYMBOLS = tuple(f"GEN{n}" for n in range(1, 13))

# GO:1 is the root; 2 and 3 are under it, 4 under both, 5 under 4
IS_A = (("GO:2", "GO:1"), ("GO:3", "GO:1"), ("GO:4", "GO:2"), ("GO:5", "GO:4"))
PART_OF = (("GO:4", "GO:3"),)
ANNOTATIONS = (
    ("YAL001C", "GO:5", False),
    ("YAL002C", "GO:5", False),
    ("YAL002C", "GO:2", False),
    ("YAL003C", "GO:4", False),
    ("YAL004C", "GO:3", False),
    ("YBL001C", "GO:2", False),
    ("YBL002C", "GO:5", True),
    ("YBL003C", "GO:1", False),
)
PAIRS = (
    ("YAL001C", "YAL002C"),
    ("YAL001C", "YAL003C"),
    ("YAL002C", "YBL001C"),
    ("YAL003C", "YAL004C"),
    ("YBL003C", "YCL001C"),
    ("YCL001C", "YCL002C"),
)
AXIS = (*reversed(GENES[:5]), "YZL999C")


def tables():
    """Every table, in the order in which they can be written."""
    yield Table.of("Gene", {"id": GENES, "symbol": (*SYMBOLS[:-1], None)})
    ids = [f"{gene}:{kind}" for gene in GENES[:10] for kind in ("upstream", "downstream")]
    kinds = ["upstream", "downstream"] * 10
    yield Table.of("CRE", {"id": ids, "kind": kinds})
    yield Table.of("HAS_CRE", {"from_id": [i.split(":")[0] for i in ids], "to_id": ids})
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(len(ids), 4)).astype(np.float32)
    yield Table.of(
        "Embedding",
        {
            "id": [f"{i}@kmer" for i in ids],
            "model": ["kmer"] * len(ids),
            "dim": [4] * len(ids),
            "vector": vectors.tolist(),
        },
    )
    yield Table.of("EMBEDDED_AS", {"from_id": ids, "to_id": [f"{i}@kmer" for i in ids]})
    terms = [f"GO:{n}" for n in range(1, 7)]
    yield Table.of("Term", {"id": terms, "name": [f"process {t}" for t in terms]})
    for relation, edges in (("IS_A", IS_A), ("PART_OF", PART_OF)):
        yield Table.of(relation, {"from_id": [a for a, _ in edges], "to_id": [b for _, b in edges]})
    yield Table.of(
        "ANNOTATED_WITH",
        {
            "from_id": [gene for gene, _, _ in ANNOTATIONS],
            "to_id": [term for _, term, _ in ANNOTATIONS],
            "evidence": ["IDA"] * len(ANNOTATIONS),
            "qualifier": ["NOT|involved_in" if n else "involved_in" for _, _, n in ANNOTATIONS],
            "negated": [negated for _, _, negated in ANNOTATIONS],
        },
    )
    yield Table.of("Complex", {"id": ["cyc:one", "cyc:two"], "name": ["one", "two"]})
    yield Table.of(
        "MEMBER_OF",
        {"from_id": ["YAL001C", "YAL002C", "YCL001C"], "to_id": ["cyc:one", "cyc:one", "cyc:two"]},
    )
    yield Table.of(
        "INTERACTS_WITH",
        {
            "from_id": ["YAL001C", "YAL001C", "YAL002C", "YBL001C"],
            "to_id": ["YAL002C", "YAL002C", "YAL003C", "YBL001C"],
            "source": ["string", "biogrid", "string", "string"],
            "score": [0.4, 0.9, None, 0.3],
        },
    )
    yield Table.of(
        "REGULATES",
        {"from_id": ["YAL003C"], "to_id": ["YBL004C"], "source": ["yeastract"], "score": [None]},
    )
    yield Table.of(
        "PARALOG_OF",
        {"from_id": ["YAL001C"], "to_id": ["YCL004C"], "source": ["names"], "score": [0.8]},
    )
    yield Table.of("Study", {"id": ["costanzo2010", "kemmeren2014", "usaj2020"]})
    yield Table.of("Environment", {"id": ["SD_30C"], "name": ["minimal medium"]})
    yield from experiments()


def experiments():
    """Strains and experiments: singles, pairs with a replicate, an allele, vectors."""
    singles = [(gene,) for gene in GENES] + [("YAL001C(ts:tsq1)",)]
    pairs = [*PAIRS, ("YAL001C(ts:tsq1)", "YAL002C")]
    strains = {"+".join(sorted(parts)): sorted(parts) for parts in [*singles, *pairs]}
    yield Table.of(
        "Strain", {"id": list(strains), "n_perturbed": [len(p) for p in strains.values()]}
    )
    rows = [(strain, part) for strain, parts in strains.items() for part in parts]
    yield Table.of(
        "PERTURBS",
        {
            "from_id": [strain for strain, _ in rows],
            "to_id": [part.split("(")[0] for _, part in rows],
            "kind": ["ts" if "(ts" in part else "deletion" for _, part in rows],
            "allele": ["tsq1" if "(ts" in part else "" for _, part in rows],
            "dose": [0.5 if "(ts" in part else 0.0 for _, part in rows],
        },
    )
    names = [f"costanzo2010:fitness:{s}" for s in strains] + [
        "costanzo2010:fitness:YAL002CxYAL001C"
    ]
    tested = [*strains, "YAL001C+YAL002C"]
    n = len(names)
    pair = [tested[i].count("+") == 1 for i in range(n)]
    value = [0.95 - 0.01 * i for i in range(n)]
    sd = [None if i == 0 else 0.01 * (i + 1) for i in range(n)]
    yield Table.of(
        "Experiment",
        {
            "id": names,
            "phenotype": ["fitness"] * n,
            "unit": ["relative to wild type"] * n,
            "value": value,
            "sd": sd,
            "p": [0.001 * i for i in range(n)],
            "interaction": [-0.1 if p else None for p in pair],
            "interaction_sd": [0.02 if p else None for p in pair],
        },
    )
    yield Table.of("TESTS", {"from_id": names, "to_id": tested})
    yield Table.of("FROM_STUDY", {"from_id": names, "to_id": ["costanzo2010"] * n})
    yield Table.of("IN_ENVIRONMENT", {"from_id": names[:3], "to_id": ["SD_30C"] * 3})
    yield from _vectors("kemmeren2014", "expression", "log2 fold change", AXIS, GENES[2:5])
    yield from _vectors("usaj2020", "morphology", "z-score", ("size", "axis"), GENES[:4])


def _vectors(study, phenotype, unit, names, genes):
    ids = [f"{study}:{phenotype}:{gene}" for gene in genes]
    values = [[i + 0.25 * k for k in range(len(names))] for i in range(len(genes))]
    values[0][1] = float("nan")
    axis = f"{study}:{phenotype}"
    yield Table.of(
        "Axis", {"id": [axis], "phenotype": [phenotype], "unit": [unit], "names": [list(names)]}
    )
    yield Table.of(
        "Experiment",
        {
            "id": ids,
            "phenotype": [phenotype] * len(ids),
            "unit": [unit] * len(ids),
            "values": values,
        },
    )
    yield Table.of("TESTS", {"from_id": ids, "to_id": list(genes)})
    yield Table.of("FROM_STUDY", {"from_id": ids, "to_id": [study] * len(ids)})
    yield Table.of("ALONG", {"from_id": ids, "to_id": [axis] * len(ids)})


def write(store, *, order=None):
    """Write every table; with `order`, a random generator, its rows are shuffled."""
    with store.transaction():
        for table in tables():
            rows = table.rows
            if order is not None:
                rows = rows.take(order.permutation(len(rows)))
            store.write(Table(table.type, rows))
