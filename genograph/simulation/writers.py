"""Writers of the official formats; the same rows always give the same bytes."""

import gzip
import io
import zipfile
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from genograph.files import write_file
from genograph.simulation.architecture import Floats, Ints
from genograph.simulation.genome import ROMAN, DrawnGenome, Gene
from genograph.simulation.observed import ASPECT, Annotation, Link, Term
from genograph.simulation.phenotypes import Allele
from genograph.simulation.screens import MeasuredPairs, MeasuredSingles

DATE = "2026-01-01"
PRIOR = 0.041  # STRING's chance that two random proteins are linked (von Mering 2005)


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Lines, each ended by a newline; gzipped where the name ends in .gz, without a time stamp."""
    text = "".join(f"{line}\n" for line in lines).encode()
    if path.suffix == ".gz":
        buffer = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0, compresslevel=6) as raw:
            raw.write(text)
        text = buffer.getvalue()
    with write_file(path) as draft:
        draft.write_bytes(text)


def write_features(path: Path, genome: DrawnGenome) -> None:
    """SGD_features.tab: 16 columns, no header; start > stop on the C strand (SGD README)."""
    lines = []
    extra = len(genome.genes)
    for gene in sorted(genome.genes, key=lambda g: (g.chromosome, g.start)):
        status = "Verified" if gene.symbol else "Uncharacterized"
        fields = [gene.sgd, "ORF", status, gene.name, gene.symbol, "|".join(gene.aliases)]
        fields += [f"chromosome {gene.chromosome}", "", str(gene.chromosome)]
        fields += _span(gene, gene.start, gene.stop)
        lines.append("\t".join([*fields, "", DATE, DATE, "Simulated gene"]))
        exons = gene.exons if gene.forward else gene.exons[::-1]
        parts = [("CDS", *exon) for exon in exons]
        parts += [("intron", a[1] + 1, b[0] - 1) for a, b in pairwise(gene.exons)]
        for kind, start, stop in parts:
            extra += 1
            fields = [f"S{extra:09d}", kind, "", "", "", "", gene.name, "", str(gene.chromosome)]
            lines.append("\t".join([*fields, *_span(gene, start, stop), "", DATE, DATE, ""]))
    for number, (start, stop) in enumerate(genome.centromeres, start=1):
        extra += 1
        fields = [f"S{extra:09d}", "centromere", "", "", f"CEN{number}", "", f"chromosome {number}"]
        fields += ["", str(number), str(start), str(stop), "W", "", DATE, DATE]
        lines.append("\t".join([*fields, f"Chromosome {ROMAN[number - 1]} centromere"]))
    write_text(path, lines)


def _span(gene: Gene, start: int, stop: int) -> list[str]:
    """Start, stop and strand as SGD has them."""
    return [str(start), str(stop), "W"] if gene.forward else [str(stop), str(start), "C"]


def write_fasta(path: Path, genome: DrawnGenome) -> None:
    """Chromosomes I.. in lines of 60 letters."""
    lines = []
    for name, bases in zip(ROMAN, genome.chromosomes, strict=False):
        letters = np.frombuffer(b"ACGT", dtype=np.uint8)[bases].tobytes().decode()
        lines.append(f">{name}")
        lines += [letters[i : i + 60] for i in range(0, len(letters), 60)]
    write_text(path, lines)


def write_obo(path: Path, terms: list[Term]) -> None:
    """OBO 1.2 with is_a, relationships, alternative ids and an obsolete term."""
    name = {t.id: t.name for t in terms}
    lines = ["format-version: 1.2", f"data-version: simulated/{DATE}", "ontology: go"]
    for term in sorted(terms, key=lambda t: t.id):
        lines += ["", "[Term]", f"id: {term.id}", f"name: {term.name}"]
        lines += [f"namespace: {term.namespace}"]
        lines += [f"alt_id: {a}" for a in term.alternative]
        for relation, parent in term.parents:
            lead = "is_a:" if relation == "is_a" else f"relationship: {relation}"
            lines.append(f"{lead} {parent} ! {name[parent]}")
        if term.obsolete:
            lines.append("is_obsolete: true")
    for relation, of in (
        ("part_of", ""), ("regulates", ""),
        ("positively_regulates", "regulates"), ("negatively_regulates", "regulates"),
    ):  # fmt: skip
        lines += ["", "[Typedef]", f"id: {relation}", f"name: {relation.replace('_', ' ')}"]
        lines += [f"is_a: {of} ! {of}"] if of else []
    write_text(path, lines)


def write_gaf(
    path: Path, annotations: list[Annotation], genome: DrawnGenome, terms: list[Term]
) -> None:
    """GAF 2.2, 17 columns (Gene Ontology Consortium)."""
    aspect = {i: ASPECT[t.namespace] for t in terms for i in (t.id, *t.alternative)}
    lines = ["!gaf-version: 2.2", "!generated-by: simulation", f"!date-generated: {DATE}"]
    for annotation in annotations:
        gene = genome.genes[annotation.row]
        fields = ["SGD", gene.sgd, gene.symbol or gene.name, annotation.relation, annotation.term]
        fields += ["SGD_REF:S000000001", annotation.evidence, "", aspect[annotation.term]]
        fields += ["Simulated gene", "|".join([gene.name, *gene.aliases]), "protein"]
        fields += ["taxon:559292", DATE.replace("-", ""), "SGD", "", ""]
        lines.append("\t".join(fields))
    write_text(path, lines)


def write_string(path: Path, links: list[Link], names: list[str]) -> None:
    """STRING v12 full physical links: every edge twice, channels and their combination.

    Combined as STRING does: the prior is taken from each channel, channels join as independent
    chances, the prior is put back; text-mining is discounted by homology.
    """
    rows = []
    for link in links:
        channels = [
            max(s / 1000 - PRIOR, 0) / (1 - PRIOR)
            for s in (link.experiments, link.database, link.textmining)
        ]
        channels[2] *= 1 - link.homology / 1000
        joint = 1 - np.prod([1 - c for c in channels])
        combined = int((joint * (1 - PRIOR) + PRIOR) * 1000)
        shown = [link.homology, link.experiments, 0, link.database, 0, link.textmining, 0, combined]
        for a, b in ((link.a, link.b), (link.b, link.a)):
            rows.append((names[a], names[b], " ".join(map(str, shown))))
    head = "protein1 protein2 homology experiments experiments_transferred database "
    head += "database_transferred textmining textmining_transferred combined_score"
    write_text(path, [head, *(f"4932.{a} 4932.{b} {s}" for a, b, s in sorted(rows))])


def write_regulation(path: Path, matrix: Ints, targets: list[str], factors: list[str]) -> None:
    """YEASTRACT matrix, target x factor, 0/1, by name; only targets that are regulated."""
    rows = np.argsort(targets)
    columns = np.argsort(factors)
    lines = ["\t".join(["SystematicName", *(factors[c] for c in columns)])]
    lines += [
        "\t".join([targets[r], *map(str, matrix[r, columns])]) for r in rows if matrix[r].any()
    ]
    write_text(path, lines)


def write_complexes(
    path: Path, complexes: list[tuple[str, str, list[int]]], genome: DrawnGenome
) -> None:
    """CYC2008 table; rows after a complex's first stop behind its name."""
    lines = [
        "ORF\tName\tComplex\tPubMed_id\tMethod\tGO_id\tGO_term\tJaccard_Index",
    ]
    for name, term, rows in complexes:
        genes = sorted((genome.genes[r] for r in rows), key=lambda g: g.symbol or g.name)
        for i, gene in enumerate(genes):
            line = f"{gene.name}\t{gene.symbol or gene.name}\t{name}"
            lines.append(line if i else f"{line}\t0\tAffinity Capture-MS\t{term}\t{name}\t1")
    write_text(path, lines)


