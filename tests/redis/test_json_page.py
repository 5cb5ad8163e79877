"""docs/json.md names every field that commands print with --json."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import click

from geosteer.counters.counters import Counters
from geosteer_loader.cli.group import geosteer
from geosteer_loader.cli.main import main
from support.data import ROOT
from support.publishing import write_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from support.servers import RedisServer

NAME = "www.cdn.example.net"
CALLS = (
    ("plan",),
    ("publish",),
    ("status",),
    ("lookup", "192.0.2.1"),
    ("explain", NAME, "192.0.2.1"),
    ("node", "drain", "lon1"),
    ("node", "list"),
    ("history",),
    ("verify",),
    ("mismatch", NAME, "pairs.txt"),
    ("who", NAME),
    ("export", "fallback", "fallback.toml"),
    ("export", "gdnsd", "gdnsd", "--lossy"),
    ("export", "pdns-geoip", "geoip", "--lossy"),
    ("export", "geo-map", "geo-map", "--lossy"),
    ("export", "nginx", "nginx", "--lossy"),
    ("export", "haproxy", "haproxy", "--lossy"),
    ("export", "knot", "knot", "--lossy"),
    ("node", "auto", "lon1"),
    ("journal",),
    ("history", "--diff", "1", "1"),
    ("replay", "decisions.log"),
    ("workers", "--backend", "backend.toml"),
    ("workers", "--redis"),
    ("shares", "demand.txt"),
    ("bgp", "192.0.2.1"),
    ("import", "gdnsd", "original/gdnsd", "--lossy"),
    ("import", "pdns-geoip", "original/zones.yaml", "--lossy"),
    ("import", "geodns", "original/geodns", "--lossy"),
    ("import", "bind-geoip", "original/named.conf", "--lossy"),
    (
        "import",
        "mirrorbits",
        "original/mirrorbits.conf",
        "--mirrors",
        "original/mirrors",
        "--service",
        "dl.x.org",
        "--lossy",
    ),
    ("latency", "ingest", "--format", "csv", "original/samples.csv"),
    ("latency", "status"),
    ("init", "--root", "host", "--zone", "cdn.example.org", "--node", "a1=192.0.2.9@GB"),
    ("doctor", "--root", "host"),
    ("rollback", "1"),
)
ALONE = {"init", "doctor", "import"}
"""Commands that know no --config."""
MAY_FAIL = {"doctor", "shares"}
"""Their exit code tells what they found."""


def sections() -> dict[str, set[str]]:
    """Each command's section, and the words in it that stand as code."""
    text = (ROOT / "docs" / "json.md").read_text()
    parts = re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return {title: set(re.findall(r"`(\w+)`", body)) for title, body in parts}


def test_every_field_that_is_printed_is_named(
    own_redis: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "geo.csv"
    table.write_text("192.0.2.0/24,GB\n2001:db8::/32,GB\n")
    (tmp_path / "pairs.txt").write_text("192.0.2.1 198.51.100.1\n")
    (tmp_path / "demand.txt").write_text("GB 10\n")
    (tmp_path / "decisions.log").write_text("{}\n")
    (tmp_path / "counters").mkdir()
    worker = f'[redis]\nurl = "{own_redis.url}"\n[metrics]\nfolder = "{tmp_path}/counters"\n'
    (tmp_path / "backend.toml").write_text(worker)
    originals(tmp_path / "original")
    counters = Counters("http")
    counters.take_file(str(tmp_path / "counters"), 1.0)
    more = "[nodes.nyc1]\na = ['192.0.2.9']\ncapacity = 100\nlocation = [40, -70]\n"
    more += f"[latency]\ndatabase = '{tmp_path}/samples.sqlite'\n"
    config = write_config(tmp_path, own_redis.url, geo=[table], more=more)
    named = sections()
    for words in CALLS:
        code = main([*words, "--json", *(() if words[0] in ALONE else ("--config", str(config)))])
        assert code == 0 or (code == 1 and words[0] in MAY_FAIL), words
        said = json.loads(capsys.readouterr().out)
        document = said[0] if isinstance(said, list) and said else said
        names = set(document) | set().union(*(fields_of(document[field]) for field in LISTS & set(document)))
        assert set(document) or words[-1] == "--redis"
        if words[0] != "rollback":  # the fields of `current`
            assert names <= named[words[0]], words


def originals(folder: Path) -> None:
    """Configurations of other systems, and measurements."""
    for name in ("gdnsd/zones", "geodns"):
        (folder / name).mkdir(parents=True)
    zone = "@ SOA ns1 h ( 1 7200 1800 259200 900 )\n@ NS ns1\nns1 A 192.0.2.53\n"
    for name, text in {
        "gdnsd/zones/example.com": zone, "geodns/example.com.json": '{"data": {"": {"ns": ["ns1.example.net"]}}}',
        "zones.yaml": "domains: [{domain: example.com}]\n", "zone": zone, "samples.csv": "time,client,node,ms\n",
        "named.conf": 'view x { zone "example.com" { type primary; file "zone"; }; };',
        "mirrorbits.conf": "Repository: /srv\n",
        "mirrors": "Name: m\nHttpURL: http://m.example.org/\n",
    }.items():  # fmt: skip
        (folder / name).write_text(text)


LISTS = {"workers", "links", "routes", "nodes", "files"}
"""Fields whose elements are explained too."""


def fields_of(value: object) -> set[str]:
    """Of the first element of a list of objects."""
    return set(value[0]) if isinstance(value, list) and value and isinstance(value[0], dict) else set()


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Those that can print JSON."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        elif any("--json" in parameter.opts for parameter in command.params):
            yield (*words, name)


def test_each_command_that_prints_json_is_tried_and_stands_on_the_page() -> None:
    named, found = sections(), list(commands(geosteer))
    assert len(found) > 20
    for words in found:
        assert words[0] in named, words
        assert words in {call[: len(words)] for call in CALLS}, words
