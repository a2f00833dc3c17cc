"""The report's page: what the template `page.html.j2` shows, which escapes every name."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jinja2 import Environment, StrictUndefined

from genograph.cohorts import Cohort
from genograph.evaluation.scores import (
    CANARY,
    CEILINGS,
    MODEL,
    QUANTITIES,
    SPLIT_WORDS,
    VECTORS,
    Evaluation,
    Score,
)
from genograph.reporting.caveats import Caveat, find_interval
from genograph.reporting.figures import Picture
from genograph.run import Run
from genograph.schema import graph_schema

TEMPLATE = Path(__file__).with_name("page.html.j2")


class Cell(NamedTuple):
    """The scores of one model on one split.

    Attributes:
        row: the scores.
        best: whether no opponent and not the model has a higher Pearson.
        interval: 95 % interval of the Pearson; None where none is shown.
    """

    row: Score
    best: bool
    interval: tuple[float, float] | None


class Line(NamedTuple):
    """One model's line of a table: `kind` is model, ceiling or empty; a cell a split."""

    model: str
    kind: str
    cells: tuple[Cell | None, ...]


class ScoreTable(NamedTuple):
    """The table of one quantity; `splits` are in words."""

    quantity: str
    splits: tuple[str, ...]
    lines: tuple[Line, ...]


def render_page(
    run: Run,
    cohort: Cohort,
    evaluation: Evaluation,
    caveats: Sequence[Caveat],
    pictures: Sequence[Picture],
) -> str:
    """The whole HTML text."""
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"number": show_number, "sentence": begin_sentence}
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(
        run_id=run.id,
        run_name=run.folder.name,
        evaluation=evaluation,
        caveats=caveats,
        tables=list_tables(evaluation),
        pictures=pictures,
        vectors=[each for each in VECTORS if each.name in cohort.vectors],
        run_facts=list_facts(run, cohort, evaluation),
        configuration=list_settings(run),
    )


def list_settings(run: Run) -> list[tuple[str, str]]:
    """Every setting of the model and of its training, by `part.name`."""
    parts = run.config.model_dump(mode="json")
    return [
        (f"{part}.{name}", str(value))
        for part, settings in parts.items()
        for name, value in sorted(settings.items())
    ]


def list_tables(evaluation: Evaluation) -> list[ScoreTable]:
    """The table of each quantity that was scored, in the order of QUANTITIES."""
    tables = []
    for quantity, words in QUANTITIES.items():
        rows = [row for row in evaluation.rows if row.quantity == quantity]
        if rows:
            tables.append(_table(words, rows))
    return tables


def _table(words: str, rows: Sequence[Score]) -> ScoreTable:
    splits = [s for s in SPLIT_WORDS if any(row.split == s for row in rows)]
    models = list(dict.fromkeys(row.model for row in rows))
    by_place = {(row.model, row.split): row for row in rows}
    best = {}
    for split in splits:
        rivals = [r for r in rows if r.split == split and r.model not in (CANARY, *CEILINGS)]
        rivals = [r for r in rivals if not np.isnan(r.pearson)]
        best[split] = max(rivals, key=lambda r: r.pearson).model if rivals else ""
    lines = []
    for model in models:
        kind = "model" if model == MODEL else "ceiling" if model in CEILINGS else ""
        cells: list[Cell | None] = []
        for split in splits:
            row = by_place.get((model, split))
            if row is None:
                cells.append(None)
                continue
            interval = None
            if model == MODEL and row.head == "fitness":
                low, high = find_interval(row)
                interval = None if np.isnan(low) else (low, high)
            cells.append(Cell(row, best[split] == model, interval))
        lines.append(Line(model, kind, tuple(cells)))
    return ScoreTable(words, tuple(SPLIT_WORDS[s] for s in splits), tuple(lines))


def show_number(value: float) -> str:
    """A score with three decimals, a dash where it is undefined."""
    return "–" if np.isnan(value) else f"{value:.3f}"


def begin_sentence(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def list_facts(run: Run, cohort: Cohort, evaluation: Evaluation) -> list[tuple[str, str]]:
    """Names and values that say what was trained on what."""
    genome, strains = cohort.genome, cohort.strains
    folds = [int((cohort.strain_fold == fold).sum()) for fold in range(3)]
    counts = [
        f"{phenotype.name} {len(cohort.measured.get(phenotype.name, ())):,}"
        for phenotype in graph_schema().modelled
    ]
    record = run.record
    return [
        ("folder", str(run.folder)),
        ("trained", f"{record.created}, genograph {record.version}"),
        ("model", run.config.model.name),
        ("device", record.device),
        *((name.replace("_", " "), str(fact)) for name, fact in record.facts.items()),
        ("members", str(run.config.training.members)),
        ("cohort", f"{cohort.sha256}"),
        ("gene vocabulary", genome.genes_sha256),
        ("term vocabulary", genome.terms_sha256),
        *((name, digest) for name, digest in sorted(record.checkpoints.items())),
        ("studies", ", ".join(cohort.studies)),
        (
            "genome",
            f"{len(genome.gene_ids):,} genes, {len(genome.term_ids):,} terms, "
            f"{len(genome.complex_ids):,} complexes, "
            f"{sum(len(e.source) for e in genome.edges.values()):,} edges",
        ),
        (
            "strains",
            f"{len(strains):,}: train {folds[0]:,}, validation {folds[1]:,}, test {folds[2]:,}",
        ),
        ("experiments", ", ".join(counts)),
        ("evaluation took", f"{evaluation.seconds:.0f} s"),
        *((f"selected by: {k}", str(v)) for k, v in sorted(cohort.provenance.items())),
    ]
