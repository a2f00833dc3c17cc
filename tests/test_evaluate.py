"""Evaluation: metrics by hand, no leak from test to baseline, splits, controls, the folder."""

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluation_yeast import N_GENE, N_TERM, measured_predictions, small_cohort, small_run
from scipy import stats

from genograph.cohorts import SPLITS, TEST, TRAIN, Vectors
from genograph.cohorts.ragged import take_strains
from genograph.errors import RunError, SourceError
from genograph.evaluation import (
    MODEL,
    Score,
    calibrate,
    evaluate,
    load_evaluation,
    load_predictions,
    predict_baseline,
    score,
)
from genograph.evaluation.baselines import (
    FoldRows,
    count_strain_genes,
    divide_folds,
    fit_boosting,
    fit_profile_baselines,
    fit_scalar_baselines,
    make_gene_vectors,
    make_pair_table,
)
from genograph.evaluation.pair_features import (
    PAIR_FEATURES,
    Networks,
    make_pair_features,
    neighbour_mean,
)
from genograph.evaluation.predictions import MeasuredPrediction, read_truth, save_predictions
from genograph.evaluation.profiles import SIGNAL_GENES, average_repeats, find_signal
from genograph.evaluation.scores import combine, measure_calibration, pearson, rmse, spearman
from genograph.prediction import predict
from genograph.run import Predicted


@pytest.fixture(scope="module")
def cohort():
    return small_cohort()


@pytest.fixture(scope="module")
def predictions(cohort):
    return measured_predictions(cohort)


@pytest.fixture(scope="module")
def evaluation(cohort, predictions):
    return score(cohort, predictions)


def only(predictions, *phenotypes):
    """The predictions of some phenotypes."""
    return {name: predictions[name] for name in phenotypes}


def changed(predictions, phenotype, **means):
    """The predictions of one phenotype, with other means of some of its quantities."""
    held = predictions[phenotype]
    quantities = {
        name: found._replace(mean=means.get(name, found.mean))
        for name, found in held.quantities.items()
    }
    return {phenotype: held._replace(quantities=quantities)}


# ---------------------------------------------------------------------- metrics


def test_correlations_and_rmse_equal_scipys_and_a_hand_count():
    x = np.array([1.0, 2.0, 3.0, 4.0, 4.0, 7.0])
    y = np.array([2.0, 1.0, 4.0, 3.0, 5.0, 5.0])
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert rmse(x, y) == pytest.approx(np.sqrt((1 + 1 + 1 + 1 + 1 + 4) / 6))


def test_a_constant_and_two_points_have_no_correlation():
    x = np.array([1.0, 2.0, 3.0])
    assert np.isnan(pearson(x, np.full(3, 0.1, np.float32)))
    assert np.isnan(spearman(np.ones(3), x))
    assert np.isnan(pearson(x[:2], x[:2]))
    assert np.isnan(rmse(x[:0], x[:0]))
    nearly = np.float32(0.9) + np.array([0, 1, 0], np.float32) * np.float32(6e-8)
    assert np.isnan(pearson(x, nearly))


def test_repeats_are_averaged_by_inverse_variance_and_copies_count_once():
    strain = np.array([0, 0, 1, 1, 1, 2, 3])
    value = np.array([1.0, 2.0, 5.0, 5.0, 8.0, np.nan, 4.0])
    sd = np.array([0.1, 0.2, 0.1, 0.1, np.nan, 0.1, np.nan])
    found = combine(strain, value, sd, 5)
    assert found.value[0] == pytest.approx((1 / 0.01 + 2 / 0.04) / (1 / 0.01 + 1 / 0.04))
    assert found.sd[0] == pytest.approx((1 / 0.01 + 1 / 0.04) ** -0.5)
    # the copy counts once, the missing s.d. is the median of those reported, 0.1
    assert found.value[1] == pytest.approx(6.5)
    assert list(found.n) == [2, 2, 0, 1, 0]
    assert found.copies == 1
    assert np.isnan(found.value[[2, 4]]).all()
    assert found.value[3] == 4.0
    assert np.isnan(found.sd[3])


