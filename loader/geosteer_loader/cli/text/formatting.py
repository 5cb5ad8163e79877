"""Results as text for people: aligned columns, spans of time, colours where a terminal shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def status(found: Mapping[str, Any]) -> str:
    """What `geosteer status` shows."""
    parts = [
        f"generation {found['generation']}, published {found['published']} ({span(found['age'])} ago)",
        f"{found['redis']}, prefix {found['prefix']}",
    ]
    if found["held"]:
        parts.append(click.style(f"held: {found['held']}", fg="yellow"))
    if found["publisher"]:
        parts.append(f"a publisher is at work: {found['publisher']}")
    if found["tables"]:
        parts += [
            "",
            columns(("TABLE", "PREFIXES", "RANGES", "DATA OF", "AGE", "FROM"), _tables(found["tables"])),
        ]
    parts += ["", columns(("NODE", "STATE", "SHARE", "SINCE", "WHY"), _nodes(found["nodes"]))]
    if found["beats"]:
        rows = [
            (
                name,
                beat["count"],
                span(beat["age"]) + " ago",
                click.style("silent", fg="red") if beat["silent"] else "",
            )
            for name, beat in found["beats"].items()
        ]
        parts += ["", columns(("WRITER", "BEATS", "LAST", ""), rows)]
    troubles = [f"map {name} has no serving node" for name in found["maps_without_node"]] + found["warnings"]
    troubles += [f"{name}: {node['warning']}" for name, node in found["nodes"].items() if node["warning"]]
    parts += ["", *(click.style(line, fg="red") for line in troubles)] if troubles else []
    return "\n".join(parts)


def _tables(tables: Mapping[str, Any]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, table in tables.items():
        files = ", ".join(str(file["file"]) for file in table["source"] if "file" in file)
        where = files if table["there"] else click.style("not all there", fg="red")
        rows.append((name, table["prefixes"], table["ranges"], table["built"], span(table["age"]), where))
    return rows


def _nodes(nodes: Mapping[str, Any]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, node in nodes.items():
        said = node["override"]
        word = (
            state(node["state"]) if not said else f"{state(node['state'])}, operator: {state(said['state'])}"
        )
        if node["unchecked"] is not None:
            word += f" (not checked for {span(node['unchecked'])})"
        elif node["never_checked"]:
            word += " (never checked)"
        if said:
            why = said_by(said) + (f" (checks: {node['reason']})" if node["reason"] else "")
        else:
            why = (node["excluded"] or "").removeprefix("down: ") or node["reason"]
        if node["failing"]:
            why = f"checks fail; {why}".removesuffix("; ")
        rows.append((name, word, f"{100 * node['share']:.0f} %", node["since"] or "", why))
    return rows


def said_by(override: Mapping[str, Any]) -> str:
    """Who told a node what it is, since and until when, and why."""
    until = f" until {override['until']}" if override.get("until") else ""
    why = f": {override['why']}" if override.get("why") else ""
    return f"{override.get('who', '?')} since {override.get('since', '?')}{until}{why}"


def lookups(found: Sequence[Mapping[str, Any]]) -> str:
    """What `geosteer lookup` shows."""
    rows = [
        (answer["address"], table, cell["prefix"], "-" if cell["record"] is None else cell["record"])
        for answer in found
        for table, cell in answer.items()
        if table != "address"
    ]
    return columns(("ADDRESS", "TABLE", "PREFIX", "RECORD"), rows)


def generations(found: Sequence[Mapping[str, Any]]) -> str:
    """What `geosteer history` shows."""
    rows = [
        (
            entry["generation"],
            entry["published"],
            entry["changed"],
            entry["who"],
            "current" if entry["current"] else "",
        )
        for entry in found
    ]
    return columns(("GENERATION", "PUBLISHED", "CHANGED", "WHO", ""), rows)
