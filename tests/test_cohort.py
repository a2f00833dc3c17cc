import json
import re
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import pyarrow as pa
import pytest
import small_yeast
from hypothesis import given, settings
from hypothesis import strategies as st

from genograph.cohorts import (
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    Cohort,
    CohortQuery,
    Edges,
    Folds,
    Strains,
    Subgraph,
    list_experiments,
    load_cohort,
    read_genome,
    save_cohort,
    select,
)
from genograph.cohorts.folds import assign_gene_folds, assign_strain_folds, join_paralogs
from genograph.cypher import fence, lint
from genograph.database.ledger import make_source
from genograph.errors import CohortError
from genograph.exporting import export
from genograph.heterograph import to_networkx
from genograph.schema import names_sha256, parse_strain
from genograph.store import open_store
from genograph.tables import Table


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with open_store(tmp_path_factory.mktemp("cohort") / "yeast.db") as made:
        small_yeast.write(made)
        yield made


@pytest.fixture(scope="module")
def cohort(store) -> Cohort:
    return select(store)


@pytest.fixture
def fresh(tmp_path):
    """A database of its own, for tests that change it."""
    with open_store(tmp_path / "yeast.db") as made:
        small_yeast.write(made)
        yield made


def flags(**given):
    return CohortQuery.of(**given)


# ------------------------------------------------------------------ the arrays


def test_each_strain_carries_the_perturbations_that_its_id_spells(cohort):
    s, genes = cohort.strains, cohort.genome.gene_ids
    assert s.ids.to_pylist() == sorted(s.ids.to_pylist())
    for i, name in enumerate(s.ids.to_pylist()):
        part = slice(s.offsets[i], s.offsets[i + 1])
        wanted = [(p.gene_id, p.dose) for p in parse_strain(name)]
        found = [(genes[g], d) for g, d in zip(s.gene[part], s.dose[part], strict=True)]
        assert found == wanted


def test_single_points_at_the_strain_with_this_perturbation_alone(cohort):
    s = cohort.strains
    ids = s.ids.to_pylist()
    for i, name in enumerate(ids):
        for k, p in zip(range(s.offsets[i], s.offsets[i + 1]), parse_strain(name), strict=True):
            assert ids[s.single[k]] == str(p)


def test_the_same_pair_measured_twice_is_two_experiments_of_one_strain(cohort):
    row = cohort.strains.ids.to_pylist().index("YAL001C+YAL002C")
    twice = np.flatnonzero(cohort.fitness.strain == row)
    assert len(twice) == 2
    assert np.allclose(np.sort(cohort.fitness.value[twice]), [0.75, 0.82])


def test_what_was_not_reported_is_nan(cohort):
    first = cohort.fitness.strain == cohort.strains.ids.to_pylist().index("YAL001C")
    assert np.isnan(cohort.fitness.sd[first]).all()
    single = cohort.strains.n_perturbed[cohort.fitness.strain] == 1
    assert np.isnan(cohort.fitness.interaction[single]).all()
    assert np.allclose(cohort.fitness.interaction[~single], -0.1)


def test_vectors_stand_under_their_names(cohort):
    e = cohort.vectors["expression"]
    assert e.names == tuple(sorted(small_yeast.AXIS))
    assert e.unit == "log2 fold change"
    genes = cohort.genome.gene_ids
    assert [genes[g] if g >= 0 else None for g in e.gene] == [*small_yeast.GENES[:5], None]
    second = cohort.strains.ids.to_pylist()[e.strain[1]]
    values = dict(zip(e.names, e.values[1].tolist(), strict=True))
    assert second == "YAL004C"
    assert values == {n: 1 + 0.25 * k for k, n in enumerate(small_yeast.AXIS)}
    assert np.isnan(e.values[0]).sum() == 1
    assert cohort.vectors["morphology"].names == ("axis", "size")
    assert len(cohort.vectors["morphology"].gene) == 0


