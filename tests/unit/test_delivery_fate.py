"""Each row of the table of fates."""

from __future__ import annotations

import pytest

from delivery.fate import TABLE, Fate, Situation, fate_of
from domain.outcome import ErrorClass, Outcome

LEFT, LAST = Situation(attempts_left=True), Situation(attempts_left=False)


@pytest.mark.parametrize(
    ("row", "outcome", "situation", "fate"),
    [
        (0, Outcome.SUCCESS, LEFT._replace(gone=True), Fate.FORGET),
        (0, Outcome.SUSPEND, LAST._replace(gone=True, refusals=10), Fate.FORGET),
        (1, Outcome.SUCCESS, LAST._replace(too_old=True, target_down=True), Fate.ACK),
        (2, Outcome.REJECT, LEFT._replace(target_down=True), Fate.REJECT),
        (3, Outcome.THROTTLE, LEFT._replace(too_old=True), Fate.EXPIRE),
        (4, Outcome.THROTTLE, LAST._replace(target_down=True), Fate.GIVE_BACK),
        (5, Outcome.RETRY, LEFT._replace(target_down=True, too_old=True), Fate.EXPIRE),
        (5, Outcome.RETRY, LAST._replace(too_old=True), Fate.EXPIRE),
        (6, Outcome.RETRY, LAST._replace(target_down=True), Fate.GIVE_BACK),
        (7, Outcome.RETRY, LEFT._replace(target_down=True, probe=True), Fate.RETRY),
        (8, Outcome.RETRY, LAST, Fate.EXHAUST),
        (9, Outcome.UNSENT, LAST._replace(outdated=True), Fate.GIVE_BACK),
        (10, Outcome.UNSENT, LAST._replace(too_old=True, refusals=10, others_succeed=True), Fate.REST),
        (11, Outcome.SUSPEND, LEFT._replace(outdated=True, others_succeed=True, refusals=10), Fate.GIVE_BACK),
        (12, Outcome.SUSPEND, LAST._replace(others_succeed=True, error=ErrorClass.TOKEN_REFUSED), Fate.SUSPEND),
        (12, Outcome.SUSPEND, LEFT._replace(error=ErrorClass.CERTIFICATE), Fate.SUSPEND),
        (13, Outcome.SUSPEND, LEFT._replace(others_succeed=True, too_old=True), Fate.EXPIRE),
        (14, Outcome.SUSPEND, LEFT._replace(others_succeed=True, refusals=10, status=410), Fate.RETRY),
        (15, Outcome.SUSPEND, LAST._replace(others_succeed=True), Fate.EXHAUST),
        (16, Outcome.SUSPEND, LEFT._replace(refusals=10), Fate.SUSPEND),
        (16, Outcome.SUSPEND, LEFT._replace(refusals=1, status=410), Fate.SUSPEND),
        (17, Outcome.SUSPEND, LAST._replace(refusals=9, too_old=True), Fate.REST),
        (18, Outcome.FILTERED, LAST._replace(otherwise="discard", target_down=True), Fate.DISCARD),
        (19, Outcome.FILTERED, LAST._replace(otherwise="forward", too_old=True), Fate.FORWARD),
        (20, Outcome.FILTERED, LEFT._replace(otherwise="forward", forwarded_enough=True), Fate.SET_ASIDE),
        (20, Outcome.FILTERED, LEFT, Fate.SET_ASIDE),
        (21, Outcome.ROUTED, LAST._replace(target_down=True, too_old=True, otherwise="discard"), Fate.ROUTE),
    ],
)
def test_a_row_decides(row: int, outcome: Outcome, situation: Situation, fate: Fate) -> None:
    applying = [applies is None or applies(situation) for _, applies, _ in TABLE]
    deciding = next(at for at, (of, _, _) in enumerate(TABLE) if of in (None, outcome) and applying[at])
    assert deciding == row
    assert fate_of(outcome, situation) is fate


def test_every_outcome_has_a_row_that_always_applies() -> None:
    for outcome in Outcome:
        last = [applies for of, applies, _ in TABLE if of is outcome][-1]
        assert last is None
