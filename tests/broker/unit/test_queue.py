"""A queue's order, limits and expiry."""

from __future__ import annotations

import pytest

from broker.errors import AmqpError
from tests.broker.unit.world import Client, World


def test_messages_are_delivered_in_the_order_of_publishing(world: World, client: Client) -> None:
    world.queue("q")
    client.publish("q", "1", "2", "3")
    assert client.drain("q") == ["1", "2", "3"]


def test_a_requeued_message_keeps_its_position(world: World, client: Client) -> None:
    world.queue("q")
    client.publish("q", "1", "2", "3", "4")
    for _ in range(3):
        client.get("q")
    client.nack(3, requeue=True)
    client.nack(1, requeue=True)
    entry = client.get("q")
    assert entry is not None
    assert (entry.message.body, entry.redelivered) == (b"1", True)
    client.nack(4, requeue=True)
    client.nack(2, requeue=True)
    assert client.drain("q") == ["1", "2", "3", "4"]


def test_higher_priorities_come_first(world: World, client: Client) -> None:
    world.queue("q", x_max_priority=5)
    for body, priority in (("none", None), ("low", 1), ("high", 5), ("beyond", 200), ("low too", 1)):
        client.publish("q", body, priority=priority)
    assert client.drain("q") == ["high", "beyond", "low", "low too", "none"]


@pytest.mark.parametrize(("limit", "left"), [({"x_max_length": 2}, ["3", "4"]), ({"x_max_length_bytes": 2}, ["3", "4"]),
                                              ({"x_max_length": 0}, [])])  # fmt: skip
def test_a_full_queue_drops_its_oldest(world: World, client: Client, limit: dict[str, int],
                                              left: list[str]) -> None:  # fmt: skip
    world.queue("q", **limit)
    client.publish("q", "1", "2", "3", "4")
    assert client.drain("q") == left


def test_unacked_messages_do_not_fill_the_queue(world: World, client: Client) -> None:
    world.queue("q", x_max_length=1)
    client.publish("q", "1")
    client.get("q")
    client.publish("q", "2")
    assert client.drain("q") == ["2"]


def test_a_full_queue_with_reject_publish_refuses(world: World, client: Client) -> None:
    world.queue("q", x_max_length=1, x_overflow="reject-publish")
    client.channel.confirm_select()
    client.publish("q", "1", "2")
    client.channel.confirms.flush()  # type: ignore[union-attr]
    assert sorted(client.sink.confirms) == [(1, False, True), (2, False, False)]
    assert client.drain("q") == ["1"]


def test_a_refused_message_can_be_dead_lettered(world: World, client: Client) -> None:
    world.queue("dead")
    world.queue("q", x_max_length=1, x_overflow="reject-publish-dlx", x_dead_letter_exchange="",
                x_dead_letter_routing_key="dead")  # fmt: skip
    client.publish("q", "1", "2")
    assert client.drain("dead") == ["2"]


def test_the_shorter_of_two_times_to_live_applies(world: World, client: Client) -> None:
    world.queue("q", x_message_ttl=5000)
    client.publish("q", "own", expiration="1000")
    client.publish("q", "queue's", expiration="60000")
    world.wait(0.9)
    assert world.vhost.queues["q"].ready_count == 2
    world.wait(0.2)
    assert world.vhost.queues["q"].ready_count == 1
    world.wait(4)
    assert world.vhost.queues["q"].ready_count == 0


def test_a_message_behind_one_with_a_longer_ttl_expires_later(world: World, client: Client) -> None:
    world.queue("q")
    client.publish("q", "long", expiration="10000")
    client.publish("q", "short", expiration="100")
    world.wait(1)
    assert world.vhost.queues["q"].ready_count == 2
    assert client.get("q", no_ack=True) is not None
    assert client.get("q") is None


def test_an_expired_message_is_never_delivered(world: World, client: Client) -> None:
    world.queue("q")
    client.publish("q", "old", expiration="100")
    world.now += 1  # no deadline has run yet
    assert client.get("q") is None


