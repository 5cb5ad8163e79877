"""The README and the session with redis-cli are true: it runs, and what they name exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

from support.data import ROOT

if TYPE_CHECKING:
    from support.servers import RedisServer

README = (ROOT / "README.md").read_text()
REDIS = (ROOT / "docs" / "redis.md").read_text()
MAP = (ROOT / "docs" / "map.md").read_text()
COMMANDS = ROOT / ".venv" / "bin"


def session(paper: str) -> list[tuple[str, list[str]]]:
    """Commands of a paper's session with the lines that each prints."""
    block = re.search(r"<!-- session.*?-->\n```console\n(.*?)```", paper, re.DOTALL)
    assert block
    steps: list[tuple[str, list[str]]] = []
    for line in block[1].splitlines():
        if line.startswith("$ "):
            steps.append((line[2:], []))
        else:
            steps[-1][1].append(line)
    return steps


def test_the_sessions_print_what_they_show(own_redis: RedisServer) -> None:
    env = {
        **os.environ,
        "GEOSTEER_REDIS_URL": own_redis.url,
        "PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}",
        "NO_COLOR": "1",
    }

    def run(command: str) -> list[str]:
        words = shlex.split(command)
        if words[0] == "redis-cli":
            words[1:1] = ["-s", str(own_redis.socket)]
        done = subprocess.run(words, capture_output=True, text=True, env=env, cwd=ROOT, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    run("geosteer publish")
    steps = session(REDIS)
    assert len(steps) > 8
    for command, shown in steps:
        printed = run(command)
        if "..." in "".join(shown):
            begin = shown[0].partition("...")[0]
            assert printed
            assert printed[0].startswith(begin), command
        else:
            assert printed == shown, command
    run("redis-cli DEL '{geosteer}:node:lon1'")
    for command, shown in session(MAP):
        printed = run(command)
        assert re.fullmatch(pattern(shown), "".join(f"{line.rstrip()}\n" for line in printed)), (
            command,
            printed,
        )


def pattern(shown: list[str]) -> str:
    """What a command has to print: `...` is left out, alone on a line any number of lines."""
    lines = [
        "(?:.*\n)*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + "\n" for line in shown
    ]
    return "".join(lines)


def test_every_file_that_it_names_is_there() -> None:
    for name in set(re.findall(r"(?:conf|bin|tests)/[\w.\-]+\w", README)) | {"LICENSE", "CHANGELOG.md"}:
        assert (ROOT / name).exists(), name


def test_every_command_that_it_names_is_there() -> None:
    helped = subprocess.run(
        [str(ROOT / "bin" / "geosteer"), "--help"], capture_output=True, text=True, timeout=30
    ).stdout
    known = set(re.findall(r"^  ([a-z-]+)  ", helped, re.MULTILINE))
    named = set(re.findall(r"(?:^|`|\$ )geosteer ([a-z][a-z-]+)", README, re.MULTILINE))
    assert named
    assert named <= known


def test_every_table_of_the_configuration_that_it_names_is_shipped() -> None:
    worker = (ROOT / "conf" / "backend.toml").read_text()
    for setting in ("max_stale", "timeout", "snapshot", "[fallback"):
        assert setting in worker
        assert setting in README
