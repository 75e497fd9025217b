"""A RabbitMQ cluster for tests: nodes on loopback that share an epmd, a cookie and their queues."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import requests

from tests.support.processes import wait_until
from tests.support.rabbitmq import Epmd, RabbitNode
from tests.support.rabbitmq_programs import RABBITMQ, RABBITMQ4, Programs

# A silent node is noticed within 12.5 s (net_ticktime plus a quarter), and the minority of a partition stops serving.
_CONFIGURATION = """\
net_ticktime = 10
cluster_partition_handling = pause_minority
"""
# For 3.10, as docs/HOWTO.md recommends: after a node's death, its dead-letter workers wait for their next try.
_ADVANCED = {RABBITMQ.name: "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 10000}]}].\n"}


class Cluster:
    """`size` nodes; the first founds the cluster, the others join it. Used by one thread.

    Each node may be killed, suspended, resumed and restarted by itself.
    """

    def __init__(self, directory: Path, programs: Programs = RABBITMQ4, size: int = 3) -> None:
        self._epmd = Epmd(directory, programs)
        self.nodes: list[RabbitNode] = []
        for number in range(size):
            node = RabbitNode(
                directory / f"node-{number}",
                programs,
                configuration=_CONFIGURATION,
                advanced=_ADVANCED.get(programs.name, ""),
                epmd=self._epmd,
                founder=self.nodes[0] if self.nodes else None,
            )
            self.nodes.append(node)

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.shutdown()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    @property
    def settings(self) -> dict[str, str]:
        """The settings of the service that name all nodes."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        management = ",".join(f"127.0.0.1:{node.management_port}" for node in self.nodes)
        return {
            "RABBITMQ_URL": f"amqp://guest:guest@{hosts}/",
            "RABBITMQ_MANAGEMENT_URL": f"http://{management}",
        }

    def start(self) -> None:
        """Start the first node, then the others at once, which join it. Returns when each sees all."""
        founder, *others = self.nodes
        founder.start()
        for node in others:
            node.boot()
        for node in others:
            node.wait_ready()
        wait_until(self.whole, 60, "the cluster being whole")

    def running(self, seen_by: RabbitNode) -> int:
        """Return how many nodes run, as one of them sees it; 0 if that one does not answer."""
        with suppress(requests.RequestException, ValueError):
            answer = seen_by.management.get("nodes", columns="name,running")
            if answer.ok:
                return sum(bool(one.get("running")) for one in answer.json())
        return 0

    def whole(self) -> bool:
        """Return whether each node sees all nodes running and no partition."""
        return all(self.running(node) == len(self.nodes) for node in self.nodes) and not self.partitioned()

    def partitioned(self) -> bool:
        """Return whether a node reports a partition that has not healed."""
        with suppress(requests.RequestException, ValueError):
            nodes = self.nodes[0].management.get("nodes", columns="name,partitions").json()
            return any(one.get("partitions") for one in nodes)
        return False

    def revive(self, node: RabbitNode) -> None:
        """Start a dead node, or resume a suspended one, and wait until the cluster is whole.

        RabbitMQ does not notice that it was suspended: after longer than net_ticktime the node is partitioned, and
        pause_minority does not heal that (https://www.rabbitmq.com/docs/partitions#suspend). Such a node is restarted.
        """
        if node.process.running:
            node.resume()
            wait_until(lambda: self.whole() or self.partitioned(), 60, f"{node.node_name} going on")
            if self.whole():
                return
            node.kill()
        node.boot()
        wait_until(self.whole, 180, f"{node.node_name} being back in the cluster")

    def reset(self) -> None:
        """Make it as new: all nodes run, and nothing of a test is left."""
        for node in self.nodes:
            if not node.process.running:
                node.boot()
            node.resume()
        wait_until(self.whole, 180, "the cluster being whole")
        self.nodes[0].reset()

    def shutdown(self) -> None:
        """Kill all nodes, and their epmd; the cluster is not used again."""
        for node in self.nodes:
            node.shutdown()
        self._epmd.shutdown()
