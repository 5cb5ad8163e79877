"""What `geosteer verify` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from geosteer_loader.cli.text.formatting import columns

if TYPE_CHECKING:
    from geosteer_loader.verify.findings import Verdict


def text(verdict: Verdict) -> str:
    """The whole verdict."""
    lines = [f"generation {verdict.generation}"]
    if verdict.tables:
        rows = [
            (name, counts["pages"], counts["ranges"], counts["compared"])
            for name, counts in verdict.tables.items()
        ]
        lines.append(columns(("TABLE", "PAGES", "RANGES", "ADDRESSES COMPARED"), rows))
    lines += [click.style(f"note: {note}", fg="yellow") for note in verdict.notes]
    if verdict.orphans is not None:
        lines.append(f"{verdict.orphans} orphans, {verdict.damaged} damaged objects removed")
    lines += [click.style(f"{problem.where}: {problem.what}", fg="red") for problem in verdict.problems]
    lines.append(f"{len(verdict.problems)} problems" if verdict.problems else "no problems")
    return "\n".join(lines)
