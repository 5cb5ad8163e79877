"""When each node was last checked, by whichever writer, and what the checks warn of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from geosteer_loader.health.verdicts import decode

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from geosteer_loader.store.store import Store

LATE = 180.0
"""Seconds after a publish in which nodes may still wait for their first check."""


class LastCheck(NamedTuple):
    """The last check of a node, and what all writers together warn of."""

    age: float
    """Seconds since the newest verdict was given."""
    fresh: bool
    """One of the verdicts still counts."""
    warning: str
    """Of a fresh verdict: what an operator should see to, such as a certificate that ends soon."""


def last_checks(store: Store, now: float) -> dict[str, LastCheck]:
    """The last look at every node that ever had a verdict; *now* is the primary's time. Raises: StoreError."""
    keys = store.keys
    writers = sorted(store.hash(keys.beat, tolerant=True))
    last_checks_by_node: dict[str, LastCheck] = {}
    for fields in store.pipe([("HGETALL", keys.verdict(name)) for name in writers], tolerant=True):
        for name, text in fields.items():
            verdict, node = decode(text), name.decode(errors="replace")
            if verdict is None or verdict.state is None or not verdict.believable(now):
                continue
            fresh, age = verdict.fresh(now), max(now - verdict.checked, 0.0)
            last = last_checks_by_node.get(node, LastCheck(age, fresh, ""))
            warning = last.warning or (verdict.warning if fresh else "")
            last_checks_by_node[node] = LastCheck(min(age, last.age), fresh or last.fresh, warning)
    return last_checks_by_node


def alarms(seen: Mapping[str, LastCheck], checked: Collection[str], age: float) -> list[str]:
    """Lines for monitoring where nodes that have checks are not checked.

    Args: checked: nodes that have checks; age: seconds since they were published.
    """
    stale = [name for name in checked if name in seen and not seen[name].fresh]
    never = [name for name in checked if name not in seen] if age > LATE else []
    lines = [f"not checked any more: {_some(stale)}; their states are frozen"] if stale else []
    return lines + ([f"never checked: {_some(never)}; is a prober running?"] if never else [])


def _some(names: Collection[str]) -> str:
    first = sorted(names)[:5]
    return ", ".join(first) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
