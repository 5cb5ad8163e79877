"""`geosteer bgp`: what is known of the routes to an address."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read

import click

from geosteer_loader.cli import options


@click.command(epilog=options.examples("geosteer bgp 8.8.8.8", "geosteer bgp 2001:4860:4860::8888 --json"))
@click.argument("address", metavar="ADDRESS")
@options.as_json
@options.common
def bgp(*, address: str, as_json: bool, config_path: Path | None) -> None:
    """Show every route to an address, and which count.

    From the sources of tables bgp and path as they are now, and from the sessions that `geosteer follow`
    holds: prefix, origin, path, who announced it, what RPKI says of it, and why it counts or does not; and
    what is published.
    """
    from geosteer_loader.cli.text.bgp import text
    from geosteer_loader.query.bgp import routes_to

    told = routes_to(options.load(config_path), address)
    options.emit(told.to_json(), lambda: text(told), json_wanted=as_json)
