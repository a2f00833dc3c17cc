"""Bad input: what a hypothesis strategy does to a good file.

A file is broken a few times in a row: bytes flipped, inserted, cut; lines doubled, swapped,
dropped; cells replaced by what breaks parsers; packed, packed and cut, or replaced altogether.
"""

import gzip
import io
import json
import zipfile

from hypothesis import strategies as st

HOSTILE = (
    *("", " ", "NaN", "nan", "inf", "-inf", "1e999", "-1e308", "1e-400", "0x10", "1_000", "٣", "½"),
    *("9" * 400, "9" * 5000, "-1", "-0", "1e5", "1.5", "+", "true", "null", "None", "99999999999"),
    *("\x00", "a\x00b", "\x1b[31m", "\u202e", "\ufeff", "\u2028", "\x85", "\x1c", "e\u0301"),
    *("=1+1", "@SUM(A1)", "../../etc/passwd", "'", '"', '""', '"a', "`", "\\", "$x", "%s", "{0}"),
    *(
        "YAL001C",
        "YAL001C+YAL001C",
        "YAL001C(ts:x)",
        "YAL001C(",
        "+",
        "GO:0000000",
        "WT",
        "x" * 900,
    ),
    *(
        "[" * 300,
        "{" * 300,
        "a=b;" * 50,
        "|",
        ",",
        ";",
        ":",
        "#",
        "!",
        ">",
        "-",
        "[Term]",
        "\t",
        "id:",
    ),
)
BYTES = (b"\x00", b"\xff", b"\xef\xbb\xbf", b"\r", b"\r\n", b"\n", b"\n\n", b"\t", b"\xc3", b"\x80")
BYTES += (
    b'{"a":' * 3_000,
    b"\xed\xa0\x80",
    b"\x1f\x8b",
    b"PK\x03\x04",
    b"\x1a",
    b"\x0c",
    b'"',
    b"'",
    b"{",
    b"[" * 99,
)

_where = st.integers(0, 1 << 16)


@st.composite
def broken(draw, good):
    """One of the good files (bytes), broken one to four times: what it was after each time."""
    # the well formed file leads further than the others, which have a trap already
    data = draw(st.sampled_from(good[:1] * len(good) + good))
    packed = data.startswith(b"\x1f\x8b")
    if packed:
        data = gzip.decompress(data)
    ways = _ways(data)
    # behind a broken header nothing is read, so it is mostly left as it is
    lines = draw(st.sampled_from((0, 1, 1, 2, 3))) if ways is WAYS else 0
    head = b"".join(data.splitlines(keepends=True)[:lines])
    data = data[len(head) :]
    stages = []
    for _ in range(draw(st.integers(1, 4))):
        data = draw(st.sampled_from(ways))(draw, data)
        stages.append(head + data)
    if packed and draw(st.booleans()):
        stages = [gzip.compress(stage, 1, mtime=0) for stage in stages]
    return stages


def _place(draw, n):
    """A place among n, the last ones as likely as the first."""
    at = draw(_where)
    return at % n if n else 0


def flipped(draw, data):
    """One byte is another."""
    at = _place(draw, len(data))
    return data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]


def inserted(draw, data):
    """Bytes that do not belong there."""
    at = _place(draw, len(data) + 1)
    return data[:at] + draw(st.sampled_from(BYTES)) + data[at:]


def cut(draw, data):
    """The end is missing."""
    return data[: _place(draw, len(data) + 1)]


def dropped(draw, data):
    """A piece of the middle is missing, or there twice."""
    first = _place(draw, len(data) + 1)
    last = min(len(data), first + draw(st.integers(1, 64)))
    return data[:first] + data[first:last] * draw(st.sampled_from((0, 2))) + data[last:]


def _lines(draw, data):
    lines = data.split(b"\n")
    return lines, _place(draw, len(lines)), _place(draw, len(lines))


def line_dropped(draw, data):
    """A line is missing."""
    lines, at, _ = _lines(draw, data)
    del lines[at]
    return b"\n".join(lines)


def line_doubled(draw, data):
    """A line stands twice."""
    lines, at, to = _lines(draw, data)
    lines.insert(to, lines[at])
    return b"\n".join(lines)


def lines_swapped(draw, data):
    """Two lines have changed places."""
    lines, at, to = _lines(draw, data)
    lines[at], lines[to] = lines[to], lines[at]
    return b"\n".join(lines)


def _separator(data):
    return b"\t" if b"\t" in data else b"," if b"," in data else b" "


def cell(draw, data):
    """One cell is what breaks parsers."""
    lines, at, _ = _lines(draw, data)
    by = _separator(lines[at])
    cells = lines[at].split(by)
    cells[_place(draw, len(cells))] = draw(st.sampled_from(HOSTILE)).encode()
    lines[at] = by.join(cells)
    return b"\n".join(lines)


def cell_moved(draw, data):
    """One cell stands in the place of another."""
    lines, at, to = _lines(draw, data)
    by = _separator(lines[at])
    cells, others = lines[at].split(by), lines[to].split(by)
    cells[_place(draw, len(cells))] = others[_place(draw, len(others))]
    lines[at] = by.join(cells)
    return b"\n".join(lines)


def column_dropped(draw, data):
    """A column is missing in every line, or there twice."""
    by, out = _separator(data), []
    place, times = draw(st.integers(0, 20)), draw(st.sampled_from((0, 2)))
    for line in data.split(b"\n"):
        cells = line.split(by)
        at = place % len(cells)
        out.append(by.join(cells[:at] + [cells[at]] * times + cells[at + 1 :]))
    return b"\n".join(out)


