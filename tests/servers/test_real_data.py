"""The whole path on real country data: published by the command, looked up by the library, answered through PowerDNS."""

from __future__ import annotations

import ipaddress
import os
import random
import subprocess
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import maxminddb
import pytest

from geosteer.cmodules import Address
from geosteer.settings import load
from geosteer.sync.tier import Tier
from support.countries_config import NAME, address_of, write_config
from support.data import ROOT, shared
from support.dns_setup import backend_toml
from support.long import LONG, takes_long
from support.servers import PowerDNS, RedisServer, addresses, scope
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.no_cover

STEP = 1 if LONG else 20
"""Of every so manieth network the boundaries are looked up."""
NEWER, OLDER = "country-2026-02-01.mmdb", "country-2026-01-31.mmdb"


def publish(config: Path) -> None:
    """Run `geosteer publish`."""
    done = subprocess.run(
        [str(ROOT / "bin" / "geosteer"), "publish", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def country(reader: maxminddb.Reader, address: str) -> str:
    """What the database itself says, "" for nothing."""
    record: Any = reader.get(address)
    return str(record["country"]["iso_code"]) if record else ""


@pytest.fixture(scope="module")
def reader() -> Iterator[maxminddb.Reader]:
    with maxminddb.open_database(shared(NEWER)) as made:
        yield made


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer() as server:
        publish(write_config(tmp_path_factory.mktemp("real") / "geosteer.toml", server.url, shared(NEWER)))
        yield server


def test_every_boundary_agrees_with_the_database(
    redis: RedisServer, reader: maxminddb.Reader, tmp_path: Path
) -> None:
    tier = Tier(load(str(backend_toml(tmp_path, redis, "timeout = 1000"))), random.Random(1).randrange)
    tier.start()
    checked = 0
    for network, _ in islice(reader, 0, None, STEP):
        bits = network.max_prefixlen
        first, last = int(network.network_address), int(network.broadcast_address)
        for value in (first - 1, first, last, last + 1):
            if 0 <= value < 1 << bits:
                text = Address(value.to_bytes(bits // 8, "big"))
                record, length = tier.lookup(text)
                assert record == country(reader, text), text
                assert 0 < length <= bits
                checked += 1
    assert checked > 900_000 / STEP


def test_powerdns_gives_each_client_its_country(
    redis: RedisServer, reader: maxminddb.Reader, tmp_path: Path
) -> None:
    dice = random.Random(2)
    with PowerDNS(backend_toml(tmp_path, redis), threads=2) as pdns:
        for _ in range(400):
            if dice.random() < 0.7:
                text, size = Address(dice.randrange(1 << 24, 224 << 24).to_bytes(4, "big")), 24
            else:
                text, size = Address(((0x2000 << 112) + dice.randrange(1 << 125)).to_bytes(16, "big")), 56
            subnet = ipaddress.ip_network(f"{text}/{size}", strict=False)
            if (
                subnet.is_private
                or not subnet.is_global
                or subnet.network_address in ipaddress.ip_network("2002::/16")
            ):
                continue
            response = pdns.query(NAME, "A", subnet=str(subnet))
            assert addresses(response) == [address_of(country(reader, str(subnet.network_address)))], subnet
            answered = scope(response)
            assert answered
            around = ipaddress.ip_network(f"{subnet.network_address}/{answered}", strict=False)
            for other in (around[0], around[-1]):
                assert address_of(country(reader, str(other))) == addresses(response)[0], (subnet, around)


@takes_long
def test_twenty_workers_see_one_of_both_databases_while_they_are_published_in_turn(
    own_redis: RedisServer, reader: maxminddb.Reader, tmp_path: Path
) -> None:
    configs = [
        write_config(tmp_path / f"{number}.toml", own_redis.url, shared(name))
        for number, name in enumerate((OLDER, NEWER))
    ]
    publish(configs[0])
    older = maxminddb.open_database(shared(OLDER))
    differing = changed_addresses(older, reader)
    done = threading.Event()
    problems: list[str] = []

    def ask(number: int, worker: Worker) -> None:
        dice = random.Random(number)
        while not done.is_set():
            if dice.random() < 0.5:
                text = dice.choice(differing)
            else:
                text = Address(dice.randrange(11 << 24, 100 << 24).to_bytes(4, "big"))
            answers = worker.ask(NAME, subnet=f"{text}/32")
            wanted = {address_of(country(one, text)) for one in (older, reader)}
            if len(answers) != 1 or answers[0][-1] not in wanted or answers[0][5] != "60":
                problems.append(f"{text}: {answers}, not of {wanted}")
            time.sleep(0.02)  # together about a thousand questions a second

    settings = backend_toml(
        tmp_path, own_redis, "timeout = 1000"
    )  # two cores, twenty workers and as many askers
    workers = [Worker(settings) for _ in range(20)]
    for worker in workers:
        worker.greet()
    threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(workers)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(1, 6 if LONG else 4):
            publish(configs[turn % 2])
    finally:
        done.set()
        for thread in threads:
            thread.join()
        logs = {worker.close() for worker in workers}
    assert not problems, problems[:5]
    assert not any(b"Traceback" in log for log in logs), logs


def changed_addresses(older: maxminddb.Reader, newer: maxminddb.Reader) -> list[str]:
    """First IPv4 addresses of networks whose country is another one in the newer database."""
    return [
        str(network.network_address)
        for network, _ in newer
        if network.version == 4
        and country(older, str(network.network_address)) != country(newer, str(network.network_address))
    ]


def test_a_publish_of_the_country_database_is_small(own_redis: RedisServer, tmp_path: Path) -> None:
    config = write_config(tmp_path / "geosteer.toml", own_redis.url, shared(NEWER))
    command = [str(ROOT / "bin" / "geosteer"), "publish", "--config", str(config)]
    pid = os.posix_spawn(command[0], command, dict(os.environ))
    _, status, usage = os.wait4(pid, 0)
    assert status == 0
    assert usage.ru_maxrss < 600 * 1024  # KiB
    with own_redis.client() as client:
        ranges = int(client.hget("{geosteer}:current", "geo.ranges"))
        assert client.memory_usage("{geosteer}:object", samples=0) <= 8 * ranges
