"""`geosteer latency`: from files of samples to the published table, by the commands."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.metrics.exporter import Exporter
from geosteer_loader.rtt.inputs.own import ABANDONED

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

CONFIG = """
[redis]
url = "{url}"
[[sources.geo]]
format = "csv"
path = "geo.csv"
[[sources.bgp]]
format = "prefix2as"
path = "routes"
[[sources.latency]]
format = "rtt"
path = "rtt.csv"
[latency]
database = "db/samples.sqlite"
[[latency.inputs]]
format = "json"
path = "spool"
[[latency.inputs]]
format = "nginx-clients"
path = "rtt.log*"
node = "lon1"
[nodes.lon1]
a = ["192.0.2.1"]
location = [51.5, -0.1]
[nodes.ams1]
a = ["192.0.2.2"]
aaaa = ["2001:db8:2::1"]
location = [52.4, 4.9]
well_connected = 1
[nodes.syd1]
a = ["192.0.2.3"]
location = [-33.9, 151.2]
[maps.default]
default = {{ lon1 = 100, ams1 = 100, syd1 = 100 }}
[zones."cdn.example.net"]
soa = {{ mname = "ns1.example.net", rname = "hostmaster.example.net" }}
ns = ["ns1.example.net"]
[services."www.cdn.example.net"]
map = "default"
policy = "latency"
[guard]
max_impact = 1.0
"""
ADDRESS = "203.0.{}.{}"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "geosteer.toml"
    path.write_text(CONFIG.format(url=f"unix://{tmp_path}/none.sock"))
    (tmp_path / "geo.csv").write_text("203.0.0.0/16,GB,51.5,-0.1\n")
    (tmp_path / "routes").write_text("203.0.0.0\t17\t3356\n203.0.96.0\t20\t174\n203.0.128.0\t17\t3356\n")
    (tmp_path / "spool").mkdir()
    return path


def entries(networks: int, **times: float) -> str:
    dice, now = random.Random(1), int(time.time())
    return "".join(
        json.dumps(
            {
                "time": now - 60, "client": ADDRESS.format(net, dice.randrange(1, 255)), "node": node,
                "ms": ms + dice.random(),
            }
        )
        + "\n"
        for net in range(networks)
        for node, ms in times.items()
        for _ in range(8)
    )  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], config: Path, *words: str, code: int = 0) -> Any:
    assert main(["latency", *words, "--config", str(config)]) == code
    out = capsys.readouterr().out
    return json.loads(out) if "--json" in words else out


def rows(config: Path) -> dict[str, str]:
    lines = (config.parent / "rtt.csv").read_text().splitlines()
    return dict(line.split(",") for line in lines if not line.startswith("#"))


def test_segments_are_counted_deleted_and_become_the_table(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = config.parent / "spool"
    (spool / "1.jsonl").write_text(entries(8, lon1=30, ams1=12))
    (spool / "2.part").write_text(entries(8, lon1=1))
    first = told(capsys, config, "ingest", "--json")
    assert (first["samples"], first["window"]["rows"]) == (128, 8 + 3)
    assert [path.name for path in spool.iterdir()] == ["2.part"]
    assert {value for value in rows(config).values() if value != "-"} == {"ams1=12 lon1=30"}
    assert rows(config)["203.0.96.0/20"] == "-", "another AS, never measured, within the first one's prefix"
    again = told(capsys, config, "ingest", "--json")
    assert (again["samples"], again["window"]) == (0, None)
    abandoned = time.time() - ABANDONED - 1
    os.utime(spool / "2.part", (abandoned, abandoned))
    assert told(capsys, config, "ingest", "--json")["samples"] == 64
    assert list(spool.iterdir()) == []


def test_what_light_cannot_do_does_not_count(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config.parent / "forged"
    file.write_text(entries(8, lon1=30, syd1=4))
    told(capsys, config, "ingest", str(file))
    assert set(rows(config).values()) <= {"lon1=30", "-"}
    assert metrics(config)['geosteer_latency_window_left_out{reason="glass"}'] == pytest.approx(64, abs=0.1)


def metrics(config: Path) -> dict[str, float]:
    text = Exporter(measurements=config.parent / "db" / "samples.sqlite").text().decode()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in text.splitlines() if line[0] != "#")
    }


def test_metrics_tell_what_does_not_count_and_why(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config.parent / "samples"
    no_address = entries(4, ams1=20).replace("203.0.", "203.0.96.")
    file.write_text(entries(8, lon1=30) + no_address + '{"time": 1}\nrubbish\n')
    lone = config.parent / "lone"
    lone.write_text(entries(1, ams1=20).replace("203.0.0.", "203.0.100.") * 4)
    dropped = told(capsys, config, "ingest", "--no-window", "--json", str(file))["dropped"]
    told(capsys, config, "ingest", "--window", str(lone))
    told(capsys, config, "ingest", "--window", str(file))  # nothing new: what the last window left out stays
    shown = metrics(config)
    refused = {
        name.split('"')[1]: value
        for name, value in shown.items()
        if name.startswith("geosteer_latency_refused_total")
    }
    assert refused == dropped
    assert (sum(refused.values()), refused["invalid client"]) == (32 + 2, 32)
    left_out = {
        reason: shown[f'geosteer_latency_window_left_out{{reason="{reason}"}}']
        for reason in ("glass", "cap", "quorum")
    }
    # Four times eight samples of one network: above 20 they do not count, and its AS has no other.
    assert left_out == pytest.approx({"glass": 0, "cap": 12, "quorum": 32}, abs=0.1)


def test_a_window_waits_and_a_worse_node_is_left_after_two(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = config.parent / "before", config.parent / "after"
    before.write_text(entries(8, lon1=30, ams1=12))
    told(capsys, config, "ingest", str(before))
    after.write_text(entries(8, ams1=90) * 9)
    assert told(capsys, config, "ingest", str(after), "--json")["window"] is None
    waits = told(capsys, config, "ingest", str(after), "--window", "--json")["window"]
    assert (waits["changed"], waits["waiting"] > 0) == (0, True)
    frozen = told(capsys, config, "ingest", str(after), "--window", "--json")["window"]
    assert (frozen["frozen"], frozen["changed"]) == (True, 0)
    more = config.parent / "more"
    more.write_text(entries(9, ams1=90).replace('"ms"', '"x": 1, "ms"'))
    assert told(capsys, config, "ingest", str(more), "--window", "--json")["window"]["changed"] > 0
    assert rows(config)["203.0.0.0/24"].startswith("lon1=")


def test_a_feed_that_stops_is_forgotten(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from geosteer_loader.config.config import load
    from geosteer_loader.latency.run import run

    file = config.parent / "samples"
    file.write_text(entries(8, lon1=30, ams1=12))
    told(capsys, config, "ingest", str(file))
    loaded, now = load(config, {}), time.time()
    run(loaded, [], now + 5 * 86400)
    assert len(rows(config)) == 8 + 3
    run(loaded, [], now + 8 * 86400)
    assert rows(config) == {}
    # What is forgotten does not come back by a second look at the same file.
    assert told(capsys, config, "ingest", str(file), "--no-window", "--json")["samples"] == 0


def test_the_table_is_written_again_where_it_is_gone(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = config.parent / "samples"
    file.write_text(entries(8, lon1=30))
    told(capsys, config, "ingest", str(file))
    before = rows(config)
    (config.parent / "rtt.csv").unlink()
    told(capsys, config, "ingest", str(file))
    assert rows(config) == before


def test_status_shows_each_level_of_an_address(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["latency", "status", "--config", str(config)]) == 1
    assert "nothing was ingested yet" in capsys.readouterr().err
    file = config.parent / "samples"
    file.write_text(entries(8, lon1=30, ams1=12))
    told(capsys, config, "ingest", str(file))
    whole = told(capsys, config, "status", "203.0.3.9", "--json")
    assert [(level["place"], level["counts"]) for level in whole["levels"]] == [
        ("203.0.3.0/24", True), ("203.0.0.0/17", False), ("AS3356 in GB", False),
    ]  # fmt: skip
    assert whole["levels"][0]["samples"] == {"lon1": 8.0, "ams1": 8.0}
    assert whole["nodes"]["ams1"]["networks"] == 8
    unmeasured = told(capsys, config, "status", "203.0.200.9", "--json")["levels"]
    assert [level["counts"] for level in unmeasured] == [False, False, True]
    assert unmeasured[2]["record"] == {"ams1": 12, "lon1": 30}
    assert ">  system" in told(capsys, config, "status", "203.0.200.9")
    other = told(capsys, config, "status", "203.0.96.9", "--json")["levels"]
    assert not any(level["counts"] for level in other)
    assert main(["latency", "status", "nowhere", "--config", str(config)]) == 2


def test_nothing_longer_than_a_network_is_written_anywhere(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = int(time.time())
    log = config.parent / "rtt.log"
    log.write_text(
        f"{now}.5\t203.0.7.77\t20500\t1\n{now}.5\t2001:db8:7:8:9::77\t20500\t1\nbroken 203.0.7.78\n"
    )
    told(capsys, config, "ingest", "-v")
    assert main(["latency", "ingest", "--window", "-v", "--config", str(config)]) == 0
    assert main(["latency", "status", "203.0.7.0", "--config", str(config)]) == 0
    streams = capsys.readouterr()
    kept = [path.read_bytes() for path in (config.parent / "db").iterdir()]
    kept += [(config.parent / "rtt.csv").read_bytes(), streams.out.encode(), streams.err.encode()]
    for trace in (
        b"203.0.7.7", bytes([203, 0, 7, 77]), bytes([203, 0, 7, 78]), b"2001:db8:7:8", bytes.fromhex("20010db800070008"),
    ):  # fmt: skip
        assert all(trace not in each for each in kept), trace


def test_two_runs_at_once_are_refused(config: Path, tmp_path: Path) -> None:
    from geosteer import files

    (tmp_path / "db").mkdir()
    lock = files.lock(str(tmp_path / "db" / "samples.sqlite.lock"))
    assert main(["latency", "ingest", "--config", str(config)]) == 3
    os.close(lock)
    assert main(["latency", "ingest", "--config", str(config)]) == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--format", "nginx-clients", "x"), 2, "is missing: the node"),
        (("--format", "squid", "x"), 2, "is missing: the network"),
        (("--node", "lon1", "x"), 2, "is for nginx-clients only"),
        (("--format", "nginx-clients", "--node", "lon2", "x"), 2, "unknown node lon2"),
        (("--format", "squid", "--network", "x", "x"), 2, "not a network"),
        (("--format", "csv"), 2, "are for a FILE"),
        (("x", "-"), 2, "read alone"),
        (("absent",), 1, "absent: no such file"),
        (("folder/absent.csv.gz",), 1, "no such file"),
    ],
)
def test_what_cannot_be_done_is_said(
    config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, message: str
) -> None:
    assert main(["latency", "ingest", *words, "--config", str(config)]) == code
    assert message in capsys.readouterr().err


KILLED = """
import sys, time
from pathlib import Path
from geosteer_loader.latency import end_of_window
from geosteer_loader.cli.main import main
replace = end_of_window.replace
def slow(*given):
    replace(*given)
    print("written", flush=True)
    time.sleep(60)
