"""`geosteer-http`: the redirector on uvicorn, with httptools as its parser of HTTP.

Of the servers that run Python applications it took the least processor time for a redirect; granian and gunicorn were the
others.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError
from geosteer.library.steering import Steering
from geosteer.redirect.apps import ANSWERS, ASGI, redirector
from geosteer.redirect.arguments import COMMON_USAGE, Options
from geosteer.redirect.redirector import STATUSES

try:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from geosteer.redirect.http1 import Protocol
except ModuleNotFoundError as exc:
    sys.exit(f"geosteer-http: {exc}: install geosteer with its extra [http]")

if TYPE_CHECKING:
    from collections.abc import Sequence

ARGUMENTS = "GEOSTEER_HTTP"
"""Environment variable that hands the command line to worker processes, as JSON."""
IDLE_SECONDS = 15
"""How long a connection stays open without a request."""

USAGE = """\
geosteer-http [--config FILE] [--listen ADDRESS:PORT] [options]

Redirects each client to the node that DNS would name to it. The Host of a request is the service.

  --listen ADDRESS:PORT
                     or [ADDRESS]:PORT, or a path: a unix socket; again for more; default 127.0.0.1:8302
  --workers N        processes; default 1
  --trust NETWORK    a proxy whose word on its client is taken: an address, a network, or "unix" for whoever may use the
                     unix socket; again for more; default: nobody
  --client-header NAME
                     where those proxies name it: X-Forwarded-For, Forwarded (RFC 7239), or another list of addresses;
                     default X-Forwarded-For; the proxy must overwrite it or add to it
  --duplicates N     name the N next best nodes in Link fields (RFC 6249); default 0
  --token-file FILE  whose first line lets its bearer ask /.geosteer/explain?client=ADDRESS; default: nobody may
  --cert FILE        of TLS; --key FILE its key; default: no TLS
  --access-log       write every request to stdout
""" + COMMON_USAGE.format(statuses=", ".join(map(str, STATUSES)))  # fmt: skip
USAGE += """\
  --help             this text

/.geosteer/health says 200 while there is anything to redirect to. By hand:
  curl -si -H 'Host: www.cdn.example.net' http://127.0.0.1:8302/a/b?c
"""


def application() -> ASGI:
    """For a worker process: the application that the command line asked for."""
    options = _options(json.loads(os.environ[ARGUMENTS]))
    steering = Steering.open(options.config, log=log)
    return ASGI(steering, redirector(steering, options))


def run(arguments: Sequence[str]) -> None:
    """Serve until told to end. Raises: ConfigError: the options or the settings cannot be used."""
    options = _options(arguments)
    with Steering.open(options.config) as steering:  # what is wrong is said before any process is started
        redirector(steering, options)
    sockets = [_listen(where) for where in options.all("listen") or ["127.0.0.1:8302"]]
    os.environ[ARGUMENTS] = json.dumps(list(arguments))
    config = uvicorn.Config(
        "geosteer.redirect.server:application",
        factory=True,
        http=Protocol,
        ws="none",
        lifespan="on",
        workers=options.number("workers", 1, 1, 256),
        proxy_headers=False,  # it would believe one header of any address on its list, and nothing of RFC 7239
        server_header=False,
        access_log="access-log" in options,
        log_level="info" if "access-log" in options else "warning",
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=5,
        ssl_certfile=options.text("cert") or None,
        ssl_keyfile=options.text("key") or None,
    )
    server = uvicorn.Server(config)
    if config.workers > 1:
        Multiprocess(config, sockets).run()
    else:
        server.run(sockets)
        if not server.started:
            raise SystemExit(1)


def _options(arguments: Sequence[str]) -> Options:
    known = (*ANSWERS, "cert", "key", "listen", "workers")
    return Options(arguments, known, ("access-log",))


def _listen(where: str) -> socket.socket:
    """A socket that listens there. Raises: ConfigError: it cannot."""
    try:
        if "/" in where:
            return _listen_unix(where)
        host, _, port = where.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host not in {"::", "::0"})
        found.bind((host, int(port)))
    except (OSError, ValueError, OverflowError) as exc:
        raise ConfigError([f"--listen {where}: {getattr(exc, 'strerror', None) or exc}"]) from exc
    found.listen(2048)
    found.set_inheritable(True)
    return found


def _listen_unix(path: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        if not other.connect_ex(path):
            raise OSError(0, "another program listens there")
    if os.path.lexists(path):
        Path(path).unlink()
    found.bind(path)
    found.listen(2048)
    found.set_inheritable(True)
    return found


def log(text: str) -> None:
    """One line on stderr."""
    print(f"geosteer-http[{os.getpid()}]: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """The program."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        print(USAGE, end="")
        return
    try:
        run(arguments)
    except ConfigError as exc:
        log(str(exc))
        raise SystemExit(exc.exit_code) from exc
