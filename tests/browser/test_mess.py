"""An operator in the night of a failure, in a service that has many troubles: each question has an answer within a few
steps, by mouse and by keyboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import expect

from tests.api.client import whole_service
from tests.browser.dashboard import Dashboard, Hands, Keyboard, Mouse
from tests.browser.mess import Bank, make_mess
from tests.browser.service import Service
from tests.support.processes import wait_until
from tests.support.target import Target

Open = Callable[..., Dashboard]
Picture = Callable[[Dashboard, str], None]


@dataclass
class Night:
    """The service in its mess, and the targets that it delivers to."""

    service: Service
    shop: Target
    bank: Target


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    """A separate service: its start page has these problems and no others."""
    with (
        Target() as shop,
        Target() as bank,
        Target() as sms,
        whole_service(tmp_path_factory.mktemp("mess")) as gunicorn,
    ):
        bank.answer = Bank()
        service = Service(gunicorn)
        make_mess(service, shop, bank, sms)
        yield Night(service, shop, bank)


@pytest.fixture
def dashboard(open_dashboard: Open, night: Night) -> Dashboard:
    """One where the admin is logged in to the service with the mess."""
    return open_dashboard(url=night.service.url, session=night.service.session)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False)])
def test_the_first_screen_says_what_fails_why_and_since_when(
    open_dashboard: Open, night: Night, picture: Picture, width: int, dark: bool
) -> None:
    dashboard = open_dashboard(url=night.service.url, session=night.service.session, width=width, dark=dark)
    for kind, name, why in (
        ("Suspended", "crm-sync", "HTTP 401"),
        (
            "Dead letters",
            "payments.dlq",
            "payments-bank failed: HTTP 422 · answer: IBAN checksum failed · and 1 other cause",
        ),
        ("No active consumer", "audit-trail", "'audit-archive' is paused"),
        ("No active consumer", "returns", "no consumer"),
        ("Waiting", "sms-gateway", "asked for a pause"),
        ("Waiting", "reports", "reports-typo"),
    ):
        trouble = dashboard.trouble(kind, name)
        dashboard.see(trouble.filter(has_text=why))
        expect(trouble.locator(".facts")).to_contain_text("ago")
    for healthy in ("orders-erp", "stock-erp"):
        expect(dashboard.page.locator(".troubles").get_by_text(healthy)).to_have_count(0)
    if width == 1280:
        picture(dashboard, "now-dark" if dark else "now")
    assert dashboard.axe() == []


@pytest.mark.parametrize("hands", [Mouse, Keyboard])
def test_the_payments_of_one_reason_only_are_replayed(
    dashboard: Dashboard, night: Night, hands: Hands, picture: Picture
) -> None:
    do = hands(dashboard)
    reason, number = ("HTTP 413 payload too large", 1) if hands is Mouse else ("HTTP 422 IBAN checksum failed", 4)
    bank = night.bank.answer
    assert isinstance(bank, Bank)
    bank.recovered = True
    dashboard.see(dashboard.trouble("Dead letters", "payments.dlq"))
    before, dead = night.bank.count, night.service.messages("payments.dlq")
    do.press(dashboard.trouble("Dead letters", "payments.dlq").get_by_role("button", name="View and replay"))
    group = dashboard.row(reason).filter(has_text="Replay")
    expect(group).to_contain_text(re.compile(r"20\d\d-\d\d-\d\d .* UTC"))
    if hands is Mouse:
        picture(dashboard, "dead-letters")
    do.press(dashboard.button(f"Replay {reason}"))
    expect(dashboard.page.get_by_role("dialog")).to_contain_text("to payments")
    do.press(dashboard.button("Replay"))
    expect(dashboard.notice("replayed.")).to_be_visible()
    wait_until(lambda: night.service.messages("payments.dlq") == dead - number, 20)
    wait_until(lambda: night.bank.count == before + number, 20)
    if hands is Mouse:
        dashboard.open("", "Current problems")
        expect(dashboard.trouble("Dead letters", "payments.dlq")).to_contain_text("payments-bank failed: HTTP 422")


def test_the_credentials_of_the_suspended_consumer_are_changed_by_keyboard(dashboard: Dashboard, night: Night) -> None:
    """And the audit log shows who changed what, without the secret."""
    do = Keyboard(dashboard)
    dashboard.see(dashboard.trouble("Suspended", "crm-sync"))
    do.press(dashboard.button("Edit credentials crm-sync"))
    expect(dashboard.field("Authorization")).to_be_focused()
    do.write(dashboard.field("Authorization: token"), "renewed")
    do.write(dashboard.field("URL"), night.shop.url("/status/200"))
    do.press(dashboard.button("Save"))
    expect(dashboard.notice("Changed crm-sync.")).to_be_visible()
    wait_until(lambda: night.service.messages("crm") == 0, 20)
    *_, last = (one for one in night.shop.requests if one.headers["x-queue-name"] == "crm")
    assert last.headers["authorization"] == "Bearer renewed"
    do.press(dashboard.link("Audit log"))
    dashboard.field("Time").select_option("last day")
    entry = dashboard.row("updateConsumer").filter(has_text="crm-sync")
    dashboard.see(entry.filter(has_text="admin").filter(has_text="/status/401 → "))
    expect(entry).to_contain_text("auth: ")
    expect(entry).not_to_contain_text("renewed")
