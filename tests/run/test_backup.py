"""A copy of DATA_DIR, made while the service is stopped, is a complete backup, as docs/HOWTO.md says."""

from __future__ import annotations

from tests.support.installation import Installation
from tests.support.processes import wait_until


def test_a_copy_of_the_data_restores_messages_consumers_users_and_secrets(installation: Installation) -> None:
    installation.start()
    for path, body in (
        ("/createQueue", {"queueName": "orders"}),
        ("/messagePublish", {"queueName": "orders", "message": "kept"}),
        ("/createConsumer", {"queueName": "later", "url": "http://127.0.0.1:9/", "headers": {"X-Api-Key": "secret"}}),
    ):
        assert installation.call("POST", path, body).ok
    installation.stop()
    copied = installation.as_newcomer("sh", "-c", "cp -a var backup && rm -r var && cp -a backup var", log="copy.log")
    copied.start()
    wait_until(lambda: not copied.running, 30, "the copy")
    assert copied.returncode == 0, copied.output()

    installation.start()

    assert installation.call("POST", "/getMessages", {"queueName": "orders"}).json()[0]["message"] == "kept"
    (consumer,) = installation.call("GET", "/getConsumers").json()
    assert (consumer["queueName"], consumer["desiredState"]) == ("later", "enabled")
