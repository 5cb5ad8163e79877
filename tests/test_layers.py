"""The floor plan: a package imports only packages that stand below it, and rules touch neither Redis nor the system."""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from support.data import ROOT

pytestmark = pytest.mark.no_cover  # it reads the code, and runs none of it

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLOORS = (
    (
        "geosteer.errors",
        "geosteer.timestamps",
        "geosteer.durations",
        "geosteer.process",
        "geosteer.cmodules",
    ),
    ("geosteer.files", "geosteer.keys", "geosteer.counters"),
    ("geosteer.resp", "geosteer.tables", "geosteer.decision"),
    ("geosteer.zones", "geosteer.decision_log"),
    ("geosteer.settings_fallback",),
    ("geosteer.settings",),
    ("geosteer.sync",),
    ("geosteer.powerdns", "geosteer.library"),
    ("geosteer.redirect",),
    ("geosteer_loader.percent", "geosteer_loader.progress", "geosteer_loader.sources"),
    ("geosteer_loader.rib", "geosteer_loader.rpki", "geosteer_loader.rtt"),
    ("geosteer_loader.config",),
    ("geosteer_loader.fetch",),
    ("geosteer_loader.store", "geosteer_loader.tables"),
    ("geosteer_loader.journal",),
    (
        "geosteer_loader.health",
        "geosteer_loader.impact",
        "geosteer_loader.shares",
        "geosteer_loader.export",
        "geosteer_loader.importing",
        "geosteer_loader.verify",
    ),
    ("geosteer_loader.publish",),
    ("geosteer_loader.follow", "geosteer_loader.latency"),
    ("geosteer_loader.query",),
    ("geosteer_loader.metrics", "geosteer_loader.web", "geosteer_loader.install"),
    ("geosteer_loader.cli",),
)
"""Packages and modules directly below `geosteer` and `geosteer_loader`, the ground floor first; those on one floor do not
know each other."""
FLOOR = {package: number for number, packages in enumerate(FLOORS) for package in packages}
FACES = {"geosteer", "geosteer_loader", "geosteer_loader.__main__"}
PURE = {
    "geosteer.decision",
    "geosteer.tables",
    "geosteer.zones",
    "geosteer_loader.sources",
    "geosteer_loader.impact",
    "geosteer_loader.rpki",
    "geosteer_loader.rib",
    "geosteer_loader.rtt",
}
"""Rules without I/O: what they know of the world is handed to them."""
IMPURE = {"redis", "hiredis", "click", "socket", "_socket", "urllib3", "uvicorn"}
FILES = {"os", "pathlib", "shutil", "tempfile", "io"}
READS_FILES = {"geosteer_loader.sources"}
"""A source is a file: that package opens what the operator named, and nothing else does in the rooms of `PURE`."""
MODULES = sorted(path for folder in ("backend", "loader") for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts[1:]).removesuffix(".__init__")


def room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file, and every name that is taken from one as `module.name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def run_time(tree: ast.Module) -> ast.Module:
    """The file without what only a type checker reads."""
    kept = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    return ast.Module(kept, [])


def own(names: Iterator[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in {"geosteer", "geosteer_loader"}}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_imports_only_what_stands_below_it(path: Path):
    here = room(module_name(path))
    if here in FACES:
        return
    rooms = {room(name) for name in own(imports(ast.parse(path.read_text())))} - FACES
    assert {name for name in rooms if name != here and FLOOR[name] >= FLOOR[here]} == set()


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if room(module_name(path)) in PURE],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_rules_do_no_input_and_output(path: Path):
    here = room(module_name(path))
    top = {name.split(".")[0] for name in imports(run_time(ast.parse(path.read_text())))}
    assert top & (IMPURE if here in READS_FILES else IMPURE | FILES) == set()


def test_no_module_imports_itself_through_others():
    names = {module_name(path) for path in MODULES}
    below = {}
    for path in MODULES:
        found = own(imports(ast.parse(path.read_text())))
        below[module_name(path)] = {
            name if name in names else name.rpartition(".")[0] for name in found
        } & names - FACES
    done: set[str] = set()

    def follow(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in done:
            for other in sorted(below[name]):
                follow(other, (*way, name))
            done.add(name)

    for name in sorted(names):
        follow(name, ())


def test_every_package_has_a_floor_and_few_modules_stand_outside_one():
    rooms = {room(module_name(path)) for path in MODULES} - FACES
    assert rooms == set(FLOOR)
    for folder, most in (("backend/geosteer", 12), ("loader/geosteer_loader", 6)):
        loose = [path.name for path in (ROOT / folder).iterdir() if path.is_file()]
        assert len(loose) <= most, loose


@pytest.mark.parametrize("folder", ["unit", "redis", "servers", "bench", "faults", "guided", "support"])
def test_what_tests_share_stands_in_support_and_not_in_another_test_module(folder: str):
    modules = (ROOT / "tests" / folder).rglob("*.py")
    found = {(path.name, name) for path in modules for name in imports(ast.parse(path.read_text()))}
    assert {(file, name) for file, name in found if name.split(".")[0].startswith("test_")} == set()


def test_no_two_test_modules_share_a_name() -> None:
    """Pytest imports them by their file's name alone, and can collect but one of two."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
