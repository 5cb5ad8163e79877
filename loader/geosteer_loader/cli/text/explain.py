"""What `geosteer explain` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from geosteer_loader.cli.text.formatting import columns, state
from geosteer_loader.cli.text.status import said_by
from geosteer_loader.percent import percent
from geosteer_loader.query.explanation import Nearness, PathLength, RoundTrip

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer_loader.query.explanation import Candidate, Equals, Explanation


def text(explanation: Explanation) -> str:
    """The whole explanation."""
    generation = "as planned" if explanation.generation is None else f"generation {explanation.generation}"
    lines = [
        f"{explanation.name} {explanation.type} for {explanation.client or 'an unknown client'}",
        f"map {explanation.map}, policy {explanation.policy}, layer {_answered_by(explanation.answered_by)}",
        f"scope {explanation.scope}: {explanation.scope_reason}",
        f"{explanation.tier}, {generation}" + (f", as of {explanation.at}" if explanation.at else ""),
    ]
    if explanation.ticket is not None:
        lines.insert(2, f"drawn with ticket {explanation.ticket:.17g}; --ticket draws again with the same")
    if explanation.policy_reason:
        lines.insert(2, f"policy {explanation.policy}: {explanation.policy_reason}")
    matched = [(table, cell.prefix, cell.record or "-") for table, cell in explanation.matched.items()]
    if matched:
        lines += ["", columns(("TABLE", "PREFIX", "RECORD"), matched)]
    layers = [(row.type, row.layer, row.key or "", row.outcome) for row in explanation.layers]
    lines += ["", columns(("TYPE", "LAYER", "KEY", ""), layers)]
    if explanation.candidates:
        lines += ["", _candidates(explanation.candidates)]
        if limits := _limits(explanation.candidates):
            lines += ["", *limits]
        if ties := _ties(explanation.equals):
            lines += ["", *ties]
    lines.append("")
    lines += [
        click.style(f"{answer.type} {answer.content}, ttl {answer.ttl}", bold=True)
        for answer in explanation.answer
    ]
    if not explanation.answer:
        lines.append(click.style("refused: no node" if explanation.refused else "no answer", fg="red"))
    if explanation.valid_until:
        lines.append(f"valid until {explanation.valid_until}: an override or a ramp changes then")
    lines += [click.style(f"note: {note}", fg="yellow") for note in explanation.notes]
    if explanation.warning:
        lines.append(click.style(f"warning: {explanation.warning}", fg="red"))
    return "\n".join(lines)


def _candidates(candidates: Sequence[Candidate]) -> str:
    """The candidates; a column of which no cell says anything is left out."""
    cells: dict[str, list[object]] = {
        "LAYER": [candidate.layer for candidate in candidates],
        "TYPE": [candidate.type for candidate in candidates],
        "CANDIDATE": [candidate.node for candidate in candidates],
        "WEIGHT": [candidate.weight for candidate in candidates],
        "KM": [_kilometres(candidate) for candidate in candidates],
        "MS": [_milliseconds(candidate) for candidate in candidates],
        "COUNTS AS": [_biased(candidate) for candidate in candidates],
        "PATH": [_path_length(candidate) for candidate in candidates],
        "SHARE": [percent(candidate.share, 0) for candidate in candidates],
        "LOAD": ["" if candidate.load is None else percent(candidate.load, 0) for candidate in candidates],
        "SHED": [percent(candidate.shed, 0) if candidate.shed else "" for candidate in candidates],
        "DRAWS": ["" if candidate.chance is None else percent(candidate.chance) for candidate in candidates],
        "STATE": [state(candidate.state) for candidate in candidates],
        "RANK": [candidate.rank or "" for candidate in candidates]
        if any((candidate.rank or 0) > 1 for candidate in candidates)
        else [],
        "": [_verdict(candidate) for candidate in candidates],
    }
    headers = [name for name, column in cells.items() if any(cell != "" for cell in column)]
    return columns(headers, list(zip(*(cells[name] for name in headers), strict=True)))


def _kilometres(candidate: Candidate) -> str:
    return (
        f"{candidate.went_by.km:.0f}"
        if isinstance(candidate.went_by, Nearness) and candidate.went_by.km is not None
        else ""
    )


def _path_length(candidate: Candidate) -> str:
    known = isinstance(candidate.went_by, PathLength) and candidate.went_by.path_length is not None
    return str(candidate.went_by.path_length) if known else ""  # type: ignore[union-attr]


def _milliseconds(candidate: Candidate) -> str:
    known = isinstance(candidate.went_by, RoundTrip) and candidate.went_by.ms is not None
    return str(candidate.went_by.ms) if known else ""  # type: ignore[union-attr]


def _biased(candidate: Candidate) -> str:
    """`3090 with bias 25`: what its distance or time counts as, where a bias or `max_share` changes it."""
    went_by = candidate.went_by
    if not isinstance(went_by, Nearness | RoundTrip) or went_by.biased is None:
        return ""
    why = [f"bias {went_by.bias:g}"] if went_by.bias is not None else []
    if went_by.offset is not None:
        why.append(f"{went_by.offset:g} added for its max_share")
    return f"{went_by.biased:.{isinstance(went_by, RoundTrip):d}f} with {' and '.join(why)}" if why else ""


def _verdict(candidate: Candidate) -> str:
    if candidate.excluded:
        return str(candidate.excluded)
    if candidate.spilled:
        return "gives this client away"
    fails = candidate.went_by.fails if isinstance(candidate.went_by, RoundTrip) else None
    if not candidate.chosen:
        return fails or "ranked behind"
    why = f" (although it {fails})" if fails else ""
    if candidate.ignored:
        why = f" (although {candidate.ignored})"
    elif candidate.unwilling:
        why = " (outside every node's share, and this one's is the highest)"
    return click.style(f"chosen{why}", fg="green")


def _limits(candidates: Sequence[Candidate]) -> list[str]:
    """What else is to be known of nodes, such as why they keep only a part of their clients; a line for each such node."""
    lines = {}
    for candidate in candidates:
        why = []
        if override := candidate.override:
            part = f" to {override['percent']:g} %" if override.get("percent") is not None else ""
            why.append(f"operator: {override['state']}{part}, {said_by(override)}")
        if candidate.ramps_until:
            why.append(f"came back, ramps up until {candidate.ramps_until}")
        if candidate.shed:
            why.append(f"sheds {percent(candidate.shed, 0)} for its load")
        if candidate.failing and candidate.state != "down":
            why.append("checks fail, though too few to call it down: a shorter TTL")
        if why:
            lines[candidate.node] = f"{candidate.node}: {'; '.join(why)}"
    return list(lines.values())


def _ties(equals: Sequence[Equals]) -> list[str]:
    """A line for each order among equals; types that have the same share it."""
    return list(dict.fromkeys(f"{', '.join(tie.nodes)}: {tie.reason}" for tie in equals))


def _answered_by(layers: Mapping[str, str]) -> str:
    """The layer that answered, or each type's where they differ."""
    if len(set(layers.values())) > 1:
        return ", ".join(f"{layer} for {kind}" for kind, layer in layers.items())
    return next(iter(layers.values()), "none")
