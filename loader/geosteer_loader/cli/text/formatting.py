"""Results as text for people: aligned columns, spans of time, colours where a terminal shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATES = {"up": "green", "down": "red", "drain": "yellow", "unknown": "yellow"}


def span(seconds: float | None) -> str:
    """A span of time in its largest unit, such as `3 h`; "?" for None."""
    if seconds is None:
        return "?"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def size(count: float) -> str:
    """A number of bytes, such as `28 kB`."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def columns(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lines with aligned columns under a header; numbers to the right. Styled cells count as wide as they look."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [
        max(len(name), *(len(click.unstyle(row[at])) for row in cells), 0) if cells else len(name)
        for at, name in enumerate(header)
    ]
    right = [
        bool(rows) and all(isinstance(row[at], int | float) for row in rows) for at in range(len(header))
    ]
    lines = [_line([click.style(name, bold=True) for name in header], widths, right)]
    return "\n".join([*lines, *(_line(row, widths, right) for row in cells)])


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for cell, width, numeric in zip(cells, widths, right, strict=True):
        gap = " " * (width - len(click.unstyle(cell)))
        padded.append(gap + cell if numeric else cell + gap)
    return "  ".join(padded).rstrip()


def state(word: str) -> str:
    """A state in its colour."""
    return click.style(word, fg=_STATES.get(word))
