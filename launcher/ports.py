"""Free TCP ports on this machine."""

from __future__ import annotations

import errno
import random
import socket

from launcher.errors import StartFailed

LOOPBACK = "127.0.0.1"

# Below the kernel's ephemeral range, so that no outgoing connection takes a port between our look and its use.
_OTHERS = range(20_000, 32_000)


def usual_or_free(usual: int) -> int:
    """Return `usual` if it is free on loopback, otherwise another free port."""
    if _refusal(LOOPBACK, usual) is None:
        return usual
    for port in random.SystemRandom().sample(_OTHERS, 100):
        if _refusal(LOOPBACK, port) is None:
            return port
    raise StartFailed(f"found no free port in place of {usual} among a hundred tried")


def need(host: str, port: int) -> None:
    """Raise StartFailed unless a server can listen on `host`:`port`."""
    refusal = _refusal(host, port)
    if refusal is None:
        return
    if refusal.errno == errno.EADDRINUSE:
        raise StartFailed(f"port {port} on {host} is taken by another program: stop it, or set BIND to another port")
    raise StartFailed(f"cannot listen on BIND={host}:{port}: {refusal.strerror}")


def _refusal(host: str, port: int) -> OSError | None:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not count
            probe.bind(address)
            probe.listen(1)  # Linux tells of another listener only here when both set SO_REUSEADDR
    except OSError as exc:
        return exc
    return None
