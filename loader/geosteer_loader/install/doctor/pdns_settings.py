"""PowerDNS's settings, read from its files as it reads them, and those that matter here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from geosteer_loader.install.host import Host

SECOND = 1000
"""Milliseconds."""


def read_settings(path: Path, host: Host) -> dict[str, str]:
    """Setting -> value of pdns.conf and the files of its `include-dir`, which come after it in order of their names.

    Source: PowerDNS, "Authoritative Server Settings", include-dir; `+=` adds to a list. Raises: OSError.
    """
    settings: dict[str, str] = {}
    for _, name, adds, value in assignments(path, host):
        parts = (settings.get(name, ""), value) if adds else (value,)
        settings[name] = ",".join(part for part in parts if part)
    return settings


def assignments(path: Path, host: Host) -> Iterator[tuple[Path, str, bool, str]]:
    """(File, setting, whether it adds to what was there, value), the last word last. Raises: OSError."""
    folder = ""
    for name, adds, value in _lines(path):
        if name == "include-dir":
            folder = value
        yield path, name, adds, value
    if folder:
        for each in sorted(host.at(folder).glob("*.conf")):
            yield from ((each, *line) for line in _lines(each))


def _lines(path: Path) -> Iterator[tuple[str, bool, str]]:
    for line in path.read_text(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith("#"):
            name = key.strip()
            yield name.removesuffix("+").strip(), name.endswith("+"), value.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One setting that has to be right."""

    name: str
    default: str
    """What PowerDNS takes where no file sets it."""
    right: Callable[[str], bool]
    good: str
    """What to write."""
    why: str
    only_warn: bool = False
    example: bool = False
    """Whether what to write depends on the host."""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _off(text: str) -> bool:
    return text.lower() in {"no", "off", "0", "false"}


def _on(text: str) -> bool:
    return text.lower() in {"yes", "on", "1", "true", ""}


RULES = (
    Rule(
        name="pipe-abi-version",
        default="1",
        right=lambda text: text in {"3", "4", "5"},
        good="3",
        why="3 is the first version in which workers learn the client's network and say a scope",
    ),
    Rule(
        name="pipe-timeout",
        default="2000",
        right=lambda text: 2 * SECOND <= _number(text) <= 20 * SECOND,
        good="5000",
        why="PowerDNS 4.9 does not survive a worker that is slower than this at boot, when two systems start on a few cores: "
        '"Distributor caught fatal exception"; above 20 s a worker that hangs is noticed too late',
    ),
    Rule(
        name="zone-cache-refresh-interval",
        default="300",
        right=lambda text: _number(text) == 0,
        good="0",
        why="the pipe backend cannot list its zones: with a zone cache PowerDNS refuses every question",
    ),
    Rule(
        name="edns-subnet-processing",
        default="no",
        right=_on,
        good="yes",
        why="without it workers see the resolver in place of the client, and resolvers keep one answer for everybody",
    ),
    Rule(
        name="consistent-backends",
        default="yes",
        right=_off,
        good="no",
        why="else PowerDNS asks the same question twice to compare: half the answers a second",
        only_warn=True,
    ),
    Rule(
        name="negquery-cache-ttl",
        default="60",
        right=lambda text: 0 <= _number(text) <= 10,
        good="5",
        why='the question after a worker\'s death is answered "nothing there", and for so long it stays so',
    ),
    Rule(
        name="cache-ttl",
        default="20",
        right=lambda text: 0 <= _number(text) <= 5,
        good="1",
        why="whole answers are kept for so long on top of the other caches, a wrong NXDOMAIN too",
    ),
    Rule(
        name="query-cache-ttl",
        default="20",
        right=lambda text: 0 <= _number(text) <= 300,
        good="60",
        why="a change of the zone's own records is seen so much later",
        only_warn=True,
    ),
    Rule(
        name="distributor-threads",
        default="3",
        right=lambda text: 2 <= _number(text) <= 64,
        good="3",
        why="one worker at a time answers UDP per thread: with one, whoever waits for Redis holds up all others",
        only_warn=True,
    ),
    Rule(
        name="queue-limit",
        default="1500",
        right=lambda text: 100 <= _number(text) <= 5000,
        good="1500",
        why="milliseconds after which a waiting question is dropped: its client has asked again by then",
        only_warn=True,
    ),
    Rule(
        name="disable-axfr",
        default="no",
        right=_on,
        good="yes",
        why="a zone transfer would freeze one client's view of every service",
        only_warn=True,
    ),
    Rule(
        name="local-address",
        default="0.0.0.0, ::",
        right=lambda text: (
            not {"0.0.0.0", "::"} & {part.strip() for part in text.replace(" ", ",").split(",")}
        ),
        good="192.0.2.53",
        why="on 0.0.0.0 or :: a worker does not learn which address a question came to; name them",
        only_warn=True,
        example=True,
    ),
    Rule(
        name="chroot",
        default="",
        right=lambda text: not text,
        good="",
        why="a worker started there finds neither Python, nor its settings, nor Redis's socket",
    ),
    Rule(
        name="pipe-regex",
        default="",
        right=lambda text: not text,
        good="",
        why="questions that it does not match never reach a worker: they are refused, or answered with no data",
    ),
)
"""The settings that matter, in the order in which they are told."""
