"""A publisher that was stopped for longer than its lease says so, whatever it met first when it went on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.publish.publish import publish
from geosteer_loader.store.object_writer import Writer
from geosteer_loader.store.refusals import Locked, LostLock
from geosteer_loader.store.store import connect
from support.publishing import current_of, make_config, write_csv

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from support.servers import RedisServer

SLOW = """
import sys, time
from geosteer_loader.cli.main import main
from geosteer_loader.publish import publish
from geosteer_loader.store.object_writer import Writer
real = Writer.{step}
def slow(self, what):
    print("here", flush=True)
    time.sleep(0.5)
    return real(self, what)
Writer.{step} = slow
run = publish.publish
publish.publish = lambda *args, **options: run(*args, lease_seconds=0.3, **options)
sys.exit(main(["publish", "--config", sys.argv[1]]))
"""


@pytest.mark.parametrize("step", ["write_leaves", "write_inner", "check"])
def test_a_publisher_stopped_while_its_lease_ran_out_ends_with_3(
    tmp_path: Path, own_redis: RedisServer, step: str
) -> None:
    geo = write_csv(tmp_path / "geo.csv")
    config = make_config(tmp_path, own_redis.url, geo=[geo])
    slow = subprocess.Popen(
        [sys.executable, "-c", SLOW.format(step=step), str(config.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert slow.stdout is not None
    assert slow.stdout.readline() == "here\n"
    os.kill(slow.pid, signal.SIGSTOP)
    client = own_redis.client()
    until = time.monotonic() + 10
    while client.exists("{geosteer}:lock") and time.monotonic() < until:
        time.sleep(0.02)
    write_csv(geo, ["11.0.0.0/8,NL", "2001:db8::/32,GB"])
    with connect(config.redis) as store:
        assert publish(config, store).generation == 1
    published = current_of(client)
    os.kill(slow.pid, signal.SIGCONT)
    _, errors = slow.communicate(timeout=60)
    assert slow.returncode == 3, errors
    assert "the publisher's lock was lost" in errors
    assert "Traceback" not in errors
    assert current_of(client) == published


def test_who_holds_the_lock_is_told_with_the_refusal(tmp_path: Path, own_redis: RedisServer) -> None:
    config = make_config(tmp_path, own_redis.url, geo=[write_csv(tmp_path / "geo.csv")])
    own_redis.client().set("{geosteer}:lock", b"\xff" * 5000)
    with connect(config.redis) as store, pytest.raises(Locked, match="at work: somebody") as caught:
        publish(config, store)
    assert len(caught.value.holder) < 200


def test_damage_seen_after_the_lock_was_lost_is_told_as_the_lost_lock(
    tmp_path: Path, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = own_redis.client()

    def vanish(*_: Any) -> None:
        client.delete("{geosteer}:object")
        client.set("{geosteer}:lock", "somebody else")

    monkeypatch.setattr(Writer, "write_leaves", vanish)
    config = make_config(tmp_path, own_redis.url, geo=[write_csv(tmp_path / "geo.csv")])
    with connect(config.redis) as store, pytest.raises(LostLock):
        publish(config, store)
