"""What a section found, and how it is shown: tables on the terminal, JSON, and the budgets that it can judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .rounds import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    Cell = str | int | float | Spread | None


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


@dataclass(slots=True, kw_only=True)
class Budget:
    """One bar of the design, and what was measured."""

    name: str
    measured: Spread | float | None
    bar: float
    aim: float | None = None
    at_least: bool = False
    """The bar is a least value; else a greatest one."""
    unit: str = ""
    note: str = ""

    @property
    def value(self) -> float | None:
        """The number that is judged: the median."""
        return self.measured.middle if isinstance(self.measured, Spread) else self.measured

    def meets(self, limit: float | None) -> bool | None:
        """Whether the limit is kept; None where nothing was measured, or there is no limit."""
        value = self.value
        if value is None or limit is None:
            return None
        return value >= limit if self.at_least else value <= limit

    def to_json(self) -> dict[str, Any]:
        """Everything, with the verdicts."""
        spread = self.measured.to_json() if isinstance(self.measured, Spread) else None
        return {
            "name": self.name, "measured": self.value, "spread": spread, "bar": self.bar, "aim": self.aim,
            "at_least": self.at_least, "unit": self.unit, "met": self.meets(self.bar), "aim_met": self.meets(self.aim),
            "note": self.note,
        }  # fmt: skip


@dataclass(slots=True)
class Section:
    """What one section of a run found."""

    name: str
    tables: list[Table] = field(default_factory=list)
    budgets: list[Budget] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    """For the JSON file and the plots."""
    series: dict[str, bytes] = field(default_factory=dict)
    """For the plots alone: samples as pairs of floats, seconds and microseconds."""


def budget_table(budgets: Sequence[Budget]) -> Table:
    """Every bar: measured, must, aim, met or not."""
    table = Table("Budgets", ["what", "measured", "must", "aim", "met", "aim met"])
    words = {True: "yes", False: "NO", None: "-"}
    for one in budgets:
        sign = "at least" if one.at_least else "at most"
        table.rows.append(
            [
                one.name + (f", {one.note}" if one.note else ""),
                _measured(one),
                f"{sign} {one.bar:g}{one.unit}",
                f"{one.aim:g}{one.unit}" if one.aim is not None else "",
                words[one.meets(one.bar)],
                words[one.meets(one.aim)] if one.aim is not None else "",
            ]
        )
    return table


def _measured(one: Budget) -> str:
    if one.measured is None:
        return "not measured"
    return f"{one.measured:.2f}" + one.unit


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, Spread):
        digits = 0 if abs(cell.middle) >= 1000 else 1 if abs(cell.middle) >= 100 else 2
        return f"{cell:.{digits}f}"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.1f}" if abs(cell) >= 100 else f"{cell:.2f}"
    return f"{cell:,}" if isinstance(cell, int) else cell
