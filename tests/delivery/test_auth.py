"""Schemes of authorization other than OAuth 2, checked by what the target receives."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from pika.adapters.blocking_connection import BlockingChannel
from requests_aws4auth import AWS4Auth

from domain.outcome import Answer
from tests.delivery.client import Client
from tests.delivery.running import ONE_SECOND, Consumers
from tests.support.amqp import publish
from tests.support.processes import wait_until
from tests.support.target import Target
from tests.support.target_http import Request

AWS = {"type": "awsSigV4", "region": "eu-central-1", "service": "execute-api",
       "accessKeyId": "AKIDEXAMPLE", "secretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}  # fmt: skip


@pytest.fixture
def post(target: Target) -> Iterator[Callable[..., Request]]:
    """Sends one request by a new consumer, and returns the request that the target received."""
    client = Client()

    def post(path: str = "/ok", **fields: Any) -> Request:
        answer: Answer = client.post(target.url(path), **fields)
        assert answer.status is not None, answer
        return target.requests[-1]

    yield post
    client.close()


def test_an_api_key_goes_into_the_header_that_it_names(post: Callable[..., Request]) -> None:
    request = post(auth={"type": "apiKey", "name": "X-Api-Key", "value": "k&y=1"})
    assert request.headers["x-api-key"] == "k&y=1"
    assert request.url == "/ok"


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/ok", "/ok?api%20key=k%26y%3D1%2B%23"),
        ("/ok?a=1", "/ok?a=1&api%20key=k%26y%3D1%2B%23"),
    ],
)
def test_an_api_key_goes_into_the_query(post: Callable[..., Request], path: str, sent: str) -> None:
    auth = {"type": "apiKey", "in": "query", "name": "api key", "value": "k&y=1+#"}
    assert post(path, auth=auth).url == sent
    assert post(path, auth=auth).url == sent, "and once only"


def test_an_api_key_goes_into_the_query_of_each_messages_own_url(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    auth = {"type": "apiKey", "in": "query", "name": "key", "value": "secret"}
    target.answer = lambda request: 200 if len(target.requests) > 2 else 500
    consumers.deliver(queue, target.url("/{messageId}"), auth=auth, retry=ONE_SECOND)
    for name in ("one", "two"):
        publish(channel, queue, b"body", message_id=name)
    wait_until(lambda: (one := consumers.report(queue)) and one.delivered == 2)
    assert {request.url for request in target.requests} == {"/one?key=secret", "/two?key=secret"}


def test_github_and_stripe_signatures_are_over_what_is_sent_beside_that_of_standard_webhooks(
    consumers: Consumers, channel: BlockingChannel, queue: str, target: Target
) -> None:
    for format_, header in (("github", "x-hub-signature-256"), ("stripe", "stripe-signature")):
        auth = {"type": "hmac", "format": format_, "secret": "whsec_é"}
        whsec = "whsec_" + "A" * 32
        consumers.deliver(queue, target.url(), auth=auth, payload="envelope", signingSecret=whsec)
        publish(channel, queue, b"body")
        request = target.wait_for(1)[-1]
        assert json.loads(request.body)["body"] == "body"
        assert request.headers["webhook-signature"].startswith("v1,")
        signature, signed = request.headers[header], request.body
        if format_ == "stripe":
            (_, moment), (_, signature) = (part.split("=") for part in signature.split(","))
            assert abs(int(moment) - int(request.headers["webhook-timestamp"])) <= 1
            signed = f"{moment}.".encode() + signed
        mac = hmac.new("whsec_é".encode(), signed, "sha256").hexdigest()
        assert signature == (mac if format_ == "stripe" else f"sha256={mac}")
        target.clear()


def test_a_signature_may_have_another_header(post: Callable[..., Request]) -> None:
    request = post(auth={"type": "hmac", "format": "github", "secret": "s", "header": "X-Gitea-Signature"})
    assert request.headers["x-gitea-signature"].startswith("sha256=")
    assert "x-hub-signature-256" not in request.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("path", ["/ok", "/a%20b/c", "/ok?b=2&a=1&c=%2F%20x", "/ok?flag"])
@pytest.mark.parametrize("service", ["execute-api", "s3"])
def test_aws_accepts_the_signature(
    post: Callable[..., Request], target: Target, method: str, path: str, service: str
) -> None:
    request = post(
        path, method=method, headers={"X-Env": "a  b", "Content-Type": "a/b"}, auth=AWS | {"service": service}
    )
    authorization = request.headers["authorization"]
    signed = authorization.split("SignedHeaders=")[1].split(",")[0].split(";")
    assert {"host", "x-amz-date"} <= set(signed)
    headers = {name: request.headers[name] for name in signed}
    headers |= {"host": f"127.0.0.1:{target.port}", "x-amz-date": request.headers["x-amz-date"]}
    again = requests.Request(method, target.base + request.url, headers=headers, data=request.body).prepare()
    for name in set(again.headers) - set(headers):
        del again.headers[name]
    signer = AWS4Auth(
        AWS["accessKeyId"], AWS["secretAccessKey"], AWS["region"], service, include_hdrs=set(signed),
        raise_invalid_date=True,
    )  # fmt: skip
    assert signer(again).headers["Authorization"].split("Signature=")[1] == authorization.split("Signature=")[1]


def test_a_refused_signature_is_not_sent_again(post: Callable[..., Request], target: Target) -> None:
    target.answer = 401
    post(auth=AWS)
    assert target.count == 1
