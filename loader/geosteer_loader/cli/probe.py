"""The commands `probe` and `feed`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geosteer.errors import ConfigError, GeosteerError, SourceError
from geosteer_loader.cli import options
from geosteer_loader.cli.durations import DURATION

if TYPE_CHECKING:
    from geosteer_loader.health.exchange import Board
    from geosteer_loader.health.prober_config import Settings
    from geosteer_loader.health.service import Service
    from geosteer_loader.health.writer_report import Posted
    from geosteer_loader.store.store import Store

log = logging.getLogger(__name__)

PERIOD = 60.0
"""Seconds between two runs from cron, unless `--period` says otherwise."""


@click.command(
    epilog=options.examples(
        "geosteer probe --watch", "geosteer probe --once --period 5m", "geosteer probe --once -v"
    )
)
@click.option("--once/--watch", default=True, help="One round, for cron (default), or until it is stopped.")
@click.option(
    "--period", type=DURATION, metavar="TIME", help="With --once: time between two runs; default: 60s."
)
@options.common
def probe(*, once: bool, period: float | None, config_path: Path | None) -> None:
    """Run the health checks and publish what they say.

    Nodes and checks are those that are published; of the configuration only [redis] and [prober]
    are read here. Counters are kept in Redis, so that every run goes on from the one before.
    With --watch, SIGTERM ends it and SIGHUP starts it anew in place.
    """
    from geosteer_loader.health.prober import Prober
    from geosteer_loader.health.service import Service
    from geosteer_loader.store.store import connect

    if period is not None and not once:
        raise click.UsageError("--period is for --once: a service keeps the interval of each check")
    settings, anew = _settings(config_path), False
    with connect(settings.redis) as store:
        board = _board(store, settings.prober.name, settings)
        if once:
            prober = Prober(board, settings.prober.control, period=period or PERIOD)
            click.echo(_summary(asyncio.run(prober.once())))
        else:
            anew = asyncio.run(_serve(Service(board, settings.prober.control), config_path))
    if anew:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # itself once more


@click.command(epilog=options.examples("geosteer feed states.json", "monitor --json | geosteer feed -"))
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--name", default="feed", metavar="NAME", help="Of this monitor, if there are several.")
@click.option(
    "--period", type=DURATION, default=PERIOD, metavar="TIME", help="Time until the next one; default: 60s."
)
@options.common
def feed(*, file: Path, name: str, period: float, config_path: Path | None) -> None:
    """Publish node states and loads of another monitor.

    FILE ("-": standard input) is JSON: {"nodes": {"lon1": {"state": "up", "load": 0.7, "reason": "..."}}}.
    A state is one verdict beside those of the probers; a load, in the unit of the node's capacity,
    makes a node that is too busy give clients away. Nothing is published when anything is malformed.
    """
    from geosteer_loader.config.values import label, printable
    from geosteer_loader.health import feed as feeds
    from geosteer_loader.store.store import connect

    try:
        label(name)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--name") from exc
    items = feeds.parse(*_read(file))
    settings = _settings(config_path)
    with connect(settings.redis) as store:
        posted, strangers = feeds.publish(_board(store, name, settings), items, period)
    if strangers:
        log.warning("not configured: %s", ", ".join(map(printable, strangers)))
    click.echo(_summary(posted))


def _settings(path: Path | None) -> Settings:
    from geosteer_loader.health import prober_config

    if path is None:
        path = next((one for one in options.DEFAULTS if one.is_file()), None)
    return prober_config.load(path)


def _board(store: Store, name: str, settings: Settings) -> Board:
    from geosteer_loader.health.exchange import Board

    return Board(store, name, settings.rule)


async def _serve(service: Service, path: Path | None) -> bool:
    """Watch until a signal ends it; whether to begin anew then, in place (SIGHUP), with what the file says now."""
    anew = False

    def restart() -> None:
        nonlocal anew
        try:
            _settings(path)
        except GeosteerError as exc:
            log.warning("%s; going on as before", exc)
            return
        anew = True
        service.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop)
    loop.add_signal_handler(signal.SIGHUP, restart)
    await service.watch()
    return anew


def _read(file: Path) -> tuple[str, str]:
    """The text of a file or of standard input, and what to call it."""
    name = "standard input" if str(file) == "-" else str(file)
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode(), name
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{name}: is not UTF-8 text"]) from exc
    except OSError as exc:
        raise SourceError(f"{name}: cannot be read: {exc.strerror}") from exc


def _summary(posted: Posted) -> str:
    from geosteer_loader.health.operator_log import changes
    from geosteer_loader.health.transitions import state_of

    states = {
        name: {**fields, **posted.judgement.changes.get(name, {})} for name, fields in posted.states.items()
    }
    counted = [state_of(fields) for fields in states.values()]
    known = [f"{counted.count(word)} {word}" for word in ("up", "down", "unknown") if word in counted]
    lines = [*changes(posted), f"{len(counted)} nodes: {', '.join(known)}" if known else "no nodes"]
    return "\n".join(lines)