def write_sga(path: Path, pairs: MeasuredPairs, genome: DrawnGenome) -> None:
    """SGA table of Costanzo 2010: seven columns, no header, every measured pair."""

    def strain(allele: Allele) -> str:
        gene = genome.genes[allele.row]
        return f"{gene.name}{allele.suffix()}\t{gene.symbol or gene.name}"

    lines = [
        f"{strain(query)}\t{strain(array)}\t{value:.4f}\t{sd:.4f}\t{p:.4e}"
        for (query, array), value, sd, p in zip(
            pairs.strains, pairs.measured, pairs.sd, pairs.p, strict=True
        )
    ]
    write_text(path, sorted(lines))


def write_matrix(
    path: Path, corner: str, rows: Sequence[str], columns: Sequence[str], values: Floats
) -> None:
    """Tab-separated matrix with names of rows and columns; a value not measured is blank."""
    lines = ["\t".join([corner, *columns])]
    whole = "\t".join(["%.5g"] * len(columns))
    for name, row in zip(rows, values.tolist(), strict=True):
        shown = whole % tuple(row)
        if "nan" in shown:
            shown = "\t".join("" if value == "nan" else value for value in shown.split("\t"))
        lines.append(f"{name}\t{shown}")
    write_text(path, lines)


_PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
    'content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
    'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override '
    'PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'spreadsheetml.sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/><Override PartName="/xl/'
    'worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'spreadsheetml.worksheet+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/'
    'main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>'
    '<sheet name="SMF_simulated" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/'
    'package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship '
    'Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" '
    'Target="styles.xml"/></Relationships>',
    "xl/styles.xml": '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts><fills count="1">'
    '<fill><patternFill patternType="none"/></fill></fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
    "</styleSheet>",
}


def write_singles(path: Path, singles: MeasuredSingles, names: list[str]) -> None:
    """Single-mutant fitness as a workbook (ECMA-376): strain, fitness, s.d.; no header.

    Written part by part with one fixed date, since a workbook library stamps the clock into it.
    """
    rows = sorted(
        (f"{names[a.row]}{a.suffix()}", f"{value:.6f}", f"{sd:.6f}")
        for (a,), value, sd in zip(singles.strains, singles.measured, singles.sd, strict=True)
    )
    cells = "".join(
        f'<row r="{i}"><c r="A{i}" t="inlineStr"><is><t>{escape(name)}</t></is></c>'
        f'<c r="B{i}"><v>{value}</v></c><c r="C{i}"><v>{sd}</v></c></row>'
        for i, (name, value, sd) in enumerate(rows, start=1)
    )
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f"<sheetData>{cells}</sheetData></worksheet>"
    )
    with write_file(path) as draft, zipfile.ZipFile(draft, "w") as book:
        for part, text in {**_PARTS, "xl/worksheets/sheet1.xml": sheet}.items():
            entry = zipfile.ZipInfo(part, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            declaration = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
            book.writestr(entry, declaration + text)
