"""Where Redis is, from its URL. No I/O."""

from __future__ import annotations

from geosteer.cmodules import pack_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    Place = tuple[str, int]
    """Host and TCP port, or the path of a unix socket and 0."""

REDIS_PORT, SENTINEL_PORT = 6379, 26379
SCHEMES = ("unix", "redis", "rediss", "redis+sentinel", "redis+cluster")


class Address:
    """A Redis URL, taken apart: the one rule for workers and loader.

    `unix:///path[?db=N]`, `redis://` and `rediss://[user[:password]@]host[:port][/db]`, `redis+sentinel://host,host/name[/db]`
    with the hosts of sentinels, `redis+cluster://host,host` with some nodes of a Cluster. Every form takes `?db=N`, which
    counts more than the path, and a user and password in front of the hosts.
    """

    __slots__ = ("database", "name", "password", "places", "public", "scheme", "username")

    def __init__(self, url: str) -> None:
        """Raises: ValueError: not such a URL; the text never has the password in it."""
        self.scheme, separator, rest = url.partition("://")
        if not separator or self.scheme not in SCHEMES:
            raise ValueError(f"must begin with {', '.join([scheme + '://' for scheme in SCHEMES])}")
        if not url.isprintable():
            raise ValueError("has control characters or invisible ones")
        rest, mark, query = rest.partition("?")
        if mark and not query.startswith("db="):
            raise ValueError("takes no option but ?db=NUMBER")
        hosts, slash, path = rest.partition("/")
        login, at, hosts = hosts.rpartition("@")
        user, _, password = login.partition(":")
        self.username, self.password = (_unquoted(user), _unquoted(password)) if at else ("", "")
        self.public = f"{self.scheme}://{hosts}{slash}{path}{mark}{query}"
        """The URL as it was written, without user and password."""
        self.name = ""
        """Of the primary, as Sentinel calls it."""
        self.places: list[Place]
        """Where to begin: the one, or any of several."""
        if self.scheme == "unix":
            if hosts or not path:
                raise ValueError("must have three slashes after unix:, an absolute path")
            self.places = [(_unquoted(slash + path), 0)]
            if "\0" in self.places[0][0]:
                raise ValueError("has a NUL byte in its path")
            path = ""
        else:
            port = SENTINEL_PORT if self.scheme == "redis+sentinel" else REDIS_PORT
            self.places = [_place(host, port) for host in hosts.split(",")]
            if self.scheme == "redis+sentinel":
                self.name, _, path = path.partition("/")
                if not self.name:
                    raise ValueError("must name the primary after the hosts, as Sentinel calls it")
            elif len(self.places) > 1 and self.scheme != "redis+cluster":
                raise ValueError("takes one host; several need redis+sentinel:// or redis+cluster://")
        if (path and not _digits(path, 9)) or (mark and not _digits(query[3:], 9)):
            raise ValueError("invalid database number")
        self.database = int((query[3:] if mark else path) or 0)
        if self.database and self.scheme == "redis+cluster":
            raise ValueError("takes no database: a Cluster has only one")

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme == "rediss"

    def __str__(self) -> str:
        """Without the password."""
        if self.scheme == "unix":
            return f"unix://{self.places[0][0]}"
        hosts = ",".join([shown(place) for place in self.places])
        return f"{self.scheme}://{hosts}{'/' if self.name else ''}{self.name}"


def shown(place: Place) -> str:
    """A place as it stands in a URL."""
    host, port = place
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_place(host: str, port: str) -> Place:
    """A host and its TCP port. Raises: ValueError: it is not a host name, IPv4 or IPv6 address, or not a port."""
    if len(host) > 253 or not (
        _is_v6(host) if ":" in host else host.isascii() and host and not host.strip(_LETTERS)
    ):
        raise ValueError("invalid host")
    if not (_digits(port, 5) and 1 <= int(port) <= 65535):
        raise ValueError("invalid port")
    return host, int(port)


def _place(text: str, default: int) -> Place:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":") or ":" not in host:
            raise ValueError("invalid host")
    else:
        host, _, port = text.partition(":")
    return parse_place(host, port or str(default))


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"


def _digits(text: str, most: int) -> bool:
    """Whether it is 1 to *most* digits."""
    return 0 < len(text) <= most and text.isascii() and text.isdigit()


def _is_v6(text: str) -> bool:
    try:
        return len(pack_address(text)) == 16
    except ValueError:
        return False


def _unquoted(text: str) -> str:
    head, *parts = text.split("%")
    try:
        raw = head.encode()
        for part in parts:
            if len(part) < 2 or not part[:2].isalnum():
                raise ValueError
            raw += bytes.fromhex(part[:2]) + part[2:].encode()
        return raw.decode()
    except ValueError:
        raise ValueError("has a % that is not followed by two hexadecimal digits of UTF-8") from None
