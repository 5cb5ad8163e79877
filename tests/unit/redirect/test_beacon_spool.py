"""The spool: whole lines in bounded files, and nothing that a folder may be stops whoever writes."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.redirect.beacons.spool import Spool
from support.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINE = {"time": 1790000000.5, "client": "192.0.2.0", "node": "fra1", "ms": 12.5}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """A spool, and what it counts and says."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.folder, self.clock = folder, Clock()
        self.counts: Counter[str] = Counter()
        self.told: list[str] = []
        settings = {"segment_bytes": 10_000, "segment_seconds": 300, "total_bytes": 100_000, **more}
        self.spool = Spool(
            str(folder), count=self.count, say=self.told.append, clock=self.clock, **settings
        )  # fmt: skip

    def count(self, what: str, times: int) -> None:
        self.counts[what] += times

    def names(self, suffix: str) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.name.endswith(suffix))

    def lines(self) -> list[dict[str, Any]]:
        """Of all closed segments."""
        return [
            json.loads(line)
            for name in self.names(".jsonl")
            for line in (self.folder / name).read_text().splitlines()
        ]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.spool.close()


def test_lines_are_in_an_open_segment_until_it_is_closed(rig: Rig) -> None:
    rig.spool.write([LINE, LINE])
    rig.spool.write([LINE])
    (name,) = rig.names(".part")
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{12}\.part", name)
    assert stat.S_IMODE((rig.folder / name).stat().st_mode) == 0o640
    assert rig.names(".jsonl") == []
    rig.spool.close()
    assert rig.names(".part") == []
    stem = name.removesuffix(".part")
    assert rig.names(".jsonl") == [stem + ".jsonl"]
    assert rig.lines() == [{**LINE, "segment": stem}, LINE, LINE]
    assert (rig.counts, rig.told) == ({"written": 3}, [])


def test_the_mode_is_that_whatever_the_umask(rig: Rig) -> None:
    before = os.umask(0o077)
    try:
        rig.spool.write([LINE])
    finally:
        os.umask(before)
    assert stat.S_IMODE((rig.folder / rig.names(".part")[0]).stat().st_mode) == 0o640


def test_nothing_makes_no_file(rig: Rig) -> None:
    rig.spool.write([])
    rig.spool.close()
    assert list(rig.folder.iterdir()) == []


def test_a_segment_is_closed_by_its_size(rig: Rig) -> None:
    for _ in range(400):
        rig.spool.write([LINE])
    assert len(rig.names(".jsonl")) == 2
    assert all(10_000 <= (rig.folder / name).stat().st_size < 10_200 for name in rig.names(".jsonl"))
    firsts = [(rig.folder / name).read_text().splitlines()[0] for name in rig.names(".jsonl")]
    assert firsts[0] != firsts[1]


def test_a_segment_is_closed_by_its_age_with_the_next_line_and_without_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.spool.write([LINE])
    rig.clock.now += 301
    rig.spool.write([LINE])
    assert (len(rig.names(".jsonl")), len(rig.names(".part"))) == (1, 1)
    rig.spool.close()
    alone = Rig(tmp_path, segment_seconds=0.2)
    alone.spool.write([LINE])
    wait_until(lambda: len(rig.names(".jsonl")) == 3 and not rig.names(".part"), what="a closed segment")
    alone.spool.close()


def test_the_oldest_segments_go_when_there_are_too_many(rig: Rig) -> None:
    rig.spool = Spool(
        str(rig.folder), segment_bytes=4000, segment_seconds=300, total_bytes=20_000, count=rig.count,
        say=rig.told.append,
    )  # fmt: skip
    old = rig.folder / "20200101T000000.000000Z-aa.jsonl"
    old.write_text("x" * 100)
    (rig.folder / "notes.txt").write_text("the operator's")
    for _ in range(1000):
        rig.spool.write([LINE])
        assert sum(path.stat().st_size for path in rig.folder.iterdir()) < 20_000 + 4200
    assert not old.exists()
    assert (rig.folder / "notes.txt").exists()
    assert rig.counts["removed"] >= 10
    assert rig.counts["written"] == 1000


