"""What is followed beside files: tables that come from memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from geosteer_loader.follow.live_feed import LiveFeed
from geosteer_loader.follow.route_keeper import RouteKeeper
from geosteer_loader.follow.route_socket import RouteSocket
from geosteer_loader.follow.session_log import SessionLog, load
from geosteer_loader.follow.stream_reader import StreamReader
from geosteer_loader.rib.messages import FAMILIES
from geosteer_loader.rib.stream import Stream
from geosteer_loader.store.store import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.config.config import Config
    from geosteer_loader.config.sources import SourceConfig
    from geosteer_loader.follow.followed import Followed
    from geosteer_loader.store.store import Store

ROUTES = "bgp-routes"
"""Name of the file, beside the one of sessions, that keeps what they hold."""


def open_feeds(config: Config) -> Sequence[Followed]:
    """The live feeds that a configuration has; each is closed by the service.

    Raises: CannotListen: a socket cannot be made. ConfigError: so many vantage points do not fit a record.
    """
    streams = {
        table: sources
        for table, sources in config.sources.items()
        if any(source.live is not None for source in sources)
    }
    if not streams:
        return ()
    by_socket: dict[str, StreamReader] = {}
    readers: dict[str, StreamReader] = {}
    elapsed = time.time() - time.monotonic()
    state = next(source.live.state for sources in streams.values() for source in sources if source.live)
    before = load(state, elapsed)
    for sources in streams.values():
        for source in sources:
            name = str(source.path)
            if name not in by_socket:
                by_socket[name] = _reader(source, before.get(name, {}))
            readers[source.place] = by_socket[name]

    def store() -> Store:
        return connect(config.redis, config.journal.max_length)

    asked = RouteSocket(config.follow.socket, by_socket) if config.follow.socket is not None else None
    keeper = RouteKeeper(state.with_name(ROUTES), by_socket, elapsed)
    keeper.restore(time.time())
    sessions = SessionLog(by_socket, state, store, elapsed, asked, keeper)
    return [LiveFeed(table, config, readers, sessions) for table in streams]


def _reader(source: SourceConfig, before: dict[str, tuple[dict[int, int], float | None]]) -> StreamReader:
    live = source.live
    assert live is not None
    stream = Stream(
        source.format,
        families=[FAMILIES[family] for family in live.families],
        min_routes=live.min_routes,
        forget=live.forget,
        now=time.monotonic(),
        saved=before,
    )
    return StreamReader(live, stream)
