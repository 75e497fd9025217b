"""What the service uses of pika that is not public: a new version of pika must be seen to have it still."""

from __future__ import annotations

import inspect
from importlib.metadata import requires, version

import pytest
from pika.adapters.base_connection import BaseConnection
from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel
from pika.connection import Connection

from gateway.amqp import pika_private


def test_a_channel_rejects_what_comes_for_a_consumer_in_cancelled() -> None:
    """So that taking the tag out of the set, as `cancel` does, lets the message through."""
    source = inspect.getsource(Channel._on_deliver)
    assert "consumer_tag in self._cancelled" in source
    assert "self.basic_reject" in source
    assert "self._cancelled: set = set()" in inspect.getsource(Channel.__init__)


def test_a_cancelled_consumer_is_known_until_the_broker_has_answered() -> None:
    assert "del self._consumers[consumer_tag]" not in inspect.getsource(Channel._on_cancelok)
    assert "self._cleanup_consumer_ref" in inspect.getsource(Channel._on_cancelok)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Connection, "_on_data_available"),
        (Connection, "_process_frame"),
        (Connection, "_trim_frame_buffer"),
        (Connection, "_adapter_emit_data"),
        (SelectConnection, "_adapter_emit_data"),
        (Channel, "_handle_content_frame"),
    ],
)
def test_pika_has_the_methods_that_our_connection_overrides_or_calls(owner: type, name: str) -> None:
    assert callable(getattr(owner, name))


def test_pika_has_the_attributes_that_our_connection_reads() -> None:
    made = inspect.getsource(Connection)
    for name in ("_frame_buffer", "_channels", "frames_received", "bytes_sent"):
        assert f"self.{name}" in made
    assert "self._transport" in inspect.getsource(BaseConnection)


def test_pika_hands_content_frames_to_their_channel() -> None:
    """So that to hand them over directly, as our connection does, skips nothing else."""
    assert "_handle_content_frame" in inspect.getsource(Connection._deliver_frame_to_channel)


def test_the_requirements_bound_pika_to_the_versions_that_were_tried() -> None:
    assert version("pika").startswith("1.4.")
    assert requires("pika") is not None
    with open("requirements.in", encoding="utf-8") as file:
        (line,) = [line for line in file if line.startswith("pika")]
    assert "<1.5" in line.replace(" ", ""), pika_private.__doc__
