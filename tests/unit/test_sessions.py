"""Connections to the management API are used again, and bounded in number."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from gateway.management.sessions import Busy, Sessions
from gateway.tls import TlsFiles


def test_a_session_is_used_again_when_its_call_is_over() -> None:
    sessions = Sessions(2, 0, TlsFiles())
    with sessions.borrowed() as first:
        pass
    with sessions.borrowed() as again, sessions.borrowed() as second:
        assert again is first
        assert second is not first


def test_no_more_than_count_are_lent_at_once_however_often() -> None:
    sessions = Sessions(2, 0.01, TlsFiles())
    for _ in range(3):
        with ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(sessions.borrowed())
            with pytest.raises(Busy), sessions.borrowed():
                pass


def test_a_session_whose_call_failed_is_not_used_again_and_takes_no_place() -> None:
    sessions = Sessions(1, 0, TlsFiles())
    with pytest.raises(ZeroDivisionError), sessions.borrowed() as failed:
        raise ZeroDivisionError
    with sessions.borrowed() as next_one:
        assert next_one is not failed
