"""`geosteer metrics`: what it shows of Redis and of workers, and that it shows nothing that is not true now."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from geosteer.counters.counters import ANSWER, BEACON, LAST_RESORT, OTHER, OVERFLOW, WAITS, Counters
from geosteer.timestamps import format_time
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.health.thresholds import Health
from geosteer_loader.health.verdicts import Counter, Verdict
from geosteer_loader.latency.store import Measurements
from geosteer_loader.metrics import bounds
from geosteer_loader.metrics.catalogue import ALWAYS, METRICS, REDIS, WORKERS
from geosteer_loader.metrics.exporter import Exporter
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.store import connect
from support.data import ROOT
from support.hostile import HostileServer
from support.publishing import make_config, write_csv
from support.servers import RedisServer, free_port, need, wait_until
from support.tiny import publish_tiny

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

GEOSTEER = ROOT / "bin" / "geosteer"
Shown = dict[str, dict[tuple[str, ...], float]]


def shown(text: bytes | str) -> Shown:
    """Metric -> values of labels, in the catalogue's order -> value; histograms by `_bucket`, `_sum`, `_count`."""
    text = text if isinstance(text, str) else text.decode()
    found: Shown = {}
    for family in text_string_to_metric_families(text):
        metric = METRICS.get(family.name) or METRICS[f"{family.name}_total"]
        for sample in family.samples:
            key = tuple(sample.labels[name] for name in (*metric.labels, "le") if name in sample.labels)
            found.setdefault(sample.name.removeprefix("geosteer_"), {})[key] = sample.value
    return found


