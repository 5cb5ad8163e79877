"""The text of geosteer.toml and backend.toml for the answers that were given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from geosteer_loader.config import config, samples
from geosteer_loader.config.toml_file import parse_toml
from geosteer_loader.export import worker_fallback
from geosteer_loader.install.answers import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer_loader.install.answers import Answers, Node
    from geosteer_loader.install.place import Place

LOADER_PASSWORD, WORKER_PASSWORD = "loader.password", "worker.password"  # names of files


def loader(answers: Answers, place: Place) -> str:
    """geosteer.toml."""
    lines = [
        _schema("geosteer"),
        "# geosteer: what the loader publishes, as `geosteer init` wrote it. `geosteer check-config` reports every problem.",
        f"# Every setting there is, with its default and what it does: {samples.folder() / 'geosteer.toml'}",
        "",
        *_redis(answers, "loader", LOADER_PASSWORD),
        "",
        "[sources]",
        f"cache = {_text(place.sources)}",
        "",
        "[[sources.geo]]",
        '# The country table that comes with geosteer. To take another one in its place: format = "mmdb" and, for example,',
        '# path = "/var/lib/GeoIP/GeoLite2-Country.mmdb".',
        'format = "builtin"',
    ]
    for node in answers.nodes:
        lines += ["", *_node(answers, node)]
    lines += ["", *_map(answers), "", *_zone(answers)]
    for service in answers.services:
        lines += [
            "",
            f"[services.{_text(f'{service}.{answers.zone}')}]",
            'map = "default"',
            f'policy = "{_policy(answers)}"',
            "ttl = 60",
        ]
    lines += ["", "# A country table that places these elsewhere is not published.", "[guard.canaries]"]
    lines += ['"8.8.8.8" = "US"', '"2001:4860:4860::8888" = "US"']
    return "\n".join(lines) + "\n"


def worker(answers: Answers, place: Place, loaders: str, path: Path) -> str:
    """backend.toml. Args: loaders: geosteer.toml, at *path*. Raises: ConfigError: that one has problems."""
    raw = parse_toml(loaders, path)
    if isinstance(raw.get("redis"), dict):
        raw["redis"].pop("password_file", None)  # is written together with this
    checked = config.check(raw, path, {}, loaders)
    own = [
        _schema("backend"),
        "# geosteer: the settings of workers, written by `geosteer init`; `geosteer check-config --backend FILE` checks them.",
        f"# Every setting there is, with its default and what it does: {samples.folder() / 'backend.toml'}",
        "",
        "# Where the last good state is kept, for a start without Redis.",
        f"snapshot = {_text(place.snapshot)}",
        "",
        *_redis(answers, "worker", WORKER_PASSWORD),
    ]
    if not place.system:
        own += [
            "",
            "[metrics]",
            "# Counters of the workers.",
            f"folder = {_text(place.folder / 'state' / 'metrics')}",
        ]
    own += [
        "",
        "# What is answered without Redis and snapshot; `geosteer export fallback FILE` writes this part anew.",
        "",
    ]
    return worker_fallback.merged(checked.document, "\n".join(own), "backend.toml")


def _schema(name: str) -> str:
    """The line by which editors find the schema of a file; it has to be the first."""
    return f"#:schema {(samples.folder() / f'{name}.schema.json').as_uri()}"


def _redis(answers: Answers, role: str, password: str) -> Iterator[str]:
    yield "[redis]"
    yield f"url = {_text(f'unix://{answers.socket}')}"
    yield f"prefix = {_text(answers.prefix)}"
    yield f"username = {_text(f'{answers.redis_user}-{role}')}"
    yield f"password_file = {_text(password)}"


def _node(answers: Answers, node: Node) -> Iterator[str]:
    yield f"[nodes.{node.name}]"
    if node.a:
        yield f"a = {json.dumps(node.a)}"
    if node.aaaa:
        yield f"aaaa = {json.dumps(node.aaaa)}"
    yield f"hostname = {_text(f'{node.name.lower()}.{answers.zone}')}"
    if node.place is not None:
        yield f"location = [{node.place[0]:g}, {node.place[1]:g}]"
    yield "# Weight in the round robin of last resort, when Redis is gone."
    yield "well_connected = 10"
    kind, _, port = answers.check.partition(":")
    if kind == "tcp":
        yield from ("", f"[nodes.{node.name}.check]", 'type = "tcp"', f"port = {port}")
    elif kind != "none":
        address = node.addresses[0]
        shown = f"[{address}]" if ":" in address else address
        yield from ("", f"[nodes.{node.name}.check]", f'type = "{kind}"', f'url = "{kind}://{shown}/"')
        yield f"host = {_text(answers.example)}"
        if kind == "https":
            yield f"sni = {_text(answers.example)}"


def _map(answers: Answers) -> Iterator[str]:
    if answers.countries:
        yield from ("# Which nodes for which clients: node = weight.", "[maps.default.countries]")
        for country, names in answers.countries:
            weights = ", ".join(f"{name} = {weight}" for name, weight in zip(names, WEIGHTS, strict=False))
            yield f"{country} = {{ {weights} }}"
        yield ""
    yield from (
        "# All other clients. Every map has it." if answers.countries else "# All clients.",
        "[maps.default.default]",
    )
    yield from (f"{node.name} = 100" for node in answers.nodes)


def _policy(answers: Answers) -> str:
    """By distance where the nodes' places are all that is known of who should use them."""
    return "best" if answers.countries or any(node.place is None for node in answers.nodes) else "nearest"


def _zone(answers: Answers) -> Iterator[str]:
    zone = _text(answers.zone)
    names = [f"{server.name.lower()}.{answers.zone}" for server in answers.name_servers]
    yield f"[zones.{zone}]"
    yield f"ns = {json.dumps(names)}"
    yield ""
    yield f"[zones.{zone}.soa]"
    yield f"mname = {_text(names[0])}"
    yield f"rname = {_text(f'hostmaster.{answers.zone}')}"
    for server in answers.name_servers:
        for address in server.addresses:
            kind = "AAAA" if ":" in address else "A"
            yield from ("", f"[[zones.{zone}.records]]", f"name = {_text(server.name.lower())}")
            yield from (f'type = "{kind}"', f"content = {_text(address)}")


def _text(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
