"""Growth and stuck messages are judged by several looks: a single one proves nothing, and a pause ends nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from domain.overview import QueueOutline, QueuesSeen
from services.queue_watch import QueueWatch

LEVEL = "workerrmq.delay.3"


class Broker:
    """A clock, and what RabbitMQ would say at that time."""

    def __init__(self, *, growing: float = 60, overdue: float = 10) -> None:
        self.now = 0.0
        self.queues: list[QueueOutline] = []
        self._watch = QueueWatch(lambda: self.queues, growing=growing, overdue=overdue, clock=lambda: self.now)

    def look(self, *queues: QueueOutline, after: float = 5) -> QueuesSeen:
        self.now += after
        self.queues = list(queues)
        return self._watch.look()


def queue(
    name: str = "orders", *, ready: int = 0, dead: int | None = 0, rate: float = 0, known: bool = True
) -> QueueOutline:
    held = ready + (dead or 0) if known else None
    return QueueOutline(name, held, ready, 0, dead, 1, rate, 0, 0, None, None)


def backlogs(broker: Broker, counts: Sequence[int], every: float = 5) -> list[bool]:
    """After each look, whether the queue was said to grow."""
    return ["orders" in broker.look(queue(ready=count), after=every).growing for count in counts]


STEADY = [200 + 10 * number for number in range(40)]


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param([500] * 40, id="full, but no fuller"),
        pytest.param(list(range(1000, 200, -20)), id="falling"),
        pytest.param([0] * 10 + list(range(1000, 0, -30)), id="a burst that is worked off"),
        pytest.param([0] * 10 + [5000] * 30, id="one step"),
        pytest.param([200, 900] * 20, id="up and down"),
        pytest.param([0 if n % 4 else 300 + 10 * n for n in range(40)], id="larger bursts, each worked off"),
        pytest.param([number * 2 for number in range(40)], id="growing, but small"),
    ],
)
def test_a_queue_is_not_said_to_grow_when_it_is(counts: list[int]) -> None:
    assert not any(backlogs(Broker(), counts))


def test_a_queue_counts_as_growing_after_one_period_and_until_it_shrinks() -> None:
    broker = Broker()
    grows = backlogs(broker, STEADY)
    assert grows.index(True) == 12  # 60 s of looks every 5 s
    assert all(grows[12:])
    assert all(backlogs(broker, [590, 595, 580, 600])), "a pause does not end it"
    shrinking = backlogs(broker, range(590, 100, -20))
    assert not shrinking[-1]
    assert shrinking.index(False) == shrinking.count(True), "it ends once"


def test_growth_is_seen_in_statistics_that_change_seldom() -> None:
    assert backlogs(Broker(), [200 + 100 * (number // 4) for number in range(40)], every=4)[-1]


@pytest.mark.parametrize("every", [0.5, 2, 15, 60])
def test_growth_is_seen_however_often_one_looks(every: float) -> None:
    broker = Broker()
    counts = [200 + round(every * number * 3) for number in range(round(200 / every) + 6)]
    assert backlogs(broker, counts, every)[-1]
    seen = broker.look(queue(ready=10_000), after=every).growing["orders"]
    assert (seen.messages > 0, seen.seconds >= 60) == (True, True)


def test_looks_from_long_ago_prove_nothing() -> None:
    broker = Broker()
    backlogs(broker, STEADY)
    assert not any(backlogs(broker, [10_000], every=3600))
    assert not any(backlogs(broker, [10_000] * 3))


def stuck(broker: Broker, look: Callable[[], QueueOutline], times: int = 4) -> dict[str, int | None]:
    for _ in range(times - 1):
        broker.look(look())
    return broker.look(look()).stuck


def test_dead_letters_that_stay_are_stuck_after_the_period_and_not_before() -> None:
    broker = Broker()
    assert [broker.look(queue(LEVEL, dead=7)).stuck for _ in range(4)] == [{}, {}, {LEVEL: 7}, {LEVEL: 7}]
    assert broker.look(queue(LEVEL, dead=0)).stuck == {}
    assert broker.look(queue(LEVEL, dead=7)).stuck == {}, "the period starts anew"


def test_the_fewest_that_were_seen_in_the_period_are_stuck() -> None:
    broker = Broker()
    assert [broker.look(queue(LEVEL, dead=dead)).stuck.get(LEVEL) for dead in (9, 3, 5, 8, 8)] == [None, None, 3, 3, 5]


def test_dead_letters_under_way_where_many_pass_are_not_stuck() -> None:
    assert stuck(Broker(), lambda: queue(LEVEL, dead=5, rate=300)) == {}
    assert stuck(Broker(), lambda: queue(LEVEL, dead=500, rate=300)) == {LEVEL: 500}


def test_a_queue_of_others_that_dead_letters_at_least_once_can_be_stuck_too() -> None:
    assert stuck(Broker(), lambda: queue(dead=2)) == {"orders": 2}


def test_a_delay_level_without_statistics_is_stuck_with_an_unknown_number() -> None:
    assert stuck(Broker(), lambda: queue(LEVEL, dead=None, known=False)) == {LEVEL: None}
    assert stuck(Broker(), lambda: queue(dead=None)) == {}, "a classic queue has none under way"


def test_a_level_that_was_just_made_is_not_stuck() -> None:
    broker = Broker()
    broker.look(queue(LEVEL, dead=None, known=False))
    assert stuck(broker, lambda: queue(LEVEL)) == {}
