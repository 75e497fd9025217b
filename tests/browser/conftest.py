"""One Chromium and one service for all tests of the dashboard: gunicorn with its consumers inside, on the embedded
broker. With WRITE_IMAGES=1 they write the screenshots of docs/images anew."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.api.client import whole_service
from tests.browser.dashboard import Dashboard
from tests.browser.service import Service
from tests.support.chromium import FLAGS, PROGRAMS
from tests.support.programs import find, require

IMAGES = Path(__file__).parents[2] / "docs" / "images"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process runs them all: a browser and a service are dear."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; skipped where it is not installed, unless REQUIRE_BROWSER=1 forbids that."""
    program = next(filter(None, map(find, PROGRAMS)), None) or require("BROWSER", *PROGRAMS)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=FLAGS)


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, and its API as an admin."""
    with whole_service(tmp_path_factory.mktemp("dashboard")) as gunicorn:
        yield Service(gunicorn)


@pytest.fixture
def open_dashboard(browser: Browser, service: Service) -> Iterator[Callable[..., Dashboard]]:
    """Opens dashboards, each in a browser without a past. Whatever went wrong inside fails the test when it is over."""
    opened: list[Dashboard] = []

    def make(**options: Any) -> Dashboard:
        opened.append(Dashboard(browser, **{"url": service.url, **options}))
        return opened[-1]

    yield make
    for one in opened:
        one.close()
    assert [fault for one in opened for fault in one.faults] == []


@pytest.fixture
def dashboard(open_dashboard: Callable[..., Dashboard], service: Service) -> Dashboard:
    """One where the admin is logged in."""
    return open_dashboard(session=service.session)


@pytest.fixture
def picture() -> Callable[[Dashboard, str], None]:
    """Keeps what a dashboard shows as an image of the documentation, if that is wanted."""

    def take(dashboard: Dashboard, name: str) -> None:
        if os.environ.get("WRITE_IMAGES") == "1":
            dashboard.page.mouse.move(0, 0)
            dashboard.page.screenshot(
                path=IMAGES / f"{name}.png", clip={"x": 0, "y": 0, "width": 1280, "height": 640}, animations="disabled"
            )

    return take
