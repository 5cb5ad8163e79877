"""`geosteer verify`: whatever is wrong with what is published is found, named and placed."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import Refused, StoreError
from geosteer.keys import digest
from geosteer.tables import page_builder, page_format
from geosteer_loader.cli.main import main
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.lease import Lease
from geosteer_loader.store.store import connect
from geosteer_loader.verify.verify import verify
from support.made_database import country_database
from support.publishing import current_of, make_config, needed_objects, objects_in, write_csv

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.config.config import Config
    from geosteer_loader.verify.findings import Verdict
    from support.servers import RedisServer

OBJECT = "{geosteer}:object"


class Site:
    """A published table of several pages in both families, and networks of one page."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.folder = folder
        self.server = server
        self.client = server.client()
        self.lines = [f"10.{n >> 8}.{n & 255}.0/24,{('GB', 'NL', 'US')[n % 3]}" for n in range(700)]
        self.lines += [f"2001:db8:{n:x}::/48,{('GB', 'NL', 'US')[n % 3]}" for n in range(700)]

    def config(self, **options: Any) -> Config:
        geo = write_csv(self.folder / "geo.csv", self.lines)
        more = options.pop("canaries", "")
        return make_config(
            self.folder, self.server.url, geo=[geo], networks={"lab": ["10.0.0.0/8", "10.1.0.0/16"]},
            more=f"canaries = {{ {more} }}" if more else "", **options,
        )  # fmt: skip

    def publish(self, **options: Any) -> dict[str, str]:
        config = self.config(**options)
        with connect(config.redis) as store:
            publish(config, store)
        return current_of(self.client)

    def verify(self, *, clean: bool = False, **options: Any) -> Verdict:
        config = self.config(**options)
        with connect(config.redis) as store:
            return verify(config, store, clean=clean, rng=random.Random(1))

    def problems(self, **options: Any) -> list[str]:
        return [f"{problem.where}: {problem.what}" for problem in self.verify(**options).problems]

    def pages(self, root: str) -> list[str]:
        """Names of the pages right below a root page."""
        children: Any = page_format.decode(self.client.hget(OBJECT, root)).values
        return [child.hex() for child in children]


@pytest.fixture
def site(tmp_path: Path, own_redis: RedisServer) -> Site:
    return Site(tmp_path, own_redis)


def test_what_a_publish_left_is_well_and_everything_is_looked_at(site: Site) -> None:
    fields = site.publish(canaries='"10.0.0.1" = "GB"')
    verdict = site.verify(canaries='"10.0.0.1" = "GB"')
    assert verdict.problems == []
    assert verdict.notes == []
    assert verdict.orphans is None
    assert set(verdict.tables) == {"geo.v4", "geo.v6", "nets.v4", "nets.v6"}
    assert verdict.tables["geo.v4"]["pages"] > 3
    assert verdict.tables["geo.v4"]["ranges"] + verdict.tables["geo.v6"]["ranges"] == int(
        fields["geo.ranges"]
    )
    assert all(counts["compared"] > 3 for counts in verdict.tables.values())
    assert current_of(site.client) == fields


def test_nothing_published_is_an_error(site: Site) -> None:
    with pytest.raises(StoreError, match="nothing is published"):
        site.verify()


def test_a_missing_leaf_is_named_with_its_prefix_and_published_again(site: Site) -> None:
    fields = site.publish()
    leaf = site.pages(fields["geo.v4"])[1]
    site.client.hdel(OBJECT, leaf)
    problems = site.problems()
    assert len(problems) == 2
    assert problems[0].startswith("geo.v4 8.0.0.0/7: ")
    assert problems[0].endswith(f"page {leaf}: is missing")
    assert problems[1].startswith("geo.v4: ")
    assert "of the address space is not covered" in problems[1]
    assert site.publish()["generation"] == "2"
    assert site.problems() == []


def test_a_damaged_page_is_found_removed_and_published_again(site: Site) -> None:
    fields = site.publish()
    leaf = site.pages(fields["geo.v6"])[0]
    data = bytearray(site.client.hget(OBJECT, leaf))
    data[-1] ^= 1
    site.client.hset(OBJECT, leaf, bytes(data))
    assert any(f"page {leaf}: its bytes have another digest" in problem for problem in site.problems())
    verdict = site.verify(clean=True)
    assert verdict.damaged == 1
    assert site.client.hget(OBJECT, leaf) is None
    site.publish()
    assert site.problems() == []


