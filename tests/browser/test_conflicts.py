"""Two operators edit the same object: the later one never undoes the change of the earlier one unseen."""

from __future__ import annotations

from playwright.sync_api import Route, expect

from tests.api.client import PASSWORD
from tests.browser.dashboard import Dashboard
from tests.browser.service import Service

URL = "http://127.0.0.1:9/"


def edit_consumer(dashboard: Dashboard, name: str) -> None:
    dashboard.open(f"consumer/{name}", f"Consumer {name}")
    dashboard.button("Edit").click()
    dashboard.more()


def expect_conflict(dashboard: Dashboard, text: str) -> None:
    expect(dashboard.page.locator("dialog .wrong").filter(has_text=text)).to_be_visible()
    expect(dashboard.page.locator("dialog [role=alert]")).to_contain_text("Your input is kept. Save again")


def test_a_change_of_the_same_object_is_shown_before_it_is_replaced(dashboard: Dashboard, service: Service) -> None:
    """A form sends an object such as `retry` as a whole, with the values that it was opened with."""
    service.post("/createConsumer", queueName="both", name="both", url=URL)
    edit_consumer(dashboard, "both")
    service.call("PATCH", "/updateConsumer", json={"name": "both", "retry": {"schedule": [7]}})
    dashboard.field("Retry: jitter").fill("0.5")
    dashboard.button("Save").click()
    expect_conflict(dashboard, 'changed this from {"schedule":[5,30,')
    assert dashboard.axe() == []
    retry = service.get("/getConsumer", name="both")["retry"]
    assert (retry["schedule"], retry["jitter"]) == ([7], 0.2)
    expect(dashboard.field("Retry: jitter")).to_have_value("0.5")
    dashboard.field("Retry: schedule").fill("7")
    dashboard.button("Save").click()
    expect(dashboard.notice("Changed both.")).to_be_visible()
    retry = service.get("/getConsumer", name="both")["retry"]
    assert (retry["schedule"], retry["jitter"]) == ([7], 0.5)


def test_changes_of_different_fields_are_both_kept(dashboard: Dashboard, service: Service) -> None:
    service.post("/createConsumer", queueName="each", name="each", url=URL)
    edit_consumer(dashboard, "each")
    service.call("PATCH", "/updateConsumer", json={"name": "each", "retry": {"schedule": [7]}, "prefetch": 3})
    dashboard.field("Timeout").fill("9")
    dashboard.button("Save").click()
    expect(dashboard.notice("Changed each.")).to_be_visible()
    found = service.get("/getConsumer", name="each")
    assert (found["timeout"], found["prefetch"], found["retry"]["schedule"]) == (9, 3, [7])


def test_a_change_that_arrives_while_a_form_is_saved_is_not_undone(dashboard: Dashboard, service: Service) -> None:
    """The service refuses another revision than the one that the form has compared."""
    service.post("/createConsumer", queueName="late", name="late", url=URL)
    edit_consumer(dashboard, "late")
    dashboard.field("Retry: jitter").fill("0.5")

    def change_first(route: Route) -> None:
        service.call("PATCH", "/updateConsumer", json={"name": "late", "retry": {"schedule": [7]}})
        route.continue_()

    dashboard.page.route("**/updateConsumer", change_first, times=1)
    dashboard.button("Save").click()
    expect_conflict(dashboard, "changed this from")
    dashboard.expect_refusal(412)
    assert service.get("/getConsumer", name="late")["retry"]["schedule"] == [7]


def test_a_policy_keeps_what_another_user_has_changed_meanwhile(dashboard: Dashboard, service: Service) -> None:
    policy = {"name": "shared", "pattern": "^shared", "definition": {"message-ttl": 1000}}
    service.post("/createPolicy", **policy)
    dashboard.open("policies?name=shared", "Policies")
    dashboard.button("Edit shared").click()
    service.post("/createPolicy", **policy | {"priority": 4})
    dashboard.field("Settings").fill('{"message-ttl": 2000}')
    dashboard.button("Save").click()
    expect(dashboard.notice("Changed the policy shared.")).to_be_visible()
    [found] = service.get("/getPolicies", name="shared")
    assert (found["priority"], found["definition"]) == (4, {"message-ttl": 2000})
    dashboard.button("Edit shared").click()
    service.post("/createPolicy", **policy | {"definition": {"message-ttl": 3000}})
    dashboard.field("Settings").fill('{"message-ttl": 4000}')
    dashboard.button("Save").click()
    expect_conflict(dashboard, 'to {"message-ttl":3000}')
    service.call("DELETE", "/deletePolicy", json={"name": "shared"})
    dashboard.button("Save").click()
    expect(dashboard.page.locator("dialog [role=alert]")).to_contain_text("Another user deleted this")
    assert service.get("/getPolicies", name="shared") == []


def test_a_new_password_does_not_restore_the_role_that_another_admin_took_away(
    dashboard: Dashboard, service: Service
) -> None:
    service.post("/createUser", username="demoted", password=PASSWORD, role="operator")
    dashboard.open("users", "Users")
    dashboard.button("Edit demoted").click()
    service.call("PATCH", "/updateUser", json={"username": "demoted", "role": "viewer"})
    dashboard.field("New password").fill("another good one")
    dashboard.button("Save").click()
    expect(dashboard.notice("Changed demoted.")).to_be_visible()
    dashboard.see(dashboard.row("demoted").filter(has_text="viewer"))
    dashboard.button("Edit demoted").click()
    service.call("PATCH", "/updateUser", json={"username": "demoted", "role": "publisher"})
    dashboard.field("Role").select_option("operator")
    dashboard.button("Save").click()
    expect_conflict(dashboard, 'admin changed this from "viewer" to "publisher".')
    [user] = service.get("/getUsers", name="demoted")
    assert user["role"] == "publisher"


def test_a_plan_that_no_longer_holds_is_shown_anew_before_it_is_applied(dashboard: Dashboard, service: Service) -> None:
    service.post("/createConsumer", queueName="planned", name="planned", url=URL)
    wanted = f"consumers: [{{queueName: planned, name: planned, url: {URL}, timeout: 9}}]"
    dashboard.open("configuration", "Configuration")
    dashboard.field("Configuration").fill(wanted)
    dashboard.button("Plan").click()
    expect(dashboard.row("consumer planned")).to_contain_text("timeout: 30 → 9")
    service.call("PATCH", "/updateConsumer", json={"name": "planned", "prefetch": 3})
    dashboard.button("Apply 1 step").click()
    dashboard.button("Apply").click()
    expect(dashboard.page.locator("dialog [role=alert]")).to_contain_text("has changed since the plan")
    assert service.get("/getConsumer", name="planned")["prefetch"] == 3
    dashboard.button("Cancel").click()
    expect(dashboard.row("consumer planned")).to_contain_text("prefetch: 3 → 64")
    dashboard.button("Apply 1 step").click()
    dashboard.button("Apply").click()
    expect(dashboard.notice("All steps were carried out.")).to_be_visible()
