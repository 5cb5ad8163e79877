"""Check `command`: a monitoring plug-in, which reports by its exit code and a line of text.

Source: Monitoring Plugins Development Guidelines, "Plugin Output for Nagios" and "Plugin Return Codes".
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from geosteer_loader.health.checks.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

GOOD, WARNING, UNKNOWN = 0, 1, 3
"""Exit codes; 2, and every other, is a failure."""

OUTPUT = 4096
"""Bytes of output that are read; what comes after them is dropped."""


async def run(command: Sequence[str], environ: dict[str, str]) -> Result:
    """Run a program to its end and judge it; when the caller gives up, it is killed with all that it started."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environ,
            start_new_session=True,
        )
    except (OSError, ValueError) as exc:
        return Result(None, f"cannot be run: {getattr(exc, 'strerror', None) or 'invalid argument'}")
    assert process.stdout is not None
    try:
        text = await _output(process.stdout)
        code = await process.wait()
    except BaseException:
        await _kill(process)
        raise
    return judged(code, text)


def judged(code: int, text: str) -> Result:
    """The result that exit code and output stand for; a code below 0 is a signal."""
    line = text.partition("\n")[0].partition("|")[0].strip()  # behind "|" is performance data
    line = "".join(char if char.isprintable() else "?" for char in line)
    if code == GOOD:
        return Result(True)
    if code == WARNING:
        return Result(True, warning=line or "the plug-in warns")
    if code == UNKNOWN:
        return Result(None, line or "the plug-in does not know")
    ended = f"signal {-code}" if code < 0 else f"exit code {code}"
    return Result(False, line or ended)


async def _output(stream: asyncio.StreamReader) -> str:
    data = b""
    while chunk := await stream.read(OUTPUT):
        data = (data + chunk)[:OUTPUT]
    return data.decode(errors="replace")


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End the program with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        # It ends at once, unless the kernel holds it in a read of a dead disk.
        await asyncio.wait_for(process.wait(), 1)


def watch_children() -> None:
    """Let the running loop wait for programs by their file descriptors, not with a thread for each."""
    if sys.version_info >= (3, 12):
        return  # it does so by itself
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return  # not on this kernel
    watcher = asyncio.PidfdChildWatcher()
    watcher.attach_loop(asyncio.get_running_loop())
    asyncio.get_event_loop_policy().set_child_watcher(watcher)
