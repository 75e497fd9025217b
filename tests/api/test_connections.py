"""Connections to the broker over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pika
import pytest

from tests.api.service import Service, assert_problem
from tests.conftest import BROKERS
from tests.support.node import BrokerNode
from tests.support.processes import wait_until


def named(service: Service, name: str) -> dict[str, Any] | None:
    """The connection whose client calls itself so."""
    found = [one for one in service.get("/getConnections").get_json() if one["connectionName"] == name]
    return found[0] if found else None


def open_named(broker: BrokerNode, name: str) -> pika.BlockingConnection:
    return broker.connect(client_properties={"connection_name": name, "product": "till", "version": "7"})


def test_connections_are_a_bare_list_with_who_and_where_from(service: Service, broker: BrokerNode) -> None:
    with open_named(broker, "till 7") as client:
        client.channel()
        wait_until(lambda: (named(service, "till 7") or {}).get("channels") == 1)
        seen = named(service, "till 7")
        assert seen
        assert (seen["user"], seen["tls"], seen["state"], seen["protocol"]) == ("guest", False, "running", "AMQP 0-9-1")
        assert seen["connectionId"].startswith(seen["peer"])
        assert seen["clientProperties"]["product"] == "till"
        age = datetime.now(UTC) - datetime.fromisoformat(seen["connectedAt"])
        assert timedelta(seconds=-5) < age < timedelta(minutes=1)
    wait_until(lambda: named(service, "till 7") is None)


def test_the_services_own_connection_is_among_them(service: Service) -> None:
    wait_until(lambda: named(service, "workerrmq-publisher"))


def test_pages_say_how_many_there_are(service: Service, broker: BrokerNode) -> None:
    with open_named(broker, "a"), open_named(broker, "b"):

        def names() -> list[str]:
            return sorted(one["connectionName"] or "" for one in service.get("/getConnections").get_json())

        wait_until(lambda: names() == ["a", "b", "workerrmq-publisher"], 30)
        whole = [one["connectionId"] for one in service.get("/getConnections").get_json()]
        pages = [service.get("/getConnections", page=page, pageSize=2) for page in (1, 2, 3)]
        assert [one["connectionId"] for page in pages for one in page.get_json()] == whole
        assert {page.headers["X-Total-Count"] for page in pages} == {"3"}


def test_lists_are_filtered_by_name_sorted_and_cut_to_fields(service: Service, broker: BrokerNode) -> None:
    def names(**query: Any) -> list[str]:
        answer = service.get("/getConnections", fields="connectionName", **query)
        return [one["connectionName"] for one in answer.get_json()]

    with open_named(broker, "Till 7") as seven, open_named(broker, "till 8") as eight:
        seven.channel()
        eight.channel()
        wait_until(lambda: sorted(names(name="TILL")) == ["Till 7", "till 8"], 30)
        assert names(name="till", sort="connectionName", descending="true") == ["till 8", "Till 7"]
        assert names(name="^till [0-7]$", useRegex="true") == ["Till 7"]
        connection_id = wait_until(lambda: named(service, "till 8"))["connectionId"]
        assert names(name=connection_id) == ["till 8"]
        wait_until(lambda: len(service.get("/getChannels", name=connection_id).get_json()) == 1, 30)
    for invalid in ("(", "(((x{99}){99}){99}){9}", "(?<!x)y"):
        answer = service.get("/getConnections", name=invalid, useRegex="true")
        problem = assert_problem(answer, 400, "invalid_request")
    assert problem["errors"][0]["field"] == "name"


def test_channels_show_what_is_on_them(service: Service, broker: BrokerNode) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    service.post("/messagePublish", {"messages": [{"queueName": "orders", "message": "x"}] * 3})
    with open_named(broker, "till 7") as client:
        channel = client.channel()
        channel.basic_qos(prefetch_count=2)
        channel.basic_consume("orders", lambda *_: None)
        connection_id = wait_until(lambda: named(service, "till 7"))["connectionId"]

        def seen() -> list[tuple[Any, ...]]:
            found = service.get("/getChannels", connectionId=connection_id).get_json()
            return [(one["number"], one["consumers"], one["prefetch"], one["unacked"]) for one in found]

        # basic.consume counts against the consumer; RabbitMQ shows that limit with the consumer, not the channel
        wait_until(lambda: [(one[0], one[1], one[3]) for one in seen()] == [(1, 1, 2)])
        every = service.get("/getChannels").get_json()
        assert {one["connectionId"] for one in every} > {connection_id}
        own = next(one for one in every if one["connectionId"] != connection_id)
        assert (own["confirms"], own["transactional"], own["user"]) == (True, False, "guest")
    wait_until(lambda: service.get("/getChannels", connectionId=connection_id).get_json() == [])


@pytest.mark.parametrize("broker", BROKERS, indirect=True)
def test_a_closed_connections_client_reads_the_reason(service: Service, broker: BrokerNode) -> None:
    with open_named(broker, "till 7") as client:
        connection_id = wait_until(lambda: named(service, "till 7"))["connectionId"]
        answer = service.delete("/closeConnection", {"connectionId": connection_id, "reason": "Umzug nach Köln"})
        assert answer.status_code == 200
        assert answer.get_json()["connectionId"] == connection_id
        with pytest.raises(pika.exceptions.ConnectionClosedByBroker, match="Umzug nach Köln"):
            client.process_data_events(10)
    wait_until(lambda: named(service, "till 7") is None)
    assert_problem(service.delete("/closeConnection", {"connectionId": connection_id}), 404, "connection_not_found")


def test_publishing_goes_on_after_the_services_own_connection_was_closed(service: Service) -> None:
    service.post("/createQueue", {"queueName": "orders"})
    own = wait_until(lambda: named(service, "workerrmq-publisher"))
    assert service.delete("/closeConnection", {"connectionId": own["connectionId"]}).status_code == 200
    message = {"queueName": "orders", "message": "still here"}
    wait_until(lambda: service.post("/messagePublish", message).status_code == 200)


@pytest.mark.broker_independent
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "connectionId"),
        ({"connectionId": ""}, "connectionId"),
        ({"connectionId": 5}, "connectionId"),
        ({"connectionId": "x", "reason": "a\r\nX-Evil: 1"}, "reason"),
        ({"connectionId": "x", "reason": "r" * 256}, "reason"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(service: Service, body: dict[str, Any], field: str) -> None:
    problem = assert_problem(service.delete("/closeConnection", body), 400, "invalid_request")
    assert problem["errors"][0]["field"] == field


@pytest.mark.broker_independent
def test_closing_takes_an_operator(service: Service) -> None:
    assert service.get("/getConnections", role="viewer").status_code == 200
    assert_problem(service.delete("/closeConnection", {"connectionId": "x"}, role="publisher"), 403, "forbidden")
