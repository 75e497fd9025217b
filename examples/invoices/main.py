"""Runs the three systems side by side, a thread for each, until Ctrl+C."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from threading import Event

from emulators.rabbit_emulator import RabbitMQ
from examples.invoices import service
from examples.invoices.crm import crm
from examples.invoices.desk import Broker, Desk, say
from examples.invoices.dms import dms
from examples.invoices.message_utilits import InvoiceError
from examples.invoices.one_c import one_c
from examples.invoices.sample_pdf import make_sample


def main() -> int:
    """The exit status: 0 after Ctrl+C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m examples.invoices", description="An invoice: CRM, 1C, DMS, CRM.")
    parser.add_argument("--service", action="store_true", help="as HTTP services that WorkerRMQ delivers to")
    parser.add_argument("--pdf", type=Path, help="the PDF to send around (default: pdfs/sample.pdf, made anew)")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        pdf = options.pdf or make_sample(Path("pdfs/sample.pdf"))
        with service.product() if options.service else nullcontext(RabbitMQ) as connect:
            _run(connect, pdf)
    except KeyboardInterrupt:
        say("Stopped.")
    except (InvoiceError, OSError) as error:
        print(f"invoices: {error}", file=sys.stderr)
        return 1
    return 0


def _run(connect: Callable[[], Broker], pdf: Path) -> None:
    """Raises KeyboardInterrupt, and what has ended a system."""
    stop = Event()
    with ThreadPoolExecutor() as threads:
        sit_down = partial(Desk, connect=connect, pdf=pdf, stop=stop)
        systems = [threads.submit(system, sit_down) for system in (one_c, dms, crm)]
        try:
            wait(systems, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
    for system in systems:
        system.result()
