"""Publishing into a real Redis: what is written, what is not, and what readers see."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest

from geosteer.errors import Refused, SourceError, StoreError
from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import Outcome, publish
from geosteer_loader.store import functions
from geosteer_loader.store.lease import Lease
from geosteer_loader.store.store import connect
from support.publishing import LINES, contents, current_of, make_config, needed_objects, objects_in, write_csv
from support.servers import RedisServer

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.config.config import Config


def run(config: Config, **options: Any) -> Outcome:
    with connect(config.redis) as store:
        return publish(config, store, **options)


@pytest.fixture
def config(tmp_path: Path, own_redis: RedisServer) -> Config:
    return make_config(
        tmp_path,
        own_redis.url,
        geo=[write_csv(tmp_path / "geo.csv")],
        networks={"lab": ["10.0.0.0/8", "10.1.0.0/16"]},
    )


def test_a_first_publish_makes_generation_1_that_is_whole_and_readable(
    config: Config, own_redis: RedisServer
) -> None:
    outcome = run(config)
    client = own_redis.client()
    fields = current_of(client)
    assert outcome.generation == 1
    assert outcome.changed == ["geo", "nets", "config"]
    assert outcome.warnings == []
    assert fields["schema"] == "1"
    assert fields["generation"] == "1"
    assert fields["published"].endswith("Z")
    assert fields["geo.prefixes"] == "3"
    assert int(fields["geo.ranges"]) == 5 + 3
    assert "held" not in fields
    tables = contents(client, fields)
    assert tables["geo.v4"][0xC0000200] == "GB"
    assert tables["geo.v4"][0xC6336400] == "US-CA 37.75 -122.42"
    assert tables["geo.v6"][0x20010DB8 << 96] == "NL"
    assert tables["nets.v4"] == {0: "", 0x0A000000: "lab", 0x0B000000: ""}
    document = json.loads(client.hget("{geosteer}:object", fields["config"]))
    assert document["nodes"]["lon1"]["a"] == ["192.0.2.1"]
    assert document["continents"]["GB"] == "EU"


def test_the_source_field_says_which_files_a_table_is_from(config: Config, own_redis: RedisServer) -> None:
    run(config)
    (source,) = json.loads(current_of(own_redis.client())["geo.source"])
    assert source["format"] == "csv"
    assert source["file"] == "geo.csv"
    assert source["size"] == config.sources["geo"][0].path.stat().st_size
    assert len(source["sha256"]) == 64
    assert source["mtime"].endswith("Z")


def test_nested_networks_are_published_by_longest_match(tmp_path: Path, own_redis: RedisServer) -> None:
    config = make_config(
        tmp_path, own_redis.url, networks={"wide": ["10.0.0.0/8"], "narrow": ["10.1.0.0/16", "2001:db8::/32"]}
    )
    run(config)
    tables = contents(own_redis.client(), current_of(own_redis.client()))
    assert tables["nets.v4"] == {
        0: "", 0x0A000000: "wide", 0x0A010000: "narrow", 0x0A020000: "wide", 0x0B000000: "",
    }  # fmt: skip
    assert tables["nets.v6"][0x20010DB8 << 96] == "narrow"


def test_an_unchanged_publish_writes_nothing(config: Config, own_redis: RedisServer) -> None:
    run(config)
    client = own_redis.client()
    before = (current_of(client), client.xlen("{geosteer}:history"), objects_in(client))
    offset = client.info("replication")["master_repl_offset"]
    outcome = run(config)
    assert outcome.changed == []
    assert outcome.generation == 1
    assert outcome.written.objects == 0
    assert (current_of(client), client.xlen("{geosteer}:history"), objects_in(client)) == before
    assert not client.exists("{geosteer}:lock")
    assert client.info("replication")["master_repl_offset"] == offset


def test_a_file_that_was_only_touched_or_renamed_changes_nothing(
    config: Config, tmp_path: Path, own_redis: RedisServer
) -> None:
    run(config)
    write_csv(tmp_path / "geo.csv")
    (tmp_path / "geo.csv").rename(tmp_path / "other.csv")
    moved = make_config(
        tmp_path, own_redis.url, geo=[tmp_path / "other.csv"], networks={"lab": ["10.0.0.0/8", "10.1.0.0/16"]}
    )
    assert run(moved).changed == []


def test_a_change_of_the_configuration_alone_reads_no_source(
    config: Config, tmp_path: Path, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    run(config)
    before = current_of(own_redis.client())
    changed = make_config(
        tmp_path,
        own_redis.url,
        geo=[tmp_path / "geo.csv"],
        networks={"lab": ["10.0.0.0/8", "10.1.0.0/16"]},
        weight=50,
    )
    caplog.clear()
    outcome = run(changed)
    assert outcome.changed == ["config"]
    assert outcome.written.objects == 1
    assert "prefixes" not in caplog.text
    after = current_of(own_redis.client())
    assert after["generation"] == "2"
    assert {name for name in after if after[name] != before.get(name)} == {
        "generation",
        "published",
        "config",
    }


def test_a_table_that_left_the_configuration_leaves_redis(
    config: Config, tmp_path: Path, own_redis: RedisServer
) -> None:
    run(config)
    outcome = run(make_config(tmp_path, own_redis.url, geo=[tmp_path / "geo.csv"]), force=["vanished"])
    assert outcome.changed == ["nets", "config"]
    assert not [name for name in current_of(own_redis.client()) if name.startswith("nets.")]


def test_the_published_time_rises_even_when_the_clock_does_not(
    config: Config, own_redis: RedisServer
) -> None:
    run(config)
    client = own_redis.client()
    client.hset("{geosteer}:current", mapping={"published": "2099-01-01T00:00:00Z", "config": "0" * 32})
    run(config)
    assert current_of(client)["published"] == "2099-01-01T00:00:01Z"


def test_generations_go_on_counting_when_only_the_history_is_left(
    config: Config, own_redis: RedisServer
) -> None:
    run(config)
    own_redis.client().delete("{geosteer}:current")
    assert run(config).generation == 2


@pytest.mark.parametrize(
    "lost", ["all", "object", "a root", "the configuration", "the configuration's meaning"]
)
def test_what_vanished_from_redis_is_noticed_and_written_again(
    config: Config, own_redis: RedisServer, lost: str
) -> None:
    run(config)
    client = own_redis.client()
    fields = current_of(client)
    whole = contents(client, fields)
    if lost == "all":
        client.flushall()
    elif lost == "object":
        client.delete("{geosteer}:object")
    elif lost == "the configuration's meaning":
        client.hset("{geosteer}:object", fields["config"], b"{}")
    else:
        client.hdel("{geosteer}:object", fields["geo.v4" if lost == "a root" else "config"])
    outcome = run(config)
    assert outcome.changed == (["geo", "nets", "config"] if lost == "all" else ["repair"])
    assert outcome.generation == (1 if lost == "all" else 2)
    assert contents(client, current_of(client)) == whole
    assert run(config).changed == []


def test_the_history_tells_of_every_generation(
    config: Config, tmp_path: Path, own_redis: RedisServer
) -> None:
    run(config)
    run(make_config(tmp_path, own_redis.url, geo=[tmp_path / "geo.csv"], weight=7), force=["vanished"])
    client = own_redis.client()
    (_, first), (_, second) = client.xrange("{geosteer}:history")
    assert first[b"changed"] == b"geo nets config"
    assert second[b"changed"] == b"nets config forced:vanished"
    assert b"@" in second[b"who"]
    assert second[b"when"].endswith(b"Z")
    for name, value in current_of(client).items():
        assert second[name.encode()] == value.encode()


def test_a_second_publisher_is_refused_at_once_and_told_who_is_at_work(config: Config) -> None:
    with connect(config.redis) as store, Lease(store):
        with pytest.raises(Refused, match=r"another publisher is at work: .+/\d+ since \d{4}-.*Z") as caught:
            run(config)
        assert caught.value.exit_code == 3
    assert run(config).generation == 1


def test_of_many_publishers_at_once_each_publishes_or_is_refused_and_the_result_is_whole(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    ends: list[str] = []

    def work(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        config = make_config(
            folder, own_redis.url, geo=[write_csv(folder / "geo.csv")], weight=number + 1, grace=0, keep=1
        )
        for _ in range(5):
            try:
                ends.append(" ".join(run(config).changed))
            except Refused:
                ends.append("refused")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client = own_redis.client()
    fields = current_of(client)
    assert len(ends) == 20
    assert int(fields["generation"]) == sum(end not in {"refused", ""} for end in ends)
    assert objects_in(client) == needed_objects(client, fields)
    assert not client.exists("{geosteer}:lock")


def test_readers_find_a_whole_generation_at_every_moment(tmp_path: Path, own_redis: RedisServer) -> None:
    done = threading.Event()
    failures: list[BaseException] = []
    seen: set[str] = set()

    def read() -> None:
        client = own_redis.client()
        try:
            while not done.is_set():
                fields = current_of(client)
                if fields:
                    contents(client, fields)
                    seen.add(fields["generation"])
        except BaseException as exc:  # noqa: BLE001  # told in the main thread
            failures.append(exc)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(15):
        geo = write_csv(
            tmp_path / "geo.csv", [f"10.{n}.0.0/16,{'GB' if n % (number + 2) else 'NL'}" for n in range(256)]
        )
        run(make_config(tmp_path, own_redis.url, geo=[geo], keep=1, grace=60))
    done.set()
    reader.join()
    assert failures == []
    assert len(seen) > 3


def test_the_lease_outlives_its_time_while_its_holder_works_and_ends_with_it(config: Config) -> None:
    with connect(config.redis) as store:
        with Lease(store, 0.3) as lease:
            time.sleep(1)
            assert store.call("GET", "{geosteer}:lock") == lease.value
            lease.write([("PING",)])
        assert store.call("GET", "{geosteer}:lock") is None


def test_a_killed_publisher_blocks_nobody_for_longer_than_its_lease(config: Config) -> None:
    with connect(config.redis) as store:
        store.call("SET", "{geosteer}:lock", "left behind", "NX", "PX", 300)
        with pytest.raises(Refused):
            run(config)
        time.sleep(0.4)
    assert run(config).generation == 1


def test_a_publisher_that_lost_its_lock_publishes_nothing(config: Config, own_redis: RedisServer) -> None:
    client = own_redis.client()

    class Thief:
        def __init__(self, _label: str) -> None:
            client.set("{geosteer}:lock", "somebody else")

        def progress(self, done: int, total: int) -> None: ...

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

    with pytest.raises(Refused, match="lock was lost"):
        run(config, meter=Thief)
    assert current_of(client) == {}
    assert client.get("{geosteer}:lock") == b"somebody else"


def test_a_broken_source_changes_nothing_and_frees_the_lock(
    config: Config, tmp_path: Path, own_redis: RedisServer
) -> None:
    run(config)
    before = current_of(own_redis.client())
    write_csv(tmp_path / "geo.csv", ["192.0.2.0/24,GB", "not a prefix,GB"])
    with pytest.raises(SourceError, match=r"geo\.csv: line 2"):
        run(config)
    assert current_of(own_redis.client()) == before
    assert not own_redis.client().exists("{geosteer}:lock")


def test_a_held_generation_stays_until_the_hold_is_released(config: Config, own_redis: RedisServer) -> None:
    run(config)
    client = own_redis.client()
    client.hset("{geosteer}:current", "held", "ops@host 2026-02-01T00:00:00Z: bad data")
    with pytest.raises(Refused, match="bad data"):
        run(config)
    outcome = run(config, release=True)
    assert outcome.changed == ["release"]
    assert "held" not in current_of(client)


def test_what_a_newer_geosteer_published_is_left_alone(config: Config, own_redis: RedisServer) -> None:
    run(config)
    own_redis.client().hset("{geosteer}:current", "schema", "2")
    with pytest.raises(Refused, match="upgrade"):
        run(config)


@pytest.mark.parametrize("key", ["current", "object", "history", "journal", "lock"])
def test_a_key_of_another_type_is_replaced(config: Config, own_redis: RedisServer, key: str) -> None:
    client = own_redis.client()
    client.sadd(f"{{geosteer}}:{key}", "x")
    assert run(config).generation == 1
    kinds = {
        name: client.type(f"{{geosteer}}:{name}") for name in ("current", "object", "history", "journal")
    }
    assert kinds == {"current": b"hash", "object": b"hash", "history": b"stream", "journal": b"stream"}
    assert not client.exists("{geosteer}:lock")


def test_two_prefixes_in_one_redis_do_not_meet(
    config: Config, tmp_path: Path, own_redis: RedisServer
) -> None:
    run(config)
    other = make_config(tmp_path, own_redis.url, "other", networks={"lab": ["10.0.0.0/8"]})
    assert run(other).generation == 1
    client = own_redis.client()
    assert set(client.keys()) == {
        f"{{{prefix}}}:{key}".encode()
        for prefix in ("geosteer", "other")
        for key in ("current", "object", "history", "journal")
    }


@pytest.mark.parametrize("how", ["renamed", "denied"])
def test_a_server_without_functions_costs_one_warning(config: Config, how: str) -> None:
    folder = config.path.parent
    args = ("--rename-command", "FUNCTION", "") if how == "renamed" else ()
    with RedisServer(*args) as server, server.client() as client:
        if how == "denied":
            client.execute_command("ACL", "SETUSER", "default", "-function")
        said = []
        for lines in (["192.0.2.0/24,GB"], ["192.0.2.0/24,GB"], ["192.0.2.0/25,GB"], ["192.0.2.0/25,GB"]):
            settings = make_config(folder, server.url, geo=[write_csv(folder / "geo.csv", lines)])
            outcome = run(settings, force=["max_shrink", "max_country_change"])
            said.append([warning for warning in outcome.warnings if "unction" in warning])
        assert outcome.generation == 2
    assert [len(warnings) for warnings in said] == [1, 0, 0, 0]
    assert said[0][0].startswith("loading the Redis functions: ")


def test_the_function_library_can_be_switched_off(config: Config) -> None:
    path = config.path
    path.write_text(path.read_text().replace("[redis]\n", "[redis]\nfunctions = false\n"))
    with RedisServer() as server, server.client(protocol=2) as client:
        path.write_text(path.read_text().replace(config.redis.url, server.url))
        outcome = run(load(path))
        assert (outcome.generation, outcome.warnings) == (1, [])
        assert client.execute_command("FUNCTION", "LIST") == []


def test_an_older_function_library_is_replaced_and_a_newer_one_is_kept(
    config: Config, own_redis: RedisServer
) -> None:
    client = own_redis.client(protocol=2)
    ours = functions.version(functions.code())
    for stated, loaded in ((ours - 1, True), (ours, False), (ours + 1, False)):
        source = functions.code().replace(b"-- version %d\n" % ours, b"-- version %d\n" % stated)
        client.execute_command("FUNCTION", "LOAD", "REPLACE", source)
        with connect(config.redis) as store:
            assert functions.load(store) is loaded


def test_evicting_policies_are_warned_of(config: Config, own_redis: RedisServer) -> None:
    own_redis.client().config_set("maxmemory-policy", "allkeys-lru")
    assert any("allkeys-lru" in warning for warning in run(config).warnings)


def test_replicas_that_confirm_are_counted(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    with RedisServer("--repl-diskless-sync-delay", "0", tcp=True) as primary:
        primary.client().config_set("repl-diskless-sync-delay", 0)
        with RedisServer("--replicaof", "127.0.0.1", str(primary.port)) as replica:
            deadline = time.monotonic() + 60
            while replica.client().info("replication")["master_link_status"] != "up":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            settings = make_config(config.path.parent, primary.url, geo=[config.path.parent / "geo.csv"])
            outcome = run(settings)
            assert (outcome.replicas, outcome.confirmed) == (1, 1)
            write_csv(config.path.parent / "geo.csv", [*LINES, "192.88.99.0/24,FR"])
            assert main(["publish", "--config", str(settings.path)]) == 0
            assert "; confirmed by 1 of 1 replicas; " in capsys.readouterr().out
            fields = current_of(replica.client())
            assert contents(replica.client(), fields) == contents(primary.client(), fields)
            settings = make_config(config.path.parent, replica.url)
            with pytest.raises(StoreError, match="publish to its primary"):
                run(settings)
