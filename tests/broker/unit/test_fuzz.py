"""Random, damaged conversations: connections close cleanly, and the queues' counts stay consistent."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from pamqp import commands

from amqp_wire.frames import HEARTBEAT_FRAME, content_frames, method_frame
from amqp_wire.properties import PROPERTIES, encode
from broker.core.broker import Broker
from broker.protocol.methods import encode_method
from tests.broker.unit.test_session import Wire, broker

_NAMES = ["a", "b", "c", "amq.direct", "amq.topic", "amq.headers", "", "amq.fanout", "x" * 255, "amq.rabbitmq.reply-to"]
_ARGUMENTS: dict[str, list[object]] = {
    "x-message-ttl": [0, 10, -1, "x", True], "x-max-length": [0, 1, 5, "a"], "x-expires": [1, 1000, 0],
    "x-dead-letter-exchange": ["", "amq.topic", 1, "a"], "x-max-priority": [1, 5, 300],
    "x-queue-type": ["quorum", "classic", "stream", 3], "x-single-active-consumer": [True, 1],
    "x-overflow": ["reject-publish", "reject-publish-dlx", 1], "x-match": ["any", "all", 3, "all-with-x"],
    "h": [1, None, b"\xff", [1, {}], 1.5], "alternate-exchange": ["a", "amq.fanout", 2], "x-delivery-limit": [1, -1],
    "x-priority": [1, "a", -5], "x-dead-letter-strategy": ["at-least-once"],
}  # fmt: skip
_DEATHS = [[{"queue": "a", "reason": "expired", "count": 2**63 - 1}], 3, [1], [{"count": "x", "queue": "a"}]]


class Talker:
    """A client that sends random methods, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def name(self) -> str:
        return self.random.choice(_NAMES)

    def maybe(self) -> bool:
        return self.random.random() < 0.3

    def arguments(self) -> dict[str, object]:
        chosen = self.random.sample(list(_ARGUMENTS), self.random.randint(0, 4))
        return {name: self.random.choice(_ARGUMENTS[name]) for name in chosen}

    def method(self, kind: type, *values: object) -> bytes:
        channel = self.random.choice([1, 1, 1, 2, 3, 0, 65535])
        return method_frame(channel, encode_method(kind, *values))

    def publish(self) -> bytes:
        properties: dict[str, object] = {"headers": self.arguments()} if self.maybe() else {}
        optional: dict[str, list[object]] = {
            "expiration": ["0", "1", "abc", ""], "priority": [0, 9], "delivery_mode": [1, 2, 9],
            "user_id": ["guest", "x"], "reply_to": ["amq.rabbitmq.reply-to"],
            "headers": [{"CC": ["a", "b"]}, {"CC": "x"}, {"BCC": ["c", 1]}, *({"x-death": one} for one in _DEATHS)],
        }  # fmt: skip
        properties |= {name: self.random.choice(values) for name, values in optional.items() if self.maybe()}
        exchange = self.random.choice(["", self.name()])
        payload = encode_method(commands.Basic.Publish, 0, exchange, self.name(), self.maybe(), False)
        body = bytes(self.random.choice([0, 1, 100, 5000]))
        return content_frames(1, payload, encode(map(properties.get, PROPERTIES)), body, 4096)

    def frame(self) -> bytes:
        say, name, maybe, table = self.method, self.name, self.maybe, self.arguments
        tag = self.random.choice([0, 1, 2, 3, 5, 2**63])
        says: list[Callable[[], bytes]] = [
            lambda: say(commands.Channel.Open, ""),
            lambda: say(commands.Channel.Close, 200, "", 0, 0),
            lambda: say(commands.Channel.CloseOk),
            lambda: say(commands.Channel.Flow, maybe()),
            lambda: say(commands.Exchange.Declare, 0, name(), self.random.choice(["direct", "topic", "odd"]), maybe(),
                        maybe(), maybe(), maybe(), maybe(), table()),
            lambda: say(commands.Exchange.Delete, 0, name(), maybe(), maybe()),
            lambda: say(commands.Exchange.Bind, 0, name(), name(), name(), maybe(), table()),
            lambda: say(commands.Queue.Declare, 0, name(), maybe(), maybe(), maybe(), maybe(), maybe(), table()),
            lambda: say(commands.Queue.Declare, 0, name(), False, False, False, False, False, table()),
            lambda: say(commands.Queue.Bind, 0, name(), name(), self.random.choice(["#", "*.a", "a.#.b"]), maybe(),
                        table()),
            lambda: say(commands.Queue.Purge, 0, name(), maybe()),
            lambda: say(commands.Queue.Delete, 0, name(), maybe(), maybe(), maybe()),
            lambda: say(commands.Basic.Qos, 0, self.random.choice([0, 1, 5]), maybe()),
            lambda: say(commands.Basic.Consume, 0, name(), self.random.choice(["", "t", "u"]), maybe(), maybe(),
                        maybe(), maybe(), table()),
            lambda: say(commands.Basic.Cancel, "t", maybe()),
            lambda: say(commands.Basic.Get, 0, name(), maybe()),
            lambda: say(commands.Basic.Ack, tag, maybe()),
            lambda: say(commands.Basic.Nack, tag, maybe(), maybe()),
            lambda: say(commands.Basic.Recover, True),
            lambda: say(commands.Confirm.Select, maybe()),
            lambda: say(commands.Tx.Select),
            lambda: say(commands.Tx.Commit),
            lambda: say(commands.Tx.Rollback),
            self.publish, self.publish, self.publish,
            lambda: HEARTBEAT_FRAME,
        ]  # fmt: skip
        return self.random.choice(says)()

    def damaged(self, data: bytes) -> bytes:
        """Change, drop or add bytes now and then."""
        if self.random.random() < 0.6:
            return data
        changed = bytearray(data)
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randrange(len(changed))
            how = self.random.random()
            if how < 0.6:
                changed[at] = self.random.randrange(256)
            elif how < 0.8 and len(changed) > 1:
                del changed[at]
            else:
                changed.insert(at, self.random.randrange(256))
        return bytes(changed)


