"""A network namespace of one's own, in which packets may be lost without anybody else losing any."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from support.data import ROOT
from support.servers import need

if TYPE_CHECKING:
    from pathlib import Path


def nft(*commands: str) -> None:
    """Change the packet filter of the namespace that this process is in."""
    subprocess.run(
        [need("nft"), "-f", "-"], input="\n".join(commands), text=True, check=True, capture_output=True
    )


def why_not() -> str:
    """Why there can be no such namespace here, or "" when there can."""
    for program in ("unshare", "ip", "nft"):
        need(program)
    trial = "ip link set lo up && nft add table inet t"
    done = subprocess.run(["unshare", "--net", "--mount", "sh", "-c", trial], capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


def run(name: str, folder: Path) -> dict[str, Any]:
    """A row's outcome, from a process in a namespace of its own."""
    inside = f'ip link set lo up && exec "{sys.executable}" -m faults --json "$1" "$2"'
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", inside, "sh", name, str(folder)], cwd=ROOT / "tests", capture_output=True,
        text=True, timeout=240,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(done.stderr[-4000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found
