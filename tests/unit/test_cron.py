"""conf/geosteer.cron: cron mails what a command prints, so a publish is silent unless it failed; the log has all of it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.data import ROOT

if TYPE_CHECKING:
    from pathlib import Path

LINES = [line for line in (ROOT / "conf" / "geosteer.cron").read_text().splitlines() if "* * *" in line]


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_cron_mails_a_publish_that_failed_and_no_other(tmp_path: Path, code: int) -> None:
    (line,) = [line for line in LINES if "geosteer publish" in line]
    assert "%" not in line  # a new line for cron
    command = line.split(maxsplit=6)[6]
    log = tmp_path / "log"
    for name, script in (
        ("geosteer", f'echo "told $*"; echo complained >&2; exit {code}'),
        ("logger", f'cat > "{log}"'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", command], env={"PATH": f"{tmp_path}:{os.defpath}"}, capture_output=True, text=True
    )
    told = "told publish --config /etc/geosteer/geosteer.toml\ncomplained\n"
    assert log.read_text() == told
    assert (done.returncode, done.stdout, done.stderr) == (code, told if code else "", "")
