"""/api/health/checks: 200 with "ok", or 503 with the reason."""

from __future__ import annotations

from broker.management.errors import BadRequest
from broker.management.http import Response
from broker.management.overview import listeners
from broker.management.pagination import Item
from broker.management.routing import Call, Routes

routes = Routes()


@routes.add("GET", "health/checks/alarms")
@routes.add("GET", "health/checks/local-alarms")
def alarms(call: Call) -> Response:
    """Check that no memory or disk alarm is in effect."""
    raised = [{"node": call.node, "resource": name} for name in sorted(call.server.alarms)]
    if raised:
        return Response(503, {"status": "failed", "reason": "There are alarms in effect", "alarms": raised})
    return Response(200, {"status": "ok"})


@routes.add("GET", "health/checks/certificate-expiration/{within}/{unit}")
@routes.add("GET", "health/checks/virtual-hosts")
@routes.add("GET", "healthchecks/node")
@routes.add("GET", "healthchecks/node/{node}")
def healthy(call: Call) -> Item:
    """Answer "ok": a running broker passes these checks."""
    return {"status": "ok"}


@routes.add("GET", "health/checks/node-is-mirror-sync-critical")
@routes.add("GET", "health/checks/node-is-quorum-critical")
def single_node(call: Call) -> Item:
    """Answer "ok": a single node is never critical to a quorum."""
    return {"status": "ok", "reason": "single node cluster"}


@routes.add("GET", "health/checks/port-listener/{port}")
def port_listener(call: Call) -> Response:
    """Check that something listens on a port."""
    if not (call.parts["port"].isascii() and call.parts["port"].isdigit() and len(call.parts["port"]) < 6):
        raise BadRequest("Invalid port")
    port, ports = int(call.parts["port"]), [listener["port"] for listener in listeners(call)]
    if port in ports:
        return Response(200, {"status": "ok", "port": port})
    return Response(503, {"status": "failed", "reason": "No active listener", "missing": port, "ports": ports})


@routes.add("GET", "health/checks/protocol-listener/{protocol}")
def protocol_listener(call: Call) -> Response:
    """Check that something listens for a protocol."""
    protocol = call.parts["protocol"]
    name = "amqp" if protocol in ("amqp", "amqp091", "amqp0.9.1") else protocol
    names = sorted({listener["protocol"] for listener in listeners(call)})
    if name in names:
        return Response(200, {"status": "ok", "protocol": name})
    failed = {"status": "failed", "reason": "No active listener", "missing": protocol, "protocols": names}
    return Response(503, failed)
