"""A geosteer-pipe process, spoken to as PowerDNS does."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from support.data import ROOT
from support.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PIPE = ROOT / "bin" / "geosteer-pipe"
COMPILED, PYTHON = "compiled", "python"
VARIANTS = (COMPILED, PYTHON)
"""Of a worker: with the part of its loop that is in C, where that was built, and without."""
SWITCH: dict[str, dict[str, str]] = {COMPILED: {}, PYTHON: {"GEOSTEER_COMPILED": "no"}}
"""Environment of each."""
EXTENSION = ROOT / "backend" / "geosteer" / "powerdns" / "_answerer.abi3.so"
SEARCH = ROOT / "backend" / "geosteer" / "tables" / "_search.abi3.so"


class Worker:
    """One worker on pipes of its own."""

    def __init__(
        self, config: Path, *, abi: int = 3, env: Mapping[str, str] | None = None,
        command: Sequence[Path | str] = (PIPE,),
    ) -> None:  # fmt: skip
        self.abi = abi
        self.process = subprocess.Popen(
            [*map(str, command), "--config", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
        )
        self._log = b""

    def __enter__(self) -> Self:
        self.greet()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def greet(self) -> bytes:
        """Say HELO; the banner."""
        self.send(b"HELO\t%d\n" % self.abi)
        return self.line()

    def send(self, data: bytes) -> None:
        """Write to the worker, as it is."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def line(self) -> bytes:
        """The next line that the worker writes, without its end; b"" at the end of its output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip(b"\n")

    def reply(self) -> list[bytes]:
        """The next reply: its lines up to END or FAIL, that one included."""
        lines = []
        while (line := self.line()) not in {b"END", b"FAIL", b""}:
            lines.append(line)
        return [*lines, line]

    def question(
        self, name: str, qtype: str = "ANY", subnet: str = "0.0.0.0/0", remote: str = "127.0.0.1"
    ) -> bytes:
        """A question's line in the version of the protocol that was said."""
        fields = ["Q", name, "IN", qtype, "-1", remote, "127.0.0.1", subnet]
        return "\t".join(fields[: {1: 6, 2: 7}.get(self.abi, 8)]).encode() + b"\n"

    def ask(
        self, name: str, qtype: str = "ANY", subnet: str = "0.0.0.0/0", remote: str = "127.0.0.1"
    ) -> list[list[str]]:
        """The DATA lines of a reply as fields, without the tag; [["FAIL"]] for FAIL."""
        self.send(self.question(name, qtype, subnet, remote))
        lines = self.reply()
        if lines[-1] != b"END":
            return [["FAIL"]]
        return [line.decode().split("\t")[1:] for line in lines[:-1]]

    def address(self, name: str, subnet: str, kind: str = "A") -> str:
        """The content of the only record of a type."""
        (content,) = [fields[-1] for fields in self.ask(name, subnet=subnet) if kind in fields]
        return content

    @property
    def log(self) -> bytes:
        """What it wrote to stderr until now."""
        assert self.process.stderr is not None
        os.set_blocking(self.process.stderr.fileno(), False)
        while part := self.process.stderr.read():
            self._log += part
        return self._log

    def close(self) -> bytes:
        """End it by the end of its input; what it wrote to stderr."""
        _, log = self.process.communicate(timeout=60)
        return self._log + log


def has_compiled(worker: Worker) -> bool:
    """Whether a worker has loaded the part in C."""
    return EXTENSION.name in Path(f"/proc/{worker.pid}/maps").read_text()


@contextmanager
def started(config: Path, variant: str, *, abi: int = 3) -> Iterator[Worker]:
    """A worker of that variant that has answered a question and, if it is to, has loaded the part in C."""
    if variant == COMPILED and not EXTENSION.exists():
        pytest.skip("the part in C was not built: no compiler, or no headers of Python")
    with Worker(config, abi=abi, env=SWITCH[variant]) as worker:
        worker.send(b"CMD\tnothing\n")
        assert worker.reply() == [b"commands: status", b"END"]
        if variant == COMPILED:
            wait_until(lambda: has_compiled(worker))
        yield worker
        if worker.process.poll() is None:
            assert has_compiled(worker) == (variant == COMPILED)
