"""The web process as it is deployed: several workers, signals, bodies; and as it is developed, by flask run."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, get_ident

import pytest
import requests

from tests.api.client import ADMIN, PASSWORD, ROOT, Gunicorn
from tests.support.node import BrokerNode
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


def test_a_revocation_on_one_worker_applies_to_all_workers(gunicorn: MakeGunicorn) -> None:
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


def publish_until(over: Event, server: Gunicorn, token: str, queue: str, kept_alive: bool) -> list[tuple[int, str]]:
    """Publish until `over` is set, with one connection or a new one for each message. Return status and id of each."""
    answers = []
    with requests.Session() as session:
        while not over.is_set():
            identity = f"{get_ident()}-{len(answers)}"
            body = {"queueName": queue, "message": "x", "properties": {"messageId": identity}}
            headers = {"Authorization": f"Bearer {token}"} | ({} if kept_alive else {"Connection": "close"})
            answer = session.post(f"{server.url}/messagePublish", json=body, headers=headers, timeout=30)
            answers.append((answer.status_code, identity))
    return answers


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)  # it does not matter which
@pytest.mark.parametrize("by", ["reloads", "max_requests"])
def test_workers_that_are_replaced_under_load_lose_no_request_and_no_message(
    gunicorn: MakeGunicorn, broker: BrokerNode, unique_name: str, by: str
) -> None:
    options = ["--workers", "2", *(["--max-requests", "40"] if by == "max_requests" else [])]
    server = gunicorn(*options, **broker.settings)
    wait_until(lambda: server.call("GET", "/health/ready").ok, 20, "readiness")
    token = server.login()
    assert server.call("POST", "/createQueue", token, json={"queueName": unique_name}).ok
    over = Event()
    with ThreadPoolExecutor(4) as clients:
        running = [
            clients.submit(publish_until, over, server, token, unique_name, number % 2 == 0) for number in range(4)
        ]
        try:
            for count in (4, 6):
                if by == "reloads":
                    server.process.signal(signal.SIGHUP)
                wait_until(lambda count=count: server.process.output().count("Booting worker") >= count, 60)
                wait_until(lambda count=count: server.process.output().count("Worker exiting") >= count - 2, 60)
        finally:
            over.set()
        answers = [answer for client in running for answer in client.result()]
    assert {status for status, _ in answers} == {200}
    with broker.connect() as connection:
        channel = connection.channel()
        held = [channel.basic_get(unique_name)[1].message_id for _ in answers]
        assert channel.basic_get(unique_name)[0] is None
    assert sorted(held) == sorted(identity for _, identity in answers), "each 200 is in the queue once"


def test_it_ends_cleanly_when_told_to(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "2")
    assert server.process.stop() == 0
    assert "Traceback" not in server.process.output()


def test_nothing_is_imported_before_gevent_patches_the_worker(gunicorn: MakeGunicorn) -> None:
    """gevent cannot patch what a module took from `ssl` or `socket` before (https://www.gevent.org/api/gevent.monkey.html)."""
    server = gunicorn("--workers", "2", MONGO_URI="mongodb://127.0.0.1:1/none")
    assert "MonkeyPatchWarning" not in server.process.output()
    code = (
        "import runpy, sys; before = set(sys.modules); runpy.run_path('gunicorn.conf.py');"
        "import middlewares.gunicorn_worker; print({name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not {"requests", "urllib3", "pika", "pymongo", "flask"} & eval(done.stdout)


def test_a_long_line_is_for_the_service_to_refuse(gunicorn: MakeGunicorn) -> None:
    answer = gunicorn().call("GET", f"/getQueues?name={'x' * 8000}")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_a_chunked_body_within_the_limit_is_read_whole_and_one_over_it_is_refused(gunicorn: MakeGunicorn) -> None:
    server = gunicorn(MAX_BODY_BYTES="100000")

    def chunks() -> Iterator[bytes]:
        yield from (b"x" * 1000 for _ in range(101))

    answer = server.call("POST", "/login", data=iter([b'{"username": "adm', b'in", "pass', b'word": "wrong"}']))
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")
    answer = server.call("POST", "/login", data=chunks())
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


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
        server.wait_ready(lambda: _answers(f"http://127.0.0.1:{port}/login?canary=1", login), 60)
    finally:
        server.stop()
    assert '"path":"/login"' in server.output()
    assert "canary" not in server.output()


def _answers(url: str, body: dict[str, str]) -> bool:
    try:
        return requests.post(url, json=body, timeout=5).ok
    except requests.RequestException:
        return False


def test_the_service_starts_while_the_store_is_down_and_recovers(gunicorn: MakeGunicorn, store: StoreNode) -> None:
    store.kill()
    server = gunicorn()
    assert server.call("POST", "/login", json={"username": ADMIN, "password": PASSWORD}).status_code == 503
    store.start()
    assert server.login()
