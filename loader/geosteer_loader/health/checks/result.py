"""The result of one probe."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one probe of one check."""

    good: bool | None
    """None: the prober could not look, which says nothing of the node."""
    reason: str = ""
    """Why it is not good."""
    warning: str = ""
    """It is good, but an operator should see to this."""
    seconds: float | None = field(default=None, compare=False)
    """How long it took; None: not measured."""
    ends: float | None = field(default=None, compare=False)
    """When the server's certificate ends, seconds since 1970; None: it showed none, or was not reached."""
