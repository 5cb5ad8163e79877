"""`from geosteer import Steering`: any thread may ask, forks included, and importing costs nothing until then."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
import time
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import geosteer
from geosteer import ConfigError, NotReady, Steering, library
from servers import wait_until
from steering import WWW, document, live_steering, make_settings, republish, set_state, write_settings
from tiny import publish_tiny

if TYPE_CHECKING:
    from servers import RedisServer


def run_python(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, __future__; old = set(sys.modules); import geosteer; print(set(sys.modules) - old)"
    assert run_python(code) == "{'geosteer'}\n"


def test_every_name_of_the_package_is_there_and_a_wrong_one_is_an_attribute_error() -> None:
    for name in geosteer.__all__:
        assert getattr(geosteer, name) is not None
    assert set(geosteer.__all__) <= set(dir(geosteer))
    with pytest.raises(AttributeError, match="nonsense"):
        geosteer.nonsense  # noqa: B018


def test_the_documented_example_runs(redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    republish(redis_server, prefix, document())
    path = write_settings(redis_server, prefix, tmp_path)
    assert library.__doc__ is not None
    example = library.__doc__.partition("\n\n")[2].rpartition("\n\n")[0]
    code = textwrap.dedent(example).replace("/etc/geosteer/backend.toml", str(path))
    assert run_python(code) == "ams1.cdn.example.net live 60\n"


def test_tier_and_director_can_be_driven_by_hand(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    code = """
        import sys, time
        from geosteer import Director, Tier, load_settings, parse_client

        tier = Tier(load_settings(sys.argv[1]), lambda limit: 0)
        tier.start()
        while tier.name != "live":
            tier.settle(time.monotonic())
        model, client = tier.generation.model, parse_client("192.0.2.1")
        service = model.services["www.cdn.example.net"]
        tier.fetch(client, service.tables, time.monotonic() + 5)
        decision = Director(model).decide(service, client, tier.look(client), tier.mirror.states, tier.now())
        print(decision.layer["A"], decision.answer["A"][0].hostname, decision.scope)
    """
    path = write_settings(redis_server, prefix, tmp_path)
    assert run_python(code, str(path)) == "countries GB lon1.cdn.example.net 24\n"


def test_settings_that_cannot_be_used_are_told_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        Steering.open(tmp_path / "nowhere.toml")


def test_nothing_is_opened_before_the_first_question(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    before, threads = descriptors(), threading.active_count()
    steering = Steering.open(make_settings(redis_server, prefix, tmp_path))
    assert descriptors() <= before
    assert threading.active_count() == threads
    steering.close()


def test_addresses_may_be_text_or_objects_and_anything_else_is_a_value_error(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    with live_steering(redis_server, prefix, tmp_path) as steering:
        for client in (
            "192.0.2.1",
            ip_address("192.0.2.1"),
            "192.0.2.0/24",
            geosteer.parse_client("::ffff:192.0.2.1"),
        ):
            assert [node.name for node in steering.decide(WWW, client).nodes] == ["lon1"]
        with pytest.raises(ValueError, match="nonsense"):
            steering.decide(WWW, "nonsense")
        assert steering.lookup("192.0.2.1") == ("GB", 24)
        assert steering.lookup(ip_address("2001:db8:b::1")) == ("NL", 48)
        assert steering.lookup("192.0.2.1", "bgp") == ("", 0)


def test_a_lookup_of_a_page_that_redis_does_not_give_is_an_error(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    with live_steering(own_redis, "geosteer", tmp_path) as steering:
        own_redis.freeze()
        with pytest.raises(NotReady):
            steering.lookup("192.0.2.1")
        own_redis.thaw()


def test_threads_may_ask_all_at_once_while_nodes_generations_and_redis_come_and_go(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
        client.save()
    wrong: list[object] = []
    counts = [0] * 6
    ended = threading.Event()

    def ask(steering: Steering, number: int) -> None:
        while not ended.is_set():
            try:
                for host in range(0, 250, 7):
                    choice = steering.decide(WWW, f"192.0.2.{host}", path=f"/{host}")
                    if not choice.nodes or choice.nodes[0].name not in {"lon1", "ams1"}:
                        wrong.append(choice)
                    counts[number] += 1
            except Exception as exc:  # noqa: BLE001
                wrong.append(exc)
                return

    with live_steering(own_redis, "geosteer", tmp_path, max_stale=1) as steering:
        threads = [threading.Thread(target=ask, args=(steering, number)) for number in range(len(counts))]
        for thread in threads:
            thread.start()
        for turn in range(4):
            set_state(own_redis, "geosteer", "lon1", "down" if turn % 2 else "up")
            republish(
                own_redis, "geosteer", document(services={f"s{turn}.cdn.example.net": {"map": "default"}})
            )
            time.sleep(0.1)
        own_redis.kill()
        time.sleep(1.5)
        own_redis.start()
        wait_until(lambda: steering.tier == "live", 4)
        ended.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert min(counts) > 100


def test_a_child_process_starts_anew_and_leaves_its_parent_alone(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    code = """
        import os, sys
        from geosteer import Steering

        steering = Steering.open(sys.argv[1])
        print(steering.decide("www.cdn.example.net", "192.0.2.1"), flush=True)
        child = os.fork()
        print(steering.decide("www.cdn.example.net", "2001:db8:b::1"), flush=True)
        if not child:
            steering.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(steering.decide("www.cdn.example.net", "192.0.2.1"), steering.tier)
    """
    lines = run_python(code, str(write_settings(redis_server, prefix, tmp_path))).splitlines()
    lon, ams = f"Choice({WWW}, ['lon1'], live)", f"Choice({WWW}, ['ams1'], live)"
    assert lines == [lon, ams, ams, f"{lon} live"]


def test_closing_ends_the_thread_and_the_connection_and_says_nothing(
    redis_server: RedisServer, prefix: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    republish(redis_server, prefix, document())
    gc.collect()  # what earlier tests left may go at any time
    recwarn.clear()
    before, threads, log = descriptors(), threading.active_count(), []
    with live_steering(redis_server, prefix, tmp_path, log) as steering:
        assert threading.active_count() == threads + 1
    gc.collect()
    assert descriptors() <= before
    assert threading.active_count() == threads
    assert log == []
    assert not [warning for warning in recwarn if warning.category is ResourceWarning]
    steering.close()
    with pytest.raises(RuntimeError, match="closed"):
        steering.decide(WWW, "192.0.2.1")


def test_troubles_go_to_the_logger_unless_told_otherwise(
    own_redis: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_redis.stop()
    with Steering.open(make_settings(own_redis, "geosteer", tmp_path)) as steering:
        steering.decide(WWW, "192.0.2.1")
    assert [record.name for record in caplog.records] == ["geosteer"] * len(caplog.records)
    assert any("redis.sock" in record.message for record in caplog.records)