def lint(text: bytes) -> None:
    """As Prometheus wants them."""
    done = subprocess.run([need("promtool"), "check", "metrics"], input=text, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """With a generation, node states, an override, verdicts, a beat and a failed publish."""
    with RedisServer() as server:
        config = make_config(tmp_path, server.url, geo=[write_csv(tmp_path / "geo.csv")])
        with connect(config.redis) as store:
            publish(config, store)
        now = time.time()
        counter = Counter(Health(up=True, failures=0, successes=3), now, 0.25, now + 86400)
        verdict = Verdict(
            state="up", since=now - 50, checked=now, expires=now + 60, counters={"https://x/": counter}, load=70.0,
            loaded=now, shed=0.25,
        )  # fmt: skip
        with server.client() as client:
            since = {"since": format_time(now - 50)}
            client.hset("{geosteer}:node:lon1", mapping={"state": "up", "shed": "0.25", **since})
            client.hset("{geosteer}:node:lon2", mapping={"state": "down", "failing": "no", **since})
            override = {
                "state": "drain",
                "percent": 10,
                "until": format_time(now + 600),
                "who": "me",
                "why": "x",
            }
            client.hset("{geosteer}:override", "ams1", json.dumps(override))
            client.hset("{geosteer}:verdict:p1", "lon1", verdict.encode())
            told = {"state": "lost", "prefixes": {"ipv4": 9, "ipv6": 2}, "losses": 3, "at": format_time(now)}
            odd = {"b 2": "[]", "c 3": "x", "d 4": json.dumps({**told, "losses": -1})}
            client.hset("{geosteer}:session", mapping={"/a/b c.sock 10.0.0.1": json.dumps(told), **odd})
            client.hset("{geosteer}:beat", "p1", f"7 {format_time(now)} 10")
            client.hset("{geosteer}:beat", "p2", f"7 {format_time(now - 900)} 10")
            failure = {
                "since": format_time(now - 60),
                "when": format_time(now),
                "guard": "max_shrink canaries",
            }
            client.hset("{geosteer}:failure", mapping={**failure, "who": "x", "why": "y"})
        yield server


def exporter_of(url: str, **more: Any) -> Exporter:
    return Exporter(redis=RedisSettings(url=url, prefix="geosteer", timeout=1), **more)


def test_what_redis_knows(server: RedisServer) -> None:
    text = exporter_of(server.url, max_age={"geo": 864000.0}).text()
    lint(text)
    found, now = shown(text), time.time()
    assert set(found) <= {metric.name.removeprefix("geosteer_") for metric in (*ALWAYS, *REDIS)}
    assert found["redis_up"] == {(): 1}
    assert found["redis_primary"] == {(): 1}
    assert found["redis_replicas"] == {("online",): 0}
    assert found["generation"] == {(): 1}
    assert found["published_timestamp_seconds"][()] == pytest.approx(now, abs=120)
    assert found["table_data_timestamp_seconds"][("geo",)] == pytest.approx(now, abs=120)
    assert found["table_max_age_seconds"] == {("geo",): 864000}
    assert found["table_ranges"] == {("geo",): 8}
    assert found["table_prefixes"] == {("geo",): 3}
    assert found["table_complete"] == {("geo",): 1}
    assert found["publish_failing"] == {(): 1}
    assert set(found["publish_failure_timestamp_seconds"]) == {("max_shrink",), ("canaries",)}
    assert found["publish_failing_since_timestamp_seconds"][()] == pytest.approx(now - 60, abs=30)
    assert found["node_state"][("lon2", "down")] == 1
    assert sum(found["node_state"].values()) == 3
    assert found["node_serving"] == {("ams1",): 1, ("lon1",): 1, ("lon2",): 0}
    assert found["node_share_ratio"] == {("ams1",): 0.1, ("lon1",): 0.75, ("lon2",): 0}
    assert found["node_shed_ratio"][("lon1",)] == 0.25
    assert found["node_load"] == {("lon1",): 70}
    assert found["node_checked_timestamp_seconds"][("lon1",)] == pytest.approx(now, abs=30)
    assert found["override"] == {("ams1", "drain"): 1}
    assert found["override_kept_ratio"] == {("ams1",): 0.1}
    assert found["override_end_timestamp_seconds"][("ams1",)] == pytest.approx(now + 600, abs=30)
    check = ("p1", "lon1", "https://x/")
    assert found["check_up"] == {check: 1}
    assert found["check_duration_seconds"] == {check: 0.25}
    assert found["certificate_end_timestamp_seconds"][check] == pytest.approx(now + 86400, abs=30)
    assert found["bgp_session_up"] == {("/a/b c.sock", "10.0.0.1"): 0}
    assert found["bgp_session_losses_total"] == {("/a/b c.sock", "10.0.0.1"): 3}
    assert found["bgp_session_prefixes"] == {
        ("/a/b c.sock", "10.0.0.1", "ipv4"): 9,
        ("/a/b c.sock", "10.0.0.1", "ipv6"): 2,
    }
    assert found["prober_silent"] == {("p1",): 0, ("p2",): 1}
    assert found["prober_period_seconds"] == {("p1",): 10, ("p2",): 10}


def test_nothing_stale_is_shown_while_redis_is_away(server: RedisServer, tmp_path: Path) -> None:
    exporter = exporter_of(server.url, folder=str(tmp_path))
    assert "generation" in shown(exporter.text())
    server.stop()
    found = shown(exporter.text())
    assert found["redis_up"] == {(): 0}
    assert set(found) <= {metric.name.removeprefix("geosteer_") for metric in (*ALWAYS, *WORKERS)} | {
        "redis_up"
    }
    assert exporter.trouble
    lint(exporter.text())
    server.start()
    wait_until(
        lambda: shown(exporter.text())["redis_up"][()] == 0 and exporter.trouble, 20
    )  # empty: nothing published
    with server.client() as client:
        publish_tiny(client, "geosteer", generation=9)
    found = shown(exporter.text())
    assert (found["redis_up"][()], found["generation"][()], exporter.trouble) == (1, 9, "")


def test_a_redis_that_stands_still_costs_a_scrape_its_time_and_no_more(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "SECONDS", 0.3)
    exporter = exporter_of(server.url)
    server.freeze()
    began = time.monotonic()
    assert shown(exporter.text())["redis_up"] == {(): 0}
    assert time.monotonic() - began < 20
    server.thaw()


def drip(client: socket.socket) -> None:
    client.sendall(b"*100000\r\n")
    for _ in range(100_000):
        client.sendall(b"$1\r\nx\r\n")
        time.sleep(0.05)


def flood(client: socket.socket) -> None:
    client.sendall(b"*200000\r\n")
    while True:
        client.sendall(b"$60000\r\n" + b"x" * 60000 + b"\r\n")


NESTED = b"*1\r\n" * 10_000 + b":1\r\n"
ANSWERS = {
    "error": b"-ERR no\r\n", "null": b"$-1\r\n", "number": b":12345678901234567890\r\n", "text": b"$3\r\nabc\r\n",
    "empty": b"*0\r\n", "odd": b"*1\r\n$1\r\nx\r\n", "numbers": b"*2\r\n:1\r\n:2\r\n", "nested": NESTED,
    "many": b"*1000000000\r\n", "huge": b"$500000000\r\n", "rubbish": b"HTTP/1.1 200 OK\r\n\r\n", "binary": bytes(range(256)),
    "pairs": b"*4\r\n$1\r\nx\r\n$2\r\n{}\r\n$4\r\n\xff\xfe\n\t\r\n$9\r\n[[[[[[[[[\r\n",
    "drip": drip, "flood": flood,
}  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_a_server_answers_the_exporter_says_so_and_goes_on(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(bounds, "SECONDS", 1.0)
    monkeypatch.setattr(bounds, "BYTES", 1 << 22)
    with HostileServer(tmp_path, server.socket) as hostile:
        exporter = exporter_of(hostile.url)
        for command in ("HGETALL", "TIME", "INFO"):
            hostile.command, hostile.answer = command, ANSWERS[answer]  # type: ignore[assignment]
            began, before = time.monotonic(), hostile.answered
            text = exporter.text()
            assert time.monotonic() - began < 60
            assert hostile.answered > before
            lint(text)
            assert "redis_up" in shown(text)
            assert len(text) < 100_000
        hostile.command = ""
        monkeypatch.setattr(bounds, "SECONDS", 20.0)
        assert shown(exporter.text())["redis_up"] == {(): 1}


def test_values_of_any_kind_in_the_hashes_are_shown_or_left_out(server: RedisServer) -> None:
    rubbish = [b"", b"\xff\xfe", b"{" * 5000, b"null", b"1e999", b"-1", b'"x"', b"x" * 100_000, b'\n\t"\\']
    exporter = exporter_of(server.url)
    with server.client() as client:
        for number, value in enumerate(rubbish):
            client.hset("{geosteer}:node:lon1", mapping={"state": value, "since": value, "shed": value})
            for key in ("override", "beat", "verdict:p1", "failure"):
                client.hset(
                    "{geosteer}:" + key,
                    mapping={"lon1": value, "guard": value, "when": value, value or b"e": value},
                )
            text = exporter.text()
            lint(text)
            assert shown(text)["redis_up"] == {(): 1}, (number, exporter.trouble)
            assert all(len(line) < 2000 for line in text.splitlines())


def test_the_parts_that_a_user_may_not_read_are_counted(server: RedisServer) -> None:
    with server.client() as client:
        rights = [
            "resetkeys",
            "%R~{geosteer}:*",
            "-@all",
            "+hgetall",
            "+hget",
            "+hmget",
            "+time",
            "+select",
            "+hello",
        ]
        client.acl_setuser("few", enabled=True, passwords=["+few"], reset=True)
        client.execute_command("ACL", "SETUSER", "few", *rights)
    settings = RedisSettings(url=server.url, prefix="geosteer", username="few", password="few")
    found = shown(Exporter(redis=settings).text())
    assert found["redis_up"] == {(): 1}
    assert found["redis_values_unreadable"][()] >= 1


def count(folder: Path, front_end: str, number: int) -> Counters:
    counters = Counters(front_end)
    assert counters.take_file(str(folder), time.time()) == ""
    for _ in range(number):
        counters.count(
            counters.slot(ANSWER, "z", "www", "live", "A", "lon1", "countries", "AAAA", "ams1", "default")
        )
    counters.count(counters.slot(ANSWER, "z", "www", "fallback", "A", "lon1", LAST_RESORT))
    counters.count(counters.slot(OTHER, "z", "missing"))
    counters.count(OVERFLOW)
    for _ in range(number):
        counters.count(counters.slot(BEACON, "beacon", "taken"))
    counters.count(WAITS)
    counters.observe(0.003)
    counters.note(time.time(), str(40 + number), "live", 3, 1000)
    return counters


def test_what_workers_have_counted_is_added_up(tmp_path: Path) -> None:
    first, second, third = count(tmp_path, "pdns", 5), count(tmp_path, "pdns", 7), count(tmp_path, "http", 1)
    third.close()
    (tmp_path / "squid").mkdir()
    (tmp_path / "squid" / "0.counters").write_bytes(b"rubbish")
    text = Exporter(folder=str(tmp_path)).text()
    lint(text)
    found = shown(text)
    assert set(found) >= {"answers_total", "worker_files_damaged"}
    assert "redis_up" not in found, "Redis was not asked"
    assert found["answers_total"][("pdns", "www", "A", "lon1", "countries", "live")] == 12
    assert found["answers_total"][("pdns", "www", "AAAA", "ams1", "default", "live")] == 12
    assert found["answers_total"][("pdns", "www", "A", "lon1", "last_resort", "fallback")] == 2
    assert found["questions_total"][("pdns", "z", "answered")] == 14
    assert found["questions_total"][("pdns", "z", "missing")] == 2
    assert found["beacon_events_total"][("beacon", "taken")] == 13
    assert found["questions_overflow_total"][("pdns",)] == 2
    assert found["answer_duration_seconds_count"] == {("pdns",): 18, ("http",): 4}
    assert found["answer_duration_seconds_bucket"][("pdns", "5e-05")] == 16
    assert found["answer_duration_seconds_bucket"][("pdns", "0.005")] == 18
    assert found["answer_duration_seconds_sum"][("pdns",)] == pytest.approx(0.006)
    assert found["workers"] == {
        (front_end, tier): float(front_end == "pdns" and tier == "live") * 2
        for front_end in ("pdns", "http")
        for tier in ("fallback", "stale", "live")
    }
    assert (found["workers_generation_min"], found["workers_generation_max"]) == (
        {("pdns",): 45},
        {("pdns",): 47},
    )
    assert found["workers_cache_bytes"][("pdns",)] == 2000
    assert found["worker_files"] == {("pdns",): 2, ("http",): 1}
    assert found["worker_files_damaged"] == {(): 1}
    first.close()
    second.close()


def test_every_metric_of_the_catalogue_is_shown_by_some_scrape(server: RedisServer, tmp_path: Path) -> None:
    counters = count(tmp_path, "pdns", 1)
    with RedisServer("--replicaof", "127.0.0.1", "1") as other, server.client() as client:
        client.hset("{geosteer}:node:lon1", "state", "down")
        client.hset("{geosteer}:override", "ams1", json.dumps({"state": "down"}))
        client.hset(
            "{geosteer}:override", "lon1", json.dumps({"state": "up", "until": "2999-01-01T00:00:00Z"})
        )
        figures = {
            "vrps": 4,
            "built": "2026-11-28T00:00:00Z",
            "max_age": 1,
            "trouble": "",
            "valid": 1,
            "invalid": 2,
        }
        roots = {
            f"bgp.{family}": client.hget("{geosteer}:current", f"geo.{family}") for family in ("v4", "v6")
        }
        client.hset(
            "{geosteer}:current", mapping={**roots, "bgp.rpki": json.dumps({**figures, "not_found": 3})}
        )
        measurements = tmp_path / "measurements.sqlite"
        store = Measurements(measurements, 86400.0)
        facts = {"window": 1e9, "judged": 7.0, "changed": 1.0, "newest": 1e9, "taken": 5.0}
        facts |= {"refused: unreadable": 1.0, "left out: glass": 2.0}
        store.replace_records([], facts, [("system", "1/DE/32", "ams1", 0.31, 1, 0)])
        store.close()
        more = {"folder": str(tmp_path), "measurements": measurements}
        found = set(shown(exporter_of(server.url, max_age={"geo": 1.0}, **more).text()))
        assert other.running
    bare = {
        metric.name.removeprefix("geosteer_") for metric in METRICS.values() if metric.kind != "histogram"
    }
    assert bare - found <= {"redis_replica_lag_bytes", "map_without_node"}
    counters.close()


def test_the_command_prints_writes_and_serves(server: RedisServer, tmp_path: Path) -> None:
    config = tmp_path / "geosteer.toml"
    run = [str(GEOSTEER), "metrics", "--config", str(config)]
    done = subprocess.run(run, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert shown(done.stdout)["generation"] == {(): 1}
    file = tmp_path / "x" / "geosteer.prom"
    file.parent.mkdir()
    done = subprocess.run([*run, "--textfile", str(file)], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"")
    lint(file.read_bytes())
    assert [path.name for path in file.parent.iterdir()] == ["geosteer.prom"]
    assert file.stat().st_mode & 0o777 == 0o644
    port = free_port()
    with subprocess.Popen([*run, "--listen", f"127.0.0.1:{port}"], stderr=subprocess.PIPE) as process:
        try:
            assert b"listening" in process.stderr.readline()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as reply:
                assert shown(reply.read())["redis_up"] == {(): 1}
        finally:
            process.terminate()
        assert process.wait(60) == 143
    server.stop()
    done = subprocess.run(run, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert shown(done.stdout)["redis_up"] == {(): 0}
    done = subprocess.run(
        [*run, "--textfile", str(tmp_path / "no" / "x.prom")], capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 2), done.stderr


@pytest.mark.parametrize("listen", ["9717", "x:", ":1", "127.0.0.1:0", "127.0.0.1:70000", "[::1]:x"])
def test_an_address_that_is_none_is_bad_usage(tmp_path: Path, server: RedisServer, listen: str) -> None:
    run = [str(GEOSTEER), "metrics", "--config", str(tmp_path / "geosteer.toml"), f"--listen={listen}"]
    done = subprocess.run(run, capture_output=True, timeout=60)
    assert done.returncode == 2, done.stderr


def test_the_paper_lists_every_metric_with_its_labels_and_meaning() -> None:
    paper = (ROOT / "docs" / "metrics.md").read_text()
    rows = {
        (name, tuple(re.findall(r"`(\w+)`", labels)), meaning)
        for name, labels, meaning in re.findall(
            r"^\| `(geosteer_\w+)` \| \w+ \| ([^|]*) \| ([^|]*) \|$", paper, re.MULTILINE
        )
    }
    assert rows == {(metric.name, metric.labels, metric.help) for metric in METRICS.values()}
