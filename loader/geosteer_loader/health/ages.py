"""How long ago anybody looked at each node, for those who show states: they freeze when nobody does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.health.verdicts import decode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer_loader.store import Store


def unchecked(store: Store, now: float) -> dict[str, float]:
    """Nodes of which no verdict is fresh, with the seconds since the newest one was given.

    *now* is the primary's time. A node that never had a verdict is not there. Raises: StoreError.
    """
    keys = store.keys
    writers = sorted(store.hash(keys.beat))
    newest: dict[str, float] = {}
    fresh: set[str] = set()
    for fields in store.pipe([("HGETALL", keys.verdict(name)) for name in writers]):
        for name, text in fields.items():
            verdict, node = decode(text), name.decode(errors="replace")
            if verdict is None or verdict.state is None:
                continue
            newest[node] = max(verdict.checked, newest.get(node, 0.0))
            if verdict.fresh(now):
                fresh.add(node)
    return {node: max(now - checked, 0.0) for node, checked in newest.items() if node not in fresh}


def alarm(unchecked: Iterable[str], checked: Iterable[str]) -> str:
    """One line for monitoring when nodes that have checks are not looked at; "" when all are."""
    forgotten = sorted(set(unchecked) & set(checked))
    if not forgotten:
        return ""
    shown = ", ".join(forgotten[:5]) + (f" and {len(forgotten) - 5} more" if len(forgotten) > 5 else "")
    return f"nobody checks {shown}: their states are frozen"
