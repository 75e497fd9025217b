"""AckWindow against the plain truth: a set of tags, and RabbitMQ's rules for acking them."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from delivery.acks import AckWindow


class Channel(RuleBasedStateMachine):
    """A channel as the broker sees it: it hands out tags, and closes with 406 for a tag that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.window = AckWindow()
        self.last = 0
        self.open: set[int] = set()  # unacked, in the broker's books
        self.working: set[int] = set()  # with the target
        self.finished: set[int] = set()  # may be acked, and were not yet

    @rule(count=st.integers(1, 5))
    def deliver(self, count: int) -> None:
        for _ in range(count):
            self.last += 1
            self.open.add(self.last)
            self.working.add(self.last)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        tag = data.draw(st.sampled_from(sorted(self.working)))
        self.working.discard(tag)
        self.finished.add(tag)
        self.window.finish(tag)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        tag = data.draw(st.sampled_from(sorted(self.working)))
        self.working.discard(tag)
        self.open.discard(tag)
        self.window.settled(tag)

    @rule()
    def ack_the_run(self) -> None:
        tag = self.window.take()
        lowest = min(self.working, default=self.last + 1)
        run = {one for one in self.finished if one < lowest}
        if tag is None:
            assert not run, "a finished run was left unacked"
            return
        assert tag in self.open, "406: an unknown delivery tag"
        acked = {one for one in self.open if one <= tag}
        assert acked == run, "multiple acked what was not finished, or left out what was"
        self.open -= acked
        self.finished -= acked

    @rule()
    def ack_the_stragglers(self) -> None:
        tags = self.window.take_stragglers()
        assert set(tags) == self.finished
        assert self.finished <= self.open, "406: an unknown delivery tag"
        self.open -= self.finished
        self.finished.clear()

    @invariant()
    def what_waits_is_counted(self) -> None:
        assert self.window.stragglers == len(self.finished)


Channel.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAcksAgainstABroker = Channel.TestCase


def test_a_run_of_any_length_takes_one_ack() -> None:
    window = AckWindow()
    for tag in reversed(range(1, 10_001)):
        window.finish(tag)
    assert window.take() == 10_000
    assert window.take() is None
    assert window.take_stragglers() == []


def test_deliveries_that_finish_behind_a_slow_one_can_be_acked_before_it() -> None:
    window = AckWindow()
    window.finish(2)
    window.finish(3)
    assert window.take() is None
    assert window.take_stragglers() == [2, 3]
    window.finish(1)
    window.finish(4)
    assert window.take() == 4
