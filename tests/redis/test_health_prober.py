"""Probers at work on real ports and a real Redis: from cron, as a service, several of them, cut off, killed, restarted."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import StoreError
from geosteer.timestamps import parse_time
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.health.exchange import Exchange
from geosteer_loader.health.feed import Item, publish
from geosteer_loader.health.last_seen import last_checks
from geosteer_loader.health.prober import CutOff, Prober
from geosteer_loader.health.transitions import Rule
from geosteer_loader.store.store import connect
from support.data import ROOT
from support.health import EAGER, FAST, Place, document, switches, tcp, until, watching
from support.servers import RedisServer, free_port, wait_until
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator

GDNSD = {"up": 20, "ok": 10, "down": 10}


@pytest.fixture
def place(redis_server: RedisServer, prefix: str) -> Iterator[Place]:
    found = Place(redis_server, prefix)
    yield found
    found.close()


# ---- from cron


def test_runs_from_cron_go_on_counting(place: Place) -> None:
    async def main() -> list[tuple[str, str]]:
        async with switches(3) as ports:
            place.publish(document({f"n{number}": [tcp(one.port)] for number, one in enumerate(ports)}))
            found = []
            for step in "oocooccoooo":
                await (ports[0].open() if step == "o" else ports[0].close())
                await place.prober(period=2).once()
                node = place.node("n0")
                found.append((node["state"], node["failing"]))
            return found

    found = asyncio.run(main())
    up, failing, down = ("up", "no"), ("up", "yes"), ("down", "no")
    assert found == [up, up, failing, failing, failing, down, down, down, down, up, up]
    assert place.node("n0")["before"] == "down"
    assert place.node("n1")["before"] == "unknown"


def test_a_check_is_not_made_before_it_is_due(place: Place) -> None:
    async def main() -> list[int]:
        async with switches(2) as ports:
            checks = [tcp(ports[0].port, interval=1), tcp(ports[1].port, interval=3600)]
            place.publish(document({"n": checks}))
            for _ in range(3):
                await place.prober(period=2).once()
            await asyncio.sleep(0.05)
            return [one.asked for one in ports]

    assert asyncio.run(main()) == [3, 1]


def test_the_first_result_is_the_state_and_has_no_ramp(place: Place) -> None:
    async def main() -> None:
        async with switches(3) as ports:
            place.publish(document({f"n{number}": [tcp(one.port)] for number, one in enumerate(ports)}))
            await ports[0].close()
            await place.prober().once()

    asyncio.run(main())
    assert [place.state(f"n{number}") for number in range(3)] == ["down", "up", "up"]
    assert place.node("n0")["reason"].endswith(": connection refused")
    assert place.node("n1")["before"] == "unknown"


def test_without_a_redis_a_run_fails_and_says_why(redis_server: RedisServer, prefix: str) -> None:
    place = Place(redis_server, prefix)
    with pytest.raises(StoreError, match="nothing is published"):
        place.once()


# ---- as a service


def test_a_service_takes_a_closed_port_down_after_the_threshold_and_up_again(place: Place) -> None:
    results: list[bool | None] = []

    async def main() -> None:
        async with switches(4) as ports:
            place.publish(document({f"n{number}": [tcp(one.port)] for number, one in enumerate(ports)}))
            prober = place.prober()
            probe = prober._probes.probe

            async def noted(node: Any, check: Any) -> Any:
                found = await probe(node, check)
                if node.name == "n0":
                    results.append(found.good)
                return found

            prober._probes.probe = noted  # type: ignore[method-assign]
            async with watching(prober):
                await until(lambda: all(place.state(f"n{number}") == "up" for number in range(4)))
                await ports[0].close()
                await until(lambda: place.state("n0") == "down")
                assert results.count(False) >= FAST["down"]
                results.clear()
                await ports[0].open()
                await until(lambda: place.state("n0") == "up")
                assert results.count(True) >= FAST["up"]

    asyncio.run(main())
    assert place.node("n0")["before"] == "down"


def test_a_node_that_fails_one_probe_in_three_does_not_flap(place: Place) -> None:
    """Every third connection is refused; the port is closed and opened between probes."""

    async def main() -> list[str]:
        async with switches(3) as ports:
            profile = {"up": 3, "ok": 2, "down": 3}
            place.publish(
                document({f"n{number}": [tcp(one.port, profile=profile)] for number, one in enumerate(ports)})
            )
            seen: list[str] = []
            for turn in range(24):
                if turn % 3 == 2:
                    await ports[0].close()
                await place.prober(period=2).once()
                if turn % 3 == 2:
                    await ports[0].open()
                seen.append(place.node("n0")["state"])
            return seen

    assert set(asyncio.run(main())) == {"up"}


def test_new_nodes_and_checks_are_taken_up_and_old_ones_dropped(place: Place) -> None:
    async def main() -> tuple[int, int]:
        async with switches(2) as ports:
            place.publish(document({"a": [tcp(ports[0].port)]}))
            async with watching(place.prober()):
                await until(lambda: place.state("a") == "up")
                place.publish(document({"b": [tcp(ports[1].port)]}))
                await until(lambda: place.state("b") == "up")
                asked = ports[0].asked
                await asyncio.sleep(1.5)
                return asked, ports[0].asked

    before, after = asyncio.run(main())
    assert after == before


def test_beats_come_every_round_also_when_a_node_hangs(place: Place) -> None:
    async def main() -> list[float]:
        async with switches(1) as ports:
            hanging = {
                "type": "http",
                "url": f"http://127.0.0.1:{ports[0].port}/",
                "interval": 3,
                "timeout": 3,
                "profile": FAST,
            }
            ports[0].answer = None
            place.publish(document({"a": [tcp(ports[0].port)], "b": [hanging]}))
            async with watching(place.prober()):
                await until(lambda: place.client.hexists(place.keys.beat, "lon"))
                await asyncio.sleep(4.2)
                count, time, _ = place.client.hget(place.keys.beat, "lon").split()
                return [int(count), parse_time(time)]

    count, _ = asyncio.run(main())
    assert count == 5


def test_a_redis_that_goes_away_ends_nothing(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(own_redis, "geosteer")

    async def main() -> None:
        async with switches(3) as ports:
            text = document({f"n{number}": [tcp(one.port)] for number, one in enumerate(ports)})
            place.publish(text)
            async with watching(place.prober()):
                await until(lambda: place.state("n0") == "up")
                own_redis.kill()
                await ports[0].close()
                await asyncio.sleep(2.5)
                own_redis.start()  # empty: states are there again before anything is published
                await until(lambda: place.state("n0") == "down")
                assert place.node("n0")["before"] == "unknown"
                assert place.node("n1")["before"] == "unknown"

    with caplog.at_level(logging.WARNING, "geosteer_loader"):
        asyncio.run(main())
    place.close()
    assert 1 <= len([one for one in caplog.records if str(own_redis.socket) in one.message]) < 6


def test_a_prober_waits_for_the_first_publish(place: Place) -> None:
    async def main() -> None:
        async with switches(1) as ports, watching(place.prober()):
            await asyncio.sleep(0.3)
            place.publish(document({"n": [tcp(ports[0].port)]}))
            await until(lambda: place.state("n") == "up")

    asyncio.run(main())


# ---- killed and restarted


def script(place: Place, clock: float = 0.0) -> list[str]:
    """A service in a process of its own, with a wall clock that is off."""
    code = (
        f"import time; real = time.time; time.time = lambda: real() + {clock}\n"
        "import asyncio, logging, sys\n"
        "from pathlib import Path\n"
        "from geosteer_loader.cli.probe import probe\n"
        "logging.basicConfig(level=logging.INFO)\n"
        "probe.main(['--watch', '--config', *sys.argv[1:]], standalone_mode=False)\n"
    )
    return [sys.executable, "-c", code]


def service(place: Place, folder: Any, clock: float = 0.0) -> subprocess.Popen[bytes]:
    path = folder / "probe.toml"
    path.write_text(
        f'[redis]\nurl = "{place.server.url}"\nprefix = "{place.prefix}"\n[prober]\nname = "lon"\n'
    )
    log = (folder / "log").open("ab")
    return subprocess.Popen([*script(place, clock), str(path)], stdout=log, stderr=log)


def test_a_prober_that_is_killed_between_two_failures_goes_on_where_it_was(
    place: Place, tmp_path: Any
) -> None:
    async def main() -> int:
        async with switches(3) as ports:
            check = {"type": "http", "interval": 2, "timeout": 2, "profile": FAST, "status": [200]}
            urls = [f"http://127.0.0.1:{one.port}/" for one in ports]
            place.publish(
                document({f"n{number}": [{**check, "url": url}] for number, url in enumerate(urls)})
            )
            process = service(place, tmp_path)
            try:
                await until(lambda: place.state("n0") == "up")
                ports[0].answer = b"HTTP/1.1 500 No\r\nConnection: close\r\n\r\n"
                before = ports[0].asked
                await until(lambda: place.node("n0").get("failing") == "yes")
                process.send_signal(signal.SIGKILL)
                process.wait()
                assert place.state("n0") == "up"
                process = service(place, tmp_path)
                await until(lambda: place.state("n0") == "down", 60)
                return ports[0].asked - before
            finally:
                process.terminate()
                process.wait()

    assert asyncio.run(main()) <= 2, "the second failure, not a second and a third one"


def test_a_service_ends_in_good_order_on_sigterm(place: Place, tmp_path: Any) -> None:
    async def main() -> int:
        async with switches(1) as ports:
            place.publish(document({"n": [tcp(ports[0].port)]}))
            process = service(place, tmp_path)
            await until(lambda: place.state("n") == "up")
            process.terminate()
            return process.wait(60)

    assert asyncio.run(main()) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_service_that_was_started_with_interrupts_ignored_ignores_them(place: Place, tmp_path: Any) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = service(place, tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        place.publish(document({"n": [tcp(free_port())]}))
        wait_until(lambda: place.client.hexists(place.keys.beat, "lon"))
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert process.poll() is None
    finally:
        process.terminate()
    assert process.wait(60) == 0


def test_a_service_begins_anew_in_place_on_sighup_unless_its_file_or_its_program_is_wrong(
    place: Place, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with switches(1) as ports:
            place.publish(document({"n": [tcp(ports[0].port)]}))
            modules = tmp_path / "modules"
            modules.mkdir()
            monkeypatch.setenv("PYTHONPATH", str(modules))
            process = service(place, tmp_path)
            log, path = tmp_path / "log", tmp_path / "probe.toml"
            try:
                await until(lambda: place.state("n") == "up")
                text = path.read_text()
                (modules / "click.py").write_text("raise ImportError")
                process.send_signal(signal.SIGHUP)
                await until(lambda: "ends with exit code 1" in log.read_text(), 60)
                (modules / "click.py").unlink()
                path.write_text(text + "forget = 'soon'\n")
                process.send_signal(signal.SIGHUP)
                await until(lambda: "prober.forget" in log.read_text())
                path.write_text(text.replace('"lon"', '"ams"'))
                process.send_signal(signal.SIGHUP)
                await until(lambda: place.client.hexists(place.keys.beat, "ams"), 60)
                assert process.poll() is None
            finally:
                process.terminate()
            assert process.wait(60) == 0
            assert log.read_text().count("continuing with the previous settings") == 2
            assert "Traceback" not in log.read_text()

    asyncio.run(main())


@pytest.mark.parametrize("clock", [-600.0, 600.0])
def test_a_wall_clock_that_is_ten_minutes_off_changes_nothing(
    place: Place, tmp_path: Any, clock: float
) -> None:
    async def main() -> None:
        async with switches(3) as ports:
            place.publish(document({f"n{number}": [tcp(one.port)] for number, one in enumerate(ports)}))
            process = service(place, tmp_path, clock)
            try:
                other = place.prober("ams")
                async with watching(other):
                    await until(lambda: place.client.hlen(place.keys.beat) == 2)
                    await ports[0].close()
                    took = await until(lambda: place.state("n0") == "down") - ports[0].closed_at
                    assert took < 60
            finally:
                process.terminate()
                process.wait()

    asyncio.run(main())
    now = place.client.time()[0]
    assert abs(parse_time(place.node("n0")["since"]) - now) < 5
    verdict = json.loads(place.client.hget(place.keys.verdict("lon"), "n1"))
    assert abs(parse_time(verdict["checked"]) - now) < 5


# ---- several


def test_one_of_three_probers_that_cannot_reach_a_node_takes_nothing_down(place: Place) -> None:
    async def main() -> None:
        async with switches(3) as ports:
            place.publish(document({f"n{number}": [tcp(one.port)] for number, one in enumerate(ports)}))
            blind = place.prober("nyc")
            probe = blind._probes.probe

            async def refused(node: Any, check: Any) -> Any:
                found = await probe(node, check)
                return type(found)(False, "no answer in 0.5 s") if node.name == "n0" else found

            blind._probes.probe = refused  # type: ignore[method-assign]  # what a broken path between the two looks like
            async with watching(place.prober("lon"), place.prober("ams"), blind):
                await until(lambda: place.client.hlen(place.keys.beat) == 3)
                await until(lambda: "down" in (place.client.hget(place.keys.verdict("nyc"), "n0") or ""))
                await asyncio.sleep(1.2)
                assert place.state("n0") == "up"
                await ports[0].close()
                await until(lambda: place.state("n0") == "down")
                assert "of 3 probers" in place.node("n0")["reason"]

    asyncio.run(main())


def test_all_probers_dead_leave_what_was_down_down(place: Place) -> None:
    async def main() -> None:
        async with switches(3) as ports:
            place.publish(document({f"n{number}": [tcp(one.port)] for number, one in enumerate(ports)}))
            await ports[0].close()
            for name in ("lon", "ams"):
                await place.prober(name).once()

    asyncio.run(main())
    # Whatever the verdicts' age: nobody is there to write anything.
    for name in ("lon", "ams"):
        key = place.keys.verdict(name)
        for node, text in place.client.hgetall(key).items():
            place.client.hset(key, node, json.dumps({**json.loads(text), "expires": "2001-01-01T00:00:00Z"}))
    assert place.state("n0") == "down"


# ---- cut off


def cut(place: Place, count: int, closed: int, *control: str) -> Any:
    """A run from cron in which *closed* of *count* ports have closed since the run before."""

    async def main() -> Any:
        async with switches(count) as ports:
            place.publish(
                document({f"n{number}": [tcp(one.port, profile=EAGER)] for number, one in enumerate(ports)})
            )
            await place.prober("lon", *control).once()
            for one in ports[:closed]:
                await one.close()
            return await place.prober("lon", *control, period=2).once()

    return asyncio.run(main())


def test_a_prober_that_sees_nothing_any_more_withdraws_its_verdicts(place: Place) -> None:
    with pytest.raises(CutOff, match="cut off"):
        cut(place, 6, 5, f"127.0.0.1:{free_port()}")
    assert {place.state(f"n{number}") for number in range(6)} == {"up"}
    now = place.client.time()[0]
    for text in place.client.hvals(place.keys.verdict("lon")):
        found = json.loads(text)
        assert found["state"] == "up"
        assert parse_time(found["expires"]) <= now + 1


def test_one_control_target_that_answers_is_enough(place: Place) -> None:
    with RedisServer(tcp=True) as other:
        cut(place, 6, 6, f"127.0.0.1:{free_port()}", f"127.0.0.1:{other.port}")
    # ... but half of the map is not given up at once
    assert {place.state(f"n{number}") for number in range(6)} == {"up"}
    assert {place.node(f"n{number}")["failing"] for number in range(6)} == {"yes"}


def test_four_fifths_are_not_enough_to_doubt_oneself(place: Place) -> None:
    cut(place, 5, 4, f"127.0.0.1:{free_port()}")
    assert {place.node(f"n{number}")["failing"] for number in range(4)} == {"yes"}


def test_after_one_more_round_the_nodes_are_down_after_all(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with switches(4) as ports:
            place.publish(document({f"n{number}": [tcp(one.port)] for number, one in enumerate(ports)}))
            async with watching(place.prober()):
                await until(lambda: all(place.state(f"n{number}") == "up" for number in range(4)))
                for one in ports[:3]:
                    await one.close()
                closed = ports[0].closed_at
                while asyncio.get_running_loop().time() < closed + 1.9:
                    assert [place.state(f"n{number}") for number in range(3)].count("down") == 0
                    await asyncio.sleep(0.02)
                last = (
                    await until(lambda: all(place.state(f"n{number}") == "down" for number in range(3)))
                    - closed
                )
                assert (
                    2 <= last <= 30
                )  # the second round after the first failures; a busy machine may take long
                assert place.state("n3") == "up"

    with caplog.at_level(logging.WARNING, "geosteer_loader"):
        asyncio.run(main())
    assert any("max_down 50%" in one.message for one in caplog.records)


def test_a_service_that_is_cut_off_goes_silent_and_counts_anew_afterwards(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with switches(7) as ports:
            gateway, *others = ports
            place.publish(document({f"n{number}": [tcp(one.port)] for number, one in enumerate(others)}))
            async with watching(place.prober("lon", f"127.0.0.1:{gateway.port}")):
                await until(lambda: all(place.state(f"n{number}") == "up" for number in range(6)))
                await until(lambda: place.client.hexists(place.keys.beat, "lon"))
                for one in ports:
                    await one.close()
                await until(lambda: any("cut off" in one.message for one in caplog.records))
                beat = place.client.hget(place.keys.beat, "lon")
                await asyncio.sleep(2.5)
                assert place.client.hget(place.keys.beat, "lon") == beat
                assert {place.state(f"n{number}") for number in range(6)} == {"up"}
                for one in ports:
                    await one.open()
                await until(lambda: place.client.hget(place.keys.beat, "lon") != beat)
                await asyncio.sleep(1.5)
                assert {
                    (place.state(f"n{number}"), place.node(f"n{number}")["failing"]) for number in range(6)
                } == {("up", "no")}

    with caplog.at_level(logging.WARNING, "geosteer_loader"):
        asyncio.run(main())


def test_a_service_that_is_cut_off_comes_back_as_its_nodes_answer_though_its_control_target_stays_dead(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with switches(7) as ports:
            place.publish(document({f"n{number}": [tcp(one.port)] for number, one in enumerate(ports)}))
            for one in ports[5:]:  # two were down all along, and prove nothing
                await one.close()
            async with watching(place.prober("lon", f"127.0.0.1:{free_port()}")):
                await until(
                    lambda: [place.state(f"n{number}") for number in range(7)] == ["up"] * 5 + ["down"] * 2
                )
                for one in ports[:5]:
                    await one.close()
                await until(lambda: any("cut off, verdicts" in one.message for one in caplog.records))
                beat = place.client.hget(place.keys.beat, "lon")
                await asyncio.sleep(2.2)
                assert place.client.hget(place.keys.beat, "lon") == beat
                for one in ports[:5]:
                    await one.open()
                await until(lambda: place.client.hget(place.keys.beat, "lon") != beat)
                await ports[0].close()
                await until(lambda: place.state("n0") == "down")

    with caplog.at_level(logging.WARNING, "geosteer_loader"):
        asyncio.run(main())
    assert any("no longer cut off, 5 nodes answered" in one.message for one in caplog.records)


def test_a_node_that_gets_other_addresses_is_looked_for_there(place: Place) -> None:
    async def main() -> None:
        async with switches(1) as ports:
            made = document({"a": [tcp(ports[0].port)]}, address="127.0.0.2", max_down=1)
            place.publish(made)
            async with watching(place.prober()):
                await until(lambda: place.state("a") == "down")
                made["nodes"]["a"]["a"] = ["127.0.0.1"]
                place.publish(made)
                await until(lambda: place.state("a") == "up")

    asyncio.run(main())


def test_the_shipped_rights_of_the_loaders_user_are_enough(tmp_path: Any) -> None:
    rights = tmp_path / "users.acl"
    rights.write_text((ROOT / "conf" / "users.acl").read_text())
    with RedisServer("--aclfile", str(rights)) as server:
        admin = server.client(username="admin", password="CHANGE-admin")
        publish_tiny(admin, "geosteer", document({"a": [tcp(1)], "b": []}), {})
        user = RedisSettings(
            url=server.url, prefix="geosteer", username="geosteer-loader", password="CHANGE-loader"
        )
        with connect(user) as store:
            exchange = Exchange(store, "lon", Rule())
            asyncio.run(Prober(exchange, period=60).once())
            exchange.resign()
            publish(Exchange(store, "feed", Rule()), {"b": Item(state="down", load=7)}, 60)
            exchange.resign()
            seen = last_checks(store, store.now() + 1000)
            assert {name for name, look in seen.items() if not look.fresh} == {"b"}
            # the prober left; its beat told where to look
        admin.close()
