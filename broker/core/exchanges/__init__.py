"""Exchange types, one small file each (AMQP 0-9-1 §3.1.3)."""

from broker.core.exchanges.base import Binding, Exchange
from broker.core.exchanges.direct import Direct
from broker.core.exchanges.fanout import Fanout
from broker.core.exchanges.headers import Headers
from broker.core.exchanges.topic import Topic

TYPES: dict[str, type[Exchange]] = {kind.type: kind for kind in (Direct, Fanout, Topic, Headers)}

__all__ = ["TYPES", "Binding", "Direct", "Exchange", "Fanout", "Headers", "Topic"]
