"""Where a fault happens: a Redis, a PowerDNS with workers, a table of many leaves, and nodes that must not be given."""

from __future__ import annotations

import contextlib
import copy
import functools
import ipaddress
import json
import re
import time
from typing import TYPE_CHECKING, Any, Self

import dns.rcode

import redis
from faults.around import Beats, Delay, Liar
from faults.load import Answer, Load, wrong
from geosteer.keys import digest
from geosteer.tables import page_builder
from support.dns_setup import backend_toml
from support.servers import PowerDNS, RedisServer, addresses, wait_until
from support.tiny import DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

REPLICATION = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
WWW = "www.cdn.example.net"
OTHER_NAMES = [f"n{number}.cdn.example.net" for number in range(8)]
"""Services that nobody asks for all the time."""
LON, AMS, NYC, BAD, OUT = "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.66", "192.0.2.77"
"""Nodes. BAD is down by its probes and would be best for everybody, OUT was put down by an operator and is well connected."""
COUNTRIES = ("GB", "NL", "FR", "US")
BEST = {"GB": LON, "NL": AMS, "FR": AMS, "US": NYC}
SECOND = {"GB": AMS, "NL": LON, "FR": LON, "US": NYC}
"""Without the best one."""
FALLBACK = {LON, AMS}
LAST_RESORT_TTL = 10
NETWORKS = 2048
SETTINGS = """
max_stale = {max_stale}
timeout = {timeout}
{top}
---
{redis}
[fallback.zones."cdn.example.net"]
soa = {{ mname = "ns1.example.net", rname = "hostmaster.example.net" }}
ns = ["ns1.example.net"]
services = ["www"]
[[fallback.servers]]
name = "lon1"
a = ["192.0.2.1"]
[[fallback.servers]]
name = "ams1"
a = ["192.0.2.2"]
"""


def network(number: int) -> str:
    """A client's network; its country goes by the number."""
    return f"11.{number >> 8}.{number & 255}.0/24"


def country(number: int) -> str:
    """Of `network(number)`."""
    return COUNTRIES[number % 4]


TABLE = {network(number): country(number) for number in range(NETWORKS)}
WARM = [network(number) for number in (0, 1, 2, 3, 300, 601, 902, 1203)]
"""Networks that are asked for all the time, in several leaves."""
COLD = [network(number) for number in range(1500, 2048, 7)]
"""Networks that nobody asked for before."""


def document(**changes: Any) -> dict[str, Any]:
    """What is published: the small document with two nodes that must not be given; *changes* replace members of its map."""
    made = copy.deepcopy(DOCUMENT)
    made["nodes"]["bad1"] = {"a": [BAD], "aaaa": ["2001:db8:66::1"]}
    made["nodes"]["out1"] = {"a": [OUT], "aaaa": ["2001:db8:77::1"], "well_connected": 1000}
    every = {"bad1": 1000, "out1": 900}
    made["maps"]["default"]["countries"] = {
        "GB": {**every, "lon1": 100, "ams1": 50}, "NL": {**every, "ams1": 100, "lon1": 50},
    }  # fmt: skip
    made["maps"]["default"]["continents"] = {"EU": {**every, "ams1": 100, "lon1": 50}}
    made["maps"]["default"]["default"] = {**every, "nyc1": 100}
    made["maps"]["default"].update(changes)
    made["services"].update(dict.fromkeys(OTHER_NAMES, made["services"][WWW]))
    return made


@functools.cache
def tables() -> tuple[dict[str, str], dict[str, bytes]]:
    """The table as published: the fields of `current` with its roots, and its pages by name."""
    first = int(ipaddress.IPv4Address("11.0.0.0"))
    starts = [0, *(first + (number << 8) for number in range(NETWORKS)), first + (NETWORKS << 8)]
    v4 = page_builder.build(32, starts, ["", *(country(number) for number in range(NETWORKS)), ""])
    v6 = page_builder.build(128, [0], [""])
    pages = {name.hex(): page for built in (v4, v6) for name, page in built.pages.items()}
    return {"geo.v4": v4.root.hex(), "geo.v6": v6.root.hex()}, pages


