"""What `geosteer status` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from geosteer_loader.cli.text.formatting import columns, span, state
from geosteer_loader.config.values import printable
from geosteer_loader.percent import percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.query.status import NodeStatus, Status, TableStatus
    from geosteer_loader.query.worker_answers import WorkerStatus

LONGEST_TIME = 30
"""Characters of a time that are shown; geosteer writes 20 to 24."""


def text(status: Status) -> str:
    """What `geosteer status` shows."""
    parts = [
        f"generation {status.generation}, published {_brief(status.published)} ({span(status.age)} ago)",
        f"{status.redis}, prefix {status.prefix}",
    ]
    if status.held:
        parts.append(click.style(f"held: {status.held}", fg="yellow"))
    if status.failure:
        told = status.failure
        guard = f" ({told.guard})" if told.guard else ""
        line = f"publish has failed since {told.since}, last {told.when} by {told.who}{guard}: {told.why}"
        parts.append(click.style(printable(line), fg="red"))
    if status.publisher:
        parts.append(f"a publisher is at work: {status.publisher}")
    if status.tables:
        parts += [
            "",
            columns(("TABLE", "PREFIXES", "RANGES", "DATA OF", "AGE", "FROM"), _tables(status.tables)),
        ]
    parts += [
        f"rpki: {name}: {table.rpki.valid} routes valid, {table.rpki.invalid} invalid and passed over, "
        f"{table.rpki.not_found} not found; by {table.rpki.vrps} ROAs of {table.rpki.built}"
        for name, table in status.tables.items()
        if table.rpki is not None
    ]
    parts += ["", columns(("NODE", "STATE", "SHARE", "SINCE", "WHY"), _nodes(status.nodes))]
    if status.beats:
        rows = [
            (
                name,
                beat.count,
                span(beat.age) + " ago",
                click.style("silent", fg="red") if beat.silent else "",
            )
            for name, beat in status.beats.items()
        ]
        parts += ["", columns(("WRITER", "BEATS", "LAST", ""), rows)]
    troubles = [f"map {name} has no serving node" for name in status.maps_without_node]
    troubles += status.foreign + status.warnings
    troubles += [f"{name}: {node.warning}" for name, node in status.nodes.items() if node.warning]
    parts += ["", *(click.style(line, fg="red") for line in troubles)] if troubles else []
    parts += [f"not known to this user of Redis: {what}" for what in status.unknown]
    return "\n".join(parts)


def worker_text(found: WorkerStatus) -> str:
    """What `geosteer status --backend` shows."""
    live = found.status is not None
    parts = [click.style(f"workers answer {found.tier}, from {found.redis}", fg="green" if live else "red")]
    parts += [click.style(line, fg="yellow" if live else "red") for line in found.troubles]
    if found.status is not None:
        return "\n".join([*parts, text(found.status)])
    parts.append(f"workers already running keep steering from memory for up to {span(found.max_stale)}")
    rows = [(name, weight) for name, weight in found.servers.items()]
    parts += (
        ["", columns(("SERVER OF LAST RESORT", "WEIGHT"), rows)]
        if rows
        else ["no server of last resort is known"]
    )
    return "\n".join(parts)


def _brief(time: object) -> str:
    """A time as it stands in Redis; something damaged may be very long, and would widen a table by as much."""
    text = str(time)
    return text if len(text) <= LONGEST_TIME else text[: LONGEST_TIME - 3] + "..."


def _tables(tables: Mapping[str, TableStatus]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, table in tables.items():
        files = ", ".join(_file(file) for file in table.source if "file" in file)
        where = files if table.there else click.style("incomplete", fg="red")
        rows.append((name, table.prefixes, table.ranges, table.built, span(table.age), where))
    return rows


def _file(file: Mapping[str, object]) -> str:
    """The name of a source, with its format where that was recognised."""
    return f"{file['file']} ({file['recognised']})" if "recognised" in file else str(file["file"])


def _nodes(nodes: Mapping[str, NodeStatus]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, node in nodes.items():
        override = node.override
        word = (
            state(node.state)
            if not override
            else f"{state(node.state)}, operator: {state(override['state'])}"
        )
        if node.unchecked is not None:
            word += f" (not checked for {span(node.unchecked)})"
        elif node.never_checked:
            word += " (never checked)"
        if override:
            why = said_by(override) + (f" (checks: {node.reason})" if node.reason else "")
        else:
            why = (node.excluded or "").removeprefix("down: ") or node.reason
        if node.failing:
            why = f"checks fail; {why}".removesuffix("; ")
        rows.append((name, word, percent(node.share, 0), _brief(node.since or ""), why))
    return rows


def said_by(override: Mapping[str, Any]) -> str:
    """Who set an override, since and until when, and why."""
    until = f" until {override['until']}" if override.get("until") else ""
    why = f": {override['why']}" if override.get("why") else ""
    return f"{override.get('who', '?')} since {_brief(override.get('since', '?'))}{until}{why}"
