"""Genes from an annotation of the genome in GFF3: SGD's, RefSeq's, GenBank's or Ensembl's.

Format: https://github.com/The-Sequence-Ontology/Specifications/blob/master/gff3.md, nine
tab-separated columns, 1-based inclusive coordinates, start <= end on both strands. Attributes are
`tag=value` joined by `;`; several values of a tag are joined by `,`, and both are percent-encoded.
What follows `##FASTA` is sequence, not features. SGD calls chromosomes chrI to chrXVI and chrmt,
and tells ORFs from other genes only by `orf_classification`; its ID is the systematic name. RefSeq
and GenBank put that into `locus_tag`, the kind into `gene_biotype` and chromosomes under accession
numbers; Ensembl has `gene_id`, `biotype` and the symbol as `Name`.

A gene such as DUR1,2 has a comma in its name, which not every file escapes: `gene` is one value,
and a number alone is no alias but the end of the one before.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from genograph.errors import SourceError
from genograph.loaders import Reading, Source, opened
from genograph.loaders._genes import GENES, PROPERTIES, is_chromosome, name_chromosome
from genograph.loaders._ids import check_systematic, reject_unspellable
from genograph.tables import Table

SOURCE = Source(
    name="gff3",
    title="genes with names, coordinates and kind, from GFF3",
    format="GFF3 of SGD (saccharomyces_cerevisiae.gff), RefSeq, GenBank or Ensembl, nine columns",
    version=2,
    gives=("Gene",),
    options={
        "id": (
            "tag with the systematic name; empty: locus_tag, gene_id or ID, as a gene has it",
            "",
        ),
    },
    citation="Cherry et al. (2012) Nucleic Acids Research 40:D700",
    doi="10.1093/nar/gkr1029",
    licence="CC BY 4.0",
)

_STATUS = ("Verified", "Uncharacterized", "Dubious")
_KINDS = {
    "protein_coding": "ORF",
    "antisense_RNA": "ncRNA_gene",
    "RNase_MRP_RNA": "ncRNA_gene",
    "RNase_P_RNA": "ncRNA_gene",
    "SRP_RNA": "ncRNA_gene",
    "telomerase_RNA": "telomerase_RNA_gene",
    "transposable_element": "transposable_element_gene",
    "transposon_gene": "transposable_element_gene",
    **{name: f"{name}_gene" for name in ("ncRNA", "rRNA", "snRNA", "snoRNA", "tRNA")},
}
"""What RefSeq and Ensembl call the kinds of genes, and SGD of old its RNA genes."""


class _Feature(NamedTuple):
    """One line of the file; tags with their values, decoded."""

    sequence: str
    kind: str
    start: int
    end: int
    strand: str | None
    tags: dict[str, list[str]]

    def text(self, *tags: str) -> str:
        """The one value of the first of these tags that the feature has; "" where it has none."""
        # a comma that is not escaped does not end a tag of one value
        found = (",".join(self.tags[tag]).strip() for tag in tags if tag in self.tags)
        return next(filter(None, found), "")


def read(path: Path, reading: Reading, *, id: str) -> Iterator[Table]:
    """Yield the Gene table; a gene's symbol is its systematic name where it has no other.

    Subfeatures (CDS, intron, mRNA ...) and features that are no genes are counted by their type.
    """
    seen: dict[str, int] = {}
    chromosomes: dict[str, str] = {}
    genes: list[tuple[object, ...]] = []
    for line, feature in _features(path):
        reading.rows_read += 1
        if feature.kind == "region" and feature.text("genome", "chromosome"):
            mito = feature.text("genome") == "mitochondrion"
            chromosomes[feature.sequence] = "Mito" if mito else feature.text("chromosome")
        kind = _kind(feature)
        if kind not in GENES:
            shown = feature.text("ID") or f"{feature.sequence}:{feature.start}"
            reading.reject(f"not a gene: {kind}", line, shown)
            continue
        name, tag = _name(path, line, feature, id)
        if reject_unspellable(name, reading, line):
            continue
        if name in seen:
            reading.reject("duplicate gene", line, f"{name}, first in line {seen[name]}")
            continue
        seen[name] = line
        if tag != "ID":
            reading.note(f"gene called by its {tag}", line, f"{feature.text('ID')} is {name}")
        chromosome = name_chromosome(chromosomes.get(feature.sequence) or feature.sequence)
        if not is_chromosome(chromosome):
            reading.note("on a sequence that is no chromosome of yeast", line, chromosome)
        genes.append(_gene(name, kind, chromosome, feature))
    if not genes:
        raise SourceError.at(path, None, "3 (type)", "no gene", "at least one, e.g. gene")
    if not id:
        orfs = (gene for gene in genes if gene[PROPERTIES.index("kind")] == "ORF")
        known = "systematic names (the option id names the tag that has them)"
        check_systematic(path, "9 (ID)", [str(gene[0]) for gene in orfs], reading, known)
    columns = dict(zip(PROPERTIES, zip(*genes, strict=True), strict=True))
    yield Table.of("Gene", columns, source=str(path))


def _kind(feature: _Feature) -> str:
    """The kind of gene in SGD's words; the feature's own type or biotype where it is no gene."""
    biotype = feature.text("gene_biotype", "biotype")
    if biotype and feature.kind in ("gene", "ncRNA_gene", "pseudogene"):
        return _KINDS.get(biotype, biotype)
    if feature.kind == "gene":
        return "ORF"
    # RNA genes of old have no type of their own; today's RNAs are parts of a gene
    return feature.kind if "Parent" in feature.tags else _KINDS.get(feature.kind, feature.kind)


def _name(path: Path, line: int, feature: _Feature, given: str) -> tuple[str, str]:
    """The gene's systematic name, and the tag that has it."""
    for tag in (given,) if given else ("locus_tag", "gene_id", "ID"):
        values = feature.tags.get(tag, [])
        if len(values) == 1 and values[0].strip():
            name = values[0].strip()
            return (re.sub(r"^gene[:-]", "", name) if tag == "ID" else name), tag
    wanted = f"one {given or 'ID'} of the {feature.kind}"
    raise SourceError.at(path, line, "9 (attributes)", f"no {given or 'ID'}", wanted)


