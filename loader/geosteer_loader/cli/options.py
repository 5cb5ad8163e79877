"""What commands share: where the configuration is, how much is logged, and how results are shown."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from geosteer.errors import ConfigError
from geosteer_loader.cli.output import harmless, harmless_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer_loader.config.config import Config
    from geosteer_loader.config.host import HostConfig
    from geosteer_loader.store.store import Store

P = ParamSpec("P")
R = TypeVar("R")

QUIET, VERBOSE = f"{__name__}.quiet", f"{__name__}.verbose"
"""Where click's context keeps which of the two were given."""

DEFAULTS = (Path("/etc/geosteer/geosteer.toml"), Path("conf/geosteer.toml"))
"""Where the configuration is looked for when `--config` does not say it; a sample in the working directory must never win
over a network's own file."""

log = logging.getLogger(__name__)


def common(function: Callable[P, R]) -> Callable[P, R]:
    """Adds `--config FILE`, given to the command as *config_path*, and `-v`, `-q`."""
    for option in (
        click.option(
            "-q", "--quiet", is_flag=True, expose_value=False, callback=_quiet, help="Log only warnings."
        ),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            expose_value=False,
            callback=_verbose,
            help="Log more on stderr.",
        ),
        click.option(
            "--config",
            "config_path",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help=f"Configuration; default: {DEFAULTS[0]}, then {DEFAULTS[1]}.",
        ),
    ):
        function = option(function)
    return function


def backend(function: Callable[P, R]) -> Callable[P, R]:
    """Adds `--backend FILE`, given to the command as *backend*."""
    return click.option(
        "--backend",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Look as a worker with this backend.toml does, with its user; no other configuration is needed.",
    )(function)


def as_json(function: Callable[P, R]) -> Callable[P, R]:
    """Adds `--json`, given to the command as *as_json*."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def config_file(path: Path | None) -> Path:
    """The configuration file: the one named, else the first default that exists.

    Raises: ConfigError: there is none.
    """
    if path is not None:
        return path
    default = default_file()
    if default is not None:
        return default
    raise ConfigError(
        [f"no configuration: neither {DEFAULTS[0]} nor {DEFAULTS[1]} exists; use --config FILE"]
    )


def default_file() -> Path | None:
    """The first default that exists, named in the log; None: there is none."""
    default = next((path for path in DEFAULTS if path.is_file()), None)
    if default is not None:
        log.info("configuration: %s", default)
    return default


def load(path: Path | None) -> Config:
    """The configuration, checked; its warnings are for `check-config`."""
    from geosteer_loader.config import config

    return config.load(config_file(path))


def host_config(path: Path | None) -> HostConfig:
    """What a command needs of the configuration that works on what is published; its file may be absent.

    Raises: ConfigError.
    """
    from geosteer_loader.config import host

    return host.load(default_file() if path is None else path)


def connect(path: Path | None) -> Store:
    """The store that the configuration names. Raises: ConfigError."""
    from geosteer_loader.store import lean_store

    config = host_config(path)
    return lean_store.connect(config.redis, config.journal.max_length)


def emit(value: Any, text: str | Callable[[], str], *, json_wanted: bool) -> None:
    """Print a result: *value* as JSON, or the text."""
    if json_wanted:
        click.echo(harmless_json(json.dumps(value, indent=2, ensure_ascii=False)))
    else:
        click.echo(harmless(text if isinstance(text, str) else text()))


class _Format(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = harmless(super().format(record))
        return f"warning: {text}" if record.levelno >= logging.WARNING else text


def _log(level: int) -> None:
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Format("%(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("geosteer_loader").setLevel(level)


def _verbose(ctx: click.Context, _option: click.Parameter, given: bool) -> None:
    ctx.meta[VERBOSE] = given
    _set_level(ctx)


def _quiet(ctx: click.Context, _option: click.Parameter, given: bool) -> None:
    ctx.meta[QUIET] = given
    _set_level(ctx)


def _set_level(ctx: click.Context) -> None:
    """Whichever of the two options click looks at first."""
    quiet = logging.WARNING if ctx.meta.get(QUIET) else logging.INFO
    _log(logging.DEBUG if ctx.meta.get(VERBOSE) else quiet)
