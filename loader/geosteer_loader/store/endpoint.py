"""From `[redis] url` to the server that is written to: the one, Sentinel's primary, or a Cluster's shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AskError
from redis.retry import Retry
from redis.sentinel import Sentinel

import redis
from geosteer.errors import ConfigError
from geosteer.keys import Keys
from geosteer.resp.tls import trusting
from geosteer.resp.url import Address

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from geosteer_loader.config.config import RedisSettings

SILENT: dict[str, None] = (
    {"driver_info": None}
    if int(redis.__version__.partition(".")[0]) >= 8
    else {"lib_name": None, "lib_version": None}
)
"""Keeps redis-py from sending CLIENT SETINFO: conf/users.acl denies it, and Redis 7.2 and later log each denial."""


def client_for(settings: RedisSettings) -> redis.Redis:
    """A client of the server that the settings name; of a Cluster the primary that has the prefix's slot.

    Nothing is asked before the first command. Raises: ConfigError: the URL cannot be used.
    """
    try:
        address = Address(settings.url)
    except ValueError as exc:
        raise ConfigError([f"redis.url: {settings.url}: {exc}"]) from exc
    options = {**_options(settings), "db": address.database}
    if address.scheme == "redis+sentinel":
        return _sentinel(address, options)
    if address.scheme == "redis+cluster":
        return _cluster(address, settings, options)
    ((host, port),) = address.places
    kind: Any = redis.Connection
    if address.scheme == "unix":
        kind, options["path"] = redis.UnixDomainSocketConnection, host
    else:
        options.update(host=host, port=port)
    if address.tls:
        kind = _TLSConnection
        options.update(_tls(settings))
    return redis.Redis.from_pool(redis.ConnectionPool(connection_class=kind, **options))


def _options(settings: RedisSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.timeout,
        # From redis-py 6 on the timeouts bound nothing without this: it tries again by itself.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        **SILENT,
    }
    if settings.username is not None:
        options["username"] = settings.username
    if settings.password is not None:
        options["password"] = settings.password
    return options


def _tls(settings: RedisSettings) -> dict[str, Any]:
    files = {
        "ssl_ca_certs": settings.ca,
        "ssl_certfile": settings.cert,
        "ssl_keyfile": settings.key,
    }
    options: dict[str, Any] = {name: str(path) for name, path in files.items() if path is not None}
    return {**options, "strict": settings.tls_strict, "redis_connect_func": _settle}


_ENDED = ("EOF occurred", "Broken pipe", "reset by peer", "closed by server")


def _settle(connection: Any) -> None:
    """Begin an encrypted connection with a question: what comes before its answer belongs to TLS.

    In TLS 1.3 a server sends session tickets after the handshake (RFC 8446, 4.6.1). redis-py takes them, on a connection on
    which nothing was asked yet, for leftovers of another command, and gives it up.
    """
    try:
        connection.on_connect()
        connection.send_command("TIME")
        connection.read_response()
    except redis.ConnectionError as exc:
        # In TLS 1.3 the client's certificate is looked at after its handshake: the refusal may come too late to be read.
        if type(exc) is redis.ConnectionError and any(word in str(exc) for word in _ENDED):
            reason = (
                f"it ended the connection; perhaps it wants a client certificate ([redis] cert, key): {exc}"
            )
            raise redis.ConnectionError(reason) from exc
        raise


def _sentinel(address: Address, options: dict[str, Any]) -> redis.Redis:
    asked = {
        key: options[key]
        for key in ("socket_timeout", "socket_connect_timeout", "retry", "protocol", *SILENT)
    }
    kind: Any = Sentinel  # redis-py leaves it without types
    client: redis.Redis = kind(address.places, sentinel_kwargs=asked, **options).master_for(address.name)
    return client


def _cluster(address: Address, settings: RedisSettings, options: dict[str, Any]) -> redis.Redis:
    """All keys of a prefix share a slot, so the loader deals with one server and needs no cluster client."""
    slot = key_slot(Keys(settings.prefix).current.encode())
    pool = redis.ConnectionPool(connection_class=_OwnerConnection, seeds=address.places, slot=slot, **options)
    return redis.Redis.from_pool(pool)


class _TLSConnection(redis.SSLConnection):
    """A connection that judges certificates as workers do: redis-py's own rules are those of the Python that runs it."""

    def __init__(self, *, strict: bool, **options: Any) -> None:
        self._strict = strict
        super().__init__(**options)

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> socket.socket:
        context = trusting(self.ca_certs, strict=self._strict)
        if self.certfile:
            context.load_cert_chain(self.certfile, self.keyfile)
        return context.wrap_socket(sock, server_hostname=self.host)


class _OwnerConnection(redis.Connection):
    """A connection to the primary of a Cluster that has a slot at the time of connecting."""

    def __init__(self, *, seeds: Sequence[tuple[str, int]], slot: int, **options: Any) -> None:
        self._seeds, self._slot, self._options = list(seeds), slot, options
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def connect(self) -> None:
        """Connect to the node that the Cluster names. Raises: redis.RedisError: no node answers, or none has the slot."""
        if self._sock is None:
            self.host, self.port = self._owner()
        super().connect()  # type: ignore[no-untyped-call]

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Of a node that has the slot no longer the next command is kept away."""
        try:
            return super().read_response(*args, **options)
        except AskError as exc:  # MovedError is one too
            self.disconnect()  # type: ignore[no-untyped-call]
            raise redis.ConnectionError(f"the slot is moving, or has moved, to another node: {exc}") from exc

    def _owner(self) -> tuple[str, int]:
        names = (
            "username",
            "password",
            "socket_timeout",
            "socket_connect_timeout",
            "retry",
            "protocol",
            *SILENT,
        )
        options = {name: self._options[name] for name in names if name in self._options}
        failure: redis.RedisError = redis.ConnectionError("the Cluster names no node")
        for host, port in self._seeds:
            try:
                with redis.Redis(host=host, port=port, **options) as node:
                    return _owner(node, self._slot, host)
            except redis.RedisError as exc:
                failure = exc
        raise failure


def _owner(node: redis.Redis, slot: int, asked: str) -> tuple[str, int]:
    """Host and port of the primary that has *slot*; an empty host means the one that was asked."""
    for first, last, primary, *_ in _slots(node):
        if first <= slot <= last:
            return primary[0].decode() or asked, int(primary[1])
    raise redis.ConnectionError(f"no node of the Cluster has slot {slot}")


def _slots(node: redis.Redis) -> list[list[Any]]:
    """CLUSTER SLOTS as Redis sends it; redis-py would shape it in a way that differs between its versions."""
    connection: Any = node.connection_pool.get_connection()
    try:
        connection.send_command("CLUSTER", "SLOTS")
        reply: list[list[Any]] = connection.read_response()
        return reply
    finally:
        node.connection_pool.release(connection)
