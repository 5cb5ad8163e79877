from collections.abc import Sequence
from typing import Any, Self, TypeAlias

VERSION: int

Table: TypeAlias = (
    tuple[list[Any], Sequence[int], Sequence[int] | None] | list[tuple[list[Any], Sequence[int]]]
)
"""Leaves, where each begins, and of IPv4 the number of the leaf by the first bits of an address; of a large table lists of
the first two."""

class Search:
    def __new__(cls, v4: Table | None, v6: Table | None, /) -> Self: ...
    def find(self, text: str, /) -> tuple[str, int] | None: ...
