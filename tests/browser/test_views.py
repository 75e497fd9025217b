"""Every view: for those who see little, in a narrow window, in the dark, and with hostile words on it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from tests.api.client import PASSWORD
from tests.browser.dashboard import Dashboard
from tests.browser.service import Service
from tests.support.processes import wait_until
from tests.support.target import Target

Open = Callable[..., Dashboard]

HOSTILE = "<img src=x onerror=alert(1)>"

VIEWS = {
    "": "Current problems",
    "queues": "Queues",
    "queue/views": "Queue views",
    "consumers": "Consumers",
    "consumer/views": "Consumer views",
    "dead-letters": "Dead letters",
    "dead-letter-queue/views.dlq": "Dead letters in views.dlq",
    "exchanges": "Exchanges",
    "exchange/amq.topic": "Exchange amq.topic",
    "policies": "Policies",
    "attempts": "Attempts",
    "message/views-1": "Message views-1",
    "find/views": "Matches for views",
    "connections": "Connections",
    "publish": "Publish and test",
    "users": "Users",
    "keys": "API keys",
    "audit": "Audit log",
    "configuration": "Configuration",
}


@pytest.fixture(scope="module")
def furnished(service: Service) -> Service:
    """Something to see in every view: a consumer that fails, dead letters, hostile names, users and keys."""
    with Target() as target:
        service.post("/createQueue", queueName="views")
        service.post("/createQueue", queueName=HOSTILE)
        headers = {"x-hostile": HOSTILE}
        service.post(
            "/createConsumer", queueName="views", url=target.url("/status/422"), headers=headers, retry={"schedule": []}
        )
        service.post("/createConsumer", queueName=HOSTILE, name=HOSTILE, url=target.url("/ok/<script>"))
        for number, message in enumerate((HOSTILE, {"html": HOSTILE})):
            properties = {"headers": headers, "type": HOSTILE, "messageId": f"views-{number}", "appId": HOSTILE}
            service.post("/messagePublish", queueName="views", message=message, properties=properties)
        service.post("/createApiKey", name="shop", role="publisher", queues=["orders.*"])
        for role in ("viewer", "publisher", "operator"):
            service.post("/createUser", username=role, password=PASSWORD, role=role)
        wait_until(lambda: service.messages("views.dlq") == 2, 20)
    return service


@pytest.mark.parametrize(("dark", "rules"), [(False, ()), (True, ("color-contrast",))], ids=["light", "dark"])
def test_axe_finds_no_violation(furnished: Service, open_dashboard: Open, dark: bool, rules: tuple[str, ...]) -> None:
    """In the dark the page is another in its colours only."""
    dashboard = open_dashboard(dark=dark)
    expect(dashboard.page.get_by_role("heading", level=1)).to_be_visible()
    found = {"log in": dashboard.axe(*rules)}
    dashboard.log_in()
    for view, heading in VIEWS.items():
        dashboard.open(view, heading)
        found[view] = dashboard.axe(*rules)
    dashboard.open("queue/views", "Queue views")
    for dialog in ("Create consumer", "Purge", "View messages"):
        dashboard.button(dialog).click()
        expect(dashboard.page.get_by_role("dialog")).to_be_visible()
        found[dialog] = dashboard.axe(*rules)
        dashboard.page.keyboard.press("Escape")
        expect(dashboard.page.locator("dialog")).to_have_count(0)
    assert {view: violations for view, violations in found.items() if violations} == {}


_WIDER = """() => [document.documentElement, ...document.querySelectorAll('main *')]
  .filter(one => one.scrollWidth > one.clientWidth && getComputedStyle(one).overflowX !== 'visible'
    || one.getBoundingClientRect().right > innerWidth + 1)
  .filter(one => !one.matches('thead *, .hidden, .clip, input, select, textarea'))
  .map(one => one.outerHTML.slice(0, 80))"""
"""Elements that one must scroll sideways to see."""


def test_in_a_narrow_window_nothing_is_cut_off(furnished: Service, open_dashboard: Open) -> None:
    dashboard = open_dashboard(width=360, session=furnished.session)
    wider: dict[str, list[str]] = {}
    for view, heading in VIEWS.items():
        dashboard.open(view, heading)
        if found := dashboard.page.evaluate(_WIDER):
            wider[view] = found
    assert wider == {}
    assert dashboard.axe() == []


def test_in_a_narrow_window_the_views_are_in_a_menu(furnished: Service, open_dashboard: Open) -> None:
    dashboard = open_dashboard(width=390, session=furnished.session)
    expect(dashboard.link("Queues")).to_be_hidden()
    dashboard.button("Menu").click()
    expect(dashboard.button("Menu")).to_have_attribute("aria-expanded", "true")
    assert dashboard.axe() == []
    for name in ("Change password", "Log out"):
        expect(dashboard.button(name)).to_be_visible()
    dashboard.link("Queues").click()
    expect(dashboard.heading("Queues")).to_be_visible()
    expect(dashboard.link("Consumers")).to_be_hidden()


def test_hostile_names_and_bodies_are_shown_as_the_text_that_they_are(furnished: Service, dashboard: Dashboard) -> None:
    page = dashboard.page
    page.on("dialog", lambda dialog: dashboard.faults.append(f"a script ran: {dialog.message}"))
    for view, heading in VIEWS.items():
        dashboard.open(view, heading)
    dashboard.open("queues", "Queues")
    dashboard.link(HOSTILE).first.click()  # the queue; its consumer is in the same row
    expect(dashboard.heading(f"Queue {HOSTILE}")).to_be_visible()
    dashboard.open("consumers", "Consumers")
    dashboard.link(HOSTILE).first.click()
    expect(page.locator("dl.facts")).to_contain_text("<script>")
    dashboard.open("dead-letter-queue/views.dlq", "Dead letters in views.dlq")
    dashboard.row(HOSTILE).first.get_by_role("button", name="View", exact=True).click()
    expect(page.locator("dialog")).to_contain_text(HOSTILE)
    assert page.locator("img").count() == 0
    assert page.locator("body script").count() == 0


def test_lists_are_searched_and_the_address_remembers_it(furnished: Service, dashboard: Dashboard) -> None:
    dashboard.open("queues", "Queues")
    expect(dashboard.link("views").first).to_be_visible()
    dashboard.field("Search").fill("IMG SRC")
    expect(dashboard.link("views")).to_have_count(0)
    expect(dashboard.link(HOSTILE).first).to_be_visible()
    assert "name=IMG" in dashboard.page.url
    dashboard.page.reload()
    expect(dashboard.link(HOSTILE).first).to_be_visible()
    expect(dashboard.link("views")).to_have_count(0)
    dashboard.open("consumers?name=views", "Consumers")
    dashboard.field("State").select_option("paused")
    expect(dashboard.page.get_by_text("No consumers match.")).to_be_visible()


def test_lists_come_in_pages(service: Service, dashboard: Dashboard) -> None:
    for number in range(51):
        service.post("/createQueue", queueName=f"paged-{number:02}")
    dashboard.open("queues?name=paged-", "Queues")
    expect(dashboard.page.get_by_text("51 in total, page 1 of 2")).to_be_visible()
    expect(dashboard.link("paged-50")).to_have_count(0)
    dashboard.button("Next").click()
    expect(dashboard.link("paged-50")).to_be_visible()
    expect(dashboard.button("Next")).to_be_disabled()


@pytest.mark.parametrize(
    ("role", "hidden"),
    [
        ("viewer", ["Publish", "Purge", "Delete", "Create consumer", "View messages"]),
        ("publisher", ["Purge", "Delete", "Create consumer", "View messages"]),
        ("operator", []),
    ],
)
def test_actions_that_a_role_does_not_permit_are_not_offered(
    furnished: Service, open_dashboard: Open, role: str, hidden: list[str]
) -> None:
    dashboard = open_dashboard()
    dashboard.log_in(role)
    dashboard.open("queue/views", "Queue views")
    offered = {name for name in ["Publish", "Purge", "Delete", "Create consumer", "View messages"]
               if dashboard.page.locator("main").get_by_role("button", name=name, exact=True).count()}  # fmt: skip
    assert offered == {"Publish", "Purge", "Delete", "Create consumer", "View messages"} - set(hidden)
    for view in ("Users", "API keys", "Audit log", "Configuration"):
        expect(dashboard.link(view)).to_have_count(0)
    for view, heading in VIEWS.items():
        if view not in ("users", "keys", "audit", "configuration"):
            dashboard.open(view, heading)


def test_a_user_who_is_logged_out_elsewhere_logs_in_and_returns_to_the_same_view(
    furnished: Service, open_dashboard: Open
) -> None:
    dashboard = open_dashboard()
    dashboard.log_in()
    dashboard.open("consumers", "Consumers")
    dashboard.page.evaluate(
        "fetch('logout', {method: 'POST', headers: {Authorization: 'Bearer ' +"
        " JSON.parse(sessionStorage.getItem('workerrmq.session')).token}})"
    )
    dashboard.look_back()
    expect(dashboard.button("Log in")).to_be_visible()
    dashboard.expect_refusal(401)
    dashboard.field("User name").fill("admin")
    dashboard.field("Password").fill("wrong password")
    dashboard.button("Log in").click()
    expect(dashboard.page.get_by_role("alert")).to_contain_text(re.compile("password", re.IGNORECASE))
    dashboard.expect_refusal(401)
    dashboard.field("Password").fill(PASSWORD)
    dashboard.button("Log in").click()
    expect(dashboard.heading("Consumers")).to_be_visible()


def test_a_list_is_sorted_by_its_columns_and_the_address_remembers_it(service: Service, dashboard: Dashboard) -> None:
    for name, count in (("sorted-a", 1), ("sorted-b", 3), ("sorted-c", 2)):
        service.queue(name, *("x" * count))
    wait_until(lambda: [service.messages(f"sorted-{one}") for one in "abc"] == [1, 3, 2], 30)
    dashboard.open("queues?name=sorted-", "Queues")
    names = dashboard.page.locator("tbody th")
    expect(names).to_have_text(["sorted-a", "sorted-b", "sorted-c"])
    dashboard.button("Ready").click()
    expect(names).to_have_text(["sorted-b", "sorted-c", "sorted-a"])
    expect(dashboard.page.locator("th[aria-sort=descending]")).to_have_text("Ready")
    dashboard.page.reload()
    expect(names).to_have_text(["sorted-b", "sorted-c", "sorted-a"])
    dashboard.button("Ready").click()
    expect(names).to_have_text(["sorted-a", "sorted-c", "sorted-b"])
    expect(dashboard.row("sorted-a").locator("td.zero").first).to_have_text("0")
    for view, heading, column in (
        ("connections", "Connections", "Since"),
        ("attempts", "Attempts", "Duration"),
        ("users", "Users", "Role"),
        ("keys", "API keys", "Key"),
        ("audit", "Audit log", "Action"),
    ):
        dashboard.open(view, heading)
        if dashboard.button(column).count():
            dashboard.button(column).click()
            expect(dashboard.page.locator("th[aria-sort]")).to_have_text(column)
            dashboard.settle()


def test_dead_letter_queues_are_hidden_unless_asked_for_and_the_address_remembers_it(
    service: Service, dashboard: Dashboard
) -> None:
    for name in ("hiding", "hiding.dlq"):
        service.queue(name)
    dashboard.open("queues?name=hiding", "Queues")
    names = dashboard.page.locator("tbody th")
    expect(names).to_have_text(["hiding"])
    dashboard.field("Show dead-letter queues").check()
    expect(names).to_have_text(["hiding", "hiding.dlq"])
    dashboard.page.reload()
    expect(names).to_have_text(["hiding", "hiding.dlq"])
    expect(dashboard.field("Show dead-letter queues")).to_be_checked()


def test_lists_show_the_consumers_of_queues_and_the_backlogs_of_consumers(
    service: Service, dashboard: Dashboard
) -> None:
    for name, count in (("backlog-a", 1), ("backlog-b", 3), ("backlog-c", 2)):
        service.queue(name, *("x" * count))
        service.post("/createConsumer", queueName=name, name=f"{name}-erp", url="http://127.0.0.1:9/")
        service.post("/pauseConsumer", name=f"{name}-erp")
    dashboard.open("queues?name=backlog-", "Queues")
    dashboard.see(dashboard.row("backlog-b-erp").filter(has_text="paused"))
    dashboard.row("backlog-b-erp").get_by_role("link", name="backlog-b-erp").click()
    expect(dashboard.heading("Consumer backlog-b-erp")).to_be_visible()
    dashboard.open("consumers?name=backlog-", "Consumers")
    names = dashboard.page.locator("tbody th a[href^='#/consumer/']")
    expect(names).to_have_text([f"backlog-{one}-erp" for one in "abc"])
    dashboard.see(dashboard.page.locator("td[data-title=Backlog]").filter(has_text="3"))
    dashboard.button("Backlog").click()
    expect(names).to_have_text([f"backlog-{one}-erp" for one in "bca"])
    dashboard.page.reload()
    expect(names).to_have_text([f"backlog-{one}-erp" for one in "bca"])
    expect(dashboard.page.locator("th[aria-sort=descending]")).to_have_text("Backlog")


def test_every_time_names_its_zone(furnished: Service, open_dashboard: Open) -> None:
    dashboard = open_dashboard(session=furnished.session, timezone_id="Asia/Kolkata")
    zoned = re.compile(r"^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC\+5:30$")
    for view in ("attempts", "audit", "connections", "consumer/views", "dead-letter-queue/views.dlq", "users"):
        dashboard.open(view, VIEWS[view])
        times = dashboard.page.locator("main time:not(.since)")
        expect(times.first).to_have_text(zoned)
        assert [one for one in times.all_inner_texts() if not zoned.match(one)] == []


def test_attempts_and_the_audit_log_are_filtered_by_time(furnished: Service, dashboard: Dashboard) -> None:
    for view, heading in (("attempts", "Attempts"), ("audit", "Audit log")):
        dashboard.open(view, heading)
        rows = dashboard.page.locator("tbody tr")
        expect(rows.first).to_be_visible()
        dashboard.field("Before").fill("2020-01-01T00:00")
        dashboard.page.keyboard.press("Tab")
        expect(rows).to_have_count(0)
        dashboard.page.reload()
        expect(dashboard.field("Before")).to_have_value("2020-01-01T00:00")
        expect(rows).to_have_count(0)
        dashboard.field("Time").select_option("last hour")
        expect(rows.first).to_be_visible()
        expect(dashboard.field("Before")).to_have_value("")


def test_a_message_id_is_shortened_and_copied_whole(furnished: Service, dashboard: Dashboard) -> None:
    dashboard.context.grant_permissions(["clipboard-read", "clipboard-write"])
    dashboard.open("dead-letter-queue/views.dlq", VIEWS["dead-letter-queue/views.dlq"])
    whole = "0123456789abcdef0123456789abcdef"
    furnished.post("/messagePublish", queueName="views.dlq", message="m", properties={"messageId": whole})
    link = dashboard.page.get_by_role("link", name=f"Message {whole}")
    assert re.fullmatch(rf"{whole[:6]}…{whole[-6:]}", link.inner_text())
    dashboard.page.get_by_role("button", name=f"Copy the message id {whole}").click()
    expect(dashboard.notice(f"Copied {whole}.")).to_be_visible()
    assert dashboard.page.evaluate("navigator.clipboard.readText()") == whole


def test_the_start_page_shows_the_recorded_history_when_it_opens(service: Service, dashboard: Dashboard) -> None:
    """Also of what happened before the page was open, without a zero where nothing was measured."""
    service.queue("remembered")

    def recorded() -> bool:
        service.post("/messagePublish", queueName="remembered", message="m")
        return any(service.get("/getHistory")["series"]["publishRate"])

    wait_until(recorded, 60, "a measurement after a message")
    with dashboard.page.expect_response(re.compile(r"getHistory\?period=hour")):
        dashboard.page.reload()
    expect(dashboard.page.locator(".canvas canvas")).to_have_count(2)
    with dashboard.page.expect_response(re.compile(r"getHistory\?period=week")):
        dashboard.page.get_by_label("Period").select_option("week")


def test_back_closes_a_dialog_and_the_next_back_leaves_the_view(service: Service, dashboard: Dashboard) -> None:
    service.queue("backed", "x")
    dashboard.open("queues", "Queues")
    dashboard.open("queue/backed", "Queue backed")
    dialog = dashboard.page.get_by_role("dialog")
    for close in (dashboard.page.go_back, lambda: dashboard.page.keyboard.press("Escape")):
        dashboard.button("Purge").click()
        expect(dialog).to_be_visible()
        close()
        expect(dialog).to_have_count(0)
        expect(dashboard.heading("Queue backed")).to_be_visible()
    dashboard.page.go_back()
    expect(dashboard.heading("Queues")).to_be_visible()


def test_a_view_that_the_user_chooses_just_after_a_dialog_closed_stays(dashboard: Dashboard) -> None:
    """Navigation through the history is asynchronous, so the dashboard must not start one when a dialog closes."""
    for delay in (0, 1, 2, 5, 10):
        dashboard.open("queues", "Queues")
        dashboard.page.keyboard.press("?")
        expect(dashboard.page.get_by_role("dialog")).to_be_visible()
        dashboard.page.evaluate(
            """async delay => {
              const after = (time) => new Promise((resolve) => setTimeout(resolve, time));
              const dialog = document.querySelector("dialog");
              const closed = new Promise((resolve) => dialog.addEventListener("close", resolve));
              dialog.close();
              await closed;
              if (delay) await after(delay);
              location.hash = "#/consumers";
              await after(100);
            }""",
            delay,
        )
        assert dashboard.page.evaluate("location.hash") == "#/consumers"
        expect(dashboard.heading("Consumers")).to_be_visible()
    dashboard.page.go_back()
    expect(dashboard.heading("Queues")).to_be_visible()


def test_back_closes_a_dialog_that_opened_when_another_closed(dashboard: Dashboard) -> None:
    dashboard.open("consumers", "Consumers")
    dashboard.open("queues", "Queues")
    dashboard.page.keyboard.press("?")
    dialog = dashboard.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dashboard.page.evaluate(
        """() => {
          document.querySelector("dialog").close();
          document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "?", bubbles: true }));
        }"""
    )
    expect(dialog).to_have_count(1)
    dashboard.page.go_back()
    expect(dialog).to_have_count(0)
    expect(dashboard.heading("Queues")).to_be_visible()
    dashboard.page.go_back()
    expect(dashboard.heading("Consumers")).to_be_visible()


def open_and_close_a_dialog(dashboard: Dashboard) -> Locator:
    dialog = dashboard.page.get_by_role("dialog")
    dashboard.page.keyboard.press("?")
    expect(dialog).to_be_visible()
    dashboard.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    return dialog


def test_back_closes_a_dialog_and_keeps_a_filter_that_was_set_after_another_dialog(dashboard: Dashboard) -> None:
    dashboard.open("queues", "Queues")
    dialog = open_and_close_a_dialog(dashboard)
    dashboard.field("Search").fill("nothing-like-this")
    dashboard.page.wait_for_url("**/#/queues?name=nothing-like-this")
    dashboard.heading("Queues").focus()
    dashboard.page.keyboard.press("?")
    expect(dialog).to_be_visible()
    dashboard.page.go_back()
    expect(dialog).to_have_count(0)
    assert dashboard.page.url.endswith("#/queues?name=nothing-like-this")
    expect(dashboard.field("Search")).to_have_value("nothing-like-this")


def test_forward_and_a_link_to_the_same_view_work_after_a_dialog(dashboard: Dashboard) -> None:
    dashboard.open("consumers", "Consumers")
    dashboard.open("queues", "Queues")
    open_and_close_a_dialog(dashboard)
    dashboard.page.go_back()
    expect(dashboard.heading("Consumers")).to_be_visible()
    dashboard.page.go_forward()
    expect(dashboard.heading("Queues")).to_be_visible()
    open_and_close_a_dialog(dashboard)
    dashboard.link("Queues").click()
    dashboard.open("users", "Users")
    dashboard.page.go_back()
    expect(dashboard.heading("Queues")).to_be_visible()


def test_a_question_mark_shows_the_keys(dashboard: Dashboard) -> None:
    dashboard.open("queues", "Queues")
    dashboard.page.keyboard.press("?")
    dialog = dashboard.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Find a message, queue or consumer")
    assert dashboard.axe() == []
    dashboard.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    dashboard.field("Search").press("?")
    expect(dialog).to_have_count(0)


def test_a_deep_link_in_a_new_tab_needs_no_login_and_a_logout_ends_all_tabs(
    furnished: Service, open_dashboard: Open
) -> None:
    dashboard = open_dashboard()
    dashboard.log_in("viewer")
    other = dashboard.context.new_page()
    other.goto(f"{dashboard.url}/#/queue/views")
    expect(other.get_by_role("heading", name="Queue views", exact=True)).to_be_visible()
    other.get_by_role("button", name="Log out").click()
    expect(other.get_by_role("button", name="Log in")).to_be_visible()
    expect(dashboard.button("Log in")).to_be_visible()
    another = dashboard.context.new_page()
    another.goto(f"{dashboard.url}/#/queue/views")
    expect(another.get_by_role("button", name="Log in")).to_be_visible()


_HOLD_ANSWERS = """
const send = BroadcastChannel.prototype.postMessage;
BroadcastChannel.prototype.postMessage = function (data) {
  if (data.given) window.answer = () => send.call(this, data);
  else send.call(this, data);
};"""

_LISTEN = """() => {
  window.sessions = new Promise((resolve) => {
    new BroadcastChannel("workerrmq.session").onmessage = ({ data }) => data.given && resolve(sessionStorage.length);
  });
}"""
"""Count the sessions of the tab just after it has received an answer: a refused one is deleted soon."""


@pytest.mark.parametrize("typed", ["", "mon"])
def test_a_new_tab_takes_a_late_answer_unless_the_user_types_or_has_logged_out(
    furnished: Service, open_dashboard: Open, typed: str
) -> None:
    dashboard = open_dashboard()
    dashboard.page.add_init_script(_HOLD_ANSWERS)
    dashboard.page.reload()
    dashboard.log_in("viewer")

    def sessions_after_answer() -> int:
        other.evaluate(_LISTEN)
        dashboard.page.evaluate("window.answer()")
        return int(other.evaluate("window.sessions"))

    other = dashboard.context.new_page()
    other.goto(f"{dashboard.url}/#/queue/views")
    name = other.get_by_label("User name", exact=True)
    expect(name).to_be_visible()
    wait_until(lambda: dashboard.page.evaluate("Boolean(window.answer)"))
    if typed:
        name.fill(typed)
        assert sessions_after_answer() == 0
        expect(name).to_have_value(typed)
    else:
        assert sessions_after_answer() == 1
        expect(other.get_by_role("heading", name="Queue views", exact=True)).to_be_visible()
        other.get_by_role("button", name="Log out").click()
        expect(name).to_be_visible()
        assert sessions_after_answer() == 0


def test_the_history_of_a_queue_and_a_consumer_is_drawn_when_the_page_opens(
    service: Service, dashboard: Dashboard
) -> None:
    """The first request of the page has all points; there is nothing to wait for."""
    with Target() as target:
        service.post("/createQueue", queueName="past")
        service.post("/createConsumer", queueName="past", url=target.url("/status/200"))
        for _ in range(5):
            service.post("/messagePublish", queueName="past", message="m")

        def recorded() -> bool:
            history = service.get("/getHistory", consumer="past")
            return any(history["series"]["deliveredRate"])

        wait_until(recorded, 40, "a measurement after the deliveries")
    for place, heading in (("queue/past", "Queue past"), ("consumer/past", "Consumer past")):
        dashboard.open(place, heading)
        expect(dashboard.page.locator(".canvas canvas")).to_have_count(2)
        for period in ("day", "week", "hour"):
            with dashboard.page.expect_response(re.compile(f"getHistory.*period={period}")):
                dashboard.page.get_by_label("Period").select_option(period)
            expect(dashboard.page.locator(".canvas canvas")).to_have_count(2)
    expect(dashboard.page.get_by_text(re.compile(r"^5 since 20\d\d-"))).to_be_visible()
