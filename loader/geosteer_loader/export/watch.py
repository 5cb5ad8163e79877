"""Writing files once, or as often as what is published changes, and telling the server that reads them."""

from __future__ import annotations

import logging
import re
import shlex
import subprocess
import time
from typing import TYPE_CHECKING, Protocol

from geosteer.errors import GeosteerError
from geosteer_loader.export import atomic_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from geosteer_loader.export.bundle import Bundle, Known
    from geosteer_loader.export.published_state import Picture

log = logging.getLogger(__name__)

PENDING = ".geosteer-untold"
"""Stands in the folder from before files are written until the server was told of them, so that who is ended in between, or
fails to tell, makes up for it the next time."""
RELOAD_SECONDS = 60
"""How long a command may take that tells a server."""


class ReloadFailed(GeosteerError):
    """The files are written, but the server was not reloaded."""


class Running(Protocol):
    """A server that takes the content of files while it runs."""

    def push(self, files: Mapping[str, bytes | str], /) -> None:
        """Give it files, by name and content.

        Raises: ReloadFailed: it did not take all of them.
        """

    def process(self) -> str:
        """What tells a process of the server from the one after a restart.

        Raises: ReloadFailed: it cannot be reached.
        """


class Writer:
    """Writes what *make* gives into one folder."""

    def __init__(
        self,
        make: Callable[[], Bundle],
        folder: Path,
        command: str,
        needs_reload: Callable[[str], bool],
        running: Running | None = None,
    ) -> None:
        """Make one that has not written anything.

        Args:
        command: tells the server, "" for none.
        needs_reload: whether it has to be told of a file in that way, by its name.
        running: is given the other files.
        """
        self._make = make
        self._folder = folder
        self._command = shlex.split(command)
        self._needs_reload = needs_reload
        self._running = running
        self._process: str | None = None  # which one has what was pushed
        self._tells = bool(self._command or running)
        self._pending = folder / PENDING
        self._untold: set[str] = set()
        self._files: Mapping[str, bytes | str] = {}
        self._behind = False  # something changed that is not written yet
        self._told: set[str] = set()
        self._known: Known = {}
        self._trouble = ""

    def once(self, *, lossy: bool, patient: bool = False) -> tuple[Bundle, list[str]]:
        """Write the files and tell the server if any changed; the names of those.

        Args: patient: a server that is not there yet is told later, by `follow`.

        Raises: Refused: something cannot be said, and *lossy* is false; nothing was written. NotWritten, ReloadFailed.
        """
        bundle = self._make()
        bundle.check(lossy=lossy)
        self._tell(bundle)
        written = self._write(bundle)
        try:
            self._reload()
        except ReloadFailed as exc:
            if not patient:
                raise
            self._warn(exc)
        return bundle, written

    def follow(self, picture: Picture, interval: float, wait: Callable[[float], None] = time.sleep) -> None:
        """Go on for ever: look every *interval* seconds, write what changed.

        What cannot be said no longer stops it, since node states have to go on; it is told, once. Redis may be away: then
        the files stay as they are.
        """
        while True:
            wait(interval)
            try:
                self._behind = picture.refresh() or self._behind
                if self._behind:
                    bundle = self._make()
                    self._tell(bundle)
                    written = self._write(bundle)
                    self._reload()
                    if written:
                        log.info("%s: %s", self._folder, ", ".join(written))
                else:
                    if self._untold:
                        self._reload()
                    self._push_to_another()
            except GeosteerError as exc:
                self._warn(exc)
            else:
                if self._trouble:
                    log.warning("recovered")
                self._trouble = ""

    def _warn(self, exc: GeosteerError) -> None:
        """Tell of a trouble, unless it is that of before."""
        # Times and process ids in what a command says do not make it another one.
        kind = re.sub(r"\d+", "", str(exc))
        if kind != self._trouble:
            log.warning("%s; the server keeps what it has", exc)
        self._trouble = kind

    def _write(self, bundle: Bundle) -> list[str]:
        self._files = bundle.files
        if self._tells:
            if self._pending.exists():
                self._untold.update(bundle.files)
            atomic_files.mark(self._pending)
        written = bundle.write(self._folder, self._known)
        self._behind = False
        self._untold.update(name for name in written if self._running or self._needs_reload(name))
        return written

    def _push_to_another(self) -> None:
        """Push all files to a process that is not the one that got them so far.

        A server that starts reads its files first, and takes the socket over from its predecessor later: what changed in
        between only the predecessor was told.
        """
        if self._running is None:
            return
        process = self._running.process()
        if process != self._process:
            self._untold.update(name for name in self._files if not self._needs_reload(name))
            self._reload()
            self._process = process

    def _reload(self) -> None:
        """Tell the server of what it was not told yet."""
        if self._running is not None:
            pushed = {
                name: text
                for name, text in self._files.items()
                if name in self._untold and not self._needs_reload(name)
            }
            if pushed:
                self._running.push(pushed)
        if self._command and any(map(self._needs_reload, self._untold)):
            run(self._command)
        self._untold.clear()
        if self._tells:
            self._pending.unlink(missing_ok=True)

    def _tell(self, bundle: Bundle) -> None:
        for text in bundle.notes:
            if text not in self._told:
                log.info("%s", text)
        for text in bundle.losses:
            if text not in self._told:
                log.warning("%s", text)
        self._told = {*bundle.notes, *bundle.losses}


def run(command: Sequence[str]) -> None:
    """Run a command that tells a server.

    Raises: ReloadFailed: it is not there, takes too long, or ends with an error.
    """
    shown = shlex.join(command)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RELOAD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ReloadFailed(f"{shown}: {getattr(exc, 'strerror', None) or exc}") from exc
    if done.returncode:
        output = (done.stderr or done.stdout).strip() or "no output"
        raise ReloadFailed(f"{shown}: exit status {done.returncode}: {output}")
