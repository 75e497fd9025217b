"""A virtual host: its exchanges, queues and bindings, and the routing of messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from amqp_wire.values import Table
from broker.core import declarations, direct_reply
from broker.core.arguments import read_rules
from broker.core.bindings import Bindings
from broker.core.dead_letter_publisher import DeadLetterPublisher
from broker.core.deadlines import Deadlines
from broker.core.exchanges import TYPES, Binding, Exchange
from broker.core.journal import Journal
from broker.core.message import Message
from broker.core.pager import Pager
from broker.core.policies import Policies
from broker.core.queue import Queue
from broker.core.queue_types import TYPES as QUEUE_TYPES
from broker.errors import AmqpError

if TYPE_CHECKING:
    from broker.core.channel import Channel

# RabbitMQ docs: tutorials/amqp-concepts. The default exchange routes to the queue of the routing key's name.
PREDECLARED = {"": "direct", "amq.direct": "direct", "amq.fanout": "fanout", "amq.headers": "headers",
               "amq.match": "headers", "amq.topic": "topic", "amq.rabbitmq.trace": "topic"}  # fmt: skip


class Routing(NamedTuple):
    """The result of a publish: how many queues took the message, and how many refused it."""

    queues: int
    refused: int


class Vhost:
    """A namespace of exchanges and queues (RabbitMQ docs: vhosts). All errors are AmqpErrors."""

    def __init__(self, name: str, journal: Journal, deadlines: Deadlines, pager: Pager,
                 next_queue_id: Callable[[], int]) -> None:  # fmt: skip
        self.name = name
        self.journal = journal
        self.deadlines = deadlines
        self.pager = pager
        self.exchanges: dict[str, Exchange] = {}
        self.queues: dict[str, Queue] = {}
        self.dead_letters = DeadLetterPublisher(self)
        self.policies = Policies(self)
        # Direct reply-to: the channels that consume replies, by reply name.
        self.reply_channels: dict[str, Channel] = {}
        self._bindings = Bindings(name, journal)
        self._next_queue_id = next_queue_id
        for exchange, kind in PREDECLARED.items():
            internal = exchange == "amq.rabbitmq.trace"
            self.exchanges[exchange] = TYPES[kind](exchange, durable=True, internal=internal)

    # --- exchanges

    def exchange(self, name: str) -> Exchange:
        """Return the exchange of that name. Raises AmqpError 404."""
        try:
            return self.exchanges[name]
        except KeyError:
            raise AmqpError(404, f"no exchange '{name}' in vhost '{self.name}'") from None

    def public_exchange(self, name: str) -> Exchange:
        """Return the exchange of that name if clients may publish to it. Raises AmqpError 403, 404."""
        exchange = self.exchange(name)
        if exchange.internal:
            raise AmqpError(403, f"cannot publish to internal exchange '{name}' in vhost '{self.name}'")
        return exchange

    def declare_exchange(self, name: str, kind: str, *, durable: bool = False, auto_delete: bool = False,
                         internal: bool = False, arguments: Table | None = None) -> Exchange:  # fmt: skip
        """Return the exchange; create it if it does not exist. Raises AmqpError 403, 406, 503."""
        arguments = arguments or {}
        declarations.check_exchange_type(name, kind)
        known = self.exchanges.get(name)
        if known is not None:
            declarations.check_same_exchange(known, kind, durable, auto_delete, internal, arguments, self.name)
            return known
        declarations.check_new_exchange(name, arguments, self.name)
        exchange = TYPES[kind](name, durable=durable, auto_delete=auto_delete, internal=internal, arguments=arguments)
        self.exchanges[name] = exchange
        exchange.apply_policy(self.policies.of("exchange", name), 0)
        if durable:
            self.journal.define("exchange", f"{self.name}\0{name}", {
                "vhost": self.name, "name": name, "type": kind, "auto_delete": auto_delete, "internal": internal,
                "arguments": arguments,
            })  # fmt: skip
        return exchange

    def delete_exchange(self, name: str, *, if_unused: bool = False) -> None:
        """Delete an exchange and its bindings, if it exists. Raises AmqpError 403, 406."""
        declarations.refuse_default_exchange(name)
        if name in PREDECLARED:
            raise AmqpError(403, f"deletion of system exchange '{name}' in vhost '{self.name}' not allowed")
        exchange = self.exchanges.get(name)
        if exchange is None:
            return
        if if_unused and exchange.bindings:
            raise AmqpError(406, f"exchange '{name}' in vhost '{self.name}' in use")
        del self.exchanges[name]
        self._bindings.remove_source(exchange)
        self._delete_unbound(self._bindings.remove_target(exchange))
        if exchange.durable:
            self.journal.undefine("exchange", f"{self.name}\0{name}")

    def _delete_unbound(self, sources: set[Exchange]) -> None:
        """Delete the auto-delete exchanges that lost their last binding."""
        for source in sources:
            if source.auto_delete and not source.bindings and source.name in self.exchanges:
                self.delete_exchange(source.name)

    # --- queues

    def queue(self, name: str) -> Queue:
        """Return the queue of that name. Raises AmqpError 404."""
        try:
            return self.queues[name]
        except KeyError:
            raise AmqpError(404, f"no queue '{name}' in vhost '{self.name}'") from None

    def declare_queue(self, name: str, now: float, *, durable: bool = False, auto_delete: bool = False,
                      owner: object | None = None, arguments: Table | None = None) -> Queue:  # fmt: skip
        """Return the queue; create it if it does not exist. An empty name gets a generated one. `owner` makes it
        exclusive.

        Raises AmqpError 403, 405, 406, 540.
        """
        arguments = arguments or {}
        name = declarations.new_queue_name(name, arguments)
        durable = durable and owner is None  # an exclusive queue is deleted with its connection
        known = self.queues.get(name)
        if known is not None:
            declarations.check_same_queue(known, durable, auto_delete, owner, arguments)
            known.lease.on_redeclare(now)
            return known
        rules = read_rules(arguments, name, self.name)
        declarations.check_properties(QUEUE_TYPES[rules.type], name, durable, auto_delete, owner, self.name)
        queue = Queue(self, name, rules, durable=durable, auto_delete=auto_delete, owner=owner, arguments=arguments,
                      queue_id=self._next_queue_id(), now=now)  # fmt: skip
        self._add_queue(queue, now)
        if queue.journaled:
            self.journal.define("queue", f"{self.name}\0{name}", {
                "vhost": self.name, "name": name, "auto_delete": auto_delete, "arguments": arguments, "id": queue.id,
            })  # fmt: skip
        return queue

    def restore_queue(self, name: str, auto_delete: bool, arguments: Table, queue_id: int, now: float) -> Queue:
        """Create a durable queue from the journal."""
        queue = Queue(self, name, read_rules(arguments, name, self.name), durable=True, auto_delete=auto_delete,
                      owner=None, arguments=arguments, queue_id=queue_id, now=now)  # fmt: skip
        self._add_queue(queue, now)
        return queue

    def _add_queue(self, queue: Queue, now: float) -> None:
        self.queues[queue.name] = queue
        policy = self.policies.of("queue", queue.name)
        if policy is not None:
            queue.apply_policy(policy, now)

    def delete_queue(self, name: str, now: float, *, if_unused: bool = False, if_empty: bool = False) -> int:
        """Delete a queue, cancel its consumers and return the number of ready messages. Raises AmqpError 406, and 540
        for a condition on a quorum queue.
        """
        queue = self.queues.get(name)
        if queue is None:
            return 0
        for flag, given in (("if-unused", if_unused), ("if-empty", if_empty)):
            if given and queue.type == "quorum":
                raise AmqpError(540, f"cannot delete queue '{name}' in vhost '{self.name}'. queue.delete operations "
                                     f"with {flag} flag set are not supported by quorum queues")  # fmt: skip
        if if_unused and queue.consumers:
            raise AmqpError(406, f"queue '{name}' in vhost '{self.name}' in use")
        if if_empty and queue.ready_count:
            raise AmqpError(406, f"queue '{name}' in vhost '{self.name}' not empty")
        waiting = queue.ready_count
        del self.queues[name]
        queue.forget_all()
        self._delete_unbound(self._bindings.remove_target(queue))
        if queue.journaled:
            self.journal.undefine("queue", f"{self.name}\0{name}")
        for consumer in list(queue.consumers):
            consumer.channel.queue_deleted(consumer, now)
        return waiting

    # --- bindings

    def bind(self, source: str, kind: str, destination: str, routing_key: str, arguments: Table | None = None) -> None:
        """Bind a queue or an exchange to the exchange `source`. Raises 403, 404, 406."""
        exchange, target = self._find_ends(source, kind, destination)
        self._bindings.add(exchange, target, routing_key, arguments or {})

    def unbind(self, source: str, kind: str, destination: str, routing_key: str,
               arguments: Table | None = None) -> bool:  # fmt: skip
        """Remove a binding. Return False if there is none. Raises AmqpError 403."""
        declarations.refuse_default_exchange(source)
        exchange = self.exchanges.get(source)
        target = self.queues.get(destination) if kind == "queue" else self.exchanges.get(destination)
        if exchange is None or target is None:
            return False
        if not self._bindings.remove(exchange, target, routing_key, arguments or {}):
            return False
        self._delete_unbound({exchange})
        return True

    def _find_ends(self, source: str, kind: str, destination: str) -> tuple[Exchange, Queue | Exchange]:
        declarations.refuse_default_exchange(source)
        if kind == "exchange":
            declarations.refuse_default_exchange(destination)
            return self.exchange(source), self.exchange(destination)
        return self.exchange(source), self.queue(destination)

    def bindings(self) -> Iterator[Binding]:
        """Yield every binding, the default exchange's implicit ones first."""
        for queue in self.queues.values():
            yield Binding("", queue, queue.name, {})
        for exchange in self.exchanges.values():
            yield from exchange.bindings.values()

    def bindings_to(self, kind: str, name: str) -> Iterator[Binding]:
        """Yield the bindings to one queue or exchange, a queue's implicit one first."""
        if kind == "queue" and name in self.queues:
            yield Binding("", self.queues[name], name, {})
        yield from self._bindings.of_target(kind, name)

    # --- messages

    def publish(self, message: Message, now: float) -> Routing:
        """Route a message to its queues. Raises AmqpError 403, 404."""
        exchange = self.public_exchange(message.exchange)
        exchange.published_in += 1
        queues = self.route(message, exchange)
        exchange.published_out += len(queues)
        taken = self.offer_to_queues(message, queues, now)
        self.dead_letters.publish_pending(now)
        return Routing(taken, len(queues) - taken)

    def offer_to_queues(self, message: Message, queues: Iterable[Queue], now: float) -> int:
        """Offer a message to queues. Return how many took it."""
        taken = sum([queue.offer(message, now) for queue in queues])
        message.pageable = taken in (1, message.copies)
        self.pager.body_added(message.size * taken)
        return taken

    def route(self, message: Message, exchange: Exchange) -> list[Queue]:
        """Return the queues that a message published to `exchange` goes to, each once."""
        keys = message.routing_keys()
        if not exchange.name:
            direct_reply.deliver(self, message, keys)
            return list({key: self.queues[key] for key in keys if key in self.queues}.values())
        found: dict[str, Queue] = {}
        seen = {exchange.name}
        pending = [exchange]
        while pending:
            source = pending.pop()
            unrouted = True
            for key in keys:
                for target in source.route(message, key):
                    unrouted = False
                    if isinstance(target, Queue):
                        found[target.name] = target
                    elif target.name not in seen:
                        seen.add(target.name)
                        pending.append(target)
            # RabbitMQ docs: ae. The alternate exchange gets messages that its exchange cannot route.
            if unrouted and source.alternate in self.exchanges and source.alternate not in seen:
                seen.add(source.alternate)
                pending.append(self.exchanges[source.alternate])
        return list(found.values())
