"""Publishing a large database with what was read of the one before: the outcome is that of reading all of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import CorruptPage, Refused
from geosteer_loader.config.config import load
from geosteer_loader.progress import Silent
from geosteer_loader.publish.plan import plan
from geosteer_loader.publish.publish import publish
from geosteer_loader.sources.mmdb_tree import SearchTree
from geosteer_loader.store.store import connect
from geosteer_loader.tables import provenance, remembered
from support.mmdb_writer import Database, encode
from support.publishing import current_of, needed_objects, objects_in, write_config, write_csv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from geosteer_loader.config.config import Config
    from support.servers import RedisServer

pytestmark = pytest.mark.no_cover

DEPTH = 16
"""Of a tree whose networks are /16, but for one at least: 65,536 nodes are worth remembering."""
TOWNS = [
    {"country": {"iso_code": code}, "location": {"latitude": number / 4, "longitude": -number / 8}}
    for number, code in enumerate(["DE", "US", "GB", "FR", "AT"] * 60)
]


def first(number: int) -> int:
    return number * 7 % len(TOWNS)


def changed(number: int) -> int:
    """One in fifty has moved."""
    return (first(number) + (number % 50 == 0)) % len(TOWNS)


def moved(number: int) -> int:
    """One in a hundred has, and another one."""
    return (changed(number) + 3 * (number % 100 == 1)) % len(TOWNS)


def write(path: Path, town: Callable[[int], int], *, split: int = 1) -> Path:
    """A database. Args: town: of each network; split: how many networks are two of half the size."""
    database = Database(version=4, record_size=28)
    places = []
    for data in TOWNS:
        places.append(("data", len(database.data)))
        database.data += encode(data)
    inner = (1 << DEPTH) - 1
    leaves = [places[town(number)] for number in range(1 << DEPTH)]
    database.nodes = [
        [at if at < inner else leaves[at - inner] for at in (2 * node + 1, 2 * node + 2)]
        for node in range(inner)
    ]
    for number in range(split):
        database.nodes.append([places[number], places[number + 1]])
        database.nodes[inner - 1 - number][1] = len(database.nodes) - 1
    return database.write(path)


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("databases")
    return {
        "first": write(folder / "first.mmdb", first),
        "changed": write(folder / "changed.mmdb", changed),
        "moved": write(folder / "moved.mmdb", moved),
        "recut": write(folder / "recut.mmdb", moved, split=30),
    }


class Site:
    """Configurations that remember, in a folder of their own, beside one that does not."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self._folder = folder
        self._server = server
        self.cache = folder / "copies"

    def config(self, *geo: Path, prefix: str = "geosteer", said: str = "", **options: Any) -> Config:
        folder = self._folder / prefix
        folder.mkdir(exist_ok=True)
        path = write_config(folder, self._server.url, prefix, geo=geo, keep=1, **options)
        path.write_text(f'[sources]\ncache = "{self.cache}"\n{said}{path.read_text()}')
        return load(path, {})

    def publish(self, *geo: Path, prefix: str = "geosteer", **options: Any) -> None:
        """Publish, and compare with what a configuration publishes that reads everything."""
        config = self.config(*geo, prefix=prefix, **options)
        with connect(config.redis) as store:
            publish(config, store, force={"vanished"})
        self.compare(*geo, prefix=prefix, **options)

    def compare(self, *geo: Path, prefix: str = "geosteer", **options: Any) -> None:
        plain = self.config(*geo, prefix=f"{prefix}-plain", said="remember = false\n", **options)
        with connect(plain.redis) as store:
            publish(plain, store, force={"vanished"})
        client = self._server.client()
        with_memory, without = (current_of(client, name) for name in (prefix, f"{prefix}-plain"))
        stamps = {"generation", "published", "swept", "nets.built"}
        assert {name: value for name, value in with_memory.items() if name not in stamps} == {
            name: value for name, value in without.items() if name not in stamps
        }
        assert needed_objects(client, with_memory, prefix) <= objects_in(client, prefix)

    def kept(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.cache.glob("*"))}


@pytest.fixture
def site(tmp_path: Path, own_redis: RedisServer) -> Site:
    return Site(tmp_path, own_redis)


def test_each_of_several_databases_is_published_as_if_all_of_it_were_read(site, databases):
    for name in ("first", "changed", "recut", "first"):
        site.publish(databases[name])
        assert [path.suffix for path in site.cache.iterdir()].count(".read") == 1


def test_of_a_database_with_the_same_tree_only_what_changed_is_read(site, databases, monkeypatch):
    site.publish(databases["first"])
    config = site.config(databases["changed"])
    walk = SearchTree.walk
    monkeypatch.setattr(SearchTree, "walk", None)
    with connect(config.redis) as store:
        publish(config, store)
    monkeypatch.setattr(SearchTree, "walk", walk)
    site.compare(databases["changed"])


