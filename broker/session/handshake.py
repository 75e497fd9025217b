"""connection.*: from the greeting to open, and close (AMQP 0-9-1 §2.2.4)."""

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
    # Clients choose their behaviour by product and version: what is built here is RabbitMQ 3.10's.
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
    """connection.start, the answer to the protocol header."""
    connection.write(connection.protocol.send(0, commands.Connection.Start, 0, 9, SERVER_PROPERTIES,
                                              " ".join(MECHANISMS), "en_US"))  # fmt: skip


def start_ok(connection: Connection, method: commands.Connection.StartOk, now: float) -> None:
    """connection.start-ok: who is it."""
    connection.client_properties = method.client_properties or {}
    connection.mechanism = method.mechanism
    name, password = credentials(method.mechanism, bytes(method.response))  # type: ignore[arg-type]
    user = connection.core.authenticate(name, password)
    if user is None or (name == "guest" and not _is_loopback(connection.peer[0])):
        _refuse_login(connection, method.mechanism, now)
        return
    connection.user = user
    connection.protocol.state = ConnectionState.TUNING
    offer = connection.offer
    connection.write(connection.protocol.send(0, commands.Connection.Tune, offer.channel_max, offer.frame_max,
                                              offer.heartbeat))  # fmt: skip


def _is_loopback(host: str) -> bool:
    return host.startswith(("127.", "::ffff:127.")) or host in ("::1", "localhost")


def _refuse_login(connection: Connection, mechanism: str, now: float) -> None:
    """Clients that know of it are told; others see the line close (RabbitMQ docs: auth-notification)."""
    if connection.capable("authentication_failure_close"):
        raise AmqpError(403, f"Login was refused using authentication mechanism {mechanism}. For details see the "
                             "broker logfile.", hard=True)  # fmt: skip
    connection.end(now)
    connection.line.close_soon()


def tune_ok(connection: Connection, method: commands.Connection.TuneOk, now: float) -> None:
    """connection.tune-ok: sizes and heartbeat; 0 means no limit of the client's own."""
    offer = connection.offer
    frame_max = method.frame_max or offer.frame_max
    if frame_max < FRAME_MIN:
        raise AmqpError(530, f"negotiated frame_max = {frame_max} is lower than the minimum allowed value "
                             f"({FRAME_MIN})")  # fmt: skip
    if frame_max > offer.frame_max:
        raise AmqpError(530, f"negotiated frame_max = {frame_max} is higher than the maximum allowed value "
                             f"({offer.frame_max})")  # fmt: skip
    if method.channel_max > offer.channel_max:
        raise AmqpError(530, f"negotiated channel_max = {method.channel_max} is higher than the maximum allowed value "
                             f"({offer.channel_max})")  # fmt: skip
    connection.protocol.frame_max = frame_max
    connection.protocol.channel_max = method.channel_max or offer.channel_max
    connection.heartbeat = method.heartbeat
    connection.line.tuned(method.heartbeat)


def open_vhost(connection: Connection, method: commands.Connection.Open, now: float) -> None:
    """connection.open: where to."""
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
    """connection.update-secret: passwords do not expire here, so that there is nothing to do but to agree."""
    connection.reply(0, commands.Connection.UpdateSecretOk)


def close(connection: Connection, method: commands.Connection.Close, now: float) -> None:
    """connection.close, from the client: the line is the client's to close then, as with RabbitMQ."""
    connection.end(now)
    connection.reply(0, commands.Connection.CloseOk)
    connection.line.expect_close()


def close_ok(connection: Connection, method: commands.Connection.CloseOk, now: float) -> None:
    """connection.close-ok: both have said goodbye."""
    connection.line.close_soon()


METHODS: dict[type[base.Frame], Callable[[Connection, Any, float], None]] = {
    commands.Connection.StartOk: start_ok,
    commands.Connection.TuneOk: tune_ok,
    commands.Connection.Open: open_vhost,
    commands.Connection.UpdateSecret: update_secret,
    commands.Connection.Close: close,
    commands.Connection.CloseOk: close_ok,
}
