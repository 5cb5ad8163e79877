"""Whatever fails while publishing: readers keep a whole generation, and the next publish puts everything right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import ConfigError, Refused, SourceError, StoreError
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import Outcome, publish
from geosteer_loader.store.object_writer import Writer
from geosteer_loader.store.redis_errors import ConnectionLost
from geosteer_loader.store.store import connect
from support.data import shared
from support.long import LONG, takes_long
from support.publishing import (
    contents,
    current_of,
    make_config,
    needed_objects,
    objects_in,
    write_config,
    write_csv,
)
from support.relay import Relay
from support.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer_loader.config.config import Config
    from support.servers import RedisServer


def run(config: Config, **options: Any) -> Outcome:
    with connect(config.redis) as store:
        return publish(config, store, **options)


def lines(seed: int, count: int = 400) -> list[str]:
    """A table of several pages, different for each seed in some of them."""
    names = ("GB", "NL", "US", "DE", "FR")
    return [
        f"10.{n >> 8}.{n & 255}.0/24,{names[(n * 7 + (seed if n < 40 else 0)) % 5]}" for n in range(count)
    ]


class Days:
    """Two configurations in turn: day 1 and day 2 differ in the table and in the configuration."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.configs = {}
        for day in (1, 2):
            place = folder / f"day{day}"
            place.mkdir()
            geo = write_csv(place / "geo.csv", lines(day))
            self.configs[day] = write_config(place, url, geo=[geo], weight=day, keep=1, grace=0)

    def config(self, day: int, url: str) -> Config:
        folder = self.configs[day].parent
        return make_config(folder, url, geo=[folder / "geo.csv"], weight=day, keep=1, grace=0)


def reset(client: Any, config: Config) -> dict[str, dict[int, str]]:
    client.flushall()
    run(config)
    return contents(client, current_of(client))


def forget_sweep(client: Any) -> None:
    client.hset("{geosteer}:current", "swept", "2020-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "lose_reply",
    [
        pytest.param(False, marks=pytest.mark.no_cover, id="never arrives"),
        pytest.param(True, id="loses its reply"),
    ],
)
def test_a_connection_that_dies_at_any_command_leaves_a_whole_generation(
    tmp_path: Path, own_redis: RedisServer, lose_reply: bool
) -> None:
    client = own_redis.client()
    days = Days(tmp_path, own_redis.url)
    new = reset(client, days.config(2, own_redis.url))
    reset(client, days.config(1, own_redis.url))
    forget_sweep(client)
    with Relay(own_redis.directory, own_redis.socket) as relay:
        run(days.config(2, relay.url))
    total = len(relay.commands)
    flips = [
        at for at, command in enumerate(relay.commands, 1) if command[:2] == [b"HSET", b"{geosteer}:current"]
    ]
    assert [b"HDEL", b"{geosteer}:object"] in [command[:2] for command in relay.commands]
    assert b"FCALL_RO" in [command[0] for command in relay.commands]
    assert len(flips) == 1
    asking = [command[0] == b"HEXISTS" for command in relay.commands]
    for limit in range(1, total + 1):
        if all(asking[limit - 2 : limit + 1]):
            continue  # within a row of questions that are sent at once
        if not LONG and limit % 6 and not any(abs(limit - flip) < 3 for flip in flips):
            continue
        old = reset(client, days.config(1, own_redis.url))
        forget_sweep(client)
        before = current_of(client)
        with Relay(own_redis.directory, own_redis.socket, limit, lose_reply) as relay:
            try:
                outcome = run(days.config(2, relay.url))
            except StoreError:
                outcome = None
        after = current_of(client)
        if outcome is None:
            # The one moment in which nobody can know: the flip's own reply is lost, and so is every connection.
            assert after == before or (lose_reply and relay.commands[-1][0] == b"EXEC")
        else:
            assert after != before
            assert outcome.warnings or limit >= total - 6
        assert contents(client, after) == (old if after == before else new)
        # Its lock times out after a while; then the next publish ends what this one began.
        client.delete("{geosteer}:lock")
        forget_sweep(client)
        run(days.config(2, own_redis.url))
        final = current_of(client)
        assert contents(client, final) == new
        if final["swept"] != "2020-01-01T00:00:00Z":
            assert objects_in(client) == needed_objects(client, final)


def test_an_unchanged_publish_after_a_lost_flip_reply_is_still_told_as_published(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    config = make_config(tmp_path, own_redis.url, geo=[write_csv(tmp_path / "geo.csv")])
    client = own_redis.client()
    with connect(config.redis) as store:
        real = store.transact

        def losing(watch: Any, prepare: Any) -> Any:
            replies = real(watch, prepare)
            if "{geosteer}:current" in watch:
                # The server carried it out; the connection breaks before the reply is read.
                client.client_kill_filter(_type="normal", skipme=True)
                store.transact = real  # type: ignore[method-assign]
                raise ConnectionLost("gone")
            return replies

        store.transact = losing  # type: ignore[method-assign]
        assert publish(config, store).generation == 1
    assert current_of(client)["generation"] == "1"


KILLED = """
import sys
from pathlib import Path
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.redis_errors import ConnectionLost
from geosteer_loader.store.store import connect
config = load(Path(sys.argv[1]))
with connect(config.redis) as store:
    print("begun", flush=True)
    publish(config, store)
"""


@takes_long
@pytest.mark.no_cover
def test_publishers_killed_at_odd_moments_leave_whole_tables_of_real_data(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    client = own_redis.client()
    sources = {1: shared("country-2026-01-31.mmdb"), 2: shared("country-2026-02-01.mmdb")}
    configs = {}
    for day, source in sources.items():
        folder = tmp_path / str(day)
        folder.mkdir()
        configs[day] = write_config(folder, own_redis.url, geo=[source], keep=1, grace=0)
    run(make_config(tmp_path, own_redis.url, geo=[sources[1]], keep=1, grace=0))
    for number in range(6 if LONG else 4):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(configs[2 - number % 2])], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.15 * number)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        contents(client, current_of(client))
        client.delete("{geosteer}:lock")
    forget_sweep(client)
    run(make_config(tmp_path, own_redis.url, geo=[sources[1]], keep=1, grace=0, weight=5))
    fields = current_of(client)
    contents(client, fields)
    assert objects_in(client) == needed_objects(client, fields)


