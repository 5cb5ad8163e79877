"""What a publish refuses, each by its own name and with its figures: a hold, and every guard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.errors import Refused
from geosteer_loader.percent import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.impact.vanished import Vanished


class Held(Refused):
    """A rollback left a hold, which an operator has not released yet."""

    def __init__(self, store: str, held: str) -> None:
        super().__init__(f"{store}: held: {held}; `geosteer publish --release` ends it")
        self.who, _, rest = held.partition(" ")
        """`user@host`."""
        self.when, _, self.why = rest.partition(": ")
        """ISO 8601 UTC; and what was gone back to, with the operator's words."""


class Overtaken(Refused):
    """A source changed while it was read: what was read of it is not published."""


class GuardRefused(Refused):
    """A guard says no; `--force` with its name overrules it."""

    guard = ""
    """Its name, as `--force` takes it."""

    def __init__(self, finding: str) -> None:
        super().__init__(refusal([self.guard], [f"{self.guard}: {finding}"]))
        self.finding = finding
        """What it found, in words."""


class SeveralRefused(Refused):
    """Several guards say no, or one does for several reasons."""

    def __init__(self, findings: Sequence[GuardRefused]) -> None:
        super().__init__(
            refusal(
                [finding.guard for finding in findings],
                [f"{finding.guard}: {finding.finding}" for finding in findings],
            )
        )
        self.findings = tuple(findings)


def refusal(guards: Sequence[str], lines: Sequence[str]) -> str:
    """The findings, and how to overrule them."""
    force = " ".join(f"--force {name}" for name in dict.fromkeys(guards))
    return "\n".join([*lines, f"nothing was published; if this is right: geosteer publish {force}"])


class TableShrank(GuardRefused):
    """A table would cover much less of the address space."""

    guard = "max_shrink"

    def __init__(self, table: str, family: str, before: int, after: int, limit: float) -> None:
        share = 1 - after / before
        super().__init__(
            f"table {table}.{family} would lose {percent(share)} of the addresses that it covers (limit {percent(limit)})"
        )
        self.table, self.family = table, family
        self.before, self.after = before, after
        """Addresses covered."""
        self.limit = limit
        """The share that may be lost, 0..1."""


class CountryChanged(GuardRefused):
    """A country that a map names would lose or gain many of its addresses."""

    guard = "max_country_change"

    def __init__(self, country: str, family: str, before: int, after: int, limit: float) -> None:
        word = "gain" if after > before else "lose"
        share = abs(after - before) / before
        super().__init__(
            f"{country}, which a map names, would {word} {percent(share)} of its {family} addresses (limit {percent(limit)})"
        )
        self.country, self.family = country, family
        self.before, self.after = before, after
        """Its addresses."""
        self.limit = limit
        """The share that may change, 0..1."""


class EmptyCountry(GuardRefused):
    """A country that a map names would lose all its addresses."""

    guard = "empty_country"

    def __init__(self, country: str, family: str, before: int) -> None:
        super().__init__(f"{country}, which a map names, would lose all its {family} addresses")
        self.country, self.family, self.before = country, family, before


class ImpactTooHigh(GuardRefused):
    """Many clients would get another node, whatever the cause: tables or configuration."""

    guard = "max_impact"

    def __init__(self, services: str, family: str, share: float, limit: float) -> None:
        super().__init__(
            f"{services}: {percent(share)} of the {family} clients would get another node "
            f"(limit {percent(limit)})"
        )
        self.services, self.family = services, family
        self.share, self.limit = share, limit
        """Of the clients, 0..1."""


class GoneAltogether(GuardRefused):
    """A zone, a service, a node in use, a whole table or a record that is published would not be any more."""

    guard = "vanished"

    def __init__(self, gone: Vanished) -> None:
        super().__init__(f"would be gone: {gone}")
        self.zones, self.services = gone.zones, gone.services
        self.nodes, self.tables, self.records = gone.nodes, gone.tables, gone.records
        """Their names."""


class CanaryFailed(GuardRefused):
    """An address is not in the country where it is known to be."""

    guard = "canaries"

    def __init__(self, address: str, wanted: str, record: str | None) -> None:
        super().__init__(
            f"{address}: there is no table geo"
            if record is None
            else f"{address} has {record or 'no record'}, not {wanted}"
        )
        self.address, self.wanted = address, wanted
        self.record = record
        """What the table says of it, "" for nothing; None without a table."""


GUARDS = tuple(
    kind.guard
    for kind in (TableShrank, CountryChanged, ImpactTooHigh, EmptyCountry, CanaryFailed, GoneAltogether)
)
"""Names of the guards, as `--force` takes them."""
