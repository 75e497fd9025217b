"""The worker process: runs all enabled consumers of the registry until it gets a signal.

    python WorkerRMQ.py

On SIGTERM or SIGINT it takes no more messages, finishes those in flight within DRAIN_TIMEOUT, gives back the rest, and
exits with 0. If it cannot run its consumers, it logs the reason and exits with 1, so that its supervisor restarts it.
With WORKER_BIND it answers probes over HTTP.
"""

from __future__ import annotations

import gc
import signal
import sys

import structlog

from config import Settings, load
from delivery.periods import Periods
from gateway.consuming.thread import ConsumerThread
from gateway.management import DeadLetterGateway, ManagementClient, QueueGateway
from gateway.metrics.exposition import CONTENT_TYPE, Exposition
from gateway.metrics.instruments import keep_in
from gateway.mongo import Store, open_store
from gateway.tracing import Tracing, open_tracing
from routes.worker_pages import worker_pages
from runtime import logs
from runtime.probe_server import ProbeServer
from services.complaints import Complaints
from services.queue_watch import QueueWatch
from services.reconciler import Reconciler
from wiring import events_of

log = structlog.get_logger("workerrmq.worker")


def reconciler(settings: Settings, store: Store, tracing: Tracing | None, complaints: Complaints) -> Reconciler:
    """Return the reconciler that runs a process's consumers. Web processes use it, too, if CONSUMERS is inline."""
    management = ManagementClient(settings.rabbitmq_management_url)
    return Reconciler(
        store,
        DeadLetterGateway(management),
        lambda: ConsumerThread(settings.rabbitmq_url, guard=settings.guard, tracing=tracing, egress=settings.egress),
        complaints=complaints,
    )


def probe_server(settings: Settings, worker: Reconciler, exposition: Exposition) -> ProbeServer | None:
    """Return the server of a worker's probes; None without WORKER_BIND. Exits if the address is not available."""
    if not settings.worker_bind:
        return None
    pages = worker_pages(
        worker.progress,
        Periods().stalled,
        lambda: exposition.text({}, None),
        CONTENT_TYPE,
        settings.metrics_token.get_secret_value(),
    )
    try:
        return ProbeServer(settings.worker_bind, pages)
    except OSError as exc:
        sys.exit(f"WorkerRMQ.py: cannot listen at WORKER_BIND {settings.worker_bind}: {exc.strerror}")


def main(*, look_every: float = 0.5, last_spans: float = 2.0, last_events: float = 1.0) -> None:
    """Run the worker. Check every `look_every` seconds that its threads run; at the end, send the last spans within
    `last_spans` seconds, and wait `last_events` seconds for the thread that publishes events."""
    settings = load()
    logs.configure(settings.log_level, settings.log_format, settings.data_dir)
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(
        signal.SIG_BLOCK, signals
    )  # inherited by all threads, so that only sigtimedwait below gets them
    exposition = Exposition(keep_in(settings.metrics_dir))
    store = open_store(settings.mongo_uri.get_secret_value(), settings.secret_key.get_secret_value(), settings.data_dir)
    tracing = open_tracing(settings.otel_exporter_otlp_endpoint.get_secret_value())
    complaints = Complaints()
    worker = reconciler(settings, store, tracing, complaints)
    probes = probe_server(settings, worker, exposition)
    worker.start()
    if probes is not None:
        probes.start()
    management = ManagementClient(settings.rabbitmq_management_url)
    events = events_of(settings, store, management, QueueWatch(QueueGateway(management).outlines), complaints)
    events.start()
    gc.freeze()  # a full collection, of modules that stay anyway, would hold up all deliveries for tens of milliseconds
    log.info("worker_started")
    while (received := signal.sigtimedwait(signals, look_every)) is None and worker.fault is None:
        pass
    fault = None if received else worker.fault
    if received:
        name = signal.Signals(received.si_signo).name
        log.info("worker_stopping", signal=name, drain_seconds=settings.drain_timeout)
    else:
        log.error("worker_failed", reason=fault)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)  # a second signal ends the process at once
    worker.stop(settings.drain_timeout)
    events.stop(last_events)
    complaints.stop()
    if tracing is not None:
        tracing.stop(last_spans)
    store.close()
    log.info("worker_stopped")
    if fault:
        sys.exit(f"WorkerRMQ.py: {fault}")


if __name__ == "__main__":
    main()
