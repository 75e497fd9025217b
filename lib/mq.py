"""Producer and Consumer on the message queue that config.yml names: RabbitMQ, Redis, SQS or memory, by kombu.

    python -m lib.mq --producer --exchange CTH --id producer1
    python -m lib.mq --consumer --exchange CTH --id queue1

Consumers with the same id share one queue, round-robin; with different ids each gets every message that is produced
once it is there. A message is acknowledged after process(): it may come twice, it is not lost. Both wait for a message
queue that goes away in the middle, and go on when it is back.
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
    """What keeps the message queue from being used, and what to change."""


def _settings() -> tuple[str, str, dict[str, Any]]:
    """What ./config.yml chooses: its name, its URL, and kombu's transport options. Raises MQError."""
    try:
        config = yaml.safe_load(CONFIG.read_text())
        name = config["use"]
        return name, config[name]["url"].strip(), config[name].get("options") or {}
    except OSError as error:
        raise MQError(f"Cannot read {CONFIG.absolute()}: {error.strerror}. Start this where config.yml is.") from error
    except (yaml.YAMLError, UnicodeError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise MQError(f"config.yml needs `use: NAME`, and a `url:` under that NAME; it fails at {reason}.") from error


class _Client:
    """What Producer and Consumer share: a connection that comes back, and the exchange. Used by one thread."""

    def __init__(self, id: str, exchange: str) -> None:  # noqa: A002 - as on the command line
        """Raises MQError."""
        self.id = id
        name, url, options = _settings()
        try:
            self.connection = kombu.Connection(url, transport_options={"confirm_publish": True, **options})
            self.connection.connect()
            # kombu's fanout on Redis is PUB/SUB, which shares no queue and keeps nothing; a direct exchange does both.
            kind = "direct" if self.connection.transport.driver_type == "redis" else "fanout"
            self._exchange = kombu.Exchange(exchange, kind)
            self._declare()
        except ImportError as error:
            raise MQError(f'config.yml chooses {name}: `pip install "kombu[{name}]"` ({error}).') from error
        except Exception as error:  # each message queue has its own
            reason, hint = str(error).rstrip("."), f"Start {name}, or change config.yml or the exchange."
            raise MQError(f"Cannot use exchange {exchange} on {name}: {reason}. {hint}") from error

    def _declare(self) -> None:
        self._exchange(self.connection.default_channel).declare()

    def _surviving(self, work: Callable[[], None]) -> None:
        """Do `work` until it comes back, beginning anew whenever the message queue has gone away and is back."""
        while True:
            try:
                return work()
            except (*self.connection.connection_errors, *self.connection.channel_errors) as error:
                print(f"{self.id}: lost {self.connection.as_uri()}: {error}", flush=True)
                time.sleep(1)  # what is refused again and again is not asked for again and again
                self.connection.collect()
                self.connection.ensure_connection(interval_start=1, interval_step=1, interval_max=5)


class Producer(_Client):
    """Sends dicts: `Producer(id="myProducerID", exchange="CTH").produce({"msg": "some values"})`."""

    def produce(self, message: dict[str, Any]) -> None:
        """Come back when the message queue has the message, however long that takes."""
        self._surviving(lambda: self.connection.Producer(exchange=self._exchange).publish(dict(message)))


class Consumer(_Client):
    """Takes messages off the queue of its id. Inherit it, and override process()."""

    _pause = 0  # seconds, growing while one message after the other cannot be processed

    def _declare(self) -> None:
        self._queue = kombu.Queue(f"{self._exchange.name}.{self.id}", self._exchange)
        self._queue(self.connection.default_channel).declare()

    def process(self, message: dict[str, Any]) -> None:
        """Called with each message. After an exception it is called with it again: later, behind the others."""
        print(f"{self.id}: received {message}", flush=True)

    def consume(self) -> None:
        """Hand one message after the other to process(), for ever."""

        def drain() -> None:
            with self.connection.Consumer(self._queue, on_message=self._take, prefetch_count=1):
                while True:
                    self.connection.drain_events()

        self._surviving(drain)

    def _take(self, message: kombu.Message) -> None:
        try:
            self.process(json.loads(message.body))
            self._pause = 0
        except Exception as error:  # noqa: BLE001 - process() is anybody's, and so is what comes
            self._pause = min(2 * self._pause or 1, 30)
            print(f"{self.id}: cannot process {message.body!r}: {error!r}; again in {self._pause} s", flush=True)
            time.sleep(self._pause)
            again = {name: getattr(message, name) for name in ("headers", "content_type", "content_encoding")}
            kombu.Producer(message.channel).publish(message.body, routing_key=self._queue.name, **again)
        message.ack()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m lib.mq", description="config.yml says which message queue.")
    role = parser.add_mutually_exclusive_group(required=True)
    role.add_argument("--producer", action="store_true", help="send a numbered message every second")
    role.add_argument("--consumer", action="store_true", help="print what comes; those with the same id share a queue")
    parser.add_argument("--exchange", required=True, help="where producers and consumers meet")
    parser.add_argument("--id", required=True, help="the producer's name, or the consumer's queue")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the shell of a script has it ignored
    try:
        client = (Producer if options.producer else Consumer)(options.id, options.exchange)
        with client.connection:  # at its end, what is not acknowledged goes back to its queue
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
