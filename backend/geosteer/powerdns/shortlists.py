"""Replies made anew after a change of node states, for services that ask a single table, with as little as it takes."""

from __future__ import annotations

from geosteer.decision.shortlist import Shortlist, is_eligible
from geosteer.sync.decider import Memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from geosteer.sync.tier import Tier
    from geosteer.zones import Entry, Names

REMEMBERED = 2048
"""Shortlists at most; as many replies, which differ by what was chosen."""


class Shortlists:
    """Whom services may give to the clients of a record, and the replies to these; it all goes with one generation."""

    __slots__ = ("_given", "_left", "_lists", "_templates", "_tier")

    def __init__(
        self, tier: Tier, given: Callable[[Entry, str, Iterable[tuple[str, str, str]]], int]
    ) -> None:
        """Args: given: where an answer is counted, by its name, tier, and record type, first node and layer of each type."""
        self._tier, self._given = tier, given
        self._lists = Memory(REMEMBERED)
        """Service and record -> its shortlist; None: such decisions take more."""
        self._left = Memory(REMEMBERED)
        """Service and record -> the tier's version in which it was to be decided."""
        self._templates = Memory(REMEMBERED)
        """Service, tier and what was chosen -> a reply with `%d` for the scope, how often, and where it is counted."""

    def clear(self) -> None:
        """Forget it all, since another generation is in force."""
        self._lists.clear()
        self._left.clear()
        self._templates.clear()

    def template(self, name: str, record: str, names: Names) -> tuple[bytes, int, int] | None:
        """The reply of a service to clients of a record, as states are now; None: it is to be decided.

        Args: names: those of the generation in force.
        """
        tier, lists = self._tier, self._lists
        generation = tier.generation
        shortlist = lists.get((name, record), lists)
        if shortlist is lists:
            service = generation.model.services.get(name) if generation is not None else None
            shortlist = None
            if generation is not None and service is not None and is_eligible(service):
                shortlist = Shortlist(service, generation.director.keys, record)
            lists.keep((name, record), shortlist)
        if shortlist is None or tier.mirror.ending or self._left.get((name, record)) == tier.version:
            return None
        chosen = shortlist.choose(tier.mirror.states, tier.now())
        if chosen is None:
            self._left.keep((name, record), tier.version)
            return None
        key = name, tier.name, chosen
        template: tuple[bytes, int, int] | None = self._templates.get(key)
        if template is None:
            entry = names.entries[name.encode()]
            ttl, parts = chosen
            listed = [(kind, layer, nodes) for kinds, layer, nodes in parts for kind in kinds]
            answers = dict.fromkeys(
                [
                    (kind, content)
                    for kind, _, nodes in listed
                    for node in nodes
                    for content in node.contents(kind)
                ]
            )
            slot = self._given(
                entry,
                tier.name,
                [(kind, nodes[0].name, layer.partition(" ")[0]) for kind, layer, nodes in listed],
            )
            template = (*names.template(entry, list(answers), ttl), slot)
            self._templates.keep(key, template)
        return template
