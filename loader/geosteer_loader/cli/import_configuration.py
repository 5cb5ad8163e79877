"""`geosteer import`: the configuration of another system as a geosteer.toml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from geosteer_loader.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer_loader.importing.draft import Draft

P = ParamSpec("P")
R = TypeVar("R")


@click.group(
    "import",
    short_help="Write a geosteer.toml from another system's files.",
    epilog=options.examples(
        "geosteer import gdnsd /etc/gdnsd --output geosteer.toml",
        "geosteer import pdns-geoip /etc/powerdns/geo.yaml --lossy",
    ),
)
def import_configuration() -> None:
    """Write a geosteer.toml that says what another system's configuration says.

    What has no equivalent is listed and refused: exit code 3, and nothing is written; --lossy writes the rest. Comments in
    the file tell where a choice was made.
    """


def _shared(function: Callable[P, R]) -> Callable[P, R]:
    for option in (
        click.option("--force", is_flag=True, help="Overwrite the file."),
        click.option("--lossy", is_flag=True, help="Write even if something has no equivalent."),
        click.option(
            "-o", "--output", metavar="FILE", default="-", show_default="standard output",
            type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), help="Where the configuration goes.",
        ),
    ):  # fmt: skip
        function = option(function)
    return options.as_json(function)


def _folder(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    return click.argument("path", metavar=name, type=click.Path(path_type=Path))


@import_configuration.command(
    epilog=options.examples(
        "geosteer import gdnsd /etc/gdnsd", "geosteer import gdnsd /etc/gdnsd -o geosteer.toml --lossy"
    )
)
@_folder("DIR")
@_shared
def gdnsd(*, path: Path, output: Path, lossy: bool, force: bool, as_json: bool) -> None:
    """Read gdnsd's configuration directory, version 3.

    Maps of the geoip plugin with their networks, resources of all plugins, service types as health checks, and zone files.
    """
    from geosteer_loader.importing.gdnsd import draft_of

    _write(draft_of(path), output, (lossy, force, as_json))


@import_configuration.command(
    "pdns-geoip",
    epilog=options.examples(
        "geosteer import pdns-geoip /etc/powerdns/geo.yaml",
        "geosteer import pdns-geoip zones.yaml --output geosteer.toml",
    ),
)
@_folder("FILE")
@_shared
def pdns_geoip(*, path: Path, output: Path, lossy: bool, force: bool, as_json: bool) -> None:
    """Read the zones file of PowerDNS' geoip backend (YAML).

    Services become layers of maps, records with weights the policy `weighted`.
    """
    from geosteer_loader.importing.pdns_geoip import draft_of

    _write(draft_of(path), output, (lossy, force, as_json))


@import_configuration.command(
    "bind-geoip",
    epilog=options.examples(
        "geosteer import bind-geoip /etc/bind/named.conf",
        "geosteer import bind-geoip named.conf --output geosteer.toml --lossy",
    ),
)
@_folder("FILE")
@_shared
def bind_geoip(*, path: Path, output: Path, lossy: bool, force: bool, as_json: bool) -> None:
    """Read BIND's views and the zones within them.

    Names whose addresses differ between views become services; the places and networks of a view are keys of their maps.
    """
    from geosteer_loader.importing.bind_geoip import draft_of

    _write(draft_of(path), output, (lossy, force, as_json))


@import_configuration.command(
    epilog=options.examples(
        "geosteer import geodns /etc/geodns/dns", "geosteer import geodns dns -o geosteer.toml --lossy"
    )
)
@_folder("DIR")
@_shared
def geodns(*, path: Path, output: Path, lossy: bool, force: bool, as_json: bool) -> None:
    """Read the zones of geodns, a directory of JSON files."""
    from geosteer_loader.importing.geodns import draft_of

    _write(draft_of(path), output, (lossy, force, as_json))


@import_configuration.command(
    epilog=options.examples(
        "(echo ---; mirrorbits show fr1.example.net) >> mirrors.yaml",
        "geosteer import mirrorbits /etc/mirrorbits.conf --mirrors mirrors.yaml --service dl.example.net",
    )
)
@_folder("FILE")
@click.option(
    "--mirrors",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="What `mirrorbits show NAME` printed for each mirror, with a line `---` before each.",
)
@click.option("--service", metavar="NAME", required=True, help="The host name under which clients ask.")
@_shared
def mirrorbits(
    *, path: Path, mirrors: Path, service: str, output: Path, lossy: bool, force: bool, as_json: bool
) -> None:  # fmt: skip
    """Read the configuration of mirrorbits, and its mirrors."""
    from geosteer_loader.importing.mirrorbits import draft_of

    _write(draft_of(path, mirrors, service), output, (lossy, force, as_json))


def _write(draft: Draft, output: Path, flags: tuple[bool, bool, bool]) -> None:
    """Check what came of it, and write it; *flags*: lossy, force, JSON."""
    from geosteer.errors import ConfigError, Refused
    from geosteer_loader.importing.result import checked

    lossy, force, as_json = flags
    text, problems = checked(draft)
    losses = [*draft.losses, *problems]
    if losses and not lossy:
        raise Refused(
            "\n".join([*losses, "refused: geosteer has nothing for that (--lossy writes the rest)"])
        )
    for line in [*losses, *draft.notes]:
        click.echo(line, err=True)
    if str(output) == "-":
        report: dict[str, object] = {"file": None, "text": text}
        shown = text.rstrip("\n")
    else:
        try:
            with output.open("w" if force else "x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise ConfigError([f"{output}: is there already (--force overwrites it)"]) from None
        except OSError as exc:
            raise ConfigError([f"{output}: {exc.strerror}"]) from exc
        report = {"file": str(output)}
        shown = (
            f"{output}: {len(draft.nodes)} nodes, {len(draft.zones)} zones, {len(draft.services)} services"
        )
    options.emit({**report, "losses": losses, "notes": list(draft.notes)}, shown, json_wanted=as_json)
