"""What the service follows: anything that can say whether it changed, whether it is whole, and what it holds.

A file is one such thing (`follow.files`), a RIB that BGP sessions fill is another. The service knows neither: every `POLL`
seconds it asks each for a `Sight`, lets `follow.pace` decide whether it is time, and publishes. A followed thing needs no
thread and no lock for that: `look`, `table` and `settled` are called by the service's one thread, one after the other.

To plug in a table that comes from memory:
- `tables` names it (`bgp` or `path`), and `table` gives it: built, with its pages, as `tables.build.Table`. Where several
  followed things name a table, the first one whose `table` gives something wins, and files of that table are not read.
- `look` gives another `version` whenever its content is another (a counter of changes will do), and `ready` only while that
  content is whole: every session's End-of-RIB is there, and enough routes. While it is not ready, the table stays as it is
  published, whatever else is published meanwhile.
- `quiet` and `ceiling` say how soon: a change is published when nothing moved for `quiet` seconds, at the latest `ceiling`
  seconds after the first one. An interval of 5 s is `quiet = 5, ceiling = 5`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from geosteer_loader.tables.build import Table

POLL = 0.5
"""Seconds between two looks at everything that is followed."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at something found."""

    version: Hashable
    """Equal for equal content."""
    ready: bool
    """Whether that content is whole, and may be published."""
    why: str = ""
    """Why it is not ready, in words."""


class Followed(Protocol):
    """Something whose content becomes part of what is published."""

    @property
    def name(self) -> str:
        """As the log calls it; no two have the same."""

    @property
    def tables(self) -> frozenset[str]:
        """The tables that its content is part of; none: the configuration itself."""

    @property
    def quiet(self) -> float:
        """Seconds without a change after which a change is published."""

    @property
    def ceiling(self) -> float:
        """Seconds after the first change at which it is published even if changes go on."""

    def look(self, now: float) -> Sight:
        """What is there now. Called often: it must cost next to nothing while nothing changes.

        Args: now: seconds of the monotonic clock.
        """

    def table(self, name: str, published: Mapping[str, str]) -> Table | None:
        """The table *name* from memory, or None: it is built from files, as the configuration says.

        Called only while ready, and only for one of `tables`. *published*: its fields of `current`, empty without any.
        """

    def settled(self, published: Mapping[str, str]) -> None:
        """A generation was published (or nothing had to be) with what the last look saw; *published*: `current`."""

    def close(self) -> None:
        """The service ends: give back what is held, save what is to be there after a restart."""
