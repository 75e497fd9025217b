"""Names of others on an operator's terminal: shown, never obeyed."""

from __future__ import annotations

from typing import Any

import pytest

from cli import show
from launcher.terminal import print_error, report

HOSTILE = "\x1b]0;pwned\x07\u202egnp"


@pytest.mark.parametrize(
    "item",
    [
        {"name": HOSTILE},
        {HOSTILE: "value"},
        {"arguments": {HOSTILE: 1}},
        {"arguments": {"x": {HOSTILE: [HOSTILE]}}},
        {"bindings": [{HOSTILE: HOSTILE}]},
        {"many": [HOSTILE]},
    ],
)
def test_neither_names_nor_values_of_an_answer_act_on_a_terminal(
    item: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    show.details(item)
    show.table([item], [])
    show.as_json(item)
    show.change({"message": HOSTILE, **item})
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable()
    assert r"\x1b" in said


def test_events_and_errors_of_run_sh_do_not_act_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report(f"worker: consumer_suspended {HOSTILE}")
    print_error(f"web exited at the start: {HOSTILE}")
    said = "".join(capsys.readouterr())
    assert said.replace("\n", "").isprintable()
    assert r"\x1b" in said
