"""Commands that write files for workers and for other name servers."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from geosteer_loader.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from geosteer_loader.export.bundle import Bundle
    from geosteer_loader.export.published_state import Picture
    from geosteer_loader.export.watch import Running

P = ParamSpec("P")
R = TypeVar("R")


@click.group(
    short_help="Write files for workers and for other name servers.",
    epilog=options.examples(
        "geosteer export fallback /etc/geosteer/backend.toml",
        "geosteer export pdns-geoip /var/lib/geosteer/geoip --watch",
    ),
)
def export() -> None:
    """Write files from what is published: for workers, and for name servers that answer by themselves.

    A file is replaced as a whole, and only when its content changes.
    """


def _shared(function: Callable[P, R]) -> Callable[P, R]:
    """The options of exports that make a folder of files."""
    for option in (
        click.option(
            "--interval", default=0.2, show_default=True, metavar="SECONDS", type=click.FloatRange(0.01, 3600),
            help="With --watch: time between two checks.",
        ),
        click.option("--watch", is_flag=True, help="Keep running, and write again on every change."),
        click.option("--lossy", is_flag=True, help="Write even if the format cannot express everything."),
        click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False)),
    ):  # fmt: skip
        function = option(function)
    return function


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
    from geosteer_loader.export import atomic_files
    from geosteer_loader.export import worker_fallback as part

    document = _document(config_path)
    if str(file) == "-":
        click.echo(part.text(document), nl=False)
        return
    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, ValueError) as exc:
        raise ConfigError([f"{file}: {getattr(exc, 'strerror', None) or 'not UTF-8 text'}"]) from exc
    written = atomic_files.replace(file, part.merged(document, before, str(file)))
    zones = list(part.zones(document))
    servers = [server["name"] for server in part.servers(document)]
    report = {"file": str(file), "written": written, "zones": zones, "servers": servers}
    counts = f"{len(zones)} zones, {len(servers)} servers"
    options.emit(report, f"{file}: {counts if written else 'as before'}", json_wanted=as_json)


@export.command(
    "pdns-geoip",
    epilog=options.examples(
        "geosteer export pdns-geoip /var/lib/geosteer/geoip",
        "geosteer export pdns-geoip /var/lib/geosteer/geoip --watch",
        "geosteer export pdns-geoip out --lossy --watch --reload 'pdns_control --config-name=geo reload'",
    ),
)
@_shared
@click.option(
    "--reload", metavar="COMMAND", help="Run after a change; default with --watch: pdns_control reload."
)
@options.as_json
@options.common
def pdns_geoip(
    *, folder: Path, lossy: bool, watch: bool, interval: float, reload: str | None, as_json: bool,
    config_path: Path | None,
) -> None:  # fmt: skip
    """Write zones and a database for PowerDNS' geoip backend.

    It answers by itself then, many times faster than through workers. What a hash of the client's network
    settles becomes a draw with the same weights. What the backend cannot do is listed and refused. A client
    subnet that is private or of length 0 is used as it is, where workers use the resolver's address.
    """
    from geosteer_loader.export.pdns_geoip import Exporter

    def exporter(picture: Picture) -> Callable[[], Bundle]:
        return Exporter(picture, folder).bundle

    command = ("pdns_control reload" if watch else "") if reload is None else reload
    _run(exporter, folder, config_path, command, lambda _: True, (lossy, watch, as_json), interval)


@export.command(
    epilog=options.examples(
        "geosteer export gdnsd /etc/gdnsd",
        "geosteer export gdnsd /etc/gdnsd --watch",
        "geosteer export gdnsd gdnsd --lossy --watch --reload 'gdnsdctl -c gdnsd replace'",
    ),
)
@_shared
@click.option(
    "--reload",
    metavar="COMMAND",
    help="Run after a change of more than networks and states; default with --watch: gdnsdctl -c DIR replace.",
)
@options.as_json
@options.common
def gdnsd(
    *, folder: Path, lossy: bool, watch: bool, interval: float, reload: str | None, as_json: bool,
    config_path: Path | None,
) -> None:  # fmt: skip
    """Write gdnsd's configuration directory.

    Networks of all layers, zones, and files of node states, which gdnsd watches by itself. What gdnsd cannot
    do is listed and refused. The file `config` is made once, and yours from then on. A client subnet that is
    private is used as it is, where workers use the resolver's address.
    """
    from geosteer_loader.export.gdnsd import Exporter, needs_replace

    def exporter(picture: Picture) -> Callable[[], Bundle]:
        return Exporter(picture, folder).bundle

    default = shlex.join(["gdnsdctl", "-c", str(folder), "replace"]) if watch else ""
    command = default if reload is None else reload
    _run(exporter, folder, config_path, command, needs_replace, (lossy, watch, as_json), interval)


@export.command(
    epilog=options.examples(
        "geosteer export knot /var/lib/geosteer/knot",
        "geosteer export knot /var/lib/geosteer/knot --watch",
        "geosteer export knot out --lossy --watch --reload 'knotc --socket run/knot.sock reload'",
    ),
)
@_shared
@click.option("--reload", metavar="COMMAND", help="Run after a change; default with --watch: knotc reload.")
@options.as_json
@options.common
def knot(
    *, folder: Path, lossy: bool, watch: bool, interval: float, reload: str | None, as_json: bool,
    config_path: Path | None,
) -> None:  # fmt: skip
    """Write zones and a database for Knot DNS's geoip module.

    Knot answers by itself then, many times faster than PowerDNS with workers. knot.conf is included by your
    own file. What the module cannot do is listed and refused: it draws nothing. A client subnet that is
    private or of length 0 is used as it is, where workers use the resolver's address.
    """
    from geosteer_loader.export.knot import Exporter

    def exporter(picture: Picture) -> Callable[[], Bundle]:
        return Exporter(picture, folder).bundle

    command = ("knotc reload" if watch else "") if reload is None else reload
    _run(exporter, folder, config_path, command, lambda _: True, (lossy, watch, as_json), interval)


@export.command(
    "geo-map",
    epilog=options.examples(
        "geosteer export geo-map /var/lib/geosteer/geo",
        "geosteer export geo-map /var/lib/geosteer/geo --lossy --watch --reload 'pdns_control rediscover'",
    ),
)
@_shared
@click.option(
    "--reload", metavar="COMMAND", help="Run after a change; default with --watch: pdns_control rediscover."
)
@options.as_json
@options.common
def geo_map(
    *, folder: Path, lossy: bool, watch: bool, interval: float, reload: str | None, as_json: bool,
    config_path: Path | None,
) -> None:  # fmt: skip
    """Write director maps for the geo backend of PowerDNS up to 3.4.

    With the ip-map zone in which each prefix has a number, and settings for each zone. Services are answered
    with a CNAME to the best node that serves. What the backend cannot do is listed and refused: IPv6, ties.
    """
    from geosteer_loader.export.geo_map import Exporter

    def exporter(picture: Picture) -> Callable[[], Bundle]:
        return Exporter(picture, folder).bundle

    command = ("pdns_control rediscover" if watch else "") if reload is None else reload
    _run(exporter, folder, config_path, command, lambda _: True, (lossy, watch, as_json), interval)


def _redirecting(function: Callable[P, R]) -> Callable[P, R]:
    """The options of exports to web servers, as geosteer-http has them."""
    for option in (
        click.option(
            "--trust", multiple=True, metavar="NETWORK", callback=_networks,
            help="Proxies that are believed about their client (X-Forwarded-For); may be repeated; default: none.",
        ),
        click.option(
            "--status", type=click.Choice(["302", "307", "308"]), default="302", show_default=True,
            help="Of redirects.",
        ),
        click.option(
            "--to", type=click.Choice(["name", "address"]), default="name", show_default=True,
            help="The node's host name, where it has one, or its address.",
        ),
        click.option(
            "--port", type=click.IntRange(0, 65535), default=0, help="Of the node's URL; default: the scheme's own.",
        ),
        click.option(
            "--scheme", type=click.Choice(["http", "https", "same"]), default="same", show_default=True,
            help="Of the node's URL; same: as the request's.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def _networks(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Addresses and networks, host bits cleared."""
    from ipaddress import ip_network

    try:
        return tuple(str(ip_network(text, strict=False)) for text in values)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


