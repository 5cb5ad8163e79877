"""Guards: tables that look wrong stay unpublished until somebody insists."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.decision.records import country_of
from geosteer.errors import CorruptPage, Refused
from geosteer.tables import page_builder
from geosteer_loader.impact.coverage import Tally, record_at
from geosteer_loader.publish.publish import Outcome, publish
from geosteer_loader.store.store import connect
from geosteer_loader.tables.ranges import RangeBuilder
from support.data import shared
from support.long import takes_long
from support.publishing import current_of, write_config, write_csv

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

GUARD = {
    "max_shrink = 1.0": "max_shrink = 0.2",
    "max_country_change = 1.0": "max_country_change = 0.5",
}


class Site:
    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.folder = folder
        self.server = server
        self.client: Any = server.client()

    def publish(self, *lines: str, canaries: str = "", limits: bool = True, **options: Any) -> Outcome:
        from geosteer_loader.config.config import load

        geo = write_csv(self.folder / "geo.csv", lines)
        more = f"canaries = {{ {canaries} }}" if canaries else ""
        path = write_config(self.folder, self.server.url, geo=[geo], more=more)
        if limits:
            for old, new in GUARD.items():
                path.write_text(path.read_text().replace(old, new))
        config = load(path, {})
        with connect(config.redis) as store:
            return publish(config, store, **options)

    @property
    def generation(self) -> str:
        return current_of(self.client).get("generation", "0")


@pytest.fixture
def site(tmp_path: Path, own_redis: RedisServer) -> Site:
    return Site(tmp_path, own_redis)


def test_a_table_that_lost_much_of_its_space_is_refused_and_nothing_changes(site: Site) -> None:
    site.publish("10.0.0.0/8,NL", "11.0.0.0/8,GB")
    before = current_of(site.client)
    with pytest.raises(Refused) as caught:
        site.publish("11.0.0.0/8,GB")
    assert caught.value.exit_code == 3
    assert "max_shrink: table geo.v4 would lose 50.0 % of the addresses that it covers (limit 20.0 %)" in str(
        caught.value
    )
    assert "geosteer publish --force max_shrink" in str(caught.value)
    assert current_of(site.client) == before
    assert not site.client.exists("{geosteer}:lock")


def test_a_table_that_lost_little_or_grew_is_published(site: Site) -> None:
    site.publish("10.0.0.0/8,NL", "11.0.0.0/8,GB")
    assert site.publish("10.0.0.0/8,NL", "11.0.0.0/9,GB", "11.128.0.0/10,GB").generation == 2
    assert site.publish("10.0.0.0/8,NL", "11.0.0.0/8,GB", "12.0.0.0/6,US").generation == 3


def test_each_family_is_looked_at_by_itself(site: Site) -> None:
    site.publish("10.0.0.0/8,NL", "2001:db8::/32,NL", "2001:db9::/32,NL")
    with pytest.raises(Refused, match=r"geo\.v6 would lose 50\.0 %"):
        site.publish("10.0.0.0/8,NL", "2001:db8::/32,NL")


def test_a_country_that_a_map_names_may_not_change_much(site: Site) -> None:
    site.publish("10.0.0.0/8,NL", "11.0.0.0/10,GB")
    with pytest.raises(
        Refused, match=r"max_country_change: GB, .* would gain 100\.0 % of its v4 addresses \(limit 50\.0 %\)"
    ):
        site.publish("10.0.0.0/8,NL", "11.0.0.0/9,GB")
    with pytest.raises(Refused, match=r"max_country_change: GB, .* would lose 75\.0 % of its v4"):
        site.publish("10.0.0.0/8,NL", "11.0.0.0/12,GB")
    with pytest.raises(Refused, match=r"empty_country: GB, .* would lose all its v4"):
        site.publish("10.0.0.0/8,NL", "11.0.0.0/10,US")


def test_a_country_that_no_map_names_may_change_as_it_likes(site: Site) -> None:
    site.publish("10.0.0.0/8,NL", "11.0.0.0/10,US")
    assert site.publish("10.0.0.0/8,FR", "11.0.0.0/10,US").generation == 2


def test_a_country_without_any_address_left_is_refused_whatever_the_limit(site: Site) -> None:
    site.publish("10.0.0.0/8,NL", "11.0.0.0/10,GB", limits=False)
    with pytest.raises(Refused, match="empty_country"):
        site.publish("10.0.0.0/8,NL", limits=False)


def test_canaries_have_to_be_in_their_countries(site: Site) -> None:
    canaries = '"10.1.2.3" = "NL", "2001:db8::1" = "US"'
    with pytest.raises(Refused) as caught:
        site.publish("10.0.0.0/8,US", "2001:db8::/32,US-CA,1,2", canaries=canaries)
    assert "canaries: 10.1.2.3 has US, not NL" in str(caught.value)
    assert "2001:db8" not in str(caught.value)
    assert site.generation == "0"
    assert site.publish("10.0.0.0/8,NL", "2001:db8::/32,US-CA,1,2", canaries=canaries).generation == 1


def test_canaries_are_asked_too_when_the_table_did_not_change(site: Site) -> None:
    site.publish("10.0.0.0/8,NL")
    with pytest.raises(Refused, match=r"10\.1\.2\.3 has NL, not GB"):
        site.publish("10.0.0.0/8,NL", canaries='"10.1.2.3" = "GB"')


def test_forcing_a_guard_publishes_and_the_history_tells_of_it(site: Site) -> None:
    site.publish("10.0.0.0/8,NL", "11.0.0.0/8,GB")
    with pytest.raises(Refused, match="empty_country"):
        site.publish("10.0.0.0/10,NL", force=["max_shrink"])
    outcome = site.publish("10.0.0.0/10,NL", force=["max_shrink", "empty_country"])
    assert outcome.generation == 2
    (_, entry), *_ = site.client.xrevrange("{geosteer}:history")
    assert entry[b"changed"] == b"geo forced:max_shrink forced:empty_country"


def test_a_published_table_that_cannot_be_read_is_no_reason_to_refuse(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.publish("10.0.0.0/8,NL", "11.0.0.0/8,GB")
    site.client.delete("{geosteer}:object")
    assert site.publish("11.0.0.0/8,GB").generation == 2
    assert "cannot be compared" in caplog.text


@given(
    st.lists(
        st.tuples(st.integers(0, 255), st.sampled_from(["", "GB", "US-CA 1 2", "US", "@EU"])), max_size=40
    )
)
def test_tallies_and_lookups_agree_with_the_ranges(pieces: list[tuple[int, str]]) -> None:
    builder = RangeBuilder(32)
    for start, record in sorted(dict(pieces).items()):
        builder.skip(start << 24)
        builder.span((start << 24) + (1 << 18), record)
    ranges = builder.finish()
    built = page_builder.build(32, ranges.starts, ranges.records)
    pages = {name.hex(): page for name, page in built.pages.items()}
    expected: dict[str, int] = {}
    for start, end, record in ranges.spans():
        assert record_at(pages.get, built.root.hex(), start) == record
        assert record_at(pages.get, built.root.hex(), end - 1) == record
        if country := country_of(record):
            expected[country] = expected.get(country, 0) + end - start
    assert Tally(pages.get, country_of).count(built.root.hex()) == expected
    covered = Tally(pages.get, lambda _record: "any").count(built.root.hex())
    assert covered.total() == ranges.covered()


def test_a_tally_of_a_damaged_table_is_an_error() -> None:
    with pytest.raises(CorruptPage, match="is missing"):
        Tally(lambda _name: None, country_of).count("ab")
    with pytest.raises(CorruptPage):
        Tally(lambda _name: b"junk", country_of).count("ab")


@takes_long
@pytest.mark.no_cover
def test_a_days_real_change_passes_all_guards_and_half_a_database_does_not(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    import maxminddb

    from geosteer_loader.config.config import load

    def config_for(source: Path, more: str = "") -> Any:
        path = write_config(tmp_path, own_redis.url, geo=[source], more=more)
        for old, new in GUARD.items():
            path.write_text(path.read_text().replace(old, new))
        return load(path, {})

    first, second = shared("country-2026-01-31.mmdb"), shared("country-2026-02-01.mmdb")
    for source in (first, second):
        config = config_for(source, 'canaries = { "8.8.8.8" = "US" }')
        with connect(config.redis) as store:
            assert publish(config, store).warnings == []
    half = tmp_path / "half.csv"
    with maxminddb.open_database(second) as database, half.open("w") as file:
        for network, found in database:
            if isinstance(network, ipaddress.IPv4Network) and int(network.network_address) < 1 << 31:
                country = found.get("country_code") or (found.get("country") or {}).get("iso_code") or ""
                file.write(f"{network},{country}\n")
    config = config_for(half)
    with connect(config.redis) as store, pytest.raises(Refused) as caught:
        publish(config, store)
    assert "max_shrink: table geo.v4 would lose" in str(caught.value)
    assert "max_shrink: table geo.v6 would lose 100.0 %" in str(caught.value)
    assert "empty_country: GB, which a map names, would lose all its v6 addresses" in str(caught.value)
