"""Redirects over HTTP: the reply to one request, whichever server it came through.

Sources: RFC 9110 (15.4 redirects, 12.5.5 Vary), RFC 9111 (5.2 Cache-Control), RFC 9112 (3.2 Host), RFC 6249 (3 mirrors).
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from geosteer.library.chooser import NoService
from geosteer.redirect.cors import Cors
from geosteer.redirect.forwarded import Proxies
from geosteer.redirect.own_paths import OWN, OwnPaths
from geosteer.redirect.replies import OwnCors, Reply, lines_of, refusal, template
from geosteer.redirect.request_target import LONGEST, OddTarget, TooLong, read_target
from geosteer.redirect.routes import OddHost, Routes, Target, host_of, resolved

if TYPE_CHECKING:
    from collections.abc import Collection

    from geosteer.decision.client import Client
    from geosteer.library.chooser import Choice
    from geosteer.library.steering import Steering
    from geosteer.redirect.beacons.collector import Collector
    from geosteer.redirect.replies import Headers, Template

STATUSES = (302, 307, 308)
"""301 is not among them: caches keep it by default, and clients may turn a POST into a GET."""
REMEMBERED = 256
"""Longest value of proxy headers, in bytes, whose client is remembered: clients can make them say anything."""


class Redirector:
    """Answers requests from a Steering; any number of threads may ask."""

    def __init__(
        self,
        steering: Steering,
        *,
        target: Target | None = None,
        routes: Routes | None = None,
        proxies: Proxies | None = None,
        cors: Cors | None = None,
        status: int = 302,
        by_path: bool = True,
        duplicates: int = 0,
        token: str = "",
        collector: Collector | None = None,
    ) -> None:
        """Args are options of geosteer-http.

        target: how a node's URL is made; default: its host name, the request's scheme.
        routes: hosts and paths of services of another name.
        proxies: peers that are trusted to name the client; default: none.
        cors: origins whose scripts may follow redirects; default: none.
        status: 302, 307 or 308.
        by_path: policy `hash` uses the path, not the client's network.
        duplicates: how many of the next best nodes are named in `Link` fields (RFC 6249).
        token: grants access to explanations; "": no access.
        collector: of what clients measure; default: they may not.
        """
        self._steering = steering
        self._target = target or Target()
        self._proxies = proxies or Proxies()
        self._cors = cors or Cors()
        self.status = status
        """Of redirects."""
        self._by_path = by_path
        self._duplicates = duplicates
        self._trusted = self._proxies.header if self._proxies else b""
        vary = self._proxies.vary
        self._always = [(b"content-length", b"0"), *([(b"vary", vary)] if vary else [])]
        self._routes = routes or Routes()
        self._any_path = not self._routes.by_path and not duplicates
        self._own = OwnPaths(steering, self._routes, by_path=by_path, token=token, collector=collector)
        self._asker = lru_cache(8192)(self._find_asker)

    def reply(
        self, method: str, target: bytes, scheme: str, peer: str | None, headers: Collection[tuple[bytes, bytes]],
        *, version: str = "1.1", wait: bool = True,
    ) -> Reply:  # fmt: skip
        """The reply to one request; its body is not to be sent if the method is HEAD.

        Args:
            target: the request's target as it came.
            peer: address of the other end of the connection; None for a unix socket.
            headers: names in lower case.
            version: of HTTP; before 1.1 a request may lack its Host.
            wait: may wait for Redis, for as long as the settings say.

        Raises: NotReady: it would have to wait, and may not. BodyWanted: the reply depends on the request's body.
        """
        if not self._cors:
            return self._reply(method, target, scheme, peer, headers, version, wait=wait)
        headers = list(headers)
        origin = next((value for name, value in headers if name == b"origin"), None)
        asks_first = any(name == b"access-control-request-method" for name, _ in headers)
        preflight = method == "OPTIONS" and origin is not None and asks_first
        if preflight and not self._own.takes(method, target):
            assert origin is not None
            return self._cors.preflight(origin)
        reply = self._reply(method, target, scheme, peer, headers, version, wait=wait)
        if isinstance(reply, OwnCors):
            return reply
        more = self._cors.headers(origin)
        reply.headers = [*reply.headers, *more]
        if reply.template is not None:
            fields, slot = reply.template
            reply.template = fields[:-2] + lines_of(more).replace(b"%", b"%%") + fields[-2:], slot
        return reply

    def close(self) -> None:
        """Nothing will be asked any more."""
        self._own.close()

    def _reply(
        self, method: str, target: bytes, scheme: str, peer: str | None, headers: Collection[tuple[bytes, bytes]],
        version: str, *, wait: bool,
    ) -> Reply:  # fmt: skip
        if method not in {"GET", "HEAD"} and not self._own.takes(method, target):
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD only", (b"allow", b"GET, HEAD"))
        try:
            authority, path, target = read_target(target)
        except TooLong:
            return refusal(HTTPStatus.REQUEST_URI_TOO_LONG, f"more than {LONGEST} bytes of URL")
        except OddTarget:
            return refusal(HTTPStatus.BAD_REQUEST, "invalid path or query")
        host, forwarded, protos, authorization, trusted = None, [], [], b"", self._trusted
        for name, value in headers:
            if name == b"host":
                if host is not None:
                    return refusal(HTTPStatus.BAD_REQUEST, "more than one Host")
                host = value
            elif name == trusted:
                forwarded.append(value)
            elif name == b"x-forwarded-proto":
                if trusted:
                    protos.append(value)
            elif name == b"authorization":
                authorization = value
            elif name == b"transfer-encoding" and value.strip(b" \t").lower() != b"chunked":
                # The parser takes it for a request without a body; another on the way may not.
                return refusal(HTTPStatus.BAD_REQUEST, "chunked is the only transfer encoding")
        if path.startswith(OWN):
            host = host if authority is None else authority
            if path in self._own.collected:
                client, scheme = self._find_asker(peer, scheme, tuple(forwarded), tuple(protos))
                origin = next((value for name, value in headers if name == b"origin"), None)
                return self._own.collect(method, path, target, host, client, scheme, origin, wait=wait)
            return self._own.reply(path, target, host, authorization)
        place = resolved(path)
        try:
            service = self._service(host, authority, place, version)
        except OddHost:
            return refusal(HTTPStatus.BAD_REQUEST, "invalid host")
        asker = (
            self._asker
            if sum(map(len, forwarded)) + sum(map(len, protos)) <= REMEMBERED
            else self._find_asker
        )
        client, scheme = asker(peer, scheme, tuple(forwarded), tuple(protos))
        return self._redirect(service, client, target, place, scheme, wait=wait)

    def _service(self, host: bytes | None, authority: bytes | None, place: str, version: str) -> str:
        """The service asked for. Raises: OddHost: Host is missing where it must not be, or not a host."""
        old = version < "1.1"
        if host is None and old and authority is None:
            service = self._routes.service("", place)
            if not service:
                raise OddHost("no Host, and no route for any")
            return service
        name = _host(host or b"") if host is not None or not old else ""
        if authority is not None:  # it counts, whatever Host says (RFC 9112, 3.2.2)
            name = _host(authority)
        return self._routes.service(name, place)

    def _redirect(
        self, service: str, client: Client | None, target: bytes, place: str, scheme: str, *, wait: bool
    ) -> Reply:  # fmt: skip
        try:
            choice = self._steering.decide(
                service, client, path=place if self._by_path else "", limit=1 + self._duplicates, wait=wait
            )
        except NoService:
            return refusal(HTTPStatus.NOT_FOUND, "no such service")
        parts = choice.made.get((self, scheme))
        if parts is None:
            parts = choice.made[self, scheme] = self._make(choice, scheme)
        assert isinstance(parts, tuple)
        caching, origins, lasting = parts
        if not origins or not origins[0]:
            later = b"%d" % self._steering.settings.fallback_ttl
            return refusal(
                HTTPStatus.SERVICE_UNAVAILABLE, "no node can serve this now", (b"retry-after", later)
            )
        headers = [(b"location", origins[0] + target), *caching]
        if len(origins) > 1:
            headers += [
                (b"link", b"<%s%s>; rel=duplicate; pri=%d" % (origin, target, rank))
                for rank, origin in enumerate(origins[1:], 2)
                if origin
            ]
        return Reply(self.status, headers, template=lasting)

    def _make(self, choice: Choice, scheme: str) -> tuple[Headers, list[bytes], Template | None]:
        """What all redirects to these nodes share: header fields, the beginnings of URLs, and the answer to every path."""
        # Only the client itself may keep it: it is about the client's address, which no Vary can name.
        caching = (b"cache-control", b"private, max-age=%d" % choice.ttl)
        origins = [self._target.origin(node, choice.kind, scheme).encode() for node in choice.nodes]
        more = [caching, *self._always]
        if not (choice.lasting and self._any_path and origins):
            return more, origins, None
        return more, origins, (template(origins[0], more), choice.slot)

    def _find_asker(
        self, peer: str | None, scheme: str, forwarded: tuple[bytes, ...], protos: tuple[bytes, ...]
    ) -> tuple[Client | None, str]:  # fmt: skip
        """The client, and the scheme that it used."""
        proxies = self._proxies
        return proxies.client(peer, forwarded), proxies.scheme(peer, scheme, protos, forwarded)


@lru_cache(4096)
def _host(value: bytes) -> str:
    """Of a Host field, whose surrounding blanks do not belong to it (RFC 9110, 5.5). Raises: OddHost."""
    return host_of(value.decode("latin-1").strip(" \t"))
