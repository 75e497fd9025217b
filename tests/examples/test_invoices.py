"""`python -m examples.invoices`, as somebody who has just read about it would run it."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pypdf import PdfReader

from emulators.rabbit_emulator import RabbitMQ
from examples.invoices.desk import Desk
from examples.invoices.message_utilits import InvoiceError, create_pdf_msg, decode_pdf_msg
from examples.invoices.one_c import one_c
from examples.invoices.sample_pdf import make_sample
from tests.support.processes import Process, wait_until

PROJECT = Path(__file__).parents[2]
CYCLE = """\
crm sends invoice.created to 1c, with sample.pdf
1c has got invoice.created from crm, and saved sample.pdf
1c sends invoice.approved to dms, with sample.pdf
dms has got invoice.approved from 1c, and saved sample.pdf
dms sends contract.archived to crm, with sample.pdf
crm has got contract.archived from dms, and saved sample.pdf
The cycle is complete. Ctrl+C ends this.
"""


class Terminal:
    """A directory in which the example runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.process: Process | None = None

    def run(self, *arguments: str, **settings: str) -> Process:
        """Start it; does not wait."""
        command = [sys.executable, "-m", "examples.invoices", *arguments]
        kept = {name: value for name, value in os.environ.items() if name not in ("RABBITMQ_URL", "MONGO_URI")}
        environment = kept | {"PYTHONPATH": str(PROJECT)} | settings
        self.process = Process(command, self.directory / "log", environment, self.directory)
        self.process.start()
        return self.process

    def says_in_the_end(self, *arguments: str, **settings: str) -> str:
        """Return the output of a run that must fail."""
        process = self.run(*arguments, **settings)
        wait_until(lambda: not process.running, 30, "the end")
        assert process.returncode == 1
        return process.output()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """An empty directory to run it in."""
    one = Terminal(tmp_path)
    yield one
    if one.process is not None and one.process.running:
        one.process.stop()


def lines_of_the_cycle(output: str) -> str:
    return "".join(line + "\n" for line in output.splitlines() if f"{line}\n" in CYCLE)


def assert_restored(directory: Path) -> None:
    sample, restored = directory / "pdfs" / "sample.pdf", directory / "pdfs" / "restored" / "sample.pdf"
    assert restored.read_bytes() == sample.read_bytes()
    [page] = PdfReader(restored, strict=True).pages
    assert "Invoice 1" in page.extract_text()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_cycle_goes_round_and_ctrl_c_ends_it(terminal: Terminal, stop: signal.Signals) -> None:
    process = terminal.run()
    process.wait_ready(lambda: "The cycle is complete" in process.output(), 60)
    process.signal(stop)
    wait_until(lambda: not process.running, 20, "the end")
    assert process.returncode == 0
    assert process.output() == CYCLE + "Stopped.\n"
    assert_restored(terminal.directory)


@pytest.mark.xdist_group("run")  # with the other tests that use the usual ports of the machine
@pytest.mark.timeout(120)
def test_the_same_cycle_as_services_behind_a_product_of_its_own(terminal: Terminal) -> None:
    process = terminal.run("--service", BIND="127.0.0.1:1", TMPDIR=str(terminal.directory))
    process.wait_ready(lambda: "The cycle is complete" in process.output(), 90)
    process.signal(signal.SIGINT)
    wait_until(lambda: not process.running, 60, "the end")
    assert process.returncode == 0
    assert lines_of_the_cycle(process.output()) == CYCLE
    assert process.output().endswith("Stopped.\n")
    assert_restored(terminal.directory)
    assert {path.name for path in terminal.directory.iterdir()} == {"log", "pdfs"}


def test_a_pdf_of_ones_own_goes_round(terminal: Terminal) -> None:
    own = terminal.directory / "mine.pdf"
    own.write_bytes(os.urandom(1_000_000))
    process = terminal.run("--pdf", "mine.pdf")
    process.wait_ready(lambda: "The cycle is complete" in process.output(), 60)
    assert (terminal.directory / "pdfs" / "restored" / "mine.pdf").read_bytes() == own.read_bytes()


def test_a_pdf_that_does_not_exist_ends_it_with_a_sentence(terminal: Terminal) -> None:
    said = terminal.says_in_the_end("--pdf", "nothing.pdf")
    assert said == "invoices: The PDF nothing.pdf cannot be read: No such file or directory.\n"


def test_a_missing_product_ends_it_with_a_sentence(terminal: Terminal) -> None:
    said = terminal.says_in_the_end("--service", WORKERRMQ_URL="http://127.0.0.1:1")
    assert said == "invoices: http://127.0.0.1:1 cannot be reached: Connection refused.\n"


def test_decoding_saves_what_was_encoded(tmp_path: Path) -> None:
    sample = make_sample(tmp_path / "sample.pdf")
    body = create_pdf_msg("invoice.created", "crm", "1c", sample)
    assert base64.b64decode(json.loads(body)["pdf"]) == sample.read_bytes()
    message = decode_pdf_msg(body, save_dir=tmp_path / "restored")
    assert (message["event"], message["sender"], message["receiver"]) == ("invoice.created", "crm", "1c")
    assert (tmp_path / "restored" / message["filename"]).read_bytes() == sample.read_bytes()


def test_a_file_name_leads_nowhere_else(tmp_path: Path) -> None:
    body = json.dumps({"filename": "../../escaped.pdf", "pdf": ""})
    decode_pdf_msg(body, tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.rglob("*.pdf")] == ["escaped.pdf"]
    assert (tmp_path / "a" / "b" / "escaped.pdf").exists()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{oops", r"^The message is not JSON: Expecting property name"),
        (b"\xff", r"^The message is not JSON"),
        ("[]", r"^The message requires a filename and a pdf in Base64"),
        ("null", r"^The message requires a filename and a pdf in Base64"),
        ('{"filename": "a.pdf"}', r"in Base64: 'pdf'\.$"),
        ('{"filename": "a.pdf", "pdf": 7}', r"a pdf in Base64: argument should be"),
        ('{"filename": "a.pdf", "pdf": "!!!"}', r"a pdf in Base64"),
        ('{"filename": "a.pdf", "pdf": "ünicode"}', r"a pdf in Base64"),
        ('{"filename": "..", "pdf": ""}', r"^The message's PDF cannot be saved in"),
        ('{"filename": "", "pdf": ""}', r"^The message's PDF cannot be saved in"),
        ('{"filename": "a\\u0000.pdf", "pdf": ""}', r"^The message requires a filename.* embedded null byte"),
    ],
)
def test_a_malformed_message_is_refused_in_a_sentence(body: str | bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InvoiceError, match=sentence):
        decode_pdf_msg(body, tmp_path / "restored")


def test_a_malformed_message_is_a_dead_letter_and_the_next_one_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    rabbit, sample = RabbitMQ(), make_sample(tmp_path / "sample.pdf")
    rabbit.publish("1c_queue", "{oops")
    rabbit.publish("1c_queue", create_pdf_msg("contract.archived", "dms", "1c", sample))
    rabbit.publish("1c_queue", create_pdf_msg("invoice.created", "crm", "1c", sample))
    with closing(Desk("1c", RabbitMQ(), sample)) as desk:
        one_c(desk)
        wait_until(lambda: RabbitMQ.queues.get("dms_queue"), 20, "an answer")
    assert json.loads(RabbitMQ.queues["dms_queue"][0])["event"] == "invoice.approved"
    assert RabbitMQ.queues["1c_queue.dlq"][0] == "{oops"
    assert "1c takes invoice.created, and not contract.archived." in caplog.text