def test_annotations_reach_every_ancestor_but_never_from_a_not(cohort):
    g = cohort.genome
    up = nx.DiGraph([*small_yeast.IS_A, *small_yeast.PART_OF])
    wanted = {
        (gene, above)
        for gene, term, negated in small_yeast.ANNOTATIONS
        if not negated
        for above in {term, *nx.descendants(up, term)}
    }
    edges = g.edges["gene:annotated_with:term"]
    pairs = [(g.gene_ids[a], g.term_ids[b]) for a, b in zip(*edges[:2], strict=True)]
    assert set(pairs) == wanted
    assert len(pairs) == len(wanted)
    said = {(gene, term) for gene, term, negated in small_yeast.ANNOTATIONS if not negated}
    assert {p for p, direct in zip(pairs, g.direct, strict=True) if direct} == said
    assert "GO:6" not in g.term_ids  # no gene is under it
    under = defaultdict(set)
    for gene, term in wanted:
        under[term].add(gene)
    for (_, term), weight in zip(pairs, edges.weight, strict=True):
        assert weight == pytest.approx(1 - np.log(len(under[term])) / np.log(12), abs=1e-6)


def test_undirected_edges_run_both_ways_with_the_highest_score_and_no_loop(cohort):
    ids = cohort.genome.gene_ids
    edges = cohort.genome.edges["gene:interacts_with:gene"]
    found = {(ids[a], ids[b]): w for a, b, w in zip(*edges, strict=True)}
    wanted = {("YAL001C", "YAL002C"): 0.9, ("YAL002C", "YAL003C"): 1.0}
    assert found == pytest.approx(wanted | {(b, a): w for (a, b), w in wanted.items()})
    assert cohort.provenance["interacts_with_with_itself_left_out"] == 1


def test_a_gene_without_vectors_has_zeros_and_says_so(cohort):
    g = cohort.genome
    assert g.feature_names == ("kmer:upstream", "kmer:downstream")
    assert g.features.shape == (12, 8)
    assert g.has_features.tolist() == [True] * 10 + [False] * 2
    assert not g.features[~g.has_features].any()
    assert g.features[:10].all()


def test_a_gene_without_a_symbol_goes_by_its_id(cohort):
    assert cohort.genome.gene_symbols[-1] == "YCL004C"


# ------------------------------------------------------------------ sameness


def test_both_stores_give_the_same_bytes_in_whatever_order_they_were_filled(db, cohort):
    with open_store(db) as other:
        small_yeast.write(other, order=np.random.default_rng(5))
        found = select(other)
        assert found.sha256 == cohort.sha256
        for given in (
            {"go": ["GO:2"], "any_gene": True},
            {"study": ["costanzo2010"], "min_perturbed": 2, "max_sd": 0.15},
            {"gene": ["GEN1", "YAL002C"], "kind": ["deletion"]},
            {"complex": ["cyc:one"], "phenotype": ["fitness"], "max_p": 0.01},
        ):
            assert list_experiments(other, flags(**given)).num_rows > 0
        with pytest.raises(CohortError, match="--max-sd 1e-09 leaves none of 21 rows"):
            select(other, flags(phenotype=["fitness"], max_sd=1e-9))
        with pytest.raises(CohortError, match=r"WHERE e.value > \$low .* leaves none of 21 rows"):
            select(other, CohortQuery(EMPTIED, {"low": 2.0}))


EMPTIED = """\
MATCH (e:Experiment)-[:TESTS]->(s:Strain)
WHERE e.phenotype = 'fitness' AND e.value > $low
WITH e, s ORDER BY e.id LIMIT 5
RETURN e.id AS experiment
"""


def test_a_cohort_directory_reads_back_the_same(store, cohort, tmp_path):
    made = export(store, tmp_path / "cohort")
    assert made.sha256 == cohort.sha256
    again = load_cohort(tmp_path / "cohort")
    assert again.sha256 == cohort.sha256
    assert again.provenance == made.provenance
    assert again.strains.ids.equals(cohort.strains.ids)
    files = {p.name for p in (tmp_path / "cohort").iterdir()}
    assert files == {"manifest.json", "genome.safetensors", "labels.safetensors", "genome.dgl"}


def test_a_folder_that_is_not_empty_is_kept(store, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CohortError, match="not empty"):
        export(store, tmp_path, force=True)
    export(store, tmp_path / "cohort")
    with pytest.raises(CohortError, match="--force"):
        export(store, tmp_path / "cohort")
    export(store, tmp_path / "cohort", force=True)


