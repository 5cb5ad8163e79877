"""Builds what is written in C, where there is a compiler and Python's headers; else goes on without.

As hatchling's build hook (a wheel, or an editable install), or alone, for packages: python3 bin/build_compiled.py FOLDER,
where FOLDER is a copy of the package `geosteer`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # alone
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "backend" / "geosteer"
SOURCES = (Path("powerdns", "_answerer.c"), Path("tables", "_search.c"))
"""The loop of a worker, and look-ups by an address in text."""
ENDING = ".abi3.so"
"""The stable interface: one file for CPython 3.11 and all later ones."""
FLAGS = ("-O2", "-g1", "-std=gnu11", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall")


def build(folder: Path) -> list[Path]:
    """Build everything into a copy of the package; returns what was built, relative to it: nothing where it cannot be."""
    return [target for source in SOURCES if (target := _build_one(source, folder)) is not None]


def _build_one(source: Path, folder: Path) -> Path | None:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux" or sys.implementation.name != "cpython":
        return None
    target = source.with_name(source.stem + ENDING)
    fresh = folder / target.with_name(f".{target.name}.{os.getpid()}")
    fresh.parent.mkdir(parents=True, exist_ok=True)
    flags = [*FLAGS, *os.environ.get("CFLAGS", "").split(), *os.environ.get("LDFLAGS", "").split()]
    headers = f"-I{sysconfig.get_paths()['include']}"
    try:
        done = subprocess.run(
            [*compiler.split(), *flags, headers, str(PACKAGE / source), "-o", str(fresh)],
            check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if done.returncode == 0:
            fresh.replace(folder / target)  # a running program keeps the one that it has
            return target
        if "Python.h" not in done.stderr:
            sys.stderr.write(done.stderr)
    except OSError:
        pass
    fresh.unlink(missing_ok=True)
    return None


class Hook(BuildHookInterface):  # type: ignore[misc]
    """Puts them into a wheel, which is then for this kind of machine; or into the checkout that is installed editable."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is made."""
        if version == "editable":
            build(PACKAGE)
            return
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        built = build(folder)
        if built:
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{platform}"
            for target in built:
                build_data["force_include"][str(folder / target)] = str(Path("geosteer", target))


if __name__ == "__main__":
    into = Path(sys.argv[1])
    print(*build(into) or ["not built: no C compiler, or no headers of Python"])
