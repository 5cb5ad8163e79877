"""The published configuration document as bytes from Redis: read trusting nothing, in one place."""

from __future__ import annotations

import json
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from geosteer.decision.model import FORMAT, Model
from geosteer.errors import CorruptPage, Refused, StoreError
from geosteer.keys import digest
from geosteer.sync.generation import names_of
from geosteer_loader.config import document as shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 64 << 20
"""Bytes of a document; one of 10,000 nodes takes 5 MB."""

_SECTIONS: dict[str, Any] = {
    "nodes": dict[str, shapes.Node],
    "maps": dict[str, shapes.Map],
    "zones": dict[str, shapes.Zone],
    "services": dict[str, shapes.Service],
    "networks": dict[str, Any],
    "continents": dict[str, str],
    "middles": dict[str, list[shapes.Number]],
}
_REQUIRED = ("nodes", "maps", "zones", "services")


class CorruptDocument(StoreError):
    """The published configuration is missing, damaged, or not a configuration; a publish replaces it."""


class FormatUnknown(Refused):
    """A newer geosteer published a document in a format that this one does not know."""

    def __init__(self, where: str, number: int) -> None:
        super().__init__(
            f"{where}: configuration document format {str(number)[:40]} is published, this program knows {FORMAT}: "
            "upgrade it"
        )
        self.format = number


def decode(where: str, name: str, data: bytes | None) -> dict[str, Any]:
    """The document that lies under the digest *name*; every field in it has the type that a publish gives it.

    Args: where: which Redis, for messages.
    Raises: CorruptDocument. FormatUnknown.
    """
    if data is None:
        raise CorruptDocument(f"{where}: the published configuration is missing; publish again")
    if digest(data).hex() != name:
        raise CorruptDocument(f"{where}: the published configuration is damaged; publish again")
    try:
        document = _parsed(data)
        number = document.get("format")
        if isinstance(number, bool):
            raise ValueError("format: not a number")  # of the input, not of an argument
        if isinstance(number, int) and number > FORMAT:
            raise FormatUnknown(where, number)
        check_types(document)
        names_of(document, Model(document), 1)  # as a worker takes it in
    except (CorruptPage, ValueError, RecursionError) as exc:
        raise CorruptDocument(
            f"{where}: the published configuration is malformed ({_brief(exc)}); publish again"
        ) from exc
    return document


def check_types(document: Mapping[str, Any]) -> None:
    """Raises: ValueError: a field has not the type that a publish gives it, or a section is absent."""
    for section, shape in _SECTIONS.items():
        if section in document or section in _REQUIRED:
            _check(section, document.get(section), shape)


def _parsed(data: bytes) -> dict[str, Any]:
    if len(data) > LARGEST:
        raise ValueError(f"{len(data)} bytes")
    document = json.loads(data.decode(), parse_constant=_refuse)
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")  # of the input, not of an argument
    return document


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _check(place: str, value: object, shape: Any) -> None:
    """Raises ValueError where *value* is not of the type *shape*; fields of a `TypedDict` may be absent."""
    if shape is Any:
        return
    if is_typeddict(shape):
        _check(place, value, dict)
        assert isinstance(value, dict)
        for field, hint in get_type_hints(shape).items():
            if field in value:
                _check(f"{place}.{field}", value[field], hint)
        return
    origin, arguments = get_origin(shape), get_args(shape)
    if origin in (Union, UnionType):
        _check_one_of(place, value, arguments)
    elif origin is dict:
        _check(place, value, dict)
        assert isinstance(value, dict)
        for key, inside in value.items():
            _check(f"{place}.{key}", inside, arguments[1])
    elif origin is list:
        _check(place, value, list)
        assert isinstance(value, list)
        for inside in value:
            _check(place, inside, arguments[0])
    elif not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool):
        raise ValueError(f"{place}: {type(value).__name__} in place of {shape.__name__}")


def _check_one_of(place: str, value: object, shapes: tuple[Any, ...]) -> None:
    if value is None and NoneType in shapes:
        return
    if isinstance(value, bool) or not isinstance(
        value, tuple(get_origin(shape) or shape for shape in shapes)
    ):
        raise ValueError(f"{place}: {type(value).__name__} has no place there")
    for shape in shapes:
        if isinstance(value, get_origin(shape) or shape):
            _check(place, value, shape)


def _brief(exc: Exception) -> str:
    if isinstance(exc, RecursionError):
        return "too many levels"
    return str(exc)[:200]