@pytest.mark.parametrize("name", ["manifest.json", "genome.safetensors", "labels.safetensors"])
def test_a_damaged_cohort_is_refused(cohort, tmp_path, name):
    folder = save_cohort(cohort, tmp_path / "cohort")
    file = folder / name
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(CohortError, match="damaged"):
        load_cohort(folder)


def test_a_changed_cohort_does_not_match_its_hash(cohort, tmp_path):
    folder = save_cohort(cohort, tmp_path / "cohort")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["genes"][0] = "YAL001W"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CohortError, match="hash"):
        load_cohort(folder)


def test_experiments_come_out_as_a_data_frame(cohort):
    frame = cohort.to_pandas()
    assert list(frame.columns[:5]) == ["strain", "n_perturbed", "study", "fold", "n_unseen"]
    assert len(frame) == len(cohort.fitness) == 21
    row = frame[frame.strain == "YAL002C"].iloc[0]
    assert row.value == pytest.approx(0.94)
    assert cohort.to_pandas("expression").shape == (3, 5 + 6)
    with pytest.raises(CohortError, match="it has fitness, expression, morphology"):
        cohort.to_pandas("colour")


# ------------------------------------------------------------------ what is selected


def _under(term):
    up = nx.DiGraph([*small_yeast.IS_A, *small_yeast.PART_OF])
    below = {term, *nx.ancestors(up, term)}
    return {gene for gene, t, negated in small_yeast.ANNOTATIONS if t in below and not negated}


def _rows():
    """Every fitness experiment by hand: id, perturbed (gene, kind), value, s.d. (or epsilon's)."""
    for table in small_yeast.experiments():
        if table.type == "Experiment" and "value" in table.rows.column_names:
            for row in table.rows.to_pylist():
                name = row["id"].split(":", 2)[2].replace("x", "+")
                parts = parse_strain(name)
                sd = row["sd"] if row["sd"] is not None else row["interaction_sd"]
                yield row["id"], [(p.gene_id, p.kind) for p in parts], row["value"], sd


@pytest.mark.parametrize(
    ("given", "keep"),
    [
        ({"go": ["GO:2"]}, lambda p, v, s: all(g in _under("GO:2") for g, _ in p)),
        ({"go": ["GO:3", "GO:5"]}, lambda p, v, s: all(g in _under("GO:3") for g, _ in p)),
        (
            {"go": ["GO:2"], "any_gene": True},
            lambda p, v, s: any(g in _under("GO:2") for g, _ in p),
        ),
        (
            {"gene": ["GEN1", "YAL003C"]},
            lambda p, v, s: all(g in ("YAL001C", "YAL003C") for g, _ in p),
        ),
        ({"kind": ["ts"]}, lambda p, v, s: all(k == "ts" for _, k in p)),
        (
            {"kind": ["ts"], "gene": ["GEN1"], "any_gene": True},
            lambda p, v, s: any(k == "ts" and g == "YAL001C" for g, k in p),
        ),
        (
            {"complex": ["cyc:one", "cyc:two"]},
            lambda p, v, s: all(g in ("YAL001C", "YAL002C", "YCL001C") for g, _ in p),
        ),
        (
            {"go": ["GO:2"], "complex": ["cyc:one"], "gene": ["GEN2"]},
            lambda p, v, s: all(g == "YAL002C" for g, _ in p),
        ),
        ({"min_perturbed": 2}, lambda p, v, s: len(p) >= 2),
        ({"max_perturbed": 1}, lambda p, v, s: len(p) <= 1),
        ({"max_sd": 0.1}, lambda p, v, s: s is not None and s <= 0.1),
        (
            {"min_fitness": 0.8, "max_fitness": 0.9},
            lambda p, v, s: 0.8 <= v <= 0.9,
        ),
    ],
)
def test_flags_keep_what_a_plain_loop_keeps(store, given, keep):
    wanted = sorted(i for i, p, v, s in _rows() if keep(p, v, s))
    assert wanted
    found = list_experiments(store, flags(phenotype=["fitness"], **given))
    assert found["id"].to_pylist() == wanted


