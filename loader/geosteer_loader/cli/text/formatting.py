"""Results as text for people: aligned columns, spans of time, colours where a terminal shows them."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = 2
"""Blanks between columns."""
NARROWEST = 8
"""Characters that are left of a column that is cut."""

_ESCAPE = re.compile(r"(\x1b\[[0-9;]*m)")
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


def columns(header: Sequence[str], rows: Sequence[Sequence[object]], *, full: bool = False) -> str:
    """Lines with aligned columns under a header; numbers to the right. Styled cells count as wide as they look.

    On a terminal the widest cells are cut until a line fits, unless *full*; a program that reads gets all of them.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [
        max(len(name), *(len(click.unstyle(row[at])) for row in cells), 0) if cells else len(name)
        for at, name in enumerate(header)
    ]
    right = [
        bool(rows) and all(isinstance(row[at], int | float) for row in rows) for at in range(len(header))
    ]
    limit = None if full else terminal_width()
    if limit is not None:
        widths = _fitted(
            widths, [max(len(name), NARROWEST) for name in header], limit - GAP * (len(header) - 1)
        )
    lines = [_line([click.style(name, bold=True) for name in header], widths, right)]
    return "\n".join([*lines, *(_line(row, widths, right) for row in cells)])


def folded(lines: Sequence[str], most: int, *, full: bool = False) -> list[str]:
    """On a terminal the first *most* lines, cut to its width, and how many more there are; all of them if *full*."""
    width = terminal_width()
    if full or width is None:
        return list(lines)
    kept = lines if len(lines) <= most + 1 else lines[:most]
    more = [f"  ... {len(lines) - most} more (--full shows them)"] if len(kept) < len(lines) else []
    return [*(cut(line, width) for line in kept), *more]


def terminal_width() -> int | None:
    """Characters of a line on the terminal that shows the results; None where it is not a terminal."""
    if not sys.stdout.isatty():
        return None
    import shutil  # with it modules for compression

    return shutil.get_terminal_size().columns


def _fitted(widths: Sequence[int], least: Sequence[int], limit: int) -> list[int]:
    """The widths, the widest of them taken in until all fit, none of them below *least*."""
    fitted = list(widths)
    while sum(fitted) > limit:
        at = max(range(len(fitted)), key=lambda each: (fitted[each] > least[each], fitted[each]))
        if fitted[at] <= least[at]:
            break
        fitted[at] -= 1
    return fitted


def cut(cell: str, width: int) -> str:
    """A cell of at most *width* characters, with an ellipsis where it was longer; colours stay."""
    if len(click.unstyle(cell)) <= width:
        return cell
    ellipsis = "\N{HORIZONTAL ELLIPSIS}" if "utf" in (sys.stdout.encoding or "").lower() else "~"
    kept, room = "", width - 1
    for part in _ESCAPE.split(cell):
        if _ESCAPE.fullmatch(part):
            kept += part
        elif room > 0:
            kept += part[:room]
            room -= len(part)
            kept += ellipsis if room <= 0 else ""
    return kept


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for whole, width, numeric in zip(cells, widths, right, strict=True):
        cell = whole if numeric else cut(whole, width)
        gap = " " * (width - len(click.unstyle(cell)))
        padded.append(gap + cell if numeric else cell + gap)
    return (" " * GAP).join(padded).rstrip()


def state(word: str) -> str:
    """A state in its colour."""
    return click.style(word, fg=_STATES.get(word))
