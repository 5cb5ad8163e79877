"""What `geosteer explain` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from geosteer_loader.cli.text.formatting import columns, state
from geosteer_loader.cli.text.status import said_by
from geosteer_loader.percent import percent
from geosteer_loader.query.explanation import Nearness, PathLength

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer_loader.query.explanation import Candidate, Equals, Explanation


def text(found: Explanation) -> str:
    """The whole explanation."""
    generation = "as planned" if found.generation is None else f"generation {found.generation}"
    lines = [
        f"{found.name} {found.type} for {found.client or 'a client unknown'}",
        f"map {found.map}, policy {found.policy}, layer {_answered_by(found.answered_by)}",
        f"scope {found.scope}: {found.scope_reason}",
        f"{found.tier}, {generation}",
    ]
    if found.ticket is not None:
        lines.insert(2, f"drawn with ticket {found.ticket:.17g}; --ticket draws again with the same")
    if found.policy_reason:
        lines.insert(2, f"policy {found.policy}: {found.policy_reason}")
    matched = [(table, cell.prefix, cell.record or "-") for table, cell in found.matched.items()]
    if matched:
        lines += ["", columns(("TABLE", "PREFIX", "RECORD"), matched)]
    layers = [(one.type, one.layer, one.key or "", one.outcome) for one in found.layers]
    lines += ["", columns(("TYPE", "LAYER", "KEY", ""), layers)]
    if found.candidates:
        lines += ["", _candidates(found.candidates)]
        if limits := _limits(found.candidates):
            lines += ["", *limits]
        if ties := _ties(found.equals):
            lines += ["", *ties]
    lines.append("")
    lines += [
        click.style(f"{answer.type} {answer.content}, ttl {answer.ttl}", bold=True) for answer in found.answer
    ]
    if not found.answer:
        lines.append(click.style("refused: no node" if found.refused else "no answer", fg="red"))
    if found.valid_until:
        lines.append(f"holds until {found.valid_until} at most: something ends or grows then")
    if found.warning:
        lines.append(click.style(f"warning: {found.warning}", fg="red"))
    return "\n".join(lines)


def _candidates(found: Sequence[Candidate]) -> str:
    """The candidates; a column of which no cell says anything is left out."""
    cells: dict[str, list[object]] = {
        "LAYER": [one.layer for one in found],
        "TYPE": [one.type for one in found],
        "CANDIDATE": [one.node for one in found],
        "WEIGHT": [one.weight for one in found],
        "KM": [_kilometres(one) for one in found],
        "PATH": [_path_length(one) for one in found],
        "SHARE": [percent(one.share, 0) for one in found],
        "LOAD": ["" if one.load is None else percent(one.load, 0) for one in found],
        "SHED": [percent(one.shed, 0) if one.shed else "" for one in found],
        "DRAWS": ["" if one.chance is None else percent(one.chance) for one in found],
        "STATE": [state(one.state) for one in found],
        "RANK": [one.rank or "" for one in found] if any((one.rank or 0) > 1 for one in found) else [],
        "": [_verdict(one) for one in found],
    }
    kept = [name for name, column in cells.items() if any(cell != "" for cell in column)]
    return columns(kept, list(zip(*(cells[name] for name in kept), strict=True)))


def _kilometres(one: Candidate) -> str:
    return f"{one.went_by.km:.0f}" if isinstance(one.went_by, Nearness) and one.went_by.km is not None else ""


def _path_length(one: Candidate) -> str:
    known = isinstance(one.went_by, PathLength) and one.went_by.path_length is not None
    return str(one.went_by.path_length) if known else ""  # type: ignore[union-attr]


def _verdict(one: Candidate) -> str:
    if one.excluded:
        return str(one.excluded)
    if one.spilled:
        return "gives this client away"
    if not one.chosen:
        return "comes behind"
    why = ""
    if one.ignored:
        why = f" (although {one.ignored})"
    elif one.unwilling:
        why = " (outside every node's share, and this one's is the highest)"
    return click.style(f"chosen{why}", fg="green")


def _limits(found: Sequence[Candidate]) -> list[str]:
    """What else is to be known of nodes, such as why they keep only a part of their clients; a line for each such node."""
    lines = {}
    for one in found:
        why = []
        if said := one.override:
            part = f" to {said['percent']:g} %" if said.get("percent") is not None else ""
            why.append(f"operator: {said['state']}{part}, {said_by(said)}")
        if one.ramps_until:
            why.append(f"came back, ramps up until {one.ramps_until}")
        if one.shed:
            why.append(f"sheds {percent(one.shed, 0)} for its load")
        if one.failing and one.state != "down":
            why.append("checks fail, though too few to call it down: a shorter TTL")
        if why:
            lines[one.node] = f"{one.node}: {'; '.join(why)}"
    return list(lines.values())


def _ties(equals: Sequence[Equals]) -> list[str]:
    """A line for each order among equals; types that have the same share it."""
    return list(dict.fromkeys(f"{', '.join(one.nodes)}: {one.reason}" for one in equals))


def _answered_by(layers: Mapping[str, str]) -> str:
    """The layer that answered, or each type's where they differ."""
    if len(set(layers.values())) > 1:
        return ", ".join(f"{layer} for {kind}" for kind, layer in layers.items())
    return next(iter(layers.values()), "none")