def test_a_repeat_that_claims_no_error_does_not_decide_alone():
    found = combine(np.array([0, 0, 1]), np.array([1.0, 3.0, 1.0]), np.array([0.0, 0.1, 0.1]), 2)
    assert found.value[0] == pytest.approx((1 * 100 + 3) / 101)


def test_calibration_of_honest_and_of_overconfident_predictions():
    rng = np.random.default_rng(0)
    n = 4000
    truth, noise = rng.normal(size=n), np.full(n, 0.3)
    measured = truth + noise * rng.normal(size=n)
    spread = rng.uniform(0.1, 1.0, n)
    guess = truth + spread * rng.normal(size=n)
    honest = measure_calibration("fitness_pairs", "random", measured, noise, guess, spread)
    assert honest.within_1 == pytest.approx(0.683, abs=0.03)
    assert honest.within_2 == pytest.approx(0.954, abs=0.02)
    assert honest.z_sd == pytest.approx(1.0, abs=0.05)
    assert honest.stretch == pytest.approx(1.0, abs=0.05)
    assert honest.sd_error_spearman > 0.3
    bold = measure_calibration("fitness_pairs", "random", measured, noise * 0, guess, spread / 4)
    assert bold.within_2 < 0.7
    assert bold.stretch > 3
    assert (
        measure_calibration("fitness_pairs", "random", measured, noise, guess, spread * np.nan)
        is None
    )


# ---------------------------------------------------------------------- pair features


def test_pair_features_equal_plain_sets(cohort):
    genome, networks = cohort.genome, Networks(cohort.genome)
    rng = np.random.default_rng(2)
    genes = np.array([[0, 12], [0, 1], [3, 15], *rng.integers(0, N_GENE, (60, 2))])
    single = rng.uniform(0.5, 1, genes.shape).astype(np.float32)
    dose = np.zeros(genes.shape, np.float32)
    table = make_pair_features(networks, genes, dose, single)

    def around(relation, gene, *, reverse=False):
        edge = genome.edges[relation]
        source, target = (edge.target, edge.source) if reverse else (edge.source, edge.target)
        return {
            int(t): float(w)
            for s, t, w in zip(source, target, edge.weight, strict=True)
            if s == gene and w > 0
        }

    for row, (i, j), (fi, fj) in zip(table, genes, single, strict=True):
        held = dict(zip(PAIR_FEATURES, row.tolist(), strict=True))
        terms = [around("gene:annotated_with:term", g) for g in (i, j)]
        shared = set(terms[0]) & set(terms[1])
        assert held["shared_terms_specificity"] == pytest.approx(sum(terms[0][t] for t in shared))
        assert held["shared_term_most_specific"] == pytest.approx(0.6 if shared else 0)
        assert held["go_cosine"] == pytest.approx(1.0 if i % N_TERM == j % N_TERM else 0.0)
        assert held["single_product"] == pytest.approx(fi * fj)
        assert held["single_low"] == pytest.approx(min(fi, fj))
        partners = [set(around("gene:interacts_with:gene", g)) for g in (i, j)]
        assert held["shared_partners"] == len(partners[0] & partners[1])
        assert held["interacts"] == (j in partners[0])
        assert held["n_partner_high"] == max(map(len, partners))
        regulators = [set(around("gene:regulates:gene", g, reverse=True)) for g in (i, j)]
        targets = [set(around("gene:regulates:gene", g)) for g in (i, j)]
        assert held["shared_regulators"] == len(regulators[0] & regulators[1])
        assert held["shared_targets"] == len(targets[0] & targets[1])
        assert held["regulates"] == (j in targets[0] or i in targets[1])
        complexes = [set(around("gene:member_of:complex", g)) for g in (i, j)]
        assert held["same_complex"] == len(complexes[0] & complexes[1])
        assert held["paralogs"] == ({int(i), int(j)} in ({0, 12}, {1, 13}))
    assert table[0, PAIR_FEATURES.index("paralogs")] == 1
    assert table[2, PAIR_FEATURES.index("go_cosine")] == pytest.approx(1)


