"""What is known of a node right now: its probe state and the operator's override, as they stand in Redis."""

from __future__ import annotations

from geosteer.cmodules import load_json
from geosteer.timestamps import parse_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

RAMP_FROM = 0.05
"""Share with which a node that came back begins."""


class Override:
    """An operator's word on a node."""

    __slots__ = ("percent", "state", "until")

    def __init__(self, state: str, percent: float = 0.0, until: float | None = None) -> None:
        self.state = state
        """`up`, `down` or `drain`."""
        self.percent = percent
        """Per cent of its clients that a drained node keeps."""
        self.until = until
        """When it ends, seconds since 1970, or None."""

    @classmethod
    def read(cls, text: str) -> Override:
        """From the JSON in the hash `override`.

        Raises: ValueError: not such a document.
        """
        data = load_json(text)
        if not isinstance(data, dict) or data.get("state") not in ("up", "down", "drain"):
            raise ValueError(f"not an override: {text[:80]}")
        state, percent, until = data["state"], data.get("percent"), data.get("until") or None
        if percent is None:
            percent = 0 if state == "drain" else 100
        if not isinstance(percent, int | float) or isinstance(percent, bool) or not 0 <= percent <= 100:
            raise ValueError(f"no per cent: {text[:80]}")
        if not isinstance(until, str | None):
            raise ValueError(f"no time: {text[:80]}")
        return cls(state, float(percent), parse_time(until) if until else None)


class NodeState:
    """Probe state of one node; an unknown one until something is known."""

    __slots__ = ("came_back", "failing", "override", "reason", "shed", "since", "state")

    def __init__(self) -> None:
        self.state = "unknown"
        """`up`, `down` or `unknown`."""
        self.since = 0.0
        """When it came back up, seconds since 1970; 0.0 where it did not."""
        self.reason = ""
        self.failing = False
        """Checks fail, but not yet often enough to call it down."""
        self.shed = 0.0
        """0..1: the part of its clients that a loaded node gives away."""
        self.came_back = False
        """It is up after having been down, so it ramps up."""
        self.override: Override | None = None

    def update(self, fields: Mapping[str, str]) -> None:
        """Take over the fields of the node's hash; what does not parse counts as absent."""
        state = fields.get("state", "unknown")
        self.state = state if state in {"up", "down"} else "unknown"
        self.reason = fields.get("reason", "")
        self.failing = fields.get("failing") == "yes"
        self.came_back = fields.get("before") == "down"
        self.since = 0.0
        if self.came_back:  # else nobody asks, and many workers read a change at once
            try:
                self.since = parse_time(fields["since"])
            except (KeyError, ValueError):
                pass
        try:
            shed = float(fields.get("shed", "0"))
        except ValueError:
            shed = 0.0
        self.shed = min(shed, 1.0) if shed > 0 else 0.0  # a NaN is not above 0

    def forced(self, now: float) -> Override | None:
        """The override, while it is in force."""
        override = self.override
        return override if override and (override.until is None or now < override.until) else None

    def share(self, now: float, ramp: float) -> float:
        """0..1: how much of its clients the node keeps: override percent x ramp x (1 - shed)."""
        share = self._full_share(now)
        if self.came_back and self.ramping(now, ramp):
            share *= max(RAMP_FROM, min(1.0, (now - self.since) / ramp))
        return share

    def ramping(self, now: float, ramp: float) -> bool:
        """Whether the node came back less than *ramp* seconds ago, so that its share grows by itself."""
        return ramp > 0 and self.came_back and self.state == "up" and now < self.since + ramp

    def reaches(self, share: float, now: float, ramp: float) -> float | None:
        """When the growing share reaches *share*, seconds since 1970, or None: never, by itself."""
        full = self._full_share(now)
        if not self.ramping(now, ramp) or share > full or full <= 0:
            return None
        return self.since + ramp * share / full

    def _full_share(self, now: float) -> float:
        if self.override is None:
            return 1.0 - self.shed
        override = self.forced(now)
        return (1.0 - self.shed) * (override.percent / 100 if override else 1.0)
