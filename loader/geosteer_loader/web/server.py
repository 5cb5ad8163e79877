"""Serves the page with uvicorn, whose HTTP/1.1 is bounded as that of `geosteer-http` is."""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError
from geosteer.redirect.listeners import described, listener
from geosteer_loader.web.app import App
from geosteer_loader.web.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from geosteer_loader.config.config import Config

HERE = ("localhost", "127.0.0.1", "[::1]")
"""What browsers on this host call it."""
IDLE_SECONDS = 15
AT_ONCE = 64
"""Requests that are answered at the same time; the others get a 503."""

log = logging.getLogger(__name__)


def serve(load: Callable[[], Config], listen: Sequence[str], hosts: Sequence[str]) -> None:
    """Serve until told to end.

    Args: load: reads the configuration; listen: `ADDRESS:PORT`s or paths of unix sockets; hosts: further names in `Host`.
    Raises: ConfigError: the configuration or an address cannot be used.
    """
    try:
        import uvicorn

        from geosteer.redirect.http1 import Protocol
    except ModuleNotFoundError as exc:
        raise ConfigError([f"{exc.name} is missing: pip install 'geosteer[loader,http]'"]) from exc

    watcher, planner = Observer(load), Observer(load)
    sockets = [listener(where) for where in listen]
    addresses = [described(each) for each in sockets]
    for where in addresses:
        if not _loopback(where):
            log.warning("%s: whoever reaches this address may look at everything that is published", where)
    names = {_host(where) for where in addresses if "/" not in where}
    log.info(
        "listening on %s", ", ".join(where if "/" in where else f"http://{where}/" for where in addresses)
    )
    server = uvicorn.Server(
        uvicorn.Config(
            App(watcher, planner, {*HERE, *names, *(host.lower() for host in hosts)}),
            http=Protocol,
            ws="none",
            lifespan="on",
            proxy_headers=False,
            server_header=False,
            access_log=False,
            log_config=None,
            limit_concurrency=AT_ONCE,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=2,
        )
    )
    try:
        server.run(sockets)
    except SystemExit:  # uvicorn raises SIGTERM once more when it has ended: that is what it was asked for
        if not server.started:
            raise
    if not server.started:
        raise ConfigError(["the server could not start"])


def _host(where: str) -> str:
    return where.rpartition(":")[0]


def _loopback(where: str) -> bool:
    if "/" in where:
        return True
    return ipaddress.ip_address(_host(where).strip("[]")).is_loopback
