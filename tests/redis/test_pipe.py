"""geosteer-pipe by itself: the protocol, signals, bad input, and how much it asks of Redis."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import hiredis
import pytest

from support.data import ROOT
from support.dns_setup import backend_toml
from support.servers import RedisServer, wait_until
from support.tiny import DOCUMENT, publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

WWW = "www.cdn.example.net"
GB, NL = "192.0.2.0/24", "198.51.100.0/24"


@pytest.fixture
def config(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Path:
    with redis_server.client() as client:
        publish_tiny(client, prefix)
    return backend_toml(tmp_path, redis_server, prefix=prefix)


@pytest.fixture
def worker(config: Path) -> Iterator[Worker]:
    with Worker(config) as made:
        yield made


@pytest.mark.parametrize("abi", [0, 1, 2, 3, 4, 5, 6, 9])
def test_every_version_of_the_protocol_is_answered_in_its_form(config: Path, abi: int) -> None:
    with Worker(config, abi=abi) as worker:
        worker.abi = min(max(abi, 1), 5)
        (first, second) = worker.ask(WWW, subnet=GB, remote="192.0.2.1")
    if worker.abi < 3:
        assert first == [WWW, "IN", "A", "60", "1", "192.0.2.1"]
    else:
        assert first == ["24", "1", WWW, "IN", "A", "60", "1", "192.0.2.1"]
        assert second == ["24", "1", WWW, "IN", "AAAA", "60", "1", "2001:db8:1::1"]


@pytest.mark.parametrize(("abi", "warned"), [(1, True), (2, True), (3, False)])
def test_the_banner_says_that_versions_without_scope_need_the_caches_off(
    config: Path, abi: int, warned: bool
) -> None:
    worker = Worker(config, abi=abi)
    banner = worker.greet()
    worker.close()
    assert banner.startswith(b"OK\t")
    assert (b"cache-ttl=0" in banner) == warned


def test_the_banner_comes_before_any_connection(tmp_path: Path) -> None:
    with RedisServer() as redis:
        config = backend_toml(tmp_path, redis)
        redis.freeze()
        try:
            began = time.monotonic()
            with Worker(config) as worker:
                assert time.monotonic() - began < 30
                assert worker.ask("cdn.example.net", "SOA") == [["FAIL"]]
                assert worker.line() == b"END"
        finally:
            redis.thaw()


def test_transfers_and_unknown_words_fail_and_commands_are_answered(worker: Worker) -> None:
    for line in (
        b"AXFR\t1",
        b"AXFR\t1\tcdn.example.net",
        b"PING",
        b"",
        b"q\tx",
        b"Q",
        b"HELO",
        b"HELO\tx",
        b"END",
    ):
        worker.send(line + b"\n")
        assert worker.reply() == [b"FAIL"], line
    worker.ask(WWW, subnet=GB)
    worker.send(b"CMD\tstatus\n")
    assert worker.reply() == [b"tier live", b"generation 1", b"zones cdn.example.net", b"END"]


@pytest.mark.parametrize("seed", range(5))
def test_bad_lines_get_one_reply_each_and_the_next_good_question_its_answer(
    worker: Worker, seed: int
) -> None:
    dice = random.Random(seed)
    good = worker.question(WWW, subnet=GB).rstrip(b"\n")
    for _ in range(60):
        bad = dice.choice(
            (
                dice.randbytes(dice.randrange(200)).replace(b"\n", b""),
                b"Q\t" + dice.randbytes(65536).replace(b"\n", b""),
                b"\t".join(good.split(b"\t")[: dice.randrange(9)]),
                good + b"\tmore",
                good.replace(b"192.0.2.0", dice.randbytes(6).replace(b"\n", b"").replace(b"\t", b"")),
                good.replace(b"/24", b"/999"),
                good.replace(b"ANY", dice.randbytes(3).replace(b"\n", b"").replace(b"\t", b"")),
                good.replace(b"www", dice.randbytes(70).replace(b"\n", b"").replace(b"\t", b"")),
            )
        )
        whole = bad + b"\n"
        cut = dice.randrange(len(whole))
        worker.send(whole[:cut])
        worker.send(whole[cut:])
        assert worker.reply()[-1] in {b"END", b"FAIL"}
        assert worker.address(WWW, GB) == "192.0.2.1"


def test_an_endless_line_is_dropped_and_answered_once(worker: Worker) -> None:
    worker.send(b"Q\t" + b"x" * (3 << 20) + b"\n")
    assert worker.reply() == [b"FAIL"]
    assert worker.address(WWW, NL) == "192.0.2.2"


def test_several_questions_in_one_write_are_answered_in_order(worker: Worker) -> None:
    worker.send(
        worker.question(WWW, subnet=GB)
        + worker.question(WWW, subnet=NL)
        + worker.question("cdn.example.net", "SOA")
    )
    replies = [worker.reply() for _ in range(3)]
    assert [reply[0].split(b"\t")[-1] for reply in replies[:2]] == [b"192.0.2.1", b"192.0.2.2"]
    assert b"SOA" in replies[2][0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_does_not_end_while_it_is_asked(worker: Worker, number: signal.Signals) -> None:
    worker.ask(WWW, subnet=GB)
    os.kill(worker.pid, number)
    assert worker.address(WWW, NL) == "192.0.2.2"


def test_it_ends_with_its_input(config: Path) -> None:
    with Worker(config) as worker:
        worker.ask(WWW)
    assert worker.process.returncode == 0


def test_a_hangup_starts_it_anew_in_place_with_the_settings_read_again(config: Path, prefix: str) -> None:
    with Worker(config, abi=4) as worker:
        assert worker.address(WWW, GB) == "192.0.2.1"
        config.write_text(config.read_text().replace(f'prefix = "{prefix}"', 'prefix = "nothing-there"'))
        os.kill(worker.pid, signal.SIGHUP)
        # nothing is published there, and the snapshot is of another prefix
        wait_until(lambda: worker.ask(WWW, subnet=GB) == [["FAIL"]], what="other settings")
        config.write_text(config.read_text().replace("nothing-there", prefix))
        os.kill(worker.pid, signal.SIGHUP)
        os.kill(worker.pid, signal.SIGHUP)
        wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]], what="the old settings")
        assert worker.address(WWW, GB) == "192.0.2.1"
        assert worker.process.poll() is None
        assert Path(f"/proc/{worker.pid}/comm").read_text() == "geosteer-pipe\n"
        assert b": reloaded\n" in worker.close()


@pytest.mark.parametrize(
    ("gone", "reason"), [("interpreter", b"No such file"), ("module", b"ends with exit code 1")]
)
def test_a_hangup_with_the_program_gone_leaves_it_as_it_is(
    config: Path, tmp_path: Path, gone: str, reason: bytes
) -> None:
    python, room = tmp_path / "python", tmp_path / "room"
    python.symlink_to(sys.executable)
    room.mkdir()
    (room / "geosteer").symlink_to(ROOT / "backend" / "geosteer")
    site = Path(hiredis.__file__).parents[1]
    start = f"import sys; sys.path[:0] = [{str(room)!r}, {str(site)!r}]; sys.executable = {str(python)!r}; "
    worker = Worker(
        config, command=[python, "-I", "-S", "-c", start + "from geosteer.powerdns.pipe import main; main()"]
    )
    worker.greet()
    assert worker.address(WWW, GB) == "192.0.2.1"
    (python if gone == "interpreter" else room / "geosteer").unlink()
    os.kill(worker.pid, signal.SIGHUP)
    answers_until_refused(worker)
    assert reason in worker.close()


def test_a_hangup_with_broken_settings_leaves_it_as_it_is(config: Path) -> None:
    worker = Worker(config)
    worker.greet()
    assert worker.address(WWW, GB) == "192.0.2.1"
    config.write_text("snapshot = [")
    os.kill(worker.pid, signal.SIGHUP)
    answers_until_refused(worker)
    worker.close()


def answers_until_refused(worker: Worker) -> None:
    """A worker that is to reload answers on; the program is tried first, and that takes as long as it takes."""

    def refused() -> bool:
        assert worker.address(WWW, NL) == "192.0.2.2"
        return b"not reloaded: " in worker.log

    wait_until(refused, what="a refusal")
    assert worker.address(WWW, NL) == "192.0.2.2"


def test_bad_settings_end_it_with_the_reason(tmp_path: Path) -> None:
    bad = tmp_path / "backend.toml"
    bad.write_text("snapsot = 'x'\n")
    worker = Worker(bad)
    assert b"snapsot: unknown setting" in worker.close()
    assert worker.process.returncode == 2


def test_warm_questions_ask_nothing_of_redis(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.client() as client, Worker(backend_toml(tmp_path, own_redis)) as worker:
        publish_tiny(client, "geosteer")
        wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])
        worker.ask(WWW, subnet=NL)

        def asked() -> int:
            stats = client.info("commandstats")
            return sum(
                stats[name]["calls"]
                for name in ("cmdstat_hget", "cmdstat_hgetall", "cmdstat_hmget")
                if name in stats
            )

        before = asked()
        for number in range(500):
            worker.ask(WWW, subnet=f"192.0.2.{number % 250}/32")
            worker.ask(WWW, subnet=f"198.51.100.{number % 250}/32")
            worker.ask("nothing.cdn.example.net")
        assert asked() == before


def test_unknown_names_never_reach_redis(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
        with Worker(backend_toml(tmp_path, own_redis)) as worker:
            worker.ask(WWW, "SOA")
            before = client.info("stats")["total_commands_processed"]
            for number in range(2000):
                assert worker.ask(f"x{number}.cdn.example.net") == []
            pings = 3
            assert client.info("stats")["total_commands_processed"] - before <= 2 + pings


def test_a_worker_that_knows_nothing_waits_for_its_first_generation(
    tmp_path: Path, redis_server: RedisServer, prefix: str
) -> None:
    document = json.loads(json.dumps(DOCUMENT))
    for number in range(4000):
        document["nodes"][f"n{number}"] = {"a": [f"198.18.{number % 256}.{number // 256}"]}
    with redis_server.client() as client:
        publish_tiny(client, prefix, document)
    config = backend_toml(tmp_path, redis_server, 'timeout = "2ms"\nfirst_wait = "20s"\n', prefix=prefix)
    with Worker(config) as worker:
        assert worker.address(WWW, GB) == "192.0.2.1"
        assert b"tier live" in worker_status(worker)


def test_a_worker_does_not_wait_long_where_nothing_is_published(
    tmp_path: Path, redis_server: RedisServer, prefix: str
) -> None:
    config = backend_toml(tmp_path, redis_server, 'first_wait = "30s"\n', prefix=prefix)
    with Worker(config) as worker:
        begun = time.monotonic()
        assert worker.ask(WWW, subnet=GB) == [["FAIL"]]
        assert time.monotonic() - begun < 25


def worker_status(worker: Worker) -> bytes:
    worker.send(b"CMD\tstatus\n")
    return b"\n".join(worker.reply())
