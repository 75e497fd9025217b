"""The legal transitions of a connection and of a channel (AMQP 0-9-1 §2.2.4 and §2.2.5), as tables.

A method that the state does not list is a protocol violation.
"""

from __future__ import annotations

from enum import Enum, auto

from pamqp import base
from pamqp.commands import Channel, Connection

from broker.errors import AmqpError


class ConnectionState(Enum):
    """The states of a connection."""

    GREETING = auto()  # waits for the protocol header
    STARTING = auto()  # waits for start-ok
    SECURING = auto()  # waits for secure-ok
    TUNING = auto()  # waits for tune-ok
    OPENING = auto()  # waits for open
    OPEN = auto()
    CLOSING = auto()  # we sent close, wait for close-ok
    CLOSED = auto()


class ChannelState(Enum):
    """The states of a channel."""

    CLOSED = auto()
    OPEN = auto()
    CLOSING = auto()  # we sent close, wait for close-ok


_C = ConnectionState
_CLOSE: dict[type[base.Frame], ConnectionState] = {Connection.Close: _C.CLOSED}

CONNECTION: dict[ConnectionState, dict[type[base.Frame], ConnectionState]] = {
    _C.GREETING: {},
    _C.STARTING: {Connection.StartOk: _C.SECURING, **_CLOSE},
    _C.SECURING: {Connection.SecureOk: _C.SECURING, **_CLOSE},
    _C.TUNING: {Connection.TuneOk: _C.OPENING, **_CLOSE},
    _C.OPENING: {Connection.Open: _C.OPENING, **_CLOSE},
    _C.OPEN: {Connection.UpdateSecret: _C.OPEN, **_CLOSE},
    _C.CLOSING: {Connection.CloseOk: _C.CLOSED, Connection.Close: _C.CLOSED},
    _C.CLOSED: {},
}

CHANNEL: dict[ChannelState, dict[type[base.Frame], ChannelState]] = {
    ChannelState.CLOSED: {Channel.Open: ChannelState.OPEN, Channel.CloseOk: ChannelState.CLOSED},
    ChannelState.OPEN: {Channel.Close: ChannelState.CLOSED, Channel.CloseOk: ChannelState.OPEN},
    ChannelState.CLOSING: {Channel.Close: ChannelState.CLOSED, Channel.CloseOk: ChannelState.CLOSED},
}


def next_connection_state(state: ConnectionState, method: type[base.Frame]) -> ConnectionState:
    """Return the state after a client's connection method. Raises AmqpError 503 or 504 for an illegal one."""
    try:
        return CONNECTION[state][method]
    except KeyError:
        running = state is ConnectionState.OPEN
        raise AmqpError(504 if running else 503, "unexpected method in connection state "
                        + ("running" if running else state.name.lower())) from None  # fmt: skip


def next_channel_state(state: ChannelState, method: type[base.Frame]) -> ChannelState:
    """Return the state after a client's method on a channel. Raises AmqpError 504 for an illegal one."""
    if method in CHANNEL[state]:
        return CHANNEL[state][method]
    if state is ChannelState.CLOSED:
        raise AmqpError(504, "expected 'channel.open'")
    if method is Channel.Open and state is ChannelState.OPEN:
        raise AmqpError(504, "second 'channel.open' seen")
    return state