def test_the_two_orders_of_a_pair_have_equal_features(cohort):
    rng = np.random.default_rng(3)
    networks = Networks(cohort.genome)
    genes = rng.integers(0, N_GENE, (100, 2))
    single = rng.uniform(0.5, 1, genes.shape).astype(np.float32)
    dose = rng.uniform(0, 2, genes.shape).astype(np.float32)
    one = make_pair_features(networks, genes, dose, single)
    other = make_pair_features(networks, genes[:, ::-1], dose[:, ::-1], single[:, ::-1])
    np.testing.assert_allclose(one, other, rtol=1e-6)


def test_what_is_known_of_neighbours_leaves_the_gene_itself_out(cohort):
    networks = Networks(cohort.genome)
    known = np.full(N_GENE, np.nan)
    known[[0, 12, 24]] = [0.2, 0.6, 1.0]
    found = neighbour_mean(networks.term, known)
    assert found[0] == pytest.approx(0.8)
    assert found[36] == pytest.approx(0.6)
    assert np.isnan(found[1])
    partner = neighbour_mean(networks.partner, known)
    row = networks.partner[5].toarray().ravel()
    near = [g for g in (0, 12, 24) if row[g]]
    assert np.isnan(partner[5]) if not near else partner[5] == pytest.approx(known[near].mean())


# ---------------------------------------------------------------------- no leak


def test_test_measurements_never_reach_a_baseline(cohort):
    rows = np.flatnonzero(cohort.strains.n_perturbed == 2)
    fold = cohort.strain_fold[rows]
    folds = divide_folds(fold, fold == TEST)
    rng = np.random.default_rng(4)
    target = rng.normal(size=len(rows))
    other = np.where(fold == TEST, 1e3 * rng.normal(size=len(rows)), target)
    genes = count_strain_genes(cohort.strains, rows, N_GENE)
    vectors = make_gene_vectors(cohort.genome)
    table = make_pair_table(
        cohort, Networks(cohort.genome), rows, np.ones((len(rows), 2), np.float32)
    )
    one, two = (fit_scalar_baselines(t, folds, genes, vectors) for t in (target, other))
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(
        fit_boosting(table, target, folds), fit_boosting(table, other, folds)
    )
    changed = np.where(fold == TRAIN, rng.normal(size=len(rows)), target)
    assert not np.allclose(fit_boosting(table, target, folds), fit_boosting(table, changed, folds))


def test_test_profiles_never_reach_a_baseline(cohort):
    rows, values = average_repeats(cohort.vectors["morphology"])
    fold = cohort.strain_fold[rows]
    folds = divide_folds(fold, fold == TEST)
    genes = count_strain_genes(cohort.strains, rows, N_GENE)
    networks, vectors = Networks(cohort.genome), make_gene_vectors(cohort.genome)
    fitness = np.linspace(0.5, 1, len(rows))
    order = [str(name) for name in cohort.strains.ids.take(rows)]
    changed = values.copy()
    changed[fold == TEST] += 100
    one, two = (
        fit_profile_baselines(v, folds, genes, networks, vectors, fitness=fitness, order=order)
        for v in (values, changed)
    )
    assert len(one) == 6
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first.values, second.values)


def test_a_strain_of_training_or_validation_cannot_be_scored(cohort):
    fold = cohort.strain_fold
    with pytest.raises(AssertionError):
        divide_folds(fold, fold == TRAIN)
    folds = divide_folds(fold, fold == TEST)
    assert not set(folds.scored) & (set(folds.train) | set(folds.validation))


def test_what_is_predicted_for_training_strains_changes_no_score(cohort, predictions, evaluation):
    rows, quantities = predictions["fitness"]
    train = (cohort.strain_fold != TEST)[rows]
    garbage = {
        name: np.where(train, 99, found.mean).astype(np.float32)
        for name, found in quantities.items()
    }
    assert set(garbage) == {"fitness", "interaction"}
    other = score(cohort, changed(predictions, "fitness", **garbage))
    wanted = [row for row in evaluation.rows if row.head == "fitness"]
    assert [str(row) for row in other.rows] == [str(row) for row in wanted]


# ---------------------------------------------------------------------- the table


