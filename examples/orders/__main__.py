"""RabbitMQ's patterns at work on orders, in one terminal or in several."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext

from pika.exceptions import AMQPChannelError, AMQPConnectionError

from examples.orders import services
from examples.orders.connection import connect
from examples.orders.demo import demo
from examples.orders.embedded import shared
from examples.orders.lessons import LESSONS, teach

EPILOG = """With RABBITMQ_URL (amqp://user:password@host:port/vhost), that broker is used. Without it, the first command
starts the project's own broker, commands in other terminals find it, and it ends after the last of them. Orders that no
worker has taken are kept in DATA_DIR/orders (default: var/orders) for the next time."""

NUMBERS = [*range(1, len(LESSONS) + 1), []]  # argparse looks for no numbers in it, too


def everything(url: str) -> None:
    """The demo, and all lessons."""
    demo(url)
    teach(url)


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "demo": (demo, "all services in this terminal, and ten orders"),
    "worker": (services.worker, "process orders (default ID: W1)"),
    "notification": (services.notification, "tell customers (fanout)"),
    "analytics": (services.analytics, "count what is sold (fanout)"),
    "logs": (services.logs, "print what happens to orders (topic)"),
    "produce": (services.produce, "publish ten orders (direct)"),
    "rpc-server": (services.rpc_server, "answer questions about the stock"),
    "rpc-client": (services.rpc_client, "ask three"),
    "lessons": (teach, f"what production needs besides: all of 1 to {len(LESSONS)}, or those of the numbers N"),
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.orders", description=__doc__, epilog=EPILOG)
    parser.set_defaults(run=everything, words=[])
    commands = parser.add_subparsers(metavar="COMMAND", help="without one: demo, then all lessons")
    for name, (run, what) in COMMANDS.items():
        command = commands.add_parser(name, help=what)
        command.set_defaults(run=run)
        if run is services.worker:
            command.add_argument("words", metavar="ID", nargs="?", type=lambda name: [name], default=["W1"])
        if run is teach:
            command.add_argument("words", metavar="N", nargs="*", type=int, choices=NUMBERS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    given = os.environ.get("RABBITMQ_URL", "")
    try:
        with nullcontext(given) if given else shared() as url:
            connect(url).close()  # a broker that is not there is told at once; one that goes away, waited for
            options.run(url, *options.words)
    except KeyboardInterrupt:
        print("\nStopped. What was not acknowledged is in its queue again.")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read this has seen enough
    except AMQPChannelError as error:
        sys.exit(f"The broker refuses: {error.args[-1]}. Delete what is in the way there, or use another vhost.")
    except (AMQPConnectionError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
