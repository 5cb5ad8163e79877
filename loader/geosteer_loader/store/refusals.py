"""What the store refuses, each by its own name: another publisher, a lost lock, a change in between, a newer schema."""

from __future__ import annotations

from geosteer.errors import Refused


class Locked(Refused):
    """Another publisher holds the lock."""

    def __init__(self, store: str, holder: str) -> None:
        super().__init__(f"{store}: another publisher is at work: {holder or 'it just ended'}")
        self.holder = holder
        """Who holds it and since when, in text; "" when it was gone before it could be read."""


class LostLock(Refused):
    """The publisher's lock is not ours any more: it ran out, and maybe somebody else took it."""

    def __init__(self, store: str) -> None:
        super().__init__(f"{store}: the publisher's lock was lost; nothing was changed since")


class ChangedMeanwhile(Refused):
    """What is published, or its objects, changed while it was being replaced."""

    def __init__(self, store: str, key: str) -> None:
        super().__init__(f"{store}: {key} was changed by somebody else meanwhile; nothing was published")
        self.key = key
        """The key that changed."""


class SchemaUnknown(Refused):
    """A newer geosteer published with a meaning that this one does not know."""

    def __init__(self, where: str, schema: str, known: int) -> None:
        super().__init__(
            f"{where}: schema {schema[:40]} is published, this program knows {known}: upgrade it"
        )
        self.schema = schema
        """As published."""
        self.known = known
        """The highest that this program knows."""