def test_each_split_scores_exactly_its_test_strains(cohort, evaluation):
    n = cohort.strains.n_perturbed
    for split in SPLITS:
        wanted = int((cohort.test_strains(split) & (n == 2)).sum())
        assert wanted > 10
        for model in (MODEL, "mean", "multiplicative null", "one-hot ridge", "gradient boosting"):
            assert evaluation.find("interaction_pairs", split, model).n == wanted
    assert evaluation.find("fitness_singles", "one_gene_unseen").n == 8
    assert evaluation.find("fitness_singles", "all_genes_unseen") is None


def test_the_models_row_equals_scipy_on_averaged_measurements(cohort, predictions, evaluation):
    held = cohort.test_strains("one_gene_unseen") & (cohort.strains.n_perturbed == 2)
    f = cohort.fitness
    measured = combine(f.strain, f.interaction, f.interaction_sd, len(cohort.strains)).value
    guess = predictions["fitness"].quantities["interaction"].mean
    wanted = stats.pearsonr(measured[held], guess[held]).statistic
    assert evaluation.find("interaction_pairs", "one_gene_unseen").pearson == pytest.approx(wanted)


def test_every_baseline_and_control_stands_beside_the_model(evaluation):
    scalar = {
        MODEL,
        "mean",
        "multiplicative null",
        "one-hot ridge",
        "ridge on embeddings",
        "ridge on random embeddings",
        "gradient boosting",
        "repeat measurement",
    }
    for quantity, split, wanted in (
        ("interaction_pairs", "one_gene_unseen", scalar),
        ("fitness_pairs", "random", scalar),
        (
            "expression",
            "one_gene_unseen",
            {MODEL, "mean", "slow-growth signature", "GO neighbours"},
        ),
        (
            "morphology",
            "one_gene_unseen",
            {MODEL, "mean", "GO neighbours", "systematic-name order"},
        ),
    ):
        found = {r.model for r in evaluation.rows if (r.quantity, r.split) == (quantity, split)}
        assert wanted <= found


def test_the_null_is_the_product_of_the_singles_and_predicts_no_interaction(cohort, evaluation):
    row = evaluation.find("interaction_pairs", "random", "multiplicative null")
    assert np.isnan(row.pearson)
    held = np.flatnonzero(cohort.test_strains("random") & (cohort.strains.n_perturbed == 2))
    f = cohort.fitness
    value = combine(f.strain, f.value, f.sd, len(cohort.strains)).value
    start = cohort.strains.offsets[held]
    product = value[cohort.strains.single[start]] * value[cohort.strains.single[start + 1]]
    found = evaluation.find("fitness_pairs", "random", "multiplicative null")
    assert found.pearson == pytest.approx(stats.pearsonr(value[held], product).statistic)
    assert found.rmse == pytest.approx(rmse(value[held], product))


def test_boosting_finds_planted_pathways_where_random_embeddings_cannot(evaluation):
    boosting = evaluation.find("interaction_pairs", "one_gene_unseen", "gradient boosting")
    random = evaluation.find("interaction_pairs", "one_gene_unseen", "ridge on random embeddings")
    assert boosting.pearson > 0.6
    assert abs(random.pearson) < 0.3
    assert evaluation.best_baseline("interaction_pairs", "one_gene_unseen") == boosting


def test_hidden_singles_are_hidden_from_boosting_too(cohort, predictions, evaluation):
    hidden = score(cohort, only(predictions, "fitness"), singles_hidden=True)
    key = ("interaction_pairs", "one_gene_unseen")
    assert hidden.find(*key, "gradient boosting") != evaluation.find(*key, "gradient boosting")
    assert hidden.find(*key) == evaluation.find(*key)


def test_the_headline_is_the_interaction_score_with_one_gene_unseen(evaluation):
    assert evaluation.headline_row.quantity == "interaction_pairs"
    assert evaluation.headline_row.split == "one_gene_unseen"
    assert evaluation.headline.startswith("interaction score of pairs, one gene unseen: Pearson 0.")
    assert "best baseline: gradient boosting" in evaluation.headline
    numbers = evaluation.headline_numbers
    assert numbers["interaction_pairs_one_gene_unseen_n"] == evaluation.headline_row.n


