"""`geosteer-http`: the redirector on uvicorn, with httptools as its parser of HTTP.

Of the servers for Python applications that were tried (granian and gunicorn were the others) it took the least processor time
for a redirect.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import sys
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError
from geosteer.library.steering import Steering
from geosteer.process import name_process
from geosteer.redirect.apps import ANSWERS, ASGI, redirector
from geosteer.redirect.arguments import COMMON_USAGE, Options
from geosteer.redirect.listeners import described, listener
from geosteer.redirect.redirector import STATUSES

try:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from geosteer.redirect.http1 import Protocol, log
except ModuleNotFoundError as exc:
    sys.exit(f"geosteer-http: {exc}: install geosteer with its extra [http]")

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from types import FrameType

MEASURING = ("/.geosteer/candidates", "/.geosteer/beacon", "/.geosteer/reports")
"""Beginnings of paths that the access log leaves out."""
ARGUMENTS = "GEOSTEER_HTTP"
"""Environment variable that hands the command line to worker processes, as JSON."""
IDLE_SECONDS = 15
"""How long a connection stays open without a request."""

USAGE = """\
geosteer-http [--config FILE] [--listen ADDRESS:PORT] [options]

Redirects each client to the node that DNS would name to it. The Host of a request is the service.

  --listen ADDRESS:PORT
                     or [ADDRESS]:PORT, or the path of a unix socket; may be repeated; default 127.0.0.1:8302
  --workers N        processes; default 1
  --trust NETWORK    proxies that are believed about their client: an address, a network, or "unix" for whoever may use the
                     unix socket; may be repeated; default: none
  --client-header NAME
                     the header in which they name it: X-Forwarded-For, Forwarded (RFC 7239), or another list of addresses;
                     default X-Forwarded-For; the proxy must overwrite it or append to it
  --cors ORIGIN      a web site whose scripts may follow the redirects, such as https://www.example.net, or "*" for all;
                     may be repeated; default: none
  --duplicates N     name the N next best nodes in Link fields (RFC 6249); default 0
  --token-file FILE  its first line is the bearer token for /.geosteer/explain?client=ADDRESS; default: no access
  --cert FILE        of TLS; --key FILE its key; default: no TLS
  --access-log       write every request to stdout
""" + COMMON_USAGE.format(statuses=", ".join(map(str, STATUSES)))  # fmt: skip
USAGE += """\
  --help             this text

SIGHUP reloads: new requests wait until the settings are read. /.geosteer/health says 200 while there is anything to
redirect to. By hand:
  curl -si -H 'Host: www.cdn.example.net' http://127.0.0.1:8302/a/b?c
"""


def application() -> ASGI:
    """For a worker process: the application that the command line describes."""
    name_process("geosteer-http")
    if multiprocessing.parent_process() is not None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent reloads, and may share its process group
    options = _options(json.loads(os.environ[ARGUMENTS]))
    steering = Steering.open(options.config, log=log, front_end="http")
    if steering.settings.beacon:
        logging.getLogger("uvicorn.access").addFilter(_may_be_logged)
    return ASGI(steering, redirector(steering, options))


def _may_be_logged(record: logging.LogRecord) -> bool:
    """Not what clients measure: of them nothing longer than a /24 or /48 is ever written down."""
    path = record.args[2] if isinstance(record.args, tuple) and len(record.args) > 2 else ""
    return not str(path).startswith(MEASURING)


def run(arguments: Sequence[str]) -> None:
    """Serve until told to end. Raises: ConfigError: the options or the settings cannot be used."""
    options = _checked(arguments)
    sockets = [listener(where) for where in options.all("listen") or ["127.0.0.1:8302"]]
    os.environ[ARGUMENTS] = json.dumps(list(arguments))
    workers = options.number("workers", 1, 1, 256)
    log(f"listening on {', '.join(map(described, sockets))}, {workers} worker process{'es' * (workers > 1)}")
    if workers > 1:
        Workers(_config(options, workers), sockets, arguments).run()
    else:
        _serve_alone(options, sockets, arguments)


class Workers(Multiprocess):
    """Worker processes, replaced one by one on SIGHUP."""

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], arguments: Sequence[str]
    ) -> None:
        super().__init__(config, sockets)
        self._arguments = arguments

    def handle_hup(self) -> None:
        """Replace every worker, once what it would read is known to be usable."""
        if _may_reload(self._arguments):
            before = {process.pid for process in self.processes}
            self.restart_all()
            left = before & {process.pid for process in self.processes}
            log(f"reloaded, but for {len(left)} of {len(before)} workers" if left else "reloaded")


def _serve_alone(options: Options, sockets: list[socket.socket], arguments: Sequence[str]) -> None:
    """Serve from this process; on SIGHUP once more, from the same sockets, on which connections wait meanwhile."""
    reload = True

    def hang_up(_number: int, _frame: FrameType | None) -> None:
        nonlocal reload
        if _may_reload(arguments):
            reload = server.should_exit = True

    while reload:
        reload = False
        server = uvicorn.Server(_config(options, 1))
        signal.signal(signal.SIGHUP, hang_up)
        server.run([listening.dup() for listening in sockets])  # it closes what it is given
        if not server.started:
            raise SystemExit(1)
        if reload:
            log("reloaded")


def _may_reload(arguments: Sequence[str]) -> bool:
    try:
        _checked(arguments)
    except ConfigError as exc:
        log(f"not reloaded: {exc}")
        return False
    return True


def _checked(arguments: Sequence[str]) -> Options:
    """The options, once everything they name was tried: mistakes are reported before a process is started."""
    options = _options(arguments)
    with Steering.open(options.config) as steering:
        redirector(steering, options)
    return options


def _options(arguments: Sequence[str]) -> Options:
    known = (*ANSWERS, "cert", "key", "listen", "workers")
    return Options(arguments, known, ("access-log",))


def _config(options: Options, workers: int) -> uvicorn.Config:
    return uvicorn.Config(
        "geosteer.redirect.server:application",
        factory=True,
        http=Protocol,
        ws="none",
        lifespan="on",
        workers=workers,
        proxy_headers=False,  # it would believe one header of any address on its list, and nothing of RFC 7239
        server_header=False,
        access_log="access-log" in options,
        log_level="info" if "access-log" in options else "warning",
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=5,
        ssl_certfile=options.text("cert") or None,
        ssl_keyfile=options.text("key") or None,
    )


def main() -> None:
    """The program."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        print(USAGE, end="")
        return
    name_process("geosteer-http")
    try:
        run(arguments)
    except ConfigError as exc:
        log(str(exc))
        raise SystemExit(exc.exit_code) from exc
