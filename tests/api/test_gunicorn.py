"""The web process as it is deployed: several workers, signals, slow clients; and as it is developed, by flask run."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event, get_ident

import pytest
import requests

from tests.api.client import ADMIN, PASSWORD, ROOT, Gunicorn
from tests.support.nginx import certify
from tests.support.node import BrokerNode
from tests.support.processes import Process, free_port, wait_until
from tests.support.server import running
from tests.support.sockets import readable
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


def publish_until(over: Event, server: Gunicorn, token: str, queue: str, kept_alive: bool) -> list[tuple[int, str]]:
    """What one client was answered: the status, and the id of the message. Its connections are new, or one is kept."""
    answers = []
    with requests.Session() as session:
        while not over.is_set():
            identity = f"{get_ident()}-{len(answers)}"
            body = {"queueName": queue, "message": "x", "properties": {"messageId": identity}}
            headers = {"Authorization": f"Bearer {token}"} | ({} if kept_alive else {"Connection": "close"})
            answer = session.post(f"{server.url}/messagePublish", json=body, headers=headers, timeout=30)
            answers.append((answer.status_code, identity))
    return answers


@pytest.mark.parametrize("by", ["reloads", "max_requests"])
def test_workers_that_are_replaced_under_load_lose_no_request_and_no_message(
    gunicorn: MakeGunicorn, broker: BrokerNode, unique_name: str, by: str
) -> None:
    options = ["--workers", "2", "--threads", "4", *(["--max-requests", "40"] if by == "max_requests" else [])]
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
            for count in (4, 6, 8):
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


HEAD = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LARGE = HEAD + b"Content-Length: 200000\r\n\r\n" + b" " * 100_000


def connections(stack: ExitStack, server: Gunicorn, *begun: bytes) -> list[socket.socket]:
    """Clients that have sent so much, which is not all."""
    made = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in begun]
    for connection, part in zip(made, begun, strict=True):
        connection.sendall(part)
        connection.settimeout(30)
    return made


def unanswered(connection: socket.socket) -> bool:
    return not readable([connection])


def test_clients_that_are_idle_or_drip_hold_no_thread_and_are_dismissed(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "1", "--threads", "2")
    drips = (HEAD, HEAD + b"Content-Length: 100\r\n\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\n")
    with ExitStack() as stack:
        connections(stack, server, *[b""] * 12)
        slow = connections(stack, server, *drips * 4)
        for _ in range(5):
            for connection in slow:
                connection.sendall(b"1")
            assert server.call("GET", "/health/live").status_code == 200
        assert all(unanswered(connection) for connection in slow), "they were still waited for"
        waiting = slow
        while waiting := [connection for connection in waiting if unanswered(connection)]:
            for connection in waiting:
                connection.sendall(b"1")
            readable(waiting, 0.2)
        assert [connection.recv(4096)[:12] for connection in slow] == [b"HTTP/1.1 408"] * len(slow)


def test_clients_that_stop_or_drip_in_a_large_body_are_told_so_and_the_others_are_served(
    gunicorn: MakeGunicorn,
) -> None:
    server = gunicorn("--workers", "1", "--threads", "6")
    with ExitStack() as stack:
        slow = connections(stack, server, *[LARGE] * 4)
        assert server.call("GET", "/health/live").status_code == 200
        assert all(unanswered(connection) for connection in slow)
        drippers = slow[:2]
        while dripping := [connection for connection in drippers if unanswered(connection)]:
            for connection in dripping:
                connection.sendall(b" ")
            readable(dripping, 0.2)
        for connection in slow:
            assert read_statuses(connection, 1) == [408]
    assert server.process.output().count('"code":"body_timeout"') == 4


def test_a_client_that_does_not_take_its_answers_loses_its_thread(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "1", "--threads", "1")
    with ExitStack() as stack:
        for connection in connections(stack, server, b""):
            connection.sendall(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n" * 200)  # some 40 MB in return
        wait_until(lambda: '"/docs"' in server.process.output())
        assert server.call("GET", "/health/live").status_code == 200
    assert "Traceback" not in server.process.output()


def test_requests_that_come_together_or_in_pieces_are_all_answered(gunicorn: MakeGunicorn) -> None:
    server = gunicorn("--workers", "1", "--threads", "2")
    get = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    post = HEAD + b"Content-Length: 2\r\n\r\n{}"
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n"
    expecting = HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    with ExitStack() as stack:
        [together, in_pieces, waiting] = connections(stack, server, get + post + get, get[:5], expecting)
        statuses = read_statuses(together, 3)
        for piece in (get[5:], chunked[:30], chunked[30:-1], chunked[-1:], post):
            in_pieces.sendall(piece)
        assert (statuses, read_statuses(in_pieces, 3)) == ([200, 400, 200], [200, 400, 400])
        assert waiting.recv(4096).startswith(b"HTTP/1.1 100 ")
        waiting.sendall(b"{}")
        assert read_statuses(waiting, 1) == [400]


def read_statuses(connection: socket.socket, count: int) -> list[int]:
    """Of so many answers."""
    received = b""
    while len(found := re.findall(rb"HTTP/1.1 (\d+) [^\0]*?\r\n\r\n[^\0]*?}\n", received)) < count:
        more = connection.recv(65536)
        assert more, received
        received += more
    return [int(status) for status in found]


def test_a_client_that_says_nothing_is_dismissed_over_tls_too(
    tmp_path: Path, store: StoreNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = tmp_path / "certificate.pem"
    certify(certificate)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    encrypted = ("--certfile", str(certificate), "--keyfile", str(certificate.with_suffix(".key")))
    server = Gunicorn(tmp_path, {"MONGO_URI": store.uri("tls")}, *encrypted, "--workers", "1", "--keep-alive", "1")
    server.url = f"https://127.0.0.1:{server.port}"
    with running(server), socket.create_connection(("127.0.0.1", server.port), 30) as client:
        assert client.recv(1) == b""
        assert server.live()
        assert "Traceback" not in server.process.output()


def test_a_long_line_is_for_the_service_to_refuse(gunicorn: MakeGunicorn) -> None:
    answer = gunicorn().call("GET", f"/getQueues?name={'x' * 8000}")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


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
