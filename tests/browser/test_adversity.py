"""Late answers, odd answers, none at all, and what is not there: the page says so, loses nothing, and goes on."""

from __future__ import annotations

import json
from typing import Any, get_args

from playwright.sync_api import Route, expect

from domain.overview import TroubleCause, TroubleKind
from tests.browser.dashboard import Dashboard
from tests.browser.service import Service
from tests.browser.test_actions import dead_letters
from tests.support.target import Target


def troubled(*names: str, messages: int = 3, since: str | None = None) -> dict[str, Any]:
    """Return an overview in which these consumers are suspended."""
    troubles = [
        {"kind": "consumer_suspended", "name": name, "queueName": name, "reason": "HTTP 404", "messages": messages,
         "since": since} for name in names
    ]  # fmt: skip
    return {"consumers": {}, "workers": 1, "totals": None, "troubles": troubles, "troubleCount": len(troubles)}


def test_a_page_of_a_missing_object_shows_an_error_and_offers_no_action(dashboard: Dashboard) -> None:
    for view in ("queue", "consumer", "dead-letter-queue"):
        dashboard.page.evaluate("view => { location.hash = `#/${view}/gone`; }", view)
        expect(dashboard.page.get_by_role("alert")).to_contain_text("There is no")
        expect(dashboard.page.locator("main h1")).to_contain_text("gone")
        expect(dashboard.page.locator("main").get_by_role("button")).to_have_count(0)
        dashboard.expect_refusal(404)
    dashboard.open("queues", "Queues")
    expect(dashboard.page.locator("#failure")).to_be_hidden()
    expect(dashboard.button("Create queue")).to_be_visible()


def test_a_view_that_does_not_exist_is_the_start_page(dashboard: Dashboard) -> None:
    for view in ("nonsense", "constructor", "__proto__"):
        dashboard.open("queues", "Queues")
        dashboard.open(view, "Current problems")


def test_an_answer_of_another_server_is_an_error_and_the_request_is_repeated(dashboard: Dashboard) -> None:
    page = dashboard.page
    page.clock.install()
    dashboard.open("queues", "Queues")
    page.route("**/getQueues*", lambda route: route.fulfill(content_type="text/html", body="<h1>Under repair</h1>"))
    dashboard.look_back()
    expect(page.get_by_role("alert")).to_contain_text("not from the service")
    expect(page.locator("#freshness")).to_contain_text("from ")
    page.unroute("**/getQueues*")
    page.clock.run_for(5000)
    dashboard.settle()
    expect(page.locator("#failure")).to_be_hidden()


def test_a_late_refusal_of_an_old_token_does_not_log_out_who_came_in_since(
    dashboard: Dashboard, service: Service
) -> None:
    late: list[Route] = []

    def hold(route: Route) -> None:
        late.append(route)

    dashboard.page.route("**/getUsers*", hold)
    with dashboard.page.expect_request("**/getUsers*"):
        dashboard.page.evaluate("location.hash = '#/users'")
    dashboard.page.evaluate(
        "session => sessionStorage.setItem('workerrmq.session', session)",
        json.dumps({**service.session, "token": "new"}),
    )
    late[0].fulfill(status=401, json={"detail": "This token has ended."})
    expect(dashboard.page.get_by_role("alert")).to_contain_text("This token has ended.")
    expect(dashboard.button("Log in")).to_have_count(0)
    dashboard.expect_refusal(401)


def test_a_search_that_one_has_left_changes_nothing_any_more(dashboard: Dashboard) -> None:
    dashboard.open("queues", "Queues")
    dashboard.page.clock.install()
    dashboard.field("Search").fill("left behind")
    dashboard.page.evaluate("location.hash = '#/users'")
    expect(dashboard.heading("Users")).to_be_visible()
    dashboard.page.clock.run_for(1000)
    assert dashboard.page.url.endswith("#/users")


def test_one_who_turned_to_a_page_that_is_gone_is_shown_the_last(dashboard: Dashboard) -> None:
    dashboard.open("users?page=9", "Users")
    expect(dashboard.page.get_by_role("row").filter(has_text="admin").first).to_be_visible()
    expect(dashboard.page.locator(".pager")).to_contain_text("page 1 of 1")


def test_the_link_over_the_menu_leads_to_the_content_of_the_same_view(dashboard: Dashboard) -> None:
    dashboard.open("queues", "Queues")
    dashboard.link("Skip to the content").focus()
    dashboard.page.keyboard.press("Enter")
    expect(dashboard.heading("Queues")).to_be_focused()
    assert dashboard.page.url.endswith("#/queues")


