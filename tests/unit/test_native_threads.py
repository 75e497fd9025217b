"""Calls that block outside sockets run in real threads, under gevent and without it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, get_ident

import pytest

from runtime.native_threads import NativeThreads

ROOT = Path(__file__).resolve().parents[2]

UNDER_GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, time
from runtime.native_threads import NativeThreads

block = monkey.get_original("time", "sleep")  # blocks the thread, as bcrypt does
steps = []

def request(name):
    threads.run(lambda: block(0.2))
    steps.append(name)

threads = NativeThreads(2)
for round in range(2):
    requests = [gevent.spawn(request, "blocking") for _ in range(4)]
    gevent.sleep(0.05)
    steps.append("another request")
    gevent.joinall(requests, raise_error=True)
print(steps)
"""


def test_it_returns_what_the_call_returns_and_raises_what_it_raises() -> None:
    threads = NativeThreads(1)
    assert threads.run(get_ident) != get_ident()
    with pytest.raises(ZeroDivisionError):
        threads.run(lambda: 1 // 0)


def test_as_many_calls_run_at_once_as_it_has_threads() -> None:
    threads = NativeThreads(2)
    together = Barrier(2)
    with ThreadPoolExecutor(2) as callers:
        places = [callers.submit(threads.run, lambda: together.wait(10)) for _ in range(2)]
        assert sorted(place.result(10) for place in places) == [0, 1]


def test_under_gevent_other_requests_go_on_meanwhile() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str((["another request"] + ["blocking"] * 4) * 2)
