"""`geosteer export haproxy`: HAProxy redirects each client by itself, from maps that its stats socket changes at once.

The map of networks gives each client the name of its class, which does not depend on node states; a small map gives each
service and class its node. Where equals or shares are drawn, the client's network is hashed to one of a thousand slots.
Source: HAProxy 2.6, configuration.txt (base, map_beg, map_ip, map_str, map_end, xxh32, set-src, http-request return),
management.txt.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from geosteer.decision.client import MAPPED, NAT64, SIX_TO_FOUR
from geosteer_loader.export.bundle import Bundle
from geosteer_loader.export.redirects import MARK, NOBODY, Redirects, closest_first, whole_parts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
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
TIME = (1 << GROUP) - 1
PROXIES, WORDS = "geosteer_proxy", 32
"""Whether the client's address is a trusted proxy's; how many networks stand on one line, of which HAProxy reads 64 words."""
OWN_PATHS = "/.geosteer/"
"""What stands below is never redirected."""
RETRY_SECONDS = 10
HEADER = "# Made by geosteer; the next export overwrites it.\n"


class Exporter:
    """Makes the files again and again, and no more of them than changed."""

    def __init__(self, picture: Picture, folder: Path, manner: Manner) -> None:
        """Args: folder: where the files will be."""
        self._folder = folder.absolute()
        self._manner = replace(manner, trusted=_believed(manner.trusted))
        self._redirects = Redirects(picture, manner)

    def bundle(self) -> Bundle:
        """The files for what is published now, the networks first.

        Raises: StoreError: a page is absent or damaged, or Redis failed.
        """
        bundle, redirects = Bundle(), self._redirects
        redirects.follow(bundle)
        bundle.files[NETWORKS] = redirects.networks(
            lambda prefix, name: f"{prefix} {name}\n",
            CARRIERS,
            self._manner.trusted if _told_by_class(self._manner) else (),
        )
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
        bundle.files[SETTINGS] = "".join(_settings(self._manner, self._folder, _most(exact.values())))
        return bundle


def is_map(name: str) -> bool:
    """Whether a file is a map, which HAProxy's socket can change."""
    return name.endswith(".map")


def _most(codes: Collection[int]) -> int | None:
    """The code of at least half of the services."""
    code, count = max(Counter(codes).items(), key=lambda each: each[1], default=(None, 0))
    return code if 2 * count >= len(codes) else None


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


