"""`geosteer follow` on a real Redis: files that grow, refusals, the configuration; by a clock that the test turns."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.config.config import load
from geosteer_loader.follow.configuration import FollowedConfiguration
from geosteer_loader.follow.followed import POLL
from geosteer_loader.follow.service import Follower
from geosteer_loader.journal.reading import read
from geosteer_loader.publish import publish as publishing
from geosteer_loader.store.store import Store, connect
from support.mrt_writer import peers, rib
from support.publishing import contents, current_of, write_config, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer_loader.config.config import Config
    from support.servers import RedisServer

MORE = """
[[sources.bgp]]
format = "mrt"
path = "{path}"
[follow]
{follow}
"""


def dump(prefixes: int, origin: int = 10) -> list[bytes]:
    """The records of a dump of so many prefixes."""
    return [peers(3356), *(rib(f"5.{number}.0.0/16", [3356, origin]) for number in range(prefixes))]


class Site:
    """A follower whose time passes when the test says so."""

    def __init__(
        self,
        server: RedisServer,
        prefix: str,
        folder: Path,
        *,
        path: str = "rib.mrt",
        follow: str = "",
        more: str = "",
    ) -> None:
        self.server = server
        self.prefix = prefix
        self.folder = folder
        self.dump = folder / "rib.mrt"
        self.dump.write_bytes(b"".join(dump(100)))
        self.table = write_csv(folder / "geo.csv")
        self.follow = MORE.format(path=folder / path, follow=follow) + more
        self.write_config()
        self.now = 1000.0
        self.follower = Follower(
            FollowedConfiguration(folder / "geosteer.toml", {}), self.connect, lambda: self.now
        )
        self.after(20)
        assert self.generation == 1

    def write_config(self, weight: int = 100) -> None:
        write_config(
            self.folder,
            self.server.url,
            self.prefix,
            geo=[self.table],
            grace=0,
            more=self.follow,
            weight=weight,
        )

    @staticmethod
    def connect(config: Config) -> Store:
        return connect(config.redis, config.journal.max_length)

    def after(self, seconds: float) -> None:
        for _ in range(int(seconds / POLL)):
            self.now += POLL
            self.follower.turn()

    @property
    def generation(self) -> int:
        with self.server.client() as client:
            return int(current_of(client, self.prefix).get("generation", 0))

    @property
    def config(self) -> str:
        with self.server.client() as client:
            return current_of(client, self.prefix)["config"]

    def routes(self) -> set[str]:
        """The records of table `bgp`."""
        with self.server.client() as client:
            tables = contents(client, current_of(client, self.prefix), self.prefix)
        return set(tables["bgp.v4"].values()) - {""}

    def kinds(self) -> list[str]:
        with connect(load(self.folder / "geosteer.toml", {}).redis) as store:
            return [event.kind for event in read(store)]


@pytest.fixture
def site(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[Site]:
    site = Site(redis_server, prefix, tmp_path)
    yield site
    site.follower.stop()
    site.follower.run()


def test_several_changes_become_one_publish_and_nothing_is_published_without_one(site: Site) -> None:
    site.after(300)
    assert site.generation == 1
    site.dump.write_bytes(b"".join(dump(100, 20)))
    site.after(3)
    write_csv(site.table, ["192.0.2.0/24,GB", "198.51.100.0/24,NL"])
    site.after(4)
    assert site.generation == 1
    site.after(3)
    assert site.generation == 2
    assert site.routes() == {"AS20"}


def test_a_dump_that_is_being_written_is_waited_for_without_a_word(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with site.dump.open("wb", buffering=0) as file:
        for record in dump(100, 20):
            file.write(record)
            site.after(POLL)
        site.after(100)
        assert (site.generation, site.routes(), caplog.messages) == (1, {"AS10"}, [])
    site.after(6)
    assert (site.generation, site.routes()) == (2, {"AS20"})


def test_a_dump_cut_off_anywhere_is_never_published(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Also between two records, where it looks whole: a share of the routes before has to be there."""
    caplog.set_level(logging.INFO)
    records = dump(100, 20)
    whole = b"".join(records)
    edges = [len(b"".join(records[: len(records) * tenth // 10])) for tenth in range(1, 10)]
    for size in (0, *(len(whole) * tenth // 10 for tenth in range(1, 10)), *edges):
        site.dump.write_bytes(whole[:size])
        site.after(30)
        assert (site.generation, site.routes(), caplog.messages) == (1, {"AS10"}, []), size
    site.dump.write_bytes(whole)
    site.after(6)
    assert (site.generation, site.routes()) == (2, {"AS20"})


def test_of_dumps_in_a_file_that_stays_open_the_last_one_with_another_behind_it_counts(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """As GoBGP appends them: nothing but the next dump's beginning says that one is whole."""
    caplog.set_level(logging.INFO)
    second, third = dump(100, 20), dump(100, 30)
    with site.dump.open("ab", buffering=0) as file:
        site.after(30)
        assert (site.generation, site.routes()) == (1, {"AS10"})
        for tenth in range(10):
            file.write(b"".join(second[len(second) * tenth // 10 : len(second) * (tenth + 1) // 10]))
            site.after(30)
            assert site.routes() == {"AS10"}, tenth
        for number, record in enumerate(third):
            file.write(record[:9])
            site.after(POLL)
            file.write(record[9:])
            if number in {0, 40, 90}:
                site.after(30)
                assert site.routes() == {"AS20"}, number
        site.after(60)
        assert site.routes() == {"AS20"}
        file.write(b"".join(dump(100, 40))[:50])
        site.after(30)
        assert site.routes() == {"AS30"}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_stays_half_for_long_is_told_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.dump.write_bytes(b"".join(dump(50)))
    site.after(1300)
    (line,) = [message for message in caplog.messages if "not published" in message]
    assert "has 50 v4 prefixes, the one before had 100" in line


def test_other_sources_are_published_while_a_dump_is_half(site: Site) -> None:
    site.dump.write_bytes(b"".join(dump(30, 20)))
    write_csv(site.table, ["192.0.2.0/24,GB", "198.51.100.0/24,NL"])
    site.after(10)
    assert (site.generation, site.routes()) == (2, {"AS10"})


def test_a_refusal_is_journalled_once_and_tried_again_only_after_a_change(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    text = (site.folder / "geosteer.toml").read_text()
    (site.folder / "geosteer.toml").write_text(text + "[guard.canaries]\n'192.0.2.1' = 'GB'\n")
    site.after(10)
    write_csv(site.table, ["192.0.2.0/24,NL"])
    site.after(200)
    assert site.generation == 1
    assert site.kinds() == ["publish", "refused"]
    assert len([message for message in caplog.messages if "canaries" in message]) == 1
    write_csv(site.table, ["192.0.2.0/24,GB"])
    site.after(80)
    assert site.generation == 2


def test_the_configuration_is_followed_and_one_with_a_slip_keeps_the_one_before(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    path = site.folder / "geosteer.toml"
    good = path.read_text()
    path.write_text(good.replace("lon1 = 100", "lon1 = 70"))
    site.after(6)
    assert site.generation == 2
    path.write_text(good + "[nonsense]\n")
    site.after(6)
    site.dump.write_bytes(b"".join(dump(100, 20)))
    site.after(10)
    assert (site.generation, site.routes()) == (3, {"AS20"})
    assert len([message for message in caplog.messages if "nonsense" in message]) == 1
    path.write_text(good)
    site.after(6)
    assert site.generation == 4


def test_a_configuration_that_is_not_followed_stays_as_it_is_published(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    site = Site(redis_server, prefix, tmp_path, follow="config = false")
    before = site.config
    site.write_config(weight=50)
    site.after(30)
    site.dump.write_bytes(b"".join(dump(100, 20)))
    site.after(30)
    assert (site.generation, site.config) == (2, before)


def test_of_dated_dumps_the_newest_whole_one_counts(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    site = Site(redis_server, prefix, tmp_path, path="rib*.mrt")
    (tmp_path / "rib.2.mrt").write_bytes(b"".join(dump(100, 20)))
    with (tmp_path / "rib.3.mrt").open("wb", buffering=0) as growing:
        growing.write(b"".join(dump(100, 30)))
        (tmp_path / "rib.4.mrt").write_bytes(b"")
        site.after(30)
        assert (site.generation, site.routes()) == (2, {"AS20"})
    site.after(6)
    assert (site.generation, site.routes()) == (3, {"AS30"})


def test_lists_of_networks_are_followed(redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "partner.txt").write_text("198.51.100.0/24\n")
    site = Site(redis_server, prefix, tmp_path, more='[networks.partner]\nfile = "partner.txt"\n')
    (tmp_path / "partner.txt").write_text("198.51.100.0/25\n")
    site.after(6)
    assert site.generation == 2


def test_a_redis_that_is_away_is_tried_again_without_a_change(
    own_redis: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(own_redis, "geosteer", tmp_path)
    site.server.stop()
    site.dump.write_bytes(b"".join(dump(100, 20)))
    site.after(200)
    assert len([message for message in caplog.messages if "connect" in message.lower()]) == 1
    site.server.start()
    site.after(70)
    assert site.routes() == {"AS20"}


def test_a_file_that_changes_while_it_is_read_is_not_published(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = publishing.publish
    changed: list[bool] = []

    def changing(config: Config, store: Store, **options: Any) -> publishing.Outcome:
        if not changed:
            changed.append(True)
            site.dump.write_bytes(b"".join(dump(100, 30)))
        return publish(config, store, **options)

    monkeypatch.setattr("geosteer_loader.follow.service.publish", changing)
    site.dump.write_bytes(b"".join(dump(100, 20)))
    site.after(5.5)
    assert changed
    assert (site.generation, site.routes()) == (1, {"AS10"})
    site.after(6)
    assert (site.generation, site.routes()) == (2, {"AS30"})
    assert site.kinds() == ["publish", "publish"]


def test_a_newer_dump_that_comes_while_one_is_read_does_not_stop_its_publish(
    redis_server: RedisServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a router that dumps more often than a publish takes would never be heard."""
    site = Site(redis_server, prefix, tmp_path, path="rib*.mrt")
    publish = publishing.publish

    def slow(config: Config, store: Store, **options: Any) -> publishing.Outcome:
        (tmp_path / "rib.3.mrt").write_bytes(b"".join(dump(100, 30)))
        return publish(config, store, **options)

    monkeypatch.setattr("geosteer_loader.follow.service.publish", slow)
    (tmp_path / "rib.2.mrt").write_bytes(b"".join(dump(100, 20)))
    site.after(5.5)
    assert (site.generation, site.routes()) == (2, {"AS20"})
    monkeypatch.setattr("geosteer_loader.follow.service.publish", publish)
    site.after(6)
    assert (site.generation, site.routes()) == (3, {"AS30"})
