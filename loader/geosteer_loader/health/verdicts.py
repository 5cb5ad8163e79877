"""What one prober says of one node, as JSON in the hash `verdict:<prober>`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geosteer_loader.health.thresholds import Health
from geosteer_loader.health.timestamps import maybe_time, stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

LIVES = 3
"""Intervals between probes after which a verdict that was not renewed has expired."""

STATES = ("up", "down")

TEXT = 200
"""Characters of a reason that are kept."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Where one check stands, for the next run to go on from."""

    health: Health
    checked: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One prober's word on one node. Times are seconds since 1970 by the primary's clock."""

    state: str | None = None
    """`up` or `down`; None: only a load is known."""
    since: float = 0.0
    """When this prober came to think so."""
    checked: float = 0.0
    """When it last looked; 0: never."""
    expires: float = 0.0
    """From then on it no longer counts among the fresh ones."""
    failing: bool = False
    """Up, but with failures that may yet take it down."""
    reason: str = ""
    warning: str = ""
    """What an operator should see to, such as a certificate that ends soon."""
    counters: Mapping[str, Counter] = field(default_factory=dict)
    """Check -> where it stands."""
    load: float | None = None
    """As a feed reported it, in the unit of the node's capacity."""
    loaded: float = 0.0
    """When it did; 0: never."""
    shed: float = 0.0
    """0..1: the part of its clients that the node gives away."""
    stepped: float = 0.0
    """When `shed` last changed."""

    def fresh(self, now: float) -> bool:
        """Whether its state counts."""
        return self.state is not None and now < self.expires

    def seen(self) -> float:
        """When its prober last said anything of the node."""
        return max(self.checked, self.loaded)

    def encode(self) -> str:
        """The JSON text; what says nothing is left out."""
        data: dict[str, Any] = {}
        if self.state is not None:
            data = {
                "state": self.state,
                "since": stamp(self.since),
                "checked": stamp(self.checked),
                "expires": stamp(self.expires),
            }
            if self.failing:
                data["failing"] = True
        data |= {key: text for key, text in (("reason", self.reason), ("warning", self.warning)) if text}
        if self.counters:
            data["counters"] = {name: _counter_out(one) for name, one in self.counters.items()}
        if self.load is not None:
            data |= {"load": self.load, "loaded": stamp(self.loaded), "shed": self.shed}
            if self.stepped:
                data["stepped"] = stamp(self.stepped)
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def decode(text: str | bytes) -> Verdict | None:
    """The verdict in a JSON text; None: it is none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    state = data.get("state")
    counters = data.get("counters")
    return Verdict(
        state=state if state in STATES else None,
        since=maybe_time(data.get("since")) or 0.0,
        checked=maybe_time(data.get("checked")) or 0.0,
        expires=maybe_time(data.get("expires")) or 0.0,
        failing=data.get("failing") is True,
        reason=str(data.get("reason") or "")[:TEXT],
        warning=str(data.get("warning") or "")[:TEXT],
        counters={
            name: counter
            for name, value in (counters.items() if isinstance(counters, dict) else ())
            if (counter := _counter_in(value)) is not None
        },
        load=_number(data.get("load")),
        loaded=maybe_time(data.get("loaded")) or 0.0,
        shed=min(max(_number(data.get("shed")) or 0.0, 0.0), 1.0),
        stepped=maybe_time(data.get("stepped")) or 0.0,
    )


def _counter_out(counter: Counter) -> dict[str, Any]:
    health = counter.health
    return {
        "state": "up" if health.up else "down",
        "failures": health.failures,
        "successes": health.successes,
        "checked": stamp(counter.checked),
    }


def _counter_in(value: Any) -> Counter | None:
    if not isinstance(value, dict) or value.get("state") not in STATES:
        return None
    failures, successes = _number(value.get("failures")), _number(value.get("successes"))
    checked = maybe_time(value.get("checked"))
    if checked is None or failures is None or successes is None:
        return None
    return Counter(Health(value["state"] == "up", max(int(failures), 0), max(int(successes), 0)), checked)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e15 else None  # no NaN, no infinity
