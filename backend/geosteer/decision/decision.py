"""What a decision says."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from geosteer.decision.model import Node


class Decision:
    """Which nodes one client gets for one service."""

    __slots__ = (
        "answer", "asked", "declined", "layer", "loud", "matched", "memo", "refused", "scope", "scopes", "split", "split_by",
        "trace", "ttl", "valid_until",
    )  # fmt: skip

    def __init__(self) -> None:
        self.answer: dict[str, tuple[Node, ...]] = {}
        """Record type (A, AAAA or CNAME) -> chosen nodes, best first."""
        self.layer: dict[str, str] = {}
        """Record type -> the layer that answered, with its key: `countries GB`."""
        self.matched: dict[str, tuple[str, int]] = {}
        """Table -> record and prefix length, for the tables consulted."""
        self.asked: dict[str, Mapping[str, tuple[str, int]]] = {}
        """Record type -> the part of *matched* that its part of the answer needed."""
        self.scopes: dict[str, int] = {}
        """Record type -> prefix length around the client in which its part of the answer holds; never 0."""
        self.scope = 1
        """The narrowest of them: the whole answer holds there."""
        self.split_by: dict[str, bool] = {}
        """Record type -> whether a hash of the client's network or a draw settled its part of the answer."""
        self.split = False
        """Whether one settled any part."""
        self.memo = True
        """The same question may get the same answer until something changes; false for draws."""
        self.ttl = 0
        """Seconds."""
        self.valid_until: float | None = None
        """When the answer changes by itself, seconds since 1970."""
        self.refused = False
        """No node may be given: `all_down = "none"`."""
        self.loud = ""
        """What an operator must hear of, "" if nothing."""
        self.trace: list[dict[str, Any]] = []
        """Candidates met, with the reason why not; filled on request."""
        self.declined: list[tuple[str, str, float]] = []
        """Record type, name and share of candidates that may serve but do not keep this client; filled on request."""

    def records(self) -> list[tuple[str, str]]:
        """Type and content of every record of the answer, once each."""
        contents = [
            (kind, content)
            for kind, nodes in self.answer.items()
            for node in nodes
            for content in node.contents(kind)
        ]
        return list(dict.fromkeys(contents))


def note_change(decision: Decision, when: float) -> None:
    """The answer changes by itself at *when*, if not before."""
    if decision.valid_until is None or when < decision.valid_until:
        decision.valid_until = when
