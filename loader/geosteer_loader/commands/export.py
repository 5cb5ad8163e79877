"""Commands that write files for workers and for other name servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from geosteer_loader.commands import options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@click.group(short_help="Write files for workers and for other name servers.")
def export() -> None:
    """Write files made of what is published: for workers, and for name servers that answer by themselves.

    A file is replaced as a whole, and only when its content changes.
    """


@export.command(
    epilog=options.examples(
        "geosteer export fallback /etc/geosteer/backend.toml",
        "geosteer export fallback - | ssh edge1 'cat > /etc/geosteer/fallback.toml'",
    )
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True, dir_okay=False))
@options.as_json
@options.common
def fallback(*, file: Path, as_json: bool, config_path: Path | None) -> None:
    """Write the part [fallback] of a worker's FILE.

    Zones, services and well-connected servers are those that are published. What else FILE holds stays as it
    is; without FILE a new one is made, with which alone a worker answers. "-" prints the part.
    """
    from geosteer.errors import ConfigError
    from geosteer_loader.export import fallback as part
    from geosteer_loader.export import files

    document = _document(config_path)
    if str(file) == "-":
        click.echo(part.text(document), nl=False)
        return
    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, ValueError) as exc:
        raise ConfigError([f"{file}: {getattr(exc, 'strerror', None) or 'not UTF-8 text'}"]) from exc
    written = files.replace(file, part.merged(document, before, str(file)))
    zones = list(part.zones(document))
    servers = [server["name"] for server in part.servers(document)]
    found = {"file": str(file), "written": written, "zones": zones, "servers": servers}
    told = f"{len(zones)} zones, {len(servers)} servers"
    options.emit(found, f"{file}: {told if written else 'as before'}", json_wanted=as_json)


def _document(config_path: Path | None) -> Mapping[str, Any]:
    """The published configuration document."""
    from geosteer_loader import current

    with options.connect(config_path) as store:
        return current.document(store, current.read(store))
