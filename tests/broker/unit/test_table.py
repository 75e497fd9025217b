"""Field tables pass through unchanged, and malformed ones are refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.protocol.table import (
    MalformedTable,
    Timestamp,
    decode_table,
    encode_table,
    encode_value,
    join,
    join_array,
    split,
    split_array,
)

_names = st.text(max_size=20)
_scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
    | st.text(max_size=30) | st.builds(bytearray, st.binary(max_size=30))
    | st.builds(Timestamp, st.integers(0, 2**63))
)  # fmt: skip
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4))
_tables = st.dictionaries(_names, _values, max_size=6)


@given(_tables)
def test_encoded_tables_decode_to_the_same_values(table: dict[str, object]) -> None:
    assert decode_table(encode_table(table)) == (table, len(encode_table(table)))


@given(_tables)
def test_splitting_and_joining_changes_no_byte(table: dict[str, object]) -> None:
    raw = encode_table(table)
    assert join(split(raw)) == raw


@given(_tables, st.data())
def test_a_truncated_table_is_refused(table: dict[str, object], data: st.DataObject) -> None:
    raw = encode_table(table)
    with pytest.raises(MalformedTable):
        decode_table(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(st.binary(max_size=200))
def test_any_bytes_decode_to_a_table_or_are_refused(raw: bytes) -> None:
    try:
        table, end = decode_table(raw)
    except MalformedTable:
        return
    assert isinstance(table, dict)
    assert 4 <= end <= len(raw)


@pytest.mark.parametrize(("raw", "value"), [
    (b"b\xff", -1), (b"B\xff", 255), (b"s\xff\xfe", -2), (b"u\xff\xfe", 65534), (b"I\xff\xff\xff\xff", -1),
    (b"i\xff\xff\xff\xff", 2**32 - 1), (b"L" + b"\xff" * 8, -1), (b"f\x3f\xc0\x00\x00", 1.5),
    (b"D\x02\x00\x00\x01\x00", Decimal("2.56")), (b"S\x00\x00\x00\x01\xff", b"\xff"), (b"t\x00", False), (b"V", None),
])  # fmt: skip
def test_every_type_of_the_errata_is_read(raw: bytes, value: object) -> None:
    table = join({"field": raw})
    assert decode_table(table)[0] == {"field": value}
    assert join(split(table)) == table


def test_deep_nesting_is_refused() -> None:
    raw = encode_value("x")
    for _ in range(1000):
        raw = join_array([raw])
    with pytest.raises(MalformedTable):
        decode_table(join({"deep": raw}))


def test_an_array_can_be_split_into_items() -> None:
    array = encode_value(["a", 1, {"b": True}])
    assert split_array(array) == [encode_value("a"), encode_value(1), encode_value({"b": True})]
    assert join_array(split_array(array)) == array


def test_other_types_than_arrays_have_no_items() -> None:
    assert split_array(encode_value("text")) == []


@pytest.mark.parametrize("value", [2**63, object(), {1, 2}])
def test_a_value_that_amqp_cannot_encode_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        encode_value(value)
