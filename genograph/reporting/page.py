"""The report's page: plain HTML and CSS in one string, every name escaped, nothing loaded."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from genograph.cohorts import Cohort
from genograph.evaluation.scores import (
    CANARY,
    CEILINGS,
    MODEL,
    QUANTITIES,
    SPLIT_WORDS,
    Evaluation,
    Score,
)
from genograph.reporting.caveats import Doubt, interval
from genograph.reporting.figures import Picture
from genograph.run import Run

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1c1c1c; background: #fff;
  max-width: 1180px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; }
h2 { margin-top: 2.4rem; border-bottom: 1px solid #ccc; }
h3 { margin: 1.6rem 0 .3rem; font-size: 1.02rem; }
.headline { background: #eaf3f9; border-left: 5px solid #0072B2; padding: .8rem 1rem;
  font-size: 1.1rem; }
.grave { border-left: 5px solid #D55E00; background: #fdf0e8; }
.care { border-left: 5px solid #E69F00; background: #fdf8ea; }
.grave, .care { margin: .4rem 0; padding: .45rem .8rem; }
.grave::before { content: "Do not rely: "; font-weight: 600; }
.care::before { content: "Take care: "; font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .82rem; margin: .4rem 0 1rem; }
th, td { padding: .18rem .36rem; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 1px solid #999; }
thead tr:first-child th { border-bottom: 0; text-align: center; }
tr.model { background: #eaf3f9; font-weight: 600; } tr.ceiling { color: #777; font-style: italic; }
td.best { text-decoration: underline; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; }
figcaption, .small { color: #555; font-size: .86rem; }
code { font-size: .86em; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; }
"""


