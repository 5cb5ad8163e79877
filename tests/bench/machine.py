"""What a run measures with: cores, processor time and memory of processes, compiled helpers, and what the machine is.

With two cores or more the servers, their workers and Redis share the first one and the generator has the last: then what is
measured is work, not luck in placing it, and a server's throughput is the inverse of the processor time of one question, its
workers' included. That favours nobody who works less, and leaves out what more cores would bring to all alike.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYTHON = ROOT / ".venv" / "bin" / "python"
TICK = os.sysconf("SC_CLK_TCK")
_ALL = frozenset(os.sched_getaffinity(0))


class Cores:
    """Which core does what."""

    def __init__(self, *, pinned: bool) -> None:
        self.pinned = pinned and len(_ALL) > 1
        self.server = min(_ALL)
        self.client = max(_ALL)

    @contextmanager
    def _on(self, core: int) -> Iterator[None]:
        if not self.pinned:
            yield
            return
        os.sched_setaffinity(0, {core})
        try:
            yield
        finally:
            os.sched_setaffinity(0, _ALL)

    def serving(self) -> Any:
        """Processes started meanwhile run on the servers' core."""
        return self._on(self.server)

    def asking(self) -> Any:
        """Processes started meanwhile run on the generator's core."""
        return self._on(self.client)

    @property
    def about(self) -> str:
        """For the report."""
        if not self.pinned:
            return "processes run where the system puts them"
        return f"servers, workers and Redis on core {self.server}, the generator on core {self.client}"


def family(pid: int) -> list[int]:
    """A process and everything below it."""
    found = [pid]
    for one in found:
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                found += map(int, path.read_text().split())
            except OSError:
                continue
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that processes have used, their ended children included, in seconds."""
    total = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15])) / TICK
    return total


def pss(pids: Iterable[int]) -> float:
    """Proportional memory of processes in MiB: what they share is divided among those who share it."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


class Programs:
    """The programs in C, compiled for this run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for source in HERE.glob("*.c"):
            command = ["cc", "-O2", "-Wall", "-o", str(folder / source.stem), str(source), "-lm"]
            subprocess.run(command, check=True)

    def path(self, name: str) -> Path:
        """The program made from `<name>.c`."""
        return self._folder / name

    def run(self, name: str, *arguments: object) -> dict[str, Any]:
        """What a program says in JSON.

        Raises: RuntimeError: it failed.
        """
        command = [str(self.path(name)), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stderr[-2000:]}")
        result: dict[str, Any] = json.loads(done.stdout)
        return result


def about() -> dict[str, Any]:
    """The machine and the versions of what runs on it."""
    import hiredis
    import maxminddb

    import redis

    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "cpu": model,
        "cores": len(_ALL),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "geosteer": _said(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]),
        "redis": _said(["redis-server", "--version"]).partition("v=")[2].partition(" ")[0],
        "powerdns": _said(["pdns_server", "--version"], "Server").partition("Server ")[2].partition(" ")[0],
        "dnsdist": _said(["dnsdist", "--version"]).removeprefix("dnsdist ").partition(" ")[0],
        "gdnsd": _said(["gdnsd", "-V"], "version").rpartition(" ")[2],
        "knot": _said(["knotd", "-V"]).rpartition(" ")[2],
        "nginx": _said(["nginx", "-v"]).rpartition("/")[2],
        "hiredis": hiredis.__version__,
        "redis-py": redis.__version__,
        "maxminddb": maxminddb.__version__,
    }


def _said(command: Sequence[str], word: str = "") -> str:
    """The first line with that word that a program says; empty where it is not installed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout + done.stderr).splitlines()
    return next((line.strip() for line in lines if line.strip() and word in line), "")
