"""The parts that all consumers of a thread share."""

from __future__ import annotations

from dataclasses import dataclass

from delivery.exchange_pauses import ExchangePauses
from delivery.periods import Periods
from gateway.amqp.publisher import Publisher
from gateway.amqp.standing import Standing
from gateway.consuming.attempt_log import AttemptLog
from gateway.consuming.breakers import Breakers
from gateway.http.client import HttpClient
from gateway.loop import Loop
from gateway.rendering.renderer import Renderer
from gateway.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Wiring:
    """The shared parts, all owned by the loop's thread."""

    loop: Loop
    http: HttpClient
    publisher: Publisher
    standing: Standing
    breakers: Breakers
    pauses: ExchangePauses
    log: AttemptLog
    tracing: Tracing | None
    periods: Periods
    renderer: Renderer
