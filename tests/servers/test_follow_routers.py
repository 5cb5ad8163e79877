"""`geosteer follow` beside real routers: what it publishes is their table, while they write it and when routes change.

The daemons are configured as docs/follow.md says.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from geosteer.decision.client import prefix_text
from geosteer.errors import SourceError, StoreError
from geosteer_loader.config.config import load
from geosteer_loader.follow.configuration import FollowedConfiguration
from geosteer_loader.follow.service import Follower
from geosteer_loader.query.lookup import lookup
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.growing import matching
from geosteer_loader.sources.report import Report
from geosteer_loader.store.store import connect
from support.data import ROOT
from support.publishing import current_of, write_config
from support.routers import FRR, WAIT, Routers
from support.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import RedisServer

ROUTES = {f"5.{number}.0.0/16": 100 + number for number in range(30)}
PATTERNS = {"bird": "bird_master4_*.mrt", "frr": "frr.2*", "gobgp": "gobgp.dump"}
MORE = """
[[sources.bgp]]
format = "mrt"
path = "{path}"
[follow]
quiet = 0.5
ceiling = 3
settle = 2
"""


@pytest.fixture(scope="module")
def routers() -> Iterator[Routers]:
    with Routers() as started:
        for prefix, origin in ROUTES.items():
            started.announce(prefix, 3356, origin)
        yield started


def published(config: Path) -> dict[str, int]:
    """What Redis has of the routes' first addresses."""
    try:
        answers = lookup(load(config, {}).redis, [f"5.{number}.0.1" for number in range(40)])
    except StoreError:  # nothing is published yet
        return {}
    cells = [answer.cells.get("bgp") for answer in answers]
    return {cell.prefix: int(cell.record[2:]) for cell in cells if cell is not None and cell.record}


