"""The files in conf/: usable as they are, and complete."""

from __future__ import annotations

import re
from typing import Any

import pytest

from geosteer_loader.config import config, host
from geosteer_loader.config.section import Table
from support.data import ROOT

CONF = ROOT / "conf"
COMMENTED = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)
SETTING = re.compile(r"^(?:#|# Example: )?([a-z_]+) = ", re.MULTILINE)

LOADER_SETTINGS = {
    "url", "prefix", "username", "password", "password_file", "timeout", "ca", "cert", "key", "tls_strict",
    "format", "path", "vantage", "prefixes", "file", "cache", "checksum", "member", "max_size",
    "a", "aaaa", "hostname", "weight", "location", "well_connected", "capacity", "assume", "ramp", "settle", "near_km",
    "type", "status", "body", "host", "headers", "sni", "verify", "port", "command", "interval", "profile",
    "order", "all_down", "max_down",
    "ns", "ns_ttl", "mname", "rname", "refresh", "retry", "expire", "minimum", "ttl", "name", "content",
    "map", "policy", "bias", "max_share", "ttl_min", "country_middle", "answer", "max_answers", "https", "svcb",
    "max_shrink", "max_country_change", "max_impact", "max_age", "keep", "grace", "control", "forget", "rule",
}  # fmt: skip
WORKER_SETTINGS = {
    "snapshot", "max_stale", "timeout", "first_wait", "cache", "url", "prefix", "username", "password", "password_file", "ca",
    "cert", "tls_strict",
    "key", "ttl", "ns", "ns_ttl", "services", "mname", "rname", "refresh", "retry", "expire", "minimum", "name", "type",
    "content", "a", "aaaa", "hostname", "weight", "networks", "sample", "file",
    "key_file", "lifetime", "origins", "object", "scheme", "port", "to", "rate", "network_rate", "spool", "segment_bytes",
    "segment_seconds", "spool_bytes",
}  # fmt: skip


def test_the_loaders_file_loads_without_problems_or_warnings():
    loaded = config.load(CONF / "geosteer.toml", {})
    assert loaded.warnings == []
    problems, warnings = config.source_problems(loaded)
    assert problems == []
    assert all("the built-in country table is of" in warning for warning in warnings)
    assert set(loaded.document["services"]) == {"www.cdn.example.net", "dl.cdn.example.net"}


def test_the_loaders_file_serves_commands_that_need_only_its_redis():
    assert host.load(CONF / "geosteer.toml", {}).redis == config.load(CONF / "geosteer.toml", {}).redis


def test_the_workers_file_has_no_problems():
    assert config.check_backend(CONF / "backend.toml") == []


def test_what_is_commented_out_in_the_loaders_file_states_the_defaults(tmp_path):
    text = (CONF / "geosteer.toml").read_text()
    full = tmp_path / "geosteer.toml"
    full.write_text(COMMENTED.sub("", text))
    assert full.read_text() != text
    loaded, shipped = config.load(full, {}), config.load(CONF / "geosteer.toml", {})
    assert loaded.document == shipped.document
    assert (loaded.redis, loaded.guard, loaded.prober) == (shipped.redis, shipped.guard, shipped.prober)


def test_what_is_commented_out_in_the_workers_file_may_stand_there(tmp_path):
    full = tmp_path / "backend.toml"
    full.write_text(COMMENTED.sub("", (CONF / "backend.toml").read_text()))
    assert config.check_backend(full) == []


@pytest.mark.parametrize(
    ("file", "settings"), [("geosteer.toml", LOADER_SETTINGS), ("backend.toml", WORKER_SETTINGS)]
)
def test_every_setting_is_in_the_shipped_file(file, settings):
    assert settings <= set(SETTING.findall((CONF / file).read_text()))


class Keys(dict[str, None]):
    """Keys that a table was asked for, told to all of them; `update` is for names that users choose."""

    everyone: set[str]

    def __setitem__(self, key: str, value: None) -> None:
        if key not in self:
            self.everyone.add(key)
        super().__setitem__(key, value)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every setting that the checks ask a table for, whether it is there or not."""
    Keys.everyone = set()
    make = Table.__init__

    def made(table: Table, *given: Any) -> None:
        make(table, *given)
        table._known = Keys()

    monkeypatch.setattr(Table, "__init__", made)
    return Keys.everyone


# What is asked for of one kind of check or source alone.
KINDS = """
[[sources.path]]
format = "mrt"
path = "rib.bz2"
vantage = "lon"
[[sources.geo]]
format = "mmdb"
path = "https://www.example.com/countries.mmdb"
[[nodes.xyz1.check]]
type = "tcp"
port = 443
[[nodes.xyz1.check]]
type = "https"
url = "https://192.0.2.1/"
[[nodes.xyz1.check]]
type = "command"
command = ["true"]
[nodes.xyz1]
a = ["192.0.2.77"]
"""


def test_every_setting_that_the_checks_know_is_in_the_loaders_file(tmp_path, asked):
    text = (CONF / "geosteer.toml").read_text()
    (tmp_path / "geosteer.toml").write_text(COMMENTED.sub("", text) + KINDS)
    config.load(tmp_path / "geosteer.toml", {})
    assert asked >= LOADER_SETTINGS, "the fixture sees what is asked"
    assert _absent(asked, text) == set()


def test_every_setting_that_the_checks_know_is_in_the_workers_file(asked):
    text = (CONF / "backend.toml").read_text()
    assert config.check_backend(CONF / "backend.toml") == []
    assert asked >= {"max_stale", "password_file", "weight", "expire"}, "the fixture sees what is asked"
    assert _absent(asked, text) == set()


def _absent(asked: set[str], text: str) -> set[str]:
    """Settings that the file tells nothing of, neither by a line of theirs nor within a table in one line."""
    return {
        key
        for key in asked
        if not re.search(rf"(?:^|[\s#{{\[.]){key}(?:\.[^\]]*)?(?:\]| = )", text, re.MULTILINE)
    }
