"""The command that measures the cost of steering by resolver."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geosteer.errors import ConfigError, SourceError
from geosteer_loader.cli import names, options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.progress import Meter
    from geosteer_loader.query.mismatch import Pair


@click.command(
    epilog=options.examples(
        "geosteer mismatch www.cdn.example.net pairs.txt",
        "sort pairs.log | uniq -c | geosteer mismatch www.cdn.example.net - --json",
    )
)
@click.argument("name", shell_complete=names.services)
@click.argument("pairs", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--type", "qtype", metavar="TYPE", help="A, AAAA or CNAME; default: the first that the service has."
)
@click.option("--plan", is_flag=True, help="Decide as after a publish of the configuration and sources.")
@options.as_json
@options.common
def mismatch(
    *, name: str, pairs: Path, qtype: str | None, plan: bool, as_json: bool, config_path: Path | None
) -> None:
    """Measure how often a resolver's node is not its client's.

    PAIRS is a file ("-": stdin) of lines with a resolver and a client, and maybe a count: from a
    log of clients and the resolvers that they use, or of source addresses and the client networks
    in their questions. Shown are the share of clients of service NAME who get another node than
    by their own address, and how much farther it is.
    """
    from geosteer_loader.cli.progress_bar import meter
    from geosteer_loader.cli.text.mismatch import text
    from geosteer_loader.query import context, explain
    from geosteer_loader.query.mismatch import measure
    from geosteer_loader.store.store import connect

    config = options.load(config_path) if plan else None
    redis = options.host_config(config_path).redis if config is None else config.redis
    with connect(redis) as store:
        seen = context.live(store) if config is None else context.planned(config, store, meter)
        service = explain.find_service(seen.model, name)
        kind = (qtype or service.kinds[0]).upper()
        if kind not in service.kinds:
            raise ConfigError([f"{service.name}: has no {kind}, only {', '.join(service.kinds)}"])
        with meter("pairs") as shown:
            result = measure(seen, service, kind, _pairs(pairs, shown))
    if not result.pairs:
        raise SourceError(f"{pairs}: no pairs in it")
    options.emit(result.to_json(), lambda: text(result), json_wanted=as_json)


def _pairs(path: Path, shown: Meter) -> Iterator[Pair]:
    from geosteer_loader.query.mismatch import pairs_of, read_pairs
    from geosteer_loader.sources.source_files import lines_of

    if str(path) == "-":
        return read_pairs(lines_of(sys.stdin.buffer, "stdin"), Path("stdin"))
    return pairs_of(path, shown.progress)
