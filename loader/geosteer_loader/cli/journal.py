"""`geosteer journal`: what changed answers, when, by whom and why."""

from __future__ import annotations

import json
import logging
from itertools import islice
from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read
from typing import TYPE_CHECKING

import click

from geosteer_loader.cli import names, options
from geosteer_loader.cli.moments import MOMENT, Moment
from geosteer_loader.journal.events import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.journal.events import Event
    from geosteer_loader.store.store import Store

log = logging.getLogger(__name__)

NEWEST = 50
"""Events that are shown where nothing says how many."""


@click.command(
    epilog=options.examples(
        "geosteer journal",
        "geosteer journal --since 2d --node 'lon*'",
        "geosteer journal --since '2026-11-27 12:00' --until '2026-11-27 15:00' --json",
        "geosteer journal --kind override --kind ended --follow",
        "geosteer journal --check",
    )
)
@click.option("--since", type=MOMENT, metavar="TIME", help="From then on: 2d (ago), or 2026-11-27 14:00.")
@click.option("--until", type=MOMENT, metavar="TIME", help="Up to then.")
@click.option(
    "--node", "globs", multiple=True, metavar="GLOB", shell_complete=names.nodes, help="About these nodes."
)
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(tuple(KINDS)), help="Of this kind; may be repeated."
)
@click.option(
    "-n", "newest", type=click.IntRange(min=1), help=f"The newest N only; default: {NEWEST} without --since."
)
@click.option(
    "--follow", is_flag=True, help="Go on with new events until interrupted; JSON is one line each."
)
@click.option("--check", is_flag=True, help="Look for changes past the journal instead; exit code 1 if any.")
@click.option("--full", is_flag=True, help="Cut nothing.")
@options.as_json
@options.common
def journal(
    *,
    since: Moment | None,
    until: Moment | None,
    globs: tuple[str, ...],
    kinds: tuple[str, ...],
    newest: int | None,
    follow: bool,
    check: bool,
    full: bool,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Show what changed answers, by whom and why.

    The oldest comes first. Events: publishes, refusals and failures, rollbacks, overrides, states of nodes and
    what they shed, probers. A time without a zone is local.
    """
    from geosteer_loader.journal.reading import first, read_back, select
    from geosteer_loader.query.tampering import cuts
    from geosteer_loader.store.lean_store import connect

    if follow and (until is not None or check):
        raise click.UsageError("--follow goes on for ever: neither --until nor --check goes with it")
    config = options.host_config(config_path)
    with connect(config.redis, config.journal.max_length) as store:
        if check:
            _check(store, config.journal.keep, as_json=as_json)
            return
        now = store.now()
        low, high = (moment(now) if moment is not None else None for moment in (since, until))
        limit = newest if newest is not None or since is not None else NEWEST
        found = select(read_back(store, low, high), globs, kinds)
        events = list(islice(found, limit))[::-1]
        for line in cuts(store, config.journal.keep):
            log.warning("%s", line)
        begun = first(store)
        if low is not None and begun is not None and low < begun.time - 1:
            log.info("the journal begins at %s", begun.at)
        if follow:
            _follow(store, events, globs, kinds, as_json=as_json)
            return
    from geosteer_loader.cli.text.journal import text

    options.emit([event.to_json() for event in events], lambda: text(events, full=full), json_wanted=as_json)


def _follow(
    store: Store, events: Sequence[Event], globs: Sequence[str], kinds: Sequence[str], *, as_json: bool
) -> None:
    from geosteer_loader.cli.text.journal import line
    from geosteer_loader.journal.reading import follow, read_back, select

    def show(event: Event) -> None:
        shown = json.dumps(event.to_json(), ensure_ascii=False) if as_json else line(event)
        click.echo(shown.encode(errors="replace").decode())

    for event in events:
        show(event)
    last = events[-1].id if events else next((event.id for event in read_back(store)), "")
    for event in select(follow(store, last), globs, kinds):
        show(event)


def _check(store: Store, keep: float, *, as_json: bool) -> None:
    from geosteer_loader.query.past import Timeline
    from geosteer_loader.query.tampering import cuts, gaps

    timeline = Timeline(store)
    lines = [*cuts(store, keep), *gaps(timeline)]
    whole = f"{len(timeline.events)} events, nothing was changed past them"
    options.emit(lines, "\n".join(lines) or whole, json_wanted=as_json)
    if lines:
        raise SystemExit(1)
