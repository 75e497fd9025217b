"""Runs the three systems in threads until Ctrl+C."""

import argparse
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

from click import ClickException

from emulators.rabbit_emulator import RabbitMQ
from examples.invoices.crm import crm
from examples.invoices.desk import Desk
from examples.invoices.dms import dms
from examples.invoices.message_utilits import InvoiceError, say
from examples.invoices.one_c import one_c
from examples.invoices.sample_pdf import make_sample
from examples.invoices.service import product

SYSTEMS = {"1c": one_c, "dms": dms, "crm": crm}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.invoices", description="An invoice: CRM, 1C, DMS, CRM.")
    parser.add_argument("--service", action="store_true", help="run HTTP services; WorkerRMQ delivers to them")
    parser.add_argument("--pdf", type=Path, help="the PDF to send (default: pdfs/sample.pdf, created anew)")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        pdf = options.pdf or make_sample(Path("pdfs/sample.pdf"))
        with ExitStack() as until_the_end, ThreadPoolExecutor() as threads:
            connect = until_the_end.enter_context(product()) if options.service else RabbitMQ
            desks = [until_the_end.enter_context(closing(Desk(system, connect(), pdf))) for system in SYSTEMS]
            list(threads.map(lambda desk: SYSTEMS[desk.system](desk), desks))
            signal.pause()
    except KeyboardInterrupt:
        say("Stopped.")
    except (InvoiceError, ClickException, OSError) as error:
        sys.exit(f"invoices: {error}")
