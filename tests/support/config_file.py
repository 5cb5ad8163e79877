"""A small configuration for tests to break, one thing at a time."""

from __future__ import annotations

import re
from pathlib import Path

from geosteer.errors import ConfigError
from geosteer_loader.config import config
from support.data import ROOT

SOURCES = """
[[sources.geo]]
format = "csv"
path = "geo.csv"
"""

NODES = """
[nodes.lon1]
a = ["192.0.2.1"]
aaaa = ["2001:db8:1::1"]
hostname = "lon1.cdn.example.net"
location = [51.51, -0.13]
well_connected = 10
[nodes.ams1]
a = ["192.0.2.2"]
hostname = "ams1.cdn.example.net"
location = [52.37, 4.9]
"""

MAPS = """
[maps.default]
countries = { GB = { lon1 = 100, ams1 = 50 } }
default = { lon1 = 100, ams1 = 10 }
"""

ZONES = """
[zones."cdn.example.net"]
soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }
ns = ["ns1.example.net"]
"""

SERVICES = """
[services."www.cdn.example.net"]
map = "default"
"""

GOOD = SOURCES + NODES + MAPS + ZONES + SERVICES


def changed(*replacements: tuple[str, str], more: str = "") -> str:
    """The good file with some of its text replaced, and more at its end."""
    text = GOOD
    for old, new in replacements:
        assert text.count(old) >= 1, f"{old!r} is not in the good file"
        text = text.replace(old, new, 1)
    return text + more


def record(name: str, kind: str, content: str, ttl: int | None = None) -> str:
    """One static record of the good file's zone."""
    head = f"[[zones.\"cdn.example.net\".records]]\nname = '{name}'\ntype = '{kind}'\ncontent = '''{content}'''\n"
    return "\n" + head + (f"ttl = {ttl}\n" if ttl is not None else "")


def load(text: str, environ: dict[str, str] | None = None) -> config.Config:
    """The configuration in *text*, as `c.toml` of the working directory, which the caller has made its own."""
    assert Path.cwd() != ROOT, "this would leave a file in the checkout: monkeypatch.chdir(tmp_path) first"
    Path("c.toml").write_text(text)
    return config.load(Path("c.toml"), environ or {})


def problems(text: str, environ: dict[str, str] | None = None) -> list[str]:
    """What is wrong with *text*; empty when it loads."""
    try:
        load(text, environ)
    except ConfigError as exc:
        return without_lines(exc.problems)
    return []


def without_lines(told: list[str]) -> list[str]:
    """Problems or warnings without the line of the file, which `test_config_lines` looks at."""
    return [re.sub(r"^([^:]*: )line \d+: (?=[a-z])", r"\1", line) for line in told]