def _gene(name: str, kind: str, chromosome: str, feature: _Feature) -> tuple[object, ...]:
    tags = feature.tags
    symbol = feature.text("gene", "Name") or name
    ids = (x for tag in ("dbxref", "Dbxref") for x in tags.get(tag, []))
    description = feature.text("description")
    sgd = next((x.removeprefix("SGD:") for x in ids if x.startswith("SGD:")), None)
    if sgd is None and (found := re.search(r"\[Source:SGD;Acc:(S\d+)\]", description)):
        sgd = found[1]
    return (
        name,
        symbol,
        _aliases(name, symbol, [*tags.get("Alias", []), *tags.get("gene_synonym", [])]),
        sgd,
        kind,
        next((s for s in tags.get("orf_classification", []) if s in _STATUS), None),
        chromosome,
        feature.start,
        feature.end,
        feature.strand,
        # the headline; the Note is its longer form, with commas that split it
        "".join(tags.get("display", []))
        or ", ".join(tags.get("Note", []))
        or re.sub(r"\s*\[Source:.*\]", "", description)
        or None,
    )


def _aliases(name: str, symbol: str, values: list[str]) -> list[str]:
    """Other names of a gene; no piece of a symbol that has a comma is one."""
    whole: list[str] = []
    for value in (v.strip() for v in values):
        if whole and value.isdecimal():
            whole[-1] += f",{value}"
        else:
            whole.append(value)
    known = {"", name, symbol, *symbol.split(",")}
    return [alias for alias in dict.fromkeys(whole) if alias not in known]


def _features(path: Path) -> Iterator[tuple[int, _Feature]]:
    """The 1-based line and the content of every feature up to the sequences."""
    found = False
    with opened(path) as raw:
        for line, content in enumerate(raw, 1):
            try:
                text = content.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise SourceError.at(path, line, None, error.object[:20], "UTF-8 text") from None
            if line == 1 and not re.fullmatch(r"##gff-version\s+3(\.\d+)*\s*", text):
                raise SourceError.at(path, line, None, text, "##gff-version 3")
            # a bare FASTA header ends the features too
            if text.rstrip() == "##FASTA" or text.startswith(">"):
                break
            if not text.strip() or text.startswith("#"):
                continue
            fields = text.split("\t")
            if len(fields) != 9:
                raise SourceError.at(path, line, None, f"{len(fields)} columns", "9")
            found = True
            yield line, _feature(path, line, fields)
        else:
            if not found:
                raise SourceError.at(path, None, None, "no rows", "at least one")
        # read to the end, so that a truncated gzip is told
        for _ in raw:
            pass


def _feature(path: Path, line: int, fields: list[str]) -> _Feature:
    if not fields[2]:
        raise SourceError.at(path, line, "3 (type)", "nothing", "a feature type")
    ends = []
    for column, text in ((4, fields[3]), (5, fields[4])):
        if not (text.isascii() and text.isdecimal() and len(text) < 17 and 1 <= int(text) < 2**53):
            raise SourceError.at(path, line, f"{column} (coordinate)", text, "a whole number >= 1")
        ends.append(int(text))
    if ends[0] > ends[1]:
        raise SourceError.at(
            path, line, "4-5 (coordinates)", f"{ends[0]} to {ends[1]}", "start <= end"
        )
    if fields[6] not in ("+", "-", ".", "?"):
        raise SourceError.at(path, line, "7 (strand)", fields[6], "one of + - . ?")
    tags: dict[str, list[str]] = {}
    for part in fields[8].split(";"):
        if not part.strip() or part.strip() == ".":
            continue
        tag, equals, values = part.strip().partition("=")
        if not equals or not tag:
            raise SourceError.at(path, line, "9 (attributes)", part, "tag=value joined by ;")
        tags.setdefault(tag, []).extend(unquote(v) for v in values.split(","))
    strand = fields[6] if fields[6] in "+-" else None
    return _Feature(unquote(fields[0]), fields[2], ends[0], ends[1], strand, tags)
