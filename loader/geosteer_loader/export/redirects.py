"""What web servers that redirect by themselves need: classes of clients, and where each service sends each class.

As `geosteer-http` decides: one node for a client, by the record type of its family. A class never spans both families.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import collapse_addresses, ip_network
from typing import TYPE_CHECKING, Any, NamedTuple

from geosteer.redirect.routes import Target
from geosteer_loader.export.fewest_prefixes import fewest_prefixes
from geosteer_loader.export.followed_classes import FollowedClasses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from geosteer.decision.model import Node, Service
    from geosteer_loader.export.bundle import Bundle
    from geosteer_loader.export.client_classes import Answers
    from geosteer_loader.export.published_state import Picture

NOBODY = "nobody"
"""The class of clients that have no address, and of those whose class a server does not know."""
MARK = "="
"""Stands before the names of the classes of marked addresses."""
FAMILIES = {32: "4", 128: "6"}
"""Address bits -> what the names of its classes begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How clients are redirected, as the options of geosteer-http say it."""

    scheme: str = "same"
    """Of the node's URL: `http`, `https`, or `same` as the request's."""
    port: int = 0
    """Of the node's URL; 0: the scheme's own."""
    by_address: bool = False
    """To the node's address, not to its host name."""
    status: int = 302
    trusted: tuple[str, ...] = ()
    """Networks of proxies that are believed about their client (X-Forwarded-For, X-Forwarded-Proto)."""


class Goal(NamedTuple):
    """Where a client is sent."""

    host: str
    """With the port, as a URL has it."""
    ttl: int
    """Seconds for which the client may keep it."""


Draw = tuple[tuple[Goal, float], ...]
"""Goals with the parts of the clients that are sent there; one: all are; none: no node may serve."""