def test_the_printed_query_saved_as_a_file_selects_the_same(store, tmp_path):
    query = flags(study=["costanzo2010"], go=["GO:2"], max_sd=0.15, min_perturbed=2)
    file = tmp_path / "repair.cypher"
    file.write_text(query.text)
    again = CohortQuery.read(file)
    assert again.parameters == query.parameters
    assert again.text == query.text
    assert select(store, again).sha256 == select(store, query).sha256
    with pytest.raises(CohortError, match=r"WHERE coalesce.* \$max_sd = 0.001\) leaves none of 5"):
        select(store, CohortQuery.read(file, max_sd=0.001))


def test_the_queries_of_the_guide_are_what_it_says(store, tmp_path):
    guide = (Path(__file__).parents[1] / "docs" / "cohorts.md").read_text("utf-8")
    printed, by_hand = re.findall(r"```cypher\n(.*?)```", guide, re.DOTALL)
    assert flags(study=["costanzo2010"], go=["GO:0006281"], max_sd=0.1).text == printed
    file = tmp_path / "complex.cypher"
    file.write_text(by_hand)
    found = set(list_experiments(store, CohortQuery.read(file))["strain"].to_pylist())
    assert found == {"YAL001C+YAL002C", "YAL001C(ts:tsq1)+YAL002C"}
    assert all(lint(fence(text)) == () for text in (printed, by_hand))


def test_a_query_of_strains_stands_for_all_their_experiments(store):
    query = CohortQuery("MATCH (s:Strain {id: $id}) RETURN s.id AS strain", {"id": "YAL003C"})
    found = list_experiments(store, query)
    assert found["phenotype"].to_pylist() == ["fitness", "expression", "morphology"]


def test_a_query_may_return_an_experiment_many_times(store):
    text = (
        "MATCH (e:Experiment)-[:TESTS]->(s)-[:PERTURBS]->(g:Gene) RETURN e.id AS experiment, g.id"
    )
    assert len(list_experiments(store, CohortQuery(text))) == 28


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"study": ["nobody1999"]}, "--study nobody1999: there is none .* costanzo2010"),
        ({"go": ["GO:9"]}, "--go GO:9: there is none"),
        ({"gene": ["GEN1", "GEN99"]}, "--gene GEN99: there is none"),
        ({"complex": ["x"]}, "--complex x: there is none"),
        ({"environment": ["YPD"]}, "--environment YPD: there is none .*; choose one of SD_30C"),
        ({"go": ["GO:6"]}, "--go GO:6: no gene is annotated with it or below"),
        ({"min_perturbed": 3}, "--min-perturbed 3 leaves none of 28 rows"),
        ({"max_sd": 1e-9}, "--max-sd 1e-09 leaves none of 28 rows"),
        (
            {"phenotype": ["expression"], "max_sd": 0.1},
            "--max-sd 0.1 leaves none of 3 rows",
        ),
        ({"gene": ["GEN11"], "min_perturbed": 2}, "--min-perturbed 2 leaves none of 1 rows"),
        ({"go": ["GO:5"], "complex": ["cyc:two"]}, "--complex cyc:two leaves none of 2 rows"),
        ({"gene": ["GEN4"], "kind": ["ts"]}, "--kind ts leaves none of 2 rows"),
        (
            {"study": ["kemmeren2014"], "phenotype": ["morphology"]},
            "--study kemmeren2014 leaves none of 4 rows",
        ),
    ],
)
def test_an_empty_cohort_says_which_flag_emptied_it(store, given, words):
    with pytest.raises(CohortError, match=words):
        select(store, flags(**given))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            EMPTIED.replace("$low", "2.0"),
            r"WHERE e.value > 2.0 \(line 2, column 1\) leaves none of",
        ),
        (
            "MATCH (e:Experiment)-[:TESTS]->(s:Strain) MATCH (s)-[:PERTURBS]->(:Gene)"
            "-[:MEMBER_OF]->(c:Complex {id: 'x'}) RETURN e.id AS experiment",
            r"MATCH \(s\).*line 1, column 43\) leaves none of 28 rows",
        ),
        (
            "MATCH (s:Strain)-[:PERTURBS]->(g:Gene) WITH s, count(*) AS n WHERE n > 2 "
            "RETURN s.id AS strain",
            "WHERE n > 2 .* leaves none of 20 rows",
        ),
        ("MATCH (s:Strain) RETURN s.id AS strain LIMIT 0", "20 rows reach RETURN .* LIMIT 0"),
        (
            "MATCH (s:Strain {id: 'a'}) RETURN s.id AS strain UNION "
            "MATCH (s:Strain {id: 'b'}) RETURN s.id AS strain",
            "{id: 'a'}.* leaves nothing; and .*{id: 'b'}.* leaves nothing",
        ),
    ],
)
def test_an_empty_file_says_which_clause_emptied_it(store, text, words):
    with pytest.raises(CohortError, match=words):
        select(store, CohortQuery(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("MATCH (e:Experiment) RETURN e.id AS id", "returns id; .* named experiment or strain"),
        ("MATCH (e:Experiment) RETURN e.value AS experiment", "holds double"),
        ("MATCH (s:Strain) RETURN s.id AS experiment", "name no experiment, first"),
        ("MATCH (e:Experiment) SET e.value = 1 RETURN e.id AS experiment", "only reads"),
        ("MATCH (e:Experiment) RETURN e.id AS experiment; RETURN 1", "two statements"),
    ],
)
def test_a_query_that_selects_no_experiments_is_refused(store, text, words):
    with pytest.raises(CohortError, match=words):
        select(store, CohortQuery(text))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(CohortError, match=r"none\.cypher: cannot be read: No such file"):
        CohortQuery.read(tmp_path / "none.cypher")
    bad = tmp_path / "bad.cypher"
    bad.write_text("// :param low = 1\nRETURN $low AS experiment")
    with pytest.raises(CohortError, match=r"bad\.cypher, line 1: .*wanted // :param NAME => JSON"):
        CohortQuery.read(bad)
    bad.write_text("// :param low => 1\nRETURN $high AS experiment")
    with pytest.raises(CohortError, match=r"bad\.cypher: .*\$high has no value"):
        CohortQuery.read(bad)


