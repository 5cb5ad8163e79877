"""A brief look at a proposal that changes little: what the guards would say of it, without sweeping whole tables.

For tables of routes alone, with the configuration and all other tables as they are published. No client can move whose address
kept its record; so where all addresses that did not are at most `max_impact` of those that the table knew, the guard of that
name has nothing to say, whatever the services make of it. `max_shrink` is counted in full, from what is known of pages that
did not change. Everything else needs the whole look (`publish.guards.examine`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.errors import CorruptPage
from geosteer.keys import FAMILIES, root_field
from geosteer_loader.impact.coverage import Tally
from geosteer_loader.impact.table_diff import changes
from geosteer_loader.publish.guards import Examination
from geosteer_loader.publish.refusals import TableShrank
from geosteer_loader.store.pages import outline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.config.config import Config
    from geosteer_loader.publish.proposal import Proposal
    from geosteer_loader.store.pages import Pages
    from geosteer_loader.store.store import Store
    from geosteer_loader.tables.build import Table

TABLES = frozenset({"bgp", "path"})
"""Tables that may change so."""
FORGET = 4
"""What is known of pages is dropped when there are so many times more of them than the tables have."""


class BriefLook:
    """Looks at one proposal after the other, and remembers what pages hold."""

    def __init__(self) -> None:
        self._pages: Pages
        self._tally = Tally(self._page, lambda _record: "known")

    def examine(self, store: Store, config: Config, proposal: Proposal) -> Examination | None:
        """What there is to say; None: the whole look is needed. Raises: StoreError."""
        changed = [table for table in proposal.tables if table.name in proposal.changed]
        before = proposal.before
        if (
            not changed
            or not TABLES.issuperset(proposal.changed)
            or proposal.known.unreadable
            or proposal.known.document is None
            or any(table.kept or root_field(table.name, 32) not in before for table in changed)
        ):
            return None
        self._pages = pages = proposal.pages(store)
        self._tally.forget(FORGET * sum(len(built.pages) for table in changed for built in table.pages))
        try:
            return self._examine(config, proposal, changed, pages)
        except CorruptPage:
            return None

    def _page(self, name: str) -> bytes | None:
        return self._pages.get(name)

    def _examine(
        self, config: Config, proposal: Proposal, changed: Sequence[Table], pages: Pages
    ) -> Examination | None:
        examination = Examination()
        for suffix, bits in FAMILIES.items():
            moved, known = 0, None
            for table in changed:
                field = root_field(table.name, bits)
                old, new = proposal.before.get(field), table.fields[field]
                if old is None or old == new:
                    continue
                had, has = self._tally.count(old).total(), self._tally.count(new).total()
                if has < had * (1 - config.guard.max_shrink):
                    examination.findings.append(
                        TableShrank(table.name, suffix, had, has, config.guard.max_shrink)
                    )
                known = had if known is None else min(known, had)
                moved += sum(
                    end - start
                    for start, end, _, _ in changes(
                        pages, outline(pages, bits, old), outline(pages, bits, new)
                    )
                )
            if known is not None and moved > known * config.guard.max_impact:
                return None
        return examination
