"""The rabbit-emulator's broker, as its document describes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from emulators.kombu_emulator import EmulatorError
from emulators.rabbit_emulator import RabbitMQ
from tests.support.processes import wait_until


@pytest.fixture
def rabbit() -> Iterator[RabbitMQ]:
    """A client, closed afterwards."""
    one = RabbitMQ()
    yield one
    one.close()


def test_all_instances_share_the_queues(rabbit: RabbitMQ, unique_name: str) -> None:
    rabbit.declare_queue(unique_name)
    assert RabbitMQ.queues[unique_name] == []
    rabbit.publish(unique_name, "one")
    RabbitMQ().publish(unique_name, {"two": 2})
    assert RabbitMQ().queues[unique_name] == ["one", {"two": 2}]
    assert unique_name in RabbitMQ.queues
    assert "nowhere" not in RabbitMQ.queues
    assert f"'{unique_name}': ['one'" in repr(RabbitMQ.queues)


def test_declaring_makes_the_dead_letter_queue_too(rabbit: RabbitMQ, unique_name: str) -> None:
    rabbit.declare_queue(unique_name, dead_letter_queue=f"{unique_name}.dlq")
    assert RabbitMQ.queues[f"{unique_name}.dlq"] == []
    rabbit.declare_queue(unique_name)  # again, in whatever way


def test_publishing_to_an_undeclared_queue_declares_it(rabbit: RabbitMQ, unique_name: str) -> None:
    rabbit.publish(unique_name, "early")
    assert RabbitMQ.queues[unique_name] == ["early"]


def test_consuming_does_not_block_and_consumers_run_side_by_side(rabbit: RabbitMQ, unique_name: str) -> None:
    together = threading.Barrier(2, timeout=20)
    got: list[str] = []

    def work(message: str) -> None:
        together.wait()
        got.append(message)

    for queue in (f"{unique_name}-a", f"{unique_name}-b"):
        rabbit.consume(queue, work)
        rabbit.publish(queue, queue)
    wait_until(lambda: len(got) == 2, 20, "both messages")


@pytest.mark.parametrize("declared", [False, True])
def test_a_message_whose_processing_fails_goes_to_the_dead_letter_queue(
    rabbit: RabbitMQ, unique_name: str, declared: bool, caplog: pytest.LogCaptureFixture
) -> None:
    dead, got = f"{unique_name}.dlq", []
    if declared:
        rabbit.declare_queue(unique_name, dead)

    def work(message: Any) -> None:
        got.append(10 / message)

    rabbit.consume(unique_name, work, *([] if declared else [dead]))
    for number in (1, 0, 2):
        rabbit.publish(unique_name, number)
    wait_until(lambda: got == [10, 5], 20, "the others")
    assert RabbitMQ.queues[dead] == [0]
    assert RabbitMQ.queues[unique_name] == []
    assert f"Processing a message of {unique_name} failed; moved to {dead}: division by zero" in caplog.text


def test_without_a_dead_letter_queue_a_failed_message_is_back_after_close(unique_name: str) -> None:
    rabbit, failed = RabbitMQ(), threading.Event()

    def fail(message: str) -> None:
        failed.set()
        raise ValueError(message)

    rabbit.consume(unique_name, fail)
    rabbit.publish(unique_name, "precious")
    assert failed.wait(20)
    rabbit.close()
    assert RabbitMQ.queues[unique_name] == ["precious"]


def test_close_finishes_what_is_in_hand_and_leaves_the_rest(unique_name: str) -> None:
    rabbit, began, go_on = RabbitMQ(), threading.Event(), threading.Event()
    done: list[int] = []

    def work(message: int) -> None:
        began.set()
        assert go_on.wait(20)
        done.append(message)

    for number in range(10):
        rabbit.publish(unique_name, number)
    rabbit.consume(unique_name, work)
    assert began.wait(20)
    closing = threading.Thread(target=rabbit.close)
    closing.start()
    go_on.set()
    closing.join(20)
    assert done + RabbitMQ.queues[unique_name] == list(range(10))
    rabbit.close()
    with pytest.raises(EmulatorError, match="closed"):
        rabbit.publish(unique_name, "too late")
