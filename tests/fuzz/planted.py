"""Readers with a planted fault each: what a mutator of input must find.

Every reader reads well-formed files, refuses most others in one line as a loader does, and has one
fault that only some input meets. `python -m fuzz.planted` counts the inputs until each is found: by
our own mutations, by mutations made of hypothesis's strategies alone, and by atheris where it is
installed.
"""

import csv
import gzip
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from fuzz.engine import ROUND, different
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from genograph.errors import SourceError

TABLE = b"gene\tpartner\tscore\n" + b"".join(
    b"YAL%03dC\tYBR%03dW\t%.3f\n" % (i, i + 3, i / 7) for i in range(12)
)
COMMAS = TABLE.replace(b"\t", b",")
RECORD = json.dumps(
    {"format": 2, "names": ["a", "b"], "members": {"seed": 1, "rows": 12}, "scale": 0.5}
).encode()


def _safetensors() -> bytes:
    header = json.dumps({"edges": {"dtype": "I64", "shape": [4], "data_offsets": [0, 32]}}).encode()
    return len(header).to_bytes(8, "little") + header + np.arange(4).astype("<i8").tobytes()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as held:
        held.writestr("sheet.xml", '<row r="1"><c>YAL001C</c><c>0.5</c></row>')
        held.writestr("names.xml", "<names>3</names>")
    return out.getvalue()


def _cells(data: bytes, by: str = "\t") -> Iterator[list[str]]:
    """The rows of a table, refused as loaders refuse them."""
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise SourceError("no UTF-8") from None
    for line in lines[1:]:
        if line:
            row = line.rstrip("\r").split(by)
            if len(row) != 3:
                raise SourceError("columns")
            yield row


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise SourceError("no number") from None
    if not np.isfinite(value):
        raise SourceError("not finite")
    return value


def takes_nan(data: bytes) -> None:
    """Not-a-number passes as a score."""
    for row in _cells(data):
        try:
            value = float(row[2])
        except ValueError:
            raise SourceError("no number") from None
        assert value == value


def takes_other_digits(data: bytes) -> None:
    """Digits of another script pass as a score."""
    for row in _cells(data):
        _number(row[2])
        assert row[2].isascii()


def takes_repeats(data: bytes) -> None:
    """A pair that stands twice is not looked for."""
    seen = [tuple(row[:2]) for row in _cells(data)]
    assert len(seen) == len(set(seen))


def takes_any_order(data: bytes) -> None:
    """Rows are taken to be sorted."""
    genes = [row[0] for row in _cells(data)]
    if any(len(gene) != 7 or not gene.startswith("YAL") for gene in genes):
        raise SourceError("no gene")
    assert genes == sorted(genes)


def takes_a_self_pair(data: bytes) -> None:
    """A gene is its own partner."""
    for row in _cells(data):
        assert row[0] != row[1]


def takes_short_rows(data: bytes) -> None:
    """A row without its last cell."""
    for line in data.decode("utf-8", "replace").split("\n")[1:]:
        if line:
            _number(line.split("\t")[2])


def takes_odd_line_ends(data: bytes) -> None:
    """Lines are counted in two ways, of which one knows more line ends."""
    rows = list(_cells(data))
    assert len(data.decode("utf-8").splitlines()[1:]) <= len(rows) + 1


def takes_long_integers(data: bytes) -> None:
    """Python refuses integers of very many digits."""
    for row in _cells(data):
        if row[2].isdigit():
            int(row[2])


