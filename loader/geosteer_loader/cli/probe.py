"""`geosteer probe`: run the health checks."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read
from typing import TYPE_CHECKING

import click

from geosteer.errors import GeosteerError
from geosteer.process import Trial, command_line
from geosteer_loader.cli import options, writers
from geosteer_loader.cli.durations import DURATION

if TYPE_CHECKING:
    from geosteer_loader.health.service import Service

log = logging.getLogger(__name__)

TRIAL_SECONDS = 20.0
"""How long the program may take to start and print its help, before a restart in its place is refused."""


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
    """Run the health checks and publish the results.

    Nodes and checks are those that are published; of the configuration only [redis], [prober]
    and [journal] are read here. Counters are kept in Redis, so that every run goes on from the one before.
    With --watch, SIGTERM ends it and SIGHUP restarts it in place.
    """
    from geosteer_loader.store import lean_store, store

    if period is not None and not once:
        raise click.UsageError("--period is for --once: a service keeps the interval of each check")
    settings, anew = options.host_config(config_path), False
    # One round says little to Redis; a service lives long enough for redis-py.
    connect = lean_store.connect if once else store.connect
    with connect(settings.redis, settings.journal.max_length) as opened:
        exchange = writers.exchange(opened, settings.prober.name, settings)
        if once:
            from geosteer_loader.health.prober import Prober

            prober = Prober(exchange, settings.prober.control, period=period or writers.PERIOD)
            click.echo(writers.summary(asyncio.run(prober.once())))
        else:
            from geosteer_loader.health.service import Service

            anew = asyncio.run(_serve(Service(exchange, settings.prober.control), config_path))
    if anew:
        command = command_line()
        os.execv(command[0], command)  # noqa: S606  # itself once more


async def _serve(service: Service, path: Path | None) -> bool:
    """Watch until a signal ends it; whether to restart in place (SIGHUP), with the file as it is now."""
    anew = False
    trial: asyncio.Task[str] | None = None

    async def refusal() -> str:
        """Why it cannot restart now, "" if it can: exec cannot be taken back, so file and program are tried before."""
        try:
            options.host_config(path)
        except GeosteerError as exc:
            return str(exc)
        program = Trial(command_line(), TRIAL_SECONDS)
        while (reason := program.verdict()) is None:
            await asyncio.sleep(0.05)
        return reason

    def tried(ended: asyncio.Task[str]) -> None:
        nonlocal anew, trial
        trial = None
        if ended.cancelled():
            return
        if reason := ended.result():
            log.warning("%s; continuing with the previous settings", reason)
            return
        anew = True
        service.stop()

    def restart() -> None:
        nonlocal trial
        if trial is None:
            trial = asyncio.ensure_future(refusal())
            trial.add_done_callback(tried)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, service.stop)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as under `&` in a script: that one lives on
        loop.add_signal_handler(signal.SIGINT, service.stop)
    loop.add_signal_handler(signal.SIGHUP, restart)
    await service.watch()
    return anew
