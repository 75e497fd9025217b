"""A proxy for MongoDB's wire protocol that breaks single commands, which it knows by name.

The protocol: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/. pymongo sends each command as an
OP_MSG whose first section is the command's document, and the first hello of a connection as an OP_QUERY.
"""

from __future__ import annotations

import asyncio
import math
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import bson

from tests.support.proxy import Proxy

Command = dict[str, Any]
_HEADER = struct.Struct("<iiii")  # length, id, id that it answers, operation
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013


@dataclass
class Fault:
    """Commands of that name, of that collection or of any, do not do as they should."""

    command: str
    collection: str = ""
    answer: Command | None = None
    """the answer to give instead of asking the server"""
    delay: float = 0.0
    """seconds to wait before it is forwarded"""
    lost: bool = False
    """the server carries it out, and its answer does not arrive"""
    times: float = math.inf
    """how many commands it befalls"""


def refusal(code: int, name: str) -> Command:
    """The answer of a server that refuses a command."""
    return {"ok": 0, "code": code, "codeName": name, "errmsg": "the server's errmsg, which may quote a canary"}


class MongoProxy(Proxy):
    """Any thread may set `faults`; the first that fits a command counts. `seen` has the commands that
    came, without what they have in further sections."""

    def __init__(self, to_port: int) -> None:
        self.faults: list[Fault] = []
        self.seen: list[Command] = []
        super().__init__(to_port)

    async def _join(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        lost: set[int] = set()
        await asyncio.gather(self._ask(reader, writer, far_writer, lost), self._answer(far_reader, writer, lost))

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far: asyncio.StreamWriter, lost: set[int]
    ) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                message = await _message(reader)
                _, request, _, operation = _HEADER.unpack_from(message)
                fault = self._fault(_command(message, operation))
                await asyncio.sleep(fault.delay)
                await self._flowing.wait()
                if fault.lost:
                    lost.add(request)
                if fault.answer is None:
                    await _send(far, message)
                else:
                    await _send(writer, _reply(fault.answer, request, operation))
        far.close()

    def _fault(self, command: Command) -> Fault:
        self.seen.append(command)
        name, collection = next(iter(command.items()))
        fits = (one for one in self.faults if one.times and one.command == name and one.collection in {"", collection})
        fault = next(fits, Fault(name))
        fault.times -= 1
        return fault

    async def _answer(self, far: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: set[int]) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                message = await _message(far)
                await self._flowing.wait()
                if _HEADER.unpack_from(message)[2] not in lost:
                    await _send(writer, message)
        writer.close()


def _command(message: bytes, operation: int) -> Command:
    start = _HEADER.size + 5  # flags, and the kind of the first section
    if operation == _OP_QUERY:
        start = message.index(b"\0", _HEADER.size + 4) + 9  # flags, collection, how many to skip and to return
    (size,) = struct.unpack_from("<i", message, start)
    return bson.decode(message[start : start + size])


def _reply(answer: Command, request: int, operation: int) -> bytes:
    content = bson.encode(answer)
    if operation == _OP_QUERY:
        operation, body = _OP_REPLY, struct.pack("<iqii", 0, 0, 0, 1) + content
    else:
        body = b"\0" * 5 + content
    return _HEADER.pack(_HEADER.size + len(body), 0, request, operation) + body


async def _message(reader: asyncio.StreamReader) -> bytes:
    header = await reader.readexactly(_HEADER.size)
    return header + await reader.readexactly(_HEADER.unpack(header)[0] - _HEADER.size)


async def _send(writer: asyncio.StreamWriter, message: bytes) -> None:
    writer.write(message)
    await writer.drain()
