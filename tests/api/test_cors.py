"""CORS_ORIGINS: which web pages may call the API, as a browser asks and checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.api.client import Api
from tests.api.conftest import MakeApp, settings_for
from tests.api.service import Service

OURS, OTHER = "https://app.example.com", "https://app.example.com.evil.test"
ALLOWED = "Access-Control-Allow-Origin"


def preflight(api: Api, origin: str, path: str = "/createQueue", method: str = "POST") -> dict[str, str]:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization, content-type"}
    return dict(api("OPTIONS", path, headers={"Origin": origin, **asked}).headers)


def test_an_allowed_page_may_send_requests_and_read_the_answers(make_service: Callable[..., Service]) -> None:
    service = make_service(cors_origins=f"http://[::1]:3000, {OURS}")
    for origin in (OURS, "http://[::1]:3000"):
        granted = preflight(service, origin)
        assert granted[ALLOWED] == origin
        assert "POST" in granted["Access-Control-Allow-Methods"]
        assert granted["Access-Control-Allow-Headers"] == "authorization, content-type"
        answer = service("GET", "/getQueues", headers={"Origin": origin})
        assert (answer.status_code, answer.headers[ALLOWED]) == (200, origin)
        assert "X-Total-Count" in answer.headers["Access-Control-Expose-Headers"]
        assert "Origin" in answer.headers["Vary"]


def test_an_allowed_page_may_read_errors(make_app: MakeApp) -> None:
    api = Api(make_app(cors_origins=OURS))
    for path, status in (("/getQueues", 401), ("/nowhere", 404)):
        answer = api("GET", path, headers={"Origin": OURS})
        assert (answer.status_code, answer.headers[ALLOWED]) == (status, OURS)


@pytest.mark.parametrize("origins", ["", OURS])
def test_other_pages_may_not(make_app: MakeApp, origins: str) -> None:
    api = Api(make_app(cors_origins=origins))
    assert ALLOWED not in preflight(api, OTHER)
    assert ALLOWED not in api("GET", "/health/live", headers={"Origin": OTHER}).headers


def test_every_page_may_with_a_star(make_app: MakeApp) -> None:
    api = Api(make_app(cors_origins="*"))
    granted = preflight(api, OTHER, "/deleteQueue", "DELETE")
    assert granted[ALLOWED] in ("*", OTHER)
    assert "Access-Control-Allow-Credentials" not in granted


def test_without_a_preflight_options_is_no_method(make_app: MakeApp) -> None:
    assert Api(make_app(cors_origins=OURS))("OPTIONS", "/getQueues").status_code == 405


@pytest.mark.parametrize("origins", ["app.example.com", f"{OURS}/", "https://user@app.example.com", "null"])
def test_an_invalid_origin_is_refused(tmp_path: Path, origins: str) -> None:
    with pytest.raises(ValidationError, match="must be origins"):
        settings_for(tmp_path, cors_origins=origins)
