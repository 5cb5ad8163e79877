"""`geosteer publish`: tables and configuration into Redis."""

from __future__ import annotations

import logging
from pathlib import Path  # noqa: TC003  # click's decorators are run, not only read
from typing import TYPE_CHECKING

import click

from geosteer.errors import ConfigError
from geosteer_loader.cli import options
from geosteer_loader.publish.refusals import GUARDS

if TYPE_CHECKING:
    from geosteer.errors import GeosteerError

log = logging.getLogger(__name__)


@click.command(
    epilog=options.examples(
        "geosteer publish",
        "geosteer publish --json",
        "geosteer publish --force max_shrink",
        "geosteer publish --release",
    )
)
@click.option("--release", is_flag=True, help="End the hold that a rollback left.")
@click.option(
    "--force",
    "force",
    multiple=True,
    metavar="GUARD",
    type=click.Choice(GUARDS),
    help=f"Publish despite this guard: {', '.join(GUARDS)}. May be repeated.",
)
@click.option(
    "--schema",
    type=int,
    metavar="N",
    help="Schema of the published fields; raise it once all workers know it. Default: as published.",
)
@options.as_json
@options.common
def publish(
    *,
    release: bool,
    force: tuple[str, ...],
    schema: int | None,
    as_json: bool,
    config_path: Path | None,
) -> None:
    """Publish tables and configuration if anything changed.

    Readers see the old generation or the new one, never a mixture; when anything fails, the old one stays.
    """
    from geosteer_loader.cli.progress_bar import meter
    from geosteer_loader.cli.text.publish import text
    from geosteer_loader.publish.publish import publish as run
    from geosteer_loader.store.store import connect

    try:
        config = options.load(config_path)
        config.require_complete()
    except ConfigError as exc:
        _note(config_path, exc)
        raise
    with connect(config.redis, config.journal.max_length) as store:
        outcome = run(config, store, release=release, schema=schema, force=force, meter=meter)
    for warning in outcome.warnings:
        log.warning("%s", warning)
    options.emit(outcome.to_json(), lambda: text(outcome), json_wanted=as_json)


def _note(config_path: Path | None, exc: GeosteerError) -> None:
    """Leave in Redis that the configuration cannot be used, where it still says which Redis that is."""
    from geosteer_loader.config.config import redis_alone
    from geosteer_loader.publish.failures import note
    from geosteer_loader.store.store import connect

    try:
        settings = redis_alone(options.config_file(config_path))
    except ConfigError:
        return
    if settings is not None:
        with connect(settings) as store:
            note(store, exc)
