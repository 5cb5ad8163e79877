"""A publish that failed leaves its reason in Redis, where `status` finds it, until one succeeds; old data is told."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
import pytest

from geosteer.errors import Refused, SourceError, StoreError
from geosteer.timestamps import format_time
from geosteer_loader.cli.main import main
from geosteer_loader.cli.text import monitoring
from geosteer_loader.cli.text.status import text
from geosteer_loader.config.limits import MAX_AGE
from geosteer_loader.publish.publish import publish
from geosteer_loader.query.status import Status, gather
from geosteer_loader.store import failure
from geosteer_loader.store.lease import Lease
from geosteer_loader.store.store import connect
from support.publishing import make_config, write_csv

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

KEY = "{geosteer}:failure"
DAY = 86400


class Site:
    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.geo = folder / "geo.csv"
        self.config = make_config(folder, server.url, geo=[write_csv(self.geo)])
        self.client: Any = server.client()
        self.path = str(self.config.path)

    def publish(self, **options: Any) -> Any:
        with connect(self.config.redis) as store:
            return publish(self.config, store, **options)

    def left(self) -> dict[str, str]:
        return {key.decode(): value.decode() for key, value in self.client.hgetall(KEY).items()}

    def status(self) -> Status:
        with connect(self.config.redis) as store:
            return gather(store)

    def age(self, days: float, table: str = "geo") -> None:
        self.client.hset("{geosteer}:current", f"{table}.built", format_time(time.time() - days * DAY))


@pytest.fixture
def site(tmp_path: Path, own_redis: RedisServer) -> Site:
    return Site(tmp_path, own_redis)


def test_a_source_that_broke_is_told_until_a_publish_succeeds(site: Site) -> None:
    site.publish()
    assert site.left() == {}
    good = site.geo.read_text()
    site.geo.write_text("hello\n")
    with pytest.raises(SourceError):
        site.publish()
    left = site.left()
    assert set(left) == {"since", "when", "who", "guard", "why"}
    assert "geo.csv: line 1: " in left["why"]
    assert "@" in left["who"]
    assert left["since"] == left["when"]
    site.client.hset(KEY, "since", "2026-01-01T00:00:00Z")
    with pytest.raises(SourceError):
        site.publish()
    assert site.left()["since"] == "2026-01-01T00:00:00Z"
    found = site.status()
    assert found.failure is not None
    assert found.to_json()["failure"] == site.left()
    assert "publish has failed since 2026-01-01T00:00:00Z" in click.unstyle(text(found))
    site.geo.write_text(good)
    assert site.publish().changed == []
    assert site.left() == {}
    assert site.status().failure is None


def test_a_guard_that_refused_is_named(site: Site) -> None:
    site.publish()
    site.geo.write_text("198.51.100.0/25,US-CA,37.75,-122.42\n2001:db8::/32,NL\n")
    with pytest.raises(Refused):
        site.publish()
    left = site.left()
    assert left["guard"] == "empty_country"
    assert left["why"] == "GB, which a map names, would lose all its v4 addresses"
    code, line = monitoring.judge(site.status())
    assert code == 1
    assert "publish has failed for " in line
    assert ", empty_country): GB, which a map names" in line
    assert site.publish(force=["empty_country"]).warnings == []
    assert site.left() == {}


def test_another_publisher_at_work_is_no_failure(site: Site) -> None:
    with connect(site.config.redis) as store, Lease(store), pytest.raises(Refused):
        site.publish()
    assert site.left() == {}


def test_what_cannot_be_noted_hides_nothing(site: Site) -> None:
    site.geo.write_text("hello\n")
    site.client.set(KEY, "not a hash")
    with pytest.raises(SourceError, match="line 1"):
        site.publish()
    assert not site.client.exists("{geosteer}:lock")
    site.client.config_set("maxmemory", "1")
    with pytest.raises(StoreError, match="maxmemory"):
        site.publish()


def test_one_that_was_terminated_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(*_: object) -> None:
        raise SystemExit(143)

    monkeypatch.setattr("geosteer_loader.publish.publish.propose", end)
    with pytest.raises(SystemExit):
        site.publish()
    assert site.left()["why"] == "terminated"


def test_a_configuration_that_cannot_be_used_is_noted_where_it_still_names_its_redis(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    good = site.config.path.read_text()
    site.config.path.write_text(good.replace("ams1 = 100", "ams2 = 100"))
    assert main(["publish", "--config", site.path]) == 2
    assert "ams2" in site.left()["why"]
    site.client.delete(KEY)
    site.config.path.write_text(good[: good.index("[nodes.")])
    assert main(["publish", "--config", site.path]) == 2
    assert "the file has no zone" in site.left()["why"]
    site.client.delete(KEY)
    for text_ in (good.replace("[redis]", "[redis"), good.replace("url = ", "uri = "), ""):
        site.config.path.write_text(text_)
        assert main(["publish", "--config", site.path]) == 2
    assert site.left() == {}
    capsys.readouterr()


@pytest.mark.parametrize(
    ("days", "failing", "code"),
    [
        (44, None, 0),
        (46, None, 1),
        (89, None, 1),
        (91, None, 2),
        (46, 0, 2),
        (1, 0, 1),
        (1, 44, 1),
        (1, 46, 2),
    ],
)
def test_old_data_and_failures_that_last_are_told_without_being_asked(
    site: Site, days: float, failing: float | None, code: int
) -> None:
    site.publish()
    for name in ("lon1", "lon2", "ams1"):
        site.client.hset(
            f"{{geosteer}}:node:{name}", mapping={"state": "up", "since": "2026-02-01T00:00:00Z"}
        )
    site.age(days)
    if failing is not None:
        with connect(site.config.redis) as store:
            failure.note(store, "it broke")
        site.client.hset(KEY, "since", format_time(time.time() - failing * DAY))
    found = site.status()
    assert monitoring.judge(found)[0] == code
    assert monitoring.judge(found, limits=dict.fromkeys(MAX_AGE, 0))[0] == (0 if failing is None else 1)
    assert monitoring.judge(found, limits={**MAX_AGE, "geo": 0.1 * DAY})[0] == 2
    if failing is None:
        assert monitoring.judge(found, max_age=100 * DAY)[0] == 0
        assert monitoring.judge(found, max_age=0.1 * DAY)[0] == 1


def test_the_command_goes_by_the_setting(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", "--config", site.path]) == 0
    site.age(20)
    assert main(["status", "--check", "--config", site.path]) == 0
    good = site.config.path.read_text()
    for setting, code in (
        ('"15d"', 1),
        ('{ geo = "15d" }', 1),
        ('{ geo = "9d" }', 2),
        ('{ bgp = "1d" }', 0),
        ("0", 0),
    ):
        site.config.path.write_text(good.replace("[guard]", f"[guard]\nmax_age = {setting}"))
        assert main(["status", "--check", "--config", site.path]) == code, setting
    site.config.path.write_text(good.replace("[guard]", '[guard]\nmax_age = { geo = "soon", nets = 1 }'))
    assert main(["status", "--check", "--config", site.path]) == 2
    told = capsys.readouterr().out
    assert "guard.max_age.geo: " in told
    assert "guard.max_age.nets: unknown setting" in told


def test_values_that_nobody_of_ours_wrote_are_cut_and_printed_safely(site: Site) -> None:
    site.publish()
    site.client.hset(KEY, mapping={"why": "\x1b[31m" + "x" * 100_000, "since": b"\xff", "other": "y"})
    found = site.status()
    code, line = monitoring.judge(found)
    assert code == 1
    assert "\x1b" not in line + click.unstyle(text(found))
    assert len(line) < 1000
    assert len(text(found)) < 3000


def test_nobody_serving_and_no_zone_are_critical(site: Site) -> None:
    site.publish()
    found = site.status()
    assert (found.zones, found.services) == (1, 1)
    code, line = monitoring.judge(replace(found, zones=0, services=0, nodes={}, maps_without_node=[]))
    assert code == 2
    assert line.startswith("CRITICAL - no zone is published; no service is published; no node is serving; ")


def test_the_built_in_table_is_never_too_old_since_nobody_can_renew_it(site: Site) -> None:
    site.publish()
    for name in ("lon1", "lon2", "ams1"):
        site.client.hset(
            f"{{geosteer}}:node:{name}", mapping={"state": "up", "since": "2026-02-01T00:00:00Z"}
        )
    site.age(300)
    assert monitoring.judge(site.status())[0] == 2
    site.client.hset("{geosteer}:current", "geo.source", '[{"format": "builtin"}]')
    code, line = monitoring.judge(site.status())
    assert (code, "the built-in country table is of" in line) == (1, True)
