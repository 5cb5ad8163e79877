"""From `[redis] url` to the server that is written to: the one, Sentinel's primary, or a Cluster's shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry
from redis.sentinel import Sentinel

from geosteer.errors import ConfigError
from geosteer.schema import Keys

if TYPE_CHECKING:
    from geosteer_loader.config import RedisSettings

SENTINEL_PORT = 26379
REDIS_PORT = 6379


def client_for(settings: RedisSettings) -> redis.Redis:
    """A client of the server that the settings name; of a Cluster the primary that has the prefix's slot.

    Only a Cluster is asked something here, all others at the first command.
    Raises: ConfigError: the URL cannot be used. redis.RedisError: no node of the Cluster answers.
    """
    parts = urlsplit(settings.url)
    options = _options(settings)
    if parts.scheme == "redis+sentinel":
        return _sentinel(parts.netloc, parts.path, options)
    if parts.scheme == "redis+cluster":
        return _cluster(parts.netloc, settings, options)
    if parts.scheme == "rediss":
        options.update(_tls(settings))
    try:
        return redis.Redis.from_url(settings.url, **options)
    except (ValueError, TypeError) as exc:
        raise ConfigError([f"redis.url: {settings.url}: {exc}"]) from exc


def _options(settings: RedisSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.timeout,
        # From redis-py 6 on the timeouts bound nothing without this: it tries again by itself.
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
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
    return {name: str(path) for name, path in files.items() if path is not None}


def _hosts(netloc: str, port: int) -> list[tuple[str, int]]:
    hosts = []
    for host in netloc.split(","):
        parts = urlsplit(f"//{host}")
        hosts.append((parts.hostname or "localhost", parts.port or port))
    return hosts


def _sentinel(netloc: str, path: str, options: dict[str, Any]) -> redis.Redis:
    """For `redis+sentinel://HOST,HOST/NAME[/DB]`."""
    _, name, *database = path.split("/")
    if database:
        options["db"] = int(database[0])
    asked = {key: options[key] for key in ("socket_timeout", "socket_connect_timeout", "retry", "protocol")}
    kind: Any = Sentinel  # redis-py leaves it without types
    client: redis.Redis = kind(_hosts(netloc, SENTINEL_PORT), sentinel_kwargs=asked, **options).master_for(
        name
    )
    return client


def _cluster(netloc: str, settings: RedisSettings, options: dict[str, Any]) -> redis.Redis:
    """All keys of a prefix share a slot, so the loader deals with one server and needs no cluster client."""
    slot = key_slot(Keys(settings.prefix).current.encode())
    failure: redis.RedisError = redis.ConnectionError("the Cluster names no node")
    for host, port in _hosts(netloc, REDIS_PORT):
        try:
            with redis.Redis(host=host, port=port, **options) as node:
                return redis.Redis(**_owner(node, slot, host), **options)
        except redis.RedisError as exc:
            failure = exc
    raise failure


def _owner(node: redis.Redis, slot: int, asked: str) -> dict[str, Any]:
    """Host and port of the primary that has *slot*; an empty host means the one that was asked."""
    for first, last, primary, *_ in _slots(node):
        if first <= slot <= last:
            return {"host": primary[0].decode() or asked, "port": int(primary[1])}
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
