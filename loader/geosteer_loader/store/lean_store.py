"""A store for commands that say little to Redis and must not take long: redis-py is imported only where something is wrong."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import hiredis

from geosteer_loader.store import store
from geosteer_loader.store.direct import SHAPES, Direct, Unusable, reaches
from geosteer_loader.store.redis_errors import translated
from geosteer_loader.store.store import JOURNAL_LENGTH, Aside, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import redis
    from geosteer.errors import StoreError
    from geosteer_loader.config.redis import RedisSettings
    from geosteer_loader.store.store import Argument, Command


class LeanStore(Store):
    """Asks directly as long as all is well."""

    def __init__(self, settings: RedisSettings, journal_length: int) -> None:
        super().__init__(None, settings.prefix, settings.url, journal_length)
        self._settings = settings
        self._direct: Direct | None = Direct(settings)

    @cached_property
    def _client(self) -> redis.Redis:
        from geosteer_loader.store.endpoint import client_for

        return client_for(self._settings)

    def call(self, *command: Argument) -> Any:
        """As `Store.call`."""
        replies = self._ask([command])
        return super().call(*command) if replies is None else replies[0]

    def pipe(self, commands: Sequence[Command], *, tolerant: bool = False) -> list[Any]:
        """As `Store.pipe`."""
        replies = self._ask(commands)
        return super().pipe(commands, tolerant=tolerant) if replies is None else replies

    def transact(
        self, watch: Sequence[str], prepare: Callable[[Callable[..., Any]], Sequence[Command]]
    ) -> list[Any] | None:
        """As `Store.transact`; *prepare* may be called a second time."""
        if self._direct is not None:
            try:
                return self._directly(self._direct, watch, prepare)
            except (
                Unusable
            ):  # before EXEC: nothing was done, and what was watched is forgotten with the connection
                self._leave()
            except TimeoutError as exc:
                raise self._late() from exc
        return super().transact(watch, prepare)

    def close(self) -> None:
        """Close the connections."""
        self._leave()
        if "_client" in self.__dict__:
            super().close()

    def _ask(self, commands: Sequence[Command]) -> list[Any] | None:
        """The replies; None: redis-py is to be asked. Raises: ConnectionLost: none came in time."""
        if self._direct is None or not all(command[0] in SHAPES for command in commands):
            return None
        try:
            return self._direct.ask(commands) if commands else []
        except Unusable:
            self._leave()
            return None
        except TimeoutError as exc:
            raise self._late() from exc

    def _directly(
        self,
        direct: Direct,
        watch: Sequence[str],
        prepare: Callable[[Callable[..., Any]], Sequence[Command]],
    ) -> list[Any] | None:
        def run(*command: Argument) -> Any:
            if command[0] not in SHAPES:
                raise Unusable
            return direct.ask([command])[0]

        direct.ask([("WATCH", *watch)])
        try:
            commands = prepare(run)
        except BaseException:
            with suppress(Unusable, TimeoutError):
                direct.ask([("UNWATCH",)])
            raise
        if self._direct is not direct:  # it was given up meanwhile, and what was watched with it
            raise Unusable
        if not commands:
            direct.ask([("UNWATCH",)])
            return []
        direct.queue(commands)
        try:
            replies = direct.execute()
        except TimeoutError as exc:
            raise self._late() from exc
        except OSError as exc:
            raise self._lost() from exc
        return None if replies is None else self._kept(commands, replies)

    def _kept(self, commands: Sequence[Command], replies: Sequence[Any]) -> list[Any]:
        """The replies to what is not aside. Raises: StoreError: one of those is an error; others were run."""
        kept = []
        for command, reply in zip(commands, replies, strict=True):
            if isinstance(reply, hiredis.ReplyError):
                import redis

                error = redis.ResponseError(str(reply))
                if not isinstance(command, Aside):
                    raise translated(self.name, error, command) from error
                self._unwritten(error)
            elif not isinstance(command, Aside):
                kept.append(reply)
        return kept

    def _late(self) -> StoreError:
        import redis

        return translated(self.name, redis.TimeoutError("Timeout reading from socket"))

    def _lost(self) -> StoreError:
        import redis

        return translated(self.name, redis.ConnectionError("Connection closed by server."))

    def _leave(self) -> None:
        if self._direct is not None:
            self._direct.close()
            self._direct = None


def connect(settings: RedisSettings, journal_length: int = JOURNAL_LENGTH) -> Store:
    """As `store.connect`, for a command that is to be done at once. Raises: ConfigError: the URL cannot be used."""
    try:
        direct = reaches(settings)
    except ValueError:
        direct = False  # `store.connect` says why
    return LeanStore(settings, journal_length) if direct else store.connect(settings, journal_length)
