"""The paths that pages and browsers use: who is to measure what, the script that does it, and what came of it.

Nothing longer than a client's /24 or /48 leaves this module: it is cut before anything is written, counted or logged.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from geosteer.counters.counters import BEACON
from geosteer.errors import GeosteerError
from geosteer.library.chooser import NoService, NotReady
from geosteer.redirect.beacons.limits import PLACES, Limit
from geosteer.redirect.beacons.reading import (
    BEACON_BYTES,
    REPORTS_BYTES,
    Beacon,
    Unusable,
    address_text,
    failures,
)
from geosteer.redirect.beacons.selection import EVERY, NEARBY, RANKED, candidates, distant_candidates
from geosteer.redirect.beacons.spool import Spool
from geosteer.redirect.beacons.tokens import NONCE, BadToken, Grant, Tokens, Used
from geosteer.redirect.bodies import BodyWanted
from geosteer.redirect.cors import ANY, Cors
from geosteer.redirect.replies import OwnCors, refusal
from geosteer.redirect.routes import OddHost, host_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from geosteer.decision.client import Client
    from geosteer.library.steering import Steering
    from geosteer.redirect.beacons.settings import BeaconSettings
    from geosteer.redirect.replies import Headers, Reply

CANDIDATES, REPORT, FAILURES, SCRIPT = (
    "/.geosteer/candidates", "/.geosteer/beacon", "/.geosteer/reports", "/.geosteer/beacon.js",
)  # fmt: skip
METHODS = {CANDIDATES: b"GET, HEAD", SCRIPT: b"GET, HEAD", REPORT: b"POST", FAILURES: b"POST"}
ANYBODY = Cors([ANY])
BURST_SECONDS = 20
"""So many seconds' worth of reports may come at once after a pause."""
PREFLIGHT_SECONDS = b"86400"
SCRIPT_SECONDS = b"3600"
"""For which browsers keep the script."""


class Refused(GeosteerError):
    """A request that is not taken: its status, the outcome that is counted, and a line for who sent it."""

    def __init__(self, status: HTTPStatus, outcome: str, why: str) -> None:
        super().__init__(why)
        self.status, self.outcome, self.why = status, outcome, why


