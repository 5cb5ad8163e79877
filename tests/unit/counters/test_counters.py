"""Counters in files: nothing is lost by SIGKILL, files are taken over, and no content of a file harms a worker or a reader."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geosteer.counters import counters as layout
from geosteer.counters.counters import Counters
from geosteer.counters.reading import read_file, read_folder

NOW = 1_800_000_000.5
KEY = (layout.ANSWER, "cdn.example.net", "www.cdn.example.net", "live", "A", "lon1", "countries")
CHILD = """
import sys, time
sys.path[:0] = [PATH]
from geosteer.counters.counters import Counters
counters = Counters("pdns")
assert counters.take_file(sys.argv[1], time.time()) == ""
for key in sys.argv[3:]:
    slot = counters.slot("other", key, "static")
    for _ in range(int(sys.argv[2])):
        counters.cells[slot] += 1
print("counted", flush=True)
time.sleep(600)
""".replace("PATH", repr(str(Path(layout.__file__).parents[2])))


@pytest.fixture(autouse=True)
def nothing_held():
    yield
    for _, fd in layout.held.values():
        os.close(fd)
    layout.held.clear()


def taken(folder: Path, front_end: str = "pdns") -> Counters:
    counters = Counters(front_end)
    assert counters.take_file(str(folder), NOW) == ""
    return counters


def child(folder: Path, times: int, *keys: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-I", "-c", CHILD, str(folder), str(times), *keys]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.stdout.readline() == "counted\n"
    return started


def kill(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.send_signal(signal.SIGKILL)
    for process in processes:
        process.wait()
        process.stdout.close()


def test_what_is_counted_is_read(tmp_path: Path):
    counters = taken(tmp_path)
    for _ in range(3):
        counters.count(counters.slot(*KEY))
    counters.count(counters.slot(layout.OTHER, "cdn.example.net", "missing"))
    counters.count(layout.HITS)
    counters.count(layout.ERRORS + layout.REDIS_ERRORS.index("timeout"))
    counters.observe(0.004)
    counters.observe(2.0)
    counters.note(NOW + 5, "41", "live", 7, 70_000)
    counters.cells[layout.BUSY_SINCE] = time.monotonic_ns() - 10**9
    (worker,), damaged = read_folder(tmp_path)
    assert damaged == []
    assert list(worker.answers()) == [
        (("cdn.example.net", "www.cdn.example.net", "live", (("A", "lon1", "countries"),)), 3)
    ]
    assert list(worker.others()) == [("cdn.example.net", "missing", 1)]
    assert (worker.questions, worker.overflow, worker.hits, worker.misses) == (4, 0, 1, 0)
    assert worker.buckets == (0, 0, 0, 1, 0, 0, 0, 1)
    assert worker.seconds == pytest.approx(2.004)
    assert worker.errors["timeout"] == 1
    assert (worker.pid, worker.front_end) == (os.getpid(), "pdns")
    assert (worker.generation, worker.tier, worker.leaves, worker.leaf_bytes) == (41, "live", 7, 70_000)
    assert (worker.started, worker.seen, worker.answered) == (NOW, NOW + 5, NOW + 5)
    assert 1 <= worker.waiting < 60


def test_the_time_of_the_last_answer_stands_still_while_nobody_asks(tmp_path: Path):
    counters = taken(tmp_path)
    counters.note(NOW + 1, "", "fallback", 0, 0)
    assert read_folder(tmp_path)[0][0].answered is None
    counters.count(counters.slot(*KEY))
    counters.note(NOW + 2, "", "fallback", 0, 0)
    counters.note(NOW + 3, "", "fallback", 0, 0)
    assert read_folder(tmp_path)[0][0].answered == NOW + 2


def test_workers_that_are_killed_lose_nothing_and_their_files_are_taken_over(tmp_path: Path):
    keys = ["a.example", "b.example"]
    for round_ in (1, 2, 3):
        workers = [child(tmp_path, 1000 + number, *keys) for number in range(4)]
        read, damaged = read_folder(tmp_path)
        assert damaged == []
        assert {worker.pid for worker in read} == {worker.pid for worker in workers}
        kill(*workers)
        read, _ = read_folder(tmp_path)
        assert [worker.pid for worker in read] == [None] * 4
        assert sum(worker.questions for worker in read) == round_ * 2 * (4 * 1000 + 6)


def test_a_worker_killed_at_any_moment_leaves_a_file_that_counts_on(tmp_path: Path):
    """Killed while it appends keys: the text that the number of keys does not cover is written over."""
    code = CHILD.replace('print("counted", flush=True)', "").replace(
        "for key in sys.argv[3:]:", 'print("counted", flush=True)\nfor key in map(str, range(3000)):'
    )
    whole = 0
    for delay in (0.0, 0.001, 0.002, 0.004, 0.008, 0.016):
        started = subprocess.Popen(
            [sys.executable, "-I", "-c", code, str(tmp_path), "1"], stdout=subprocess.PIPE, text=True
        )
        started.stdout.readline()
        time.sleep(delay)
        kill(started)
        (worker,), damaged = read_folder(tmp_path)
        assert damaged == []
        assert set(worker.keys.values()) <= set(range(8))
        assert worker.questions >= whole
        whole = worker.questions
    assert [key[1] for key in worker.keys] == [str(number) for number in range(len(worker.keys))]


def test_a_full_table_counts_the_rest_in_one_cell(tmp_path: Path):
    counters = taken(tmp_path)
    room = layout.CELLS - layout.FIRST_KEY
    slots = [counters.slot("other", str(number), "static") for number in range(room + 10)]
    assert slots[-11] == layout.CELLS - 1
    assert set(slots[-10:]) == {layout.OVERFLOW}
    for slot in slots:
        counters.count(slot)
    (worker,), _ = read_folder(tmp_path)
    assert (len(worker.keys), worker.overflow, worker.questions) == (room, 10, room + 10)
    counters.close()
    again = taken(tmp_path)
    assert again.slot("other", "0", "static") == layout.FIRST_KEY
    assert again.slot("other", "another", "static") == layout.OVERFLOW


def test_keys_that_are_long_or_many_bytes_stay_within_bounds(tmp_path: Path):
    counters = taken(tmp_path)
    assert counters.slot("x" * layout.LONGEST) == layout.OVERFLOW
    for number in range(400):
        counters.slot(f"{number}" + "x" * 1000)
    size = (tmp_path / "pdns" / "0.counters").stat().st_size
    assert size <= layout.CELL_BYTES + layout.KEY_BYTES
    assert read_folder(tmp_path)[1] == []


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "\ud800", "\0", "é☃", ""])
def test_no_name_breaks_the_file(tmp_path: Path, name: str):
    counters = taken(tmp_path)
    slot = counters.slot("other", name, "static")
    assert counters.slot("other", name, "static") == slot
    counters.count(slot)
    (worker,), damaged = read_folder(tmp_path)
    assert damaged == []
    ((_, _, count),) = worker.others()
    assert count == 1
    counters.close()
    assert taken(tmp_path).slot("other", "after", "static") == slot + 1


def damage(path: Path, kind: str) -> None:
    data = bytearray(path.read_bytes())
    if kind == "magic":
        data[:8] = b"other123"
    elif kind == "short":
        data = data[:100]
    elif kind == "keys":
        data[8:16] = (2**64 - 1).to_bytes(8, "little")
    elif kind == "more keys":
        data[8:16] = (100).to_bytes(8, "little")
    elif kind == "count":
        data[8 * layout.FIRST_KEY : 8 * layout.FIRST_KEY + 8] = (2**64 - 1).to_bytes(8, "little")
    elif kind == "text":
        data[layout.CELL_BYTES] = 0xFF
    elif kind == "large":
        data += bytes(1 << 20)
    elif kind == "random":
        data = bytearray(random.Random(7).randbytes(len(data)))
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["magic", "short", "keys", "more keys", "count", "text", "large", "random"])
def test_a_damaged_file_is_told_and_left_and_the_next_one_counts(tmp_path: Path, kind: str):
    counters = taken(tmp_path)
    counters.count(counters.slot(*KEY))
    counters.close()
    first = tmp_path / "pdns" / "0.counters"
    damage(first, kind)
    before = first.read_bytes()
    workers, damaged = read_folder(tmp_path)
    assert (workers, [file.path for file in damaged]) == ([], [str(first)])
    log: list[str] = []
    counters = Counters("pdns")
    counters.start(str(tmp_path), NOW, log.append, asked=True)
    counters.count(counters.slot(*KEY))
    assert len(log) == 1
    assert str(first) in log[0]
    assert log[0].endswith("1.counters")
    workers, damaged = read_folder(tmp_path)
    assert [worker.questions for worker in workers] == [1]
    assert len(damaged) == 1
    assert first.read_bytes() == before


def test_any_bytes_are_read_or_refused(tmp_path: Path):
    chance = random.Random(15)
    counters = taken(tmp_path)
    for number in range(20):
        counters.count(counters.slot("other", f"{number}.example", "static"))
    counters.close()
    path = tmp_path / "pdns" / "0.counters"
    whole = path.read_bytes()
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 20)):
            data[chance.randrange(chance.choice([64, 600, len(data)]))] = chance.randrange(256)
        path.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
        workers, damaged = read_folder(tmp_path)
        assert len(workers) + len(damaged) <= 1
        for worker in workers:
            list(worker.answers())
            list(worker.others())
        Counters("pdns").take_file(str(tmp_path), NOW)
        for _, fd in layout.held.values():
            os.close(fd)
        layout.held.clear()
        (tmp_path / "pdns" / "1.counters").unlink(missing_ok=True)


def test_a_cell_that_somebody_filled_does_not_stop_a_worker(tmp_path: Path):
    counters = taken(tmp_path)
    slot = counters.slot(*KEY)
    counters.cells[slot] = counters.cells[layout.NANOSECONDS] = 2**64 - 1
    counters.count(slot)
    counters.observe(1.0)
    assert counters.cells[slot] == 1


@pytest.mark.parametrize("trap", ["link", "fifo", "folder", "writable"])
def test_what_others_put_there_is_left_alone(tmp_path: Path, trap: str):
    folder = tmp_path / "pdns"
    folder.mkdir()
    path = folder / "0.counters"
    if trap == "link":
        (tmp_path / "target").write_bytes(b"precious")
        path.symlink_to(tmp_path / "target")
    elif trap == "fifo":
        os.mkfifo(path)
    elif trap == "folder":
        path.mkdir()
    else:
        path.touch()
        path.chmod(0o666)
    log: list[str] = []
    counters = Counters("pdns")
    counters.start(str(tmp_path), NOW, log.append, asked=True)
    counters.count(counters.slot(*KEY))
    assert len(log) == 1
    workers, damaged = read_folder(tmp_path)
    assert [worker.path for worker in workers] == [str(folder / "1.counters")]
    assert len(damaged) == (trap != "writable")
    if trap == "link":
        assert (tmp_path / "target").read_bytes() == b"precious"


@pytest.mark.parametrize("folder", ["missing", "file", "full"])
def test_where_there_is_no_file_it_is_said_once_and_counted_in_memory(tmp_path: Path, folder: str):
    where = tmp_path / "x"
    if folder == "file":
        where.touch()
    elif folder == "full":
        where = Path("/dev/full")
    log: list[str] = []
    counters = Counters("pdns")
    counters.start(str(where), NOW, log.append, asked=True)
    counters.count(counters.slot(*KEY))
    counters.note(NOW, "1", "live", 0, 0)
    assert len(log) == 1
    assert log[0].endswith("not counted")
    assert read_folder(where) == ([], [])


def test_a_forked_child_takes_a_file_of_its_own(tmp_path: Path):
    counters = taken(tmp_path, "library")
    counters.count(counters.slot(*KEY))
    pid = os.fork()
    if not pid:
        mine = Counters("library")
        ok = mine.take_file(str(tmp_path), NOW) == ""
        mine.count(mine.slot(*KEY))
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    workers, _ = read_folder(tmp_path)
    assert [(worker.pid, worker.questions) for worker in workers] == [(os.getpid(), 1), (None, 1)]


def test_reading_in_the_same_process_keeps_the_lock(tmp_path: Path):
    counters = taken(tmp_path)
    path = str(tmp_path / "pdns" / "0.counters")
    assert read_file(path, "pdns").pid == os.getpid()
    other = child(tmp_path, 1, "a")
    try:
        workers, _ = read_folder(tmp_path)
        assert [worker.pid for worker in workers] == [os.getpid(), other.pid]
        assert counters.cells[layout.PID] == os.getpid()
    finally:
        kill(other)


def test_a_file_that_was_closed_and_taken_again_keeps_its_lock(tmp_path: Path):
    """A descriptor that is closed late, with the memory that it maps, would cost the new holder the lock."""
    first = taken(tmp_path)
    first.count(first.slot(*KEY))
    first.close()
    second = taken(tmp_path)
    first.count(first.slot(*KEY))  # to memory
    del first
    gc.collect()
    other = child(tmp_path, 1, "a")
    try:
        assert [worker.pid for worker in read_folder(tmp_path)[0]] == [os.getpid(), other.pid]
    finally:
        kill(other)
    second.close()
    assert [worker.pid for worker in read_folder(tmp_path)[0]] == [None, None]


@pytest.mark.parametrize(
    ("front_end", "asked", "counts"),
    [("library", False, False), ("library", True, True), ("http", False, True)],
)
def test_a_library_counts_only_where_it_was_asked_to(
    tmp_path: Path, front_end: str, asked: bool, counts: bool
):
    counters = Counters(front_end)
    counters.start(str(tmp_path), NOW, pytest.fail, asked=asked)
    assert (len(read_folder(tmp_path)[0]) == 1) == counts
    counters.close()


def test_the_exporter_may_read_the_files_whatever_the_umask_of_the_worker(tmp_path: Path):
    before = os.umask(0o077)
    try:
        counters = taken(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "pdns").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "pdns" / "0.counters").stat().st_mode & 0o777 == 0o644
    counters.close()
