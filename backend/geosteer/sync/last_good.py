"""The last good state on disk as answers need it: enough for names and the round robin of last resort."""

from __future__ import annotations

from geosteer.cmodules import load_json
from geosteer.decision.model import Model
from geosteer.sync import snapshot
from geosteer.sync.generation import names_of, serial_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class LastGood:
    """The content of the snapshot, checked."""

    __slots__ = ("document", "model", "overrides", "serial")

    def __init__(self, data: Mapping[str, Any]) -> None:
        """Raises: CorruptPage, ValueError, KeyError, TypeError, AttributeError: it cannot be used."""
        self.document: dict[str, Any] = load_json(data["document"])
        self.model = Model(self.document)
        self.serial = serial_of(data["current"])
        self.overrides: dict[str, str] = dict(data["overrides"])
        names_of(self.document, self.model, self.serial)


def read_last_good(path: str, origin: str) -> tuple[LastGood | None, str]:
    """The snapshot there, None where there is none of *origin*; and a warning for operators, or "".

    Raises: as `LastGood`.
    """
    data, trouble = snapshot.read(path, origin)
    return None if data is None else LastGood(data), trouble
