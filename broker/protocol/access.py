"""access.* of AMQP 0-8: old clients request a ticket first, and RabbitMQ still grants one."""

from __future__ import annotations

from typing import ClassVar

from pamqp import base


class Request(base.Frame):
    """access.request. Every request is granted; permissions are checked later."""

    frame_id = 10
    index = 0x001E000A
    name = "Access.Request"
    synchronous = True
    __slots__: ClassVar[list[str]] = ["realm", "exclusive", "passive", "active", "write", "read"]  # noqa: RUF023 - as on the wire
    _realm = "shortstr"
    _exclusive = _passive = _active = _write = _read = "bit"


class RequestOk(base.Frame):
    """access.request-ok, with a ticket that has no effect."""

    frame_id = 11
    index = 0x001E000B
    name = "Access.RequestOk"
    __slots__: ClassVar[list[str]] = ["ticket"]
    _ticket = "short"
