"""One plain connection to Redis that shows errors as Redis says them, for looking at rights and settings."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import redis
from geosteer_loader.store.endpoint import client_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from geosteer_loader.config.redis import RedisSettings
    from geosteer_loader.install.doctor.scene import Scene


class Plain:
    """Replies as they come: text, numbers, lists; an error is an exception of redis-py's."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def call(self, *words: str | int) -> Any:
        """The reply to one command. Raises: redis.RedisError."""
        self._connection.send_command(*words)
        return _text(self._connection.read_response())

    def refused(self, *words: str | int) -> str:
        """What Redis says where the user may not send a command; "" where it may, whatever comes of it."""
        try:
            self.call(*words)
        except redis.exceptions.NoPermissionError as exc:
            return str(exc) or "NOPERM"
        except redis.ResponseError as exc:
            return str(exc) if "NOPERM" in str(exc) else ""
        return ""

    def info(self, section: str) -> dict[str, str]:
        """A section of INFO."""
        lines = str(self.call("INFO", section)).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


@contextmanager
def plain(settings: RedisSettings) -> Iterator[Plain]:
    """A connection, logged in; closed afterwards, so that nothing which was queued in a MULTI is ever done.

    Raises: redis.RedisError, OSError.
    """
    client = client_for(settings)
    connection: Any = client.connection_pool.get_connection()
    try:
        yield Plain(connection)
    finally:
        connection.disconnect()
        client.close()


def administrator(scene: Scene, settings: RedisSettings) -> AbstractContextManager[Plain]:
    """A connection of the administrator's. Raises: OSError: its password cannot be read; redis.RedisError."""
    password = scene.host.at(scene.folder / "admin.password").read_text().strip()
    return plain(replace(settings, username="admin", password=password))


def setting(admin: Plain, name: str) -> str:
    """A setting of Redis; "" where it has no such one. Raises: redis.RedisError."""
    reply = admin.call("CONFIG", "GET", name)
    values = list(reply.values()) if isinstance(reply, dict) else reply[1::2]
    return str(values[0]) if values else ""


def _text(reply: Any) -> Any:
    if isinstance(reply, bytes):
        return reply.decode(errors="replace")
    if isinstance(reply, list):
        return [_text(each) for each in reply]
    if isinstance(reply, dict):
        return {_text(key): _text(value) for key, value in reply.items()}
    return reply
