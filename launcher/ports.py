"""Free TCP ports on this machine."""

from __future__ import annotations

import errno
import random
import socket

from launcher.errors import StartFailed

LOOPBACK = "127.0.0.1"

# Below the kernel's ephemeral range, so that no outgoing connection takes a port between check and use.
_OTHERS = range(20_000, 32_000)


def usual_or_free(usual: int) -> int:
    """Return `usual` if it is free on loopback, otherwise another free port."""
    if _listen_error(LOOPBACK, usual) is None:
        return usual
    for port in random.SystemRandom().sample(_OTHERS, 100):
        if _listen_error(LOOPBACK, port) is None:
            return port
    raise StartFailed(f"found no free port instead of {usual} in 100 attempts")


def check_free(host: str, port: int) -> None:
    """Raise StartFailed unless a server can listen on `host`:`port`."""
    error = _listen_error(host, port)
    if error is None:
        return
    if error.errno == errno.EADDRINUSE:
        raise StartFailed(
            f"port {port} on {host} is in use. Stop the program that uses it, or set BIND to another port"
        )
    raise StartFailed(f"cannot listen on BIND={host}:{port}: {error.strerror}")


def _listen_error(host: str, port: int) -> OSError | None:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: ignore TIME_WAIT
            probe.bind(address)
            probe.listen(1)  # with SO_REUSEADDR on both, Linux reports another listener only here
    except OSError as exc:
        return exc
    return None
