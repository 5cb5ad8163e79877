"""`geosteer check-config`: every problem of a configuration."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from geosteer.errors import ConfigError, GeosteerError
from geosteer_loader.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.config.config import Config

log = logging.getLogger(__name__)


@click.command(
    "check-config",
    epilog=options.examples(
        "geosteer check-config",
        "geosteer check-config new.toml --backend conf/backend.toml",
        "geosteer check-config --schema loader > geosteer.schema.json",
    ),
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--backend", metavar="FILE", type=click.Path(path_type=Path), help="Check a worker's file, too."
)
@click.option("--offline", is_flag=True, help="Do not look at the files that the tables are made from.")
@click.option(
    "--schema",
    "whose",
    type=click.Choice(["loader", "worker"]),
    help="Print the JSON Schema of geosteer.toml or backend.toml, for editors.",
)
@options.common
def check_config(
    file: Path | None,
    *,
    backend: Path | None,
    offline: bool,
    whose: Literal["loader", "worker"] | None,
    config_path: Path | None,
) -> None:
    """Report every problem of a configuration.

    Each comes with its place, and nothing is changed. The beginning of each source is read; of a URL,
    its copy. Warnings are shown too; only problems make
    the exit code 2. With --backend alone a missing default configuration is not a problem: that host
    may have workers only.
    """
    from geosteer_loader.config import config

    if whose is not None:
        if file is not None or backend is not None:
            raise click.UsageError("--schema is of a kind of file: name none")
        from geosteer_loader.config import schema

        click.echo(schema.text(whose), nl=False)
        return
    problems: list[str] = []
    wrong: list[str]
    recognised: list[str] = []
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
            problems += loaded.missing_parts
            warnings = loaded.warnings
            if not offline:
                wrong, doubtful = config.source_problems(loaded)
                problems += wrong
                warnings = [*warnings, *doubtful, *_unplaced(loaded)]
                recognised = [] if wrong else list(_recognised(loaded))
            for warning in warnings:
                log.warning("%s", warning)
    if backend is not None:
        checked.append(backend)
        wrong = config.check_backend(backend)
        problems += wrong
        for warning in () if wrong else config.backend_warnings(backend):
            log.warning("%s", warning)
    if problems:
        raise ConfigError(problems)
    for line in recognised:
        click.echo(line)
    for path in checked:
        click.echo(f"{path}: no problems")


def _recognised(config: Config) -> Iterator[str]:
    """What sources were taken for whose format the configuration does not say."""
    for table, sources in config.sources.items():
        for source in sources:
            if source.live is None and source.path.is_file() and (taken := source.recognised(table)):
                yield f"{source.place}: {source.path} is taken for format {taken.format}: {taken.told}"


def _unplaced(config: Config) -> Iterator[str]:
    """Services of policy `nearest` over sources that tell of many clients only the country."""
    from geosteer.decision.model import Model
    from geosteer_loader.impact.unplaced import SAMPLE, unplaced_rows
    from geosteer_loader.sources.report import Report

    sources = config.sources["geo"]
    told: dict[bool, str] = {}
    for name, service in Model(config.document).services.items():
        if service.policy != "nearest" or not sources:
            continue
        key = bool(service.middles)
        if key not in told:
            try:
                told[key] = unplaced_rows(service, (source.open("geo").rows(Report()) for source in sources))
            except GeosteerError:  # told otherwise, or by publish
                told[key] = ""
        if told[key]:
            which = sources[0].path if len(sources) == 1 else "each source"
            sample = f"by the first {SAMPLE} networks of {which}"
            yield f"{config.path}: services.{json.dumps(name)}: {told[key]} ({sample})"
