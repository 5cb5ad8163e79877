"""The command that shows what a publish would do."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from geosteer.errors import Refused
from geosteer_loader.cli import options
from geosteer_loader.cli.output import harmless

if TYPE_CHECKING:
    from geosteer_loader.impact.traffic import Traffic
    from geosteer_loader.publish.plan import Plan
    from geosteer_loader.publish.proposal import Proposal
    from geosteer_loader.store.store import Store


@click.command(
    epilog=options.examples(
        "geosteer plan",
        "geosteer plan --clients clients.txt",
        "geosteer plan --json",
        "geosteer plan --format markdown --picture plan.svg > plan.md",
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
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    help="Text, JSON (as --json), or a comment for a merge request.",
)
@click.option(
    "--picture",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the map before and after as SVG, of the service that moves most.",
)
@click.option(
    "--picture-url",
    metavar="URL",
    help="Where the comment finds the picture; default: FILE's name.",
)
@options.as_json
@options.common
@click.pass_context
def plan(
    ctx: click.Context,
    *,
    clients: Path | None,
    full: bool,
    form: Literal["text", "json", "markdown"] | None,
    picture: Path | None,
    picture_url: str | None,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Show what publish would change, and change nothing.

    For each table what would be written and which addresses would get another record; how the
    configuration differs; which part of every service's clients would get another node, with all
    nodes up and as they are now; and what the guards would say. MOVED is the share of a service's
    clients that guard max_impact limits. Exit 3 where a guard would
    refuse; with --quiet nothing is shown but what guards refuse.

    --format markdown tells the same as a comment that fits GitHub and GitLab, and by country which
    nodes clients have before and after.
    """
    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json does not go with --format {form}")
    if picture_url and picture is None:
        raise click.UsageError("--picture-url needs --picture")
    from geosteer_loader.cli.progress_bar import meter
    from geosteer_loader.cli.text.plan import refused, text
    from geosteer_loader.impact.traffic import read_traffic
    from geosteer_loader.publish.plan import plan_of
    from geosteer_loader.publish.proposal import propose
    from geosteer_loader.store import current as published
    from geosteer_loader.store.store import connect

    config = options.load(config_path)
    config.require_complete()
    traffic = read_traffic(clients) if clients is not None else None
    with connect(config.redis) as store:
        proposal = propose(config, store, published.read(store, repairing=True), meter)
        planned = plan_of(config, store, proposal, traffic)
        comment = ""
        if form == "markdown" or picture is not None:
            comment = _reviewed(planned, proposal, store, traffic, picture, picture_url)
    if not ctx.meta.get(options.QUIET):
        shown = partial(text, planned, full=full) if form != "markdown" else comment
        options.emit(planned.to_json(), shown, json_wanted=as_json or form == "json")
    elif planned.refused:
        click.echo(harmless("\n".join(refused(planned))), err=True)
    if planned.refused:
        ctx.exit(Refused.exit_code)


def _reviewed(
    planned: Plan,
    proposal: Proposal,
    store: Store,
    traffic: Traffic | None,
    picture: Path | None,
    url: str | None,
) -> str:
    """The comment; the picture is written."""
    from geosteer_loader.cli.progress_bar import meter
    from geosteer_loader.cli.text.plan_markdown import markdown
    from geosteer_loader.export import atomic_files
    from geosteer_loader.web.review import reviews
    from geosteer_loader.web.svg import changes

    found = reviews(planned, proposal, store, traffic, meter)
    if picture is None or not found:
        return markdown(planned, found)
    first = found[0]
    atomic_files.replace(picture, changes(first.before, first.after, first.part))
    return markdown(planned, found, url or picture.name)
