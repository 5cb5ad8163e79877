"""One probe of one check, whatever its kind, within its time."""

from __future__ import annotations

import asyncio
import logging
import os
from time import monotonic
from typing import TYPE_CHECKING

from geosteer_loader.config.environment import Expander, Unset
from geosteer_loader.config.health_checks import GATEWAY
from geosteer_loader.health.checks import gateway, http, plugin, tcp
from geosteer_loader.health.checks.result import Result

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from geosteer_loader.health.watchlist import Check, Subject

log = logging.getLogger(__name__)

LATE = 0.5
"""Seconds that a time limit may run over before the prober itself must have stood still."""


class Probes:
    """Makes probes from this machine."""

    def __init__(self, now: Callable[[], float], environ: Mapping[str, str] = os.environ) -> None:
        """Args: now: seconds since 1970; environ: where `${NAME}` is looked up, and what plug-ins get."""
        self._now = now
        self._environ = environ
        self._secrets = Expander(environ)
        self._contexts: dict[bool, ssl.SSLContext] = {}

    async def probe(self, node: Subject, check: Check) -> Result:
        """Make one check of a node; never longer than its timeout, and without an error."""
        began = monotonic()
        try:
            async with asyncio.timeout(check.timeout):
                found = await self._probe(node, check)
        except TimeoutError:
            if monotonic() - began > check.timeout + LATE:
                return Result(None, "this prober stood still meanwhile")
            return Result(False, f"no answer in {check.timeout:g} s")
        except Unset as exc:
            return Result(None, str(exc))
        except Exception:  # one check must not end all others; it is told of with its traceback
            log.exception("%s: %s: failed in a way nobody thought of", node.name, check.label)
            return Result(None, "the check failed in a way nobody thought of")
        redact = self._secrets.redact
        return Result(found.good, redact(found.reason), redact(found.warning))

    async def answers(self, target: str, timeout: float) -> bool:
        """Whether a control target, `gateway`, `host:port` or a URL, answers anything at all."""
        if target == GATEWAY:
            return gateway.reachable()
        try:
            async with asyncio.timeout(timeout):
                return bool((await self._control(target)).good)
        except (TimeoutError, Unset):
            return False

    async def _probe(self, node: Subject, check: Check) -> Result:
        spec = check.spec
        if check.kind == "tcp":
            return await tcp.connect(node.addresses, spec["port"])
        if check.kind == "command":
            command = [self._secrets.expand(word) for word in spec["command"]]
            return await plugin.run(command, dict(self._environ))
        asked = http.request(spec, self._secrets.expand, self._context)
        body = self._secrets.expand(spec.get("body") or "")
        wanted = http.Wanted(statuses=spec.get("status") or (), body=body)
        return await http.get(asked, wanted, self._now)

    async def _control(self, target: str) -> Result:
        if "://" in target:
            asked = http.request({"url": target, "verify": False}, self._secrets.expand, self._context)
            return await http.get(asked, http.Wanted(), self._now)
        host, _, port = target.rpartition(":")
        return await tcp.connect([host.strip("[]")], int(port))

    def _context(self, verify: bool) -> ssl.SSLContext:
        # Reading the system's certificates takes 10 to 20 ms.
        if verify not in self._contexts:
            self._contexts[verify] = http.tls_context(verify)
        return self._contexts[verify]
