"""The nodes as they are now, as far as decisions go: probe states and operators' overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.sync.node_states import Mirror
from geosteer_loader.store.foreign import FOREIGN
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from geosteer.keys import Keys
    from geosteer_loader.store.store import Command, Store


def questions(keys: Keys, nodes: Iterable[str]) -> list[Command]:
    """The commands whose replies `take_in` understands, to be sent together with others, *tolerant*."""
    return [("HGETALL", keys.override), *(("HGETALL", keys.node(name)) for name in nodes)]


def take_in(mirror: Mirror, nodes: Iterable[str], replies: Sequence[Any]) -> bool:
    """Bring *mirror* up to date with the replies to `questions`; returns whether anything changed.

    What was known last stays where a key holds something of another type, as workers do it.
    """
    changed = False
    if replies[0] is not FOREIGN:
        changed, _ = mirror.set_overrides(texts(replies[0]))
    for name, reply in zip(nodes, replies[1:], strict=True):
        if reply is not FOREIGN:
            changed = mirror.set_node(name, texts(reply)) or changed
    return changed


def read(store: Store, nodes: Iterable[str]) -> Mirror:
    """States and overrides of these nodes; one of which nothing is known may be absent. Raises: StoreError."""
    names = list(nodes)
    mirror = Mirror()
    take_in(mirror, names, store.pipe(questions(store.keys, names), tolerant=True))
    return mirror