def test_without_pairs_the_best_available_is_the_headline_and_says_so():
    cohort = small_cohort(pairs=False, repeats=False)
    found = score(cohort, measured_predictions(cohort))
    assert found.headline_row.quantity == "fitness_singles"
    assert "no pairs with one gene unseen could be scored" in found.headline
    assert "the cohort has no pairs" in found.notes


def test_a_model_without_interactions_is_told_so_in_the_headline(cohort, predictions):
    fitness = predictions["fitness"].quantities["interaction"]
    flat = changed(predictions, "fitness", interaction=np.zeros_like(fitness.mean))
    found = score(cohort, flat)
    assert found.headline.startswith(
        "interaction score of pairs, one gene unseen: the model predicts one number for all 142"
    )
    assert "(best baseline: gradient boosting" in found.headline
    assert "stands in" not in found.headline
    assert set(found.headline_numbers) == {
        "interaction_pairs_one_gene_unseen_rmse",
        "interaction_pairs_one_gene_unseen_n",
        "interaction_pairs_one_gene_unseen_best_baseline_pearson",
    }


def test_a_pair_without_a_reported_score_gets_fitness_minus_the_null(cohort, predictions):
    f = cohort.fitness
    unscored = replace(f, interaction=np.full_like(f.interaction, np.nan))
    bare = replace(cohort, measured={**cohort.measured, "fitness": unscored})
    found = score(bare, only(predictions, "fitness"))
    row = found.find("interaction_pairs", "one_gene_unseen")
    assert row.n == 142
    assert any("have no reported interaction score" in note for note in found.notes)


def test_predictions_that_are_no_numbers_or_missing_are_refused(cohort, predictions):
    rows, quantities = predictions["fitness"]
    nothing = np.full_like(quantities["interaction"].mean, np.nan)
    diverged = changed(predictions, "fitness", interaction=nothing)
    with pytest.raises(RunError, match=r"interaction_pairs: the run predicts no number for \d+"):
        score(cohort, diverged)
    half = {n: Predicted(q.mean[::2], q.sd[::2], None) for n, q in quantities.items()}
    with pytest.raises(RunError, match=r"no prediction for \d+ of \d+ measured strains"):
        score(cohort, {"fitness": MeasuredPrediction(rows[::2], half)})


# ---------------------------------------------------------------------- vectors


def test_repeated_profiles_are_averaged_over_what_was_measured():
    values = np.array([[1, np.nan], [3, np.nan], [5, 6]], np.float32)
    vectors = Vectors(
        np.array([4, 4, 2]), np.zeros(3, np.int64), values, ("a", "b"), "x", np.array([], np.int64)
    )
    rows, mean = average_repeats(vectors)
    assert list(rows) == [2, 4]
    np.testing.assert_array_equal(mean, np.array([[5, 6], [2, np.nan]], np.float32))


def test_signal_is_four_genes_that_change_1_7_fold():
    values = np.zeros((3, 10), np.float32)
    values[0, :SIGNAL_GENES] = 0.77  # log2(1.7) = 0.7655
    values[1, :SIGNAL_GENES] = 0.76
    values[2, : SIGNAL_GENES - 1] = -5
    train = np.array([True, True, True])
    assert list(find_signal(values, train, "log2 fold change")) == [True, False, False]
    z = np.random.default_rng(0).normal(size=(50, 10)).astype(np.float32)
    z[0, :SIGNAL_GENES] = 3
    assert find_signal(z, np.ones(50, bool), "z-score")[0]


def test_the_perturbed_genes_own_column_is_not_scored(cohort, predictions, evaluation):
    rows, quantities = predictions["expression"]
    own = quantities["expression"].mean.copy()
    gene = cohort.strains.gene[cohort.strains.offsets[rows]]
    own[np.arange(len(own)), gene] = 1e6
    found = score(cohort, changed(predictions, "expression", expression=own))
    key = ("expression", "one_gene_unseen")
    assert found.find(*key) == evaluation.find(*key)


def test_the_training_mean_scores_nothing_when_centred(evaluation):
    row = evaluation.find("expression", "one_gene_unseen", "mean")
    assert np.isnan(row.pearson)
    assert evaluation.find("expression_profile", "one_gene_unseen", "mean").pearson > 0


