"""Connections to targets: numbers of closed sockets that are used again, shortages, and what is kept in memory."""

from __future__ import annotations

import gc
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from domain.outcome import Answer, ErrorClass
from tests.delivery.client import Client, consumer_of
from tests.delivery.test_plain_http import OK, serving
from tests.support.processes import free_port, wait_until


@pytest.fixture
def client() -> Client:
    """Without a guard; the test closes it."""
    return Client()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Return the bytes of memory that the process has."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def is_open(number: int) -> bool:
    return Path(f"/proc/self/fd/{number}").is_symlink()


@contextmanager
def lowest_free(number: int) -> Iterator[None]:
    """The next descriptor that is opened within the block gets this number."""
    lower = []
    while (one := os.dup(0)) < number:
        lower.append(one)
    assert one == number
    os.close(one)
    yield
    for one in lower:
        os.close(one)


@contextmanager
def silent() -> Iterator[str]:
    """The URL of a target to which connections succeed, and which says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@contextmanager
def full() -> Iterator[str]:
    """The URL of a target that accepts no connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        for one in waiting:
            one.close()


def closes(one: socket.socket) -> None:
    assert one.recv(65_536)
    one.sendall(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


def test_the_loop_watches_no_socket_that_curl_has_closed(client: Client) -> None:
    with serving(closes) as server, silent() as url:
        for _ in range(3):
            assert client.post(f"http://127.0.0.1:{free_port()}/").error is ErrorClass.CONNECT
            assert client.post("http://no-such-host.invalid/").error is ErrorClass.DNS
            assert client.post(server.url.replace("//", "//user:secret@")).status == 200
            wait_until(lambda: server.ended == server.opened, 5)
            assert all(is_open(number) for number in client.http._watched)
        client.http.target(consumer_of(url)).send([], b"x", print)
        client.run_for(0.1)
        client.http.close()
        assert client.http.in_flight == 0


def test_a_socket_of_curl_that_a_starting_process_still_has_does_not_end_a_turn_of_the_loop(client: Client) -> None:
    failed: list[Answer] = []
    with full() as url:
        client.http.target(consumer_of(url, connectTimeout=0.2)).send([], b"x", failed.append)
        client.run_for(0.1)
        number = max(number for number in client.http._watched if is_open(number))
        copy = socket.socket(fileno=os.dup(number))  # as the other process has
        client.run_until(lambda: bool(failed))
    assert not is_open(number)
    with silent() as url, lowest_free(number):
        assert client.post(url, timeout=0.2).error is ErrorClass.TIMEOUT
    copy.shutdown(socket.SHUT_RDWR)
    client.run_for(0.1)
    copy.close()
    client.http.close()


def test_no_request_is_done_after_the_client_is_closed(client: Client) -> None:
    done: list[Answer] = []
    with silent() as url:
        client.http.target(consumer_of(url, timeout=0.2)).send([], b"x", done.append)
        client.run_for(0.1)
        client.http.close()
        client.run_for(0.3)
    assert not done


def test_the_attempt_to_connect_ends_with_its_request(client: Client) -> None:
    with full() as url:
        before = descriptors()
        for _ in range(10):
            client.at_once(url, 10, timeout=0.1, connectTimeout=5)
        client.run_for(0.1)
        left = descriptors() - before, client.http.in_flight
    client.http.close()
    assert left[0] <= 0
    assert left[1] == 0


def test_idle_connections_do_not_keep_the_answers_that_they_have_had(client: Client) -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + b"a:\r\n" * 70_000 + b"\r\n"

    def says_much(one: socket.socket) -> None:
        while one.recv(65_536):
            one.sendall(large)

    with serving(says_much) as server:
        assert client.post(server.url).status == 200
        before = resident()
        assert {one.status for one in client.at_once(server.url, 30, timeout=60)} == {200}
        grown = resident() - before
        client.http.close()
    assert grown < 30 * 1_000_000


def test_bytes_after_an_answer_are_not_the_answer_of_the_next_request_wherever_a_read_ends(client: Client) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 65488\r\n\r\n"
    whole = head + bytes(65_536 - len(head))
    whole = whole.replace(b"65488", b"%05d" % (65_536 - len(head)))
    never = b"HTTP/1.1 299 Never\r\nContent-Length: 0\r\n\r\n"

    def says_more(one: socket.socket) -> None:
        while one.recv(65_536):
            one.sendall(whole + never)

    found: list[int | None] = []
    with serving(says_more) as server:
        target = client.http.target(consumer_of(server.url))

        def done(answer: Answer) -> None:
            found.append(answer.status)
            if len(found) < 6:
                target.send([], b"x", done)

        target.send([], b"x", done)
        client.run_until(lambda: len(found) == 6)
        client.http.close()
    assert found == [200] * 6


@pytest.mark.parametrize("free", [1, 2, 3])
def test_a_shortage_of_descriptors_is_never_taken_for_a_fault_of_the_target(client: Client, free: int) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    taken: list[int] = []
    with silent() as url:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, limits[1]))
            with suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            for _ in range(free):
                os.close(taken.pop())
            found = client.at_once(url, 3, timeout=0.3)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for number in taken:
                os.close(number)
            client.http.close()
    assert ErrorClass.CONNECT not in [answer.error for answer in found], [answer.detail for answer in found]


def test_a_large_body_is_not_copied_for_its_request(client: Client) -> None:
    bodies = [os.urandom(1000) * 32_000 for _ in range(4)]
    done: list[Answer] = []
    with silent() as url:
        target = client.http.target(consumer_of(url, timeout=0.5))
        before = resident()
        for body in bodies:
            target.send([], body, done.append)
        client.run_for(0.1)
        grown = resident() - before
        client.run_until(lambda: len(done) == 4)
        client.http.close()
    assert grown < 32_000_000
