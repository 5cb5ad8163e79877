"""What ends the servers of a test process that was killed: a process that reads a pipe, whose end is the end of the tests.

`PR_SET_PDEATHSIG` would do it as well, but counts from the thread that started a server, and threads of tests end.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

GRACE = 2.0
"""Seconds between SIGTERM, by which nginx and PowerDNS end their workers too, and SIGKILL."""
FOLDERS = "gs-"
"""How folders that it removes begin."""

_watchdog: list[tuple[int, int]] = []
"""Of this process: the pid that the pipe belongs to, and its end for writing."""


def watch(pid: int, folder: Path | str = "") -> None:
    """Let a process end, and a folder go, when the tests of this process have ended and `release` has not come."""
    _say(f"+{pid}\t{folder}\n")


def release(pid: int) -> None:
    """Forget a process: it has ended, and its number may be another's soon."""
    _say(f"-{pid}\t\n")


def _say(line: str) -> None:
    if not _watchdog or _watchdog[0][0] != os.getpid():
        read, write = os.pipe()  # not inherited by what is started (PEP 446)
        command = [sys.executable, "-I", "-S", __file__]
        subprocess.Popen(command, stdin=read, stdout=subprocess.DEVNULL, start_new_session=True)
        os.close(read)
        _watchdog[:] = [(os.getpid(), write)]
    with suppress(BrokenPipeError):  # somebody ended the watchdog: nothing of a test depends on it
        os.write(_watchdog[0][1], line.encode())


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _main() -> None:
    running: dict[int, str] = {}
    for line in sys.stdin:
        pid, _, folder = line.rstrip("\n")[1:].partition("\t")
        if line.startswith("+"):
            running[int(pid)] = folder
        else:
            running.pop(int(pid), None)
    if not running:
        return
    _signal([*running], signal.SIGTERM)
    _signal([*running], signal.SIGCONT)
    time.sleep(GRACE)
    _signal([*running], signal.SIGKILL)
    for folder in running.values():
        if Path(folder).name.startswith(FOLDERS):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _main()
