"""Builds a Postman collection of the OpenAPI document, in the format 2.1
(https://schema.postman.com/collection/json/v2.1.0/draft-07/docs/index.html): a tour, and a folder for each resource."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]

_TOUR_TEXT = """Delivers a message, step by step, and cleans up. Set the variable `password`, and start a target first:
`python3 examples/target.py 8099`. The variable `targetUrl` is its URL."""

_QUEUE = {"queueName": "tour"}
_TOUR: tuple[tuple[str, str, Schema], ...] = (
    ("Log in", "login", {}),
    ("Create a queue", "createQueue", _QUEUE),
    ("Create a consumer", "createConsumer", {**_QUEUE, "url": "{{targetUrl}}"}),
    ("Publish a message", "messagePublish", {**_QUEUE, "message": "Hello, World!"}),
    ("Wait for the delivery", "getConsumer", _QUEUE),
    ("List the consumers", "getConsumers", _QUEUE),
    ("See the problems", "getOverview", {}),
    ("Delete the consumer", "deleteConsumer", _QUEUE),
    ("Delete the queue", "deleteQueue", _QUEUE),
    ("Delete its dead-letter queue", "deleteQueue", {"queueName": "tour.dlq"}),
)
"""The steps: title, operation, and the values of its query or body."""

_SCRIPTS = {
    "login": """if (pm.response.code === 200) pm.collectionVariables.set("token", pm.response.json().token);""",
    "tour": """pm.test("succeeds", () => pm.expect(pm.response.code).to.be.below(300));""",
    "Wait for the delivery": """const tries = Number(pm.variables.get("tries") || 0);
if (pm.response.json().delivered === 0 && tries < 20) {  // Postman's runner and newman repeat this request
  pm.variables.set("tries", tries + 1);
  pm.execution.setNextRequest(pm.info.requestName);
  setTimeout(() => {}, 500);  // milliseconds
} else {
  pm.test("the target has got the message", () => pm.expect(pm.response.json().delivered).to.be.above(0));
}""",
}

_LOGIN = {"username": "{{username}}", "password": "{{password}}"}


def collection(document: Schema, base_url: str) -> Schema:
    """Return the collection. `base_url` is the service's URL without a slash at its end."""
    operations = [
        {**operation, "method": method.upper(), "path": path}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "text/html" not in str(operation["responses"])
    ]
    by_id = {operation["operationId"]: operation for operation in operations}
    tour = [_request(by_id[name], title, values) for title, name, values in _TOUR]
    folders = [
        {
            "name": tag["name"],
            "item": [_request(one, one["summary"]) for one in operations if tag["name"] in one["tags"]],
        }
        for tag in document["tags"]
    ]
    variables = {
        "baseUrl": base_url,
        "username": "admin",
        "password": "",
        "token": "",
        "targetUrl": "http://127.0.0.1:8099/",
    }
    return {
        "info": {
            "name": "WorkerRMQ",
            "description": document["info"]["description"],
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": [{"key": name, "value": value} for name, value in variables.items()],
        "item": [
            {"name": "tour", "description": _TOUR_TEXT, "event": _events("tour"), "item": tour},
            *(folder for folder in folders if folder["item"]),
        ],
    }


def _request(operation: Schema, title: str, values: Schema | None = None) -> Schema:
    """Return the item of an operation, with `values` for its query or body, or with its example."""
    name = operation["operationId"]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    body = _LOGIN if name == "login" else content and (content["example"] if values is None else values)
    parameters = operation.get("parameters", [])
    request: Schema = {
        "method": operation["method"],
        "description": operation["description"],
        "url": _url(operation["path"], [one for one in parameters if one["in"] == "query"], values),
        "header": [_pair(one, "{{$guid}}", disabled=True) for one in parameters if one["in"] == "header"],
    }
    if body:
        request["header"].append({"key": "Content-Type", "value": "application/json"})
        raw = json.dumps(body, indent=2, ensure_ascii=False)
        request["body"] = {"mode": "raw", "raw": raw, "options": {"raw": {"language": "json"}}}
    if not operation["security"]:
        request["auth"] = {"type": "noauth"}
    return {"name": title, "request": request, "event": [*_events(name), *_events(title)]}


def _url(path: str, parameters: Sequence[Schema], values: Schema | None) -> Schema:
    """Return the URL. Parameters without a value are listed, but not sent."""
    given = {one["name"]: one["example"] for one in parameters if "example" in one} if values is None else values
    query = [
        _pair(one, str(given.get(one["name"], one["schema"].get("default", ""))), disabled=one["name"] not in given)
        for one in parameters
    ]
    return {"raw": f"{{{{baseUrl}}}}{path}", "host": ["{{baseUrl}}"], "path": path[1:].split("/"), "query": query}


def _pair(parameter: Schema, value: str, *, disabled: bool) -> Schema:
    text = parameter.get("description", "")
    return {"key": parameter["name"], "value": value, "description": text, "disabled": disabled}


def _events(name: str) -> list[Schema]:
    script = _SCRIPTS.get(name)
    return [{"listen": "test", "script": {"type": "text/javascript", "exec": script.splitlines()}}] if script else []
