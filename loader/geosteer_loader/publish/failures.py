"""Leaves in Redis why a publish failed, so that `status` can tell it to people who do not read the log of cron."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError, GeosteerError, Refused
from geosteer_loader.journal import writing as journal
from geosteer_loader.journal.events import Note
from geosteer_loader.publish.refusals import GuardRefused, Overtaken, SeveralRefused
from geosteer_loader.store import failure
from geosteer_loader.store.redis_errors import ConnectionLost
from geosteer_loader.store.refusals import Locked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.store.store import Store

log = logging.getLogger(__name__)


@contextmanager
def noted(store: Store) -> Iterator[None]:
    """Notes an error of the work inside, and lets it pass; what cannot be noted never hides it.

    Another publisher at work is no failure, nor a source that changed while it was read, nor Ctrl-C; being terminated is one.
    """
    try:
        yield
    except (Locked, ConnectionLost, Overtaken, KeyboardInterrupt):
        raise
    except BaseException as exc:
        note(store, exc)
        raise


def note(store: Store, exc: BaseException) -> None:
    """Write it down, if that is possible; the journal is told of a reason once, however often it comes in a row."""
    why, guards = _reason(exc), " ".join(_guards(exc))
    try:
        before = failure.read(store)
        failure.note(store, why, guards)
    except GeosteerError as unwritten:
        log.debug("the failure could not be noted: %s", unwritten)
        return
    if before is None or (before.why, before.guard) != (why[: failure.LONGEST], guards):
        kind = "refused" if isinstance(exc, Refused) else "failed"
        journal.note(store, [Note(kind=kind, what=guards, why=why)])


def _reason(exc: BaseException) -> str:
    if isinstance(exc, SystemExit):
        return "terminated"
    if isinstance(exc, GuardRefused):
        return exc.finding
    if isinstance(exc, SeveralRefused):
        return "; ".join(f"{one.guard}: {one.finding}" for one in exc.findings)
    if isinstance(exc, ConfigError):
        return "; ".join(exc.problems)
    text = "; ".join(str(exc).splitlines())
    return text if isinstance(exc, GeosteerError) else f"{type(exc).__name__}: {text}"


def _guards(exc: BaseException) -> list[str]:
    if isinstance(exc, GuardRefused):
        return [exc.guard]
    if isinstance(exc, SeveralRefused):
        return list(dict.fromkeys(one.guard for one in exc.findings))
    return []
