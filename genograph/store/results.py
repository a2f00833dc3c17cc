"""Neo4j's results as Arrow tables, typed as the embedded store types them."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from neo4j.graph import Node, Path, Relationship

from genograph.errors import StoreError
from genograph.schema import graph_schema
from genograph.store.shape import Shape


def arrow_table(keys: Sequence[str], values: list[list[Any]], shape: Shape) -> pa.Table:
    """A result as Arrow; columns that are properties get the schema's type."""
    columns = list(zip(*values, strict=True)) if values else [()] * len(keys)
    arrays = []
    for key, column in zip(keys, columns, strict=True):
        declared = shape.type_of(key)
        try:
            arrays.append(pa.array(column, type=declared))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            arrays.append(_inferred(key, column))
    return pa.Table.from_arrays(arrays, names=list(keys))


def _inferred(key: str, column: tuple[Any, ...]) -> pa.Array:
    """A column by its values: nodes and relationships become structs of their properties."""
    try:
        return pa.array([_plain(v) for v in column])
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        msg = f"column {key} of the result mixes types: {str(error).splitlines()[0]}"
        raise StoreError(msg) from error


def _plain(value: Any) -> Any:  # noqa: ANN401 whatever a Cypher expression can give
    if isinstance(value, Node | Relationship):
        schema = graph_schema()
        name = value.type if isinstance(value, Relationship) else next(iter(value.labels), "")
        spec = schema.nodes.get(name) or schema.relationships.get(name)
        names = spec.properties if spec else value.keys()
        return {"_LABEL": name} | {n: value.get(n) for n in names}
    if isinstance(value, Path):
        return {"_NODES": _plain(list(value.nodes)), "_RELS": _plain(list(value.relationships))}
    if isinstance(value, list) and value and not isinstance(value[0], str | float | int):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value
