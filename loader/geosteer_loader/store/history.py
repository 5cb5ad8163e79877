"""The generations that are kept, as the stream `history` tells of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer.keys import TABLES
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.store.store import Command, Store

RANGE_BYTES = 24
"""Of the pages of a table, for each range; the largest seen were 15.4."""
DIGITS = 15
"""Of a generation's number; longer ones are invalid."""

NOTES = ("changed", "who", "when", "bytes", "total", "live")
"""Fields of an entry that are not fields of `current`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One generation."""

    id: str
    """Of the stream entry."""
    fields: Mapping[str, str]
    """`current` as it was then."""
    changed: str
    """What differed from the generation before: tables, `config`, ..., separated by blanks."""
    who: str
    when: str
    """ISO 8601 UTC."""
    bytes: str = ""
    """How much its publisher wrote to `object`; "": it does not say."""
    total: str = ""
    """The same of all publishers until then; "": it does not say."""
    live: str = ""
    """`yes` where nothing differed but tables that follow BGP sessions, of which few generations are kept."""

    @property
    def written(self) -> float:
        """When the entry was written by the primary's clock, seconds since 1970."""
        return int(self.id.partition("-")[0]) / 1000

    @property
    def why(self) -> str:
        """What was given as the reason of the rollback that holds it; "": none was, or nothing holds it."""
        return self.fields.get("held", "").partition(": ")[2].partition(": ")[2]

    @property
    def size(self) -> int:
        """Bytes that its publisher wrote, which is about what it replaced of the generation before; 0: not known."""
        return count(self.bytes)

    def size_since(self, older: Entry) -> int | None:
        """Bytes that were written after *older*, up to this one; None: they do not say."""
        then, now = count(older.total), count(self.total)
        return now - then if self.total and older.total and now >= then else None

    @property
    def most(self) -> int:
        """Bytes that its tables take at most, about: none takes more for a range."""
        ranges = sum(count(self.fields.get(f"{table}.ranges", "")) for table in TABLES)
        return RANGE_BYTES * ranges + (1 << 16)

    @property
    def generation(self) -> int:
        """Its number; 0 when the entry does not say it."""
        return count(self.fields.get("generation", ""))


def count(text: str) -> int:
    """A number as `current` and the history have it; 0 where it is not a valid count."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else 0


def entries(store: Store) -> list[Entry]:
    """All generations that are kept, oldest first; the last is the one published now.

    Raises: StoreError.
    """
    return [_entry(id_, fields) for id_, fields in store.call("XRANGE", store.keys.history, "-", "+")]


def last(store: Store) -> Entry | None:
    """The newest generation, or None."""
    newest = store.call("XREVRANGE", store.keys.history, "+", "-", "COUNT", 1)
    return _entry(*newest[0]) if newest else None


def addition(
    store: Store,
    current: Mapping[str, str],
    changed: str,
    who: str,
    when: str,
    *,
    size: int = 0,
    before: Entry | None = None,
    live: bool = False,
) -> Command:
    """The command that adds a generation.

    Args: size: bytes that were written to `object` for it; before: the newest one until now; live: as the field.
    """
    fields = {**current, "changed": changed, "who": who, "when": when, "bytes": str(size)}
    fields["total"] = str((count(before.total) if before else 0) + size)
    if live:
        fields["live"] = "yes"
    return ("XADD", store.keys.history, "*", *(word for pair in fields.items() for word in pair))


def writable(text: str) -> str:
    """Text of a command line as it can be written: what is not UTF-8 becomes replacement characters."""
    try:
        return text.encode(errors="surrogateescape").decode(errors="replace")
    except UnicodeEncodeError:  # half of a character, as JSON may have it
        return text.encode(errors="replace").decode()


def whoami() -> str:
    """`user@host`, for the history and for overrides; behind sudo the person who called it."""
    import getpass  # with terminals, which reading does not need

    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a uid without an account, as in a container
        user = str(os.getuid())
    return writable(f"{user}@{os.uname().nodename}")


def _entry(id_: bytes, raw: Mapping[bytes, bytes]) -> Entry:
    fields = texts(raw)
    notes = {name: fields.pop(name, "") for name in NOTES}
    return Entry(id=id_.decode(), fields=fields, **notes)
