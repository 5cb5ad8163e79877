"""The exporter: gathers everything anew for each scrape, and shows nothing that is not true now."""

from __future__ import annotations

import logging
import threading
from importlib.metadata import version
from time import monotonic
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from geosteer.errors import StoreError
from geosteer_loader.metrics import measurements, published, workers
from geosteer_loader.metrics.bounds import Budget, bound
from geosteer_loader.metrics.samples import Samples
from geosteer_loader.store.endpoint import client_for
from geosteer_loader.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from prometheus_client.core import Metric as Family

    from geosteer_loader.config.redis import RedisSettings

log = logging.getLogger(__name__)


class Exporter(Collector):
    """Collects from workers' files, from Redis, or from both; one scrape at a time."""

    def __init__(
        self,
        *,
        folder: str | None = None,
        redis: RedisSettings | None = None,
        max_age: Mapping[str, float] | None = None,
        measurements: Path | None = None,
    ) -> None:
        """What is given is collected.

        Args:
            folder: of workers' counters.
            redis: where what is published is.
            max_age: of tables' data, seconds.
            measurements: the database of measured times.
        """
        self._measurements = measurements
        self._folder, self._redis, self._max_age = folder, redis, max_age or {}
        self._budget = Budget()
        self._store: Store | None = None
        self._busy = threading.Lock()
        self._trouble = ""

    def collect(self) -> Iterator[Family]:
        """All families, for a registry."""
        with self._busy:
            samples = Samples()
            samples.set("build_info", 1, version("geosteer"))
            if self._folder is not None:
                began = monotonic()
                workers.collect(self._folder, samples)
                samples.set("collect_seconds", monotonic() - began, "workers")
            if self._redis is not None:
                began = monotonic()
                samples = self._published(samples)
                samples.set("collect_seconds", monotonic() - began, "redis")
            if self._measurements is not None:
                began = monotonic()
                measurements.collect(self._measurements, samples)
                samples.set("collect_seconds", monotonic() - began, "latency")
            samples.set("series_dropped", samples.dropped)
        return iter(list(samples.families()))

    def describe(self) -> list[Family]:
        """Nothing: registering must not ask Redis."""
        return []

    def text(self) -> bytes:
        """The text format, as node_exporter and `promtool check metrics` read it."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    @property
    def trouble(self) -> str:
        """Why Redis was not to be read at the last scrape; "": it was."""
        return self._trouble

    def _published(self, samples: Samples) -> Samples:
        """With what Redis knows; with nothing of it when it fails midway, since half of it would look whole."""
        before = samples.copy()
        self._budget.renew()
        try:
            published.collect(self._connected(), self._max_age, samples)
        except StoreError as exc:
            self._failed(str(exc))
        except Exception as exc:  # noqa: BLE001  # whatever stands in Redis, the exporter goes on and says so
            self._failed(f"unexpected {type(exc).__name__}: {exc}")
        else:
            self._trouble = ""
            samples.set("redis_up", 1)
            return samples
        before.set("redis_up", 0)
        return before

    def _failed(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("%s", trouble)
        if self._store is not None:
            self._store.close()
            self._store = None

    def _connected(self) -> Store:
        assert self._redis is not None
        if self._store is None:
            client = client_for(self._redis)
            bound(client, self._budget)
            self._store = Store(client, self._redis.prefix, self._redis.url)
        return self._store
