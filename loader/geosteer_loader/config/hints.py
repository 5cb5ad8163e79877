"""What to write in place of a value that is nearly right: the end of a message, or nothing where that is not known."""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from geosteer.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

_PORT = re.compile(r"(.*):\d{1,5}", re.DOTALL)
_ZEROS = re.compile(r"(?<![0-9A-Fa-f])0+(?=\d)")


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean "..."?` when one of the *known* words is near (letter case does not count), else nothing."""
    by_case = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word[:80].casefold(), list(by_case), n=1)
    return _meant(by_case[near[0]]) if near else ""


def address_hint(text: str) -> str:
    """For text that is not an address: the one in it, without port, brackets, prefix length or zeros in front."""
    if len(text) > 60:
        return ""
    bare = text.strip().partition("/")[0]
    bare = bare.removeprefix("[").removesuffix("]")
    with_port = _PORT.fullmatch(bare)
    candidates = [bare, _ZEROS.sub("", bare)]
    if with_port and ("." in bare or "]" in bare):
        candidates.append(with_port[1].removesuffix("]"))
    for candidate in candidates:
        with suppress(ValueError):
            return _meant(str(ipaddress.ip_address(candidate)))
    return ""


def prefix_hint(text: str) -> str:
    """For text that is not a network: the one meant by a netmask or by first and last address."""
    if len(text) > 100:
        return ""
    first, dash, last = (part.strip() for part in text.partition("-"))
    with suppress(ValueError, TypeError):
        if not dash:
            return _meant(str(ipaddress.ip_network(text.strip(), strict=False)))
        networks = list(
            ipaddress.summarize_address_range(ipaddress.ip_address(first), ipaddress.ip_address(last))
        )
        if len(networks) == 1:
            return _meant(str(networks[0]))
    return ""


def duration_hint(text: str) -> str:
    """For text that is not a duration: the same without blanks and capitals."""
    candidate = text[:40].replace(" ", "").lower()
    with suppress(ValueError):
        parse_duration(candidate)
        return _meant(candidate)
    return ""


def share_hint(value: object, low: float, high: float) -> str:
    """For a number outside 0 to 1 that is a per cent figure: the share."""
    if not 0 <= low < high == 1 or isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"; {value} % is {value / 100:g}" if 1 < value <= 100 else ""


def idna_hint(text: str) -> str:
    """For a host name with letters beyond ASCII: how it is written in DNS."""
    with suppress(UnicodeError):
        return f"; write {json.dumps(text.encode('idna').decode())}"
    return "; write it in its xn-- form"


def _meant(word: str) -> str:
    return f"; did you mean {json.dumps(word if len(word) <= 60 else word[:57] + '...', ensure_ascii=False)}?"
