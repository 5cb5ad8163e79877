"""A real Prometheus: it scrapes both exporters, each alert fires when its fault is made, and clears when it is mended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.counters.counters import OVERFLOW, TIMEOUTS, Counters
from geosteer.timestamps import format_time
from geosteer_loader.health.thresholds import Health
from geosteer_loader.health.verdicts import Counter, Verdict
from support.data import ROOT
from support.publishing import write_config, write_csv
from support.servers import RedisServer, free_port, need, wait_until
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = ROOT / "conf" / "prometheus-alerts.yml"
GEOSTEER = str(ROOT / "bin" / "geosteer")
DAY = 86400


class Prometheus:
    """Debian's, with scrapes and rules every second."""

    def __init__(self, folder: Path, targets: list[int]) -> None:
        self.port = free_port()
        rules = re.sub(r"^        for: \w+$", "        for: 1s", RULES.read_text(), flags=re.MULTILINE)
        (folder / "rules.yml").write_text(re.sub(r"\[\d+[mh]\]", "[6s]", rules))
        jobs = [
            {"job_name": f"geosteer-{port}", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
            for port in targets
        ]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(folder / "rules.yml")],
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self._log = (folder / "prometheus.log").open("wb")
        self.process = subprocess.Popen(
            [
                need("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=20) as reply:
            return json.load(reply)["data"]

    def firing(self) -> set[str]:
        try:
            found = self.get("alerts")["alerts"]
        except OSError:
            return {"Prometheus does not answer"}
        return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}

    def wait_for(self, wanted: set[str], what: str) -> None:
        try:
            wait_until(lambda: self.firing() == wanted, 100)
        except Exception as exc:
            raise AssertionError(f"{what}: {self.firing() ^ wanted} differ") from exc


class Scene:
    """A published generation, a worker, both exporters, and a Prometheus."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = folder / "counters"
        self.metrics.mkdir()
        self.redis = RedisServer()
        self.csv = write_csv(folder / "geo.csv")
        self.config = folder / "geosteer.toml"
        self.backend = folder / "backend.toml"
        self.backend.write_text(
            f'snapshot = "{folder}/last-good.json"\nmax_stale = 0\n[redis]\nurl = "{self.redis.url}"\n'
            f'[metrics]\nfolder = "{self.metrics}"\n'
        )

    def write(self, canary: str = "GB", names: int = 0) -> None:
        more = f'canaries = {{ "192.0.2.1" = "{canary}" }}\nmax_age = "10d"\n'
        write_config(self.folder, self.redis.url, geo=[self.csv], weight=100 - names, grace=0, more=more)

    def run(self, *words: str, code: int = 0) -> None:
        command = [GEOSTEER, words[0], "--config", str(self.config), *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, (words, done.stdout, done.stderr)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    with made.redis:
        yield made


def exporter(*words: str) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    return subprocess.Popen([GEOSTEER, "metrics", *words, "--listen", f"127.0.0.1:{port}"]), port


def tell(scene: Scene, since: float, ends: float) -> None:
    """As a prober: a beat, and a verdict on a node, of *since*; the node's certificate ends at *ends*."""
    counter = Counter(Health(up=True), since, 0.1, ends)
    verdict = Verdict(
        state="up", since=since, checked=since, expires=since + 3600, counters={"https://x/": counter}
    )
    with scene.redis.client() as client:
        client.hset("{geosteer}:verdict:p1", "lon1", verdict.encode())
        client.hset("{geosteer}:beat", "p1", f"7 {format_time(since)} 100")


def test_each_alert_fires_when_its_fault_is_made_and_clears_when_it_is_mended(scene: Scene) -> None:
    now = time.time()
    os.utime(scene.csv, (now - 30 * DAY, now - 30 * DAY))
    scene.write()
    scene.run("publish")
    scene.write(names=1)
    scene.run("publish")
    stack = contextlib.ExitStack()
    with stack, Worker(scene.backend) as worker:
        of_redis, first = exporter("--config", str(scene.config))
        stack.callback(of_redis.kill)
        of_workers, second = exporter("--backend", str(scene.backend))
        stack.callback(of_workers.kill)
        prometheus = Prometheus(scene.folder, [first, second])
        stack.callback(prometheus.close)
        subnet = "192.0.2.0/24"
        worker.ask("www.cdn.example.net", subnet=subnet)

        prometheus.wait_for({"GeosteerDataOld"}, "at first")
        targets = prometheus.get("targets")["activeTargets"]
        assert [target["health"] for target in targets] == ["up", "up"], [
            target["lastError"] for target in targets
        ]

        # all faults of what is published, of who looks after it, and of the counts
        scene.write(canary="US")
        scene.run("publish", code=3)
        scene.run("rollback")
        scene.run("node", "down", "*", "--yes", "--why", "test")
        with scene.redis.client() as client:
            client.hset("{geosteer}:node:lon1", mapping={"state": "down"})
            client.hdel("{geosteer}:object", client.hget("{geosteer}:current", "geo.v4"))
        tell(scene, time.time() - 3000, time.time() + DAY)
        hanging, behind = Counters("http"), Counters("squid")
        for counters, seen, generation in ((hanging, now - 90, "1"), (behind, now, "1")):
            assert counters.take_file(str(scene.metrics), seen) == ""
            counters.note(seen, generation, "live", 0, 0)
        ahead = Counters("squid")
        assert ahead.take_file(str(scene.metrics), now) == ""
        ahead.note(time.time(), "7", "live", 0, 0)
        (scene.metrics / "library").mkdir()
        (scene.metrics / "library" / "0.counters").write_bytes(b"rubbish")

        faults = {
            "GeosteerDataOld", "GeosteerPublishFailing", "GeosteerPublishHeld", "GeosteerNodeDown", "GeosteerMapWithoutNode",
            "GeosteerTableIncomplete", "GeosteerProberSilent", "GeosteerCertificateEnds", "GeosteerOverrideWithoutEnd",
            "GeosteerWorkersSilent", "GeosteerWorkersBehind", "GeosteerCountsDamaged", "GeosteerCountsOverflow",
            "GeosteerWaitsInVain",
        }  # fmt: skip

        def busy() -> bool:
            behind.note(time.time(), "1", "live", 0, 0)
            ahead.note(time.time(), "7", "live", 0, 0)
            for _ in range(3):
                ahead.count(OVERFLOW)
                ahead.count(TIMEOUTS)
            return prometheus.firing() == faults

        wait_until(busy, 100, "all alerts")

        # all mended
        hanging.close()
        behind.close()
        ahead.close()
        (scene.metrics / "library" / "0.counters").unlink()
        os.utime(scene.csv)
        scene.write()
        scene.run("publish", "--release")
        scene.run("node", "auto", "*")
        with scene.redis.client() as client:
            client.hset("{geosteer}:node:lon1", mapping={"state": "up"})
        tell(scene, time.time(), time.time() + 300 * DAY)
        prometheus.wait_for(set(), "mended")

        # without Redis
        scene.redis.stop()
        ask = lambda: worker.ask("www.cdn.example.net", subnet=subnet)  # noqa: E731
        away = {"GeosteerRedisUnreadable", "GeosteerWorkersNotLive"}
        wait_until(lambda: ask() and prometheus.firing() >= away, 100, "alerts of an outage")
        scene.redis.start()
        scene.run("publish")
        with scene.redis.client() as client:
            client.hset("{geosteer}:beat", "p1", f"8 {format_time(time.time())} 100")
        prometheus.wait_for(set(), "Redis is back")
