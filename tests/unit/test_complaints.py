"""Failures of the tasks that a thread repeats: they are logged, and do not end it."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import LogCapture

from domain.errors import StoreUnavailable
from services.complaints import Complaints


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[structlog.typing.EventDict]:
    """The events that are logged, however other tests have configured the logs of this process."""
    capture = LogCapture()
    levels = structlog.make_filtering_bound_logger(0)
    monkeypatch.setattr(
        "services.complaints.log", structlog.wrap_logger(None, processors=[capture], wrapper_class=levels)
    )
    return capture.entries


def test_an_outage_is_logged_once_and_its_end(logged: list[structlog.typing.EventDict]) -> None:
    def down() -> None:
        raise StoreUnavailable("MongoDB is down.")

    complaints = Complaints()
    done = [complaints.attempt("store", "events", task) for task in (down, down, lambda: None)]
    assert done == [False, False, True]
    assert [one["event"] for one in logged] == ["dependency_unavailable", "dependency_available"]


@pytest.mark.parametrize("bug", [ValueError("a bug"), MemoryError()])
def test_a_bug_is_logged_and_does_not_end_the_thread_that_repeats_the_task(
    logged: list[structlog.typing.EventDict], bug: Exception
) -> None:
    def broken() -> None:
        raise bug

    assert not Complaints().attempt("store", "audit", broken)
    [one] = logged
    assert (one["event"], one["dependency"], one["task"]) == ("task_crashed", "store", "audit")
    assert one["exc_info"]


def test_a_thread_that_ends_later_than_its_service_logs_nothing(logged: list[structlog.typing.EventDict]) -> None:
    def down() -> None:
        raise StoreUnavailable("MongoDB is down.")

    complaints = Complaints()
    complaints.stop()
    assert not complaints.attempt("store", "events", down)
    complaints.start()
    complaints.attempt("store", "audit", down)
    assert [one["event"] for one in logged] == ["dependency_unavailable"]
