"""The last good state on disk: what a worker that starts without Redis knows.

Written aside and renamed, without fsync: a torn file has a wrong digest, and the copy before it is kept beside it. It says of
which Redis and prefix it is, since several workers may share one path.
"""

from __future__ import annotations

import os
from errno import ELOOP, ENXIO

from geosteer import files
from geosteer.cmodules import dump_json, load_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FORMAT = 2
PREVIOUS = ".previous"


def read(path: str, origin: str) -> tuple[Mapping[str, Any] | None, str]:
    """The newest whole snapshot of *origin* at *path* or beside it, or None; and a warning for operators, or "".

    Members: `origin`, `document` (text), `current` (fields), `states` (node -> fields), `overrides` (node -> JSON).
    """
    trouble = ""
    for candidate in (path, path + PREVIOUS):
        try:
            data: Mapping[str, Any] = load_json(files.unsealed(files.read(candidate)).decode())
            if data["format"] != FORMAT:
                continue
            if data["origin"] == origin:
                return data, trouble
            trouble = trouble or f"{candidate}: is of {data['origin']!r}, not of {origin!r}: ignored"
        except FileNotFoundError:
            continue
        except (files.Untrusted, OSError) as exc:
            trouble = trouble or f"{candidate}: {_reason(exc)}: ignored"
        except (ValueError, KeyError, TypeError):
            continue
    return None, trouble


def write(
    path: str,
    origin: str,
    current: Mapping[str, str],
    document: str,
    states: Mapping[str, Any],
    overrides: Mapping[str, str],
) -> str:
    """Keep what is known now, unless another worker is writing or has written the same; returns what went wrong, or ""."""
    body = dump_json(
        {
            "format": FORMAT, "origin": origin, "current": current, "document": document, "states": states,
            "overrides": overrides,
        }
    ).encode()  # fmt: skip
    lock = -1
    try:
        lock = files.lock(path + ".lock")
        if lock < 0:
            return ""  # another worker is writing
        _clear(path)
        there = _seal_of(path)
        if there == files.seal(body):
            return ""
        aside = files.replace(path, files.sealed(body), 0o644)
        if there:  # a torn file must not take the place of a whole one
            os.replace(path, path + PREVIOUS)  # noqa: PTH105
        os.rename(aside, path)  # noqa: PTH104
    except files.Untrusted as exc:
        return f"{path}.lock: {exc.strerror}"
    except OSError as exc:
        return f"{path}{'.lock' if lock < 0 and exc.errno in {ELOOP, ENXIO} else ''}: {_reason(exc)}"
    finally:
        if lock >= 0:
            os.close(lock)
    return ""


def _clear(path: str) -> None:
    """Remove what writers that were killed left aside; no other process writes now."""
    folder, name = os.path.split(path)
    for other in os.listdir(folder or "."):  # noqa: PTH208
        if other.startswith(name + files.ASIDE.rstrip(".")):
            os.unlink(os.path.join(folder, other))  # noqa: PTH108, PTH118


def _seal_of(path: str) -> bytes:
    """The digest of the file's content, empty where there is no whole file of ours."""
    try:
        data = files.read(path)
        files.unsealed(data)
    except (FileNotFoundError, files.Untrusted, ValueError):
        return b""
    except OSError as exc:
        if exc.errno in {ELOOP, ENXIO}:  # a link, or not a regular file
            return b""
        raise
    return data.partition(b"\n")[0]


def _reason(exc: OSError) -> str:
    if exc.errno in {ELOOP, ENXIO}:
        return "is a symbolic link" if exc.errno == ELOOP else "is not a regular file"
    return exc.strerror or str(exc)
