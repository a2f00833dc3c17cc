"""Strains as people write them: strain ids, gene names, and the spellings of a laboratory.

Hides which spellings there are. Whatever a strain id spells is read as `schema.parse_strain` reads
it; only what is no strain of known genes that way is tried as `rad51Δ`, `rad51-del`, `wild type`,
`RAD51 CRISPRi` or a name with characters that a strain id does not have.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from genograph.errors import SchemaError
from genograph.schema import Perturbation, parse_strain, split_strain, strain_id

WILD_TYPES = frozenset({"wt", "wild type", "wild-type", "wildtype", "wild_type"})
"""The words for the wild type, in lower case."""

_KINDS = {
    "deletion": ("del", "deletion", "delta", "ko", "knockout", "null"),
    "damp": ("damp",),
    "knockdown": ("crispri", "kd", "knockdown"),
    "overexpression": ("crispra", "oe", "overexpression"),
}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words}
_WORDS = "|".join(sorted(_KIND_OF, key=len, reverse=True))
_DELTAS = "\u0394\u2206\u03b4"
_LABORATORY = (
    # Δrad51, rad51Δ, rad51Δ::kanMX, rad51::kanMX
    re.compile(rf"[{_DELTAS}]-?(?P<gene>[^\s{_DELTAS}]+)"),
    re.compile(rf"(?P<gene>[^\s{_DELTAS}]+?)-?[{_DELTAS}]\d*(?:::\S+)?"),
    re.compile(r"(?P<gene>[^\s:]+)::\S+"),
    # rad51-del, RAD51 CRISPRi, RAD51_KO, RAD51(OE)
    re.compile(rf"(?P<gene>\S+?)[-_ ](?P<kind>{_WORDS})", re.IGNORECASE),
    re.compile(rf"(?P<gene>\S+?)\((?P<kind>{_WORDS})\)", re.IGNORECASE),
)


class Spelled(NamedTuple):
    """The strain of a source: its perturbations in their order, or the names of unknown genes.

    Attributes:
        strain: its perturbations; () is the wild type.
        unknown: names of genes that are not loaded; then there is no strain.
        names: of each perturbation, the gene as the source writes it.
    """

    strain: tuple[Perturbation, ...]
    unknown: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def read_strain(text: str, resolve: Callable[[str], str | None]) -> Spelled:
    """Read a gene name or a strain id as a strain, and resolve its genes.

    A bare gene name is its deletion; `WT` is the wild type; `RAD51+YBL003C(damp)`,
    `YAL001C(ts:tsq508)` and `YAL001C(overexpression@1.5)` are as in `schema.strain_id`. What that
    does not read is tried in a laboratory's spellings: `rad51Δ`, `rad51-del`, `RAD51 CRISPRi`.

    Raises:
        SchemaError: `text` is not a strain, or names the same perturbation twice.
    """
    try:
        parts = parse_strain(text)
    except SchemaError:
        found = _read_other(text, resolve)
        if found is None:
            raise
        return found
    if not parts:
        return Spelled(())
    genes = [resolve(p.gene_id) for p in parts]
    if None in genes and (found := _read_other(text, resolve)) is not None:
        return found
    written = zip(split_strain(text), parts, genes, strict=True)
    unknown = tuple(
        p.gene_id
        for part, p, gene in written
        if gene is None and _read_laboratory(part, resolve) is None
    )
    if unknown:
        return Spelled((), unknown)
    strain = tuple(p._replace(gene_id=g) for p, g in zip(parts, genes, strict=True) if g)
    strain_id(strain)
    return Spelled(strain, names=tuple(p.gene_id for p in parts))


def _read_other(text: str, resolve: Callable[[str], str | None]) -> Spelled | None:
    """The strain that a laboratory's spelling names; None where it names none of known genes."""
    if text.strip().lower() in WILD_TYPES:
        return Spelled(())
    gene = resolve(text)
    if gene is not None:
        # an alias may hold what a strain id does not, such as a blank
        return Spelled((Perturbation.of(gene),), names=(text.strip(),))
    parts = split_strain(text)
    found = [_read_plain(part, resolve) or _read_laboratory(part, resolve) for part in parts]
    if None in found:
        # rad51Δ rad52Δ, rad51Δ/rad52Δ: genes without a kind are not joined like that
        found = [_read_laboratory(part, resolve) for part in re.split(r"[\s/]+", text.strip())]
    read = [part for part in found if part is not None]
    if len(read) < len(found):
        return None
    strain_id(p for p, _ in read)
    return Spelled(tuple(p for p, _ in read), names=tuple(name for _, name in read))


_Part = tuple[Perturbation, str]


def _read_plain(part: str, resolve: Callable[[str], str | None]) -> _Part | None:
    """A perturbation as a strain id spells it, and its gene's name."""
    try:
        (plain,) = parse_strain(part) or (None,)
    except SchemaError:
        return None
    gene = None if plain is None else resolve(plain.gene_id)
    return None if plain is None or gene is None else (plain._replace(gene_id=gene), plain.gene_id)


def _read_laboratory(part: str, resolve: Callable[[str], str | None]) -> _Part | None:
    """A perturbation in a laboratory's spelling, and its gene's name."""
    for spelling in _LABORATORY:
        match = spelling.fullmatch(part)
        if match is None:
            continue
        words = match.groupdict()
        gene = resolve(words["gene"])
        if gene is not None:
            kind = _KIND_OF[(words.get("kind") or "deletion").lower()]
            return Perturbation.of(gene, kind), words["gene"]
    return None
