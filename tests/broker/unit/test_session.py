"""A connection without sockets: the handshake, replies that wait for the disk, alarms, closing."""

from __future__ import annotations

from typing import Any

import pytest
from pamqp import commands, frame

from amqp_wire.frames import content_frames, method_frame
from broker.core.broker import Broker
from broker.core.journal import NullJournal
from broker.protocol.methods import encode_method
from broker.session.connection import Connection
from broker.session.transport import ConnectionLimits


class SlowJournal(NullJournal):
    """A journal that counts records and commits when a test calls `commit`."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def define(self, kind: str, key: str, value: dict[str, Any]) -> None:
        self.records += 1

    def on_commit(self, committed: Any) -> None:
        self.waiting.append(committed)

    def commit(self) -> None:
        """Commit everything so far."""
        waiting, self.waiting = self.waiting, []
        self.batch += 1
        for committed in waiting:
            committed()


class Wire:
    """A client's end: `say` sends, `heard` are the names of the methods received since the last call."""

    def __init__(self, broker: Broker, host: str = "127.0.0.1") -> None:
        self.alarms: set[str] = set()
        self.closed = False
        self.reading = True
        self.connection = Connection(broker, self, ConnectionLimits(), self.alarms, peer=(host, 1),
                                     local=("127.0.0.1", 2), tls=False, now=0.0)  # fmt: skip

    def flush_soon(self) -> None: ...

    def handshake_done(self, heartbeat: int) -> None:
        self.heartbeat = heartbeat

    def close_soon(self) -> None:
        self.closed = True

    def expect_close(self) -> None: ...

    def block(self) -> None:
        self.reading = False

    def send(self, data: bytes) -> None:
        self.connection.receive(data, 1.0)

    def say(self, channel: int, method: type, *values: Any) -> None:
        self.send(method_frame(channel, encode_method(method, *values)))

    def publish(self, queue: str, body: bytes) -> None:
        payload = encode_method(commands.Basic.Publish, 0, "", queue, False, False)
        self.send(content_frames(1, payload, b"\0\0", body, 4096))

    def heard(self) -> list[str]:
        return [method.name for method in self.methods()]

    def methods(self) -> list[Any]:
        data, found = self.connection.take_output(), []
        while data:
            size, _, one = frame.unmarshal(data)
            data = data[size:]
            found.append(one)
        return found

    def log_in(self, password: bytes = b"guest", vhost: str = "/") -> None:
        self.send(b"AMQP\x00\x00\x09\x01")
        capabilities = {"authentication_failure_close": True, "connection.blocked": True,
                        "consumer_cancel_notify": True}  # fmt: skip
        self.say(0, commands.Connection.StartOk, {"capabilities": capabilities}, "PLAIN", b"\0guest\0" + password,
                 "en_US")  # fmt: skip
        if self.connection.user is not None:
            self.say(0, commands.Connection.TuneOk, 10, 8192, 30)
            self.say(0, commands.Connection.Open, vhost, "", False)


def broker(journal: NullJournal | None = None) -> Broker:
    made = Broker(journal)
    made.add_vhost("/")
    made.add_user("guest", "guest")
    made.permit("guest", "/")
    return made


def opened(made: Broker) -> Wire:
    wire = Wire(made)
    wire.log_in()
    wire.say(1, commands.Channel.Open, "")
    wire.methods()
    return wire


def test_the_handshake_negotiates_limits() -> None:
    wire = Wire(broker())
    wire.log_in()
    assert wire.heard() == ["Connection.Start", "Connection.Tune", "Connection.OpenOk"]
    assert (wire.connection.frame_max, wire.connection.channel_max, wire.heartbeat) == (8192, 10, 30)
    assert wire.connection.state == "running"


def test_amqplain_is_accepted() -> None:
    wire = Wire(broker())
    wire.send(b"AMQP\x00\x00\x09\x01")
    response = b"\x05LOGINS\x00\x00\x00\x05guest\x08PASSWORDS\x00\x00\x00\x05guest"
    wire.say(0, commands.Connection.StartOk, {}, "AMQPLAIN", response, "en_US")
    assert wire.connection.user is not None


def test_a_wrong_password_is_refused_with_a_text() -> None:
    wire = Wire(broker())
    wire.log_in(password=b"wrong")
    _, close = wire.methods()
    assert (close.name, close.reply_code) == ("Connection.Close", 403)


def test_guest_may_log_in_only_from_loopback() -> None:
    wire = Wire(broker(), host="192.0.2.1")
    wire.log_in()
    assert wire.connection.user is None


@pytest.mark.parametrize("vhost", ["nowhere", "closed"])
def test_a_vhost_must_exist_and_be_permitted(vhost: str) -> None:
    made = broker()
    made.add_vhost("closed")
    wire = Wire(made)
    wire.log_in(vhost=vhost)
    assert wire.methods()[-1].reply_code == 530


