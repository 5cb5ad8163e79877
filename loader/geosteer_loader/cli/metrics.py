"""`geosteer metrics`: what Prometheus scrapes."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geosteer.errors import ConfigError, GeosteerError
from geosteer_loader.cli import options

if TYPE_CHECKING:
    from geosteer_loader.metrics.exporter import Exporter

LISTEN = "127.0.0.1:9717"

log = logging.getLogger(__name__)


@click.command(
    epilog=options.examples(
        "geosteer metrics",
        "geosteer metrics --listen",
        "geosteer metrics --backend /etc/geosteer/backend.toml --listen 127.0.0.1:9718",
        "geosteer metrics --textfile /var/lib/prometheus/node-exporter/geosteer.prom",
    )
)
@click.option(
    "--listen",
    is_flag=False,
    flag_value=LISTEN,
    metavar="ADDRESS:PORT",
    help=f"Serve them over HTTP until stopped; without an address at {LISTEN}.",
)
@click.option(
    "--textfile",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write them once to this file (*.prom), for the textfile collector of node_exporter.",
)
@click.option(
    "--backend",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Show what workers with this backend.toml have counted on this host.",
)
@options.common
def metrics(
    *, listen: str | None, textfile: Path | None, backend: Path | None, config_path: Path | None
) -> None:
    """Show metrics for Prometheus: once, as a file, or over HTTP.

    Without --backend they are of what is published in Redis: generation, tables, nodes, overrides,
    checks. With --backend they are of the workers on this host, and Redis is asked only where
    --config is given as well. docs/metrics.md explains each.
    """
    if listen is not None and textfile is not None:
        raise click.UsageError("--listen and --textfile exclude each other")
    exporter = _exporter(backend, config_path)
    if listen is not None:
        _serve(exporter, listen)
        return
    text = exporter.text()
    if textfile is not None:
        _replace(textfile, text)
    else:
        click.echo(text.decode(), nl=False)
    if exporter.trouble:
        raise GeosteerError(exporter.trouble)


def _exporter(backend: Path | None, config_path: Path | None) -> Exporter:
    from geosteer.settings import load
    from geosteer_loader.metrics.exporter import Exporter

    folder = load(str(backend), copies=False).metrics if backend is not None else None
    if folder == "":
        raise ConfigError([f"{backend}: metrics.folder: workers with these settings count nothing"])
    if backend is not None and config_path is None:
        return Exporter(folder=folder)
    config = options.host_config(config_path)
    there = os.path.lexists(config.measurements)  # False too where its folder may not be looked into
    measured = config.measurements if there else None
    return Exporter(folder=folder, redis=config.redis, max_age=config.guard.max_age, measurements=measured)


def _serve(exporter: Exporter, listen: str) -> None:
    """Answer scrapes until a signal comes."""
    from prometheus_client import CollectorRegistry, start_http_server

    host, port = _place(listen)
    registry = CollectorRegistry()
    registry.register(exporter)
    try:
        start_http_server(port, host, registry)
    except OSError as exc:
        raise GeosteerError(f"{listen}: {exc.strerror or exc}") from exc
    log.info("listening on http://%s/metrics", listen)
    threading.Event().wait()


def _place(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise click.BadParameter("must be ADDRESS:PORT", param_hint="--listen")
    return host.strip("[]"), int(port)


def _replace(path: Path, text: bytes) -> None:
    """Put a whole file there: who reads it meanwhile sees the one before."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(text)
        aside.chmod(0o644)
        aside.replace(path)
    except OSError as exc:
        aside.unlink(missing_ok=True)
        raise GeosteerError(f"{path}: {exc.strerror or exc}") from exc
