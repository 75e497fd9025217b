"""The service keeps to its own OpenAPI document, whatever Schemathesis makes of that: no 5xx, only the documented
statuses, content types and shapes, and what the document forbids is refused. Over a real store and the embedded broker.

Not asked is that all data be taken that fit the schemas: they cannot say that a message needs one body, and such.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema

from app import APIS
from routes.documentation import Description
from tests.api.client import Gunicorn
from tests.support.embedded import EmbeddedNode
from tests.support.store import StoreNode

schemathesis.serializer.alias("application/x-ndjson", "text/plain")
# Its cases are made when the test runs: made at import, every process of the suite would make them all.
SCHEMA = schemathesis.pytest.from_fixture("schema")

BOUNDED = settings(
    max_examples=4,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # what fails is not made smaller: the run stays short
    suppress_health_check=list(HealthCheck),
)
LONG = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


class Admin:
    """A client that logs in again when its token is revoked."""

    def __init__(self, gunicorn: Gunicorn) -> None:
        self.url = gunicorn.url
        self._gunicorn = gunicorn
        self._token = ""

    def check(self, case: schemathesis.Case, *excluded: Any) -> None:
        """Send a case; the answer must be as documented, but for the `excluded` checks."""
        self._token = self._token or self._gunicorn.login()
        headers = {"Authorization": f"Bearer {self._token}"}
        if case.operation.path == "/logout":
            self._token = ""
        case.call_and_validate(self.url, headers=headers, excluded_checks=[positive_data_acceptance, *excluded])


@pytest.fixture(scope="module")
def schema() -> OpenApiSchema:
    """The service's own document."""
    return schemathesis.openapi.from_dict(Description(APIS).document)


@pytest.fixture(scope="module")
def admin(
    embedded_node: EmbeddedNode, store_node: StoreNode, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Admin]:
    """One for all cases: what some have made, others find."""
    places = {
        "MONGO_URI": store_node.uri("schemathesis"),
        **embedded_node.settings,
        "DEFAULT_TARGET_URL": "http://127.0.0.1:9/",
        "TARGET_ALLOW": "127.0.0.0/8",
    }
    # gunicorn would answer 414 by itself; what is too long is for the service to refuse
    gunicorn = Gunicorn(tmp_path_factory.mktemp("schemathesis"), places, "--limit-request-line", "0")
    gunicorn.start()
    yield Admin(gunicorn)
    gunicorn.process.stop()
    embedded_node.reset()
    store_node.reset()


@pytest.mark.timeout(600)  # one test for all operations, each a subtest
@SCHEMA.parametrize()
@BOUNDED
def test_the_service_keeps_to_its_document(case: schemathesis.Case, admin: Admin) -> None:
    admin.check(case)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@SCHEMA.parametrize()
@LONG
def test_the_service_keeps_to_its_document_for_long(case: schemathesis.Case, admin: Admin) -> None:
    # Among so many are cases that are wrong only in what is lost on the way (an empty list as a parameter) or put right
    # on it (no Authorization).
    admin.check(case, negative_data_rejection)
