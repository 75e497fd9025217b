"""The page /docs: Swagger UI, offline and under our content security policy, tries requests with the reader's login."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.api.client import ADMIN, PASSWORD
from tests.browser.dashboard import Dashboard
from tests.browser.service import Service


@pytest.fixture
def docs(open_dashboard: Callable[..., Dashboard], service: Service) -> Dashboard:
    """The page as somebody without a login sees it; it asks no other server for anything."""
    page = open_dashboard()
    page.page.on("request", lambda request: page.faults.append(request.url) if service.url not in request.url else None)
    page.page.goto(f"{service.url}/docs")
    return page


def tried(page: Page, operation: str) -> str:
    """Open an operation, execute its request, and return the status of the answer."""
    block = page.locator(f"[id$='-{operation}']")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Execute").click()
    return block.locator(".live-responses-table .response-col_status").last.inner_text()


def test_the_page_shows_every_operation(docs: Dashboard, service: Service) -> None:
    described = requests.get(f"{service.url}/openapi.json", timeout=10).json()
    names = {one["operationId"] for methods in described["paths"].values() for one in methods.values()}
    for tag in docs.page.locator(".opblock-tag").all():
        tag.click()
    expect(docs.page.locator(".opblock")).to_have_count(len(names))
    shown = docs.page.locator(".opblock").evaluate_all("all => all.map(one => one.id.split('-').pop())")
    assert set(shown) == names


def test_a_login_on_the_page_authorizes_the_requests_after_it(docs: Dashboard) -> None:
    for tag in ("overview", "users", "queues"):
        docs.page.locator(f"[id='operations-tag-{tag}']").click()
    assert tried(docs.page, "getOverview").startswith("401")
    docs.expect_refusal(401)
    docs.page.locator("[id$='-login'] .opblock-summary-control").click()
    login = f'{{"username": "{ADMIN}", "password": "{PASSWORD}"}}'
    docs.page.locator("[id$='-login'] textarea").first.fill(login)
    docs.page.locator("[id$='-login']").get_by_role("button", name="Execute").click()
    expect(docs.page.locator("[id$='-login'] .live-responses-table")).to_contain_text("200")
    assert tried(docs.page, "getQueues").startswith("200")


def test_the_login_of_the_dashboard_counts_on_the_page(dashboard: Dashboard) -> None:
    dashboard.page.get_by_role("link", name="API", exact=True).click()
    dashboard.page.locator("[id='operations-tag-overview']").click()
    assert tried(dashboard.page, "getOverview").startswith("200")


def test_the_page_runs_only_our_files(browser: Browser, service: Service) -> None:
    policy = requests.get(f"{service.url}/docs", timeout=10).headers["Content-Security-Policy"]
    assert "script-src 'self'; style-src 'self'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
