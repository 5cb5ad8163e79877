"""The decision log of every front end: the right part of all decisions, remembered ones too, without anybody's address."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import time
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from geosteer import Steering, load_settings
from geosteer.counters.reading import read_folder
from support.data import ROOT
from support.dns_setup import backend_toml, document
from support.servers import need, wait_until
from support.steering import wait_live
from support.tiny import GEO, publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.servers import RedisServer

WWW, DRAW, STICKY = "www.cdn.example.net", "draw.cdn.example.net", "sticky.cdn.example.net"
GB, NL = "192.0.2.0/24", "198.51.100.0/24"
WHAT = document(
    services={
        DRAW: {"map": "even", "policy": "weighted"},
        STICKY: {"map": "even", "policy": "hash"},
    },
    maps={"even": {**document()["maps"]["default"], "countries": {"GB": {"lon1": 1, "ams1": 1}}}},
)


@pytest.fixture
def config(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Callable[[float], Path]:
    """Settings with that part of the decisions logged."""
    with redis_server.client() as client:
        publish_tiny(client, prefix, WHAT, {"geo": {**GEO, "203.0.113.7/32": "GB"}})

    def write(sample: float) -> Path:
        more = f'---[debug]\nnetworks = ["127.0.0.1"]\n[log]\nsample = {sample}\nfile = "decisions.log"\n'
        return backend_toml(tmp_path, redis_server, more, prefix=prefix)

    return write


def entries(config: Path) -> list[dict[str, Any]]:
    path = config.parent / "decisions.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_worker_logs_each_decision_once_remembered_or_not(config: Callable[[float], Path]):
    path = config(1.0)
    with Worker(path) as worker:
        for _ in range(3):
            assert worker.address(WWW, GB) == "192.0.2.1"
            assert worker.address(WWW, "192.0.2.128/25") == "192.0.2.1"
        worker.ask("cdn.example.net", "SOA")
        worker.ask("nothing.cdn.example.net")
        worker.ask(f"_geosteer.{WWW}", "ANY", GB)
    logged = entries(path)
    assert len(logged) == 6
    assert abs(logged[0].pop("now") - logged[1]["now"]) < 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", logged[0].pop("time"))
    assert logged[0] == {
        "front_end": "pdns", "tier": "live", "generation": 1, "client": GB, "resolver": "127.0.0.0/24", "service": WWW,
        "layer": "countries", "key": "GB", "tables": {"geo": {"record": "GB", "prefix": GB, "length": 24}},
        "nodes": {"A": ["lon1"], "AAAA": ["lon1"]}, "not": [], "scope": 24, "ttl": 60,
    }  # fmt: skip


@pytest.mark.parametrize("sample", [0.02, 0.2])
def test_of_remembered_replies_the_same_part_is_logged(config: Callable[[float], Path], sample: float):
    path = config(sample)
    asked = 4000
    with Worker(path) as worker:
        for number in range(asked):  # hot, wide and drawn questions
            name, subnet = ((WWW, GB), (WWW, f"203.0.113.{number % 128}/32"), (DRAW, GB))[number % 3]
            worker.address(name, subnet)
    logged = entries(path)
    deviation = (asked * sample * (1 - sample)) ** 0.5
    assert abs(len(logged) - asked * sample) < 5 * deviation
    by_service = [entry["service"] for entry in logged]
    assert by_service.count(DRAW) > len(logged) / 6
    assert by_service.count(WWW) > len(logged) / 3


def test_no_address_stands_in_it(config: Callable[[float], Path]):
    path = config(1.0)
    clients = [
        "203.0.113.7/32",
        "203.0.113.200/32",
        "2001:db8:a:7777::1/128",
        "::ffff:203.0.113.7/128",
        "10.1.2.3/32",
    ]
    with Worker(path) as worker:
        for client in clients:
            worker.ask(WWW, subnet=client, remote="203.0.113.99")
            worker.ask(WWW, subnet="0.0.0.0/0", remote=client.partition("/")[0])
    with Steering.open(path, log=print) as steering:
        for client in clients:
            steering.decide(WWW, client.partition("/")[0])
    text = (path.parent / "decisions.log").read_text()
    assert len(text.splitlines()) == 3 * len(clients)
    found = {ip_network(word) for word in re.findall(r'"([0-9a-f.:]+/\d+)"', text)}
    assert found
    assert {net for net in found if net.prefixlen > (24 if net.version == 4 else 48)} == set()
    assert not re.findall(r'"\d+\.\d+\.\d+\.\d+"|"[0-9a-f]*:[0-9a-f:]+"|7777|203\.0\.113\.[1-9]', text)
    narrow = [entry for entry in map(json.loads, text.splitlines()) if entry["tables"]["geo"]["length"] > 24]
    assert narrow, "a prefix longer than that is told by its length"
    assert narrow[0]["tables"]["geo"] == {"record": "GB", "prefix": "203.0.113.0/24", "length": 32}


def test_lines_that_are_lost_are_counted_and_a_metric(config: Callable[[float], Path]):
    path = config(1.0)
    folder, file = path.parent / "counters", path.parent / "decisions.log"
    folder.mkdir()
    with path.open("a") as more:
        more.write(f'[metrics]\nfolder = "{folder}"\n')
    file.mkdir()  # nobody can write there, root neither

    def counts() -> list[tuple[str, int, int]]:
        return [(worker.front_end, worker.log_lines, worker.log_lost) for worker in read_folder(folder)[0]]

    with Worker(path) as worker, Steering.open(path, log=print) as steering:
        for _ in range(3):
            worker.ask(WWW, subnet=GB)
        steering.decide(WWW, "192.0.2.7")
        assert counts() == [("pdns", 0, 3), ("library", 0, 1)]
        file.rmdir()
        wait_until(lambda: bool(steering.decide(WWW, "192.0.2.7")) and file.exists(), what="a line")
        wait_until(lambda: bool(worker.ask(WWW, subnet=GB)) and counts()[0][1] > 0, what="another")
    found = counts()
    assert sum(written for _, written, _ in found) == len(entries(path))
    words = ["metrics", "--backend", str(path)]
    shown = subprocess.run(
        [str(ROOT / "bin" / "geosteer"), *words], capture_output=True, text=True, check=True
    )
    for front_end, written, lost in found:
        labels = f'{{front_end="{front_end}"}}'
        assert f"geosteer_decision_log_lines_total{labels} {written}.0\n" in shown.stdout
        assert f"geosteer_decision_log_lines_lost_total{labels} {lost}.0\n" in shown.stdout


def test_the_library_logs_its_choices_and_what_they_went_by(config: Callable[[float], Path]):
    path = config(1.0)
    with Steering.open(path, log=print) as steering:
        steering.start()
        with steering.held() as (tier, _):
            wait_live(tier)
        for _ in range(2):
            steering.decide(WWW, "192.0.2.7")
            drawn = steering.decide(DRAW, "192.0.2.7")
            by_path = steering.decide(STICKY, "192.0.2.7", path="/film/1", limit=2)
    logged = entries(path)
    assert [entry["service"] for entry in logged] == [WWW, DRAW, STICKY] * 2
    assert {entry["front_end"] for entry in logged} == {"library"}
    assert logged[0]["nodes"] == {"A": ["lon1"]}
    assert drawn.node is not None
    assert logged[4]["nodes"] == {"A": [drawn.node.name]}
    assert 0 <= logged[4]["ticket"] < 1
    assert logged[5]["nodes"] == {"A": [node.name for node in by_path.nodes]}
    assert (logged[5]["path"], logged[5]["limit"]) == ("/film/1", 2)


def test_it_says_why_a_node_was_passed_over(
    config: Callable[[float], Path], redis_server: RedisServer, prefix: str
):
    path = config(1.0)
    with redis_server.client() as client:
        client.hset(f"{{{prefix}}}:node:lon1", mapping={"state": "down", "reason": "refused"})
        client.hset(f"{{{prefix}}}:node:ams1", mapping={"state": "up", "shed": "0.9999"})
    with Worker(path) as worker:
        worker.ask(WWW, subnet=GB)
        worker.ask(WWW, subnet=NL)
    first, second = entries(path)
    assert first["not"][0] == ["lon1", "down: refused"]
    assert ["ams1", "keeps 0.0001 of its clients, and not this one"] in second["not"]


def test_without_redis_it_tells_the_last_resort(tmp_path: Path):
    more = (
        '---[log]\nsample = 1\nfile = "decisions.log"\n[fallback.zones."cdn.example.net"]\nns = ["ns1.example.net"]\n'
        'services = ["www*"]\nsoa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }\n'
        '[[fallback.servers]]\nname = "spare"\na = ["192.0.2.99"]\n'
    )
    path = backend_toml(tmp_path, f"unix://{tmp_path}/nothing.sock", more)
    with Worker(path) as worker:
        assert worker.address(WWW, GB) == "192.0.2.99"
    (entry,) = entries(path)
    assert (entry["layer"], entry["tier"], entry["generation"], entry["nodes"], entry["service"]) == (
        "last resort", "fallback", None, {"A": ["spare"]}, WWW,
    )  # fmt: skip


def test_a_log_that_cannot_be_written_stops_no_answer(
    config: Callable[[float], Path], redis_server: RedisServer
):
    path = config(1.0)
    (path.parent / "decisions.log").mkdir()
    worker = Worker(path)
    worker.greet()
    assert [worker.address(WWW, GB) for _ in range(20)] == ["192.0.2.1"] * 20
    log = worker.close().decode()
    assert log.count("decision log") == 1


def test_nothing_of_it_is_loaded_unless_it_is_asked_for(config: Callable[[float], Path]):
    path = config(0)
    code = (
        "import sys\nfrom geosteer import Steering\n"
        "with Steering.open(sys.argv[1], log=print) as steering: steering.decide(sys.argv[2], '192.0.2.7')\n"
        "print([name for name in sys.modules if 'record' in name and 'decision.' not in name or 'decision_log' in name])\n"
    )
    python = ROOT / ".venv" / "bin" / "python"
    done = subprocess.run([python, "-I", "-c", code, path, WWW], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
    assert load_settings(str(path)).log_sample == 0


@pytest.mark.parametrize("copies", [False, True])
def test_logrotate_rotates_it_as_shipped_and_no_line_is_lost(
    config: Callable[[float], Path], *, copies: bool
):
    path = config(1.0)
    log = path.parent / "decisions.log"
    shipped = (ROOT / "conf" / "geosteer.logrotate").read_text()
    rules = shipped.replace("/var/log/geosteer/decisions.log", str(log)).replace("0640 pdns adm", "0640")
    rules = "\n".join(line for line in rules.splitlines() if not line.strip().startswith("su "))
    if copies:
        rules = rules.replace("create 0640", "copytruncate")
    (path.parent / "rules").write_text(rules + "\n")
    (path.parent / "rules").chmod(0o644)
    path.parent.chmod(0o755)
    rotate = [need("logrotate"), "--force", "--state", str(path.parent / "state"), str(path.parent / "rules")]
    with Worker(path) as worker:
        for _ in range(3):
            worker.address(WWW, GB)
            subprocess.run(rotate, check=True, capture_output=True, timeout=60)
            time.sleep(1.1)
            worker.address(WWW, GB)
    files = sorted(path.parent.glob("decisions.log*"))
    texts = [(gzip.open if file.suffix == ".gz" else open)(file, "rt").read() for file in files]
    assert len(files) == 4
    assert sum(len(text.splitlines()) for text in texts) == 6
    assert len(log.read_text().splitlines()) == 1
