"""A cohort's genome as DGL heterograph, PyG HeteroData or NetworkX graph: exchange and inspection.

`import_dgl` hides how the wheels of DGL are made to load beside a current torch. The edge types are
the relations of the cohort; a `rev_` edge type has the edges of its relation the other way round.
"""

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from jaxtyping import Int64

from genograph.cohorts.data import RELATIONS, Cohort, Genome
from genograph.errors import CohortError
from genograph.files import write_file

if TYPE_CHECKING:
    import dgl
    import networkx as nx
    import torch
    from torch_geometric.data import HeteroData

UNDIRECTED = ("gene:interacts_with:gene", "gene:paralog_of:gene")
"""Relations that hold both directions already and so have no `rev_` type."""
NODE_TYPES = ("gene", "term", "complex")


def import_dgl() -> ModuleType:
    """The dgl module, on its PyTorch backend.

    The wheels of DGL 2.1 bring a compiled `dgl.graphbolt` (out-of-core sampling) for torch 2.0 to
    2.2 only, and importing dgl imports it; the rest is plain. An empty module stands in for it.
    Without DGLBACKEND the import would write a configuration file into the home folder.

    Raises:
        CohortError: dgl is not installed or does not load.
    """
    loaded = sys.modules.get("dgl")
    if loaded is not None:
        return loaded
    os.environ["DGLBACKEND"] = "pytorch"
    stand_in = "dgl.graphbolt" not in sys.modules
    if stand_in:
        sys.modules["dgl.graphbolt"] = ModuleType("dgl.graphbolt")
    try:
        import dgl
    except (ImportError, OSError) as error:
        if stand_in:
            sys.modules.pop("dgl.graphbolt", None)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = (
            f"dgl cannot be imported ({reason}); it has wheels for CPU and Python up to 3.12: "
            f"pip install dgl==2.1.0, or use an engine that does not need it"
        )
        raise CohortError(msg) from error
    return cast("ModuleType", dgl)


def edge_types(*, reverse: bool = True) -> tuple[tuple[str, str, str], ...]:
    """The canonical edge types of the heterograph: (source type, relation, target type)."""
    out = []
    for relation in RELATIONS:
        source, name, target = relation.split(":")
        out.append((source, name, target))
        if reverse and relation not in UNDIRECTED:
            out.append((target, f"rev_{name}", source))
    return tuple(out)


class _EdgeType(NamedTuple):
    """The edges of one canonical edge type as tensors; `direct` is for annotations only."""

    name: tuple[str, str, str]
    source: "torch.Tensor"
    target: "torch.Tensor"
    weight: "torch.Tensor"
    direct: "torch.Tensor | None"


def _edge_tensors(genome: Genome, *, reverse: bool) -> Iterator[_EdgeType]:
    """Yield the edges of every edge type, in the order of `edge_types`."""
    import torch

    for relation in RELATIONS:
        edges = genome.edges[relation]
        source, name, target = relation.split(":")
        a, b = torch.from_numpy(edges.source.copy()), torch.from_numpy(edges.target.copy())
        weight = torch.from_numpy(edges.weight.copy())
        annotates = name == "annotated_with"
        direct = torch.from_numpy(genome.direct.copy()) if annotates else None
        yield _EdgeType((source, name, target), a, b, weight, direct)
        if reverse and relation not in UNDIRECTED:
            yield _EdgeType((target, f"rev_{name}", source), b, a, weight, direct)


