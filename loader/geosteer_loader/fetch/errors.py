"""What can go wrong while fetching."""

from __future__ import annotations

from geosteer.errors import SourceError


class FetchFailed(SourceError):
    """A source could not be fetched, or what came is not what it should be; the copy before it stays."""

    exit_code = 1
    """The configuration is not to blame, as it is for other source errors; the next run may succeed."""


class Useless(FetchFailed):
    """What came until now cannot be used, and so not be resumed either."""
