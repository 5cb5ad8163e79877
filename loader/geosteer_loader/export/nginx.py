"""`geosteer export nginx`: nginx redirects each client by itself, from classes of networks and a small file of nodes.

Networks have the names of classes of clients, which do not depend on node states: a change of those changes the file of
nodes alone. Draws are `split_clients` of the client's network: shares as with geosteer-http, but not for the same networks.
Source: nginx 1.22, ngx_http_geo_module, ngx_http_map_module, ngx_http_split_clients_module, ngx_http_realip_module.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from geosteer_loader.export.bundle import Bundle
from geosteer_loader.export.redirects import NOBODY, Redirects, whole_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from geosteer_loader.export.published_state import Picture
    from geosteer_loader.export.redirects import Draw, Manner

NETWORKS, NODES, SETTINGS, SERVER = "networks.conf", "nodes.conf", "http.conf", "redirect.conf"
PARTS = 10000
"""`split_clients` takes hundredths of a per cent."""
LONGEST_KEY = 46
"""Bytes of a key of `map` that fit nginx's own `map_hash_bucket_size` of 64."""
RETRY_SECONDS = 10
HEADER = "# Made by geosteer; the next export overwrites it.\n"

CLIENT = """\
# IPv6 addresses that carry an IPv4 one are looked up as that: 6to4 (RFC 3056), NAT64 (RFC 6052).
geo $geosteer_carrier { default 0; 2002::/16 1; 64:ff9b::/96 2; }
map $geosteer_carrier $geosteer_client { default $remote_addr; 1 $geosteer_6to4; 2 $geosteer_nat64; }
map $remote_addr $geosteer_6to4 {
    default ::ffff:0:0;
    "~*^2002:([0-9a-f]+):([0-9a-f]+)(:|$)" ::ffff:$1:$2;
    "~*^2002:([0-9a-f]+)::" ::ffff:$1:0;
}
map $remote_addr $geosteer_nat64 {
    default ::ffff:0:0;
    "~*^64:ff9b::([0-9a-f]+):([0-9a-f]+)$" ::ffff:$1:$2;
    "~*^64:ff9b::([0-9a-f]+)$" ::ffff:0:$1;
}
map $geosteer_client $geosteer_network { default $geosteer_client; "~^(\\d+\\.\\d+\\.\\d+)\\." $1; }
"""


class Exporter:
    """Makes the files again and again, and no more of them than changed."""

    def __init__(self, picture: Picture, folder: Path, manner: Manner) -> None:
        """Args: folder: where the files will be."""
        self._folder = folder.absolute()
        self._manner = manner
        self._redirects = Redirects(picture, manner)

    def bundle(self) -> Bundle:
        """The files for what is published now, the networks first.

        Raises: StoreError: a page is absent or damaged, or Redis failed.
        """
        bundle = Bundle()
        self._redirects.follow(bundle)
        bundle.files[NETWORKS] = self._redirects.networks(lambda prefix, name: f"{prefix} {name};\n")
        bundle.files[NODES] = "".join(_nodes(self._redirects.draws, self._redirects.ttls))
        bundle.files[SETTINGS] = "".join(_settings(self._redirects.hosts, self._manner, self._folder))
        bundle.files[SERVER] = "".join(_server(self._manner))
        return bundle


def _settings(hosts: dict[str, int], manner: Manner, folder: Path) -> Iterator[str]:
    """For `http { }`: from the request to its service, and from the client to its class."""
    yield HEADER + "# Goes into http { }. The lines of redirect.conf go into a server { }.\n"
    longest = max(map(len, hosts), default=0)
    if longest > LONGEST_KEY:
        yield f"map_hash_bucket_size {1 << (longest + 32).bit_length()};\n"
    yield CLIENT
    yield f"geo $geosteer_client $geosteer_class {{ default {NOBODY}; include {_quoted(str(folder / NETWORKS))}; }}\n"
    yield 'map $host $geosteer_steered {\n    hostnames;\n    default "";\n'
    yield from (f"    {_quoted(host)} {number};\n" for host, number in hosts.items())
    yield "}\n"
    yield 'map $request_method $geosteer_service { default ""; GET $geosteer_steered; HEAD $geosteer_steered; }\n'
    if manner.trusted and manner.scheme == "same":
        networks = "".join(f" {network} 1;" for network in manner.trusted)
        yield f"geo $realip_remote_addr $geosteer_trusted {{ default 0;{networks} }}\n"
        # Who the peer is costs a search, and counts only where there is such a field.
        yield 'map $http_x_forwarded_proto $geosteer_scheme {\n    default $scheme;\n    "" $scheme;\n'
        for scheme in ("http", "https"):
            yield f'    {scheme} $geosteer_{scheme};\n    "~*^(.*,)?[ \t]*{scheme}[ \t]*$" $geosteer_{scheme};\n'
        yield "}\n"
        for scheme in ("http", "https"):
            yield f"map $geosteer_trusted $geosteer_{scheme} {{ default $scheme; 1 {scheme}; }}\n"
    yield f"include {_quoted(str(folder / NODES))};\n"


