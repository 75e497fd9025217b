"""Consuming: tags, prefetch, cancellation, exclusivity, priority, single active consumers."""

from __future__ import annotations

from collections.abc import Callable

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import Subscription, bodies, publish, publish_confirmed, ready, refused, wait_ready
from tests.support.processes import wait_until

Connect = Callable[..., pika.BlockingConnection]


def test_consuming_a_missing_queue_is_404(channel: BlockingChannel, unique_name: str) -> None:
    with refused(404) as refusal:
        channel.basic_consume(unique_name, lambda *_: None)
    assert refusal.text == f"NOT_FOUND - no queue '{unique_name}' in vhost '/'"


def test_the_broker_names_a_consumer_without_a_tag(channel: BlockingChannel, queue: str) -> None:
    names: list[str] = []
    channel._impl.add_callback(lambda frame: names.append(frame.method.consumer_tag), [pika.spec.Basic.ConsumeOk])
    channel._impl._send_method(pika.spec.Basic.Consume(queue=queue, consumer_tag=""))
    wait_until(lambda: channel.connection.process_data_events(0) or names, 20, "basic.consume-ok")
    assert names[0].startswith("amq.ctag-")


def test_a_consumer_tag_in_use_closes_the_connection(channel: BlockingChannel, queue: str) -> None:
    channel.basic_consume(queue, lambda *_: None, consumer_tag="twice")
    raw = channel._impl
    with refused(530) as refusal:
        raw._send_method(pika.spec.Basic.Consume(queue=queue, consumer_tag="twice"))
        channel.connection.process_data_events(5)
    assert refusal.connection_closed
    assert refusal.text == "NOT_ALLOWED - attempt to reuse consumer tag 'twice'"


def test_messages_arrive_in_order_and_are_counted_as_unacknowledged(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "1", "2", "3")
    subscription = Subscription(channel, queue)
    assert bodies(subscription.wait(3)) == ["1", "2", "3"]
    assert [message.tag for message in subscription.messages] == [1, 2, 3]
    assert ready(channel, queue) == 0


def test_prefetch_bounds_what_a_consumer_holds(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, *"12345")
    channel.basic_qos(prefetch_count=2)
    subscription = Subscription(channel, queue)
    subscription.wait(2)
    assert len(subscription.nothing_more(2)) == 2
    assert ready(channel, queue) == 3
    channel.basic_ack(1)
    assert bodies(subscription.wait(3)) == ["1", "2", "3"]
    subscription.nothing_more(3)
    channel.basic_ack(3, multiple=True)
    assert bodies(subscription.wait(5)) == list("12345")


def test_a_prefetch_counts_for_each_consumer_and_only_later_ones(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=1)
    limited = Subscription(channel, queue)
    channel.basic_qos(prefetch_count=0)
    publish_confirmed(channel, queue, *"123")
    limited.wait(1)
    limited.nothing_more(1)
    free = Subscription(channel, queue)
    assert bodies(free.wait(2)) == ["2", "3"]


def test_a_global_prefetch_is_shared_by_the_channels_consumers(channel: BlockingChannel, unique_name: str) -> None:
    names = [f"{unique_name}-{number}" for number in (1, 2)]
    for name in names:
        channel.queue_declare(name)
        publish_confirmed(channel, name, *"123")
    channel.basic_qos(prefetch_count=2, global_qos=True)
    first, second = (Subscription(channel, name) for name in names)
    first.until(lambda: len(first.messages) + len(second.messages) == 2)
    first.nothing_more(len(first.messages))
    second.nothing_more(2 - len(first.messages))


def test_a_global_prefetch_serves_consumers_round_robin(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=2, global_qos=True)
    turns: list[int] = []

    def consumer(number: int) -> Callable[..., None]:
        def took(_: object, method: pika.spec.Basic.Deliver, *__: object) -> None:
            turns.append(number)
            channel.basic_ack(method.delivery_tag)

        return took

    for number in range(3):
        channel.basic_consume(queue, consumer(number))
    publish(channel, queue, *(str(number) for number in range(30)))
    wait_until(lambda: channel.connection.process_data_events(0) or len(turns) == 30, 20, "30 deliveries")
    assert [turns.count(number) for number in range(3)] == [10, 10, 10]


def test_queues_share_a_global_prefetch(channel: BlockingChannel, unique_name: str) -> None:
    names = [f"{unique_name}-{number}" for number in range(2)]
    channel.basic_qos(prefetch_count=1, global_qos=True)
    taken: list[str] = []

    def took(_: object, method: pika.spec.Basic.Deliver, __: object, body: bytes) -> None:
        taken.append(body.decode())
        channel.basic_ack(method.delivery_tag)

    for name in names:
        channel.queue_declare(name)
        publish_confirmed(channel, name, *[name] * 50)
        channel.basic_consume(name, took)
    wait_until(lambda: channel.connection.process_data_events(0) or len(taken) == 100, 20, "100 deliveries")
    assert set(taken[:50]) == set(names), "one queue waited until the other was empty"


def test_a_consumer_without_acknowledgements_waits_for_the_global_prefetch(
    channel: BlockingChannel, queue: str
) -> None:
    channel.basic_qos(prefetch_count=2, global_qos=True)
    free = Subscription(channel, queue, auto_ack=True)
    bound = Subscription(channel, queue)
    publish_confirmed(channel, queue, *"123456789")
    free.until(lambda: len(free.messages) + len(bound.messages) == 4)
    free.nothing_more(2)
    bound.nothing_more(2)
    channel.basic_ack(bound.messages[0].tag)
    free.until(lambda: len(free.messages) + len(bound.messages) > 4)


