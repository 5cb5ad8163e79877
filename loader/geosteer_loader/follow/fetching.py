"""Copies of URLs, fetched in a thread of its own: a slow server holds up no publish.

What a server sends is put into the place of the copy only while no publish is under way (`gate`), so that a publish reads one
version and knows which copies are new.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from geosteer.errors import GeosteerError
from geosteer_loader.fetch import Copies
from geosteer_loader.tables.build import fetched

if TYPE_CHECKING:
    from geosteer_loader.config.config import Config
    from geosteer_loader.config.sources import SourceConfig

log = logging.getLogger(__name__)


class Fetching:
    """Looks at all URLs of a configuration, one after the other, every `[follow] fetch` seconds."""

    def __init__(self, config: Config) -> None:
        self.gate = threading.Lock()
        """Held while tables are built from the copies."""
        self.copies = Copies(fetched(config), gate=self.gate)
        self._every = config.follow.fetch
        self._due = float("-inf")
        self._thread: threading.Thread | None = None
        self._once = False
        self._trouble: str | None = None

    def look(self, now: float) -> str | None:
        """Begin when that is due and nothing is under way; once after each: why it failed, "" if it did not. Else None.

        Args: now: seconds of the clock that never goes back.
        """
        if not self.copies.any:
            self._once = True
            return None
        if self._thread is not None and self._thread.is_alive():
            return None
        if self._thread is not None:
            self._thread, self._once = None, True
            return self._trouble
        if now >= self._due:
            self._due = now + self._every
            self._thread = threading.Thread(target=self._run, daemon=True, name="fetching")
            self._thread.start()
        return None

    def awaited(self, source: SourceConfig) -> bool:
        """Whether a source has no copy yet, and the first look at its server has not ended."""
        return not self._once and source.remote is not None and not source.path.exists()

    def _run(self) -> None:
        try:
            self.copies.refresh()
        except (GeosteerError, OSError) as exc:
            self._trouble = str(exc)
        else:
            self._trouble = ""
