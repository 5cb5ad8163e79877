"""Files beside the snapshot in a folder that others may write to: what they put there is not read, followed or waited for."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from geosteer import files
from geosteer.settings import load
from geosteer.sync import snapshot

ORIGIN = "here"
TRAPS = ("link", "fifo", "folder", "writable", "foreign")


def set_trap(where: Path, kind: str, content: bytes = b"") -> Path:
    """Put something at a path that must not be trusted; the file behind a link."""
    target = where.with_name("target")
    if kind == "link":
        target.write_bytes(content or b"precious")
        where.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(where)
    elif kind == "folder":
        where.mkdir()
    else:
        where.write_bytes(content)
        where.chmod(0o666 if kind == "writable" else 0o644)
        if kind == "foreign":
            if os.geteuid():
                pytest.skip("only root can give a file away")
            os.chown(where, 12345, -1)
    return target


def whole(number: int, folder: Path) -> bytes:
    path = folder / "elsewhere.json"
    assert snapshot.write(str(path), ORIGIN, {"generation": str(number)}, "", {}, {}) == ""
    return path.read_bytes()


@pytest.mark.parametrize("kind", TRAPS)
def test_a_trap_is_not_read_as_a_snapshot_and_is_told(tmp_path: Path, kind: str):
    path = tmp_path / "last-good.json"
    set_trap(path, kind, whole(7, tmp_path))
    data, trouble = snapshot.read(str(path), ORIGIN)
    assert data is None
    assert trouble.startswith(f"{path}: ")
    assert trouble.endswith(": ignored")


@pytest.mark.parametrize("kind", [kind for kind in TRAPS if kind != "folder"])
def test_a_trap_at_the_snapshots_path_gives_way_and_its_target_stays(tmp_path: Path, kind: str):
    path = tmp_path / "last-good.json"
    target = set_trap(path, kind)
    assert snapshot.write(str(path), ORIGIN, {"generation": "8"}, "", {}, {}) == ""
    assert stat.S_ISREG(path.lstat().st_mode)
    data, trouble = snapshot.read(str(path), ORIGIN)
    assert data is not None
    assert trouble == ""
    if kind == "link":
        assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("kind", TRAPS)
def test_a_trap_at_the_locks_path_is_told_and_nothing_is_written(tmp_path: Path, kind: str):
    path = tmp_path / "last-good.json"
    target = set_trap(tmp_path / "last-good.json.lock", kind)
    assert snapshot.write(str(path), ORIGIN, {"generation": "8"}, "", {}, {}).startswith(str(path))
    assert not path.exists()
    if kind == "link":
        assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("kind", [*TRAPS, "readable"])
def test_a_trap_at_the_path_of_the_settings_copy_gets_no_password_and_gives_none(tmp_path: Path, kind: str):
    path, copy = tmp_path / "backend.toml", tmp_path / "s.json.settings"
    path.write_text('snapshot = "s.json"\n[redis]\npassword = "s3cret"\n')
    load(str(path))
    poisoned = files.sealed(files.unsealed(copy.read_bytes()).replace(b"s3cret", b"theirs"))
    copy.unlink()
    if kind == "readable":
        copy.write_bytes(poisoned)
        copy.chmod(0o644)
    else:
        set_trap(copy, kind, poisoned)
    settings = load(str(path))
    assert settings.password == "s3cret"
    assert settings.doubt.startswith(f"{copy}: ")
    for other in tmp_path.iterdir():
        if stat.S_ISREG(other.lstat().st_mode) and other != path:
            assert b"s3cret" not in other.read_bytes() or stat.S_IMODE(other.stat().st_mode) == 0o600


def test_a_file_is_written_under_a_name_that_nobody_can_guess(tmp_path: Path):
    first, second = (files.replace(str(tmp_path / "x"), b"content", 0o600) for _ in range(2))
    assert first != second
    assert {stat.S_IMODE(Path(name).stat().st_mode) for name in (first, second)} == {0o600}
