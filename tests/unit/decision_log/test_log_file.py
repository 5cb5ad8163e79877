"""The decision log's file and its sampling: whole lines, whatever happens to the file, and the right part of all decisions."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from geosteer.decision_log.log_file import LONGEST, DecisionLog
from geosteer.decision_log.sampler import Sampler

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.log"


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(path: Path, told: list[str], clock: Clock) -> DecisionLog:
    return DecisionLog(str(path), told.append, clock)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_entry_is_one_line_that_others_cannot_read(log: DecisionLog, path: Path):
    assert log.write({"a": 1, "text": "\n\u00e9"})
    assert log.write({"a": 2})
    assert lines(path) == [{"a": 1, "text": "\n\u00e9"}, {"a": 2}]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_that_was_moved_away_is_opened_anew_within_a_second(
    log: DecisionLog, path: Path, clock: Clock
):
    log.write({"a": 1})
    old = path.rename(path.with_suffix(".1"))
    clock.now = 0.5
    log.write({"a": 2})
    clock.now = 1.5
    log.write({"a": 3})
    assert (lines(old), lines(path)) == ([{"a": 1}, {"a": 2}], [{"a": 3}])
    path.unlink()
    clock.now = 3
    log.write({"a": 4})
    assert lines(path) == [{"a": 4}]


def test_a_file_that_was_copied_and_truncated_begins_again(log: DecisionLog, path: Path):
    log.write({"a": 1})
    os.truncate(path, 0)
    log.write({"a": 2})
    assert lines(path) == [{"a": 2}]


def test_what_cannot_be_written_is_lost_counted_and_told_once(path: Path, told: list[str], clock: Clock):
    folder = path.parent / "later"
    log = DecisionLog(str(folder / "decisions.log"), told.append, clock)
    for second in range(5):
        clock.now = float(second * 2)
        assert not log.write({"a": second})
    assert (log.lost, len(told)) == (5, 1)
    assert "No such file or directory" in told[0]
    folder.mkdir()
    assert not log.write({"a": 5}), "it is looked at again once a second"
    clock.now = 20
    assert log.write({"a": 6})
    assert told[1:] == [f"decision log {folder}/decisions.log: goes on; 6 lines were lost so far"]
    assert lines(folder / "decisions.log") == [{"a": 6}]


@pytest.mark.parametrize("kind", ["folder", "fifo", "link"])
def test_what_is_no_file_of_its_own_is_left_alone(log: DecisionLog, path: Path, told: list[str], kind: str):
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    else:
        path.symlink_to(path.parent / "elsewhere")
    assert not log.write({"a": 1})
    assert len(told) == 1
    if kind == "fifo":
        os.close(reader)
    assert not (path.parent / "elsewhere").exists()


def test_a_full_disk_tears_one_line_at_most(path: Path, told: list[str]):
    """A limit on the file's size stands for the disk's end: what fits is written, as there."""
    code = (
        "import json, resource, signal, sys\n"
        "from geosteer.decision_log.log_file import DecisionLog\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "log = DecisionLog(sys.argv[1], print)\n"
        "limit = lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))\n"
        "limit(95)\n"
        "done = [log.write({'number': number, 'text': 'x' * 20}) for number in range(4)]\n"
        "limit(resource.RLIM_INFINITY)\n"
        "done.append(log.write({'number': 4}))\n"
        "assert done == [True, True, False, False, True], done\n"
        "assert log.lost == 2\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) <= 3
    first, second, torn, last = path.read_text().splitlines()
    assert [json.loads(line)["number"] for line in (first, second, last)] == [0, 1, 4]
    with pytest.raises(ValueError):  # noqa: PT011  # whatever the decoder says of half a line
        json.loads(torn)


def test_a_line_is_bounded(log: DecisionLog, path: Path, told: list[str]):
    assert log.write({"a": 1, "not": [["lon1", "x" * LONGEST]]})
    assert not log.write({"a": "x" * LONGEST})
    assert not log.write({"a": object()})
    assert lines(path) == [{"a": 1, "not": []}]
    assert log.lost == 2


def test_many_writers_tear_no_line(path: Path):
    code = (
        "import sys\n"
        "from geosteer.decision_log.log_file import DecisionLog\n"
        "log = DecisionLog(sys.argv[1], print)\n"
        "for number in range(500): log.write({'who': sys.argv[2], 'number': number, 'text': 'x' * 3000})\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), str(who)]) for who in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    entries = lines(path)
    assert len(entries) == 2000
    for who in "0123":
        assert [entry["number"] for entry in entries if entry["who"] == who] == list(range(500))


@pytest.mark.parametrize("sample", [1.0, 0.5, 0.1, 0.001])
def test_so_many_decisions_are_sampled(sample: float):
    """The mean distance of independent draws with probability p is 1/p, with a standard deviation of sqrt(1 - p)/p."""
    sampler = Sampler(sample, random.Random(1).random)
    distances = []
    for _ in range(20_000):
        distances.append(sampler.left)
        sampler.draw()
    assert min(distances) >= 1
    mean = sum(distances) / len(distances)
    assert abs(mean - 1 / sample) <= 4 * (1 - sample) ** 0.5 / sample / len(distances) ** 0.5


@pytest.mark.parametrize("drawn", [0.0, 0.5, 1 - 2**-53])
@pytest.mark.parametrize("sample", [5e-324, 1e-300, 1e-9, 1 - 2**-53, 1.0])
def test_every_draw_is_a_number_of_decisions(sample: float, drawn: float):
    assert Sampler(sample, lambda: drawn).left >= 1
