"""The loop outlives the callbacks that fail on it."""

from __future__ import annotations

import socket

from gateway.loop import Loop


def test_timers_go_on_while_the_callback_of_a_socket_fails_each_time() -> None:
    loop, called = Loop(), []
    ours, theirs = socket.socketpair()

    def fail(_number: int, _events: int) -> None:
        raise ValueError("as each time")

    def end() -> None:
        called.append("end")
        loop.finish()

    loop.add_handler(ours.fileno(), fail, Loop.READ)
    loop.call_later(0.05, end)
    theirs.send(b"x")  # is never read, so the socket stays ready
    loop.run()
    assert called == ["end"]
    for one in (ours, theirs):
        one.close()
