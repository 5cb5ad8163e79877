"""`geosteer status`: tables and nodes as they are, for people, programs and monitoring."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read

import click

from geosteer.errors import GeosteerError
from geosteer_loader.cli import options
from geosteer_loader.cli.durations import DURATION


@click.command(
    epilog=options.examples(
        "geosteer status", "geosteer status --json", "geosteer status --check --max-age 14d"
    )
)
@click.option(
    "--check", is_flag=True, help="One line; exit 0 fine, 1 warning, 2 critical (monitoring plug-in)."
)
@click.option(
    "--max-age", metavar="TIME", type=DURATION, help="With --check: warn of tables with older data."
)
@options.as_json
@options.common
@click.pass_context
def status(
    ctx: click.Context, *, check: bool, max_age: float | None, as_json: bool, config_path: Path | None
) -> None:
    """Show the state of tables and nodes.

    Tables come with the age of their data, nodes with state, reason and override; also who
    writes node states, and whether a rollback holds.
    """
    from geosteer_loader.cli.text import monitoring
    from geosteer_loader.cli.text.status import text
    from geosteer_loader.query import status as state

    try:
        with options.connect(config_path) as store:
            gathered = state.gather(store)
    except GeosteerError as exc:
        if not check:
            raise
        code, line = monitoring.failed(str(exc))
    else:
        if not check:
            options.emit(gathered.to_json(), lambda: text(gathered), json_wanted=as_json)
            return
        code, line = monitoring.judge(gathered, max_age)
    click.echo(line)
    ctx.exit(code)
