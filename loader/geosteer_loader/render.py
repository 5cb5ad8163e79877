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
            why = _said(said) + (f" (checks: {node['reason']})" if node["reason"] else "")
        else:
            why = (node["excluded"] or "").removeprefix("down: ") or node["reason"]
        if node["failing"]:
            why = f"checks fail; {why}".removesuffix("; ")
        rows.append((name, word, f"{100 * node['share']:.0f} %", node["since"] or "", why))
    return rows


def _said(override: Mapping[str, Any]) -> str:
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


def explanation(found: Mapping[str, Any]) -> str:
    """What `geosteer explain` shows."""
    generation = "as planned" if found["generation"] is None else f"generation {found['generation']}"
    lines = [
        f"{found['name']} {found['type']} for {found['client'] or 'a client unknown'}",
        f"map {found['map']}, policy {found['policy']}, layer {_answered_by(found['answered_by'])}",
        f"scope {found['scope']}: {found['scope_reason']}",
        f"{found['tier']}, {generation}",
    ]
    if found["ticket"] is not None:
        lines.insert(2, f"drawn with ticket {found['ticket']:.17g}; --ticket draws again with the same")
    if found["policy_reason"]:
        lines.insert(2, f"policy {found['policy']}: {found['policy_reason']}")
    matched = [(table, cell["prefix"], cell["record"] or "-") for table, cell in found["matched"].items()]
    if matched:
        lines += ["", columns(("TABLE", "PREFIX", "RECORD"), matched)]
    layers = [(one["type"], one["layer"], one["key"] or "", one["outcome"]) for one in found["layers"]]
    lines += ["", columns(("TYPE", "LAYER", "KEY", ""), layers)]
    if found["candidates"]:
        lines += ["", _candidates(found["candidates"])]
        if limits := _limits(found["candidates"]):
            lines += ["", *limits]
    lines.append("")
    lines += [
        click.style(f"{answer['type']} {answer['content']}, ttl {answer['ttl']}", bold=True)
        for answer in found["answer"]
    ]
    if not found["answer"]:
        lines.append(click.style("refused: no node" if found["refused"] else "no answer", fg="red"))
    if found["valid_until"]:
        lines.append(f"holds until {found['valid_until']} at most: something ends or grows then")
    if found["warning"]:
        lines.append(click.style(f"warning: {found['warning']}", fg="red"))
    return "\n".join(lines)


def _candidates(found: Sequence[Mapping[str, Any]]) -> str:
    """The candidates; a column of which no cell says anything is left out."""
    cells: dict[str, list[object]] = {
        "LAYER": [one["layer"] for one in found],
        "TYPE": [one["type"] for one in found],
        "CANDIDATE": [one["node"] for one in found],
        "WEIGHT": [one["weight"] for one in found],
        "KM": [_shown("{:.0f}", one.get("km")) for one in found],
        "PATH": [_shown("{}", one.get("path_length")) for one in found],
        "SHARE": [_part(one["share"]) for one in found],
        "LOAD": [_shown("{:.0%}", one["load"]).replace("%", " %") for one in found],
        "SHED": [_part(one["shed"]) if one["shed"] else "" for one in found],
        "DRAWS": [f"{100 * one['chance']:.1f} %" if "chance" in one else "" for one in found],
        "STATE": [state(one["state"]) for one in found],
        "RANK": [one["rank"] or "" for one in found] if any((one["rank"] or 0) > 1 for one in found) else [],
        "": [_verdict(one) for one in found],
    }
    kept = [name for name, column in cells.items() if any(cell != "" for cell in column)]
    return columns(kept, list(zip(*(cells[name] for name in kept), strict=True)))


def _shown(form: str, value: object) -> str:
    return "" if value is None else form.format(value)


def _verdict(one: Mapping[str, Any]) -> str:
    if one["excluded"]:
        return str(one["excluded"])
    if one["spilled"]:
        return "gives this client away"
    if not one["chosen"]:
        return "comes behind"
    why = ""
    if one["ignored"]:
        why = f" (although {one['ignored']})"
    elif one["unwilling"]:
        why = " (nobody keeps this client, and none has a higher share)"
    return click.style(f"chosen{why}", fg="green")


def _limits(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What else is to be known of nodes, such as why they keep only a part of their clients; a line for each such node."""
    lines = {}
    for one in found:
        why = []
        if said := one["override"]:
            part = f" to {said['percent']:g} %" if said.get("percent") is not None else ""
            why.append(f"operator: {said['state']}{part}, {_said(said)}")
        if one["ramps_until"]:
            why.append(f"came back, ramps up until {one['ramps_until']}")
        if one["shed"]:
            why.append(f"sheds {_part(one['shed'])} for its load")
        if one["failing"] and one["state"] != "down":
            why.append("checks fail, though too few to call it down: a shorter TTL")
        if why:
            lines[one["node"]] = f"{one['node']}: {'; '.join(why)}"
    return list(lines.values())


def _part(share: float) -> str:
    """A share in whole per cent; neither all nor nothing where it is not."""
    if 0 < share < 0.005:
        return "<1 %"
    return ">99 %" if 0.995 < share < 1 else f"{100 * share:.0f} %"


def _answered_by(layers: Mapping[str, str]) -> str:
    """The layer that answered, or each type's where they differ."""
    if len(set(layers.values())) > 1:
        return ", ".join(f"{layer} for {kind}" for kind, layer in layers.items())
    return next(iter(layers.values()), "none")