def test_unknown_words_of_the_schema_list_the_choices():
    with pytest.raises(CohortError, match="fitness, expression, morphology"):
        flags(phenotype=["colour"])
    with pytest.raises(CohortError, match="deletion, damp"):
        flags(kind=["knockout"])


def test_single_mutants_of_the_selected_strains_are_added_and_counted(store):
    query = flags(gene=["GEN2", "GEN3", "GEN5"], min_perturbed=2)
    bare = select(store, query, singles=False)
    assert bare.strains.ids.to_pylist() == ["YAL002C+YBL001C"]
    assert bare.strains.single.tolist() == [-1, -1]
    full = select(store, query)
    assert full.strains.ids.to_pylist() == ["YAL002C", "YAL002C+YBL001C", "YBL001C"]
    assert full.provenance["experiments_of_single_mutants_added"] == 2
    assert full.provenance["experiments_selected"] == 1
    assert "expression" not in full.vectors


def test_a_cohort_names_the_loads_that_are_unfinished(fresh, caplog):
    begun = make_source("experiments_csv", 1, "mine.csv", "0" * 64, [], "")
    fresh.write(begun)
    rows = list_experiments(fresh)
    found = select(fresh)
    wanted = "1 load is unfinished (experiments_csv mine.csv): only a part of the data is here"
    assert [wanted in record.getMessage() for record in caplog.records] == [True, True]
    assert found.provenance["unfinished_loads"] == ["experiments_csv mine.csv"]
    # finished, nothing is said, and the same is selected
    fresh.write(
        Table.of("Source", {"id": begun.rows["id"].to_pylist(), "loaded": ["2020-01-01T00:00:00"]})
    )
    caplog.clear()
    whole = select(fresh)
    assert list_experiments(fresh).equals(rows)
    assert not caplog.records
    assert whole.provenance["unfinished_loads"] == []
    np.testing.assert_array_equal(whole.fitness.value, found.fitness.value)


