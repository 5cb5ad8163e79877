"""One client, one answer: the programs of every front end side by side, whatever the policy, states and tier."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from geosteer import Steering
from support.data import ROOT
from support.front_servers import ask, start_http
from support.policies import CLIENTS, TABLES, every_policy
from support.servers import wait_until
from support.steering import document, make_settings, republish, set_state, write_settings
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.servers import RedisServer

    Answer = Callable[[str, str], str]
    """(service, client) -> the name of the best node, or "" for a refusal."""

NODES = {"192.0.2.1": "lon1", "192.0.2.2": "ams1", "192.0.2.3": "nyc1"}
NODES |= {"2001:db8:1::1": "lon1", "2001:db8:2::1": "ams1", "2001:db8:3::1": "nyc1"}
SERVICES = [
    f"{name}.cdn.example.net"
    for name in ("best", "several", "ties", "hash", "nearest", "path", "latency", "biased", "cname")
]

STATES: dict[str, tuple[dict[str, dict[str, str]], dict[str, str]]] = {
    "no problems": ({}, {}),
    "one is down": ({"ams1": {"state": "down"}}, {}),
    "shares": ({"ams1": {"state": "up", "shed": "0.35"}}, {"lon1": '{"state": "drain", "percent": 40}'}),
    "all down": ({name: {"state": "down"} for name in ("lon1", "ams1", "nyc1")}, {}),
    "all put down": ({}, dict.fromkeys(("lon1", "ams1", "nyc1"), '{"state": "down"}')),
}  # fmt: skip
"""Node states and overrides."""


class Fronts:
    """The programs, all on one Redis."""

    def __init__(self, server: RedisServer, prefix: str, folder: Path) -> None:
        self._server, self._prefix = server, prefix
        config = write_settings(server, prefix, folder, "timeout = 5000\nmax_stale = 0")
        self.worker = Worker(config)
        self.worker.greet()
        by_network = ("--hash-by", "network")
        self.web, self._port = start_http(config, "--trust", "127.0.0.1", *by_network)
        squid = [str(ROOT / "bin" / "geosteer-squid"), "--config", str(config), *by_network]
        self.squid = subprocess.Popen(
            squid, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.steering = Steering(make_settings(server, prefix, folder, timeout=5000, max_stale=0))

    def close(self) -> None:
        self.worker.close()
        self.web.close()
        self.squid.communicate(timeout=60)
        self.steering.close()

    def dns(self, service: str, client: str) -> str:
        bits = 128 if ":" in client else 32
        lines = self.worker.ask(service, subnet=f"{client}/{bits}", remote=client)
        if lines == [["FAIL"]]:
            return ""
        # Who carries an IPv4 address is a client of that family for the others.
        six = ":" in client and not client.startswith(("::ffff:", "2002:"))
        (first, *_) = [
            line[-1] for line in lines if line[4] == "CNAME" or line[4] == ("AAAA" if six else "A")
        ]
        return NODES.get(first) or first.partition(".")[0]

    def http(self, service: str, client: str) -> str:
        reply = ask(self._port, host=service, client="127.0.0.1", headers={"X-Forwarded-For": client})
        assert reply.status in {302, 503}
        return reply["location"].removeprefix("http://").partition(".")[0]

    def helper(self, service: str, client: str) -> str:
        assert self.squid.stdin is not None
        assert self.squid.stdout is not None
        self.squid.stdin.write(f"http://{service}/ {client}/- - GET\n")
        self.squid.stdin.flush()
        reply = self.squid.stdout.readline()
        return reply.partition(' url="http://')[2].partition(".")[0] if reply.startswith("OK ") else ""

    def in_process(self, service: str, client: str) -> str:
        node = self.steering.decide(service, client).node
        return node.name if node is not None else ""

    def function(self, service: str, client: str) -> str:
        keys = [f"{{{self._prefix}}}:{name}" for name in ("current", "object", "override", "node:")]
        with self._server.client(protocol=2) as redis:
            found: Any = redis.execute_command("FCALL_RO", "geosteer_decide", 4, *keys, service, client)
        kinds = [word.decode() for word in found[2::3]]
        six = ":" in client and not client.startswith(("::ffff:", "2002:"))
        wanted = "AAAA" if six and "AAAA" in kinds else kinds[0]
        return str(found[3 + 3 * kinds.index(wanted)], "ascii")

    @property
    def all(self) -> dict[str, Answer]:
        return {"HTTP": self.http, "Squid": self.helper, "library": self.in_process}


@pytest.fixture
def fronts(own_redis: RedisServer, tmp_path: Path) -> Iterator[Fronts]:
    from geosteer_loader.store import functions

    with own_redis.client(protocol=2) as client:
        client.execute_command("FUNCTION", "LOAD", "REPLACE", functions.code())
    republish(own_redis, "geosteer", every_policy(), tables=TABLES)
    found = Fronts(own_redis, "geosteer", tmp_path)
    yield found
    found.close()


def settled(fronts: Fronts, service: str, client: str, wanted: str) -> None:
    """Wait until each front end has heard of what was written last."""
    for name, answer in {"DNS": fronts.dns, **fronts.all}.items():
        wait_until(
            lambda answer=answer: answer(service, client) == wanted,  # type: ignore[misc]  # mypy does not infer a lambda with a default
            what=f"{name}: {wanted or 'a refusal'}",
        )


@pytest.mark.parametrize("case", STATES)
def test_every_front_end_gives_a_client_the_same_node(
    own_redis: RedisServer, fronts: Fronts, case: str
) -> None:
    states, overrides = STATES[case]
    for node, fields in states.items():
        set_state(own_redis, "geosteer", node, **fields)
    with own_redis.client() as client:
        if overrides:
            client.hset("{geosteer}:override", mapping=overrides)
    # The mark by which each is known to have heard of it all: what is written last.
    marked = every_policy()
    marked["maps"]["mark"] = {"default": {"ams1": 1}, "order": []}
    marked["services"]["mark.cdn.example.net"] = {"map": "mark"}
    republish(own_redis, "geosteer", marked, tables=TABLES)
    for name, answer in {"DNS": fronts.dns, **fronts.all}.items():
        wait_until(lambda answer=answer: heard(answer) == "ams1", what=name)  # type: ignore[misc]
    used = set()
    for service in SERVICES:
        for address in CLIENTS[::4] + CLIENTS[-11:]:
            right = fronts.dns(service, address)
            used.add(right)
            found = {name: answer(service, address) for name, answer in fronts.all.items()}
            if service.partition(".")[0] in {"best", "several", "ties", "cname"}:
                found["Function"] = fronts.function(service, address)
            assert found == dict.fromkeys(found, right), (service, address)
    assert len(used) > 1


def heard(answer: Answer) -> str:
    """What a front end says of the service that is new; "" as long as it has not heard of it."""
    try:
        return answer("mark.cdn.example.net", "192.0.2.1")
    except (LookupError, ValueError, AssertionError):
        return ""


def test_each_refuses_in_its_own_way_where_the_map_says_so(own_redis: RedisServer, fronts: Fronts) -> None:
    republish(own_redis, "geosteer", document(maps={"default": {"all_down": "none"}}))
    for node in ("lon1", "ams1", "nyc1"):
        set_state(own_redis, "geosteer", node, "down")
    settled(fronts, "www.cdn.example.net", "192.0.2.1", "")
    assert fronts.worker.ask("www.cdn.example.net", subnet="192.0.2.1/32") == [["FAIL"]]
    reply = ask(fronts._port, host="www.cdn.example.net")
    assert (reply.status, reply["cache-control"]) == (503, "no-store")
    assert fronts.squid.stdin is not None
    assert fronts.squid.stdout is not None
    fronts.squid.stdin.write("7 http://www.cdn.example.net/a 192.0.2.1/- - GET\n")
    fronts.squid.stdin.flush()
    assert fronts.squid.stdout.readline() == "7 ERR\n"


def test_in_the_fallback_tier_each_goes_round_the_well_connected_nodes(
    own_redis: RedisServer, fronts: Fronts
) -> None:
    with own_redis.client() as client:
        client.hset("{geosteer}:override", "lon1", '{"state": "down"}')
    settled(fronts, "best.cdn.example.net", "192.0.2.1", "ams1")
    own_redis.kill()
    wait_until(lambda: fronts.steering.tier == "fallback")
    for name, answer in {"DNS": fronts.dns, **fronts.all}.items():
        # lon1 is put down and nyc1 is not well connected.
        wait_until(lambda answer=answer: answer("best.cdn.example.net", "8.8.8.8") == "ams1", what=name)  # type: ignore[misc]
        given = {answer("best.cdn.example.net", address) for address in ("8.8.8.8", "192.0.2.1", "2a00::1")}
        assert given == {"ams1"}, name
    assert ask(fronts._port, host="best.cdn.example.net")["cache-control"] == "private, max-age=10"
