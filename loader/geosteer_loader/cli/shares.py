"""The planner's command."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geosteer.errors import SourceError
from geosteer_loader.cli import options

if TYPE_CHECKING:
    from geosteer_loader.config.config import Config
    from geosteer_loader.shares.demand import Region
    from geosteer_loader.shares.planner import Result, Wish

log = logging.getLogger(__name__)

INFEASIBLE = 1
"""Exit code when some demand cannot be served; nothing was written."""


@click.command(
    epilog=options.examples(
        "geosteer shares demand.txt",
        "geosteer shares --by path --fill 0.7 --node 'eu-*' by-as.txt",
        "awk '{print $3}' access.log | sort | uniq -c | geosteer shares - --write planned.toml",
    )
)
@click.argument("demand", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--by",
    type=click.Choice(("distance", "path")),
    default="distance",
    help="Cost to minimise: kilometres, or AS-path length (table path). Default: distance.",
)
@click.option(
    "--fill",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.8,
    help="Part of a node's capacity to plan with; default: 0.8, below which nothing is shed.",
)
@click.option(
    "--node", "globs", metavar="GLOB", multiple=True, help="Plan with these nodes only; repeatable."
)
@click.option("--map", "name", metavar="NAME", default="planned", help="Name of the map; default: planned.")
@click.option("--write", metavar="FILE", type=click.Path(path_type=Path), help="Write the map as TOML.")
@click.option("--offline", is_flag=True, help="Do not ask Redis; place each country at its centre.")
@click.option("--no-closing", is_flag=True, help="Leave out what happens when a node closes.")
@options.as_json
@options.common
@click.pass_context
def shares(
    ctx: click.Context,
    *,
    demand: Path,
    by: str,
    fill: float,
    globs: tuple[str, ...],
    name: str,
    write: Path | None,
    offline: bool,
    no_closing: bool,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Share demand among nodes without overloading any.

    DEMAND is a file ("-": stdin) of lines with a region and a number: GB, US-CA, @EU, AS15169 or
    default, in the unit of the nodes' capacity. The plan is as near to the clients as capacities
    allow; it is shown with what happens when each node closes, and written only with --write.
    Needs SciPy: pip install 'geosteer[planner]'.
    """
    from geosteer_loader.cli.text import shares as shares_text
    from geosteer_loader.shares import weights
    from geosteer_loader.shares.planner import Wish

    if offline and by == "path":
        raise click.UsageError("--by path needs the published tables, so not --offline")
    wish = Wish(by=by, fill=fill, globs=globs or ("*",), closings=not no_closing)
    config = options.load(config_path)
    regions = _regions(demand)
    result = _planned(config, regions, wish, offline=offline)
    for warning in result.warnings:
        log.warning("%s", warning)
    options.emit(result.to_json(), lambda: shares_text.text(result), json_wanted=as_json)
    if not result.feasible:
        log.warning("%s", shares_text.infeasible(result))
        ctx.exit(INFEASIBLE)
    if write is not None:
        try:
            write.write_text(weights.toml(name, result.layers))
        except OSError as exc:
            raise SourceError(f"{write}: cannot be written: {exc.strerror or exc}") from exc
        log.info("%s: wrote map %s", write, name)


def _regions(path: Path) -> list[Region]:
    from geosteer_loader.shares.demand import read_demand
    from geosteer_loader.sources.source_files import lines, lines_of

    if str(path) == "-":
        return read_demand(lines_of(sys.stdin.buffer, "stdin"), Path("stdin"))
    return read_demand(lines(path), path)


def _planned(config: Config, regions: list[Region], wish: Wish, *, offline: bool) -> Result:
    from geosteer_loader.shares.planner import shares as run
    from geosteer_loader.shares.table_reader import TableReader
    from geosteer_loader.store import current
    from geosteer_loader.store.store import connect

    if offline:
        return run(config, regions, wish, None)
    with connect(config.redis) as store:
        return run(config, regions, wish, TableReader(store, current.read(store)).read)