def test_without_acknowledgements_prefetch_has_no_effect(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=1)
    publish(channel, queue, *"12345")
    subscription = Subscription(channel, queue, auto_ack=True)
    assert bodies(subscription.wait(5)) == list("12345")
    channel.close()


def test_prefetch_size_is_not_implemented(channel: BlockingChannel) -> None:
    with refused(540) as refusal:
        channel.basic_qos(prefetch_size=1000)
    assert refusal.connection_closed
    assert "prefetch_size!=0" in refusal.text


def test_messages_go_to_consumers_round_robin(channel: BlockingChannel, queue: str) -> None:
    consumers = [Subscription(channel, queue) for _ in range(3)]
    publish_confirmed(channel, queue, *"123456789")
    consumers[0].until(lambda: sum(len(one.messages) for one in consumers) == 9)
    assert [len(one.messages) for one in consumers] == [3, 3, 3]


def test_a_cancelled_consumer_keeps_what_it_holds_and_gets_no_more(channel: BlockingChannel, queue: str) -> None:
    publish(channel, queue, "held")
    subscription = Subscription(channel, queue)
    subscription.wait(1)
    channel.basic_cancel(subscription.tag)
    publish_confirmed(channel, queue, "later")
    wait_ready(channel, queue, 1)
    subscription.nothing_more(1)
    channel.basic_ack(1)


def test_a_consumer_is_cancelled_when_its_queue_is_deleted(
    connect: Connect, channel: BlockingChannel, queue: str
) -> None:
    told: list[str] = []
    channel.add_on_cancel_callback(lambda frame: told.append(frame.method.consumer_tag))
    subscription = Subscription(channel, queue)
    connect().channel().queue_delete(queue)
    subscription.until(lambda: told == [subscription.tag], message="the cancellation")
    assert channel.is_open


def test_an_exclusive_consumer_excludes_others(connect: Connect, channel: BlockingChannel, queue: str) -> None:
    subscription = Subscription(channel, queue, exclusive=True)
    with refused(403) as refusal:
        connect().channel().basic_consume(queue, lambda *_: None)
    assert refusal.text == f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"
    channel.basic_cancel(subscription.tag)
    connect().channel().basic_consume(queue, lambda *_: None)


def test_an_exclusive_consumer_requires_a_queue_without_consumers(
    connect: Connect, channel: BlockingChannel, queue: str
) -> None:
    channel.basic_consume(queue, lambda *_: None)
    with refused(403):
        connect().channel().basic_consume(queue, lambda *_: None, exclusive=True)


def test_the_consumer_of_higher_priority_is_served_first(channel: BlockingChannel, queue: str) -> None:
    channel.basic_qos(prefetch_count=2)
    low = Subscription(channel, queue)
    high = Subscription(channel, queue, arguments={"x-priority": 10})
    publish_confirmed(channel, queue, *"123")
    low.until(lambda: len(low.messages) + len(high.messages) == 3)
    assert bodies(high.messages) == ["1", "2"]
    assert bodies(low.messages) == ["3"]


def test_a_priority_that_is_no_number_is_refused(channel: BlockingChannel, queue: str) -> None:
    with refused(406) as refusal:
        channel.basic_consume(queue, lambda *_: None, arguments={"x-priority": "high"})
    assert "x-priority" in refusal.text


def test_one_single_active_consumer_is_served_at_a_time(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-single-active-consumer": True})
    first, second = (Subscription(channel, unique_name) for _ in range(2))
    publish_confirmed(channel, unique_name, *"123")
    assert bodies(first.wait(3)) == list("123")
    second.nothing_more(0)
    channel.basic_cancel(first.tag)
    publish_confirmed(channel, unique_name, "4")
    assert bodies(second.wait(1)) == ["4"]


def test_unacked_messages_of_a_closed_channel_are_requeued(
    connect: Connect, channel: BlockingChannel, queue: str
) -> None:
    publish_confirmed(channel, queue, *"123")
    other = connect().channel()
    Subscription(other, queue).wait(3)
    other.close()
    wait_ready(channel, queue, 3)
    back = Subscription(channel, queue).wait(3)
    assert bodies(back) == ["1", "2", "3"]
    assert all(message.redelivered for message in back)


def test_get_returns_the_number_of_remaining_messages(channel: BlockingChannel, queue: str) -> None:
    publish_confirmed(channel, queue, *"123")
    method, _, body = channel.basic_get(queue)
    assert (method.message_count, method.redelivered, body) == (2, False, b"1")


def test_get_from_a_missing_queue_is_404(channel: BlockingChannel, unique_name: str) -> None:
    with refused(404):
        channel.basic_get(unique_name)


def test_cancelling_an_unknown_tag_is_no_error(channel: BlockingChannel) -> None:
    answers: list[str] = []
    channel._impl.add_callback(lambda frame: answers.append(frame.method.consumer_tag), [pika.spec.Basic.CancelOk])
    channel._impl._send_method(pika.spec.Basic.Cancel(consumer_tag="nobody"))
    wait_until(lambda: channel.connection.process_data_events(0) or answers, 20, "basic.cancel-ok")
    assert answers == ["nobody"]


def test_no_local_is_accepted_and_ignored(channel: BlockingChannel, queue: str) -> None:
    channel._impl._send_method(pika.spec.Basic.Consume(queue=queue, consumer_tag="mine", no_local=True, no_ack=True))
    publish_confirmed(channel, queue, "from myself")
    wait_ready(channel, queue, 0)
    assert channel.is_open


@pytest.mark.parametrize("flow", [True, False])
def test_channel_flow_is_confirmed_but_cannot_stop_deliveries(channel: BlockingChannel, flow: bool) -> None:
    if flow:
        assert channel.flow(True) is True
        return
    with refused(540) as refusal:
        channel.flow(False)
    assert refusal.connection_closed