def test_two_units_of_a_phenotype_are_refused_by_name(fresh):
    names = {"id": ["other:expression:YCL001C"]}
    fresh.write(Table.of("Study", {"id": ["other"]}))
    fresh.write(
        Table.of(
            "Experiment",
            names | {"phenotype": ["expression"], "unit": ["z-score"], "values": [[1.0] * 6]},
        )
    )
    fresh.write(Table.of("TESTS", {"from_id": names["id"], "to_id": ["YCL001C"]}))
    fresh.write(Table.of("FROM_STUDY", {"from_id": names["id"], "to_id": ["other"]}))
    held = fresh.query("MATCH (x:Axis {id: 'kemmeren2014:expression'}) RETURN x.names AS names")
    own = {"id": ["other:expression"], "phenotype": ["expression"], "unit": ["z-score"]}
    fresh.write(Table.of("Axis", own | {"names": held["names"].to_pylist()}))
    fresh.write(Table.of("ALONG", {"from_id": names["id"], "to_id": own["id"]}))
    with pytest.raises(CohortError, match=r"2 units of expression: log2.*kemmeren2014.*z-score"):
        select(fresh)
    assert len(select(fresh, flags(study=["other"])).vectors["expression"]) == 1


def test_a_vector_of_another_length_than_its_axis_is_refused(fresh):
    fresh.write(Table.of("Experiment", {"id": ["usaj2020:morphology:YAL001C"], "values": [[1.0]]}))
    with pytest.raises(CohortError, match=r"has 1 values, its axis .* has 2 names"):
        select(fresh)


def test_a_strain_without_its_perturbations_is_refused(fresh):
    fresh.write(Table.of("Strain", {"id": ["YCL009C"], "n_perturbed": [1]}))
    name = ["costanzo2010:fitness:YCL009C"]
    fresh.write(
        Table.of(
            "Experiment", {"id": name, "phenotype": ["fitness"], "unit": ["relative to wild type"]}
        )
    )
    fresh.write(Table.of("TESTS", {"from_id": name, "to_id": ["YCL009C"]}))
    with pytest.raises(CohortError, match="exactly one strain and one study"):
        select(fresh)
    fresh.write(Table.of("FROM_STUDY", {"from_id": name, "to_id": ["costanzo2010"]}))
    with pytest.raises(CohortError, match="first YCL009C, have no PERTURBS edge"):
        select(fresh)


def test_the_wild_type_is_a_strain_that_perturbs_nothing(fresh):
    fresh.write(Table.of("Strain", {"id": ["WT"], "n_perturbed": [0]}))
    name = ["costanzo2010:fitness:WT"]
    fresh.write(
        Table.of(
            "Experiment",
            {
                "id": name,
                "phenotype": ["fitness"],
                "unit": ["relative to wild type"],
                "value": [1.0],
            },
        )
    )
    fresh.write(Table.of("TESTS", {"from_id": name, "to_id": ["WT"]}))
    fresh.write(Table.of("FROM_STUDY", {"from_id": name, "to_id": ["costanzo2010"]}))
    cohort = select(fresh)
    row = cohort.strains.ids.to_pylist().index("WT")
    assert cohort.strains.n_perturbed[row] == 0
    assert cohort.strain_fold[row] == TRAIN


# ------------------------------------------------------------------ the genome


def test_a_model_of_embeddings_must_be_named_where_there_are_two(fresh):
    fresh.write(
        Table.of(
            "Embedding",
            {
                "id": ["YAL001C:upstream@other"],
                "model": ["other"],
                "dim": [2],
                "vector": [[1.0, 2.0]],
            },
        )
    )
    fresh.write(
        Table.of(
            "EMBEDDED_AS", {"from_id": ["YAL001C:upstream"], "to_id": ["YAL001C:upstream@other"]}
        )
    )
    with pytest.raises(CohortError, match="several models: kmer, other; name one"):
        select(fresh)
    with pytest.raises(CohortError, match="no embeddings of model esm; there are kmer, other"):
        select(fresh, embedding="esm")
    both = select(fresh, embedding=("other", "kmer")).genome
    assert both.feature_names == ("other:upstream", "kmer:upstream", "kmer:downstream")
    assert both.features[0, :2].tolist() == [1.0, 2.0]
    assert select(fresh, embedding="other").genome.has_features.sum() == 1
    assert select(fresh, embedding=()).genome.features.shape == (12, 0)


