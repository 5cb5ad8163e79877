"""`geosteer export fallback`: what it writes is accepted, and is enough for a worker on its own."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import ConfigError, StoreError
from geosteer_loader.cli.main import main
from geosteer_loader.config import config
from geosteer_loader.export import worker_fallback
from support.data import ROOT
from support.dns_setup import document
from support.tiny import publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

MORE = document(
    services={
        "*.img.cdn.example.net": {"map": "default"},
        "www.other.example": {"map": "default"},
        "cdn.example.org": {"map": "default"},
    },
    zones={
        "cdn.example.org": {
            "soa": {"mname": "ns1.example.net", "rname": "hostmaster.example.net", "refresh": 1200, "ttl": 60},
            "ns": ["ns1.example.net"],
            "ns_ttl": 7200,
            "records": [
                {"name": "cdn.example.org", "type": "TXT", "content": '"a \\"quoted\\" text" "and \\\\ more"', "ttl": 60},
                {"name": "x.cdn.example.org", "type": "SRV", "content": "0 5 443 www.cdn.example.org", "ttl": 60},
            ],
        }
    },
)  # fmt: skip
WHERE = '# A worker.\nsnapshot = "{folder}/none.json"\nmax_stale = 7 # seconds\n\n[redis]\nurl = "unix:///nowhere"\n'


@pytest.fixture
def loader(tmp_path: Path, redis_server: RedisServer, prefix: str) -> Path:
    """A `geosteer.toml` for the Redis in which the document is published."""
    with redis_server.client() as client:
        publish_tiny(client, prefix, MORE)
    path = tmp_path / "geosteer.toml"
    path.write_text(
        f'[redis]\nurl = "{redis_server.url}"\nprefix = "{prefix}"\n[nodes.x]\na = ["192.0.2.1"]\n'
        "[maps.m]\ndefault = { x = 1 }\n"
    )
    return path


def export(loader: Path, file: Path | str, *more: str) -> int:
    return main(["export", "fallback", str(file), "--config", str(loader), *more])


def answers(file: Path) -> dict[str, Any]:
    """What a worker says that has this file and neither Redis nor a snapshot."""
    found: dict[str, Any] = {}
    with Worker(file) as worker:
        for name in (
            "cdn.example.net", "www.cdn.example.net", "cname.cdn.example.net", "a.img.cdn.example.net", "cdn.example.org",
            "x.cdn.example.org", "lon1.cdn.example.net", "other.cdn.example.net", "www.elsewhere.example",
        ):  # fmt: skip
            replies = [worker.ask(name) for _ in range(30)]
            found[name] = [sorted({tuple(line[4:5] + line[7:]) for line in reply}) for reply in replies]
    return found


def seen(replies: list[list[tuple[str, ...]]]) -> set[tuple[str, ...]]:
    return {line for reply in replies for line in reply}


def test_a_worker_started_with_the_file_alone_answers_with_the_servers_in_proportion(
    loader: Path, tmp_path: Path
) -> None:
    file = tmp_path / "worker" / "backend.toml"
    file.parent.mkdir()
    assert export(loader, file) == 0
    assert config.check_backend(file) == []
    found = answers(file)
    www = [line for reply in found["www.cdn.example.net"] for line in reply if line[0] == "A"]
    assert (www.count(("A", "192.0.2.1")), www.count(("A", "192.0.2.2"))) == (10, 20)
    assert seen(found["cname.cdn.example.net"]) == {
        ("CNAME", "lon1.cdn.example.net"),
        ("CNAME", "ams1.cdn.example.net"),
    }
    both = {("A", "192.0.2.1"), ("A", "192.0.2.2"), ("AAAA", "2001:db8:1::1"), ("AAAA", "2001:db8:2::1")}
    assert seen(found["a.img.cdn.example.net"]) == both
    assert both < seen(found["cdn.example.org"])
    assert ("TXT", '"a \\"quoted\\" text" "and \\\\ more"') in seen(found["cdn.example.org"])
    assert seen(found["x.cdn.example.org"]) == {("SRV", "0", "5 443 www.cdn.example.org")}
    assert seen(found["lon1.cdn.example.net"]) == {("A", "192.0.2.1"), ("AAAA", "2001:db8:1::1")}
    assert {line[1] for line in found["cdn.example.net"][0] if line[0] == "MX"} == {"10"}
    assert found["other.cdn.example.net"][0] == [()]  # FAIL: not knowing is not "no such name"
    assert found["www.elsewhere.example"][0] == []


def test_all_else_in_the_file_stays_as_it_is_and_a_second_run_changes_nothing(
    loader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "backend.toml"
    before = WHERE.format(folder=tmp_path)
    old = (
        '[fallback]\nttl = "20s"\n[fallback.zones."old.example"]\nns = []\n[[fallback.servers]]\nname = "x"\n'
    )
    file.write_text(f"{before}# The last resort.\n{old}")
    file.chmod(0o640)
    assert export(loader, file, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(file),
        "written": True,
        "zones": ["cdn.example.net", "cdn.example.org"],
        "servers": ["lon1", "ams1"],
    }
    text = file.read_text()
    assert text.startswith(f'{before}# The last resort.\n[fallback]\nttl = "20s"\n')
    assert "old.example" not in text
    assert file.stat().st_mode & 0o777 == 0o640
    assert config.check_backend(file) == []
    stamp = file.stat().st_mtime_ns
    assert export(loader, file) == 0
    assert capsys.readouterr().out == f"{file}: as before\n"
    assert file.stat().st_mtime_ns == stamp
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_tables_after_the_part_keep_their_place(tmp_path: Path) -> None:
    before = 'timeout = 20\n[fallback]\n[[fallback.servers]]\nname = "old"\n\n[redis]\nprefix = "p"\n'
    text = worker_fallback.merged(MORE, before, "f")
    assert text.startswith("timeout = 20\n[fallback]\n")
    assert text.endswith('\n\n[redis]\nprefix = "p"\n')
    assert worker_fallback.merged(MORE, text, "f") == text


def test_a_byte_order_mark_stays_and_does_not_matter() -> None:
    before = "timeout = 20\n[fallback]\n"
    assert (
        worker_fallback.merged(MORE, f"\ufeff{before}", "f")
        == f"\ufeff{worker_fallback.merged(MORE, before, 'f')}"
    )


def test_the_shipped_example_is_a_file_that_it_can_write_to(tmp_path: Path) -> None:
    file = tmp_path / "backend.toml"
    file.write_text(worker_fallback.merged(MORE, (ROOT / "conf" / "backend.toml").read_text(), "f"))
    assert config.check_backend(file) == []


@pytest.mark.parametrize("text", ["fallback = { ttl = 10 }\n", "[redis]\n[fallback\n", "fallback.ttl = 10\n"])
def test_a_file_whose_part_cannot_be_told_from_the_rest_is_left_alone(
    loader: Path, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "backend.toml"
    file.write_text(text)
    assert export(loader, file) == 2
    assert file.read_text() == text
    assert str(file) in capsys.readouterr().err


def test_any_text_in_a_record_comes_back_from_the_file() -> None:
    odd = 'a"b\\c\x7f\t[fallback]\n[redis] é \U0001f600'
    spec = {
        "zones": {
            "z.example": {
                "soa": {"mname": "n.example", "rname": "h.example"},
                "ns": ["n.example"],
                "records": [{"name": "z.example", "type": "TXT", "content": odd, "ttl": 1}],
            }
        },
        "services": {},
        "nodes": {"n": {"a": ["192.0.2.1"], "well_connected": 3}},
    }
    found = tomllib.loads(worker_fallback.text(spec))["fallback"]
    assert found["zones"]["z.example"]["records"][0]["content"] == odd
    assert found["servers"] == [{"name": "n", "a": ["192.0.2.1"], "weight": 3}]


def test_without_a_well_connected_node_nothing_is_written() -> None:
    with pytest.raises(StoreError, match="no published node has `well_connected`"):
        worker_fallback.text({**MORE, "nodes": {"n": {"a": ["192.0.2.1"]}}})


def test_a_folder_that_is_not_there_is_an_error_and_exit_code_1(
    loader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(loader, tmp_path / "no" / "backend.toml") == 1
    assert "No such file or directory" in capsys.readouterr().err


def test_a_link_stays_a_link(loader: Path, tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.write_text("")
    link.symlink_to(real)
    assert export(loader, link) == 0
    assert link.is_symlink()
    assert "[fallback]" in real.read_text()


def test_a_dash_prints_the_part(loader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(loader, "-") == 0
    assert tomllib.loads(capsys.readouterr().out).keys() == {"fallback"}


def test_toml_that_is_broken_is_named() -> None:
    with pytest.raises(ConfigError, match=r"backend\.toml: "):
        worker_fallback.merged(MORE, "[", "backend.toml")