def _nodes(draws: dict[tuple[int, str], Draw], ttls: Sequence[int]) -> Iterator[str]:
    """From service and class to the node: all that depends on states."""
    yield HEADER
    splits: dict[str, str] = {}

    def value(draw: Draw) -> str:
        parts: dict[str, int] = {}
        for goal, part in whole_parts(draw, PARTS) if draw else ():
            parts[goal.host] = parts.get(goal.host, 0) + part
        if len(parts) < 2:
            return _quoted(next(iter(parts), ""))
        *some, last = parts
        text = " ".join(
            [*(f"{parts[host] / 100:.2f}% {_quoted(host)};" for host in some), f"* {_quoted(last)};"]
        )
        # the same name for the same draw, whatever other draws there are
        name = "$geosteer_draw_" + hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]
        splits[name] = text
        return name

    values = {key: value(draw) for key, draw in draws.items()}
    yield from (f'split_clients "$geosteer_network" {name} {{ {text} }}\n' for name, text in splits.items())
    hosts = ['map $geosteer_service $geosteer_host {\n    default "";\n']
    times = ["map $geosteer_service $geosteer_ttl {\n    default 0;\n"]
    for number, ttl in enumerate(ttls):
        yield f"map $geosteer_class $geosteer_host_{number} {{\n    default {values[number, NOBODY]};\n"
        yield from (
            f"    {name} {said};\n" for (of, name), said in values.items() if of == number and name != NOBODY
        )
        yield "}\n"
        hosts.append(f"    {number} $geosteer_host_{number};\n")
        others = {
            goal.host: goal.ttl
            for (of, _), draw in draws.items()
            if of == number
            for goal, _ in draw
            if goal.ttl != ttl
        }
        if others:
            yield f"map $geosteer_host $geosteer_ttl_{number} {{\n    default {ttl};\n"
            yield from (
                f"    {_quoted('~^' + re.escape(host) + '$')} {less};\n" for host, less in others.items()
            )
            yield "}\n"
        times.append(f"    {number} {f'$geosteer_ttl_{number}' if others else ttl};\n")
    yield from (*hosts, "}\n", *times, "}\n")


def _server(manner: Manner) -> Iterator[str]:
    """For a `server { }`: the redirect itself."""
    yield HEADER
    if manner.trusted:
        yield from (f"set_real_ip_from {network};\n" for network in manner.trusted)
        yield "real_ip_header X-Forwarded-For;\nreal_ip_recursive on;\n"
    scheme = manner.scheme
    if scheme == "same":
        scheme = "$geosteer_scheme" if manner.trusted else "$scheme"
    vary = '    add_header Vary "X-Forwarded-For, X-Forwarded-Proto";\n' if manner.trusted else ""
    yield f"""\
location / {{
    error_page 404 = @geosteer_refused;
    if ($geosteer_host = "") {{ return 404; }}
    add_header Cache-Control "private, max-age=$geosteer_ttl";
{vary}    return {manner.status} {scheme}://$geosteer_host$request_uri;
}}
location @geosteer_refused {{
    if ($request_method !~ "^(GET|HEAD)$") {{ add_header Allow "GET, HEAD" always; return 405; }}
    if ($geosteer_service = "") {{ return 404; }}
    add_header Retry-After {RETRY_SECONDS} always;
    return 503;
}}
location ^~ /.geosteer/ {{ return 404; }}
"""


def _quoted(text: str) -> str:
    """A word of nginx's configuration, quoted where it must be; `$` cannot be: no published name or address has one."""
    return (
        text
        if re.fullmatch(r"[A-Za-z0-9_.:/*\[\]-]+", text)
        else '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    )
