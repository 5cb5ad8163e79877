"""What a writer of node states has to say, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from geosteer_loader.health.transitions import Judgement
    from geosteer_loader.health.verdicts import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a writer has to say."""

    verdicts: Mapping[str, Verdict]
    """All that it thinks now; of other nodes it still thinks what it wrote earlier."""
    write: Collection[str] | None = None
    """The nodes of which to write it; None: of all."""
    counted: Mapping[str, Verdict] | None = None
    """What to judge by in place of `verdicts`, for a writer that withdraws them."""
    period: float | None = None
    """Seconds until its next beat; None: no beat."""


@dataclass(slots=True)
class Posted:
    """What came of it."""

    judgement: Judgement
    states: dict[str, dict[str, str]]
    """Node -> its hash before."""
    trouble: list[str] = field(default_factory=list)
    """What an operator should hear of."""
    beat: str = ""
    """The beat written; empty: none was."""
