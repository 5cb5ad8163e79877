from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

VERSION: int

def outline(page: bytes, /) -> tuple[int, int, int, int, int, str, bytes, bytes, int, int] | None: ...
def packed(page: bytes, bits: int, high: int, low: int, host: int, /) -> bool: ...
def exchange(fd: int, request: bytes, count: int, seconds: float, /) -> list[bytes] | bytes | int: ...
def texts(data: bytes, count: int, /) -> list[bytes] | None: ...
def fields(data: bytes, /) -> dict[str, str] | None: ...
def places(page: bytes, at: int, count: int, step: int, /) -> list[int] | None: ...

Table: TypeAlias = (
    tuple[list[Any], Sequence[int], Sequence[int] | None] | list[tuple[list[Any], Sequence[int]]]
)
"""Leaves, where each begins, and of IPv4 the number of the leaf by the first bits of an address; of a large table lists of
the first two."""
Layer: TypeAlias = tuple[int, int, int, list[tuple[str, int]]]
"""Kind, number of its table, a number above those of all entries, and what in a record is which entry."""
Described: TypeAlias = tuple[list[tuple[Table | tuple[()] | None, Table | tuple[()] | None]], list[Layer]]
"""A map: its tables, of IPv4 and of IPv6, () where nothing is published, and its layers."""

class Answerer:
    answered: int
    asked: float
    def __new__(cls, counters: memoryview[int], hits: int, floors: bytes, /) -> Self: ...
    def serve(
        self, wake: int, redis: int, events: int, due: float, most: int, at_rest: bool, /
    ) -> bytes | None: ...
    def learn(self, service: int, record: str, scope: int, reply: bytes, slot: int, /) -> None: ...
    def clear(self) -> None: ...
    def learn_layers(self, data: bytes, depth: int, scope: int, reply: bytes, slot: int, /) -> None: ...
    def set_services(
        self,
        services: list[tuple[bytes, Table | None, Table | None] | tuple[bytes, int]],
        maps: list[Described] = ...,
        bring: Callable[[int, int, int, int, float], bool] = ...,
        observe: Callable[[float], None] = ...,
        /,
    ) -> None: ...
    def set_reads(
        self,
        override: bytes,
        nodes: bytes,
        names: dict[str, Any],
        patience: float,
        take: Callable[[bytes, float, bytes, bytes | dict[str, str]], bool],
        /,
    ) -> None: ...
    def set_again(self, again: Callable[[int, str, int], bool], /) -> None: ...
    def find(self, data: bytes, /) -> tuple[bytes, int] | None: ...