def test_the_slow_growth_signature_is_exact_where_profiles_are_linear_in_fitness(cohort):
    rng = np.random.default_rng(5)
    rows, _ = average_repeats(cohort.vectors["morphology"])
    fitness = rng.uniform(0.5, 1, N_GENE)
    slope, base = rng.normal(size=8), rng.normal(size=8)
    values = (base + np.outer(1 - fitness, slope)).astype(np.float32)
    fold = cohort.strain_fold[rows]
    folds = divide_folds(fold, fold == TEST)
    found = fit_profile_baselines(
        values,
        folds,
        count_strain_genes(cohort.strains, rows, N_GENE),
        Networks(cohort.genome),
        make_gene_vectors(cohort.genome),
        fitness=fitness,
    )
    slow = {b.model: b.values for b in found}["slow-growth signature"]
    np.testing.assert_allclose(slow, values[folds.scored], atol=1e-5)


def test_go_neighbours_average_the_strains_of_the_same_process(cohort):
    rows, values = average_repeats(cohort.vectors["morphology"])
    gene = cohort.strains.gene[cohort.strains.offsets[rows]]
    fold = cohort.strain_fold[rows]
    folds = divide_folds(fold, fold == TEST)
    found = fit_profile_baselines(
        values,
        folds,
        count_strain_genes(cohort.strains, rows, N_GENE),
        Networks(cohort.genome),
        make_gene_vectors(cohort.genome),
    )
    neighbours = {b.model: b.values for b in found}["GO neighbours"]
    for guess, at in zip(neighbours, folds.scored, strict=True):
        mates = [t for t in folds.train if gene[t] % N_TERM == gene[at] % N_TERM]
        wanted = values[mates].mean(axis=0) if mates else values[folds.train].mean(axis=0)
        np.testing.assert_allclose(guess, wanted, atol=1e-5)


def test_the_canary_sees_a_drift_along_systematic_names_that_go_does_not():
    cohort = small_cohort(pairs=False, repeats=False)
    rng = np.random.default_rng(6)
    place = np.arange(N_GENE)  # rows are sorted by systematic name
    wave = np.sin(place[:, None] / 12 + np.arange(4))
    values = (wave + 0.2 * rng.normal(size=wave.shape)).astype(np.float32)
    vectors = Vectors(
        place, np.zeros(N_GENE, np.int64), values, tuple("abcd"), "x", np.array([], np.int64)
    )
    cohort = replace(cohort, measured={**cohort.measured, "morphology": vectors})
    found = score(cohort, measured_predictions(cohort))
    canary = found.find("morphology", "one_gene_unseen", "systematic-name order")
    assert canary.pearson > 0.6
    assert found.find("morphology", "one_gene_unseen", "GO neighbours").pearson < 0.3
    # however high, a canary is no opponent
    assert found.best_baseline("morphology", "one_gene_unseen").model != canary.model


def test_a_flat_parameter_is_left_out_and_counted(evaluation):
    assert "morphology: 1 of 6 parameters do not vary" in "\n".join(evaluation.notes)


# ---------------------------------------------------------------------- files


def test_an_evaluation_reads_back_as_it_was_written(evaluation, tmp_path):
    evaluation.save(tmp_path / "evaluation.json")
    back = load_evaluation(tmp_path / "evaluation.json")
    assert str(back) == str(evaluation)
    assert back.headline == evaluation.headline
    frame = back.to_pandas()
    assert list(frame.columns) == list(Score._fields)
    assert len(frame) == len(evaluation.rows)


