"""Builds the services of a process from its gateways; a part of the composition root, like app.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from config import Settings
from domain.errors import BrokerUnavailable, WorkerError
from gateway.amqp.event_publisher import EventPublisher
from gateway.amqp.held_messages import HeldMessages
from gateway.amqp.publisher_thread import PublisherThread
from gateway.amqp.reading import QueueReader
from gateway.amqp.replay import DeadLetterReplay
from gateway.http.target_names import TargetNames, addresses_of
from gateway.management import (
    BindingGateway,
    ChannelGateway,
    ConnectionGateway,
    ExchangeGateway,
    ManagementClient,
    PolicyGateway,
    QueueGateway,
    QueueLookup,
)
from gateway.metrics.exposition import Exposition
from gateway.metrics.instruments import keep_in
from gateway.mongo import Store
from gateway.rendering.once import OnceRenderers
from gateway.tracing import Tracing
from runtime.revocation_counter import RevocationCounter
from runtime.version import VERSION
from services.api_keys import ApiKeys
from services.audit import AuditLog
from services.bundle import Services
from services.complaints import Complaints
from services.configuration.applying import Configurations
from services.configuration.reading import Resources
from services.connections import Connections
from services.consumers import Consumers
from services.dead_letters import DeadLetterLooks
from services.deliveries import Deliveries
from services.exchange_queues import ExchangeQueues
from services.exchanges import Exchanges
from services.first_admin import FirstAdmin
from services.health import Health, count_workers
from services.history import Histories, Recorder
from services.idempotency import Idempotency
from services.log_writer import LogWriter
from services.login import Login
from services.messages import Messages
from services.metrics import Metrics
from services.overview import Overviews
from services.policies import Policies
from services.problems import Problems
from services.queue_watch import QueueWatch
from services.queues import Queues
from services.reconciler import Reconciler
from services.replay_warnings import ReplayWarnings
from services.replays import Replays
from services.routes import Routes
from services.samples import Samples
from services.service_events import ServiceEvents
from services.target_checks import TargetChecks
from services.users import UserAccounts


def services_of(
    settings: Settings,
    store: Store,
    publisher: PublisherThread,
    worker: Reconciler | None,
    tracing: Tracing | None,
    complaints: Complaints,
) -> Services:
    """Return all services. The store and the publisher need not be up or started. `worker` is the reconciler of this
    process, if the process runs consumers. `complaints` are those of the process."""
    management = ManagementClient(settings.rabbitmq_management_url)
    queue_gateway, lookup = QueueGateway(management), QueueLookup(management)
    reader = QueueReader(settings.rabbitmq_url, publisher, lookup)
    connection_gateway = ConnectionGateway(management)
    watch = QueueWatch(queue_gateway.outlines)
    revocations = RevocationCounter(settings.data_dir / "epoch")
    password = settings.admin_password.get_secret_value()
    first_admin = FirstAdmin(store, settings.admin_username, password, partial(print, flush=True))

    def broker() -> None:
        if not publisher.connected:
            raise BrokerUnavailable(publisher.error or "not connected")

    def consumers() -> None:
        if worker is not None and worker.fault is not None:
            raise WorkerError(worker.fault, code="consumers_down")

    probes: dict[str, Callable[[], None]] = {
        "store": lambda: store.ping(0.8),  # less than Health's own timeout, so that its reason is shown
        "broker": broker,
        # Every virtual host has this exchange, and reading it needs only the tag `management`.
        "management": lambda: management.get("exchanges", management.vhost, "amq.direct", subject="virtual host"),
    }
    if worker is not None:
        probes["consumers"] = consumers
    renderers = OnceRenderers()
    exchanges, bindings = ExchangeGateway(management), BindingGateway(management)
    target_names = TargetNames(settings.guard, look_up=None if settings.egress.proxy else addresses_of)
    overviews = Overviews(store.consumers, store.heartbeats, watch, connection_gateway)
    consumer_service = Consumers(
        store.consumers,
        store.heartbeats,
        lookup,
        TargetChecks(target_names, renderers.template_fault),
        settings.default_target_url,
        ExchangeQueues(exchanges, queue_gateway, bindings),
        Routes(store.consumers, queue_gateway, lookup),
        overviews.backlogs,
    )
    held = HeldMessages(reader)
    api_keys = ApiKeys(store, revocations, complaints=complaints)
    health = Health(probes, partial(count_workers, store.heartbeats, store.consumers), complaints=complaints)
    queues, users, policies = (
        Queues(queue_gateway),
        UserAccounts(store, revocations),
        Policies(PolicyGateway(management)),
    )
    exchange_service = Exchanges(exchanges, bindings)
    resources = Resources(queues, exchange_service, policies, consumer_service, users, api_keys, store.labels)
    exposition = Exposition(keep_in(settings.metrics_dir))
    scheduled = LogWriter("scheduled", store.scheduled.add, max_waiting=100_000, complaints=complaints)
    return Services(
        queues=queues,
        exchanges=exchange_service,
        policies=policies,
        messages=Messages(publisher, exchanges, lookup, held, settings.publish_timeout, scheduled.add, tracing),
        scheduled=scheduled,
        consumers=consumer_service,
        overviews=overviews,
        problems=Problems(store.problems, overviews, complaints=complaints),
        samples=Samples(consumer_service, held, renderers, settings.guard, settings.egress),
        deliveries=Deliveries(store.attempts, store.audit, store.scheduled, held),
        histories=Histories(store.history),
        configurations=Configurations(resources, store.unit_of_work),
        dead_letters=DeadLetterLooks(held),
        replays=Replays(
            DeadLetterReplay(reader, publisher),
            store.replays,
            ReplayWarnings(store.consumers, store.heartbeats),
            store.attempts,
        ),
        connections=Connections(connection_gateway, ChannelGateway(management)),
        users=users,
        api_keys=api_keys,
        login=Login(
            store, revocations, api_keys, first_admin, settings.token_ttl, settings.metrics_token.get_secret_value()
        ),
        idempotency=Idempotency(store.idempotency, complaints=complaints),
        audit=AuditLog(store.audit, complaints=complaints),
        health=health,
        metrics=Metrics(exposition, health, watch, store.consumers, store.heartbeats, VERSION),
        events=events_of(settings, store, management, watch, complaints),
    )


def events_of(
    settings: Settings, store: Store, management: ManagementClient, watch: QueueWatch, complaints: Complaints
) -> ServiceEvents:
    """Return the service that tells about conditions; every process runs one."""
    return ServiceEvents(
        store,
        watch,
        ExchangeGateway(management),
        BindingGateway(management),
        QueueLookup(management),
        EventPublisher(settings.rabbitmq_url).publish,
        Recorder(store.history),
        complaints=complaints,
    )
