"""Report: one page that loads nothing, escapes names, and names its caveats."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from evaluation_yeast import measured_predictions, small_cohort, small_run
from matplotlib.image import imread
from scipy import stats

from genograph.errors import RunError
from genograph.evaluation import Evaluation, Score, evaluate, score
from genograph.evaluation.scores import Calibration
from genograph.reporting import figures, report
from genograph.reporting.caveats import find_caveats, find_interval
from genograph.reporting.figures import running_median
from genograph.reporting.page import render_page
from genograph.reporting.pictures import draw_pictures, read_metrics


class Page(HTMLParser):
    """Tags, their attributes and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = small_run(tmp_path_factory.mktemp("report"))
    evaluate(run)
    return run


@pytest.fixture(scope="module")
def html(run):
    path = report(run)
    assert path == run.folder / "report.html"
    return path.read_text("utf-8")


def test_the_page_is_one_file_that_loads_nothing(html):
    found = Page(html)
    assert found.open == []
    names = {tag for tag, _ in found.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base"}
    for _, attributes in found.tags:
        for name in ("src", "href", "srcset", "action", "background"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not re.search(r"url\(|@import|https?://", html)


def test_every_picture_is_a_drawn_png(html):
    images = [a for tag, a in Page(html).tags if tag == "img"]
    assert len(images) >= 12
    for image in images:
        raw = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        pixels = imread(io.BytesIO(raw), format="png")
        assert min(pixels.shape[:2]) > 150
        assert 0.02 < (pixels[..., :3].min(axis=2) < 0.95).mean() < 0.8
        assert image["alt"]


def test_the_pictures_are_those_a_geneticist_expects(html):
    titles = [a["alt"] for tag, a in Page(html).tags if tag == "img"]
    for wanted in (
        "Model and baselines: interaction score of pairs",
        "Predicted against measured: interaction score",
        "Predictions by measured bin: interaction score, one gene unseen",
        "Residuals: interaction score, one gene unseen",
        "Calibration of the predicted s.d.: interaction score",
        "Predicted against measured: fitness",
        "Predicted against measured: expression (log2 fold change, centred)",
        "Predicted against measured: morphology (s.d. of training strains)",
        "Training",
    ):
        assert wanted in titles


def test_the_page_names_run_cohort_configuration_and_counts(run, html):
    words = " ".join(Page(html).words)
    cohort = run.cohort()
    for wanted in (
        run.id,
        cohort.sha256,
        cohort.genome.genes_sha256,
        next(iter(run.record.checkpoints.values())),
        "training.weight_decay",
        f"{len(cohort.strains):,}: train",
        "When not to trust it",
        "interaction score of pairs".capitalize(),
        "one gene unseen",
    ):
        assert wanted in words


def test_names_from_data_are_escaped(run, html):
    assert "MATCH (e:Experiment) <all>" in " ".join(Page(html).words)
    assert "<all>" not in html
    cohort = run.cohort()
    found = score(cohort, measured_predictions(cohort))
    row = found.rows[0]._replace(model='<script>alert("x")</script>')
    evil = replace(found, rows=(row,), notes=("<img src=x onerror=alert(1)>",))
    text = render_page(run, cohort, evil, [], [])
    assert "<script>" not in text
    assert "<img" not in text


def test_the_table_shows_undefined_as_a_dash_and_marks_the_best(html):
    text = html.split("<h3>Interaction score of pairs</h3>")[1].split("</table>")[0]
    null = text.split("multiplicative null</td>")[1].split("</tr>")[0]
    assert null.startswith("<td>–</td><td>–</td><td>0.0")
    assert text.count('class="best"') == 3


def test_a_run_that_was_not_evaluated_says_what_to_do(tmp_path):
    run = small_run(tmp_path)
    with pytest.raises(RunError, match="run: genograph evaluate"):
        report(run)


def test_a_report_of_another_cohort_is_refused(run):
    with pytest.raises(RunError, match="was trained on"):
        report(run, cohort=small_cohort(seed=3))


def test_metrics_are_read_by_column_and_damage_is_refused(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("member,step,loss,validation_fitness\n0,1,2.5,\n0,2,1.5,0.4\n")
    columns = read_metrics(path)
    assert list(columns["loss"]) == [2.5, 1.5]
    assert np.isnan(columns["validation_fitness"][0])
    path.write_text("member,step,loss\n0,1,many\n")
    with pytest.raises(RunError, match="damaged metrics"):
        read_metrics(path)
    assert read_metrics(tmp_path / "none.csv") == {}


def test_a_cohort_without_pairs_still_gets_its_pictures():
    cohort = small_cohort(pairs=False, repeats=False)
    predictions = measured_predictions(cohort)
    found = draw_pictures(cohort, score(cohort, predictions), predictions, {})
    titles = [each.title for each in found]
    assert "Predicted against measured: fitness of singles" in titles
    assert not any("interaction" in title for title in titles)


def test_a_running_median_follows_a_bend():
    x = np.linspace(0, 1, 400)
    centres, middle = running_median(x, np.abs(x - 0.5))
    assert len(centres) == 20
    np.testing.assert_allclose(middle, np.abs(centres - 0.5), atol=0.02)


# --------------------------------------------------------------------- caveats


def made(*rows, calibration=()):
    scores = tuple(
        Score("fitness", quantity, split, model, r, r, 0.1, n)
        for quantity, split, model, r, n in rows
    )
    return Evaluation(scores, tuple(calibration), (), "0" * 64, "2026-01-01T00:00:00+00:00", 1.0)


GOOD = (
    ("interaction_pairs", "random", "genograph", 0.70, 5000),
    ("interaction_pairs", "random", "gradient boosting", 0.60, 5000),
    ("interaction_pairs", "random", "ridge on random embeddings", 0.30, 5000),
    ("interaction_pairs", "one_gene_unseen", "genograph", 0.65, 5000),
    ("interaction_pairs", "one_gene_unseen", "gradient boosting", 0.50, 5000),
)
CALM = (Calibration("interaction_pairs", "random", 0.68, 0.95, 1.0, 1.0, 0.4, 5000),)


def texts(evaluation, columns=None):
    return " ".join(caveat.text for caveat in find_caveats(evaluation, columns or {}, {}))


def test_a_good_run_has_no_caveat():
    columns = {"wild_type_fitness": np.array([1.0, 1.0 + 1e-8])}
    assert find_caveats(made(*GOOD, calibration=CALM), columns, {"unfinished_loads": []}) == []


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (
            ("interaction_pairs", "one_gene_unseen", "gradient boosting", 0.66, 5000),
            "one gene unseen (gradient boosting 0.660, the model 0.650)",
        ),
        (
            ("interaction_pairs", "random", "ridge on random embeddings", 0.68, 5000),
            "ridge on random embeddings reaches 0.680",
        ),
        (("interaction_pairs", "one_gene_unseen", "genograph", 0.51, 5000), "falls from 0.700"),
        (("interaction_pairs", "one_gene_unseen", "genograph", 0.20, 5000), "mostly noise"),
        (
            ("interaction_pairs", "one_gene_unseen", "genograph", 0.65, 50),
            "50 with one gene unseen",
        ),
        (
            ("interaction_pairs", "one_gene_unseen", "systematic-name order", 0.40, 5000),
            "systematic-name order reaches 0.400",
        ),
        (("interaction_pairs", "random", "genograph", float("nan"), 5000), "do not vary"),
    ],
)
def test_each_weakness_is_named(row, wanted):
    rows = [row if row[:3] == old[:3] else old for old in GOOD]
    rows += [row] if row not in rows else []
    assert wanted in texts(made(*rows, calibration=CALM))


def test_an_overconfident_spread_is_named_with_the_factor():
    bold = Calibration("interaction_pairs", "random", 0.4, 0.7, 4.0, 2.5, 0.1, 5000)
    assert "70.0 % with genes seen, strain unseen, multiply it by 2.5" in texts(
        made(*GOOD, calibration=(bold,))
    )
    wide = Calibration("interaction_pairs", "random", 0.95, 1.0, 0.4, 0.4, 0.1, 5000)
    assert "too large" in texts(made(*GOOD, calibration=(wide,)))
    assert "no usable s.d." in texts(made(*GOOD))


def test_a_pearson_that_a_few_strains_make_is_named():
    rows = made(*GOOD, calibration=CALM)
    first = rows.rows[0]
    ranked = replace(rows, rows=(first._replace(spearman=0.23), *rows.rows[1:]))
    assert "far apart (0.70 beside 0.23 with genes seen" in texts(ranked)
    assert "far apart" not in texts(rows)


def test_of_few_strains_each_is_a_point_and_of_many_there_is_a_box(monkeypatch):
    axes, encode = [], figures.encode_picture

    def kept(figure, *words):
        axes.append(figure.axes[0])
        return encode(figure, *words)

    monkeypatch.setattr(figures, "encode_picture", kept)
    measured = np.concatenate([np.full(2, 0.1), np.full(40, 0.9)])
    points = figures.Points("random", measured, np.linspace(0, 1, 42), np.zeros(42))
    figures.draw_boxes(points, "fitness", (0.5, 1.0))
    (ax,) = axes
    assert [len(c.get_offsets()) for c in ax.collections] == [2]
    assert len([patch for patch in ax.patches if patch.get_path().vertices.shape[0] > 3]) == 1
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        "< 0.5\nn = 2",
        "0.5 to 1\nn = 40",
    ]


def test_a_cohort_of_unfinished_loads_is_grave():
    provenance = {"unfinished_loads": ["experiments_csv mine.csv"]}
    (found,) = find_caveats(made(*GOOD, calibration=CALM), {}, provenance)
    assert found.grave
    assert "unfinished (experiments_csv mine.csv)" in found.text


def test_a_wild_type_that_moves_and_missing_unseen_pairs_are_grave():
    found = find_caveats(
        made(*GOOD, calibration=CALM), {"wild_type_fitness": np.array([1.0, 1.01])}, {}
    )
    assert found[0].grave
    assert "departs from 1 by 1.0e-02" in found[0].text
    assert "nothing is known about interactions" in texts(made(*GOOD[:3], calibration=CALM))


def test_the_interval_is_fishers():
    row = Score("fitness", "fitness_pairs", "random", "genograph", 0.6, 0.6, 0.1, 103)
    low, high = find_interval(row)
    half = stats.norm.ppf(0.975) / 10
    assert low == pytest.approx(np.tanh(np.arctanh(0.6) - half), abs=1e-4)
    assert high == pytest.approx(np.tanh(np.arctanh(0.6) + half), abs=1e-4)
    assert np.isnan(find_interval(row._replace(n=3))).all()
