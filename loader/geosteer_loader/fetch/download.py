"""One download: conditional, resumable, bounded in size and time; over TLS only, also after redirects.

Source: RFC 9110 (conditional requests 13, ranges 14, redirects 15.4).
"""

from __future__ import annotations

import logging
import os
import re
from base64 import b64encode
from dataclasses import dataclass, field
from http.client import responses
from typing import IO, TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from geosteer.resp.tls import trusting
from geosteer_loader.fetch.deadline import Deadline
from geosteer_loader.fetch.errors import FetchFailed, Useless
from geosteer_loader.fetch.proxies import proxy_for

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from urllib3 import BaseHTTPResponse

    from geosteer_loader.config.environment import Expander
    from geosteer_loader.fetch.proxies import Proxy

STALL = 30.0
"""Seconds without a byte after which a server counts as gone."""

REDIRECTS = 5

CHUNK = 1 << 16

# urllib3 logs requests, and odd headers as warnings, with the whole URL, and that may hold a credential.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)

_MOVED = frozenset((301, 302, 303, 307, 308))
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:(\d+)|\*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to get, with `${NAME}` where secrets go."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    username: str | None = None
    password: str | None = None
    ca: Path | None = None
    """Certificates to trust; None: the system's."""
    tls_strict: bool = False
    """Refuse a certificate that breaks RFC 5280."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a request."""

    status: int
    """200: from the beginning, 206: from the offset asked for, 304: not changed, 416: no such offset."""
    etag: str | None = None
    modified: str | None = None
    """Last-Modified, as the server writes it."""


