"""The loop that carries all consumers of a process outlives what fails on it."""

from __future__ import annotations

from collections.abc import Callable

from gateway.loop import Loop


def test_a_callback_that_fails_takes_nothing_with_it_that_was_due_in_the_same_moment() -> None:
    loop, done = Loop(), []

    def fails() -> None:
        raise RuntimeError("a fault of ours")

    loop.call_later(0, fails)
    loop.call_later(0, lambda: done.append("timer"))
    loop.at_turn_end(fails)
    loop.at_turn_end(lambda: done.append("end of the turn"))
    loop.add_callback_threadsafe(fails)
    loop.add_callback_threadsafe(lambda: done.append("of another thread"))
    loop.call_later(5, loop.finish)
    wait_done(loop, lambda: len(done) == 3)
    assert sorted(done) == ["end of the turn", "of another thread", "timer"]


def wait_done(loop: Loop, condition: Callable[[], bool]) -> None:
    """Run until a condition holds, or somebody ends the loop."""

    def look() -> None:
        if condition():
            loop.finish()
        else:
            loop.call_later(0.01, look)

    loop.call_later(0, look)
    loop.run()
