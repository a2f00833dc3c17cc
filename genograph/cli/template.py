"""genograph template."""

import click


@click.command()
@click.argument("kind", type=click.Choice(("fitness", "interaction", "expression", "morphology")))
def template(kind: str) -> None:
    """Print a table to copy and fill in with your own measurements.

    KIND is what was measured. The command that loads the table is printed to stderr; the help of
    its loader says what the columns hold.

    \b
    Example:
      genograph template fitness > my.csv
      genograph load experiments_csv --help
      genograph load experiments_csv my.csv --study mine2026
    """
    from genograph.loaders._templates import TEMPLATES

    found = TEMPLATES[kind]
    click.echo(found.text, nl=False)
    click.echo(f"load it by: genograph load {found.loader} FILE {found.options}", err=True)
    click.echo(f"its columns: genograph load {found.loader} --help", err=True)
