"""`geosteer history`: the generations that are kept."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read

import click

from geosteer_loader.cli import options


@click.command(epilog=options.examples("geosteer history", "geosteer history --json"))
@click.option("--full", is_flag=True, help="Fold nothing, cut nothing.")
@options.as_json
@options.common
def history(*, full: bool, as_json: bool, config_path: Path | None) -> None:
    """List the generations that are kept.

    The newest comes first, each with what changed, who published it, and when.
    """
    from geosteer_loader.cli.text.history import text
    from geosteer_loader.query.generations import kept

    with options.connect(config_path) as store:
        generations = kept(store)
    options.emit(
        [generation.to_json() for generation in generations],
        lambda: text(generations, full=full),
        json_wanted=as_json,
    )
