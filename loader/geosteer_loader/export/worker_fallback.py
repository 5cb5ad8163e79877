"""`geosteer export fallback`: the part `[fallback]` of a worker's file, made of what is published.

With it a worker that has neither Redis nor a snapshot still knows its zones, services and well-connected servers.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError, StoreError
from geosteer_loader.config.dns_names import zone_of
from geosteer_loader.sources.text import BYTE_ORDER_MARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_HEADER = re.compile(r"\s*\[\[?\s*(\"[^\"]*\"|'[^']*'|[^\]\s.]+)")
_OURS = {"fallback", '"fallback"', "'fallback'"}

Lines = list[str]


def servers(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The published nodes with a `well_connected` weight, as `[[fallback.servers]]` has them."""
    spare = []
    for name, node in document["nodes"].items():
        if node.get("well_connected"):
            fields = {key: node.get(key) for key in ("a", "aaaa", "hostname")}
            spare.append(
                {
                    "name": name,
                    **{key: value for key, value in fields.items() if value},
                    "weight": node["well_connected"],
                }
            )
    return spare


def zones(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The published zones, each with its services, as `[fallback.zones]` has them."""
    served: dict[str, dict[str, Any]] = {
        name: {**zone, "services": []} for name, zone in document["zones"].items()
    }
    for name, service in document["services"].items():
        zone = zone_of(name, served)
        if zone is not None:
            more = {key: service[key] for key in ("https", "svcb") if service.get(key)}
            if service.get("answer") == "cname":
                more["answer"] = "cname"
            served[zone]["services"].append({"name": name, **more} if more else name)
    return served


def text(document: Mapping[str, Any], ttl: object = None) -> str:
    """The part as TOML; *ttl* stands in it where it is not None.

    Raises: StoreError: nothing in the document could be answered with.
    """
    spare, served = servers(document), zones(document)
    if not spare:
        raise StoreError("no published node has `well_connected`: there is nothing to fall back to")
    lines = ["[fallback]"]
    if ttl is not None:
        lines.append(f"ttl = {_value(ttl)}")
    for name, zone in served.items():
        lines += _zone(f"fallback.zones.{_value(name)}", zone)
    for server in spare:
        lines += ["", "[[fallback.servers]]", *_pairs(server)]
    return "\n".join(lines) + "\n"


def merged(document: Mapping[str, Any], before: str, name: str) -> str:
    """The text of a worker's file with this part in place of the one that it had; all else stays as it is, `ttl` too.

    Args: before: the file's text, "" for a new file; name: what to call the file.
    Raises: ConfigError: the text is not TOML, or its part [fallback] cannot be separated from the rest. StoreError: as `text`.
    """
    plain = before.removeprefix(BYTE_ORDER_MARK)
    mark = before[: len(before) - len(plain)]
    try:
        old = tomllib.loads(plain)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError([f"{name}: {exc}"]) from exc
    had = old.pop("fallback", None)
    part = text(document, had.get("ttl") if isinstance(had, dict) else None)
    others, at = _without(plain.splitlines())
    lines = [*others[:at], *part.splitlines(), *([""] if at < len(others) else []), *others[at:]]
    merged_text = "\n".join(lines) + "\n"
    try:
        right = tomllib.loads(merged_text) == {**old, **tomllib.loads(part)}
    except tomllib.TOMLDecodeError:
        right = False
    if not right:
        raise ConfigError(
            [
                f"{name}: fallback: cannot be separated from the rest of the file: write it as tables [fallback...] of its own"
            ]
        )
    return mark + merged_text


def _without(lines: Sequence[str]) -> tuple[Lines, int]:
    """The lines outside the tables [fallback...], and where among them those began, or may begin."""
    others: Lines = []
    ours, at = False, -1
    for line in lines:
        header = _HEADER.match(line)
        if header:
            ours = header[1] in _OURS
            if ours and at < 0:
                at = len(others)
        if not ours:
            others.append(line)
    if at >= 0:
        return others, at
    while others and not others[-1].strip():
        others.pop()
    if others:
        others.append("")
    return others, len(others)


def _zone(place: str, zone: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"[{place}]", f"ns = {_value(zone['ns'])}")
    if "ns_ttl" in zone:
        yield f"ns_ttl = {zone['ns_ttl']}"
    yield from _list("services", zone["services"])
    yield from ("", f"[{place}.soa]", *_pairs(zone["soa"]))
    for record in zone.get("records") or ():
        yield from ("", f"[[{place}.records]]", *_pairs(record))


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{key} = {_value(value)}" for key, value in table.items())


def _list(key: str, values: Sequence[Any]) -> Iterator[str]:
    if len(values) < 2:
        yield f"{key} = {_value(values)}"
        return
    yield f"{key} = ["
    yield from (f"    {_value(value)}," for value in values)
    yield "]"


def _value(value: Any) -> str:
    """TOML of a value; a basic string is written as in JSON, but for DEL (TOML 1.0.0, "String")."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
