"""One stream of updates: its lines are read, and its sessions kept. No I/O; time is an argument.

Every line is somebody else's: what cannot be read is counted and told of, and ends nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from geosteer_loader.rib.exabgp import ExabgpLines
from geosteer_loader.rib.gobgp import GobgpLines
from geosteer_loader.rib.kept_routes import KeptSession
from geosteer_loader.rib.messages import (
    FAMILIES,
    FAULTS,
    EndOfRib,
    LinesLost,
    Misread,
    Routes,
    State,
    in_one_line,
)
from geosteer_loader.rib.openbmp import OpenbmpLines
from geosteer_loader.rib.routes import SessionRoutes
from geosteer_loader.rib.session import Event, Phase, Rules, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from geosteer_loader.rib.messages import Message
    from geosteer_loader.sources.bgp_routes import AsPath

MAX_LINE = 1 << 22
"""Bytes. The largest message of BGP (65,535 bytes, RFC 8654) holds some 16,000 prefixes, of 80 bytes each as text."""
MOST_SESSIONS = 64
"""Of a stream."""
RETURN = 600.0
"""Seconds after a restart for which a session that was there is waited for, before what was kept of it counts."""
MOST_HAPPENINGS = 1000
"""That wait to be told."""


class Lines(Protocol):
    """A format."""

    @property
    def settles(self) -> bool:
        """Whether nothing in it tells when a session is loaded."""

    def begin(self) -> list[Message]:
        """What a new connection means."""

    def read(self, document: Any) -> list[Message]:
        """The messages of a line; any error means that it is malformed."""


FORMATS: Mapping[str, Callable[[], Lines]] = {
    "exabgp": ExabgpLines,
    "gobgp": GobgpLines,
    "openbmp": OpenbmpLines,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that operators want to know of."""

    peer: str
    what: str
    """`up`, `whole`, `lost`, `forgotten`."""
    why: str = ""


@dataclass(slots=True)
class Counts:
    """What was counted since the start."""

    lines: int = 0
    bad: int = 0


