"""The functions that handle a channel's methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pamqp import base, commands

from broker.protocol import access
from broker.session import basic_methods as basic
from broker.session import topology_methods as topology
from broker.session.channel import ChannelSession

METHODS: dict[type[base.Frame], Callable[[ChannelSession, Any, float], None]] = {
    commands.Exchange.Declare: topology.exchange_declare,
    commands.Exchange.Delete: topology.exchange_delete,
    commands.Exchange.Bind: topology.exchange_bind,
    commands.Exchange.Unbind: topology.exchange_unbind,
    commands.Queue.Declare: topology.queue_declare,
    commands.Queue.Delete: topology.queue_delete,
    commands.Queue.Purge: topology.queue_purge,
    commands.Queue.Bind: topology.queue_bind,
    commands.Queue.Unbind: topology.queue_unbind,
    commands.Basic.Qos: basic.qos,
    commands.Basic.Consume: basic.consume,
    commands.Basic.Cancel: basic.cancel,
    commands.Basic.Get: basic.get,
    commands.Basic.Ack: basic.ack,
    commands.Basic.Nack: basic.nack,
    commands.Basic.Reject: basic.reject,
    commands.Basic.Recover: basic.recover,
    commands.Basic.RecoverAsync: basic.recover,
    commands.Confirm.Select: basic.confirm_select,
    commands.Tx.Select: basic.tx_select,
    commands.Tx.Commit: basic.tx_commit,
    commands.Tx.Rollback: basic.tx_rollback,
    commands.Channel.Flow: basic.flow,
    access.Request: basic.grant,
}