def page(
    run: Run,
    cohort: Cohort,
    evaluation: Evaluation,
    doubts: Sequence[Doubt],
    pictures: Sequence[Picture],
) -> str:
    """The whole HTML text."""
    headline = escape(evaluation.headline[:1].upper() + evaluation.headline[1:])
    made = f"{escape(run.folder.name)}, evaluated {escape(evaluation.created)}"
    body = [
        f"<h1>genograph run {escape(run.id)}</h1>",
        f'<p class="small">{made}</p>',
        f'<p class="headline">{headline}</p>',
        "<h2>When not to trust it</h2>",
        *_doubts(doubts),
        "<h2>Scores on strains that training never saw</h2>",
        *_tables(evaluation),
        "<h2>Pictures</h2>",
        *(_figure(each) for each in pictures),
        "<h2>What was scored, and how</h2>",
        *_notes(evaluation),
        "<h2>Run and cohort</h2>",
        _facts(run, cohort, evaluation),
        "<h3>Configuration</h3>",
        _list((name, str(value)) for name, value in sorted(run.config.model_dump().items())),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>genograph run {escape(run.id)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _doubts(doubts: Sequence[Doubt]) -> list[str]:
    if not doubts:
        return [
            "<p>None of the checks found a reason: the model beats every baseline in every split, "
            "its scores hold for unseen genes, enough strains were scored and its s.d. is "
            "calibrated. That is about strains like those of this cohort, in its conditions.</p>"
        ]
    return [
        f'<div class="{"grave" if doubt.grave else "care"}">{escape(doubt.text)}</div>'
        for doubt in doubts
    ]


def _tables(evaluation: Evaluation) -> list[str]:
    out = []
    for quantity, words in QUANTITIES.items():
        rows = [row for row in evaluation.rows if row.quantity == quantity]
        if not rows:
            continue
        out.append(f"<h3>{escape(words[:1].upper() + words[1:])}</h3>")
        out.append(_table(rows))
    out.append(
        '<p class="small">The best opponent or model of a split is underlined. – is undefined: a '
        "constant has no correlation (the mean; the multiplicative null's interaction score is 0 "
        "for every pair; on the training mean a centred profile is 0). Brackets: 95 % interval of "
        "the model's Pearson by Fisher's z. Italic rows are ceilings, not opponents.</p>"
    )
    return out


def _table(rows: Sequence[Score]) -> str:
    splits = [s for s in SPLIT_WORDS if any(row.split == s for row in rows)]
    models = list(dict.fromkeys(row.model for row in rows))
    held = {(row.model, row.split): row for row in rows}
    best = {}
    for split in splits:
        rivals = [r for r in rows if r.split == split and r.model not in (CANARY, *CEILINGS)]
        rivals = [r for r in rivals if not np.isnan(r.pearson)]
        best[split] = max(rivals, key=lambda r: r.pearson).model if rivals else ""
    top = "".join(f'<th colspan="4">{escape(SPLIT_WORDS[s])}</th>' for s in splits)
    second = "<th>Pearson</th><th>Spearman</th><th>RMSE</th><th>n</th>" * len(splits)
    lines = []
    for model in models:
        kind = "model" if model == MODEL else "ceiling" if model in CEILINGS else ""
        cells = []
        for split in splits:
            row = held.get((model, split))
            if row is None:
                cells.append("<td></td>" * 4)
                continue
            shown = _number(row.pearson)
            if model == MODEL and row.head == "fitness" and not np.isnan(row.pearson):
                low, high = interval(row)
                if not np.isnan(low):
                    shown += f" <small>[{low:.2f}, {high:.2f}]</small>"
            mark = ' class="best"' if best[split] == model else ""
            cells.append(
                f"<td{mark}>{shown}</td><td>{_number(row.spearman)}</td>"
                f"<td>{_number(row.rmse)}</td><td>{row.n:,}</td>"
            )
        lines.append(f'<tr class="{kind}"><td>{escape(model)}</td>{"".join(cells)}</tr>')
    return (
        f'<div class="wide"><table><thead><tr><th></th>{top}</tr><tr><th></th>{second}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _figure(each: Picture) -> str:
    return (
        f'<figure><h3>{escape(each.title)}</h3><img src="{each.data}" alt="{escape(each.title)}">'
        f"<figcaption>{escape(each.caption)}</figcaption></figure>"
    )


def _notes(evaluation: Evaluation) -> list[str]:
    fixed = (
        "Every baseline is fitted on the train fold; the validation fold chooses penalties and the "
        "number of trees. No strain of the train or validation fold is scored.",
        "Measured fitness of single mutants is known to the multiplicative null and, unless the "
        "run hides it, to gradient boosting and to the model where two or more genes are "
        "perturbed; never where the single mutant itself is predicted.",
        "Expression: correlation across genes within a strain, averaged over strains with signal; "
        "a constant prediction counts as 0. Morphology: correlation across strains of one "
        "parameter, averaged over parameters.",
    )
    items = "".join(f"<li>{escape(note)}.</li>" for note in evaluation.notes)
    return [
        "<ul>",
        "".join(f"<li>{escape(note)}</li>" for note in fixed),
        items,
        "</ul>",
    ]


def _facts(run: Run, cohort: Cohort, evaluation: Evaluation) -> str:
    genome, strains = cohort.genome, cohort.strains
    folds = [int((cohort.strain_fold == fold).sum()) for fold in range(3)]
    counts = [
        f"{name} {0 if held is None else len(held):,}"
        for name, held in (
            ("fitness", cohort.fitness),
            ("expression", cohort.expression),
            ("morphology", cohort.morphology),
        )
    ]
    manifest = run.manifest
    return _list(
        [
            ("folder", str(run.folder)),
            ("trained", f"{manifest['created']}, genograph {manifest['version']}"),
            ("device, engine", f"{manifest['device']}, {manifest['engine']}"),
            ("members", str(run.config.members)),
            ("cohort", f"{cohort.sha256}"),
            ("gene vocabulary", genome.genes_sha256),
            ("term vocabulary", genome.terms_sha256),
            *((name, digest) for name, digest in sorted(manifest["checkpoints"].items())),
            ("studies", ", ".join(cohort.studies)),
            (
                "genome",
                f"{len(genome.gene_ids):,} genes, {len(genome.term_ids):,} terms, "
                f"{len(genome.complex_ids):,} complexes, "
                f"{sum(len(e.source) for e in genome.edges.values()):,} edges",
            ),
            (
                "strains",
                f"{len(strains):,}: train {folds[0]:,}, validation {folds[1]:,}, "
                f"test {folds[2]:,}",
            ),
            ("experiments", ", ".join(counts)),
            ("evaluation took", f"{evaluation.seconds:.0f} s"),
            *((f"selected by: {k}", str(v)) for k, v in sorted(cohort.provenance.items())),
        ]
    )  # fmt: skip


def _list(pairs: Iterable[tuple[str, str]]) -> str:
    rows = (f"<dt>{escape(k)}</dt><dd><code>{escape(v)}</code></dd>" for k, v in pairs)
    return f"<dl>{''.join(rows)}</dl>"