def test_vectors_of_windows_without_a_kind_are_refused_not_left_out(fresh):
    columns = {"id": ["w@other"], "model": ["other"], "dim": [1], "vector": [[1.0]]}
    fresh.write(Table.of("CRE", {"id": ["w"]}))
    fresh.write(Table.of("HAS_CRE", {"from_id": ["YAL001C"], "to_id": ["w"]}))
    fresh.write(Table.of("Embedding", columns))
    fresh.write(Table.of("EMBEDDED_AS", {"from_id": ["w"], "to_id": ["w@other"]}))
    with pytest.raises(CohortError, match="no vector of model other belongs to a gene's upstream"):
        select(fresh, embedding=("kmer", "other"))


def test_a_subgraph_holds_the_neighbourhood_and_leaves_out_what_perturbs_others(store, cohort):
    small = select(store, subgraph=Subgraph(genes=("GEN1",), hops=2))
    assert small.genome.gene_ids == ("YAL001C", "YAL002C", "YAL003C")
    assert set(small.strains.ids.to_pylist()) == {
        *("YAL001C", "YAL001C(ts:tsq1)", "YAL002C", "YAL003C", "YAL001C(ts:tsq1)+YAL002C"),
        *("YAL001C+YAL002C", "YAL001C+YAL003C"),
    }
    p = small.provenance
    assert p["strains_outside_subgraph_left_out"] == 20 - 7
    assert p["experiments"] + p["experiments_outside_subgraph_left_out"] == 28
    assert p["database_genes_sha256"] == names_sha256(cohort.genome.gene_ids)
    assert small.genome.genes_sha256 != cohort.genome.genes_sha256
    # what stays is weighted as in the whole
    whole = to_networkx(cohort)
    for a, b, name, data in to_networkx(small).edges(keys=True, data=True):
        assert data == whole.edges[a, b, name]
    assert small.vectors["expression"].gene.tolist() == [0, 1, 2, -1, -1, -1]


def test_a_subgraph_of_terms_holds_the_genes_under_them(store):
    small = select(store, subgraph=Subgraph(terms=("GO:4",)))
    assert set(small.genome.gene_ids) == _under("GO:4")
    assert small.genome.complex_ids == ("cyc:one",)


@pytest.mark.parametrize(
    ("subgraph", "words"),
    [
        (Subgraph(genes=("GEN77",)), "1 of the genes are not in the database, first GEN77"),
        (Subgraph(terms=("GO:9",)), "term GO:9 is not in the database"),
        (Subgraph(terms=("GO:6",)), "term GO:6 has no genes under it"),
    ],
)
def test_a_subgraph_of_what_is_not_there_is_refused(store, subgraph, words):
    with pytest.raises(CohortError, match=words):
        select(store, subgraph=subgraph)
    with pytest.raises(CohortError, match="hops"):
        Subgraph(hops=1)


def test_a_subgraph_without_any_selected_strain_says_so(store):
    with pytest.raises(CohortError, match="each of 1 experiments perturbs a gene outside"):
        select(
            store, flags(gene=["GEN5"], phenotype=["fitness"]), subgraph=Subgraph(genes=("GEN11",))
        )


def test_a_database_without_genes_says_what_to_do(tmp_path):
    with open_store(tmp_path / "empty.db") as empty:
        with pytest.raises(CohortError, match=r"empty: MATCH .* leaves nothing"):
            select(empty)
        with pytest.raises(CohortError, match="no genes; load them"):
            read_genome(empty)


# ------------------------------------------------------------------ folds

NAMES = tuple(f"Y{n:03d}C" for n in range(60))


def _strains(sets):
    lists = [sorted(s) for s in sets]
    return Strains(
        pa.array([str(i) for i in range(len(lists))], pa.string()),
        np.concatenate([[0], np.cumsum([len(x) for x in lists])]).astype(np.int64),
        np.array([g for x in lists for g in x], np.int64),
        np.zeros(sum(map(len, lists)), np.float32),
        np.full(sum(map(len, lists)), -1, np.int64),
    )


def _both(pairs):
    a = np.array([x for x, _ in pairs] + [y for _, y in pairs], np.int64)
    b = np.array([y for _, y in pairs] + [x for x, _ in pairs], np.int64)
    return Edges(a, b, np.ones(len(a), np.float32))


