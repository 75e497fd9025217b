"""docs/METRICS.md lists every metric, with its type, labels and meaning as the code has them, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.metrics.instruments import COUNTED
from services.gauges import GAUGES

DOCUMENT = Path(__file__).parents[2] / "docs" / "METRICS.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*) \| (.+) \|$", re.MULTILINE)


def in_the_code() -> set[tuple[str, str, str, str]]:
    rows = {(one.name, "gauge", _listed(one.labels), one.meaning) for one in GAUGES}
    for instrument in COUNTED:
        [family] = instrument.describe()
        name = family.name + ("_total" if family.type == "counter" else "")
        rows.add((name, family.type, _listed(instrument._labelnames), family.documentation))
    return rows


def _listed(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def test_every_metric_is_documented_as_it_is_and_no_other() -> None:
    assert set(ROW.findall(DOCUMENT.read_text())) == in_the_code()
