"""The name of the dead-letter queue that the service declares for a queue without one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.names import MAX_BYTES
from gateway.amqp.topology import dead_letter_queue, is_dead_letter_queue

names = st.builds(
    lambda beginning, end: (beginning * MAX_BYTES).encode()[: MAX_BYTES - len(end)].decode(errors="ignore") + end,
    st.sampled_from(["y", "ü", "€", "😀"]),
    st.text("ab", max_size=6),
)
"""Names of at most 255 bytes that differ only at the end."""


def test_a_short_name_gets_a_suffix() -> None:
    assert dead_letter_queue("orders") == "orders.dlq"
    assert dead_letter_queue("y" * 251) == "y" * 251 + ".dlq"


@given(names, names)
def test_long_names_have_different_dead_letter_queues_whose_names_fit(one: str, other: str) -> None:
    letters = dead_letter_queue(one)
    assert (letters == dead_letter_queue(other)) == (one == other)
    assert is_dead_letter_queue(letters)
    assert len(letters.encode()) <= MAX_BYTES
