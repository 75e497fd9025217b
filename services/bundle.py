"""All services of one process. app.py creates them, and routes/ uses them."""

from __future__ import annotations

from dataclasses import dataclass

from domain.schedule import Scheduled
from services.api_keys import ApiKeys
from services.audit import AuditLog
from services.configuration.applying import Configurations
from services.connections import Connections
from services.consumers import Consumers
from services.dead_letters import DeadLetterLooks
from services.deliveries import Deliveries
from services.exchanges import Exchanges
from services.health import Health
from services.history import Histories
from services.idempotency import Idempotency
from services.log_writer import LogWriter
from services.login import Login
from services.messages import Messages
from services.metrics import Metrics
from services.overview import Overviews
from services.policies import Policies
from services.problems import Problems
from services.queues import Queues
from services.replays import Replays
from services.samples import Samples
from services.service_events import ServiceEvents
from services.users import UserAccounts


@dataclass(frozen=True, slots=True)
class Services:
    """One instance of each service."""

    queues: Queues
    exchanges: Exchanges
    policies: Policies
    messages: Messages
    consumers: Consumers
    overviews: Overviews
    problems: Problems
    deliveries: Deliveries
    histories: Histories
    dead_letters: DeadLetterLooks
    replays: Replays
    samples: Samples
    scheduled: LogWriter[Scheduled]
    configurations: Configurations
    connections: Connections
    users: UserAccounts
    api_keys: ApiKeys
    login: Login
    idempotency: Idempotency
    audit: AuditLog
    health: Health
    metrics: Metrics
    events: ServiceEvents
