"""The embedded broker's management API answers any body or query, and never with a 500."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.embedded import EmbeddedNode

WRITES = [
    ("PUT", ("queues", "/", "q")),
    ("PUT", ("exchanges", "/", "x")),
    ("PUT", ("users", "u")),
    ("PUT", ("permissions", "/", "u")),
    ("PUT", ("vhosts", "v")),
    ("POST", ("bindings", "/", "e", "amq.headers", "q", "known")),
    ("POST", ("exchanges", "/", "amq.default", "publish")),
    ("POST", ("queues", "/", "known", "get")),
    ("POST", ("queues", "/", "known", "actions")),
    ("POST", ("users", "bulk-delete")),
    ("POST", ("definitions",)),
    ("POST", ("definitions", "/")),
]
KEYS = st.sampled_from([
    "durable", "auto_delete", "internal", "type", "arguments", "x-message-ttl", "x-max-length", "x-queue-type", "tags",
    "password", "password_hash", "configure", "write", "read", "routing_key", "x-match", "properties", "payload",
    "payload_encoding", "headers", "delivery_mode", "timestamp", "expiration", "CC", "count", "ackmode", "encoding",
    "truncate", "action", "users", "queues", "exchanges", "bindings", "vhosts", "permissions", "name", "vhost",
    "source", "destination", "destination_type", "user",
])  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-300, 300), st.floats(), st.text(max_size=20),
    st.sampled_from(["", "/", "known", "topic", "headers", "quorum", "string", "base64", "auto", "ack_requeue_true",
                     "\ud800", "x" * 300, "all", "queue", "(", ".*", "true"]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=6)
)
BODIES = st.dictionaries(KEYS, VALUES, max_size=10)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(write=st.sampled_from(WRITES), body=BODIES)
def test_no_body_yields_a_500(embedded: EmbeddedNode, write: tuple[str, tuple[str, ...]], body: dict[str, Any]) -> None:
    embedded.management.put("queues", "/", "known", body={}).raise_for_status()
    method, path = write
    assert embedded.management.call(method, *path, body=body).status_code < 500


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["queues", "exchanges", "bindings", "connections", "channels", "vhosts", "users", "overview"]),
    query=st.dictionaries(
        st.sampled_from(["page", "page_size", "name", "use_regex", "sort", "sort_reverse", "columns", "disable_stats"]),
        st.one_of(
            st.integers(-2, 600).map(str), st.text(max_size=8), st.sampled_from(["true", "name", "a.b", "(", "*"])
        ),
    ),
)
def test_no_query_yields_a_500(embedded: EmbeddedNode, kind: str, query: dict[str, str | int]) -> None:
    assert embedded.management.get(kind, **query).status_code < 500


def test_definitions_survive_any_names_of_amqp_clients(embedded: EmbeddedNode) -> None:
    connection = embedded.connect()
    channel = connection.channel()
    channel.queue_declare("known", durable=True)
    for key in ("~", "a~b", "\u2028", "%", "a b", "ü/\\\"'"):
        channel.queue_bind("known", "amq.topic", key, {"x": key})
        channel.queue_bind("known", "amq.topic", key)
    connection.close()
    document = embedded.management.get("definitions").json()
    assert embedded.management.post("definitions", body=document).status_code == 204
    between = ("bindings", "/", "e", "amq.topic", "q", "known")
    for one in embedded.management.get(*between).json():
        assert embedded.management.delete(*between, one["properties_key"]).status_code == 204
    assert embedded.management.get(*between).json() == []
