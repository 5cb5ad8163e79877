"""A worker's `backend.toml`: every key, where the password comes from, and the checked copy that spares the parsing."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from geosteer import settings as module
from geosteer.errors import ConfigError
from geosteer.settings import Settings, load
from support.data import ROOT

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = """\
snapshot = "state/last-good.json"   # relative
max_stale = "5m"
first_wait = "2s"
timeout = "0.02s"
cache = 65536
[redis]
url = "rediss://cache.example.net:6380/2"
prefix = "other"
username = "worker"
password = "s3cret#word"
ca = "tls/ca.pem"
cert = "/etc/client.pem"
key = "client.key"
tls_strict = true
[beacon]
key_file = "key"
sample = 0.5
lifetime = "5m"
[debug]
networks = ["192.0.2.0/28", "2001:db8::1"]
[log]
sample = 0.25
file = "decisions.log"
[metrics]
folder = "counters"
[fallback]
ttl = "15s"
[fallback.zones."CDN.example.net."]
soa = { mname = "ns1.example.net", rname = "hostmaster.example.net", refresh = "1h", ttl = "5m" }
ns = ["ns1.example.net"]
ns_ttl = "1h30m"
services = ["www", { name = "dl", answer = "cname" }, "img*"]
records = [
  { name = "ns1", type = "a", content = "192.0.2.53", ttl = "2m" },
  { name = "@", type = "mx", content = "10   mx.example.net" },
]
[[fallback.servers]]
name = "lon1"
a = ["192.0.2.1"]
aaaa = ["2001:db8::1"]
hostname = "LON1.cdn.example.net."
weight = 3
[[fallback.servers]]
name = "ams1"
a = ["192.0.2.2"]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "backend.toml"


def written(path: Path, text: str) -> Settings:
    path.write_text(text)
    return load(str(path))


