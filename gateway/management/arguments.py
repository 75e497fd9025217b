"""Translates RabbitMQ's refusals of arguments, with Erlang terms, to the client's field and what to change in it."""

from __future__ import annotations

import re

from domain import exchange, queue

_FIELDS = {
    **queue.FIELDS,
    **exchange.FIELDS,
    "auto_delete": "autoDelete",
    "auto-delete": "autoDelete",
    "non-durable": "durable",
}

_ARG = r"invalid (?:arg|property) '(?P<arg>[^']+)' for queue "
_RULES = [
    (
        _ARG + r".* of queue type rabbit_(?P<kind>\w+)_queue$",
        "is not supported by {kind} queues; leave it out, or change type",
    ),
    (r"invalid property '(?P<arg>non-durable)'", "must be true for a queue of this type; leave it out, or change type"),
    (r"invalid property '(?P<arg>[^']+)'", "is not supported by queues of this type; leave it out, or change type"),
    (_ARG + r".*: \{value_negative,", "must not be negative"),
    (_ARG + r".*: \{value_zero,", "must not be 0"),
    (_ARG + r".*: \{(?:max_)?value_(?:too_large|exceeded|larger_than_max),", "is too large"),
    (_ARG + r".*: \{unacceptable_type,(?P<kind>\w+)", "must not be of the type {kind}"),
    (_ARG + r".*expected integer, got ", "must be a whole number"),
    (_ARG + r".*: invalid_overflow", "must be 'drop-head', 'reject-publish' or 'reject-publish-dlx'"),
    (
        _ARG + r".*routing_key_but_no_dlx_defined",
        "needs deadLetterExchange; give that, too ('' is the default exchange)",
    ),
    (r"invalid type '\w+' for arg '(?P<arg>[^']+)' in ", "must be a string"),
    (r"unknown exchange type '(?P<kind>[^']+)'", "{kind!r} is not known to this RabbitMQ; it may need a plugin"),
]
_COMPILED = [(re.compile(pattern, re.DOTALL), sentence) for pattern, sentence in _RULES]
_LONGEST = 300  # characters


def explained(reason: str) -> tuple[str, str] | None:
    """Return the field at fault and what to change in it; None if the reason is not about an argument."""
    for pattern, sentence in _COMPILED:
        if found := pattern.match(reason):
            groups = found.groupdict()
            arg = groups.get("arg")
            said = sentence.format(**groups)
            if arg is None:
                return "type", said
            return (_FIELDS[arg], said) if arg in _FIELDS else ("arguments", f"{arg!r} {said}")
    return None


def field_of(argument: str) -> str:
    """Return the client's field for one of RabbitMQ's arguments and properties, or its own name if no field has it."""
    return _FIELDS.get(argument, argument)


def in_one_line(reason: str) -> str:
    """Return RabbitMQ's reason in one line, without Erlang's brackets around text and without a stack trace."""
    if reason.startswith("Request to node"):
        return "it failed, probably because of an invalid argument; see RabbitMQ's log"
    line = " ".join(re.sub(r'<<"(.*?)">>', r"'\1'", reason).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
