"""The broker itself: vhosts, exchanges, queues, messages, users. No sockets, no threads, no clock.

Every operation that depends on time takes `now`, seconds since the epoch. Refusals raise `broker.errors.AmqpError`.

The public face (what sessions, the management API and in-process emulators use):

    broker = Broker(journal=NullJournal())        users, vhosts, permissions; `tick(now)` runs what is due
      .vhosts: dict[str, Vhost]      .users: dict[str, User]
      .add_vhost(name) .delete_vhost(name, now)
      .add_user(name, password, tags) .delete_user(name)
      .permit(user, vhost, configure, write, read) .forbid(user, vhost)
      .authenticate(name, password) -> User | None
      .next_deadline() -> float | None    .tick(now)

    vhost = broker.vhosts["/"]
      .name .exchanges: dict[str, Exchange] .queues: dict[str, Queue]
      .declare_exchange(name, type, durable=, auto_delete=, internal=, arguments=) -> Exchange
      .delete_exchange(name, if_unused=False)
      .declare_queue(name, now, durable=, auto_delete=, exclusive_owner=None, arguments=) -> Queue
      .delete_queue(name, now, if_unused=False, if_empty=False) -> int    (messages that were ready)
      .bind(source, destination, kind, routing_key, arguments)  .unbind(same)     kind: "queue" or "exchange"
      .bindings() -> Iterator[Binding]                   (the default exchange's implicit ones included)
      .publish(message, now) -> Routing                  (.queues: how many took it, .refused: how many refused)

    queue.name .durable .auto_delete .arguments .type ("classic" | "quorum") .owner (exclusive)
      .ready_count .unacked_count .ready_bytes .unacked_bytes .consumers: list[Consumer] .counters: Counters
      .purge(now) -> int     .idle_since

    exchange.name .type .durable .auto_delete .internal .arguments .counters (published_in, published_out)

    channel = Channel(vhost, user, sink)    what one client does on one channel; tells `sink` what happens
      .publish(message, mandatory, now) .get(queue, no_ack, now) .consume(...) .cancel(tag, now)
      .ack(tag, multiple, now) .nack(tag, multiple, requeue, now) .qos(...) .close(now) …
      .consumers: dict[str, Consumer]   .unacked   .prefetch_count   .global_prefetch   .confirming   .transactional

    message = Message.create(exchange, routing_key, body, properties)       message.properties -> dict
"""