def takes_open_quotes(data: bytes) -> None:
    """A quotation mark that is never closed takes the rest of the file as one cell."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise SourceError("no UTF-8") from None
    for row in csv.reader(io.StringIO(text), strict=True):
        if len(row) != 3:
            raise SourceError("columns")


def takes_a_cut_gzip(data: bytes) -> None:
    """A packed file that ends early."""
    if data[:2] == b"\x1f\x8b":
        try:
            gzip.decompress(data)
        except (gzip.BadGzipFile, gzip.zlib.error):
            raise SourceError("gzip") from None


def _record(data: bytes) -> dict:
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        # RecursionError is the fault of takes_deep_records alone
        raise SourceError("no JSON") from None
    if not isinstance(record, dict):
        raise SourceError("no record")
    return record


def takes_truth_for_one(data: bytes) -> None:
    """True passes as an integer."""
    rows = _record(data).get("members")
    if not isinstance(rows, dict) or not isinstance(rows.get("rows"), int):
        raise SourceError("rows")
    assert not isinstance(rows["rows"], bool)


def takes_a_missing_key(data: bytes) -> None:
    """A field of an inner record is not looked for."""
    members = _record(data).get("members")
    if not isinstance(members, dict):
        raise SourceError("members")
    members["seed"]


def takes_large_integers(data: bytes) -> None:
    """An integer beyond 64 bits."""
    format = _record(data).get("format")
    if not isinstance(format, int):
        raise SourceError("format")
    np.array(format, np.int64)


def takes_deep_records(data: bytes) -> None:
    """A record that is nested too deep."""
    try:
        json.loads(data)
    except ValueError:
        raise SourceError("no JSON") from None


def takes_a_name_twice(data: bytes) -> None:
    """Names are taken to be distinct."""
    names = _record(data).get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SourceError("names")
    assert len(set(names)) == len(names)


def _tensor(data: bytes) -> tuple[dict, bytes]:
    size = int.from_bytes(data[:8], "little")
    if not 0 < size <= len(data) - 8:
        raise SourceError("header")
    header = _record(data[8 : 8 + size]).get("edges")
    if not isinstance(header, dict):
        raise SourceError("edges")
    return header, data[8 + size :]


def takes_any_row(data: bytes) -> None:
    """An index beyond what it points at."""
    header, body = _tensor(data)
    if header.get("dtype") != "I64" or len(body) != 32:
        raise SourceError("dtype")
    np.arange(4)[np.frombuffer(body, "<i8")]


def takes_any_type(data: bytes) -> None:
    """The header's type of numbers is not compared."""
    header, _ = _tensor(data)
    if header.get("shape") != [4]:
        raise SourceError("shape")
    assert header.get("dtype") in ("I64", None)


