import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import small_yeast

from genograph.cohorts import RELATIONS, Cohort, Edges, select
from genograph.errors import CohortError
from genograph.heterograph import (
    UNDIRECTED,
    count_term_genes,
    edge_types,
    import_dgl,
    load_dgl,
    measure_term_depth,
    save_dgl,
    to_dgl,
    to_networkx,
    to_pyg,
)
from genograph.store import open_store


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Cohort:
    with open_store(tmp_path_factory.mktemp("graph") / "yeast.db") as store:
        small_yeast.write(store)
        return select(store)


def test_the_heterograph_has_every_node_and_edge_of_the_genome(cohort):
    graph = to_dgl(cohort)
    genome = cohort.genome
    for kind in ("gene", "term", "complex"):
        assert graph.num_nodes(kind) == genome.n_node(kind)
    for relation in RELATIONS:
        source, name, target = relation.split(":")
        a, b = graph.edges(etype=(source, name, target), order="eid")
        edges = genome.edges[relation]
        assert np.array_equal(a.numpy(), edges.source)
        assert np.array_equal(b.numpy(), edges.target)
        weight = graph.edges[source, name, target].data["weight"].numpy()
        assert np.array_equal(weight, edges.weight)
    assert np.array_equal(graph.nodes["gene"].data["feature"].numpy(), genome.features)
    direct = graph.edges["annotated_with"].data["direct"].numpy()
    assert np.array_equal(direct, genome.direct)


def test_reversed_types_run_the_other_way_and_undirected_relations_have_none(cohort):
    graph = to_dgl(cohort)
    assert set(graph.canonical_etypes) == set(edge_types())
    for source, name, target in edge_types(reverse=False):
        if f"{source}:{name}:{target}" in UNDIRECTED:
            a, b = graph.edges(etype=name)
            pairs = set(zip(a.tolist(), b.tolist(), strict=True))
            assert pairs == {(y, x) for x, y in pairs}
            assert (target, f"rev_{name}", source) not in graph.canonical_etypes
        else:
            a, b = graph.edges(etype=(source, name, target), order="eid")
            back = graph.edges(etype=(target, f"rev_{name}", source), order="eid")
            assert (a.tolist(), b.tolist()) == (back[1].tolist(), back[0].tolist())


def test_a_message_passes_over_the_heterograph(cohort):
    dgl = import_dgl()
    import torch

    graph = to_dgl(cohort)
    graph.nodes["gene"].data["one"] = torch.ones(graph.num_nodes("gene"))
    graph.update_all(
        dgl.function.copy_u("one", "m"), dgl.function.sum("m", "n"), etype="annotated_with"
    )
    assert graph.nodes["term"].data["n"].tolist() == count_term_genes(cohort.genome).tolist()


def test_the_saved_heterograph_reads_back_equal(cohort, tmp_path):
    path = save_dgl(cohort, tmp_path / "genome.dgl")
    graph, again = to_dgl(cohort), load_dgl(path)
    assert graph.canonical_etypes == again.canonical_etypes
    for kind in graph.canonical_etypes:
        for a, b in zip(graph.edges(etype=kind), again.edges(etype=kind), strict=True):
            assert a.tolist() == b.tolist()
    assert again.nodes["term"].data["depth"].tolist() == measure_term_depth(cohort.genome).tolist()
    assert [p.name for p in tmp_path.iterdir()] == ["genome.dgl"]


def test_reading_a_heterograph_that_is_not_there_says_so(tmp_path):
    with pytest.raises(CohortError, match="no such file"):
        load_dgl(tmp_path / "genome.dgl")


def test_networkx_and_dgl_agree(cohort):
    graph, other = to_networkx(cohort), to_dgl(cohort, reverse=False)
    assert graph.number_of_nodes() == other.num_nodes()
    assert graph.number_of_edges() == other.num_edges()
    assert graph.nodes["YAL001C"] == {"kind": "gene", "symbol": "GEN1"}
    assert graph.edges["YAL001C", "GO:5", "annotated_with"]["direct"] is True
    assert graph.edges["YAL001C", "GO:1", "annotated_with"]["direct"] is False
    assert graph.edges["YAL002C", "YAL001C", "interacts_with"]["weight"] == pytest.approx(0.9)


@pytest.mark.parametrize("reverse", [True, False])
def test_pyg_and_dgl_have_the_same_nodes_and_edges(cohort, reverse):
    pytest.importorskip("torch_geometric")
    data, graph = to_pyg(cohort, reverse=reverse), to_dgl(cohort, reverse=reverse)
    assert {kind: data[kind].num_nodes for kind in data.node_types} == {
        kind: graph.num_nodes(kind) for kind in graph.ntypes
    }
    assert tuple(data.edge_types) == edge_types(reverse=reverse)
    assert set(data.edge_types) == set(graph.canonical_etypes)
    for kind in data.edge_types:
        source, target = graph.edges(etype=kind, order="eid")
        assert data[kind].edge_index.tolist() == [source.tolist(), target.tolist()]
        held = graph.edges[kind].data
        assert set(held) == set(data[kind].keys()) - {"edge_index"}
        for name, values in held.items():
            assert data[kind][name].dtype == values.dtype
            assert data[kind][name].tolist() == values.tolist()
    for kind, name, other in (
        ("gene", "x", "feature"),
        ("gene", "has_feature", "has_feature"),
        ("term", "size", "size"),
        ("term", "depth", "depth"),
    ):
        assert data[kind][name].tolist() == graph.nodes[kind].data[other].tolist()
    assert {tensor.device.type for tensor in data.weight_dict.values()} == {"cpu"}
    assert data.validate()


def test_without_pyg_the_message_says_what_to_do(cohort, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    monkeypatch.setitem(sys.modules, "torch_geometric.data", None)
    with pytest.raises(CohortError, match=r"pip install 'genograph\[pyg\]'") as caught:
        to_pyg(cohort)
    assert "\n" not in str(caught.value)


def test_a_term_is_as_deep_as_its_longest_way_up(cohort):
    depth = dict(
        zip(cohort.genome.term_ids, measure_term_depth(cohort.genome).tolist(), strict=True)
    )
    assert depth == {"GO:1": 0, "GO:2": 1, "GO:3": 1, "GO:4": 2, "GO:5": 3}


def test_terms_in_a_circle_are_refused(cohort):
    circle = Edges(np.array([0, 1]), np.array([1, 0]), np.ones(2, np.float32))
    genome = replace(cohort.genome, edges={**cohort.genome.edges, "term:is_a:term": circle})
    with pytest.raises(CohortError, match="circle"):
        to_dgl(replace(cohort, genome=genome))


def _python(code, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environment},
    )


def test_importing_dgl_writes_nothing_into_the_home_folder(tmp_path):
    code = "from genograph.heterograph import import_dgl; print(import_dgl().backend.backend_name)"
    done = _python(code, HOME=str(tmp_path))
    assert done.stdout.strip() == "pytorch", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_dgl_the_message_says_what_to_do(tmp_path):
    code = (
        "import sys; sys.modules['dgl'] = None\n"
        "from genograph.heterograph import import_dgl\n"
        "from genograph.errors import CohortError\n"
        "try: import_dgl()\n"
        "except CohortError as error: print(error)\n"
        "print('dgl.graphbolt' in sys.modules, 'torch' in sys.modules)"
    )
    done = _python(code, HOME=str(tmp_path))
    assert "pip install dgl==2.1.0" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "False False"
