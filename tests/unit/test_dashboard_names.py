"""Names that the dashboard has in common with the service."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateway.amqp.topology import DUE, OLD_ORPHANED, ORPHANS, is_dead_letter_queue

VIEW = Path(__file__).parents[2] / "routes/static/dashboard/dead_letters.js"


@pytest.mark.parametrize("name", ["orders.dlq", ORPHANS, OLD_ORPHANED, "orders", DUE, "orders.dlq.archive"])
def test_the_dead_letters_view_lists_what_the_service_counts_as_dead_letters(name: str) -> None:
    [pattern] = re.findall(r'const CALLED = (".*");', VIEW.read_text())
    assert (re.search(json.loads(pattern), name) is not None) == is_dead_letter_queue(name)