def test_a_time_to_live_of_zero_reaches_a_waiting_consumer_only(world: World, client: Client) -> None:
    world.queue("q", x_message_ttl=0)
    client.publish("q", "nobody")
    world.wait(0)
    assert world.vhost.queues["q"].ready_count == 0
    client.consume("q")
    client.publish("q", "somebody")
    assert client.sink.bodies() == ["somebody"]


def test_an_unused_queue_expires(world: World, client: Client) -> None:
    world.queue("q", x_expires=1000)
    world.wait(0.9)
    client.get("q")
    world.wait(0.9)
    assert "q" in world.vhost.queues
    client.consume("q")
    world.wait(5)
    assert "q" in world.vhost.queues
    client.channel.cancel("c", world.now)
    world.wait(1.1)
    assert "q" not in world.vhost.queues


QUORUM = {"durable": True, "x_queue_type": "quorum"}


def test_declaring_and_publishing_do_not_renew_the_lease_of_a_quorum_queue(world: World, client: Client) -> None:
    queue = world.queue("q", x_expires=20_000, x_message_ttl=5000, **QUORUM)
    for _ in range(39):
        client.publish("q", "1")
        assert world.queue("q", x_expires=20_000, x_message_ttl=5000, **QUORUM) is queue
        world.wait(0.5)
    assert "q" in world.vhost.queues
    world.wait(0.5)
    assert "q" not in world.vhost.queues


def test_declaring_renews_the_lease_of_a_classic_queue_but_publishing_does_not(world: World, client: Client) -> None:
    world.queue("declared", x_expires=2000)
    world.queue("published", x_expires=2000)
    for _ in range(10):
        world.queue("declared", x_expires=2000)
        client.publish("published", "1")
        world.wait(1)
    assert list(world.vhost.queues) == ["declared"]


def test_an_unacked_message_holds_the_lease_of_a_quorum_queue_and_settling_renews_it(
    world: World, client: Client
) -> None:
    world.queue("q", x_expires=2000, **QUORUM)
    client.publish("q", "1")
    for tag in (1, 2, 3):
        assert client.get("q") is not None
        world.wait(7)
        client.nack(tag, requeue=True)
        world.wait(1.9)
        assert "q" in world.vhost.queues
    world.wait(0.2)
    assert "q" not in world.vhost.queues


def test_an_unacked_message_does_not_hold_the_lease_of_a_classic_queue(world: World, client: Client) -> None:
    world.queue("q", x_expires=2000)
    client.publish("q", "1")
    client.get("q")
    world.wait(1.5)
    client.nack(1, requeue=True)
    world.wait(0.6)
    assert "q" not in world.vhost.queues


def test_a_message_that_a_cancelled_consumer_left_unacked_holds_the_lease_of_a_quorum_queue(
    world: World, client: Client
) -> None:
    world.queue("q", x_expires=2000, **QUORUM)
    client.publish("q", "1")
    client.consume("q")
    client.channel.cancel("c", world.now)
    world.wait(9)
    assert "q" in world.vhost.queues
    client.close()
    world.wait(1.9)
    assert "q" in world.vhost.queues
    world.wait(0.2)
    assert "q" not in world.vhost.queues


@pytest.mark.parametrize("limit", [-1, -2])
def test_a_negative_delivery_limit_is_unlimited(world: World, client: Client, limit: int) -> None:
    world.queue("q", x_delivery_limit=limit, **QUORUM)
    client.publish("q", "1")
    for tag in range(1, 30):
        entry = client.get("q")
        assert entry is not None
        assert entry.deliveries == tag - 1
        client.nack(tag, requeue=True)


def test_a_queue_type_that_is_no_string_is_refused(world: World) -> None:
    for odd in ([], {}, 1):
        with pytest.raises(AmqpError, match="x-queue-type"):
            world.queue("", x_queue_type=odd)


def test_messages_are_dead_lettered_before_their_queue_expires_after_a_machine_was_suspended(
    world: World, client: Client
) -> None:
    world.queue("q", x_expires=610_000, x_message_ttl=10_000, x_dead_letter_exchange="", x_dead_letter_routing_key="d")
    letters = world.queue("d")
    client.publish("q", *(str(n) for n in range(2000)))
    world.now += 3600
    while "q" in world.vhost.queues:
        world.wait(0.01)
    assert letters.ready_count == 2000


