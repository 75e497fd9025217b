"""Field tables: decoding and encoding are inverse, malformed tables are refused."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amqp_wire.spans import check, join, join_array, split, split_array
from amqp_wire.table import decode_table, decode_value, encode_table, encode_value
from amqp_wire.values import DEEPEST, Binary, Instant, Long, MalformedTable, Nested, is_integer

_names = st.text(max_size=20) | st.just(b"\xff\xfe")
_scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
    | st.text(max_size=30) | st.builds(Binary, st.binary(max_size=30)) | st.builds(Instant, st.integers(2**40, 2**63))
    | st.integers(0, 2**37).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
)  # fmt: skip
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3), max_leaves=12
)
_tables = st.dictionaries(_names, _values, max_size=4)


def _sized(letter: bytes) -> st.SearchStrategy[bytes]:
    size = {0: b"V", 1: b"bB", 2: b"su", 4: b"Ii", 5: b"D", 8: b"lLT"}
    (length,) = [octets for octets, letters in size.items() if letter in letters]
    return st.binary(min_size=length, max_size=length).map(lambda content: letter + content)


def _long(letter: bytes, contents: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return contents.map(lambda content: letter + struct.pack(">I", len(content)) + content)


def _fields(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(values, max_size=4).map(
        lambda items: b"".join(bytes((2,)) + b"n%d" % place + item for place, item in enumerate(items))
    )


_tagged_scalars = (
    st.sampled_from([bytes((letter,)) for letter in b"VbBsuIiDlLT"]).flatmap(_sized)
    | st.sampled_from([b"t\x00", b"t\x01"])
    | st.floats(width=32, allow_nan=False).map(lambda number: struct.pack(">cf", b"f", number))
    | st.floats(allow_nan=False).map(lambda number: struct.pack(">cd", b"d", number))
    | _long(b"S", st.binary(max_size=9))
    | _long(b"x", st.binary(max_size=9))
)
_tagged = st.recursive(
    _tagged_scalars,
    lambda inner: _long(b"A", st.lists(inner, max_size=4).map(b"".join)) | _long(b"F", _fields(inner)),
)


@given(_tagged)
def test_a_value_that_is_decoded_and_encoded_again_has_the_bytes_that_it_came_with(tagged: bytes) -> None:
    assert encode_value(decode_value(tagged)) == tagged


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
    short = raw[: data.draw(st.integers(0, len(raw) - 1))]
    for read in (decode_table, check, split):
        with pytest.raises(MalformedTable):
            read(short)


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda content: struct.pack(">I", len(content)) + content))
def test_any_bytes_decode_to_a_table_or_are_refused_by_the_check_too(raw: bytes) -> None:
    try:
        table, end = decode_table(raw)
    except MalformedTable:
        with pytest.raises(MalformedTable):
            check(raw)
        return
    check(raw)
    assert isinstance(table, dict)
    assert 4 <= end <= len(raw)


@pytest.mark.parametrize(("raw", "value"), [
    (b"b\xff", -1), (b"B\xff", 255), (b"s\xff\xfe", -2), (b"u\xff\xfe", 65534), (b"I\xff\xff\xff\xff", -1),
    (b"i\xff\xff\xff\xff", 2**32 - 1), (b"L" + b"\xff" * 8, -1), (b"l" + b"\xff" * 8, -1),
    (b"f\x3f\xc0\x00\x00", 1.5), (b"d\x3f\xf8" + bytes(6), 1.5), (b"D\x02\x00\x00\x01\x00", Decimal("2.56")),
    (b"S\x00\x00\x00\x01\xff", b"\xff"), (b"S\x00\x00\x00\x01x", "x"), (b"x\x00\x00\x00\x01x", b"x"),
    (b"t\x00", False), (b"V", None), (b"T" + bytes(7) + b"\x01", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    (b"T\x40" + bytes(7), 2**62),
])  # fmt: skip
def test_every_type_of_the_errata_is_read(raw: bytes, value: object) -> None:
    assert decode_value(raw) == value
    assert is_integer(decode_value(raw)) == (raw[:1] in b"bBsuIilL")


class Colour(IntEnum):
    RED = 3


@pytest.mark.parametrize(("value", "raw"), [
    (1, b"I\x00\x00\x00\x01"), (-(2**31), b"I\x80\x00\x00\x00"), (2**31, b"l\x00\x00\x00\x00\x80\x00\x00\x00"),
    (Long(1), b"l" + bytes(7) + b"\x01"), (Colour.RED, b"I\x00\x00\x00\x03"), ((True,), b"A\x00\x00\x00\x02t\x01"),
    (b"x", b"S\x00\x00\x00\x01x"), ("\udcff", b"S\x00\x00\x00\x01\xff"),
])  # fmt: skip
def test_values_that_did_not_come_by_amqp_have_a_type_each(value: object, raw: bytes) -> None:
    assert encode_value(value) == raw


def test_a_name_that_is_not_utf_8_is_bytes() -> None:
    assert decode_table(join({b"\xff": b"V"}))[0] == {b"\xff": None}


def _nested(depth: int) -> bytes:
    raw = encode_value("x")
    for _ in range(depth):
        raw = join_array([raw])
    return raw


@pytest.mark.parametrize("depth", [DEEPEST, DEEPEST + 1, 5000])
def test_a_value_nested_deeper_than_a_stack_is_kept_as_it_came(depth: int) -> None:
    raw = _nested(depth)
    check(join({"deep": raw}))
    assert encode_value(decode_value(raw)) == raw


def test_only_what_is_deeper_than_the_limit_is_left_undecoded() -> None:
    value: Any = decode_value(_nested(DEEPEST + 3))
    for _ in range(DEEPEST):
        (value,) = value
    assert value == Nested(_nested(3))


def test_a_malformed_value_is_refused_however_deep_it_is() -> None:
    raw = b"?"
    for _ in range(5000):
        raw = join_array([raw])
    with pytest.raises(MalformedTable):
        check(join({"deep": raw}))


def test_a_value_of_python_that_is_nested_too_deep_is_refused() -> None:
    value: Any = "x"
    for _ in range(DEEPEST + 2):
        value = [value]
    with pytest.raises(ValueError, match="deep"):
        encode_value(value)


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


@pytest.mark.parametrize("value", [{"n" * 256: 1}, Decimal(2**40), Decimal("NaN"), datetime(1969, 1, 1, tzinfo=UTC)])
def test_a_value_out_of_range_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode_value(value)