class Stream:
    """The sessions of one stream."""

    def __init__(
        self,
        format: str,  # noqa: A002  # the word of the configuration
        *,
        families: Collection[int],
        min_routes: float,
        forget: float,
        now: float,
        saved: Mapping[str, tuple[Mapping[int, int], float | None]] | None = None,
    ) -> None:
        """Args: saved: peer -> prefixes that it had by address bits, and since when it is away, from a run before."""
        self._lines = FORMATS[format]()
        self._rules = Rules(
            families=frozenset(families), min_routes=min_routes, forget=forget, settles=self._lines.settles
        )
        self.sessions: dict[str, Session] = {}
        for peer, (before, lost_at) in (saved or {}).items():
            if len(self.sessions) < MOST_SESSIONS:
                self.sessions[peer] = Session(
                    self._rules, dict(before), now if lost_at is None else min(lost_at, now)
                )
        self.format = format
        self.counts = Counts()
        self.broken = False
        """Whether the connection is to be ended, since what came over it cannot be relied on."""
        self.last_bad = ""
        """Why the last malformed line was."""
        self._unseen: set[str] = set()
        self._happenings: list[Happening] = []
        self._listeners: list[dict[int, set[int]]] = []

    def restore(self, kept: Iterable[KeptSession], at: float, now: float) -> None:
        """Take up the routes of a run before. Args: at: when they were kept; now: both by the time that is handed in."""
        for each in kept:
            if each.format == self.format and (
                each.peer in self.sessions or len(self.sessions) < MOST_SESSIONS
            ):
                session = self.sessions.setdefault(each.peer, Session(self._rules, {}))
                lost_at = at if each.lost_at is None else min(each.lost_at, now)
                session.restore(
                    SessionRoutes({bits: dict(zip(*pair, strict=True)) for bits, pair in each.held.items()}),
                    lost_at,
                    now + RETURN if each.lost_at is None else now,
                )
        self.all_changed()

    def kept(self, name: str) -> list[KeptSession]:
        """What is to be kept of all sessions, as it is now. Args: name: the stream's."""
        return [
            KeptSession(
                stream=name, format=self.format, peer=peer, lost_at=session.lost_at,
 held={bits: session.counting.snapshot(bits) for bits in FAMILIES.values()},
            )
            for peer, session in self.sessions.items()
            if session.counting is not None
        ]  # fmt: skip

    def listen(self) -> dict[int, set[int]]:
        """Address bits -> prefixes that change from now on; the listener takes them out."""
        changed: dict[int, set[int]] = {bits: set() for bits in FAMILIES.values()}
        self._listeners.append(changed)
        return changed

    def happenings(self) -> list[Happening]:
        """What happened since the last call."""
        told, self._happenings = self._happenings, []
        return told

    def connected(self, now: float) -> None:
        """A new connection: the writer starts, or starts again."""
        self.broken = False
        for message in self._lines.begin():
            self._take(message, now)

    def disconnected(self, why: str, now: float) -> None:
        """The connection ended: no session's changes come any more."""
        for peer in list(self.sessions):
            self._lose(peer, why, now)

    def line(self, line: bytes, now: float) -> None:
        """Take one line, of at most `MAX_LINE` bytes; a malformed one is counted."""
        self.counts.lines += 1
        if not line.strip() or line.strip() in {b"done", b"error"}:  # ExaBGP's answers to commands
            return
        try:
            if len(line) > MAX_LINE:
                raise ValueError(f"longer than {MAX_LINE} bytes")
            document = json.loads(line)
        except (ValueError, RecursionError) as exc:
            self.refuse(exc)
            if line.lstrip()[:1] in {b"{", b"["}:
                self.cut_off(now)
            return
        fault: Exception | None = None
        try:
            try:
                messages = self._lines.read(document)
            except Misread as exc:
                fault, messages = exc, list(exc.messages)
            for message in messages:
                self._take(message, now)
        except FAULTS as exc:
            fault = fault or exc
        if fault is not None:
            self.refuse(fault)

    def cut_off(self, now: float) -> None:
        """A line came in part. Where lines have no numbers, nobody knows what is missing: all has to begin anew."""
        if self._lines.settles:
            self.broken = True
            self.disconnected("a line was cut off", now)

    def refuse(self, exc: Exception) -> None:
        """Count a malformed line."""
        self.counts.bad += 1
        reason = f"lacks {exc}" if isinstance(exc, KeyError) else str(exc) or type(exc).__name__
        self.last_bad = in_one_line(reason[:200])[:200]

    def tick(self, now: float) -> None:
        """Let time pass: sessions become whole, and lost ones are forgotten."""
        for peer, session in self.sessions.items():
            if session.phase is Phase.LOADING and not session.lacking(now):
                self._changed(session.whole(now))
                self._tell(peer, "whole")
            elif session.overdue(now):
                self._changed(session.forget(now))
                self._tell(peer, "forgotten")

    def waiting(self, peers: Collection[str], now: float) -> str:
        """Why the routes of *peers* (all, if none are named) cannot be used yet, in words; "": they can."""
        sessions = self.sessions
        known = [peer for peer in peers if peer not in sessions or not sessions[peer].forgotten]
        if not peers:
            known = [peer for peer, session in sessions.items() if session.counting or session.before]
        if not known:  # of the first ones that ever come, all that have begun are waited for
            known = [peer for peer, session in sessions.items() if session.phase is Phase.LOADING]
        if not known:
            return "no session came up yet"
        for peer in known:
            session = self.sessions.get(peer)
            if session is None:
                return f"session {peer} did not come up yet"
            if session.counting is None:
                return f"session {peer}: {session.lacking(now)}"
            if session.awaited is not None and now < session.awaited:
                return f"session {peer} did not come back yet: {session.lacking(now)}"
        if all(self.sessions[peer].awaited is not None for peer in known):
            return "no session came back yet"  # what is published is newer than what was kept
        return ""

    def unseen(self) -> set[str]:
        """Peers of which updates came although nobody saw their session come up, since the last call."""
        unseen, self._unseen = self._unseen, set()
        return unseen

    def all_changed(self) -> None:
        """Tell the listeners of every prefix that counts, as if it had changed."""
        for session in self.sessions.values():
            if session.counting is not None:
                self._changed({bits: session.counting.numbers(bits) for bits in FAMILIES.values()})

    def paths(self, bits: int, number: int, peers: Collection[str]) -> Iterator[AsPath]:
        """The paths to a prefix that count, of *peers* (all, if none are named)."""
        for peer, session in self.sessions.items():
            if session.counting is not None and (not peers or peer in peers):
                yield from session.counting.paths(bits, number)

    def _take(self, message: Message, now: float) -> None:
        session = self._session(message.peer)
        if isinstance(message, Routes):
            if session.phase in {Phase.WAITING, Phase.LOST}:
                self._unseen.add(message.peer)
            try:
                changed = session.take(message.bits, message.routes, message.path)
            except ValueError as exc:  # more than any router has: what it holds is of no use
                self.refuse(exc)
                self._lose(message.peer, str(exc), now)
                self.all_changed()
                return
            if changed:
                self._changed({message.bits: changed})
        elif isinstance(message, EndOfRib):
            session.end_of_rib(message.bits)
        elif isinstance(message, LinesLost):
            self._lose(message.peer, message.why, now)
        elif isinstance(message, State) and message.up:
            if session.phase is Phase.CURRENT:
                self._lose(message.peer, "it came up anew", now)
            if session.step(Event.UP, now):
                self._tell(message.peer, "up")
        else:
            self._lose(message.peer, message.why, now)

    def _session(self, peer: str) -> Session:
        session = self.sessions.get(peer)
        if session is None:
            if len(self.sessions) >= MOST_SESSIONS:
                raise ValueError(f"more than {MOST_SESSIONS} sessions")
            session = self.sessions[peer] = Session(self._rules, {})
        return session

    def _lose(self, peer: str, why: str, now: float) -> None:
        session = self.sessions[peer]
        if session.step(Event.DOWN, now):
            session.losses += 1
            self._tell(peer, "lost", why)

    def _changed(self, different: Mapping[int, Collection[int]]) -> None:
        for listener in self._listeners:
            for bits, numbers in different.items():
                listener[bits].update(numbers)

    def _tell(self, peer: str, what: str, why: str = "") -> None:
        if len(self._happenings) < MOST_HAPPENINGS:
            self._happenings.append(Happening(peer=peer, what=what, why=in_one_line(why)))
