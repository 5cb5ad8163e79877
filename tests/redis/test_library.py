"""`from geosteer import Steering`: any thread may ask, forks included, and importing costs nothing until then."""

from __future__ import annotations

import gc
import re
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
from geosteer import ConfigError, NotReady, Steering
from geosteer.library import steering
from support.data import ROOT
from support.servers import wait_until
from support.steering import WWW, document, live_steering, make_settings, republish, set_state, write_settings
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from support.servers import RedisServer


def run_python(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
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


def documented() -> dict[str, str]:
    """The examples of the papers and of the module, by where they stand."""
    papers = "".join((ROOT / name).read_text() for name in ("README.md", "docs/front-ends.md"))
    found = {
        f"papers {number}": textwrap.dedent(block.rpartition("\n")[0])
        for number, block in enumerate(
            re.findall(r"^ *```python\n(.*?)```$", papers, re.MULTILINE | re.DOTALL)
        )
    }
    assert steering.__doc__ is not None
    blocks = re.findall(r"(?:^    .*\n|^\n)+", steering.__doc__, re.MULTILINE)
    examples = [block for block in blocks if block.strip()]
    return found | {f"steering {number}": textwrap.dedent(block) for number, block in enumerate(examples)}


DOCUMENTED = documented()


@pytest.mark.parametrize("place", DOCUMENTED)
def test_the_documented_examples_run(
    redis_server: RedisServer, prefix: str, tmp_path: Path, place: str
) -> None:
    republish(redis_server, prefix, document())
    path = write_settings(redis_server, prefix, tmp_path)
    assert "/etc/geosteer/backend.toml" in DOCUMENTED[place]
    code = DOCUMENTED[place].replace("/etc/geosteer/backend.toml", str(path))
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    assert run_python(code) == ("25\n" if "Director" in code else "ams1.cdn.example.net live 60\n")


def test_the_names_of_the_two_halves_are_in_an_example_of_both_documents() -> None:
    for document_ in ("papers", "steering"):
        codes = [code for place, code in DOCUMENTED.items() if place.startswith(document_)]
        assert any("import Director, Steering, Tier" in code for code in codes)
        assert any("from geosteer import Steering\n" in code for code in codes)


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


def test_who_holds_the_tier_may_ask_and_others_wait_and_nothing_known_is_told(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    with live_steering(own_redis, "geosteer", tmp_path) as steering:
        asked = threading.Thread(target=lambda: steering.decide(WWW, "192.0.2.1"))
        with steering.held() as (tier, director):
            assert sorted(director.services) == ["cname.cdn.example.net", WWW]
            look = tier.reach(geosteer.parse_client("192.0.2.1"), ("geo",))
            assert look("geo") == ("GB", 24)
            assert steering.decide(WWW, "192.0.2.1").nodes[0].name == "lon1"
            asked.start()
            asked.join(0.2)
            assert asked.is_alive()
        asked.join()
        own_redis.freeze()
        try:
            with steering.held() as (tier, _):
                assert tier.reach(geosteer.parse_client("203.0.113.1"), ("geo",))("geo") == (
                    "FR",
                    25,
                )  # the same page
                with pytest.raises(NotReady, match=r"2001:db8:a::1.*in time"):
                    tier.reach(geosteer.parse_client("2001:db8:a::1"), ("geo",))
        finally:
            own_redis.thaw()
    own_redis.stop()
    (tmp_path / "last-good.json").unlink(missing_ok=True)
    steering = Steering.open(make_settings(own_redis, "geosteer", tmp_path), log=lambda _: None)
    with steering, pytest.raises(NotReady, match="nothing is known"), steering.held():
        pass


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
        wait_until(lambda: steering.tier == "live")
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


def test_a_process_may_fork_while_its_threads_begin_ask_and_hold(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    code = """
        import os, sys, threading
        from geosteer import Steering

        path = sys.argv[1]
        ended = threading.Event()
        shared = Steering.open(path)

        def ask():
            while not ended.is_set():
                assert shared.decide("www.cdn.example.net", "192.0.2.1").node.name == "lon1"
                with Steering.open(path) as other:
                    other.start()

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        fresh = Steering.open(path)
        with fresh._beginning:  # another thread is about to begin
            child = os.fork()
        children = [child]
        for _ in range(30 if child else 0):
            child = os.fork()
            if not child:
                break
            children.append(child)
        if not child:
            for steering in (fresh, shared):
                assert steering.decide("www.cdn.example.net", "192.0.2.1").node.name == "lon1"
                steering.close()
            os._exit(0)
        assert {os.waitpid(child, 0)[1] for child in children} == {0}
        with shared.held() as (tier, director):
            child = os.fork()
            if not child:
                assert shared.decide("www.cdn.example.net", "192.0.2.1").tier == "live"
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        ended.set()
        for thread in threads:
            thread.join()
        print(shared.decide("www.cdn.example.net", "192.0.2.1"), shared.tier)
    """
    lines = run_python(
        code, str(write_settings(redis_server, prefix, tmp_path, "timeout = 5000"))
    ).splitlines()
    assert lines == [f"Choice({WWW}, ['lon1'], live) live"]


LATER_IMPORTS = """
import ast, importlib, sys
from geosteer import Steering

def inside_functions(tree):
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from (alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    yield node.module

before = set(sys.modules)
for name in sorted(before):
    if name.startswith("geosteer.") and sys.modules[name].__file__.endswith(".py"):
        with open(sys.modules[name].__file__) as stream:
            for imported in inside_functions(ast.parse(stream.read())):
                if imported not in before:
                    print(name, imported)
"""


def test_no_thread_of_the_library_imports_anything_which_a_fork_would_leave_locked(tmp_path: Path) -> None:
    later = {tuple(line.split()) for line in run_python(LATER_IMPORTS).splitlines()}
    assert later == {
        ("geosteer.cmodules", "json"),  # at import, where the C module is missing
        ("geosteer.library.steering", "geosteer.resp.tls"),  # when it is opened, for rediss://
        ("geosteer.library.steering", "geosteer.library.recorded"),  # the same, for [log]
        ("geosteer.library.new_chooser", "geosteer.library.recorded"),
        ("geosteer.resp.channel", "geosteer.resp.tls"),
    }
    path = tmp_path / "backend.toml"
    path.write_text(f'snapshot = "{tmp_path}/last-good.json"\n[redis]\nurl = "rediss://127.0.0.1:1"\n')
    code = """
        import sys
        from geosteer import Steering

        Steering.open(sys.argv[1])
        print("geosteer.resp.tls" in sys.modules)
    """
    assert run_python(code, str(path)) == "True\n"


def test_closing_while_threads_ask_is_told_to_each_of_them(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    for _ in range(20):
        told: list[str] = []

        def ask(steering: Steering, told: list[str]) -> None:
            try:
                while True:
                    steering.decide(WWW, "192.0.2.1")
            except Exception as exc:  # noqa: BLE001
                told.append(str(exc))

        with live_steering(redis_server, prefix, tmp_path) as steering:
            threads = [threading.Thread(target=ask, args=(steering, told)) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(0.01)
        for thread in threads:
            thread.join()
        assert told == ["this Steering is closed"] * 4


def test_closing_ends_the_thread_and_the_connection_and_says_nothing(
    redis_server: RedisServer, prefix: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    republish(redis_server, prefix, document())
    gc.collect()  # what earlier tests left may go at any time
    recwarn.clear()
    before, threads = descriptors(), threading.active_count()
    log: list[str] = []
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


@pytest.mark.parametrize(
    "place",
    ["sync.node_states.Mirror.set_beats", "sync.follower.Follower.tick", "library.poll_loop.Pump.arm"],
)
def test_an_exception_anywhere_is_logged_once_and_the_thread_goes_on(
    own_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
        log: list[str] = []
        with live_steering(own_redis, "geosteer", tmp_path, log) as steering:
            assert steering.decide(WWW, "192.0.2.7").node is not None
            thread = steering.running._thread
            times: list[float] = []

            def fail(*_: object, **__: object) -> None:
                times.append(time.monotonic())
                raise RuntimeError("out of the blue")

            with monkeypatch.context() as patch:
                patch.setattr(f"geosteer.{place}", fail)
                client.hset("{geosteer}:beat", "p", "1 2026-02-01T00:00:00Z 5")
                wait_until(lambda: len(times) > 2, what="several exceptions")
                wait_until(lambda: steering.tier != "live", what="a tier that does not pretend")
                assert steering.decide(WWW, "192.0.2.7").tier == steering.tier
                assert thread.is_alive()
                assert sum("out of the blue" in line for line in log) == 1, log
                assert len(times) < 100 * (1 + time.monotonic() - times[0]), "without spinning"
            wait_until(lambda: steering.tier == "live", what="live again")
            set_state(own_redis, "geosteer", "lon1", "down")
            wait_until(lambda: steering.decide(WWW, "192.0.2.7").node.name == "ams1", what="news")


def test_a_log_that_raises_stops_nothing(own_redis: RedisServer, tmp_path: Path) -> None:
    def refuse(_: str) -> None:
        raise SystemError("no log today")

    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    with Steering.open(make_settings(own_redis, "geosteer", tmp_path), log=refuse) as steering:
        wait_until(lambda: steering.tier == "live", what="tier live")
        own_redis.stop()
        wait_until(lambda: steering.tier == "stale", what="tier stale")
        assert steering.decide(WWW, "192.0.2.7").node is not None
        own_redis.start()
        with own_redis.client() as client:
            publish_tiny(client, "geosteer")
        wait_until(lambda: steering.tier == "live", what="live again")