def test_the_focus_stays_on_the_same_consumers_button_while_figures_change(dashboard: Dashboard) -> None:
    """Or else Enter would resume another one."""
    messages = iter(range(3, 1000))
    dashboard.page.route(
        "**/getOverview", lambda route: route.fulfill(json=troubled("one", "two", messages=next(messages)))
    )
    dashboard.look_back()
    second = dashboard.button("Resume two")
    second.focus()
    shown = dashboard.trouble("Suspended", "two").locator(".facts").inner_text()
    dashboard.look_back()
    expect(dashboard.trouble("Suspended", "two").locator(".facts")).not_to_have_text(shown)
    expect(second).to_be_focused()


def test_how_long_ago_it_was_grows_while_nothing_else_changes(dashboard: Dashboard) -> None:
    dashboard.page.clock.install(time="2026-01-31T12:00:30Z")
    answer = troubled("old", since="2026-01-31T12:00:00Z")
    dashboard.page.route("**/getOverview", lambda route: route.fulfill(json=answer))
    dashboard.look_back()
    expect(dashboard.trouble("Suspended", "old")).to_contain_text("30 s ago")
    dashboard.page.clock.run_for(90_000)
    expect(dashboard.trouble("Suspended", "old")).to_contain_text("2 min ago")


def test_every_kind_of_trouble_has_a_title_and_says_why(dashboard: Dashboard) -> None:
    kinds = get_args(TroubleKind)
    answer = troubled(*kinds)
    for trouble, kind in zip(answer["troubles"], kinds, strict=True):
        trouble |= {"kind": kind, "reason": f"This is {kind}.", "oldestMessageAt": "2026-01-31T12:00:00Z"}
    dashboard.page.route("**/getOverview", lambda route: route.fulfill(json=answer))
    dashboard.look_back()
    items = dashboard.page.locator(".troubles > li")
    expect(items).to_have_count(len(kinds))
    for number, kind in enumerate(kinds):
        expect(items.nth(number).locator(".tag")).not_to_be_empty()
        expect(items.nth(number)).to_contain_text(f"This is {kind}.")
        expect(items.nth(number)).to_contain_text("oldest message")


ACTIONS = {
    "credentials": ["Edit credentials", "Test", "Attempts", "Acknowledge"],
    "definition": ["Edit", "Test", "Attempts", "Acknowledge"],
    "certificate": ["Edit certificate", "Acknowledge"],
    "target_refuses": ["Edit", "Test", "Resume", "Attempts", "Acknowledge"],
    "target_fails": ["Test", "Attempts", "Acknowledge"],
    "target_throttles": ["Attempts", "Acknowledge"],
    "paused": ["Resume", "Acknowledge"],
    "no_consumer": ["Create consumer", "Acknowledge"],
    "queue_missing": ["Create queue", "Acknowledge"],
    "slow": ["View", "Acknowledge"],
}


def test_the_first_button_of_a_problem_removes_its_cause(dashboard: Dashboard) -> None:
    """The page reads the cause, not the words of the reason."""
    assert set(ACTIONS) == set(get_args(TroubleCause))
    answer = troubled(*ACTIONS)
    for trouble in answer["troubles"]:
        trouble |= {"cause": trouble["name"], "reason": "there is no queue; it is paused"}
    dashboard.page.route("**/getOverview", lambda route: route.fulfill(json=answer))
    dashboard.look_back()
    for cause, actions in ACTIONS.items():
        buttons = dashboard.trouble("Suspended", cause).get_by_role("button")
        expect(buttons).to_have_text([f"{action} {cause}" for action in actions])
        expect(buttons.first).not_to_have_class("quiet")


def test_ten_problems_and_the_totals_fit_on_one_screen(dashboard: Dashboard) -> None:
    names = [f"consumer-number-{number}" for number in range(10)]
    answer = troubled(*names, since="2026-01-31T12:00:00Z")
    for trouble in answer["troubles"]:
        reason = "Circuit breaker open for https://bank.example/payments; last error: HTTP 503; next attempt in 18 s."
        trouble |= {"kind": "breaker_open", "cause": "target_fails", "reason": reason}
    known = ("queues", "messages", "ready", "unacked", "deadLetters", "publishRate", "deliverRate", "ackRate")
    answer |= {"totals": dict.fromkeys(known, 7)}
    dashboard.page.route("**/getOverview", lambda route: route.fulfill(json=answer))
    dashboard.look_back()
    expect(dashboard.trouble("Circuit breaker open", names[9])).to_be_visible()
    bottom = dashboard.page.locator("dl.figures").evaluate("node => node.getBoundingClientRect().bottom")
    assert bottom <= 900


def test_numbers_that_are_not_known_are_not_shown_as_zero(dashboard: Dashboard) -> None:
    known = ("queues", "messages", "ready", "unacked", "deadLetters", "publishRate", "deliverRate", "ackRate")
    totals = {**dict.fromkeys(known, 0), "retries": None, "retriesOverdue": None}
    dashboard.page.route("**/getOverview", lambda route: route.fulfill(json=troubled() | {"totals": totals}))
    dashboard.look_back()
    figures = dashboard.page.locator("dl.figures > div")
    for name in ("waiting retries", "retries overdue"):
        expect(figures.filter(has_text=name).locator("dd")).to_have_text("–")


