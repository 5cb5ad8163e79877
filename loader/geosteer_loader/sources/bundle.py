"""GeoLite2 and GeoIP2 as CSV: blocks of both families and their locations, together in one zip archive or side by side."""

from __future__ import annotations

import zipfile
from typing import IO, TYPE_CHECKING, NamedTuple

from geosteer_loader.sources.archive import HEAD, damaged, kind_of
from geosteer_loader.sources.source_files import open_regular, reading

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BLOCKS = "-Blocks-"
_LOCATIONS = "-Locations-"
_LANGUAGE = "-Locations-en."
"""Codes are the same in all languages."""


class Bundle(NamedTuple):
    """What an archive has."""

    blocks: tuple[str, ...]
    """Members with networks."""
    locations: str | None
    """The member with locations; AS numbers have none."""


def bundle_of(path: Path) -> Bundle | None:
    """The members of a zip archive with such files; None: it is another file. Raises: SourceError: it cannot be read."""
    with open_regular(path) as raw, reading(path), damaged():
        return bundle_in(raw)


def bundle_in(raw: IO[bytes]) -> Bundle | None:
    """The same of a file that is open, at its beginning; to be called within `damaged`."""
    if kind_of(raw.read(HEAD)) != "zip":
        return None
    with zipfile.ZipFile(raw) as archive:
        return _bundle(archive.namelist())


def _bundle(names: Iterable[str]) -> Bundle | None:
    files = sorted(name for name in names if ".csv" in name.lower() and not name.startswith("__MACOSX/"))
    blocks = tuple(name for name in files if _BLOCKS in name)
    if not blocks:
        return None
    return Bundle(blocks, _english([name for name in files if _LOCATIONS in name]))


def locations_beside(blocks: Path) -> Path | None:
    """The file of locations that lies beside one of blocks; None: there is none."""
    product, mark, _ = blocks.name.partition(_BLOCKS)
    if not mark:
        return None
    try:
        names = sorted(
            path.name for path in blocks.parent.iterdir() if path.name.startswith(product + _LOCATIONS)
        )
    except OSError:
        return None
    chosen = _english(names)
    return blocks.parent / chosen if chosen else None


def _english(names: list[str]) -> str | None:
    return next((name for name in names if _LANGUAGE in name), names[0] if names else None)
