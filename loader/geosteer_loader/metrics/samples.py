"""Samples on their way to Prometheus: by the catalogue, bounded in number and in the length of labels. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from geosteer_loader.metrics.catalogue import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric as Family

MOST = 20_000
"""Series of one metric at most."""
LONGEST = 200
"""Characters of a label's value."""


class Samples:
    """What one scrape shows."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[str, ...], float]] = {}
        self._buckets: dict[tuple[str, ...], tuple[list[tuple[str, float]], float]] = {}
        self.dropped = 0
        """Series that were too many."""

    def set(self, name: str, value: float | None, *labels: str) -> None:
        """A value; None: it is not known, and there is no sample. Args: name: without `geosteer_`."""
        key = self._key(name, labels)
        if value is not None and key is not None:
            self._values[_full(name)][key] = value

    def add(self, name: str, value: float, *labels: str) -> None:
        """Add to a value, which begins with 0."""
        key = self._key(name, labels)
        if key is not None:
            values = self._values[_full(name)]
            values[key] = values.get(key, 0) + value

    def histogram(self, buckets: Sequence[tuple[str, float]], total: float, *labels: str) -> None:
        """Of answers' durations. Args: buckets: upper bounds with cumulated counts, `+Inf` last; total: sum, seconds."""
        self._buckets[labels] = list(buckets), total

    def copy(self) -> Samples:
        """What is there now, to go back to."""
        other = Samples()
        other._values = {name: dict(values) for name, values in self._values.items()}
        other._buckets, other.dropped = dict(self._buckets), self.dropped
        return other

    def families(self) -> Iterator[Family]:
        """In the order of the catalogue, those that have samples."""
        for name, metric in METRICS.items():
            if metric.kind == "histogram":
                if self._buckets:
                    made = HistogramMetricFamily(name, metric.help, labels=metric.labels)
                    for key, (buckets, total) in self._buckets.items():
                        made.add_metric(key, buckets, total)
                    yield made
                continue
            values = self._values.get(name)
            if not values:
                continue
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(name.removesuffix("_total"), metric.help, labels=metric.labels)
            for key, value in values.items():
                family.add_metric(key, value)
            yield family

    def _key(self, name: str, labels: tuple[str, ...]) -> tuple[str, ...] | None:
        full = _full(name)
        assert len(labels) == len(METRICS[full].labels), name
        values = self._values.setdefault(full, {})
        key = tuple([_label(label) for label in labels])
        if key not in values and len(values) >= MOST:
            self.dropped += 1
            return None
        return key


def _full(name: str) -> str:
    return f"geosteer_{name}"


def _label(text: str) -> str:
    """As it may stand in a label: bounded, and UTF-8."""
    return text[:LONGEST].encode(errors="replace").decode()
