"""What becomes of old generations: kept for rollback and slow readers, then removed without stopping the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import CorruptPage, Refused
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import Outcome, publish
from geosteer_loader.store.collector import Collected, collect
from geosteer_loader.store.lease import Lease
from geosteer_loader.store.store import connect
from support.publishing import contents, current_of, make_config, needed_objects, objects_in, write_csv
from support.relay import Relay

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer


class Site:
    """A Redis that gets a table of another content with every publish."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.folder = folder
        self.server = server
        self.client = server.client()

    def publish(self, day: int, url: str | None = None, **limits: Any) -> Outcome:
        names = ("GB", "NL", "US", "DE", "FR")
        # Some pages differ from day to day, the others are shared by all generations.
        lines = [f"10.{n >> 8}.{n & 255}.0/24,{names[(n + (day if n < 9 else 0)) % 5]}" for n in range(700)]
        geo = write_csv(self.folder / "geo.csv", lines)
        config = make_config(self.folder, url or self.server.url, geo=[geo], weight=day, **limits)
        with connect(config.redis) as store:
            return publish(config, store)

    def history(self) -> list[dict[str, str]]:
        entries = self.client.xrange("{geosteer}:history")
        return [{key.decode(): value.decode() for key, value in fields.items()} for _, fields in entries]

    def collect(self, url: str | None = None, **limits: Any) -> Collected:
        config = make_config(self.folder, url or self.server.url)
        with connect(config.redis) as store, Lease(store) as lease:
            done = Collected()
            collect(store, lease, done, **{"keep": 1, "grace": 0, **limits})
            return done


@pytest.fixture
def site(tmp_path: Path, own_redis: RedisServer) -> Site:
    return Site(tmp_path, own_redis)


def test_the_last_generations_are_kept_whole_and_older_ones_go(site: Site) -> None:
    for day in range(1, 7):
        outcome = site.publish(day, keep=3, grace=0)
        assert outcome.warnings == []
        kept = site.history()
        assert [int(fields["generation"]) for fields in kept] == list(range(max(day - 2, 1), day + 1))
        for fields in kept:
            contents(site.client, fields)
        needed = set().union(*(needed_objects(site.client, fields) for fields in kept))
        assert objects_in(site.client) == needed
    assert outcome.collected.generations == 1
    assert outcome.collected.objects > 0


