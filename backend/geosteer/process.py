"""What programs that run for long share: lines on stderr, and starting again in place."""

from __future__ import annotations

import os
import sys
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

RESTARTED = "GEOSTEER_RESTARTED"
"""Environment variable by which the program that takes this one's place learns that it does."""
TRIAL_SECONDS = 5.0
"""How long the program may take to start, print its help and end."""


def logger(program: str) -> Callable[[str], None]:
    """What writes one line on stderr, with the program's name and process id; a closed stderr is no error."""

    def log(text: str) -> None:
        line = f"{program}[{os.getpid()}]: {text}\n"
        try:
            os.write(2, line.encode("utf-8", "replace"))
        except OSError:
            return

    return log


def command_line() -> list[str]:
    """What this process was started with, the interpreter first."""
    return [sys.executable, *sys.orig_argv[1:]]


def why_not_startable(command: list[str], seconds: float = TRIAL_SECONDS) -> str:
    """Why this program cannot be started now, "" if it can: it is started with `--help`, unseen.

    An interpreter or a module that is gone would end the process that replaces itself by exec.
    """
    actions = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    try:
        pid = os.posix_spawn(command[0], [*command, "--help"], os.environ, file_actions=actions)
    except OSError as exc:
        return f"{command[0]}: {exc.strerror}"
    end = monotonic() + seconds
    while monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return f"{command[0]} ends with exit code {code}" if code else ""
        sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return f"{command[0]} does not start within {seconds:g} s"


def restart() -> None:
    """Let the program take this process's place, with the same arguments, files and process id."""
    command = command_line()
    os.environ[RESTARTED] = "yes"
    os.execv(command[0], command)  # noqa: S606


def restarted() -> bool:
    """Whether this program has taken the place of another; true only once."""
    return os.environ.pop(RESTARTED, "") != ""
