"""Whether a table's sources are those that are published: by size and date if these say so, else by what they hold."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.publish.publish import Outcome, publish
from geosteer_loader.store.store import connect
from support.publishing import current_of, make_config, write_csv

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

LINES = ("10.0.0.0/8,GB", "11.0.0.0/8,NL")
SAME_SIZE = ("10.0.0.0/8,GB", "11.0.0.0/8,FR")


class Site:
    def __init__(self, folder: Path, server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        self.folder = folder
        self.server = server
        self.log = caplog
        self.geo = write_csv(folder / "geo.csv", LINES)

    def publish(self, *geo: Path, **options: Any) -> Outcome:
        self.log.clear()
        config = make_config(self.folder, self.server.url, geo=geo or [self.geo], **options)
        with connect(config.redis) as store:
            return publish(config, store)

    @property
    def parsed(self) -> bool:
        return "prefixes" in self.log.text

    @property
    def described(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(current_of(self.server.client())["geo.source"])
        return found


@pytest.fixture
def site(tmp_path: Path, own_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> Site:
    made = Site(tmp_path, own_redis, caplog)
    assert made.publish().changed == ["geo", "config"]
    assert made.parsed
    return made


def test_a_file_of_the_same_size_and_date_is_not_even_opened(site: Site) -> None:
    times = site.geo.stat()
    write_csv(site.geo, SAME_SIZE)  # had it been opened, this would be seen
    os.utime(site.geo, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert site.publish().changed == []


def test_a_file_of_another_date_is_summed_up_but_not_parsed(site: Site) -> None:
    os.utime(site.geo, (1_770_000_000, 1_770_000_000))
    assert site.publish().changed == []
    assert not site.parsed


def test_a_file_that_changed_within_the_second_and_kept_its_size_is_read(site: Site) -> None:
    seconds = site.geo.stat().st_mtime_ns // 10**9
    os.utime(site.geo, ns=(0, seconds * 10**9 + 1))
    site.publish(weight=2)
    write_csv(site.geo, SAME_SIZE)
    os.utime(site.geo, ns=(0, seconds * 10**9 + 2))
    assert site.publish(weight=2).changed == ["geo"]
    assert site.parsed


def test_another_file_with_the_same_content_is_not_parsed(site: Site) -> None:
    other = write_csv(site.folder / "other.csv", LINES)
    times = site.geo.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert site.publish(other).changed == []
    assert not site.parsed


def test_another_file_of_the_same_size_and_date_is_read(site: Site) -> None:
    other = write_csv(site.folder / "other.csv", SAME_SIZE)
    times = site.geo.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert site.publish(other).changed == ["geo"]


def test_the_order_of_sources_counts_since_later_ones_overlay_earlier_ones(site: Site) -> None:
    other = write_csv(site.folder / "other.csv", SAME_SIZE)
    assert site.publish(site.geo, other).changed == ["geo"]
    assert site.publish(other, site.geo).changed == ["geo"]
    assert [file["file"] for file in site.described] == ["other.csv", "geo.csv"]


def test_what_is_kept_of_a_source_is_its_path_size_date_sum_and_count(site: Site) -> None:
    (file,) = site.described
    assert set(file) == {"format", "file", "path", "size", "mtime", "sha256", "prefixes"}
    assert file["path"] == str(site.geo)
    assert file["size"] == site.geo.stat().st_size
    assert file["prefixes"] == {"v4": 2, "v6": 0}
    fraction = site.geo.stat().st_mtime_ns % 10**9
    assert file["mtime"].endswith(f".{fraction:09}Z")
    assert current_of(site.server.client())["geo.built"] == file["mtime"].partition(".")[0] + "Z"


def test_a_description_that_cannot_be_read_is_no_reason_to_fail(site: Site) -> None:
    for junk in ("", "[1]", "{}", "[[", '[{"sha256": 3}]'):
        site.server.client().hset("{geosteer}:current", "geo.source", junk)
        assert site.publish().changed == ["geo"]
