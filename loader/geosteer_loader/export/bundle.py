"""The result of an export: files, and what the format cannot express of the published configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer.errors import Refused
from geosteer_loader.export import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

    Known = dict[str, tuple[bytes | str | None, object]]
    """Path inside the folder -> content, and the state of the file with it."""


@dataclass(slots=True)
class Bundle:
    """Files to be written into one folder."""

    files: dict[str, bytes | str] = field(default_factory=dict)
    """Path inside the folder -> content, in the order in which they are to be replaced."""
    losses: dict[str, None] = field(default_factory=dict)
    """What the format cannot express, each as `place: what becomes of it`."""
    notes: dict[str, None] = field(default_factory=dict)
    """What a reader should know, without anything being lost."""

    def lose(self, place: str, what: str) -> None:
        """Note what the format cannot express."""
        self.losses[f"{place}: {what}"] = None

    def note(self, text: str) -> None:
        """Note something that loses nothing."""
        self.notes[text] = None

    def check(self, *, lossy: bool) -> None:
        """Raises: Refused: something would be lost, and that was not asked for."""
        if self.losses and not lossy:
            raise Refused(
                "\n".join(
                    [*self.losses, "refused: this format cannot express that (--lossy writes the rest)"]
                )
            )

    def write(self, folder: Path, known: Known | None = None) -> list[str]:
        """Replace the files whose content changed; their names.

        Args: known: what was written before; a file that nobody touched since, with the same content, is not read again.
        Raises: NotWritten: a file cannot be; those before it are written.
        """
        written = []
        known = {} if known is None else known
        for name, content in self.files.items():
            path = folder / name
            before, state = known.get(name, (None, None))
            if before is content and state == atomic_files.state_of(path):
                continue
            atomic_files.folder(path.parent)
            if atomic_files.replace(path, content):
                written.append(name)
            known[name] = content, atomic_files.state_of(path)
        return written
