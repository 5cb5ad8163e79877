"""Rights on the folder of beacons: a writer of any user, in the group, and an ingest that deletes what it has counted."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.cli.main import main
from support.data import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user"),
    pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="needs systemd-tmpfiles"),
]
GEOSTEER, DYNAMIC = 700, 61_234
"""Ids of user and group `geosteer`, and one that systemd gives a unit with DynamicUser=."""

BECOME = """
import os, sys
from geosteer.redirect.beacons.spool import Spool
from geosteer_loader.latency.run import Run, paths_of
from pathlib import Path
folder, what, user, *groups = sys.argv[1:]
os.umask(0o077)
os.setgroups([int(group) for group in groups])
os.setgid(int(user))
os.setuid(int(user))
if what == "write":
    said = []
    spool = Spool(folder, segment_bytes=1e6, segment_seconds=60, total_bytes=1e6, count=lambda *_: None, say=said.append)
    spool.write([{"time": 1}])
    spool.close()
    print(*said)
else:
    run = Run()
    for path in paths_of(Path(folder), run):
        print(path.read_text(), end="")
        path.unlink()
    print(*run.unreadable)
"""


@pytest.fixture
def tree() -> Iterator[Path]:
    """The root of a host that others than root may enter."""
    root = Path(tempfile.mkdtemp(prefix="geosteer-spool-"))
    root.chmod(0o755)
    (root / "etc").mkdir()
    (root / "etc/passwd").write_text(
        f"root:x:0:0::/root:/bin/sh\ngeosteer:x:{GEOSTEER}:{GEOSTEER}::/:/bin/sh\n"
    )
    (root / "etc/group").write_text(f"root:x:0:\ngeosteer:x:{GEOSTEER}:\n")
    yield root
    shutil.rmtree(root)


def spool_of(tree: Path, lines: str) -> Path:
    """The folder, as systemd-tmpfiles makes it."""
    (line,) = [line for line in lines.splitlines() if line.startswith("d /var/spool/geosteer ")]
    file = tree / "spool.conf"
    file.write_text(f"{line}\n")
    done = subprocess.run(
        ["systemd-tmpfiles", "--create", f"--root={tree}", file], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return tree / "var/spool/geosteer"


def become(spool: Path, what: str, user: int, *groups: int) -> str:
    words = [str(spool), what, str(user), *map(str, groups)]
    done = subprocess.run([sys.executable, "-c", BECOME, *words], capture_output=True, text=True, timeout=60)
    return done.stdout.strip() or done.stderr.strip()


@pytest.mark.parametrize("brought_by", ["package", "init"])
def test_the_ingest_deletes_what_a_dynamic_user_wrote_and_nobody_else_may_look(
    tree: Path, brought_by: str
) -> None:
    if brought_by == "init":
        node = ("--zone", "cdn.example.net", "--node", "lon1=192.0.2.1@GB")
        (tree / "etc/redis").mkdir()
        (tree / "etc/redis/redis.conf").write_text("")
        assert main(["init", "--root", str(tree), *node]) == 0
        lines = (tree / "etc/tmpfiles.d/geosteer.conf").read_text()
    else:
        lines = (ROOT / "conf/debian/geosteer-backend.tmpfiles").read_text()
    spool = spool_of(tree, lines)
    status = spool.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o2770, GEOSTEER, GEOSTEER)
    assert "Permission denied" in become(spool, "write", DYNAMIC)
    assert become(spool, "write", DYNAMIC, GEOSTEER) == ""
    (segment,) = spool.iterdir()
    status = segment.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, DYNAMIC, GEOSTEER)
    assert "Permission denied" in become(spool, "read", DYNAMIC + 1)
    assert become(spool, "read", GEOSTEER).startswith('{"time":1,"segment":')
    assert list(spool.iterdir()) == []
