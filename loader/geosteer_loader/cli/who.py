"""`geosteer who`: which node serves which part of a service's clients."""

from __future__ import annotations

from pathlib import Path

import click

from geosteer_loader.cli import names, options


@click.command(
    epilog=options.examples(
        "geosteer who www.cdn.example.net",
        "geosteer who www.cdn.example.net --clients clients.txt",
        "geosteer who www.cdn.example.net --json",
    )
)
@click.argument("service", shell_complete=names.services)
@click.option(
    "--clients",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Count these clients: an address or prefix per line, and a count.",
)
@click.option("--full", is_flag=True, help="Fold nothing, cut nothing.")
@options.as_json
@options.common
def who(*, service: str, clients: Path | None, full: bool, as_json: bool, config_path: Path | None) -> None:
    """Show what part of the clients each node serves.

    By country, with the nodes as they are now. Without --clients, address space known to the
    tables is counted: addresses of IPv4, and /48s of IPv6.
    """
    from geosteer_loader.cli.progress_bar import meter
    from geosteer_loader.cli.text.who import text
    from geosteer_loader.impact.traffic import read_traffic
    from geosteer_loader.query.who import who as run
    from geosteer_loader.store.store import connect

    config = options.host_config(config_path)
    traffic = read_traffic(clients) if clients is not None else None
    with connect(config.redis) as store:
        found = run(store, service, traffic, meter)
    options.emit(found.to_json(), lambda: text(found, full=full), json_wanted=as_json)
