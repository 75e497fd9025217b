"""Writes to the attempt log each dead letter that a replay, a move or a deletion has settled, with its user."""

from __future__ import annotations

from datetime import UTC, datetime

from delivery.copies import Source, attempts_charged, came_from
from delivery.header_values import field_value
from delivery.provenance import provenance
from domain.attempt import Attempt, Result
from domain.dead_letter import cause_of
from domain.replay import DeadLetterSelection, MoveRequest, Replay
from services.attempt_writer import AttemptWriter

_RESULTS: dict[str, Result] = {"replay": "replayed", "move": "moved", "delete": "deleted"}


class ReplayRecord:
    """Owned by the replay's thread."""

    def __init__(self, replay: Replay, wanted: DeadLetterSelection, by: str | None, writer: AttemptWriter) -> None:
        self._replay, self._by, self._writer = replay, by, writer
        self._destination = wanted.to_queue if isinstance(wanted, MoveRequest) else None
        self._unwritten: list[Attempt] = []

    def add(self, source: Source, at: float) -> None:
        """Note a dead letter that was settled, `at` in Unix seconds. One without a message id cannot be found again,
        so it is not noted."""
        if not source.message_id:
            return
        headers = source.properties.headers or {}
        queue = came_from(source.properties, self._replay.queue_name)
        self._unwritten.append(
            Attempt(
                at=datetime.fromtimestamp(at, UTC),
                consumer_id="",
                consumer=cause_of(headers).consumer or "",
                queue=queue,
                message_id=source.message_id if isinstance(source.message_id, str) else field_value(source.message_id),
                attempt=attempts_charged(headers, queue),
                result=_RESULTS[self._replay.action],
                status=None,
                error=None,
                reason=f"from {self._replay.dead_letter_queue}",
                duration_ms=0,
                next_at=None,
                destination=queue if self._replay.action == "replay" else self._destination,
                by=self._by,
                **provenance(source.properties, at)._asdict(),
            )
        )

    def write(self) -> None:
        """Write what was added. Raises StoreUnavailable; the next call then writes it, too."""
        waiting, self._unwritten = self._unwritten, []
        self._writer.write(waiting)
