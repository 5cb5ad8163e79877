"""Sources that are https:// URLs: fetched into a folder of copies, from which the tables are built like from any file."""

from __future__ import annotations

from geosteer_loader.fetch.copies import Copies
from geosteer_loader.fetch.errors import FetchFailed

__all__ = ["Copies", "FetchFailed"]
