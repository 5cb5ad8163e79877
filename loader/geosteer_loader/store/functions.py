"""The Redis Function library: lookups for `redis-cli` and for programs without a client library."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

from geosteer.keys import FUNCTION_LIBRARY

if TYPE_CHECKING:
    from geosteer_loader.store.store import Store

_VERSION = re.compile(rb"^-- version (\d+)$", re.MULTILINE)


def code() -> bytes:
    """The library's Lua source, as shipped."""
    return resources.files("geosteer_loader.store").joinpath("geosteer.lua").read_bytes()


def version(source: bytes) -> int:
    """The version that a library's source states; 0 when it states none."""
    stated = _VERSION.search(source)
    return int(stated[1]) if stated else 0


def load(store: Store) -> bool:
    """Load the library where it is absent or older; whether it was loaded.

    All prefixes and databases of a server share one library, so a newer one of another loader is left alone.
    Raises: StoreError: the server has no functions (before Redis 7) or does not let us.
    """
    ours = code()
    theirs = _loaded(store)
    if theirs is not None and version(theirs) >= version(ours):
        return False
    store.call("FUNCTION", "LOAD", "REPLACE", ours)
    return True


def _loaded(store: Store) -> bytes | None:
    for library in store.call("FUNCTION", "LIST", "LIBRARYNAME", FUNCTION_LIBRARY, "WITHCODE"):
        fields = dict(zip(library[::2], library[1::2], strict=True))
        return bytes(fields[b"library_code"])
    return None
