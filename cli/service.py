"""The service's HTTP client: one request at a time; every failure becomes one sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import click
import requests
from requests.auth import AuthBase

from cli.errors import Failed, LoginNeeded, Unreachable
from cli.logins import Logins

DEFAULT_URL = "http://127.0.0.1:5000"
_KEY = "WORKERRMQ_API_KEY"
TIMEOUT = (5, 60)  # seconds: to connect, and between two pieces of the answer


class Service:
    """A service and the token for it. Use it from one thread."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        self._bearer = _Bearer(token)
        self._session = requests.Session()

    @classmethod
    def configured(cls, url: str | None) -> Service:
        """Return the service at `url`, else of WORKERRMQ_URL, else of the last login, else on this machine, with the
        key of WORKERRMQ_API_KEY, else the login's token. Raises UsageError.
        """
        logins = Logins.of_current_user()
        url = _checked(url or os.environ.get("WORKERRMQ_URL") or logins.last_url() or DEFAULT_URL)
        return cls(url, os.environ.get(_KEY) or logins.token(url))

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> requests.Response:
        """Send a request and return the successful answer. `body` is sent as JSON, `data` unchanged. `timeout` is as
        TIMEOUT. Raises Failed, Unreachable and LoginNeeded.
        """
        try:
            answer = self._session.request(
                method,
                self.url + path,
                params=query,
                json=body,
                data=data,
                headers=headers,
                auth=self._bearer,
                timeout=timeout,
                allow_redirects=False,  # requests would turn a POST into a GET
            )
        except requests.RequestException as exc:
            raise Unreachable(f"{self.url} cannot be reached: {_reason(exc)}.") from None
        except UnicodeError:
            raise click.UsageError("The arguments must be UTF-8.") from None
        if answer.status_code < 300:
            return answer
        raise self._refusal(answer)

    def _refusal(self, answer: requests.Response) -> Failed:
        if answer.is_redirect:
            return Unreachable(f"{self.url} redirects to {answer.headers['Location']}. Use that URL.")
        problem = problem_of(answer)
        if problem is None:
            return Unreachable(
                f"{self.url} answered {answer.status_code}, but is not a WorkerRMQ service. Check the URL."
            )
        if answer.status_code == 401:
            return LoginNeeded(self._why_login(problem["detail"]))
        return Failed(_sentence(problem), problem)

    def _why_login(self, detail: str) -> str:
        if not self._bearer.token:
            return f"Not logged in to {self.url}. Log in with: flask rmq login"
        if os.environ.get(_KEY):
            return f"The service refused the key in {_KEY}. Set a valid key, or unset it to use a login."
        return f"{detail} Log in with: flask rmq login"


def problem_of(answer: requests.Response) -> dict[str, Any] | None:
    """Return the error body (RFC 9457) of an answer, or None for another body."""
    try:
        content = answer.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) and "detail" in content else None


class _Bearer(AuthBase):
    """Sets the token. Without an auth object, requests would send the host's login from ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _sentence(problem: dict[str, Any]) -> str:
    """Return the detail, with the invalid fields that it does not mention."""
    detail = str(problem["detail"])
    fields = [f"{one['field']}: {one['detail']}" for one in problem.get("errors", []) if one["detail"] not in detail]
    return f"{detail} {'; '.join(fields)}".rstrip()


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise click.UsageError("The URL of the service must not contain a login: use flask rmq login.")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise click.UsageError(f"The URL of the service must look like https://rmq.example.com, not {url!r}.")
    return url.rstrip("/")


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    known = re.search(r"\[Errno -?\d+\] ([^'\")]+)|(certificate verify failed[^'\")]*)", str(error))
    return next((part for part in known.groups() if part), "") if known else type(error).__name__
