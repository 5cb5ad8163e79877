"""`[rpki]`: where the validated ROA payloads come from, by which routes are judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer_loader.config.sources import CACHE, SourceConfig
from geosteer_loader.config.url_sources import copy_name, file_or_url, read_remote
from geosteer_loader.config.values import duration, size, text

if TYPE_CHECKING:
    from geosteer_loader.config.section import Table

FORMAT = "roas"
"""Of the entry in a table's description."""
LIMIT = 512 << 20
"""Bytes; 500,000 entries of rpki-client have 60 MB."""
KEPT = "rpki-kept.json"
"""File in the folder of copies: the last ROAs that were usable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpki:
    """What routes are judged by."""

    source: SourceConfig
    """The validator's JSON, a file or the copy of a URL."""
    kept: Path
    """Where the last usable one is kept."""
    max_age: float = 86400
    """Seconds; older ROAs are used, with a warning."""


def read_rpki(table: Table, sources: Table, base: Path) -> Rpki | None:
    """The setting; None: routes are not judged.

    Args: sources: `[sources]`, which says where copies are kept; base: where paths begin.
    """
    cache = sources.get("cache", text, CACHE)
    if not table.written:
        return None
    where = table.require("roas", file_or_url, "")
    member = table.get("member", text, None)
    max_size = table.get("max_size", size, LIMIT)
    max_age = table.get("max_age", duration(60), 86400)
    remote = read_remote(table, where, base, member, max_size)
    folder = (base / cache).absolute()
    table.finish()
    source = SourceConfig(
        format=FORMAT,
        path=folder / copy_name(remote) if remote else Path(base / where).absolute(),
        vantage=None,
        place="rpki.roas",
        remote=remote,
        member=None if remote else member,
        max_size=max_size,
    )
    return Rpki(source=source, kept=folder / KEPT, max_age=max_age)
