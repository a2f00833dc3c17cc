"""genograph schema."""

import click


@click.command()
@click.option(
    "--as",
    "form",
    type=click.Choice(("markdown", "neo4j", "embedded")),
    default="markdown",
    show_default=True,
    help="The data-model page, Neo4j's constraints, or the embedded store's tables.",
)
def schema(form: str) -> None:
    """Print the graph schema.

    \b
    Example:
      genograph schema --as neo4j > constraints.cypher
    """
    from genograph.schema import graph_schema

    spec = graph_schema()
    if form == "markdown":
        click.echo(spec.markdown(), nl=False)
        return
    statements = spec.neo4j_constraints() if form == "neo4j" else spec.embedded_ddl()
    for statement in statements:
        click.echo(statement + ";")
