"""The verdicts of the other writers as last read, so that only what changed is decoded again. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.health.terms import DOWN
from geosteer_loader.health.verdicts import Verdict, decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class OtherWriters:
    """What other probers and feeds said."""

    def __init__(self) -> None:
        self._said: dict[str, dict[bytes, tuple[bytes, Verdict | None]]] = {}
        """Writer -> node -> its verdict as it stands in Redis, and decoded."""

    def update(self, writer: str, fields: Mapping[bytes, bytes]) -> None:
        """Take in the hash `verdict:<writer>`."""
        before = self._said.get(writer, {})
        self._said[writer] = {
            node: last if (last := before.get(node)) and last[0] == text else (text, decode(text))
            for node, text in fields.items()
        }

    def verdicts(self, writer: str, now: float) -> dict[str, Verdict]:
        """Node -> what the writer says of it, where that can be believed at *now*, seconds since 1970."""
        return {
            node.decode(errors="replace"): verdict
            for node, (_, verdict) in self._said.get(writer, {}).items()
            if verdict is not None and verdict.believable(now)
        }

    def doubted(self) -> Iterator[str]:
        """Nodes that another writer calls down or failing."""
        for verdicts in self._said.values():
            for node, (_, verdict) in verdicts.items():
                if verdict is not None and (verdict.state == DOWN or verdict.failing):
                    yield node.decode(errors="replace")

    def forget(self, writers: Iterable[str]) -> None:
        """Drop writers that are gone."""
        for writer in writers:
            self._said.pop(writer, None)
