"""Redirects over HTTP: what one request is answered with, whichever server it came through.

Sources: RFC 9110 (15.4 redirects, 12.5.5 Vary), RFC 9111 (5.2 Cache-Control), RFC 6249 (3 mirrors), RFC 6750 (2.1 tokens).
"""

from __future__ import annotations

import hmac
import json
import re
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from geosteer.decision.client import parse
from geosteer.decision.explanation import explanation
from geosteer.library.chooser import NoService
from geosteer.redirect.forwarded import Proxies
from geosteer.redirect.routes import OddHost, Routes, Target, host_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer.decision.client import Client
    from geosteer.library.chooser import Choice
    from geosteer.library.steering import Steering

    Headers = list[tuple[bytes, bytes]]

STATUSES = (302, 307, 308)
"""301 is not among them: caches keep it without being told to, and clients may turn a POST into a GET."""
LONGEST = 8192
"""Bytes of a path with its query (RFC 9110, 4.1, asks for 8000 at least)."""
REMEMBERED = 256
"""Bytes of what proxies say, of which the outcome is remembered at most: clients can have them say anything."""
OWN = "/.geosteer/"
"""Paths that are this program's on every host."""

_PLAIN = re.compile(rb"/(?!/)[!$-;=?-\[\]-~]*\Z")
"""A path and query in origin form (RFC 9112, 3.2.1), in visible ASCII without `"#<>` and the backslash, that names no host."""
_BREAKS = re.compile(rb"%0[0aAdD]")
"""NUL, LF and CR, encoded: whoever decodes them after us would see another header line."""


