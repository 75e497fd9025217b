"""The web process as it is deployed: several workers, signals, slow clients; and as it is developed, by flask run."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import requests

from tests.api.client import ADMIN, PASSWORD, ROOT, Gunicorn
from tests.support.processes import Process, free_port, wait_until
from tests.support.store import StoreNode

MakeGunicorn = Callable[..., Gunicorn]


def test_of_many_workers_starting_at_once_one_makes_the_first_user_and_tells_its_password(
    gunicorn: MakeGunicorn,
) -> None:
    server = gunicorn("--workers", "4", ADMIN_PASSWORD="")
    [announcement] = wait_until(
        lambda: [line for line in server.process.output().splitlines() if "shown only now" in line]
    )
    password = announcement.partition("password ")[2].split()[0]
    assert server.login(ADMIN, password)
    wait_until(lambda: server.process.output().count("Booting worker") == 4)
    assert server.process.output().count("shown only now") == 1


def test_what_is_revoked_on_one_worker_is_revoked_on_all(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "3")
    admin = server.login()
    server.call("POST", "/createUser", admin, json={"username": "carol", "password": PASSWORD, "role": "admin"})
    token = server.login("carol")
    assert {server.call("GET", "/getUsers", token).status_code for _ in range(12)} == {200}, "cached by all"
    demotion = server.call("PATCH", "/updateUser", admin, json={"username": "carol", "role": "viewer"})
    assert demotion.status_code == 200
    assert {server.call("GET", "/getUsers", token).status_code for _ in range(12)} == {403}
    server.call("POST", "/logout", token)
    assert {server.call("GET", "/getUsers", token).status_code for _ in range(12)} == {401}


def test_a_reload_under_load_loses_no_request(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "2")
    statuses: list[int] = []
    over = Event()

    def load() -> None:
        while not over.is_set():
            statuses.append(server.call("GET", "/health/live").status_code)

    threads = [Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for count in (4, 6):
        server.process.signal(signal.SIGHUP)
        wait_until(lambda count=count: server.process.output().count("Booting worker") >= count, 30)
        wait_until(lambda count=count: server.process.output().count("Worker exiting") >= count - 2, 30)
    wait_until(lambda: len(statuses) > 20, 30)
    over.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}


def test_it_ends_cleanly_when_told_to(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "2")
    assert server.process.stop() == 0
    assert "Traceback" not in server.process.output()


def test_idle_clients_hold_no_thread(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "1", "--threads", "2")
    with ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert server.call("GET", "/health/live").status_code == 200


def test_a_client_that_stops_in_its_body_is_told_so_and_the_others_are_served(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "1", "--threads", "4")
    head = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(4)]
        for connection in slow:
            connection.sendall(head)
            connection.settimeout(30)
        assert server.call("GET", "/health/live").status_code == 200
        answers = [connection.recv(4096) for connection in slow]
    assert [answer.split(b" ")[1] for answer in answers] == [b"408"] * 4


def test_a_chunked_body_over_the_limit_is_refused(gunicorn: MakeGunicorn) -> None:
    server = gunicorn(MAX_BODY_BYTES="100000")

    def chunks() -> Iterator[bytes]:
        yield from (b"x" * 1000 for _ in range(101))

    answer = server.call("POST", "/login", data=chunks())
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_chunked_body_within_the_limit_is_read_whole(gunicorn: MakeGunicorn) -> None:
    answer = gunicorn().call("POST", "/login", data=iter([b'{"username": "adm', b'in", "pass', b'word": "wrong"}']))
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")


def test_flask_routes_lists_the_routes_and_needs_neither_broker_nor_store(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "routes"],
        cwd=ROOT, env={"DATA_DIR": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "/messagePublish" in done.stdout
    assert done.stderr == ""


def test_flask_run_serves_too_and_logs_no_query(tmp_path: Path, store: StoreNode) -> None:
    port = free_port()
    environment = {"DATA_DIR": str(tmp_path), "MONGO_URI": store.uri("flask"), "ADMIN_PASSWORD": PASSWORD,
                   "CONSUMERS": "external", "RABBITMQ_URL": f"amqp://127.0.0.1:{free_port()}/"}  # fmt: skip
    command = [sys.executable, "-m", "flask", "--app", "app", "run", "--port", str(port)]
    server = Process(command, tmp_path / "flask.log", environment, ROOT)
    server.start()
    login = {"username": ADMIN, "password": PASSWORD}
    try:
        server.wait_ready(lambda: _answers(f"http://127.0.0.1:{port}/login?canary=1", login), 30)
    finally:
        server.stop()
    assert '"path":"/login"' in server.output()
    assert "canary" not in server.output()


def _answers(url: str, body: dict[str, str]) -> bool:
    try:
        return requests.post(url, json=body, timeout=5).ok
    except requests.RequestException:
        return False


def test_it_starts_while_the_store_is_away_and_heals(gunicorn: MakeGunicorn, store: StoreNode) -> None:
    store.kill()
    server = gunicorn()
    assert server.call("POST", "/login", json={"username": ADMIN, "password": PASSWORD}).status_code == 503
    store.start()
    assert server.login()
