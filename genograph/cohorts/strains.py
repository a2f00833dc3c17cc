"""Strains that are not in a cohort: read from ids or a CSV and resolved against its vocabulary."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from genograph.cohorts.data import Cohort, Strains
from genograph.errors import SchemaError, SourceError
from genograph.measurements import read_strain
from genograph.schema import Perturbation, strain_id


def make_strains(
    genotypes: Iterable[Iterable[Perturbation]], cohort: Cohort, *, where: str = "strains"
) -> Strains:
    """Strains as arrays on a cohort's genes, sorted by id; repeats are merged.

    `single` holds rows of the cohort's strains, -1 where it lacks the single mutant.

    Raises:
        SchemaError: a gene is not in the cohort's vocabulary.
    """
    distinct = {strain_id(g): tuple(sorted(g, key=str)) for g in map(tuple, genotypes)}
    ids = sorted(distinct)
    row = cohort.genome.gene_row
    held = cohort.strains.ids
    singles = {
        held[int(i)].as_py(): int(i) for i in np.flatnonzero(cohort.strains.n_perturbed == 1)
    }
    offsets, gene, dose, single = [0], [], [], []
    for name in ids:
        for p in distinct[name]:
            if p.gene_id not in row:
                msg = (
                    f"{where}: {name}: gene {p.gene_id} is not in the cohort's "
                    f"{len(row)} genes; export a cohort that has it"
                )
                raise SchemaError(msg)
            gene.append(row[p.gene_id])
            dose.append(p.dose)
            single.append(singles.get(strain_id([p]), -1))
        offsets.append(len(gene))
    return Strains(
        pa.array(ids, pa.string()),
        np.array(offsets, np.int64),
        np.array(gene, np.int64),
        np.array(dose, np.float32),
        np.array(single, np.int64),
    )


def read_strains(
    path: Path | str,
    cohort: Cohort,
    *,
    resolve: Callable[[str], str | None] | None = None,
    refuse: Callable[[SourceError], None] | None = None,
) -> Strains:
    r"""Strains of a CSV file, as arrays on a cohort's genes.

    The file has a column `strain`: YAL001C+YBL003C, RAD51+RAD52(damp), WT. Systematic names and
    symbols of the cohort's genes resolve. Repeats are merged.

    Args:
        path: the CSV file, UTF-8.
        cohort: whose genes the strains are on, and in which their single mutants are looked for.
        resolve: the systematic name of any other name, None where it has none.
        refuse: told of each row that is no strain of the cohort's genes, which is then left out;
            None: the first such row is an error.

    Returns:
        The strains, sorted by id.

    Raises:
        SourceError: the file, its header, a strain's spelling or a gene name is not right, the
            message has the line, 1-based; or no row is left.

    Example:
        >>> from pathlib import Path
        >>> Path("pairs.csv").write_text("strain\nYAL001C+YAL002C\nWT\n")
        26
        >>> strains = genograph.read_strains("pairs.csv", genograph.load_cohort("cohort"))
        >>> strains.ids.to_pylist()
        ['WT', 'YAL001C+YAL002C']
    """
    path = Path(path)
    find = find_genes(cohort, resolve)
    genotypes: list[tuple[Perturbation, ...]] = []
    first: SourceError | None = None
    try:
        with path.open(newline="", encoding="utf-8-sig") as text:
            lines = csv.DictReader(text)
            if lines.fieldnames is None or "strain" not in lines.fieldnames:
                raise SourceError.at(
                    path, 1, None, ",".join(lines.fieldnames or []), "a column named strain"
                )
            for record in lines:
                spelled = (record["strain"] or "").strip()
                try:
                    genotypes.append(_read_genotype(path, lines.line_num, spelled, find, cohort))
                except SourceError as error:
                    if refuse is None:
                        raise
                    refuse(error)
                    first = first or error
    except FileNotFoundError:
        msg = f"{path}: no such file"
        raise SourceError(msg) from None
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        msg = f"{path}: cannot be read as CSV: {error}"
        raise SourceError(msg) from error
    if not genotypes:
        msg = f"{path}: holds no strains"
        raise first or SourceError(msg)
    return make_strains(genotypes, cohort, where=str(path))


def _read_genotype(
    path: Path, line: int, spelled: str, find: Callable[[str], str | None], cohort: Cohort
) -> tuple[Perturbation, ...]:
    """A strain of the cohort's genes, from a 1-based line of a file.

    Raises:
        SourceError: its spelling or a gene's name is not right.
    """
    try:
        found = read_strain(spelled, find)
    except SchemaError as error:
        raise SourceError.at(path, line, "strain", spelled, f"a strain ({error})") from error
    row = cohort.genome.gene_row
    unknown = [*found.unknown, *(p.gene_id for p in found.strain if p.gene_id not in row)]
    if unknown:
        wanted = f"a gene of the cohort (genograph find {unknown[0]})"
        raise SourceError.at(path, line, "strain", unknown[0], wanted)
    return tuple(found.strain)


def name_strains(names: Iterable[object], cohort: Cohort) -> Strains:
    """Make strains of ids or symbols, as arrays on a cohort's genes; sorted, repeats merged.

    Raises:
        SchemaError: no strain's spelling, or a gene that the cohort does not have.
    """
    find = find_genes(cohort)
    genotypes = []
    for name in names:
        if not isinstance(name, str):
            msg = f"strains: got {name!r:.80}, wanted strain ids such as 'YAL001C+YBL003C'"
            raise SchemaError(msg)
        found = read_strain(name, find)
        if found.unknown:
            msg = f"strains: {name}: {found.unknown[0]} is not a gene of the cohort"
            raise SchemaError(msg)
        genotypes.append(found.strain)
    return make_strains(genotypes, cohort)


def find_genes(
    cohort: Cohort, resolve: Callable[[str], str | None] | None = None
) -> Callable[[str], str | None]:
    """A function from any name of a gene to its id, None where it is none."""
    genome = cohort.genome
    names = {s.upper(): g for g, s in zip(genome.gene_ids, genome.gene_symbols, strict=True)}
    names |= {g.upper(): g for g in genome.gene_ids}
    return lambda name: names.get(name.strip().upper()) or (resolve(name) if resolve else None)