def problems(path: Path, text: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        load(str(path))
    assert all(problem.startswith(f"{path}: ") for problem in refusal.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in refusal.value.problems]


def test_a_byte_order_mark_does_not_matter(path: Path) -> None:
    path.write_text("\ufeff" + EVERYTHING, encoding="utf-8")
    assert load(str(path)).prefix == "other"


def facts(settings: Settings) -> dict[str, Any]:
    found = {name: getattr(settings, name) for name in Settings.__slots__ if name != "address"}
    found["servers"] = [
        (one.name, one.a, one.aaaa, one.hostname, one.well_connected) for one in found["servers"]
    ]
    return found


def test_an_empty_file_has_all_the_defaults(path: Path):
    settings = written(path, "")
    assert facts(settings) == {
        "path": str(path), "modified": path.stat().st_mtime, "snapshot": "/var/lib/geosteer/last-good.json",
        "max_stale": 300, "timeout": 0.05, "first_wait": 1, "doubt": "",
        "metrics": "/run/geosteer", "metrics_asked": False,
        "cache": 3145728, "url": "unix:///run/redis/redis.sock", "prefix": "geosteer",
        "username": "", "password": "", "tls": {}, "fallback_ttl": 10, "zones": {}, "servers": [],
        "debug_networks": (), "log_sample": 0, "log_file": "/var/log/geosteer/decisions.log",
        "beacon": {},
    }  # fmt: skip


def test_every_setting_is_taken_and_relative_paths_begin_at_the_file(path: Path):
    settings = written(path, EVERYTHING)
    folder = path.parent
    known = facts(settings)
    zones = known.pop("zones")
    assert known == {
        "path": str(path), "modified": path.stat().st_mtime, "snapshot": f"{folder}/state/last-good.json",
        "max_stale": 300, "timeout": 0.02, "first_wait": 2, "doubt": "",
        "metrics": f"{folder}/counters", "metrics_asked": True,
        "cache": 65536, "url": "rediss://cache.example.net:6380/2", "prefix": "other",
        "username": "worker", "password": "s3cret#word",
        "tls": {"ca": f"{folder}/tls/ca.pem", "cert": "/etc/client.pem", "key": f"{folder}/client.key", "tls_strict": "yes"},
        "fallback_ttl": 15,
        "debug_networks": ("192.0.2.0/28", "2001:db8::1"), "log_sample": 0.25, "log_file": f"{folder}/decisions.log",
        "beacon": {"key_file": "key", "sample": 0.5, "lifetime": 300},
        "servers": [
            ("lon1", ("192.0.2.1",), ("2001:db8::1",), "lon1.cdn.example.net", 3), ("ams1", ("192.0.2.2",), (), None, 1),
        ],
    }  # fmt: skip
    assert list(zones) == ["cdn.example.net"]
    zone = zones["cdn.example.net"]
    assert (zone["soa"]["refresh"], zone["soa"]["ttl"], zone["ns_ttl"]) == (3600, 300, 5400)
    assert zone["records"] == [
        {"name": "ns1", "type": "A", "content": "192.0.2.53", "ttl": 120},
        {"name": "@", "type": "MX", "content": "10 mx.example.net"},
    ]


def test_the_shipped_example_can_be_loaded(tmp_path: Path):
    path = tmp_path / "backend.toml"
    path.write_bytes((ROOT / "conf" / "backend.toml").read_bytes())
    settings = load(str(path))
    assert [one.name for one in settings.servers] == ["lon1", "ams1", "nyc1"]
    assert list(settings.zones) == ["cdn.example.net"]


# ---------------------------------------------------------------- secrets


def test_a_password_may_come_from_the_environment(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GEOSTEER_TEST_SECRET", "from outside")
    assert written(path, '[redis]\npassword = "${GEOSTEER_TEST_SECRET}"').password == "from outside"
    assert (
        written(path, '[redis]\npassword = "x${GEOSTEER_TEST_SECRET}"').password == "x${GEOSTEER_TEST_SECRET}"
    )


def test_a_variable_that_is_not_set_is_named(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GEOSTEER_TEST_SECRET", raising=False)
    assert problems(path, '[redis]\npassword = "${GEOSTEER_TEST_SECRET}"') == [
        "redis.password: no GEOSTEER_TEST_SECRET in the environment"
    ]


def test_a_password_may_come_from_the_first_line_of_a_file(path: Path):
    (path.parent / "secret").write_text("from a file \nnot this\n")
    assert written(path, '[redis]\npassword_file = "secret"').password == "from a file"
    (path.parent / "secret").write_text("\ufefffrom an editor\r\n")
    assert written(path, '[redis]\npassword_file = "secret"').password == "from an editor"
    (path.parent / "secret").unlink()
    os.mkfifo(path.parent / "secret")
    assert not written(path, '[redis]\npassword_file = "secret"').password


def test_a_password_file_that_cannot_be_read_is_named(path: Path):
    assert problems(path, '[redis]\npassword_file = "gone"') == [
        f"redis.password_file: {path.parent}/gone: No such file or directory"
    ]
    (path.parent / "odd").write_bytes(b"\xff\xfe\n")
    assert problems(path, '[redis]\npassword_file = "odd"') == [
        f"redis.password_file: {path.parent}/odd: not text"
    ]


def test_secrets_do_not_show(path: Path):
    settings = written(path, '[redis]\nurl = "redis://u:hidden@h"\npassword = "hidden"')
    assert "hidden" not in repr(settings)
    assert "hidden" not in str(settings)


# ---------------------------------------------------------------- problems


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"gone\.toml: No such file or directory"):
        load(str(tmp_path / "gone.toml"))


def test_a_file_that_is_not_utf8_is_refused(path: Path):
    path.write_bytes(b'snapshot = "\xff"')
    with pytest.raises(ConfigError, match="utf-8"):
        load(str(path))


def test_all_unknown_settings_are_named_at_once(path: Path):
    assert problems(path, "tiemout = 5\nzones = 1\n[redis]\nhost = 1\n[fallback]\nzone = 1\n") == [
        "tiemout: unknown setting", "zones: unknown setting", "redis.host: unknown setting", "fallback.zone: unknown setting",
    ]  # fmt: skip


ZONE = '[fallback.zones."z.net"]\nsoa = { mname = "m", rname = "r" }\nns = ["n"]\n'
SERVER = '[[fallback.servers]]\nname = "x"\n'


@pytest.mark.parametrize(
    "text",
    [
        "timeout", "timeout = ", 'timeout = "soon"', 'timeout = "5"', 'timeout = ""', 'timeout = "-1s"', "timeout = []",
        "max_stale = {}", 'cache = "large"', "snapshot = 5", "redis = 5", "[redis]\npassword = 5",
        "[redis]\npassword_file = 5", "[redis]\nca = 1", "debug = 5", "[debug]\nnetworks = 5",
        '[debug]\nnetworks = "192.0.2.0/24"', '[debug]\nnetworks = ["192.0.2.0/33"]', '[debug]\nnetworks = ["192.0.2.0/"]',
        '[debug]\nnetworks = ["localhost"]', "[debug]\nnetworks = [1]", "log = 5", '[log]\nsample = "1"',
        "[log]\nsample = 1.5", "[log]\nsample = true", "[log]\nsample = nan", "[log]\nfile = 1",
        "fallback = 5", "[fallback]\nttl = []", "[fallback]\nzones = 5",
        "[fallback]\nservers = 5", "[fallback]\nservers = [5]", '[fallback.zones."z.net"]\n',
        ZONE.replace(', rname = "r"', ""), ZONE.replace('ns = ["n"]', ""), ZONE.replace('["n"]', '"n"'),
        ZONE.replace('"m"', '"m\\nEND"'), ZONE + "services = [5]", ZONE + "services = [{}]", ZONE + 'services = ["a\\nb"]',
        ZONE + 'services = ["a b"]', ZONE + "records = [{}]", ZONE + 'records = [{ name = "a", type = "A" }]',
        ZONE + 'records = [{ name = "a", type = "A", content = "1", ttl = "soon" }]',
        ZONE + 'records = [{ name = "a", type = "TXT", content = "x\\ny" }]',
        ZONE + 'records = [{ name = "a\\nb", type = "A", content = "1" }]',
        SERVER + 'a = "192.0.2.1"', SERVER + 'a = ["192.0.2.256"]', SERVER + 'a = ["2001:db8::1"]',
        SERVER + 'aaaa = ["192.0.2.1"]', SERVER + "a = [1]", SERVER + 'weight = "5"', SERVER + 'hostname = "a\\nb"',
        SERVER + "hostname = 5",
    ],
)  # fmt: skip
def test_what_a_worker_would_stumble_over_is_refused_when_it_starts(path: Path, text: str):
    assert len(problems(path, text)) == 1


# ---------------------------------------------------------------- the checked copy


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files that were parsed."""
    seen: list[str] = []
    original = module._parse

    def parse(path: str, text: str) -> Any:
        seen.append(path)
        return original(path, text)

    monkeypatch.setattr(module, "_parse", parse)
    return seen


def test_a_file_is_parsed_once_and_says_the_same_from_its_copy(path: Path, parsed: list[str]):
    (path.parent / "state").mkdir()
    first = facts(written(path, EVERYTHING))
    second = facts(load(str(path)))
    assert parsed == [str(path)]
    assert second == first


def test_the_copy_lies_beside_the_snapshot_and_only_its_owner_can_read_it(path: Path):
    (path.parent / "state").mkdir()
    written(path, EVERYTHING)
    copy = path.parent / "state" / "last-good.json.settings"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert list(copy.parent.iterdir()) == [copy], "nothing is left over"


def test_the_copy_holds_no_secret_from_the_environment(
    path: Path, monkeypatch: pytest.MonkeyPatch, parsed: list[str]
):
    monkeypatch.setenv("GEOSTEER_TEST_SECRET", "from outside")
    text = 'snapshot = "s.json"\n[redis]\npassword = "${GEOSTEER_TEST_SECRET}"'
    written(path, text)
    assert "from outside" not in (path.parent / "s.json.settings").read_text()
    monkeypatch.setenv("GEOSTEER_TEST_SECRET", "another")
    assert load(str(path)).password == "another"
    assert len(parsed) == 1


def test_a_change_of_content_makes_the_copy_worthless_whatever_size_and_time_say(
    path: Path, parsed: list[str]
):
    text = 'snapshot = "s.json"\ncache = 65536\n'
    written(path, text)
    assert written(path, text + "# longer").cache == 65536
    assert len(parsed) == 2
    moment = path.stat().st_mtime_ns
    path.write_text(text.replace("65536", "65537") + "# longer")
    os.utime(path, ns=(moment, moment))
    assert load(str(path)).cache == 65537
    assert len(parsed) == 3
    os.utime(path, ns=(moment, moment + 1_000_000_000))
    assert load(str(path)).cache == 65537
    assert len(parsed) == 3, "a new time alone changes nothing"


def test_a_copy_is_not_used_for_another_file(path: Path, parsed: list[str]):
    written(path, f'snapshot = "{path.parent}/s.json"\n')
    other = path.parent / "other.toml"
    other.write_bytes(path.read_bytes())
    moment = path.stat().st_mtime_ns
    os.utime(other, ns=(moment, moment))
    load(str(other))
    assert parsed == [str(path), str(other)]


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"5", b"{}", b'{"stamp":[],"data":{}}', b"\xff", b"[" * 100_000]
)
def test_a_damaged_copy_is_as_none_and_is_made_anew(path: Path, damage: bytes, parsed: list[str]):
    written(path, 'snapshot = "s.json"\ncache = 65536\n')
    copy = path.parent / "s.json.settings"
    copy.write_bytes(damage)
    assert load(str(path)).cache == 65536
    seal, body = copy.read_bytes().split(b"\n", 1)
    assert len(seal) == 32
    assert json.loads(body)["data"]["cache"] == 65536
    assert len(parsed) == 2


def test_a_copy_that_was_cut_anywhere_is_as_none(path: Path, parsed: list[str]):
    written(path, 'snapshot = "s.json"\ncache = 65536\n')
    copy = path.parent / "s.json.settings"
    whole = copy.read_bytes()
    for size in range(len(whole)):
        copy.write_bytes(whole[:size])
        assert load(str(path)).cache == 65536
        assert copy.read_bytes() == whole
    assert len(parsed) == 1 + len(whole)


def test_without_a_folder_for_the_copy_the_file_is_parsed_each_time(path: Path, parsed: list[str]):
    written(path, f'snapshot = "{path.parent}/gone/s.json"\n')
    load(str(path))
    assert len(parsed) == 2


def test_a_file_with_a_problem_leaves_no_copy(path: Path):
    problems(path, 'snapshot = "s.json"\ntiemout = 1\n')
    assert not (path.parent / "s.json.settings").exists()


def test_a_missing_variable_is_found_with_a_copy_too(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GEOSTEER_TEST_SECRET", "x")
    written(path, 'snapshot = "s.json"\n[redis]\npassword = "${GEOSTEER_TEST_SECRET}"')
    monkeypatch.delenv("GEOSTEER_TEST_SECRET")
    with pytest.raises(ConfigError, match="GEOSTEER_TEST_SECRET"):
        load(str(path))


def test_relative_paths_of_the_copy_begin_at_the_file_too(path: Path, monkeypatch: pytest.MonkeyPatch):
    written(path, 'snapshot = "s.json"\n')
    monkeypatch.chdir(path.parent)
    assert load("backend.toml").snapshot == f"{path.parent}/s.json"


def test_settings_that_are_nested_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "backend.toml"
    path.write_text("x = " + "[" * 100_000)
    with pytest.raises(ConfigError, match=r"backend\.toml: is nested too deeply"):
        load(str(path))
