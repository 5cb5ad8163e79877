"""`geosteer init`: a complete, working set of files for this host."""

from __future__ import annotations

import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from geosteer_loader.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from geosteer_loader.install.answers import Answers
    from geosteer_loader.install.host import Host
    from geosteer_loader.install.place import Place
    from geosteer_loader.install.write import Written

T = TypeVar("T")

LONGEST = 107
"""Bytes of the path of a unix socket (unix(7))."""


@click.command(
    epilog=options.examples(
        "geosteer init --zone cdn.example.net --node lon1=192.0.2.1,2001:db8:1::1@GB --node nyc1=198.51.100.1@US",
        "geosteer init try --zone cdn.example.net --node lon1=192.0.2.1@GB --node syd1=198.51.100.5@AU",
        "geosteer init --dry-run --zone cdn.example.net --node lon1=192.0.2.1",
        "geosteer init --repair",
        "geosteer init --undo",
    )
)
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--zone", metavar="NAME", help="The zone that PowerDNS is to serve.")
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="NAME=ADDR[,ADDR6][@PLACE]",
    help="A content server; repeat. PLACE, a country code or LAT/LON, has clients use the nearest.",
)
@click.option(
    "--country",
    "countries",
    multiple=True,
    metavar="CC=NODE[,NODE]",
    help="Nodes of a country, best first; repeat.",
)
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="NAME",
    help="A name in the zone to answer; repeat. Default: www.",
)
@click.option(
    "--ns",
    "name_servers",
    multiple=True,
    metavar="NAME=ADDR[,ADDR6]",
    help="A name server of the zone; repeat. Default: ns1.",
)
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDR",
    help="Address that PowerDNS answers on; repeat. Default: 127.0.0.1.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="Its port. Default: 53, with DIR 5300.")
