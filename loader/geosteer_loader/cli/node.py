"""Commands of operators."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read
from typing import TYPE_CHECKING, Any

import click

from geosteer_loader.cli import options
from geosteer_loader.cli.durations import DURATION
from geosteer_loader.health.overrides import STATES, Wish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

    from geosteer_loader.health.overrides import Change


def _names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Nodes that a shell may complete to; none when Redis cannot be asked."""
    from click.shell_completion import CompletionItem

    from geosteer.errors import GeosteerError
    from geosteer_loader.store import current

    try:
        with options.connect(ctx.params.get("config_path")) as store:
            document = current.document(store, current.read(store))
    except GeosteerError:
        return []
    return [CompletionItem(name) for name in sorted(document["nodes"]) if name.startswith(incomplete)]


@click.command(
    epilog=options.examples(
        "geosteer node drain 'lon*' --percent 20 --for 2h --why 'kernel update'",
        "geosteer node down lon1 lon2",
        "geosteer node auto 'lon*'",
    )
)
@click.argument("state", type=click.Choice(STATES))
@click.argument("globs", nargs=-1, required=True, metavar="GLOB...", shell_complete=_names)
@click.option(
    "--percent", type=click.FloatRange(0, 100), help="Clients that a node keeps; drain: 0, up: 100."
)
@click.option(
    "--for", "seconds", metavar="TIME", type=DURATION, help="How long, such as 2h; else until `auto`."
)
@click.option("--why", default="", metavar="TEXT", help="Shown by status and explain.")
@options.as_json
@options.common
def node(
    *,
    state: str,
    globs: Sequence[str],
    percent: float | None,
    seconds: float | None,
    why: str,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Overrule the probes for some nodes.

    up and down hold whatever the probes see; drain gives a node's clients away, all but --percent;
    auto lets the probes decide again. Globs are expanded now, to the nodes that are published; the
    last command on a node counts.
    """
    from geosteer_loader.health.overrides import override

    wish = Wish(state=state, percent=percent, seconds=seconds, why=why)
    with options.connect(config_path) as store:
        changes = override(store, globs, wish)
    found = [
        {"node": change.node, "changed": change.changed, "override": _document(change.after)}
        for change in changes
    ]
    options.emit(found, "\n".join(_told(change) for change in changes), json_wanted=as_json)


def _told(change: Change) -> str:
    if not change.changed:
        return f"{change.node}: as before"
    said = _document(change.after)
    if said is None:
        return f"{change.node}: the probes decide"
    percent = said.get("percent", 0 if said["state"] == "drain" else 100)
    parts = [
        said["state"] if said["state"] == "down" else f"{said['state']}, keeps {percent} % of its clients",
        f"until {said['until']}" if "until" in said else "",
    ]
    why = f" ({said['why']})" if said["why"] else ""
    return f"{change.node}: {', '.join(filter(None, parts))}{why}"


def _document(text: str | None) -> Any:
    return None if text is None else json.loads(text)
