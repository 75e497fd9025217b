"""Dead letters: every reason, and the x-death header (RabbitMQ docs: dead letter exchanges)."""

from __future__ import annotations

from typing import Any

import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp import Message, Subscription, bodies, publish_confirmed, take, wait_ready


@pytest.fixture
def dead(channel: BlockingChannel, unique_name: str) -> str:
    """Declare the queue of the dead letters."""
    name = f"{unique_name}-dead"
    channel.queue_declare(name)
    return name


def source(channel: BlockingChannel, name: str, dead: str, **arguments: Any) -> str:
    """Declare a queue whose dead letters go to the queue `dead`."""
    rules = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
    channel.queue_declare(name, arguments=rules | {f"x-{key.replace('_', '-')}": arguments[key] for key in arguments})
    return name


def reject(channel: BlockingChannel, queue: str, count: int = 1) -> None:
    for message in take(channel, queue, count, auto_ack=False):
        channel.basic_reject(message.tag, requeue=False)


def death(message: Message, index: int = 0) -> dict[str, Any]:
    """Return one entry of x-death, without its time."""
    entry = dict(message.headers["x-death"][index])
    entry.pop("time")
    return entry


def test_a_rejected_message_is_dead_lettered_with_x_death(
    channel: BlockingChannel, unique_name: str, dead: str
) -> None:
    queue = source(channel, unique_name, dead)
    publish_confirmed(channel, queue, "x", headers={"mine": 1}, message_id="m")
    reject(channel, queue)
    message = take(channel, dead, 1)[0]
    assert death(message) == {
        "count": 1, "reason": "rejected", "queue": queue, "exchange": "", "routing-keys": [queue],
    }  # fmt: skip
    assert message.headers["x-first-death-reason"] == "rejected"
    assert message.headers["x-first-death-queue"] == queue
    assert message.headers["x-first-death-exchange"] == ""
    assert message.headers["mine"] == 1
    assert (message.properties.message_id, message.exchange, message.routing_key) == ("m", "", dead)


def test_an_expired_message_has_its_expiration_in_x_death_only(
    channel: BlockingChannel, unique_name: str, dead: str
) -> None:
    queue = source(channel, unique_name, dead)
    publish_confirmed(channel, queue, "x", expiration="50")
    message = take(channel, dead, 1)[0]
    assert message.properties.expiration is None
    assert death(message) == {
        "count": 1, "reason": "expired", "queue": queue, "exchange": "", "routing-keys": [queue],
        "original-expiration": "50",
    }  # fmt: skip


def test_a_queues_ttl_dead_letters_in_order(channel: BlockingChannel, unique_name: str, dead: str) -> None:
    queue = source(channel, unique_name, dead, message_ttl=100)
    publish_confirmed(channel, queue, *"123")
    letters = take(channel, dead, 3)
    assert bodies(letters) == ["1", "2", "3"]
    assert "original-expiration" not in letters[0].headers["x-death"][0]


def test_the_oldest_message_of_a_full_queue_is_dead_lettered(
    channel: BlockingChannel, unique_name: str, dead: str
) -> None:
    queue = source(channel, unique_name, dead, max_length=2)
    publish_confirmed(channel, queue, *"1234")
    letters = take(channel, dead, 2)
    assert bodies(letters) == ["1", "2"]
    assert death(letters[0])["reason"] == "maxlen"
    assert bodies(take(channel, queue, 2)) == ["3", "4"]


def test_the_newest_message_is_dead_lettered_by_reject_publish_dlx(
    channel: BlockingChannel, unique_name: str, dead: str
) -> None:
    queue = source(channel, unique_name, dead, max_length=1, overflow="reject-publish-dlx")
    publish_confirmed(channel, queue, "1")
    wait_ready(channel, queue, 1)
    channel.connection.channel().basic_publish("", queue, b"2")
    letter = take(channel, dead, 1)[0]
    assert (letter.body, death(letter)["reason"]) == (b"2", "maxlen")
    assert bodies(take(channel, queue, 1)) == ["1"]


def test_without_a_dead_letter_routing_key_the_messages_own_is_kept(
    channel: BlockingChannel, unique_name: str, dead: str
) -> None:
    exchange = f"{unique_name}-x"
    channel.exchange_declare(exchange, "direct")
    channel.queue_bind(dead, exchange, unique_name)
    channel.queue_declare(unique_name, arguments={"x-dead-letter-exchange": exchange})
    publish_confirmed(channel, unique_name, "x")
    reject(channel, unique_name)
    message = take(channel, dead, 1)[0]
    assert (message.exchange, message.routing_key) == (exchange, unique_name)


