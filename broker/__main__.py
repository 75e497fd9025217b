"""Run the embedded AMQP 0-9-1 broker as a process: `python -m broker`."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import os
import signal
import ssl
import sys
from pathlib import Path

from broker.journal_file import JournalRefused
from broker.server import Server

# Seconds after which a computing thread releases the GIL. The journal's thread needs the GIL often but briefly;
# Python's default of 5 ms would delay each commit.
SWITCH_INTERVAL = 0.001


class _Refused(Exception):
    """The options do not allow a start; the message says why."""


def main(arguments: list[str] | None = None) -> int:
    """Run a broker until SIGTERM or SIGINT. Return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level.upper(), stream=sys.stderr,
                        format="%(asctime)s %(levelname)s %(name)s: %(message)s")  # fmt: skip
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        asyncio.run(_run(options))
    except (_Refused, JournalRefused, OSError, ssl.SSLError) as error:
        print(f"broker: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m broker", description="An embedded AMQP 0-9-1 broker.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=5672, help="AMQP port, 0 for a free one (default: %(default)s)")
    parser.add_argument("--management-port", type=int, help="port of the management HTTP API, 0 for a free one")
    parser.add_argument("--data-dir", type=Path, help="journal's directory (default: store nothing)")
    parser.add_argument(
        "--user", metavar="NAME:PASSWORD", default=os.environ.get("BROKER_USER"),
        help="administrator instead of guest:guest (default: $BROKER_USER, which ps does not show to other users)",
    )  # fmt: skip
    parser.add_argument("--memory-limit", type=int, default=512, metavar="MIB",
                        help="memory for message bodies; the excess is paged out (default: %(default)s)")  # fmt: skip
    parser.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--tls-cert", type=Path, help="certificate chain (PEM); with --tls-key, the AMQP port is TLS")
    parser.add_argument("--tls-key", type=Path, help="private key (PEM)")
    return parser


async def _run(options: argparse.Namespace) -> None:
    tls = _tls(options.tls_cert, options.tls_key)
    server = Server(options.data_dir, memory_limit=options.memory_limit * 2**20)
    _set_up_users(server, options.user, options.host)
    await server.start()
    try:
        port = await server.listen(options.host, options.port, tls)
        ready = f"ready {'amqps' if tls else 'amqp'}://{_bracketed(options.host)}:{port}"
        if options.management_port is not None:
            from broker import management

            api = await management.serve(server, options.host, options.management_port)
            ready += f" http://{_bracketed(options.host)}:{api.sockets[0].getsockname()[1]}"
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        # Operators can block publishers by hand, to test them.
        loop.add_signal_handler(signal.SIGUSR1, server.set_alarm, "memory", True)
        loop.add_signal_handler(signal.SIGUSR2, server.set_alarm, "memory", False)
        print(ready, flush=True)
        await stop.wait()
    finally:
        await server.stop()


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise _Refused("--tls-cert and --tls-key require each other.")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def _set_up_users(server: Server, user: str | None, host: str) -> None:
    if user is not None:
        name, colon, password = user.partition(":")
        if not name or not colon or not password:
            raise _Refused("--user requires NAME:PASSWORD.")
        _administrator(server, name, password)
    elif not server.core.users:
        _administrator(server, "guest", "guest")
    if not _is_loopback(host) and set(server.core.users) <= {"guest"}:
        raise _Refused(f"guest may log in only from this machine. Set --user to listen on {host}.")


def _administrator(server: Server, name: str, password: str) -> None:
    known = server.core.users.get(name)
    if known is None or not known.has_password(password):
        server.core.add_user(name, password, ("administrator",))
    for vhost in server.core.vhosts:
        if vhost not in server.core.users[name].permissions:
            server.core.permit(name, vhost)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    sys.exit(main())
