"""Commands that look at what is published; they change nothing."""

from __future__ import annotations

import random
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
    from geosteer_loader.cli.text import formatting, monitoring
    from geosteer_loader.query import status as state

    try:
        with options.connect(config_path) as store:
            found = state.gather(store)
    except GeosteerError as exc:
        if not check:
            raise
        code, line = monitoring.failed(str(exc))
    else:
        if not check:
            options.emit(found, lambda: formatting.status(found), json_wanted=as_json)
            return
        code, line = monitoring.judge(found, max_age)
    click.echo(line)
    ctx.exit(code)


@click.command(
    epilog=options.examples(
        "geosteer lookup 8.8.8.8 2001:4860:4860::8888", "geosteer lookup 192.0.2.0/24 --json"
    )
)
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@options.as_json
@options.common
def lookup(*, addresses: tuple[str, ...], as_json: bool, config_path: Path | None) -> None:
    """Show what the tables say of addresses.

    For each table: the record, and the widest prefix around the address that has it.
    """
    from geosteer_loader.cli.text import formatting
    from geosteer_loader.query import explain as explanations

    found = explanations.lookup(options.load(config_path), list(addresses))
    options.emit(found, lambda: formatting.lookups(found), json_wanted=as_json)


@click.command(
    epilog=options.examples(
        "geosteer explain www.cdn.example.net 192.0.2.7",
        "geosteer explain www.cdn.example.net 2001:db8::/48 --type AAAA --json",
    )
)
@click.argument("name")
@click.argument("client")
@click.option("--type", "qtype", metavar="TYPE", help="A, AAAA or CNAME; default: all that the service has.")
@click.option(
    "--ticket",
    type=click.FloatRange(0, 1, max_open=True),
    help="The draw of policy `weighted`, from 0 to below 1; default: a random one.",
)
@click.option(
    "--plan",
    is_flag=True,
    help="Decide as after a publish of the configuration and sources; nothing is written.",
)
@options.as_json
@options.common
def explain(
    *,
    name: str,
    client: str,
    qtype: str | None,
    ticket: float | None,
    plan: bool,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Show how a client is answered now, and why.

    CLIENT is an address or a network, as in the client subnet option of a DNS question.
    """
    from geosteer_loader.cli.text import explanation
    from geosteer_loader.query import explain as explanations

    drawn = random.random() if ticket is None else ticket  # noqa: S311  # it spreads load, it guards nothing
    found = explanations.explain(options.load(config_path), name, client, qtype, drawn, plan=plan)
    options.emit(found, lambda: explanation.text(found), json_wanted=as_json)
