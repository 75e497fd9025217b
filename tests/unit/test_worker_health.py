"""When a worker process counts as live and as ready."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.worker_health import Progress

SOUND = Progress(
    looped_at=99.5, steered_at=99.0, fault=None, not_connected=None, registry_read=True, stopping=False
)  # fmt: skip


def test_a_worker_whose_threads_make_progress_is_live_and_ready() -> None:
    assert SOUND.why_not_live(100.0, 60.0) is None
    assert SOUND.why_not_ready() is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"looped_at": 39.0}, "The delivery loop has made no progress for 61 s."),
        ({"steered_at": 39.0}, "The reconciler has made no progress for 61 s."),
        ({"fault": "The consumer thread crashed."}, "The consumer thread crashed."),
        ({"looped_at": 41.0}, None),
        ({"looped_at": float("inf"), "steered_at": float("inf")}, None),
        ({"not_connected": "refused", "registry_read": False}, None),
        ({"looped_at": 0.0, "stopping": True}, None),
    ],
)
def test_only_a_thread_without_progress_makes_a_worker_not_live(change: dict[str, object], reason: str | None) -> None:
    assert replace(SOUND, **change).why_not_live(100.0, 60.0) == reason  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"not_connected": "refused"}, "Not connected to RabbitMQ: refused"),
        ({"registry_read": False}, "The consumers have not been read from MongoDB yet."),
        ({"fault": "The consumer thread crashed."}, "The consumer thread crashed."),
        ({"stopping": True}, "The worker is shutting down."),
    ],
)
def test_a_worker_that_cannot_deliver_is_not_ready(change: dict[str, object], reason: str) -> None:
    assert replace(SOUND, **change).why_not_ready() == reason  # type: ignore[arg-type]
