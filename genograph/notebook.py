"""How results show themselves: one line in a console, a small table in a notebook."""

import html
from collections.abc import Iterable, Sequence


def shorten(names: Iterable[str], *, most: int = 4) -> str:
    """The first few names, joined by commas, as one printable line."""
    listed = list(names)
    text = ", ".join(listed[:most])
    if len(listed) > most:
        text += f" and {len(listed) - most:,} more"
    return one_line(text)


def one_line(text: str) -> str:
    """Text in which line breaks and other characters that are not printed stand as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def html_table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as HTML, every text escaped; a number that is no number is a dash."""
    lines = [f"<table><caption>{html.escape(caption)}</caption>"]
    if header:
        cells = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        lines.append(f"<thead><tr>{cells}</tr></thead>")
    body = (
        "<tr>" + "".join(f"<td>{html.escape(_shown(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return "\n".join([*lines, "<tbody>", *body, "</tbody></table>"])


def _shown(value: object) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.3f}"
    return f"{value:,}" if type(value) is int else str(value)
