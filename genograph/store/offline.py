"""Files for `neo4j-admin database import`: CSV with headers, and the command that reads them.

The way into Neo4j for tens of millions of rows. Every value that is there is quoted, one that is
not there is empty, so that an empty text stays one; the items of a list are joined by U+001F, a
control character that no text may hold. 32-bit numbers are written as the doubles they are, as an
online load stores them.
"""

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from genograph.errors import StoreError
from genograph.schema import Node, Property, Relationship, graph_schema
from genograph.store.base import Store
from genograph.store.stream import Keys, stream

SEPARATOR = "\x1f"
SCRIPT = "import.sh"

_TYPES = {
    "STRING": "string",
    "INT64": "long",
    "DOUBLE": "double",
    "BOOL": "boolean",
    "FLOAT[]": "double[]",
    "DOUBLE[]": "double[]",
    "STRING[]": "string[]",
}


class Import(NamedTuple):
    """What was written for an import.

    Attributes:
        command: the words of the command, to be run in the folder.
        empty_lists: how many lists without items there are, by Label.property: the import tool
            cannot tell them from what is absent, which they become.
    """

    command: list[str]
    empty_lists: Mapping[str, int]


def write_import(
    store: Store,
    folder: Path,
    *,
    report: Callable[[str, int], None] = lambda type, rows: None,
) -> Import:
    """Write every row into a folder and return the import command.

    Besides the CSV files there is `import.sh`, which runs that command where it has to be run: in
    the folder.

    Raises:
        StoreError: a text holds the separator of lists; or the database refuses.
    """
    schema = graph_schema()
    counts = store.counts()
    keys = Keys(store)
    many_lines = False
    empty: Counter[str] = Counter()
    given: dict[str, str] = {}
    for label in schema.nodes:
        types = [label, *(n for n, r in schema.relationships.items() if r.from_label == label)]
        for name in types:
            if not counts[name]:
                continue
            spec = schema.type(name)
            (folder / f"{name}_header.csv").write_text(",".join(_header(spec)) + "\n", "utf-8")
            with (folder / f"{name}.csv").open("wb") as out:
                many_lines |= _rows(stream(store, name, keys), spec, out.write, empty)
            report(name, counts[name])
            kind = "nodes" if isinstance(spec, Node) else "relationships"
            given[name] = f"--{kind}={name}={name}_header.csv,{name}.csv"
    command = ["neo4j-admin", "database", "import", "full", "neo4j"]
    command += ["--overwrite-destination=true", "--id-type=string", "--array-delimiter=U+001F"]
    if many_lines:
        command.append("--multiline-fields=true")
    command += [given[name] for name in (*schema.nodes, *schema.relationships) if name in given]
    lines = " \\\n  ".join(map(shlex.quote, command))
    script = (
        "#!/bin/sh\n# Stop the server first. What its database neo4j holds is replaced.\n"
        f'cd "$(dirname "$0")" || exit 1\nexec {lines}\n'
    )
    (folder / SCRIPT).write_text(script, "utf-8")
    (folder / SCRIPT).chmod(0o755)
    return Import(command, dict(empty))


def _header(spec: Node | Relationship) -> Iterator[str]:
    for name, prop in spec.columns.items():
        if isinstance(spec, Node) and name == "id":
            yield f"id:ID({spec.name})"
        elif isinstance(spec, Relationship) and name == "from_id":
            yield f":START_ID({spec.from_label})"
        elif isinstance(spec, Relationship) and name == "to_id":
            yield f":END_ID({spec.to_label})"
        else:
            yield f"{name}:{_TYPES[prop.type]}"


def _rows(
    tables: Iterator[pa.Table],
    spec: Node | Relationship,
    write: Callable[[bytes], int],
    empty: Counter[str],
) -> bool:
    """Write the rows as CSV; count empty lists, and say whether a text has several lines."""
    many_lines = False
    options = pacsv.WriteOptions(include_header=False, quoting_style="all_valid")
    for table in tables:
        columns = {}
        for name, prop in spec.columns.items():
            columns[name] = column = _texts(table[name].combine_chunks(), prop, spec)
            if prop.type.endswith("[]"):
                none = pc.sum(pc.equal(pc.list_value_length(table[name]), 0)).as_py()
                empty.update({f"{spec.name}.{name}": none} if none else {})
            if prop.type.startswith("STRING"):
                many_lines |= pc.any(pc.match_substring_regex(column, "[\r\n]")).as_py() or False
        sink = pa.BufferOutputStream()
        pacsv.write_csv(pa.table(columns), sink, options)
        write(sink.getvalue())
    return many_lines


def _texts(column: pa.Array, prop: Property, spec: Node | Relationship) -> pa.Array:
    """A column as the text that the import tool reads."""
    if not prop.type.endswith("[]"):
        return column
    flat = column.flatten()
    if prop.type == "STRING[]":
        if pc.any(pc.match_substring(flat, SEPARATOR)).as_py():
            msg = (
                f"{spec.name}.{prop.name}: a text holds U+001F, which separates the items of lists"
            )
            raise StoreError(msg)
        if flat.null_count:
            msg = f"{spec.name}.{prop.name}: a list has an item that is missing"
            raise StoreError(msg)
        one = column.filter(pc.fill_null(pc.equal(pc.list_value_length(column), 1), False))
        if pc.any(pc.equal(one.flatten(), "")).as_py():
            # the import tool takes it for a list without items
            msg = (
                f"{spec.name}.{prop.name}: a list of one empty text cannot be said in these files; "
                f"dump and restore instead"
            )
            raise StoreError(msg)
    else:
        # Java spells it NaN
        flat = pc.cast(flat.cast(pa.float64()), pa.string())
        flat = pc.if_else(pc.equal(flat, "nan"), "NaN", flat)
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    ends = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    lists = pa.ListArray.from_arrays(ends, flat, mask=pc.is_null(column))
    return pc.binary_join(lists, SEPARATOR)
