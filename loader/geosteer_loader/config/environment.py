"""`${NAME}` in a check: the environment variable's value while the check is made, its name in every message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

SHORT = 4
"""Values of fewer characters are not looked for in messages: they would be found everywhere."""


class Unset(Exception):
    """An environment variable that a check names is not set here."""


class Expander:
    """Puts secrets into texts, and takes them out of messages."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._used: dict[str, str] = {}

    def expand(self, text: str, escape: Callable[[str], str] = str) -> str:
        """The text with the values, each passed through *escape*. Raises: Unset."""

        def value(reference: re.Match[str]) -> str:
            secret = self._environ.get(reference[1])
            if not secret:
                raise Unset(f"environment variable {reference[1]} is not set")
            for form in {secret, escape(secret)}:
                self._used[form] = reference[0]
            return escape(secret)

        return _REFERENCE.sub(value, text)

    def redact(self, text: str) -> str:
        """The text with the names of variables in place of their values."""
        for secret, name in self._used.items():
            if len(secret) >= SHORT:
                text = text.replace(secret, name)
        return text
