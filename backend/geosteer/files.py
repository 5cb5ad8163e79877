"""Files of our own in folders that others may write to: what they put there is not read, followed or waited for."""

from __future__ import annotations

import os  # the interpreter has loaded it already

from geosteer.cmodules import blake2b

LARGEST = 1 << 28
"""Bytes of a file that is read at most."""
ASIDE = ".new."
"""Between a file's name and random digits: it is being written."""
WRITABLE, PRIVATE, GROUP_MAY_READ = 0o022, 0o077, 0o037
"""Permissions that a file must not have: nobody else may write to it; nobody else may read it; nobody but its group may."""
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REGULAR = 0o100000


class Untrusted(OSError):
    """A file that somebody else may have put there."""

    def __init__(self, reason: str) -> None:
        super().__init__(None, reason)


def read(path: str, *, forbidden: int = WRITABLE) -> bytes:
    """Content of a file of ours (or root's). Args: forbidden: permissions that it must not have.

    Raises: FileNotFoundError. Untrusted: it may be somebody else's work. OSError.
    """
    handle = os.open(path, os.O_RDONLY | _SAFE)
    try:
        size = _check(handle, forbidden)
        parts = []
        while size >= 0 and (part := os.read(handle, size + 1)):
            size -= len(part)
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(handle)


def replace(path: str, data: bytes, mode: int) -> str:
    """Write a new file beside *path* and return its path, to be renamed to it; none is left when it cannot be written whole.

    Raises: OSError.
    """
    aside = f"{path}{ASIDE}{os.urandom(8).hex()}"
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, mode)
    try:
        while data:
            data = data[os.write(handle, data) :]
    except OSError:
        os.unlink(aside)  # noqa: PTH108  # half of it would take the room that others may need
        raise
    finally:
        os.close(handle)
    return aside


def lock(path: str) -> int:
    """Descriptor of a lock file that is locked now, or -1 where somebody else holds it. Raises: Untrusted, OSError."""
    import fcntl

    handle = os.open(path, os.O_WRONLY | os.O_CREAT | _SAFE, 0o644)
    try:
        _check(handle, WRITABLE)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return -1
    except OSError:
        os.close(handle)
        raise
    return handle


def seal(body: bytes) -> bytes:
    """Digest of a file's content, in hexadecimal digits: the first line of a sealed file."""
    return blake2b(body, digest_size=16).hexdigest().encode()


def sealed(body: bytes) -> bytes:
    """A file's content with its digest before it."""
    return seal(body) + b"\n" + body


def unsealed(data: bytes) -> bytes:
    """What was sealed. Raises: ValueError: it was cut or changed."""
    head, _, body = data.partition(b"\n")
    if head != seal(body):
        raise ValueError("is damaged")
    return body


def _check(handle: int, forbidden: int) -> int:
    """The file's size. Raises: Untrusted: not a regular file of ours or root's; OSError: too large."""
    stat = os.fstat(handle)
    if stat.st_mode & 0o170000 != _REGULAR:
        raise Untrusted("is not a regular file")
    if stat.st_uid not in {os.geteuid(), 0}:
        raise Untrusted(f"belongs to another user ({stat.st_uid})")
    if stat.st_mode & forbidden:
        raise Untrusted(f"is open to others (mode {stat.st_mode & 0o7777:o})")
    if stat.st_size > LARGEST:
        raise Untrusted("is too large")
    return stat.st_size
