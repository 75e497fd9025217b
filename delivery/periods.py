"""The periods of a worker, passed in as parameters so that a test can live through several of each."""

from __future__ import annotations

from dataclasses import dataclass

from delivery.tokens import TokenPeriods


@dataclass(frozen=True, slots=True)
class Periods:
    """All values are in seconds."""

    turn: float = 1.0
    """interval between two checks of the registry's version, and between two heartbeats"""
    registry: float = 30.0
    """interval for reading the whole registry if its version has not changed"""
    facts: float = 30.0
    """interval for reading the properties of the queues if nothing has changed"""
    facts_of_unknown: float = 2.0
    """the same interval while the queue of a consumer is unknown"""
    facts_patience: float = 1.0
    """maximum time that a change waits for the management API to describe the queues"""
    restart: float = 1.0
    """pause before a consumer thread that crashed restarts; doubled with each crash"""
    longest_restart: float = 60.0
    """maximum of that pause"""
    sound_after: float = 10.0
    """time that a consumer thread must run before its earlier crashes no longer count"""
    snapshot: float = 0.5
    """interval between two reports on the consumers"""
    verify: float = 60.0
    """interval between two checks that the delay levels of the running consumers exist"""
    declare_again: float = 5.0
    """pause before a refused declaration is repeated; also the time for the broker to answer one"""
    doubt_again: float = 1.0
    """minimum interval between two checks of all exchanges and queues because one is missing"""
    settling: float = 5.0
    """time between the declaration of a new queue and its use; see Standing"""
    returned: float = 5.0
    """time without any confirm for a queue after which due retries wait elsewhere, while the broker is up and accepts
    messages; also the time that a retry waits for others of its queue"""
    return_again: float = 30.0
    """pause before a retry that its queue refused is tried again"""
    requeue: float = 1.0
    """pause before a due message that cannot be stored for that pause goes to the end of `workerrmq.due`"""
    republish: float = 5.0
    """pause before an exchange that refused a copy gets the next one; doubled with each refusal. See
    delivery/exchange_pauses.py"""
    longest_republish: float = 300.0
    """maximum of that pause"""
    clocks_apart: float = 2.0
    """time by which a scheduled message may be early because the clocks of two hosts differ"""
    confirm: float = 30.0
    """time for the broker to confirm a copy, while it is up and accepts messages"""
    held: float = 600.0
    """maximum time that a message is held unsettled. RabbitMQ closes a channel that holds one for 30 minutes, so the
    message is given back before (https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout)"""
    look_again: float = 5.0
    """maximum interval between two checks for a queue that is missing, or that another worker has"""
    recent_success: float = 60.0
    """time for which a success shows that the consumer's configuration is right; see delivery/refusals.py"""
    longest_rest: float = 5.0
    """maximum time that a consumer takes no messages after a refusal"""
    longest_pause: float = 60.0
    """maximum rest of a target that asks for a pause without a duration"""
    connection_age: float = 600.0
    """maximum age of a reused connection to a target (whole seconds), so that changes in DNS take effect"""
    tokens: TokenPeriods = TokenPeriods()  # noqa: RUF009 - immutable
    """periods of OAuth 2 tokens"""
    stalled: float = 60.0
    """time without progress after which a thread counts as hung; longer than several timeouts of MongoDB"""
    closing: float = 2.0
    """time for the connections to close"""