def test_purging_keeps_unacked_messages(world: World, client: Client) -> None:
    queue = world.queue("q")
    client.publish("q", "1", "2", "3")
    client.get("q")
    assert queue.purge() == 2
    assert (queue.ready_count, queue.unacked_count) == (0, 1)
    client.nack(1, requeue=True)
    assert client.drain("q") == ["1"]


def test_a_delivery_limit_ends_a_poison_message(world: World, client: Client) -> None:
    world.queue("dead")
    world.queue("q", durable=True, x_queue_type="quorum", x_delivery_limit=1, x_dead_letter_exchange="",
                x_dead_letter_routing_key="dead")  # fmt: skip
    client.publish("q", "poison")
    client.get("q")
    client.nack(1, requeue=True)
    entry = client.get("q")
    assert entry is not None
    assert entry.deliveries == 1
    client.nack(2, requeue=True)
    letter = client.get("dead")
    assert letter is not None
    assert letter.message.headers["x-death"][0]["reason"] == "delivery_limit"


def test_the_counters_match_the_operations(world: World, client: Client) -> None:
    queue = world.queue("q")
    client.publish("q", "1", "22", "333")
    client.get("q")
    client.get("q", no_ack=True)
    client.consume("q")
    client.nack(3, requeue=True)
    client.ack(1)
    counters = queue.counters
    assert (counters.published, counters.got, counters.got_no_ack) == (3, 1, 1)
    assert (counters.delivered, counters.redelivered, counters.acked) == (2, 1, 1)
    assert (queue.ready_count, queue.unacked_count, queue.unacked_bytes) == (0, 1, 3)


@pytest.mark.parametrize(("options", "text"), [
    ({"x_message_ttl": -1}, "{value_negative,-1}"),
    ({"x_expires": 0}, "{value_zero,0}"),
    ({"x_max_priority": 256}, "{max_value_exceeded,256}"),
    ({"x_overflow": "odd"}, "invalid_overflow"),
    ({"x_dead_letter_routing_key": "k"}, "routing_key_but_no_dlx_defined"),
    ({"x_delivery_limit": 1}, "rabbit_classic_queue"),
    ({"x_queue_type": "quorum"}, "non-durable"),
])  # fmt: skip
def test_invalid_arguments_are_refused(world: World, options: dict[str, object], text: str) -> None:
    with pytest.raises(AmqpError) as refusal:
        world.queue("q", **options)
    assert refusal.value.code == 406
    assert text in refusal.value.text
    assert "q" not in world.vhost.queues


def test_a_different_redeclaration_is_refused_and_changes_nothing(world: World) -> None:
    queue = world.queue("q", x_message_ttl=5)
    with pytest.raises(AmqpError, match="inequivalent arg 'x-message-ttl'"):
        world.queue("q")
    assert world.queue("q", x_message_ttl=5) is queue


def test_an_exclusive_queue_is_locked_to_other_connections(world: World, client: Client) -> None:
    world.queue("q", owner=client)
    with pytest.raises(AmqpError) as refusal:
        world.client().get("q")
    assert refusal.value.code == 405


def test_many_consumers_leave_one_deadline(world: World, client: Client) -> None:
    world.queue("q", x_expires=1000)
    for _ in range(50):
        client.consume("q")
        client.channel.cancel("c", world.now)
        world.wait(0.1)
    deadlines = 0
    while world.broker.next_deadline() is not None:
        world.wait(1.5)
        deadlines += 1
    assert ("q" in world.vhost.queues, deadlines) == (False, 1)


def test_a_requeue_into_a_full_queue_drops_the_oldest(world: World, client: Client) -> None:
    world.queue("q", x_max_length=2)
    client.publish("q", "1", "2")
    client.get("q")
    client.publish("q", "3")
    client.nack(1, requeue=True)
    assert client.drain("q") == ["2", "3"]
