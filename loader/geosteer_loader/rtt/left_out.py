"""How much of what was measured a window did not go by: what light cannot do, and what rules against forgery leave out."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from geosteer_loader.rtt.estimate import UNROUTED

if TYPE_CHECKING:
    from collections.abc import Hashable

    from geosteer_loader.rtt.estimate import Network, Rules


class LeftOut:
    """Counts while networks go by; weights, decayed by the half-life."""

    REASONS = ("glass", "cap", "quorum")

    def __init__(self, rules: Rules) -> None:
        """Args: rules: cap and quorum."""
        self._rules = rules
        self._glass = 0.0
        self._cap = 0.0
        self._systems: defaultdict[tuple[int, str, int, str], float] = defaultdict(float)
        self._voters: defaultdict[tuple[int, str, int, str], set[Hashable]] = defaultdict(set)

    def too_fast(self, weight: float) -> None:
        """Samples that light cannot have made."""
        self._glass += weight

    def network(self, network: Network) -> None:
        """What counts of a network."""
        for node, value in network.measured.items():
            self._cap += max(0.0, value.samples - self._rules.cap)
            if network.asn != UNROUTED:
                key = network.asn, network.country, network.family, node
                self._systems[key] += value.samples
                self._voters[key].add(network.voter)

    def weights(self) -> dict[str, float]:
        """Reason -> samples.

        Faster than light (`glass`), more than a network counts for (`cap`), or of an AS that has too few (`quorum`).
        """
        quorum = sum(
            weight
            for key, weight in self._systems.items()
            if weight < self._rules.samples or len(self._voters[key]) < self._rules.networks
        )
        return dict(zip(self.REASONS, (self._glass, self._cap, quorum), strict=True))
