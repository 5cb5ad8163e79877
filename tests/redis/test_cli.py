"""The `geosteer` command: results on stdout, the rest on stderr, and exit codes that scripts can rely on."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.cli import options
from geosteer_loader.cli.main import main
from geosteer_loader.store.lease import Lease
from geosteer_loader.store.store import connect
from support.publishing import current_of, make_config, write_config, write_csv
from support.servers import wait_until
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import RedisServer

WWW = "www.cdn.example.net"
COMMAND = (sys.executable, "-m", "geosteer_loader")


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def config(tmp_path: Path, own_redis: RedisServer) -> Path:
    geo = write_csv(tmp_path / "geo.csv")
    path = write_config(tmp_path, own_redis.url, geo=[geo], networks={"lab": ["10.0.0.0/8"]})
    path.write_text(
        path.read_text().replace("[nodes.ams1]", '[nodes.ams1]\nhostname = "ams1.cdn.example.net"')
    )
    return path


class Geosteer:
    """Runs commands in this process."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = config
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        code = main([*words, "--config", str(self.config)])
        return (code, *self._capsys.readouterr())

    def json(self, *words: str) -> Any:
        code, out, err = self(*words, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture
def geosteer(config: Path, capsys: pytest.CaptureFixture[str]) -> Geosteer:
    return Geosteer(config, capsys)


def test_publish_says_on_stdout_what_it_did_and_logs_on_stderr(geosteer: Geosteer) -> None:
    code, out, err = geosteer("publish")
    assert code == 0
    assert re.fullmatch(
        r"generation 1 published: geo, nets, config; \d+ objects, \S+ k?B written; \d+\.\d s\n", out
    )
    assert re.search(r"^geo: 3 prefixes, 8 ranges in \d+\.\d s$", err, re.MULTILINE)
    code, out, err = geosteer("publish", "--quiet")
    assert (code, out, err) == (0, "nothing changed: generation 1 stays\n", "")


@pytest.mark.parametrize(("options", "logged"), [((), True), (("-q",), False), (("-q", "-v"), True)])
def test_quiet_leaves_out_all_but_warnings(
    geosteer: Geosteer, options: tuple[str, ...], logged: bool
) -> None:
    code, out, err = geosteer("publish", *options)
    assert code == 0
    assert out.startswith("generation 1 published")
    assert bool(err) == logged


@pytest.mark.parametrize("content", ["", "# prefix,country\n", "prefix,country\n192.0.2.0/24,\n"])
def test_a_table_without_a_single_prefix_is_not_published(
    geosteer: Geosteer, tmp_path: Path, content: str
) -> None:
    (tmp_path / "geo.csv").write_text(content)
    code, out, err = geosteer("publish")
    assert (code, out) == (1, "")
    assert err == f"geosteer: {tmp_path}/geo.csv: sources.geo: no prefix in it has a record\n"


def test_a_source_that_is_a_fifo_is_refused_and_holds_nothing_up(geosteer: Geosteer, tmp_path: Path) -> None:
    (tmp_path / "geo.csv").unlink()
    os.mkfifo(tmp_path / "geo.csv")
    assert geosteer("check-config")[0] == 2
    code, _, err = geosteer("publish")
    assert (code, err) == (1, f"geosteer: {tmp_path}/geo.csv: sources.geo[1]: not a regular file\n")


def test_publish_tells_programs_the_same_as_json(geosteer: Geosteer) -> None:
    found = geosteer.json("publish")
    assert found["generation"] == 1
    assert found["changed"] == ["geo", "nets", "config"]
    assert found["written"]["objects"] > 3
    assert found["warnings"] == []
    assert geosteer.json("publish")["changed"] == []


def test_history_lists_generations_newest_first(geosteer: Geosteer) -> None:
    geosteer("publish")
    geosteer.config.write_text(geosteer.config.read_text().replace("weight = 100", "weight = 50"))
    geosteer("publish")
    found = geosteer.json("history")
    assert [(entry["generation"], entry["changed"], entry["current"]) for entry in found] == [
        (2, "config", True),
        (1, "geo nets config", False),
    ]
    _, out, _ = geosteer("history")
    assert [line.split()[0] for line in out.splitlines()] == ["GENERATION", "2", "1"]


def test_rollback_goes_back_and_publish_is_refused_until_released(geosteer: Geosteer) -> None:
    geosteer("publish")
    geosteer.config.write_text(geosteer.config.read_text().replace("weight = 100", "weight = 50"))
    geosteer("publish")
    code, out, _ = geosteer("rollback", "--why", "bad weights")
    assert code == 0
    assert out.startswith("generation 3 published: back to generation 1: bad weights; held until ")
    code, out, err = geosteer("publish")
    assert (code, out) == (3, "")
    assert "bad weights" in err
    assert "bad weights" in geosteer("status")[1]
    newest = geosteer.json("history")[0]
    assert (newest["generation"], newest["why"]) == (3, "bad weights")
    assert re.search(r"^ *3 .* current +bad weights$", geosteer("history")[1], re.MULTILINE)
    assert geosteer.json("publish", "--release")["changed"] == ["config", "release"]
    assert geosteer("rollback", "99")[0] == 2
    assert geosteer("rollback", "--only", "nonsense")[0] == 2


@pytest.mark.parametrize("words", [("rollback", "1"), ("node", "drain", "lon1")], ids=["rollback", "node"])
def test_a_reason_in_bytes_that_are_not_utf_8_is_kept_with_replacement_characters(
    geosteer: Geosteer, words: tuple[str, ...]
) -> None:
    geosteer("publish")
    done = subprocess.run(
        [*COMMAND, *words, "--why", b"caf\xe9", "--config", str(geosteer.config)],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    code, out, _ = geosteer("status")
    assert code == 0
    assert "caf\N{REPLACEMENT CHARACTER}" in out


def test_a_publish_that_removes_a_node_with_an_override_says_so_and_so_does_status(
    geosteer: Geosteer,
) -> None:
    geosteer("publish")
    geosteer("node", "drain", "lon1", "--why", "new disks")
    told = "override of lon1 is lost: no such node is configured (drain, "
    assert told not in geosteer("status")[1]
    geosteer.config.write_text(geosteer.config.read_text().replace("lon1", "lon9"))
    assert told in geosteer("plan")[1]
    code, _, err = geosteer("publish", "--force", "max_impact", "--force", "vanished")
    assert code == 0
    assert told in err
    assert ": new disks)" in err
    assert told in geosteer("status")[1]
    code, out, _ = geosteer("status", "--check")
    assert code == 1
    assert told in out
    geosteer("node", "auto", "lon1")
    assert told not in geosteer("status")[1]


def test_a_guard_that_says_no_is_exit_code_3_and_can_be_forced(geosteer: Geosteer, tmp_path: Path) -> None:
    geosteer("publish")
    write_csv(tmp_path / "geo.csv", ["198.51.100.0/25,US-CA"])
    code, out, err = geosteer("publish")
    assert (code, out) == (3, "")
    assert "empty_country: GB" in err
    assert geosteer("publish", "--force", "empty_country")[0] == 0
    assert geosteer("publish", "--force", "nonsense")[0] == 2


def test_status_shows_text_json_or_one_line_for_monitoring(
    geosteer: Geosteer, own_redis: RedisServer
) -> None:
    code, out, err = geosteer("status")
    assert (code, out) == (1, "")
    assert "nothing is published" in err
    assert geosteer("status", "--check")[0] == 2
    geosteer("publish")
    assert "lon1" in geosteer("status")[1]
    assert geosteer.json("status")["generation"] == 1
    code, out, _ = geosteer("status", "--check", "--max-age", "14d")
    assert code == 0
    assert out.startswith("OK - ")
    assert out.count("\n") == 1
    own_redis.client().hset("{geosteer}:current", "held", "ops")
    code, out, _ = geosteer("status", "--check")
    assert code == 1
    assert out.startswith("WARNING - held: ops; ")
    own_redis.stop()
    code, out, err = geosteer("status", "--check")
    assert code == 2
    assert out.startswith("CRITICAL - ")
    assert err == ""


def test_lookup_gives_prefix_and_record_per_table(geosteer: Geosteer) -> None:
    geosteer("publish")
    assert geosteer.json("lookup", "192.0.2.7", "10.1.2.3") == [
        {
            "address": "192.0.2.7",
            "geo": {"prefix": "192.0.2.0/24", "record": "GB"},
            "nets": {"prefix": "128.0.0.0/1", "record": None},
        },
        {
            "address": "10.1.2.3",
            "geo": {"prefix": "0.0.0.0/1", "record": None},
            "nets": {"prefix": "10.0.0.0/8", "record": "lab"},
        },
    ]
    _, out, _ = geosteer("lookup", "192.0.2.7")
    assert "192.0.2.7  geo    192.0.2.0/24  GB" in out
    assert geosteer("lookup", "no-address")[0] == 2


def test_explain_gives_the_decision_and_its_reasons(geosteer: Geosteer) -> None:
    geosteer("publish")
    geosteer("node", "down", "lon1")
    found = geosteer.json("explain", "www.cdn.example.net", "192.0.2.7", "--type", "a")
    assert found["layer"].startswith("countries")
    assert found["matched"]["geo"] == {"prefix": "192.0.2.0/24", "record": "GB"}
    assert found["answer"] == [{"type": "A", "content": "192.0.2.2", "ttl": 60}]
    assert {one["node"]: one["excluded"] for one in found["candidates"]} == {
        "lon1": "operator: down",
        "lon2": None,
    }
    assert found["tier"] == "live"
    _, out, _ = geosteer("explain", "www.cdn.example.net", "192.0.2.7")
    assert "layer countries" in out
    assert "A 192.0.2.2, ttl 60" in out
    assert "operator: down" in out
    assert geosteer("explain", "other.example", "192.0.2.7")[0] == 2
    assert geosteer("explain", "www.cdn.example.net", "192.0.2.7", "--ticket", "1")[0] == 2


def test_node_overrules_the_probes(geosteer: Geosteer, own_redis: RedisServer) -> None:
    geosteer("publish")
    code, out, _ = geosteer(
        "node", "drain", "lon*", "--percent", "20", "--for", "2h", "--why", "kernel update"
    )
    assert code == 0
    assert [line.partition(", until ")[0] for line in out.splitlines()] == [
        "lon1: drain, keeps 20 % of its clients",
        "lon2: drain, keeps 20 % of its clients",
    ]
    assert out.count("Z (kernel update)\n") == 2
    assert geosteer.json("status")["nodes"]["lon1"]["share"] == 0.2
    assert geosteer("node", "auto", "lon1")[1] == "lon1: the probes decide\n"
    assert geosteer("node", "auto", "lon1")[1] == "lon1: as before\n"
    assert geosteer("node", "up", "lon1", "--why", "x")[1] == "lon1: up, keeps 100 % of its clients (x)\n"
    (said,) = geosteer.json("node", "down", "ams1")
    assert (said["node"], said["changed"], said["override"]["state"]) == ("ams1", True, "down")
    assert geosteer.json("node", "auto", "ams1")[0]["override"] is None
    code, _, err = geosteer("node", "down", "par1")
    assert code == 2
    assert "par1: no such node; there are: ams1, lon1, lon2" in err
    for wrong in (
        ["down", "lon1", "--for", "soon"],
        ["down", "lon1", "--percent", "101"],
        ["off", "lon1"],
        ["down"],
    ):
        assert geosteer("node", *wrong)[0] == 2


def test_node_list_shows_who_overrules_what_until_when_and_why(
    geosteer: Geosteer, own_redis: RedisServer
) -> None:
    geosteer("publish")
    assert geosteer("node", "list")[:2] == (0, "no overrides\n")
    geosteer("node", "drain", "lon*", "--percent", "20", "--for", "2h", "--why", "kernel update")
    client = own_redis.client()
    client.hset("{geosteer}:override", "old1", '{"state": "down", "until": "2026-01-01T00:00:00Z"}')
    client.hset("{geosteer}:override", "ams1", "{state: down}")
    code, out, _ = geosteer("node", "list")
    assert code == 0
    ams1, lon1, lon2, old1 = out.splitlines()
    assert ams1 == "ams1: cannot be read, and is ignored; `geosteer node auto ams1` removes it"
    assert lon1.startswith("lon1: drain, keeps 20 % of its clients, until 2")
    assert lon1.endswith("Z (kernel update)")
    assert "@" in lon1.partition("; by ")[2].partition(";")[0]
    assert lon2.startswith("lon2: ")
    assert old1 == "old1: down, until 2026-01-01T00:00:00Z; it has ended; no such node is configured"
    found = {one["node"]: one for one in geosteer.json("node", "list")}
    assert found["ams1"] == {"node": "ams1", "override": None, "configured": True, "ended": False}
    assert found["lon1"]["override"]["why"] == "kernel update"
    assert (found["old1"]["configured"], found["old1"]["ended"]) == (False, True)
    assert [one["node"] for one in geosteer.json("node", "list", "LON1", "x*")] == ["lon1"]


@pytest.mark.parametrize("words", [["down"], ["drain"], ["drain", "--percent", "0"]])
def test_the_last_node_of_a_service_is_not_taken_out_unless_somebody_says_so(
    geosteer: Geosteer, own_redis: RedisServer, words: list[str]
) -> None:
    geosteer("publish")
    client = own_redis.client()
    code, _, err = geosteer("node", *words, "*")
    assert code == 3
    assert "would have no node left: clients get all of its nodes again" in err
    assert "www.cdn.example.net" in err
    assert "nothing was changed; --yes overrides this" in err
    assert not client.exists("{geosteer}:override")
    assert geosteer("node", *words, "lon*")[0] == 0  # ams1 is left
    client.hset("{geosteer}:node:ams1", "state", "down")
    assert geosteer("node", "auto", "*")[0] == 0
    assert geosteer("node", *words, "lon*")[0] == 3  # ... but the probes call it down
    assert geosteer("node", *words, "lon*", "--yes")[0] == 0
    assert geosteer("node", "drain", "ams1", "--percent", "5")[0] == 0


def test_a_writer_that_is_gone_can_be_forgotten(
    geosteer: Geosteer, own_redis: RedisServer, tmp_path: Path
) -> None:
    geosteer("publish")
    states = tmp_path / "states.json"
    states.write_text('{"nodes": {"lon1": {"state": "down"}}}')
    assert geosteer("feed", str(states), "--name", "once")[0] == 0
    client = own_redis.client()
    assert client.hkeys("{geosteer}:beat") == [b"once"]
    code, _, err = geosteer("feed", "--forget", "twice")
    assert code == 2
    assert "twice: no such writer; there are: once" in err
    assert geosteer("feed", "--forget", "once")[:2] == (0, "once: forgotten\n")
    assert not client.exists("{geosteer}:beat", "{geosteer}:verdict:once")
    assert client.hget("{geosteer}:node:lon1", "state") == b"down"
    for wrong in ([], [str(states), "--forget", "once"]):
        assert geosteer("feed", *wrong)[0] == 2


def test_check_config_tells_every_problem_and_does_nothing_else(
    geosteer: Geosteer, own_redis: RedisServer, tmp_path: Path
) -> None:
    code, out, err = geosteer("check-config")
    assert code == 0
    assert out == f"{geosteer.config}: no problems\n"
    assert "warning: " in err
    assert "networks.lab: is not used" in err
    backend = tmp_path / "backend.toml"
    backend.write_text("cache = 1\nnonsense = 2\n")
    (tmp_path / "geo.csv").unlink()
    code, out, err = geosteer("check-config", "--backend", str(backend))
    assert (code, out) == (2, "")
    assert f"{backend}: line 2: nonsense: " in err
    assert "sources.geo[1].path" in err
    geosteer.config.write_text("[nodes.x]\nweight = -1\nnope = 2\n[redis")
    code, _, err = geosteer("check-config")
    assert code == 2
    assert re.match(rf"{geosteer.config}: line 4, column \d+: ", err)
    assert own_redis.client().keys() == []


def test_check_config_takes_the_file_as_an_argument(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", str(config)]) == 0
    assert capsys.readouterr().out == f"{config}: no problems\n"


def test_a_host_with_workers_only_can_check_their_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "backend.toml").write_text('[redis]\nurl = "redis://127.0.0.1"\n')
    assert main(["check-config", "--backend", "backend.toml"]) == 0
    assert capsys.readouterr().out == "backend.toml: no problems\n"


def test_the_configuration_is_found_in_the_working_directory(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["publish"]) == 2
    assert "neither /etc/geosteer/geosteer.toml nor conf/geosteer.toml" in capsys.readouterr().err
    (tmp_path / "conf").mkdir()
    config.rename(tmp_path / "conf" / "geosteer.toml")
    assert main(["publish"]) == 0
    assert "configuration: conf/geosteer.toml\n" in capsys.readouterr().err


def test_a_sample_in_the_working_directory_does_not_win_over_the_hosts_own_file(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert str(options.DEFAULTS[0]) == "/etc/geosteer/geosteer.toml"
    sample = tmp_path / "conf" / "geosteer.toml"
    sample.parent.mkdir()
    sample.write_text("an outage\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "DEFAULTS", (config, Path("conf/geosteer.toml")))
    assert main(["publish"]) == 0
    assert f"configuration: {config}\n" in capsys.readouterr().err


def test_exit_codes_tell_failure_usage_and_refusal_apart(
    geosteer: Geosteer, config: Path, own_redis: RedisServer
) -> None:
    with connect(make_config(config.parent / "..", own_redis.url).redis) as store, Lease(store):
        code, out, err = geosteer("publish")
    assert (code, out) == (3, "")
    assert err.startswith("geosteer: unix://")
    assert "another publisher is at work" in err
    assert geosteer("publish", "--nonsense")[0] == 2
    assert main(["nonsense"]) == 2
    (config.parent / "geo.csv").write_text("192.0.2.0/24,GB\nnonsense,GB\n")
    code, _, err = geosteer("publish")
    assert code == 1
    assert "geo.csv: line 2: " in err
    own_redis.stop()
    code, out, err = geosteer("publish")
    assert (code, out) == (1, "")
    assert "cannot connect" in err
    assert "Traceback" not in err


def test_help_is_there_for_every_command_and_ends_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    from geosteer_loader.cli.group import geosteer as group

    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert "..." not in overview.replace("[ARGS]...", "")
    for name in group.commands:
        assert name in overview
        assert main([name, "--help"]) == 0
        text = capsys.readouterr().out
        assert (
            name == "version"
            or "Examples:\n    geosteer" in text
            or 'Examples:\n    eval "$(geosteer' in text
        )


def test_version_and_completion_scripts_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert re.fullmatch(r"geosteer \d+\.\d+\.\d+\n", capsys.readouterr().out)
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        assert "_GEOSTEER_COMPLETE" in capsys.readouterr().out


def test_a_shell_completes_commands_and_nodes(geosteer: Geosteer, config: Path) -> None:
    geosteer("publish")
    (config.parent / "conf").mkdir()
    config.rename(config.parent / "conf" / "geosteer.toml")

    def complete(line: str) -> list[str]:
        done = subprocess.run(
            COMMAND,
            env={
                **os.environ, "_GEOSTEER_COMPLETE": "bash_complete", "COMP_WORDS": line,
                "COMP_CWORD": str(len(line.split(" ")) - 1),
            },
            cwd=config.parent, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        return [word.partition(",")[2] for word in done.stdout.split()]

    assert complete("geosteer st") == ["status"]
    assert complete("geosteer node down lo") == ["lon1", "lon2"]
    assert complete("geosteer explain w") == [WWW]
    assert complete("geosteer mismatch ") == [WWW]
    assert complete("geosteer rollback ") == ["1"]
    assert "max_shrink" in complete("geosteer publish --force m")


def test_a_missing_library_is_named_with_the_way_to_get_it(config: Path) -> None:
    code = "import sys; sys.modules[{!r}] = None; from geosteer_loader.cli.main import main; sys.exit(main(sys.argv[1:]))"
    for missing in ("click", "redis", "maxminddb"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(missing), "publish", "--config", str(config)],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        if missing == "maxminddb":  # not needed for a CSV source
            assert done.returncode == 0
        else:
            assert done.returncode == 1
            assert done.stderr == f"geosteer: {missing} is missing: pip install 'geosteer[loader]'\n"


def test_a_closed_pipe_ends_a_command_quietly(geosteer: Geosteer) -> None:
    geosteer("publish")
    process = subprocess.Popen(
        [*COMMAND, "status", "--json", "--config", str(geosteer.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert err == b""
    assert process.returncode == 141


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_publish_with_nothing_half_done_and_the_lock_free(
    geosteer: Geosteer, config: Path, own_redis: RedisServer, sent: signal.Signals, code: int
) -> None:
    geosteer("publish")
    client = own_redis.client()
    before = current_of(client)
    names = ("GB", "NL", "US")
    lines = [f"{n >> 16}.{n >> 8 & 255}.{n & 255}.0/24,{names[n % 3]}" for n in range(1 << 17, 1 << 18)]
    write_csv(config.parent / "geo.csv", lines)
    process = subprocess.Popen([*COMMAND, "publish", "--config", str(config)], stderr=subprocess.PIPE)
    wait_until(lambda: client.exists("{geosteer}:lock"))
    time.sleep(0.1)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert b"Traceback" not in err
    assert not client.exists("{geosteer}:lock")
    assert current_of(client) == before


IMPATIENT = (
    sys.executable, "-c",
    "import sys; from geosteer_loader.cli import main, progress_bar; progress_bar.AFTER = 0; sys.exit(main.main())",
)  # fmt: skip
"""The command with a bar from the beginning."""


def on_terminal(*words: str, program: tuple[str, ...] = COMMAND, **environ: str) -> str:
    """What a command shows on a terminal of 80 columns."""
    control, terminal = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80", **environ}
    with subprocess.Popen([*program, *words], stdin=terminal, stdout=terminal, stderr=terminal, env=env):
        os.close(terminal)
        shown = b""
        try:
            while data := os.read(control, 4096):
                shown += data
        except OSError:  # how a pseudo-terminal says that its other side is closed
            pass
    os.close(control)
    return shown.decode()


def test_a_terminal_gets_colours_unless_it_wants_none_or_is_dumb(geosteer: Geosteer) -> None:
    words = ("--config", str(geosteer.config))
    geosteer("publish")
    assert "\x1b[1m" in on_terminal("status", *words)
    assert "\x1b[" not in on_terminal("status", *words, NO_COLOR="1")
    assert "\x1b[" not in geosteer("status")[1]
    for command in (
        ("status",),
        ("plan",),
        ("publish",),
        ("verify",),
        ("history",),
        ("explain", WWW, "192.0.2.1"),
    ):
        assert "\x1b" not in on_terminal(*command, *words, TERM="dumb"), command


def test_work_that_takes_more_than_a_second_shows_a_bar_on_a_terminal_and_none_before(
    geosteer: Geosteer,
) -> None:
    words = ("--config", str(geosteer.config))
    assert "%" not in on_terminal("publish", "-q", *words)
    for command in ("plan", "publish", "verify"):
        write_csv(
            geosteer.config.parent / "geo.csv", ["192.0.2.0/24,GB", f"198.51.100.0/24,{command[:2].upper()}"]
        )
        assert "100%" in on_terminal(command, *words, program=IMPATIENT), command
        assert (
            "%"
            not in on_terminal(command, "-q", *words, program=IMPATIENT, TERM="dumb").partition("TABLE")[0]
        )
    folder = str(geosteer.config.parent / "zone")
    assert "100%" in on_terminal("export", "pdns-geoip", folder, "--lossy", *words, program=IMPATIENT)


def test_on_a_terminal_tables_fit_and_long_diffs_are_folded_elsewhere_all_is_shown(
    geosteer: Geosteer,
) -> None:
    words = ("--config", str(geosteer.config))
    geosteer("publish")
    long = (
        "a reason that is far longer than any line of a terminal with eighty columns could ever show in full"
    )
    geosteer("node", "drain", "lon1", "--why", long)
    geosteer("rollback", "1", "--why", long)
    geosteer.config.write_text(
        geosteer.config.read_text()
        + "".join(f'[networks.n{number}]\nprefixes = ["10.{number}.0.0/16"]\n' for number in range(30))
    )
    for command in ("status", "history"):
        shown = on_terminal(command, *words)
        table = [
            line for line in unstyled(shown).splitlines() if line.startswith(("lon1 ", " ", "GENERATION"))
        ]
        assert table
        assert max(map(len, table)) <= 80, command
        assert "\N{HORIZONTAL ELLIPSIS}" in shown
        assert long in geosteer(command)[1]
    assert long in on_terminal("history", "--full", *words)
    folded, whole = unstyled(on_terminal("plan", *words)), unstyled(on_terminal("plan", "--full", *words))
    assert re.search(r"^  \.\.\. \d+ more \(--full shows them\)$", folded, re.MULTILINE)
    assert "networks.n29" not in folded
    assert "n29" in whole
    assert "n29" in geosteer("plan")[1]


def unstyled(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n")


def test_a_node_is_put_down_though_the_rest_of_the_file_is_broken_and_its_lists_are_gone(
    redis_server: RedisServer, prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with redis_server.client() as client:
        publish_tiny(client, prefix)
    config = tmp_path / "geosteer.toml"
    config.write_text(
        f'[redis]\nurl = "{redis_server.url}"\nprefix = "{prefix}"\n[networks.x]\nfile = "none.txt"\n[zones."a b"]\n[maps.m]\n'
    )
    for command in (["status"], ["node", "down", "lon1"], ["node", "list"], ["history"]):
        assert main([*command, "--config", str(config)]) == 0, command
    assert main(["publish", "--config", str(config)]) == 2
    assert "none.txt" in capsys.readouterr().err
