"""Exchanges, policies, the configuration, one's own password, and many consumers at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from tests.api.client import PASSWORD
from tests.browser.dashboard import Dashboard, Hands, Keyboard, Mouse
from tests.browser.service import Service
from tests.support.processes import wait_until
from tests.support.target import Target

Open = Callable[..., Dashboard]


@pytest.mark.parametrize("hands", [Mouse, Keyboard])
def test_an_exchange_is_created_bound_unbound_and_deleted(dashboard: Dashboard, service: Service, hands: Hands) -> None:
    do, name = hands(dashboard), f"events-{hands.__name__.lower()}"
    queue = service.queue(f"{name}-in")
    do.press(dashboard.link("Exchanges"))
    do.press(dashboard.button("Create exchange"))
    do.write(dashboard.field("Name"), name)
    do.press(dashboard.button("Create exchange"))
    expect(dashboard.notice(f"Created the exchange {name}.")).to_be_visible()
    do.press(dashboard.link(name))
    expect(dashboard.heading(f"Exchange {name}")).to_be_visible()
    do.press(dashboard.button("Bind"))
    do.write(dashboard.field("Queue"), queue)
    do.write(dashboard.field("Routing key"), "paid")
    assert dashboard.axe() == []
    do.press(dashboard.button("Bind"))
    expect(dashboard.row(queue)).to_contain_text("paid")
    [binding] = service.get("/getBindings", exchange=name)
    assert (binding["queueName"], binding["routingKey"]) == (queue, "paid")
    do.press(dashboard.button(f"Unbind {queue}"))
    do.press(dashboard.button("Unbind"))
    expect(dashboard.row(queue)).to_have_count(0)
    assert service.get("/getBindings", exchange=name) == []
    do.press(dashboard.button("Delete"))
    do.write(dashboard.field(f"Type {name} to confirm"), name)
    do.press(dashboard.button("Delete exchange"))
    expect(dashboard.heading("Exchanges")).to_be_visible()
    assert service.get("/getExchanges", name=name) == []


def test_an_exchange_that_does_not_exist_is_said_to_be_missing(dashboard: Dashboard) -> None:
    dashboard.page.evaluate("location.hash = '#/exchange/gone'")
    expect(dashboard.page.get_by_role("alert")).to_contain_text("There is no exchange 'gone'")
    expect(dashboard.page.locator("main").get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("hands", [Mouse, Keyboard])
def test_a_policy_is_created_changed_and_deleted(dashboard: Dashboard, service: Service, hands: Hands) -> None:
    do, name = hands(dashboard), f"ttl-{hands.__name__.lower()}"
    do.press(dashboard.link("Policies"))
    do.press(dashboard.button("Create policy"))
    do.write(dashboard.field("Name"), name)
    do.write(dashboard.field("Pattern"), f"^{name}")
    do.write(dashboard.field("Settings"), "60000")
    do.press(dashboard.button("Create policy"))
    expect(dashboard.page.locator("dialog .wrong").filter(has_text="must be")).to_be_visible()
    dashboard.expect_refusal(400)
    do.write(dashboard.field("Settings"), '{"message-ttl": 60000}')
    do.press(dashboard.button("Create policy"))
    expect(dashboard.row(name)).to_contain_text("message-ttl: 60000")
    do.press(dashboard.button(f"Edit {name}"))
    do.write(dashboard.field("Settings"), '{"message-ttl": 5000}')
    do.press(dashboard.button("Save"))
    expect(dashboard.row(name)).to_contain_text("message-ttl: 5000")
    [policy] = service.get("/getPolicies", name=name)
    assert (policy["pattern"], policy["definition"]) == (f"^{name}", {"message-ttl": 5000})
    do.press(dashboard.button(f"Delete {name}"))
    do.write(dashboard.field(f"Type {name} to confirm"), name)
    do.press(dashboard.button("Delete policy"))
    expect(dashboard.row(name)).to_have_count(0)
    assert service.get("/getPolicies", name=name) == []


def test_an_exported_configuration_is_edited_planned_and_applied(dashboard: Dashboard, service: Service) -> None:
    service.queue("config-a")
    service.post("/createConsumer", queueName="config-a", name="config-a", url="http://a.example/", timeout=7)
    dashboard.context.grant_permissions(["clipboard-read", "clipboard-write"])
    dashboard.open("configuration", "Configuration")
    with dashboard.page.expect_download() as saved:
        dashboard.button("Download").click()
    assert saved.value.suggested_filename == "workerrmq.yaml"
    exported = saved.value.path().read_text()
    assert "name: config-a" in exported
    dashboard.button("Copy").click()
    expect(dashboard.notice("Copied")).to_be_visible()
    assert "name: config-a" in dashboard.page.evaluate("navigator.clipboard.readText()")

    dashboard.field("Configuration").fill("consumers: [")
    dashboard.button("Plan").click()
    expect(dashboard.page.get_by_role("alert").filter(has_text="The configuration is not YAML")).to_be_visible()

    wanted = """
      queues: [{queueName: config-b}]
      consumers: [{queueName: config-a, name: config-a, url: http://a.example/, timeout: 9}]
    """
    dashboard.field("File").set_input_files(
        {"name": "wanted.yaml", "mimeType": "application/yaml", "buffer": wanted.encode()}
    )
    expect(dashboard.field("Configuration")).to_have_value(wanted)
    dashboard.button("Plan").click()
    expect(
        dashboard.page.get_by_text("The plan has 2 steps; 2 steps can be made. Nothing was changed.")
    ).to_be_visible()
    expect(dashboard.row("consumer config-a")).to_contain_text("timeout: 7 → 9")
    expect(dashboard.row("queue config-b")).to_contain_text("create")
    assert dashboard.axe() == []
    assert service.get("/getQueues", name="config-b") == []
    dashboard.button("Apply 2 steps").click()
    dashboard.button("Apply").click()
    expect(dashboard.notice("All steps were carried out.")).to_be_visible()
    expect(dashboard.row("queue config-b")).to_contain_text("done")
    expect(dashboard.button("Apply 2 steps")).to_have_count(0)
    assert service.get("/getConsumer", name="config-a")["timeout"] == 9
    dashboard.button("Plan").click()
    expect(dashboard.page.get_by_text("already has this configuration")).to_be_visible()
    dashboard.open("audit?action=updateConsumer&resource=config-a", "Audit log")
    dashboard.see(dashboard.row("config-a").filter(has_text="timeout: 7 → 9"))


def test_the_audit_log_shows_what_a_deleted_queue_was(dashboard: Dashboard, service: Service) -> None:
    service.post("/createQueue", queueName="audited", maxLength=10)
    for _ in range(2):
        service.post("/messagePublish", queueName="audited", message=1)
    wait_until(lambda: service.messages("audited") == 2)
    service.call("DELETE", "/deleteQueue", json={"queueName": "audited"})
    dashboard.open("audit?resource=audited", "Audit log")
    dashboard.see(dashboard.row("deleteQueue").filter(has_text="messages: 2").filter(has_text="x-max-length"))
    expect(dashboard.row("createQueue")).to_contain_text("maxLength: 10")


def test_a_plan_is_forgotten_when_its_configuration_is_edited(dashboard: Dashboard) -> None:
    dashboard.open("configuration", "Configuration")
    dashboard.field("Configuration").fill("queues: [{queueName: planned}]")
    dashboard.button("Plan").click()
    expect(dashboard.button("Apply 1 step")).to_be_visible()
    dashboard.field("Configuration").fill("queues: [{queueName: another}]")
    expect(dashboard.button("Apply 1 step")).to_be_hidden()
    expect(dashboard.row("planned")).to_be_hidden()


def test_a_user_changes_their_own_password_and_stays_logged_in(service: Service, open_dashboard: Open) -> None:
    service.post("/createUser", username="self", password=PASSWORD, role="viewer")
    dashboard = open_dashboard()
    dashboard.log_in("self")
    dashboard.button("Change password").click()
    dashboard.field("Current password").fill("wrong")
    dashboard.field("New password").fill("another good one")
    dashboard.button("Change password").click()
    wrong = dashboard.page.locator("dialog .wrong").filter(has_text="is wrong")
    expect(wrong).to_be_visible(timeout=30_000)  # each check of a password takes much of a second of one core
    dashboard.expect_refusal(400)
    assert dashboard.axe() == []
    dashboard.field("Current password").fill(PASSWORD)
    dashboard.button("Change password").click()
    expect(dashboard.notice("Changed your password.")).to_be_visible(timeout=30_000)
    dashboard.open("queues", "Queues")
    dashboard.open("", "Current problems")
    dashboard.button("Log out").click()
    dashboard.log_in("self", "another good one")


def test_a_request_during_a_change_of_the_password_does_not_log_the_user_out(
    service: Service, open_dashboard: Open
) -> None:
    """The service refuses the old token before the answer with the new one arrives."""
    service.post("/createUser", username="steady", password=PASSWORD, role="viewer")
    dashboard = open_dashboard()
    dashboard.log_in("steady")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    dashboard.page.route("**/changePassword", hold)
    dashboard.button("Change password").click()
    dashboard.field("Current password").fill(PASSWORD)
    dashboard.field("New password").fill("another good one")
    with dashboard.page.expect_request("**/changePassword"):
        dashboard.button("Change password").click()
    answer = held[0].fetch()
    dashboard.page.evaluate(
        """async () => {
          const { get } = await import(document.querySelector("script[type=module]").src.replace("main.js", "api.js"));
          window.meanwhile = get("getQueues", {}).then(() => "answered", (error) => error.message);
        }"""
    )
    held[0].fulfill(response=answer)
    assert dashboard.page.evaluate("window.meanwhile") == "answered"
    expect(dashboard.notice("Changed your password.")).to_be_visible()
    dashboard.open("queues", "Queues")


def test_chosen_consumers_are_paused_and_resumed_together(dashboard: Dashboard, service: Service) -> None:
    names = [f"bulk-{one}" for one in "abc"]
    for name in names:
        service.post("/createConsumer", queueName=name, name=name, url="http://127.0.0.1:9/")

    def desired() -> list[str]:
        return [service.get("/getConsumer", name=name)["desiredState"] for name in names]

    dashboard.open("consumers?name=bulk-", "Consumers")
    expect(dashboard.button("Pause selected")).to_be_disabled()
    for name in names[:2]:
        dashboard.field(f"Select {name}").check()
    dashboard.button("Pause selected").click()
    expect(dashboard.notice("Paused 2 consumers.")).to_be_visible()
    assert desired() == ["paused", "paused", "enabled"]
    expect(dashboard.field("Select bulk-a")).to_be_checked()
    dashboard.button("Resume selected").click()
    expect(dashboard.notice("Resumed 2 consumers.")).to_be_visible()
    assert desired() == ["enabled"] * 3
    dashboard.button("Select all shown").click()
    dashboard.button("Pause selected").click()
    expect(dashboard.notice("Paused 3 consumers.")).to_be_visible()
    assert desired() == ["paused"] * 3


def test_a_message_is_published_with_every_property_and_queue_names_are_offered(
    dashboard: Dashboard, service: Service
) -> None:
    service.queue("propertied")
    dashboard.open("publish", "Publish and test")
    dashboard.field("Queue").press_sequentially("propert")
    offered = dashboard.page.locator("datalist").first.locator("option[value=propertied]")
    expect(offered).to_have_count(1)
    dashboard.field("Queue").fill("propertied")
    dashboard.field("Message").fill("<a/>")
    dashboard.more()
    dashboard.field("Priority").fill("5")
    dashboard.field("Headers").fill('{"x-tenant": "acme", "n": 1}')
    for label in ("Content type", "Correlation id", "Message id", "Reply to", "Type", "App id"):
        dashboard.field(label).fill(f"text/{label[0].lower()}")
    dashboard.button("Publish").click()
    expect(dashboard.notice("It is in its queue")).to_be_visible()
    [kept] = service.post("/getMessages", queueName="propertied")
    properties = kept["properties"]
    assert (properties["priority"], properties["headers"]) == (5, {"x-tenant": "acme", "n": 1})
    assert [properties[name] for name in ("contentType", "correlationId", "messageId", "replyTo", "type", "appId")] == [
        "text/c", "text/c", "text/m", "text/r", "text/t", "text/a",
    ]  # fmt: skip
    assert kept["message"] == "<a/>"


def test_the_test_form_offers_the_names_of_consumers(dashboard: Dashboard, service: Service) -> None:
    with Target() as target:
        service.post("/createConsumer", queueName="offered", name="offered-erp", url=target.url())
        wait_until(lambda: service.get("/getConsumer", name="offered-erp"), 10)
        dashboard.open("publish", "Publish and test")
        dashboard.field("Consumer").focus()
        expect(dashboard.page.locator("datalist option[value=offered-erp]")).to_have_count(1)
