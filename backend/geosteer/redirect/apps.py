"""The redirector as an ASGI and as a WSGI application, for the server of your choice.

`geosteer-http` runs the first on uvicorn. Where another server is to run one, its arguments are those of `geosteer-http`:

    gunicorn -k asgi --proxy-protocol "geosteer.redirect.apps:asgi('--config', '/etc/geosteer/backend.toml')"

Only options about answers are allowed then; addresses, workers and TLS are the server's. A WSGI server must not take a field
`X_Forwarded_For` for X-Forwarded-For, or clients could claim any address (gunicorn does not).
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from geosteer.errors import ConfigError
from geosteer.library.chooser import NotReady
from geosteer.library.steering import Steering
from geosteer.redirect.arguments import COMMON, Options
from geosteer.redirect.bodies import BodyWanted, asgi_reply, wsgi_reply
from geosteer.redirect.cors import Cors
from geosteer.redirect.forwarded import Proxies
from geosteer.redirect.quick_redirects import QuickRedirects
from geosteer.redirect.redirector import STATUSES, Redirector

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from geosteer.redirect.beacons.collector import Collector
    from geosteer.redirect.replies import Reply

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TARGET = "geosteer.redirect.routes"
"""Member of a scope with the request's target, byte for byte, where the server keeps it."""
ANSWERS = (*COMMON, "client-header", "cors", "duplicates", "token-file", "trust")
"""Options that concern answers."""
_SAFE = "/!$&'()*+,;=:@-._~%"


class ASGI:
    """An ASGI 3 application (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

    def __init__(self, steering: Steering, redirector: Redirector) -> None:
        self._steering = steering
        self.redirector = redirector
        self.quick = QuickRedirects(steering, redirector)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's life."""
        if scope["type"] == "http":
            method = scope["method"]
            target, peer = asgi_target(scope), asgi_peer(scope)
            request = (method, target, scope.get("scheme", "http"), peer, scope["headers"])
            version = scope.get("http_version", "1.1")
            try:
                reply = self.redirector.reply(*request, version=version, wait=False)
            except NotReady:
                reply = await asyncio.to_thread(self.redirector.reply, *request, version=version)
            except BodyWanted as wanted:
                reply = await asgi_reply(wanted, scope["headers"], receive)
            start = {"type": "http.response.start", "status": int(reply.status), "headers": reply.headers}
            await send(start)
            await send({"type": "http.response.body", "body": b"" if method == "HEAD" else reply.body})
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            event = (await receive())["type"]
            if event == "lifespan.startup":
                await asyncio.to_thread(self._steering.start)
            else:
                self.redirector.close()
                await asyncio.to_thread(self._steering.close)
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return


class WSGI:
    """A WSGI application (PEP 3333)."""

    def __init__(self, redirector: Redirector) -> None:
        self._redirector = redirector

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        method = environ["REQUEST_METHOD"]
        try:
            reply = self._redirector.reply(
                method, wsgi_target(environ), environ["wsgi.url_scheme"], environ.get("REMOTE_ADDR") or None,
                wsgi_headers(environ), version=environ.get("SERVER_PROTOCOL", "HTTP/1.1").rpartition("/")[2],
            )  # fmt: skip
        except BodyWanted as wanted:
            reply = wsgi_reply(wanted, environ)
        headers = [(name.decode("latin-1").title(), value.decode("latin-1")) for name, value in reply.headers]
        start_response(_status(reply), headers)
        return [] if method == "HEAD" else [reply.body]


def asgi(*arguments: str) -> ASGI:
    """From the arguments of `geosteer-http`. Raises: ConfigError."""
    options = Options(arguments, ANSWERS)
    steering = Steering.open(options.config, front_end="http")
    return ASGI(steering, redirector(steering, options))


def wsgi(*arguments: str) -> WSGI:
    """From the arguments of `geosteer-http`. Raises: ConfigError."""
    options = Options(arguments, ANSWERS)
    return WSGI(redirector(Steering.open(options.config, front_end="http"), options))


def redirector(steering: Steering, options: Options) -> Redirector:
    """The redirector that these options describe. Raises: ConfigError: they cannot be used."""
    if "client-header" in options and "trust" not in options:
        raise ConfigError(["--client-header: needs --trust: without it the header is ignored"])
    return Redirector(
        steering,
        target=options.target,
        routes=options.routes,
        proxies=Proxies(options.all("trust"), options.text("client-header", "x-forwarded-for")),
        cors=Cors(options.all("cors")),
        status=int(options.choice("status", [str(status) for status in STATUSES], "302")),
        by_path=options.by_path,
        duplicates=options.number("duplicates", 0, 0, 63),
        token=_token(options.text("token-file")),
        collector=_collector(steering, options),
    )


def _collector(steering: Steering, options: Options) -> Collector | None:
    """Of what clients measure, where the settings have a key for it. Raises: ConfigError."""
    settings = steering.settings
    if not settings.beacon.get("key_file"):
        return None
    # Only here: no other server is to load it.
    from geosteer.redirect.beacons.collector import Collector
    from geosteer.redirect.beacons.settings import read
    from geosteer.redirect.beacons.tokens import read_keys

    beacon = read(settings.beacon, settings.path, options.target_words)
    return Collector(beacon, read_keys(beacon.key_file), steering)


def wsgi_headers(environ: WSGIEnvironment) -> list[tuple[bytes, bytes]]:
    """The header fields of a request, as ASGI has them."""
    return [
        (name[5:].replace("_", "-").lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]


def wsgi_target(environ: WSGIEnvironment) -> bytes:
    """Path and query as it came, where the server says so (gunicorn, uWSGI, mod_wsgi); else put together again."""
    for name in ("RAW_URI", "REQUEST_URI"):
        if name in environ:
            return str(environ[name]).encode("latin-1", "replace")
    path = quote(
        environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), _SAFE.replace("%", ""), "latin-1"
    )
    query = environ.get("QUERY_STRING", "")
    return (f"{path}?{query}" if query else path).encode("latin-1", "replace")


def asgi_target(scope: Scope) -> bytes:
    """Path and query as they came, so far as the server says so."""
    target: bytes | None = scope.get(TARGET)
    if target is not None:
        return target
    path: bytes = scope.get("raw_path") or quote(scope["path"], _SAFE.replace("%", "")).encode()
    query: bytes = scope.get("query_string", b"")
    return path + b"?" + query if query else path


def asgi_peer(scope: Scope) -> str | None:
    """Address of the other end of the connection; None for a unix socket."""
    client: tuple[str, int] | None = scope.get("client")
    return client[0] if client and client[0] else None


def _status(reply: Reply) -> str:
    return f"{int(reply.status)} {HTTPStatus(reply.status).phrase}"


def _token(path: str) -> str:
    if not path:
        return ""
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as exc:
        raise ConfigError([f"--token-file {path}: {getattr(exc, 'strerror', None) or 'not ASCII'}"]) from exc
    token = token.partition("\n")[0].strip()
    if len(token) < 16:
        raise ConfigError([f"--token-file {path}: a token must have at least 16 characters"])
    return token
