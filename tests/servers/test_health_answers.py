"""From a node's port to the answers: a prober, Redis, PowerDNS with eight workers, and clients that keep asking."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import dns.message
import pytest

from geosteer.decision.node_state import NodeState
from geosteer.timestamps import parse_time
from support.dns_setup import backend_toml
from support.health import Place, document, switches, tcp, until, watching
from support.servers import PowerDNS, RedisServer, addresses, wait_until
from support.stalls import Stalls

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("a", "b", "c")
ADDRESS = dict(zip(NAMES, ("192.0.2.1", "192.0.2.2", "192.0.2.3"), strict=True))
WWW = "www.cdn.example.net"
SOON = 2.0
"""Seconds in which all workers of a busy machine have heard of a change; on a quiet one it takes some milliseconds."""


def published(ports: list[Any], **service: Any) -> dict[str, Any]:
    """Three nodes with the addresses that clients get, whose checks go to ports of this machine."""
    made = document({name: [] for name in NAMES})
    for name, one in zip(NAMES, ports, strict=True):
        url = {"type": "http", "url": f"http://127.0.0.1:{one.port}/", "status": [200]}
        made["nodes"][name] |= {"a": [ADDRESS[name]], "checks": [{**tcp(0), **url}]}
    made["services"][WWW] |= service
    return made


class Clients(threading.Thread):
    """Asks without end, each time for another network, and notes when each node was answered last."""

    def __init__(self, port: int, names: list[str]) -> None:
        super().__init__(daemon=True)
        self.last: dict[str, float] = {}
        """Address -> when an answer with it came last, seconds since 1970."""
        self.asked = 0
        self.done = threading.Event()
        self._port = port
        self._questions = [dns.message.make_query(name, "A").to_wire() for name in names]

    def run(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.connect(("127.0.0.1", self._port))
            while not self.done.is_set():
                client.send(self._questions[self.asked % len(self._questions)])
                answer = client.recv(4096)
                self.last[
                    socket.inet_ntoa(answer[-15:-11]) if answer[-11:-10] == b"\0" else _address(answer)
                ] = time.time()
                self.asked += 1


def _address(answer: bytes) -> str:
    (found,) = addresses(dns.message.from_wire(answer))
    return found


@pytest.mark.parametrize("policy", ["best", "hash"])
def test_a_closed_port_is_not_answered_after_the_threshold(
    own_redis: RedisServer, tmp_path: Path, policy: str
) -> None:
    place = Place(own_redis, "geosteer")

    async def main(server: PowerDNS) -> tuple[float, float, int]:
        async with switches(3) as ports:
            place.publish(published(ports, policy=policy))
            async with watching(place.prober()):
                await until(lambda: all(place.state(name) == "up" for name in NAMES))
                await until(lambda: all(place.node(name)["failing"] == "no" for name in NAMES))
                clients = [Clients(server.port, [WWW]) for _ in range(3)]
                for one in clients:
                    one.start()
                await until(lambda: all(one.last for one in clients))
                # Whoever is answered now goes down.
                victim = max(clients[0].last, key=clients[0].last.__getitem__)
                name = next(name for name in NAMES if ADDRESS[name] == victim)
                await ports[NAMES.index(name)].close()
                closed = time.time()
                await until(lambda: place.state(name) == "down")
                await asyncio.sleep(0.5)
                for one in clients:
                    one.done.set()
                for one in clients:
                    one.join()
                decided = parse_time(json.loads(place.client.hget(place.keys.verdict("lon"), name))["since"])
                last = max(one.last[victim] for one in clients if victim in one.last)
                return last - closed, last - decided, sum(one.asked for one in clients)

    place.publish(published([type("P", (), {"port": 1})] * 3, policy=policy))
    with PowerDNS(
        backend_toml(tmp_path, own_redis), threads=8, settings={"cache-ttl": 0, "query-cache-ttl": 0}
    ) as server:
        wait_until(lambda: addresses(server.query(WWW)))
        with Stalls() as machine:
            after_close, after_verdict, asked = asyncio.run(main(server))
    print(
        f"{policy}: {asked} answers; the last with the node came {after_close:.3f} s after its port was closed"
    )
    print(f"{policy}: ... and {1000 * after_verdict:.1f} ms after the verdict")
    assert after_verdict < SOON + machine.longest()
    assert after_close < 2 + 2 * SOON + machine.longest()
    place.close()


def test_workers_make_of_a_probers_hashes_what_is_meant(own_redis: RedisServer, tmp_path: Path) -> None:
    """Lower TTLs while a node fails, none of it while it is down, and a ramp when it comes back, but not at first."""
    place = Place(own_redis, "geosteer")

    def state() -> NodeState:
        found = NodeState()
        found.update(place.node("a"))
        return found

    def asked(server: PowerDNS) -> list[tuple[str, int]]:
        found = [
            server.query(WWW, "A", subnet=f"198.{18 + number % 2}.{number}.0/24").answer[0]
            for number in range(60)
        ]
        return [(rrset[0].to_text(), rrset.ttl) for rrset in found]

    async def main(server: PowerDNS) -> None:
        async with switches(3) as ports:
            made = published(ports)
            made["nodes"]["a"]["ramp"] = 3600
            made["maps"]["default"]["default"]["a"] = 1000
            made["maps"]["default"]["max_down"] = 1
            place.publish(made)
            await place.prober(period=2).once()
            assert (state().state, state().share(place.client.time()[0], 3600)) == ("up", 1.0)
            await until(lambda: asked(server) == [(ADDRESS["a"], 60)] * 60)
            await ports[0].close()
            await place.prober(period=2).once()
            await until(lambda: asked(server) == [(ADDRESS["a"], 30)] * 60)
            await place.prober(period=2).once()
            await until(lambda: {answer for answer, _ in asked(server)} == {ADDRESS["b"], ADDRESS["c"]})
            await ports[0].open()
            for _ in range(3):
                await place.prober(period=2).once()
            assert state().came_back
            await until(lambda: ADDRESS["a"] in dict(asked(server)))
            back = [answer for answer, _ in asked(server)].count(ADDRESS["a"])
            assert 1 <= back <= 9  # 5 % of 60, the same ones each time
            assert [answer for answer, _ in asked(server)].count(ADDRESS["a"]) == back

    place.publish(published([type("P", (), {"port": 1})] * 3))
    with PowerDNS(
        backend_toml(tmp_path, own_redis), settings={"cache-ttl": 0, "query-cache-ttl": 0}
    ) as server:
        wait_until(lambda: addresses(server.query(WWW)))
        asyncio.run(main(server))
    place.close()
