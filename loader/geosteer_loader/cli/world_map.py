"""`geosteer map`: the map of who serves whom, as a file for a ticket or a mail."""

from __future__ import annotations

from pathlib import Path

import click

from geosteer_loader.cli import names, options


@click.command(
    "map",
    epilog=options.examples(
        "geosteer map www.cdn.example.net -o map.svg", "geosteer map www.cdn.example.net --ipv6 -o map.svg"
    ),
)
@click.argument("service", shell_complete=names.services)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it; default: stdout.",
)
@click.option("--ipv6", is_flag=True, help="Count clients of IPv6, in /48s; default: addresses of IPv4.")
@options.common
def world_map(*, service: str, output: Path | None, ipv6: bool, config_path: Path | None) -> None:
    """Draw which node serves which country, as an SVG file.

    Each country of the world has the colour and the number of the node that serves most of its
    clients now. `geosteer web` shows the same as a page that follows what changes.
    """
    from geosteer_loader.cli.progress_bar import meter
    from geosteer_loader.export import atomic_files
    from geosteer_loader.store.store import connect
    from geosteer_loader.web.moment import clients_of, drawn, live
    from geosteer_loader.web.svg import svg

    with connect(options.host_config(config_path).redis) as store:
        moment = live(store)
        with meter("tables") as shown:
            clients = clients_of(store, moment, service, shown.progress)
        text = svg(drawn(moment, clients), "v6" if ipv6 else "v4")
    if output is None:
        click.echo(text, nl=False)
        return
    atomic_files.replace(output, text)
