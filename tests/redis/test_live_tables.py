"""`geosteer follow` with BGP updates, on a real Redis: what is published is what the sessions hold, or what it was."""

from __future__ import annotations

import json
import socket
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.config.config import load
from geosteer_loader.follow import service
from geosteer_loader.follow.configuration import FollowedConfiguration
from geosteer_loader.follow.service import Follower
from geosteer_loader.journal import live_series
from geosteer_loader.journal.reading import read
from geosteer_loader.publish.rollback import rollback
from geosteer_loader.query.past import Timeline
from geosteer_loader.query.tampering import gaps
from geosteer_loader.rib import kept_routes
from geosteer_loader.store import history
from geosteer_loader.store.store import Store, connect
from support.exabgp_lines import Exabgp
from support.https_server import HttpsServer
from support.publishing import contents, current_of, needed_objects, objects_in, write_config, write_csv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from geosteer_loader.config.config import Config
    from support.certificates import Certificates
    from support.servers import RedisServer

PEER, OTHER = "10.99.0.1", "10.99.0.2"

SOURCES = """
[sources]
cache = "{folder}/cache"
[[sources.bgp]]
format = "exabgp"
socket = "exabgp.sock"
families = ["ipv4"]
[[sources.path]]
format = "exabgp"
socket = "exabgp.sock"
families = ["ipv4"]
peers = ["10.99.0.1"]
vantage = "lon"
"""


class Site:
    """A follower whose service the test runs turn by turn, and a writer of lines."""

    def __init__(
        self, server: RedisServer, prefix: str, folder: Path, more: str = SOURCES, **options: Any
    ) -> None:
        self.server = server
        self.prefix = prefix
        self.folder = folder
        table = write_csv(folder / "geo.csv")
        write_config(
            folder,
            server.url,
            prefix,
            geo=[table],
            more=more.format(folder=folder) + "[follow]\nquiet = 0\n",
            **options,
        )
        self.skew = 0.0
        self.start()

    def start(self) -> None:
        """A new run of the service, and a new ExaBGP that is connected to it."""
        self.follower = Follower(
            FollowedConfiguration(self.folder / "geosteer.toml", {}),
            self.connect,
            lambda: time.monotonic() + self.skew,
        )
        self.attach()

    def attach(self) -> None:
        self.writer = Exabgp()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(self.folder / "exabgp.sock"))

    def end(self) -> None:
        self.socket.close()
        self.follower.stop()
        self.follower.run()

    @staticmethod
    def connect(config: Config) -> Store:
        return connect(config.redis, config.journal.max_length)

    def say(self, *lines: bytes) -> None:
        self.socket.sendall(b"".join(line + b"\n" for line in lines))

    def load(self, peer: str = PEER, count: int = 20, origin: int = 174) -> None:
        routes = (f"5.0.{number}.0/24" for number in range(count))
        self.say(
            self.writer.up(peer), self.writer.announce(peer, [3356, origin], *routes), self.writer.eor(peer)
        )

    def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Turn the service until something is so; its clock is put on, so that intervals cost no time."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.records()
            self.skew += 1.0
            self.follower.turn()
            time.sleep(0.01)

    def idle(self) -> None:
        """Some turns, by which time everything that was said has arrived."""
        for _ in range(20):
            self.skew += 1.0
            self.follower.turn()
            time.sleep(0.01)

    @property
    def current(self) -> dict[str, str]:
        with self.server.client() as client:
            return current_of(client, self.prefix)

    def records(self, table: str = "bgp.v4") -> dict[str, int]:
        """Record -> ranges that have it."""
        with self.server.client() as client:
            fields = current_of(client, self.prefix)
            found = contents(client, fields, self.prefix).get(table, {}) if fields else {}
        return {record: list(found.values()).count(record) for record in set(found.values()) - {""}}

    def told(self) -> list[str]:
        with connect(load(self.folder / "geosteer.toml", {}).redis) as store:
            return [f"{event.what} {event.subject}" for event in read(store) if event.kind == "session"]


