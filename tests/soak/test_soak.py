"""The soak itself, in short: with delays of seconds, on all brokers at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.__main__ import BROKERS, main
from tests.support.programs import unavailable
from tests.support.rabbitmq_programs import RABBITMQ, RABBITMQ4


@pytest.mark.timeout(300)
def test_no_id_is_missing_after_a_minute_of_everything(tmp_path: Path) -> None:
    for programs in (RABBITMQ, RABBITMQ4):
        if programs.missing:
            unavailable(programs.name.upper(), programs.missing)
    options = ["--minutes", "1", "--delays", "1,4", "--brokers", ",".join(BROKERS), "--directory", str(tmp_path)]
    assert main(options) == 0, (tmp_path / "report.txt").read_text()