def refuse_memory(client: Any) -> None:
    client.config_set("maxmemory", 1)


def refuse_saves(client: Any) -> None:
    # A folder in the place of the file fails the save for root as well.
    (Path(client.config_get("dir")["dir"]) / "dump.rdb").mkdir()
    client.config_set("save", "3600 1000000")
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")


def want_password(client: Any) -> None:
    client.config_set("requirepass", "secret")


def deny_writes(client: Any) -> None:
    client.execute_command("ACL", "SETUSER", "default", "-hset")


def need_replicas(client: Any) -> None:
    client.config_set("min-replicas-to-write", 1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (refuse_memory, "no memory left"),
        (refuse_saves, "cannot save to its disk"),
        (want_password, "password is missing or wrong"),
        (deny_writes, "ACL of this user does not allow"),
        (need_replicas, "too few replicas"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_redis_that_refuses_is_an_error_in_clear_words_and_nothing_changes(
    tmp_path: Path, own_redis: RedisServer, spoil: Callable[[Any], None], message: str
) -> None:
    config = make_config(tmp_path, own_redis.url, geo=[write_csv(tmp_path / "geo.csv")])
    run(config)
    client = own_redis.client()
    before = current_of(client)
    spoil(client)
    changed = make_config(tmp_path, own_redis.url, geo=[tmp_path / "geo.csv"], weight=3)
    with pytest.raises(StoreError, match=message) as caught:
        run(changed)
    assert caught.value.exit_code == 1
    assert own_redis.url in str(caught.value)
    assert current_of(own_redis.client(password="secret" if spoil is want_password else None)) == before
    own_redis.kill()  # it would not end in good order without a last save


def test_memory_that_runs_out_in_the_middle_changes_nothing(tmp_path: Path, own_redis: RedisServer) -> None:
    client = own_redis.client()
    days = Days(tmp_path, own_redis.url)
    old = reset(client, days.config(1, own_redis.url))
    before = current_of(client)
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 4096)
    config = make_config(tmp_path, own_redis.url, geo=[write_csv(tmp_path / "big.csv", lines(3, 20000))])
    with pytest.raises(StoreError, match="no memory left"):
        run(config)
    assert current_of(client) == before
    assert contents(client, before) == old
    assert client.get("{geosteer}:lock") is None  # deleting is allowed without memory


@pytest.mark.parametrize("state", ["stopped", "frozen"])
def test_a_redis_that_is_away_is_an_error_within_the_timeout(
    tmp_path: Path, own_redis: RedisServer, state: str
) -> None:
    path = write_config(tmp_path, own_redis.url)
    path.write_text(path.read_text().replace("[redis]", "[redis]\ntimeout = 0.2"))
    config = load(path, {})
    if state == "stopped":
        own_redis.stop()
    else:
        own_redis.freeze()
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"No such file|refused|no answer in time"):
        run(config)
    assert time.monotonic() - began < 20
    if state == "frozen":
        own_redis.thaw()


@pytest.mark.parametrize("step", ["write_leaves", "write_inner", "check"])
def test_objects_that_vanish_while_others_are_written_stop_the_publish(
    tmp_path: Path, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    client = own_redis.client()
    days = Days(tmp_path, own_redis.url)
    reset(client, days.config(1, own_redis.url))
    real = getattr(Writer, step)

    def evicting(self: Writer, what: Any) -> None:
        client.delete("{geosteer}:object")
        real(self, what)

    monkeypatch.setattr(Writer, step, evicting)
    before = current_of(client)
    with pytest.raises(StoreError, match="vanished"):
        run(days.config(2, own_redis.url))
    assert current_of(client) == before
    monkeypatch.undo()
    run(days.config(2, own_redis.url))
    contents(client, current_of(client))


def test_a_server_emptied_under_a_publisher_refuses_the_flip(
    tmp_path: Path, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = own_redis.client()
    monkeypatch.setattr(Writer, "write_inner", lambda *_: client.flushall())
    config = make_config(tmp_path, own_redis.url, geo=[write_csv(tmp_path / "geo.csv")])
    with pytest.raises(Refused, match="lock was lost"):
        run(config)
    keys = set(client.keys())
    assert keys == {b"{geosteer}:failure", b"{geosteer}:journal"}, (
        "nothing is published, and why not is noted"
    )


def test_more_than_workers_take_is_not_published(
    redis_server: RedisServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = Days(tmp_path, redis_server.url)
    config = days.config(1, redis_server.url)
    with monkeypatch.context() as patched:
        patched.setattr("geosteer.tables.page_builder.MAX_LEAVES", 1)
        with pytest.raises(
            SourceError, match=r"^sources\.geo: \d+ ranges need \d+ pages, more than the 1 that workers take$"
        ):
            run(config)
    for name, message in (
        ("MOST_DOCUMENT", "as a document, more than the 0.0 MB that workers take"),
        ("MOST_NODES", r"^nodes: there are \d+, more than the 0 that workers take$"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(f"geosteer_loader.publish.proposal.{name}", 0)
            with pytest.raises(ConfigError, match=message):
                run(config)
    assert run(config).changed
