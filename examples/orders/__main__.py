"""RabbitMQ's patterns at work on orders, in one terminal or in several."""

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

EPILOG = """With RABBITMQ_URL (amqp://user:password@host:port/vhost), that broker is used. Without it, the first command
starts the project's own broker, commands in other terminals find it, and it ends after the last of them. Orders that no
worker has taken are kept in DATA_DIR/orders (default: var/orders) for the next time."""

# Each is a command of its name, and its docstring the help.
_FUNCTIONS = (demo, worker, notification, analytics, logs, produce, rpc_server, rpc_client, lessons)
COMMANDS: dict[str, Callable[..., None]] = {run.__name__.replace("_", "-"): run for run in _FUNCTIONS}


def everything(url: str) -> None:
    """The demo, and all lessons."""
    demo(url)
    lessons(url)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.orders", description=__doc__, epilog=EPILOG)
    parser.set_defaults(run=everything, words=[])
    commands = parser.add_subparsers(metavar="COMMAND", help="without one: demo, then all lessons")
    for name, run in COMMANDS.items():
        commands.add_parser(name, help=run.__doc__).set_defaults(run=run)
    commands.choices["worker"].add_argument("words", metavar="ID", nargs="?", type=lambda name: [name], default=[])
    # argparse wants to find "no number at all" among the choices, too.
    commands.choices["lessons"].add_argument("words", metavar="N", nargs="*", type=int, choices=[*LESSONS, []])
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the shell of a script has it ignored
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
