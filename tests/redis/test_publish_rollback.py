"""Going back: what was published is published again, whole, and stays until it is released."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import ConfigError, Refused, StoreError
from geosteer_loader.publish.publish import Outcome, publish
from geosteer_loader.publish.rollback import rollback
from geosteer_loader.store.lease import Lease
from geosteer_loader.store.store import connect
from support.publishing import contents, current_of, make_config, write_csv

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.config.config import Config
    from support.servers import RedisServer

STAMPS = {"generation", "published", "held", "restored", "swept"}


class Site:
    """A Redis with three generations: countries GB, NL, US, and the node ams1 with weight 1, 2, 3."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.folder = folder
        self.server = server
        self.client = server.client()
        self.fields = {}
        for day, country in enumerate(("GB", "NL", "US"), 1):
            self.publish(day, country)
            self.fields[day] = self.current
        self.store = connect(self.config(1).redis)

    def config(self, day: int, **options: Any) -> Config:
        return make_config(self.folder, self.server.url, geo=[self.folder / "geo.csv"], weight=day, **options)

    def publish(self, day: int, country: str, release: bool = False, **options: Any) -> Outcome:
        geo = write_csv(self.folder / "geo.csv", [f"10.0.0.0/8,{country}", "11.0.0.0/8,GB"])
        os.utime(geo, (day, day))
        config = self.config(day, **options)
        with connect(config.redis) as store:
            return publish(config, store, release=release)

    @property
    def current(self) -> dict[str, str]:
        return current_of(self.client)

    def same(self, day: int, *parts: str) -> bool:
        """Whether what is published is what was published then, or some parts of it are."""
        now, then = self.current, self.fields[day]
        names = [name for name in {*now, *then} - STAMPS if not parts or name.split(".")[0] in parts]
        return {name: now.get(name) for name in names} == {name: then.get(name) for name in names}


@pytest.fixture
def site(tmp_path: Path, own_redis: RedisServer) -> Site:
    return Site(tmp_path, own_redis)


def test_a_rollback_publishes_an_older_generation_under_a_new_number(site: Site) -> None:
    before = site.current
    fields = rollback(site.store, 1, why="bad data")
    assert fields == site.current
    assert fields["generation"] == "4"
    assert fields["published"] > before["published"]
    assert site.same(1)
    assert contents(site.client, fields)["geo.v4"][0x0A000000] == "GB"
    assert fields["held"].partition(": ")[2] == "back to generation 1: bad data"
    assert "@" in fields["held"]
    assert not site.client.exists("{geosteer}:lock")


def test_the_default_is_one_step_back_and_another_one_each_time(site: Site) -> None:
    rollback(site.store)
    assert site.same(2)
    rollback(site.store)
    assert site.same(1)
    with pytest.raises(ConfigError, match="no generation before 1 is kept"):
        rollback(site.store)


def test_some_parts_may_go_back_alone(site: Site) -> None:
    rollback(site.store, 1, only=["geo"])
    assert site.same(1, "geo")
    assert site.same(3, "config")
    assert "(geo)" in site.current["held"]
    rollback(site.store, 2, only=["config"])
    assert site.same(1, "geo")
    assert site.same(2, "config")


def test_a_rollback_holds_until_it_is_released(site: Site) -> None:
    rollback(site.store, 1)
    with pytest.raises(Refused, match="back to generation 1"):
        site.publish(3, "US")
    assert site.current["generation"] == "4"
    outcome = site.publish(3, "US", release=True)
    assert outcome.changed == ["geo", "config", "release"]
    assert site.same(3)
    assert not {"held", "restored"} & set(site.current)
    assert site.publish(3, "US").changed == []


def test_going_back_to_the_present_generation_only_holds_it(site: Site) -> None:
    rollback(site.store, 3)
    assert site.same(3)
    with pytest.raises(Refused):
        site.publish(1, "GB")


def test_the_history_says_what_was_gone_back_to(site: Site) -> None:
    rollback(site.store, 1, only=["geo", "config"])
    (_, entry), *_ = site.client.xrevrange("{geosteer}:history")
    assert entry[b"changed"] == b"rollback to 1 (geo, config)"
    assert entry[b"generation"] == b"4"


def test_only_what_is_kept_can_be_gone_back_to(site: Site) -> None:
    with pytest.raises(ConfigError, match=r"generation 7 is not kept; there are: 1, 2, 3"):
        rollback(site.store, 7)
    site.client.hdel("{geosteer}:object", site.fields[1]["geo.v4"])
    before = site.current
    with pytest.raises(StoreError, match="no longer whole"):
        rollback(site.store, 1)
    assert site.current == before


def test_a_rollback_waits_for_no_publisher(site: Site) -> None:
    with connect(site.config(1).redis) as other, Lease(other), pytest.raises(Refused, match="at work"):
        rollback(site.store, 1)


def test_what_is_held_is_never_collected(site: Site) -> None:
    rollback(site.store, 1)
    for day in range(4, 8):
        site.publish(day, "FR", release=True, keep=1, grace=0)
        rollback(site.store, int(site.current["generation"]))
        contents(site.client, site.current)
