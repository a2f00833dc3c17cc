"""genograph cre."""

import click

from genograph.cli.database import db_option, open_db
from genograph.cli.ledger import tell


@click.group()
def cre() -> None:
    """Cis-regulatory windows and their embeddings.

    \b
    Example:
      genograph cre embed --provider kmer
    """


@cre.command()
@click.option("--provider", default="kmer", show_default=True, help="Sequence model: kmer, random.")
@click.option("--model", default=None, help="Name to store it under.  [default: the provider]")
@click.option("--seed", default=0, show_default=True, help="Seed of the random provider.")
@db_option
def embed(provider: str, model: str | None, seed: int, db: str) -> None:
    """Embed every loaded window and store the vectors (768-d) in the database.

    kmer is a deterministic summary of the sequence; random is the control that carries none of it.

    \b
    Example:
      genograph cre embed --provider kmer --db yeast.db
    """
    from genograph.database.embed import embed as run

    with open_db(db, read_only=False) as store:
        tell(run(store, provider, model=model, seed=seed))
