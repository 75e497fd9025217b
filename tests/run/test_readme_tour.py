"""README's tour does what it says when it is pasted, block by block."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.installation import Installation
from tests.support.processes import free_port, wait_until

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```bash\n(?P<commands>.*?)^```\n(?:```\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(400)  # the first start installs everything
def test_the_tour_goes_as_told(installation: Installation) -> None:
    installation.start()
    tour = re.search(r"^## A five-minute tour$(.*?)^## ", README.read_text(), re.MULTILINE | re.DOTALL)
    assert tour
    script = "".join(block["commands"] + _reading(block["output"] or "") for block in BLOCK.finditer(tour[1]))
    script = script.replace(":5000", f":{installation.port}").replace("8099", str(free_port()))
    script = re.sub(r"PASSWORD='.*'", f"PASSWORD='{installation.password}'", script)
    pasted = installation.as_newcomer("bash", "-c", script + "echo; echo done; wait", log="tour.log")

    pasted.start()

    try:
        wait_until(lambda: "\ndone\n" in pasted.output(), 90, "the end of the tour")
    finally:
        pasted.kill()
    for said in ('"state":"failing"', "Failed to connect to", '"detail":"queueName: must not be empty"'):
        assert said in pasted.output()


def _reading(output: str) -> str:
    """What a reader does before going on: see the deliveries arrive."""
    lines = [line for line in output.splitlines() if line.startswith("delivered from")]
    return "".join(f"until grep -qF {shlex.quote(line)} ../tour.log; do sleep 0.1; done\n" for line in lines)
