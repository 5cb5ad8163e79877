"""`geosteer export haproxy`: HAProxy redirects each client by itself, from maps that its stats socket changes at once.

The map of networks gives each client the name of its class, which does not depend on node states; a small map gives each
service and class its node. Where equals or shares are drawn, the client's network is hashed to one of a thousand slots.
Source: HAProxy 2.6, configuration.txt (base, map_beg, map_ip, map_str, map_end, xxh32, set-src, http-request return),
management.txt.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from geosteer.decision.client import MAPPED, NAT64, SIX_TO_FOUR
from geosteer_loader.export.bundle import Bundle
from geosteer_loader.export.redirects import NOBODY, Redirects, closest_first, whole_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from geosteer_loader.export.published_state import Picture
    from geosteer_loader.export.redirects import Draw, Goal, Manner

NETWORKS, NODES, DRAWS = "networks.map", "nodes.map", "draws.map"
SERVICES, WILDCARDS, SETTINGS = "services.map", "wildcards.map", "redirect.cfg"
SLOTS = 1000
"""Parts into which draws are divided."""
REFUSED = "503"
"""The goal of clients whom no node may serve."""
HOPS = 4
"""Proxies of a chain that are followed."""
CARRIERS = ((MAPPED, 96), (SIX_TO_FOUR << 112, 16), (NAT64, 96))
"""Blocks without networks: in the first two HAProxy then looks for IPv4 by itself, the third needs a rule."""
RULE = "    http-request "
SERVICE, CLASS, GOAL, DRAW, HOP = (
    f"txn.geosteer_{what}" for what in ("service", "class", "goal", "draw", "hop")
)
GROUP = 32
"""Bits by which the number of a group of services is shifted: below is the time for which its clients keep an answer."""
OWN_PATHS = "/.geosteer/"
"""What stands below is never redirected."""
RETRY_SECONDS = 10
HEADER = "# Made by geosteer; the next export overwrites it.\n"


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
        bundle, redirects = Bundle(), self._redirects
        redirects.follow(bundle)
        bundle.files[NETWORKS] = redirects.networks(lambda prefix, name: f"{prefix} {name}\n", CARRIERS)
        codes = [number << GROUP | ttl for number, ttl in enumerate(redirects.ttls)]
        nodes, draws = _nodes(redirects.draws, codes, redirects.ttls)
        bundle.files[DRAWS] = draws
        bundle.files[NODES] = nodes
        exact = {host: codes[number] for host, number in redirects.hosts.items() if not host.startswith("*.")}
        # Of the beginnings of host and path the longest counts; no class has answers of number -1.
        bundle.files[SERVICES] = "".join(
            f"{host}/ {code}\n{host}{OWN_PATHS} -1\n" for host, code in exact.items()
        )
        # The first that fits counts: the closest comes first.
        bundle.files[WILDCARDS] = "".join(
            f"{host[1:]} {codes[redirects.hosts[host]]}\n" for host in closest_first(redirects.hosts)
        )
        bundle.files[SETTINGS] = "".join(_settings(self._manner, self._folder))
        return bundle


def is_map(name: str) -> bool:
    """Whether a file is a map, which HAProxy's socket can change."""
    return name.endswith(".map")


def _nodes(draws: dict[tuple[int, str], Draw], codes: Sequence[int], ttls: Sequence[int]) -> tuple[str, str]:
    """The map of nodes, with the hosts of nearly all clients, and the map of all that is out of the ordinary."""
    plain, others, slots = [], [], {}
    for (number, name), draw in draws.items():
        parts = whole_parts(draw, SLOTS) if draw else []
        if len(parts) == 1 and parts[0][0].host and parts[0][0].ttl == ttls[number]:
            plain.append(f"{name}:{codes[number]} {parts[0][0].host}\n")
            continue
        if len(parts) < 2:
            value = _value(parts[0][0]) if parts else REFUSED
        else:
            text = ",".join(f"{_value(goal)} {part}" for goal, part in parts)
            # the same name for the same draw, whatever other draws there are
            value = "%" + hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]
            slots[value] = parts
        others.append(f"{name}:{codes[number]} {value}\n")
    for value, parts in slots.items():
        goals = [goal for goal, part in parts for _ in range(part)]
        others += [f"{value}:{slot} {_value(goal)}\n" for slot, goal in enumerate(goals)]
    return "".join(plain), "".join(others)


def _value(goal: Goal) -> str:
    return f"{goal.ttl}//{goal.host}" if goal.host else REFUSED


