"""The kinds of workers that are compared, by name, and how each is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import rivals
from .stage import WORKER

if TYPE_CHECKING:
    from .stage import Stage

GEOSTEER, NOTHING, C = "geosteer", "nothing, in Python", "nothing, in C"
PURE, PEER, RADIX = "geosteer, all in Python", "peer, mmap", "peer, radix in RAM"


def commands(stage: Stage) -> dict[str, list[str]]:
    """How each kind of worker is started."""
    shared = stage.country.shared
    return {
        GEOSTEER: [str(WORKER), "--config", str(stage.backend)],
        PURE: rivals.without_c(stage),
        NOTHING: rivals.peer("nothing"),
        C: rivals.nothing_in_c(stage),
        PEER: rivals.peer("mapped", shared),
        RADIX: rivals.peer("radixed", shared),
    }
