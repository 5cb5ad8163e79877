"""Replies made anew after a change of node states, for services that ask a single table, with as little as it takes."""

from __future__ import annotations

from geosteer.decision.node_state import NodeState
from geosteer.decision.shortlist import Shortlist, is_eligible
from geosteer.sync.decider import Memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from geosteer.decision.model import Node
    from geosteer.decision.shortlist import Chosen
    from geosteer.sync.tier import Tier
    from geosteer.zones import Entry, Names

    Template = tuple[bytes, int, int]
    """A reply with `%d` for the scope, how often, and where it is counted."""

REMEMBERED = 2048
"""Shortlists at most; as many replies, which differ by what was chosen."""
UNCOUNTED = -1
"""Instead of where a reply is counted: it was never given."""
DOWN = NodeState()
"""The state of a node that went down."""
DOWN.state = "down"


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
        """Service, tier and what was chosen -> the reply's `Template`."""

    def clear(self) -> None:
        """Forget it all, since another generation is in force."""
        self._lists.clear()
        self._left.clear()
        self._templates.clear()

    def template(self, name: str, record: str, names: Names) -> Template | None:
        """The reply of a service to clients of a record, as states are now; None: it is to be decided.

        Args: names: those of the generation in force.
        """
        tier = self._tier
        mirror, asked = tier.mirror, (name, record)
        shortlist = self._lists.get(asked) or self._of(name, record)
        if shortlist is None or mirror.ending or self._left.get(asked) == tier.version:
            return None
        chosen = shortlist.choose(mirror.states, tier.now())
        if chosen is None:
            self._left.keep(asked, tier.version)
            return None
        key = name, tier.name, chosen
        template: Template | None = self._templates.get(key)
        if template is None or template[2] == UNCOUNTED:
            entry = names.entries[name.encode()]
            slot = self._given(
                entry,
                tier.name,
                [(kind, nodes[0].name, layer.partition(" ")[0]) for kind, layer, nodes in _listed(chosen)],
            )
            text = template[:2] if template is not None else _text(names, entry, chosen)
            template = (*text, slot)
            if key in self._templates:
                self._templates[key] = template
            else:
                self._templates.keep(key, template)
        return template

    def prepare(self, name: str, record: str, names: Names) -> None:
        """Have at hand what `template` will need: as states are now, and as soon as the node that is given goes down."""
        tier = self._tier
        shortlist = self._of(name, record)
        if shortlist is None:
            return
        states, now = tier.mirror.states, tier.now()
        chosen = shortlist.choose(states, now)
        others = {**states, chosen[1][0][2][0].name: DOWN} if chosen is not None else states
        for choice in (chosen, shortlist.choose(others, now)):
            if choice is not None and (name, tier.name, choice) not in self._templates:
                text = _text(names, names.entries[name.encode()], choice)
                self._templates.keep((name, tier.name, choice), (*text, UNCOUNTED))

    def _of(self, name: str, record: str) -> Shortlist | None:
        """The shortlist of a service for clients of a record; None: such decisions take more."""
        lists, key = self._lists, (name, record)
        if key in lists:
            known: Shortlist | None = lists[key]
            return known
        generation = self._tier.generation
        service = generation.model.services.get(name) if generation is not None else None
        shortlist = None
        if generation is not None and service is not None and is_eligible(service):
            shortlist = Shortlist(service, generation.director.keys, record)
        lists.keep(key, shortlist)
        return shortlist


def _listed(chosen: Chosen) -> list[tuple[str, str, tuple[Node, ...]]]:
    """Each record type with its layer and nodes."""
    return [(kind, layer, nodes) for kinds, layer, nodes in chosen[1] for kind in kinds]


def _text(names: Names, entry: Entry, chosen: Chosen) -> tuple[bytes, int]:
    """The reply with `%d` for the scope, and how often."""
    answers = dict.fromkeys(
        [
            (kind, content)
            for kind, _, nodes in _listed(chosen)
            for node in nodes
            for content in node.contents(kind)
        ]
    )
    return names.template(entry, list(answers), chosen[0])
