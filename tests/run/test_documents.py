"""The commands in README and tutorial work when pasted, block by block, and print the documented output."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.installation import Installation
from tests.support.processes import free_port, wait_until

PROJECT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```bash\n(?P<commands>.*?)^```\n(?:```\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL)

ELSEWHERE = re.compile(r"^\./run\.sh( test)? .*\n", re.MULTILINE)
"""Commands that the fixture has already run, and the command that runs this test."""

_DELIVERED = "delivered from"


# Some paste all blocks at once, others read first. The long pause is in seconds.
@pytest.mark.parametrize("pause", [0, pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("document", ["README.md", "docs/TUTORIAL.md"])
def test_every_block_prints_the_documented_output(installation: Installation, document: str, pause: int) -> None:
    installation.start()
    text = (PROJECT / document).read_text()
    target = free_port()
    text = text.replace(":5000", f":{installation.port}").replace("8099", str(target))
    text = re.sub(r"PASSWORD='.*'", f"PASSWORD='{installation.password}'", text)
    blocks = [(ELSEWHERE.sub("", block["commands"]), block["output"] or "") for block in BLOCK.finditer(text)]
    pasted_blocks = [_patient(_paced(commands, target), output) + _reading(output) for commands, output in blocks]
    script = f"sleep {pause}\n".join(pasted_blocks)
    pasted = installation.as_newcomer(
        "bash", "-c", f"{script}\necho; echo done; wait", log="pasted.log", WORKERRMQ_URL=installation.url
    )

    pasted.start()

    try:
        wait_until(lambda: "\ndone\n" in pasted.output(), 60 + pause * len(blocks), "the end of what was pasted")
    except AssertionError as late:
        raise AssertionError(f"{late}, it showed:\n{pasted.output()}") from None
    finally:
        pasted.kill()
    shown = " ".join(pasted.output().split())
    for line in "".join(output for _, output in blocks).splitlines():
        assert re.search(_pattern(line), shown), f"nothing shown is like {line!r}:\n{pasted.output()}"


def _paced(commands: str, target: int) -> str:
    """Wait before each line, as a person does: the target must listen first."""
    listens = f"(exec 3<>/dev/tcp/127.0.0.1/{target}) 2>/dev/null"
    return re.sub(r"^(python3 .*&.*\n)", rf"\1until {listens}; do sleep 0.1; done\n", commands, flags=re.MULTILINE)


def _patient(commands: str, output: str) -> str:
    """Repeat what a document says to do after some seconds until it shows the documented line."""
    line = next((line for line in reversed(output.splitlines()) if not line.startswith(_DELIVERED)), "")
    shown = " | ".join(f"grep -F {shlex.quote(part)}" for part in line.split("…") if part)
    again = lambda said: f"until {said[1]} | {shown}; do sleep 0.1; done\n"  # noqa: E731
    return re.sub(r"^sleep \d+; (.+)\n", again, commands, flags=re.MULTILINE)


def _reading(output: str) -> str:
    """Wait for the deliveries, as a reader does."""
    lines = [_pattern(line) for line in output.splitlines() if line.startswith(_DELIVERED)]
    return "".join(f"until grep -qP {shlex.quote(line)} ../pasted.log; do sleep 0.1; done\n" for line in lines)


def _pattern(line: str) -> str:
    """Return a pattern for a line of a document, in which … matches anything."""
    return ".*".join(re.escape(" ".join(part.split())) for part in line.split("…"))


def test_the_command_line_works_from_any_directory_without_settings(first_installation: Installation) -> None:
    flask = first_installation.project / ".venv/bin/flask"
    settings = {"WORKERRMQ_URL": first_installation.url, "MONGO_URI": "nonsense", "RABBITMQ_URL": "nonsense"}
    command = f"cd / && {shlex.quote(str(flask))} rmq health --json"

    asked = first_installation.as_newcomer("bash", "-c", command, log="asked.log", **settings)
    asked.start()
    wait_until(lambda: not asked.running, 30, "the answer")

    assert '"status": "ready"' in asked.output()
