"""A client's channel: consuming, settling, confirms, transactions, direct replies, permissions."""

from __future__ import annotations

import pytest

from broker.core import direct_reply
from broker.core.broker import Broker
from broker.core.users import Permission
from broker.errors import AmqpError
from tests.broker.unit.world import Client, World


def refused(code: int, text: str = "") -> pytest.RaisesExc[AmqpError]:
    return pytest.RaisesExc(AmqpError, check=lambda error: error.code == code and text in error.text)


def test_consumers_are_served_round_robin(world: World, client: Client) -> None:
    world.queue("q")
    other = world.client()
    client.consume("q")
    other.consume("q")
    client.publish("q", "1", "2", "3", "4")
    assert (client.sink.bodies(), other.sink.bodies()) == (["1", "3"], ["2", "4"])


def test_a_consumer_with_a_full_prefetch_is_skipped(world: World, client: Client) -> None:
    world.queue("q")
    client.channel.qos(1, False, world.now)
    client.consume("q")
    other = world.client()
    other.consume("q")
    client.publish("q", "1", "2", "3")
    assert (client.sink.bodies(), other.sink.bodies()) == (["1"], ["2", "3"])
    client.ack(1)
    client.publish("q", "4", "5")
    assert sorted(client.sink.bodies() + other.sink.bodies()) == ["1", "2", "3", "4", "5"]
    assert len(client.sink.deliveries) == 2


def test_a_shared_prefetch_counts_all_consumers_of_the_channel(world: World, client: Client) -> None:
    for name in ("a", "b"):
        world.queue(name)
    client.channel.qos(2, True, world.now)
    client.consume("a", "ta")
    client.consume("b", "tb")
    client.publish("a", "1", "2")
    client.publish("b", "3")
    assert client.sink.bodies() == ["1", "2"]
    client.ack(2, multiple=True)
    assert client.sink.bodies() == ["1", "2", "3"]


def test_the_higher_priority_is_served_until_it_is_full(world: World, client: Client) -> None:
    world.queue("q")
    client.consume("q", "low")
    eager = world.client()
    eager.channel.qos(2, False, world.now)
    eager.consume("q", "high", arguments={"x-priority": 10})
    client.publish("q", "1", "2", "3")
    assert (eager.sink.bodies(), client.sink.bodies()) == (["1", "2"], ["3"])


def test_a_single_active_consumer_is_followed_by_the_next(world: World, client: Client) -> None:
    world.queue("q", x_single_active_consumer=True)
    other = world.client()
    client.consume("q")
    other.consume("q")
    client.publish("q", "1", "2")
    assert other.sink.bodies() == []
    client.close()
    assert other.sink.bodies() == ["1", "2"]
    assert all(entry.redelivered for _, _, entry in other.sink.deliveries)


def test_an_exclusive_consumer_excludes_others(world: World, client: Client) -> None:
    world.queue("q")
    client.consume("q", exclusive=True)
    with refused(403, "in exclusive use"):
        world.client().consume("q")


def test_a_consumer_tag_in_use_is_refused(world: World, client: Client) -> None:
    world.queue("q")
    client.consume("q", "t")
    with refused(530, "attempt to reuse consumer tag 't'"):
        client.consume("q", "t")


def test_a_sink_that_is_not_writable_gets_no_deliveries(world: World, client: Client) -> None:
    world.queue("q")
    client.sink.writable = False
    client.consume("q", no_ack=True)
    client.publish("q", "1", "2")
    assert client.sink.bodies() == []
    client.sink.writable = True
    client.channel.wake(world.now)
    assert client.sink.bodies() == ["1", "2"]


def test_cancelling_keeps_unacked_messages(world: World, client: Client) -> None:
    queue = world.queue("q")
    client.consume("q")
    client.publish("q", "1")
    client.channel.cancel("c", world.now)
    client.publish("q", "2")
    assert (client.sink.bodies(), queue.unacked_count) == (["1"], 1)
    client.ack(1)
    assert queue.unacked_count == 0


def test_a_closed_channel_requeues_all_in_order(world: World, client: Client) -> None:
    world.queue("q")
    client.consume("q")
    client.publish("q", "1", "2", "3")
    client.close()
    assert world.client().drain("q") == ["1", "2", "3"]


def test_an_auto_delete_queue_is_deleted_with_its_last_consumer(world: World, client: Client) -> None:
    world.queue("q", auto_delete=True)
    client.consume("q")
    client.channel.cancel("c", world.now)
    assert "q" not in world.vhost.queues


def test_consumers_of_a_deleted_queue_are_cancelled(world: World, client: Client) -> None:
    world.queue("q")
    client.consume("q", "t")
    client.publish("q", "1")
    world.vhost.delete_queue("q", world.now)
    assert client.sink.cancels == ["t"]
    client.ack(1)  # no error, though the queue was deleted


@pytest.mark.parametrize(("tag", "multiple"), [(7, False), (0, False), (7, True)])
def test_an_unknown_delivery_tag_is_refused(client: Client, tag: int, multiple: bool) -> None:
    with refused(406, f"unknown delivery tag {tag}"):
        client.ack(tag, multiple)


def test_an_ack_of_all_may_settle_nothing(client: Client) -> None:
    client.ack(0, multiple=True)


