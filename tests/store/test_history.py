"""The history in the store: rates without false values through many buckets, gaps, restarts and several processes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from domain.history import ALL_QUEUES, PERIODS, HistoryDetails, Key, PeriodName
from domain.overview import QueueOutline
from domain.registry import Heartbeat, Report
from gateway.mongo import Store
from services.history import Histories, Recorder
from tests.store.conftest import MakeStore

NOON = 1_800_000_000.0 // 7200 * 7200
"""the beginning of a bucket of every period"""
ORDERS = Key("queue", "orders.a $b")
BANK = Key("consumer", "c1")


def queue(name: str = ORDERS.subject, counted: Sequence[int] | None = (0, 0, 0), ready: int = 0) -> QueueOutline:
    return QueueOutline(
        name=name, held=ready, ready=ready, unacked=0, dead_lettering=0, consumers=1, publish_rate=0, deliver_rate=0,
        ack_rate=0, dead_letter_queue=None, oldest_at=None, counted=None if counted is None else tuple(counted),
    )  # fmt: skip


def worker(name: str, since: float, *, delivered: int, retried: int = 0, consumer: str = "c1") -> Heartbeat:
    begun = datetime.fromtimestamp(since, UTC)
    report = Report(
        consumer_id=consumer, revision=1, state="running", delivered=delivered, retried=retried, since=begun,
        p50_ms=5.0, p99_ms=9.0,
    )  # fmt: skip
    return Heartbeat(name, begun, begun, True, (report,))


def read(store: Store, key: Key, now: float, period: PeriodName = "hour") -> HistoryDetails:
    return Histories(store.history, clock=lambda: now).of(key, period)


def begins(history: HistoryDetails) -> float:
    return history.times[0].timestamp()


def test_rates_are_right_in_every_period_through_a_day(direct: Store) -> None:
    """Two messages per second in, one out, so that the queue grows by one."""
    recorder = Recorder(direct.history, every=60, gap=900)
    for at in range(0, 24 * 3600 + 1, 600):
        recorder.record(NOON + at, [worker("w", NOON, delivered=at)], [queue(counted=(2 * at, at, at), ready=at)])
    now = NOON + 24 * 3600
    for period, count in (("hour", 51), ("day", 96), ("week", 13)):
        history = read(direct, ORDERS, now, period)
        width = PERIODS[period].width
        assert len(history.times) == count
        assert history.times[-1].timestamp() == now // width * width
        assert [(b - a).total_seconds() for a, b in zip(history.times, history.times[1:], strict=False)] == [width] * (
            len(history.times) - 1
        )
        assert {rate for rate in history.series["publishRate"] if rate is not None} == {2.0}
        assert {rate for rate in history.series["deliverRate"] if rate is not None} == {1.0}
        assert history.series["ready"][-1] == 24 * 3600
        delivered = read(direct, BANK, now, period).series["deliveredRate"]
        assert {rate for rate in delivered if rate is not None} == {1.0}
    assert read(direct, ORDERS, now, "day").series["ready"][1] == 2400, "the greatest in its bucket"


def test_the_first_bucket_begins_with_the_first_measurement_and_has_no_false_zero(direct: Store) -> None:
    recorder = Recorder(direct.history)
    recorder.record(NOON + 50, [worker("w", NOON - 900, delivered=700)], [queue(counted=(500, 0, 0), ready=3)])
    history = read(direct, ORDERS, NOON + 55)
    assert begins(history) == NOON
    assert (history.series["publishRate"], history.series["ready"]) == ([None], [3.0])
    assert read(direct, BANK, NOON + 55).series["deliveredRate"] == [None], "what was before is not known"
    recorder.record(NOON + 65, [worker("w", NOON - 900, delivered=730)], [queue(counted=(530, 0, 0))])
    assert read(direct, ORDERS, NOON + 65).series["publishRate"] == [None, 2.0]
    assert read(direct, BANK, NOON + 65).series["deliveredRate"] == [None, 2.0]
    assert read(direct, Key("queue", "other"), NOON + 65).times == []


def test_the_deliveries_of_workers_that_restart_are_counted_once_and_never_negative(direct: Store) -> None:
    recorder = Recorder(direct.history)
    other = worker("other", NOON - 100, delivered=1000)
    recorder.record(NOON, [worker("old", NOON - 100, delivered=5000), other], [])
    recorder.record(NOON + 10, [worker("old", NOON - 100, delivered=5020), other], [])
    recorder.record(NOON + 20, [other], [])
    recorder.record(NOON + 30, [worker("new", NOON + 22, delivered=40), other], [])
    recorder.record(NOON + 40, [worker("new", NOON + 22, delivered=40, retried=8), other], [])
    recorder.record(NOON + 50, [worker("new", NOON + 45, delivered=20), other], [])  # its consumer was resumed
    history = read(direct, BANK, NOON + 50)
    assert history.series["deliveredRate"] == [(20 + 40 + 20) / 50]
    assert history.series["retriedRate"] == [8 / 50]


def test_a_worker_that_was_silent_for_a_while_does_not_count_again_what_it_has_delivered(direct: Store) -> None:
    recorder = Recorder(direct.history)
    for at, beats in enumerate([1000, 1010, None, 1030, 1040]):
        workers = [] if beats is None else [worker("w", NOON - 100, delivered=beats)]
        recorder.record(NOON + 10 * at, workers, [])
    assert read(direct, BANK, NOON + 50).series["deliveredRate"] == [1.0]


def test_a_gap_stays_a_gap(direct: Store) -> None:
    recorder = Recorder(direct.history, every=10, gap=60)
    for at in [*range(0, 120, 10), *range(360, 490, 10)]:
        count = at if at < 360 else at + 5000  # the service did not see when these 5,000 passed
        recorder.record(NOON + at, [worker("w", NOON, delivered=count)], [queue(counted=(count, 0, 0), ready=1)])
    history = read(direct, ORDERS, NOON + 480)
    assert history.series["publishRate"] == [1.0, 1.0, None, None, None, None, 1.0, 1.0, 1.0]
    assert history.series["ready"] == [1.0, 1.0, None, None, None, None, 1.0, 1.0, 1.0]
    assert read(direct, BANK, NOON + 480).series["deliveredRate"] == history.series["publishRate"]


def test_without_workers_or_without_the_management_api_the_others_are_recorded(direct: Store) -> None:
    recorder = Recorder(direct.history)
    recorder.record(NOON, [worker("w", NOON, delivered=0)], [queue(counted=(0, 0, 0))])
    for at in range(60, 120, 10):
        recorder.record(NOON + at, [worker("w", NOON, delivered=at)], None)
    for at in range(120, 190, 10):
        recorder.record(NOON + at, [], [queue(counted=(1000 + at, 0, 0))])
    queues, bank = read(direct, ORDERS, NOON + 180), read(direct, BANK, NOON + 180)
    assert queues.series["publishRate"] == [None, None, 1.0, 1.0], "RabbitMQ's count of an unknown time is no rate"
    assert bank.series["deliveredRate"] == [None, 1.0, None, None]


def test_counters_of_rabbitmq_that_begin_again_are_no_traffic(direct: Store) -> None:
    recorder = Recorder(direct.history)
    for at, count in enumerate([100, 120, 20, None, 40, 60]):
        recorder.record(NOON + 10 * at, [], [queue(counted=None if count is None else (count, count, count))])
    assert read(direct, ORDERS, NOON + 50).series["publishRate"] == [2.0]


def test_processes_that_take_turns_count_everything_once(make_store: MakeStore) -> None:
    recorders = [Recorder(make_store().history) for _ in range(3)]
    for step in range(61):
        at = 10 * step
        for recorder in recorders[step % 3 :] + recorders[: step % 3]:
            recorder.record(NOON + at, [worker("w", NOON, delivered=at)], [queue(counted=(3 * at, 0, 0))])
        if step == 30:  # this process is new
            recorders[1] = Recorder(make_store().history)
    store = make_store()
    assert read(store, ORDERS, NOON + 600).series["publishRate"] == [3.0] * 11
    [bucket] = store.history.of(ORDERS, "day", NOON + 600).values()
    assert (bucket.seconds, bucket.counts) == (600.0, (1800, 0, 0))
    [bucket] = store.history.of(BANK, "week", NOON + 600).values()
    assert (bucket.seconds, bucket.counts) == (600.0, (600, 0, 0, 0))


def test_latencies_are_those_of_attempts_in_the_bucket(direct: Store) -> None:
    recorder = Recorder(direct.history)
    for at in range(0, 130, 10):
        recorder.record(NOON + at, [worker("w", NOON, delivered=min(at, 50))], [])
    assert read(direct, BANK, NOON + 125).series["latencyP99Ms"] == [9.0, None, None]


def test_a_clock_that_was_set_back_does_not_stop_the_history(direct: Store) -> None:
    recorder = Recorder(direct.history)
    recorder.record(NOON + 100_000, [], [queue()])
    for at in range(0, 70, 10):
        recorder.record(NOON + at, [], [queue(counted=(at, 0, 0))])
    assert read(direct, ORDERS, NOON + 60).series["publishRate"][:2] == [1.0, 1.0]


def test_the_history_of_a_thousand_queues_and_consumers_is_bounded(direct: Store) -> None:
    recorder = Recorder(direct.history, most=1000)
    for at in range(0, 1900, 60):
        queues = [queue(f"queue-{number:04}", (at, at, at), ready=number) for number in range(1100)]
        workers = [worker("w", NOON, delivered=at, consumer=f"c{number:04}") for number in range(1100)]
        reports = tuple(one.consumers[0] for one in workers)
        recorder.record(NOON + at, [Heartbeat("w", workers[0].at, workers[0].at, True, reports)], queues)
    assert set(read(direct, Key("queue", "queue-0999"), NOON + 1860).series["ackRate"][1:]) == {1.0}
    assert set(read(direct, Key("consumer", "c0999"), NOON + 1860, "day").series["deliveredRate"]) == {1.0}
    for beyond in (Key("queue", "queue-1000"), Key("consumer", "c1000")):
        assert read(direct, beyond, NOON + 1860).times == []
    documents = list(direct.history._collection().find({}))
    assert len(documents) <= 1 + 16 * (32 + 3 + 1)
    assert max(len(one.get("buckets", "")) for one in documents) < 20_000
    ends = {one["_id"].split()[0]: one["expires"] for one in documents if "expires" in one}
    assert ends.keys() == PERIODS.keys(), "each is removed after its period"


def test_the_history_of_all_queues_is_the_sum_of_theirs_without_counters_that_are_unknown(direct: Store) -> None:
    recorder = Recorder(direct.history, every=10)
    for at in (0, 10, 20, 30):
        queues = [queue(counted=(at, 0, 0), ready=3), queue("b", counted=(2 * at, at, 0), ready=4), queue("c", None)]
        recorder.record(NOON + at, [], queues + ([queue("late", (99, 0, 0))] if at == 30 else []))
    history = read(direct, ALL_QUEUES, NOON + 30)
    assert (history.series["publishRate"], history.series["deliverRate"]) == ([3.0], [1.0])
    assert history.series["ready"] == [7]
