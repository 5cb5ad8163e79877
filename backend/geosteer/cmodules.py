"""The few C modules that a worker's start uses, each with its public module as the fallback.

Importing `socket`, `json` and `hashlib` pulls in `enum`, `re` and OpenSSL: together more than the whole rest of a worker's
start and memory. The C modules below them do the work; where one is missing (another Python, a changed private name) its
public module serves, slower and larger.
"""

from __future__ import annotations

import sys
from errno import EAGAIN, EALREADY, EINPROGRESS, EINTR

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from array import array
    from bisect import bisect_right
    from collections import deque
    from collections.abc import Callable
    from hashlib import blake2b, sha1
    from typing import Any
else:
    try:
        from _blake2 import blake2b
        from _sha1 import sha1
    except ImportError:
        from hashlib import blake2b, sha1
    if "collections" not in sys.modules and "_collections_abc" in sys.modules:
        # The C module registers its type with collections.abc, and `collections` would be imported for that alone.
        sys.modules["collections"] = sys.modules["collections.abc"] = sys.modules["_collections_abc"]
        try:
            from array import array
        finally:
            del sys.modules["collections"], sys.modules["collections.abc"]
    else:
        from array import array
    try:
        from _bisect import bisect_right
    except ImportError:
        from bisect import bisect_right
    try:
        from _collections import deque
    except ImportError:
        from collections import deque
    try:
        import _socket
    except ImportError:
        import socket as _socket

__all__ = [
    "EAGAIN", "EALREADY", "EINPROGRESS", "EINTR", "SWITCH", "Address", "array", "bisect_right", "blake2b", "deque",
    "dump_json", "load_json", "pack_address", "scan_json", "sha1", "socket",
]  # fmt: skip

SWITCH = "GEOSTEER_COMPILED"
"""Environment variable that leaves out what of geosteer is written in C if it is "no"."""

socket = _socket
_AF_INET = _socket.AF_INET
_AF_INET6 = _socket.AF_INET6
_pton = _socket.inet_pton


def pack_address(text: str) -> bytes:
    """An address in text form as 4 or 16 bytes, network order.

    Raises: ValueError: the text is not an address (short forms such as `10.1` are refused).
    """
    try:
        return _pton(_AF_INET6 if ":" in text else _AF_INET, text)
    except OSError as exc:
        raise ValueError(text) from exc


def Address(packed: bytes) -> str:  # noqa: N802
    """Text form of 4 or 16 packed bytes."""
    return _socket.inet_ntop(_AF_INET6 if len(packed) == 16 else _AF_INET, packed)


def _public_json() -> tuple[
    Callable[[str], Any], Callable[[Any], str], Callable[[str, int], tuple[Any, int]]
]:
    import json

    decode = json.JSONDecoder().raw_decode

    def load(text: str) -> Any:
        try:
            return json.loads(text)
        except RecursionError as exc:
            raise ValueError("not JSON: too many levels") from exc

    def scan(text: str, at: int) -> tuple[Any, int]:
        try:
            return decode(text, at)
        except RecursionError as exc:
            raise ValueError("not JSON: too many levels") from exc

    return load, lambda value: json.dumps(value, separators=(",", ":")), scan


def _lean_json() -> tuple[Callable[[str], Any], Callable[[Any], str], Callable[[str, int], tuple[Any, int]]]:
    from _json import (
        encode_basestring_ascii,
        make_encoder,
        make_scanner,
    )

    class Context:
        strict = True
        object_hook = None
        object_pairs_hook = None
        parse_float = float
        parse_int = int
        memo: dict[str, str] = {}  # noqa: RUF012  # the C scanner wants the attribute

        @staticmethod
        def parse_constant(name: str) -> float:
            raise ValueError(f"{name} is not JSON")

    scanner = make_scanner(Context())  # type: ignore[arg-type]

    def scan(text: str, at: int) -> tuple[Any, int]:
        try:
            return scanner(text, at)
        except StopIteration as exc:
            raise ValueError(f"not JSON at character {exc.value}") from None
        except (
            SystemError
        ):  # the scanner looks for the error class of json.decoder, which nobody has imported
            raise ValueError(
                "not JSON: a text, list or object that is not whole or not well formed"
            ) from None
        except RecursionError as exc:
            raise ValueError("not JSON: too many levels") from exc

    def load(text: str) -> Any:
        value, end = scan(text, len(text) - len(text.lstrip(" \t\r\n")))
        if text[end:].strip(" \t\r\n"):
            raise ValueError(f"not JSON: more after character {end}")
        return value

    def refuse(value: object) -> None:
        raise TypeError(f"{type(value).__name__} is not JSON")

    encode = make_encoder(None, refuse, encode_basestring_ascii, None, ":", ",", False, False, False)
    return load, lambda value: "".join(encode(value, 0)), scan


try:
    load_json, dump_json, scan_json = _lean_json()
    """Text -> value; value -> text; text and a place in it -> the value that begins there, and where it ends.

    Raises: ValueError: no value, or none that is whole, is there.
    """
    if (
        load_json('{"a":[1,2.5,"\\u00e9",null,true]}') != {"a": [1, 2.5, "\xe9", None, True]}
        or dump_json([{}]) != "[{}]"
    ):
        raise ImportError
except (ImportError, TypeError, ValueError, AttributeError):
    load_json, dump_json, scan_json = _public_json()
