"""Writing a set of files, all of it or nothing, and taking away again what lies outside of its folder."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geosteer.errors import GeosteerError, Refused
from geosteer_loader.install.files import File
from geosteer_loader.install.place import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer_loader.install.answers import Answers
    from geosteer_loader.install.files import FileSet, Include
    from geosteer_loader.install.host import Host
    from geosteer_loader.install.place import Place

NEW = ".geosteer-new"
"""What a file is called until all are there."""


class InTheWay(Refused):
    """Files that exist already; nothing was written."""


class NotWritten(GeosteerError):
    """The system did not let a file be written; what had been replaced is as before."""


@dataclass(slots=True)
class Written:
    """What was done."""

    files: list[str] = field(default_factory=list)
    includes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be set and how it is set later."""


def conflicts(files: FileSet, place: Place, host: Host) -> list[str]:
    """Paths that exist already."""
    paths = [*(file.path for file in files.files), place.folder / MANIFEST]
    return [str(path) for path in paths if os.path.lexists(host.at(path))]


def write(
    files: FileSet,
    place: Place,
    host: Host,
    about: Answers,
    *,
    force: bool = False,
    before: Mapping[str, str] | None = None,
) -> Written:
    """Write all of it.

    Args: about: kept beside the files, for `doctor` and `undo`; force: replace what is in the way; before: path -> digest of
        other files of the set that were written earlier.
    Raises: InTheWay: names every file that exists. NotWritten.
    """
    there = conflicts(files, place, host)
    if there and not force:
        raise InTheWay(
            "these files exist already, and nothing was written (--force replaces them all):\n"
            + "\n".join(there)
        )
    written = Written()
    manifest = File(
        path=place.folder / MANIFEST, text=_manifest(files, place, about, before or {}), mode=0o640
    )
    wanted = [*files.files, manifest]
    made: list[Path] = []
    replaced: dict[Path, bytes | None] = {}
    try:
        for folder in (place.folder, *files.folders, *(file.path.parent for file in wanted)):
            host.at(folder).mkdir(parents=True, exist_ok=True)
        for file in wanted:
            made.append(_stage(file, host, written, owned=place.system))  # noqa: PERF401  # what is there when one fails
        for file in wanted:
            target = host.at(file.path)
            replaced[target] = target.read_bytes() if target.is_file() else None
            target.with_name(target.name + NEW).replace(target)
            written.files.append(str(file.path))
        for include in files.includes:
            _include(include, host, written, replaced)
    except OSError as exc:
        _restore(made, replaced)
        raise NotWritten(f"{exc.filename}: {exc.strerror or exc}; nothing was changed") from exc
    return written


def undo(place: Place, host: Host, *, force: bool = False) -> tuple[list[str], list[str]]:
    """Take away what `write` left outside of the folder: (paths removed, paths kept since somebody changed them).

    A file whose include line is gone is never needed by the program that read it. Raises: GeosteerError: no manifest.
    """
    manifest = read_manifest(place, host)
    removed, kept = [], []
    for include in manifest["includes"]:
        path = host.at(include["path"])
        if _without_line(path, include["line"]):
            removed.append(f"{include['path']}: the line `{include['line']}`")
    for name, digest in manifest["files"].items():
        path = host.at(name)
        if Path(name).is_relative_to(place.folder) or not path.is_file():
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest and not force:
            kept.append(name)
            continue
        path.unlink()
        removed.append(name)
        if path.parent.name.endswith(".service.d") and not any(path.parent.iterdir()):
            path.parent.rmdir()
    return removed, kept


def read_manifest(place: Place, host: Host) -> dict[str, Any]:
    """What was written, and with which answers. Raises: GeosteerError: there is none, or it cannot be read."""
    path = host.at(place.folder / MANIFEST)
    try:
        manifest = json.loads(path.read_text())
        if not isinstance(manifest["files"], dict) or not isinstance(manifest["includes"], list):
            raise TypeError
    except OSError as exc:
        raise GeosteerError(f"{path}: {exc.strerror}: `geosteer init` wrote nothing there") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise GeosteerError(f"{path}: damaged: what was written is not known") from exc
    return dict(manifest)


def _manifest(files: FileSet, place: Place, about: Answers, before: Mapping[str, str]) -> str:
    written = {str(file.path): hashlib.sha256(file.text.encode()).hexdigest() for file in files.files}
    content = {
        "about": asdict(about),
        "files": {**before, **written},
        "includes": [{"path": str(include.path), "line": include.line} for include in files.includes],
        "folder": str(place.folder),
    }
    return json.dumps(content, indent=2) + "\n"


def _stage(file: File, host: Host, written: Written, *, owned: bool) -> Path:
    """Write a file beside its place, with its mode, and its owner where the set is the host's own."""
    target = host.at(file.path)
    path = target.with_name(target.name + NEW)
    path.unlink(missing_ok=True)
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as stream:
        stream.write(file.text)
        if owned and os.geteuid() == 0:
            owner, group = host.user(file.owner), host.group(file.group)
            if owner is None or group is None:
                missing = f"user {file.owner}" if owner is None else f"group {file.group}"
                written.notes.append(f"{file.path}: there is no {missing} yet")
            os.fchown(stream.fileno(), owner[0] if owner else 0, group if group is not None else 0)
        os.fchmod(stream.fileno(), file.mode)
    return path


def includes_line(include: Include, host: Host) -> bool:
    """Whether a program's file has the line. Raises: OSError."""
    path = host.at(include.path)
    return path.is_file() and include.line.encode() in [
        line.strip() for line in path.read_bytes().splitlines()
    ]


def _include(include: Include, host: Host, written: Written, before: dict[Path, bytes | None]) -> None:
    path = host.at(include.path)
    if not path.is_file():
        written.notes.append(
            f"{include.path} does not exist: add `{include.line}` as its last line once it does"
        )
        return
    if includes_line(include, host):
        return
    content = path.read_bytes()
    before[path] = content
    end = b"" if content.endswith(b"\n") or not content else b"\n"
    with path.open("ab") as stream:  # not replaced: owner and mode stay
        stream.write(end + include.line.encode() + b"\n")
    written.includes.append(f"{include.path}: {include.line}")


def _without_line(path: Path, line: str) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    lines = content.splitlines(keepends=True)
    others = [each for each in lines if each.strip() != line.encode()]
    if len(others) == len(lines):
        return False
    with path.open("r+b") as stream:
        stream.write(b"".join(others))
        stream.truncate()
    return True


def _restore(made: Sequence[Path], before: dict[Path, bytes | None]) -> None:
    for path in made:
        path.unlink(missing_ok=True)
    for target, content in before.items():
        if content is None:
            target.unlink(missing_ok=True)
        else:
            target.write_bytes(content)
