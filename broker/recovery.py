"""Rebuilds a broker from its journal."""

from __future__ import annotations

import sqlite3

from amqp_wire.table import decode_table
from amqp_wire.values import Table
from broker.core.broker import Broker
from broker.core.message import Entry, Message
from broker.core.policies import Policy
from broker.core.queue import Queue
from broker.journal_file import JournalFile, JournalRefused
from broker.storage import Storage

# In order of dependency: a binding needs its queue and exchange, a permission its user.
_ORDER = ("vhost", "policy", "user", "permission", "topic_permission", "exchange", "queue", "binding")


def recover(storage: Storage, now: float) -> Broker:
    """Return the broker with all durable definitions and messages. Bodies are read from disk when they are needed.

    Raises JournalRefused for a journal that contradicts itself.
    """
    broker = Broker(storage)
    storage.replaying = True
    try:
        queues = _define(broker, storage.file, now)
        _fill(queues, storage.file, now)
    except (KeyError, ValueError, TypeError, sqlite3.Error) as error:
        raise JournalRefused(f"{storage.file.path} is damaged: {error!r}.") from error
    finally:
        storage.replaying = False
    return broker


def _define(broker: Broker, file: JournalFile, now: float) -> dict[int, Queue]:
    found: dict[str, list[Table]] = {kind: [] for kind in _ORDER}
    for kind, value in file.definitions():
        found[kind].append(decode_table(value)[0])
    for vhost in found["vhost"]:
        broker.add_vhost(vhost["name"])
    for user in found["user"]:
        broker.add_user_hash(user["name"], user["password_hash"], tuple(user["tags"]))
    for grant in found["permission"]:
        broker.permit(**grant)
    for grant in found["topic_permission"]:
        broker.permit_topic(**grant)
    for policy in found["policy"]:
        broker.vhosts[policy.pop("vhost")].policies.set(Policy(**policy), now)
    for exchange in found["exchange"]:
        broker.vhosts[exchange["vhost"]].declare_exchange(
            exchange["name"], exchange["type"], durable=True, auto_delete=exchange["auto_delete"],
            internal=exchange["internal"], arguments=exchange["arguments"])  # fmt: skip
    queues = {}
    for queue in found["queue"]:
        queues[queue["id"]] = broker.vhosts[queue["vhost"]].restore_queue(
            queue["name"], queue["auto_delete"], queue["arguments"], queue["id"], now)  # fmt: skip
    broker.reserve_queue_ids(max(queues, default=0))
    for binding in found["binding"]:
        broker.vhosts[binding["vhost"]].bind(binding["source"], binding["kind"], binding["destination"],
                                             binding["routing_key"], binding["arguments"])  # fmt: skip
    return queues


def _fill(queues: dict[int, Queue], file: JournalFile, now: float) -> None:
    messages: dict[int, Message] = {}
    for key, exchange, routing_key, properties, size in file.contents():
        message = Message(_text(exchange), _text(routing_key), properties, b"")
        message.hide_blind_copies()
        message.body, message.size, message.content_id, message.pageable = None, size, key, True
        messages[key] = message
    for key, queue_id, position, content, expires_at, redelivered, deliveries in file.entries():
        message = messages[content]
        message.copies += 1
        entry = Entry(message, position, expires_at)
        entry.journal_id = key
        entry.deliveries = deliveries
        # After a crash any message may have been delivered before.
        entry.redelivered = bool(redelivered) or not file.was_clean
        queues[queue_id].restore(entry)
    for queue in queues.values():
        queue.expiry.watch(now)  # messages that expired meanwhile are dropped after the start


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
