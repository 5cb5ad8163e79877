"""Which pages' scripts may follow the redirects (Fetch Standard, 3.3 CORS protocol). No I/O."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError
from geosteer.redirect.replies import Reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer.redirect.replies import Headers

ANY = "*"
PREFLIGHT_SECONDS = 86400
"""How long a browser may keep the answer to its question; browsers have lower limits of their own."""

_ORIGIN = re.compile(r"(https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:.]+\](:\d{1,5})?|null)")


class Cors:
    """Origins whose scripts may read what is answered."""

    def __init__(self, origins: Iterable[str] = ()) -> None:
        """Args: origins: as browsers send them (`https://www.example.net`), or `*`. Raises: ConfigError: another text."""
        self._origins = {origin.encode() for origin in origins}
        self._any = ANY.encode() in self._origins
        problems = [
            f"--cors {origin.decode()}: must be an origin such as https://www.example.net, or *"
            for origin in sorted(self._origins)
            if origin != ANY.encode() and not _ORIGIN.fullmatch(origin.decode())
        ]
        if problems:
            raise ConfigError(problems)

    def __bool__(self) -> bool:
        return bool(self._origins)

    def allows(self, origin: bytes) -> bool:
        """Whether scripts of that origin may read answers."""
        return self._any or origin in self._origins

    def headers(self, origin: bytes | None) -> Headers:
        """Header fields of an answer to a request from this origin."""
        if self._any:
            return [(b"access-control-allow-origin", b"*")]
        vary = (b"vary", b"Origin")
        if origin is None or origin not in self._origins:
            return [vary]
        return [(b"access-control-allow-origin", origin), vary]

    def preflight(self, origin: bytes) -> Reply:
        """The answer to a browser that asks beforehand."""
        headers = self.headers(origin)
        if self.allows(origin):
            headers += [
                (b"access-control-allow-methods", b"GET, HEAD"),
                (b"access-control-allow-headers", b"*"),
                (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
            ]
        return Reply(HTTPStatus.NO_CONTENT, headers)
