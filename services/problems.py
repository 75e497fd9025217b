"""Adds to the current problems what is known about them: since when they last, and who has acknowledged them."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.audit import State, state_of
from domain.errors import NotFound
from domain.overview import Overview, Trouble
from domain.problem import Acknowledgement, AcknowledgeProblem, ProblemNamed
from gateway.mongo.problems import Problems as ProblemStore
from runtime.threads import OneThread
from services.complaints import Complaints
from services.overview import Overviews


class Problems(OneThread):
    """Thread-safe. A part of the process's runtime: its thread observes problems even if no client requests them, so
    that their start is known."""

    def __init__(
        self, store: ProblemStore, overviews: Overviews, *, every: float = 30.0, complaints: Complaints | None = None
    ) -> None:
        """Observe every `every` seconds. This must be less than the time after which the store ends a problem that was
        not observed."""
        self._store, self._overviews, self._every = store, overviews, every
        self._complaints = complaints or Complaints()

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            self._complaints.attempt("store", "problems", lambda: self.in_context(self._overviews.now()))

    def in_context(self, overview: Overview) -> Overview:
        """Return the overview with the start and the acknowledgement of each problem that it lists; acknowledged
        problems are last. Raises StoreUnavailable."""
        known = self._store.see({(one.kind, one.name): one.since for one in overview.troubles}, datetime.now(UTC))

        def with_context(one: Trouble) -> Trouble:
            found = known[one.kind, one.name]
            return one.model_copy(update={"since": found.since, "acknowledged": found.acknowledged})

        troubles = [with_context(one) for one in overview.troubles]
        return overview.model_copy(update={"troubles": sorted(troubles, key=lambda one: one.acknowledged is not None)})

    def state_of(self, problem: ProblemNamed) -> State | None:
        """Return the acknowledgement of a problem for the audit log, or None if there is none. Raises
        StoreUnavailable."""
        found = self._store.acknowledgement((problem.kind, problem.name))
        return state_of(found, "by note") if found else None

    def acknowledge(self, problem: AcknowledgeProblem, by: str) -> None:
        """Acknowledge a problem until it is over. Raises NotFound if there is no such problem, StoreUnavailable."""
        self._note(problem, Acknowledgement(by=by, note=problem.note, at=datetime.now(UTC)))

    def withdraw(self, problem: ProblemNamed) -> None:
        """Withdraw the acknowledgement of a problem. Raises NotFound, StoreUnavailable."""
        self._note(problem, None)

    def _note(self, problem: ProblemNamed, acknowledgement: Acknowledgement | None) -> None:
        if not self._store.acknowledge((problem.kind, problem.name), acknowledgement):
            raise NotFound(
                f"There is no problem {problem.kind!r} of {problem.name!r} now. GET /getOverview lists the current "
                "problems.",
                code="problem_not_found",
            )
