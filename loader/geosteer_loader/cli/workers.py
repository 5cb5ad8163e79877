"""`geosteer workers`: what each worker does."""

from __future__ import annotations

import sys
import time
from pathlib import Path  # click's decorators are run, not only read
from typing import TYPE_CHECKING, Any

import click

from geosteer.settings import DEFAULT_METRICS, DEFAULT_PATH
from geosteer_loader.cli import options
from geosteer_loader.cli.durations import Duration

if TYPE_CHECKING:
    from collections.abc import Callable


@click.command(
    epilog=options.examples(
        "geosteer workers",
        "geosteer workers --backend /etc/geosteer/backend.toml --watch",
        "geosteer workers --redis --json",
    )
)
@click.option(
    "--folder",
    metavar="DIR",
    help=f"Where workers count; default: [metrics] folder of {DEFAULT_PATH}, else {DEFAULT_METRICS}.",
)
@click.option("--redis", "by_redis", is_flag=True, help="Ask Redis who is connected, in place of the folder.")
@click.option(
    "--interval",
    type=Duration(0),
    default="1s",
    show_default=True,
    help="Time between the two readings that answers a second come from; 0: one reading.",
)
@click.option("--watch", is_flag=True, help="Again and again, until interrupted.")
@options.backend
@options.as_json
@options.common
def workers(
    *,
    folder: str | None,
    by_redis: bool,
    interval: float,
    watch: bool,
    backend: Path | None,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Show what each worker does.

    On a host with workers: process, front end, tier, generation, cache, answers a second, and how
    long the oldest question waits, from the files in which workers count. Where there is no such
    folder, or with --redis: the connections that workers have to Redis, by CLIENT LIST.
    """
    if folder is not None and by_redis:
        raise click.UsageError("--folder and --redis exclude each other")
    place = None if by_redis else _place(folder, backend, config_path)
    look = _by_files(place, interval) if place is not None else _by_redis(backend, config_path)
    while True:
        value, text = look()
        options.emit(value, text, json_wanted=as_json)
        if not watch:
            return
        sys.stdout.flush()
        if place is None or not interval:
            time.sleep(interval or 1)
        if sys.stdout.isatty() and not as_json:
            click.clear()


def _place(folder: str | None, backend: Path | None, config_path: Path | None) -> str | None:
    """Where workers count; None: Redis is to be asked."""
    if folder is not None:
        return folder
    if backend is not None or Path(DEFAULT_PATH).is_file():
        from geosteer import settings

        read = settings.load(str(backend or DEFAULT_PATH), copies=False)
        if backend is not None or Path(read.metrics).is_dir():
            return read.metrics or None
    if config_path is None and Path(DEFAULT_METRICS).is_dir():
        return DEFAULT_METRICS
    return None


def _by_files(folder: str, interval: float) -> Callable[[], tuple[Any, Callable[[], str]]]:
    from geosteer_loader.cli.text import workers as text
    from geosteer_loader.query.workers import local

    def look() -> tuple[Any, Callable[[], str]]:
        found = local(folder, interval, time.sleep, time.monotonic, time.time)
        return found.to_json(), lambda: text.local(found)

    return look


def _by_redis(backend: Path | None, config_path: Path | None) -> Callable[[], tuple[Any, Callable[[], str]]]:
    from geosteer_loader.cli.text import workers as text
    from geosteer_loader.query.workers import connections
    from geosteer_loader.store.lean_store import connect

    if backend is not None:
        from geosteer_loader.query.onlooker import watching

        with watching(backend) as onlooker:
            redis = onlooker.connection()
    else:
        redis = options.host_config(config_path).redis

    def look() -> tuple[Any, Callable[[], str]]:
        with connect(redis) as store:
            found = connections(store)
        return [connection.to_json() for connection in found], lambda: text.remote(found)

    return look
