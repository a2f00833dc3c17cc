"""A small random graph of the schema: values with ties and gaps, relationships without circles."""

import random
from collections.abc import Iterator

import pandas as pd

from genograph.schema import Property, graph_schema
from genograph.tables import Table

LABELS = (
    *("Gene", "CRE", "Term", "Complex", "Study", "Environment", "Strain", "Experiment"),
    *("Axis", "Run"),
)
ROWS = 14
TEXTS = ("ab", "aB", "b c", "x+y", "é", "10", "")


def make_tables(seed: int) -> Iterator[Table]:
    """Every table of a graph, nodes first; the same seed gives the same graph."""
    rng, schema = random.Random(seed), graph_schema()
    for label in LABELS:
        spec = schema.nodes[label]
        columns = {"id": [f"{label[0]}{n:02d}" for n in range(ROWS)]}
        for name, prop in spec.properties.items():
            if name != "id" and not prop.type.endswith("[]"):
                columns[name] = [draw_value(rng, prop) for _ in range(ROWS)]
        yield Table.of(label, columns)
    for type, spec in schema.relationships.items():
        if spec.from_label not in LABELS or spec.to_label not in LABELS:
            continue
        keys: dict[tuple[object, ...], None] = {}
        for _ in range(2 * ROWS):
            one, two = sorted(rng.sample(range(ROWS), 2))
            ends = (f"{spec.from_label[0]}{one:02d}", f"{spec.to_label[0]}{two:02d}")
            own = [draw_value(rng, spec.properties[k], gaps=False) for k in spec.own_key]
            keys[(*ends, *own)] = None
        columns = dict(zip(spec.key, map(list, zip(*keys, strict=True)), strict=True))
        for name, prop in spec.properties.items():
            if name not in spec.own_key and not prop.type.endswith("[]"):
                columns[name] = [draw_value(rng, prop) for _ in keys]
        yield Table.of(type, columns)


def draw_value(rng: random.Random, prop: Property, *, gaps: bool = True) -> object:
    """A value of a property; now and then none."""
    if gaps and rng.random() < 0.3:
        return None
    if prop.type == "STRING":
        return rng.choice(prop.choices or TEXTS)
    if prop.type == "BOOL":
        return rng.random() < 0.5
    low = -4 if prop.min is None else prop.min
    high = min(low + 8, low + 8 if prop.max is None else prop.max)
    if prop.type == "INT64":
        return rng.randint(int(low), int(high))
    # quarters: sums are exact in any order
    return rng.randint(int(4 * low), int(4 * high)) / 4


def read_frames(tables: list[Table]) -> dict[str, pd.DataFrame]:
    """The tables as pandas has them, with None where a value is missing; each column as object."""
    frames = {}
    for table in tables:
        columns = {n: table.rows[n].to_pylist() for n in table.rows.column_names}
        frames[table.type] = pd.DataFrame(
            {n: pd.Series(v, dtype=object) for n, v in columns.items()}
        )
    return frames
