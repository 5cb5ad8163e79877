"""Paths that are this program's own on every host: its health, and explanations for who has the token (RFC 6750, 2.1)."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from geosteer.decision.client import parse
from geosteer.decision.explanation import explanation
from geosteer.library.chooser import NoService
from geosteer.redirect.replies import json_reply, refusal
from geosteer.redirect.routes import OddHost, host_of, resolved

if TYPE_CHECKING:
    from geosteer.decision.client import Client
    from geosteer.library.steering import Steering
    from geosteer.redirect.beacons.collector import Collector
    from geosteer.redirect.replies import Reply
    from geosteer.redirect.routes import Routes

OWN = "/.geosteer/"
"""What these paths begin with, literally: a proxy before this program refuses them by that."""


class OwnPaths:
    """Answers what is asked of the program itself."""

    def __init__(
        self, steering: Steering, routes: Routes, *, by_path: bool, token: str, collector: Collector | None = None
    ) -> None:  # fmt: skip
        """Args: collector: of what clients measure, if they may."""
        self._steering = steering
        self._collector = collector
        self.collected = frozenset(collector.paths if collector is not None else ())
        """Paths that are the collector's."""
        self._routes = routes
        self._by_path = by_path
        self._token = token.encode()

    def reply(self, path: str, target: bytes, host: bytes | None, authorization: bytes) -> Reply:
        """The answer to a request for a path that begins with `OWN`."""
        if path == OWN + "health":
            return self._health()
        if path == OWN + "explain" and self._token:
            kind, _, token = authorization.partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
                return refusal(
                    HTTPStatus.UNAUTHORIZED, "a token is required", (b"www-authenticate", b"Bearer")
                )
            return self._explain(target, host)
        return refusal(HTTPStatus.NOT_FOUND, "nothing here")

    def takes(self, method: str, target: bytes) -> bool:
        """Whether a method other than GET and HEAD is of use for a target."""
        return method in {"POST", "OPTIONS"} and target.partition(b"?")[0].decode("latin-1") in self.collected

    def collect(
        self, method: str, path: str, target: bytes, host: bytes | None, client: Client | None, scheme: str,
        origin: bytes | None, *, wait: bool,
    ) -> Reply:  # fmt: skip
        """The answer to a request for one of the paths `collected`. Raises: NotReady, BodyWanted."""
        assert self._collector is not None
        try:
            service = self._routes.service(host_of((host or b"").decode("latin-1").strip(" \t")), path)
        except OddHost:
            service = ""
        query = target.partition(b"?")[2].decode("ascii")
        return self._collector.reply(method, path, query, service, client, scheme, origin, wait=wait)

    def close(self) -> None:
        """Nothing will be asked any more."""
        if self._collector is not None:
            self._collector.close()

    def _health(self) -> Reply:
        """200 while there is anything to redirect to, in whatever tier."""
        steering = self._steering
        able, generation = steering.able, steering.generation
        health = {"tier": steering.tier, "generation": int(generation) if generation is not None else None}
        return json_reply(HTTPStatus.OK if able else HTTPStatus.SERVICE_UNAVAILABLE, health)

    def _explain(self, target: bytes, host: bytes | None) -> Reply:
        """For `?client=ADDRESS[&name=SERVICE][&path=PATH][&ticket=T]`."""
        asked = dict(parse_qsl(target.partition(b"?")[2].decode("ascii")))
        steering = self._steering
        path = resolved(asked.get("path", "/"))
        try:
            client = parse(asked["client"])
            ticket = float(asked.get("ticket", 0))
            if not 0 <= ticket < 1:
                raise ValueError(ticket)
            name = asked.get("name") or self._routes.service(
                host_of((host or b"").decode("latin-1").strip(" \t")), path
            )
            service, decision = steering.explain(
                name, client, path=path if self._by_path else "", ticket=ticket
            )
        except KeyError:
            return refusal(HTTPStatus.BAD_REQUEST, "client=ADDRESS is missing")
        except NoService:
            return refusal(HTTPStatus.NOT_FOUND, "no such service")
        except ValueError as exc:
            return refusal(HTTPStatus.BAD_REQUEST, f"invalid address, host or ticket: {exc!s:.80}")
        return json_reply(
            HTTPStatus.OK, explanation(service, decision, client, steering.tier, steering.generation)
        )