def test_what_a_killed_process_left_is_closed_by_the_next_and_a_living_ones_is_not(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom geosteer.redirect.beacons.spool import Spool\n"
        "spool = Spool(sys.argv[1], segment_bytes=9e9, segment_seconds=900, total_bytes=9e9,"
        " count=lambda *_: None, say=print)\n"
        "spool.write([{'from': 'child'}])\nprint('written', flush=True)\ntime.sleep(600)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        living = Rig(tmp_path)
        living.spool.write([LINE])
        assert (len(living.names(".part")), living.names(".jsonl")) == (2, [])
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    living.spool.close()
    second = Rig(tmp_path)
    second.spool.write([LINE])
    second.spool.close()
    assert second.names(".part") == []
    assert sorted("from" in line for line in second.lines()) == [False, False, True]


def bad_folders(where: Path) -> dict[str, Path]:
    """What may stand where the folder should be."""
    real = where / "real"
    real.mkdir()
    (where / "link").symlink_to(real)
    (where / "file").write_text("")
    os.mkfifo(where / "fifo")
    (where / "open").mkdir()
    (where / "open").chmod(0o777)
    return {name: where / name for name in ("missing", "link", "file", "fifo", "open")}


@pytest.mark.parametrize("name", ["missing", "link", "file", "fifo", "open"])
def test_a_folder_that_cannot_be_used_costs_lines_and_one_message(tmp_path: Path, name: str) -> None:
    folder = bad_folders(tmp_path)[name]
    rig = Rig(folder)
    for _ in range(5):
        rig.clock.now += 2
        rig.spool.write([LINE, LINE])
    assert rig.counts == {"lost": 10}
    assert len(rig.told) == 1
    assert str(folder) in rig.told[0]
    assert list(tmp_path.rglob("20*")) == []
    rig.spool.close()


def test_it_goes_on_when_the_folder_is_there(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "later")
    rig.spool.write([LINE])
    rig.folder.mkdir()
    rig.spool.write([LINE])  # it is not looked for at each line
    assert rig.counts == {"lost": 2}
    rig.clock.now += 2
    rig.spool.write([LINE])
    rig.spool.close()
    assert rig.counts == {"lost": 2, "written": 1}
    assert len(rig.told) == 2
    assert "segment" in rig.lines()[0]


def test_others_files_are_neither_followed_nor_waited_for(
    rig: Rig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "target"
    elsewhere.write_text("precious")
    (rig.folder / "left-1.part").symlink_to(elsewhere)
    os.mkfifo(rig.folder / "left-2.part")
    (rig.folder / "left-3.part").mkdir()
    (rig.folder / "left-4.jsonl").symlink_to(elsewhere)
    rig.spool.write([LINE])
    rig.spool.close()
    assert elsewhere.read_text() == "precious"
    assert rig.names(".part") == ["left-1.part", "left-2.part", "left-3.part"]
    assert rig.counts == {"written": 1}


def test_a_full_disk_costs_whole_lines_and_leaves_no_half_ones(tmp_path: Path) -> None:
    """A limit on the file's size stands for the disk's end: what fits is written, as there."""
    code = (
        "import json, resource, signal, sys\n"
        "from geosteer.redirect.beacons.spool import Spool\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "count = {}\n"
        "def note(what, times): count[what] = count.get(what, 0) + times\n"
        "spool = Spool(sys.argv[1], segment_bytes=9e9, segment_seconds=900, total_bytes=9e9, count=note, say=print)\n"
        "limit = lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))\n"
        "limit(150)\n"
        "for number in range(6): spool.write([{'number': number, 'text': 'x' * 20}])\n"
        "limit(resource.RLIM_INFINITY)\n"
        "spool.write([{'number': 6}])\nspool.close()\nprint(json.dumps(count))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    (path,) = tmp_path.iterdir()
    numbers = [json.loads(line)["number"] for line in path.read_text().splitlines()]
    assert numbers == [0, 1, 6]
    *told, counts = done.stdout.splitlines()
    assert json.loads(counts) == {"written": 3, "lost": 4}
    assert len(told) == 2


def test_threads_do_not_mix_their_lines(rig: Rig) -> None:
    def work() -> None:
        for _ in range(50):
            rig.spool.write([LINE, LINE])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rig.spool.close()
    assert len(rig.lines()) == 400


def test_after_the_end_nothing_is_written(rig: Rig) -> None:
    rig.spool.close()
    rig.spool.write([LINE])
    assert rig.counts == {"lost": 1}
    assert list(rig.folder.iterdir()) == []
