"""What tests of node health share: a published configuration with checks, and nodes that can be switched off."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from geosteer.keys import Keys
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.health.exchange import Exchange
from geosteer_loader.health.service import Service
from geosteer_loader.health.transitions import Rule
from geosteer_loader.health.verdicts import Verdict
from geosteer_loader.health.watchlist import Watchlist, read
from geosteer_loader.health.writer_report import Post, PostResult
from geosteer_loader.store.store import Store, connect
from support.servers import free_port
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from support.servers import RedisServer

FAST = {"up": 3, "ok": 3, "down": 2}
EAGER = {"up": 1, "ok": 1, "down": 1}


def tcp(
    port: int, *, interval: float = 1, timeout: float = 0.5, profile: Mapping[str, int] = FAST
) -> dict[str, Any]:
    """A check as it is published."""
    return {"type": "tcp", "port": port, "interval": interval, "timeout": timeout, "profile": dict(profile)}


def document(
    nodes: Mapping[str, list[dict[str, Any]]], *, address: str = "127.0.0.1", **settings: Any
) -> dict[str, Any]:
    """A configuration document with these nodes and their checks, all in one map."""
    return {
        "format": 1,
        "nodes": {
            name: {"a": [address], "aaaa": [], "hostname": None, "weight": 100, "checks": checks, "ramp": 0}
            for name, checks in nodes.items()
        },
        "networks": {},
        "maps": {"default": {"max_down": 0.5, "default": dict.fromkeys(nodes, 100), **settings}},
        "zones": {"cdn.example.net": {"soa": {"mname": "ns1.a.example", "rname": "h.a.example"}, "ns": ["ns1.a.example"]}},
        "services": {"www.cdn.example.net": {"map": "default", "ttl": 60}},
        "continents": {},
    }  # fmt: skip


def verdict(exchange: Exchange, state: str, age: float = 0.0) -> Verdict:
    """A verdict that was given *age* seconds ago."""
    now = exchange.time() - age
    reason = "refused" if state == "down" else ""
    return Verdict(state=state, since=now - 1, checked=now, expires=now + 32, reason=reason)


class Place:
    """A key prefix in a Redis, with what is published there."""

    def __init__(self, server: RedisServer, prefix: str) -> None:
        self.server = server
        self.prefix = prefix
        self.keys = Keys(prefix)
        self.client = server.client(decode_responses=True)
        self._stores: list[Store] = []
        self._generation = 0
        self.watched = Watchlist({}, ())

    def publish(self, document: Mapping[str, Any]) -> None:
        """Make the document the current one."""
        self._generation += 1
        self.watched = read(document)
        publish_tiny(self.server.client(), self.prefix, document, {}, generation=self._generation)

    def exchange(self, name: str = "lon", **rule: Any) -> Exchange:
        """A writer's exchange."""
        store = connect(RedisSettings(url=self.server.url, prefix=self.prefix))
        self._stores.append(store)
        return Exchange(store, name, Rule(**rule))

    def say(
        self, exchange: Exchange, period: float | None = 10.0, age: float = 0.0, **states: str
    ) -> PostResult:
        """Post these states as found *age* seconds ago."""
        exchange.refresh()
        verdicts = {name: verdict(exchange, state, age) for name, state in states.items()}
        return exchange.post(self.watched, Post(verdicts=verdicts, period=period))

    def prober(self, name: str = "lon", *control: str, period: float = 0.0, **rule: Any) -> Service:
        """A prober under its own name."""
        return Service(self.exchange(name, **rule), control, period=period)

    def once(self, name: str = "lon", *control: str, period: float = 1.0, **rule: Any) -> Any:
        """One run from cron."""
        prober = self.prober(name, *control, period=period, **rule)
        return asyncio.run(prober.once())

    def node(self, name: str) -> dict[str, str]:
        """A node's hash."""
        found: dict[str, str] = self.client.hgetall(self.keys.node(name))
        return found

    def state(self, name: str) -> str | None:
        """A node's state, as it stands in its hash."""
        found: str | None = self.client.hget(self.keys.node(name), "state")
        return found

    def override(self, name: str, text: str) -> None:
        """An operator's word."""
        self.client.hset(self.keys.override, name, text)

    def close(self) -> None:
        """Close all connections."""
        for store in self._stores:
            store.close()
        self.client.close()


class Switch:
    """A node's port on loopback, which can be closed and opened again."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port = port
        self.host = host
        self.answer: bytes | None = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"
        self.asked = 0
        """Connections taken."""
        self.closed_at = 0.0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Accept connections."""
        if self._server is not None:
            return
        # Not one of those that the kernel hands out: while it is closed, somebody's connection could take it.
        self.port = self.port or free_port((self.host,))
        self._server = await asyncio.start_server(self._serve, self.host, self.port, reuse_address=True)

    async def close(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.closed_at = asyncio.get_running_loop().time()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if self.answer is None:  # hangs
                await asyncio.sleep(3600)
            writer.write(self.answer or b"")
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def switches(count: int) -> AsyncIterator[list[Switch]]:
    """Open ports, closed at the end."""
    made = [Switch(0) for _ in range(count)]
    for one in made:
        await one.open()
    try:
        yield made
    finally:
        for one in made:
            await one.close()


@contextlib.asynccontextmanager
async def watching(*probers: Service) -> AsyncIterator[None]:
    """Services that run as services meanwhile."""
    tasks = [asyncio.create_task(prober.watch()) for prober in probers]
    try:
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for prober in probers:
            prober.stop()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Any, seconds: float = 60.0) -> float:
    """Wait for a condition; the loop's time at which it held. Raises: TimeoutError."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        if loop.time() > end:
            raise TimeoutError("it did not happen")
        await asyncio.sleep(0.002)
    return loop.time()