def test_predictions_read_back_and_only_with_their_cohort(cohort, predictions, tmp_path):
    path = tmp_path / "predictions.safetensors"
    save_predictions(predictions, cohort, path)
    back = load_predictions(path, cohort)
    assert list(back) == list(predictions) == ["fitness", "expression", "morphology"]
    for phenotype, one in predictions.items():
        two = back[phenotype]
        np.testing.assert_array_equal(one.rows, two.rows)
        assert list(one.quantities) == list(two.quantities)
        for name, wanted in one.quantities.items():
            found = two.quantities[name]
            np.testing.assert_array_equal(wanted.mean, found.mean)
            np.testing.assert_array_equal(wanted.sd, found.sd)
            assert wanted.names == found.names
    with pytest.raises(RunError, match="of another cohort"):
        load_predictions(path, small_cohort(seed=7))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="damaged predictions"):
        load_predictions(path, cohort)
    for kind in ("F8_E4M3", "BF16"):  # numbers that NumPy has not
        header = json.dumps({"x": {"dtype": kind, "shape": [0], "data_offsets": [0, 0]}}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(RunError, match="damaged predictions"):
            load_predictions(path, cohort)


def test_a_run_without_evaluation_says_what_to_do(tmp_path, cohort):
    with pytest.raises(RunError, match="run: genograph evaluate"):
        load_evaluation(tmp_path / "evaluation.json")
    with pytest.raises(RunError, match="run: genograph evaluate"):
        load_predictions(tmp_path / "predictions.safetensors", cohort)
    (tmp_path / "evaluation.json").write_text('{"rows": [{"head": 1}]}')
    with pytest.raises(RunError, match="damaged evaluation"):
        load_evaluation(tmp_path / "evaluation.json")


def test_some_strains_of_a_cohort_keep_their_genes(cohort):
    rows = np.array([5, 0, 77])
    some = take_strains(cohort.strains, rows)
    for at, row in enumerate(rows):
        mine = slice(*some.offsets[at : at + 2])
        whole = slice(*cohort.strains.offsets[row : row + 2])
        np.testing.assert_array_equal(some.gene[mine], cohort.strains.gene[whole])
        np.testing.assert_array_equal(some.single[mine], cohort.strains.single[whole])
        assert some.ids[at] == cohort.strains.ids[int(row)]


def test_true_values_are_a_ceiling_row_aligned_by_name(cohort, predictions, tmp_path):
    held = cohort.strains.ids.to_pylist()
    n = cohort.strains.n_perturbed
    f = cohort.fitness
    value = combine(f.strain, f.value, f.sd, len(held)).value
    epsilon = combine(f.strain, f.interaction, f.interaction_sd, len(held)).value
    one, two = np.flatnonzero(n == 1)[::-1], np.flatnonzero(n == 2)[::-1]
    genes = np.array(cohort.genome.gene_ids)
    np.savez(
        tmp_path / "truth.npz",
        single_strain=np.array(held)[one],
        single_fitness=value[one],
        pair_strain=np.array(held)[two],
        pair_fitness=value[two],
        pair_interaction=epsilon[two],
        expression_strain=genes[:3],
        gene=genes,
        expression=np.arange(3 * N_GENE).reshape(3, N_GENE),
        morphology_strain=genes[:0],
        morphology_parameter=np.array(cohort.vectors["morphology"].names),
        morphology=np.zeros((0, 6)),
    )
    truth = read_truth(tmp_path, cohort)
    np.testing.assert_array_equal(truth.interaction, epsilon)
    np.testing.assert_array_equal(truth.fitness, value)
    assert truth.vectors["expression"][held.index(genes[2]), 5] == 2 * N_GENE + 5
    found = score(cohort, only(predictions, "fitness"), truth=truth)
    row = found.find("interaction_pairs", "one_gene_unseen", "true values")
    assert row.pearson == pytest.approx(1)
    assert found.best_baseline("interaction_pairs", "one_gene_unseen").model != "true values"
    few = {name: array for name, array in np.load(tmp_path / "truth.npz").items()}
    few["pair_strain"] = np.char.add(few["pair_strain"], "x")
    np.savez(tmp_path / "other.npz", **few)
    with pytest.raises(SourceError, match=r"knows 60 of the cohort's .* another simulation"):
        read_truth(tmp_path / "other.npz", cohort)
    with pytest.raises(SourceError, match="no such file"):
        read_truth(tmp_path / "nowhere.npz", cohort)
    (tmp_path / "bad.npz").write_bytes(b"not a zip")
    with pytest.raises(SourceError, match="holds no true values"):
        read_truth(tmp_path / "bad.npz", cohort)


def test_a_trained_run_is_evaluated_into_its_folder(tmp_path):
    run = small_run(tmp_path)
    told = []
    found = evaluate(run, report=lambda done, words: told.append(done))
    assert found.find("interaction_pairs", "one_gene_unseen").n == 142
    assert found.find("expression", "one_gene_unseen").n > 0
    assert found.calibration
    assert found.cohort_sha256 == run.record.cohort_sha256
    assert told[-1] == 1.0
    assert told == sorted(told)
    held = run.cohort()
    kept = load_predictions(run.folder / "predictions.safetensors", held)
    again = score(held, kept, seed=run.config.training.seed)
    assert [str(r) for r in again.rows] == [str(r) for r in found.rows]
    assert str(load_evaluation(run.folder / "evaluation.json")) == str(found)
    with pytest.raises(RunError, match="was trained on"):
        evaluate(run, cohort=small_cohort(seed=9))
    _check_baseline(run, held, found)
    _check_calibrated(run, held, found)


def _check_baseline(run, held, found):
    """Boosting says the same of test strains that are asked for as of those that are scored."""
    strains = held.strains
    f = held.fitness
    value = combine(f.strain, f.interaction, f.interaction_sd, len(strains)).value
    for split in ("random", "one_gene_unseen"):
        of_split = held.test_strains(split) & (strains.n_perturbed == 2)
        rows = np.flatnonzero(of_split & np.isfinite(value))
        asked = predict_baseline(run, take_strains(strains, rows), cohort=held)
        guess = asked["interaction"].mean.astype(np.float64)
        row = found.find("interaction_pairs", split, "gradient boosting")
        assert len(rows) == row.n
        assert pearson(value[rows], guess) == pytest.approx(row.pearson, abs=1e-5)
    # nobody measured these; the wild type is 1 by definition, and of triples trees say nothing
    a, b, c = held.genome.gene_ids[:3]
    few = predict_baseline(run, [f"{a}(damp)+{b}(damp)", a, f"{a}+{b}+{c}", "WT"])
    fitness = dict(zip(few.strain_ids.to_pylist(), few["fitness"].mean.tolist(), strict=True))
    assert fitness["WT"] == 1.0
    assert np.isnan(fitness[f"{a}+{b}+{c}"])
    assert np.isfinite(list(fitness.values())).sum() == 3
    assert np.isnan(few["interaction"].sd).all()


def _check_calibrated(run, held, found):
    """An s.d. is stretched by the factor of strains of its own kind."""
    pairs = (held.strains.n_perturbed == 2) & held.test_strains("one_gene_unseen")
    some = take_strains(held.strains, np.flatnonzero(pairs)[:5])
    predicted = predict(run, some, cohort=held, heads=("fitness",))
    honest = calibrate(predicted, some, held, found)
    for name, quantity in (("interaction", "interaction_pairs"), ("fitness", "fitness_pairs")):
        (factor,) = (
            each.stretch
            for each in found.calibration
            if (each.quantity, each.split) == (quantity, "one_gene_unseen")
        )
        np.testing.assert_allclose(honest[name], predicted[name].sd * factor, rtol=1e-6)
    unknown = calibrate(predicted, some, held, replace(found, calibration=()))
    assert not unknown


def test_folds_of_few_strains_leave_fitted_baselines_out_and_say_so():
    cohort = small_cohort(pairs=False, repeats=False)
    fold = np.full(N_GENE, TEST, np.int8)
    fold[:4] = TRAIN
    cohort = replace(cohort, strain_fold=fold)
    found = score(cohort, only(measured_predictions(cohort), "fitness"))
    assert {row.model for row in found.rows} == {MODEL}
    assert any("4 training strains" in note for note in found.notes)


def test_without_validation_strains_the_baselines_still_fit():
    rng = np.random.default_rng(8)
    table = rng.normal(size=(200, 3)).astype(np.float32)
    target = 2 * table[:, 0].astype(np.float64)
    folds = FoldRows(np.arange(150), np.array([], np.int64), np.arange(150, 200))
    assert pearson(fit_boosting(table, target, folds), target[150:]) > 0.8
