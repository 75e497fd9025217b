"""Tests of the target, proxy and process tools that the other tests rely on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.support.processes import Process, free_port, wait_until
from tests.support.proxy import Proxy
from tests.support.target import Target
from tests.support.target_process import TargetProcess


def post(url: str, webhook_id: str = "", timeout: float = 5) -> int:
    """Send one delivery and return the status."""
    headers = {"webhook-id": webhook_id} if webhook_id else {}
    return requests.post(url, data=b"body", headers=headers, timeout=timeout, allow_redirects=False).status_code


def test_a_target_records_requests_and_deliveries(target: Target) -> None:
    post(target.url("/ok?a=1"), "m1")
    target.answer = 500
    post(target.url(), "m1")
    target.answer = lambda request: 202 if request.id == "m2" else 400
    assert post(target.url(), "m2") == 202
    first = target.wait_for(3)[0]
    assert (first.method, first.path, first.query, first.body) == ("POST", "/ok", {"a": "1"}, b"body")
    assert first.headers["webhook-id"] == "m1"
    assert target.ids() == {"m1": 2, "m2": 1}
    assert target.delivered() == {"m1": 1, "m2": 1}


def test_a_target_fails_the_given_number_of_times(target: Target) -> None:
    url = target.url("/status/503?times=2")
    assert [post(url, "m1") for _ in range(4)] == [503, 503, 200, 200]
    assert post(url, "m2") == 503
    assert [post(target.url("/status/404"), "m1") for _ in range(3)] == [404, 404, 404]


@pytest.mark.parametrize("path", ["/reset", "/close", "/truncated"])
def test_a_target_closes_or_resets_the_connection(target: Target, path: str) -> None:
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        post(target.url(path))


def test_a_target_never_answers(target: Target) -> None:
    with pytest.raises(requests.Timeout):
        post(target.url("/hang"), timeout=0.2)


def test_a_target_answers_byte_by_byte(target: Target) -> None:
    with requests.post(target.url("/drip"), timeout=5, stream=True) as response:
        assert next(response.iter_content(1)) == b"."
    wait_until(lambda: target.open_connections == 0, 20, "the connection being gone")


def test_an_endless_answer_ends_when_the_client_closes(target: Target) -> None:
    with requests.post(target.url("/endless"), timeout=5, stream=True) as response:
        assert len(response.raw.read(1_000_000)) == 1_000_000
    wait_until(lambda: target.open_connections == 0, 20, "the connection being gone")


def test_a_target_holds_requests_until_released(target: Target, proxy: Callable[[int], Proxy]) -> None:
    statuses: list[int] = []
    held = proxy(target.port)
    clients = [
        threading.Thread(target=lambda: statuses.append(post(f"http://127.0.0.1:{held.port}/hold", timeout=20)))
        for _ in range(3)
    ]
    for client in clients:
        client.start()
    wait_until(lambda: target.held == 3, 20, "three requests being held")
    target.release(201)
    for client in clients:
        client.join(10)
    assert statuses == [201, 201, 201]


def test_random_failures_have_the_given_probabilities(target: Target) -> None:
    statuses = [post(target.url("/random?fail=0.5"), str(number)) for number in range(200)]
    assert 60 < statuses.count(500) < 140
    assert statuses.count(200) == target.delivered().total()


def test_retry_after_and_redirect_carry_their_headers(target: Target) -> None:
    busy = requests.post(target.url("/retry-after?seconds=7&status=429"), timeout=5)
    assert (busy.status_code, busy.headers["Retry-After"]) == (429, "7")
    moved = requests.post(target.url("/redirect?to=http://elsewhere/"), timeout=5, allow_redirects=False)
    assert (moved.status_code, moved.headers["Location"]) == (302, "http://elsewhere/")


def test_a_target_process_counts_requests(tmp_path: Path) -> None:
    target = TargetProcess(tmp_path)
    try:
        post(target.url(), "m1")
        target.answer(503)
        assert post(target.url(), "m1") == 503
        assert (target.ids(), target.delivered(), target.count()) == ({"m1": 2}, {"m1": 1}, 2)
    finally:
        target.stop()


def test_a_proxy_breaks_and_heals(target: Target, proxy: Callable[[int], Proxy]) -> None:
    broken = proxy(target.port)
    url = f"http://127.0.0.1:{broken.port}/ok"
    assert post(url) == 200
    broken.stall()
    with pytest.raises(requests.Timeout):
        post(url, timeout=0.2)
    broken.flow()
    broken.drop = True
    with pytest.raises(requests.Timeout):
        post(url, timeout=0.2)
    broken.flow()
    assert post(url) == 200
    broken.refuse()
    with pytest.raises(requests.ConnectionError):
        post(url)
    broken.flow()
    assert post(url) == 200


def test_a_process_that_exits_at_its_start_is_reported_with_its_output(tmp_path: Path) -> None:
    process = Process([sys.executable, "-c", "raise SystemExit('no such luck')"], tmp_path / "log")
    process.start()
    with pytest.raises(AssertionError, match="no such luck"):
        process.wait_ready(lambda: False, 30)


def test_a_process_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    port = free_port()
    child = f"import socket,time; s=socket.create_server(('127.0.0.1',{port})); print('up',flush=True); time.sleep(600)"
    parent = (
        "import signal,subprocess,sys,time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    )
    process = Process([sys.executable, "-c", parent], tmp_path / "log")
    process.start()
    process.wait_ready(lambda: "up" in process.output(), 30)
    assert process.stop(timeout=0.2) == -9
    wait_until(lambda: _is_free(port), 20, "the child being gone")


def _is_free(port: int) -> bool:
    try:
        requests.get(f"http://127.0.0.1:{port}", timeout=1)
    except requests.ConnectionError:
        return True
    except requests.Timeout:
        pass
    return False
