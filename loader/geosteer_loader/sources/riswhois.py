"""RIPE RIS's riswhoisdump: `15169<TAB>8.8.8.0/24<TAB>355`, an origin, a prefix, and how many peers of RIS see it from there.

A prefix with several origins has several lines, anywhere in the file: the origin that most peers see comes first; the members
of a set (`{10,20}`) stay together. Lines with `%` are comments. Prefixes stay in memory until the end of the file, since any
line may be of any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision.client import prefix_text
from geosteer.errors import SourceError
from geosteer_loader.sources.origins import OriginRows
from geosteer_loader.sources.prefix import parse_network
from geosteer_loader.sources.text_source import TextSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Authorised, Row
    from geosteer_loader.sources.source_files import SourceFile
    from geosteer_loader.sources.text_source import Reading

    Network = tuple[int, int, int]
    Vote = tuple[int, str]
    """How many peers see an origin, negated so that the most come first, and the origin as it is written."""

MAX_PEERS = 6
"""Digits of a number of peers; RIS has some thousands."""


class RisWhoisSource(TextSource):
    """One dump."""

    comments = "%#"

    def __init__(self, file: SourceFile, authorised: Authorised | None = None) -> None:
        super().__init__(file)
        self._authorised = authorised

    def reading(self, report: Report) -> Reading:
        """A new pass."""
        return _Reading(self.name, OriginRows(report, self._authorised))


class _Reading:
    def __init__(self, name: str, origins: OriginRows) -> None:
        self._name = name
        self._origins = origins
        self._seen: dict[Network, Vote | list[Vote]] = {}
        """Most prefixes have one line, whose vote many others share."""
        self._votes: dict[Vote, Vote] = {}

    def comment(self, _number: int, text: str) -> None:
        """Nothing is noted."""

    def entry(self, _number: int, text: str) -> Iterable[Row]:
        """No row yet. Raises: ValueError: malformed."""
        fields = text.split()
        if len(fields) != 3:
            raise ValueError(f"expected an AS, a prefix and a number of peers: {text[:60]!r}")
        origin, prefix, peers = fields
        network = parse_network(prefix)
        if not (peers.isascii() and peers.isdecimal() and len(peers) <= MAX_PEERS):
            raise ValueError(f"not a number of peers: {peers[:60]!r}")
        self._origins.check(origin)
        vote = -int(peers), origin
        vote = self._votes.setdefault(vote, vote)
        before = self._seen.setdefault(network, vote)
        if isinstance(before, list):
            before.append(vote)
        elif before is not vote:
            self._seen[network] = [before, vote]
        return ()

    def end(self) -> Iterable[Row]:
        """The rows of all prefixes. Raises: SourceError: there was no line."""
        if not self._seen:
            raise SourceError(f"{self._name}: contains no prefix")
        return self._rows()

    def _rows(self) -> Iterator[Row]:
        for network, seen in self._seen.items():
            votes = sorted(seen) if isinstance(seen, list) else [seen]
            origins = " ".join(origin for _, origin in votes)
            yield from self._origins.rows(network, origins, f"{prefix_text(*network)} {origins}")