def converse(made: Broker, seed: int, now: float) -> None:
    """Log in properly, then send random and damaged methods in random pieces."""
    talker, wire_end = Talker(seed), Wire(made)
    wire_end.log_in()
    wire_end.say(1, commands.Channel.Open, "")
    stream = b"".join(talker.damaged(talker.frame()) for _ in range(talker.random.randint(1, 30)))
    at = 0
    while at < len(stream) and not wire_end.closed:
        size = talker.random.choice([1, 50, 1000, len(stream)])
        wire_end.connection.receive(stream[at : at + size], now)
        at += size
        if talker.maybe():
            wire_end.connection.take_output()
        now += talker.random.choice([0.01, 3.0])
        made.tick(now)
    wire_end.connection.end(now)


def check_books(made: Broker) -> None:
    """Check that without clients nothing is unacked or consumed, and that the counts match the messages."""
    for queue in made.vhosts["/"].queues.values():
        waiting = list(queue.ready)
        assert (queue.ready_count, queue.ready_bytes) == (len(waiting), sum(one.message.size for one in waiting))
        assert (queue.unacked_count, queue.unacked_bytes, queue.consumers) == (0, 0, [])


@pytest.mark.parametrize("sequences", [500, pytest.param(1_000_000, marks=(pytest.mark.soak, pytest.mark.timeout(0)))])
def test_damaged_conversations_end_cleanly(sequences: int) -> None:
    now = 1000.0
    for seed in range(sequences):
        if seed % 50 == 0:
            made = broker()
        try:
            converse(made, seed, now)
            check_books(made)
        except Exception as error:
            error.add_note(f"seed {seed}, first of its broker: {seed - seed % 50}")
            raise
        now += 100