def test_what_is_planned_or_refused_is_not_remembered(site, databases):
    site.publish(databases["first"])
    before = site.kept()
    assert len(before) == 2
    config = site.config(databases["changed"])
    with connect(config.redis) as store:
        assert "geo" in plan(config, store, meter=Silent).changed
    assert site.kept() == before
    refused = site.config(databases["changed"], more='[guard.canaries]\n"1.0.0.1" = "JP"\n')
    with connect(refused.redis) as store, pytest.raises(Refused):
        publish(refused, store)
    assert site.kept() == before
    site.publish(databases["moved"])
    assert site.kept() != before


@pytest.mark.parametrize("harm", ["cut", "foreign", "folder", "table alone", "reading alone"])
def test_kept_files_that_are_not_what_they_should_be_change_nothing(site, databases, harm):
    site.publish(databases["first"])
    reading, table = sorted(site.cache.iterdir())
    if harm == "cut":
        for path in (reading, table):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif harm == "foreign":
        other = Site(site.cache.parent / "other", site._server)
        other.cache.parent.mkdir()
        other.publish(databases["recut"], prefix="other")
        for path, kept in zip((reading, table), sorted(other.cache.iterdir()), strict=True):
            path.write_bytes(kept.read_bytes())
    elif harm == "folder":
        reading.unlink()
        reading.mkdir()
    else:
        (reading if harm == "table alone" else table).unlink()
    site.publish(databases["changed"])
    site.publish(databases["moved"])


def test_pages_that_are_not_what_was_remembered_are_not_published(site, databases, tmp_path, monkeypatch):
    outlined = remembered._outlined
    monkeypatch.setattr(
        remembered, "_outlined", lambda built: [(*leaf[:3], bytes(16)) for leaf in outlined(built)]
    )
    site.publish(databases["first"])
    monkeypatch.setattr(remembered, "_outlined", outlined)
    one = write(tmp_path / "one.mmdb", lambda number: first(number + (number == 0)))
    config = site.config(one)
    with connect(config.redis) as store, pytest.raises(CorruptPage, match="is not what was remembered"):
        publish(config, store)
    assert site.kept() == {}
    site.publish(one)


def test_what_else_the_configuration_says_may_change_meanwhile(site, databases, tmp_path):
    correction = write_csv(tmp_path / "correction.csv", ["1.0.0.0/24,JP"])
    site.publish(databases["first"])
    site.publish(databases["changed"], weight=50)
    assert len(site.kept()) == 2
    site.publish(databases["changed"], correction)
    assert site.kept() == {}, "nothing is remembered of two sources"
    site.publish(databases["moved"])
    assert len(site.kept()) == 2
    site.publish(networks={"lab": ["10.0.0.0/8"]})
    assert site.kept() == {}, "nor of none"


def test_what_another_version_kept_is_not_used(site, databases, monkeypatch):
    site.publish(databases["first"])
    monkeypatch.setattr(provenance, "BUILDER", "another")
    walks = []
    walk = SearchTree.walk

    def counted(*given: Any) -> Any:
        walks.append(given)
        return walk(*given)

    monkeypatch.setattr(SearchTree, "walk", counted)
    site.publish(databases["changed"])
    assert len(walks) == 2, "with what it kept, and without"


def test_configurations_that_share_a_folder_do_not_disturb_each_other(site, databases):
    for name, other in (("first", "recut"), ("changed", "first"), ("moved", "changed")):
        site.publish(databases[name], prefix="one")
        site.publish(databases[other], prefix="two")
    assert len(site.kept()) == 4


def test_publishes_at_once_leave_a_memory_that_is_of_use(site, databases):
    site.publish(databases["first"])
    site.publish(databases["first"], prefix="other")
    configs = [site.config(databases["changed"]), site.config(databases["moved"], prefix="other")]
    configs.append(configs[0])
    refused: list[Exception] = []

    def run(config: Config) -> None:
        with connect(config.redis) as store:
            try:
                publish(config, store)
            except Refused as exc:
                refused.append(exc)

    threads = [threading.Thread(target=run, args=(config,)) for config in configs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) <= 1, "one of the two that publish to the same place"
    site.compare(databases["changed"])
    site.compare(databases["moved"], prefix="other")
    site.publish(databases["moved"])
    assert len(site.kept()) == 4


@pytest.mark.parametrize("cache", ["none/copies", "geosteer.csv"], ids=["no folder above", "a file"])
def test_where_nothing_can_be_kept_all_is_read(site, databases, cache, tmp_path):
    write_csv(tmp_path / "geosteer.csv")
    site.cache = tmp_path / cache
    site.publish(databases["first"])
    site.publish(databases["changed"])
    assert not (tmp_path / "none").exists()
