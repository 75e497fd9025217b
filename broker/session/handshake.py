"""connection.*: from the protocol header to open, and close (AMQP 0-9-1 §2.2.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pamqp import base, commands

from broker.errors import AmqpError
from broker.protocol.connection import FRAME_MIN
from broker.protocol.states import ConnectionState
from broker.session.authentication import MECHANISMS, credentials

if TYPE_CHECKING:
    from broker.session.connection import Connection

SERVER_PROPERTIES = {
    # Clients choose their behaviour by product and version; this broker implements RabbitMQ 3.10.
    "product": "RabbitMQ",
    "version": "3.10.8",
    "cluster_name": "workerrmq",
    "copyright": "WorkerRMQ",
    "platform": "WorkerRMQ embedded broker",
    "information": "Not RabbitMQ itself: an embedded AMQP 0-9-1 broker that does what RabbitMQ does",
    "capabilities": {
        "publisher_confirms": True,
        "exchange_exchange_bindings": True,
        "basic.nack": True,
        "consumer_cancel_notify": True,
        "connection.blocked": True,
        "consumer_priorities": True,
        "authentication_failure_close": True,
        "per_consumer_qos": True,
        "direct_reply_to": True,
    },
}


def start(connection: Connection) -> None:
    """Answer the protocol header with connection.start."""
    connection.write(connection.protocol.send(0, commands.Connection.Start, 0, 9, SERVER_PROPERTIES,
                                              " ".join(MECHANISMS), "en_US"))  # fmt: skip


def start_ok(connection: Connection, method: commands.Connection.StartOk, now: float) -> None:
    """Authenticate the client and send connection.tune."""
    connection.client_properties = method.client_properties or {}
    connection.mechanism = method.mechanism
    name, password = credentials(method.mechanism, bytes(method.response))  # type: ignore[arg-type]
    user = connection.core.authenticate(name, password)
    if user is None or (name == "guest" and not _is_loopback(connection.peer[0])):
        _refuse_login(connection, method.mechanism, now)
        return
    connection.user = user
    connection.protocol.state = ConnectionState.TUNING
    limits = connection.limits
    connection.write(connection.protocol.send(0, commands.Connection.Tune, limits.channel_max, limits.frame_max,
                                              limits.heartbeat))  # fmt: skip


def _is_loopback(host: str) -> bool:
    return host.startswith(("127.", "::ffff:127.")) or host in ("::1", "localhost")


def _refuse_login(connection: Connection, mechanism: str, now: float) -> None:
    """Refuse with 403 if the client understands it; otherwise close the socket (RabbitMQ docs: auth-notification)."""
    if connection.has_capability("authentication_failure_close"):
        raise AmqpError(403, f"Login was refused using authentication mechanism {mechanism}. For details see the "
                             "broker logfile.", hard=True)  # fmt: skip
    connection.end(now)
    connection.transport.close_soon()


def tune_ok(connection: Connection, method: commands.Connection.TuneOk, now: float) -> None:
    """Accept the negotiated sizes and heartbeat; 0 means that the client sets no limit."""
    limits = connection.limits
    frame_max = method.frame_max or limits.frame_max
    if frame_max < FRAME_MIN:
        raise AmqpError(530, f"negotiated frame_max = {frame_max} is lower than the minimum allowed value "
                             f"({FRAME_MIN})")  # fmt: skip
    if frame_max > limits.frame_max:
        raise AmqpError(530, f"negotiated frame_max = {frame_max} is higher than the maximum allowed value "
                             f"({limits.frame_max})")  # fmt: skip
    if method.channel_max > limits.channel_max:
        raise AmqpError(530, f"negotiated channel_max = {method.channel_max} is higher than the maximum allowed value "
                             f"({limits.channel_max})")  # fmt: skip
    connection.protocol.frame_max = frame_max
    connection.protocol.channel_max = method.channel_max or limits.channel_max
    connection.heartbeat = method.heartbeat
    connection.transport.handshake_done(method.heartbeat)


def open_vhost(connection: Connection, method: commands.Connection.Open, now: float) -> None:
    """Open the connection's vhost."""
    name = method.virtual_host
    user = connection.user
    assert user is not None
    if name not in connection.core.vhosts:
        raise AmqpError(530, f"vhost {name} not found")
    if name not in user.permissions:
        raise AmqpError(530, f"access to vhost '{name}' refused for user '{user.name}'")
    connection.vhost = connection.core.vhosts[name]
    connection.protocol.state = ConnectionState.OPEN
    connection.write(connection.protocol.send(0, commands.Connection.OpenOk, ""))


def update_secret(connection: Connection, method: commands.Connection.UpdateSecret, now: float) -> None:
    """Confirm connection.update-secret. Passwords do not expire here, so nothing else happens."""
    connection.reply(0, commands.Connection.UpdateSecretOk)


def close(connection: Connection, method: commands.Connection.Close, now: float) -> None:
    """Answer connection.close. The client then closes the socket, as with RabbitMQ."""
    connection.end(now)
    connection.reply(0, commands.Connection.CloseOk)
    connection.transport.expect_close()


def close_ok(connection: Connection, method: commands.Connection.CloseOk, now: float) -> None:
    """Close the socket after connection.close-ok."""
    connection.transport.close_soon()


METHODS: dict[type[base.Frame], Callable[[Connection, Any, float], None]] = {
    commands.Connection.StartOk: start_ok,
    commands.Connection.TuneOk: tune_ok,
    commands.Connection.Open: open_vhost,
    commands.Connection.UpdateSecret: update_secret,
    commands.Connection.Close: close,
    commands.Connection.CloseOk: close_ok,
}
