"""This prober's results so far: the health of every check, and its own verdict on every node. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer_loader.health.thresholds import Health, step
from geosteer_loader.health.verdicts import LIVES, TEXT, Counter, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.health.checks.result import Result
    from geosteer_loader.health.watchlist import Check, Subject, Watchlist


@dataclass(slots=True)
class _Tally:
    """One check of one node."""

    health: Health
    checked: float
    reason: str = ""
    """Of the last result that was not good."""
    warning: str = ""
    seconds: float | None = None
    """How long the last probe took."""
    ends: float | None = None
    """When the certificate that was last shown ends."""


@dataclass(slots=True)
class _Entry:
    """One node."""

    tallies: dict[str, _Tally] = field(default_factory=dict)
    state: str | None = None
    since: float = 0.0
    reason: str = ""
    turned: float = 0.0
    """When it last turned from good to bad; 0: it is good, or was never good."""
    saved: tuple[dict[str, Health], str | None, float] | None = None
    """Healths, state and time as they were before it turned bad."""
    verdict: Verdict | None = None
    """As last given; None: something has changed since."""

    @property
    def good(self) -> bool:
        """Whether every check's last result was good."""
        return all(tally.health.last_good for tally in self.tallies.values())

    @property
    def failing(self) -> bool:
        return self.state == "up" and any(tally.health.failing for tally in self.tallies.values())


class Ledger:
    """The results of one prober."""

    def __init__(self, period: float = 0.0) -> None:
        """Args: period: seconds between two runs, where checks cannot be made more often."""
        self._period = period
        self._entries: dict[str, _Entry] = {}
        self._nodes: Mapping[str, Subject] = {}
        self._round = period

    def follow(self, watchlist: Watchlist, known: Mapping[str, Verdict]) -> None:
        """Check these nodes from now on. Args: known: this prober's verdicts of an earlier run."""
        self._nodes = {name: node for name, node in watchlist.nodes.items() if node.checks}
        self._round = max(watchlist.round, self._period)
        entries = {}
        for name, node in self._nodes.items():
            entry = self._entries.get(name) or _entry(known.get(name))
            labels = {check.label for check in node.checks}
            entry.tallies = {label: tally for label, tally in entry.tallies.items() if label in labels}
            entry.verdict = None
            entries[name] = entry
        self._entries = entries

    def last(self, node: str, check: Check) -> float | None:
        """When a check was last made, seconds since 1970, or None."""
        entry = self._entries.get(node)
        tally = entry.tallies.get(check.label) if entry else None
        return tally.checked if tally else None

    def note(self, node: str, check: Check, result: Result, now: float) -> bool:
        """Take in a result; whether it changed this prober's verdict on the node, times and counts apart."""
        entry = self._entries.get(node)
        if entry is None or result.good is None:
            return False  # no longer configured, or the check could not be made
        before = (entry.state, entry.failing)
        healths = {label: tally.health for label, tally in entry.tallies.items()}
        was_good = entry.good and bool(entry.tallies)
        tally = entry.tallies.get(check.label)
        health = step(tally.health if tally else None, result.good, check.profile)
        reason = result.reason if not result.good else tally.reason if tally else ""
        entry.verdict = None
        ends = result.ends if result.ends is not None or tally is None else tally.ends
        entry.tallies[check.label] = _Tally(
            health, now, reason[:TEXT], result.warning[:TEXT], result.seconds, ends
        )
        if was_good and not result.good:
            entry.turned, entry.saved = now, (healths, entry.state, entry.since)
        elif entry.good:
            entry.turned, entry.saved = 0.0, None
        self._conclude(entry, self._nodes[node], now)
        return (entry.state, entry.failing) != before

    def turned(self, now: float) -> tuple[int, int]:
        """Of the nodes checked within the last round, how many turned bad in it, and how many are good."""
        turned = good = 0
        for name, entry in self._entries.items():
            since = now - self._round - self._nodes[name].patience
            if entry.turned:
                turned += entry.turned >= since
            elif entry.tallies and entry.good:
                good += max(tally.checked for tally in entry.tallies.values()) >= since
        return turned, good

    def good(self) -> set[str]:
        """Nodes of which every check's last result was good."""
        return {name for name, entry in self._entries.items() if entry.tallies and entry.good}

    def take_back(self, now: float) -> None:
        """Forget the failures of the last round: they say something of this prober, not of the nodes."""
        for name, entry in self._entries.items():
            if entry.saved is None or entry.turned < now - self._round - self._nodes[name].patience:
                continue
            healths, entry.state, entry.since = entry.saved
            for label, tally in entry.tallies.items():
                tally.health = healths.get(label, Health(True))
            entry.turned, entry.saved = 0.0, None
            entry.reason, entry.verdict = "", None

    def verdict(self, node: str) -> Verdict | None:
        """The verdict on a node; None: not every check of it had a result yet."""
        entry = self._entries.get(node)
        if entry is None or entry.state is None or not entry.tallies:
            return None
        if entry.verdict is None:
            entry.verdict = self._verdict(entry, self._nodes[node])
        return entry.verdict

    def _verdict(self, entry: _Entry, node: Subject) -> Verdict:
        return Verdict(
            state=entry.state,
            since=entry.since,
            checked=max(tally.checked for tally in entry.tallies.values()),
            expires=self._expires(entry, node),
            failing=entry.failing,
            reason=entry.reason,
            warning="; ".join(tally.warning for tally in entry.tallies.values() if tally.warning)[:TEXT],
            counters={
                label: Counter(tally.health, tally.checked, tally.seconds, tally.ends)
                for label, tally in entry.tallies.items()
            },
        )

    def verdicts(self) -> dict[str, Verdict]:
        """Node -> verdict, of all nodes that have one."""
        verdicts = ((name, self.verdict(name)) for name in self._entries)
        return {name: verdict for name, verdict in verdicts if verdict is not None}

    def _expires(self, entry: _Entry, node: Subject) -> float:
        return max(
            tally.checked + LIVES * max(check.interval, self._period) + check.timeout
            for check in node.checks
            if (tally := entry.tallies.get(check.label))
        )

    def _conclude(self, entry: _Entry, node: Subject, now: float) -> None:
        """The worst check decides; before every check had a result, only a bad one does."""
        tallies = entry.tallies
        downs = [label for label, tally in tallies.items() if not tally.health.up]
        if downs:
            state: str | None = "down"
        elif all(check.label in tallies for check in node.checks):
            state = "up"
        else:
            state = entry.state
        if state != entry.state:
            entry.state, entry.since = state, now
        blamed = downs or [label for label, tally in tallies.items() if tally.health.failing]
        reasons = [f"{label}: {tallies[label].reason}" for label in blamed if tallies[label].reason]
        if not blamed or reasons:  # after a restart the single checks' reasons are not known
            entry.reason = "; ".join(reasons)[:TEXT]


def _entry(known: Verdict | None) -> _Entry:
    if known is None or known.state is None:
        return _Entry()
    tallies = {
        label: _Tally(counter.health, counter.checked, seconds=counter.seconds, ends=counter.ends)
        for label, counter in known.counters.items()
    }
    return _Entry(tallies=tallies, state=known.state, since=known.since, reason=known.reason)
