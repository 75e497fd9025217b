"""Reasons of failed and lost connections to RabbitMQ, for operators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout
from pika.exceptions import IncompatibleProtocolError, ProbableAuthenticationError

from gateway.tls import tls_problem


def of_all_nodes(reasons: Mapping[str, str], nodes: int) -> str:
    """Return the reasons by `host:port` as one phrase; only the reason if the cluster has one node."""
    if nodes == 1:
        return next(iter(reasons.values()), "")
    return "; ".join(f"{node}: {reason}" for node, reason in reasons.items())


def reason_of(error: BaseException) -> str:
    """Return why a connection failed or was lost, as a phrase. pika nests the reasons of a failed connect, and the
    innermost is the most specific. Its text contains no credentials."""
    inner: Any = error
    while True:
        nested = getattr(inner, "exceptions", None) or getattr(inner, "exception", None) or inner.args
        nested = nested[-1] if isinstance(nested, tuple) and nested else nested
        if not isinstance(nested, BaseException):
            break
        inner = nested
    text = str(inner)
    if problem := tls_problem(text, "RABBITMQ_CA_FILE"):
        return problem
    for kinds, word, sentence in _SENTENCES:
        if isinstance(inner, kinds) and word in text:
            return sentence
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    if getattr(inner, "reply_text", None):
        return f"{inner.reply_code} {inner.reply_text}"
    return str(inner.args[0]) if inner.args else type(inner).__name__


_SENTENCES: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    (
        (IncompatibleProtocolError,),
        "",
        "the server closed the connection: it does not speak AMQP 0-9-1, expects amqps://, or requires a client "
        "certificate or refuses ours",
    ),
    ((TimeoutError, AMQPConnectorStackTimeout), "", "no answer in time"),
    (
        (ProbableAuthenticationError,),
        "ACCESS_REFUSED",
        "RabbitMQ refuses the login: wrong user or password in RABBITMQ_URL, or a user such as guest that may only "
        "log in from RabbitMQ's own host",
    ),
)
"""Sentences by type of error and a word in its text."""
