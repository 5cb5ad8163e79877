"""Writing events: inside the transaction of the change where there is one. What cannot be written never stops a change."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from geosteer.errors import StoreError
from geosteer_loader.store.history import whoami, writable
from geosteer_loader.store.store import Aside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer_loader.journal.events import Note
    from geosteer_loader.store.store import Command, Store


_INSTALLED = re.compile(r"geosteer-(.+)\.dist-info")


@cache
def program() -> str:
    """The version of this program, which decides by its own policies."""
    for folder in sys.path:  # as importlib.metadata looks for it, whose import takes longer than an override
        with suppress(OSError):
            for name in os.listdir(folder):  # noqa: PTH208  # pathlib objects are not needed
                found = _INSTALLED.fullmatch(name)
                if found:
                    return found[1]
    return "unknown"  # run from a folder that was never installed


def additions(store: Store, notes: Iterable[Note], at: float) -> list[Command]:
    """The commands that add events to the journal, for the transaction of the change that they tell of.

    Args: at: the primary's time, seconds since 1970.
    """
    who, by = whoami(), program()
    return [
        Aside(
            (
                "XADD", store.keys.journal, "MAXLEN", "~", store.journal_length, "*",
                *map(writable, note.fields(at, who, by)),
            )
        )
        for note in notes
    ]  # fmt: skip


def note(store: Store, notes: Iterable[Note], at: float | None = None) -> None:
    """Add events that go with no change in Redis; a warning is logged where that fails."""
    try:
        store.pipe(additions(store, notes, store.now() if at is None else at))
    except StoreError as exc:
        store.warn_once(f"the journal is not written: {exc}")


def trim(store: Store, keep: float) -> None:
    """Cut off what is older than *keep* seconds, all but the newest event of those: so it shows that no more was cut.

    Raises: StoreError.
    """
    oldest = int((store.now() - keep) * 1000)
    last = store.call("XREVRANGE", store.keys.journal, oldest, "-", "COUNT", 1)
    if last:
        store.call("XTRIM", store.keys.journal, "MINID", "~", last[0][0])
