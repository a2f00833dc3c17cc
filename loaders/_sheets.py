"""Tables as spreadsheets save them: a workbook (xlsx), or text in their encodings and separators.

Hides which of these a file is; a table is its rows of cells as text, the header first.
"""

import csv
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import ParseError

from genograph.errors import SourceError
from genograph.loaders import Reading, opened
from genograph.loaders._bounds import check_zip

SEPARATORS = "\t;,"
_OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"


def is_workbook(path: Path) -> bool:
    """Whether a file is an xlsx workbook, by its first bytes."""
    with opened(path) as raw:
        return raw.read(2) == b"PK"


def read_table(path: Path, reading: Reading, *, key: str) -> Iterator[tuple[int, list[str]]]:
    """Read a table with a header: 1-based line numbers and cells, stripped, the header first.

    Columns without a name at the right, and lines without any cell, are none. A line may have
    another number of cells than the header.

    Args:
        path: text or workbook.
        reading: keeps a note of what a workbook has beside its first sheet.
        key: name of a column, in lower case, by which the separator of text is found.

    Raises:
        SourceError: no table that can be read, or a line that is not one of CSV.
    """
    lines = _sheet_lines(path, reading) if is_workbook(path) else _text_lines(path, key)
    found = False
    width = 0
    for line, cells in lines:
        if not any(cells):
            continue
        if not found:
            width = max(i for i, cell in enumerate(cells, 1) if cell)
        # spreadsheets save empty columns at the right of what was ever touched
        while len(cells) > width and not cells[-1]:
            cells.pop()
        found = True
        yield line, cells
    if not found:
        raise SourceError.at(path, None, None, "no rows", "at least one")


def _sheet_lines(path: Path, reading: Reading) -> Iterator[tuple[int, list[str]]]:
    for line, cells in enumerate(read_sheet(path, reading), 1):
        yield line, ["" if cell is None else str(cell).strip() for cell in cells]


def _text_lines(path: Path, key: str) -> Iterator[tuple[int, list[str]]]:
    separator = ""
    for line, text in _decoded(path):
        if not text.strip():
            continue
        if not separator:
            # what Excel writes and reads in a first line of its own
            if said := re.fullmatch(r"sep=(.)", text.strip("\ufeff")):
                separator = said[1]
                continue
            separator = _find_separator(text, key)
        try:
            cells = next(csv.reader([text], delimiter=separator, strict=True))
        except csv.Error as error:
            raise SourceError.at(path, line, None, error, "a line of CSV") from None
        yield line, [cell.strip() for cell in cells]


def _find_separator(header: str, key: str) -> str:
    """The separator whose columns include `key`, else the one that gives most columns."""

    def fit(separator: str) -> tuple[bool, int]:
        names = [name.strip(' "').lower() for name in header.split(separator)]
        return key in names, len(names)

    return max(SEPARATORS, key=fit)


def _decoded(path: Path) -> Iterator[tuple[int, str]]:
    """The 1-based number and the text of every line, in UTF-8 or UTF-16."""
    with opened(path) as raw:
        first = raw.readline()
        if first.startswith(_OLD_WORKBOOK):
            wanted = "xlsx or CSV: save it as one of them"
            raise SourceError.at(path, None, None, "a workbook of old (xls)", wanted)
        encoding = _find_encoding(first)
        if encoding != "utf-8":
            try:
                text = b"".join([first, *raw]).decode(encoding)
            except UnicodeDecodeError as error:
                raise SourceError.at(path, None, None, error.object[:20], "UTF-16 text") from None
            yield from enumerate(re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff")), 1)
            return
        line, content = 1, first.removeprefix(b"\xef\xbb\xbf")
        while content:
            try:
                yield line, content.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                wanted = "UTF-8 text (save as CSV UTF-8)"
                raise SourceError.at(path, line, None, error.object[:20], wanted) from None
            line, content = line + 1, raw.readline()


def _find_encoding(start: bytes) -> str:
    """UTF-16 by its mark or by the zeros beside plain letters, else UTF-8."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if start[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if start[:1] == b"\0" else "utf-8"


_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, ParseError, LookupError, ValueError),
    *(EOFError, OSError, TypeError, AttributeError, NotImplementedError, RuntimeError),
)
"""What the readers of zips, XML and workbooks raise on files that are not what they say."""


def read_sheet(path: Path, reading: Reading) -> list[list[object]]:
    """Read the rows of a workbook's first sheet, without the empty cells at their ends.

    Raises:
        SourceError: it is no workbook that can be read.
    """
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    found = []
    # what the reader of workbooks warns of (parts of the file without cells) goes into the ledger
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            check_zip(path)
            # a path must end in .xlsx, bytes need not
            with path.open("rb") as raw:
                book = openpyxl.load_workbook(raw, read_only=True, data_only=True)
                for row in book.worksheets[0].iter_rows(values_only=True):
                    cells = list(row)
                    while cells and cells[-1] is None:
                        cells.pop()
                    found.append(cells)
                for sheet in book.worksheets[1:]:
                    reading.note("workbook: a further sheet is not read", None, sheet.title)
                book.close()
        except (*_DAMAGE, InvalidFileException) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            msg = f"{path}: cannot be read as an xlsx workbook ({reason:.200}); fetch it again"
            raise SourceError(msg) from error
    for warning in told:
        reading.note(f"workbook: {warning.message}", None, path.name)
    return found
