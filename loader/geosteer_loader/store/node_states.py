"""The nodes as they are now, as far as decisions go: probe states and operators' overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.sync.node_states import Mirror
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from geosteer.decision.node_state import NodeState
    from geosteer_loader.store.store import Store


def read_states(store: Store, nodes: Iterable[str]) -> Mapping[str, NodeState]:
    """Node -> its state; one of which nothing is known may be absent. Raises: StoreError."""
    mirror = Mirror()
    names = list(nodes)
    replies = store.pipe([("HGETALL", store.keys.node(name)) for name in names])
    for name, reply in zip(names, replies, strict=True):
        mirror.set_node(name, texts(reply))
    mirror.set_overrides(store.hash(store.keys.override))
    return mirror.states