def put(site: Site, table: str, starts: list[int], records: list[str]) -> None:
    """Publish other content under the table's IPv4 root, with everything else as it is."""
    built = page_builder.build(32, starts, records)
    for name, page in built.pages.items():
        site.client.hset(OBJECT, name.hex(), page)
    site.client.hset("{geosteer}:current", f"{table}.v4", built.root.hex())


def test_a_missing_inner_page_stops_the_sweep_so_that_nothing_below_it_is_taken_for_an_orphan(
    site: Site,
) -> None:
    site.publish()
    put(site, "bgp", list(range(0, 1 << 32, 1 << 15)), [f"AS{10 + n % 2}" for n in range(1 << 17)])
    inner = next(
        name
        for name in site.pages(current_of(site.client)["bgp.v4"])
        if page_format.decode(site.client.hget(OBJECT, name)).height
    )
    site.client.hdel(OBJECT, inner)
    before = objects_in(site.client)
    verdict = site.verify(clean=True)
    assert any(problem.where == "sweep" for problem in verdict.problems)
    assert objects_in(site.client) == before


@pytest.mark.parametrize(
    ("table", "record", "what"),
    [
        ("geo", "XX", "no such country"),
        ("geo", "@XX", "no such continent"),
        ("geo", "GB 91 0", "invalid latitude or longitude"),
        ("geo", "gb", "not of the form"),
        ("bgp", "AS0", "not a list of public AS numbers"),
        ("bgp", "AS15169 12", "not a list of public AS numbers"),
        ("path", "lon=x", "not a list of path lengths"),
        ("nets", "other", "a network that the configuration does not have"),
    ],
)
def test_records_that_mean_nothing_are_found(site: Site, table: str, record: str, what: str) -> None:
    site.publish()
    put(site, table, [0, 0x0A000000, 0x0B000000], ["", record, ""])
    assert any(
        problem.startswith(f"{table}.v4 10.0.0.0: record {record!r}: {what}") for problem in site.problems()
    )


def test_neighbours_that_should_be_one_range_are_found(site: Site) -> None:
    site.publish()
    put(site, "geo", [0, 0x0A000000, 0x0A800000, 0x0B000000], ["", "GB", "GB", ""])
    problems = site.problems()
    assert "geo.v4 10.128.0.0: has the same record as the range before it" in problems


def test_a_page_in_the_wrong_place_is_found(site: Site) -> None:
    fields = site.publish()
    site.client.hset("{geosteer}:current", "geo.v4", site.pages(fields["geo.v4"])[1])
    problems = site.problems()
    assert any("is not the page for the place where its parent has it" in problem for problem in problems)
    site.client.hset("{geosteer}:current", "geo.v4", fields["geo.v6"])
    assert any("is not the page for the place" in problem for problem in site.problems())


def test_a_whole_table_that_does_not_say_what_the_sources_say_is_found_by_the_oracle(site: Site) -> None:
    site.publish()
    put(site, "geo", [0, 0x0A000000, 0x0B000000], ["", "US", ""])
    verdict = site.verify()
    where = [problem.where for problem in verdict.problems]
    assert any(place.startswith("geo.v4 10.") for place in where)
    assert any("has US, the sources give GB" in problem.what for problem in verdict.problems)


def test_sources_that_changed_since_are_not_compared_and_that_is_no_problem(site: Site) -> None:
    site.publish()
    site.lines[0] = "10.0.0.0/24,FR"
    verdict = site.verify()
    assert verdict.problems == []
    assert verdict.notes == ["geo: not compared with its sources: the sources have changed since"]
    assert verdict.tables["geo.v4"]["compared"] == 0
    assert verdict.tables["nets.v4"]["compared"] > 0


def test_canaries_are_looked_up_as_workers_do(site: Site) -> None:
    site.publish()
    assert site.problems(canaries='"10.0.0.1" = "NL", "2001:db8::1" = "GB", "192.0.2.1" = "US"') == [
        "canary 10.0.0.1: 10.0.0.0/24 has GB, not NL",
        "canary 192.0.2.1: 128.0.0.0/1 has no record, not US",
    ]