def windows(draw, data):
    """A byte order mark, and lines that end as on Windows or on an old Mac."""
    end = draw(st.sampled_from((b"\r\n", b"\r", b"\n\r", b"\x85")))
    start = draw(st.sampled_from((b"", b"\xef\xbb\xbf", b"\xff\xfe")))
    return start + data.replace(b"\n", end)


def other_separator(draw, data):
    """Another separator."""
    return data.replace(_separator(data), draw(st.sampled_from((b",", b";", b" ", b"\t\t", b"|"))))


def wide(draw, data):
    """A line of very many cells."""
    lines, at, _ = _lines(draw, data)
    lines[at] += (_separator(data) + b"1") * draw(st.sampled_from((10, 1_000, 20_000)))
    return b"\n".join(lines)


def packed_and_damaged(draw, data):
    """A gzip that is cut or has a byte flipped."""
    how = draw(st.sampled_from((cut, flipped, flipped)))
    return how(draw, gzip.compress(data[:20_000], 1, mtime=0))


def replaced(draw, data):
    """Anything else."""
    kinds = (st.binary(max_size=200), st.text(max_size=200).map(lambda s: s.encode("utf-8")))
    return draw(st.one_of(kinds))


TEXT = (cell, cell, cell, cell_moved, line_dropped, line_doubled, lines_swapped, column_dropped)
TEXT += (windows, other_separator, wide, packed_and_damaged)
WAYS = (flipped, flipped, inserted, cut, dropped, *TEXT, replaced)


def member_broken(draw, data):
    """A zip, put together again, in which one member is broken."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as held:
            members = {name: held.read(name) for name in held.namelist()}
    except (zipfile.BadZipFile, EOFError, ValueError, OSError, NotImplementedError, RuntimeError):
        return flipped(draw, data)
    except zipfile.zlib.error:
        return flipped(draw, data)
    if not members:
        return flipped(draw, data)
    name = draw(st.sampled_from(sorted(members)))
    members[name] = draw(st.sampled_from((flipped, flipped, inserted, cut, dropped, xml)))(
        draw, members[name]
    )
    if draw(st.integers(0, 9)) == 0:
        del members[name]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as held:
        for key, content in members.items():
            # its time is fixed, so that a seed gives the same bytes again
            held.writestr(zipfile.ZipInfo(key), content)
    return out.getvalue()


def value(draw, data):
    """A value of a JSON record is another, missing, or there under another name."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return flipped(draw, data)
    if not isinstance(record, dict | list) or not record:
        return flipped(draw, data)
    inner = record
    while True:
        keys = sorted(inner) if isinstance(inner, dict) else range(len(inner))
        key = draw(st.sampled_from(keys))
        below = inner[key]
        if not isinstance(below, dict | list) or not below or draw(st.integers(0, 3)) == 0:
            break
        inner = below
    how = draw(st.integers(0, 9))
    if how == 0:
        del inner[key]
    elif how == 1 and isinstance(inner, dict):
        inner[draw(st.sampled_from(HOSTILE))] = inner.pop(key)
    elif how == 2:
        inner[key] = inner[draw(st.sampled_from(keys))]
    else:
        inner[key] = draw(st.sampled_from(VALUES))
    return json.dumps(record).encode("utf-8", "surrogatepass")


def header(draw, data):
    """A value in the header of a safetensors file is another; its length is right."""
    size = int.from_bytes(data[:8], "little")
    if size > len(data) - 8:
        return flipped(draw, data)
    new = draw(st.sampled_from((value, value, value, flipped, cell)))(draw, data[8 : 8 + size])
    return len(new).to_bytes(8, "little") + new + data[8 + size :]


def number(draw, data):
    """One of the 64-bit numbers behind the header of a safetensors file is another."""
    begin = 8 + int.from_bytes(data[:8], "little")
    n = (len(data) - begin) // 8
    if n <= 0:
        return flipped(draw, data)
    at = begin + 8 * _place(draw, n)
    new = draw(st.sampled_from((-1, -(2**63), 0, 1, 2, 12, 31, 2**31, 2**32, 2**62, 2**63 - 1)))
    return data[:at] + new.to_bytes(8, "little", signed=True) + data[at + 8 :]


def xml(draw, data):
    """What stands between two brackets, or in quotation marks, is what breaks parsers."""
    left, right = draw(st.sampled_from(((b">", b"<"), (b'"', b'"'), (b"(", b")"), (b"'", b"'"))))
    starts = [i for i in range(len(data)) if data[i : i + 1] == left]
    if not starts:
        return flipped(draw, data)
    first = starts[_place(draw, len(starts))] + 1
    last = data.find(right, first)
    word = draw(st.sampled_from(HOSTILE)).encode()
    return data[:first] + word + data[last if last >= 0 else first :]


VALUES = (None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, -0.0, float("nan"), float("inf"))
VALUES += (
    "",
    "x",
    "\x00",
    "\ud800",
    "9" * 400,
    "../x",
    [],
    [[]],
    [0],
    [-1, 2],
    {},
    {"": 0},
    [None],
)
VALUES += ([0, 2**63], [2**40, 2**40], "F32", "I64", "BOOL", "BF16", "F8_E4M3", "__metadata__")
JSON = (value, value, value, value, value, flipped, inserted, cut, dropped, replaced)
SAFETENSORS = (
    header,
    header,
    header,
    number,
    number,
    number,
    flipped,
    flipped,
    inserted,
    cut,
    dropped,
    replaced,
)
ZIPPED = (member_broken, member_broken, member_broken, flipped, inserted, cut, dropped, replaced)


def _ways(data):
    """What can be done to a file of this kind."""
    if data.startswith(b"PK"):
        return ZIPPED
    if data.startswith(b"{"):
        return JSON
    return SAFETENSORS if data[8:10] == b'{"' else WAYS