class Collector:
    """Names candidates, and takes in reports."""

    def __init__(
        self, settings: BeaconSettings, keys: Sequence[bytes], steering: Steering, *,
        clock: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random, random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:  # fmt: skip
        """Args: clock: seconds since 1970; steady: monotonic; draw: uniform in [0, 1)."""
        self._settings, self._steering = settings, steering
        self._clock, self._steady, self._draw, self._random_bytes = clock, steady, draw, random_bytes
        self._tokens, self._used = Tokens(keys), Used()
        salt = random_bytes(16)
        self._limits = {
            path: (
                Limit(settings.network_rate, max(1, BURST_SECONDS * settings.network_rate), salt, PLACES),
                Limit(settings.rate, max(1, settings.rate)),
            )
            for path in (CANDIDATES, REPORT, FAILURES)
        }
        self._spool = Spool(
            settings.spool,
            segment_bytes=min(settings.segment_bytes, settings.spool_bytes / 4),
            segment_seconds=settings.segment_seconds,
            total_bytes=settings.spool_bytes,
            count=lambda outcome, times: self._count("spool", outcome, times),
            say=steering.say,
            clock=steady,
        )
        self._script = Path(__file__).with_name("beacon.js").read_bytes()
        self.paths = tuple(METHODS)
        """All that it answers for."""
        self._addresses: tuple[str | None, frozenset[str]] = None, frozenset()

    def reply(
        self, method: str, path: str, query: str, host: str, client: Client | None, scheme: str, origin: bytes | None,
        *, wait: bool,
    ) -> Reply:  # fmt: skip
        """The reply to a request for one of `METHODS`.

        Args: host: the service that the request's host and path belong to, "" if none; scheme: that the client used.
        Raises: NotReady: it would have to wait, and may not. BodyWanted: the reply depends on the body.
        """
        allowed = METHODS[path]
        if method == "OPTIONS":
            return self._preflight(path, origin)
        if method.encode() not in allowed.split(b", "):
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, f"{allowed.decode()} only", (b"allow", allowed))
        if path == SCRIPT:
            caching = b"public, max-age=" + SCRIPT_SECONDS
            return self._reply(
                HTTPStatus.OK, ANYBODY.headers(origin), self._script, b"text/javascript", caching
            )
        try:
            if client is None:
                raise Refused(HTTPStatus.FORBIDDEN, "no_client", "the client's address is unknown")
            if origin is not None and not self._cors(path).allows(origin):
                raise Refused(HTTPStatus.FORBIDDEN, "origin", "pages of this origin may not measure")
            network = client.network
            if path == CANDIDATES:
                return self._candidates(query, host, client, scheme, origin, wait=wait)
        except Refused as refused:
            return self.refused(path, refused, origin)
        take = self._take_beacon if path == REPORT else self._take_failures
        raise _Report(self, path, network, origin, take)

    def close(self) -> None:
        """Close the spool."""
        self._spool.close()

    # ------------------------------------------------------------------ candidates

    def _candidates(
        self, query: str, host: str, client: Client, scheme: str, origin: bytes | None, *, wait: bool
    ) -> Reply:  # fmt: skip
        self._check_limit(CANDIDATES, client.network)
        try:
            asked = parse_qs(query, max_num_fields=8).get("service", [host])
            if len(asked) != 1:
                raise OddHost(query)
            nearby = self._draw() < NEARBY
            name, kind, ranked = self._steering.ranked(
                host_of(asked[0]), client, RANKED if nearby else EVERY, self._draw(), wait=wait
            )
        except (NoService, OddHost):
            raise Refused(HTTPStatus.NOT_FOUND, "no_service", "no such service") from None
        except NotReady:
            raise
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST, "invalid", "invalid query") from None
        # A request that is not ready is asked again, so draw and count only now: drawn twice, too few would measure.
        if self._draw() >= self._settings.sample:
            self._count(CANDIDATES, "not_sampled")
            return self._reply(HTTPStatus.NO_CONTENT, self._cors(CANDIDATES).headers(origin))
        self._count_against_limit(CANDIDATES, client.network)
        place = self._settings.services.get(name, self._settings.usual)
        chosen = () if nearby else distant_candidates(ranked, self._clock())
        nodes = [
            {"node": node.name, "url": base + place.path}
            for node in chosen or candidates(ranked, self._draw())
            if (base := place.target.origin(node, kind, scheme))
        ]
        if not nodes:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "no_nodes", "no nodes to measure now")
        expires = int(self._clock() + self._settings.lifetime)
        grant = Grant(expires, name, tuple(node["node"] for node in nodes), self._random_bytes(NONCE).hex())
        document = {
            "service": name, "expires": expires, "token": self._tokens.issue(grant, client.network), "nodes": nodes,
        }  # fmt: skip
        self._count(CANDIDATES, "given")
        body = json.dumps(document).encode() + b"\n"
        return self._reply(HTTPStatus.OK, self._cors(CANDIDATES).headers(origin), body)

    # ------------------------------------------------------------------ what comes back

    def _take_beacon(self, network: str, body: bytes) -> str:
        """Take in a beacon; returns what became of it. Raises: Refused, Unusable."""
        beacon = Beacon(body)
        now = self._clock()
        try:
            grant = self._tokens.check(beacon.token, network, now)
        except BadToken as exc:
            raise Refused(
                HTTPStatus.FORBIDDEN, str(exc), f"the token is {exc}, or of another network"
            ) from None
        if not beacon.nodes.issubset(grant.nodes):
            raise Unusable("a node that the token does not name")
        if not self._used.take(grant, now):
            raise Refused(HTTPStatus.FORBIDDEN, "used", "the token was used before")
        shared = {"time": round(now, 3), "client": network.partition("/")[0]}
        self._spool.write(
            [{**shared, "node": node, "ms": round(time, 3)} for node, time in beacon.times.items()]
            + [{**shared, "node": node, "failed": True} for node in beacon.failed]
        )
        return "taken"

    def _take_failures(self, network: str, body: bytes) -> str:
        """Take in a browser's reports; returns what became of them. Raises: Unusable."""
        reports = failures(body, self._node_addresses())
        if not reports:
            return "nothing_of_use"
        line = {"time": round(self._clock(), 3), "client": network.partition("/")[0], "reports": reports}
        self._spool.write([line])
        return "taken"

    def _node_addresses(self) -> frozenset[str]:
        """Addresses of all published nodes: no other stands in what is stored."""
        generation = self._steering.generation
        if generation is None:
            return frozenset()
        if self._addresses[0] != generation:
            texts = self._steering.addresses()
            self._addresses = generation, frozenset(map(address_text, texts))
        return self._addresses[1]

    # ------------------------------------------------------------------ replies

    def limit(self, path: str, network: str) -> None:
        """Count one report of a network. Raises: Refused: there are too many."""
        self._check_limit(path, network)
        self._count_against_limit(path, network)

    def _check_limit(self, path: str, network: str) -> None:
        own, everybody = self._limits[path]
        now = self._steady()
        what = "requests" if path == CANDIDATES else "reports"
        if not own.allows(network, now):
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "network_rate", f"too many {what} from this network")
        if not everybody.allows("", now):
            raise Refused(HTTPStatus.TOO_MANY_REQUESTS, "rate", f"too many {what}")

    def _count_against_limit(self, path: str, network: str) -> None:
        own, everybody = self._limits[path]
        now = self._steady()
        own.take(network, now)
        everybody.take("", now)

    def taken(self, path: str, outcome: str, origin: bytes | None) -> Reply:
        """The reply to a report that was taken."""
        self._count(path, outcome)
        return self._reply(HTTPStatus.NO_CONTENT, self._cors(path).headers(origin))

    def refused(self, path: str, refused: Refused, origin: bytes | None) -> Reply:
        """The reply to what was not."""
        self._count(path, refused.outcome)
        more: Headers = [(b"connection", b"close")] if refused.status == HTTPStatus.REQUEST_TIMEOUT else []
        reply = refusal(refused.status, refused.why, *more, *self._cors(path).headers(origin))
        return OwnCors(reply.status, reply.headers, reply.body)

    def _cors(self, path: str) -> Cors:
        """Reports of failures come from the nodes' origins, not from the pages'."""
        return ANYBODY if path == FAILURES else self._settings.cors

    def _preflight(self, path: str, origin: bytes | None) -> Reply:
        """What a browser asks before it delivers reports to another origin (Reporting API, 3.2)."""
        headers = [
            *self._cors(path).headers(origin),
            (b"access-control-allow-methods", METHODS[path]),
            (b"access-control-allow-headers", b"content-type"),
            (b"access-control-max-age", PREFLIGHT_SECONDS),
        ]
        return OwnCors(HTTPStatus.NO_CONTENT, headers)

    @staticmethod
    def _reply(
        status: HTTPStatus, cors: Headers, body: bytes = b"", kind: bytes = b"application/json",
        caching: bytes = b"no-store",
    ) -> Reply:  # fmt: skip
        headers = [
            (b"cache-control", caching),
            (b"x-content-type-options", b"nosniff"),
            (b"cross-origin-resource-policy", b"cross-origin"),
            *cors,
        ]
        if status != HTTPStatus.NO_CONTENT:
            headers += [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        return OwnCors(status, headers, body)

    def _count(self, path: str, outcome: str, times: int = 1) -> None:
        with contextlib.suppress(RuntimeError):  # it is closed
            self._steering.count(BEACON, path.rpartition("/")[2], outcome, times=times)


class _Report(BodyWanted):
    """A report whose body is still to be read."""

    def __init__(
        self, collector: Collector, path: str, network: str, origin: bytes | None,
        take: Callable[[str, bytes], str],
    ) -> None:  # fmt: skip
        super().__init__(BEACON_BYTES if path == REPORT else REPORTS_BYTES)
        self._collector, self._path, self._network, self._origin = collector, path, network, origin
        self._take = take

    def begin(self, length: int | None) -> Reply | None:
        try:
            self._collector.limit(self._path, self._network)
        except Refused as refused:
            return self._collector.refused(self._path, refused, self._origin)
        return self.too_long() if length is not None and length > self.limit else None

    def finish(self, body: bytes) -> Reply:
        try:
            outcome = self._take(self._network, body)
        except Unusable as exc:
            return self._refused(HTTPStatus.BAD_REQUEST, "invalid", str(exc))
        except Refused as refused:
            return self._collector.refused(self._path, refused, self._origin)
        return self._collector.taken(self._path, outcome, self._origin)

    def too_long(self) -> Reply:
        why = f"more than {self.limit} bytes"
        return self._refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_long", why)

    def too_slow(self) -> Reply:
        return self._refused(HTTPStatus.REQUEST_TIMEOUT, "too_slow", "the body did not come in time")

    def _refused(self, status: HTTPStatus, outcome: str, why: str) -> Reply:
        return self._collector.refused(self._path, Refused(status, outcome, why), self._origin)
