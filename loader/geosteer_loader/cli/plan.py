"""The command that shows what a publish would do."""

from __future__ import annotations

from pathlib import Path

import click

from geosteer.errors import Refused
from geosteer_loader.cli import options
from geosteer_loader.cli.output import harmless


@click.command(
    epilog=options.examples(
        "geosteer plan",
        "geosteer plan --clients clients.txt",
        "geosteer plan --json",
        "geosteer plan --quiet",
    )
)
@click.option(
    "--clients",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Weigh the impact by real clients: an address or prefix per line, and a count.",
)
@click.option("--full", is_flag=True, help="Fold nothing, cut nothing.")
@options.as_json
@options.common
@click.pass_context
def plan(
    ctx: click.Context, *, clients: Path | None, full: bool, as_json: bool, config_path: Path | None
) -> None:
    """Show what publish would change, and change nothing.

    For each table what would be written and which addresses would get another record; how the
    configuration differs; which part of every service's clients would get another node, with all
    nodes up and as they are now; and what the guards would say. MOVED is the share of a service's
    clients that guard max_impact limits. Exit 3 where a guard would
    refuse; with --quiet nothing is shown but what guards refuse.
    """
    from geosteer_loader.cli.progress_bar import meter
    from geosteer_loader.cli.text.plan import refused, text
    from geosteer_loader.impact.traffic import read_traffic
    from geosteer_loader.publish.plan import plan as run
    from geosteer_loader.store.store import connect

    config = options.load(config_path)
    config.require_complete()
    traffic = read_traffic(clients) if clients is not None else None
    with connect(config.redis) as store:
        planned = run(config, store, traffic, meter)
    if not ctx.meta.get(options.QUIET):
        options.emit(planned.to_json(), lambda: text(planned, full=full), json_wanted=as_json)
    elif planned.refused:
        click.echo(harmless("\n".join(refused(planned))), err=True)
    if planned.refused:
        ctx.exit(Refused.exit_code)
