"""The Redis that holds what is published, as the loader sees it: every failure is a `StoreError`.

Nothing is retried behind the caller's back: a publish that fails ends, and cron starts another.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from geosteer.errors import StoreError
from geosteer.keys import Keys
from geosteer_loader.store import foreign
from geosteer_loader.store.redis_errors import ConnectionLost, broken, is_redis_error, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import redis
    from geosteer_loader.config.config import RedisSettings

log = logging.getLogger(__name__)

Argument = str | bytes | int | float
Command = tuple[Argument, ...]
"""A command and its arguments, for example `("HGET", key, field)`."""

log = logging.getLogger(__name__)


class Aside(tuple[Argument, ...]):
    """A command of a transaction that the others do not need: where it is refused, they are carried out without it."""

    __slots__ = ()


BATCH = 100
"""Fields of `object` that one command may read or write."""

JOURNAL_LENGTH = 100_000
"""Events of the journal, unless the configuration says otherwise."""


class _Refused(Exception):  # not an error: the transaction is run again
    def __init__(self, cause: redis.ResponseError) -> None:
        super().__init__(cause)
        self.cause = cause


class Store:
    """One Redis (or the primary of one), under one key prefix."""

    def __init__(
        self, client: redis.Redis | None, prefix: str, name: str, journal_length: int = JOURNAL_LENGTH
    ) -> None:
        """Args: client: None for one that makes its own."""
        if client is not None:
            self._client: Any = client  # redis-py leaves the calls used here without types
        self._told: set[str] = set()
        self.keys = Keys(prefix)
        self.name = name
        """What to call it in messages: the URL, which holds no password."""
        self.journal_length = journal_length
        """Events that the journal may hold; whoever adds one cuts off what is older."""
        self.foreign: set[str] = set()
        """Keys that were seen to hold something of another type, and were read as empty."""

    def call(self, *command: Argument) -> Any:
        """The reply to one command, as redis-py shapes it; texts are bytes."""
        with self._errors(command[:2]):
            return self._client.execute_command(*command)

    def pipe(self, commands: Sequence[Command], *, tolerant: bool = False) -> list[Any]:
        """The replies to several commands sent at once, without MULTI; the first error is raised.

        Args: tolerant: a key that holds something of another type is read as empty (`foreign.EMPTY`), which is logged.
        """
        if not commands:
            return []
        with self._errors():
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            replies = list(pipeline.execute(raise_on_error=False))
        for number, (command, reply) in enumerate(zip(commands, replies, strict=True)):
            if isinstance(reply, Exception):
                replies[number] = self._instead(command, reply, tolerant=tolerant)
        return replies

    def transact(
        self, watch: Sequence[str], prepare: Callable[[Callable[..., Any]], Sequence[Command]]
    ) -> list[Any] | None:
        """Run in one MULTI what *prepare* returns; None: a watched key changed meanwhile, nothing was done.

        *prepare* gets a function that runs a command at once, to look before it decides. Where a command that stands `Aside`
        is refused, that is logged once, and the others are run without it: *prepare* may be called a second time.
        """
        with self._errors():
            try:
                return self._transact(watch, prepare, whole=True)
            except _Refused as exc:  # nothing was done: a command that cannot be queued ends the transaction
                replies = self._transact(watch, prepare, whole=False)
                self._unwritten(exc.cause)
                return replies

    def _transact(
        self,
        watch: Sequence[str],
        prepare: Callable[[Callable[..., Any]], Sequence[Command]],
        *,
        whole: bool,
    ) -> list[Any] | None:
        import redis

        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.watch(*watch)
            commands = prepare(pipeline.immediate_execute_command)
            aside = any(isinstance(command, Aside) for command in commands)
            pipeline.multi()
            sent = [command for command in commands if whole or not isinstance(command, Aside)]
            for command in sent:
                pipeline.execute_command(*command)
            try:
                replies = list(pipeline.execute(raise_on_error=False))
            except redis.WatchError as exc:
                if broken(exc):
                    raise
                return None
            except redis.ResponseError as exc:
                if whole and aside:
                    raise _Refused(exc) from exc
                raise
            return self._taken(pipeline, sent, replies)

    def _taken(self, pipeline: Any, sent: Sequence[Command], replies: Sequence[Any]) -> list[Any]:
        """The replies to what is not aside. Raises: redis.RedisError: one of those is an error; others were run."""
        taken = []
        for number, (command, reply) in enumerate(zip(sent, replies, strict=True), 1):
            if isinstance(command, Aside):
                if is_redis_error(reply):
                    self._unwritten(reply)
                continue
            if isinstance(reply, Exception):
                pipeline.annotate_exception(reply, number, command)
                raise reply
            taken.append(reply)
        return taken

    def _unwritten(self, exc: redis.RedisError) -> None:
        self.warn_once(f"the journal is not written: {translated(self.name, exc)}")

    def warn_once(self, text: str) -> None:
        """Log a warning, unless this connection already did."""
        if text not in self._told:
            self._told.add(text)
            log.warning("%s", text)

    def hash(self, key: str, *, tolerant: bool = False) -> dict[str, str]:
        """All fields of a small hash of texts, as `pipe` reads them. Never for `object`, which is too large for that."""
        assert key != self.keys.object
        return texts(self.pipe([("HGETALL", key)], tolerant=tolerant)[0])

    def now(self) -> float:
        """The primary's clock, seconds since 1970."""
        seconds, micro = self.call("TIME")
        return int(seconds) + int(micro) / 1e6

    def present(self, names: Sequence[str]) -> list[bool]:
        """Whether each object is there."""
        asked = [("HEXISTS", self.keys.object, name) for name in names]
        return [
            bool(reply)
            for low in range(0, len(asked), BATCH)
            for reply in self.pipe(asked[low : low + BATCH])
        ]

    def objects(self, names: Sequence[str]) -> list[bytes | None]:
        """The objects' bytes, None for those that are not there."""
        replies: list[bytes | None] = []
        for low in range(0, len(names), BATCH):
            replies += self.call("HMGET", self.keys.object, *names[low : low + BATCH])
        return replies

    def info(self, section: str) -> dict[str, Any]:
        """A section of INFO; empty when the server does not let us read it."""
        try:
            return dict(self.call("INFO", section))
        except StoreError as exc:
            if isinstance(exc, ConnectionLost):
                raise
            return {}

    def server_warnings(self) -> list[str]:
        """What is wrong with the server: its memory settings, and that workers cannot use it."""
        warnings = []
        policy = str(self.info("memory").get("maxmemory_policy", ""))
        if policy.startswith("allkeys"):
            warnings.append(f"maxmemory-policy {policy} may evict all tables at once; use noeviction")
        try:
            self.call("HELLO")  # without a version it changes nothing
        except ConnectionLost:
            raise
        except StoreError as exc:  # one who may not send it learns that it is there
            if "unknown command" in str(exc):
                warnings.append(
                    "workers cannot use this Redis: it has no HELLO (older than Redis 6, or renamed)"
                )
        return warnings

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _instead(self, command: Command, error: Exception, *, tolerant: bool) -> Any:
        key = str(command[1]) if len(command) > 1 else ""
        if not tolerant or command[0] not in foreign.EMPTY or not foreign.is_wrong_type(error):
            with self._errors(command[:2]):
                raise error
        if key not in self.foreign:
            self.foreign.add(key)
            log.warning("%s: %s", self.name, foreign.told(key))
        return foreign.EMPTY[command[0]]

    @contextmanager
    def _errors(self, command: Sequence[object] = ()) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            if not is_redis_error(exc):
                raise
            raise translated(self.name, exc, command) from exc


def connect(settings: RedisSettings, journal_length: int = JOURNAL_LENGTH) -> Store:
    """The store that the configuration names; nothing is sent yet. Raises: ConfigError: the URL cannot be used."""
    from geosteer_loader.store.endpoint import client_for

    return Store(client_for(settings), settings.prefix, settings.url, journal_length)


def texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """A hash reply as text."""
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in fields.items()}