def _settings(manner: Manner, folder: Path, most: int | None) -> Iterator[str]:
    """The backend: first the few rules that nearly every request needs, then those for the others.

    Each rule costs a hundredth of a redirect or two, whether it applies or not.

    Args: most: the code of what most services answer, if there is one: what is written out need not be looked up.
    """
    yield (
        HEADER
        + "# Beside your own file: haproxy -f FILE -f this one; a frontend goes on with `default_backend geosteer`.\n"
    )
    yield "backend geosteer\n    mode http\n"
    yield from (f"    timeout {what} 1s\n" for what in ("connect", "server", "queue"))
    services, nodes, draws, networks = (folder / name for name in (SERVICES, NODES, DRAWS, NETWORKS))
    for at in range(0, len(manner.trusted), WORDS):
        yield f"    acl {PROXIES} src {' '.join(manner.trusted[at : at + WORDS])}\n"
    # The address that a trusted proxy names is looked up as it is: its class has no nodes if it is a trusted proxy's too.
    named = "req.hdr_ip(x-forwarded-for,-1)"
    clients = [(PROXIES, named), (f"!{PROXIES}", "src")] if manner.trusted else [("", "src")]
    if not _told_by_class(manner):
        clients = clients[1:]
    # No condition stands behind the one that finds the node: what it found has been answered, or is not there.
    goal_of = f"{{ %s,map_ip({networks}),concat(:%s),map_str({nodes}),set-var({GOAL}) -m found }}"
    by_proxy = manner.scheme == "same" and bool(manner.trusted)
    scheme = "%[ssl_fc,iif(https,http)]" if manner.scheme == "same" else manner.scheme
    if most is not None and clients:
        told = "!{ req.fhdr(x-forwarded-proto) -m found } " if by_proxy else ""
        served = f"{{ base,map_beg_int({services}) -m int {most} }}"
        peer, client = clients[0]
        yield _redirect(
            manner, scheme, f"var({GOAL})", str(most & TIME),
            f"METH_GET {told}{served} {peer} {goal_of % (client, most)}",
        )  # fmt: skip
    if by_proxy:
        proto = "req.hdr(x-forwarded-proto,-1),lower"
        yield f"{RULE}set-var(txn.geosteer_scheme) str(https) if {{ ssl_fc }}\n"
        yield f"{RULE}set-var(txn.geosteer_scheme) {proto} if {{ {proto} -m str http https }} {PROXIES}\n"
        scheme = "%[var(txn.geosteer_scheme,http)]"
    yield f"{RULE}set-var({SERVICE}) base,map_beg_int({services})\n"
    plain = scheme, f"var({GOAL})", f"%[var({SERVICE}),and({TIME})]"
    for peer, client in clients:
        yield _redirect(manner, *plain, f"METH_GET {peer} {goal_of % (client, f',{SERVICE}')}")
    # What follows is for proxies behind proxies, odd spellings of the host, wildcards, NAT64, draws, and refusals.
    if manner.trusted:
        # Where the last address cannot be read, the proxy is the client, whatever stands before.
        yield f"{RULE}set-var({HOP}1) {named}\n"
        yield f"{RULE}set-src var({HOP}1) if {{ var({HOP}1) -m found }} {PROXIES}\n"
        # A 6to4 address does not share the trust of the IPv4 one in it.
        itself = " !{ src 2002::/16 }" if _told_by_class(manner) else ""
        for hop in range(2, HOPS + 1):
            yield from _hop(hop, f"{{ var({HOP}{hop - 1}) -m found }} {PROXIES}{itself}")
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
    key, drawn = f"var({CLASS}),concat(:,{SERVICE})", f"{{ var({DRAW}) -m found }}"
    gone_to = f"{{ var({GOAL}) -m found }}"
    # The second time for a class that neither map knows, for the moment in which they change.
    for way, condition in (
        (f"src,map_ip({networks},{NOBODY}),ltrim({MARK})", ""),
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
        manner, scheme, f"var({DRAW}),field(3,/)", f"%[var({DRAW}),field(1,/)]",
        f"{{ var({DRAW}) -m sub / }} {rest}",
    )  # fmt: skip
    yield f'{RULE}return status 405 hdr Allow "GET, HEAD" if !METH_GET\n'
    yield f"{RULE}return status 404 if !{served} or {{ path_beg {OWN_PATHS} }}\n"
    yield f'{RULE}return status 503 hdr Retry-After "{RETRY_SECONDS}"\n'


def _believed(trusted: Iterable[str]) -> tuple[str, ...]:
    """Networks of proxies without IPv6 addresses that carry an IPv4 one, since HAProxy takes IPv4 addresses for those too."""
    mapped, believed = IPv6Network((MAPPED, 96)), []
    for network in map(ip_network, trusted):
        if isinstance(network, IPv4Network) or not network.overlaps(mapped):
            believed.append(str(network))
        elif network.prefixlen < mapped.prefixlen:
            believed += map(str, network.address_exclude(mapped))
    return tuple(believed)


def _told_by_class(manner: Manner) -> bool:
    """Whether the class of an address says if it is a trusted proxy's: 6to4 addresses have that of the IPv4 one in them."""
    carrier = IPv6Network((SIX_TO_FOUR << 112, 16))
    return not any(ip_network(text).overlaps(carrier) for text in manner.trusted)


def _hop(hop: int, condition: str) -> Iterator[str]:
    """Take the address that a trusted proxy names; counted from the last."""
    yield f"{RULE}set-var({HOP}{hop}) req.hdr_ip(x-forwarded-for,-{hop}) if {condition}\n"
    yield f"{RULE}set-src var({HOP}{hop}) if {{ var({HOP}{hop}) -m found }}\n"


def _redirect(manner: Manner, scheme: str, host: str, ttl: str, condition: str) -> str:
    """Args: scheme, ttl: as in a log format; host: a sample expression."""
    vary = ' hdr Vary "X-Forwarded-For, X-Forwarded-Proto"' if manner.trusted else ""
    return (
        f'{RULE}return status {manner.status} hdr Location "{scheme}://%[{host}]%[pathq]" '
        f'hdr Cache-Control "private, max-age={ttl}"{vary} if {condition}\n'
    )
