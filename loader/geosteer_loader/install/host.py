"""This host as the installer sees it: users, groups, programs, files; or a tree of files that stands for one (`--root`)."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
"""Folders of programs, those of servers too."""

UNIT_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
"""Where units lie, the first wins (systemd.unit(5))."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host whose files begin at *root*."""

    root: Path = Path("/")

    def at(self, path: str | Path) -> Path:
        """Where a path of that host is for us."""
        return self.root / str(path).lstrip("/")

    @property
    def here(self) -> bool:
        """Whether it is this host, and not just its files."""
        return self.root == Path("/")

    def user(self, name: str) -> tuple[int, int] | None:
        """Number of a user and of its group; None: there is none."""
        if self.here:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                return None
            return entry.pw_uid, entry.pw_gid
        fields = self._entry("/etc/passwd", name)
        return None if fields is None else (int(fields[2]), int(fields[3]))

    def group(self, name: str) -> int | None:
        """Number of a group; None: there is none."""
        if self.here:
            try:
                return grp.getgrnam(name).gr_gid
            except KeyError:
                return None
        fields = self._entry("/etc/group", name)
        return None if fields is None else int(fields[2])

    def unit(self, name: str) -> Path | None:
        """The file of a unit such as `pdns.service`; None: there is none."""
        for folder in UNIT_FOLDERS:
            path = self.at(folder) / name
            if path.is_file():
                return path
        return None

    def masked(self, name: str) -> bool:
        """Whether a unit is a link to nothing, so that it cannot be started (systemctl mask)."""
        path = self.at(UNIT_FOLDERS[0]) / name
        return path.is_symlink() and path.readlink() == Path(os.devnull)

    def unit_text(self, name: str) -> str:
        """What a unit and its drop-ins say, drop-ins last; "" without the unit's own file."""
        path = self.unit(name)
        if path is None:
            return ""
        parts: dict[str, Path] = {}
        for folder in reversed(UNIT_FOLDERS):
            parts.update({part.name: part for part in (self.at(folder) / f"{name}.d").glob("*.conf")})
        return "\n".join(
            file.read_text(errors="replace") for file in (path, *(parts[key] for key in sorted(parts)))
        )

    @property
    def systemd(self) -> bool:
        """Whether units are of use there."""
        return any(self.at(path).exists() for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd"))

    def _entry(self, file: str, name: str) -> list[str] | None:
        try:
            lines = self.at(file).read_text().splitlines()
        except OSError:
            return None
        return next((line.split(":") for line in lines if line.startswith(f"{name}:")), None)


def program(name: str) -> str:
    """The absolute path of one of our own programs: beside this interpreter or checkout, else in the PATH."""
    checkout = Path(__file__).resolve().parents[3] / "bin" / name
    beside = Path(sys.executable).with_name(name)
    for path in (checkout, beside):
        if path.is_file():
            return str(path)
    return shutil.which(name, path=SEARCH) or f"/usr/bin/{name}"