def test_generations_are_kept_by_age_as_well(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(1, 6):
        site.publish(day, keep=2, grace=0, keep_for=3600)
    assert [fields["generation"] for fields in site.history()] == ["1", "2", "3", "4", "5"]
    for fields in site.history():
        contents(site.client, fields)
    assert site.collect(keep=2, keep_for=3600).generations == 0
    monkeypatch.setattr("geosteer_loader.store.collector.MOST_KEPT", 4)  # however young they are
    assert site.collect(keep=2, keep_for=3600).generations == 1
    assert site.collect(keep=2, keep_for=0.001).generations == 2
    assert [fields["generation"] for fields in site.history()] == ["4", "5"]
    needed = set().union(*(needed_objects(site.client, fields) for fields in site.history()))
    assert objects_in(site.client) == needed


def test_what_is_kept_for_its_age_takes_no_more_room_than_it_may(site: Site) -> None:
    """By what each publish wrote: the pages that it replaced are kept for the generation before it alone."""
    for day in range(1, 8):
        site.publish(day, keep=2, grace=0, keep_for=3600)
    sizes = [int(fields["bytes"]) for fields in site.history()]
    assert len(sizes) == 7
    assert min(sizes) > 0
    kept = [set(needed_objects(site.client, fields)) for fields in site.history()]
    alone = kept[2] - set().union(*kept[3:])
    measured = sum(len(site.client.hget("{geosteer}:object", name)) for name in alone)
    assert sizes[3] / 2 < measured < sizes[3] * 2
    assert site.collect(keep=2, keep_for=3600, keep_size=sum(sizes[1:6])).generations == 0
    assert site.collect(keep=2, keep_for=3600, keep_size=sum(sizes[3:6])).generations == 2
    assert site.collect(keep=2, keep_for=3600, keep_size=sum(sizes[3:6]) - 1).generations == 1
    assert site.collect(keep=4, keep_for=3600, keep_size=0).generations == 0
    assert site.collect(keep=2, keep_for=3600, keep_size=0).generations == 2
    assert [fields["generation"] for fields in site.history()] == ["6", "7"]
    assert objects_in(site.client) == set().union(
        *(needed_objects(site.client, fields) for fields in site.history())
    )


def test_yesterday_can_be_explained_without_a_setting(tmp_path: Path) -> None:
    """At any time of today all of yesterday: two days; and events for longer than that."""
    make_config(tmp_path, "unix:///run/redis.sock", geo=[write_csv(tmp_path / "geo.csv")])
    text = (tmp_path / "geosteer.toml").read_text().replace("keep_for = 0\n", "")
    (tmp_path / "geosteer.toml").write_text(text)
    config = load(tmp_path / "geosteer.toml", {})
    assert config.guard.keep_for == 2 * 86400
    assert config.guard.keep_size == 64 * 2**20
    assert config.journal.keep > config.guard.keep_for


def test_a_generation_stays_as_long_as_slow_readers_may_need_it(site: Site) -> None:
    for day in range(1, 5):
        site.publish(day, keep=1, grace=600)
    assert [fields["generation"] for fields in site.history()] == ["1", "2", "3", "4"]
    for fields in site.history():
        contents(site.client, fields)
    done = site.collect(keep=1, grace=0)
    assert done.generations == 3
    assert [fields["generation"] for fields in site.history()] == ["4"]
    assert objects_in(site.client) == needed_objects(site.client, current_of(site.client))


def test_collecting_again_finds_nothing(site: Site) -> None:
    for day in (1, 2):
        site.publish(day)
    assert site.collect().generations == 1
    assert site.collect() == Collected()


def test_the_next_publish_collects_what_one_killed_after_its_flip_left_even_if_nothing_changed(
    site: Site,
) -> None:
    site.publish(1, keep=1, grace=0)
    with Relay(site.server.directory, site.server.socket) as relay:
        site.publish(2, relay.url, keep=1, grace=0)
    deletion = [command[0] for command in relay.commands].index(b"XTRIM") + 1
    site.publish(1, keep=1, grace=0)
    with Relay(site.server.directory, site.server.socket, deletion) as relay:
        assert site.publish(2, relay.url, keep=1, grace=0).generation == 4
    site.client.delete("{geosteer}:lock")
    assert [fields["generation"] for fields in site.history()] == ["3", "4"]
    outcome = site.publish(2, keep=1, grace=0)
    assert (outcome.changed, outcome.collected.generations) == ([], 1)
    assert [fields["generation"] for fields in site.history()] == ["4"]
    assert objects_in(site.client) == needed_objects(site.client, current_of(site.client))


def test_what_no_generation_ever_had_is_found_by_the_daily_sweep_only(site: Site) -> None:
    site.publish(1)
    site.client.hset("{geosteer}:object", "ab" * 16, b"left behind by a publisher that was killed" * 9)
    before = current_of(site.client)
    assert site.publish(2).collected.orphans == 0
    assert current_of(site.client)["swept"] == before["swept"]
    site.client.hset("{geosteer}:current", "swept", "2020-01-01T00:00:00Z")
    outcome = site.publish(3, keep=1, grace=0)
    assert outcome.collected.orphans == 1
    assert outcome.warnings == []
    assert current_of(site.client)["swept"] >= before["swept"]
    assert objects_in(site.client) == needed_objects(site.client, current_of(site.client))


def test_a_user_who_may_not_sweep_is_warned_and_old_generations_go_all_the_same(site: Site) -> None:
    site.publish(1)
    site.client.execute_command("ACL", "SETUSER", "default", "-hscan")
    site.client.hset("{geosteer}:current", "swept", "2020-01-01T00:00:00Z")
    outcome = site.publish(2, keep=1, grace=0)
    assert [warning.partition(":")[0] for warning in outcome.warnings] == ["looking for forgotten objects"]
    assert outcome.collected.generations == 1


def test_no_command_touches_many_fields_and_none_goes_over_the_whole_hash(
    site: Site, own_redis: RedisServer
) -> None:
    sent: list[list[bytes]] = []
    for day in range(1, 4):
        if day == 3:
            site.client.hset("{geosteer}:current", "swept", "2020-01-01T00:00:00Z")
        with Relay(own_redis.directory, own_redis.socket) as relay:
            site.publish(day, url=relay.url, keep=1, grace=0)
        sent += relay.commands
    most = {b"HSET": 2 * 100, b"HMGET": 100, b"HDEL": 500}
    on_objects = [words for words in sent if b"{geosteer}:object" in words]
    for name, _, *fields in on_objects:
        assert name not in most or len(fields) <= most[name]
    used = {words[0] for words in on_objects}
    assert used == {b"HLEN", b"HEXISTS", b"HMGET", b"HSET", b"HDEL", b"WATCH", b"FCALL_RO"}


def test_a_collector_that_lost_the_lock_deletes_nothing_more(site: Site) -> None:
    for day in (1, 2, 3):
        site.publish(day)
    before = objects_in(site.client)
    config = make_config(site.folder, site.server.url)
    with connect(config.redis) as store, Lease(store) as lease:
        site.client.set("{geosteer}:lock", "somebody else")
        with pytest.raises(Refused, match="lock was lost"):
            collect(store, lease, Collected(), keep=1, grace=0)
    assert objects_in(site.client) == before
    assert len(site.history()) == 3
    assert site.client.get("{geosteer}:lock") == b"somebody else"


def test_roots_are_deleted_before_what_lies_below_them(site: Site, own_redis: RedisServer) -> None:
    for day in (1, 2):
        site.publish(day)
    old = site.history()[0]
    with Relay(own_redis.directory, own_redis.socket) as relay:
        site.collect(url=relay.url)
    (deleted,) = [words[2:] for words in relay.commands if words[0] == b"HDEL"]
    assert len(deleted) > 2
    assert deleted[0] == old["geo.v4"].encode()


def test_nothing_is_deleted_while_a_published_table_is_not_whole(site: Site) -> None:
    for day in (1, 2):
        site.publish(day)
    site.client.hdel("{geosteer}:object", current_of(site.client)["geo.v4"])
    before = objects_in(site.client)
    with pytest.raises(CorruptPage, match="root page"):
        site.collect()
    assert objects_in(site.client) == before


def test_old_generations_that_are_no_longer_whole_do_not_stop_the_collector(site: Site) -> None:
    for day in (1, 2, 3):
        site.publish(day)
    first, second, _ = site.history()
    site.client.hdel("{geosteer}:object", first["geo.v4"], second["geo.v4"])
    assert site.collect(keep=2).generations == 1
    assert [fields["generation"] for fields in site.history()] == ["2", "3"]
    contents(site.client, current_of(site.client))
