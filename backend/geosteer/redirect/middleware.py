"""Middleware that tells a web application which nodes its client should use.

It stands in `environ["geosteer"]` (WSGI) or `scope["geosteer"]` (ASGI) as a `Choice`, or None where the host is not a service:

    application = WSGIMiddleware(application, Steering.open("/etc/geosteer/backend.toml"), proxies=Proxies(["127.0.0.1"]))

An application behind it reads, say, `environ["geosteer"].node.hostname` to write the links in its pages.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from geosteer.library.chooser import NoService, NotReady
from geosteer.redirect.apps import asgi_peer, asgi_target, wsgi_headers, wsgi_target
from geosteer.redirect.forwarded import Proxies
from geosteer.redirect.routes import OddHost, host_of, resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from geosteer.library.chooser import Choice
    from geosteer.library.steering import Steering
    from geosteer.redirect.apps import Receive, Scope, Send

    ASGIApplication = Callable[[Scope, Receive, Send], Any]

KEY = "geosteer"
"""Where the choice stands."""


class _Middleware:
    def __init__(
        self, steering: Steering, *, service: str | None = None, proxies: Proxies | None = None, limit: int = 0
    ) -> None:  # fmt: skip
        self._steering = steering
        self._service = service
        self._proxies = proxies or Proxies()
        self._limit = limit

    def _choose(
        self, peer: str | None, headers: Iterable[tuple[bytes, bytes]], target: bytes, *, wait: bool = True
    ) -> Choice | None:  # fmt: skip
        hosts, forwarded = [], []
        for name, value in headers:
            if name == b"host":
                hosts.append(value)
            elif name == self._proxies.header:
                forwarded.append(value)
        try:
            service = self._service or host_of(
                hosts[0].decode("latin-1").strip(" \t") if len(hosts) == 1 else ""
            )
            client = self._proxies.client(peer, forwarded)
            path = resolved(target.partition(b"?")[0].decode("latin-1"))
            return self._steering.decide(service, client, path=path, limit=self._limit, wait=wait)
        except (NoService, OddHost):
            return None


class WSGIMiddleware(_Middleware):
    """For a WSGI application (PEP 3333).

    Args: service: of every request; default: its Host. proxies: peers that are trusted to name the client; default: none.
    limit: nodes at most; 0: as many as the service's `max_answers`.
    """

    def __init__(
        self, application: WSGIApplication, steering: Steering, *, service: str | None = None,
        proxies: Proxies | None = None, limit: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(steering, service=service, proxies=proxies, limit=limit)
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Choose, and hand on."""
        peer = environ.get("REMOTE_ADDR") or None
        environ[KEY] = self._choose(peer, wsgi_headers(environ), wsgi_target(environ))
        return self._application(environ, start_response)


class ASGIMiddleware(_Middleware):
    """For an ASGI 3 application; requests and WebSockets alike.

    Args: as of WSGIMiddleware.
    """

    def __init__(
        self, application: ASGIApplication, steering: Steering, *, service: str | None = None,
        proxies: Proxies | None = None, limit: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(steering, service=service, proxies=proxies, limit=limit)
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose, without keeping the loop waiting, and hand on."""
        if scope["type"] in {"http", "websocket"}:
            request = (asgi_peer(scope), scope["headers"], asgi_target(scope))
            try:
                choice = self._choose(*request, wait=False)
            except NotReady:
                choice = await asyncio.to_thread(self._choose, *request)
            scope = {**scope, KEY: choice}
        await self._application(scope, receive, send)
