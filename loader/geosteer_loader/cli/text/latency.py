"""What `geosteer latency` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.cli.text.formatting import columns, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.latency.run import Run
    from geosteer_loader.latency.status import Level, Status


def run_text(run: Run) -> str:
    """What came of `geosteer latency ingest`."""
    lines = [f"{run.inputs} inputs, {size(run.read)} new: {run.taken} samples"]
    lines += [f"left out: {count} {reason}" for reason, count in run.dropped.most_common()]
    if run.window is not None:
        window = run.window
        lines.append(
            "window: no new samples, what is published stays"
            if window.frozen
            else f"window: {window.places} places known, {window.changed} changed, {window.waiting} waiting"
        )
        lines.append(
            f"table: {window.rows} prefixes" + (f", {window.forgotten} forgotten" if window.forgotten else "")
        )
    return "\n".join(lines)


def status_text(status: Status) -> str:
    """What `geosteer latency status` shows."""
    counts = status.counts
    lines = [
        f"database:  {status.database}, {size(counts['bytes'])}",
        f"networks:  {counts['networks_v4']} of IPv4, {counts['networks_v6']} of IPv6",
        f"newest:    {status.newest or 'no sample yet'}",
        f"window:    ended {status.window or 'never'}, next {status.next_window or 'at the next ingest'}"
        + ("; no sample since: what is published stays" if status.frozen else ""),
        f"records:   {_records(counts)}; {counts['waiting']} wait for another window",
        f"table:     {status.table}",
    ]
    if status.nodes:
        rows = [[name, node.networks, node.samples, node.failures] for name, node in status.nodes.items()]
        lines += ["", columns(["NODE", "NETWORKS", "SAMPLES", "FAILURES"], rows)]
    if status.address is not None:
        rows = [_level(level) for level in status.levels]
        lines += [
            "",
            f"{status.address}:",
            columns(["", "LEVEL", "PLACE", "ESTIMATE", "RECORD", "SAMPLES"], rows),
        ]
    return "\n".join(lines)


def _records(counts: Mapping[str, int]) -> str:
    kinds = (("network", "networks"), ("prefix", "prefixes"), ("system", "ASes"))
    return ", ".join(f"{counts[f'records_{level}']} {name}" for level, name in kinds)


def _level(level: Level) -> list[object]:
    record = _times(level.record)
    return [
        ">" if level.counts else "",
        level.level,
        level.place,
        _times(level.estimate),
        f"{record} (another is better for {level.waiting} window)" if level.waiting else record,
        _times(level.samples) if level.samples else "",
    ]


def _times(times: Mapping[str, float] | None) -> str:
    return (
        " ".join(f"{node}={time:g}" for node, time in sorted(times.items(), key=lambda each: each[1]))
        if times
        else "-"
    )
