"""The schema: parsing, strain ids, generated pages and statements."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genograph.errors import SchemaError
from genograph.measurements import read_strain
from genograph.schema import Perturbation, can_spell, graph_schema, parse_strain, strain_id

ROOT = Path(__file__).parents[1]


def test_every_relationship_joins_declared_labels_and_keys_are_its_properties():
    schema = graph_schema()
    for rel in schema.relationships.values():
        assert rel.from_label in schema.nodes
        assert rel.to_label in schema.nodes
        assert set(rel.own_key) <= set(rel.properties)


def test_every_type_and_property_has_a_description():
    schema = graph_schema()
    for spec in (*schema.nodes.values(), *schema.relationships.values()):
        assert spec.description.endswith(".")
        assert all(p.description for p in spec.properties.values())


def test_the_committed_constraints_and_data_model_page_are_fresh():
    schema = graph_schema()
    statements = "".join(s + ";\n" for s in schema.neo4j_constraints())
    assert (ROOT / "schema" / "constraints.cypher").read_text("utf-8") == statements
    assert schema.markdown() in (ROOT / "docs" / "data-model.md").read_text("utf-8")


def test_an_unknown_type_lists_the_choices():
    with pytest.raises(SchemaError, match="Gene, CRE"):
        graph_schema().type("Gen")


def test_strain_ids_are_sorted_and_spell_kind_allele_and_dose():
    parts = [
        Perturbation.of("YBL003C", "ts", "tsq508"),
        Perturbation.of("YAL001C"),
        Perturbation.of("YBR001C", "overexpression", dose=1.5),
    ]
    assert strain_id(parts) == "YAL001C+YBL003C(ts:tsq508)+YBR001C(overexpression@1.5)"
    assert strain_id([]) == "WT"
    assert parse_strain("WT") == ()


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from(["YAL001C", "tY(GUA)J2", "tP(UGG)A", "15S_rRNA", "(a)b"]),
                st.text("Ya1-(),:\u0394", min_size=1, max_size=6).filter(can_spell),
            ),
            st.sampled_from(["deletion", "damp", "ts", "knockdown", "overexpression"]),
            st.sampled_from(["", "tsq508", "a-1"]),
            st.one_of(st.none(), st.floats(0.0, 2.0)),
        ),
        max_size=4,
        unique_by=lambda t: t[0],
    )
)
def test_a_strain_id_says_all_and_reads_back(parts):
    made = [Perturbation.of(g, k, a, None if k == "deletion" else d) for g, k, a, d in parts]
    assert strain_id(parse_strain(strain_id(made))) == strain_id(made)
    assert set(parse_strain(strain_id(made))) == set(made)
    spelled = read_strain(strain_id(made), lambda gene: gene)
    assert (strain_id(spelled.strain), spelled.unknown) == (strain_id(made), ())


@pytest.mark.parametrize("gene", ["WT", "", "A B", "A+B", "A@1", "tA(UGC)", "a(", ")a"])
def test_a_gene_that_a_strain_id_cannot_spell_is_refused(gene):
    assert not can_spell(gene)
    with pytest.raises(SchemaError, match="cannot spell the gene"):
        Perturbation.of(gene)
    with pytest.raises(SchemaError, match="cannot spell the allele"):
        Perturbation.of("YAL001C", "ts", "a+b")


@pytest.mark.parametrize(
    "text", ["", "YAL001C+", "YAL001C(", "YAL001C(gone)", "A B", "A(damp@x)", "+", "Y(ts:(a))"]
)
def test_what_is_no_strain_is_refused(text):
    with pytest.raises(SchemaError):
        parse_strain(text)


def test_doses_outside_the_range_and_repeats_are_refused():
    with pytest.raises(SchemaError, match="0 to 2"):
        Perturbation.of("YAL001C", "overexpression", dose=3.0)
    with pytest.raises(SchemaError, match="deletion has dose 0"):
        Perturbation.of("YAL001C", dose=0.5)
    with pytest.raises(SchemaError, match="twice"):
        strain_id([Perturbation.of("YAL001C"), Perturbation.of("YAL001C")])
