"""Dead letters: headers, routing, and that none is lost on the way."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from broker.core.message import Entry
from tests.broker.unit.world import Client, World


def letter(client: Client, queue: str = "dead") -> Entry:
    entry = client.get(queue)
    assert entry is not None
    return entry


def deadly(world: World, name: str = "q", **options: object) -> None:
    world.queue("dead")
    world.queue(name, x_dead_letter_exchange="", x_dead_letter_routing_key="dead", **options)


def test_a_rejected_message_has_its_death_in_the_headers(world: World, client: Client) -> None:
    deadly(world)
    client.publish("q", "x", headers={"mine": 1}, message_id="m", priority=3)
    client.get("q")
    client.nack(1, requeue=False)
    message = letter(client).message
    assert message.decoded_properties()["message_id"] == "m"
    assert (message.exchange, message.routing_key, message.body) == ("", "dead", b"x")
    died = datetime.fromtimestamp(world.now, UTC)
    assert message.headers == {
        "mine": 1, "x-first-death-exchange": "", "x-first-death-queue": "q", "x-first-death-reason": "rejected",
        "x-death": [{"count": 1, "reason": "rejected", "queue": "q", "time": died, "exchange": "",
                     "routing-keys": ["q"]}],
    }  # fmt: skip


def test_an_expired_message_keeps_its_expiration_in_x_death_only(world: World, client: Client) -> None:
    deadly(world)
    client.publish("q", "x", expiration="500")
    world.wait(0.6)
    message = letter(client).message
    assert message.essentials.expiration is None
    assert message.headers["x-death"][0]["original-expiration"] == "500"
    assert message.headers["x-death"][0]["reason"] == "expired"


def test_a_message_above_the_length_limit_is_dead_lettered(world: World, client: Client) -> None:
    deadly(world, x_max_length=1)
    client.publish("q", "1", "2")
    message = letter(client).message
    assert (message.body, message.headers["x-death"][0]["reason"]) == (b"1", "maxlen")


def test_deaths_are_counted_by_queue_and_reason_and_the_newest_is_first(world: World, client: Client) -> None:
    deadly(world)
    client.publish("q", "x")
    for _ in range(2):
        tag = client.channel.get(world.vhost.queue("q"), False, world.now)
        assert tag is not None
        client.nack(tag[0], requeue=False)
        dead = client.channel.get(world.vhost.queue("dead"), True, world.now)
        assert dead is not None
        message = dead[1].message
        client.channel.publish(type(message)("", "q", message.properties, b"x"), False, world.now)
    assert [(death["queue"], death["count"]) for death in message.headers["x-death"]] == [("q", 2)]


@pytest.mark.parametrize(("sent", "merged"), [
    ([("q", None), ("q", None)], [("q", 3)]),
    ([("q", 5), ("q", 2)], [("q", 6)]),
    ([("o", None), ("p", 4), ("o", 7)], [("q", 1), ("o", 2), ("p", 4)]),
    ([("q", "odd"), ("o", 3)], [("q", 1), ("o", 3)]),
])  # fmt: skip
def test_repeated_deaths_that_a_client_sent_are_merged(
    world: World, client: Client, sent: list[tuple[str, object]], merged: list[tuple[str, int]]
) -> None:
    deadly(world)
    deaths = [{"queue": queue, "reason": "rejected", **({} if count is None else {"count": count})}
              for queue, count in sent]  # fmt: skip
    client.publish("q", "x", headers={"x-death": ["no table", *deaths]})
    client.get("q")
    client.nack(1, requeue=False)
    found = letter(client).message.headers["x-death"]
    assert [(death["queue"], death["count"]) for death in found] == merged


def test_a_retry_cycle_returns_the_message_until_it_is_rejected(world: World, client: Client) -> None:
    world.queue("work")
    world.queue("retry", x_message_ttl=1000, x_dead_letter_exchange="")
    world.vhost.declare_exchange("ladder", "topic")
    world.vhost.bind("ladder", "queue", "retry", "#")
    for _ in range(3):
        client.publish("work", "x", exchange="ladder")
        world.wait(1.1)
        assert client.drain("work") == ["x"]


def test_an_automatic_cycle_drops_the_message(world: World, client: Client) -> None:
    world.queue("loop", x_message_ttl=10, x_dead_letter_exchange="")
    client.publish("loop", "x")
    world.wait(5)
    assert world.vhost.queues["loop"].ready_count == 0


def test_a_cycle_with_a_reject_continues(world: World, client: Client) -> None:
    world.queue("loop", x_dead_letter_exchange="")
    client.publish("loop", "x")
    for tag in (1, 2, 3):
        client.get("loop")
        client.nack(tag, requeue=False)
    assert world.vhost.queues["loop"].ready_count == 1


def test_without_a_dead_letter_routing_key_a_letter_keeps_its_keys_and_copies(world: World, client: Client) -> None:
    for name in ("q", "a", "b"):
        world.queue(name, **({"x_dead_letter_exchange": "dlx"} if name == "q" else {}))
    world.vhost.declare_exchange("dlx", "direct")
    world.vhost.bind("dlx", "queue", "a", "q")
    world.vhost.bind("dlx", "queue", "b", "copy")
    client.publish("q", "x", headers={"CC": ["copy"]})
    client.get("q")
    client.nack(1, requeue=False)
    assert (client.drain("a"), client.drain("b")) == (["x"], ["x"])


def test_without_a_dead_letter_exchange_the_letter_is_dropped(world: World, client: Client) -> None:
    world.queue("q", x_dead_letter_exchange="gone")
    client.publish("q", "x")
    client.get("q")
    client.nack(1, requeue=False)
    assert world.vhost.queues["q"].ready_count == world.vhost.queues["q"].unacked_count == 0


def test_at_least_once_keeps_the_letter_until_a_queue_takes_it(world: World, client: Client) -> None:
    world.queue("q", durable=True, x_queue_type="quorum", x_dead_letter_exchange="", x_message_ttl=1000,
                x_dead_letter_routing_key="later", x_dead_letter_strategy="at-least-once",
                x_overflow="reject-publish")  # fmt: skip
    client.publish("q", "x")
    world.wait(2)
    world.queue("later", x_max_length=0, x_overflow="reject-publish")
    world.wait(10)
    world.vhost.delete_queue("later", world.now)
    world.queue("later")
    world.wait(10)
    assert client.drain("later") == ["x"]


def test_a_long_chain_of_queues_does_not_exhaust_the_stack(world: World, client: Client) -> None:
    for number in range(220):
        world.queue(f"q{number}", x_max_length=0, x_dead_letter_exchange="", x_dead_letter_routing_key=f"q{number + 1}")
    world.queue("q220")
    client.publish("q0", "x")
    assert client.drain("q220") == ["x"]


def test_a_forged_x_death_is_accepted(world: World, client: Client) -> None:
    deadly(world)
    for deaths in (3, [1], [{"queue": "q", "reason": "rejected", "count": 2**63 - 1}], [{"queue": "q"}]):
        client.publish("q", "x", headers={"x-death": deaths})
        got = client.channel.get(world.vhost.queue("q"), False, world.now)
        assert got is not None
        client.nack(got[0], requeue=False)
    assert len(client.drain("dead")) == 4
