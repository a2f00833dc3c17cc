"""The command line: a thin skin over the functions of `import genograph`.

One module a verb. A command parses, makes one library call and prints: data on stdout, progress
and errors on stderr. The only room that imports click, and where runs and databases meet.
"""

import inspect
import sys
from importlib.metadata import version

import click

from genograph.cli.build import build
from genograph.cli.cohort import cohort
from genograph.cli.cre import cre
from genograph.cli.db import db
from genograph.cli.demo import demo
from genograph.cli.evaluate import evaluate
from genograph.cli.export import export
from genograph.cli.find import find
from genograph.cli.load import load
from genograph.cli.output import escape_controls
from genograph.cli.predict import predict
from genograph.cli.query import query
from genograph.cli.report import report
from genograph.cli.schema import schema
from genograph.cli.simulate import simulate
from genograph.cli.template import template
from genograph.cli.train import train
from genograph.errors import GenographError


class _InOrder(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which they are used, not sorted."""
        return list(self.commands)


HELP = {"help_option_names": ["-h", "--help"]}


@click.group(cls=_InOrder, context_settings=HELP)
@click.version_option(version("genograph"), prog_name="genograph")
def cli() -> None:
    """Model a genome from its graph database: load, select, train, predict, read back.

    \b
    Example:
      genograph demo
      genograph build sources.toml --db yeast.db
      genograph export --db yeast.db -o cohort/
      genograph train cohort/ -o run/
      genograph predict run/ --strains pairs.csv --write --db yeast.db
    """


VERBS = (
    demo,
    simulate,
    template,
    load,
    build,
    cre,
    query,
    find,
    cohort,
    export,
    train,
    evaluate,
    predict,
    report,
    schema,
    db,
)
for verb in VERBS:
    cli.add_command(verb)


def _finish(command: click.Command) -> None:
    """Show a help text's example after the options, and the help for -h, of all commands."""
    text = inspect.cleandoc(command.help or "")
    before, mark, example = text.partition("\b\nExample:")
    if mark:
        command.help, command.epilog = before.rstrip(), mark + example
    command.context_settings.update(HELP)
    if isinstance(command, click.Group):
        for part in command.commands.values():
            _finish(part)


_finish(cli)


def main() -> None:
    """Run the command line; exit 0, 1 for an error of input, 2 for usage, 130 for Ctrl-C."""
    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except GenographError as error:
        click.echo(f"error: {escape_controls(str(error))}", err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # the reader of a pipe went away (| head); say nothing, as other tools do
        sys.stderr.close()
        sys.exit(141)
    except OSError as error:
        # a full disk, a folder for reading only
        where = f"{error.filename}: " if error.filename is not None else ""
        click.echo(f"error: {escape_controls(where + (error.strerror or str(error)))}", err=True)
        sys.exit(1)