genes = st.integers(0, 59)
pairs = st.lists(
    st.tuples(genes, genes).filter(lambda p: p[0] != p[1]), min_size=0, max_size=12, unique=True
)


@settings(max_examples=60, deadline=None)
@given(pairs, st.lists(st.sets(genes, min_size=0, max_size=3), min_size=1, max_size=80), st.data())
def test_nothing_of_a_test_strain_is_seen_in_training(paralogs, sets, data):
    folds = Folds(seed=data.draw(st.integers(0, 50)))
    components = join_paralogs(60, _both(paralogs))
    gene_fold = assign_gene_folds(NAMES, components, folds)
    strains = _strains(sets)
    fold = assign_strain_folds(strains, NAMES, gene_fold, components, folds)
    # paralogous genes have one fold, and no trained strain has an unseen gene
    assert all(len(set(gene_fold[components.root == r])) == 1 for r in components.root)
    for s, f in zip(sets, fold, strict=True):
        unseen = {int(gene_fold[g]) for g in s} - {TRAIN}
        wanted = TEST if TEST in unseen else VALIDATION if unseen else f
        assert f == wanted
        assert f != TRAIN or not unseen
    # strains of the same components stand together
    together = defaultdict(set)
    for s, f in zip(sets, fold, strict=True):
        together[frozenset(int(components.root[g]) for g in s)].add(int(f))
    assert all(len(f) == 1 for f in together.values())
    # other strains beside it move no strain
    half = _strains(sets[::2])
    alone = assign_strain_folds(half, NAMES, gene_fold, components, folds)
    assert alone.tolist() == fold[::2].tolist()


def test_alleles_and_the_two_orders_of_a_pair_stand_together(cohort):
    fold = dict(zip(cohort.strains.ids.to_pylist(), cohort.strain_fold.tolist(), strict=True))
    assert fold["YAL001C"] == fold["YAL001C(ts:tsq1)"] == fold["YCL004C"]  # the last is a paralog
    assert fold["YAL001C+YAL002C"] == fold["YAL001C(ts:tsq1)+YAL002C"]


def test_fractions_are_met_and_seeds_differ():
    names = tuple(f"Y{n:05d}" for n in range(20_000))
    components = join_paralogs(20_000, _both([]))
    fold = assign_gene_folds(names, components, Folds())
    assert np.allclose(np.bincount(fold) / 20_000, [0.77, 0.08, 0.15], atol=0.01)
    other = assign_gene_folds(names, components, Folds(seed=1))
    both = ((fold == TEST) & (other == TEST)).mean()
    assert both == pytest.approx(0.15**2, abs=0.006)
    seen = np.flatnonzero(fold == TRAIN)
    strains = _strains([{int(a), int(b)} for a, b in pairwise(seen)])
    counts = np.bincount(assign_strain_folds(strains, names, fold, components, Folds()))
    assert np.allclose(counts / len(strains), [0.85, 0.05, 0.10], atol=0.01)


def test_no_component_joins_more_than_a_quarter_of_the_genes():
    chain = _both([(i, i + 1) for i in range(59)])
    weight = np.where(chain.source == 30, 0.1, 1.0).astype(np.float32)
    components = join_paralogs(60, chain._replace(weight=weight))
    sizes = np.bincount(components.root)
    assert sizes.max() == 15
    assert components.n_cut > 0
    assert len(np.unique(components.root)) == 1 + components.n_cut


@pytest.mark.parametrize(
    "given", [{"test_genes": -0.1}, {"test_genes": 0.6, "validation_genes": 0.4}]
)
def test_folds_that_leave_nothing_to_train_on_are_refused(given):
    with pytest.raises(CohortError, match="leave some for training"):
        Folds(**given)


def test_the_three_splits_part_the_test_strains_of_one_and_two_genes(cohort):
    half = replace(cohort, gene_fold=np.arange(12, dtype=np.int8) % 2 * TEST)
    test = np.full(len(cohort.strains), TEST, np.int8)
    half = replace(half, strain_fold=test)
    masks = [half.test_strains(split) for split in SPLITS]
    assert np.sum(masks, axis=0).tolist() == [1] * len(half.strains)
    with pytest.raises(CohortError, match="choose one of random"):
        half.test_strains("best")
