"""The command line of a front end that must start fast: options with a value, and nothing else."""

from __future__ import annotations

from geosteer.errors import ConfigError
from geosteer.redirect.routes import SCHEMES, Routes, Target
from geosteer.settings import DEFAULT_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

COMMON = ("config", "hash-by", "port", "route", "scheme", "status", "to")
"""Options that every redirecting front end has."""

COMMON_USAGE = """\
  --config FILE      settings of the worker; default /etc/geosteer/backend.toml
  --route HOST[/PREFIX]=SERVICE
                     requests to this host, below this path, are answered by that service; "*": any host; may be repeated;
                     default: the host is the service's name
  --status CODE      of redirects: {statuses}; default 302
  --scheme SCHEME    of the node's URL: http, https, or same as the request's; default same
  --port PORT        of the node's URL; default: the scheme's own
  --to name|address  the node's host name (where it has one), or its address; default name
  --hash-by path|network
                     what the policy `hash` hashes: the path, or the client's network as in DNS; default path
"""


class Options:
    """The options of a command line."""

    def __init__(self, arguments: Sequence[str], known: Collection[str], flags: Collection[str] = ()) -> None:
        """Args: known: options that take a value; flags: those that do not.

        Raises: ConfigError: an unknown option, or one without its value.
        """
        self._values: dict[str, list[str]] = {}
        left = list(arguments)
        while left:
            word = left.pop(0)
            name, equals, value = word[2:].partition("=")
            if word[:2] != "--" or not (name in known or (name in flags and not equals)):
                raise ConfigError([f"{word}: no such option (--help lists them)"])
            if name in known and not equals:
                if not left:
                    raise ConfigError([f"{word}: needs a value"])
                value = left.pop(0)
            self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def all(self, name: str) -> list[str]:
        """Every value of an option."""
        return self._values.get(name, [])

    def text(self, name: str, default: str = "") -> str:
        """The last value of an option."""
        return self._values.get(name, [default])[-1]

    def choice(self, name: str, allowed: Collection[str], default: str) -> str:
        """A value out of a list. Raises: ConfigError: not in the list."""
        value = self.text(name, default)
        if value not in allowed:
            raise ConfigError([f"--{name} {value}: must be one of {', '.join(allowed)}"])
        return value

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number. Raises: ConfigError: not a number, or out of bounds."""
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
            raise ConfigError([f"--{name} {value}: must be a whole number from {low} to {high}"])
        return int(value)

    @property
    def config(self) -> str:
        """Path of the worker's settings."""
        return self.text("config", DEFAULT_PATH)

    @property
    def routes(self) -> Routes:
        """From --route. Raises: ConfigError."""
        return Routes(self.all("route"))

    @property
    def target(self) -> Target:
        """From --scheme, --port and --to. Raises: ConfigError."""
        words = self.target_words
        return Target(words["scheme"], words["port"], by_address=words["to"] == "address")

    @property
    def target_words(self) -> dict[str, Any]:
        """Values of --scheme, --port and --to. Raises: ConfigError."""
        return {
            "scheme": self.choice("scheme", (*SCHEMES, "same"), "same"),
            "port": self.number("port", 0, 0, 65535),
            "to": self.choice("to", ("name", "address"), "name"),
        }

    @property
    def by_path(self) -> bool:
        """From --hash-by. Raises: ConfigError."""
        return self.choice("hash-by", ("path", "network"), "path") == "path"
