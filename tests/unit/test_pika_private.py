"""What the service uses of pika that is not public: a new version of pika must be seen to have it still."""

from __future__ import annotations

import inspect
from importlib.metadata import requires, version

from pika.channel import Channel

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


def test_the_requirements_bound_pika_to_the_versions_that_were_tried() -> None:
    assert version("pika").startswith("1.4.")
    assert requires("pika") is not None
    with open("requirements.in", encoding="utf-8") as file:
        (line,) = [line for line in file if line.startswith("pika")]
    assert "<1.5" in line.replace(" ", ""), pika_private.__doc__
