"""The command that checks what is published."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read
from typing import TYPE_CHECKING

import click

from geosteer_loader.cli import options

if TYPE_CHECKING:
    from geosteer_loader.verify.findings import Verdict


@click.command(
    epilog=options.examples("geosteer verify", "geosteer verify --sweep", "geosteer verify --json")
)
@click.option(
    "--sweep", "clean", is_flag=True, help="Remove what killed publishes left behind, and damaged objects."
)
@options.as_json
@options.common
@click.pass_context
def verify(ctx: click.Context, *, clean: bool, as_json: bool, config_path: Path | None) -> None:
    """Check everything that is published.

    The exit code is 1 when anything is wrong. Every page of every table is read: digests, order,
    coverage, prefix boundaries, records. A sample of addresses is compared with the sources, and the
    canaries are looked up as workers do it.
    """
    from geosteer_loader.store.store import connect
    from geosteer_loader.verify.verify import verify as run

    config = options.load(config_path)
    with connect(config.redis) as store:
        verdict = run(config, store, clean=clean)
    options.emit(verdict.as_json(), lambda: _told(verdict), json_wanted=as_json)
    ctx.exit(1 if verdict.problems else 0)


def _told(verdict: Verdict) -> str:
    from geosteer_loader.cli.text.formatting import columns

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
    lines.append(f"{len(verdict.problems)} problems" if verdict.problems else "all is well")
    return "\n".join(lines)