def test_a_reply_to_a_durable_change_waits_for_the_disk() -> None:
    journal = SlowJournal()
    wire = opened(broker(journal))
    wire.say(1, commands.Queue.Declare, 0, "q", False, True, False, False, False, {})
    wire.say(1, commands.Basic.Get, 0, "q", False)
    assert wire.heard() == []
    journal.commit()
    assert wire.heard() == ["Queue.DeclareOk", "Basic.GetEmpty"]
    wire.say(1, commands.Basic.Get, 0, "q", False)
    assert wire.heard() == ["Basic.GetEmpty"]


def test_after_a_channel_error_the_number_can_be_reopened() -> None:
    wire = opened(broker())
    wire.say(1, commands.Basic.Get, 0, "nowhere", False)
    wire.say(1, commands.Basic.Get, 0, "nowhere", False)
    (close,) = wire.methods()
    assert (close.name, close.reply_code, close.class_id, close.method_id) == ("Channel.Close", 404, 60, 70)
    wire.say(1, commands.Channel.CloseOk)
    wire.say(1, commands.Channel.Open, "")
    assert wire.heard() == ["Channel.OpenOk"]


def test_delete_ok_precedes_the_cancel_of_the_consumer() -> None:
    wire = opened(broker())
    wire.say(1, commands.Queue.Declare, 0, "q", False, False, False, False, False, {})
    wire.say(1, commands.Basic.Consume, 0, "q", "tag", False, False, False, False, {})
    wire.say(1, commands.Queue.Delete, 0, "q", False, False, False)
    assert wire.heard() == ["Queue.DeclareOk", "Basic.ConsumeOk", "Queue.DeleteOk", "Basic.Cancel"]


def test_an_empty_name_means_the_queue_declared_last() -> None:
    wire = opened(broker())
    wire.say(1, commands.Queue.Bind, 0, "", "amq.direct", "k", False, {})
    assert wire.methods()[0].reply_code == 404
    wire.say(1, commands.Channel.CloseOk)
    wire.say(1, commands.Channel.Open, "")
    wire.say(1, commands.Queue.Declare, 0, "", False, False, True, False, False, {})
    wire.say(1, commands.Queue.Bind, 0, "", "amq.direct", "", False, {})
    _, declared, _ = wire.methods()
    (_, binding) = wire.connection.core.vhosts["/"].bindings()
    assert (binding.destination, binding.routing_key) == (declared.queue, declared.queue)


def test_an_exclusive_queue_is_deleted_with_its_connection() -> None:
    wire = opened(broker())
    wire.say(1, commands.Queue.Declare, 0, "mine", False, False, True, False, False, {})
    wire.connection.end(2.0)
    assert wire.connection.core.vhosts["/"].queues == {}


def test_an_alarm_blocks_publishers_until_it_is_cleared() -> None:
    wire = opened(broker())
    wire.say(1, commands.Queue.Declare, 0, "q", False, False, False, False, False, {})
    queue = wire.connection.core.vhosts["/"].queues["q"]
    wire.alarms.add("memory")
    wire.publish("q", b"held")
    wire.say(1, commands.Basic.Get, 0, "q", True)
    assert wire.heard() == ["Queue.DeclareOk", "Connection.Blocked"]
    assert (queue.ready_count, wire.reading, wire.connection.state) == (0, False, "blocked")
    wire.alarms.clear()
    wire.connection.unblock(2.0)
    assert wire.heard() == ["Connection.Unblocked", "Basic.GetOk", "ContentHeader", "ContentBody"]


def test_deliveries_pause_while_the_output_is_full() -> None:
    wire = opened(broker())
    wire.say(1, commands.Queue.Declare, 0, "q", False, False, False, False, False, {})
    for _ in range(30):
        wire.publish("q", b"x" * 100_000)
    wire.say(1, commands.Basic.Consume, 0, "q", "t", False, True, False, False, {})
    queue = wire.connection.core.vhosts["/"].queues["q"]
    assert 15 < queue.ready_count < 25
    wire.connection.take_output()
    wire.connection.resume_output(2.0)
    assert queue.ready_count < 15


def test_a_servers_method_from_a_client_is_refused() -> None:
    wire = opened(broker())
    wire.say(1, commands.Basic.GetEmpty, "")
    assert wire.methods()[0].reply_code == 503


def test_malformed_properties_close_the_connection() -> None:
    wire = opened(broker())
    payload = encode_method(commands.Basic.Publish, 0, "", "q", False, False)
    wire.send(content_frames(1, payload, b"\x20\x00\x00\x00\x00\x04\x01aZ!", b"", 4096))
    assert wire.methods()[0].reply_code == 501
