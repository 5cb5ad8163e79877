"""What is followed beside files: tables that come from memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.config.config import Config
    from geosteer_loader.follow.followed import Followed


def open_feeds(config: Config) -> Sequence[Followed]:
    """The live feeds that a configuration has; each is closed by the service."""
    del config
    return ()
