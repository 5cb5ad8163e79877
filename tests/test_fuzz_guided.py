"""Fuzzing by coverage, of everything that may be given any bytes (`python -m guided TARGET` goes on as long as one likes)."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from data import ROOT
from guided.seeds import write
from guided.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

LONG = bool(os.environ.get("GEOSTEER_LONG"))


@pytest.mark.parametrize("target", TARGETS)
def test_what_fuzzing_begins_with_is_taken(target: str, tmp_path: Path) -> None:
    write(target, tmp_path)
    for seed in tmp_path.iterdir():
        TARGETS[target](seed.read_bytes())
    TARGETS[target](b"")
    TARGETS[target](b"\0" * 100 + b"\n")


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found_by_coverage(target: str) -> None:
    if not LONG:
        pytest.skip("takes long: GEOSTEER_LONG=1 runs it")
    if find_spec("atheris") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "atheris is not installed (bin/setup installs it)"
        )
    command = [
        sys.executable,
        "-m",
        "guided",
        target,
        "-max_total_time=20",
        "-rss_limit_mb=2048",
        "-timeout=10",
    ]
    done = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-4000:]
