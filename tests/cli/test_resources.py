"""Queues, exchanges, bindings, consumers, users, keys and the rest, from a shell."""

from __future__ import annotations

from tests.api.client import PASSWORD
from tests.cli.no_service import NoService
from tests.cli.shell import Shell
from tests.support.certificates import Authority
from tests.support.processes import wait_until
from tests.support.target import Target


def test_a_queue_is_created_listed_looked_at_and_deleted(shell: Shell, unique_name: str) -> None:
    said = shell.done("queues", "create", unique_name, "--message-ttl", "60000", "--argument", "x-max-length=10")
    assert "created successfully" in said
    assert "already exists" in shell.done(
        "queues", "create", unique_name, "--message-ttl", "60000", "--argument", "x-max-length=10"
    )
    assert shell.json("queues", "get", unique_name)["arguments"] == {
        "x-queue-type": "classic",
        "x-message-ttl": 60000,
        "x-max-length": 10,
    }
    listed = shell.done("queues", "list", "--name", unique_name).splitlines()
    assert listed[0].split()[:3] == ["queueName", "type", "messages"]
    assert listed[1].split()[:3] == [unique_name, "classic", "0"]
    assert "deleted" in shell.done("queues", "delete", unique_name, "--if-empty")
    assert shell.json("queues", "list", "--name", unique_name) == []


def test_certificates_of_a_consumer_come_from_files_and_its_authorization_too(shell: Shell, queue: str) -> None:
    authority = Authority(shell.home / "authority")
    certificate, key = authority.sign("client")
    (shell.home / "auth.json").write_text('{"type": "apiKey", "name": "X-Key", "value": "canary"}')
    shell.done(
        "consumers", "create", queue, "--url", "https://127.0.0.1:9/", "--auth", f"@{shell.home}/auth.json",
        "--tls-ca", str(authority.certificate), "--tls-certificate", str(certificate), "--tls-key", str(key),
    )  # fmt: skip
    made = shell.json("consumers", "get", queue)
    assert made["auth"] == {"type": "apiKey", "in": "header", "name": "X-Key", "value": "**********"}
    assert made["tls"] == {
        "ca": authority.certificate.read_text(), "certificate": certificate.read_text(), "key": "**********",
    }  # fmt: skip
    assert "cannot be read" in shell.fails(2, "consumers", "update", queue, "--tls-ca", f"{shell.home}/nowhere.pem")


def test_a_refusal_is_the_service_s_sentence_and_status_1(shell: Shell, queue: str) -> None:
    assert "with maxLength unset; you asked for 5" in shell.fails(1, "queues", "create", queue, "--max-length", "5")
    assert "already used" not in shell.fails(1, "queues", "get", f"{queue}-not")


def test_a_wrong_call_is_refused_before_the_service_is_asked(shell: Shell) -> None:
    assert "Missing QUEUE_NAME" in shell.fails(2, "queues", "create")
    assert "0<=x<=4294967295" in shell.fails(2, "queues", "create", "q", "--message-ttl", "-1")
    assert "No such command" in shell.fails(2, "queues", "shred", "q")
    assert "is not NAME=VALUE" in shell.fails(2, "queues", "create", "q", "--argument", "x-max-length")
    assert "not valid JSON" in shell.fails(2, "queues", "create", "q", "--body", "{")
    assert "must be a JSON object" in shell.fails(2, "queues", "create", "q", "--body", "[]")


def test_a_whole_body_may_come_from_a_file_and_options_go_before_it(shell: Shell, unique_name: str) -> None:
    (shell.home / "queue.json").write_text('{"maxLength": 5, "messageTtl": 1000}')
    shell.done("queues", "create", unique_name, "--body", f"@{shell.home}/queue.json", "--max-length", "7")
    assert shell.json("queues", "get", unique_name)["arguments"] == {
        "x-queue-type": "classic",
        "x-max-length": 7,
        "x-message-ttl": 1000,
    }


