"""A real Prometheus: it scrapes both exporters, each alert fires when its fault is made, and clears when it is mended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.counters.counters import OVERFLOW, Counters
from support.certificates import Certificates
from support.data import ROOT
from support.https_server import HttpsServer
from support.publishing import LINES, write_config, write_csv
from support.servers import RedisServer, free_port, need, wait_until
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RULES = ROOT / "conf" / "prometheus-alerts.yml"
GEOSTEER = str(ROOT / "bin" / "geosteer")
DAY = 86400
NAME, GB = "www.cdn.example.net", "192.0.2.0/24"
LEAVES = 100
"""Pages, about, of the table."""


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

    def wait_for(self, wanted: set[str], what: str, done: Callable[[set[str]], bool] | None = None) -> None:
        """Until these alerts fire and no others. Args: done: says whether they do, and may do something meanwhile."""
        try:
            wait_until(lambda: done(wanted) if done else self.firing() == wanted, 250)
        except Exception as exc:
            raise AssertionError(f"{what}: {self.firing() ^ wanted} differ") from exc


class Scene:
    """A published generation, a worker, both exporters, a prober with two nodes to look at, and a Prometheus."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metrics = folder / "counters"
        self.metrics.mkdir()
        self.redis = RedisServer()
        self.csv = write_csv(
            folder / "geo.csv",
            [*LINES, *(f"10.{n >> 8}.{n & 255}.0/24,{'GF'[n % 2]}R" for n in range(LEAVES << 8))],
        )
        self.config = folder / "geosteer.toml"
        self.backend = folder / "backend.toml"
        self.decisions = folder / "decisions.log"
        self.backend.write_text(
            f'snapshot = "{folder}/last-good.json"\nmax_stale = 0\n[redis]\nurl = "{self.redis.url}"\n'
            f'[metrics]\nfolder = "{self.metrics}"\n[log]\nsample = 1\nfile = "{self.decisions}"\n'
        )
        self.certificates = Certificates(folder)
        self.certificates.authority()
        self.certificates.sign("server", days=2)
        self.certificates.sign("renewed", days=300)
        self.web = HttpsServer(self.certificates)
        self.web.put("/health", b"well")
        self.port = free_port()
        self.listener: socket.socket | None = None
        self._leaf = 0
        self._asked = 0.0

    def listen(self) -> None:
        """What the second node is looked at for."""
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=50)

    def write(self, canary: str = "GB", names: int = 0) -> None:
        often = "interval = 2\ntimeout = 2\nprofile = { up = 1, ok = 1, down = 2 }\n"
        more = (
            f'canaries = {{ "192.0.2.1" = "{canary}" }}\nmax_age = "10d"\n[prober]\nname = "p1"\ncontrol = []\n'
            f'[nodes.lon1.check]\ntype = "https"\nurl = "{self.web.url}/health"\nca = "{self.certificates["ca"]}"\n{often}'
            f'[nodes.lon2.check]\ntype = "tcp"\nport = {self.port}\n{often}'
        )
        write_config(self.folder, self.redis.url, geo=[self.csv], weight=100 - names, grace=0, more=more)
        text = self.config.read_text().replace('a = ["192.0.2.2"]', 'a = ["127.0.0.1"]')
        self.config.write_text(text)

    def run(self, *words: str, code: int = 0) -> None:
        command = [GEOSTEER, words[0], "--config", str(self.config), *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, (words, done.stdout, done.stderr)

    def prober(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([GEOSTEER, "probe", "--watch", "--config", str(self.config)])

    def state_of(self, node: str) -> str:
        with self.redis.client(decode_responses=True) as client:
            return str(client.hget(f"{{geosteer}}:node:{node}", "state"))

    def wait_in_vain(self, worker: Worker) -> None:
        """Now and then the worker asks a Redis that does not answer for a page that it does not have."""
        if time.monotonic() - self._asked > 1:
            self._asked = time.monotonic()
            self._leaf = (self._leaf + 1) % LEAVES
            self.redis.freeze()
            worker.ask(NAME, subnet=f"10.{self._leaf}.7.0/24")
            self.redis.thaw()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    with made.redis, made.web:
        yield made


def exporter(*words: str) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    return subprocess.Popen([GEOSTEER, "metrics", *words, "--listen", f"127.0.0.1:{port}"]), port


@pytest.mark.timeout(1500)
def test_each_alert_fires_when_its_fault_is_made_and_clears_when_it_is_mended(scene: Scene) -> None:
    now = time.time()
    os.utime(scene.csv, (now - 30 * DAY, now - 30 * DAY))
    scene.listen()
    scene.write()
    scene.run("publish")
    scene.write(names=1)
    scene.run("publish")
    with contextlib.ExitStack() as stack:
        worker, hanging = (stack.enter_context(Worker(scene.backend)) for _ in range(2))
        stack.callback(hanging.process.send_signal, signal.SIGCONT)
        of_redis, first = exporter("--config", str(scene.config))
        stack.callback(of_redis.kill)
        of_workers, second = exporter("--backend", str(scene.backend))
        stack.callback(of_workers.kill)
        prober = scene.prober()
        stack.callback(prober.kill)
        prometheus = Prometheus(scene.folder, [first, second])
        stack.callback(prometheus.close)
        for each in (worker, hanging):
            each.ask(NAME, subnet=GB)

        prometheus.wait_for({"GeosteerDataOld", "GeosteerCertificateEnds"}, "at first")
        targets = prometheus.get("targets")["activeTargets"]
        assert [target["health"] for target in targets] == ["up", "up"], [
            target["lastError"] for target in targets
        ]

        # All faults of what is published, of who looks after it, and of the workers. A worker that hangs is behind, too.
        os.kill(hanging.pid, signal.SIGSTOP)
        assert scene.listener is not None
        scene.listener.close()
        scene.write(canary="US")
        scene.run("publish", code=3)
        scene.run("rollback")
        scene.run("node", "down", "*", "--yes", "--why", "test")
        scene.decisions.rename(scene.folder / "before.log")
        scene.decisions.mkdir()
        with scene.redis.client() as client:
            client.hdel("{geosteer}:object", client.hget("{geosteer}:current", "geo.v4"))
        full = Counters("http")
        assert full.take_file(str(scene.metrics), now) == ""
        (scene.metrics / "library").mkdir()
        (scene.metrics / "library" / "0.counters").write_bytes(b"rubbish")

        faults = {
            "GeosteerDataOld", "GeosteerPublishFailing", "GeosteerPublishHeld", "GeosteerNodeDown", "GeosteerMapWithoutNode",
            "GeosteerTableIncomplete", "GeosteerCertificateEnds", "GeosteerOverrideWithoutEnd", "GeosteerWorkersSilent",
            "GeosteerWorkersBehind", "GeosteerCountsDamaged", "GeosteerCountsOverflow", "GeosteerDecisionLogLoses",
        }  # fmt: skip
        slow = {"GeosteerWaitsInVain", "GeosteerAnswersOfLastResort"}

        def busy(wanted: set[str]) -> bool:
            if wanted & slow:
                scene.wait_in_vain(worker)
            worker.ask(NAME, subnet=GB)
            full.note(time.time(), "3", "live", 0, 0)
            full.count(OVERFLOW)  # a worker has room for 4,000 names
            return prometheus.firing() == wanted

        prometheus.wait_for(faults | slow, "all faults", busy)
        # Without a prober states are frozen, as workers say. Of certificates nothing is known any more.
        prober.kill()
        silent = {"GeosteerProberSilent", "GeosteerChecksStopped", "GeosteerWorkersNotLive"}
        frozen = faults - {"GeosteerCertificateEnds"} | silent
        prometheus.wait_for(frozen, "no prober", busy)

        # all mended
        os.kill(hanging.pid, signal.SIGCONT)
        hanging.close()
        full.close()
        (scene.metrics / "library" / "0.counters").unlink()
        scene.decisions.rmdir()
        scene.web.show(scene.certificates, "renewed")
        scene.listen()
        stack.callback(scene.listener.close)
        prober = scene.prober()
        stack.callback(prober.kill)
        os.utime(scene.csv)
        scene.write()
        scene.run("publish", "--release")
        scene.run("node", "auto", "*")
        prometheus.wait_for(set(), "mended")

        # Without Redis it answers by the round robin, as it may not be stale.
        scene.redis.stop()
        away = {"GeosteerRedisUnreadable", "GeosteerWorkersNotLive", "GeosteerAnswersOfLastResort"}
        ask = lambda: worker.ask(NAME, subnet=GB) != [["FAIL"]]  # noqa: E731
        prometheus.wait_for(away, "an outage", lambda wanted: ask() and prometheus.firing() == wanted)
        scene.redis.start()
        scene.run("publish")
        prometheus.wait_for(set(), "Redis is back", lambda wanted: ask() and prometheus.firing() == wanted)
        told = faults | slow | silent | away
        assert told == set(re.findall(r"^      - alert: (\w+)$", RULES.read_text(), re.MULTILINE))
