"""`geosteer explain`: how a client is answered, and why."""

from __future__ import annotations

import random
from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read

import click

from geosteer_loader.cli import names, options
from geosteer_loader.cli.moments import MOMENT, Moment


@click.command(
    epilog=options.examples(
        "geosteer explain www.cdn.example.net 192.0.2.7",
        "geosteer explain www.cdn.example.net 2001:db8::/48 --type AAAA --json",
        "geosteer explain www.cdn.example.net 192.0.2.7 --backend /etc/geosteer/backend.toml",
        "geosteer explain www.cdn.example.net 192.0.2.7 --at '2026-11-27 14:00'",
        "geosteer explain www.cdn.example.net 192.0.2.7 --at -3h",
    )
)
@click.argument("name", shell_complete=names.services)
@click.argument("client")
@click.option(
    "--type", "qtype", metavar="TYPE", help="A, AAAA, HTTPS or CNAME; default: all that the service has."
)
@click.option(
    "--ticket",
    type=click.FloatRange(0, 1, max_open=True),
    help="The draw of policy `weighted`, from 0 to below 1; default: the client's own if there is `https`, else random.",
)
@click.option(
    "--plan",
    is_flag=True,
    help="Decide as after a publish of the configuration and sources; nothing is written.",
)
@click.option(
    "--at",
    "moment",
    metavar="TIME",
    type=MOMENT,
    help="As it was then: 2026-11-27 14:00 (local time, or with a zone: 2026-11-27T14:00Z), or -3h.",
)
@click.option(
    "--generation",
    metavar="N",
    type=click.IntRange(min=1),
    shell_complete=names.generations,
    help="By this generation; states and overrides are those of --at, or of when it was published.",
)
@options.backend
@options.as_json
@options.common
def explain(
    *,
    name: str,
    client: str,
    qtype: str | None,
    ticket: float | None,
    plan: bool,
    moment: Moment | None,
    generation: int | None,
    backend: Path | None,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Show how a client is answered, and why.

    CLIENT is an address or a network, as in the client subnet option of a DNS question. With --at or
    --generation it is explained how that was in the past, as far as journal and history reach back.
    """
    from geosteer_loader.cli.progress_bar import meter
    from geosteer_loader.cli.text.explain import text
    from geosteer_loader.query.explain import explain as run

    drawn = random.random() if ticket is None else ticket  # noqa: S311  # it spreads load, it guards nothing
    own = ticket is None
    past = moment is not None or generation is not None
    if past and (plan or backend is not None):
        raise click.UsageError("--at and --generation are about the past: neither --plan nor --backend is")
    if past:
        from geosteer_loader.query.explain import explain_then

        explanation = explain_then(
            options.load(config_path), name, client, moment, qtype, drawn, generation, own_draw=own
        )
    elif backend is not None:
        if plan:
            raise click.UsageError("--plan and --backend exclude each other: a worker does not plan")
        from geosteer_loader.query.worker_answers import explain_by

        explanation = explain_by(backend, name, client, qtype, drawn, own_draw=own)
    else:
        explanation = run(
            options.load(config_path), name, client, qtype, drawn, own_draw=own, plan=plan, meter=meter
        )
    options.emit(explanation.to_json(), lambda: text(explanation), json_wanted=as_json)
