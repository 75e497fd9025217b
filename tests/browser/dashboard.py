"""The dashboard in a browser, as somebody uses it: by what they read on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect
from playwright.sync_api import TimeoutError as Late

from tests.api.client import ADMIN, PASSWORD
from tests.support.processes import wait_until

expect.set_options(timeout=30_000)

_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


class Dashboard:
    """One tab. `faults` are what the browser complains of: scripts, the content security policy, requests."""

    def __init__(
        self, browser: Browser, url: str, *, dark: bool = False, width: int = 1280, session: Any = None, **context: Any
    ) -> None:
        """`session` is that of somebody who is logged in already; `context` are further options of the browser's."""
        self.url = url
        self.faults: list[str] = []
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            **context,
        )
        self.context.set_default_timeout(30_000)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._hear)
        if session:
            self.page.add_init_script(f"sessionStorage.setItem('workerrmq.session', {json.dumps(json.dumps(session))})")
        self.page.goto(url)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def expect_refusal(self, status: int) -> None:
        """One answer of this status is what the test is about: the browser complains of it, and may."""
        said = wait_until(lambda: [fault for fault in self.faults if f"status of {status}" in fault])
        self.faults.remove(said[0])

    def log_in(self, username: str = ADMIN, password: str = PASSWORD) -> None:
        self.field("User name").fill(username)
        self.field("Password").fill(password)
        self.button("Log in").click()
        expect(self.heading("Current problems")).to_be_visible()

    def open(self, view: str, heading: str) -> None:
        """Go to a view by its address, and wait until it has its first figures."""
        self.page.evaluate("view => { location.hash = view; }", f"#/{view}")
        expect(self.heading(heading)).to_be_visible()
        self.settle()

    def settle(self) -> None:
        """Wait until what is shown is from now."""
        expect(self.page.locator("#freshness.fresh")).to_be_visible()

    def look_back(self) -> None:
        """Come back to the tab, which shows at once how things are now."""
        self.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    def see(self, what: Locator, seconds: float = 30) -> None:
        """Look again every half second until this is shown. Each time the page requests everything anew."""

        def shown() -> bool:
            self.look_back()
            with suppress(Late):
                what.first.wait_for(timeout=500)
                return True
            return False

        wait_until(shown, seconds, f"{what} being shown")

    def axe(self, *rules: str) -> list[str]:
        """Return the violations that axe finds on the page, by all rules or by these."""
        options = {"runOnly": list(rules or _RULES), "resultTypes": ["violations"]}
        found = Axe().run(self.page, options=options).response["violations"]
        return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]

    def more(self) -> None:
        """Open the further fields of a form."""
        self._top().get_by_text("More settings").click()

    def heading(self, text: str) -> Locator:
        return self.page.get_by_role("heading", name=text, exact=True)

    def button(self, name: str) -> Locator:
        return self._top().get_by_role("button", name=name, exact=True)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    def field(self, label: str) -> Locator:
        return self._top().get_by_label(label, exact=True)

    def row(self, text: str) -> Locator:
        return self.page.get_by_role("row").filter(has_text=text)

    def trouble(self, kind: str, name: str) -> Locator:
        return self.page.locator(".troubles > li").filter(has_text=kind).filter(has=self.link(name))

    def notice(self, text: str) -> Locator:
        return self.page.locator(".notice").filter(has_text=text)

    def _top(self) -> Locator:
        """The dialog, where one is open."""
        dialog = self.page.locator("dialog[open]")
        return dialog if dialog.count() else self.page.locator("body")

    def close(self) -> None:
        self.context.close()


class Mouse:
    """Works the dashboard by pointing and clicking."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard

    def press(self, what: Locator) -> None:
        what.click()

    def write(self, what: Locator, text: str) -> None:
        what.click()
        what.fill(text)


class Keyboard:
    """Works it by Tab, Enter and typing alone."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._page = dashboard.page

    def press(self, what: Locator) -> None:
        self._reach(what)
        self._page.keyboard.press("Enter")

    def write(self, what: Locator, text: str) -> None:
        self._reach(what)
        self._page.keyboard.press("Control+A")
        self._page.keyboard.type(text)

    def _reach(self, what: Locator) -> None:
        expect(what).to_be_visible()
        for _ in range(100):
            where = what.evaluate(_WHERE)
            if where == "here":
                return
            self._page.keyboard.press("Tab" if where == "after" else "Shift+Tab")
        raise AssertionError(f"{what} cannot be reached by Tab")


_WHERE = """wanted => {
  const now = document.activeElement;
  if (now === wanted) return "here";
  const dialog = wanted.closest("dialog");
  if (dialog && !dialog.contains(now)) return "after";
  return now.compareDocumentPosition(wanted) & Node.DOCUMENT_POSITION_FOLLOWING ? "after" : "before";
}"""
"""Where an element is, seen from what has the focus."""

Hands = Callable[[Dashboard], Mouse | Keyboard]
