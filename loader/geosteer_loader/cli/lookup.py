"""`geosteer lookup`: what the tables say of addresses."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read

import click

from geosteer_loader.cli import options


@click.command(
    epilog=options.examples(
        "geosteer lookup 8.8.8.8 2001:4860:4860::8888", "geosteer lookup 192.0.2.0/24 --json"
    )
)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@options.backend
@options.as_json
@options.common
def lookup(
    *, addresses: tuple[str, ...], backend: Path | None, as_json: bool, config_path: Path | None
) -> None:
    """Show what the tables say of addresses.

    For each table: the record, and the widest prefix around the address that has it.
    """
    from geosteer_loader.cli.text.lookup import text
    from geosteer_loader.query.lookup import lookup as run

    if backend is not None:
        from geosteer_loader.query.worker_answers import lookup as run_as_worker

        lookups = run_as_worker(backend, addresses)
    else:
        lookups = run(options.host_config(config_path).redis, addresses)
    options.emit([answer.to_json() for answer in lookups], lambda: text(lookups), json_wanted=as_json)
