"""exchange.* and queue.*: declare, delete, bind, unbind, purge (AMQP 0-9-1 §1.6 and §1.7)."""

from __future__ import annotations

from pamqp import commands

from broker.core.declarations import check_access, refuse_default_exchange
from broker.core.direct_reply import PREFIX, QUEUE
from broker.errors import AmqpError
from broker.session.channel import ChannelSession


def _one_line(name: str) -> str:
    """Remove line ends from a name, as RabbitMQ does in topology methods."""
    return name.replace("\n", "").replace("\r", "")


def exchange_declare(channel: ChannelSession, method: commands.Exchange.Declare, now: float) -> None:
    name = _one_line(method.exchange)
    refuse_default_exchange(name)
    if method.passive:
        channel.vhost.exchange(name)
    else:
        arguments = method.arguments or {}
        channel.require("configure", "exchange", name)
        alternate = arguments.get("alternate-exchange")
        if isinstance(alternate, str) and name not in channel.vhost.exchanges:
            channel.require("read", "exchange", name)
            channel.require("write", "exchange", alternate)
        channel.vhost.declare_exchange(name, method.exchange_type, durable=method.durable,
                                       auto_delete=method.auto_delete, internal=method.internal,
                                       arguments=arguments)  # fmt: skip
    if not method.nowait:
        channel.reply(commands.Exchange.DeclareOk)


def exchange_delete(channel: ChannelSession, method: commands.Exchange.Delete, now: float) -> None:
    name = _one_line(method.exchange)
    channel.require("configure", "exchange", name)
    channel.vhost.delete_exchange(name, if_unused=method.if_unused)
    if not method.nowait:
        channel.reply(commands.Exchange.DeleteOk)


def exchange_bind(channel: ChannelSession, method: commands.Exchange.Bind, now: float) -> None:
    source, destination = _one_line(method.source), _one_line(method.destination)
    channel.require("write", "exchange", destination)
    channel.require_source(source, method.routing_key)
    channel.vhost.bind(source, "exchange", destination, method.routing_key, method.arguments)
    if not method.nowait:
        channel.reply(commands.Exchange.BindOk)


def exchange_unbind(channel: ChannelSession, method: commands.Exchange.Unbind, now: float) -> None:
    source, destination = _one_line(method.source), _one_line(method.destination)
    channel.require("write", "exchange", destination)
    channel.require_source(source, method.routing_key)
    channel.vhost.unbind(source, "exchange", destination, method.routing_key, method.arguments)
    if not method.nowait:
        channel.reply(commands.Exchange.UnbindOk)


def queue_declare(channel: ChannelSession, method: commands.Queue.Declare, now: float) -> None:
    name = _one_line(method.queue)
    if name == QUEUE or name.startswith(PREFIX):
        _declare_reply(channel, method)
        return
    if method.passive:
        queue = channel.queue(name)
        check_access(queue, channel.connection)
        queue.lease.on_redeclare(now)
    else:
        arguments = method.arguments or {}
        channel.require("configure", "queue", name or "amq.gen-")
        dead_letters = arguments.get("x-dead-letter-exchange")
        if isinstance(dead_letters, str) and name not in channel.vhost.queues:
            channel.require("read", "queue", name or "amq.gen-")
            channel.require("write", "exchange", dead_letters)
        owner = channel.connection if method.exclusive else None
        queue = channel.vhost.declare_queue(name, now, durable=method.durable, auto_delete=method.auto_delete,
                                            owner=owner, arguments=arguments)  # fmt: skip
        if owner is not None:
            channel.connection.exclusive_queues.add(queue)
    channel.last_queue = queue.name
    if not method.nowait:
        channel.reply(commands.Queue.DeclareOk, queue.name, queue.ready_count, len(queue.consumers))


def _declare_reply(channel: ChannelSession, method: commands.Queue.Declare) -> None:
    """Handle queue.declare for a reply queue (RabbitMQ docs: direct-reply-to § usage)."""
    if method.queue != QUEUE and method.queue not in channel.vhost.reply_channels:
        raise AmqpError(404, f"no queue '{method.queue}' in vhost '{channel.vhost.name}'")
    channel.last_queue = method.queue
    if not method.nowait:
        channel.reply(commands.Queue.DeclareOk, method.queue, 0, 1)


def queue_delete(channel: ChannelSession, method: commands.Queue.Delete, now: float) -> None:
    name = _one_line(channel.queue_name(method.queue))
    channel.require("configure", "queue", name)
    if name in channel.vhost.queues:
        check_access(channel.vhost.queues[name], channel.connection)
    count = channel.vhost.delete_queue(name, now, if_unused=method.if_unused, if_empty=method.if_empty)
    if not method.nowait:
        channel.reply(commands.Queue.DeleteOk, count)


def queue_purge(channel: ChannelSession, method: commands.Queue.Purge, now: float) -> None:
    queue = channel.queue(method.queue)
    channel.require("read", "queue", queue.name)
    check_access(queue, channel.connection)
    count = queue.purge()
    if not method.nowait:
        channel.reply(commands.Queue.PurgeOk, count)


def queue_bind(channel: ChannelSession, method: commands.Queue.Bind, now: float) -> None:
    name, routing_key = _binding(channel, method.queue, method.routing_key)
    exchange = _one_line(method.exchange)
    channel.require("write", "queue", name)
    channel.require_source(exchange, routing_key)
    if name in channel.vhost.queues:
        check_access(channel.vhost.queues[name], channel.connection)
    channel.vhost.bind(exchange, "queue", name, routing_key, method.arguments)
    if not method.nowait:
        channel.reply(commands.Queue.BindOk)


def queue_unbind(channel: ChannelSession, method: commands.Queue.Unbind, now: float) -> None:
    name, routing_key = _binding(channel, method.queue, method.routing_key)
    exchange = _one_line(method.exchange)
    channel.require("write", "queue", name)
    channel.require_source(exchange, routing_key)
    if name in channel.vhost.queues:
        check_access(channel.vhost.queues[name], channel.connection)
    channel.vhost.unbind(exchange, "queue", name, routing_key, method.arguments)
    channel.reply(commands.Queue.UnbindOk)


def _binding(channel: ChannelSession, queue: str, routing_key: str) -> tuple[str, str]:
    """Return queue and routing key. If both are empty, both are the last queue (AMQP 0-9-1 §1.7.2.3)."""
    name = _one_line(channel.queue_name(queue))
    return name, name if not queue and not routing_key else routing_key
