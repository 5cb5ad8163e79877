"""`geosteer latency`: what clients measured, taken in and shown."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geosteer.errors import SourceError
from geosteer_loader.cli import options
from geosteer_loader.rtt.inputs.formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.config.config import Config
    from geosteer_loader.config.latency import Input


@click.group(epilog=options.examples("geosteer latency ingest", "geosteer latency status 198.51.100.7"))
def latency() -> None:
    """Take in round-trip times that clients measured."""


@latency.command(
    epilog=options.examples(
        "geosteer latency ingest",
        "geosteer latency ingest --format atlas --window ping.json",
        "geosteer latency ingest --format nginx-clients --node lon1 /var/log/nginx/rtt.log.*",
        "curl -s https://probes.example.net/today.csv | geosteer latency ingest --format csv -",
    )
)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format", "format_", type=click.Choice(list(FORMATS)), help="Of the files given; default: json."
)
@click.option("--node", metavar="NODE", default="", help="nginx-clients: the node whose log it is.")
@click.option("--network", metavar="PREFIX", help="Logs of proxies: the proxy's own network.")
@click.option(
    "--window/--no-window",
    default=None,
    help="End the window now, or not; default: when [latency] window is over.",
)
@options.as_json
@options.common
def ingest(
    *,
    files: tuple[Path, ...],
    format_: str | None,
    node: str,
    network: str | None,
    window: bool | None,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Count what is new in all inputs; end a window that is over.

    Without a FILE: all [[latency.inputs]]. A file is read on from where it was left, under whatever name; one
    that was read to its end counts nothing again. "-" is standard input, which counts each time. At the end of
    a window, the file of [[sources.latency]] is written, which `geosteer publish` or `follow` then takes.
    """
    from geosteer_loader.cli.text.latency import run_text
    from geosteer_loader.latency.run import run

    config = options.load(config_path)
    inputs = _given(config, files, format_, node, network)
    if any(str(path) == "-" for path in files) and len(files) > 1:
        raise click.UsageError("standard input is read alone")
    told = run(config, inputs, time.time(), stdin=sys.stdin.buffer.read, window=window)
    options.emit(told.to_json(), lambda: run_text(told), json_wanted=as_json)
    if files and told.unreadable:
        raise SourceError("\n".join(told.unreadable))


@latency.command(
    epilog=options.examples("geosteer latency status", "geosteer latency status 198.51.100.7 --json")
)
@click.argument("address", metavar="[ADDRESS]", required=False)
@options.as_json
@options.common
def status(*, address: str | None, as_json: bool, config_path: Path | None) -> None:
    """Show what is known of networks and nodes.

    How much there is, how old it is, and what it takes on disk.

    With an ADDRESS: the estimates of its network, announced prefix and AS, and which of them counts.
    """
    from geosteer_loader.cli.text.latency import status_text
    from geosteer_loader.latency.status import status as status_of

    told = status_of(options.load(config_path), time.time(), address)
    options.emit(told.to_json(), lambda: status_text(told), json_wanted=as_json)


def _given(
    config: Config, files: Sequence[Path], format_: str | None, node: str, network: str | None
) -> Sequence[Input]:
    """What the command line names, else what the configuration does. Raises: UsageError."""
    from geosteer_loader.config.latency import Input, input_problems, proxy_network
    from geosteer_loader.config.values import prefix

    if not files:
        if format_ or node or network:
            raise click.UsageError("--format, --node and --network are for a FILE")
        if not config.latency.inputs:
            raise click.UsageError("no input: name a FILE, or set [[latency.inputs]]")
        return config.latency.inputs
    try:
        proxy = proxy_network(prefix(network)) if network is not None else None
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--network") from None
    chosen = format_ or "json"
    for key, reason in input_problems(chosen, node, proxy is not None, config.document["nodes"]):
        raise click.BadParameter(reason, param_hint=f"--{key}")
    return [Input(format=chosen, path=path, node=node, network=proxy) for path in files]
