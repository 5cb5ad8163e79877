"""What a worker has loaded when its first answer is out: exactly what is written here, since every module costs its start."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support import tiny
from support.data import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

PYTHON = ROOT / ".venv" / "bin" / "python"
TELL = """
import os, sys
def tell():
    put(2, ("MODULES " + " ".join(sorted(sys.modules)) + chr(10)).encode())
def write(file, data):
    done = put(file, data)
    if b"DATA" in data:
        tell()
    return done
put, os.write = os.write, write
"""
"""Tells what is loaded as soon as an answer with a record is out; needs nothing that is not there anyway."""
MAIN = TELL + "from geosteer.powerdns.pipe import main; main()"
"""What `bin/geosteer-pipe` runs, and the telling."""

GEOSTEER = {
    "geosteer",
    "geosteer.cmodules",
    "geosteer.counters",
    "geosteer.counters.counters",
    "geosteer.decision",
    "geosteer.decision.client",
    "geosteer.decision.decision",
    "geosteer.decision.director",
    "geosteer.decision.layer_walk",
    "geosteer.decision.model",
    "geosteer.decision.node_state",
    "geosteer.decision.policy",
    "geosteer.decision.records",
    "geosteer.errors",
    "geosteer.files",
    "geosteer.keys",
    "geosteer.powerdns",
    "geosteer.powerdns.loop",
    "geosteer.powerdns.pipe",
    "geosteer.powerdns.protocol",
    "geosteer.powerdns.reply_memory",
    "geosteer.powerdns.responder",
    "geosteer.process",
    "geosteer.resp",
    "geosteer.resp.channel",
    "geosteer.resp.conversation",
    "geosteer.resp.link",
    "geosteer.resp.url",
    "geosteer.settings",
    "geosteer.sync",
    "geosteer.sync.adoption",
    "geosteer.sync.decider",
    "geosteer.sync.follower",
    "geosteer.sync.generation",
    "geosteer.sync.handshake",
    "geosteer.sync.leaf_requests",
    "geosteer.sync.lookups",
    "geosteer.sync.node_states",
    "geosteer.sync.states",
    "geosteer.sync.tier",
    "geosteer.tables",
    "geosteer.tables.leaf",
    "geosteer.tables.leaf_cache",
    "geosteer.tables.page_format",
    "geosteer.tables.tree",
    "geosteer.timestamps",
    "geosteer.zones",
}
C_MODULES = {
    "_bisect", "_blake2", "_collections", "_json", "_sha1", "_socket", "array", "errno", "gc", "math", "mmap",
    "select",
}  # fmt: skip
OTHERS = {"__future__", "hiredis", "hiredis.hiredis", "hiredis.version"}
COSTLY = {
    "argparse", "asyncio", "bisect", "collections", "contextlib", "dataclasses", "datetime", "enum", "functools", "hashlib",
    "inspect", "ipaddress", "json", "logging", "pathlib", "random", "re", "redis", "signal", "socket", "ssl", "subprocess",
    "threading", "tomllib", "traceback", "typing",
}  # fmt: skip


def run(code: str, *arguments: str, stdin: bytes = b"") -> tuple[bytes, set[str]]:
    """What a fresh interpreter writes, and the modules that it had loaded when it told them."""
    command = [str(PYTHON), "-I", "-c", code, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=True)
    log, _, modules = done.stderr.decode().partition("MODULES ")
    assert log == "", "a start without trouble has nothing to say"
    return done.stdout, set(modules.split())


@pytest.fixture
def config(tmp_path: Path, redis_server: RedisServer, prefix: str) -> str:
    """Settings of a worker for a small published generation."""
    with redis_server.client() as client:
        tiny.publish_tiny(client, prefix)
    path = tmp_path / "backend.toml"
    path.write_text(
        f'snapshot = "last-good.json"\ntimeout = "5s"\n[redis]\nurl = "{redis_server.url}"\nprefix = "{prefix}"\n'
        f'[metrics]\nfolder = "{tmp_path}"\n'
    )
    return str(path)


def ask(config: str) -> tuple[bytes, set[str]]:
    question = b"Q\twww.cdn.example.net\tIN\tANY\t1\t198.51.100.53\t127.0.0.1\t192.0.2.0/24\n"
    return run(MAIN, "--config", config, stdin=b"HELO\t3\n" + question)


def test_a_worker_has_loaded_exactly_what_is_written_here(config: str):
    ask(config)  # leaves the checked copy of its settings
    answer, loaded = ask(config)
    assert answer == (
        b"OK\tgeosteer\n"
        b"DATA\t24\t1\twww.cdn.example.net\tIN\tA\t60\t1\t192.0.2.1\n"
        b"DATA\t24\t1\twww.cdn.example.net\tIN\tAAAA\t60\t1\t2001:db8:1::1\n"
        b"END\n"
    )
    _, bare = run(TELL + "tell()")
    fresh = loaded - bare
    assert {name for name in fresh if name.startswith("geosteer")} == GEOSTEER
    assert fresh & COSTLY == set()
    if sys.version_info[:2] == (3, 11):  # elsewhere public modules stand in for some C ones
        assert sorted(fresh) == sorted(GEOSTEER | C_MODULES | OTHERS)


def test_only_the_first_start_after_a_change_of_the_settings_parses_them(config: str):
    _, first = ask(config)
    assert {"tomllib", "geosteer.settings_fallback"} <= first
    _, second = ask(config)
    assert second & {"tomllib", "re", "geosteer.settings_fallback"} == set()