def test_a_configuration_that_is_missing_or_damaged_is_found(site: Site) -> None:
    fields = site.publish()
    site.client.hset(OBJECT, fields["config"], b"{}")
    problems = site.problems()
    assert any(problem.startswith("config: ") for problem in problems)
    assert not any("network that the configuration does not have" in problem for problem in problems)
    bad = b'{"format": 1}'
    site.client.hset(OBJECT, digest(bad).hex(), bad)
    site.client.hset("{geosteer}:current", "config", digest(bad).hex())
    assert any(problem.startswith("config: object") and "malformed" in problem for problem in site.problems())


def test_https_records_that_workers_leave_out_are_found(site: Site) -> None:
    fields = site.publish()
    document = json.loads(site.client.hget(OBJECT, fields["config"]))
    name = next(iter(document["services"]))
    document["services"][name]["https"] = [{"port": 0}]
    text = json.dumps(document).encode()
    site.client.hset(OBJECT, digest(text).hex(), text)
    site.client.hset("{geosteer}:current", "config", digest(text).hex())
    (problem,) = site.problems()
    assert (
        problem == f"config: no HTTPS and SVCB records for '{name}': 0 is not a whole number from 1 to 65535"
    )


def test_a_generation_that_workers_cannot_use_is_found(site: Site) -> None:
    fields = site.publish()
    site.client.hdel(OBJECT, fields["nets.v4"])
    assert any(problem.startswith("current: unusable for workers") for problem in site.problems())


def test_counts_that_current_states_wrongly_are_found(site: Site) -> None:
    site.publish()
    site.client.hset("{geosteer}:current", "geo.ranges", 7)
    assert any("`current` says 7" in problem for problem in site.problems())


def test_a_kept_generation_that_is_no_longer_whole_is_found(site: Site) -> None:
    first = site.publish()
    site.lines[0] = "10.0.0.0/24,FR"
    second = site.publish()
    only_old = needed_objects(site.client, first) - needed_objects(site.client, second)
    leaf = next(name for name in sorted(only_old) if name not in {first["geo.v4"], first["config"]})
    site.client.hdel(OBJECT, leaf)
    (problem,) = site.problems()
    assert problem.startswith("generation 1 geo.v4 ")
    assert problem.endswith(f": page {leaf}: is missing; a rollback to it would fail")


def test_the_sweep_removes_orphans_and_nothing_else(site: Site) -> None:
    site.publish()
    before = objects_in(site.client)
    site.client.hset(OBJECT, "ab" * 16, b"left behind")
    assert site.verify().orphans is None
    assert site.verify(clean=True).orphans == 1
    assert objects_in(site.client) == before
    with connect(site.config().redis) as store, Lease(store), pytest.raises(Refused):
        site.verify(clean=True)


def test_the_command_says_what_is_wrong_and_ends_with_1(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = site.publish()
    path = str(site.config().path)
    assert main(["verify", "--config", path]) == 0
    out = capsys.readouterr().out
    assert out.startswith("generation 1\nTABLE ")
    assert out.endswith("no problems\n")
    site.client.hdel(OBJECT, site.pages(fields["geo.v4"])[0])
    assert main(["verify", "--config", path]) == 1
    assert "is missing" in capsys.readouterr().out
    assert main(["verify", "--json", "--config", path]) == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["where"].startswith("geo.v4 ")


@pytest.mark.no_cover
def test_real_data_of_overlapping_sources_verifies(tmp_path: Path, own_redis: RedisServer) -> None:
    own = write_csv(tmp_path / "own.csv", ["8.8.8.0/25,NL", "2001:4860::/33,DE", "10.0.0.0/8,GB"])
    config = make_config(tmp_path, own_redis.url, geo=[country_database(), own])
    with connect(config.redis) as store:
        publish(config, store)
        verdict = verify(config, store, rng=random.Random(2))
    assert verdict.problems == []
    assert verdict.notes == []
    assert verdict.tables["geo.v4"]["compared"] > 3000