end_of_window.replace = slow
main(["latency", "ingest", "--config", sys.argv[1]])
"""


def test_killed_between_the_file_and_the_records_the_window_ends_again_alike(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / "spool" / "1.jsonl").write_text(entries(8, lon1=30, ams1=12))
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(config)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    process.kill()
    process.wait()
    process.stdout.close()
    written = rows(config)
    again = told(capsys, config, "ingest", "--json")
    assert (again["samples"], again["window"]["places"] > 8) == (0, True)
    assert rows(config) == written


def test_before_anything_is_measured_an_empty_table_is_published(
    config: Path, own_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(CONFIG.format(url=own_redis.url))
    assert told(capsys, config, "ingest", "--json")["samples"] == 0
    assert main(["check-config", "--config", str(config)]) == 0
    assert main(["publish", "--config", str(config)]) == 0


def test_what_was_ingested_is_published_and_explained(
    config: Path, own_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(CONFIG.format(url=own_redis.url))
    (config.parent / "spool" / "1.jsonl").write_text(entries(8, lon1=30, ams1=12))
    told(capsys, config, "ingest")
    assert main(["publish", "--config", str(config)]) == 0
    for address, node in (("203.0.3.9", "ams1"), ("203.0.200.9", "ams1"), ("203.0.96.9", "lon1")):
        capsys.readouterr()
        assert main(["explain", "www.cdn.example.net", address, "--json", "--config", str(config)]) == 0
        assert json.loads(capsys.readouterr().out)["nodes"][0] == node
    # Places now come from what is published.
    (config.parent / "geo.csv").unlink()
    told(capsys, config, "ingest", "--window")
    assert rows(config)["203.0.128.0/17"] == "ams1=12 lon1=30"


def attempts(first: int, failing: int) -> str:
    """Eight networks that try a node twenty times each. Args: failing: how many of these fail."""
    now = int(time.time())
    return "".join(
        json.dumps(
            {"time": now - 60, "client": ADDRESS.format(net, 1), "node": "lon1"}
            | ({"failed": True} if turn < failing else {"ms": 30})
        )
        + "\n"
        for net in range(first, first + 8)
        for turn in range(20)
    )


def test_the_journal_tells_of_the_end_of_each_window(
    config: Path, own_redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(CONFIG.format(url=own_redis.url))

    def window(failing: int) -> str:
        spool = config.parent / "spool"
        segment = f"{len(list_of_events())}-{failing}"
        (spool / f"{segment}.jsonl").write_text(attempts(0, failing) + attempts(96, 0))
        told(capsys, config, "ingest", "--window")
        return list_of_events()[-1]

    def list_of_events() -> list[str]:
        assert main(["journal", "--kind", "latency", "--json", "--config", str(config)]) == 0
        return [event["what"] for event in json.loads(capsys.readouterr().out)]

    first = window(failing=12)
    assert first.startswith("16 networks with samples, ")
    assert "fails" not in first
    assert window(failing=12).endswith(
        "fails now: lon1 in AS3356 (GB, IPv4), lon1 in 203.0.0.0/24, lon1 in 203.0.1.0/24, lon1 in 203.0.2.0/24, "
        "lon1 in 203.0.3.0/24, lon1 in 203.0.4.0/24, lon1 in 203.0.5.0/24, lon1 in 203.0.6.0/24 and 1 more"
    )
    window(failing=0)
    assert "fails no longer: lon1 in AS3356 (GB, IPv4), lon1 in 203.0.0.0/24, " in window(failing=0)
    told(capsys, config, "ingest", "--window")
    assert list_of_events()[-1] == "no new samples, what is published stays"
    assert len(list_of_events()) == 5
    assert main(["journal", "--config", str(config)]) == 0
    assert "fails no longer" in capsys.readouterr().out


@pytest.mark.parametrize("rights", ["away", "read"])
def test_a_journal_that_cannot_be_written_is_a_warning(
    config: Path, own_redis: RedisServer, capsys: pytest.CaptureFixture[str], rights: str
) -> None:
    if rights == "read":
        config.write_text(CONFIG.format(url=own_redis.url))
        with own_redis.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-xadd")
    (config.parent / "spool" / "1.jsonl").write_text(entries(8, lon1=30))
    assert main(["latency", "ingest", "--json", "--config", str(config)]) == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out)["window"]["rows"] > 8
    assert "the journal is not written: " in streams.err
    assert rows(config)["203.0.0.0/17"].startswith("lon1=")