class Redirects:
    """Follows what is published, for one server."""

    def __init__(self, picture: Picture, manner: Manner) -> None:
        self._picture = picture
        self._target = Target("same", manner.port, by_address=manner.by_address)
        self._classes: FollowedClasses[Draw] | None = None
        self._services: list[dict[int, int]] = []
        self._networks: tuple[list[int], str] | None = None
        self.hosts: dict[str, int] = {}
        """Service, wildcards as `*.x` -> the number of the answers that it shares with services like it."""
        self.ttls: list[int] = []
        """For each number of answers the seconds for which clients may keep one, if the node's checks do not fail."""
        self.draws: dict[tuple[int, str], Draw] = {}
        """Number of the answers and class -> where clients are sent."""

    def follow(self, bundle: Bundle) -> None:
        """Take in what the picture has now; what cannot be expressed is added to *bundle*.

        Raises: StoreError: a page is absent or damaged, or Redis failed.
        """
        classes = self._classes
        if classes is None or not classes.follow():
            classes = self._classes = self._begin()
            self._networks = None
        for name, service in self._picture.generation.model.services.items():
            if service.policy == "hash":
                bundle.lose(
                    f'services."{name}".policy',
                    "hash: a path has no node of its own; each client network is drawn by weight",
                )
        self.draws = {}
        nothing = ("",) * len(classes.cells.tables)
        present = {bits: classes.present(bits) for bits in FAMILIES}
        for number, outcomes_of in enumerate(self._services):
            self.draws[number, NOBODY] = classes.outcomes[outcomes_of[32]].of(nothing)
            for bits, mark in FAMILIES.items():
                outcomes = classes.outcomes[outcomes_of[bits]]
                for at in present[bits]:
                    self.draws[number, mark + classes.names[at]] = outcomes.of(classes.samples[at])
        if any(len(draw) > 1 for draw in self.draws.values()):
            bundle.note(
                "where equals or shares are drawn, each client network draws for itself: "
                "the nodes' shares are those of geosteer-http, the node of a single network may be another"
            )

    def networks(
        self,
        line: Callable[[str, str], str],
        left_out: Sequence[tuple[int, int]] = (),
        marked: Sequence[str] = (),
    ) -> str:
        """The networks of both families with their classes, of which the longest counts; the same object while it is the same.

        Args:
        line: makes one.
        left_out: IPv6 blocks that none may cover, as (first address, length).
        marked: blocks in which `MARK` stands before the names of classes.
        """
        classes = self._classes
        assert classes is not None
        if self._networks is None or self._networks[0] is not classes.mapped:
            spans = classes.spread()
            made: list[str] = []
            with self._picture.meter("networks") as shown:
                for bits, mark in FAMILIES.items():
                    names = [mark + name for name in classes.names]
                    for block in _blocks(marked, bits):
                        spans[bits].shift(block, len(names))
                    if marked:
                        names += [MARK + name for name in names]
                    made += [
                        line(text, names[number])
                        for text, number in fewest_prefixes(
                            spans[bits], shown.progress, left_out if bits == 128 else ()
                        )
                    ]
            self._networks = classes.mapped, "".join(made)
        return self._networks[1]

    def _begin(self) -> FollowedClasses[Draw]:
        alike: dict[tuple[object, ...], int] = {}
        variants: list[Service] = []
        self.hosts, self._services, self.ttls = {}, [], []
        for name, service in self._picture.generation.model.services.items():
            key = (
                service.map.name, *service.ranking, service.ttl, service.ttl_min, service.cname,
            )  # fmt: skip
            number = self.hosts[name] = alike.setdefault(key, len(alike))
            if number == len(self._services):
                self.ttls.append(service.ttl)
                by_kind: dict[str, int] = {}
                for bits in FAMILIES:
                    kind = _kind(service, bits)
                    if kind not in by_kind:
                        by_kind[kind] = len(variants)
                        variants.append(service.variant(kind, 1))
                self._services.append({bits: by_kind[_kind(service, bits)] for bits in FAMILIES})
        return FollowedClasses(self._picture, variants, self._draw, self._picture.meter)

    def _draw(self, service: Service, answers: Answers) -> Draw:
        (kind,) = service.kinds
        settled = answers.settled()
        if settled is not None:
            return tuple([(self._goal(service, node, kind), 1.0) for node in settled[kind][:1]])
        parts: dict[Goal, float] = {}
        for node, part in answers.chances(kind).items():
            goal = self._goal(service, node, kind)
            parts[goal] = parts.get(goal, 0.0) + part
        return tuple(parts.items())

    def _goal(self, service: Service, node: Node, kind: str) -> Goal:
        states = self._picture.states
        failing = node.name in states and states[node.name].failing
        host = self._target.origin(node, kind, "same").partition("://")[2]
        return Goal(host, service.ttl_min if failing else service.ttl)


def _blocks(networks: Sequence[str], bits: int) -> list[tuple[int, int]]:
    """Those of one family, none within another, as (first address, length)."""
    own: Iterable[Any] = (each for each in map(ip_network, networks) if each.max_prefixlen == bits)
    return [(int(network.network_address), network.prefixlen) for network in collapse_addresses(own)]


def _kind(service: Service, bits: int) -> str:
    """The record type by which a client of that family is decided for."""
    wanted = "AAAA" if bits == 128 else "A"
    return wanted if wanted in service.kinds or not service.kinds else service.kinds[0]


def whole_parts(draw: Draw, total: int) -> list[tuple[Goal, int]]:
    """The parts of a draw as whole numbers that add up to *total*; goals of less than half of one are left out."""
    rounded = [(goal, max(0, round(part * total))) for goal, part in draw]
    rounded = [(goal, part) for goal, part in rounded if part]
    largest = max(range(len(rounded)), key=lambda at: rounded[at][1])
    goal, part = rounded[largest]
    rounded[largest] = goal, part + total - sum(one for _, one in rounded)
    return rounded


def closest_first(hosts: Iterable[str]) -> list[str]:
    """Wildcards, those that are closer to the names below them first (RFC 4592)."""
    return sorted((host for host in hosts if host.startswith("*.")), key=lambda host: -host.count("."))


__all__ = ["MARK", "NOBODY", "Draw", "Goal", "Manner", "Redirects", "closest_first", "whole_parts"]
