"""What one prober says of one node, as JSON in the hash `verdict:<prober>`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geosteer.timestamps import format_time, format_time_ms, maybe_time
from geosteer_loader.config.values import YEAR
from geosteer_loader.health.terms import AHEAD, DAY, DOWN, STATES, UP
from geosteer_loader.health.thresholds import Health

if TYPE_CHECKING:
    from collections.abc import Mapping

LIVES = 3
"""Intervals between probes after which a verdict that was not renewed has expired."""

TEXT = 200
"""Characters of a reason that are kept."""

LONGEST_LIFE = LIVES * YEAR + DAY
"""Seconds; no verdict is good for longer, whatever the interval of its check or the period of its feed."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Where one check stands, for the next run to go on from."""

    health: Health
    checked: float
    """Seconds since 1970."""
    seconds: float | None = None
    """How long the last probe took; None: not known."""
    ends: float | None = None
    """When the certificate that the server last showed ends, seconds since 1970; None: it showed none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One prober's verdict on one node. Times are seconds since 1970 by the primary's clock."""

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
    """What an operator should see to, such as a certificate that expires soon."""
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

    def believable(self, now: float) -> bool:
        """Whether its times can be true: what a far future says would never expire, or never be checked again."""
        latest = max(self.since, self.checked, self.loaded, self.stepped)
        return (
            latest <= now + AHEAD
            and self.expires <= now + LONGEST_LIFE
            and all(counter.checked <= now + AHEAD for counter in self.counters.values())
        )

    def seen(self) -> float:
        """When its prober last said anything of the node."""
        return max(self.checked, self.loaded)

    def encode(self) -> str:
        """The JSON text; what is unknown is left out."""
        data: dict[str, Any] = {}
        if self.state is not None:
            data = {
                "state": self.state,
                "since": format_time_ms(self.since),
                "checked": format_time_ms(self.checked),
                "expires": format_time_ms(self.expires),
            }
            if self.failing:
                data["failing"] = True
        data |= {key: text for key, text in (("reason", self.reason), ("warning", self.warning)) if text}
        if self.counters:
            data["counters"] = {label: _counter_out(counter) for label, counter in self.counters.items()}
        if self.load is not None:
            data |= {"load": self.load, "loaded": format_time_ms(self.loaded), "shed": self.shed}
            if self.stepped:
                data["stepped"] = format_time_ms(self.stepped)
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def decode(text: str | bytes) -> Verdict | None:
    """The verdict in a JSON text; None: not a verdict."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    state = data.get("state")
    counters = data.get("counters")
    loaded = maybe_time(data.get("loaded"))
    return Verdict(
        state=state if state in STATES else None,
        since=maybe_time(data.get("since")) or 0.0,
        checked=maybe_time(data.get("checked")) or 0.0,
        expires=maybe_time(data.get("expires")) or 0.0,
        failing=data.get("failing") is True,
        reason=_text(data.get("reason")),
        warning=_text(data.get("warning")),
        counters={
            label: counter
            for label, value in (counters.items() if isinstance(counters, dict) else ())
            if (counter := _counter_in(value)) is not None
        },
        load=_number(data.get("load")),
        loaded=loaded or 0.0,
        # Without the time of the load nobody can tell how long the shed is to hold.
        shed=min(max(_number(data.get("shed")) or 0.0, 0.0), 1.0) if loaded is not None else 0.0,
        stepped=maybe_time(data.get("stepped")) or 0.0,
    )


def _text(value: object) -> str:
    """Text that can be written again as UTF-8: JSON may name halves of characters."""
    return value[:TEXT].encode(errors="replace").decode() if isinstance(value, str) else ""


def _counter_out(counter: Counter) -> dict[str, Any]:
    health = counter.health
    data: dict[str, Any] = {
        "state": UP if health.up else DOWN,
        "failures": health.failures,
        "successes": health.successes,
        "checked": format_time_ms(counter.checked),
    }
    if counter.seconds is not None:
        data["seconds"] = round(counter.seconds, 3)
    if counter.ends is not None:
        data["certificate_ends"] = format_time(counter.ends)
    return data


def _counter_in(value: Any) -> Counter | None:
    if not isinstance(value, dict) or value.get("state") not in STATES:
        return None
    failures, successes = _number(value.get("failures")), _number(value.get("successes"))
    checked = maybe_time(value.get("checked"))
    if checked is None or failures is None or successes is None:
        return None
    seconds, ends = _number(value.get("seconds")), maybe_time(value.get("certificate_ends"))
    health = Health(value["state"] == UP, max(int(failures), 0), max(int(successes), 0))
    return Counter(health, checked, seconds if seconds is None or 0 <= seconds < YEAR else None, ends)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e15 else None  # no NaN, no infinity
