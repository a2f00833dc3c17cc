"""genograph load."""

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genograph.cli.database import db_option, open_db
from genograph.cli.ledger import rejects_folder, rejects_option, tell
from genograph.cli.output import format_option, resumable, show
from genograph.errors import SourceError

if TYPE_CHECKING:
    from genograph.loaders import Option, Source


@click.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("loader", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[FILE] [--OPTION VALUE]...")
@click.option(
    *("-h", "--help", "helping"),
    is_flag=True,
    help="Show this message, or what the loader reads and its options, and exit.",
)
@click.option("--list", "listing", is_flag=True, help="List the loaders and their options.")
@db_option
@rejects_option
@format_option
def load(
    loader: str | None,
    arguments: tuple[str, ...],
    helping: bool,
    listing: bool,
    db: str,
    rejects: Path | None,
    style: str | None,
) -> None:
    """Load one source file into the database and print what was done.

    LOADER names the file's format (see --list); its own options follow the file, and LOADER --help
    describes them. Loading a file twice changes nothing.

    \b
    Example:
      genograph load --list
      genograph load experiments_csv --help
      genograph load sgd_features SGD_features.tab.gz
      genograph load cre --fasta S288C.fa.gz
      genograph load expression_matrix tf.tsv.gz --study kemmeren2014 --unit "log2 fold change"
    """
    if helping and loader is None:
        context = click.get_current_context()
        click.echo(context.get_help(), color=context.color)
        return
    import pyarrow as pa

    from genograph import loaders
    from genograph.database import ingest

    if listing:
        rows = []
        for name in loaders.names():
            spec, _ = loaders.loader(name)
            options = ", ".join(
                f"--{option.replace('_', '-')}" + ("" if default is not None else " (required)")
                for option, (_, default) in spec.options.items()
            )
            rows.append(
                {
                    "loader": name,
                    "title": spec.title,
                    "format": spec.format,
                    "needs": ", ".join(spec.needs),
                    "options": options,
                }
            )
        show(pa.Table.from_pylist(rows), style)
        return
    if loader is None:
        msg = "wanted a loader and a file; `genograph load --list` shows the loaders"
        raise click.UsageError(msg)
    if loader.startswith("-"):
        msg = f"got the option {loader} before the loader; options of a loader follow its file"
        raise click.UsageError(msg)
    spec, read = loaders.loader(loader)
    if helping:
        click.echo(_describe(spec, sys.modules[read.__module__].__doc__ or ""))
        return
    file, settings = _split(arguments)
    if file is None and "fasta" in settings:
        file = str(settings.pop("fasta"))
    if file is None:
        msg = f"wanted the file that {loader} is to read"
        raise click.UsageError(msg)
    # names that the library's own parameters have are no option of a loader either
    spec.settings(settings)
    with resumable("the same command finishes it"), open_db(db, read_only=False) as store:
        tell(
            ingest.load(store, loader, Path(file), rejects=rejects_folder(rejects, db), **settings)
        )


def _describe(spec: "Source", text: str) -> str:
    """What a loader reads, in the form of a command's help."""
    described = click.HelpFormatter(width=88)
    described.write_usage("genograph load", f"{spec.name} FILE [--OPTION VALUE]...")
    described.write_paragraph()
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        described.write(paragraph + "\n\n")
    if spec.columns:
        with described.section("Columns"):
            described.write_dl(list(spec.columns.items()))
    rows = []
    for name, (words, default) in spec.options.items():
        shown = "required" if default is None else f"default: {default}" if default != "" else ""
        option = f"--{name.replace('_', '-')}"
        rows.append((option, words + (f"  [{shown}]" if shown else "")))
    if rows:
        with described.section("Options"):
            described.write_dl(rows)
    if spec.needs:
        described.write(f"\nNeeds in the database: {', '.join(spec.needs)}.\n")
    return described.getvalue().rstrip()


def _split(arguments: tuple[str, ...]) -> "tuple[str | None, dict[str, Option]]":
    """The file and the loader's options, from words such as FILE --name value --other=value."""
    file: str | None = None
    options: dict[str, Option] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if not equals:
                if not words:
                    msg = f"option --{name} needs a value"
                    raise click.UsageError(msg)
                value = words.pop(0)
            options[name.replace("-", "_")] = value
        elif word.startswith("-") and word != "-":
            msg = f"no such option: {word}; options of a loader are --NAME VALUE"
            raise click.UsageError(msg)
        elif file is None:
            file = word
        else:
            msg = f"got a second file, {word}; load one file at a time"
            raise SourceError(msg)
    return file, options
