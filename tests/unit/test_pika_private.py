"""The private parts of pika that the service uses must exist in the installed version."""

from __future__ import annotations

import inspect
import tomllib
from importlib.metadata import requires, version

import pika.data
import pytest
from pika import BasicProperties, BlockingConnection, frame
from pika.adapters.base_connection import BaseConnection
from pika.adapters.select_connection import SelectConnection
from pika.adapters.utils.io_services_utils import _AsyncPlaintextTransport, _AsyncTransportBase
from pika.channel import Channel, ContentFrameAssembler
from pika.connection import Connection
from pika.exceptions import InvalidFrameError
from pika.frame import decode_frame

from gateway.amqp import pika_private
from gateway.amqp.pika_private import read_frame


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
        (Connection, "_read_frame"),
        (Connection, "_process_frame"),
        (Connection, "_adapter_emit_data"),
        (BaseConnection, "_proto_connection_made"),
        (SelectConnection, "_adapter_emit_data"),
    ],
)
def test_pika_has_the_methods_that_our_connection_overrides_or_calls(owner: type, name: str) -> None:
    assert callable(getattr(owner, name))


def test_pika_has_the_attributes_that_our_connection_reads() -> None:
    made = inspect.getsource(Connection)
    for name in ("_frame_buffer", "_channels", "bytes_received", "bytes_sent"):
        assert f"self.{name}" in made
    assert "self._transport" in inspect.getsource(BaseConnection)


def test_pika_has_the_attributes_of_a_transport_that_our_connection_reads_and_sets() -> None:
    made = inspect.getsource(_AsyncTransportBase.__init__)
    assert "self._sock = sock" in made
    assert "self._state = self._STATE_ACTIVE" in made
    assert "self._MAX_RECV_BYTES)" in inspect.getsource(_AsyncTransportBase._consume)


def test_a_transport_has_written_everything_when_its_buffer_is_empty() -> None:
    """So that our connection, which then writes to the socket itself, keeps the order of the frames."""
    assert "self._buffer_tx_data(data)" in inspect.getsource(_AsyncPlaintextTransport.write)
    assert "return self._tx_buffered_byte_count" in inspect.getsource(_AsyncTransportBase.get_write_buffer_size)


def test_a_blocking_connection_takes_the_class_of_the_connection_that_it_drives() -> None:
    assert "_impl_class" in inspect.signature(BlockingConnection.__init__).parameters


def test_pika_reads_each_frame_by_the_method_that_our_connection_overrides() -> None:
    assert "self._read_frame()" in inspect.getsource(Connection._on_data_available)


def test_a_header_frame_has_the_attributes_that_a_channel_reads() -> None:
    read = inspect.getsource(Channel._on_deliver) + inspect.getsource(ContentFrameAssembler)
    assert "header_frame.properties" in read
    assert "body_size" in read


def test_a_channel_hands_a_delivery_to_the_callback_of_its_consumer() -> None:
    """So that our connection, which calls it directly, skips nothing else."""
    source = inspect.getsource(Channel._on_deliver)
    assert "self._consumers[consumer_tag](self, method_frame.method" in source
    assert source.count("if ") == 3  # cancelled; then open and to be acked; unknown


def test_frames_are_read_as_pika_reads_them_except_for_their_properties() -> None:
    """Whole, cut anywhere, and with bytes after them."""
    properties = BasicProperties(content_type="text/plain", headers={"n": 2**40, "f": [None, "x"]}, delivery_mode=2)
    header = frame.Header(7, 5, properties).marshal()
    for written in (header, frame.Body(7, b"hello").marshal(), frame.Heartbeat().marshal()):
        for cut in range(len(written)):
            assert read_frame(written[:cut]) == (0, None)
        size, read = read_frame(written + b"more")
        assert (size, type(read)) == (len(written), type(decode_frame(written)[1]))
    _, read = read_frame(header)
    assert (read.channel_number, read.body_size, read.properties.headers) == (7, 5, properties.headers)
    assert (read.properties.content_type, read.properties.delivery_mode) == ("text/plain", 2)


def test_a_header_frame_without_its_end_is_refused() -> None:
    with pytest.raises(InvalidFrameError):
        read_frame(frame.Header(1, 0, BasicProperties()).marshal()[:-1] + b"x")


def test_pika_encodes_and_decodes_by_its_own_functions() -> None:
    """The other users of pika in the process keep its codec."""
    assert {one.__module__ for one in (pika.data.encode_value, pika.data.decode_value)} == {"pika.data"}


def test_the_requirements_bound_pika_to_the_versions_that_were_tried() -> None:
    assert version("pika").startswith("1.4.")
    assert requires("pika") is not None
    with open("pyproject.toml", "rb") as file:
        (line,) = [one for one in tomllib.load(file)["project"]["dependencies"] if one.startswith("pika")]
    assert "<1.5" in line, pika_private.__doc__