class Reply:
    """The answer to one request."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        """Names and values; Content-Length is among them."""
        self.body = body


class Redirector:
    """Answers requests from a Steering; any number of threads may ask."""

    def __init__(
        self,
        steering: Steering,
        *,
        target: Target | None = None,
        routes: Routes | None = None,
        proxies: Proxies | None = None,
        status: int = 302,
        by_path: bool = True,
        duplicates: int = 0,
        token: str = "",
    ) -> None:
        """Args are options of geosteer-http.

        target: how a node's URL is made; default: its host name, the request's scheme.
        routes: hosts and paths of services of another name.
        proxies: whose word on the client is taken; default: nobody's.
        status: 302, 307 or 308.
        by_path: the policy `hash` goes by the path, not by the client's network.
        duplicates: how many of the next best nodes are named in `Link` fields (RFC 6249).
        token: who has it may ask for explanations; "": nobody.
        """
        self._steering = steering
        self._target = target or Target()
        self._proxies = proxies or Proxies()
        self._status = status
        self._by_path = by_path
        self._duplicates = duplicates
        self._token = token.encode()
        self._trusted = self._proxies.header if self._proxies else b""
        vary = self._proxies.vary
        self._always = [(b"content-length", b"0"), *([(b"vary", vary)] if vary else [])]
        self._routes = routes or Routes()
        self._asker = lru_cache(8192)(self._find_asker)

    def reply(
        self, method: str, target: bytes, scheme: str, peer: str | None, headers: Iterable[tuple[bytes, bytes]],
        *, wait: bool = True,
    ) -> Reply:  # fmt: skip
        """The answer to one request; the body of a HEAD's is not to be sent.

        Args:
            target: path and query as they came.
            peer: address of the other end of the connection; None for a unix socket.
            headers: names in lower case.
            wait: may wait for Redis, for as long as the settings say.

        Raises: NotReady: it would have to wait, and may not.
        """
        if method not in {"GET", "HEAD"}:
            return _refuse(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only", (b"allow", b"GET, HEAD"))
        if len(target) > LONGEST:
            return _refuse(HTTPStatus.REQUEST_URI_TOO_LONG, f"more than {LONGEST} bytes of URL")
        if _PLAIN.match(target) is None or _BREAKS.search(target) is not None:
            return _refuse(HTTPStatus.BAD_REQUEST, "not a plain path")
        path = target.partition(b"?")[0].decode("ascii")
        host, said, protos, authorization, trusted = None, [], [], b"", self._trusted
        for name, value in headers:
            if name == b"host":
                if host is not None:
                    return _refuse(HTTPStatus.BAD_REQUEST, "more than one Host")
                host = value
            elif name == trusted:
                said.append(value)
            elif name == b"x-forwarded-proto":
                if trusted:
                    protos.append(value)
            elif name == b"authorization":
                authorization = value
            elif name == b"transfer-encoding" and value.strip(b" \t").lower() != b"chunked":
                # The parser takes it for a request without a body; another on the way may not.
                return _refuse(HTTPStatus.BAD_REQUEST, "chunked is the only transfer encoding")
        if path.startswith(OWN):
            return self._own(path, target, host, authorization)
        try:
            service = self._routes.service(_host(host or b""), path)
        except OddHost:
            return _refuse(HTTPStatus.BAD_REQUEST, "not a host")
        asker = self._asker if sum(map(len, said)) + sum(map(len, protos)) <= REMEMBERED else self._find_asker
        client, scheme = asker(peer, scheme, tuple(said), tuple(protos))
        return self._redirect(service, client, target, path, scheme, wait=wait)

    def _redirect(
        self, service: str, client: Client | None, target: bytes, path: str, scheme: str, *, wait: bool
    ) -> Reply:  # fmt: skip
        try:
            choice = self._steering.decide(
                service, client, path=path if self._by_path else "", limit=1 + self._duplicates, wait=wait
            )
        except NoService:
            return _refuse(HTTPStatus.NOT_FOUND, "no such service")
        made = choice.made.get((self, scheme))
        if made is None:
            made = choice.made[self, scheme] = self._make(choice, scheme)
        assert isinstance(made, tuple)
        caching, origins = made
        if not origins or not origins[0]:
            later = b"%d" % self._steering.settings.fallback_ttl
            return _refuse(HTTPStatus.SERVICE_UNAVAILABLE, "no node may serve now", (b"retry-after", later))
        headers = [(b"location", origins[0] + target), *caching]
        if len(origins) > 1:
            headers += [
                (b"link", b"<%s%s>; rel=duplicate; pri=%d" % (origin, target, rank))
                for rank, origin in enumerate(origins[1:], 2)
                if origin
            ]
        return Reply(self._status, headers)

    def _make(self, choice: Choice, scheme: str) -> tuple[Headers, list[bytes]]:
        """What all redirects to these nodes share: header fields, and the beginnings of URLs."""
        # Only the client itself may keep it: it is about the client's address, which no Vary can name.
        caching = (b"cache-control", b"private, max-age=%d" % choice.ttl)
        origins = [self._target.origin(node, choice.kind, scheme).encode() for node in choice.nodes]
        return [caching, *self._always], origins

    def _find_asker(
        self, peer: str | None, scheme: str, said: tuple[bytes, ...], protos: tuple[bytes, ...]
    ) -> tuple[Client | None, str]:  # fmt: skip
        """The client, and the scheme that it used."""
        proxies = self._proxies
        return proxies.client(peer, said), proxies.scheme(peer, scheme, protos, said)

    # ------------------------------------------------------------------ this program's own paths

    def _own(self, path: str, target: bytes, host: bytes | None, authorization: bytes) -> Reply:
        if path == OWN + "health":
            return self._health()
        if path == OWN + "explain" and self._token:
            kind, _, token = authorization.partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
                return _refuse(HTTPStatus.UNAUTHORIZED, "token, please", (b"www-authenticate", b"Bearer"))
            return self._explain(target, host)
        return _refuse(HTTPStatus.NOT_FOUND, "nothing here")

    def _health(self) -> Reply:
        """200 while there is anything to redirect to, in whatever tier."""
        steering = self._steering
        able, generation = steering.able, steering.generation
        told = {"tier": steering.tier, "generation": int(generation) if generation is not None else None}
        return _told(HTTPStatus.OK if able else HTTPStatus.SERVICE_UNAVAILABLE, told)

    def _explain(self, target: bytes, host: bytes | None) -> Reply:
        """For `?client=ADDRESS[&name=SERVICE][&path=PATH][&ticket=T]`."""
        asked = dict(parse_qsl(target.partition(b"?")[2].decode("ascii")))
        steering = self._steering
        path = asked.get("path", "/")
        try:
            client = parse(asked["client"])
            ticket = float(asked.get("ticket", 0))
            if not 0 <= ticket < 1:
                raise ValueError(ticket)
            name = asked.get("name") or self._routes.service(_host(host or b""), path)
            service, decision = steering.explain(
                name, client, path=path if self._by_path else "", ticket=ticket
            )
        except KeyError:
            return _refuse(HTTPStatus.BAD_REQUEST, "client=ADDRESS is missing")
        except NoService:
            return _refuse(HTTPStatus.NOT_FOUND, "no such service")
        except ValueError as exc:
            return _refuse(HTTPStatus.BAD_REQUEST, f"not an address, a host or a ticket: {exc!s:.80}")
        return _told(
            HTTPStatus.OK, explanation(service, decision, client, steering.tier, steering.generation)
        )


@lru_cache(4096)
def _host(value: bytes) -> str:
    """Of a Host field. Raises: OddHost."""
    return host_of(
        value.decode("latin-1").strip(" \t")
    )  # blanks around a value are none of it (RFC 9110, 5.5)


def _told(status: HTTPStatus, told: object) -> Reply:
    body = json.dumps(told).encode() + b"\n"
    return _plain(status, body, b"application/json")


def _refuse(status: HTTPStatus, why: str, *more: tuple[bytes, bytes]) -> Reply:
    return _plain(status, why.encode("ascii", "replace") + b"\n", b"text/plain", *more)


def _plain(status: HTTPStatus, body: bytes, kind: bytes, *more: tuple[bytes, bytes]) -> Reply:
    return Reply(
        status,
        [
            (b"content-type", kind), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"), *more,
        ],
        body,
    )  # fmt: skip
