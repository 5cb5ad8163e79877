"""The command `node`: operators' overrides."""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read
from typing import TYPE_CHECKING, Any

import click

from geosteer.errors import Refused
from geosteer_loader.cli import names, options
from geosteer_loader.cli.durations import DURATION
from geosteer_loader.cli.output import harmless
from geosteer_loader.health.overrides import STATES, Wish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.health.emptied_maps import Emptied
    from geosteer_loader.health.overrides import Change, Listed


@click.command(
    epilog=options.examples(
        "geosteer node drain 'lon*' --percent 20 --for 2h --why 'kernel update'",
        "geosteer node down lon1 lon2",
        "geosteer node auto 'lon*'",
        "geosteer node list",
    )
)
@click.argument("state", type=click.Choice((*STATES, "list")))
@click.argument("globs", nargs=-1, metavar="GLOB...", shell_complete=names.nodes)
@click.option(
    "--percent", type=click.FloatRange(0, 100), help="Clients that a node keeps; drain: 0, up: 100."
)
@click.option(
    "--for", "seconds", metavar="TIME", type=DURATION, help="How long, such as 2h; else until `auto`."
)
@click.option("--why", default="", metavar="TEXT", help="Shown by status and explain.")
@click.option("--yes", is_flag=True, help="Proceed even if a service is left without nodes.")
@options.as_json
@options.common
def node(
    *,
    state: str,
    globs: Sequence[str],
    percent: float | None,
    seconds: float | None,
    why: str,
    yes: bool,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Override the probes for some nodes.

    up and down hold whatever the probes see; drain gives a node's clients away, all but --percent;
    auto lets the probes decide again; list shows the overrides: who, until when and why. Globs are
    expanded now, to the nodes that are published; the last command on a node counts. What would leave
    a service without nodes is asked first on a terminal, and refused elsewhere, unless --yes is given.
    """
    from geosteer_loader.health.overrides import override

    if state == "list":
        _list(globs, config_path, as_json=as_json)
        return
    if not globs:
        raise click.UsageError("Missing argument 'GLOB...'.")
    wish = Wish(state=state, percent=percent, seconds=seconds, why=why)
    with options.connect(config_path) as store:
        changes = override(store, globs, wish, None if yes else _consent)
    rows = [
        {"node": change.node, "changed": change.changed, "override": _document(change.after)}
        for change in changes
    ]
    options.emit(rows, "\n".join(_told(change) for change in changes), json_wanted=as_json)


def _told(change: Change) -> str:
    if not change.changed:
        return f"{change.node}: as before"
    override = _document(change.after)
    if override is None:
        return f"{change.node}: the probes decide"
    why = f" ({override['why']})" if override["why"] else ""
    return f"{change.node}: {_effect(override)}{why}"


def _effect(override: dict[str, Any]) -> str:
    """What an override does, and until when."""
    state = override["state"]
    percent = override.get("percent", 0 if state == "drain" else 100)
    parts = [
        state if state == "down" else f"{state}, keeps {percent} % of its clients",
        f"until {override['until']}" if override.get("until") else "",
    ]
    return ", ".join(filter(None, parts))


def _list(globs: Sequence[str], config_path: Path | None, *, as_json: bool) -> None:
    from fnmatch import fnmatchcase

    from geosteer_loader.health.overrides import listed

    with options.connect(config_path) as store:
        overrides = listed(store)
    overrides = [
        entry
        for entry in overrides
        if not globs or any(fnmatchcase(entry.node, glob.lower()) for glob in globs)
    ]
    lines = [_listed(entry) for entry in overrides]
    options.emit(
        [entry.to_json() for entry in overrides], "\n".join(lines) or "no overrides", json_wanted=as_json
    )


def _listed(entry: Listed) -> str:
    from geosteer_loader.config.values import printable

    if entry.override is None:
        return f"{entry.node}: cannot be read, and is ignored; `geosteer node auto {entry.node}` removes it"
    override = entry.override
    who, since, why = (str(override.get(key) or "") for key in ("who", "since", "why"))
    notes = [
        f"by {who}" if who else "",
        f"since {since}" if since else "",
        "it has ended" if entry.ended else "",
        "" if entry.configured else "no such node is configured",
    ]
    text = f"{entry.node}: {'; '.join(filter(None, (_effect(override), *notes)))}"
    return printable(f"{text} ({why})" if why else text)


def _consent(emptied: Sequence[Emptied]) -> None:
    """Ask whether maps may lose their last node. Raises: Refused: there is no terminal to ask on, or the answer is no."""
    if sys.stdin.isatty() and sys.stderr.isatty():
        for line in emptied:
            click.echo(harmless(str(line)), err=True)
        if click.confirm("Proceed anyway?", err=True):
            return
        raise Refused("nothing was changed")
    raise Refused("\n".join([*map(str, emptied), "nothing was changed; --yes overrides this"]))


def _document(text: str | None) -> Any:
    return None if text is None else json.loads(text)
