"""The whole story, once with the mouse and once by keyboard: make it, watch it, break it, see why, mend it, replay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.api.client import ADMIN, PASSWORD
from tests.browser.dashboard import Dashboard, Hands, Keyboard, Mouse
from tests.browser.service import Service
from tests.support.processes import wait_until
from tests.support.target import Target

Open = Callable[..., Dashboard]


@pytest.mark.parametrize("hands", [Mouse, Keyboard])
def test_a_queue_a_consumer_a_failure_and_its_repair(
    open_dashboard: Open, service: Service, target: Target, hands: Hands
) -> None:
    name = f"orders-{hands.__name__.lower()}"
    dashboard = open_dashboard(dark=hands is Keyboard)
    do = hands(dashboard)
    page = dashboard.page

    do.write(dashboard.field("User name"), ADMIN)
    do.write(dashboard.field("Password"), PASSWORD)
    do.press(dashboard.button("Log in"))
    expect(dashboard.heading("Current problems")).to_be_visible()

    do.press(dashboard.link("Queues"))
    do.press(dashboard.button("Create queue"))
    do.write(dashboard.field("Name"), name)
    do.press(dashboard.button("Create queue"))
    expect(dashboard.notice(f"Created the queue {name}")).to_be_visible()
    do.press(dashboard.link(name))
    expect(dashboard.heading(f"Queue {name}")).to_be_visible()

    do.press(dashboard.button("Create consumer"))
    do.write(dashboard.field("URL"), target.url("/ok"))
    do.write(dashboard.field("Retry: schedule"), "none")
    do.press(dashboard.button("Create consumer"))
    expect(dashboard.notice(f"Created the consumer {name}")).to_be_visible()

    def publish(message: str) -> None:
        do.press(dashboard.link("Publish"))
        do.write(dashboard.field("Queue"), name)
        do.write(dashboard.field("Message"), message)
        do.press(dashboard.button("Publish"))

    publish('{"order": 1}')
    expect(dashboard.notice("It is in its queue")).to_be_visible()
    assert target.wait_for(1)[0].body == b'{"order": 1}'
    do.press(dashboard.link("Consumers"))
    running = dashboard.row(name).filter(has_text="running").filter(has_text="100 %")
    dashboard.see(running)

    target.answer = 500
    publish("this one fails")
    do.press(dashboard.link("Now"))
    dashboard.see(dashboard.trouble("Failing", name).filter(has_text="HTTP 500"))
    dead_letters = dashboard.trouble("Dead letters", f"{name}.dlq").filter(has_text="1 message waits")
    dashboard.see(dead_letters)

    target.answer = 200
    do.press(dead_letters.get_by_role("button", name="View and replay"))
    group = dashboard.row("HTTP 500 status 500").filter(has_text="Replay")
    expect(group).to_contain_text("exhausted")
    expect(group).to_contain_text(name)
    why = dashboard.row("exhausted: HTTP 500 status 500").filter(has_text="this one fails")
    expect(why).to_be_visible()
    do.press(why.get_by_role("button", name="View"))
    expect(page.locator("dialog pre")).to_have_text("this one fails")
    do.press(dashboard.button("Close"))
    do.press(dashboard.button("Replay HTTP 500 status 500"))
    expect(page.get_by_role("dialog")).to_contain_text(f"1 dead letter. 1 to {name}")
    do.press(dashboard.button("Replay"))
    expect(dashboard.notice("1 dead letter replayed.")).to_be_visible()
    target.wait_for(3)
    assert target.requests[-1].body == b"this one fails"
    dashboard.see(page.get_by_text(f"0 dead letters in {name}.dlq."))

    do.press(dashboard.link("Consumers"))
    do.press(dashboard.row(name).get_by_role("link", name=name))
    dashboard.see(dashboard.page.locator(".verdict").filter(has_text="running"))
    do.press(dashboard.button(f"Pause {name}"))
    expect(dashboard.page.locator(".verdict").filter(has_text="paused")).to_be_visible()
    do.press(dashboard.button(f"Resume {name}"))
    expect(dashboard.button(f"Pause {name}")).to_be_visible()

    do.press(dashboard.button("Delete"))
    expect(dashboard.button("Delete consumer")).to_be_disabled()
    do.write(dashboard.field(f"Type {name} to confirm"), name)
    do.press(dashboard.button("Delete consumer"))
    expect(dashboard.heading("Consumers")).to_be_visible()
    wait_until(lambda: name not in [one["name"] for one in service.get("/getConsumers")])
