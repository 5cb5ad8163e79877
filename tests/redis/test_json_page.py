"""docs/json.md names every field that commands print with --json."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from geosteer_loader.cli.main import main
from support.data import ROOT
from support.publishing import write_config

if TYPE_CHECKING:
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
)


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
    config = write_config(tmp_path, own_redis.url, geo=[table])
    named = sections()
    for words in CALLS:
        assert main([*words, "--json", "--config", str(config)]) == 0, words
        said = json.loads(capsys.readouterr().out)
        document = said[0] if isinstance(said, list) else said
        section = "export fallback" if words[0] == "export" else words[0]
        assert set(document) <= named[section], words