@export.command(
    epilog=options.examples(
        "geosteer export nginx /var/lib/geosteer/nginx",
        "geosteer export nginx /var/lib/geosteer/nginx --watch",
        "geosteer export nginx out --trust 10.0.0.0/8 --scheme https --watch --reload 'systemctl reload nginx'",
    ),
)
@_redirecting
@_shared
@click.option(
    "--reload", metavar="COMMAND", help="Run after a change; default with --watch: nginx -s reload."
)
@options.as_json
@options.common
def nginx(
    *, folder: Path, lossy: bool, watch: bool, interval: float, reload: str | None, as_json: bool,
    config_path: Path | None, scheme: str, port: int, to: str, status: str, trust: tuple[str, ...],
) -> None:  # fmt: skip
    """Write nginx configuration that redirects clients.

    nginx redirects each client by itself then, as geosteer-http would, many times faster. http.conf is
    for http { }, redirect.conf for a server { }; networks.conf holds the networks, nodes.conf what changes
    with the states of nodes. Draws are made by client network; a `hash` of paths cannot be.
    """
    from geosteer_loader.export.nginx import Exporter
    from geosteer_loader.export.redirects import Manner

    manner = Manner(scheme=scheme, port=port, by_address=to == "address", status=int(status), trusted=trust)

    def exporter(picture: Picture) -> Callable[[], Bundle]:
        return Exporter(picture, folder, manner).bundle

    command = ("nginx -s reload" if watch else "") if reload is None else reload
    _run(exporter, folder, config_path, command, lambda _: True, (lossy, watch, as_json), interval)


