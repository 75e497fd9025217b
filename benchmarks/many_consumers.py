"""The cost of a thousand consumers for one worker process: memory, time to start, CPU while idle.

python -m benchmarks.many_consumers [--consumers 1000] [--seconds 30]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import pika

from benchmarks import servers
from domain.consumer import ConsumerSpec
from domain.url_template import UrlTemplate
from gateway.mongo import open_store
from runtime import logs
from tests.support.processes import wait_until
from tests.support.store import StoreNode
from tests.support.worker import SECRET, worker_on


def usage(pid: int) -> tuple[float, float]:
    """Return CPU seconds so far, and resident megabytes."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks, pages = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    return (int(fields[11]) + int(fields[12])) / ticks, int(fields[21]) * pages / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--consumers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30, help="how long to watch it do nothing")
    options = parser.parse_args()
    logs.configure("error", "json")
    with tempfile.TemporaryDirectory() as name, servers.rabbitmq() as broker:
        directory = Path(name)
        node = StoreNode(directory / "store")
        node.start()
        store = open_store(node.uri("many"), SECRET, directory)
        process = worker_on(broker, node.uri("many"), directory)
        try:
            with pika.BlockingConnection(pika.URLParameters(broker.amqp_url)) as connection:
                channel = connection.channel()
                for number in range(options.consumers):
                    channel.queue_declare(f"many-{number}", durable=True)
                    store.consumers.create(
                        ConsumerSpec(queue_name=f"many-{number}", url=UrlTemplate("http://127.0.0.1:9/"))
                    )
            began = time.monotonic()
            process.start()

            def all_running() -> bool:
                reports = [report for beat in store.heartbeats.live() for report in beat.consumers]
                return bool(sum(report.state == "running" for report in reports) == options.consumers)

            wait_until(all_running, 300, "all consumers running")
            started = time.monotonic() - began
            before, _ = usage(process.pid)
            time.sleep(options.seconds)
            after, megabytes = usage(process.pid)
        finally:
            process.stop()
            store.close()
            node.stop()
    print(f"{options.consumers} consumers on RabbitMQ in one worker process")
    print(f"  all running after  {started:8.1f} s")
    print(f"  resident memory    {megabytes:8.0f} MB")
    print(f"  CPU while idle     {(after - before) / options.seconds:8.1%} of a core")


if __name__ == "__main__":
    main()
