"""Builds the part of a worker's loop that is in C, where there is a compiler and Python's headers; else goes on without.

As hatchling's build hook (a wheel, or an editable install), or alone, for packages: python3 bin/build_compiled.py FOLDER
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
ROOM = Path("geosteer", "powerdns")
SOURCE = ROOT / "backend" / ROOM / "_answerer.c"
NAME = "_answerer.abi3.so"
"""The stable interface: one file for CPython 3.11 and all later ones."""
FLAGS = ("-O2", "-g1", "-std=gnu11", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall")


def build(folder: Path) -> Path | None:
    """Build it into a folder; None where that cannot be done."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux" or sys.implementation.name != "cpython":
        return None
    target = folder / NAME
    fresh = folder / f".{NAME}.{os.getpid()}"
    flags = [*FLAGS, *os.environ.get("CFLAGS", "").split(), *os.environ.get("LDFLAGS", "").split()]
    headers = f"-I{sysconfig.get_paths()['include']}"
    try:
        done = subprocess.run(
            [*compiler.split(), *flags, headers, str(SOURCE), "-o", str(fresh)],
            check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if done.returncode == 0:
            fresh.replace(target)  # a running worker keeps the one that it has
            return target
        if "Python.h" not in done.stderr:
            sys.stderr.write(done.stderr)
    except OSError:
        pass
    fresh.unlink(missing_ok=True)
    return None


class Hook(BuildHookInterface):  # type: ignore[misc]
    """Puts it into a wheel, which is then for this kind of machine; or into the checkout that is installed editable."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is made."""
        if version == "editable":
            build(SOURCE.parent)
            return
        self._folder = tempfile.TemporaryDirectory()
        built = build(Path(self._folder.name))
        if built is not None:
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{platform}"
            build_data["force_include"][str(built)] = str(ROOM / NAME)


if __name__ == "__main__":
    into = Path(sys.argv[1])
    print(build(into) or "not built: no C compiler, or no headers of Python")