def _settings(manner: Manner, folder: Path) -> Iterator[str]:
    """The backend: first the few rules that nearly every request needs, then those for the others.

    Each rule costs a hundredth of a redirect or two, whether it applies or not.
    """
    yield (
        HEADER
        + "# Beside your own file: haproxy -f FILE -f this one; a frontend goes on with `default_backend geosteer`.\n"
    )
    yield "backend geosteer\n    mode http\n"
    yield from (f"    timeout {what} 1s\n" for what in ("connect", "server", "queue"))
    trusted = f"{{ src {' '.join(manner.trusted)} }}"
    if manner.scheme == "same" and manner.trusted:
        proto = "req.hdr(x-forwarded-proto,-1),lower"
        yield f"{RULE}set-var(txn.geosteer_scheme) str(https) if {{ ssl_fc }}\n"
        yield f"{RULE}set-var(txn.geosteer_scheme) {proto} if {{ {proto} -m str http https }} {trusted}\n"
    if manner.trusted:
        yield f"{RULE}set-src req.hdr_ip(x-forwarded-for,-1) if {trusted}\n"
    services, nodes, draws, networks = (folder / name for name in (SERVICES, NODES, DRAWS, NETWORKS))
    yield f"{RULE}set-var({SERVICE}) base,map_beg_int({services})\n"
    yield f"{RULE}set-var({GOAL}) src,map_ip({networks}),concat(:,{SERVICE}),map_str({nodes})\n"
    plain = f"var({GOAL})", f"var({SERVICE}),and({(1 << GROUP) - 1})"
    gone_to = f"{{ var({GOAL}) -m found }}"
    yield _redirect(manner, *plain, f"{gone_to} METH_GET{f' !{trusted}' if manner.trusted else ''}")
    # What follows is for proxies behind proxies, odd spellings of the host, wildcards, NAT64, draws, and refusals.
    if manner.trusted:
        # Where the last address cannot be read, the proxy is the client, whatever stands before.
        yield f"{RULE}set-var({HOP}1) req.hdr_ip(x-forwarded-for,-1)\n"
        for hop in range(2, HOPS + 1):
            yield from _hop(hop, f"{{ var({HOP}{hop - 1}) -m found }} {trusted}")
    # NAT64 (RFC 6052) is looked up as the IPv4 address in it; HAProxy does so by itself with 6to4 and v4-mapped ones.
    nat64 = "{ src 64:ff9b::/96 }"
    yield f"{RULE}set-var(txn.geosteer_hex) src,hex if {nat64}\n"
    yield (
        f'{RULE}set-var-fmt(txn.geosteer_v4) "::ffff:%[var(txn.geosteer_hex),bytes(24,4)]:'
        f'%[var(txn.geosteer_hex),bytes(28,4)]" if {nat64}\n'
    )
    yield f"{RULE}set-src var(txn.geosteer_v4) if {nat64}\n"
    host = "req.hdr(host),field(1,:),lower,rtrim(.)"
    served = f"{{ var({SERVICE}) -m found }}"
    yield f"{RULE}unset-var({SERVICE})\n"
    yield f"{RULE}set-var({SERVICE}) {host},concat(/),map_str({services})\n"
    yield f"{RULE}set-var({SERVICE}) {host},map_end({folder / WILDCARDS}) if !{served}\n"
    yield f"{RULE}unset-var({GOAL})\n"
    key, drawn = f"var({CLASS}),concat(:,{SERVICE})", f"{{ var({DRAW}) -m found }}"
    # The second time for a class that neither map knows, for the moment in which they change.
    for way, condition in (
        (f"src,map_ip({networks},{NOBODY})", ""),
        (f"str({NOBODY})", f" if !{gone_to} !{drawn}"),
    ):
        yield f"{RULE}set-var({CLASS}) {way}{condition}\n"
        yield f"{RULE}set-var({GOAL}) {key},map_str({nodes}){condition}\n"
        yield f"{RULE}set-var({DRAW}) {key},map_str({draws}){condition}\n"
    split = f"{{ var({DRAW}) -m beg % }}"
    yield f"{RULE}set-var(txn.geosteer_slot) src,ipmask(24,48),xxh32(1),mod({SLOTS}) if {split}\n"
    yield f"{RULE}set-var({DRAW}) var({DRAW}),concat(:,txn.geosteer_slot),map_str({draws}) if {split}\n"
    rest = f"METH_GET !{{ path_beg {OWN_PATHS} }}"
    yield _redirect(manner, *plain, f"{gone_to} {rest}")
    yield _redirect(
        manner, f"var({DRAW}),field(3,/)", f"var({DRAW}),field(1,/)", f"{{ var({DRAW}) -m sub / }} {rest}"
    )
    yield f'{RULE}return status 405 hdr Allow "GET, HEAD" if !METH_GET\n'
    yield f"{RULE}return status 404 if !{served} or {{ path_beg {OWN_PATHS} }}\n"
    yield f'{RULE}return status 503 hdr Retry-After "{RETRY_SECONDS}"\n'


def _hop(hop: int, condition: str) -> Iterator[str]:
    """Take the address that a trusted proxy names; counted from the last."""
    yield f"{RULE}set-var({HOP}{hop}) req.hdr_ip(x-forwarded-for,-{hop}) if {condition}\n"
    yield f"{RULE}set-src var({HOP}{hop}) if {{ var({HOP}{hop}) -m found }}\n"


def _redirect(manner: Manner, host: str, ttl: str, condition: str) -> str:
    """Args: host, ttl: sample expressions."""
    scheme = manner.scheme
    if scheme == "same":
        scheme = f"%[{'var(txn.geosteer_scheme,http)' if manner.trusted else 'ssl_fc,iif(https,http)'}]"
    vary = ' hdr Vary "X-Forwarded-For, X-Forwarded-Proto"' if manner.trusted else ""
    return (
        f'{RULE}return status {manner.status} hdr Location "{scheme}://%[{host}]%[pathq]" '
        f'hdr Cache-Control "private, max-age=%[{ttl}]"{vary} if {condition}\n'
    )
