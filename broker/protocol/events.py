"""Events decoded from a client's bytes.

Greeting      a correct protocol header
Mismatch      another header: answer with ours and close (AMQP 0-9-1 §4.2.2)
Publish       basic.publish with its content, properties and body undecoded
Ack           basic.ack
Method        any other method that is legal in its state
Violation     a breach of the protocol
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pamqp import base

from broker.errors import AmqpError


@dataclass(slots=True)
class Greeting:
    """The client speaks AMQP 0-9-1."""


@dataclass(slots=True)
class Mismatch:
    """The client speaks something else."""


@dataclass(slots=True)
class Publish:
    """A complete message on `channel`."""

    channel: int
    exchange: str
    routing_key: str
    mandatory: bool
    immediate: bool
    properties: bytes
    body: bytes


@dataclass(slots=True)
class Ack:
    """basic.ack on `channel`."""

    channel: int
    delivery_tag: int
    multiple: bool


@dataclass(slots=True)
class Method:
    """A method on `channel`."""

    channel: int
    method: base.Frame


@dataclass(slots=True)
class Violation:
    """A breach of the protocol on `channel`, caused by the method `class_id`.`method_id` if any."""

    channel: int
    error: AmqpError
    class_id: int = 0
    method_id: int = 0


Event: TypeAlias = Greeting | Mismatch | Publish | Ack | Method | Violation