@export.command(
    epilog=options.examples(
        "geosteer export haproxy /var/lib/geosteer/haproxy",
        "geosteer export haproxy /var/lib/geosteer/haproxy --socket /run/haproxy/admin.sock --watch",
        "geosteer export haproxy out --trust 10.0.0.0/8 --to address --scheme http",
    ),
)
@_redirecting
@_shared
@click.option(
    "--socket",
    metavar="PATH",
    help="HAProxy's stats socket (level admin): maps change there, without a reload.",
)
@click.option(
    "--reload",
    metavar="COMMAND",
    help="Run after a change of redirect.cfg, without --socket of maps too; default with --watch: systemctl reload haproxy.",
)
@options.as_json
@options.common
def haproxy(
    *, folder: Path, lossy: bool, watch: bool, interval: float, reload: str | None, as_json: bool,
    config_path: Path | None, scheme: str, port: int, to: str, status: str, trust: tuple[str, ...], socket: str | None,
) -> None:  # fmt: skip
    """Write HAProxy maps and a backend that redirects clients.

    HAProxy redirects each client by itself then, as geosteer-http would, many times faster. redirect.cfg is
    read beside your own file (-f, -f) and has the backend `geosteer`. With --socket a node's state counts at
    once; the files are for the next start. Draws are made by client network; a `hash` of paths cannot be.
    """
    from geosteer_loader.export.haproxy import Exporter, is_map
    from geosteer_loader.export.haproxy_socket import MapSocket
    from geosteer_loader.export.redirects import Manner

    manner = Manner(scheme=scheme, port=port, by_address=to == "address", status=int(status), trusted=trust)

    def exporter(picture: Picture) -> Callable[[], Bundle]:
        return Exporter(picture, folder, manner).bundle

    command = ("systemctl reload haproxy" if watch else "") if reload is None else reload
    _run(
        exporter, folder, config_path, command, lambda name: socket is None or not is_map(name),
        (lossy, watch, as_json), interval, MapSocket(socket, folder) if socket is not None else None,
    )  # fmt: skip


def _run(
    exporter: Callable[[Picture], Callable[[], Bundle]],
    folder: Path,
    config_path: Path | None,
    command: str,
    needs_reload: Callable[[str], bool],
    flags: tuple[bool, bool, bool],
    interval: float,
    running: Running | None = None,
) -> None:
    """Make the files once, and again and again if wanted; *flags*: lossy, watch, JSON."""
    from geosteer_loader.cli.progress_bar import meter
    from geosteer_loader.export.published_state import Picture
    from geosteer_loader.export.watch import Writer
    from geosteer_loader.store import current

    lossy, watch, as_json = flags
    with options.connect(config_path) as store:
        picture = Picture(store, meter)
        writer = Writer(exporter(picture), folder, command, needs_reload, running)
        bundle, written = writer.once(lossy=lossy, patient=watch)
        report = {
            "folder": str(folder),
            "generation": current.number(picture.generation.fields, "generation"),
            "written": written,
            "losses": list(bundle.losses),
            "notes": list(bundle.notes),
        }
        options.emit(report, f"{folder}: {', '.join(written) or 'as before'}", json_wanted=as_json)
        if watch:
            writer.follow(picture, interval)


def _document(config_path: Path | None) -> Mapping[str, Any]:
    """The published configuration document."""
    from geosteer_loader.store import current

    with options.connect(config_path) as store:
        return current.document(store, current.read(store))
