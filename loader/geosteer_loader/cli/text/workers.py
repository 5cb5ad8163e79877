"""What `geosteer workers` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from geosteer_loader.cli.text.formatting import columns, size, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.query.workers import Connection, Local, Worker

LOCAL = (
    "PID", "FRONT END", "TIER", "GENERATION", "CACHE", "ANSWERS/S", "LAST ANSWER", "WAITING", "UP", "",
)  # fmt: skip
REMOTE = ("HOST", "FRONT END", "PID", "CONNECTED", "IDLE", "FROM", "USER", "")
_TIERS = {"live": "green", "stale": "yellow", "fallback": "red"}


def local(found: Local) -> str:
    """The workers of this host."""
    lines = [columns(LOCAL, [_row(worker) for worker in found.workers])] if found.workers else []
    if not found.workers:
        lines.append(f"{found.folder}: no worker counts there now")
    if found.free:
        lines.append(f"{found.free} files are left by workers that ended; the next ones count on in them")
    return "\n".join([*lines, *(f"warning: {trouble}" for trouble in found.troubles)])


def _row(worker: Worker) -> tuple[object, ...]:
    rate = worker.answers_per_second
    return (
        worker.pid,
        worker.front_end,
        click.style(worker.tier, fg=_TIERS.get(worker.tier)),
        worker.generation if worker.generation is not None else "none",
        f"{worker.cached_pages} pages, {size(worker.cached_bytes)}",
        "?" if rate is None else f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}",
        "none" if worker.last_answer is None else f"{span(worker.last_answer)} ago",
        f"{worker.waiting * 1000:.0f} ms" if worker.waiting else "",
        span(worker.up),
        f"no sign of life for {span(worker.seen)}" if worker.silent else "",
    )


def remote(found: Sequence[Connection]) -> str:
    """The workers that are connected to a Redis."""
    if not found:
        return "no worker is connected to this Redis"
    rows = [
        (
            each.host,
            each.front_end,
            each.pid,
            span(each.connected),
            span(each.idle),
            each.address,
            each.user,
            "" if each.pushed else "is not told of changes: asks every second",
        )
        for each in found
    ]
    return columns(REMOTE, rows)
