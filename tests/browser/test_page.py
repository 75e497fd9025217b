"""The size and the permissions of the page. It loads nothing from other origins."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urljoin

import requests
from playwright.sync_api import Browser, Response, expect

from tests.browser.dashboard import Dashboard
from tests.browser.service import Service

LIMIT = 150 * 1024


def test_the_first_look_takes_less_than_150_kb_in_all_from_this_server_only(browser: Browser, service: Service) -> None:
    """From nothing in the cache to the chart of the start page: log-in and API answers are counted, too."""
    context = browser.new_context()
    answers: list[Response] = []

    def hear(answer: Response) -> None:
        answers.append(answer)

    context.on("response", hear)
    page = context.new_page()
    page.goto(service.url)
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".canvas canvas").first).to_be_visible()
    sizes = {answer.url: answer.request.sizes() for answer in answers}
    transferred = {url: size["responseBodySize"] + size["responseHeadersSize"] for url, size in sizes.items()}
    unpacked = {answer.url: len(answer.body()) for answer in answers}
    context.close()
    assert all(url.startswith(service.url) for url in transferred)
    assert sum(transferred.values()) < LIMIT, transferred
    assert sum(size for url, size in unpacked.items() if url.endswith(".js") and "vendor" not in url) < LIMIT


def test_the_page_may_run_and_style_itself_by_its_own_files_only(service: Service) -> None:
    answer = requests.get(f"{service.url}/", timeout=10)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert (policy["script-src"], policy["style-src"]) == ("'self'", "'self'")
    assert (policy["connect-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'self'", "'none'", "'none'")
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert not any(sign in answer.text for sign in ("<style", " style=", " onclick=", "<script>"))


def test_no_text_can_become_markup(dashboard: Dashboard) -> None:
    """The browser itself refuses it, should a script of ours ever try (trusted types)."""
    refused = dashboard.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch { return true; } }"
    )
    assert refused
    dashboard.faults.clear()


def test_files_are_kept_by_the_browser_for_good_and_asked_for_again_under_another_release(service: Service) -> None:
    page = requests.get(f"{service.url}/", timeout=10)
    assert page.headers["Cache-Control"] == "no-cache"
    again = requests.get(f"{service.url}/", headers={"If-None-Match": page.headers["ETag"]}, timeout=10)
    assert (again.status_code, again.content) == (304, b"")
    place = page.text.split('type="module" src="')[1].split('"')[0]
    script = requests.get(urljoin(f"{service.url}/", place), timeout=10)
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert script.headers["Content-Encoding"] == "gzip"
    assert "immutable" in script.headers["Cache-Control"]
    plain = requests.get(script.url, headers={"Accept-Encoding": "identity"}, timeout=10)
    assert "Content-Encoding" not in plain.headers
    assert plain.content == script.content
    assert plain.headers["ETag"] != script.headers["ETag"]
    other = requests.get(f"{service.url}/dashboard/another/main.js", timeout=10)
    assert (other.content, other.headers["Cache-Control"]) == (script.content, "no-cache")


def test_nothing_but_the_files_of_the_page_is_served(service: Service) -> None:
    for name in (
        "../dashboard.py",
        "..%2f..%2fconfig.py",
        "%2e%2e/%2e%2e/templates/docs.html",
        "vendor",
        "vendor/README.md",
        "none.js",
    ):
        answer = requests.get(f"{service.url}/dashboard/x/{name}", timeout=10)
        assert answer.status_code == 404, name


def test_the_page_shows_that_the_service_is_down_and_continues_afterwards(
    open_dashboard: Callable[..., Dashboard],
) -> None:
    dashboard = open_dashboard()
    dashboard.log_in()
    dashboard.settle()
    expect(dashboard.page.locator(".canvas canvas").first).to_be_visible()
    dashboard.context.set_offline(True)
    dashboard.look_back()
    expect(dashboard.page.get_by_role("alert")).to_contain_text("does not answer")
    expect(dashboard.page.locator(".figures").first).to_be_visible()
    dashboard.context.set_offline(False)
    dashboard.look_back()
    expect(dashboard.page.locator("#freshness.fresh")).to_be_visible()
    assert all("ERR_INTERNET_DISCONNECTED" in fault for fault in dashboard.faults)
    dashboard.faults.clear()
