"""`geosteer history`: the generations that are kept."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read

import click

from geosteer_loader.cli import options


@click.command(
    epilog=options.examples("geosteer history", "geosteer history --json", "geosteer history --diff 41 43")
)
@click.option(
    "--diff",
    "pair",
    nargs=2,
    metavar="N N",
    type=click.IntRange(min=1),
    help="What differs between two generations: sources, nodes, weights, maps, services.",
)
@click.option("--full", is_flag=True, help="Fold nothing, cut nothing.")
@options.as_json
@options.common
def history(*, pair: tuple[int, int] | None, full: bool, as_json: bool, config_path: Path | None) -> None:
    """List the generations that are kept.

    The newest comes first, each with what changed, who published it, and when.
    """
    if pair is not None:
        _diff(pair, full=full, as_json=as_json, config_path=config_path)
        return
    from geosteer_loader.cli.text.history import text
    from geosteer_loader.query.generations import kept

    with options.connect(config_path) as store:
        generations = kept(store)
    options.emit(
        [generation.to_json() for generation in generations],
        lambda: text(generations, full=full),
        json_wanted=as_json,
    )


def _diff(pair: tuple[int, int], *, full: bool, as_json: bool, config_path: Path | None) -> None:
    from geosteer_loader.cli.text.generation_diff import text
    from geosteer_loader.query.generation_diff import diff

    with options.connect(config_path) as store:
        found = diff(store, *pair)
    options.emit(found.to_json(), lambda: text(found, full=full), json_wanted=as_json)
