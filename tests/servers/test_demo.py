"""bin/demo shows what it promises, and leaves nothing behind, however it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.data import ROOT, shared
from support.long import takes_long
from support.servers import need, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMO = ROOT / "bin" / "demo"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short temporary folder for the demo's own, with the servers that it needs installed."""
    for program in ("redis-server", "pdns_server", "dig"):
        need(program)
    path = Path(tempfile.mkdtemp(prefix="gs-"))
    yield path
    shutil.rmtree(path)


def start(folder: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [DEMO, *args],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A test run in the background of a shell has SIGINT ignored, and so would the demo.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (one thread)
    )


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that name *folder* or stand in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in command or (process / "cwd").readlink().is_relative_to(folder):
                found.append(command)
    return found


def nothing_left(folder: Path) -> bool:
    return not processes_of(folder) and not list(folder.iterdir())


def assert_nothing_is_left(folder: Path) -> None:
    """Said with what there is."""
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: nothing_left(folder))
    assert (processes_of(folder), list(folder.rglob("*"))) == ([], [])


def test_the_demo_gets_every_answer_it_expects_and_cleans_up(folder: Path) -> None:
    with start(folder) as demo:
        said, _ = demo.communicate(timeout=240)
    assert demo.returncode == 0, said
    assert "answers were as expected" in said
    assert "WRONG" not in said
    assert "\033" not in said, "colours are for terminals"
    assert_nothing_is_left(folder)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_leaves_nothing_running(folder: Path, number: signal.Signals, code: int) -> None:
    with start(folder) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "partner-isp" in line:
                break
        assert len(processes_of(folder)) >= 3, "Redis, PowerDNS and its workers run"
        # As a terminal does it for Ctrl-C, to all of them; a supervisor ends the script alone.
        os.killpg(demo.pid, number) if number == signal.SIGINT else demo.terminate()
        demo.stdout.read()
        assert demo.wait(30) == code
    assert_nothing_is_left(folder)


@takes_long  # the next one stands for it
def test_the_demo_runs_with_a_database_of_ones_own(folder: Path) -> None:
    with start(folder, "--data", str(shared("country-2026-02-01.mmdb"))) as demo:
        said, _ = demo.communicate(timeout=240)
    assert demo.returncode == 0, said
    assert "no address of" not in said
    assert_nothing_is_left(folder)


def test_the_demo_runs_with_a_city_database_without_the_canaries_and_keeps_its_folder_when_asked_to(
    folder: Path,
) -> None:
    with start(folder, "--keep", "--data", str(shared("maxmind/test-data/GeoIP2-City-Test.mmdb"))) as demo:
        said, _ = demo.communicate(timeout=240)
    assert demo.returncode == 0, said
    assert "no address of DE found" in said
    assert "GB, by CNAME" in said
    (kept,) = folder.iterdir()
    assert f"Left in place: {kept}" in said
    assert {"backend.toml", "pdns.conf", "pdns.log", "last-good.json"} <= {
        path.name for path in kept.iterdir()
    }


def test_the_demo_explains_itself_and_refuses_what_it_does_not_know() -> None:
    helped = subprocess.run([DEMO, "--help"], capture_output=True, text=True)
    assert (helped.returncode, helped.stdout.splitlines()[0]) == (
        0,
        "Usage: bin/demo [--data FILE.mmdb] [--keep]",
    )
    for args in (["--what"], ["--data"], ["--data", "/nonexistent.mmdb"]):
        begin = time.monotonic()
        assert subprocess.run([DEMO, *args], capture_output=True).returncode == 2
        assert time.monotonic() - begin < 60
