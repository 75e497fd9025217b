"""Policies: settings for all queues and exchanges whose names match (RabbitMQ docs: parameters § policies)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from amqp_wire.values import Table, Value, is_integer
from broker.core.arguments import QueueRules, field_of, read_value, takes
from broker.core.patterns import compiled, found

if TYPE_CHECKING:
    from broker.core.exchanges import Exchange
    from broker.core.queue import Queue
    from broker.core.vhost import Vhost

TARGETS = ("queues", "exchanges", "all")


class InvalidPolicy(ValueError):
    """A policy that RabbitMQ refuses; the message is in RabbitMQ's words."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy. `pattern` is searched in names; of several that match, the one with the highest `priority` applies.
    `apply_to` is one of TARGETS.
    """

    name: str
    pattern: str
    definition: Table
    priority: int = 0
    apply_to: str = "all"

    def matches(self, kind: str, name: str) -> bool:
        """Return whether it applies to the "queue" or "exchange" of that name."""
        return self.apply_to in ("all", f"{kind}s") and found(self.pattern, name)


class _Setting(NamedTuple):
    """A key of a definition and the queue `argument` that it stands for. If the queue has that argument too, the
    smaller value applies if `smaller`, otherwise the argument.
    """

    argument: str
    words: str
    smaller: bool = False


_SETTINGS = {
    "expires": _Setting("x-expires", "queue expiry", smaller=True),
    "message-ttl": _Setting("x-message-ttl", "message TTL", smaller=True),
    "max-length": _Setting("x-max-length", "maximum length", smaller=True),
    "max-length-bytes": _Setting("x-max-length-bytes", "maximum length in bytes", smaller=True),
    "delivery-limit": _Setting("x-delivery-limit", "delivery limit", smaller=True),
    "overflow": _Setting("x-overflow", "overflow value"),
    "dead-letter-exchange": _Setting("x-dead-letter-exchange", "dead letter exchange name"),
    "dead-letter-routing-key": _Setting("x-dead-letter-routing-key", "dead letter routing key"),
    "dead-letter-strategy": _Setting("x-dead-letter-strategy", "dead letter strategy"),
}
ALTERNATE = "alternate-exchange"
# Settings of clusters, streams and lazy queues are accepted and ignored.
_IGNORED = re.compile(
    "ha-|queue-(mode|version|master-locator|leader-locator)$|max-in-memory-|max-age$|stream-|initial-"
)


def check(policy: Policy) -> None:
    """Raise InvalidPolicy for a pattern, target or definition that RabbitMQ refuses."""
    try:
        compiled(policy.pattern)
    except ValueError as error:
        raise InvalidPolicy(f"pattern should be regular expression but is invalid: {error}") from error
    if policy.apply_to not in TARGETS:
        raise InvalidPolicy(f"apply-to '{policy.apply_to}' unrecognised; should be 'queues', 'exchanges' or 'all'")
    if not policy.definition:
        raise InvalidPolicy("no policy provided")
    unknown = {key: value for key, value in policy.definition.items()
               if key not in _SETTINGS and key != ALTERNATE and not _IGNORED.match(key)}  # fmt: skip
    if unknown:
        listed = ",".join(f"{{{_erlang(key)},{_erlang(value)}}}" for key, value in unknown.items())
        raise InvalidPolicy(f"[{listed}] are not recognised policy settings")
    for key, value in policy.definition.items():
        _check_setting(key, value)


def _check_setting(key: str, value: Value) -> None:
    if key == ALTERNATE and not isinstance(value, str):
        raise InvalidPolicy(f"{_erlang(value)} is not a valid alternate exchange name")
    setting = _SETTINGS.get(key)
    if setting is None:
        return
    try:
        if key == "delivery-limit" and (not is_integer(value) or value < 0):
            raise ValueError
        read_value(setting.argument, value)
    except ValueError as error:
        raise InvalidPolicy(f"{_erlang(value)} is not a valid {setting.words}") from error


def _erlang(value: Value) -> str:
    return f'<<"{value}">>' if isinstance(value, str) else str(value)


def effective(rules: QueueRules, arguments: Table, policy: Policy | None) -> QueueRules:
    """Return a queue's rules under a policy. Its own `rules` come from `arguments`."""
    changes: dict[str, Value] = {}
    for key, given in policy.definition.items() if policy is not None else ():
        setting = _SETTINGS.get(key)
        if setting is None or not takes(rules.type, setting.argument):
            continue
        field, value = field_of(setting.argument), read_value(setting.argument, given)
        own = getattr(rules, field)
        if setting.argument not in arguments or own is None:
            changes[field] = value
        elif setting.smaller:
            changes[field] = min(own, value)
    return replace(rules, **changes)


class Policies:
    """The policies of one vhost by name. A change applies to existing and future queues and exchanges."""

    def __init__(self, vhost: Vhost) -> None:
        self.by_name: dict[str, Policy] = {}
        self._vhost = vhost

    def set(self, policy: Policy, now: float) -> None:
        """Add or change a policy. Raises InvalidPolicy."""
        check(policy)
        self.by_name[policy.name] = policy
        self._vhost.journal.define("policy", f"{self._vhost.name}\0{policy.name}", {
            "vhost": self._vhost.name, "name": policy.name, "pattern": policy.pattern, "apply_to": policy.apply_to,
            "definition": policy.definition, "priority": policy.priority,
        })  # fmt: skip
        self._apply_all(now)

    def delete(self, name: str, now: float) -> bool:
        """Delete a policy. Return False if there is none."""
        if self.by_name.pop(name, None) is None:
            return False
        self._vhost.journal.undefine("policy", f"{self._vhost.name}\0{name}")
        self._apply_all(now)
        return True

    def of(self, kind: str, name: str) -> Policy | None:
        """Return the policy that applies to a queue or exchange."""
        matching = (policy for policy in self.by_name.values() if policy.matches(kind, name))
        return max(matching, key=lambda policy: policy.priority, default=None)

    def _apply_all(self, now: float) -> None:
        things: list[Queue | Exchange] = [*self._vhost.exchanges.values(), *self._vhost.queues.values()]
        for thing in things:
            policy = self.of(thing.kind, thing.name)
            if policy != thing.policy:
                thing.apply_policy(policy, now)
        self._vhost.dead_letters.publish_pending(now)
