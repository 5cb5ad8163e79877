"""Where a request is sent: which service a URL belongs to, and the URL of the chosen node. No I/O."""

from __future__ import annotations

from geosteer.cmodules import pack_address
from geosteer.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer.decision.model import Node

SCHEMES = ("http", "https")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_LONGEST_NAME = 253


class OddHost(ValueError):
    """Not a host."""


def host_of(authority: str) -> str:
    """The host of `host[:port]`, in lower case, without a final dot; an IPv6 address without its brackets.

    Raises: OddHost: anything else, user names too.
    """
    host, _, port = authority.rpartition(":") if not authority.endswith("]") else (authority, "", "")
    if not host:
        host, port = authority, ""
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise OddHost(authority)
    host = host.lower()
    if host.startswith("["):
        try:
            pack_address(host[1:-1] if host.endswith("]") and ":" in host else "")
        except ValueError:
            raise OddHost(authority) from None
        return host[1:-1]
    host = host.removesuffix(".")
    if not host or len(host) > _LONGEST_NAME or not _NAME.issuperset(host) or "" in host.split("."):
        raise OddHost(authority)
    return host


class Routes:
    """Hosts and paths that belong to a service of another name; any other host is a service's own name."""

    __slots__ = ("_by_host",)

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Args: texts: `HOST[/PREFIX]=SERVICE`; `*` for any host. The longest prefix counts.

        Raises: ConfigError: not of that form.
        """
        self._by_host: dict[str, list[tuple[str, str]]] = {}
        for text in texts:
            place, equals, service = text.partition("=")
            host, slash, prefix = place.partition("/")
            try:
                host = host if host == "*" else host_of(host)
                service = host_of(service)
            except OddHost:
                equals = ""
            if not equals:
                raise ConfigError([f"--route {text}: must be HOST=SERVICE or HOST/PREFIX=SERVICE"])
            self._by_host.setdefault(host, []).append((resolved(slash + prefix), service))
        for routes in self._by_host.values():
            routes.sort(key=lambda route: -len(route[0]))

    @property
    def by_path(self) -> bool:
        """Whether the path counts."""
        return any(prefix for routes in self._by_host.values() for prefix, _ in routes)

    def service(self, host: str, path: str) -> str:
        """The service that answers for a host and a resolved path; the host itself where no route fits."""
        if self._by_host:
            for place in (host, "*"):
                for prefix, service in self._by_host.get(place, ()):
                    if _below(path, prefix):
                        return service
        return host


class Target:
    """How the URL of a node is made."""

    __slots__ = ("_by_address", "_port", "_scheme")

    def __init__(self, scheme: str = "same", port: int = 0, *, by_address: bool = False) -> None:
        """Args: scheme: `http`, `https` or `same` as the request's; port: 0: its own; by_address: not by host name."""
        self._scheme = scheme
        self._port = port
        self._by_address = by_address

    def origin(self, node: Node, kind: str, scheme: str) -> str:
        """For example `http://lon1.cdn.example.net`, or "". Args: kind: record type that DNS would answer the client with."""
        host = "" if self._by_address else node.hostname or ""
        if not host:
            addresses = node.aaaa + node.a if kind == "AAAA" else node.a + node.aaaa
            host = addresses[0] if addresses else node.hostname or ""
            if not host:
                return ""
            host = f"[{host}]" if ":" in host else host
        scheme = scheme if self._scheme == "same" else self._scheme
        return f"{scheme}://{host}:{self._port}" if self._port else f"{scheme}://{host}"


def resolved(path: str) -> str:
    """The path without dot segments (RFC 3986, 5.2.4), encoded ones neither (6.2.2.2); empty segments stay."""
    if "/." not in path and "%2" not in path:
        return path
    segments_left: list[str] = []
    segments = path.split("/")[1:]
    for left, segment in zip(range(len(segments) - 1, -1, -1), segments, strict=True):
        plain = segment.replace("%2e", ".").replace("%2E", ".")
        if plain not in {".", ".."}:
            segments_left.append(segment)
            continue
        if plain == ".." and segments_left:
            segments_left.pop()
        if not left:
            segments_left.append("")
    return "/" + "/".join(segments_left)


def _below(path: str, prefix: str) -> bool:
    """Whether a path is at or below a prefix, whole segments only."""
    if not prefix or not path.startswith(prefix):
        return not prefix
    return prefix.endswith("/") or path[len(prefix) : len(prefix) + 1] in {"", "/"}
