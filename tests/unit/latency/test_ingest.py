"""A file is counted once, however often and however violently it is read; nothing finer than a network is kept."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.latency.ingest import ingest
from geosteer_loader.latency.store import DatabaseUnusable, Measurements
from geosteer_loader.rtt.histograms import FAILURE
from geosteer_loader.rtt.inputs.line import Scene

if TYPE_CHECKING:
    from pathlib import Path

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


def take(store: Measurements, path: Path) -> int:
    with path.open("rb") as file:
        return ingest(file, path.name, "csv", SCENE, store).tally.taken


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
from geosteer_loader.latency.ingest import ingest
from geosteer_loader.rtt.inputs.line import Scene
from geosteer_loader.latency.store import Measurements
store = Measurements(Path(sys.argv[1]), 86400.0)
with open(sys.argv[2], "rb") as file:
    print("begun", flush=True)
    ingest(file, "x", "csv", Scene({"a": "a", "b": "b"}, 1.8e9), store)
"""


def test_killed_at_any_moment_it_goes_on_where_it_was(tmp_path: Path) -> None:
    path, database = tmp_path / "a.csv", tmp_path / "rtt.sqlite"
    path.write_bytes(lines(60_000))
    for number in range(4):
        command = [sys.executable, "-c", KILLED, str(database), str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1 * number)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    store = Measurements(database, DAY)
    take(store, path)
    assert weight(store) == pytest.approx(60_000, rel=1e-4)


def test_no_address_of_a_client_is_kept(tmp_path: Path) -> None:
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    text = f"{T},198.51.100.77,a,12.5\n{T},2001:db8:77:1:2:3:4:5,b,99\n".encode()
    ingest(io.BytesIO(text), "x", "csv", SCENE, store)
    store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for trace in (
        b"198.51.100.77",
        bytes([198, 51, 100, 77]),
        b"2001:db8",
        bytes.fromhex("20010db800770001"),
    ):
        assert trace not in kept


def test_weights_fade_by_half_in_a_half_life_and_failures_are_kept_apart(tmp_path: Path) -> None:
    store = Measurements(tmp_path / "rtt.sqlite", DAY)
    ingest(io.BytesIO(f"{T},192.0.2.1,a,10\n{T},192.0.2.1,a,-\n".encode()), "x", "csv", SCENE, store)
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
