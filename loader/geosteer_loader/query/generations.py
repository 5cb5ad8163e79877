"""`geosteer history`: the generations that are kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from geosteer_loader.store import current
from geosteer_loader.store.history import entries

if TYPE_CHECKING:
    from geosteer_loader.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One generation."""

    generation: int
    published: str
    """ISO 8601 UTC."""
    changed: str
    """Tables, `config`, ..., separated by blanks."""
    who: str
    why: str
    """The reason given for the rollback that holds it, "" if none."""
    when: str
    current: bool
    """It is the one that is published now."""

    def to_json(self) -> dict[str, Any]:
        """An entry of what `geosteer history --json` prints: the fields above, by their names."""
        return asdict(self)


def kept(store: Store) -> list[Kept]:
    """The generations that are kept, the newest first. Raises: StoreError."""
    now = current.number(current.read(store, repairing=True), "generation")
    return [
        Kept(
            generation=entry.generation,
            published=entry.fields.get("published", ""),
            changed=entry.changed,
            who=entry.who,
            why=entry.why,
            when=entry.when,
            current=bool(now) and entry.generation == now,
        )
        for entry in reversed(entries(store))
    ]