@click.option(
    "--check",
    default="none",
    metavar="TYPE",
    help="Health check of the nodes: none, http, https or tcp:PORT.",
    show_default=True,
)
@click.option(
    "--server",
    "server_name",
    type=click.Choice(["redis", "valkey"]),
    help="Which of them; default: the one that is here.",
)
@click.option("--socket", metavar="PATH", help="Its unix socket.")
@click.option("--prefix", default="geosteer", metavar="NAME", help="Prefix of all keys.", show_default=True)
@click.option(
    "--redis-user",
    default="geosteer",
    metavar="NAME",
    help="What its users are called: NAME-worker, ...",
    show_default=True,
)
@click.option(
    "--system-user", default="geosteer", metavar="NAME", help="Who publishes and probes.", show_default=True
)
@click.option("--pdns-user", default="pdns", metavar="NAME", help="Who PowerDNS runs as.", show_default=True)
@click.option("--cron", is_flag=True, help="A cron line in place of a systemd timer.")
@click.option("--root", type=click.Path(path_type=Path), help="Write into the tree of another host.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.option("--dry-run", is_flag=True, help="Only show what would be written.")
@click.option("--repair", is_flag=True, help="Only write again what is missing, as it was asked for.")
@click.option("--undo", is_flag=True, help="Take away what was written outside of DIR.")
@options.as_json
def init(
    *,
    folder: Path | None,
    force: bool,
    dry_run: bool,
    repair: bool,
    undo: bool,
    root: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Write a complete, working set of files for this host.

    Without DIR: configuration with fresh passwords in /etc/geosteer, and what Redis or Valkey, PowerDNS, systemd and logrotate
    need, in their own folders. With DIR: all of it into that folder, for a Redis and a PowerDNS of its own, to try things;
    nothing outside is touched. On a terminal it asks for what no option says. Nothing is overwritten without --force; --repair
    writes what was lost since, and keeps what is there.
    """
    from geosteer_loader.install import write
    from geosteer_loader.install.files import file_set
    from geosteer_loader.install.host import Host
    from geosteer_loader.install.place import SYSTEM, Place
    from geosteer_loader.install.repair import repair as write_lost

    host = Host(Path("/") if root is None else root.absolute())
    place = Place(SYSTEM if folder is None else folder.absolute())
    for other, chosen in {"--force": force, "--dry-run": dry_run, "--undo": undo}.items():
        if repair and chosen:
            raise click.UsageError(f"--repair does not go with {other}")
    if undo:
        removed, kept = write.undo(place, host, force=force)
        options.emit(
            {"removed": removed, "kept": kept}, lambda: _undone(removed, kept, place), json_wanted=as_json
        )
        return
    if repair:
        written, answers = write_lost(place, host, lambda: secrets.token_urlsafe(24))
        if not written.files:
            nothing: dict[str, list[str]] = {"files": [], "includes": [], "notes": [], "next": []}
            options.emit(nothing, lambda: "nothing is missing", json_wanted=as_json)
            return
        _report(written, answers, place, host, as_json=as_json)
        return
    answers = _answers(given, place)
    files = file_set(answers, place, host, lambda _: secrets.token_urlsafe(24))
    if dry_run:
        there = write.conflicts(files, place, host)
        listed = [str(file.path) for file in files.files]
        shown = {
            "files": listed,
            "includes": [f"{each.path}: {each.line}" for each in files.includes],
            "in_the_way": there,
        }
        options.emit(shown, lambda: "\n".join(_planned(shown)), json_wanted=as_json)
        return
    written = write.write(files, place, host, answers, force=force)
    _report(written, answers, place, host, as_json=as_json)


def _report(written: Written, answers: Answers, place: Place, host: Host, *, as_json: bool) -> None:
    steps = _next(answers, place)
    notes = [*written.notes, *_bind_backend(place, host)]
    result = {"files": written.files, "includes": written.includes, "notes": notes, "next": steps}
    options.emit(result, lambda: "\n".join(_told(result, host)), json_wanted=as_json)


def _bind_backend(place: Place, host: Host) -> Iterator[str]:
    """What to do about the settings of PowerDNS's BIND backend, which Debian installs beside PowerDNS."""
    path = place.pdns_config.with_name("bind.conf")
    if place.system and host.at(path).is_file():
        yield (
            f"{path}: PowerDNS does not start with its bind-config unless it launches the BIND backend: "
            f"remove the file, or write launch=pipe,bind in {place.pdns_config}"
        )


def _answers(given: dict[str, Any], place: Place) -> Answers:
    from geosteer_loader.install import answers, servers

    zone = given["zone"] or _ask("Zone that PowerDNS is to serve", "--zone", answers.domain)
    nodes = list(given["nodes"])
    if not nodes:
        nodes.append(_ask("First node, NAME=ADDRESS[,ADDRESS6][@COUNTRY]", "--node", answers.node, show=True))
        while more := click.prompt("Another node (empty: no more)", default="", show_default=False):
            nodes.append(more)
    server = servers.SERVERS[given["server_name"]] if given["server_name"] else servers.installed()
    listen = tuple(_parsed("--listen", answers.address, each) for each in given["listen"]) or ("127.0.0.1",)
    found = answers.Answers(
        zone=_parsed("--zone", answers.domain, zone),
        services=tuple(given["services"]) or ("www",),
        nodes=tuple(_parsed("--node", answers.node, each) for each in nodes),
        name_servers=tuple(_parsed("--ns", answers.node, each) for each in given["name_servers"])
        or (answers.Node("ns1", listen),),
        countries=tuple(_parsed("--country", answers.country, each) for each in given["countries"]),
        listen=listen,
        port=given["port"] or (53 if place.system else 5300),
        prefix=_parsed("--prefix", answers.word, given["prefix"]),
        socket=given["socket"] or str(place.socket or server.socket),
        server=server,
        redis_user=_parsed("--redis-user", answers.word, given["redis_user"]),
        system_user=_parsed("--system-user", answers.word, given["system_user"]),
        pdns_user=_parsed("--pdns-user", answers.word, given["pdns_user"]),
        check=_parsed("--check", answers.check, given["check"]),
        cron=given["cron"],
    )
    if len(found.socket.encode()) > LONGEST:
        raise click.BadParameter(f"{found.socket}: longer than a socket's path may be", param_hint="--socket")
    known = {node.name for node in found.nodes}
    for country, names in found.countries:
        for name in names:
            if name not in known:
                raise click.BadParameter(f"{country}: no --node is called {name}", param_hint="--country")
    return replace(found, countries=tuple(dict(found.countries).items()))


def _ask(what: str, option: str, parse: Callable[[str], object], *, show: bool = False) -> str:
    """Ask on a terminal. Raises: click.UsageError: there is none."""
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        raise click.UsageError(f"{option} is needed (there is no terminal to ask on)")

    def check(text: str) -> str:
        try:
            parse(text)
        except ValueError as exc:
            raise click.BadParameter(str(exc)) from exc
        return text

    return str(click.prompt(what, value_proc=check, show_default=show))


def _parsed(option: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint=option) from exc


def _planned(shown: dict[str, list[str]]) -> Iterator[str]:
    there = set(shown["in_the_way"])
    yield "would write:"
    yield from (
        f"  {path}{'  (exists: only with --force)' if path in there else ''}" for path in shown["files"]
    )
    yield from (f"  {line}" for line in shown["includes"])


def _told(result: dict[str, list[str]], host: Host) -> Iterator[str]:
    yield "written:"
    yield from (f"  {path}" for path in (*result["files"], *result["includes"]))
    if result["notes"]:
        yield "to be looked at:"
        yield from (f"  {note}" for note in result["notes"])
    if host.here:
        yield "next:"
        yield from (f"  {step}" for step in result["next"])


def _next(answers: Answers, place: Place) -> list[str]:
    """Commands from here to the first right answer."""
    ask = f"dig @{answers.listen[0]} -p {answers.port} {answers.example} +subnet=81.128.0.0/24"
    if not place.system:
        config = place.folder / "geosteer.toml"
        return [
            f"{answers.server.program} {place.folder / 'redis.conf'} &",
            f"geosteer publish --config {config}",
            f"pdns_server --config-dir={place.folder} &",
            ask,
            f"geosteer doctor {place.folder}",
        ]
    return [
        "systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload",
        f"systemctl restart {answers.server.unit}",
        "systemctl start geosteer-publish"
        if not answers.cron
        else f"su -s /bin/sh -c 'geosteer publish' {answers.system_user}",
        "systemctl restart pdns",
        ask,
        "geosteer doctor",
        *([] if answers.cron else ["systemctl enable --now geosteer-publish.timer"]),
        *([] if answers.cron or answers.check == "none" else ["systemctl enable --now geosteer-probe"]),
    ]


def _undone(removed: Sequence[str], kept: Sequence[str], place: Place) -> str:
    lines = [f"removed {each}" for each in removed] or [f"nothing was written outside of {place.folder}"]
    lines += [f"kept {each}: it was changed since (--force removes it)" for each in kept]
    return "\n".join([*lines, f"{place.folder} stays, with the configuration and the passwords"])
