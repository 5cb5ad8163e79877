"""Where a table comes from: what its source files are, and whether they are the ones published already."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

from geosteer.errors import SourceError
from geosteer.keys import FAMILIES
from geosteer.tables import page_format
from geosteer.timestamps import format_time
from geosteer_loader.sources.bundle import locations_beside
from geosteer_loader.sources.formats import AUTO
from geosteer_loader.sources.source_files import open_regular
from geosteer_loader.tables.validation_figures import JUDGED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from geosteer_loader.config.config import Config, SourceConfig
    from geosteer_loader.sources.recognise import Recognised

BUILDER = 3
"""Raise it when the code comes to other records from the same files: unchanged files are then read again."""

_WITH_LOCATIONS = frozenset({AUTO, "geolite2"})
"""Formats that are read from two files."""

_PIECE = 4096
"""Prefixes of the configuration's own networks that are summed up at a time."""


def describe(sources: Sequence[SourceConfig], known: str = "", roas: SourceConfig | None = None) -> str:
    """JSON list of a table's files: `format`, `file`, `path`, `size` (bytes), `mtime`, `sha256`, maybe `vantage`.

    That of the *roas* by which its routes are judged comes last; only that one may be absent.

    A file that *known*, an earlier description, has in the same place with the same size and mtime is not opened.
    Raises: SourceError: a file cannot be read.
    """
    earlier = _entries(known)
    earlier += [{}] * (len(sources) + 1 - len(earlier))
    described = [_describe(source, before) for source, before in zip(sources, earlier, strict=False)]
    if roas is not None:
        try:
            described.append(_describe(roas, earlier[len(sources)]))
        except SourceError:  # others are used then
            described.append({"format": roas.format, "file": roas.path.name, "path": str(roas.path)})
    return _json(described)


def describe_table(config: Config, table: str, published: Mapping[str, str]) -> str:
    """The same of all that a table of the configuration is made of; *published*: its fields of `current`."""
    roas = config.rpki.source if config.rpki is not None and table in JUDGED else None
    return describe(config.sources[table], published.get(f"{table}.source", ""), roas)


def counted(
    description: str, counts: Sequence[Mapping[int, int]], recognised: Sequence[Recognised | None] = ()
) -> str:
    """A description in which each file says how many `prefixes` of each family it gave, by address bits in *counts*.

    One whose format was recognised says what it was taken for: `recognised`, the name of a format.
    """
    files = json.loads(description)
    for file, count in zip(files, counts, strict=False):
        file["prefixes"] = {suffix: count.get(bits, 0) for suffix, bits in FAMILIES.items()}
    for file, taken in zip(files, recognised, strict=False):
        if taken is not None:
            file["recognised"] = taken.format
    return _json(files)


def networks(prefixes_by_network: Mapping[str, Sequence[tuple[int, int, int]]]) -> str:
    """The same for the configuration's own networks."""
    digest = hashlib.sha256()
    for piece in _written(prefixes_by_network):
        digest.update(piece.encode())
    return _json([{"format": "networks", "networks": len(prefixes_by_network), "sha256": digest.hexdigest()}])


def _written(prefixes_by_network: Mapping[str, Sequence[tuple[int, int, int]]]) -> Iterator[str]:
    """`repr` of the sorted list of networks, each with a tuple of its prefixes, in pieces: there may be millions."""
    yield "["
    for number, (name, prefixes) in enumerate(sorted(prefixes_by_network.items())):
        yield f"{', ' if number else ''}({name!r}, ("
        for at in range(0, len(prefixes), _PIECE):
            yield f"{', ' if at else ''}{', '.join(map(repr, prefixes[at : at + _PIECE]))}"
        yield ",))" if len(prefixes) == 1 else "))"
    yield "]"


def builder(shipped: Mapping[str, str]) -> str:
    """What else decides a table's content: versions of code and pages, and the *shipped* continents."""
    continents = hashlib.sha256(_json(sorted(shipped.items())).encode()).hexdigest()[:8]
    return f"{BUILDER}.{page_format.VERSION}.{continents}"


def same(first: str, second: str) -> bool:
    """Whether two descriptions are of the same content; a file only copied or touched is the same."""
    try:
        return _essence(first) == _essence(second)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return False


def newest(description: str) -> str:
    """The latest `mtime` in a description, in whole seconds; "" when it has none."""
    latest = max(
        (str(file.get("mtime", "")) for file in json.loads(description) if file.get("format") != "roas"),
        default="",
    )
    whole, dot, _ = latest.partition(".")
    return f"{whole}Z" if dot else whole


def _essence(description: str) -> list[dict[str, object]]:
    return [
        {
            key: value
            for key, value in file.items()
            if key not in {"mtime", "file", "path", "prefixes", "recognised"}
        }
        for file in json.loads(description)
    ]


def _entries(description: str) -> list[dict[str, object]]:
    try:
        return [entry if isinstance(entry, dict) else {} for entry in json.loads(description)]
    except (ValueError, TypeError, RecursionError):
        return []


def _describe(source: SourceConfig, before: Mapping[str, object]) -> dict[str, object]:
    try:
        described = _identity(source, source.path.stat())
        sha256 = before.get("sha256")
        if sha256 is None or any(before.get(key) != value for key, value in described.items()):
            with open_regular(source.path, source.place) as file:
                described = _identity(source, os.fstat(file.fileno()))  # of the very file that is summed up
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise SourceError(f"{source.path}: {source.place}: {exc.strerror or exc}") from exc
    return {**described, "sha256": sha256}


def _identity(source: SourceConfig, status: os.stat_result) -> dict[str, object]:
    seconds, fraction = divmod(status.st_mtime_ns, 1_000_000_000)
    described: dict[str, object] = {
        "format": source.format,
        "file": source.path.name,
        "path": str(source.path),
        "size": status.st_size,
        "mtime": format_time(seconds).replace("Z", f".{fraction:09}Z"),
    }
    if source.vantage is not None:
        described["vantage"] = source.vantage
    if source.member is not None:
        described["member"] = source.member
    if source.format in _WITH_LOCATIONS and (beside := locations_beside(source.path)) is not None:
        described["locations"] = f"{beside.name} {beside.stat().st_size} {beside.stat().st_mtime_ns}"
    return described


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
