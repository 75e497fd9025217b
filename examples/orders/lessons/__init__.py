"""What a demo may leave out and production may not: numbered lessons, each of which prints what happened."""

from examples.orders.connection import channel_to, heading
from examples.orders.lessons import connections as connection
from examples.orders.lessons import queues as queue

LESSONS = (
    connection.publisher_confirms, connection.heartbeats, connection.reconnection, connection.timeouts,
    connection.thread_safety, queue.headers_exchange, queue.alternate_exchange, queue.time_to_live, queue.priority,
    queue.lazy, queue.quorum, queue.consumer_cancellation, queue.flow_control,
)  # fmt: skip


def teach(url: str, *numbers: int) -> None:
    """Give the lessons of these numbers, or all, each on a channel of its own."""
    for number in numbers or range(1, len(LESSONS) + 1):
        heading(f"Lesson {number}: {LESSONS[number - 1].__doc__}")
        with channel_to(url) as channel:
            LESSONS[number - 1](url, channel)
