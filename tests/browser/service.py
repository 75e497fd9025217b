"""The service under the dashboard, as a test prepares it: by the API, as an admin."""

from __future__ import annotations

from typing import Any

from tests.api.client import ADMIN, Gunicorn


class Service:
    """Calls fail the test unless they are answered 2xx."""

    def __init__(self, gunicorn: Gunicorn) -> None:
        self.url = gunicorn.url
        self._gunicorn = gunicorn
        self._token = gunicorn.login()
        self.session = {"username": ADMIN, "role": "admin", "token": self._token}
        """as the dashboard remembers it"""

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of the answer."""
        answer = self._gunicorn.call(method, path, self._token, **options)
        assert answer.ok, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        """POST a JSON body."""
        return self.call("POST", path, json=body)

    def get(self, path: str, **query: Any) -> Any:
        """GET with query parameters."""
        return self.call("GET", path, params=query)

    def queue(self, name: str, *messages: str) -> str:
        """A new queue with these messages; its name."""
        self.post("/createQueue", queueName=name)
        for message in messages:
            self.post("/messagePublish", queueName=name, message=message)
        return name

    def messages(self, queue: str) -> int:
        """How many are in a queue; none while there is no such queue."""
        return sum(one["messages"] for one in self.get("/getQueues", name=queue) if one["queueName"] == queue)
