"""What tests start is as at a terminal, however the tests themselves were started; and they leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from support.data import ROOT
from support.servers import need, wait_until


def test_a_child_ignores_neither_interrupt_nor_quit():
    done = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("SigIgn:")]
    ignored = int(line.split()[1], 16)
    assert [number for number in (signal.SIGINT, signal.SIGQUIT) if ignored >> (number - 1) & 1] == []


def test_nor_does_it_where_the_tests_ignore_them():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += [__file__, "-k", test_a_child_ignores_neither_interrupt_nor_quit.__name__]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    shell = ["sh", "-c", 'trap "" INT QUIT; exec "$@"', "sh", *command]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=240, env=env)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("processes", ["0", "1"])
def test_a_test_that_leaves_a_file_in_the_checkout_fails_the_run(tmp_path, processes):
    left = ROOT / f"left-{uuid.uuid4().hex}"
    (tmp_path / "test_it.py").write_text(f"def test_it(): open({str(left)!r}, 'w').close()\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "conftest"]
    command += ["-c", str(ROOT / "pyproject.toml"), "-n", processes, str(tmp_path)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    env["PYTHONPATH"] = str(ROOT / "tests")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=env, cwd=tmp_path)
    finally:
        left.unlink()
    assert done.returncode == 6, done.stdout
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("tests left in the checkout: ")]
    assert left.name in told  # beside that of another test at the same time
    assert "1 passed" in done.stdout


SERVER = """
import time
from support.servers import RedisServer
server = RedisServer()
server.start()
print(server.pid, server.directory, flush=True)
time.sleep(600)
"""


def test_servers_of_tests_that_are_killed_end_and_their_folders_go():
    need("redis-server")
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True, env=env
    ) as tests:
        pid, folder = tests.stdout.readline().split()
        assert Path(folder).exists()
        tests.kill()
    wait_until(lambda: not Path(folder).exists(), 60, "the folder's end")
    assert "redis" not in (Path(f"/proc/{pid}/cmdline").read_text() if Path(f"/proc/{pid}").exists() else "")
