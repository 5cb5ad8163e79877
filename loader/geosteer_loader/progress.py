"""Progress of a long piece of work, shown as the caller wishes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType


class Meter(Protocol):
    """Shows the progress of one piece of work, from entering the context to leaving it."""

    def progress(self, done: int, total: int) -> None:
        """*done* of *total* is done, in whatever unit."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Silent:
    """Shows nothing."""

    def __init__(self, label: str) -> None:
        self.label = label

    def progress(self, done: int, total: int) -> None:
        """Nothing happens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return
