"""`geosteer status`: tables and nodes as they are, for people, programs and monitoring."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from geosteer.errors import GeosteerError
from geosteer_loader.cli import options
from geosteer_loader.cli.durations import DURATION
from geosteer_loader.cli.output import harmless

if TYPE_CHECKING:
    from collections.abc import Callable


@click.command(
    epilog=options.examples(
        "geosteer status",
        "geosteer status --json",
        "geosteer status --check --max-age 14d",
        "geosteer status --backend /etc/geosteer/backend.toml",
    )
)
@click.option(
    "--check", is_flag=True, help="One line; exit 0 fine, 1 warning, 2 critical (monitoring plug-in)."
)
@click.option(
    "--max-age",
    metavar="TIME",
    type=DURATION,
    help="With --check: warn of tables with older data, whatever [guard] max_age says.",
)
@options.backend
@options.as_json
@options.common
@click.pass_context
def status(
    ctx: click.Context,
    *,
    check: bool,
    max_age: float | None,
    backend: Path | None,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Show the state of tables and nodes.

    Tables come with the age of their data, nodes with state, reason and override; also who
    writes node states, and whether a rollback holds. With --backend it says first where workers'
    answers come from.
    """
    from geosteer_loader.cli.text import monitoring

    try:
        found = _worker(backend) if backend is not None else _published(config_path)
    except GeosteerError as exc:
        if not check:
            raise
        code, line = monitoring.failed(str(exc))
    else:
        if not check:
            options.emit(found.json, found.text, json_wanted=as_json)
            return
        code, line = found.judge(max_age)
    click.echo(harmless(line).replace("\n", "\\n"))
    ctx.exit(code)


class _Found(NamedTuple):
    """A status for both kinds of user."""

    json: dict[str, Any]
    text: Callable[[], str]
    judge: Callable[[float | None], tuple[int, str]]


def _published(config_path: Path | None) -> _Found:
    from geosteer_loader.cli.text import monitoring
    from geosteer_loader.cli.text.status import text
    from geosteer_loader.query import status as state
    from geosteer_loader.store.lean_store import connect

    config = options.host_config(config_path)
    with connect(config.redis) as store:
        gathered = state.gather(store)
    return _Found(
        gathered.to_json(),
        lambda: text(gathered),
        lambda age: monitoring.judge(gathered, age, config.guard.max_age),
    )


def _worker(backend: Path) -> _Found:
    from geosteer_loader.cli.text import monitoring
    from geosteer_loader.cli.text.status import worker_text
    from geosteer_loader.query import worker_answers

    gathered = worker_answers.status(backend)
    return _Found(
        gathered.to_json(), lambda: worker_text(gathered), lambda age: monitoring.judge_worker(gathered, age)
    )
