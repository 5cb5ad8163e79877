"""One probe of one check, whatever its kind, within its time."""

from __future__ import annotations

import asyncio
import logging
import os
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING

from geosteer_loader.config.environment import Expander, Unset
from geosteer_loader.config.health_checks import GATEWAY
from geosteer_loader.health.checks.connect import CannotCheck, Connector
from geosteer_loader.health.checks.resolver import Resolver
from geosteer_loader.health.checks.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer_loader.health.checks.tls import Contexts
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
        self._resolver = Resolver(monotonic)

    @cached_property
    def _contexts(self) -> Contexts:
        from geosteer_loader.health.checks.tls import Contexts

        return Contexts()

    async def probe(self, node: Subject, check: Check) -> Result:
        """Make one check of a node; never longer than its timeout, and without an error."""
        began, connector = monotonic(), Connector(self._resolver)
        try:
            async with asyncio.timeout(check.timeout):
                result = await self._probe(connector, node, check)
        except TimeoutError:
            if connector.unresolved:
                # The shorter limit of the look-up ended in the same moment: this prober stood still for a while.
                reason = f"{connector.unresolved} did not resolve in time"
                return Result(None, f"this prober cannot check: {reason}")
            if monotonic() - began > check.timeout + LATE:
                return Result(None, "this prober stood still meanwhile")
            return Result(False, f"no answer in {check.timeout:g} s", seconds=monotonic() - began)
        except (Unset, CannotCheck) as exc:
            return Result(None, str(exc))
        except Exception:  # one check must not end the others; the log has the traceback
            log.exception("%s: %s: unexpected error", node.name, check.label)
            return Result(None, "unexpected error in the check, see the log")
        redact = self._secrets.redact
        reason, warning = redact(result.reason), redact(result.warning)
        return Result(result.good, reason, warning, seconds=monotonic() - began, ends=result.ends)

    async def answers(self, target: str, timeout: float) -> bool:
        """Whether a control target, `gateway`, `host:port` or a URL, answers anything at all."""
        if target == GATEWAY:
            from geosteer_loader.health.checks import gateway

            return gateway.reachable()
        try:
            async with asyncio.timeout(timeout):
                return bool((await self._control(Connector(self._resolver), target, timeout)).good)
        except (TimeoutError, Unset, CannotCheck, ValueError):
            return False

    async def _probe(self, connector: Connector, node: Subject, check: Check) -> Result:
        spec = check.spec  # of each kind only what is needed: a run from cron has few
        if check.kind == "tcp":
            from geosteer_loader.health.checks import tcp

            return await tcp.connect(connector, node.addresses, spec["port"], check.timeout)
        if check.kind == "command":
            from geosteer_loader.health.checks import plugin

            command = [self._secrets.expand(word) for word in spec["command"]]
            return await plugin.run(command, dict(self._environ))
        from geosteer_loader.health.checks import http
        from geosteer_loader.health.checks.answer import Wanted

        asked = http.request(spec, self._secrets.expand, self._contexts)
        body = self._secrets.expand(spec.get("body") or "")
        wanted = Wanted(statuses=spec.get("status") or (), body=body)
        return await http.check(connector, asked, wanted, check.timeout, self._now)

    async def _control(self, connector: Connector, target: str, timeout: float) -> Result:
        if "://" in target:
            from geosteer_loader.health.checks import http
            from geosteer_loader.health.checks.answer import Wanted

            spec = {"url": target, "verify": False}
            asked = http.request(spec, self._secrets.expand, self._contexts)
            result, _ = await http.get(connector, asked, Wanted(), timeout)
            return result
        from geosteer_loader.health.checks import tcp

        host, _, port = target.rpartition(":")
        return await tcp.connect(connector, [host.strip("[]")], int(port), timeout)
