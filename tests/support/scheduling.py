"""Distributes the tests to pytest-xdist's processes so that few processes need more than one RabbitMQ.

A process starts each broker when a test needs it first, and keeps it. A RabbitMQ costs three seconds of CPU to start
and one percent of a core from then on.
"""

from __future__ import annotations

import re

from xdist.scheduler import LoadGroupScheduling  # type: ignore[import-untyped]
from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

_PARAMETERS = re.compile(r"\[.*")
_KINDS = ("rabbitmq", "rabbitmq4")
"""The process with an even number prefers tests on the first, that with an odd number tests on the second."""


class BrokerScheduling(LoadGroupScheduling):  # type: ignore[misc]
    """Like `--dist loadgroup`, but a process takes tests on its RabbitMQ, or on none, while there are any.

    `_assign_work_unit` is private to pytest-xdist, whose version is locked.
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        other = _KINDS[1 - int(node.gateway.id.removeprefix("gw")) % len(_KINDS)]
        for unit in self.workqueue:
            if not runs_on(other, unit):
                self.workqueue.move_to_end(unit, last=False)
                break
        super()._assign_work_unit(node)


def runs_on(broker: str, test: str) -> bool:
    """Return whether a test's parameters name this broker."""
    parameters = _PARAMETERS.search(test)
    return parameters is not None and broker in re.split(r"[\[\]-]", parameters[0])
