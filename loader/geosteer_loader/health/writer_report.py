"""What a writer of node states posts, and the outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from geosteer_loader.health.transitions import Judgement
    from geosteer_loader.health.verdicts import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a writer posts."""

    verdicts: Mapping[str, Verdict]
    """Its current verdicts; on other nodes its earlier ones still stand."""
    write: Collection[str] | None = None
    """Nodes whose verdicts are to be written; None: all."""
    counted: Mapping[str, Verdict] | None = None
    """What to judge by in place of `verdicts`, for a writer that withdraws them."""
    period: float | None = None
    """Seconds until its next beat; None: no beat."""


@dataclass(slots=True)
class PostResult:
    """The outcome of a post."""

    judgement: Judgement
    states: dict[str, dict[str, str]]
    """Node -> its hash before."""
    trouble: list[str] = field(default_factory=list)
    """What an operator has to know, one line each."""
    beat: str = ""
    """The beat written; empty: none was."""
