"""One message: the box that finds it, its life with the target's answers, and the replay from there."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.dashboard import Dashboard
from tests.browser.service import Service
from tests.support.processes import wait_until
from tests.support.target import Target

Open = Callable[..., Dashboard]
HOSTILE = "<img src=x onerror=alert(1)>"


def find(dashboard: Dashboard, text: str) -> None:
    """Type it into the box, as a keyboard user does on any page."""
    dashboard.page.keyboard.press("/")
    dashboard.page.keyboard.type(text)
    dashboard.page.keyboard.press("Enter")


def test_the_box_finds_a_message_whose_life_shows_the_answers_and_from_which_it_is_replayed(
    service: Service, dashboard: Dashboard, target: Target
) -> None:
    target.answer = lambda _: (422, f'{{"detail": "IBAN checksum failed {HOSTILE}"}}'.encode())
    service.post("/createQueue", queueName="lives")
    service.post("/createConsumer", queueName="lives", name="bank", url=target.url())
    service.post("/messagePublish", queueName="lives", message="x", properties={"messageId": "life-1"})
    wait_until(lambda: service.messages("lives.dlq") == 1, 20)
    dashboard.open("connections", "Connections")
    find(dashboard, "life-1")
    expect(dashboard.heading("Message life-1")).to_be_visible()
    page = dashboard.page
    here = page.locator(".troubles > li")
    expect(here).to_contain_text("dead-lettered")
    expect(here.get_by_role("link", name="lives.dlq")).to_be_visible()
    expect(page.get_by_text("The message is in lives.dlq, at position 1 of 1.")).to_be_visible()
    events = page.locator(".timeline > li")
    expect(events).to_have_count(2)
    expect(events.nth(0)).to_contain_text("Published by admin.")
    expect(events.nth(1)).to_contain_text("Attempt 1 failed: HTTP 422. Dead-lettered to lives.dlq")
    expect(events.nth(1).locator("pre")).to_contain_text(f"IBAN checksum failed {HOSTILE}")
    assert dashboard.axe() == []

    target.answer = 200
    dashboard.button("Replay lives").click()
    expect(page.get_by_role("dialog")).to_contain_text("1 dead letter. 1 to lives")
    dashboard.button("Replay").click()
    expect(dashboard.notice("1 dead letter replayed.")).to_be_visible()
    dashboard.see(events.filter(has_text="Replayed from lives.dlq by admin."))
    dashboard.see(events.filter(has_text="Attempt 1: HTTP 200. The message is delivered."))
    expect(here).to_contain_text("delivered")
    assert page.locator("img").count() == 0
    dashboard.open("attempts?consumer=bank", "Attempts")
    page.locator("tbody a[href*='life-1']").first.click()
    expect(dashboard.heading("Message life-1")).to_be_visible()


def test_the_box_finds_a_scheduled_message(service: Service, dashboard: Dashboard) -> None:
    service.queue("later")
    body = {"message": "x", "deliverAt": "2035-01-31T08:00:00Z", "properties": {"messageId": "later-1"}}
    service.post("/messagePublish", queueName="later", **body)
    wait_until(lambda: service.get("/getMessage", messageId="later-1")["places"], 20)
    find(dashboard, "later-1")
    expect(dashboard.heading("Message later-1")).to_be_visible()
    here = dashboard.page.locator(".troubles > li")
    expect(here).to_contain_text("scheduled")
    expect(here).to_contain_text("It is due 2035-01-31")
    expect(dashboard.page.locator(".timeline > li")).to_contain_text("Scheduled by admin for later")


def test_the_box_goes_to_the_queue_or_the_consumer_and_lists_several_matches(
    service: Service, dashboard: Dashboard
) -> None:
    service.queue("findable.one")
    service.queue("findable.two")
    for name, consumer in (("findable.one", "finder"), ("findable.two", "findable.two")):
        service.post("/createConsumer", queueName=name, name=consumer, url="http://127.0.0.1:1/")
    find(dashboard, "findable.one")
    expect(dashboard.heading("Queue findable.one")).to_be_visible()
    find(dashboard, "finder")
    expect(dashboard.heading("Consumer finder")).to_be_visible()
    dashboard.page.go_back()
    expect(dashboard.heading("Queue findable.one")).to_be_visible()
    find(dashboard, "findable.two")
    expect(dashboard.heading("Matches for findable.two")).to_be_visible()
    expect(dashboard.page.locator("main").get_by_role("link", name="findable.two", exact=True)).to_have_count(2)
    find(dashboard, "findable")
    expect(dashboard.link("findable.one")).to_be_visible()
    find(dashboard, "no such thing")
    expect(dashboard.page.get_by_text("No queue or consumer has a name with this text")).to_be_visible()
    dashboard.link("Look for a message with this id in a queue").click()
    expect(dashboard.heading("Message no such thing")).to_be_visible()
    dashboard.field("Look in the queue").fill("findable.one")
    dashboard.button("Look").click()
    expect(dashboard.page.get_by_text("ready messages in findable.one")).to_be_visible()
    assert dashboard.axe() == []


def test_a_viewer_sees_the_life_without_the_answers_and_looks_into_no_queue(
    service: Service, open_dashboard: Open, target: Target
) -> None:
    target.answer = 422
    service.post("/createQueue", queueName="viewed")
    service.post("/createConsumer", queueName="viewed", url=target.url())
    service.post("/messagePublish", queueName="viewed", message="x", properties={"messageId": "viewed-1"})
    service.post("/createUser", username="onlooker", password="correct horse battery", role="viewer")
    wait_until(lambda: service.get("/getMessage", messageId="viewed-1")["places"], 20)
    dashboard = open_dashboard(width=360)
    dashboard.log_in("onlooker")
    dashboard.open("message/viewed-1", "Message viewed-1")
    expect(dashboard.page.locator(".timeline > li")).to_have_count(2)
    expect(dashboard.page.locator(".timeline pre")).to_have_count(0)
    expect(dashboard.page.get_by_label("Look in the queue")).to_have_count(0)
    expect(dashboard.button("Replay viewed")).to_have_count(0)
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= 360
