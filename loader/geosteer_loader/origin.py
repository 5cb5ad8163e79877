"""Where a table comes from: what its source files are, and whether they are the ones published already."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from geosteer import trie
from geosteer.clock import format_time
from geosteer.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer_loader.config import SourceConfig

BUILDER = 1
"""Raise it when the code comes to other records from the same files: unchanged files are then read again."""


def describe(sources: Sequence[SourceConfig]) -> str:
    """JSON list of a table's files: `format`, `file`, `size` (bytes), `mtime`, `sha256`, maybe `vantage`.

    Raises: SourceError: a file cannot be read.
    """
    return _json([_describe(source) for source in sources])


def builder(shipped: Mapping[str, str]) -> str:
    """What else decides a table's content: versions of code and pages, and the *shipped* continents."""
    continents = hashlib.sha256(_json(sorted(shipped.items())).encode()).hexdigest()[:8]
    return f"{BUILDER}.{trie.VERSION}.{continents}"


def same(one: str, other: str) -> bool:
    """Whether two descriptions are of the same content; a file only copied or touched is the same."""
    try:
        return _essence(one) == _essence(other)
    except (ValueError, AttributeError, TypeError):
        return False


def newest(description: str) -> str:
    """The latest `mtime` in a description; "" when it has none."""
    return max((str(file.get("mtime", "")) for file in json.loads(description)), default="")


def _essence(description: str) -> list[dict[str, object]]:
    return [
        {key: value for key, value in file.items() if key not in {"mtime", "file"}}
        for file in json.loads(description)
    ]


def _describe(source: SourceConfig) -> dict[str, object]:
    try:
        with source.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        status = source.path.stat()
    except OSError as exc:
        raise SourceError(f"{source.path}: {source.place}: {exc.strerror or exc}") from exc
    described: dict[str, object] = {
        "format": source.format,
        "file": source.path.name,
        "size": status.st_size,
        "mtime": format_time(status.st_mtime),
        "sha256": sha256,
    }
    if source.vantage is not None:
        described["vantage"] = source.vantage
    return described


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
