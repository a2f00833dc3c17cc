"""Units never mix: of no phenotype does a cohort pool two, whatever loader the rows came by."""

import re

import numpy as np
import pytest
import small_yeast

from genograph.cohorts import CohortQuery, select
from genograph.database.ingest import load
from genograph.errors import CohortError, SourceError
from genograph.measurements import RELATIVE
from genograph.store import open_store
from genograph.tables import Table

Z = "robust z-score"


@pytest.fixture
def store(tmp_path):
    """The small yeast: fitness, log2 expression and morphology."""
    with open_store(tmp_path / "yeast.db") as made:
        small_yeast.write(made)
        yield made


def flags(**given):
    return CohortQuery.of(**given)


def table(tmp_path, name="other.tsv", columns=("a", "b")):
    file = tmp_path / name
    rows = [("strain", *columns), ("YAL001C", *("0.5",) * len(columns)), ("YBL001C", "1", "2")]
    file.write_text("".join("\t".join(row) + "\n" for row in rows))
    return file


def write_other(store, tmp_path, phenotype):
    """Load measurements of a phenotype in z-scores, of the study other."""
    if phenotype == "expression":
        file = tmp_path / "other.tsv"
        file.write_text("gene\tYAL001C\tYBL001C\nYAL002C\t1.5\t-2\nYAL001C\t-3\t0.5\n")
        load(store, "expression_matrix", file, study="other", unit=Z)
    elif phenotype == "fitness":
        file = table(tmp_path)
        load(store, "phenotypes_matrix", file, study="other", unit=Z, columns="conditions")
    else:
        file = table(tmp_path)
        load(store, "phenotypes_matrix", file, study="other", unit=Z, phenotype=phenotype)


@pytest.mark.parametrize("phenotype", ["fitness", "expression", "morphology"])
def test_a_cohort_that_would_pool_two_units_is_refused(store, tmp_path, phenotype):
    before = select(store)
    write_other(store, tmp_path, phenotype)
    with pytest.raises(CohortError) as caught:
        select(store)
    message = str(caught.value)
    assert "\n" not in message
    assert f"pools 2 units of {phenotype}: " in message
    assert re.search(rf"{Z} \([24] of other\)", message)
    assert "select one with --unit" in message
    units = {"fitness": RELATIVE, "expression": "log2 fold change", "morphology": "z-score"}
    ours = select(store, flags(unit=list(units.values())))
    np.testing.assert_array_equal(ours.fitness.value, before.fitness.value)
    assert ours.studies == before.studies
    studies = [s for s in before.studies if s != "other"]
    again = select(store, flags(study=studies))
    np.testing.assert_array_equal(again.fitness.value, before.fitness.value)
    alone = select(store, flags(study=["other"]), singles=False)
    assert alone.studies == ("other",)


def test_singles_of_another_unit_are_not_added_to_pairs_but_counted(store, tmp_path):
    query = flags(study=["costanzo2010"])
    before = select(store, query)
    write_other(store, tmp_path, "fitness")
    after = select(store, query)
    np.testing.assert_array_equal(after.fitness.value, before.fitness.value)
    assert after.studies == before.studies
    assert before.provenance["experiments_of_single_mutants_in_another_unit_left_out"] == 0
    assert after.provenance["experiments_of_single_mutants_in_another_unit_left_out"] == 4


def test_singles_of_a_cohort_without_fitness_are_relative_to_the_wild_type(store, tmp_path):
    write_other(store, tmp_path, "fitness")
    cohort = select(store, flags(phenotype=["expression"]))
    assert "expression" in cohort.vectors
    if cohort.fitness is not None:
        assert "other" not in {cohort.studies[i] for i in cohort.fitness.study}
    z_scores = select(store, flags(study=["other"]))
    # the singles that are added are in the unit that is selected, so none of the other unit
    assert {z_scores.studies[i] for i in z_scores.fitness.study} == {"other"}


def test_traits_are_left_out_of_a_cohort_and_counted(store, tmp_path):
    before = select(store)
    write_other(store, tmp_path, "traits")
    after = select(store)
    assert after.provenance["experiments_of_phenotypes_not_carried_left_out"] == 2
    assert before.provenance["experiments_of_phenotypes_not_carried_left_out"] == 0
    assert after.strains.ids.equals(before.strains.ids)
    np.testing.assert_array_equal(
        after.vectors["morphology"].values, before.vectors["morphology"].values
    )
    with pytest.raises(CohortError, match=r"all 2 experiments are of traits, .*genograph query"):
        select(store, flags(phenotype=["traits"]))


def test_an_experiment_in_another_unit_than_its_axis_is_refused(store):
    store.write(Table.of("Axis", {"id": ["kemmeren2014:expression"], "unit": [Z]}))
    with pytest.raises(CohortError, match=r"in log2.* lie along the axis kemmeren2014.* in robust"):
        select(store)


def measured(tmp_path, unit, value="0.9", strain="YAL001C", name="m.csv"):
    file = tmp_path / name
    file.write_text(f"strain,value,unit\n{strain},{value},{unit}\n")
    return file


def test_a_measurement_is_not_replaced_by_one_in_another_unit(db, tmp_path):
    with open_store(db) as store:
        small_yeast.write(store)
        load(store, "experiments_csv", measured(tmp_path, RELATIVE), study="mine")
        per_hour = measured(tmp_path, "1/h", "0.41")
        message = (
            r"m.csv: 1 of its measurements are in the database in another unit, first "
            rf"mine:fitness:YAL001C in 1/h, there in {RELATIVE}; load them under a study"
        )
        before = store.counts()
        with pytest.raises(SourceError, match=message):
            load(store, "experiments_csv", per_hour, study="mine")
        assert store.counts() == before
        # other strains, or another study, are kept apart, and a cohort pools neither
        load(store, "experiments_csv", per_hour, study="rates")
        other = measured(tmp_path, "1/h", "0.40", "YAL002C", "more.csv")
        load(store, "experiments_csv", other, study="mine")
        wanted = r"1/h \(2 of mine, rates\); relative to wild type \(\d+ of .*mine.*select one with"
        with pytest.raises(CohortError, match=wanted):
            select(store, flags(phenotype=["fitness"]))
        # a corrected value in the same unit replaces the old one, as before
        load(store, "experiments_csv", measured(tmp_path, RELATIVE, "0.8"), study="mine")
        query = "MATCH (e:Experiment) WHERE e.id = 'mine:fitness:YAL001C' RETURN e.value AS v"
        assert store.query(query)["v"].to_pylist() == [0.8]
