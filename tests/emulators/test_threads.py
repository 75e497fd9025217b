"""Many threads, callbacks that fail, publish or close, and ends in the middle: nothing is lost, nothing hangs."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from emulators.kombu_emulator import Channel, Connection, Consumer, Message, Producer
from tests.support.processes import wait_until


def test_ten_thousand_messages_reach_four_consumers_once_each(connection: Connection) -> None:
    queue = connection.channel().queue_declare("many")
    got: Counter[str] = Counter()
    threads: Counter[str] = Counter()
    lock = threading.Lock()

    def count(message: Message) -> None:
        with lock:
            got[message.body] += 1
            threads[threading.current_thread().name] += 1
        message.ack()

    for _ in range(4):
        channel = connection.channel()
        channel.basic_qos(20)
        Consumer(channel, [queue], [count]).consume()

    def produce(name: str) -> None:
        producer = Producer(connection.channel(), routing_key="many")
        for number in range(2_500):
            producer.publish(f"{name} {number}")

    producers = [threading.Thread(target=produce, args=(name,)) for name in "abcd"]
    for producer in producers:
        producer.start()
    wait_until(lambda: sum(got.values()) >= 10_000, 60, "10,000 messages")
    assert got == Counter({f"{name} {number}": 1 for name in "abcd" for number in range(2_500)})
    assert len(threads) == 4


def test_a_failing_callback_stops_nothing_and_its_message_is_a_dead_letter(
    channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    queue, dead = channel.queue_declare("work", arguments=arguments), channel.queue_declare("dead")
    done: list[Any] = []

    def work(message: Message) -> None:
        done.append(1 / message.body)
        message.ack()

    Consumer(channel, [queue], [work]).consume()
    for number in (1, 0, 2):
        queue.put(Message(number))
    wait_until(lambda: len(done) == 2, 20, "the others")
    assert done == [1, 0.5]
    assert dead.get(timeout=20).body == 0
    assert "A callback failed with a message of queue 'work'" in caplog.text


def test_without_dead_letters_a_failed_message_comes_again_once_the_channel_is_closed(connection: Connection) -> None:
    channel = connection.channel()
    queue = channel.queue_declare("work")
    queue.put(Message("poison"))
    failed = threading.Event()

    def fail(message: Message) -> None:
        failed.set()
        raise ValueError(message.body)

    Consumer(channel, [queue], [fail]).consume()
    assert failed.wait(20)
    channel.close()
    assert connection.channel().queue_declare("work").get().delivery_info["redelivered"]


def test_with_no_ack_a_message_is_settled_before_its_callback_has_it(connection: Connection) -> None:
    channel = connection.channel()
    queue = channel.queue_declare("work")
    failed = threading.Event()

    def fail(message: Message) -> None:
        failed.set()
        raise ValueError(message.body)

    Consumer(channel, [queue], [fail], no_ack=True).consume()
    queue.put(Message("gone"))
    assert failed.wait(20)
    channel.close()
    assert connection.channel().queue_declare("work").empty()


@pytest.mark.parametrize("no_ack", [False, True])
def test_closing_finishes_the_message_in_hand_and_returns_the_rest_in_order(
    connection: Connection, no_ack: bool
) -> None:
    channel, other = connection.channel(), connection.channel()
    queue = other.queue_declare("work")
    for number in range(100):
        queue.put(Message(number))
    began, go_on = threading.Event(), threading.Event()
    done: list[int] = []

    def work(message: Message) -> None:
        began.set()
        assert go_on.wait(20)
        message.ack()
        done.append(message.body)

    Consumer(channel, [queue], [work], no_ack=no_ack).consume()
    assert began.wait(20)
    closing = threading.Thread(target=channel.close)
    closing.start()
    wait_until(lambda: not channel.vhost.queue("work").consumers, 20, "the consumer being cancelled")
    go_on.set()
    closing.join(20)
    assert not closing.is_alive()
    rest = [queue.get().body for _ in range(queue.qsize())]
    assert done + rest == list(range(100))
    assert 0 < len(done) < 100


def test_callbacks_may_publish_and_declare(channel: Channel) -> None:
    queue = channel.queue_declare("countdown")
    seen: list[int] = []

    def count_down(message: Message) -> None:
        seen.append(message.body)
        if message.body:
            channel.queue_declare(f"step {message.body}").put(Message("here"))
            Producer(channel, routing_key="countdown").publish(message.body - 1)
        message.ack()

    Consumer(channel, [queue], [count_down]).consume()
    queue.put(Message(50))
    wait_until(lambda: seen == list(range(50, -1, -1)), 20, "the countdown")
    assert channel.queue_declare("step 7").qsize() == 1


def test_callbacks_may_disconnect_even_two_at_once(connection: Connection) -> None:
    both = threading.Barrier(2, timeout=20)
    ended: list[str] = []

    def end(message: Message) -> None:
        both.wait()
        connection.disconnect()
        ended.append(message.body)

    for name in ("a", "b"):
        channel = connection.channel()
        queue = channel.queue_declare(name)
        Consumer(channel, [queue], [end]).consume()
        queue.put(Message(name))
    wait_until(lambda: sorted(ended) == ["a", "b"], 20, "both callbacks")


def test_a_queue_with_several_callbacks_calls_them_in_turn(channel: Channel) -> None:
    queue = channel.queue_declare("several")
    called: list[str] = []
    consumer = Consumer(channel, [queue], [lambda _: called.append("first")])
    consumer.register_callback(lambda message: (called.append("second"), message.ack()))
    consumer.consume()
    consumer.consume()  # it consumes already
    assert len(channel.vhost.queue("several").consumers) == 1
    queue.put(Message(1))
    wait_until(lambda: called == ["first", "second"], 20, "both")


def test_connections_of_a_process_share_its_broker(connection: Connection, unique_name: str) -> None:
    connection.channel().queue_declare("common").put(Message("over there"))
    with Connection(virtual_host=unique_name) as other:
        assert other.channel().queue_declare("common").get().body == "over there"
    with Connection(hostname="elsewhere", virtual_host=unique_name) as stranger:
        assert stranger.channel().queue_declare("common").empty()
