"""The dashboard's buttons and forms carry out their actions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Locator, expect

from delivery.refusals import SUSPEND_AFTER
from domain.model import MASK
from tests.api.client import PASSWORD
from tests.browser.dashboard import Dashboard
from tests.browser.service import Service
from tests.support.certificates import Authority
from tests.support.processes import wait_until
from tests.support.target import Target


def dead_letters(service: Service, target: Target, queue: str, *statuses: int) -> None:
    """A queue whose messages the target has refused with these statuses; from now on it takes them."""
    by_body = {str(status).encode(): status for status in statuses}
    target.answer = lambda request: by_body[request.body]
    service.queue(queue, *map(str, statuses))
    service.post("/createConsumer", queueName=queue, url=target.url("/ok"), retry={"schedule": []})
    wait_until(lambda: service.messages(f"{queue}.dlq") == len(statuses), 20)
    target.answer = 200
    target.clear()


def letter(dashboard: Dashboard, reason: str) -> Locator:
    """The row of a dead letter; its group has a row with the same reason."""
    return dashboard.row(reason).filter(has=dashboard.page.get_by_role("checkbox"))


def test_dead_letters_that_are_chosen_are_replayed_and_no_others(
    dashboard: Dashboard, service: Service, target: Target
) -> None:
    dead_letters(service, target, "chosen", 400, 413, 422)
    dashboard.open("dead-letter-queue/chosen.dlq", "Dead letters in chosen.dlq")
    letter(dashboard, "HTTP 413").get_by_role("checkbox").check()
    dashboard.button("Replay 1 selected").click()
    expect(dashboard.page.get_by_role("dialog")).to_contain_text("1 dead letter. 1 to chosen")
    dashboard.button("Replay").click()
    expect(dashboard.notice("1 dead letter replayed.")).to_be_visible()
    assert [request.body for request in target.wait_for(1)] == [b"413"]
    expect(dashboard.row("HTTP 413")).to_have_count(0)
    assert service.messages("chosen.dlq") == 2


def test_dead_letters_of_one_cause_are_read_replayed_moved_exported_and_deleted(
    dashboard: Dashboard, service: Service, target: Target
) -> None:
    dead_letters(service, target, "caused", 400, 413, 422, 500)
    service.queue("parked")
    dashboard.open("dead-letter-queue/caused.dlq", "Dead letters in caused.dlq")
    dialog = dashboard.page.get_by_role("dialog")
    dashboard.button("Messages HTTP 413 status 413").click()
    expect(dashboard.heading("Messages: HTTP 413 status 413")).to_be_visible()
    expect(dashboard.page.get_by_role("checkbox")).to_have_count(1)
    with dashboard.page.expect_download() as saved:
        dashboard.button("Export HTTP 413 status 413").click()
    assert saved.value.suggested_filename.startswith("caused.dlq.")
    [line] = saved.value.path().read_text().splitlines()
    assert json.loads(line)["message"] == "413"

    dashboard.button("Replay HTTP 413 status 413").click()
    expect(dialog).to_contain_text("1 dead letter. 1 to caused, each as it was published first")
    dashboard.button("Replay").click()
    expect(dashboard.notice("1 dead letter replayed.")).to_be_visible()
    assert [request.body for request in target.wait_for(1)] == [b"413"]
    expect(dashboard.button("Replay HTTP 413 status 413")).to_have_count(0)

    dashboard.button("Show all groups").click()
    dashboard.button("Move HTTP 400 status 400").click()
    expect(dialog).to_contain_text("1 dead letter. The dead letters keep their reasons")
    dashboard.field("To the queue").fill("parked")
    dashboard.button("Move").click()
    expect(dashboard.notice("1 dead letter moved.")).to_be_visible()
    wait_until(lambda: service.messages("parked") == 1, 30)

    dashboard.button("Delete HTTP 422 status 422").click()
    expect(dialog).to_contain_text("1 dead letter. You cannot undo this.")
    dashboard.field("Type caused.dlq to confirm").fill("caused")
    dashboard.button("Delete").click()
    expect(dashboard.page.get_by_role("alert").filter(has_text="is not the name of the queue")).to_be_visible()
    dashboard.field("Type caused.dlq to confirm").fill("caused.dlq")
    dashboard.button("Delete").click()
    expect(dashboard.notice("1 dead letter deleted.")).to_be_visible()
    wait_until(lambda: service.messages("caused.dlq") == 1, 30)
    assert target.count == 1, "only the replayed message was sent"


def test_a_dead_letter_is_edited_and_resent(dashboard: Dashboard, service: Service, target: Target) -> None:
    dead_letters(service, target, "edited-letter", 400, 422)
    dashboard.open("dead-letter-queue/edited-letter.dlq", "Dead letters in edited-letter.dlq")
    letter(dashboard, "HTTP 422").get_by_role("button", name="Edit and resend").click()
    dashboard.field("Body").fill("{")
    dashboard.button("Resend").click()
    expect(
        dashboard.page.get_by_role("alert").filter(has_text="must be JSON, because the original body is JSON")
    ).to_be_visible()
    dashboard.field("Body").fill('{"iban": "DE02"}')
    dashboard.button("Resend").click()
    expect(dashboard.notice("1 dead letter replayed.")).to_be_visible()
    assert [request.body for request in target.wait_for(1)] == [b'{"iban": "DE02"}']
    expect(dashboard.row("HTTP 422")).to_have_count(0)
    wait_until(lambda: service.messages("edited-letter.dlq") == 1, 30)


def test_replay_all_asks_first_and_warns_if_the_target_still_fails(
    dashboard: Dashboard, service: Service, target: Target
) -> None:
    dead_letters(service, target, "still", 400, 422)
    wait_until(lambda: service.get("/getConsumer", name="still")["state"] == "failing", 30)
    dashboard.open("dead-letter-queue/still.dlq", "Dead letters in still.dlq")
    dashboard.button("Replay all").click()
    dialog = dashboard.page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 dead letters. 2 to still")
    expect(dialog.get_by_role("alert").first).to_contain_text("The consumer 'still' is failing")
    assert dashboard.axe() == []
    dashboard.page.keyboard.press("Escape")
    assert target.count == 0
    assert service.messages("still.dlq") == 2
    dashboard.button("Replay all").click()
    dashboard.button("Replay").click()
    expect(dashboard.notice("2 dead letters replayed.")).to_be_visible()
    target.wait_for(2)


def test_the_start_page_shows_a_suspended_consumer_and_can_fix_it(
    dashboard: Dashboard, service: Service, target: Target
) -> None:
    service.queue("mistyped", "x")
    service.post("/createConsumer", queueName="mistyped", url=target.url("/status/410"))
    trouble = dashboard.trouble("Suspended", "mistyped").filter(has_text="410")
    dashboard.see(trouble, 20)
    expect(dashboard.page.locator(".troubles > li").first).to_contain_text("Suspended")
    trouble.get_by_role("link", name="mistyped", exact=True).click()
    dashboard.button("Edit").click()
    dashboard.field("URL").fill("nonsense")
    dashboard.button("Save").click()
    expect(dashboard.field("URL")).to_have_attribute("aria-invalid", "true")
    expect(dashboard.page.get_by_role("alert").filter(has_text="http://")).to_be_visible()
    dashboard.expect_refusal(400)
    dashboard.field("URL").fill(target.url("/ok"))
    dashboard.button("Save").click()
    expect(dashboard.notice("Changed mistyped.")).to_be_visible()
    wait_until(lambda: service.messages("mistyped") == 0, 20)
    assert service.get("/getConsumer", queueName="mistyped")["prefetch"] == 64, "what was not touched stays"


def test_the_consumer_form_keeps_unchanged_fields_and_resets_emptied_fields(
    dashboard: Dashboard, service: Service
) -> None:
    service.post(
        "/createConsumer", queueName="edited", url="http://example.com/", retry={"schedule": []},
        rateLimit={"perSecond": 5, "burst": 50}, headers={"X-Stays": "1", "X-Goes": "2"},
    )  # fmt: skip
    dashboard.open("consumer/edited", "Consumer edited")
    dashboard.button("Edit").click()
    expect(dashboard.field("Retry: schedule")).to_have_value("none")
    dashboard.more()
    dashboard.field("Rate limit: per second").fill("7")
    dashboard.field("Headers").fill("X-Stays: 1")
    dashboard.button("Save").click()
    expect(dashboard.notice("Changed edited.")).to_be_visible()
    edited = service.get("/getConsumer", name="edited")
    assert edited["rateLimit"] == {"perSecond": 7, "burst": 50}
    assert edited["headers"] == {"X-Stays": MASK}
    assert edited["retry"]["schedule"] == []


def test_authorization_and_certificates_are_set_and_changed_in_the_form(
    dashboard: Dashboard, service: Service, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.sign("client")
    service.post("/createConsumer", queueName="secure", url="https://example.com/", timeout=7)
    dashboard.open("consumer/secure", "Consumer secure")
    dashboard.button("Edit").click()
    dashboard.field("Authorization").select_option("apiKey")
    dashboard.field("Authorization: name").fill("X-Key")
    dashboard.field("Authorization: value").fill("canary")
    dashboard.more()
    dashboard.field("TLS").select_option("set")
    dashboard.field("TLS: certificate").fill(certificate.read_text())
    dashboard.button("Save").click()
    expect(dashboard.page.get_by_role("alert").filter(has_text="must have both certificate and key")).to_be_visible()
    dashboard.expect_refusal(400)
    dashboard.field("TLS: key").fill(key.read_text())
    dashboard.button("Save").click()
    expect(dashboard.page.get_by_role("dialog")).to_have_count(0)
    made = service.get("/getConsumer", name="secure")
    assert made["tls"] == {"ca": None, "certificate": certificate.read_text().strip(), "key": MASK}
    assert (made["auth"]["value"], made["timeout"]) == (MASK, 7)

    dashboard.button("Edit").click()
    expect(dashboard.field("Authorization: value")).to_have_value(MASK)
    dashboard.field("Authorization: name").fill("X-Other")
    dashboard.more()
    dashboard.field("TLS: CA").fill(authority.certificate.read_text())
    dashboard.button("Save").click()
    expect(dashboard.page.get_by_role("dialog")).to_have_count(0)
    changed = service.get("/getConsumer", name="secure")
    assert changed["auth"]["name"] == "X-Other"
    assert changed["tls"] == made["tls"] | {"ca": authority.certificate.read_text().strip()}

    dashboard.button("Edit").click()
    dashboard.field("Authorization").select_option("none")
    dashboard.more()
    dashboard.field("TLS").select_option("none")
    dashboard.button("Save").click()
    expect(dashboard.page.get_by_role("dialog")).to_have_count(0)
    bare = service.get("/getConsumer", name="secure")
    assert (bare["auth"], bare["tls"]) == (None, None)


def test_the_form_of_a_consumer_has_every_field_of_the_api(dashboard: Dashboard, service: Service) -> None:
    """Its fields come from /openapi.json, so a new one is in it without a change of the page."""
    document = service.get("/openapi.json")
    dashboard.open("consumers", "Consumers")
    dashboard.button("Create consumer").click()
    dashboard.more()
    shown = set(dashboard.page.locator("dialog [name]").evaluate_all("all => all.map(one => one.name)"))
    for name, field in document["components"]["schemas"]["NewConsumer"]["properties"].items():
        inner = document["components"]["schemas"].get(field.get("$ref", "").rpartition("/")[2], {})
        assert {name} <= shown or set(inner["properties"]) <= shown, name
    assert dashboard.axe() == []


def test_fields_of_every_kind_are_sent_as_the_api_wants_them(dashboard: Dashboard, service: Service) -> None:
    """Then the form shows them, and what is emptied gets its default."""
    dashboard.open("consumers", "Consumers")
    dashboard.button("Create consumer").click()
    dashboard.field("Queue").fill("kinds")
    dashboard.field("URL").fill("http://example.com/")
    dashboard.field("Retry: schedule").fill("5, 30")
    dashboard.field("Retry: jitter").fill("0.5")
    dashboard.more()
    dashboard.field("Timeout").fill("3")
    dashboard.field("Headers").fill("X-Env: prod\nX-B: c: d")
    dashboard.field("Ordering").select_option("by header")
    dashboard.field("Ordering: header").fill("x-key")
    dashboard.field("Forward headers").fill("x-tenant, x-user")
    dashboard.field("Outcomes: reject").fill("none")
    dashboard.field("Batch").select_option("set")
    dashboard.field("Attempt log: successes").select_option("all")
    dashboard.button("Create consumer").click()
    expect(dashboard.page.get_by_role("alert").filter(has_text="forwardHeaders")).to_be_visible()
    dashboard.expect_refusal(400)
    dashboard.field("Batch").select_option("none")
    dashboard.button("Create consumer").click()
    expect(dashboard.notice("Created the consumer kinds.")).to_be_visible()
    made = service.get("/getConsumer", name="kinds")
    assert made["retry"] == {"schedule": [5, 30], "jitter": 0.5, "giveUpAfter": None}
    assert (made["timeout"], made["ordering"], made["batch"]) == (3, {"header": "x-key"}, None)
    assert set(made["headers"]) == {"X-Env", "X-B"}
    assert made["forwardHeaders"] == ["x-tenant", "x-user"]
    assert (made["outcomes"]["reject"], made["outcomes"]["success"]) == ([], ["2xx"])
    assert made["attemptLog"]["successes"] == "all"

    dashboard.open("consumer/kinds", "Consumer kinds")
    dashboard.button("Edit").click()
    expect(dashboard.field("Ordering: header")).to_have_value("x-key")
    expect(dashboard.field("Outcomes: reject")).to_have_value("none")
    dashboard.field("Retry: jitter").fill("")
    dashboard.more()
    dashboard.field("Timeout").fill("")
    dashboard.field("Ordering").select_option("queue")
    dashboard.field("Outcomes: reject").fill("")
    dashboard.field("Attempt log: successes").select_option("sampled (default)")
    dashboard.button("Save").click()
    expect(dashboard.notice("Changed kinds.")).to_be_visible()
    changed = service.get("/getConsumer", name="kinds")
    assert changed["retry"] == {"schedule": [5, 30], "jitter": 0.2, "giveUpAfter": None}
    assert (changed["timeout"], changed["ordering"]) == (30, "queue")
    assert "400" in changed["outcomes"]["reject"]
    assert changed["attemptLog"]["successes"] == "sampled"


def test_a_queue_is_purged_and_deleted_only_when_its_name_was_typed(dashboard: Dashboard, service: Service) -> None:
    service.queue("full", "1", "2")
    dashboard.open("queue/full", "Queue full")
    dashboard.button("Purge").click()
    dashboard.field("Type full to confirm").fill("ful")
    expect(dashboard.button("Purge queue")).to_be_disabled()
    dashboard.field("Type full to confirm").fill("full")
    dashboard.button("Purge queue").click()
    expect(dashboard.notice("Purged full.")).to_be_visible()
    assert service.messages("full") == 0
    dashboard.button("Delete").click()
    dashboard.field("Type full to confirm").fill("full")
    dashboard.button("Delete queue").click()
    expect(dashboard.heading("Queues")).to_be_visible()
    assert service.get("/getQueues", name="full") == []


def test_publishing_an_unroutable_message_shows_the_error(dashboard: Dashboard) -> None:
    dashboard.open("publish?queue=nowhere-at-all", "Publish and test")
    dashboard.field("Message").fill("x")
    dashboard.button("Publish").click()
    expect(dashboard.page.get_by_role("alert").filter(has_text="no queue named 'nowhere-at-all'")).to_be_visible()
    dashboard.expect_refusal(422)


def test_a_sample_shows_what_the_target_answers(dashboard: Dashboard, service: Service, target: Target) -> None:
    service.post("/createConsumer", queueName="sampled", url=target.url("/status/418"))
    dashboard.open("publish?consumer=sampled", "Publish and test")
    expect(dashboard.button("Try it")).to_be_in_viewport()
    dashboard.button("Try it").click()
    result = dashboard.page.locator(".result")
    expect(result).to_contain_text("HTTP 418")
    expect(result).to_contain_text("status 418")
    assert target.requests[-1].body == b'{"sample": true}'


def test_a_filter_and_a_template_are_given_seen_in_a_request_that_is_not_sent_and_changed(
    dashboard: Dashboard, service: Service, target: Target
) -> None:
    service.queue("templated")
    dashboard.open("consumers", "Consumers")
    dashboard.button("Create consumer").click()
    dashboard.field("Queue").fill("templated")
    dashboard.field("URL").fill(target.url())
    dashboard.field("Payload").select_option("payload template")
    dashboard.field("Payload: template").fill('{"n": {{ body.n }')
    dashboard.more()
    dashboard.field("Filter").fill('{"body": {"n": {"$gt": 1}}}')
    dashboard.field("Otherwise").select_option("forward")
    dashboard.field("Otherwise: forward: routing key").fill("small")
    dashboard.button("Create consumer").click()
    expect(dashboard.page.get_by_role("alert").filter(has_text="line 1")).to_be_visible()
    dashboard.expect_refusal(400)
    dashboard.field("Payload: template").fill('{"n": {{ body.n }}}')
    dashboard.button("Create consumer").click()
    expect(dashboard.notice("Created the consumer templated.")).to_be_visible()
    created = service.get("/getConsumer", name="templated")
    assert created["payload"] == {"template": '{"n": {{ body.n }}}', "contentType": "application/json"}
    assert created["filter"] == {"body": {"n": {"$gt": 1}}}
    assert created["otherwise"] == {"forward": {"exchange": "", "routingKey": "small"}}
    dashboard.open("publish?consumer=templated", "Publish and test")
    dashboard.field("Sample").fill('{"n": 7}')
    dashboard.field("What to do").select_option("show")
    dashboard.button("Try it").click()
    result = dashboard.page.locator(".result")
    expect(result).to_contain_text(f"POST {target.url()}")
    expect(result).to_contain_text('{"n": 7}')
    dashboard.field("Sample").fill('{"n": 1}')
    dashboard.button("Try it").click()
    expect(result).to_contain_text("filtered")
    assert target.count == 0
    dashboard.open("consumer/templated", "Consumer templated")
    dashboard.button("Edit").click()
    expect(dashboard.field("Payload")).to_have_value("payload template")
    dashboard.field("Payload: template").fill("{{ text }}")
    dashboard.more()
    expect(dashboard.field("Otherwise: forward: routing key")).to_have_value("small")
    dashboard.field("Otherwise").select_option("discard")
    dashboard.button("Save").click()
    expect(dashboard.notice("Changed templated.")).to_be_visible()
    changed = service.get("/getConsumer", name="templated")
    assert (changed["payload"]["template"], changed["otherwise"]) == ("{{ text }}", "discard")
    assert changed["filter"] == created["filter"]


def test_an_attempt_leads_to_the_life_of_its_message(dashboard: Dashboard, service: Service, target: Target) -> None:
    dead_letters(service, target, "tried", 400, 422)
    dashboard.open("attempts?consumer=tried", "Attempts")
    dashboard.see(dashboard.row("HTTP 422"))
    link = dashboard.row("HTTP 422").get_by_role("link", name="Message ")
    whole = link.get_attribute("title")
    link.click()
    expect(dashboard.heading(f"Message {whole}")).to_be_visible()
    expect(dashboard.page.locator(".timeline")).to_contain_text("HTTP 422")
    expect(dashboard.page.locator(".timeline")).not_to_contain_text("HTTP 400")


def test_a_connection_is_closed(dashboard: Dashboard, service: Service) -> None:
    dashboard.open("connections", "Connections")
    ours = dashboard.row("workerrmq-publisher")
    before = {one["connectionId"] for one in service.get("/getConnections")}
    ours.get_by_role("button").click()
    dashboard.button("Close connection").click()
    expect(dashboard.notice("Closed the connection.")).to_be_visible()
    wait_until(lambda: before - {one["connectionId"] for one in service.get("/getConnections")}, 30)
    wait_until(lambda: requests.get(f"{service.url}/health/ready", timeout=10).ok, 30)


def test_users_are_made_changed_disabled_and_deleted(dashboard: Dashboard, service: Service) -> None:
    def user() -> dict[str, object] | None:
        return next((one for one in service.get("/getUsers") if one["username"] == "nadia"), None)

    dashboard.open("users", "Users")
    dashboard.button("Create user").click()
    dashboard.field("User name").fill("nadia")
    dashboard.field("Password").fill("short")
    dashboard.button("Create user").click()
    expect(dashboard.page.locator("dialog .wrong").filter(has_text="12 bytes")).to_be_visible()
    dashboard.expect_refusal(400)
    dashboard.field("Password").fill(PASSWORD)
    dashboard.button("Create user").click()
    expect(dashboard.row("nadia")).to_contain_text("viewer")
    dashboard.button("Edit nadia").click()
    dashboard.field("Role").select_option("operator")
    dashboard.button("Save").click()
    expect(dashboard.row("nadia")).to_contain_text("operator")
    dashboard.button("Disable nadia").click()
    expect(dashboard.row("nadia")).to_contain_text("disabled")
    assert user() == {**(user() or {}), "role": "operator", "disabled": True}
    dashboard.button("Delete nadia").click()
    dashboard.field("Type nadia to confirm").fill("nadia")
    dashboard.button("Delete user").click()
    expect(dashboard.row("nadia")).to_have_count(0)
    assert user() is None


@pytest.mark.parametrize("queues", ["", "orders.*, invoices"])
def test_an_api_key_is_shown_once_and_deleted(dashboard: Dashboard, service: Service, queues: str) -> None:
    dashboard.open("keys", "API keys")
    dashboard.button("Create API key").click()
    dashboard.field("Name").fill("robot")
    dashboard.field("Queues").fill(queues)
    dashboard.button("Create API key").click()
    expect(dashboard.field("The key")).to_have_value(re.compile("^wrmq_"))
    dashboard.button("Close").click()
    expect(dashboard.row("robot")).to_contain_text(queues or "all")
    dashboard.button("Delete robot").click()
    dashboard.field("Type robot to confirm").fill("robot")
    dashboard.button("Delete API key").click()
    expect(dashboard.row("robot")).to_have_count(0)
    assert "robot" not in [one["name"] for one in service.get("/getApiKeys")]


def test_the_credentials_of_a_suspended_consumer_are_changed_on_the_first_screen(
    dashboard: Dashboard, service: Service, target: Target
) -> None:
    target.answer = lambda request: 200 if request.headers.get("authorization") == "Bearer new" else 401
    service.queue("payments", *"x" * SUSPEND_AFTER)
    service.post("/createConsumer", queueName="payments", url=target.url(), auth={"type": "bearer", "token": "old"})
    trouble = dashboard.trouble("Suspended", "payments").filter(has_text="401")
    dashboard.see(trouble, 60)
    trouble.get_by_role("button", name="Edit credentials payments").click()
    expect(dashboard.field("Authorization")).to_be_focused()
    expect(dashboard.button("Save")).to_be_in_viewport()
    dashboard.button("Cancel").click()
    dashboard.open("consumer/payments", "Consumer payments")
    dashboard.button("Edit credentials").click()
    token = dashboard.field("Authorization: token")
    token.press("End")
    token.press_sequentially("new")  # the masked secret is replaced, not continued
    dashboard.button("Save").click()
    expect(dashboard.notice("Changed payments.")).to_be_visible()
    wait_until(lambda: len(target.delivered()) == SUSPEND_AFTER, 20)


def test_a_problem_is_acknowledged_with_a_note_and_taken_back(dashboard: Dashboard, service: Service) -> None:
    service.queue("noted", "x")
    trouble = dashboard.trouble("No active consumer", "noted")
    dashboard.see(trouble, 20)
    trouble.get_by_role("button", name="Acknowledge noted", exact=True).click()
    dashboard.field("Note").fill("Ticket 17")
    dashboard.button("Acknowledge").click()
    expect(trouble).to_contain_text("Acknowledged by admin: Ticket 17")
    expect(dashboard.page.locator(".verdict")).to_contain_text("1 acknowledged")
    expect(dashboard.page.locator(".troubles > li").last).to_contain_text("noted")
    assert dashboard.axe() == []
    trouble.get_by_role("button", name="Unacknowledge noted").click()
    expect(trouble).not_to_contain_text("Acknowledged by")
    service.call("DELETE", "/deleteQueue", json={"queueName": "noted"})
