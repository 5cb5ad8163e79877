"""What programs that run for long share: work in steps, lines on stderr, random numbers, and starting again in place.

Work in steps is a generator that yields wherever something else may come between, and returns what it made.
"""

from __future__ import annotations

import os
import sys
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TypeVar

    Made = TypeVar("Made")
    Steps = Generator[None, None, Made]

RESTARTED = "GEOSTEER_RESTARTED"
"""Environment variable by which the program that takes this one's place learns that it does."""
TRIAL_SECONDS = 5.0
"""How long the program may take to start, print its help and end."""


def finished(steps: Steps[Made]) -> Made:
    """What the steps make, taken all at once. Raises: what they raise."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def logger(program: str) -> Callable[[str], None]:
    """What writes one line on stderr, with the program's name and process id; a closed stderr is not an error."""

    def log(text: str) -> None:
        line = f"{program}[{os.getpid()}]: {text}\n"
        try:
            os.write(2, line.encode("utf-8", "replace"))
        except OSError:
            return

    return log


def name_process(program: str) -> None:
    """Have `ps`, `top` and `pgrep` call this process by its program (15 characters at most) instead of `python`."""
    try:
        fd = os.open("/proc/self/comm", os.O_WRONLY)
    except OSError:
        return  # no /proc, or not of Linux: nothing depends on it
    try:
        os.write(fd, program.encode())
    except OSError:
        pass
    finally:
        os.close(fd)


def connection_name(front_end: str) -> str:
    """What `CLIENT LIST` of Redis calls this process: `geosteer/FRONT_END/HOST/PID`; other bytes would make HELLO fail."""
    host = os.uname().nodename[:64]
    host = "".join([char if "!" <= char <= "~" and char != "/" else "?" for char in host])
    return f"geosteer/{front_end}/{host}/{os.getpid()}"


def waited_for_processor() -> float:
    """Seconds for which this thread was ready to run and got no processor, since it began (proc(5), schedstat).

    Returns: 0 where the kernel does not tell.
    """
    try:
        fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        return 0.0
    try:
        return int(os.read(fd, 100).split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
    finally:
        os.close(fd)


def described(exc: BaseException) -> str:
    """An unexpected exception with its traceback, as one text.

    `traceback` is imported when it comes to that only. Where it cannot be, for want of descriptors or memory, the places are
    told without it: what describes a failure must not be one.
    """
    try:
        import traceback

        return "".join(traceback.format_exception(exc)).strip()
    except Exception:  # noqa: BLE001
        places, trace = [], exc.__traceback__
        while trace is not None:
            places.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
            trace = trace.tb_next
        return f"{type(exc).__name__}: {exc} at {' > '.join(places)}"


def command_line() -> list[str]:
    """What this process was started with, the interpreter first."""
    return [sys.executable, *sys.orig_argv[1:]]


class Trial:
    """A program that is started with `--help`, unseen, to learn whether it could take this process's place.

    An interpreter or a module that is gone would end the process that replaces itself by exec.
    """

    __slots__ = ("_end", "_pid", "_program", "_reason", "_seconds")

    def __init__(self, command: list[str], seconds: float = TRIAL_SECONDS) -> None:
        self._program, self._seconds = command[0], seconds
        self._reason = ""
        self._end = monotonic() + seconds
        actions = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        try:
            self._pid = os.posix_spawn(command[0], [*command, "--help"], os.environ, file_actions=actions)
        except OSError as exc:
            self._pid, self._reason = 0, f"{command[0]}: {exc.strerror}"

    def verdict(self) -> str | None:
        """Why the program cannot be started, "" if it can; None while it is not known. Never waits."""
        if not self._pid:
            return self._reason
        ended, status = os.waitpid(self._pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return f"{self._program} ends with exit code {code}" if code else ""
        if monotonic() < self._end:
            return None
        os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)
        return f"{self._program} does not start within {self._seconds:g} s"


def why_not_startable(command: list[str], seconds: float = TRIAL_SECONDS) -> str:
    """Why this program cannot be started now, "" if it can; waits for it."""
    trial = Trial(command, seconds)
    while (reason := trial.verdict()) is None:
        sleep(0.01)
    return reason


def restart() -> None:
    """Let the program take this process's place, with the same arguments, files and process id."""
    command = command_line()
    os.environ[RESTARTED] = "yes"
    os.execv(command[0], command)  # noqa: S606


def restarted() -> bool:
    """Whether this program has taken the place of another; true only once."""
    return os.environ.pop(RESTARTED, "") != ""


def below(limit: int) -> int:
    """A random integer from 0 to *limit* - 1; the bias of a remainder of 64 bits is of no account."""
    return int.from_bytes(os.urandom(8), "big") % limit


def ticket() -> float:
    """A random number in [0, 1)."""
    return (int.from_bytes(os.urandom(8), "big") >> 11) / (1 << 53)