@pytest.fixture
def site(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[Site]:
    site = Site(redis_server, prefix, tmp_path)
    yield site
    site.end()


def test_routes_are_published_and_changes_of_single_ones(site: Site) -> None:
    site.until(lambda: "geo.v4" in site.current)
    assert "bgp.v4" not in site.current
    site.load()
    site.until(lambda: site.records() == {"AS174": 1})
    site.until(lambda: site.records("path.v4") == {"lon=2": 1})
    before = site.current
    site.say(site.writer.announce(PEER, [65001, 174, 15169], "5.0.3.0/24"))
    site.until(lambda: site.records() == {"AS174": 2, "AS15169": 1})
    site.until(lambda: site.records("path.v4") == {"lon=2": 2, "lon=3": 1})
    site.say(site.writer.withdraw(PEER, "5.0.3.0/24", "5.0.10.0/24"))
    site.until(lambda: site.records() == {"AS174": 3})
    assert site.current["bgp.prefixes"] == "18"
    assert site.current["geo.v4"] == before["geo.v4"]
    assert json.loads(site.current["bgp.source"])[0]["format"] == "exabgp"


def test_updates_that_change_nothing_publish_nothing(site: Site) -> None:
    site.load()
    site.until(lambda: "path.v4" in site.current)
    site.idle()
    before = site.current["generation"]
    site.say(site.writer.announce(PEER, [65001, 174], "5.0.3.0/24"))
    site.say(site.writer.withdraw(PEER, "5.9.0.0/24"))
    site.idle()
    assert site.current["generation"] == before


def test_a_lost_session_and_one_that_flaps_leave_the_table_as_it_is(site: Site) -> None:
    site.load()
    site.until(lambda: site.records() == {"AS174": 1} and "path.v4" in site.current)
    site.idle()
    before = site.current
    for count in (0, 5, 15):
        site.say(site.writer.down(PEER))
        site.load(count=count, origin=3356)
        site.idle()
    assert site.current == before
    site.load(origin=3356)
    site.until(lambda: site.records() == {"AS3356": 1})
    assert site.told().count(f"lost {PEER}") >= 3
    with site.server.client() as client:
        ((name, text),) = client.hgetall(f"{{{site.prefix}}}:session").items()
    told = json.loads(text)
    assert name.decode().endswith(f"exabgp.sock {PEER}")
    assert (told["state"], told["losses"], told["prefixes"]["ipv4"]) == ("current", 3, 20)


def test_a_killed_service_and_one_that_starts_anew_wait_for_as_many_routes(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    site = Site(redis_server, prefix, tmp_path)
    site.load()
    site.until(lambda: site.records() == {"AS174": 1} and "path.v4" in site.current)
    site.end()
    state = json.loads((tmp_path / "cache" / "bgp-sessions.json").read_text())
    (sessions,) = state["streams"].values()
    assert sessions[PEER]["prefixes"] == {"ipv4": 20, "ipv6": 0}
    before = site.current
    site.start()
    site.idle()
    site.load(count=15, origin=3356)
    site.idle()
    assert site.current == before
    site.end()
    (tmp_path / "cache" / "bgp-sessions.json").unlink()  # what is published tells as much
    site.start()
    site.load(count=15, origin=3356)
    site.idle()
    assert site.current == before
    site.load(count=19, origin=3356)
    site.until(lambda: site.records() == {"AS3356": 1})
    site.end()


def lose_one(site: Site) -> None:
    """Two sessions are published, one of them is lost, and the service ends."""
    site.load()
    site.load(OTHER, origin=3356)
    site.until(lambda: site.records() == {"AS174 AS3356": 1} and "path.v4" in site.current)
    site.say(site.writer.down(OTHER))
    site.until(lambda: f"lost {OTHER}" in site.told())
    site.end()


def test_after_a_restart_what_a_lost_session_had_counts_beside_one_that_is_back(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    site = Site(redis_server, prefix, tmp_path)
    lose_one(site)
    before = site.current
    site.start()
    site.idle()
    site.load(count=15, origin=15169)  # half a table
    site.idle()
    assert site.current == before
    site.load(origin=15169)
    site.until(lambda: site.records() == {"AS3356 AS15169": 1})
    site.until(lambda: site.records("path.v4") == {"lon=2": 1})
    site.end()


@pytest.mark.parametrize("damage", ["half", "foreign", "old", "folder"])
def test_kept_routes_that_cannot_be_used_are_told_of_and_the_old_table_stays(
    redis_server: RedisServer, prefix: str, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(redis_server, prefix, tmp_path)
    lose_one(site)
    before = site.current
    kept = tmp_path / "cache" / "bgp-routes"
    whole = kept.read_bytes()
    if damage == "half":
        kept.write_bytes(whole[: len(whole) // 2])
    elif damage == "foreign":
        kept.write_bytes(b"SQLite format 3\0")
    elif damage == "old":
        _, sessions = kept_routes.decode(whole, 0.0)
        kept.write_bytes(kept_routes.sealed(kept_routes.encode(sessions, time.time() - 7200, 0.0)))
    else:
        kept.unlink()
        kept.mkdir()
    site.start()
    site.load(origin=15169)
    site.idle()
    assert site.current == before
    assert [message for message in caplog.messages if "are not used" in message] != []
    site.load(OTHER, origin=3356)
    site.until(lambda: site.records() == {"AS3356 AS15169": 1})
    site.end()
    assert (damage == "folder") == any("not kept" in message for message in caplog.messages)


def test_what_killed_services_left_half_written_is_removed(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    left = [cache / ".bgp-routes.0j2x_8k1", cache / ".bgp-sessions.json.a8_9dk2x"]
    others = [cache / ".bgp-routes", cache / ".other.json.a8_9dk2x", cache / "bgp-routes.mine"]
    for path in [*left, *others]:
        path.write_bytes(b"half")
    site = Site(redis_server, prefix, tmp_path)
    site.end()
    assert [path.exists() for path in left] == [False, False]
    assert all(path.exists() for path in others)


def test_what_a_router_says_when_it_ends_a_session_is_told_whatever_it_is(site: Site) -> None:
    site.load()
    site.until(lambda: f"whole {PEER}" in site.told())
    said = json.dumps("bye \ud800\n\x1b[31m")
    site.say(site.writer.down(PEER).replace(b'"closing connection"', said.encode()))
    site.until(lambda: f"lost {PEER}" in site.told())
    with connect(load(site.folder / "geosteer.toml", {}).redis) as store:
        assert next(event.why for event in read(store) if event.what == "lost") == r"bye \ud800\n\x1b[31m"


def change(site: Site, *origins: int) -> None:
    """Publishes in which nothing changes but the origin of a route."""

    def there(origin: int) -> Callable[[], bool]:
        return lambda: f"AS{origin}" in site.records()

    for origin in origins:
        site.say(site.writer.announce(PEER, [3356, origin], "5.0.3.0/24"))
        site.until(there(origin))


def test_publishes_of_sessions_are_few_events_and_generations_and_nothing_is_lost_between_them(
    redis_server: RedisServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CLEAN_EVERY", 0.0)
    site = Site(redis_server, prefix, tmp_path, grace=0, keep=2, keep_for=86400)
    site.load()
    site.until(lambda: site.records() == {"AS174": 1} and "path.v4" in site.current)
    config = load(tmp_path / "geosteer.toml", {})
    with connect(config.redis) as store:

        def told() -> list[tuple[str, str]]:
            kinds = ("publish", "live", "rollback")
            return [(event.kind, event.after) for event in read(store) if event.kind in kinds]

        before, began = told(), int(site.current["generation"])
        change(site, *range(1, 31))
        last = int(site.current["generation"])
        assert last == began + 30
        assert told() == before
        assert site.current["journalled"].startswith(f"{began} ")
        generations = history.entries(store)
        assert 2 < len(generations) < 30
        needed: set[str] = set()
        with site.server.client() as client:
            for entry in generations:
                contents(client, entry.fields, prefix)
                needed |= needed_objects(client, entry.fields, prefix)
            assert objects_in(client, prefix) == needed
        gap = next(older for older, newer in pairwise(generations) if newer.generation > older.generation + 1)
        past = Timeline(store).at(gap.written + 0.001)
        assert [doubt for doubt in past.doubts if "no longer kept" in doubt] != []
        assert gaps(Timeline(store)) == []

        write_csv(tmp_path / "geo.csv", ["192.0.2.0/24,GB", "198.51.100.0/24,NL"])  # something else changes
        site.until(lambda: len(told()) > len(before))
        assert told()[len(before) :] == [("live", str(last)), ("publish", str(last + 1))]
        assert "journalled" not in site.current
        change(site, 31)
        monkeypatch.setattr(live_series, "EVERY", 0.0)
        change(site, 32)  # an hour is over
        assert told()[-1] == ("live", str(last + 3))
        monkeypatch.undo()
        change(site, 33, 34)
        fields = rollback(store)
        assert fields["restored"] == str(last + 1)
        assert told()[-2:] == [("live", str(last + 5)), ("rollback", str(last + 6))]
        assert "journalled" not in fields
        assert gaps(Timeline(store)) == []
    site.end()


def test_a_slow_server_holds_up_no_publish(
    redis_server: RedisServer, prefix: str, tmp_path: Path, certificates: Certificates
) -> None:
    with HttpsServer(certificates) as server:
        file = server.put("/late.csv", b"198.51.100.0/24,NL\n")
        url = (
            f'[[sources.geo]]\nformat = "csv"\npath = "{server.url}/late.csv"\nca = "{certificates["ca"]}"\n'
        )
        site = Site(redis_server, prefix, tmp_path, SOURCES + url)
        site.load()
        site.until(lambda: site.records() == {"AS174": 1} and "geo.v4" in site.current)
        assert "NL" in site.records("geo.v4")
        file.stall = 60.0
        server.requests("/late.csv")
        site.follower.turn()  # sees that the publish is through: time after that is none that it took
        site.skew += 1000.0
        site.until(lambda: server.seen != [])
        change(site, 1, 2, 3)  # while it is waited for
        site.end()


def test_a_table_that_shrinks_too_much_is_refused_and_nothing_changes(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    site = Site(redis_server, prefix, tmp_path)
    config = tmp_path / "geosteer.toml"
    config.write_text(config.read_text().replace("max_shrink = 1.0", "max_shrink = 0.2"))
    site.end()
    site.start()
    site.load()
    site.until(lambda: site.records() == {"AS174": 1} and "path.v4" in site.current)
    before = site.current
    site.say(site.writer.withdraw(PEER, *(f"5.0.{number}.0/24" for number in range(12))))
    site.idle()
    assert {name: site.current[name] for name in ("bgp.v4", "path.v4")} == {
        name: before[name] for name in ("bgp.v4", "path.v4")
    }
    site.say(site.writer.announce(PEER, [3356, 174], *(f"5.0.{number}.0/24" for number in range(1, 12))))
    site.skew += 60.0
    site.until(lambda: site.records() == {"AS174": 1})
    site.end()


def test_lines_that_are_none_are_warned_of_and_end_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.say(b"nonsense", b"x" * (5 << 20), b"{}", b'{"neighbor": 1}')
    site.load()
    site.until(lambda: site.records() == {"AS174": 1})
    warned = [message for message in caplog.messages if "malformed line" in message]
    assert len(warned) == 1


def test_a_publish_by_hand_leaves_live_tables_as_they_are(site: Site) -> None:
    from geosteer_loader.publish.publish import publish

    site.load()
    site.until(lambda: site.records() == {"AS174": 1} and "path.v4" in site.current)
    config = load(site.folder / "geosteer.toml", {})
    with site.connect(config) as store:
        assert publish(config, store).changed == []
    assert site.records() == {"AS174": 1}


def test_invalid_origins_do_not_count_in_live_tables_and_other_roas_are_taken_up(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    roas = tmp_path / "roas.json"

    def authorise(*pairs: tuple[str, int]) -> None:
        listed = [{"asn": asn, "prefix": prefix, "maxLength": 24, "ta": "ripe"} for prefix, asn in pairs]
        roas.with_suffix(".new").write_text(
            json.dumps({"metadata": {"buildtime": int(time.time())}, "roas": listed})
        )
        roas.with_suffix(".new").replace(roas)

    authorise(("5.0.0.0/22", 174), ("5.0.4.0/24", 174))
    site = Site(redis_server, prefix, tmp_path, SOURCES + f'[rpki]\nroas = "{roas}"\n')
    site.load()
    site.until(lambda: site.records() == {"AS174": 1})
    site.say(site.writer.announce(PEER, [65001, 3356], "5.0.3.0/24", "5.0.4.0/24", "5.0.5.0/24"))
    site.until(lambda: site.records() == {"AS174": 2, "AS3356": 1})  # 3 and 4 are invalid, 5 is not found
    site.until(lambda: site.records("path.v4") == {"lon=2": 2})
    authorise(("5.0.0.0/22", 174), ("5.0.4.0/24", 3356))
    site.until(lambda: site.records() == {"AS174": 2, "AS3356": 1} and site.current["bgp.prefixes"] == "19")
    assert json.loads(site.current["bgp.rpki"])["invalid"] == 1
    site.end()


def test_far_fewer_roas_are_not_believed_where_no_copy_of_those_before_could_be_kept(
    redis_server: RedisServer, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def authorise(count: int) -> None:
        listed = [{"asn": 174, "prefix": f"5.0.{number}.0/24", "maxLength": 24} for number in range(count)]
        (tmp_path / "roas.new").write_text(json.dumps({"roas": listed}))
        (tmp_path / "roas.new").replace(tmp_path / "roas.json")

    (tmp_path / "cache" / "rpki-kept.json").mkdir(parents=True)  # in the way, as a full disk is
    authorise(20)
    site = Site(redis_server, prefix, tmp_path, SOURCES + f'[rpki]\nroas = "{tmp_path}/roas.json"\n')
    site.load(origin=3356)
    site.say(site.writer.announce(PEER, [65001, 174], "5.0.0.0/24"))
    site.until(lambda: site.records() == {"AS174": 1})
    authorise(1)
    site.until(lambda: any("has 1 entries, 20 were there before" in message for message in caplog.messages))
    site.say(site.writer.announce(PEER, [65001, 174], "5.0.2.0/24"))
    site.until(lambda: site.records() == {"AS174": 2})
    assert json.loads(site.current["bgp.rpki"])["vrps"] == 20
    site.end()
