"""How long another client's GET takes while hostile clients hold connections open.

    python -m benchmarks.attacks [--seconds 8] [--only chunks]

gunicorn with one worker, and a store, are started for it. Each GET uses a new connection and reads the store.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import requests

from tests.api.client import Gunicorn
from tests.support.attack import ATTACKS, under
from tests.support.server import running
from tests.support.store import StoreNode


def latencies(server: Gunicorn, token: str, seconds: float) -> list[float]:
    """Return the latencies in milliseconds, sorted."""
    found: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        answer = requests.get(
            f"{server.url}/getConsumers", headers={"Authorization": f"Bearer {token}"}, timeout=60
        )  # fmt: skip
        if answer.status_code != 200:
            raise SystemExit(answer.text)
        found.append((time.perf_counter() - began) * 1000)
        time.sleep(0.01)
    return sorted(found)


def main() -> None:
    options = argparse.ArgumentParser(description="Milliseconds that a GET takes during attacks.")
    options.add_argument("--seconds", type=float, default=8, help="of each attack")
    options.add_argument("--only", default="", help="part of the names of the attacks")
    given = options.parse_args()
    print(f"| {'during':<28} | {'p50 ms':>7} | {'p99 ms':>7} | {'max ms':>7} |")
    print(f"| {'-' * 28} | ------: | ------: | ------: |")
    with tempfile.TemporaryDirectory() as place, running(StoreNode(Path(place) / "store")) as store:
        settings = {"MONGO_URI": store.uri("benchmark"), "LOG_LEVEL": "warning"}
        with running(Gunicorn(Path(place), settings, "--workers", "1")) as server:
            token = server.login()
            for name in ["no attack", *(name for name in ATTACKS if given.only in name)]:
                with under(ATTACKS[name], server.port) if name in ATTACKS else nullcontext():
                    found = latencies(server, token, given.seconds)
                p50, p99 = found[len(found) // 2], found[int(len(found) * 0.99)]
                print(f"| {name:<28} | {p50:>7.0f} | {p99:>7.0f} | {found[-1]:>7.0f} |")


if __name__ == "__main__":
    main()