def to_dgl(cohort: Cohort, *, reverse: bool = True) -> "dgl.DGLGraph":
    """The cohort's genome as a DGL heterograph on the CPU; node rows (0-based) are the genome's.

    Node data: gene `feature` [gene, feature] float32, `has_feature` bool; term `size` (genes under
    it, int64) and `depth` (edges of the longest way up to a root, int64). Edge data: `weight`
    float32, and `direct` bool for annotations.

    Args:
        cohort: its genome is taken, all of it.
        reverse: add a `rev_` type for each relation, with its edges in the same order, ends
            exchanged; relations that hold both directions already have none.

    Returns:
        The heterograph: node types gene, term and complex.

    Raises:
        CohortError: dgl does not load.

    Example:
        >>> graph = genograph.to_dgl(genograph.load_cohort("cohort"))
        >>> graph.num_nodes("gene")
        120
    """
    dgl = import_dgl()
    import torch

    genome = cohort.genome
    types = list(_edge_tensors(genome, reverse=reverse))
    ends = {kind.name: (kind.source, kind.target) for kind in types}
    counts = {kind: genome.n_node(kind) for kind in NODE_TYPES}
    graph = dgl.heterograph(ends, num_nodes_dict=counts, idtype=torch.int64)
    graph.nodes["gene"].data["feature"] = torch.from_numpy(genome.features.copy())
    graph.nodes["gene"].data["has_feature"] = torch.from_numpy(genome.has_features.copy())
    graph.nodes["term"].data["size"] = torch.from_numpy(count_term_genes(genome))
    graph.nodes["term"].data["depth"] = torch.from_numpy(measure_term_depth(genome))
    for kind in types:
        graph.edges[kind.name].data["weight"] = kind.weight
        if kind.direct is not None:
            graph.edges[kind.name].data["direct"] = kind.direct
    return graph


def to_pyg(cohort: Cohort, *, reverse: bool = True) -> "HeteroData":
    """The cohort's genome as PyG HeteroData on the CPU; node rows (0-based) are the genome's.

    It has the node types, edge types and edges of `to_dgl`, in the same order. Gene nodes have `x`
    [gene, feature] float32 and `has_feature`, term nodes `size` and `depth`. Every edge type has
    `edge_index` [2, edge] and `weight`; annotations have `direct`.

    Args:
        cohort: its genome is taken, all of it.
        reverse: add `rev_` types; see `to_dgl`.

    Returns:
        The heterogeneous graph.

    Raises:
        CohortError: PyG is not installed (pip install 'genograph[pyg]').

    Example:
        >>> data = genograph.to_pyg(genograph.load_cohort("cohort"))
        >>> data["gene"].num_nodes
        120
    """
    try:
        from torch_geometric.data import HeteroData
    except ImportError as error:
        msg = f"torch_geometric cannot be imported ({error}): pip install 'genograph[pyg]'"
        raise CohortError(msg) from error
    import torch

    genome = cohort.genome
    data = HeteroData()
    for kind in NODE_TYPES:
        data[kind].num_nodes = genome.n_node(kind)
    data["gene"].x = torch.from_numpy(genome.features.copy())
    data["gene"].has_feature = torch.from_numpy(genome.has_features.copy())
    data["term"].size = torch.from_numpy(count_term_genes(genome))
    data["term"].depth = torch.from_numpy(measure_term_depth(genome))
    for edges in _edge_tensors(genome, reverse=reverse):
        data[edges.name].edge_index = torch.stack([edges.source, edges.target])
        data[edges.name].weight = edges.weight
        if edges.direct is not None:
            data[edges.name].direct = edges.direct
    return data


_HASHED = b"\ngenograph sha256 "
_END = len(_HASHED) + 65
"""Bytes of the last line of a file of `save_dgl`: the words above, the hash in hex, a line break.
`dgl.load_graphs` does not read so far."""


def save_dgl(cohort: Cohort, path: Path | str) -> Path:
    """Write the cohort's heterograph with `dgl.save_graphs`; return the path.

    The file's labels hold `gene_fold`, so that it is of use without the rest of the cohort. Its
    last line is the SHA-256 of what stands before.

    Raises:
        CohortError: it cannot be written.
    """
    dgl = import_dgl()
    import torch

    path = Path(path)
    graph = to_dgl(cohort)
    labels = {"gene_fold": torch.from_numpy(cohort.gene_fold.astype(np.int64))}
    try:
        with write_file(path, error=CohortError) as draft:
            dgl.save_graphs(str(draft), [graph], labels)
            with draft.open("r+b") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0, os.SEEK_END)
                file.write(_HASHED + digest.encode() + b"\n")
    except dgl.DGLError as error:
        # the disk's refusal, with DGL's own stack below its first line
        msg = f"{path}: cannot be written: {str(error).splitlines()[0].rpartition('] ')[2]}"
        raise CohortError(msg) from error
    return path


