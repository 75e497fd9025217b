"""Login, tokens and roles, and how fast a revocation applies. Every route with every bad credential:
test_credentials.py."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from app import APIS
from domain.user import Grant
from routes.api import Api as Routes
from routes.api import Operation
from routes.dashboard import FILES
from services.login import MAX_FAILURES
from services.passwords import hashed, matches
from tests.api.client import ADMIN, PASSWORD, Api
from tests.api.conftest import MakeApp
from tests.support.processes import wait_until
from tests.support.store import StoreNode

OPERATIONS = [operation for routes in APIS for operation in routes.operations]
PUBLIC = {"/", "/login", "/health/live", "/health/ready", "/openapi.json", "/postman.json", "/docs"}


def named(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def test_only_the_page_login_health_and_the_description_of_the_api_are_public() -> None:
    assert {operation.path for operation in OPERATIONS if operation.role is None} == PUBLIC


def test_every_route_of_the_app_is_a_registered_operation(make_app: MakeApp) -> None:
    routes = {(method, rule.rule) for rule in make_app().url_map.iter_rules() for method in rule.methods or ()}
    routes -= {("HEAD", path) for _, path in routes} | {("GET", FILES)}
    assert routes == {(one.method, one.path) for one in OPERATIONS}


def test_a_route_that_does_not_say_who_may_call_it_cannot_be_made() -> None:
    routes = Routes("test")
    with pytest.raises(TypeError, match=r"role=… or public=True"):
        routes.get("/open")
    with pytest.raises(TypeError, match=r"role=… or public=True"):
        routes.get("/open", role="viewer", public=True)


def test_every_operation_documents_itself() -> None:
    assert not [named(operation) for operation in OPERATIONS if not operation.documentation]


def test_login_answers_a_token_its_role_and_its_end(api: Api) -> None:
    before = datetime.now(UTC)
    answer = api.login()
    assert answer.json["role"] == "admin"
    assert answer.json["message"]
    left = datetime.fromisoformat(answer.json["expiresAt"]) - before
    assert timedelta(hours=11.9) < left < timedelta(hours=12.1)
    assert len(answer.json["token"]) >= 43


def test_an_unknown_user_costs_as_much_as_a_known_one() -> None:
    def cost(password: str, password_hash: str | None) -> float:
        before = time.process_time()  # of all threads: bcrypt has its own
        assert not matches(password, password_hash)
        return time.process_time() - before

    known, unknown, long = cost("wrong", hashed(PASSWORD)), cost("wrong", None), cost("x" * 900, None)
    assert 0.4 < unknown / known < 2.5
    assert 0.4 < long / known < 2.5


def test_an_unknown_user_and_a_wrong_password_look_the_same(api: Api) -> None:
    answers = [api.login(ADMIN, "wrong").json, api.login("nobody", "wrong").json, api.login(ADMIN, "x" * 900).json]
    for answer in answers:
        del answer["requestId"]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["code"] == "wrong_credentials"


def test_a_token_that_has_expired_is_refused(api: Api) -> None:
    store = api.app.extensions["store"]
    admin = store.users.get(ADMIN)
    for token, seconds, status in (("old", -1, 401), ("good", 60, 200)):
        grant = Grant(ADMIN, admin.stamp, datetime.now(UTC) + timedelta(seconds=seconds))
        store.tokens.add(sha256(token.encode()).hexdigest(), grant)
        assert api("GET", "/getUsers", headers={"Authorization": f"Bearer {token}"}).status_code == status


def test_ten_wrong_passwords_are_throttled_for_that_account_and_address_only(api: Api) -> None:
    api("POST", "/createUser", json={"username": "other", "password": PASSWORD, "role": "viewer"})
    for _ in range(10):
        assert api.login(ADMIN, "wrong").status_code == 401
    throttled = api.login(ADMIN, PASSWORD)
    assert (throttled.status_code, throttled.json["code"]) == (429, "throttled")
    assert 800 < int(throttled.headers["Retry-After"]) <= 900
    assert api.login("other", PASSWORD).status_code == 200
    elsewhere = api("POST", "/login", json={"username": ADMIN, "password": PASSWORD},
                    environ_base={"REMOTE_ADDR": "203.0.113.9"})  # fmt: skip
    assert elsewhere.status_code == 200


def test_the_right_password_resets_the_count_of_failures(api: Api) -> None:
    for _ in range(2):
        for _ in range(6):
            assert api.login(ADMIN, "wrong").status_code == 401
        assert api.login().status_code == 200


def test_a_logout_ends_that_token_at_once_and_no_other(api: Api) -> None:
    other = Api(api.app)
    other.login()
    assert api("GET", "/getUsers").status_code == other("GET", "/getUsers").status_code == 200
    assert api("POST", "/logout").status_code == 200
    assert api("GET", "/getUsers").status_code == 401
    assert other("GET", "/getUsers").status_code == 200


def change(api: Api, **body: Any) -> None:
    answer = api("PATCH", "/updateUser", json=body)
    assert answer.status_code == 200, answer.json


def test_a_demotion_holds_at_once_for_tokens_that_are_out(api: Api) -> None:
    user = api.as_user("carol", "admin")
    assert user("GET", "/getUsers").status_code == 200
    change(api, username="carol", role="viewer")
    assert user("GET", "/getUsers").status_code == 403


def test_a_new_password_ends_the_tokens_of_the_old_one(api: Api) -> None:
    user = api.as_user("carol", "admin")
    change(api, username="carol", password="another good one")
    assert user("GET", "/getUsers").status_code == 401
    assert user.login("carol", PASSWORD).status_code == 401
    assert user.login("carol", "another good one").status_code == 200


def test_a_user_changes_their_own_password_and_keeps_only_the_new_token(api: Api) -> None:
    user = api.as_user("carol", "viewer")
    other = Api(api.app)
    other.login("carol", PASSWORD)
    body = {"currentPassword": "wrong", "newPassword": "another good one"}
    refused = user("POST", "/changePassword", json=body)
    assert (refused.status_code, refused.json["code"]) == (400, "wrong_password")
    assert refused.json["errors"] == [{"field": "currentPassword", "detail": "is wrong"}]
    changed = user("POST", "/changePassword", json=body | {"currentPassword": PASSWORD})
    assert changed.status_code == 200
    for old in (user, other):
        assert old("GET", "/getQueues").status_code == 401
    user.token = changed.json["token"]
    assert user("GET", "/getConsumers").status_code == 200
    assert other.login("carol", PASSWORD).status_code == 401
    assert other.login("carol", "another good one").status_code == 200
    [entry] = wait_until(lambda: api("GET", "/getAuditLog?action=changePassword&user=carol").json[:1], 10, "the entry")
    assert entry["status"] == 200


def test_wrong_current_passwords_are_limited_as_logins_are(api: Api) -> None:
    user = api.as_user("carol", "viewer")
    body = {"currentPassword": "wrong", "newPassword": "another good one"}
    answers = [user("POST", "/changePassword", json=body).status_code for _ in range(MAX_FAILURES + 1)]
    assert answers == [400] * MAX_FAILURES + [429]


def test_a_login_that_races_with_a_new_password_gives_a_token_worth_nothing(api: Api) -> None:
    store = api.app.extensions["store"]
    before = store.users.get(ADMIN)
    change(api, username=ADMIN, password="another good one")
    late = Grant(ADMIN, before.stamp, datetime.now(UTC) + timedelta(hours=1))
    store.tokens.add(sha256(b"late").hexdigest(), late)
    assert api("GET", "/getUsers", headers={"Authorization": "Bearer late"}).status_code == 401


def test_a_deleted_user_is_out_at_once_and_does_not_come_back_with_the_name(api: Api) -> None:
    user = api.as_user("carol", "admin")
    assert api("DELETE", "/deleteUser", json={"username": "carol"}).status_code == 200
    assert user("GET", "/getUsers").status_code == 401
    api.as_user("carol", "admin")
    assert user("GET", "/getUsers").status_code == 401


def test_a_disabled_user_is_out_at_once_and_in_again_once_enabled(api: Api) -> None:
    user = api.as_user("carol", "admin")
    assert user("GET", "/getUsers").status_code == 200
    change(api, username="carol", disabled=True)
    assert user("GET", "/getUsers").status_code == 401
    refused = user.login("carol", PASSWORD)
    assert (refused.status_code, refused.json["code"]) == (401, "wrong_credentials")
    assert [one["disabled"] for one in api("GET", "/getUsers").json] == [False, True]
    change(api, username="carol", disabled=False)
    assert user("GET", "/getUsers").status_code == 401, "the old token has ended"
    assert user.login("carol", PASSWORD).status_code == 200


def test_a_disabled_admin_does_not_count_as_one(api: Api) -> None:
    api.as_user("carol", "admin")
    change(api, username="carol", disabled=True)
    answer = api("PATCH", "/updateUser", json={"username": ADMIN, "role": "viewer"})
    assert (answer.status_code, answer.json["code"]) == (409, "last_admin")


def test_the_last_admin_cannot_be_removed_or_demoted(api: Api) -> None:
    for method, path, body in (
        ("DELETE", "/deleteUser", {"username": ADMIN}),
        ("PATCH", "/updateUser", {"username": ADMIN, "role": "operator"}),
        ("PATCH", "/updateUser", {"username": ADMIN, "disabled": True}),
    ):
        answer = api(method, path, json=body)
        assert (answer.status_code, answer.json["code"]) == (409, "last_admin")
    assert [user["role"] for user in api("GET", "/getUsers").json] == ["admin"]
    api.as_user("second", "admin")
    assert api("DELETE", "/deleteUser", json={"username": ADMIN}).status_code == 200


@pytest.mark.parametrize(
    ("password", "sentence"),
    [("short", "at least 12 bytes"), ("x" * 73, "at most 72 bytes"), ("é" * 37, "at most 72 bytes")],
)
def test_a_password_that_bcrypt_cannot_use_is_refused_with_a_sentence(api: Api, password: str, sentence: str) -> None:
    answer = api("POST", "/createUser", json={"username": "x", "password": password, "role": "viewer"})
    assert answer.status_code == 400
    assert answer.json["errors"][0]["field"] == "password"
    assert sentence in answer.json["errors"][0]["detail"]
    assert password not in answer.text


def test_a_password_of_72_bytes_counts_to_its_last_byte(api: Api) -> None:
    api.as_user("long", "viewer", "p" * 72)
    assert api.login("long", "p" * 71 + "q").status_code == 401
    assert api.login("long", "p" * 73).status_code == 401


def test_a_name_that_is_taken_is_a_conflict(api: Api) -> None:
    body = {"username": "carol", "password": PASSWORD, "role": "viewer"}
    assert api("POST", "/createUser", json=body).status_code == 201
    assert api("POST", "/createUser", json=body).status_code == 409


def test_users_are_listed_by_name_without_anything_of_their_passwords(api: Api) -> None:
    api("POST", "/createUser", json={"username": "Zoe", "password": PASSWORD, "role": "viewer"})
    answer = api("GET", "/getUsers")
    assert [user["username"] for user in answer.json] == [ADMIN, "Zoe"]
    assert set(answer.json[0]) == {"username", "role", "disabled", "createdAt", "updatedAt"}


def test_users_are_found_by_a_part_of_their_name_and_sorted(api: Api) -> None:
    for name in ("vera", "Victor", "olga"):
        api.as_user(name, "operator" if name == "olga" else "viewer")

    def names(**query: Any) -> list[str]:
        answer = api("GET", "/getUsers", query_string=query)
        assert answer.status_code == 200, answer.text
        return [user["username"] for user in answer.json]

    assert names(name="V") == ["vera", "Victor"]
    assert names(name="^v.*a$", useRegex=True) == ["vera"]
    assert names(sort="createdAt") == [ADMIN, "vera", "Victor", "olga"]
    assert names(sort="role", descending=True, pageSize=3)[2] == "olga"
    assert api("GET", "/getUsers", query_string={"name": "(", "useRegex": True}).status_code == 400


def test_neither_passwords_nor_tokens_are_in_the_store(api: Api, store: StoreNode) -> None:
    api.login(ADMIN, "a wrong canary password")
    files = [path for path in store.process.log.parent.rglob("*") if path.is_file()]
    content = b"".join(path.read_bytes() for path in files)
    assert b"passwordHash" in content, "this looks into the wrong files"
    for secret in (PASSWORD, str(api.token), "a wrong canary password"):
        assert secret.encode() not in content


def test_the_api_reports_that_the_store_is_down_and_works_when_it_is_up_again(api: Api, store: StoreNode) -> None:
    store.kill()
    fresh = Api(api.app)
    answer = fresh.login()
    assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert api("GET", "/health/live").status_code == 200
    ready = api("GET", "/health/ready")
    assert ready.status_code == 503
    assert ready.json["dependencies"]["store"]["up"] is False
    store.start()
    assert fresh.login().status_code == 200
    assert fresh("GET", "/getUsers").status_code == 200
    assert api("GET", "/health/ready").json["dependencies"]["store"]["up"] is True


def test_a_store_that_hangs_is_not_ready(api: Api, store: StoreNode) -> None:
    store.process.suspend()
    try:
        answer = api("GET", "/health/ready")
    finally:
        store.process.signal(signal.SIGCONT)
    assert answer.status_code == 503
    assert answer.json["dependencies"]["store"]["up"] is False
    wait_until(lambda: api("GET", "/health/ready").json["dependencies"]["store"]["up"])


def test_an_app_that_starts_before_its_store_makes_the_first_user_when_it_can(
    store: StoreNode, make_app: MakeApp
) -> None:
    store.kill()
    api = Api(make_app(mongo_uri=store.uri("late")))
    assert api.login().status_code == 503
    store.start()
    assert api.login().status_code == 200
