"""`geosteer feed`: node states and loads of another monitor."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from geosteer.errors import ConfigError, SourceError
from geosteer_loader.cli import options, writers
from geosteer_loader.cli.durations import DURATION

log = logging.getLogger(__name__)


@click.command(
    epilog=options.examples(
        "geosteer feed states.json", "monitor --json | geosteer feed -", "geosteer feed --forget monitor2"
    )
)
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--name", default="feed", metavar="NAME", help="Of this monitor, if there are several.")
@click.option(
    "--period",
    type=DURATION,
    default=writers.PERIOD,
    metavar="TIME",
    help="Time until the next one; default: 60s.",
)
@click.option(
    "--forget", metavar="WRITER", help="Forget a monitor or prober that is gone: its verdicts and its beat."
)
@options.common
def feed(
    *, file: Path | None, name: str, period: float, forget: str | None, config_path: Path | None
) -> None:
    """Publish node states and loads of another monitor.

    FILE ("-": standard input) is JSON: {"nodes": {"lon1": {"state": "up", "load": 0.7, "reason": "..."}}}.
    A state is one verdict beside those of the probers; a load, in the unit of the node's capacity,
    makes an overloaded node give clients away. Nothing is published when anything is malformed.
    Each feed announces the next; --forget WRITER, without a FILE, ends that: nodes keep
    their states, and a writer that still lives comes back with its next verdicts.
    """
    from geosteer_loader.config.values import label, printable
    from geosteer_loader.health import feed as feeds
    from geosteer_loader.store.store import connect

    try:
        label(name)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--name") from exc
    if (file is None) == (forget is None):
        raise click.UsageError("give either a FILE or --forget WRITER")
    settings = options.host_config(config_path)
    if file is None:
        assert forget is not None
        with connect(settings.redis, settings.journal.max_length) as store:
            feeds.forget(store, forget)
        click.echo(f"{printable(forget)}: forgotten")
        return
    items = feeds.parse(*_read(file))
    with connect(settings.redis, settings.journal.max_length) as store:
        posted, strangers = feeds.publish(writers.exchange(store, name, settings), items, period)
    if strangers:
        log.warning("not configured: %s", ", ".join(map(printable, strangers)))
    click.echo(writers.summary(posted))


def _read(file: Path) -> tuple[str, str]:
    """The text of a file or of standard input, and what to call it."""
    name = "standard input" if str(file) == "-" else str(file)
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode("utf-8-sig"), name
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{name}: is not UTF-8 text"]) from exc
    except OSError as exc:
        raise SourceError(f"{name}: cannot be read: {exc.strerror}") from exc
