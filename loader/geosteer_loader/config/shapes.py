"""What a JSON Schema says of the values that a parser takes: parsers carry it, so that it stands where they check.

A shape is a schema of draft-07: type, bounds, words and patterns. What only a program can judge, such as whether a named map
exists, is not in it; whatever a parser takes, its shape takes as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Shape = dict[str, Any] | bool
P = TypeVar("P", bound="Callable[..., Any]")

TEXT: Shape = {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"}
"""Text of one line that is not blank."""

_NO_TEXT: tuple[object, ...] = (True, 7, 0.5, [], {})


def shaped(shape: Shape, variants: tuple[str, ...] = ()) -> Callable[[P], P]:
    """Gives a parser its shape.

    Args: variants: values, or beginnings of them, by which a table reads other settings; those of an `enum` need not be said.
    """

    def decorate(parse: P) -> P:
        parse.__dict__.update(shape=shape, variants=variants)
        return parse

    return decorate


def shape_of(parse: Callable[[object], object]) -> Shape:
    """The shape of what *parse* takes; of a parser without one, whether it takes anything but text."""
    declared: Shape | None = getattr(parse, "shape", None)
    if declared is not None:
        return declared
    if any(_takes(parse, value) for value in _NO_TEXT):
        return True
    return {"anyOf": [{"const": ""}, TEXT]} if _takes(parse, "") else TEXT


def variants_of(parse: Callable[[object], object]) -> tuple[str, ...]:
    """The values by which a table may read other settings."""
    shape = getattr(parse, "shape", None)
    declared: tuple[str, ...] = getattr(parse, "variants", ())
    return declared or (tuple(shape.get("enum", ())) if isinstance(shape, dict) else ())


def begins(variant: str) -> bool:
    """Whether the variant stands for all values that begin so."""
    return variant.endswith("://")


def _takes(parse: Callable[[object], object], value: object) -> bool:
    try:
        parse(value)
    except ValueError:
        return False
    return True
