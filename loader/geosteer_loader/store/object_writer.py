"""Writing what Redis lacks: leaves first and roots last, so that below a page that is there all is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geosteer.errors import StoreError
from geosteer.keys import digest
from geosteer_loader.store.store import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from geosteer.tables.page_builder import Built
    from geosteer_loader.store.store import Command, Store


@dataclass(slots=True)
class Written:
    """What was written to `object`."""

    objects: int = 0
    size: int = 0
    """Bytes."""


class Writer:
    """Brings objects to Redis, and notices when others vanish from there meanwhile.

    From its beginning to the last `check` only this process may add or remove objects: hold the publisher's lock.
    """

    def __init__(self, store: Store, *, only_asks: bool = False) -> None:
        """Args: only_asks: it will write nothing, and runs as a user who may not."""
        self._store = store
        self._expected = 0 if only_asks else int(store.call("HLEN", store.keys.object))
        self.written = Written()

    def lacking(self, built: Built, *, thorough: bool = False) -> list[bytes]:
        """Digests of the pages that Redis lacks, in the order in which they have to be written.

        Asked from the root down, where a page that is there ends the descent; or *thorough*, for all pages and what lies
        there in their place.
        """
        if thorough:
            names = list(built.pages)
            stored = self._store.objects([name.hex() for name in names])
            return [
                name for name, data in zip(names, stored, strict=True) if data is None or digest(data) != name
            ]
        absent: set[bytes] = set()
        level = [built.root]
        while level:
            asked = list(dict.fromkeys(level))
            there = self._store.present([name.hex() for name in asked])
            missing = [name for name, present in zip(asked, there, strict=True) if not present]
            absent.update(missing)
            level = [
                child for name in missing for child in built.children.get(name, ()) if child not in absent
            ]
        return [name for name in built.pages if name in absent]

    def there(self, name: str) -> bool:
        """Whether an object, named by its hex digest, is in Redis."""
        return self._store.present([name])[0]

    def write_leaves(self, items: Mapping[str, bytes]) -> None:
        """Write objects that name no others; *items* are by hex digest."""
        for batch in self._batches(items):
            self._expected += int(self._store.call(*batch))

    def write_inner(self, items: Mapping[str, bytes]) -> None:
        """Write pages whose children are there by now, in the given order.

        Raises: StoreError: something vanished meanwhile, maybe a child; then none of a batch is written.
        """
        key = self._store.keys.object

        def prepared(batch: Command) -> Callable[[Callable[..., Any]], Sequence[Command]]:
            def prepare(run: Callable[..., Any]) -> Sequence[Command]:
                self.check(run)
                return [batch]

            return prepare

        for batch in self._batches(items):
            replies = self._store.transact((key,), prepared(batch))
            if replies is None:
                raise self._vanished()
            self._expected += int(replies[0])

    def check(self, run: Callable[..., Any]) -> None:
        """All that was there before, and all that was written, is there; *run* runs a command.

        Raises: StoreError: it is not, so a page that was found there may be gone, or have lost its children.
        """
        if int(run("HLEN", self._store.keys.object)) != self._expected:
            raise self._vanished()

    def _vanished(self) -> StoreError:
        return StoreError(
            f"{self._store.name}: objects vanished while others were written (flushed, or evicted by "
            "maxmemory-policy?); nothing was published, run it again"
        )

    def _batches(self, items: Mapping[str, bytes]) -> Iterator[Command]:
        names = list(items)
        for low in range(0, len(names), BATCH):
            batch = names[low : low + BATCH]
            self.written.objects += len(batch)
            self.written.size += sum(len(items[name]) for name in batch)
            words: list[str | bytes] = []
            for name in batch:
                words += (name, items[name])
            yield ("HSET", self._store.keys.object, *words)
