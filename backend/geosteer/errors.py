"""What can go wrong, as one shallow tree; every command turns it into an exit code and one clear message."""

from __future__ import annotations


class GeosteerError(Exception):
    """Base of every error that geosteer raises on purpose."""

    exit_code = 1
    """Process exit code of a command that ends with this error: 1 is "failed, nothing changed"."""


class ConfigError(GeosteerError):
    """A configuration file that cannot be used; carries every problem found, not only the first."""

    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        """One line each: ``file: place: reason``."""


class SourceError(GeosteerError):
    """Data that cannot be used (a database, a table, a list): the text names file, place and reason."""


class CorruptPage(GeosteerError):
    """A page or document that is not what its name or its format says."""


class BadReply(GeosteerError):
    """What came is not what a Redis server answers: it is too large, of another shape, or not the protocol."""


class StoreError(GeosteerError):
    """Redis refused, failed or vanished; nothing was published."""


class Refused(GeosteerError):
    """A guard, the publisher's lock or a hold said no; the old generation stays."""

    exit_code = 3
