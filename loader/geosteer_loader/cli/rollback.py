"""`geosteer rollback`: back to a generation that is kept."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read

import click

from geosteer_loader.cli import names, options
from geosteer_loader.publish.rollback import PARTS


@click.command(
    epilog=options.examples(
        "geosteer rollback", "geosteer rollback 41 --why 'GB moved to NL'", "geosteer rollback 41 --only geo"
    )
)
@click.argument("generation", required=False, type=click.IntRange(min=1), shell_complete=names.generations)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(PARTS),
    help="Take only this part back; may be repeated. Default: everything.",
)
@click.option("--why", default="", metavar="TEXT", help="Shown by status and history.")
@options.as_json
@options.common
def rollback(
    *, generation: int | None, only: tuple[str, ...], why: str, as_json: bool, config_path: Path | None
) -> None:
    """Go back to a generation that is kept, and hold it.

    Default is the one before the present one. Later publishes are refused (exit code 3) until
    `geosteer publish --release`. Going back to the present generation only holds it.
    """
    from geosteer_loader.publish.rollback import rollback as run

    with options.connect(config_path) as store:
        fields = run(store, generation, only, why)
    options.emit(
        fields,
        f"generation {fields['generation']} published: {fields['held'].partition(': ')[2]}; held until "
        "`geosteer publish --release`",
        json_wanted=as_json,
    )
