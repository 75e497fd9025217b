"""The counters and histograms. They count in memory until `keep_in` selects the directory shared by all processes of a
host.

Each has labels, so that none creates a file before that. docs/METRICS.md describes them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, values

from domain.gauge import OTHER
from gateway.metrics.directory import Directory

log = structlog.get_logger("workerrmq.metrics")

REGISTRY = CollectorRegistry()

DELIVERIES = Counter(
    "workerrmq_deliveries",
    "Deliveries that were settled, by outcome.",
    ("consumer", "queue", "outcome"),
    registry=REGISTRY,
)


class Tallied(Histogram):
    """A histogram that adds many observations at once."""

    def add(self, counts: Sequence[int], seconds: float) -> None:
        """Add to each bucket its count (not cumulative), and the sum of the observations."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(seconds)


ATTEMPT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds; one more bucket has no bound."""

ATTEMPT_SECONDS = Tallied(
    "workerrmq_attempt_seconds",
    "Seconds until the target answered or the attempt failed.",
    ("consumer", "queue"),
    buckets=ATTEMPT_BUCKETS,
    registry=REGISTRY,
)
RECONNECTS = Counter(
    "workerrmq_broker_reconnects",
    "Reconnections to the broker after a lost connection.",
    ("connection",),
    registry=REGISTRY,
)
PUBLISHES = Counter(
    "workerrmq_publishes", "Messages that clients published with the API, by result.", ("result",), registry=REGISTRY
)
CONFIRM_SECONDS = Histogram(
    "workerrmq_confirm_seconds",
    "Seconds until the broker confirmed the messages of a request.",
    ("kind",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    registry=REGISTRY,
)
HTTP_REQUESTS = Counter(
    "workerrmq_http_requests", "Requests to the API.", ("route", "method", "status"), registry=REGISTRY
)
HTTP_SECONDS = Histogram(
    "workerrmq_http_request_seconds",
    "Seconds until the API answered a request.",
    ("route", "method"),
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    registry=REGISTRY,
)

COUNTED = (DELIVERIES, ATTEMPT_SECONDS, RECONNECTS, PUBLISHES, CONFIRM_SECONDS, HTTP_REQUESTS, HTTP_SECONDS)


MAX_CONSUMERS = 500
"""Maximum number of consumers with a separate series in one process; later ones are counted together as OTHER."""
_own: set[tuple[str, str]] = set()


def series_of(consumer: str, queue: str) -> tuple[str, str]:
    """Return the labels for a consumer's deliveries. Call it from the loop's thread."""
    pair = (consumer, queue)
    if pair not in _own:
        if len(_own) >= MAX_CONSUMERS:
            return OTHER, OTHER
        _own.add(pair)
    return pair


def count_request(route: str, method: str, status: int, seconds: float) -> None:
    """Count a request to the API; `route` is its template, never its path."""
    key = (route, method if method in _METHODS else OTHER, status)
    if key not in _requests:
        _requests[key] = HTTP_REQUESTS.labels(*key[:2], str(status)), HTTP_SECONDS.labels(*key[:2])
    requests, durations = _requests[key]
    requests.inc()
    durations.observe(seconds)


_requests: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}  # caches the lookup of labels
_METHODS = {"GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"}


def keep_in(path: Path) -> Directory | None:
    """Count in files under `path` from now on; reset all counters. Each forked process has separate files. Return
    None without space for them: then each process counts for itself.
    """
    keep_in_memory()
    try:
        directory = Directory(path)
        directory.name()
    except OSError as exc:
        log.warning("metrics_not_shared", reason=f"{path}: {exc.strerror}")
        return None
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(path)  # prometheus_client reads only this variable
    values.ValueClass = values.MultiProcessValue(directory.name)
    return directory


def keep_in_memory() -> None:
    """Count in the memory of this process from now on; reset all counters, and close their files."""
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)  # while it is set, clear() warns
    for instrument in COUNTED:
        instrument.clear()
    _own.clear()
    _requests.clear()
    values.close_all_multiprocess_files()
    values.ValueClass = values.MutexValue
