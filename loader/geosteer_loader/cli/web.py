"""`geosteer web`: the page that shows who serves whom."""

from __future__ import annotations

from functools import partial
from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read

import click

from geosteer_loader.cli import options

LISTEN = "127.0.0.1:8310"


@click.command(
    epilog=options.examples(
        "geosteer web",
        "geosteer web --listen '[::1]:8310'",
        "geosteer web --listen /run/geosteer-web/http --host steering.example.net",
    )
)
@click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    multiple=True,
    default=(LISTEN,),
    show_default=True,
    help="Or [ADDRESS]:PORT, or the path of a unix socket; may be repeated.",
)
@click.option(
    "--host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A name that a proxy in front is called by; may be repeated. Other names are refused.",
)
@options.common
def web(*, listen: tuple[str, ...], hosts: tuple[str, ...], config_path: Path | None) -> None:
    """Serve a page with a map of who serves whom.

    It shows which node has most of each country's clients, nodes with their states, loads and
    overrides, tables, the journal, the past, and what the next publish would change. It changes
    nothing, and needs a user of Redis that may read. SIGTERM ends it.
    """
    from geosteer_loader.web.server import serve

    serve(partial(options.load, config_path), listen, hosts)
