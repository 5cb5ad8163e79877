"""Fuzzing by coverage, of everything that may be given any bytes (`python -m guided TARGET` goes on as long as one likes)."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from guided.seeds import CORPUS, write
from guided.targets import TARGETS
from support.data import ROOT

if TYPE_CHECKING:
    from pathlib import Path

LONG = bool(os.environ.get("GEOSTEER_LONG"))
pytestmark = pytest.mark.timeout(1800 if LONG else 300)


@pytest.mark.parametrize("target", TARGETS)
def test_what_fuzzing_begins_with_is_taken(target: str, tmp_path: Path) -> None:
    write(target, tmp_path)
    for seed in (*tmp_path.iterdir(), *(CORPUS / target).glob("*")):
        TARGETS[target](seed.read_bytes())
    TARGETS[target](b"")
    TARGETS[target](b"\0" * 100 + b"\n")


def test_nothing_is_found_by_coverage() -> None:
    """All targets, a few hundred runs each, or with GEOSTEER_LONG=1 a minute and more each."""
    if find_spec("atheris") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "atheris is not installed (pip install atheris)"
        )
    much = ["-max_total_time=70"] if LONG else ["-runs=300"]
    command = [sys.executable, "-m", "guided", "all", *much, "-rss_limit_mb=2048", "-timeout=20"]
    done = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
