"""The publishing half of a channel: checks, returns and confirms messages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from broker.core import checks
from broker.core.confirms import Confirms
from broker.core.exchanges import Topic
from broker.core.message import Message
from broker.core.users import User
from broker.core.vhost import Vhost
from broker.errors import AmqpError

if TYPE_CHECKING:
    from broker.core.sink import Sink


class Publisher:
    """Publishes a channel's messages. `confirms` is None until `select`; `published` counts messages."""

    def __init__(self, vhost: Vhost, user: User, sink: Sink) -> None:
        self.confirms: Confirms | None = None
        self.published = 0
        self._vhost = vhost
        self._user = user
        self._sink = sink
        self._batch = -1
        self._batched: list[int] = []

    def select(self) -> None:
        """Turn on confirms. A second call has no effect."""
        self.confirms = self.confirms or Confirms(self._sink.confirmed)

    def check_exchange(self, message: Message) -> None:
        """Raise AmqpError 403 or 404 unless the user may publish to the message's exchange."""
        self._user.require("write", "exchange", message.exchange, self._vhost.name)
        exchange = self._vhost.public_exchange(message.exchange)
        if exchange.type == Topic.type:
            self._user.require_topic("write", exchange.name, message.routing_key, self._vhost.name)

    def accept(self, message: Message) -> int:
        """Check a message and number it; 0 without confirms. Raises AmqpError 406."""
        needed = message.essentials
        if needed.user_id is not None and needed.user_id != self._user.name and "impersonator" not in self._user.tags:
            raise AmqpError(406, f"user_id property set to '{needed.user_id}' but authenticated user was "
                                 f"'{self._user.name}'")  # fmt: skip
        if needed.expiration is not None:
            checks.check_expiration(needed.expiration)
        if needed.headers is not None and b"CC" in needed.headers:
            checks.check_copies(message)
            message.hide_blind_copies()
        self.published += 1
        return 0 if self.confirms is None else self.confirms.next()

    def route(self, tag: int, message: Message, mandatory: bool, now: float) -> None:
        """Publish to the message's exchange and return an unroutable mandatory message. Confirm now, or after the
        commit if the journal recorded something. Raises AmqpError 403, 404.
        """
        journal = self._vhost.journal
        before = journal.records
        routing = self._vhost.publish(message, now)
        if mandatory and not (routing.queues or routing.refused):
            self._sink.returned(message, AmqpError(312, "NO_ROUTE"))
        if not tag or self.confirms is None:
            return
        if routing.refused:
            self.confirms.refuse(tag)
        elif journal.records == before:
            self.confirms.confirm(tag)
            self._sink.confirms_due()
        else:
            self._confirm_on_commit(tag)

    def _confirm_on_commit(self, tag: int) -> None:
        journal = self._vhost.journal
        if self._batch != journal.batch:
            self._batch = journal.batch
            self._batched = []
            journal.on_commit(partial(self._committed, self._batched))
        self._batched.append(tag)

    def _committed(self, tags: list[int]) -> None:
        if self.confirms is not None:
            for tag in tags:
                self.confirms.confirm(tag)
            self._sink.confirms_due()