def test_an_unroutable_mandatory_message_is_returned(client: Client) -> None:
    client.channel.confirm_select()
    client.publish("nowhere", "x", mandatory=True)
    assert [error.code for _, error in client.sink.returns] == [312]
    client.channel.confirms.flush()  # type: ignore[union-attr]
    assert client.sink.confirms == [(1, False, True)]


def test_confirms_are_combined(world: World, client: Client) -> None:
    world.queue("q")
    client.channel.confirm_select()
    client.publish("q", *"abcde")
    client.channel.confirms.flush()  # type: ignore[union-attr]
    assert client.sink.confirms == [(5, True, True)]
    assert client.channel.unconfirmed_count == 0


def test_a_transaction_has_no_effect_before_its_commit(world: World, client: Client) -> None:
    queue = world.queue("q")
    client.publish("q", "old")
    client.channel.tx_select()
    client.get("q")
    client.ack(1)
    client.publish("q", "new")
    assert (queue.ready_count, queue.unacked_count) == (0, 1)
    client.channel.tx_commit(world.now)
    assert (queue.ready_count, queue.unacked_count) == (1, 0)


def test_a_rollback_undoes_publishes_and_acks(world: World, client: Client) -> None:
    queue = world.queue("q")
    client.publish("q", "old")
    client.channel.tx_select()
    client.get("q")
    client.ack(1)
    client.publish("q", "new")
    client.channel.tx_rollback()
    client.channel.tx_commit(world.now)
    assert (queue.ready_count, queue.unacked_count) == (0, 1)
    client.ack(1)
    client.channel.tx_commit(world.now)
    assert queue.unacked_count == 0


def test_transactions_and_confirms_exclude_each_other(world: World, client: Client) -> None:
    client.channel.confirm_select()
    with refused(406, "cannot switch from confirm to tx mode"):
        client.channel.tx_select()
    with refused(406, "channel is not transactional"):
        client.channel.tx_commit(world.now)
    other = world.client()
    other.channel.tx_select()
    with refused(406, "cannot switch from tx to confirm mode"):
        other.channel.confirm_select()


def test_a_reply_goes_directly_to_the_requester(world: World, client: Client) -> None:
    world.queue("service")
    direct_reply.open_reply(client.channel, "replies", no_ack=True)
    client.publish("service", "question", reply_to=direct_reply.QUEUE)
    service = world.client()
    question = service.get("service", no_ack=True)
    assert question is not None
    reply_to = question.message.decoded_properties()["reply_to"]
    assert reply_to.startswith(direct_reply.PREFIX)
    service.publish(reply_to, "answer")
    assert client.sink.bodies() == ["answer"]
    client.close()
    service.publish(reply_to, "too late", mandatory=True)
    assert len(service.sink.returns) == 1


def test_a_direct_reply_to_request_requires_a_reply_consumer(world: World, client: Client) -> None:
    world.queue("q")
    with refused(406, "fast reply consumer does not exist"):
        client.publish("q", "x", reply_to=direct_reply.QUEUE)


@pytest.mark.parametrize(("expiration", "problem"), [
    ("abc", "no_integer"), ("-1", "{value_negative,-1}"), ("1.5", '{leftover_string,".5"}'),
    ("315360000001", "{value_too_large,315360000001}"),
])  # fmt: skip
def test_an_invalid_expiration_is_refused(client: Client, expiration: str, problem: str) -> None:
    with refused(406, problem):
        client.publish("q", "x", expiration=expiration)


def test_another_users_user_id_is_refused(world: World, client: Client) -> None:
    with refused(406, "user_id property set to 'eve'"):
        client.publish("q", "x", user_id="eve")
    client.publish("q", "x", user_id="guest")
    world.broker.users["guest"].tags = ("impersonator",)
    client.publish("q", "x", user_id="eve")


def test_publishing_requires_write_permission(world: World) -> None:
    world.broker.permit("guest", "/", configure="", write="^own-", read=".*")
    world.vhost.declare_exchange("own-x", "fanout")
    client = world.client()
    client.publish("k", "x", exchange="own-x")
    with refused(403, "refused for user 'guest'"):
        client.publish("k", "x", exchange="amq.fanout")
    with refused(403):
        client.publish("q", "x")


def test_passwords_are_kept_salted_and_compared() -> None:
    broker = Broker()
    one, two = broker.add_user("one", "secret"), broker.add_user("two", "secret")
    assert one.password_hash != two.password_hash
    assert broker.authenticate("one", "secret") is one
    assert broker.authenticate("one", "Secret") is None
    assert broker.authenticate("nobody", "secret") is None


def test_a_password_hash_of_rabbitmq_is_accepted() -> None:
    # the example of RabbitMQ docs: passwords
    user = Broker().add_user_hash("test", "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")
    assert user.has_password("test12")


def test_a_user_without_a_hash_cannot_log_in() -> None:
    assert not Broker().add_user_hash("nobody", "").has_password("")


def test_a_pattern_that_does_not_compile_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a regular expression"):
        Permission("(", ".*", ".*")


def test_deleting_a_vhost_deletes_everything_in_it(world: World) -> None:
    world.queue("q")
    world.vhost.declare_exchange("x", "fanout")
    assert world.broker.delete_vhost("/", world.now)
    assert world.broker.vhosts == {}
    assert world.broker.users["guest"].permissions == {}
