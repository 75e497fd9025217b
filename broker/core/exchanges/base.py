"""The base class of all exchange types."""

from __future__ import annotations

import base64
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from amqp_wire.table import encode_table
from amqp_wire.values import Long, Table, is_integer
from broker.core.message import Message

if TYPE_CHECKING:
    from broker.core.policies import Policy
    from broker.core.queue import Queue

    Target: TypeAlias = "Queue | Exchange"

# The identity of a binding: kind and name of the destination, routing key, encoded arguments.
BindingKey: TypeAlias = tuple[str, str, str, bytes]


class Binding:
    """A route from an exchange (`source`) to a queue or an exchange (`target`, by `kind` and `destination`)."""

    __slots__ = ("arguments", "key", "routing_key", "source", "target")

    def __init__(self, source: str, target: Target, routing_key: str, arguments: Table) -> None:
        self.source = source
        self.target = target
        self.routing_key = routing_key
        self.arguments = arguments
        self.key: BindingKey = (target.kind, target.name, routing_key, _encoded(arguments))

    @property
    def kind(self) -> str:
        """ "queue" or "exchange"."""
        return self.key[0]

    @property
    def destination(self) -> str:
        """The name of the queue or exchange."""
        return self.key[1]


def _encoded(arguments: Table) -> bytes:
    """Encode the arguments with integers of one width, so that clients in all languages mean the same binding."""
    return encode_table({name: Long(value) if is_integer(value) else value for name, value in arguments.items()})


def digest_of(arguments: bytes) -> str:
    """Return a short, stable digest of encoded arguments."""
    return base64.urlsafe_b64encode(zlib.crc32(arguments).to_bytes(4, "big")).decode().rstrip("=")


def _alternate(arguments: Table) -> str | None:
    """Return the alternate exchange that the arguments name (RabbitMQ docs: ae)."""
    alternate = arguments.get("alternate-exchange")
    return alternate if isinstance(alternate, str) else None


class Exchange(ABC):
    """An exchange and its bindings by key. `published_in` and `published_out` count messages since the start."""

    kind: ClassVar[str] = "exchange"
    type: ClassVar[str]

    def __init__(self, name: str, *, durable: bool = False, auto_delete: bool = False, internal: bool = False,
                 arguments: Table | None = None) -> None:  # fmt: skip
        self.name = name
        self.durable = durable
        self.auto_delete = auto_delete
        self.internal = internal
        self.arguments = arguments or {}
        self.alternate = _alternate(self.arguments)
        self.policy: Policy | None = None
        self.bindings: dict[BindingKey, Binding] = {}
        self.published_in = 0
        self.published_out = 0

    def apply_policy(self, policy: Policy | None, now: float) -> None:
        """Apply a policy, or none. The exchange's own arguments take precedence."""
        self.policy = policy
        self.alternate = _alternate(self.arguments) or _alternate(policy.definition if policy is not None else {})

    def bind(self, binding: Binding) -> bool:
        """Add a binding. Return False if it exists. Raises AmqpError 406 for arguments that the type refuses."""
        if binding.key in self.bindings:
            return False
        self.check(binding)
        self.bindings[binding.key] = binding
        self._add(binding)
        return True

    def unbind(self, key: BindingKey) -> bool:
        """Remove a binding. Return False if there is none."""
        binding = self.bindings.pop(key, None)
        if binding is None:
            return False
        self._remove(binding)
        return True

    def check(self, binding: Binding) -> None:  # noqa: B027 — most types take any arguments
        """Raise AmqpError 406 if the type refuses the binding's arguments."""

    @abstractmethod
    def route(self, message: Message, routing_key: str) -> Iterable[Target]:
        """Return the targets of a message with that key; a target may occur more than once."""

    @abstractmethod
    def _add(self, binding: Binding) -> None: ...

    @abstractmethod
    def _remove(self, binding: Binding) -> None: ...
