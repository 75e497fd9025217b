"""Direct reply-to: replies without a reply queue, by amq.rabbitmq.reply-to (RabbitMQ docs: direct-reply-to)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

from amqp_wire import properties
from amqp_wire.spans import short_string
from broker.core.message import Entry, Message
from broker.errors import AmqpError

if TYPE_CHECKING:
    from broker.core.channel import Channel
    from broker.core.vhost import Vhost

QUEUE = "amq.rabbitmq.reply-to"
PREFIX = QUEUE + "."


def open_reply(channel: Channel, tag: str, no_ack: bool) -> None:
    """Consume replies on the channel. Raises AmqpError 406, 530."""
    if channel.reply_name is not None:
        raise AmqpError(406, "reply consumer already set")
    if not no_ack:
        raise AmqpError(406, "reply consumer cannot acknowledge")
    if tag in channel.consumers:
        raise AmqpError(530, f"attempt to reuse consumer tag '{tag}'")
    channel.reply_name = PREFIX + secrets.token_urlsafe(16)
    channel.reply_tag = tag
    channel.vhost.reply_channels[channel.reply_name] = channel


def close(channel: Channel) -> None:
    """Stop consuming replies on the channel."""
    if channel.reply_name is not None:
        channel.vhost.reply_channels.pop(channel.reply_name, None)
        channel.reply_name = None
        channel.reply_tag = ""


def rewrite(channel: Channel, message: Message) -> None:
    """Replace the reply-to of a request by the channel's own reply name. Raises AmqpError 406."""
    if message.essentials.reply_to != QUEUE:
        return
    if channel.reply_name is None:
        raise AmqpError(406, "fast reply consumer does not exist")
    fields = properties.split(message.properties)
    fields["reply_to"] = short_string(channel.reply_name)
    message.properties = properties.join(fields)


def deliver(vhost: Vhost, message: Message, keys: Iterable[str]) -> None:
    """Deliver a message to each of `keys` that is a reply name with an open channel.

    A reply name is no queue: RabbitMQ returns a mandatory message (RabbitMQ docs: direct-reply-to § caveats).
    """
    for key in keys:
        if key.startswith(PREFIX):
            channel = vhost.reply_channels.get(key)
            if channel is not None and channel.sink.writable:
                channel.sink.deliver(channel.reply_tag, channel.next_tag(), Entry(message, 0, None))
