"""basic.*, confirm.*, tx.* and access.* (AMQP 0-9-1 §1.8 and §1.9). `Connection` handles publish and ack itself: they
are the hot path.
"""

from __future__ import annotations

import secrets

from pamqp import commands

from broker.core import direct_reply
from broker.errors import AmqpError
from broker.protocol import access
from broker.protocol.methods import encode_method
from broker.session.channel import ChannelSession
from broker.session.wire_sink import delivered_properties


def qos(channel: ChannelSession, method: commands.Basic.Qos, now: float) -> None:
    if method.prefetch_size:
        raise AmqpError(540, f"prefetch_size!=0 ({method.prefetch_size})")
    channel.core.qos(method.prefetch_count, method.global_, now)
    channel.reply(commands.Basic.QosOk)


def consume(channel: ChannelSession, method: commands.Basic.Consume, now: float) -> None:
    """Handle basic.consume. Ignore `no_local`, as RabbitMQ does (RabbitMQ docs: specification)."""
    tag = method.consumer_tag or "amq.ctag-" + secrets.token_urlsafe(16)
    if method.queue == direct_reply.QUEUE:
        direct_reply.open_reply(channel.core, tag, method.no_ack)
        if not method.nowait:
            channel.reply(commands.Basic.ConsumeOk, tag)
        return
    queue = channel.queue(method.queue)
    channel.require("read", "queue", queue.name)
    consumer = channel.core.consume(queue, tag, no_ack=method.no_ack, exclusive=method.exclusive,
                                    arguments=method.arguments, now=now)  # fmt: skip
    if not method.nowait:
        channel.reply(commands.Basic.ConsumeOk, tag)
    channel.core.start(consumer, now)


def cancel(channel: ChannelSession, method: commands.Basic.Cancel, now: float) -> None:
    channel.core.cancel(method.consumer_tag or "", now)
    if not method.nowait:
        channel.reply(commands.Basic.CancelOk, method.consumer_tag)


def get(channel: ChannelSession, method: commands.Basic.Get, now: float) -> None:
    queue = channel.queue(method.queue)
    channel.require("read", "queue", queue.name)
    got = channel.core.get(queue, method.no_ack, now)
    if got is None:
        channel.reply(commands.Basic.GetEmpty, "")
        return
    tag, entry = got
    message = entry.message
    payload = encode_method(commands.Basic.GetOk, tag, entry.redelivered, message.exchange, message.routing_key,
                            queue.ready_count)  # fmt: skip
    properties = delivered_properties(entry, always_count=queue.queue_type.counts_deliveries)
    channel.sink.content(payload, properties, message.body or b"")


def ack(channel: ChannelSession, method: commands.Basic.Ack, now: float) -> None:
    """Handle basic.ack in a frame of unusual length; `Connection` handles the others."""
    channel.core.ack(method.delivery_tag, method.multiple, now)


def nack(channel: ChannelSession, method: commands.Basic.Nack, now: float) -> None:
    channel.core.nack(method.delivery_tag, method.multiple, method.requeue, now)


def reject(channel: ChannelSession, method: commands.Basic.Reject, now: float) -> None:
    channel.core.nack(method.delivery_tag or 0, False, method.requeue, now)


def recover(channel: ChannelSession, method: commands.Basic.Recover | commands.Basic.RecoverAsync, now: float) -> None:
    if not method.requeue:
        raise AmqpError(540, "requeue=false")
    channel.core.recover(now)
    if isinstance(method, commands.Basic.Recover):
        channel.reply(commands.Basic.RecoverOk)


def confirm_select(channel: ChannelSession, method: commands.Confirm.Select, now: float) -> None:
    channel.core.confirm_select()
    if not method.nowait:
        channel.reply(commands.Confirm.SelectOk)


def tx_select(channel: ChannelSession, method: commands.Tx.Select, now: float) -> None:
    channel.core.tx_select()
    channel.reply(commands.Tx.SelectOk)


def tx_commit(channel: ChannelSession, method: commands.Tx.Commit, now: float) -> None:
    channel.core.tx_commit(now)
    channel.reply(commands.Tx.CommitOk)


def tx_rollback(channel: ChannelSession, method: commands.Tx.Rollback, now: float) -> None:
    channel.core.tx_rollback()
    channel.reply(commands.Tx.RollbackOk)


def grant(channel: ChannelSession, method: access.Request, now: float) -> None:
    channel.reply(access.RequestOk, 1)


def flow(channel: ChannelSession, method: commands.Channel.Flow, now: float) -> None:
    """Handle channel.flow. RabbitMQ does not implement stopping deliveries either (RabbitMQ docs: specification)."""
    if not method.active:
        raise AmqpError(540, "active=false")
    channel.reply(commands.Channel.FlowOk, True)
