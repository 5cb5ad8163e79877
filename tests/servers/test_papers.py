"""What README and the other papers name exists: files, links, modules and what is in them, commands, options, settings."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import tomllib
from functools import cache
from typing import TYPE_CHECKING

import pytest

from support.data import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAPERS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
ROOMS = [ROOT / "backend" / "geosteer", ROOT / "loader" / "geosteer_loader"]
"""Folders that a module's short name (`sync/tier.py`) is relative to."""
COMMANDS = ROOT / ".venv" / "bin"
ELSEWHERE = {
    "X_Forwarded_For", "gsqlite3_database", "map_hash_max_size", "replica_of", "max_answers",
    "url_rewrite_program", "no_answer", "total_net_output_bytes",
}  # fmt: skip
"""Words in the shape of a setting that other programs define."""
papers = pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)


def spans(text: str) -> list[str]:
    """Code in a line of prose."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def blocks(text: str) -> str:
    """Code and pictures between fences."""
    return "\n".join(re.findall(r"^ *```[^\n]*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE))


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@papers
def test_every_link_leads_somewhere(paper: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", paper.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = paper.parent / path if path else paper
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text()), target


@papers
def test_every_file_and_folder_that_is_named_is_there(paper: Path) -> None:
    text = paper.read_text()
    named = set(re.findall(r"(?<![\w./-])(?:backend|loader|conf|bin|docs|tests)/[\w./*\-]*[\w/*]", text))
    named |= set(re.findall(r"(?<![\w./-])(?:README|CHANGELOG|CONTRIBUTING|SECURITY)\.md", text))
    for name in named:
        assert list(ROOT.glob(name.rstrip("/"))), name


@papers
def test_every_module_that_is_named_has_what_is_said_of_it(paper: Path) -> None:
    text = paper.read_text()
    short = re.findall(
        r"(?<![\w./-])((?:\w+/)*\w+\.(?:py|lua))(?:: ([\w.]+(?:, [\w.]+)*))?(?=[\s`|,;:).]|$)", text
    )
    for path, members in short:
        files = [
            place / path
            for place in (*ROOMS, ROOMS[0].parent, ROOT, ROOT / "tests")
            if (place / path).exists()
        ]
        assert files, path
        for member in members.split(", ") if members else ():
            assert member in defined(files[0]), f"{path}: {member}"
    for dotted in re.findall(r"(?<![\w./-])(geosteer(?:_loader)?(?:\.\w+)+)", text):
        assert resolves(dotted), dotted


@cache
def defined(path: Path) -> set[str]:
    """Names that a module defines or hands on, methods as `Class.method`."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a file of conf/, a module, or something that a module defines."""
    if (ROOT / "conf" / dotted).exists() or dotted in GONE:
        return True
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        for root in ("backend", "loader"):
            path = ROOT.joinpath(root, *parts[:cut])
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                if file.exists():
                    return cut == len(parts) or ".".join(parts[cut:]) in defined(file)
    return False


GONE = {"geosteer.middleware", "geosteer.gateway", "geosteer.lua"}
"""Former names that the changelog gives, and the Lua library."""


