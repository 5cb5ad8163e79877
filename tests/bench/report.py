"""What a section found, and how it is shown: tables on the terminal, and JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .rounds import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    Cell = str | int | float | Spread | None

LATE = "generator late: how long other work kept the generator itself waiting at most; latencies have that in them"


@dataclass(slots=True)
class Table:
    """A titled table; numbers are set to the right."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For the terminal."""
        cells = [[_text(cell) for cell in row] for row in [self.columns, *self.rows]]
        widths = [max(len(row[at]) for row in cells) for at in range(len(self.columns))]
        shown = [
            "  ".join(
                cell.ljust(width) if at == 0 else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        ]
        rule = "-" * max(map(len, shown))
        return [self.title, rule, shown[0], rule, *shown[1:], *(f"  {note}" for note in self.notes), ""]

    def to_json(self) -> dict[str, Any]:
        """The same, with numbers as numbers; a spread is an object of three."""
        return {
            "title": self.title, "columns": list(self.columns), "notes": self.notes,
            "rows": [[_plain(cell) for cell in row] for row in self.rows],
        }  # fmt: skip


@dataclass(slots=True)
class Section:
    """What one section of a run found."""

    name: str
    tables: list[Table] = field(default_factory=list)
    measured: dict[str, tuple[Spread | float, str]] = field(default_factory=dict)
    """Key of a bar -> what is judged by it, and a note."""
    data: dict[str, Any] = field(default_factory=dict)
    """For the JSON file and the plots."""
    series: dict[str, bytes] = field(default_factory=dict)
    """For the plots alone: samples as pairs of floats, seconds and microseconds."""

    def judge(self, key: str, measured: Spread | float, note: str = "") -> None:
        """Something that a bar stands for."""
        self.measured[key] = measured, note

    def to_json(self) -> dict[str, Any]:
        """Its tables as they are printed, and the numbers behind them."""
        return {"tables": [table.to_json() for table in self.tables], "data": self.data}


def _plain(cell: Cell) -> object:
    return cell.to_json() if isinstance(cell, Spread) else cell


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, Spread):
        digits = 0 if abs(cell.middle) >= 1000 else 1 if abs(cell.middle) >= 100 else 2
        return f"{cell:.{digits}f}"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.1f}" if abs(cell) >= 100 else f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else cell
