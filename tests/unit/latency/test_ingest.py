"""A file is counted once, however often and however violently it is read; nothing finer than a network is kept."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer_loader.latency.ingest import ingest, ingest_stream
from geosteer_loader.latency.input_file import InputFile, find
from geosteer_loader.latency.store import DatabaseUnusable, Measurements, Overtaken
from geosteer_loader.rtt.histograms import FAILURE
from geosteer_loader.rtt.inputs.formats import cutter
from geosteer_loader.rtt.inputs.line import Scene
from geosteer_loader.rtt.sketch import middle

T = 1_790_000_000
DAY = 86400.0
SCENE = Scene({"a": "a", "b": "b"}, T + 100_000.0)


def lines(count: int, seed: int = 1) -> bytes:
    dice = random.Random(seed)
    told = [
        f"{T},192.{dice.randrange(4)}.{dice.randrange(200)}.{dice.randrange(1, 255)},{dice.choice('ab')},"
        f"{dice.choice(['-', str(dice.randrange(1, 300))])}"
        for _ in range(count)
    ]
    return "\n".join(["time,client,node,ms", *told, ""]).encode()


def weight(store: Measurements) -> float:
    return sum(sum(each.cells.values()) for _, _, each in store.networks(T))


def take(store: Measurements, path: Path, format_: str = "csv") -> int:
    return ingest(path, format_, SCENE, store).tally.taken


def test_a_file_counts_once_under_any_name_and_only_what_grew_counts_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    whole = lines(3000)
    cut = len(whole) // 2
    path.write_bytes(whole[:cut])
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    first = take(store, path)
    assert take(store, path) == 0
    path = path.rename(tmp_path / "a.csv.1")
    path.write_bytes(whole)
    assert first + take(store, path) == 3000
    assert weight(store) == pytest.approx(3000, rel=1e-4)


KILLED = """
import sys
from pathlib import Path
from geosteer_loader.latency.ingest import ingest, ingest_stream
from geosteer_loader.rtt.inputs.formats import cutter
from geosteer_loader.rtt.inputs.line import Scene
from geosteer_loader.rtt.sketch import middle
from geosteer_loader.latency.store import Measurements
store = Measurements(Path(sys.argv[1]), 86400.0)
print("begun", flush=True)
ingest(Path(sys.argv[2]), "csv", Scene({"a": "a", "b": "b"}, 1.8e9), store)
"""


def test_killed_at_any_moment_it_goes_on_where_it_was(tmp_path: Path) -> None:
    path, database = tmp_path / "a.csv", tmp_path / "rtt.sqlite"
    path.write_bytes(lines(40_000))
    for number in range(4):
        command = [sys.executable, "-c", KILLED, str(database), str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05 * number)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    store = Measurements(database, DAY)
    take(store, path)
    assert weight(store) == pytest.approx(40_000, rel=1e-4)


def test_no_address_of_a_client_is_kept(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.csv").write_text(f"{T},198.51.100.77,a,12.5\n{T},2001:db8:77:1:2:3:4:5,b,99\n")
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    assert take(store, tmp_path / "in" / "x.csv") == 2
    assert (tmp_path / "rtt.sqlite-wal").exists()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    for trace in (
        b"198.51.100.77",
        bytes([198, 51, 100, 77]),
        b"2001:db8",
        bytes.fromhex("20010db800770001"),
    ):
        assert trace not in kept


def test_weights_fade_by_half_in_a_half_life_and_failures_are_kept_apart(tmp_path: Path) -> None:
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    stream = io.BytesIO(f"{T},192.0.2.1,a,10\n{T},192.0.2.1,a,-\n".encode())
    ingest_stream(stream.read, "x", "csv", SCENE, store)
    ((bits, network, told),) = store.networks(T + DAY)
    assert (bits, network) == (32, 192 << 24 | 2 << 8)
    ((_, measured),) = told.by_node()
    assert measured.failures == pytest.approx(0.5)
    assert [weight for _, weight in measured.bins] == pytest.approx([0.5])
    assert all(number != FAILURE for number, _ in measured.bins)


def test_what_is_no_database_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rtt.sqlite"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(DatabaseUnusable, match=r"rtt\.sqlite"):
        Measurements(path, DAY)


def atlas(number: int, pad: int = 0) -> dict[str, object]:
    return {
        "type": "ping", "from": f"198.51.{number % 256}.7", "dst_addr": "a", "timestamp": T,
        "result": [{"rtt": 5 + number % 50}], "msm_name": "x" * pad,
    }  # fmt: skip


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_of_results_is_read_whatever_its_layout(tmp_path: Path, indent: int | None) -> None:
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    path = tmp_path / "ping.json"
    path.write_text(json.dumps([atlas(number, 900) for number in range(3000)], indent=indent))
    assert path.stat().st_size > 2 << 20
    assert take(store, path, "atlas") == 3000
    assert take(store, path, "atlas") == 0


def test_a_broken_result_costs_no_other_line(tmp_path: Path) -> None:
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    good = json.dumps(atlas(1))
    path = tmp_path / "ping.json"
    path.write_text(f'{good}\n{{"type": "ping", "from":\n{good}\n{{"a": "b\n{good}\n[[[[[\n{good}\n')
    assert take(store, path, "atlas") == 4


def test_a_compressed_copy_of_a_file_is_the_same_file(tmp_path: Path) -> None:
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    path = tmp_path / "a.csv"
    whole = lines(5000)
    path.write_bytes(whole[: len(whole) // 2])
    half = take(store, path)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(whole))
    assert half + take(store, tmp_path / "a.csv.gz") == 5000
    (tmp_path / "a.csv.bz2").write_bytes(bz2.compress(whole))
    assert take(store, tmp_path / "a.csv.bz2") == 0
    path.write_bytes(whole)
    assert take(store, path) == 0


def test_files_that_begin_alike_are_told_apart_by_what_follows(tmp_path: Path) -> None:
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    first = f"{T},192.0.2.1,a,10\n"
    for number, (rest, taken) in enumerate(
        [("", 1), (f"{T},192.0.2.2,b,1\n", 1), (f"{T},192.0.2.3,b,1\n", 2)]
    ):
        path = tmp_path / f"{number}.csv"
        path.write_text(first + rest)
        assert take(store, path) == taken, "the second goes on where the first ended"
    shorter = tmp_path / "shorter.csv"
    shorter.write_text(first)
    assert take(store, shorter) in {0, 1}


def test_an_unfinished_line_waits_until_it_is_whole(tmp_path: Path) -> None:
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    path = tmp_path / "a.csv"
    path.write_text(f"{T},192.0.2.1,a,10\n{T},192.0.2.1,a,1")
    assert take(store, path) == 1
    with path.open("a") as file:
        file.write("23\n")
    assert take(store, path) == 1
    ((_, _, told),) = store.networks(T)
    ((_, measured),) = told.by_node()
    assert sorted(middle(number) for number, _ in measured.bins) == pytest.approx([10, 123], rel=0.02)


def test_a_json_object_without_a_newline_counts_once(tmp_path: Path) -> None:
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    path = tmp_path / "a.jsonx"
    entry = json.dumps({"time": T, "client": "192.0.2.1", "node": "a", "ms": 3})
    path.write_text(f"{entry}\n{entry}")
    assert take(store, path, "json") == 2
    path.write_text(f"{entry}\n{entry}\n{entry}\n")
    assert take(store, path, "json") == 1


def test_segments_that_begin_alike_are_known_by_their_names(tmp_path: Path) -> None:
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    entry = json.dumps({"time": T, "client": "192.0.2.1", "node": "a", "ms": 3})
    for name in ("1.jsonl", "2.jsonl"):
        (tmp_path / name).write_text(f"{entry}\n" * 3)
        assert take(store, tmp_path / name, "json") == 3
        assert take(store, tmp_path / name, "json") == 0


def test_two_at_once_count_a_block_once(tmp_path: Path) -> None:
    first, second = (Measurements(tmp_path / "rtt.sqlite", DAY) for _ in range(2))
    path = tmp_path / "a.csv"
    path.write_bytes(lines(100))
    mark = find(InputFile(path), cutter("csv"), first)
    assert mark is not None
    assert take(second, path) == 100
    with pytest.raises(Overtaken):
        first.take([], 0, mark._replace(read_to=5), T)


def test_a_full_disk_ends_the_run_and_loses_nothing_that_was_counted(tmp_path: Path) -> None:
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    path = tmp_path / "a.csv"
    path.write_bytes(lines(3000))
    store._sql.execute("PRAGMA max_page_count = 12")
    with pytest.raises(DatabaseUnusable, match="full"):
        take(store, path)
    store.close()
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    assert weight(store) == 0
    assert take(store, path) == 3000


@given(st.lists(st.integers(0, 400), min_size=1, max_size=6), st.sampled_from(["csv", "json", "atlas"]))
@settings(max_examples=40, deadline=None)
def test_however_a_file_grows_every_record_counts_once(cuts: list[int], format_: str) -> None:
    made = {
        "csv": [f"{T},192.0.2.{number},a,{number + 1}" for number in range(1, 9)],
        "json": [
            json.dumps({"time": T, "client": f"192.0.2.{number}", "node": "a", "ms": number + 1})
            for number in range(1, 9)
        ],
        "atlas": [json.dumps(atlas(number)) for number in range(1, 9)],
    }[format_]
    whole = ("\n".join(made) + "\n").encode()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Measurements(folder / "rtt.sqlite", DAY)
        taken = 0
        for cut in [*sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]:
            (folder / "in").write_bytes(whole[:cut])
            taken += take(store, folder / "in", format_)
        store.close()
    assert taken == 8
