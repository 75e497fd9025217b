"""The periods of a worker, in one place and passed down, so that a test can live through several of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Periods:
    """All in seconds."""

    turn: float = 1.0
    """between two looks at the registry's version, and between two heartbeats"""
    registry: float = 30.0
    """before the whole registry is read although its version has not changed"""
    facts: float = 30.0
    """before the broker is asked again what the queues are, when nothing has changed"""
    facts_of_unknown: float = 2.0
    """the same while a queue that has a consumer is not known"""
    facts_patience: float = 1.0
    """that a change waits for the management API to say what the queues are now"""
    restart: float = 1.0
    """before a consumer thread that crashed is restarted; doubled with each crash"""
    longest_restart: float = 60.0
    """at most, before it is restarted"""
    sound_after: float = 10.0
    """that a consumer thread runs before its crashes are forgotten"""
    snapshot: float = 0.5
    """between two reports of what the consumers do"""
    verify: float = 60.0
    """between two looks for the delay levels that the running consumers use"""
    declare_again: float = 5.0
    """before the broker is asked again for what it refused to declare"""
    confirm: float = 30.0
    """that the broker has to confirm a copy, while it is up and takes messages"""
    held: float = 600.0
    """that a message is held unsettled. RabbitMQ closes a channel that holds one for 30 minutes, so before that the
    message goes back (https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout)"""
    look_again: float = 5.0
    """at most, between two looks for a queue that is missing, or that another worker has"""
    recent_success: float = 60.0
    """that a success tells that a consumer is configured well; see delivery/refusals.py"""
    longest_rest: float = 5.0
    """at most, that a consumer takes no messages after a refusal"""
    longest_pause: float = 60.0
    """at most, that a target rests which asks for a pause without saying how long"""
    connection_age: float = 600.0
    """that a connection to a target is used again (whole seconds): a name that moves to another address is followed"""
    closing: float = 2.0
    """that the connections have to close"""