class Client:
    """Makes requests; messages show URLs and secrets only as written in the configuration."""

    def __init__(self, expander: Expander, seconds: float, environ: Mapping[str, str] = os.environ) -> None:
        """Args: seconds: until everything that this client does has to be done; environ: names the proxy."""
        self._expander = expander
        self._deadline = Deadline(seconds)
        self._environ = environ
        self._proxy: Proxy | None = None

    def get(
        self,
        asked: Request,
        conditions: Mapping[str, str],
        target: IO[bytes],
        offset: int,
        limit: int,
        begun: Callable[[Answer], None] = lambda _answer: None,
    ) -> Answer:
        """Get a body and write it to *target*, which holds *offset* bytes already: kept on 206, cut on 200.

        Args:
            conditions: headers such as If-None-Match and Range.
            limit: bytes that *target* may come to hold.
            begun: called before a body is read.

        Raises: FetchFailed: *target* holds what came until then. Useless: that cannot be used. OSError: it cannot be written.
        """
        try:
            with self._deadline, self._request(asked, conditions) as response:
                answer = Answer(
                    status=response.status,
                    etag=response.headers.get("ETag"),
                    modified=response.headers.get("Last-Modified"),
                )
                if answer.status in {200, 206}:
                    start, whole = self._begin(response, target, offset, limit)
                    begun(answer)
                    self._body(response, target, start, whole, limit)
                elif answer.status not in {304, 416}:
                    # The words are ours: the server's own might repeat what it was sent.
                    raise FetchFailed(f"status {answer.status} {responses.get(answer.status, '')}".rstrip())
        except (HTTPError, ValueError) as exc:
            self._deadline.check()
            raise FetchFailed(
                self._expander.redact(_reason(exc, self._proxy))
            ) from None  # its text may hold the URL
        return answer

    def _request(self, asked: Request, conditions: Mapping[str, str]) -> BaseHTTPResponse:
        # Taken apart before values are put in, so that no value changes where the request goes.
        parts = urlsplit(asked.url)
        path = self._expander.expand(parts.path + (f"?{parts.query}" if parts.query else ""), _escaped)
        location = f"https://{parts.netloc}{path}"
        secret = {name: self._expander.expand(value) for name, value in asked.headers.items()}
        if asked.username is not None:
            login = f"{self._expander.expand(asked.username)}:{self._expander.expand(asked.password or '')}"
            secret["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        context = trusting(str(asked.ca) if asked.ca else None, strict=asked.tls_strict)
        plain = {"User-Agent": "geosteer", "Accept": "*/*", "Accept-Encoding": "identity", **conditions}
        home = _origin(location)
        for _ in range(REDIRECTS + 1):
            # Credentials are for the host that the configuration names, and for no other.
            headers = {**plain, **secret} if _origin(location) == home else plain
            response = self._pool(location, context).request(
                "GET", location, headers=headers, redirect=False, retries=False, preload_content=False,
                decode_content=False, timeout=self._patience(),
            )  # fmt: skip
            self._deadline.check()
            if response.status not in _MOVED:
                return response
            response.close()
            location = _following(location, response.headers.get("Location"))
        raise FetchFailed(f"redirects more than {REDIRECTS} times")

    def _pool(self, location: str, context: ssl.SSLContext) -> urllib3.PoolManager:
        self._proxy = proxy = proxy_for(urlsplit(location).hostname or "", self._environ)
        if proxy is None:
            return self._deadline.watch(urllib3.PoolManager(ssl_context=context))
        login = {"Proxy-Authorization": proxy.login} if proxy.login else None
        return self._deadline.watch(urllib3.ProxyManager(proxy.url, proxy_headers=login, ssl_context=context))

    def _begin(
        self, response: BaseHTTPResponse, target: IO[bytes], offset: int, limit: int
    ) -> tuple[int, int | None]:
        """Where the body goes (what is behind that is cut off), and the size of the whole file, if that is said."""
        start = 0
        length = response.headers.get("Content-Length", "")
        whole = int(length) if length.isdecimal() else None
        if response.status == 206:
            span = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if not offset or not span or int(span[1]) != offset:
                raise Useless("sends a different range than requested")
            start = offset
            whole = int(span[2]) if span[2] else None
        if whole is not None and whole > limit:
            raise Useless(f"has {whole} bytes, more than max_size, {limit}")
        target.seek(start)
        target.truncate()
        return start, whole

    def _body(
        self, response: BaseHTTPResponse, target: IO[bytes], size: int, whole: int | None, limit: int
    ) -> None:
        broken = False
        try:
            while chunk := response.read1(CHUNK, decode_content=False):
                size += len(chunk)
                if size > limit:
                    raise Useless(f"sends more than max_size, {limit} bytes")
                target.write(chunk)
                self._deadline.check()
        except ProtocolError:
            broken = True
        self._deadline.check()
        if broken or (whole is not None and size < whole):
            of = f" of {whole}" if whole is not None else ""
            raise FetchFailed(f"the connection was cut off after {size}{of} bytes")

    def _patience(self) -> urllib3.Timeout:
        self._deadline.check()
        left = min(self._deadline.left, STALL)
        return urllib3.Timeout(connect=left, read=left)


def _following(location: str, redirected: str | None) -> str:
    """Where a redirect leads. Raises: FetchFailed: nowhere, or not to https."""
    try:
        following = urljoin(location, redirected) if redirected else ""
        scheme = urlsplit(following).scheme
    except ValueError:
        following = scheme = ""
    if not following:
        raise FetchFailed("redirects to an invalid URL")
    if scheme != "https":
        raise FetchFailed("redirects to a URL that is not https://")
    return following


def same_host(url: str, other: str) -> bool:
    """Whether two URLs lead to the same server."""
    return _origin(url) == _origin(other)


def _escaped(value: str) -> str:
    return quote(value, safe="")


def _origin(location: str) -> tuple[str | None, int]:
    parts = urlsplit(location)
    return parts.hostname, parts.port or 443


def _reason(exc: Exception, proxy: Proxy | None = None) -> str:
    """What went wrong, in words that hold no URL; *proxy*: the one that was used."""
    if proxy is not None:
        if refusal := proxy.refusal(str(exc.original_error if isinstance(exc, ProxyError) else exc)):
            return refusal
        if isinstance(exc, ProxyError):
            return f"the proxy {proxy.place}: {_reason(exc.original_error)}"
    if isinstance(exc, NameResolutionError):
        return "unknown host name"
    if isinstance(exc, NewConnectionError):  # before the next one, of which it is a kind
        cause = exc.__cause__
        return f"cannot connect: {getattr(cause, 'strerror', None) or 'refused'}"
    if isinstance(exc, ConnectTimeoutError | ReadTimeoutError):
        return "no answer in time"
    if isinstance(exc, SSLError):
        cause = exc.args[0] if exc.args else exc
        return f"TLS: {getattr(cause, 'verify_message', None) or getattr(cause, 'reason', None) or 'failed'}"
    if isinstance(exc, ProtocolError):
        return "the connection was cut off"
    return getattr(exc, "strerror", None) or type(exc).__name__
