"""Results on stdout (table, CSV, JSON, Parquet) and progress on stderr."""

import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import click

from genograph.errors import format_count

if TYPE_CHECKING:
    import pyarrow as pa

SILENT = 30.0
"""Seconds after which progress is told where there is no terminal, however little it is."""
FORMATS = ("table", "csv", "json", "parquet")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What makes a spreadsheet take a cell's text for a formula, after OWASP's CSV injection page."""

format_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--format",
    "style",
    type=click.Choice(FORMATS),
    default=None,
    help="How rows are written to stdout.  [default: table on a terminal, else csv]",
)
quiet_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--quiet", "-q", is_flag=True, help="No progress on stderr."
)


def show(rows: "pa.Table", style: str | None) -> None:
    """Write rows to stdout."""
    if style is None:
        style = "table" if sys.stdout.isatty() else "csv"
    if style == "table":
        _table(rows)
    elif style == "json":
        click.echo(json.dumps(_plain(rows.to_pylist()), indent=1))
    elif style == "csv":
        # click would take what looks like a colour out of the data
        click.echo(_csv(rows), nl=False, color=True)
    else:
        import pyarrow.parquet as pq

        raw = io.BytesIO()
        pq.write_table(rows, raw)
        sys.stdout.buffer.write(raw.getvalue())


def _plain(value: object) -> object:
    """A value as strict JSON knows it: not-a-number becomes null."""
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


def escape_controls(text: str) -> str:
    """The text with control characters escaped, so that a terminal obeys none of them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _csv(rows: "pa.Table") -> str:
    import csv

    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    # a lone carriage return is not quoted by itself, and ends a row where it is read
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in (rows.column_names, *(row.values() for row in rows.to_pylist())):
        cells = [_cell(value) for value in row]
        odd = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (quoting if odd else plain).writerow(cells)
    return text.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(_plain(value))
    if isinstance(value, str) and value.startswith(FORMULA):
        # a spreadsheet would run it as a formula
        return "'" + value
    return value


def _table(rows: "pa.Table") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    view = Table(box=None, header_style="bold", pad_edge=False)
    import pyarrow as pa

    for field in rows.schema:
        number = pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
        justify: Literal["left", "right"] = "right" if number else "left"
        view.add_column(Text(escape_controls(field.name)), justify=justify, overflow="fold")
    for row in rows.to_pylist():
        view.add_row(*(Text(_text(v)) for v in row.values()))
    # away from a terminal there is no width to keep to, and folded words are hard to search
    console = Console() if sys.stdout.isatty() else Console(width=10_000)
    console.print(view)
    click.echo(format_count(len(rows), "row"), err=True)


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    if isinstance(value, list):
        shown = ", ".join(_text(v) for v in value[:6])
        return shown + (f", … ({len(value)})" if len(value) > 6 else "")
    return escape_controls(str(value))


@contextmanager
def resumable(words: str) -> Iterator[None]:
    """Say what Ctrl-C leaves, and end with exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"interrupted; {words}", err=True)
        sys.exit(130)


@contextmanager
def progress(title: str, *, quiet: bool = False) -> Iterator[Callable[[float, str], None]]:
    """Show how far a long job is: a bar on a terminal, plain lines elsewhere, nothing if quiet.

    The block gets a function of the fraction done (0 to 1) and a few words.
    """
    if quiet:
        yield lambda fraction, words: None
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}% {task.fields[words]}", markup=False),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(title, total=1.0, words="")
            yield lambda fraction, words: bars.update(task, completed=fraction, words=words)
        return
    last, when = -1.0, 0.0

    def plain(fraction: float, words: str) -> None:
        nonlocal last, when
        now = time.monotonic()
        silent = now >= when + SILENT
        if fraction >= last + 0.1 or fraction >= 1.0 > last or silent:
            click.echo(f"{title}: {100 * fraction:3.0f}% {words}", err=True)
            last, when = fraction, now

    yield plain
