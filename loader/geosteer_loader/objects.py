"""Writing what Redis lacks: leaves first and roots last, so that below a page that is there all is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer.errors import StoreError
from geosteer_loader.store import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer.trie import Built
    from geosteer_loader.store import Store


@dataclass(slots=True)
class Written:
    """What was written to `object`."""

    objects: int = 0
    size: int = 0
    """Bytes."""


class Writer:
    """Brings objects to Redis, and notices when others vanish from there meanwhile.

    From its beginning to `settled` only this process may add or remove objects: hold the publisher's lock.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._expected = self._count()
        self.written = Written()

    def lacking(self, built: Built) -> list[bytes]:
        """Digests of the pages that Redis lacks, in the order in which they have to be written.

        Asked from the root down: a page that is there ends the descent.
        """
        absent: set[bytes] = set()
        level = [built.root]
        while level:
            asked = list(dict.fromkeys(level))
            there = self._store.present([name.hex() for name in asked])
            missing = [name for name, found in zip(asked, there, strict=True) if not found]
            absent.update(missing)
            level = [
                child for name in missing for child in built.children.get(name, ()) if child not in absent
            ]
        return [name for name in built.pages if name in absent]

    def there(self, name: str) -> bool:
        """Whether an object, named by its hex digest, is in Redis."""
        return self._store.present([name])[0]

    def write(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Write objects in the given order, each named by its hex digest."""
        batch: list[str | bytes] = []
        for name, data in items:
            batch += (name, data)
            self.written.objects += 1
            self.written.size += len(data)
            if len(batch) >= 2 * BATCH:
                self._send(batch)
                batch = []
        if batch:
            self._send(batch)

    def settled(self) -> None:
        """Nothing that was there before has gone.

        Raises: StoreError: something has, so what was found there may be gone: Redis evicts, or was emptied.
        """
        if self._count() != self._expected:
            raise StoreError(
                f"{self._store.name}: objects vanished while others were written (flushed, or evicted by "
                "maxmemory-policy?); nothing was published, run it again"
            )

    def _send(self, batch: list[str | bytes]) -> None:
        self._expected += int(self._store.call("HSET", self._store.keys.object, *batch))

    def _count(self) -> int:
        return int(self._store.call("HLEN", self._store.keys.object))
