"""Which nodes have more clients than their `max_share`, as the configuration document says, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def over_share(document: Mapping[str, Any]) -> list[str]:
    """A warning for each limit that the published offsets do not keep."""
    return [
        warning for name, spec in document.get("services", {}).items() for warning in _of_service(name, spec)
    ]


def _of_service(name: str, spec: Mapping[str, Any]) -> Iterator[str]:
    over, caps = spec.get("over_share"), spec.get("max_share")
    if not isinstance(over, dict) or not isinstance(caps, dict):
        return
    for node, figures in sorted(over.items()):
        try:
            share, bound, cap = (float(each) for each in (figures["share"], figures["bound"], caps[node]))
        except (KeyError, TypeError, ValueError):  # another version's
            continue
        if bound > cap:
            why = f"{bound:.1%} of the clients have no other node to go to, or no known place"
        else:
            why = "no distances were found that keep all limits of the service; give its nodes more room"
        yield (
            f"service {name}: node {node} has {share:.1%} of the clients, more than its max_share of {cap:.1%}: {why}"
        )
