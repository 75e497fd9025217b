"""Producer and Consumer on the message queue that config.yml selects: RabbitMQ, Redis, SQS or memory, with kombu.

    python -m lib.mq --producer --exchange CTH --id producer1
    python -m lib.mq --consumer --exchange CTH --id queue1

Consumers with the same id share one queue, round-robin; with different ids each gets every message that is produced
after its start. A message is acknowledged after process(): it may be delivered twice but is not lost. After a lost
connection both reconnect and continue.
"""

import argparse
import itertools
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kombu
import yaml

CONFIG = Path("config.yml")


class MQError(Exception):
    """The message queue cannot be used; the message says why and what to change."""


def _settings() -> tuple[str, str, dict[str, Any]]:
    """Return the name, URL and kombu transport options that ./config.yml selects. Raises MQError."""
    try:
        config = yaml.safe_load(CONFIG.read_text())
        name = config["use"]
        return name, config[name]["url"].strip(), config[name].get("options") or {}
    except OSError as error:
        raise MQError(f"Cannot read {CONFIG.absolute()}: {error.strerror}. Start where config.yml is.") from error
    except (yaml.YAMLError, UnicodeError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise MQError(f"config.yml requires `use: NAME` and a `url:` under that NAME: {reason}.") from error


class _Client:
    """The base of Producer and Consumer: a reconnecting connection, and the exchange. Use it from one thread."""

    def __init__(self, id: str, exchange: str) -> None:  # noqa: A002 - as on the command line
        """Connect. Raises MQError."""
        self.id = id
        name, url, options = _settings()
        try:
            self.connection = kombu.Connection(url, transport_options={"confirm_publish": True, **options})
            self.connection.connect()
            # On Redis kombu's fanout is PUB/SUB, which neither shares queues nor stores messages; direct does both.
            kind = "direct" if self.connection.transport.driver_type == "redis" else "fanout"
            self._exchange = kombu.Exchange(exchange, kind)
            self._declare()
        except ImportError as error:
            raise MQError(f'config.yml chooses {name}: `pip install "kombu[{name}]"` ({error}).') from error
        except Exception as error:  # each message queue raises different errors
            reason, hint = str(error).rstrip("."), f"Start {name}, or change config.yml or the exchange."
            raise MQError(f"Cannot use exchange {exchange} on {name}: {reason}. {hint}") from error

    def _declare(self) -> None:
        self._exchange(self.connection.default_channel).declare()

    def _reconnecting(self, work: Callable[[], None]) -> None:
        """Run `work` until it returns; after a lost connection, reconnect and run it again."""
        while True:
            try:
                return work()
            except (*self.connection.connection_errors, *self.connection.channel_errors) as error:
                print(f"{self.id}: lost {self.connection.as_uri()}: {error}", flush=True)
                time.sleep(1)  # limits the rate if the queue refuses again and again
                self.connection.collect()
                self.connection.ensure_connection(interval_start=1, interval_step=1, interval_max=5)


class Producer(_Client):
    """Sends dicts: `Producer(id="myProducerID", exchange="CTH").produce({"msg": "some values"})`."""

    def produce(self, message: dict[str, Any]) -> None:
        """Send a message and wait until the message queue has it, however long that takes."""
        self._reconnecting(lambda: self.connection.Producer(exchange=self._exchange).publish(dict(message)))


class Consumer(_Client):
    """Consumes the queue of its id. Inherit from it and override process()."""

    _pause = 0  # seconds, doubled for each further message that fails

    def _declare(self) -> None:
        self._queue = kombu.Queue(f"{self._exchange.name}.{self.id}", self._exchange)
        self._queue(self.connection.default_channel).declare()

    def process(self, message: dict[str, Any]) -> None:
        """Process a message. After an exception, it is sent to the end of the queue and processed again."""
        print(f"{self.id}: received {message}", flush=True)

    def consume(self) -> None:
        """Pass one message after the other to process(), for ever."""

        def drain() -> None:
            with self.connection.Consumer(self._queue, on_message=self._take, prefetch_count=1):
                while True:
                    self.connection.drain_events()

        self._reconnecting(drain)

    def _take(self, message: kombu.Message) -> None:
        try:
            self.process(json.loads(message.body))
            self._pause = 0
        except Exception as error:  # noqa: BLE001 - process() and the message are the user's
            self._pause = min(2 * self._pause or 1, 30)
            print(f"{self.id}: cannot process {message.body!r}: {error!r}; next attempt in {self._pause} s", flush=True)
            time.sleep(self._pause)
            again = {name: getattr(message, name) for name in ("headers", "content_type", "content_encoding")}
            kombu.Producer(message.channel).publish(message.body, routing_key=self._queue.name, **again)
        message.ack()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m lib.mq", description="Producer and consumer; see config.yml.")
    role = parser.add_mutually_exclusive_group(required=True)
    role.add_argument("--producer", action="store_true", help="send a numbered message every second")
    role.add_argument("--consumer", action="store_true", help="print each message; equal ids share a queue")
    parser.add_argument("--exchange", required=True, help="the exchange of producers and consumers")
    parser.add_argument("--id", required=True, help="the producer's name, or the consumer's queue")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's shell may ignore it
    try:
        client = (Producer if options.producer else Consumer)(options.id, options.exchange)
        with client.connection:  # closing requeues unacknowledged messages
            if isinstance(client, Consumer):
                return client.consume()
            for number in itertools.count(1):
                client.produce({"msg": f"message {number} of {client.id}"})
                print(f"{client.id}: sent message {number}", flush=True)
                time.sleep(1)
    except MQError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("Stopped.")


if __name__ == "__main__":
    main()
