"""genograph cohort, and the flags that select experiments."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genograph.cli.database import db_option, open_db
from genograph.cli.output import format_option, show
from genograph.cli.query import parse_parameters
from genograph.errors import CohortError

if TYPE_CHECKING:
    from genograph.cohorts import CohortQuery

_MANY: dict[str, Any] = {"multiple": True, "metavar": "ID"}
FLAGS = (
    click.option("--study", **_MANY, help="Study, e.g. costanzo2010; repeat for any of several."),
    click.option("--exclude-study", **_MANY, help="Study that is left out; repeat for several."),
    click.option("--phenotype", **_MANY, help="Phenotype, as genograph schema spells it; repeat."),
    click.option(
        "--unit",
        multiple=True,
        metavar="UNIT",
        help="Unit, e.g. 'relative to wild type'; repeat for that of another phenotype.",
    ),
    click.option(
        "--go", **_MANY, help="Every perturbed gene is under this GO term, an id or a name."
    ),
    click.option("--gene", **_MANY, help="Every perturbed gene is one of these."),
    click.option(
        "--complex", **_MANY, help="Every perturbed gene is in this complex, an id or a name."
    ),
    click.option("--kind", **_MANY, help="Every perturbation is of this kind, e.g. deletion."),
    click.option("--environment", **_MANY, help="Condition of the experiment."),
    click.option("--any-gene", is_flag=True, help="One perturbed gene is enough for the above."),
    click.option("--min-perturbed", type=int, help="Least number of perturbations."),
    click.option("--max-perturbed", type=int, help="Greatest number of perturbations."),
    click.option("--max-sd", type=float, help="Greatest s.d. of fitness (wild type = 1)."),
    click.option("--max-p", type=float, help="Greatest P value."),
    click.option("--min-fitness", type=float, help="Least fitness (wild type = 1)."),
    click.option("--max-fitness", type=float, help="Greatest fitness (wild type = 1)."),
)


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the flags that select experiments."""
    for flag in reversed(FLAGS):
        command = flag(command)
    return command


def build_query(
    file: Path | None, param: tuple[str, ...], flags: Mapping[str, Any]
) -> "CohortQuery":
    """The query that the flags write, or that a file or the library holds; not both."""
    from genograph.cohorts import CohortQuery
    from genograph.cypher import query_file

    given = {name: value for name, value in flags.items() if value not in (None, (), False)}
    if file is None:
        if param:
            msg = "--param gives values to a .cypher file; flags need none"
            raise click.UsageError(msg)
        return CohortQuery.of(**given)
    if given:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        msg = f"{named}: cannot be joined with a .cypher file; put it into the file's query"
        raise CohortError(msg)
    return CohortQuery.read(query_file(str(file)) or file, **parse_parameters(param))


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@selecting
@click.option("--param", "-p", multiple=True, metavar="NAME=VALUE", help="Parameter of FILE.")
@click.option("--print-cypher", is_flag=True, help="Print the query as a .cypher file, and stop.")
@db_option
@format_option
def cohort(
    file: Path | None,
    param: tuple[str, ...],
    print_cypher: bool,
    db: str,
    style: str | None,
    **flags: Any,  # noqa: ANN401 - see FLAGS
) -> None:
    """Show the experiments that flags, or a .cypher file, select.

    FILE may also be the name of a query of the library (see genograph query --list) that gives
    experiments or strains.

    \b
    Example:
      genograph cohort --study costanzo2010 --go GO:0006281 --max-sd 0.1 --print-cypher
      genograph cohort repair.cypher --db yeast.db
      genograph cohort strains_of_complex -p "complex=cyc2008:TRAPP complex" --db yeast.db
    """
    from genograph.cohorts import list_experiments, name_ids

    query = build_query(file, param, flags)
    if print_cypher:
        # ids have a colon; what may be a name is looked up
        if any(":" not in name for flag in ("go", "complex") for name in flags[flag]):
            with open_db(db, read_only=True) as store:
                query = name_ids(store, query)
        click.echo(query.text, nl=False)
        return
    with open_db(db, read_only=True) as store:
        show(list_experiments(store, query), style)
