"""What `geosteer publish` did, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.cli.text.formatting import size

if TYPE_CHECKING:
    from geosteer_loader.publish.publish import Outcome


def text(outcome: Outcome) -> str:
    """One line."""
    written, gone = outcome.written, outcome.collected
    told = f"nothing changed: generation {outcome.generation} stays"
    if outcome.changed:
        told = f"generation {outcome.generation} published: {', '.join(outcome.changed)}"
        told += f"; {written.objects} objects, {size(written.size)} written"
    if outcome.replicas:
        told += f"; {outcome.confirmed} of {outcome.replicas} replicas have it"
    if gone.objects or gone.generations:
        told += f"; {gone.generations} old generations, {gone.objects} objects removed"
    if gone.orphans:
        told += f"; {gone.orphans} forgotten objects removed"
    return f"{told}; {outcome.seconds:.1f} s" if outcome.changed else told
