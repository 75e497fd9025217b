"""One client's connection: turns protocol events into core operations, in order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from pamqp import base, commands

from amqp_wire.properties import MalformedProperties
from amqp_wire.values import MalformedTable, Table
from broker.core.broker import Broker
from broker.core.channel import Channel
from broker.core.message import Message
from broker.core.queue import Queue
from broker.core.users import User
from broker.core.vhost import Vhost
from broker.errors import AmqpError
from broker.protocol.connection import PROTOCOL_HEADER, ServerConnection
from broker.protocol.events import Ack, Event, Greeting, Method, Mismatch, Publish, Violation
from broker.protocol.states import ConnectionState
from broker.session import handshake
from broker.session.channel import ChannelSession
from broker.session.methods import METHODS
from broker.session.output import Output
from broker.session.transport import ConnectionLimits, Transport


class Connection:
    """A client's connection.

    `name`, `user` (None before login), `vhost` (None before open), `peer` and `local` (host, port), `connected_at`
    (epoch seconds), `client_properties`, `mechanism`, `heartbeat` (seconds), `tls`, `bytes_in` and `bytes_out` are
    public, as are the properties below.
    """

    def __init__(self, core: Broker, transport: Transport, limits: ConnectionLimits, alarms: set[str], *,
                 peer: tuple[str, int], local: tuple[str, int], tls: bool, now: float) -> None:  # fmt: skip
        self.core = core
        self.transport = transport
        self.limits = limits
        self.alarms = alarms
        self.peer = peer
        self.local = local
        self.tls = tls
        self.connected_at = now
        self.name = f"{peer[0]}:{peer[1]} -> {local[0]}:{local[1]}"
        self.protocol = ServerConnection()
        self.user: User | None = None
        self.vhost: Vhost | None = None
        self.client_properties: Table = {}
        self.mechanism = ""
        self.heartbeat = 0
        self.sessions: dict[int, ChannelSession] = {}
        self.exclusive_queues: set[Queue] = set()
        self.bytes_in = 0
        self.bytes_out = 0
        self.blocked = False
        self.output_open = True
        self._output = Output(core.journal, transport.flush_soon)
        self._unconfirmed: dict[int, None] = {}
        self._ended = False
        self._events: Iterator[Event] = iter(())

    # --- read by the management API

    @property
    def channels(self) -> dict[int, Channel]:
        """The core channels by number."""
        return {number: session.core for number, session in self.sessions.items()}

    @property
    def state(self) -> str:
        """ "starting", "running", "blocked" or "closing"."""
        if self.protocol.state in (ConnectionState.CLOSING, ConnectionState.CLOSED):
            return "closing"
        if self.protocol.state is not ConnectionState.OPEN:
            return "starting"
        return "blocked" if self.blocked else "running"

    @property
    def frames_in(self) -> int:
        """Frames received."""
        return self.protocol.frames_in

    @property
    def frames_out(self) -> int:
        """Frames sent; all frames of a message count as one."""
        return self._output.frames

    @property
    def frame_max(self) -> int:
        """The negotiated largest frame, in bytes."""
        return self.protocol.frame_max

    @property
    def channel_max(self) -> int:
        """The negotiated number of channels."""
        return self.protocol.channel_max

    def has_capability(self, capability: str) -> bool:
        """Return whether the client announced the capability (RabbitMQ docs: consumer-cancel, connection-blocked)."""
        capabilities = self.client_properties.get("capabilities")
        return isinstance(capabilities, dict) and capabilities.get(capability) is True

    # --- output

    @property
    def writable(self) -> bool:
        """Return whether deliveries may be added to the output."""
        return self.output_open and not self._ended

    @property
    def holding(self) -> bool:
        """Return whether output waits for the journal."""
        return self._output.holding

    def write(self, data: bytes) -> None:
        """Send frames."""
        self._output.write(data)
        if self._output.is_full:
            self.output_open = False

    def write_afterwards(self, data: bytes) -> None:
        """Send frames after the reply to the method that is being handled."""
        self._output.write_afterwards(data)

    def reply(self, channel: int, method: type[base.Frame], *values: Any) -> None:
        """Reply to a synchronous method once this connection's earlier changes are on disk."""
        self._output.write_answer(self.protocol.send(channel, method, *values))

    def take_output(self) -> bytes:
        """Return the bytes to send now."""
        self.flush_confirms()
        data = self._output.take()
        self.bytes_out += len(data)
        return data

    def confirms_due(self, channel: int) -> None:
        """Schedule the flush of a channel's confirms with the next output."""
        if not self._unconfirmed and self._output.is_empty:
            self.transport.flush_soon()
        self._unconfirmed[channel] = None

    def flush_confirms(self) -> None:
        """Turn due confirms into frames."""
        while self._unconfirmed:
            session = self.sessions.get(self._unconfirmed.popitem()[0])
            if session is not None and session.core.confirms is not None:
                session.core.confirms.flush()

    # --- input

    def receive(self, data: bytes, now: float) -> None:
        """Handle bytes from the client."""
        self.bytes_in += len(data)
        self._output.skip_records()
        events = self.protocol.receive(data)
        if self.blocked:
            self._events = chain(self._events, events)
        else:
            self._events = events
            self._handle_all(now)

    def _handle_all(self, now: float) -> None:
        for event in self._events:
            if self.alarms and type(event) is Publish:
                self._block(event)
                break
            self._output.answering = True
            self._handle(event, now)
            self._output.answered()
        self._output.note_records()

    def _block(self, event: Event) -> None:
        """Hold the publish and all later input until the alarms are cleared (RabbitMQ docs: connection-blocked)."""
        self.blocked = True
        self._events = chain([event], self._events)
        if self.has_capability("connection.blocked"):
            self.write(self.protocol.send(0, commands.Connection.Blocked, f"low on {' & '.join(sorted(self.alarms))}"))
        self.transport.block()

    def unblock(self, now: float) -> None:
        """Handle the held input: all alarms were cleared."""
        self.blocked = False
        if self.has_capability("connection.blocked"):
            self.write(self.protocol.send(0, commands.Connection.Unblocked))
        self._handle_all(now)

    def _handle(self, event: Event, now: float) -> None:
        try:
            if type(event) is Publish:
                self._publish(event, now)
            elif type(event) is Ack:
                session = self.sessions.get(event.channel)
                if session is not None:
                    session.core.ack(event.delivery_tag, event.multiple, now)
            elif type(event) is Method:
                self._method(event.channel, event.method, now)
            elif type(event) is Violation:
                self._fail(event.channel, event.error, event.class_id, event.method_id, now)
            elif type(event) is Greeting:
                handshake.start(self)
            elif type(event) is Mismatch:
                self.write(PROTOCOL_HEADER)
                self.transport.close_soon()
        except AmqpError as error:
            index = _index_of(event)
            self._fail(event.channel, error, index >> 16, index & 0xFFFF, now)  # type: ignore[union-attr]

    def _publish(self, event: Publish, now: float) -> None:
        session = self.sessions.get(event.channel)
        if session is None:
            return
        if event.immediate:
            raise AmqpError(540, "immediate=true")
        try:
            message = Message(event.exchange, event.routing_key, event.properties, event.body)
            session.core.publish(message, event.mandatory, now)
        except (MalformedProperties, MalformedTable) as error:
            raise AmqpError(501, f"content header is malformed: {error}") from error

    def _method(self, channel: int, method: base.Frame, now: float) -> None:
        if not channel:
            handshake.METHODS[type(method)](self, method, now)
        elif isinstance(method, commands.Channel.Open):
            assert self.vhost is not None
            self.sessions[channel] = ChannelSession(self, channel, self.vhost)
            self.reply(channel, commands.Channel.OpenOk, b"")
        elif isinstance(method, commands.Channel.Close):
            self._end_channel(channel, now)
            self.protocol.forget_channel(channel)
            self.reply(channel, commands.Channel.CloseOk)
        elif channel in self.sessions:
            answer = METHODS.get(type(method))
            if answer is None:
                raise AmqpError(503, f"{method.name} is not for clients to send")
            answer(self.sessions[channel], method, now)

    # --- ends

    def _fail(self, channel: int, error: AmqpError, class_id: int, method_id: int, now: float) -> None:
        if error.hard or channel not in self.sessions:
            self.close(error, now, class_id, method_id)
            return
        self.flush_confirms()
        self._end_channel(channel, now)
        self.write(self.protocol.close_channel(channel, error, class_id, method_id))

    def close(self, error: AmqpError, now: float, class_id: int = 0, method_id: int = 0) -> None:
        """Close the connection with an error. The transport closes after the client's close-ok, or after a timeout."""
        if self.protocol.state is ConnectionState.CLOSING:
            self.transport.close_soon()
            return
        self.end(now)
        self.write(self.protocol.close(error, class_id, method_id))
        self.transport.expect_close()

    def _end_channel(self, channel: int, now: float) -> None:
        session = self.sessions.pop(channel, None)
        if session is not None:
            session.core.close(now)

    def end(self, now: float) -> None:
        """Requeue the client's messages and delete its exclusive queues. Safe to call more than once."""
        if self._ended:
            return
        self.flush_confirms()
        self._ended = True
        for channel in list(self.sessions):
            self._end_channel(channel, now)
        for queue in self.exclusive_queues:
            if not queue.deleted:
                queue.vhost.delete_queue(queue.name, now)
        self.exclusive_queues.clear()

    def resume_output(self, now: float) -> None:
        """Resume deliveries: the client has read enough of the output."""
        self.output_open = True
        for session in list(self.sessions.values()):
            session.core.wake(now)


def _index_of(event: Event) -> int:
    if isinstance(event, Publish):
        return commands.Basic.Publish.index
    if isinstance(event, Ack):
        return commands.Basic.Ack.index
    return type(event.method).index if isinstance(event, Method) else 0
