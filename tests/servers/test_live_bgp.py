"""A router's routes through a real ExaBGP, `geosteer follow` and Redis to the answers of a real PowerDNS."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from support.bgp_speaker import Speaker
from support.data import ROOT, shared
from support.dns_setup import backend_toml
from support.exabgp_server import ExaBGP
from support.long import LONG
from support.publishing import current_of
from support.servers import PowerDNS, RedisServer, addresses, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = """
[redis]
url = "{url}"
[sources]
cache = "{folder}/cache"
[[sources.bgp]]
format = "exabgp"
socket = "{folder}/exabgp.sock"
reset = true
[follow]
interval = {interval}
[nodes]
first = {{ a = ["192.0.2.1"], well_connected = 1 }}
second = {{ a = ["192.0.2.2"] }}
other = {{ a = ["192.0.2.3"] }}
[maps.default]
asns = {{ AS174 = {{ first = 100 }}, AS15169 = {{ second = 100 }} }}
default = {{ other = 100 }}
[zones."cdn.example.net"]
soa = {{ mname = "ns1.example.net", rname = "hostmaster.example.net" }}
ns = ["ns1.example.net"]
[services."www.cdn.example.net"]
map = "default"
[guard]
max_impact = 1
max_shrink = 1
[networks.own]
prefixes = ["198.51.100.0/24"]
"""
FIRST, SECOND, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.3"
NAME = "www.cdn.example.net"
PEER, ASN = "127.0.0.2", 65001
INTERVAL = 1.0
SLACK = 90.0
"""Seconds for which an answer is waited for on a machine that has other work."""


class Site:
    """All the programs, and the router."""

    def __init__(self, redis: RedisServer, folder: Path, interval: float = INTERVAL) -> None:
        self.redis = redis
        self.folder = folder
        self.config = folder / "geosteer.toml"
        self.config.write_text(CONFIG.format(url=redis.url, folder=folder, interval=interval))
        self.exabgp = ExaBGP(folder / "exabgp.sock", PEER, ASN)
        self.pdns = PowerDNS(
            backend_toml(folder, redis),
            settings={"cache-ttl": 0, "query-cache-ttl": 0, "negquery-cache-ttl": 0},
        )
        self.follow: subprocess.Popen[bytes] | None = None
        self.router: Speaker | None = None

    def start(self) -> None:
        self.start_follow()
        self.exabgp.start()
        wait_until(lambda: "config" in self.current, 60, "a first generation")
        self.pdns.start()

    def start_follow(self) -> None:
        with (self.folder / "follow.log").open("ab") as log:
            self.follow = subprocess.Popen(
                [str(ROOT / "bin" / "geosteer"), "follow", "--config", str(self.config)],
                stdout=log, stderr=log,
            )  # fmt: skip

    def kill_follow(self) -> None:
        assert self.follow is not None
        self.follow.kill()
        self.follow.wait()

    def connect(self) -> Speaker:
        wait_until((self.folder / "exabgp.sock").exists, what="the socket")
        self.router = Speaker(PEER, self.exabgp.address, ASN)
        return self.router

    def close(self) -> None:
        if self.router is not None:
            self.router.close()
        self.pdns.close()
        self.exabgp.close()
        if self.follow is not None and self.follow.poll() is None:
            self.follow.terminate()
            self.follow.wait(30)

    def answer(self, client: str) -> str:
        return addresses(self.pdns.query(NAME, subnet=f"{client}/32"))[0]

    def until(self, client: str, answer: str, seconds: float = SLACK) -> float:
        """Seconds until a client gets an answer."""
        began = time.monotonic()
        wait_until(lambda: self.answer(client) == answer, seconds, f"{answer} for {client}")
        return time.monotonic() - began

    @property
    def current(self) -> dict[str, str]:
        with self.redis.client() as client:
            return current_of(client)

    def log(self) -> str:
        return (self.folder / "follow.log").read_text()


class Watch:
    """Asks for some clients all the time, and notes every answer that is not the one before."""

    def __init__(self, site: Site, expected: dict[str, str]) -> None:
        self._site, self._expected = site, expected
        self._done = threading.Event()
        self.asked = 0
        self.wrong: list[str] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.is_set():
            for client, expected in self._expected.items():
                answer = self._site.answer(client)
                self.asked += 1
                if answer != expected:
                    self.wrong.append(f"{client}: {answer}")
            time.sleep(0.01)


@pytest.fixture
def site(own_redis: RedisServer, tmp_path: Path) -> Iterator[Site]:
    site = Site(own_redis, tmp_path)
    try:
        site.start()
        yield site
    finally:
        site.close()


def load(router: Speaker, count: int = 200, origin: int = 174) -> None:
    router.announce([ASN, 3356, origin], [f"5.0.{number}.0/24" for number in range(count)])
    router.announce([ASN, 3356, origin], ["2a00:1::/32"])
    router.end_of_rib()


def test_what_a_router_announces_changes_answers_and_no_loss_does(site: Site) -> None:
    assert site.answer("5.0.3.7") == OTHER
    router = site.connect()
    load(router)
    site.until("5.0.3.7", FIRST)
    router.announce([ASN, 3356, 15169], ["5.0.3.0/24"])
    site.until("5.0.3.7", SECOND)
    router.announce([ASN, 3356, 15169], ["5.0.4.0/25"])
    site.until("5.0.4.7", SECOND)
    assert site.answer("5.0.4.200") == FIRST
    router.withdraw("5.0.3.0/24", "5.0.4.0/25")
    site.until("5.0.3.7", OTHER)
    site.until("5.0.4.7", FIRST)
    assert site.current["bgp.prefixes"] == "200"

    generation = site.current["generation"]
    with Watch(site, {"5.0.9.7": FIRST, "5.0.150.7": FIRST, "5.0.3.7": OTHER}) as watch:
        router.close()  # the session is lost
        wait_until(lambda: "was lost" in site.log(), SLACK, "a loss that is told")
        router = site.connect()  # comes back with half a table, and is lost again
        load(router, 100, 15169)
        wait_until(lambda: site.log().count("came up") >= 2, SLACK, "a session that came up")
        router.close()
        wait_until(lambda: site.log().count("was lost") >= 2, SLACK, "a second loss")
        site.kill_follow()  # the service itself
        site.start_follow()
        time.sleep(2 * INTERVAL)
        assert site.current["generation"] == generation
    assert watch.asked > 20
    assert watch.wrong == []

    router = site.connect()
    load(router, 199, 15169)
    site.until("5.0.9.7", SECOND)
    site.until("5.0.3.7", SECOND)


def test_a_service_that_starts_while_a_session_is_up_has_it_begin_anew(site: Site) -> None:
    router = site.connect()
    load(router)
    site.until("5.0.9.7", FIRST)
    site.kill_follow()
    site.start_follow()
    time.sleep(INTERVAL)

    def began_anew() -> bool:
        try:
            router.announce([ASN, 3356, 15169], ["5.0.3.0/24"])
        except OSError:
            return True
        time.sleep(0.2)
        return False

    wait_until(began_anew, 60, "an end of the session")
    router = site.connect()
    load(router, origin=15169)
    site.until("5.0.9.7", SECOND)


@pytest.mark.skipif(not LONG, reason="half a million prefixes take minutes (GEOSTEER_LONG=1)")
@pytest.mark.timeout(1800)
def test_a_full_table_with_a_hundred_updates_a_second(own_redis: RedisServer, tmp_path: Path) -> None:
    seconds = float(os.environ.get("GEOSTEER_LIVE_SECONDS", "600"))
    site = Site(own_redis, tmp_path, interval=5.0)
    try:
        site.start()
        router = site.connect()
        text = gzip.decompress(shared("bgp/ipasn_20140513.dat.gz").read_bytes()).decode()
        listed = [line.split() for line in text.splitlines() if not line.startswith(";")]
        rows = [(prefix, int(origin)) for prefix, origin in listed]
        by_origin: dict[int, list[str]] = {}
        for prefix, origin in rows:
            by_origin.setdefault(origin, []).append(prefix)
        for origin, prefixes in by_origin.items():
            router.announce([ASN, 3356, origin], prefixes)
        router.end_of_rib()
        wait_until(lambda: int(site.current.get("bgp.prefixes", "0")) > 500_000, 900, "a full table")
        figures(site, router, rows, seconds)
    finally:
        site.close()


def figures(site: Site, router: Speaker, rows: list[tuple[str, int]], seconds: float) -> None:
    """Update, ask, and hold what is measured against what was promised."""
    assert site.follow is not None
    process = f"/proc/{site.follow.pid}"

    def cpu() -> float:
        words = Path(f"{process}/stat").read_text().rpartition(") ")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def memory() -> int:
        lines = Path(f"{process}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    dice = random.Random(1)
    plain = [row for row in rows if row[0].endswith("/24") and row[1] not in {174, 15169}]
    time.sleep(15)
    began, before, peak = time.monotonic(), cpu(), []
    generation = int(site.current["generation"])
    delays = []
    due: tuple[str, str, float] | None = None
    following = began
    while time.monotonic() < began + seconds:
        prefix, origin = dice.choice(rows)
        if dice.random() < 0.2:
            router.withdraw(prefix)
        else:
            router.announce([ASN, 3356, dice.choice(rows)[1] if dice.random() < 0.4 else origin], [prefix])
        if due is None:
            prefix, _ = dice.choice(plain)
            wanted = dice.choice((FIRST, SECOND))
            router.announce([ASN, 3356, 174 if wanted == FIRST else 15169], [prefix])
            due = prefix.partition("/")[0], wanted, time.monotonic()
        elif site.answer(due[0]) == due[1]:
            delays.append(time.monotonic() - due[2])
            due = None
        peak.append(memory())
        following += 0.01
        time.sleep(max(following - time.monotonic(), 0))
    took = time.monotonic() - began
    used = (cpu() - before) / took
    delays.sort()
    print(
        json.dumps(
            {
                "memory MiB": [peak[0] // 1024, max(peak) // 1024, peak[-1] // 1024],
                "cpu share": round(used, 2),
                "publishes": int(site.current["generation"]) - generation,
                "delay s": [round(delays[len(delays) // 2], 2), round(delays[int(len(delays) * 0.99)], 2)],
                "asked": len(delays),
                "seconds": round(took),
            }
        )
    )
    assert max(peak) < 1.2 * peak[0]
    assert used < 0.5
    assert max(peak) < 1.5 * 1024 * 1024
