"""`geosteer follow`: the service that publishes what changes."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read
from typing import TYPE_CHECKING

import click

from geosteer.process import command_line
from geosteer_loader.cli import options

if TYPE_CHECKING:
    from geosteer_loader.config.config import Config
    from geosteer_loader.store.store import Store


@click.command(
    epilog=options.examples(
        "geosteer follow",
        "geosteer follow --config /etc/geosteer/geosteer.toml -v",
    )
)
@options.common
def follow(*, config_path: Path | None) -> None:
    """Watch the sources, and publish what changes.

    Dumps, databases, lists and the configuration are published as soon as they are whole and nothing has
    changed for a moment; a file that is still being written is waited for. Every guard of `geosteer
    publish` holds, and what is refused is not tried again before something changes. [follow] sets the
    times. SIGTERM ends it after a publish that is under way, SIGHUP restarts it in place.
    """
    from geosteer_loader.follow.configuration import FollowedConfiguration
    from geosteer_loader.follow.service import Follower
    from geosteer_loader.store.store import connect

    def store(config: Config) -> Store:
        return connect(config.redis, config.journal.max_length)

    follower = Follower(FollowedConfiguration(options.config_file(config_path), os.environ), store)
    wake = threading.Event()
    anew = False

    def stop(number: int, _frame: object) -> None:
        nonlocal anew
        anew = number == signal.SIGHUP
        follower.stop()
        wake.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, stop)
    follower.run(wake.wait)
    if anew:
        command = command_line()
        os.execv(command[0], command)  # noqa: S606  # itself once more
