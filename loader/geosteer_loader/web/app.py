"""The page over HTTP: an ASGI application that answers GET and HEAD of a few paths, and nothing else."""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from geosteer.errors import ConfigError, GeosteerError
from geosteer.timestamps import maybe_time
from geosteer_loader.web import page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, MutableMapping

    from geosteer_loader.web.observer import Observer

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

QUERY = 1024
"""Bytes of a query string, at most."""

POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    b"form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy: nothing is loaded from elsewhere, and no markup can bring a script."""

HEADERS = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
)
"""Of every answer; no other site may show or read the page."""

log = logging.getLogger(__name__)


class App:
    """An ASGI 3 application."""

    def __init__(self, watcher: Observer, planner: Observer, hosts: Collection[str]) -> None:
        """Args: watcher, planner: two, so that a plan, which takes long, holds up nothing else; hosts: names in `Host`."""
        self._watcher = watcher
        self._planner = planner
        self._hosts = frozenset(hosts)
        # Each observer belongs to one thread.
        self._threads = {each: ThreadPoolExecutor(1, "observer") for each in (watcher, planner)}
        self._files = page.files()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's life."""
        if scope["type"] == "http":
            status, kind, body = await self._answer(scope)
            await self._send(scope, send, status, kind, body)
        elif scope["type"] == "lifespan":
            while True:
                event = (await receive())["type"]
                if event == "lifespan.shutdown":
                    for each, thread in self._threads.items():
                        thread.shutdown(wait=False, cancel_futures=True)
                        each.close()
                await send({"type": f"{event}.complete"})
                if event == "lifespan.shutdown":
                    return

    async def _answer(self, scope: Scope) -> tuple[HTTPStatus, str, bytes]:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if _name_of(host) not in self._hosts:
            # A name that leads here by DNS must not let another site's scripts read the page (DNS rebinding).
            return _words(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this server does not answer for that host (geosteer web --host)",
            )
        if scope["method"] not in {"GET", "HEAD"}:
            return _words(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only")
        if headers.get(b"sec-fetch-site", b"none") not in {b"none", b"same-origin"} and scope["path"] != "/":
            return _words(HTTPStatus.FORBIDDEN, "not for other sites")
        if scope["path"] in self._files:
            return HTTPStatus.OK, *self._files[scope["path"]]
        if len(scope["query_string"]) > QUERY:
            return _words(HTTPStatus.REQUEST_URI_TOO_LONG, "the query is too long")
        asked = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        try:
            question = self._question(scope["path"], asked)
        except ValueError as exc:
            return _words(HTTPStatus.BAD_REQUEST, str(exc))
        if question is None:
            return _words(HTTPStatus.NOT_FOUND, "nothing here")
        return await self._ask(*question)

    def _question(
        self, path: str, asked: dict[str, str]
    ) -> tuple[Observer, Callable[[], dict[str, Any]]] | None:
        """Who knows, and how to ask. Raises: ValueError: a parameter is missing or malformed."""
        watcher, planner = self._watcher, self._planner
        service = asked.get("service", "").lower()
        if path == "/api/now":
            return watcher, lambda: watcher.now(service)
        if path == "/api/past":
            at = _time(asked.get("at", ""))
            return watcher, lambda: watcher.past(service, at)
        if path == "/api/timeline":
            return watcher, watcher.timeline
        if path == "/api/journal":
            until = _time(asked["until"]) if "until" in asked else None
            return watcher, lambda: watcher.journal(until)
        if path == "/api/plan":
            return planner, lambda: planner.plan(service)
        return None

    async def _ask(
        self, who: Observer, question: Callable[[], dict[str, Any]]
    ) -> tuple[HTTPStatus, str, bytes]:
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._threads[who], question)
        except ConfigError as exc:
            return _failed(HTTPStatus.BAD_REQUEST, str(exc))
        except GeosteerError as exc:
            return _failed(HTTPStatus.SERVICE_UNAVAILABLE, str(exc))
        except Exception:
            log.exception("a question of the page failed")
            return _failed(
                HTTPStatus.INTERNAL_SERVER_ERROR, "the question failed; the log of geosteer web says how"
            )
        return HTTPStatus.OK, page.JSON, _json(answer)

    async def _send(self, scope: Scope, send: Send, status: HTTPStatus, kind: str, body: bytes) -> None:
        tag = b'"' + blake2b(body, digest_size=12).hexdigest().encode() + b'"'
        headers = [*HEADERS, (b"content-type", kind.encode())]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append((b"allow", b"GET, HEAD"))
        if status == HTTPStatus.OK:
            headers.append((b"etag", tag))
            if dict(scope["headers"]).get(b"if-none-match") == tag:
                status, body = HTTPStatus.NOT_MODIFIED, b""
        if status != HTTPStatus.NOT_MODIFIED:
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _name_of(host: str) -> str:
    """The name in a `Host`, without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _time(text: str) -> float:
    """Seconds since 1970. Raises: ValueError."""
    at = maybe_time(text)
    if at is None:
        raise ValueError("at, until: a time such as 2026-11-27T14:00:00Z")
    return at


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _failed(status: HTTPStatus, text: str) -> tuple[HTTPStatus, str, bytes]:
    return status, page.JSON, _json({"ok": False, "error": text})


def _words(status: HTTPStatus, text: str) -> tuple[HTTPStatus, str, bytes]:
    return status, "text/plain; charset=utf-8", f"{text}\n".encode()