def test_a_consumer_whose_target_asked_for_a_pause_is_throttled_and_says_until_when(
    dashboard: Dashboard, service: Service, target: Target
) -> None:
    service.queue("paced", "x")
    url = target.url("/retry-after?seconds=600&status=429&times=9")
    service.post("/createConsumer", queueName="paced", url=url)
    dashboard.open("consumers", "Consumers")
    row = dashboard.row("paced").filter(has_text="throttled")
    dashboard.see(row, 20)
    expect(row).to_contain_text("asked for a pause")
    expect(row).to_contain_text("next attempt in")


def test_a_time_that_is_half_filled_in_replays_nothing(dashboard: Dashboard, service: Service) -> None:
    service.queue("half.dlq", "1")
    dashboard.open("dead-letter-queue/half.dlq", "Dead letters in half.dlq")
    dashboard.button("Replay all").click()
    dashboard.field("Failed since").click()
    dashboard.page.keyboard.type("0101")
    dashboard.button("Replay").click()
    expect(dashboard.page.get_by_role("alert").filter(has_text="Failed since: is not complete")).to_be_visible()
    assert service.messages("half.dlq") == 1


def test_the_progress_of_a_replay_continues_after_a_network_failure(
    dashboard: Dashboard, service: Service, target: Target
) -> None:
    dead_letters(service, target, "followed", 400)
    dashboard.open("dead-letter-queue/followed.dlq", "Dead letters in followed.dlq")
    running = {"state": "running", "replayId": "x"}
    dashboard.button("Replay all").click()
    expect(dashboard.page.get_by_role("dialog")).to_contain_text("1 dead letter. 1 to followed")
    dashboard.page.route("**/replayDeadLetters", lambda route: route.fulfill(
        json={**route.fetch().json(), **running}))  # fmt: skip
    finished = {"state": "finished", "replayed": 1, "failed": 0, "total": 1, "examined": 1, "matched": 1}
    aborted: list[Route] = []

    def once(route: Route) -> None:
        if aborted:
            route.fulfill(json={**finished, "action": "replay"})
        else:
            aborted.append(route)
            route.abort()

    dashboard.page.route("**/getReplay*", once)
    dashboard.button("Replay").click()
    expect(dashboard.notice("1 dead letter replayed.")).to_be_visible()
    assert aborted
    dashboard.faults.clear()


def test_numbers_that_javascript_cannot_hold_are_published_and_shown_as_they_are(
    dashboard: Dashboard, service: Service
) -> None:
    service.queue("exact")
    text = '{"id": 12345678901234567890, "price": 1.10}'
    dashboard.open("publish?queue=exact", "Publish and test")
    dashboard.field("Message").fill(text)
    dashboard.button("Publish").click()
    expect(dashboard.notice("It is in its queue")).to_be_visible()
    [kept] = service.post("/getMessages", queueName="exact")
    assert (kept["message"], kept["properties"]["contentType"]) == (text, "application/json")
    dashboard.open("queue/exact", "Queue exact")
    dashboard.button("View messages").click()
    expect(dashboard.page.locator("dialog pre")).to_have_text(text)


def test_a_message_is_looked_at_as_it_is_now_though_another_without_an_id_stood_there_before(
    dashboard: Dashboard,
) -> None:
    def letter(body: str) -> dict[str, Any]:
        return {"message": body, "bodyBase64": None, "bytes": 3, "truncated": False, "exchange": "", "routingKey": "q",
                "redelivered": False, "properties": {}}  # fmt: skip

    waiting = [letter("old")]
    page = dashboard.page
    page.route("**/getQueue?*", lambda route: route.fulfill(json={"messages": 1}))
    page.route("**/getDeadLetters?*", lambda route: route.fulfill(json={"messages": 1, "examined": 1, "groups": []}))
    page.route("**/getMessages", lambda route: route.fulfill(json=waiting))
    dashboard.open("dead-letter-queue/shifting", "Dead letters in shifting")
    expect(dashboard.row("old")).to_be_visible()
    waiting[:] = [letter("new")]
    dashboard.button("Reload").click()
    dashboard.row("new").get_by_role("button", name="View").click()
    expect(page.locator("dialog pre")).to_have_text("new")


def test_charts_that_one_has_left_are_let_go(dashboard: Dashboard, service: Service) -> None:
    service.queue("charted")

    def listeners() -> int:
        for _ in range(4):
            dashboard.open("queue/charted", "Queue charted")
            expect(dashboard.page.locator(".canvas canvas").first).to_be_visible(timeout=30_000)
            dashboard.open("users", "Users")
        browser.send("HeapProfiler.collectGarbage")
        return int(browser.send("Memory.getDOMCounters")["jsEventListeners"])

    browser = dashboard.context.new_cdp_session(dashboard.page)
    listeners()
    before = listeners()
    assert listeners() <= before + 2
