"""The settlement table: which answer means what."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.outcome import Answer, ErrorClass, Outcome
from domain.outcome_rules import OutcomeRules

TABLE = {
    Outcome.SUCCESS: [*range(200, 300)],
    Outcome.RETRY: [408, 425, *range(500, 600)],
    Outcome.THROTTLE: [429],
    Outcome.REJECT: [400, 413, 415, 422],
}


def answer(status: int | None, error: ErrorClass | None = None) -> Answer:
    return Answer(status, error, "", 0.0)


def test_every_status_means_what_the_table_says_and_what_it_leaves_out_suspends() -> None:
    decide = OutcomeRules().table.outcome_of
    listed = {status: outcome for outcome, statuses in TABLE.items() for status in statuses}
    for status in range(100, 1000):
        assert decide(answer(status)) is listed.get(status, Outcome.SUSPEND), status


@pytest.mark.parametrize("error", ErrorClass)
def test_no_answer_is_tried_again_unless_the_target_was_never_asked(error: ErrorClass) -> None:
    faults = {
        ErrorClass.BLOCKED: Outcome.SUSPEND,
        ErrorClass.UNSENDABLE: Outcome.REJECT,
        ErrorClass.FILTERED: Outcome.FILTERED,
        ErrorClass.ROUTED: Outcome.ROUTED,
        ErrorClass.TEMPLATE: Outcome.SUSPEND,
        ErrorClass.TOKEN: Outcome.UNSENT,
        ErrorClass.TOKEN_REFUSED: Outcome.SUSPEND,
        ErrorClass.CERTIFICATE: Outcome.SUSPEND,
        ErrorClass.PROXY: Outcome.UNSENT,
        ErrorClass.INTERNAL: Outcome.UNSENT,
    }
    assert OutcomeRules().table.outcome_of(answer(None, error)) is faults.get(error, Outcome.RETRY)


def test_a_status_goes_before_its_class() -> None:
    decide = OutcomeRules(retry=("5xx",), reject=("501",), suspend=("4xx",), success=("2xx", "404")).table.outcome_of
    assert decide(answer(501)) is Outcome.REJECT
    assert decide(answer(502)) is Outcome.RETRY
    assert decide(answer(404)) is Outcome.SUCCESS
    assert decide(answer(403)) is Outcome.SUSPEND


def test_one_class_of_errors_can_be_taken_out_of_those_that_are_tried_again() -> None:
    decide = OutcomeRules(retry=("connect", "timeout"), reject=("tls",)).table.outcome_of
    assert decide(answer(None, ErrorClass.TLS)) is Outcome.REJECT
    assert decide(answer(None, ErrorClass.TIMEOUT)) is Outcome.RETRY
    assert decide(answer(None, ErrorClass.DNS)) is Outcome.SUSPEND


@pytest.mark.parametrize("rule", ["", "6xx", "099", "600", "20", "2xx ", "2XX", "http", "network,5xx"])
def test_an_unknown_rule_is_refused_with_its_name(rule: str) -> None:
    with pytest.raises(ValueError, match="unknown rule") as caught:
        _ = OutcomeRules(retry=(rule,)).table
    assert repr(rule) in str(caught.value)


def test_a_rule_under_two_outcomes_is_refused() -> None:
    with pytest.raises(ValueError, match="'timeout' is listed under both success and retry"):
        _ = OutcomeRules(success=("2xx", "timeout"), retry=("network",)).table


def test_a_status_that_asks_for_a_pause_throttles_only_where_the_rules_say_retry() -> None:
    decide = OutcomeRules().table.outcome_of
    assert decide(Answer(503, None, "", 0.0)) is Outcome.RETRY
    assert decide(Answer(503, None, "", 0.0, retry_after=0.0)) is Outcome.THROTTLE
    assert decide(Answer(500, None, "", 0.0, retry_after=9.0)) is Outcome.RETRY
    assert OutcomeRules(retry=("5xx",), reject=("429",)).table.outcome_of(answer(429)) is Outcome.REJECT


@given(st.integers(100, 599), st.sampled_from([Outcome(name) for name in OutcomeRules.model_fields]))
def test_any_status_can_be_given_any_outcome(status: int, outcome: Outcome) -> None:
    assume((status, outcome) != (429, Outcome.RETRY))
    rules = OutcomeRules(**{"success": (), "retry": (), "reject": (), "suspend": (), outcome.value: (str(status),)})
    assert rules.table.outcome_of(answer(status)) is outcome
