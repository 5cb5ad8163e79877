"""Commands that check and publish the configuration."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geosteer.errors import ConfigError
from geosteer_loader.cli import options
from geosteer_loader.publish.guards import GUARDS
from geosteer_loader.publish.rollback import PARTS

if TYPE_CHECKING:
    from geosteer_loader.publish.publish import Outcome

log = logging.getLogger(__name__)


@click.command(
    "check-config",
    epilog=options.examples(
        "geosteer check-config", "geosteer check-config new.toml --backend conf/backend.toml"
    ),
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--backend", metavar="FILE", type=click.Path(path_type=Path), help="Check a worker's file, too."
)
@options.common
def check_config(file: Path | None, backend: Path | None, config_path: Path | None) -> None:
    """Tell every problem of a configuration.

    Each comes with its place, and nothing else is done. Warnings are told too; only problems make
    the exit code 2. With --backend alone a missing default configuration is no problem: that host
    may have workers only.
    """
    from geosteer_loader.config import config

    problems: list[str] = []
    checked: list[Path] = []
    named = file or config_path
    if named is not None or backend is None or any(path.is_file() for path in options.DEFAULTS):
        path = options.config_file(named)
        checked.append(path)
        try:
            loaded = config.load(path)
        except ConfigError as exc:
            problems += exc.problems
        else:
            problems += config.missing_files(loaded)
            for warning in loaded.warnings:
                log.warning("%s", warning)
    if backend is not None:
        checked.append(backend)
        problems += config.check_backend(backend)
    if problems:
        raise ConfigError(problems)
    for path in checked:
        click.echo(f"{path}: no problems")


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
    help=f"Publish although this guard says no: {', '.join(GUARDS)}. May be repeated.",
)
@click.option(
    "--schema",
    type=int,
    metavar="N",
    help="What the published fields mean from now on: raise it when all workers know it. Default: as published.",
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
    from geosteer_loader.publish.publish import publish as run
    from geosteer_loader.store.store import connect

    config = options.load(config_path)
    with connect(config.redis) as store:
        outcome = run(config, store, release=release, schema=schema, force=force)
    for warning in outcome.warnings:
        log.warning("%s", warning)
    options.emit(dataclasses.asdict(outcome), lambda: _told(outcome), json_wanted=as_json)


@click.command(epilog=options.examples("geosteer history", "geosteer history --json"))
@options.as_json
@options.common
def history(*, as_json: bool, config_path: Path | None) -> None:
    """List the generations that are kept.

    The newest comes first, each with what changed, who published it, and when.
    """
    from geosteer_loader.cli.text import formatting
    from geosteer_loader.store import current
    from geosteer_loader.store.history import entries

    with options.connect(config_path) as store:
        now = current.read(store).get("generation")
        found = [
            {
                "generation": entry.generation,
                "published": entry.fields.get("published", ""),
                "changed": entry.changed,
                "who": entry.who,
                "when": entry.when,
                "current": str(entry.generation) == now,
            }
            for entry in reversed(entries(store))
        ]
    options.emit(found, lambda: formatting.generations(found), json_wanted=as_json)


@click.command(
    epilog=options.examples(
        "geosteer rollback", "geosteer rollback 41 --why 'GB moved to NL'", "geosteer rollback 41 --only geo"
    )
)
@click.argument("generation", required=False, type=click.IntRange(min=1))
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(PARTS),
    help="Take only this part back; may be repeated. Default: everything.",
)
@click.option("--why", default="", metavar="TEXT", help="Shown by status and history.")
@options.as_json
@options.common
def rollback(
    *, generation: int | None, only: tuple[str, ...], why: str, as_json: bool, config_path: Path | None
) -> None:
    """Go back to a generation that is kept, and hold it.

    Default is the one before the present one. Later publishes are refused (exit code 3) until
    `geosteer publish --release`. Going back to the present generation only holds it.
    """
    from geosteer_loader.publish.rollback import rollback as run

    with options.connect(config_path) as store:
        fields = run(store, generation, only, why)
    options.emit(
        fields,
        f"generation {fields['generation']} published: {fields['held'].partition(': ')[2]}; held until "
        "`geosteer publish --release`",
        json_wanted=as_json,
    )


def _told(outcome: Outcome) -> str:
    from geosteer_loader.cli.text.formatting import size

    written, gone = outcome.written, outcome.collected
    text = f"nothing changed: generation {outcome.generation} stays"
    if outcome.changed:
        text = f"generation {outcome.generation} published: {', '.join(outcome.changed)}"
        text += f"; {written.objects} objects, {size(written.size)} written"
    if outcome.replicas:
        text += f"; {outcome.confirmed} of {outcome.replicas} replicas have it"
    if gone.objects or gone.generations:
        text += f"; {gone.generations} old generations, {gone.objects} objects removed"
    if gone.orphans:
        text += f"; {gone.orphans} forgotten objects removed"
    return f"{text}; {outcome.seconds:.1f} s" if outcome.changed else text
