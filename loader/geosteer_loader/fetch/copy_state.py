"""What is remembered of a copy between runs, in a file beside it; never a credential."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from geosteer_loader.fetch.checksum import Checksum


def beside(path: Path, ending: str) -> Path:
    """A file that belongs to a copy, for example its `.part`."""
    return path.with_name(f"{path.name}.{ending}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a server calls one version of a file."""

    etag: str | None = None
    modified: str | None = None
    """Last-Modified, as the server writes it."""
    sum: str | None = None
    """Checksum of what was downloaded, `sha256:...`; None where there is no checksum file."""

    @classmethod
    def read(cls, data: object) -> Self | None:
        """From JSON; None where it is something else."""
        if not isinstance(data, dict):
            return None
        texts = {key: data[key] for key in ("etag", "modified", "sum") if isinstance(data.get(key), str)}
        return cls(**texts)

    @property
    def strong(self) -> str | None:
        """What goes into If-Range (RFC 9110, 13.1.5): the rest of just this version, or all of another."""
        if self.etag is not None:
            return None if self.etag.startswith("W/") else self.etag
        return self.modified


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The versions that were fetched from one URL."""

    copy: Named | None = None
    """The version of which there is a copy."""
    rejected: Named | None = None
    """A later one, from which no table could be built: not to be fetched again."""
    before: Named | None = None
    """The version of the copy before, while that is kept."""

    @classmethod
    def load(cls, path: Path, url: str) -> Self:
        """Of the copy at *path*; nothing where that is not the file that was put there, or is from another URL."""
        data = read_json(beside(path, "json"))
        with suppress(OSError):
            status = path.stat()
            if (data.get("url"), data.get("size"), data.get("mtime_ns")) == (
                url,
                status.st_size,
                status.st_mtime_ns,
            ):
                return cls(**{key: Named.read(data.get(key)) for key in ("copy", "rejected", "before")})
        return cls()

    def save(self, path: Path, url: str) -> None:
        """Remember it for the copy that now lies at *path*. Raises: OSError."""
        status = path.stat()
        data = {"url": url, "size": status.st_size, "mtime_ns": status.st_mtime_ns, **asdict(self)}
        write_json(beside(path, "json"), data)

    def conditions(self) -> dict[str, str]:
        """Headers that ask for another version than those known (RFC 9110, 13.1.2 and 13.1.3)."""
        known = [version for version in (self.rejected, self.copy) if version is not None]
        if self.copy is None:
            return {}
        etags = [version.etag for version in known if version.etag]
        if etags:
            return {"If-None-Match": ", ".join(etags)}
        dates = [version.modified for version in known if version.modified]
        return {"If-Modified-Since": dates[0]} if dates else {}

    def has(self, wanted: Checksum | None) -> bool:
        """Whether the copy is of what has that checksum."""
        return wanted is not None and self.copy is not None and self.copy.sum == str(wanted)

    def rejects(self, *, checksum: Checksum | None = None, etag: str | None = None) -> bool:
        """Whether a version is the one from which no table could be built."""
        if self.rejected is None:
            return False
        same_sum = checksum is not None and self.rejected.sum == str(checksum)
        return same_sum or (etag is not None and self.rejected.etag == etag)


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in a file; empty when it is absent or damaged: then everything is fetched again."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Replace a file in one step. Raises: OSError."""
    fresh = beside(path, "new")
    fresh.write_text(json.dumps(data, indent=1) + "\n")
    fresh.replace(path)