class Scene:
    """A server with workers that follow a Redis, asked all the time."""

    def __init__(
        self, folder: Path, *, redis_args: Sequence[str] = (), top: str = "", more: str = "", url: str = "",
        max_stale: float = 300, timeout: int = 2000, env: Mapping[str, str] | None = None, published: bool = True,
        threads: int = 2, command: Callable[[Path], str] | None = None, settings: Mapping[str, str | int] | None = None,
        clients: Sequence[str] = (), snapshot: str = "last-good.json",
        around: Callable[[Path], AbstractContextManager[object]] | None = None, tcp: bool = False,
        replica: bool = False, server: RedisServer | None = None, delay: float = 0.0, beats: float = 0.0,
        liar: bool = False,
    ) -> None:  # fmt: skip
        """Make a scene that is not set up yet.

        Args:
            redis_args: of the Redis server; *tcp*: it has a TCP port too. server: one that runs, to be written to instead.
            replica: workers follow a replica of it. delay: seconds that each direction takes. beats: seconds between beats.
            liar: one stands before it that may say things in its place.
            top, more: lines of backend.toml, top-level and of its `[redis]`. url: that of Redis, `{port}` is its TCP port.
            timeout: of a look-up, in ms; the shipped 50 would be over before Redis gets a busy machine's processor.
            command: what PowerDNS runs, given the scene's folder; `{config}` is the settings' path.
            snapshot: its path below the folder. around: what is made there first, and unmade in the end.
            published: what is to be answered lies in Redis already.
        """
        self.folder = folder
        self.redis = server or RedisServer(*redis_args, *REPLICATION, tcp=tcp or replica)
        self.replica: RedisServer | None = None
        self.liar: Liar | None = None
        self._lies = liar
        self._delay, self._beats, self._snapshot, self._around = delay, beats, snapshot, around
        if replica:
            self.replica = RedisServer("--replicaof", f"127.0.0.1 {self.redis.port}", *REPLICATION)
        self.rows = {"top": top, "redis": more, "max_stale": max_stale, "timeout": timeout}
        self.expected: frozenset[str] = frozenset()
        """From where some answers have to come before anything is mended."""
        self.url, self._env, self._published = url, env, published
        self._threads, self._command, self._pdns_settings = threads, command, settings or {}
        self.clients = tuple(clients or WARM)
        self.right: dict[str, set[str]] = {net: {BEST[where]} for net, where in TABLE.items()}
        """What steering may give each client."""
        self.fallback = set(FALLBACK)
        self.generation = 0
        self.pdns: PowerDNS
        self.load: Load
        self.began = self.mended = self.well = 0.0
        self._stack = contextlib.ExitStack()
        self._log_at = 0
        self._fault_over: tuple[float, int] | None = None

    # ------------------------------------------------------------------ set up

    def __enter__(self) -> Self:
        if self._around is not None:
            self._stack.enter_context(self._around(self.folder))
        if not self.redis.running:
            self._stack.enter_context(self.redis)
        if self._published:
            self.publish()
        url = self.url.format(port=self.redis.port) or self.redis.url
        if self.replica is not None:
            self._stack.enter_context(self.replica)
            url = self.replica.url
            wait_until(self.synced, 30, "a first sync")
        if self._delay:
            url = self._stack.enter_context(Delay(self.folder, self.redis.socket, self._delay)).url
        if self._lies:
            self.liar = self._stack.enter_context(Liar(self.folder, self.redis.socket))
            url = self.liar.url
        if self._beats:
            self._stack.enter_context(Beats(self.redis, self._beats))
        config = backend_toml(self.folder, url, SETTINGS.format(**self.rows))
        config.write_text(config.read_text().replace("/last-good.json", f"/{self._snapshot}"))
        command = self._command(self.folder).format(config=config) if self._command else None
        self.pdns = PowerDNS(
            config, command=command, threads=self._threads, env=self._env, settings=self._pdns_settings
        )
        self._stack.enter_context(self.pdns)
        self.load = Load(self.pdns.port, WWW, self.clients)
        self._stack.enter_context(self.load)
        self.begin(wait=self._published)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self, *, wait: bool = True) -> None:
        """From here on it counts."""
        wait_until(lambda: len(self.load.answers) > 40)
        if wait:
            self._warm()
        self._log_at = len(self.pdns.log)
        self.began = time.monotonic()

    def _warm(self) -> None:
        """Let each worker answer each client that is asked for: PowerDNS deals questions to its threads in turn."""
        self.load.rest()
        rounds = [client for client in self.clients for _ in range(self._threads)]
        with Load(self.pdns.port, WWW, rounds, threads=1, pause=0.0) as load:
            wait_until(
                lambda: _steered(load.answers[-len(rounds) :], len(rounds)), 60, "every worker's answers"
            )
        self.load.go_on()

    def synced(self) -> bool:
        """Whether the replica has what the primary has."""
        assert self.replica is not None
        with self.replica.client() as client:
            up = client.info("replication")["master_link_status"] == "up"
            return up and bool(client.exists("{geosteer}:current"))

    def client(self, **options: Any) -> Any:
        """To the Redis that is written to."""
        return self.redis.client(decode_responses=False, **options)

    def publish(
        self, made: Mapping[str, Any] | None = None, *, states: bool = True, **more: str
    ) -> dict[str, str]:
        """Write the next generation, and what probes and operators say; *more*: fields of `current`."""
        self.generation += 1
        text = json.dumps(made or document()).encode()
        roots, pages = tables()
        fields = {
            "schema": "1", "generation": str(self.generation), "published": f"2026-02-01T00:00:{self.generation:02}Z",
            "config": digest(text).hex(), **roots, **more,
        }  # fmt: skip
        with self.client() as client, client.pipeline(transaction=True) as flip:
            if states:
                flip.hset("{geosteer}:node:bad1", mapping={"state": "down", "reason": "test"})
                flip.hset("{geosteer}:override", "out1", json.dumps({"state": "down", "who": "test"}))
            flip.hset("{geosteer}:object", mapping={**pages, digest(text).hex(): text})
            flip.delete("{geosteer}:current")
            flip.hset("{geosteer}:current", mapping=fields)
            flip.execute()
        return fields

    # ------------------------------------------------------------------ what happens in it

    def hold(self, seconds: float) -> None:
        """Let questions be asked."""
        time.sleep(seconds)

    def mending(self) -> None:
        """From here on it is being repaired: whatever answers come from now on is no longer the fault's doing."""
        wait_until(lambda: self.expected <= self.tiers, 20, f"answers from {sorted(self.expected)}")
        self._fault_over = time.monotonic(), len(self.pdns.log)

    def repaired(self, seconds: float = 30) -> None:
        """From here on it should get well: take the best node away, and wait until that has been heard everywhere."""
        if self._fault_over is None:
            self.mending()
        for net in self.clients:
            self.right[net] = self.right[net] | {SECOND[TABLE[net]]}
        self.right.update({net: found | {SECOND[TABLE[net]]} for net, found in self.right.items()})
        self.mended = time.monotonic()
        wait_until(self._take_away, 20, "a write")
        wait_until(self._heard, seconds, "recovery")
        bad = [
            answer for answer in self.load.since(self.mended)
            if answer.client in self._gb and answer.addresses != (AMS,)
        ]  # fmt: skip
        self.well = max((answer.at + answer.wait for answer in bad), default=self.mended)

    def _take_away(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), self.client() as client:
            client.hset("{geosteer}:override", "lon1", json.dumps({"state": "down", "who": "test"}))
            return True
        return False

    @property
    def _gb(self) -> list[str]:
        return [net for net in self.clients if TABLE[net] == "GB"]

    def _heard(self) -> bool:
        """Whether the last six answers for clients of the node that was taken away were right (there are two workers)."""
        answers = [one for one in self.load.since(self.mended) if one.client in self._gb][-6:]
        return len(answers) == 6 and all(
            one.addresses == (AMS,) and one.ttl != LAST_RESORT_TTL for one in answers
        )

    def all_answered(self, how: str, count: int = 16) -> bool:
        """Whether the latest answers were all `steered`, or all of the `fallback`."""
        answers = self.load.answers[-count:]
        if how == "fallback":
            return len(answers) == count and all(one.good and one.ttl == LAST_RESORT_TTL for one in answers)
        return _steered(answers, count)

    def wait_for(self, how: str, seconds: float = 30) -> None:
        """Until all answers are `steered`, or all of the `fallback`."""
        wait_until(lambda: self.all_answered(how), seconds, f"answers all {how}")

    def ask(self, client: str) -> Answer:
        """One question more."""
        with _asking(Load(self.pdns.port, WWW, [client], threads=1)) as load:
            wait_until(lambda: load.answers)
        answer = load.answers[0]
        self.load.answers.append(answer)
        return answer

    def query(self, name: str, *, tcp: bool = False) -> Answer:
        """One question for another service, on behalf of the first client."""
        began = time.monotonic()
        message = self.pdns.query(name, subnet=self.clients[0], tcp=tcp)
        found = tuple(addresses(message))
        ttl = message.answer[0].ttl if message.answer else 0
        answer = Answer(began, time.monotonic() - began, self.clients[0], message.rcode(), found, ttl)
        self.load.answers.append(answer)
        return answer

    def restart_pdns(self) -> None:
        """Start it again; questions go to its new port."""
        self.load.rest()
        self.pdns.stop()
        self.pdns.start()
        self.load.port = self.pdns.port
        self.load.go_on()

    def begin_at_rest(self) -> None:
        """From here on it counts, while nobody asks."""
        self._log_at = len(self.pdns.log)
        self.began = time.monotonic()

    def steered_as_is_right(self, count: int) -> bool:
        """Whether the latest answers of the client whose answer is expected to change are right."""
        answers = [one for one in self.load.answers.copy() if one.client in self._gb][-count:]
        return len(answers) == count and not wrong(answers, self.right, self.fallback, LAST_RESORT_TTL)

    # ------------------------------------------------------------------ what came of it

    @property
    def log(self) -> str:
        """What workers and server said since `begin`."""
        return self.pdns.log[self._log_at :]

    @property
    def tiers(self) -> set[str]:
        """From where answers came between `begin` and `mending`: as workers say, and as answers show."""
        over, log_end = self._fault_over or (time.monotonic(), None)
        log = self.pdns.log[self._log_at : log_end]
        answers = [one for one in self.load.since(self.began) if one.good and one.at < over]
        fallback = [one.ttl == LAST_RESORT_TTL for one in answers]
        found = set(re.findall(r"answers are (\w+) now", log)) - {"fallback"}
        if not found and not (fallback and all(fallback)):
            found.add("live")
        if any(fallback):
            found.add("fallback")
        return found

    def outcome(self) -> dict[str, Any]:
        """The row of the table."""
        answers = self.load.since(self.began)
        return {
            "asked": len(answers),
            "unanswered": sum(one.rcode is None for one in answers),
            "failed": sum(one.rcode is not None and not one.good for one in answers),
            "negative": sum(one.rcode in {dns.rcode.NXDOMAIN, dns.rcode.REFUSED} for one in answers),
            "wrong": len(wrong(answers, self.right, self.fallback, LAST_RESORT_TTL)),
            "longest": max(one.wait for one in answers if one.rcode is not None),
            "stalled": self.load.stalls.longest(self.began),
            "recovery": self.well - self.mended if self.mended else None,
            "tiers": sorted(self.tiers),
            "seconds": time.monotonic() - self.began,
        }


def _steered(answers: Sequence[Answer], count: int) -> bool:
    """Whether these are so many answers, and none of the last resort."""
    return len(answers) == count and all(one.good and one.ttl != LAST_RESORT_TTL for one in answers)


@contextlib.contextmanager
def _asking(load: Load) -> Iterator[Load]:
    with load:
        yield load
