"""Whatever a TOML file says, reading it ends in a configuration or in a ConfigError."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geosteer.errors import ConfigError
from geosteer_loader.config import config, rdata
from geosteer_loader.config.section import Problems, Table
from geosteer_loader.config.worker import check_worker
from support.config_file import GOOD, problems
from support.data import ROOT
from support.long import examples

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = st.sampled_from(
    [
        "redis", "sources", "geo", "bgp", "path", "networks", "nodes", "maps", "zones", "services", "guard", "prober", "x",
        "url", "prefix", "password", "format", "csv", "prefixes", "a", "aaaa", "hostname", "check", "type", "tcp", "http",
        "profile", "status", "headers", "command", "location", "weight", "order", "countries", "asns", "networks", "default",
        "GB", "AS1", "US-CA", "EU", "soa", "mname", "rname", "ns", "records", "name", "content", "ttl", "map", "answer",
        "cname", "policy", "nearest", "canaries", "control", "fallback", "servers", "example.net", "www.example.net", "@",
        "192.0.2.1", "2001:db8::/32", "1h", "${X}", "*.example.net", "A", "CNAME", "HTTPS", "TXT", "1 . alpn=h2", "",
    ]
)  # fmt: skip
SCALARS = (
    WORDS
    | st.text(max_size=8)
    | st.integers()
    | st.sampled_from([10**400, -1, 0, 1, 65536])
    | st.floats()
    | st.booleans()
    | st.just(datetime.date(2020, 1, 1))
    | st.just(datetime.time(1, 2))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=25,
)
DOCUMENTS = st.dictionaries(WORDS | st.text(max_size=5), VALUES, max_size=5)


def problems_of(read: Callable[[], object]) -> list[str]:
    """What *read* complains of in a ConfigError; every other error is a bug."""
    try:
        read()
    except ConfigError as exc:
        return exc.problems or [""]
    return []


def scalars_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value within the document, tables included."""
    if isinstance(value, dict):
        return [path, *(found for key in value for found in scalars_of(value[key], (*path, key)))]
    if isinstance(value, list):
        return [path, *(found for at, one in enumerate(value) for found in scalars_of(one, (*path, at)))]
    return [path]


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_any_document_is_a_configuration_or_a_configuration_error(raw):
    found = problems_of(lambda: config.check(raw, Path("c.toml"), {}))
    assert all(line.startswith("c.toml: ") and line.isprintable() for line in found)


@settings(max_examples=examples(150), deadline=None)
@given(st.data())
def test_the_shipped_files_with_a_value_exchanged_are_too(data):
    name = data.draw(st.sampled_from(["geosteer.toml", "backend.toml"]))
    raw = tomllib.loads((ROOT / "conf" / name).read_text())
    path = data.draw(st.sampled_from(scalars_of(raw)[1:]))
    place = raw
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = data.draw(VALUES)
    if name == "backend.toml":
        noted = Problems(name)
        check_worker(Table(raw, "", noted), ROOT / "conf")
        noted.errors()
        return
    problems_of(lambda: config.check(raw, ROOT / "conf" / name, {}))


@settings(max_examples=examples(200), deadline=None)
@given(
    st.sampled_from(sorted(rdata.TYPES)),
    st.text(max_size=30) | st.from_regex(r"[0-9]{1,3}( [a-z0-9.\"=\\]{1,9}){0,4}"),
)
def test_any_rdata_is_written_on_one_line_or_refused(kind, content):
    try:
        written = rdata.content(kind, content)
    except ValueError:
        return
    assert written.isascii()
    assert written.isprintable()
    assert rdata.content(kind, written) == written


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40), st.integers(min_value=0, max_value=len(GOOD)))
def test_any_bytes_within_a_file_are_read_or_refused(tmp_path, data, at):
    path = tmp_path / "c.toml"
    path.write_bytes(GOOD.encode()[:at] + data + GOOD.encode()[at:])
    problems_of(lambda: config.load(path, {}))


@pytest.mark.parametrize("table", ["nodes", "maps", "zones", "services", "networks"])
def test_keys_with_odd_characters_cannot_garble_a_terminal(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = problems(f'[{table}."a\\n\\u0007\\u2028b"]\nx = 1\n')
    assert found
    assert all(line.isprintable() for line in found)
