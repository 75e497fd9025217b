"""Publishing from a shell: an argument, a file, standard input, or a stream of lines."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.api.client import ROOT
from tests.cli.shell import Shell
from tests.support.processes import wait_until


def held(shell: Shell, queue: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shell.json("messages", "get", queue, "--count", "500", "--ack-mode", "take")
    return found


def test_an_argument_is_published_with_its_properties(shell: Shell, queue: str) -> None:
    shell.done("publish", queue, "42", "--priority", "3", "--header", "x-tenant=acme", "--header", "x-number=7")
    (one,) = held(shell, queue)
    assert one["message"] == "42"
    assert one["properties"]["priority"] == 3
    assert one["properties"]["headers"] == {"x-tenant": "acme", "x-number": 7}


def test_a_file_has_the_type_that_its_name_tells_and_bytes_stay_bytes(shell: Shell, queue: str) -> None:
    (shell.home / "order.json").write_text('{"id": 1.0}')
    (shell.home / "scan.bin").write_bytes(b"\xff\x00")
    shell.done("publish", queue, "--file", f"{shell.home}/order.json", "--app-id", "till")
    shell.done("publish", queue, "--file", f"{shell.home}/scan.bin")
    order, scan = held(shell, queue)
    assert order["message"] == '{"id": 1.0}'
    assert (order["properties"]["contentType"], order["properties"]["appId"]) == ("application/json", "till")
    assert scan["bodyBase64"] == "/wA="


def test_standard_input_is_a_message(shell: Shell, queue: str) -> None:
    shell.done("publish", queue, typed="two\nlines")
    shell.done("publish", queue, "-", typed="as other programs have it")
    assert [one["message"] for one in held(shell, queue)] == ["two\nlines", "as other programs have it"]


def test_lines_are_messages_and_keep_every_digit(shell: Shell, queue: str) -> None:
    typed = '{"id": 12345678901234567890}\n\n"two"\n[3]'
    assert shell.done("publish", queue, "--lines", "-", "--type", "t", typed=typed) == "Published: 3\n"
    found = held(shell, queue)
    assert [one["message"] for one in found] == ['{"id": 12345678901234567890}', "two", "[3]"]
    assert {one["properties"]["type"] for one in found} == {"t"}


def test_lines_that_are_whole_publications_are_told_of_by_their_numbers(shell: Shell, queue: str) -> None:
    lines = [{"queueName": queue, "message": 1}, {"queueName": f"{queue}-not", "message": 2}]
    said = shell.fails(1, "publish", "--lines", "-", typed="\n\n".join(map(json.dumps, lines)) + "\n")
    assert f"line 3: There is no queue named '{queue}-not'" in said
    assert [one["message"] for one in held(shell, queue)] == ["1"]


def test_a_line_that_is_no_json_ends_it_and_says_what_is_published(shell: Shell, queue: str) -> None:
    typed = "1\n" * 1000 + "2\nnonsense\n"
    said = shell.fails(1, "publish", queue, "--lines", "-", typed=typed)
    assert "Line 1002 is not JSON" in said
    assert "Published before: 1000; lines 1001–1002: not published" in said
    assert shell.json("messages", "get", queue, "--count", "500", "--ack-mode", "take")


def test_lines_that_a_full_queue_refuses_may_be_in_another_one(shell: Shell, queue: str) -> None:
    shell.done("exchanges", "create", f"{queue}-both", "--type", "fanout")
    shell.done("queues", "create", f"{queue}-full", "--max-length", "0", "--overflow", "reject-publish")
    for name in (queue, f"{queue}-full"):
        shell.done("bindings", "create", f"{queue}-both", name)
    said = shell.fails(1, "publish", "--exchange", f"{queue}-both", "--lines", "-", typed="1\n2\n")
    assert "confirmed none of the 2 messages" in said
    assert "lines 1–2: may be published" in said
    assert len(held(shell, queue)) == 2


def test_a_line_of_an_endless_stream_is_published_when_it_comes(shell: Shell, queue: str) -> None:
    command = [sys.executable, "-m", "cli", "publish", queue, "--lines", "-"]
    with subprocess.Popen(command, cwd=ROOT, env=shell.for_process(), stdin=subprocess.PIPE) as stream:
        assert stream.stdin
        for number in (1, 2):
            stream.stdin.write(b'{"number": %d}\n' % number)
            stream.stdin.flush()
            found = wait_until(lambda: held(shell, queue), message=f"line {number} in its queue")
            assert found[0]["message"] == f'{{"number": {number}}}'
        stream.stdin.close()
        assert stream.wait(10) == 0


def test_it_says_what_is_missing_or_too_much(shell: Shell, queue: str) -> None:
    assert "Quote a message" in shell.fails(2, "publish", queue, "two", "words")
    assert "Missing destination" in shell.fails(2, "publish")
    assert "in one way only" in shell.fails(2, "publish", queue, "x", "--lines", "-")
    assert f"no queue named '{queue}-not'" in shell.fails(1, "publish", f"{queue}-not", "x")


def test_a_request_made_twice_under_one_key_is_published_once(shell: Shell, queue: str) -> None:
    for _ in range(2):
        shell.done("publish", queue, "once", "--idempotency-key", queue)
    assert len(held(shell, queue)) == 1
    assert "does not fit" in shell.fails(2, "publish", queue, "once", "--idempotency-key", "no spaces")
