"""Any JSON as `message` is kept as it was written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from domain.publication import JsonText, PublishRequest
from routes.consumers import TestConsumer as ConsumerTest
from routes.json_text import keep_json_text, takes_json_text
from routes.queues import QueueNamed

TEXTS = [
    b"1e400",
    b"-1E-400",
    b"0.1234567890123456789012345",
    b"-0",
    b"-0.0",
    b"1.0",
    b"123456789012345678901234567890",
    b'{"a":1,"a":2}',
    b'{ "a" : [ 1,\t2 ],\r\n "b" : {} }',
    b'["\\u00e9\\/ \xc3\xa9", "  \\t "]',
    b"true",
    b"false",
    b"[]",
    b"{}",
]


def kept(raw: bytes) -> Any:
    content = from_json(raw, allow_inf_nan=False)
    keep_json_text(content, raw)
    return content


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("around", [b"%s", b" \n%s\t", b'0,"messages":null,"message":%s'])
def test_a_value_is_kept_as_it_was_written(text: bytes, around: bytes) -> None:
    content = kept(b'{"queueName":"q","message":' + around % text + b',"properties":{"message":[1.0]}}')
    assert content["message"] == text
    assert isinstance(content["message"], JsonText)
    assert content["properties"] == {"message": [1.0]}, "only the body's own field"


@pytest.mark.parametrize("text", TEXTS)
def test_each_value_of_a_batch_is_kept_as_it_was_written(text: bytes) -> None:
    raw = b'{"messages" : [ {"message":"text"}, {"x":[{}],"mess\\u0061ge": %s }, {}, {"message":%s} ] }' % (text, text)
    assert [one.get("message") for one in kept(raw)["messages"]] == ["text", text, None, text]


def test_of_a_field_that_is_given_twice_the_last_counts() -> None:
    raw = b'{"messages":[{"message":1},{"message":2}],"messages":[{"message":3.0,"message":4.0}]}'
    assert kept(raw)["messages"] == [{"message": b"4.0"}]


def test_invalid_messages_are_left_to_the_model() -> None:
    for raw in (b'{"messages":[1,{"message":2}]}', b'{"messages":{"message":1}}', b'{"messages":"x","message":null}'):
        assert kept(raw) == from_json(raw) or isinstance(kept(raw), dict)


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers()
                    | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
       st.booleans(), st.sampled_from([None, 1]))  # fmt: skip
def test_any_message_that_pydantic_reads_keeps_its_text(value: Any, ascii_only: bool, indent: int | None) -> None:
    try:
        text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
        from_json(text)
    except ValueError:  # half of a surrogate pair
        return
    content = kept(b'{"message":' + text + b"}")
    assert content["message"] == (value if value is None or isinstance(value, str) else text)


def test_only_models_with_such_a_field_have_it() -> None:
    assert takes_json_text(PublishRequest)
    assert takes_json_text(ConsumerTest)
    assert not takes_json_text(QueueNamed)
