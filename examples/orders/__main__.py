"""RabbitMQ's patterns for orders, in one terminal or in several."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext

from pika.exceptions import AMQPChannelError, AMQPConnectionError

from examples.orders.connection import connect
from examples.orders.demo import demo
from examples.orders.embedded import shared
from examples.orders.lessons import LESSONS, lessons
from examples.orders.services import analytics, logs, notification, produce, rpc_client, rpc_server, worker

EPILOG = """RABBITMQ_URL (amqp://user:password@host:port/vhost) selects the broker. Without it, the first command
starts the project's own broker, commands in other terminals use it, and it ends after the last one. Orders that no
worker has processed stay in DATA_DIR/orders (default: var/orders)."""

# The function's name is the command, its docstring the help.
_FUNCTIONS = (demo, worker, notification, analytics, logs, produce, rpc_server, rpc_client, lessons)
COMMANDS: dict[str, Callable[..., None]] = {run.__name__.replace("_", "-"): run for run in _FUNCTIONS}


def everything(url: str) -> None:
    """Run the demo and all lessons."""
    demo(url)
    lessons(url)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.orders", description=__doc__, epilog=EPILOG)
    parser.set_defaults(run=everything, words=[])
    commands = parser.add_subparsers(metavar="COMMAND", help="without one: demo, then all lessons")
    for name, run in COMMANDS.items():
        commands.add_parser(name, help=run.__doc__).set_defaults(run=run)
    commands.choices["worker"].add_argument("words", metavar="ID", nargs="?", type=lambda name: [name], default=[])
    # argparse looks for the empty list among the choices too.
    commands.choices["lessons"].add_argument("words", metavar="N", nargs="*", type=int, choices=[*LESSONS, []])
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's shell may ignore it
    given = os.environ.get("RABBITMQ_URL", "")
    try:
        with nullcontext(given) if given else shared() as url:
            connect(url).close()  # report at once that the broker is down; later, wait for it
            options.run(url, *options.words)
    except KeyboardInterrupt:
        print("\nStopped. What was not acknowledged is in its queue again.")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has closed the pipe
    except AMQPChannelError as error:
        sys.exit(f"The broker refuses: {error.args[-1]}. Delete that queue or exchange, or use another vhost.")
    except (AMQPConnectionError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
