"""What `geosteer publish` did, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.cli.text.formatting import size

if TYPE_CHECKING:
    from geosteer_loader.publish.publish import Outcome


def text(outcome: Outcome) -> str:
    """One line."""
    written, gone = outcome.written, outcome.collected
    summary = f"nothing changed: generation {outcome.generation} stays"
    if outcome.changed:
        summary = f"generation {outcome.generation} published: {', '.join(outcome.changed)}"
        summary += f"; {written.objects} objects, {size(written.size)} written"
    if outcome.replicas:
        summary += f"; confirmed by {outcome.confirmed} of {outcome.replicas} replicas"
    if gone.objects or gone.generations:
        summary += f"; {gone.generations} old generations, {gone.objects} objects removed"
    if gone.orphans:
        summary += f"; {gone.orphans} forgotten objects removed"
    return f"{summary}; {outcome.seconds:.1f} s" if outcome.changed else summary