def load_dgl(path: Path | str) -> "dgl.DGLGraph":
    """Read the heterograph that `save_dgl` wrote.

    DGL believes the sizes in a file, and a damaged one can end the interpreter; so the hash is
    checked first.

    Raises:
        CohortError: there is no such file, it is no graph that `save_dgl` wrote, or it was changed.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"{path}: no such file; `genograph export` writes it"
        raise CohortError(msg)
    _check_hash(path)
    dgl = import_dgl()
    try:
        graphs, _ = dgl.load_graphs(str(path))
    except dgl.DGLError as error:
        # its message is a trace of the C++ library; DGL's own format holds arrays, no pickle
        msg = f"{path}: is no graph that dgl.save_graphs wrote; export the cohort again"
        raise CohortError(msg) from error
    return graphs[0]


def _check_hash(path: Path) -> None:
    """Refuse a file whose last line is not the hash of what stands before."""
    try:
        with path.open("rb") as file:
            left = file.seek(0, os.SEEK_END) - _END
            file.seek(max(0, left))
            end = file.read(_END)
            file.seek(0)
            digest = hashlib.sha256()
            while left > 0:
                piece = file.read(min(left, 1 << 20))
                digest.update(piece)
                left -= len(piece) or left
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise CohortError(msg) from error
    if end != _HASHED + digest.hexdigest().encode() + b"\n":
        msg = (
            f"{path}: does not end with the hash of a heterograph; it is no graph that genograph "
            f"wrote, or it was changed or cut; export the cohort again"
        )
        raise CohortError(msg)


def to_networkx(cohort: Cohort) -> "nx.MultiDiGraph":
    """The cohort's genome as a NetworkX multigraph: nodes keyed by id, edges keyed by relation.

    Nodes have `kind` (gene, term, complex), and `symbol` or `name`; edges have `weight`, and
    annotations `direct`. Undirected relations have an edge each way.

    Args:
        cohort: its genome is taken, all of it.

    Returns:
        A directed multigraph.

    Example:
        >>> graph = genograph.to_networkx(genograph.load_cohort("cohort"))
        >>> graph.nodes["YAL001C"]["kind"]
        'gene'
    """
    import networkx as nx

    genome = cohort.genome
    graph = nx.MultiDiGraph(genes_sha256=genome.genes_sha256)
    genes = zip(genome.gene_ids, genome.gene_symbols, strict=True)
    graph.add_nodes_from((i, {"kind": "gene", "symbol": s}) for i, s in genes)
    terms = zip(genome.term_ids, genome.term_names, strict=True)
    graph.add_nodes_from((i, {"kind": "term", "name": n}) for i, n in terms)
    graph.add_nodes_from((i, {"kind": "complex"}) for i in genome.complex_ids)
    names = {"gene": genome.gene_ids, "term": genome.term_ids, "complex": genome.complex_ids}
    for relation, edges in genome.edges.items():
        source, name, target = relation.split(":")
        extra: list[Mapping[str, Any]] = [{} for _ in range(len(edges.source))]
        if name == "annotated_with":
            extra = [{"direct": d} for d in genome.direct.tolist()]
        rows = zip(
            edges.source.tolist(), edges.target.tolist(), edges.weight.tolist(), extra, strict=True
        )
        graph.add_edges_from(
            (names[source][a], names[target][b], name, {"weight": w, **more})
            for a, b, w, more in rows
        )
    return graph


def count_term_genes(genome: Genome) -> Int64[np.ndarray, " term"]:
    """The number of genes under each term, annotated with it or with a term below it."""
    annotated = genome.edges["gene:annotated_with:term"].target
    return np.bincount(annotated, minlength=len(genome.term_ids)).astype(np.int64)


def measure_term_depth(genome: Genome) -> Int64[np.ndarray, " term"]:
    """The longest way from each term up to a root, in edges of is_a and part_of; 0 for a root.

    Raises:
        CohortError: the edges run in a circle.
    """
    up = [genome.edges[f"term:{name}:term"] for name in ("is_a", "part_of")]
    child = np.concatenate([edges.source for edges in up])
    parent = np.concatenate([edges.target for edges in up])
    depth = np.zeros(len(genome.term_ids), np.int64)
    for _ in range(len(depth) + 1):
        deeper = depth.copy()
        np.maximum.at(deeper, child, depth[parent] + 1)
        if np.array_equal(deeper, depth):
            return depth
        depth = deeper
    msg = "is_a and part_of run in a circle among the terms; mend the ontology and load it again"
    raise CohortError(msg)