def test_lists_say_when_there_is_more_and_all_brings_everything(shell: Shell, unique_name: str) -> None:
    for number in range(3):
        shell.done("queues", "create", f"{unique_name}-{number}")
    found = shell.run("queues", "list", "--name", unique_name, "--page-size", "2", "--fields", "queueName")
    assert found.stdout.split() == ["queueName", f"{unique_name}-0", f"{unique_name}-1"]
    assert "2 of 3, page 1; use --page 2 for the next page" in found.stderr
    whole = shell.json("queues", "list", "--name", unique_name, "--all")
    assert [one["queueName"] for one in whole] == [f"{unique_name}-{number}" for number in range(3)]


def test_an_exchange_is_bound_and_unbound(shell: Shell, queue: str) -> None:
    exchange = f"{queue}-events"
    shell.done("exchanges", "create", exchange, "--type", "topic")
    shell.done("bindings", "create", exchange, queue, "--routing-key", "order.*")
    assert f"{exchange}  {queue}" in shell.done("bindings", "list", "--exchange", exchange)
    shell.done("publish", "--exchange", exchange, "--routing-key", "order.made", "Hello")
    assert "Hello" in shell.done("messages", "get", queue)
    shell.done("bindings", "delete", exchange, queue, "--routing-key", "order.*")
    shell.done("exchanges", "delete", exchange)
    assert exchange not in shell.done("exchanges", "list", "--all")


def test_a_consumer_lives_its_life(shell: Shell, queue: str, target: Target) -> None:
    shell.done("consumers", "create", queue, "--url", target.url(), "--header", "X-Env=prod", "--retry-schedule", "1")
    shell.done("publish", queue, "Hello, World!")
    assert target.wait_for(1)[0].body == b"Hello, World!"
    wait_until(lambda: shell.json("consumers", "get", queue)["state"] == "running", message="the consumer running")
    assert shell.json("consumers", "get", queue)["retry"]["schedule"] == [1]
    assert target.url() in shell.done("consumers", "list", "--queue-name", queue)
    shell.done("consumers", "pause", queue)
    assert shell.json("consumers", "get", queue)["desiredState"] == "paused"
    shell.done("consumers", "update", queue, "--timeout", "3", "--breaker-failures", "7", "--body", '{"headers": null}')
    changed = shell.json("consumers", "get", "--queue-name", queue)
    assert (changed["timeout"], changed["breaker"]["failures"], changed["headers"]) == (3, 7, {})
    shell.done("consumers", "resume", queue)
    assert shell.json("consumers", "get", queue)["desiredState"] == "enabled"
    shell.done("consumers", "delete", queue)
    assert "No items." in shell.run("consumers", "list", "--queue-name", queue).stderr


def test_a_consumer_s_target_is_tried(shell: Shell, queue: str, target: Target) -> None:
    shell.done("consumers", "create", queue, "--url", target.url())
    assert "success" in shell.done("consumers", "test", queue, "--message", '{"sample": 1}', "--priority", "3")
    assert target.requests[-1].body == b'{"sample": 1}'
    target.answer = 503
    assert "would refuse the sample" in shell.fails(1, "consumers", "test", queue)


def test_a_consumer_s_filter_and_template_are_json_and_its_request_is_seen(
    shell: Shell, queue: str, target: Target
) -> None:
    (shell.home / "payload.json").write_text('{"template": "n={{ body.n }}", "contentType": "text/plain"}')
    shell.done(
        "consumers", "create", queue, "--url", target.url(), "--filter", '{"body": {"n": {"$gt": 1}}}',
        "--otherwise", "deadLetter", "--payload", f"@{shell.home}/payload.json",
    )  # fmt: skip
    consumer = shell.json("consumers", "get", queue)
    assert (consumer["filter"], consumer["otherwise"]) == ({"body": {"n": {"$gt": 1}}}, "deadLetter")
    tried = shell.json("consumers", "test", queue, "--dry-run", "--message", '{"n": 2}')
    assert (tried["request"]["body"], tried["request"]["headers"]["Content-Type"]) == ("n=2", "text/plain")
    assert "would not be sent" in shell.fails(1, "consumers", "test", queue, "--dry-run", "--message", '{"n": 1}')
    shell.done("consumers", "update", queue, "--otherwise", '{"forward": {"exchange": "", "routingKey": "small"}}')
    assert shell.json("consumers", "get", queue)["otherwise"]["forward"]["routingKey"] == "small"
    assert target.count == 0