@cache
def helped(*command: str) -> str:
    env = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(
        [str(COMMANDS / command[0]), *command[1:], "--help"],
        capture_output=True, text=True, timeout=60, env=env,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def subcommands(*command: str) -> set[str]:
    return set(
        re.findall(r"^  ([a-z][a-z-]*)(?:  |$)", helped(*command).partition("Commands:")[2], re.MULTILINE)
    )


def invocations(text: str) -> list[list[str]]:
    """Each `geosteer ...` in code, cut into words."""
    lines = [*spans(text), *(re.sub(r"\s# .*", "", line.strip()) for line in blocks(text).splitlines())]
    found = []
    for line in lines:
        match = re.match(r"(?:\$ |sudo )?(?:bin/)?(geosteer(?:-pipe|-http|-squid)?) ([a-z-].*)", line)
        if match:
            found.append([match[1], *match[2].split()])
    return found


@papers
def test_every_command_and_option_that_is_shown_is_there(paper: Path) -> None:
    for words in invocations(paper.read_text()):
        command = [words[0]]
        while words[0] == "geosteer" and len(command) < len(words):
            inner = subcommands(*command)
            if not inner:
                break
            assert words[len(command)] in inner, words
            command.append(words[len(command)])
        for option in re.findall(r"(?<!\S)--[a-z-]+", " ".join(words)):
            assert option in helped(*command), words


@papers
def test_every_setting_that_is_named_is_there(paper: Path) -> None:
    conf = "\n".join(path.read_text() for path in (ROOT / "conf").iterdir() if path.is_file())
    code = "\n".join(path.read_text() for room in ROOMS for path in room.rglob("*.py"))
    code += (ROOMS[1] / "store" / "geosteer.lua").read_text()
    for span in spans(paper.read_text()):
        table = re.fullmatch(r"\[{1,2}([\w.]+)\]{1,2}(?: (\w+))?", span)
        if table:
            assert f"[{table[1]}" in conf, span
            assert table[2] is None or re.search(rf"^#? *(?:Example: )?{table[2]} *=", conf, re.MULTILINE), (
                span
            )
        for word in re.findall(r"(?<![\w/.\-])[a-z]+(?:_[a-z]+)+(?![\w/(])", span):
            assert re.search(rf"\b{word}\b", conf + code) or word in ELSEWHERE, span


@papers
def test_every_block_of_settings_or_commands_can_be_read(paper: Path) -> None:
    for language, block in re.findall(
        r"^```(toml|json|sh)\n(.*?)^```", paper.read_text(), re.DOTALL | re.MULTILINE
    ):
        if language == "toml":
            tomllib.loads(block)
        elif language == "json":
            json.loads(block)
        else:
            checked = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True)
            assert (checked.returncode, checked.stderr) == (0, ""), block


def test_each_room_stands_in_the_list_of_changes() -> None:
    """A reader finds the room for a change in one table, so no room may be missing there."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = text.partition("## I want to change")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\| ", rows, re.MULTILINE)) > 26
    for root in ROOMS:
        for room in (path for path in root.iterdir() if path.is_dir() and path.name != "__pycache__"):
            assert f"{room.relative_to(ROOT)}/" in rows, room.name


def test_the_floors_are_those_that_the_layer_test_holds() -> None:
    tree = ast.parse((ROOT / "tests" / "test_layers.py").read_text())
    (floors,) = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "FLOORS"
    ]
    text = (ROOT / "CONTRIBUTING.md").read_text()
    plan = blocks(text.partition("## Rooms and floors")[2].partition("\n## ")[0])
    at = {"geosteer": plan.index("geosteer "), "geosteer_loader": plan.index("geosteer_loader ")}
    for root, begin in at.items():
        lines = plan[begin + len(root) :].partition("\n\n")[0].splitlines()
        columns = [re.split(r" {2,}", line.strip())[0] for line in lines]
        floor = {room: number for number, column in enumerate(columns) for room in re.split(r"[ ,]+", column)}
        ranks = [
            {floor[package.partition(".")[2]] for package in packages}
            for packages in floors
            if packages[0].partition(".")[0] == root
        ]
        below = -1
        for rank in ranks:
            assert min(rank) >= below, rank
            below = max(rank)


def test_what_does_not_exist_would_be_found() -> None:
    assert resolves("geosteer.redirect.middleware")
    assert resolves("geosteer.sync.lookups.Lookups.fetch")
    assert not resolves("geosteer.sync.lookups.Lookups.nothing")
    assert not resolves("geosteer.nothing")
    assert subcommands("geosteer", "export") >= {"gdnsd", "fallback"}
    assert not subcommands("geosteer", "status")
    assert invocations(
        "Say `geosteer node down x` or\n```sh\n$ geosteer publish --force max_impact  # why\n```\n"
    ) == [
        ["geosteer", "node", "down", "x"],
        ["geosteer", "publish", "--force", "max_impact"],
    ]
