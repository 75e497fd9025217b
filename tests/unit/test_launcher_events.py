"""The lines of the logs that `./run.sh` shows on the terminal, from the examples in docs/LOGGING.md."""

from __future__ import annotations

from pathlib import Path

from launcher.log_files import LogTail
from tests.unit.test_logging_documented import DOCUMENT


def shown(tmp_path: Path, event: str) -> list[str]:
    log = tmp_path / "worker.log"
    log.touch()
    tail = LogTail(log)
    log.write_text("".join(f"{line}\n" for line in DOCUMENT.read_text().splitlines() if f'"event":"{event}"' in line))
    assert log.read_text()
    return tail.new_events()


def test_an_opened_breaker_names_the_target_the_consumers_and_the_reason(tmp_path: Path) -> None:
    sentence = "circuit breaker open for https://erp.example (orders-erp): HTTP 503; next attempt in 30.0 s"
    assert shown(tmp_path, "breaker_opened") == [sentence]


def test_a_closed_breaker_is_shown(tmp_path: Path) -> None:
    assert shown(tmp_path, "breaker_closed") == ["circuit breaker closed for https://erp.example"]


def test_a_suspended_consumer_is_named(tmp_path: Path) -> None:
    assert shown(tmp_path, "consumer_suspended") == ["consumer orders-erp suspended: The target answered HTTP 410."]


def test_an_error_names_its_consumer(tmp_path: Path) -> None:
    assert shown(tmp_path, "delivery_crashed") == ["delivery_crashed orders-erp"]


def test_deliveries_and_warnings_are_not_shown(tmp_path: Path) -> None:
    assert [shown(tmp_path, event) for event in ("delivered", "delivery_failed", "copy_failed")] == [[], [], []]
