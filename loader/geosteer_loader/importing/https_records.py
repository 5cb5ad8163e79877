"""HTTPS records that each place has of its own, as the one setting `https` of a service, whose hints follow the answer."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import dns.exception
import dns.rdata
from dns.rdtypes.svcbbase import ParamKey

from geosteer.errors import ConfigError
from geosteer_loader.config.section import Problems, Table
from geosteer_loader.config.service_records import read_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.importing.draft import Draft

    Setting = dict[str, Any]

_HINTS: Final = (ParamKey.IPV4HINT, ParamKey.IPV6HINT)


@dataclass(frozen=True, slots=True)
class Place:
    """What some of a service's clients get."""

    owner: str
    """The name that it is read from, for messages."""
    contents: tuple[str, ...]
    """Of the HTTPS records."""
    addresses: frozenset[str]
    """Of the A and AAAA records, as `ipaddress` writes them."""
    drawn: bool
    """Whether an answer has some of the addresses only."""


def bind(draft: Draft, name: str, places: Sequence[Place]) -> None:
    """Give a service the setting `https` that says the same as the records of its places, or list why it has none."""
    spec = draft.services.get(name)
    if spec is None or not places:  # without nodes the whole name is listed
        return
    try:
        settings = https_of(name, spec.get("answer", "address"), places)
    except ValueError as exc:
        draft.lose(f"services: {name}", f"HTTPS: {exc}")
        return
    spec["https"] = settings if len(settings) > 1 else settings[0]
    records: list[Any] = [
        dns.rdata.from_text("IN", "HTTPS", content) for place in places for content in place.contents
    ]
    if not all(set(_HINTS) & record.params.keys() for record in records if record.priority):
        draft.note(f"services: {name}", "HTTPS: records without hints get those of the answer")


def https_of(service: str, answer: str, places: Sequence[Place]) -> list[Setting]:
    """The setting `https` of a service that gives each place's clients these records.

    Args: answer: the service's setting, `address` or `cname`.
    Raises: ValueError: there is none, with the reason.
    """
    first = places[0]
    settings = [_setting(service, content, first) for content in first.contents]
    for place in places[1:]:
        other = [_setting(service, content, place) for content in place.contents]
        if sorted(map(repr, other)) != sorted(map(repr, settings)):
            raise ValueError(
                f"differs between {first.owner} and {place.owner}, not by hints alone; geosteer has one for all clients"
            )
    problems = Problems("")
    try:
        read_records(Table({"https": settings}, "", problems), service, answer)
    except ConfigError as exc:
        raise ValueError(exc.problems[0]) from exc
    if reasons := problems.errors():
        raise ValueError(reasons[0].removeprefix(": "))
    return settings


def _setting(service: str, content: str, place: Place) -> Setting:
    try:
        record: Any = dns.rdata.from_text("IN", "HTTPS", content)
    except (dns.exception.DNSException, ValueError) as exc:
        raise ValueError(f"{place.owner}: {content}: {exc or 'not such a record'}") from exc
    target = record.target.to_text().lower().rstrip(".")
    made: Setting = {"priority": record.priority} if record.priority != 1 else {}
    if target not in {"", service}:
        made["target"] = target
    elif record.priority == 0:
        raise ValueError(f"{place.owner}: {content}: says that there is no such service (RFC 9460, 2.5.1)")
    for key, value in record.params.items():
        if key in _HINTS:
            _check_hints(frozenset(value.addresses), ":" if key == ParamKey.IPV6HINT else ".", place, made)
        elif key == ParamKey.MANDATORY:
            made["mandatory"] = [ParamKey(each).name.lower().replace("_", "-") for each in value.keys]
        elif key == ParamKey.ALPN:
            made["alpn"] = [each.decode("ascii", "backslashreplace") for each in value.ids]
        elif key == ParamKey.NO_DEFAULT_ALPN:
            made["no_default_alpn"] = True
        elif key == ParamKey.PORT:
            made["port"] = value.port
        elif key == ParamKey.ECH:
            made["ech"] = b64encode(value.ech).decode()
        else:
            raise ValueError(f"{place.owner}: {content}: parameter {int(key)} is not one of `https`")
    return made


def _check_hints(hints: frozenset[str], mark: str, place: Place, made: Setting) -> None:
    """Refuse hints that geosteer would not give. Args: mark: in each address of the family."""
    if "target" in made:
        raise ValueError(f"{place.owner}: has hints of another name's addresses, {made['target']}")
    if place.drawn:
        raise ValueError(f"{place.owner}: its hints are the same, whichever address is drawn")
    if hints != {address for address in place.addresses if mark in address}:
        raise ValueError(f"{place.owner}: its hints are not its addresses")