class Following:
    """A `geosteer follow` of one daemon's dumps."""

    def __init__(self, server: RedisServer, prefix: str, folder: Path, path: Path) -> None:
        self.server, self.prefix = server, prefix
        self.config = write_config(folder, server.url, prefix, more=MORE.format(path=path))
        self.log = folder / "follow.log"
        with self.log.open("wb") as log:
            command = [str(ROOT / "bin" / "geosteer"), "follow", "--config", str(self.config)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def generation(self) -> int:
        with self.server.client() as client:
            return int(current_of(client, self.prefix).get("generation", 0))

    def origins(self) -> dict[str, int]:
        return published(self.config)

    def wait_for(self, origins: dict[str, int]) -> None:
        wait_until(lambda: self.origins() == origins, WAIT, "the daemon's table in Redis")

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0


def dump_of(routers: Routers, daemon: str, origins: dict[str, int]) -> bytes:
    """A dump that the daemon wrote of just these routes."""
    dumps: list[bytes] = []

    def there() -> bool:
        for path in matching(routers.folder / PATTERNS[daemon])[:2]:
            try:
                rows = list(open_source("bgp", "mrt", path).rows(Report()))
            except SourceError:
                continue  # it is being written
            found = {
                prefix_text(bits, start, length): int(record[2:]) for bits, start, length, record in rows
            }
            if found == origins:
                dumps.append(path.read_bytes())
        time.sleep(0.2)
        return bool(dumps)

    wait_until(there, WAIT, f"a dump of {daemon}")
    return dumps[0]


@pytest.mark.parametrize("daemon", ["bird", "frr"])
def test_the_published_table_is_the_routers_and_follows_it(
    routers: Routers, daemon: str, redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    if daemon == "frr" and not os.access(FRR, os.X_OK):
        pytest.skip("no FRR here")
    routers.wait_for(daemon, ROUTES)
    following = Following(redis_server, prefix, tmp_path, routers.folder / PATTERNS[daemon])
    try:
        following.wait_for(routers.origins(daemon))
        changed = {**ROUTES, "5.1.0.0/16": 777}
        del changed["5.2.0.0/16"]
        routers.announce("5.1.0.0/16", 3356, 777)
        routers.withdraw("5.2.0.0/16")
        routers.wait_for(daemon, changed)
        following.wait_for(changed)
    finally:
        following.end()
        routers.announce("5.1.0.0/16", 3356, ROUTES["5.1.0.0/16"])
        routers.announce("5.2.0.0/16", 3356, ROUTES["5.2.0.0/16"])
    assert "warning" not in following.log.read_text()


@pytest.mark.parametrize("daemon", ["bird", "frr"])
def test_at_every_tenth_of_a_real_dump_the_old_table_answers(
    routers: Routers,
    daemon: str,
    redis_server: RedisServer,
    prefix: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By a clock that the test turns: a dump that is cut off is waited for, and nothing is said of it."""
    if daemon == "frr" and not os.access(FRR, os.X_OK):
        pytest.skip("no FRR here")
    routers.wait_for(daemon, ROUTES)
    path = tmp_path / "rib.mrt"
    path.write_bytes(dump_of(routers, daemon, ROUTES))
    routers.announce("5.1.0.0/16", 3356, 777)
    changed = {**ROUTES, "5.1.0.0/16": 777}
    try:
        data = dump_of(routers, daemon, changed)
    finally:
        routers.announce("5.1.0.0/16", 3356, ROUTES["5.1.0.0/16"])
    config = write_config(tmp_path, redis_server.url, prefix, more=MORE.format(path=path))
    now = [0.0]
    follower = Follower(
        FollowedConfiguration(config, {}), lambda settings: connect(settings.redis), lambda: now[0]
    )

    def after(seconds: int) -> dict[str, int]:
        for _ in range(2 * seconds):
            now[0] += 0.5
            follower.turn()
        return published(config)

    assert after(10) == ROUTES
    caplog.clear()
    for tenth in range(1, 10):
        with path.open("wb") as file:
            file.write(data[: len(data) * tenth // 10])
            file.flush()
            assert after(10) == ROUTES
        assert after(30) == ROUTES
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    path.write_bytes(data)
    assert after(10) == changed
    follower.stop()
    follower.run()


@pytest.mark.skipif(not os.environ.get("GEOSTEER_LONG"), reason="takes a minute: set GEOSTEER_LONG=1")
@pytest.mark.parametrize("daemon", ["bird", "frr"])
def test_a_running_service_waits_for_every_tenth_of_a_real_dump(
    routers: Routers, daemon: str, redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    """A dump that is cut off is waited for, whoever holds it open or not, and nothing is said of it."""
    if daemon == "frr" and not os.access(FRR, os.X_OK):
        pytest.skip("no FRR here")
    routers.wait_for(daemon, ROUTES)
    path = tmp_path / "rib.mrt"
    path.write_bytes(dump_of(routers, daemon, ROUTES))
    changed = {**ROUTES, "5.1.0.0/16": 777}
    routers.announce("5.1.0.0/16", 3356, 777)
    following = Following(redis_server, prefix, tmp_path, path)
    try:
        data = dump_of(routers, daemon, changed)
        following.wait_for(ROUTES)
        for tenth in range(1, 10):
            with path.open("wb") as file:
                file.write(data[: len(data) * tenth // 10])
                file.flush()
                time.sleep(0.7)  # longer than between two looks
            assert following.origins() == ROUTES
            time.sleep(1.8)  # and longer than it takes to be quiet
            assert (following.origins(), following.generation()) == (ROUTES, 1)
        path.write_bytes(data)
        following.wait_for(changed)
    finally:
        following.end()
        routers.announce("5.1.0.0/16", 3356, ROUTES["5.1.0.0/16"])
    assert "warning" not in following.log.read_text()


@pytest.mark.skipif(
    not os.environ.get("GEOSTEER_LONG"), reason="GoBGP dumps once a minute: set GEOSTEER_LONG=1"
)
def test_of_gobgps_dumps_in_one_file_the_last_counts(
    routers: Routers, redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    following = Following(redis_server, prefix, tmp_path, routers.folder / PATTERNS["gobgp"])
    try:
        wait_until(lambda: following.origins() == routers.origins("gobgp"), 2 * WAIT, "the first dump")
        routers.withdraw("5.3.0.0/16")
        changed = {prefix: origin for prefix, origin in ROUTES.items() if prefix != "5.3.0.0/16"}
        wait_until(lambda: following.origins() == changed, 2 * WAIT, "the second dump")
    finally:
        following.end()
        routers.announce("5.3.0.0/16", 3356, ROUTES["5.3.0.0/16"])
