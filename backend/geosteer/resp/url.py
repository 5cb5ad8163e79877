"""Where Redis is, from its URL. No I/O."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    Place = tuple[str, int]
    """Host and TCP port, or the path of a unix socket and 0."""

REDIS_PORT, SENTINEL_PORT = 6379, 26379
SCHEMES = ("unix", "redis", "rediss", "redis+sentinel", "redis+cluster")


class Address:
    """A Redis URL, taken apart.

    `unix:///path[?db=N]`, `redis://` and `rediss://[user[:password]@]host[:port][/db]`, `redis+sentinel://host,host/name[/db]`
    with the hosts of sentinels, `redis+cluster://host,host` with some nodes of a Cluster.
    """

    __slots__ = ("database", "name", "password", "places", "scheme", "username")

    def __init__(self, url: str) -> None:
        """Raises: ValueError: no such URL; the text never has the password in it."""
        self.scheme, separator, rest = url.partition("://")
        if not separator or self.scheme not in SCHEMES:
            raise ValueError(f"must begin with {', '.join([scheme + '://' for scheme in SCHEMES])}")
        rest, _, query = rest.partition("?")
        if query and not query.startswith("db="):
            raise ValueError("takes no option but ?db=NUMBER")
        hosts, slash, path = rest.partition("/")
        login, at, hosts = hosts.rpartition("@")
        user, _, password = login.partition(":")
        self.username, self.password = (_unquoted(user), _unquoted(password)) if at else ("", "")
        self.name = ""
        """Of the primary, as Sentinel calls it."""
        self.places: list[Place]
        """Where to begin: the one, or any of several."""
        if self.scheme == "unix":
            if hosts or not path:
                raise ValueError("must have three slashes after unix:, an absolute path")
            self.places = [(_unquoted(slash + path), 0)]
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
        number = query[3:] if query else path
        if number and not (number.isascii() and number.isdigit()):
            raise ValueError("has something behind the host that is no database number")
        self.database = int(number or 0)
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


def _place(text: str, default: int) -> Place:
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        bad = not bracket or (port and port[0] != ":")
        port = port[1:]
    else:
        host, _, port = text.partition(":")
        bad = False
    if bad or not host or host.split() != [host] or (port and not (port.isascii() and port.isdigit())):
        raise ValueError("names a host that is none")
    number = int(port or default)
    if not 1 <= number <= 65535:
        raise ValueError("has a port out of range")
    return host, number


def _unquoted(text: str) -> str:
    head, *parts = text.split("%")
    try:
        found = head.encode()
        for part in parts:
            found += bytes.fromhex(part[:2]) + part[2:].encode()
        return found.decode()
    except ValueError:
        raise ValueError("has a % that is not followed by two hexadecimal digits of UTF-8") from None
