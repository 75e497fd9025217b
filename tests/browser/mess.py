"""The installation of a shop in the night of a failure: 12 queues and 11 consumers, some of which fail, each in its own
way."""

from __future__ import annotations

from dataclasses import dataclass

from delivery.refusals import SUSPEND_AFTER
from tests.browser.service import Service
from tests.support.processes import wait_until
from tests.support.target import Target
from tests.support.target_http import Request

BAD_IBAN = '{"error": "IBAN checksum failed", "field": "iban"}'
NEVER = {"schedule": []}
HEALTHY = ("orders", "invoices", "shipping", "newsletter", "stock")


@dataclass
class Bank:
    """The target of payments: it refuses a wrong IBAN, and is overloaded until it recovers."""

    recovered: bool = False

    def __call__(self, request: Request) -> int | tuple[int, bytes]:
        """Answer a payment."""
        if b"bad-iban" in request.body and not self.recovered:
            return 422, BAD_IBAN.encode()
        if b"big" in request.body and not self.recovered:
            return 413, b"payload too large"
        return 200


def make_mess(service: Service, shop: Target, bank: Target, sms: Target) -> None:
    """Create the queues, consumers and messages, and wait until the failures show. A target that asks for a pause gets
    none of the others' messages, because the pause applies to all consumers of its host."""
    for name in HEALTHY:
        service.queue(name)
        service.post("/createConsumer", queueName=name, name=f"{name}-erp", url=shop.url(f"/status/200?for={name}"))
        for number in range(20):
            service.post("/messagePublish", queueName=name, message={"number": number})
    service.queue("payments")
    service.post("/createConsumer", queueName="payments", name="payments-bank", url=bank.url("/ok"), retry=NEVER)
    for number in range(12):
        kind = "bad-iban" if number % 3 == 0 else "big" if number == 7 else "fine"
        properties = {"messageId": f"payment-2026-11-{number:04}"}
        service.post("/messagePublish", queueName="payments", message={"payment": number, "iban": kind},
                     properties=properties)  # fmt: skip
    service.queue("crm", *"x" * SUSPEND_AFTER)
    auth = {"type": "bearer", "token": "expired"}
    service.post("/createConsumer", queueName="crm", name="crm-sync", url=shop.url("/status/401"), auth=auth)
    service.queue("mail", "1", "2", "3")
    service.post("/createConsumer", queueName="mail", name="mail-gateway", url=shop.url("/status/503"))
    service.queue("sms", "1", "2")
    url = sms.url("/retry-after?seconds=600&status=429&times=9")
    service.post("/createConsumer", queueName="sms", name="sms-gateway", url=url)
    service.post("/createConsumer", queueName="audit-trail", name="audit-archive", url=shop.url("/status/200"))
    service.post("/pauseConsumer", name="audit-archive")
    wait_until(lambda: not service.get("/getConsumer", name="audit-archive")["workers"], 30)
    service.queue("audit-trail", "1", "2", "3", "4")
    service.queue("returns", "1", "2", "3")  # nobody consumes it
    service.queue("reports")
    service.post("/createConsumer", queueName="reports-typo", name="reports", url=shop.url("/status/200"))
    wait_until(lambda: service.messages("payments.dlq") == 5, 30)
    wait_until(lambda: service.get("/getConsumer", name="crm-sync")["state"] == "suspended", 60)
    wait_until(lambda: service.get("/getConsumer", name="mail-gateway")["state"] == "failing", 60)
