"""`geosteer doctor` on the spool of beacons: each fault is named with the command that mends it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.install.doctor.link import Link, State
from geosteer_loader.install.doctor.scene import Scene
from geosteer_loader.install.doctor.spool import spool
from geosteer_loader.install.host import Host
from geosteer_loader.install.place import SYSTEM

if TYPE_CHECKING:
    from pathlib import Path


def look(folder: Path, settings: str = "") -> list[Link]:
    (folder / "http.toml").write_text(f'[beacon]\nkey_file = "key"\nspool = "spool"\n{settings}')
    return list(spool(Scene(folder)))


def told(links: list[Link], state: State, what: str, cure: str) -> bool:
    return any(link.state == state and what in link.what and cure in link.cure for link in links)


def test_without_beacons_nothing_is_said_and_with_a_good_spool_one_line(tmp_path: Path) -> None:
    assert list(spool(Scene(tmp_path))) == []
    (tmp_path / "backend.toml").write_text("[beacon]\nrate = 5\n")
    assert list(spool(Scene(tmp_path))) == [], "without a key there are no beacons"
    (tmp_path / "spool").mkdir(0o750)
    (link,) = look(tmp_path, "spool_bytes = 65536\n")
    assert (link.state, link.link, link.what) == (State.OK, "beacons", str(tmp_path / "spool"))


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    assert told(look(tmp_path), State.WRONG, "does not exist", "install -d -m 2770")
    folder.symlink_to(tmp_path)
    assert told(look(tmp_path), State.WRONG, "symbolic link", "install -d")
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)
    assert told(look(tmp_path), State.WRONG, "everybody may write", "chmod o-w")


def test_a_spool_without_room_or_without_a_reader_is_a_warning(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir(0o750)
    assert told(look(tmp_path, f"spool_bytes = {2**60}\n"), State.WARNING, "MiB are free", "df")
    segment = folder / "20260921T132640.250000Z-4f1d0c9b8a7e.jsonl"
    segment.write_text("{}\n")
    assert look(tmp_path, "spool_bytes = 65536\n")[0].state == State.OK, "it was closed a moment ago"
    old = time.time() - 5 * 3600
    os.utime(segment, (old, old))
    assert told(look(tmp_path), State.WARNING, "oldest segment is 5 h old", "geosteer latency ingest")


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
def test_on_a_host_the_redirector_and_the_ingest_have_to_be_able_to_write(tmp_path: Path) -> None:
    for name, text in {
        "etc/passwd": "root:x:0:0::/:/bin/sh\ngeosteer:x:701:701::/:/bin/sh\n",
        "etc/group": "root:x:0:\ngeosteer:x:701:\nredis:x:702:\n",
        "etc/geosteer/http.toml": '[beacon]\nkey_file = "key"\nspool_bytes = 65536\n',
        "usr/lib/systemd/system/geosteer-http.service": "[Service]\nDynamicUser=yes\nSupplementaryGroups=redis\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    folder = tmp_path / "var/spool/geosteer"
    folder.mkdir(parents=True)
    folder.chmod(0o2770)

    def look() -> list[Link]:
        return list(spool(Scene(SYSTEM, Host(tmp_path))))

    assert told(look(), State.WRONG, "geosteer may not delete", "chown geosteer:geosteer")
    os.chown(folder, 701, 701)
    folder.chmod(0o2770)
    assert told(look(), State.WRONG, "geosteer-http.service may not write", "SupplementaryGroups=geosteer")
    drop_in = tmp_path / "etc/systemd/system/geosteer-http.service.d/beacons.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nSupplementaryGroups=geosteer\n")
    assert [link.state for link in look()] == [State.OK]
