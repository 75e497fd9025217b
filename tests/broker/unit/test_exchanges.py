"""Routing: the four exchange types, exchange bindings, alternate exchanges, copies."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import AmqpError
from tests.broker.unit.world import Client, World

_words = st.sampled_from(["a", "b", "cc", ""])
_patterns = st.lists(st.sampled_from(["a", "b", "cc", "*", "#"]), max_size=5).map(".".join)


def takers(world: World, client: Client) -> set[str]:
    """Return the non-empty queues, and purge them."""
    found = {name for name, queue in world.vhost.queues.items() if queue.ready_count}
    for name in found:
        assert len(client.drain(name)) == 1, f"{name} got it more than once"
    return found


def test_the_default_exchange_routes_to_the_queue_of_that_name(world: World, client: Client) -> None:
    world.queue("q")
    world.queue("other")
    client.publish("q", "x")
    assert takers(world, client) == {"q"}


def test_direct_compares_the_whole_key(world: World, client: Client) -> None:
    for name, key in (("one", "k"), ("two", "k"), ("three", "kk")):
        world.queue(name)
        world.vhost.bind("amq.direct", "queue", name, key)
    client.publish("k", "x", exchange="amq.direct")
    assert takers(world, client) == {"one", "two"}
    world.vhost.unbind("amq.direct", "queue", "one", "k")
    client.publish("k", "x", exchange="amq.direct")
    assert takers(world, client) == {"two"}


def test_fanout_ignores_the_key(world: World, client: Client) -> None:
    for name in ("one", "two"):
        world.queue(name)
        world.vhost.bind("amq.fanout", "queue", name, name)
    client.publish("whatever", "x", exchange="amq.fanout")
    assert takers(world, client) == {"one", "two"}


def matches(pattern: str, key: str) -> bool:
    """Apply the topic rule in a simple, slow way: `#` is any number of words, `*` one."""
    words = key.split(".") if key else []
    wanted = pattern.split(".") if pattern else []

    def rest(w: int, k: int) -> bool:
        if w == len(wanted):
            return k == len(words)
        if wanted[w] == "#":
            return any(rest(w + 1, skip) for skip in range(k, len(words) + 1))
        return k < len(words) and wanted[w] in ("*", words[k]) and rest(w + 1, k + 1)

    return rest(0, 0)


@given(st.sets(_patterns, max_size=8), st.lists(_words, max_size=6).map(".".join))
def test_topic_routes_by_the_rule(patterns: set[str], key: str) -> None:
    world = World()
    client = world.client()
    for pattern in patterns:
        world.queue(f"q{pattern}")
        world.vhost.bind("amq.topic", "queue", f"q{pattern}", pattern)
    client.publish(key, "x", exchange="amq.topic")
    assert takers(world, client) == {f"q{pattern}" for pattern in patterns if matches(pattern, key)}
    for pattern in patterns:
        world.vhost.unbind("amq.topic", "queue", f"q{pattern}", pattern)
    client.publish(key, "x", exchange="amq.topic")
    assert takers(world, client) == set()


def test_a_pattern_of_many_hashes_is_fast(world: World, client: Client) -> None:
    world.queue("q")
    world.vhost.bind("amq.topic", "queue", "q", ".".join(["#", "*"] * 20))
    client.publish(".".join("w" * 60), "x", exchange="amq.topic")
    assert takers(world, client) == {"q"}


@pytest.mark.parametrize(("arguments", "headers", "goes"), [
    ({"x-match": "all", "a": 1, "b": "2"}, {"a": 1, "b": "2", "c": 3}, True),
    ({"x-match": "all", "a": 1, "b": "2"}, {"a": 1}, False),
    ({"a": 1}, {"a": 1}, True),
    ({"x-match": "any", "a": 1, "b": "2"}, {"b": "2"}, True),
    ({"x-match": "any", "a": 1}, {"a": 2}, False),
    ({"x-match": "any"}, {"a": 2}, False),
    ({}, {}, True),
    ({"x-match": "all", "a": None}, {"a": "anything"}, True),
    ({"x-match": "all", "a": 1}, {"a": True}, False),
    ({"x-match": "all", "x-a": 1}, {}, True),
    ({"x-match": "all-with-x", "x-a": 1}, {}, False),
    ({"x-match": "any-with-x", "x-a": 1}, {"x-a": 1}, True),
])  # fmt: skip
def test_headers_match(world: World, client: Client, arguments: dict[str, object], headers: dict[str, object],
                       goes: bool) -> None:  # fmt: skip
    world.queue("q")
    world.vhost.bind("amq.headers", "queue", "q", "", arguments)
    client.publish("", "x", exchange="amq.headers", headers=headers)
    assert takers(world, client) == ({"q"} if goes else set())


@pytest.mark.parametrize("match", ["some", 1])
def test_an_unknown_match_is_refused(world: World, match: object) -> None:
    world.queue("q")
    with pytest.raises(AmqpError, match="Invalid x-match"):
        world.vhost.bind("amq.headers", "queue", "q", "", {"x-match": match})


def test_exchanges_can_be_bound_in_a_cycle(world: World, client: Client) -> None:
    world.queue("q")
    for name in ("one", "two"):
        world.vhost.declare_exchange(name, "fanout")
    world.vhost.bind("one", "exchange", "two", "")
    world.vhost.bind("two", "exchange", "one", "")
    world.vhost.bind("two", "queue", "q", "")
    client.publish("k", "x", exchange="one")
    assert takers(world, client) == {"q"}


def test_the_alternate_exchange_gets_unroutable_messages(world: World, client: Client) -> None:
    for name in ("q", "lost"):
        world.queue(name)
    world.vhost.declare_exchange("x", "direct", arguments={"alternate-exchange": "amq.fanout"})
    world.vhost.bind("x", "queue", "q", "known")
    world.vhost.bind("amq.fanout", "queue", "lost", "")
    client.publish("known", "x", exchange="x")
    assert takers(world, client) == {"q"}
    client.publish("unknown", "x", exchange="x", mandatory=True)
    assert takers(world, client) == {"lost"}
    assert client.sink.returns == []


def test_copies_go_once_to_each_key(world: World, client: Client) -> None:
    for name in ("a", "b", "c"):
        world.queue(name)
    client.publish("a", "x", headers={"CC": ["b", "a"], "BCC": ["c"]})
    assert takers(world, client) == {"a", "b", "c"}


def test_an_internal_exchange_refuses_publishes(world: World, client: Client) -> None:
    world.vhost.declare_exchange("x", "fanout", internal=True)
    with pytest.raises(AmqpError, match="cannot publish to internal exchange") as refusal:
        client.publish("", "x", exchange="x")
    assert refusal.value.code == 403


def test_an_auto_delete_exchange_is_deleted_with_its_last_binding(world: World) -> None:
    world.queue("q")
    world.vhost.declare_exchange("x", "fanout", auto_delete=True)
    world.vhost.bind("x", "queue", "q", "")
    world.vhost.delete_queue("q", world.now)
    assert "x" not in world.vhost.exchanges


def test_deleting_an_exchange_deletes_its_bindings(world: World) -> None:
    world.queue("q")
    world.vhost.declare_exchange("x", "direct")
    world.vhost.bind("x", "queue", "q", "k")
    world.vhost.bind("amq.fanout", "exchange", "x", "")
    world.vhost.delete_exchange("x")
    assert [binding.source for binding in world.vhost.bindings()] == [""]
    assert re.fullmatch("q", next(iter(world.vhost.bindings())).destination)


def test_a_header_matches_by_type_and_value(world: World, client: Client) -> None:
    world.queue("q")
    world.vhost.declare_exchange("h", "headers")
    world.vhost.bind("h", "queue", "q", "", {"n": 1})
    for body, value in (
        ("int", 1),
        ("float", 1.0),
        ("bool", True),
        ("time", datetime.fromtimestamp(1, UTC)),
        ("text", "1"),
    ):
        client.publish("", body, exchange="h", headers={"n": value})
    assert client.drain("q") == ["int"]
