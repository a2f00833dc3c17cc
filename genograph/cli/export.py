"""genograph export."""

from pathlib import Path
from typing import Any

import click

from genograph.cli.cohort import build_query, selecting
from genograph.cli.database import db_option, open_db


@click.command()
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder to write."
)
@click.option(
    "--cohort",
    "file",
    type=click.Path(path_type=Path),
    help="A .cypher file, or a query of the library.",
)
@selecting
@click.option("--param", "-p", multiple=True, metavar="NAME=VALUE", help="Parameter of the file.")
@click.option(
    "--singles/--no-singles",
    default=True,
    show_default=True,
    help="Add the selected strains' single mutants.",
)
@click.option(
    "--embedding",
    multiple=True,
    metavar="MODEL",
    help="Embedding model of the windows.  [default: the only one]",
)
@click.option(
    "--genes", default=None, metavar="A,B,...", help="Only the neighbourhood of these genes."
)
@click.option("--hops", default=0, show_default=True, help="With --genes: interactions to follow.")
@click.option("--terms", default=None, metavar="GO,...", help="Only genes under these terms.")
@click.option("--seed", default=0, show_default=True, help="Seed of the folds.")
@click.option(
    "--test-genes",
    default=0.15,
    show_default=True,
    help="Share of genes that training never perturbs.",
)
@click.option(
    "--test-strains",
    default=0.10,
    show_default=True,
    help="Share of the other strains kept for testing.",
)
@click.option("--force", is_flag=True, help="Replace a cohort that is there.")
@db_option
def export(
    out: Path,
    file: Path | None,
    param: tuple[str, ...],
    singles: bool,
    embedding: tuple[str, ...],
    genes: str | None,
    hops: int,
    terms: str | None,
    seed: int,
    test_genes: float,
    test_strains: float,
    force: bool,
    db: str,
    **flags: Any,  # noqa: ANN401 - see cohort.FLAGS
) -> None:
    """Write a cohort directory: genome, strains, experiments and folds as arrays.

    Without --cohort or flags it takes every experiment. The folder is all that training needs.

    \b
    Example:
      genograph export --cohort repair.cypher -o cohort/
      genograph export --study costanzo2010 --go GO:0006281 --genes RAD51,RAD52 --hops 1 -o small/
    """
    from genograph.cohorts import Folds, Subgraph
    from genograph.exporting import export as run

    query = build_query(file, param, flags)
    with open_db(db, read_only=True) as store:
        made = run(
            store,
            out,
            query,
            force=force,
            singles=singles,
            embedding=embedding or None,
            subgraph=Subgraph(
                genes=tuple(genes.split(",")) if genes else (),
                hops=hops,
                terms=tuple(terms.split(",")) if terms else (),
            ),
            folds=Folds(seed=seed, test_genes=test_genes, test_strains=test_strains),
        )
    for name, value in made.provenance.items():
        # what was counted, not what was asked for; nothing left out needs no line
        if type(value) is int and value and name not in ("seed", "subgraph_hops"):
            click.echo(f"{name.replace('_', ' ')}: {value:,}", err=True)
    click.echo(str(out))
