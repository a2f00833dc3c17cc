"""Genes in tables of features: which features are genes, their columns, and their chromosomes."""

import re

GENES = frozenset(
    {
        "ORF",
        "blocked_reading_frame",
        "ncRNA_gene",
        "pseudogene",
        "rRNA_gene",
        "snRNA_gene",
        "snoRNA_gene",
        "tRNA_gene",
        "telomerase_RNA_gene",
        "transposable_element_gene",
    }
)
"""Feature types that are genes. Groups of genes and loci that are not on the reference sequence
("not physically mapped", "not in systematic sequence of S288C") are left out, because no data can
be attached to them."""

PROPERTIES = (
    *("id", "symbol", "aliases", "sgd_id", "kind", "status"),
    *("chromosome", "start_pos", "end_pos", "strand", "description"),
)
"""The properties of a Gene, in the order in which a loader gives them."""

_ROMAN = (
    *("I", "II", "III", "IV", "V", "VI", "VII", "VIII"),
    *("IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI"),
)
CHROMOSOMES = {str(i): name for i, name in enumerate(_ROMAN, 1)} | {"17": "Mito"}
"""Chromosome numbers of SGD's table to names; the 2-micron plasmid keeps its name."""

# of the assembly R64, at RefSeq and at GenBank, in the order of _ROMAN
_GENBANK = (35, 36, 37, 38, 39, 40, 41, 34, 42, 43, 44, 45, 46, 47, 48, 49)
_ACCESSIONS = (
    {f"NC_0011{33 + i}": name for i, name in enumerate(_ROMAN)}
    | {f"BK0069{number}": name for number, name in zip(_GENBANK, _ROMAN, strict=True)}
    | {"NC_001224": "Mito", "KP263414": "Mito", "AJ011856": "Mito"}
)


def name_chromosome(text: str) -> str:
    """Name a chromosome as Gene nodes do: `chrIV` and `NC_001136.10` are IV, `chrM` is Mito.

    What is no chromosome of yeast stays as it is.
    """
    bare = re.sub(r"^chr(omosome_?)?", "", text, flags=re.IGNORECASE) or text
    if bare.lower() in ("m", "mt", "mito"):
        return "Mito"
    return _ACCESSIONS.get(re.sub(r"\.\d+$", "", bare), bare)


def is_chromosome(name: str) -> bool:
    """Whether a name is one that `name_chromosome` gives a chromosome of yeast."""
    return name in CHROMOSOMES.values()


_SYSTEMATIC = re.compile(
    r"(Y[A-Z]{2}\d{3}[WC](-[A-Z0-9]+)?|Q\d{4}|R\d{4}[WC]|YNC[A-Q]\d{4}[WC])", re.IGNORECASE
)


def is_systematic(name: str) -> bool:
    """Whether a name looks like the systematic name of a gene of yeast, such as YAL001C."""
    return _SYSTEMATIC.fullmatch(name) is not None
