"""`geosteer bgp`: every route to an address that the sources have, which of them count, and why the others do not."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from geosteer.decision.client import prefix_text
from geosteer.errors import SourceError, StoreError
from geosteer.timestamps import format_time
from geosteer_loader.query.live_routes import Unanswered, ask
from geosteer_loader.query.lookup import cell_of, read_clients
from geosteer_loader.sources.bgp_routes import MAX_ORIGINS, unusable
from geosteer_loader.sources.covering import Route, covering_routes
from geosteer_loader.sources.source_files import SourceFile
from geosteer_loader.store import store as stores
from geosteer_loader.store.generation_view import View
from geosteer_loader.tables.origin_validation import load, origin_name
from geosteer_loader.tables.validation_figures import JUDGED

if TYPE_CHECKING:
    from geosteer.decision.client import Client
    from geosteer_loader.config.config import Config
    from geosteer_loader.config.sources import SourceConfig
    from geosteer_loader.rib.told import RouteHeld, SessionHeld
    from geosteer_loader.rpki.vrps import Vrps

COUNTS = "counts"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTold:
    """One route to the address."""

    table: str
    """`bgp` or `path`: which table it is for."""
    vantage: str | None
    """Where it was seen; only of table `path`."""
    source: str
    """The entry of the configuration, and its file."""
    prefix: str
    origins: list[int]
    """Public ASes that it may come from."""
    path: str | None
    """AS numbers from near to far, sets in braces; None: the source has no paths."""
    length: int | None
    """Of the path, as routers count it."""
    peer: str
    """Who announced it."""
    rpki: str | None
    """valid, invalid or not found; None: routes are not judged."""
    counts: bool
    why: str
    """What makes it count, or why it does not."""
    session: str | None = None
    """State of the BGP session that has it, `current` or `lost`; None: it is of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All that is known of an address."""

    address: str
    published: dict[str, dict[str, str | None]]
    """Table -> `prefix` and `record` that workers go by."""
    roas: dict[str, Any] | None
    """ROAs in use: how many `vrps`, of when (`built`), and why it is earlier ones (`trouble`)."""
    routes: list[RouteTold]
    """Widest prefix first; those of a prefix as they stand in the sources."""
    notes: list[str]
    """What could not be found out."""

    def to_json(self) -> dict[str, Any]:
        """As `geosteer bgp --json` prints it: the fields above, by their names."""
        return asdict(self)


def routes_to(config: Config, address: str) -> Told:
    """What the sources and the published tables say of the routes to an address (of a network: to its first address).

    Raises: ConfigError: not an address.
    """
    (client,) = read_clients([address])
    notes: list[str] = []
    roas, vrps = None, None
    if config.rpki is not None:
        try:
            validation = load(config.rpki, time.time(), keep=False)
        except SourceError as exc:
            notes.append(str(exc))
        else:
            vrps = validation.vrps
            built = format_time(validation.built)
            roas = {"vrps": vrps.count, "built": built, "trouble": validation.trouble}
    sessions = _sessions(config, client, notes)
    routes: list[RouteTold] = []
    for table in JUDGED:
        views: dict[str | None, list[SourceConfig]] = {}
        for source in config.sources.get(table, ()):
            views.setdefault(source.vantage, []).append(source)
        for sources in views.values():
            routes += _view(table, sources, client, vrps, notes, sessions)
    return Told(
        address=address,
        published=_published(config, client, notes),
        roas=roas,
        routes=sorted(routes, key=lambda each: int(each.prefix.rpartition("/")[2])),
        notes=notes,
    )


def _published(config: Config, client: Client, notes: list[str]) -> dict[str, dict[str, str | None]]:
    try:
        with stores.connect(config.redis) as store:
            view = View(store)
            return {
                table: cell_of(view, table, client)._asdict()
                for table in JUDGED
                if any((table, bits) in view.generation.trees for bits in (32, 128))
            }
    except StoreError as exc:
        notes.append(f"what is published is not known: {exc}")
        return {}


def _sessions(config: Config, client: Client, notes: list[str]) -> list[SessionHeld]:
    """What the service tells of BGP sessions; none where no source follows any."""
    if all(source.live is None for sources in config.sources.values() for source in sources):
        return []
    if config.follow.socket is None:
        notes.append("[follow] socket is not set: the routes of BGP sessions cannot be asked for")
        return []
    try:
        address = prefix_text(client.bits, client.address, client.bits).partition("/")[0]
        sessions = ask(config.follow.socket, address)
    except Unanswered as exc:
        notes.append(f"the routes of BGP sessions are not known: {exc}")
        return []
    if not sessions:
        notes.append("no BGP session came up yet")
    notes += [f"session {each.peer} does not count: {each.why}" for each in sessions if each.why]
    return sessions


def _view(
    table: str,
    sources: list[SourceConfig],
    client: Client,
    vrps: Vrps | None,
    notes: list[str],
    sessions: list[SessionHeld],
) -> list[RouteTold]:
    """The routes of one table, as one vantage point sees them."""
    seen: list[tuple[int, SourceConfig, Route, str | None, str | None, str]] = []
    for number, source in enumerate(sources):
        try:
            found = _of_sessions(source, sessions) if source.live else _of_file(source, client)
        except SourceError as exc:
            notes.append(str(exc))
            continue
        for route, session in found:
            state = vrps.state(*route.prefix, route.origin).value if vrps is not None else None
            seen.append((number, source, route, session, state, _against(table, route, state)))
    fit = [(number, route) for number, _, route, _, _, against in seen if not against]
    longest = max((route.prefix[2] for _, route in fit), default=-1)
    last = max((number for number, route in fit if route.prefix[2] == longest), default=-1)
    best = [route for number, route in fit if (route.prefix[2], number) == (longest, last)]
    shortest = min((route.length for route in best if route.length is not None), default=None)
    told = []
    for number, source, route, session, state, against in seen:
        why = against or _place(table, number, route, (longest, last, shortest))
        told.append(
            RouteTold(
                table=table,
                vantage=source.vantage,
                source=f"{source.place} {source.path.name}",
                prefix=prefix_text(*route.prefix),
                origins=list(route.origins[:MAX_ORIGINS]),
                path=route.path,
                length=route.length,
                peer=route.peer,
                rpki=state,
                counts=why == COUNTS,
                why=why,
                session=session,
            )
        )
    return told


def _of_file(source: SourceConfig, client: Client) -> list[tuple[Route, str | None]]:
    """Raises: SourceError."""
    file = SourceFile(source.path, source.member, source.max_size)
    return [(route, None) for route in covering_routes(source.format, file, client.bits, client.address)]


def _of_sessions(source: SourceConfig, sessions: list[SessionHeld]) -> list[tuple[Route, str | None]]:
    """The routes of those sessions that the source takes."""
    assert source.live is not None
    peers = source.live.peers
    return [
        (_as_route(held, session.peer), session.state)
        for session in sessions
        if session.stream == str(source.path) and (not peers or session.peer in peers)
        for held in session.routes
    ]


def _as_route(held: RouteHeld, peer: str) -> Route:
    return Route(
        prefix=held.prefix,
        path=held.path,
        length=held.length,
        origin=held.origin,
        origins=held.origins,
        peer=peer if held.identifier is None else f"{peer} path {held.identifier}",
    )


def _against(table: str, route: Route, state: str | None) -> str:
    """Why a route counts nowhere, "" if nothing speaks against it."""
    if state == "invalid":
        return f"{origin_name(route.origin)} rpki invalid, passed over"
    why = unusable(*route.prefix)
    if why is None and not route.origins and table == "bgp":
        return "no public origin AS"
    return (why or "").partition(":")[0]


def _place(table: str, number: int, route: Route, best: tuple[int, int, int | None]) -> str:
    longest, last, shortest = best
    if route.prefix[2] < longest:
        return "a more specific route counts"
    if number != last:
        return "a later source has the prefix as well"
    if table == "path" and route.length != shortest:
        return "a shorter path counts"
    return COUNTS
