"""The metrics in Prometheus' text format: the counters of all processes of this host, and this process's gauges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from domain.gauge import OTHER, Readings
from gateway.metrics.directory import Directory
from gateway.metrics.instruments import REGISTRY

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Exposition:
    """Renders the metrics. Thread-safe."""

    def __init__(self, directory: Directory | None) -> None:
        """Render this process's counters only, without a directory."""
        self._directory = directory

    def text(self, gauges: Readings, consumers: frozenset[str] | None) -> bytes:
        """Return the metrics in Prometheus' text format. Omit consumers that are not among `consumers`; None includes
        all.
        """
        registry = CollectorRegistry()
        registry.register(_Counts(self._directory, consumers))
        registry.register(_Gauges(gauges))
        return generate_latest(registry)


class _Counts:
    def __init__(self, directory: Directory | None, consumers: frozenset[str] | None) -> None:
        self._directory, self._consumers = directory, consumers

    def collect(self) -> Iterator[Metric]:
        for metric in REGISTRY.collect() if self._directory is None else _merged(self._directory):
            if self._consumers is not None:
                metric.samples = [one for one in metric.samples if self._exists(one.labels.get("consumer"))]
            if metric.samples:
                yield metric

    def _exists(self, consumer: str | None) -> bool:
        assert self._consumers is not None
        return consumer is None or consumer == OTHER or consumer in self._consumers


def _merged(directory: Directory) -> Iterable[Metric]:
    with directory.locked(shared=True):
        files = [str(file) for file in directory.path.glob("*.db")]
        merged: Iterable[Metric] = MultiProcessCollector.merge(files, accumulate=True)
    return merged


class _Gauges:
    def __init__(self, gauges: Readings) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for gauge, values in self._gauges.items():
            family = GaugeMetricFamily(gauge.name, gauge.meaning, labels=gauge.labels)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family
