"""Numbered lessons on what production needs beyond the demo. Each prints what happened."""

from examples.orders.connection import channel_to, heading
from examples.orders.lessons import connections as connection
from examples.orders.lessons import queues as queue

LESSONS = dict(enumerate((
    connection.publisher_confirms, connection.heartbeats, connection.reconnection, connection.timeouts,
    connection.thread_safety, queue.headers_exchange, queue.alternate_exchange, queue.time_to_live, queue.priority,
    queue.lazy, queue.quorum, queue.consumer_cancellation, queue.flow_control,
), 1))  # fmt: skip


def lessons(url: str, *numbers: int) -> None:
    """Run all lessons, or those of the numbers N, each on its own channel."""
    for number in numbers or LESSONS:
        heading(f"Lesson {number}: {LESSONS[number].__doc__}")
        with channel_to(url) as channel:
            LESSONS[number](url, channel)
