"""Whether the ids of a source are genes: what they look like, and what the database calls its own.

A file of another publisher or organism would else load a few rows, or load genes under names that
no other file has.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

from genograph.errors import SourceError, format_count
from genograph.loaders import GeneNames, Reading
from genograph.loaders._genes import is_systematic
from genograph.schema import GENE_ID, can_spell

_MOST = 0.5


def reject_unspellable(name: str, reading: Reading, line: int) -> bool:
    """Reject a gene that strain ids cannot spell; return whether it is one."""
    if can_spell(name):
        return False
    reading.reject(f"a strain id cannot spell it; wanted {GENE_ID}", line, name)
    return True


def check_systematic(
    path: Path, column: str, names: Collection[str], reading: Reading, wanted: str
) -> None:
    """Refuse genes of which most are neither known to the database nor called as yeast's are.

    Raises:
        SourceError: so it is; the message shows some of the names.
    """
    foreign = [n for n in names if not is_systematic(n) and n not in reading.genes.ids]
    if len(foreign) > _MOST * len(names):
        got = f"{len(foreign):,} of {format_count(len(names), 'name')} such as {_show(foreign)}"
        raise SourceError.at(path, None, column, got, f"{wanted} such as YAL001C")


def check_known(
    path: Path, column: str, unknown: Collection[str], n_known: int, genes: GeneNames
) -> None:
    """Refuse names of which most are neither loaded genes nor called as yeast's genes are.

    Args:
        path: of the source.
        column: what the message calls the place of the names.
        unknown: names that are no genes of the database.
        n_known: how many names are.
        genes: of the database.

    Raises:
        SourceError: so it is; the message shows some of the names, and of the database's genes.
    """
    foreign = [name for name in unknown if not is_systematic(name)]
    if len(foreign) <= _MOST * (len(unknown) + n_known):
        return
    got = (
        f"{len(foreign):,} of {format_count(len(unknown) + n_known, 'name')} that no gene of the "
        f"database has, such as {_show(foreign)}"
    )
    raise SourceError.at(path, None, column, got, f"genes such as {_show(sorted(genes.ids))}")


def check_rows(path: Path, reading: Reading) -> None:
    """Refuse a file of which most rows name genes that are foreign, as `check_known` has it.

    Raises:
        SourceError: so it is; the message shows the first of them.
    """
    rejected = sum(n for reason, n in reading.rejected.items() if not reason.startswith("column"))
    n_used = max(0, reading.rows_read - rejected)
    if reading.foreign <= _MOST * (reading.foreign + n_used):
        return
    got = (
        f"{reading.foreign:,} of {format_count(reading.foreign + n_used, 'row')} with names that "
        f"no gene of the database has, such as {'; '.join(reading.foreign_names)}"
    )
    wanted = f"genes such as {_show(sorted(reading.genes.ids))}"
    raise SourceError.at(path, None, None, got, wanted)


def _show(names: Iterable[str]) -> str:
    return ", ".join(f"{name:.40}" for name, _ in zip(names, range(3), strict=False))
