"""The command that checks what is published."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read

import click

from geosteer_loader.cli import options


@click.command(
    epilog=options.examples("geosteer verify", "geosteer verify --sweep", "geosteer verify --json")
)
@click.option(
    "--sweep", "clean", is_flag=True, help="Remove what killed publishes left behind, and damaged objects."
)
@options.as_json
@options.common
@click.pass_context
def verify(ctx: click.Context, *, clean: bool, as_json: bool, config_path: Path | None) -> None:
    """Check everything that is published.

    The exit code is 1 when anything is wrong. Every page of every table is read: digests, order,
    coverage, prefix boundaries, records. A sample of addresses is compared with the sources, and the
    canaries are looked up as workers do it.
    """
    from geosteer_loader.cli.progress_bar import meter
    from geosteer_loader.cli.text.verify import text
    from geosteer_loader.store.store import connect
    from geosteer_loader.verify.verify import verify as run

    config = options.load(config_path)
    with connect(config.redis) as store:
        verdict = run(config, store, clean=clean, meter=meter)
    options.emit(verdict.to_json(), lambda: text(verdict), json_wanted=as_json)
    ctx.exit(1 if verdict.problems else 0)