def test_a_missing_dead_letter_exchange_drops_the_message(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(unique_name, arguments={"x-dead-letter-exchange": f"{unique_name}-missing"})
    publish_confirmed(channel, unique_name, "x")
    reject(channel, unique_name)
    wait_ready(channel, unique_name, 0)
    assert channel.is_open


def test_a_repeated_death_increments_its_count(channel: BlockingChannel, unique_name: str, dead: str) -> None:
    queue = source(channel, unique_name, dead)
    publish_confirmed(channel, queue, "x")
    for _ in range(3):
        reject(channel, queue)
        letter = take(channel, dead, 1)[0]
        channel.basic_publish("", queue, letter.body, letter.properties)
    reject(channel, queue)
    letter = take(channel, dead, 1)[0]
    assert len(letter.headers["x-death"]) == 1
    assert death(letter)["count"] == 4


def test_the_latest_death_comes_first(channel: BlockingChannel, unique_name: str, dead: str) -> None:
    waiting = source(channel, f"{unique_name}-wait", unique_name, message_ttl=50)
    source(channel, unique_name, dead)
    publish_confirmed(channel, waiting, "x")
    reject(channel, unique_name)
    letter = take(channel, dead, 1)[0]
    assert [(entry["reason"], entry["queue"]) for entry in letter.headers["x-death"]] == [
        ("rejected", unique_name),
        ("expired", waiting),
    ]
    assert letter.headers["x-first-death-reason"] == "expired"
    assert letter.headers["x-first-death-queue"] == waiting


def test_a_retry_cycle_returns_the_message(channel: BlockingChannel, unique_name: str) -> None:
    ladder = source(channel, f"{unique_name}-ladder", unique_name, message_ttl=100)
    source(channel, unique_name, ladder)
    publish_confirmed(channel, unique_name, "x")
    for attempt in range(1, 4):
        reject(channel, unique_name)
        message = take(channel, unique_name, 1, auto_ack=False)[0]
        assert [entry["count"] for entry in message.headers["x-death"]] == [attempt, attempt]
        channel.basic_nack(message.tag, requeue=True)


def test_a_dead_letter_cycle_without_a_rejection_drops_the_message(channel: BlockingChannel, unique_name: str) -> None:
    channel.queue_declare(
        unique_name,
        arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": unique_name, "x-message-ttl": 50},
    )
    witness = f"{unique_name}-witness"
    source(channel, f"{unique_name}-w", witness, message_ttl=300)
    channel.queue_declare(witness)
    publish_confirmed(channel, unique_name, "dropped")
    publish_confirmed(channel, f"{unique_name}-w", "later")
    take(channel, witness, 1)
    wait_ready(channel, unique_name, 0)


def test_dead_letters_go_to_every_queue_bound(channel: BlockingChannel, unique_name: str, dead: str) -> None:
    exchange, second = f"{unique_name}-x", f"{unique_name}-dead2"
    channel.exchange_declare(exchange, "fanout")
    channel.queue_declare(second)
    for name in (dead, second):
        channel.queue_bind(name, exchange)
    channel.queue_declare(unique_name, arguments={"x-dead-letter-exchange": exchange})
    publish_confirmed(channel, unique_name, "x")
    reject(channel, unique_name)
    assert bodies(take(channel, dead, 1) + take(channel, second, 1)) == ["x", "x"]


def test_a_dead_letter_keeps_cc_and_hidden_bcc_keys(channel: BlockingChannel, unique_name: str, dead: str) -> None:
    channel.exchange_declare(unique_name, "direct")
    name = f"{unique_name}-source"
    channel.queue_declare(name, arguments={"x-dead-letter-exchange": unique_name})
    channel.queue_bind(dead, unique_name, "hidden")
    headers = {"CC": ["seen"], "BCC": ["hidden"]}
    publish_confirmed(channel, name, "x", headers=headers)
    reject(channel, name)
    letter = take(channel, dead, 1)[0]
    assert letter.headers["CC"] == ["seen"]
    assert "BCC" not in letter.headers
    assert death(letter)["routing-keys"] == [name, "seen"]


def test_a_dead_letter_routing_key_replaces_all_copies(channel: BlockingChannel, unique_name: str, dead: str) -> None:
    name, seen = source(channel, unique_name, dead), f"{unique_name}-seen"
    channel.queue_declare(seen)
    publish_confirmed(channel, name, "x", headers={"CC": [seen], "BCC": [seen]})
    take(channel, seen, 1)
    reject(channel, name)
    assert "CC" not in take(channel, dead, 1)[0].headers
    wait_ready(channel, seen, 0)


def test_rejected_together_the_highest_priority_is_dead_lettered_first(
    channel: BlockingChannel, unique_name: str, dead: str
) -> None:
    name = source(channel, unique_name, dead, max_priority=3)
    subscription = Subscription(channel, name)
    publish_confirmed(channel, name, "low", priority=1)
    publish_confirmed(channel, name, "high", priority=3)
    assert bodies(subscription.wait(2)) == ["low", "high"]
    channel.basic_nack(subscription.messages[-1].tag, multiple=True, requeue=False)
    assert bodies(take(channel, dead, 2)) == ["high", "low"]


def test_repeated_deaths_that_a_client_sent_are_merged(channel: BlockingChannel, unique_name: str, dead: str) -> None:
    queue = source(channel, unique_name, dead)
    counts: list[tuple[str, dict[str, int]]] = [(queue, {"count": 5}), ("other", {}), (queue, {"count": 2}),
                                                ("other", {}), ("third", {"count": 4})]  # fmt: skip
    sent = [{"queue": name, "reason": "rejected", **count} for name, count in counts]
    publish_confirmed(channel, queue, "x", headers={"x-death": sent})
    reject(channel, queue)
    deaths = take(channel, dead, 1)[0].headers["x-death"]
    assert (deaths[0]["queue"], len(deaths)) == (queue, 3)  # 3.10.8 reverses the others with each death
    assert {death["queue"]: death["count"] for death in deaths} == {queue: 6, "other": 2, "third": 4}
