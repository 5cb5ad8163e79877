"""The last good state on disk: always a whole one, whoever writes and whatever tears it."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from geosteer import files
from geosteer.sync import snapshot

STATES = {"lon1": {"state": "down", "reason": "timed out"}}
ORIGIN = "unix:///run/redis.sock 0 geosteer"
OVERRIDES = {"ams1": '{"state":"down"}'}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "last-good.json"


def write(path: Path, number: int) -> str:
    return snapshot.write(str(path), ORIGIN, {"generation": str(number)}, '{"format":1}', STATES, OVERRIDES)


def number(path: Path, origin: str = ORIGIN) -> int | None:
    """Which generation is read."""
    data = snapshot.read(str(path), origin)[0]
    return None if data is None else int(data["current"]["generation"])


def test_what_was_written_is_read(path: Path):
    assert write(path, 7) == ""
    assert snapshot.read(str(path), ORIGIN)[0] == {
        "format": 2, "origin": ORIGIN, "current": {"generation": "7"},
        "document": '{"format":1}', "states": STATES, "overrides": OVERRIDES,
    }  # fmt: skip


def test_a_file_is_a_digest_and_a_line_of_json(path: Path):
    write(path, 7)
    seal, body = path.read_bytes().split(b"\n", 1)
    assert len(seal) == 32
    assert json.loads(body)["current"] == {"generation": "7"}


def test_nothing_on_disk_is_none(path: Path):
    assert snapshot.read(str(path), ORIGIN)[0] is None


def test_the_copy_before_it_is_kept_beside_it(path: Path):
    for generation in (1, 2, 3):
        write(path, generation)
    assert number(path) == 3
    path.write_bytes(b"")
    assert number(path) == 2


def test_the_same_is_not_written_twice(path: Path):
    write(path, 1)
    write(path, 2)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert write(path, 2) == ""
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    path.write_bytes(b"")
    assert number(path) == 1, "and the copy before is still another one"


def test_a_file_torn_anywhere_is_not_read_and_the_previous_is(path: Path):
    write(path, 1)
    write(path, 2)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert number(path) == 1
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert number(path) == 1
    path.write_bytes(whole[:20] + bytes(len(whole) - 20))
    assert number(path) == 1


def test_a_torn_file_without_a_previous_one_is_none(path: Path):
    write(path, 1)
    path.write_bytes(path.read_bytes()[:-5])
    assert snapshot.read(str(path), ORIGIN)[0] is None


def test_a_torn_file_is_replaced_though_its_digest_says_that_the_same_was_written(path: Path):
    write(path, 1)
    path.write_bytes(path.read_bytes()[:-5])
    assert write(path, 1) == ""
    assert number(path) == 1


def test_a_torn_file_does_not_take_the_place_of_the_previous_whole_one(path: Path):
    write(path, 1)
    write(path, 2)
    path.write_bytes(path.read_bytes()[:-5])
    write(path, 3)
    assert number(path) == 3
    path.write_bytes(b"")
    assert number(path) == 1


def test_a_snapshot_of_another_format_is_as_none(path: Path):
    body = b'{"format":9,"current":{"generation":"9"}}'
    path.write_bytes(files.seal(body) + b"\n" + body)
    assert snapshot.read(str(path), ORIGIN)[0] is None
    for odd in (b"[]", b"5", b"{}", b"\xff", b"", b"["):
        path.write_bytes(files.seal(odd) + b"\n" + odd)
        assert snapshot.read(str(path), ORIGIN)[0] is None


def test_a_folder_that_is_not_there_is_told_in_words(tmp_path: Path):
    path = tmp_path / "gone" / "last-good.json"
    assert write(path, 1) == f"{path}: No such file or directory"
    assert snapshot.read(str(path), ORIGIN)[0] is None


def test_a_path_in_the_way_is_told_in_words(path: Path):
    path.mkdir()
    assert write(path, 1).startswith(f"{path}: ")
    assert snapshot.read(str(path), ORIGIN)[0] is None


def test_a_folder_that_nobody_can_write_to_is_told_in_words():
    path = Path("/proc/self/last-good.json")
    assert write(path, 1).startswith(f"{path}: ")


def test_a_writer_leaves_another_alone_and_a_dead_ones_lock_is_none(path: Path):
    with Path(f"{path}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert write(path, 1) == ""
        assert snapshot.read(str(path), ORIGIN)[0] is None
    assert write(path, 1) == ""
    assert number(path) == 1


def test_what_a_killed_writer_left_aside_is_written_over(path: Path):
    Path(f"{path}.new").write_bytes(b"x" * 100_000)
    assert write(path, 1) == ""
    assert number(path) == 1
    assert not Path(f"{path}.new").exists()


WRITER = """
import sys
from geosteer import files
from geosteer.sync import snapshot
path, first = sys.argv[1], int(sys.argv[2])
sys.stdin.read(1)
for number in range(first, first + 150):
    trouble = snapshot.write(path, "here", {"generation": str(number)}, "x" * (number % 7) * 20000, {}, {})
    if trouble:
        raise SystemExit(trouble)
"""


def test_a_reader_always_sees_a_whole_one_while_several_write(path: Path):
    assert snapshot.write(str(path), "here", {"generation": "1"}, '{"format":1}', STATES, OVERRIDES) == ""
    command = [sys.executable, "-c", WRITER, str(path)]
    writers: list[subprocess.Popen[Any]] = [
        subprocess.Popen([*command, str(1000 * writer)], stdin=subprocess.PIPE) for writer in (1, 2, 3)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    seen: set[int | None] = set()
    until = time.monotonic() + 60
    while any(writer.poll() is None for writer in writers) and time.monotonic() < until:
        seen.add(number(path, "here"))
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    seen.add(number(path, "here"))
    assert None not in seen
    assert len(seen) > 1


def test_anothers_snapshot_is_ignored_and_told_unless_the_own_one_is_beside_it(path: Path):
    other = "redis://192.0.2.1:6379 0 other"
    assert snapshot.write(str(path), other, {"generation": "5"}, "", {}, {}) == ""
    assert snapshot.read(str(path), ORIGIN) == (None, f"{path}: is of {other!r}, not of {ORIGIN!r}: ignored")
    write(path, 6)
    assert number(path) == 6
    assert number(path, other) == 5, "the copy before it is still there"
    assert snapshot.write(str(path), other, {"generation": "7"}, "", {}, {}) == ""
    assert number(path) == 6
