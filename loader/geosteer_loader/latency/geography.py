"""Where networks belong: announced prefixes with their origins, and what table `geo` says of addresses.

Announced prefixes come from the sources of table `bgp`, since published ones are merged; those of live sources, which no file
has, from what is published. Places come from the published table, which costs a page each, or else from the sources.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

from geosteer.errors import StoreError
from geosteer.keys import root_field
from geosteer_loader.rtt.routes import Routes
from geosteer_loader.sources.prefix import split_range
from geosteer_loader.sources.report import Report
from geosteer_loader.sources.source import FAMILIES
from geosteer_loader.store import store as stores
from geosteer_loader.store.generation_view import View
from geosteer_loader.store.pages import Pages, read_table
from geosteer_loader.tables.origin_validation import load
from geosteer_loader.verify.reference import Oracle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer_loader.config.config import Config
    from geosteer_loader.store.store import Store

log = logging.getLogger(__name__)


class Geography:
    """What is known of networks besides their measurements."""

    def __init__(self, config: Config, now: float) -> None:
        """Args: now: seconds since 1970, for what runs out (ROAs)."""
        self._config = config
        self._now = now
        self._store: Store | None = None
        self._view: View | None = None
        self._oracle: Oracle | None = None

    def __enter__(self) -> Self:
        try:
            self._store = stores.connect(self._config.redis)
            self._view = View(self._store)
        except StoreError as exc:
            log.info("%s: places of networks come from the sources", exc)
        return self

    def __exit__(self, *_: object) -> None:
        if self._store is not None:
            self._store.close()

    def routes(self) -> dict[int, Routes]:
        """Address bits -> announced prefixes, each with the origin that counts first.

        Raises: SourceError: a source cannot be read. StoreError, CorruptPage: what is published of live sources cannot.
        """
        routes = {bits: Routes(bits) for bits in FAMILIES}
        sources = self._config.sources.get("bgp", ())
        if any(source.live is not None for source in sources):
            self._published(routes)
            return routes
        judged = load(self._config.rpki, self._now) if self._config.rpki is not None and sources else None
        for source in sources:
            opened = source.open("bgp", judged.vrps.authorised if judged is not None else None)
            for bits, first, length, record in opened.rows(Report()):
                routes[bits].add(first, length, origin_of(record))
        return routes

    def _published(self, routes: dict[int, Routes]) -> None:
        if self._view is None or self._store is None:
            return
        fields = self._store.hash(self._store.keys.current)
        for bits, each in routes.items():
            starts, records = read_table(Pages(self._store), bits, fields.get(root_field("bgp", bits)))
            for first, end, record in zip(starts, [*starts[1:], 1 << bits], records, strict=True):
                if record:
                    for start, length in split_range(bits, first, end - 1):
                        each.add(start, length, origin_of(record))

    def look_at(self, addresses: Iterable[tuple[int, int]]) -> None:
        """Addresses (with their bits) that `record` will be asked for. Raises: SourceError."""
        if self._view is not None and any(("geo", bits) in self._view.generation.trees for bits in FAMILIES):
            return
        wanted: dict[int, set[int]] = {bits: set() for bits in FAMILIES}
        for bits, address in addresses:
            wanted[bits].add(address)
        self._oracle = Oracle(
            self._config, "geo", {bits: sorted(each) for bits, each in wanted.items()}, self._now
        )

    def record(self, bits: int, address: int) -> str:
        """What table `geo` says of an address; "" where it says nothing. Raises: StoreError."""
        if self._oracle is not None:
            return self._oracle.record(bits, address)
        return self._view.cell("geo", bits, address)[0] if self._view is not None else ""


def origin_of(record: str) -> int:
    """The AS of a `bgp` record that counts first; 0: none."""
    first = record.partition(" ")[0].removeprefix("AS")
    return int(first) if first.isascii() and first.isdigit() else 0