def _members(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as held:
            return {name: held.read(name) for name in held.namelist()}
    except Exception:
        raise SourceError("no zip") from None


def takes_a_missing_member(data: bytes) -> None:
    """A member of a zip is not there."""
    _members(data)["names.xml"]


def takes_any_text(data: bytes) -> None:
    """A number within a member is any text."""
    sheet = _members(data).get("sheet.xml", b"")
    if not sheet.startswith(b"<row"):
        raise SourceError("sheet")
    cells = sheet.decode("utf-8", "replace").split("<c>")
    if len(cells) == 3:
        float(cells[2].split("<")[0])


PLANTED: dict[Callable[[bytes], None], bytes] = {
    **dict.fromkeys(
        (
            *(takes_nan, takes_other_digits, takes_repeats, takes_any_order, takes_a_self_pair),
            *(takes_short_rows, takes_odd_line_ends, takes_long_integers, takes_a_cut_gzip),
        ),
        TABLE,
    ),
    takes_open_quotes: COMMAS,
    **dict.fromkeys(
        (
            *(takes_truth_for_one, takes_a_missing_key, takes_large_integers),
            *(takes_deep_records, takes_a_name_twice),
        ),
        RECORD,
    ),
    **dict.fromkeys((takes_any_row, takes_any_type), _safetensors()),
    **dict.fromkeys((takes_a_missing_member, takes_any_text), _zip()),
}
"""The readers, each with a good file."""


class Counted:
    """A reader that counts its inputs.

    Attributes:
        n: inputs so far; none is read after the fault was met.
        found: the input that met the fault, by number.
    """

    def __init__(self, read: Callable[[bytes], None]) -> None:
        self._read = read
        self.n, self.found = 0, None

    def __call__(self, data: bytes) -> None:
        """Read one input."""
        if self.found is not None:
            return
        self.n += 1
        try:
            self._read(data)
        except SourceError:
            return
        except Exception:
            self.found = self.n


def by_ours(read: Callable[[bytes], None], good: bytes, most: int, seed: int) -> int | None:
    """How many inputs of our own mutations find the fault; None: not within `most`."""
    one = Counted(read)
    different((good,), one, lambda: 0 if one.found else most - one.n, seed_number=seed)
    return one.found


def by_hypothesis(read: Callable[[bytes], None], good: bytes, most: int, seed: int) -> int | None:
    """The same with strategies of hypothesis alone: pieces of the file exchanged for any bytes."""
    place = st.integers(0, len(good))
    text = st.text(max_size=12).map(lambda t: t.encode("utf-8", "surrogatepass"))
    content = st.one_of(
        *(st.binary(max_size=12), text, st.floats().map(lambda x: str(x).encode())),
        *(st.integers().map(lambda n: str(n).encode()),),
    )
    pieces = st.lists(st.tuples(place, st.integers(0, 16), content), min_size=1, max_size=4)
    one = Counted(read)
    while one.found is None and one.n < most:

        @seeded(seed)
        @settings(
            max_examples=min(ROUND, most - one.n),
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(pieces)
        def feed(drawn: list[tuple[int, int, bytes]]) -> None:
            data = good
            for at, size, new in drawn:
                data = data[:at] + new + data[at + size :]
            one(data)

        feed()
        seed += 1_000
    return one.found


ATHERIS = """
import sys, atheris
sys.path.insert(0, {here!r})
with atheris.instrument_imports(include=["fuzz.planted", "json", "csv", "gzip", "zipfile"]):
    from fuzz import planted
read, good = next(item for item in planted.PLANTED.items() if item[0].__name__ == {name!r})
open({corpus!r} + "/good", "wb").write(good)
one = planted.Counted(read)
def feed(data):
    one(data)
    if one.found:
        print("found", one.n, flush=True)
        import os
        os._exit(0)
atheris.Setup([sys.argv[0], "-runs={most}", "-seed={seed}", "-max_len=20000", "-verbosity=0",
               {corpus!r}], feed)
atheris.Fuzz()
"""


def by_atheris(read: Callable[[bytes], None], good: bytes, most: int, seed: int) -> int | None:
    """The same with atheris, led by the branches of the reader, in a process of its own."""
    here = str(Path(__file__).parents[1])
    with tempfile.TemporaryDirectory() as corpus:
        script = ATHERIS.format(
            here=here, name=read.__name__, corpus=corpus, most=most, seed=seed or 1
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
    words = done.stdout.split()
    return int(words[words.index("found") + 1]) if "found" in words else None


def main() -> None:
    """Print the inputs that each way needs for each fault."""
    most, seeds = 3_000, (1, 2)
    ways = {"ours": by_ours, "hypothesis": by_hypothesis}
    if find_spec("atheris") is not None:
        ways["atheris"] = by_atheris
    print(f"{'fault':24}" + "".join(f"{way:>28}" for way in ways))
    total = dict.fromkeys(ways, 0)
    for read, good in PLANTED.items():
        line = f"{read.__name__:24}"
        for way, search in ways.items():
            counts = [search(read, good, most, seed) for seed in seeds]
            total[way] += sum(n is not None for n in counts)
            line += f"{', '.join('-' if n is None else f'{n:,}' for n in counts):>28}"
        print(line, flush=True)
    every = len(PLANTED) * len(seeds)
    print(f"{'found':24}" + "".join(f"{f'{total[way]} of {every}':>28}" for way in ways))


if __name__ == "__main__":
    main()
