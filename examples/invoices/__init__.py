"""An invoice goes CRM → 1C → DMS → CRM, and its PDF with it: `python -m examples.invoices [--service] [--pdf FILE]`.

The systems are threads on emulators.rabbit_emulator. With `--service` each is an HTTP service, and WorkerRMQ delivers
the messages: the one at WORKERRMQ_URL (see `flask rmq login`), or one that this starts for itself.
"""
