"""An invoice passes CRM → 1C → DMS → CRM, with its PDF: `python -m examples.invoices [--service] [--pdf FILE]`.

The systems are threads on emulators.rabbit_emulator. With `--service` each is an HTTP service, and WorkerRMQ delivers
the messages: the service at WORKERRMQ_URL (see `flask rmq login`), or one started by this program.
"""
