"""TLS settings of checks: which authorities are trusted, made once for all checks that want the same."""

from __future__ import annotations

import ssl
from pathlib import Path

from geosteer.resp.tls import trusting
from geosteer_loader.health.checks.connect import CannotCheck


class Contexts:
    """Reading the system's certificates takes 10 to 20 ms; they are read once."""

    def __init__(self) -> None:
        self._made: dict[tuple[bool, str | None, bool], tuple[int, ssl.SSLContext]] = {}

    def get(self, *, verify: bool, ca: str | None, strict: bool = False) -> ssl.SSLContext:
        """Settings that trust the authorities in the file *ca*, the system's without one; all without *verify*.

        *strict*: as in `geosteer.resp.tls.trusting`.

        A file that changed is read again.
        Raises: CannotCheck: the file cannot be used.
        """
        try:
            changed = Path(ca).stat().st_mtime_ns if ca else 0
            known = self._made.get((verify, ca, strict))
            if known is None or known[0] != changed:
                known = self._made[verify, ca, strict] = changed, _context(verify, ca, strict)
        except ssl.SSLError as exc:
            raise CannotCheck(f"ca {ca} has no certificates") from exc
        except OSError as exc:
            raise CannotCheck(f"ca {ca} cannot be read: {exc.strerror}") from exc
        return known[1]


def _context(verify: bool, ca: str | None, strict: bool) -> ssl.SSLContext:
    context = trusting(ca, strict=strict)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