def test_the_log_of_attempts_tells_what_failed(shell: Shell, queue: str, target: Target) -> None:
    target.answer = 422
    shell.done("consumers", "create", queue, "--url", target.url())
    shell.done("publish", queue, "x")
    found = wait_until(lambda: shell.json("deliveries", "list", "--queue-name", queue), message="the attempt logged")
    assert found[0]["status"] == 422


def test_a_password_is_asked_for_and_never_an_argument(shell: Shell, stranger: Shell) -> None:
    made = shell.run("users", "create", "carol", "--role", "viewer", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert (made.exit_code, PASSWORD in made.output) == (0, False)
    assert "carol" in shell.done("users", "list")
    shell.done("users", "update", "carol", "--disabled", "--password", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert [one["disabled"] for one in shell.json("users", "list") if one["username"] == "carol"] == [True]
    refused = shell.fails(1, "users", "create", "dave", "--role", "viewer", "--password-stdin", typed="short\n")
    assert "at least 12 bytes" in refused
    assert PASSWORD not in shell.fails(2, "users", "create", "dave", "--role", "viewer", f"--password={PASSWORD}")
    shell.done("users", "delete", "carol")


def test_a_key_is_shown_once_and_does_what_its_role_may(shell: Shell, queue: str) -> None:
    key = shell.json("keys", "create", f"{queue[-20:]}", "--role", "publisher", "--queue", f"{queue}*")["key"]
    assert f"{queue}*" in shell.done("keys", "list")
    program = Shell(shell.home, str(shell.environment["WORKERRMQ_URL"]))
    program.environment["WORKERRMQ_API_KEY"] = key
    program.done("publish", queue, "Hello")
    assert "role 'operator'" in program.fails(1, "queues", "purge", queue)
    shell.done("keys", "delete", queue[-20:])
    assert "refused the key in WORKERRMQ_API_KEY" in program.fails(4, "publish", queue, "Hello")


def test_the_audit_log_lists_a_change(shell: Shell, queue: str) -> None:
    found = wait_until(lambda: shell.json("audit", "list", "--resource", queue), message="the entry")
    assert (found[0]["action"], found[0]["user"]) == ("createQueue", "admin")


def test_connections_are_listed_and_closed(shell: Shell) -> None:
    assert "workerrmq-publisher" in shell.done("connections", "list")
    assert shell.json("connections", "channels")
    assert "no connection called" in shell.fails(1, "connections", "close", "no such one")


def test_an_error_names_the_wrong_field(shell: Shell, queue: str) -> None:
    secret = ("--signing-secret-stdin", "--url", "http://127.0.0.1:1/")
    assert "signingSecret: must be whsec_" in shell.fails(1, "consumers", "create", queue, *secret, typed="short\n")


def test_health_fails_while_a_dependency_is_down(stranger: Shell, no_service: NoService) -> None:
    stranger.environment["WORKERRMQ_URL"] = no_service.url
    found = stranger.run("health")
    assert found.exit_code == 1
    assert "Not ready" in found.stderr
    assert {"store", "broker", "management", "no"} <= set(found.stdout.split())


def test_health_names_each_dependency(shell: Shell) -> None:
    assert {"store", "broker", "management"} <= set(shell.done("health").split())
    assert shell.json("health")["status"] == "ready"
    assert "alive" in shell.done("alive")


def test_control_characters_of_messages_are_escaped(shell: Shell, queue: str) -> None:
    shell.done("publish", queue, "red \x1b[31m")
    assert "red \\x1b[31m" in shell.done("messages", "get", queue)
