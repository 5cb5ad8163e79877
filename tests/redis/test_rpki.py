"""Routes with an invalid origin: none survives a publish, every other one does; and files of ROAs that are not usable."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import SourceError
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import publish
from geosteer_loader.query.status import gather
from geosteer_loader.store.store import Store, connect
from geosteer_loader.verify.verify import verify
from support.mrt_writer import Path as AsPath
from support.mrt_writer import peers, rib
from support.publishing import contents, current_of, write_config

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.publish.publish import Outcome
    from support.servers import RedisServer

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MORE = """
[sources]
cache = "cache"
[[sources.bgp]]
format = "mrt"
path = "rib.mrt"
[[sources.path]]
format = "mrt"
path = "rib.mrt"
vantage = "lon"
[rpki]
roas = "roas.json"
"""


def roa(prefix: str, longest: int, asn: int) -> dict[str, Any]:
    return {"asn": f"AS{asn}", "prefix": prefix, "maxLength": longest, "ta": "test"}


class Site:
    def __init__(self, server: RedisServer, prefix: str, folder: Path) -> None:
        self.server, self.prefix, self.folder = server, prefix, folder
        self.roas = folder / "roas.json"
        self.path = write_config(folder, server.url, prefix, more=MORE)

    def write(
        self, routes: list[tuple[str, list[AsPath]]], roas: list[dict[str, Any]], built: float | None = None
    ) -> None:
        records = [rib(prefix, *paths) for prefix, paths in routes]
        (self.folder / "rib.mrt").write_bytes(peers(3356) + b"".join(records))
        self.write_roas(roas, built)

    def write_roas(self, roas: list[dict[str, Any]], built: float | None = None) -> None:
        metadata = {"generated": int(time.time() if built is None else built)}
        self.roas.write_text(json.dumps({"metadata": metadata, "roas": roas}))

    def store(self) -> Store:
        return connect(load(self.path, {}).redis)

    def publish(self) -> Outcome:
        with self.store() as store:
            return publish(load(self.path, {}), store, force=("max_shrink", "vanished"))

    def fields(self) -> dict[str, str]:
        with self.server.client() as client:
            return current_of(client, self.prefix)

    def records(self, table: str) -> dict[int, str]:
        with self.server.client() as client:
            return contents(client, self.fields(), self.prefix)[f"{table}.v4"]


@pytest.fixture
def site(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Site:
    return Site(redis_server, prefix, tmp_path)


def at(records: dict[int, str], address: str) -> str:
    number = int(ipaddress.ip_address(address))
    return records[max(start for start in records if start <= number)]


def test_an_invalid_route_does_not_count_and_the_next_less_specific_valid_one_does(site: Site) -> None:
    site.write(
        [
            ("5.0.0.0/8", [[3356, 10]]),
            ("5.1.0.0/16", [[3356, 666]]),
            ("5.2.0.0/16", [[3356, 1, 666], [3356, 20]]),
            ("5.3.0.0/16", [[3356, 30]]),
            ("5.4.0.0/16", [[3356, 40, 64512]]),
            ("5.5.0.0/16", [[3356, {50, 51}]]),
            ("6.6.0.0/16", [[3356, 666]]),
        ],
        [
            roa("5.0.0.0/8", 8, 10), roa("5.1.0.0/16", 24, 10), roa("5.2.0.0/16", 24, 20), roa("5.4.0.0/16", 24, 40),
            roa("5.3.0.0/16", 24, 30), roa("5.5.0.0/16", 16, 50),
        ],
    )  # fmt: skip
    site.publish()
    bgp, path = site.records("bgp"), site.records("path")
    wanted = {
        "5.0.0.1": "AS10", "5.1.0.1": "AS10", "5.2.0.1": "AS20", "5.3.0.1": "AS30", "5.4.0.1": "AS10", "5.5.0.1": "AS10",
        "6.6.0.1": "AS666",
    }  # fmt: skip
    assert {address: at(bgp, address) for address in wanted} == wanted
    assert (at(path, "5.1.0.1"), at(path, "5.2.0.1")) == ("lon=2", "lon=2")
    with site.store() as store:
        figures = gather(store).tables["bgp"].rpki
        assert figures is not None
        assert (figures.vrps, figures.valid, figures.invalid, figures.not_found) == (6, 3, 4, 1)
        assert verify(load(site.path, {}), store).problems == []


def test_of_planted_invalid_origins_none_survives_and_every_valid_one_is_kept(site: Site) -> None:
    """Against a reading of RFC 6811 and of the routes by itself: prefix by prefix."""
    dice = random.Random(6811)
    space = ipaddress.ip_network("20.0.0.0/10")
    routes: dict[Network, int] = {}
    roas: list[tuple[Network, int, int]] = []
    for network in space.subnets(new_prefix=16):
        routes[network] = dice.randrange(1, 400)
        for _ in range(3):
            length = dice.randrange(17, 25)
            start = int(network.network_address) | dice.randrange(1 << (length - 16)) << (32 - length)
            routes[ipaddress.ip_network((start, length))] = dice.randrange(1, 400)
    planted = set(dice.sample(sorted(routes), 60))
    for network, origin in routes.items():
        if network in planted:
            roas.append((network, 24, origin + 1000))
        elif dice.random() < 0.5:
            roas.append((network, network.prefixlen + dice.randrange(3), origin))

    def counts(network: Network, origin: int) -> bool:
        covering = [each for each in roas if network.subnet_of(each[0])]  # type: ignore[arg-type]
        return not covering or any(
            network.prefixlen <= longest and asn == origin for _, longest, asn in covering
        )

    left = {network: origin for network, origin in routes.items() if counts(network, origin)}
    assert planted.isdisjoint(left)
    site.write(
        [(str(network), [[3356, origin]]) for network, origin in routes.items()],
        [roa(str(network), longest, asn) for network, longest, asn in roas],
    )
    site.publish()
    records = site.records("bgp")
    for network in routes:
        for address in (network[0], network[-1]):
            around = [each for each in left if address in each]
            best = max(around, key=lambda each: each.prefixlen, default=None)
            assert at(records, str(address)) == (f"AS{left[best]}" if best else "")
    figures = json.loads(site.fields()["bgp.rpki"])
    assert figures["invalid"] == len(routes) - len(left)


ROUTES: list[tuple[str, list[AsPath]]] = [("5.0.0.0/8", [[3356, 10]]), ("5.1.0.0/16", [[3356, 666]])]
ROAS = [roa("5.0.0.0/8", 8, 10), roa("5.1.0.0/16", 24, 10), roa("7.0.0.0/8", 8, 10), roa("8.0.0.0/8", 8, 10)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ('{"roas": []}', "has no entries"),
        ('{"roas": [{"asn": "AS1", "pre', "is not JSON"),
        (json.dumps({"roas": ROAS[:1]}), "has 1 entries, 4 were there before"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_not_usable_is_never_taken_for_all_is_valid(
    site: Site, text: str | None, why: str
) -> None:
    site.write(ROUTES, ROAS)
    assert site.publish().warnings == []
    for routes in (ROUTES, [*ROUTES, ("9.0.0.0/8", [[3356, 10]])]):
        site.write(routes, ROAS)  # type: ignore[arg-type]
        if text is None:
            site.roas.unlink()
        else:
            site.roas.write_text(text)
        (warning,) = site.publish().warnings
        assert why in warning
        assert "earlier ones are used" in warning
        assert at(site.records("bgp"), "5.1.0.1") == "AS10"
        with site.store() as store:
            assert warning in gather(store).warnings
    site.write_roas(ROAS)
    assert site.publish().warnings == []


def test_without_any_earlier_roas_nothing_is_published(site: Site) -> None:
    site.write(ROUTES, ROAS)
    site.roas.write_text("")
    with pytest.raises(SourceError, match=r"roas\.json: rpki\.roas: is empty; no earlier ones are kept"):
        site.publish()


def test_old_roas_are_used_with_a_warning_expired_ones_too(site: Site) -> None:
    long_ago = time.time() - 3 * 86400
    site.write(ROUTES, [{**each, "expires": int(long_ago) + 86400} for each in ROAS], long_ago)
    (warning,) = site.publish().warnings
    assert "does the validator still run?" in warning
    assert at(site.records("bgp"), "5.1.0.1") == "AS10"
    (again,) = site.publish().warnings
    assert again == warning


@pytest.mark.skipif(not os.environ.get("GEOSTEER_LONG"), reason="takes a minute: set GEOSTEER_LONG=1")
def test_a_table_of_today_is_judged_within_seconds() -> None:
    """1.2 million routes by 500,000 ROA payloads; in processor time, against the reading of the routes alone."""
    from geosteer_loader.rpki.vrps import Vrps

    dice = random.Random(1)

    def made(count: int) -> list[tuple[int, int, int]]:
        found = []
        for _ in range(count):
            length = dice.choice((16, 19, 20, 22, 23, 24, 24, 24))
            found.append((32, dice.getrandbits(length) << (32 - length), length))
        return found

    routes = made(1_200_000)
    began = time.process_time()
    vrps = Vrps((*prefix, 24, dice.randrange(1, 70000)) for prefix in made(500_000))
    built = time.process_time()
    for route in routes:
        vrps.authorised(*route)
    assert built - began < 30
    assert time.process_time() - built < 20
