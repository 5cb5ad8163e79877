"""Secrets: `${NAME}` stands for an environment variable, so that none need lie in a file or be published."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from geosteer_loader.config.values import text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LITERAL = (
    "holds a literal secret and would be published: write ${NAME}, an environment variable of the prober"
)

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WORD = r"(?:password|passwd|passphrase|pwd|secret|token|authorization|auth|api[-_]?key|cookie)s?"
_NAME = re.compile(rf"(?:.*[-_])?{_WORD}(?:[-_].*)?", re.IGNORECASE)
_SCHEME = re.compile(r"(?:basic|bearer|digest|token|apikey)\s+", re.IGNORECASE)
_INSIDE = re.compile(rf"(?<![a-z]){_WORD}[=:]\s*(?!\$\{{)[^\s&]", re.IGNORECASE)
_LOGINS = {"-a", "-u", "--user"}
"""Options of check_http and curl that take a login; elsewhere `-u` may be a path, and `-a` an address with a port."""
_LOGIN = re.compile(r"[^\s:/]+:(?!\$\{\w+\}$|\d+$)[^\s/]+")
_USERINFO = re.compile(r"://[^/@\s]*:(?!\$\{\w+\}@)[^/@\s]*@")


def secret(environ: Mapping[str, str] | None) -> Callable[[object], str]:
    """A parser of a secret, given as itself or as `${NAME}`; its messages never show it.

    Without *environ* (the file belongs to another program) only the form is checked.
    """

    def parse(value: object) -> str:
        plain = text(value)
        reference = _REFERENCE.fullmatch(plain)
        if not reference:
            if plain.startswith("${"):
                raise ValueError("must be of the form ${NAME} to name an environment variable")
            return plain
        if environ is None:
            return plain
        if not environ.get(reference[1]):
            raise ValueError(f"environment variable {reference[1]} is not set")
        return environ[reference[1]]

    return parse


def named_secret(key: str) -> bool:
    """Whether a setting or header of this name holds a secret, for example `X-Api-Key`."""
    return bool(_NAME.fullmatch(key))


def literal(key: str, value: str) -> bool:
    """Whether *value* of the header or setting *key* is a secret that is not written as `${NAME}`."""
    if named_secret(key):
        return not _REFERENCE.fullmatch(_SCHEME.sub("", value, count=1).strip())
    return literal_inside(value)


def literal_inside(value: str) -> bool:
    """Whether a URL or a word of a command holds one: `user:secret@host`, `token=...`."""
    return bool(_USERINFO.search(value) or _INSIDE.search(value))


def literal_option(command: Sequence[str]) -> bool:
    """Whether an option such as `--password` is followed by a literal, or one such as `-u` by `user:secret`."""
    return any(
        (named_secret(option.lstrip("-")) and not _REFERENCE.fullmatch(word))
        or (option in _LOGINS and bool(_LOGIN.fullmatch(word)))
        for option, word in pairwise(command)
        if option.startswith("-")
    )
