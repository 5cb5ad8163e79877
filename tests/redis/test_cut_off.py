"""A configuration that was cut off while it was written never publishes an outage, wherever the cut is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from geosteer.errors import ConfigError
from geosteer_loader.cli.main import main
from geosteer_loader.config.config import Config, load
from geosteer_loader.publish.plan import plan
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.store import connect
from support.data import ROOT, small
from support.long import LONG

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

PARTS = ("nodes", "zones", "services")


@pytest.fixture
def example(tmp_path: Path, own_redis: RedisServer) -> Path:
    """The shipped file and what it reads, for a Redis of our own."""
    path = tmp_path / "geosteer.toml"
    text = (ROOT / "conf" / "geosteer.toml").read_text()
    path.write_text(small(text).replace("unix:///run/redis/redis.sock", own_redis.url))
    return path


def test_the_shipped_file_cut_off_at_every_line_publishes_no_outage(example: Path) -> None:
    """At every line in a long run, else at every fourth."""
    whole = example.read_text().splitlines(keepends=True)
    full = load(example, {})
    with connect(full.redis) as store:
        publish(full, store)
        ends: dict[str, int] = {"problem": 0, "refused": 0, "the same answers": 0}
        for last in [*range(0, len(whole) + 1, 1 if LONG else 4), len(whole)]:
            example.write_text("".join(whole[:last]))
            try:
                config = load(example, {"GEOSTEER_REDIS_URL": full.redis.url})
                config.require_complete()
            except ConfigError:
                ends["problem"] += 1
                continue
            planned = plan(config, store)
            if planned.refused:
                ends["refused"] += 1
                continue
            ends["the same answers"] += 1
            assert _names(config) == _names(full), last
            assert max(planned.moved.values(), default=0.0) <= full.guard.max_impact, last
    assert min(ends.values()) > 0


def _names(config: Config) -> list[list[str]]:
    return [sorted(config.document[part]) for part in PARTS]


def test_an_empty_file_and_one_without_services_are_told_apart_from_good_ones(
    example: Path, own_redis: RedisServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOSTEER_REDIS_URL", own_redis.url)
    whole = example.read_text()
    for text, missing in (
        ("", ["nodes", "services", "sources", "zones"]),
        (whole[: whole.index("# ---- Networks")], ["nodes", "services", "zones"]),
        (whole[: whole.index("# ---- Services")], ["services"]),
    ):
        example.write_text(text)
        for command in ("check-config", "publish", "plan"):
            assert main([command, "--config", str(example)]) == 2
            out, err = capsys.readouterr()
            assert out == ""
            places = [
                line.removeprefix(f"{example}: ").split(": ")
                for line in err.splitlines()
                if "cut off" in line
            ]
            assert [place[-2] for place in places] == missing, err
            assert all("Write [" in line for line in err.splitlines() if "cut off" in line)
    keys = set(own_redis.client().keys())
    assert keys == {b"{geosteer}:failure", b"{geosteer}:journal"}  # and nothing published


def test_a_host_that_only_watches_needs_no_more_than_the_address_of_redis(
    example: Path, own_redis: RedisServer, tmp_path: Path
) -> None:
    with connect(load(example, {}).redis) as store:
        publish(load(example, {}), store)
    small = tmp_path / "small.toml"
    small.write_text(f'[redis]\nurl = "{own_redis.url}"\n')
    assert main(["status", "--config", str(small)]) == 0
    assert main(["explain", "www.cdn.example.net", "192.0.2.1", "--config", str(small)]) == 0
