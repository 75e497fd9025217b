"""A proxy for MongoDB's wire protocol that breaks single commands, which it knows by name.

The protocol: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/. pymongo sends each command as an
OP_MSG whose first section is the command's document. Commands that it does not send so, as the first hello, pass.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import bson

from tests.support.proxy import Proxy

_HEADER = struct.Struct("<iiii")
_OP_MSG = 2013
_BODY = _HEADER.size + 5  # after the flags and the kind of the first section


@dataclass(frozen=True)
class Fault:
    """Commands of that name, of that collection or of any, do not do as they should."""

    command: str
    collection: str = ""
    answer: dict[str, Any] | None = None
    """the answer to give instead of asking the server"""
    delay: float = 0.0
    """seconds to wait before it is forwarded"""
    lost: bool = False
    """the server carries it out, and its answer does not arrive"""


def refusal(code: int, name: str) -> dict[str, Any]:
    """The answer of a server that refuses a command."""
    return {"ok": 0, "code": code, "codeName": name, "errmsg": "the server's errmsg, which may quote a canary"}


class MongoProxy(Proxy):
    """Any thread may set `faults`; the first that fits a command counts. `seen` has the commands that came, with their
    collections."""

    def __init__(self, to_port: int) -> None:
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, str]] = []
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
                _, request, _, _ = _HEADER.unpack_from(message)
                fault = self._fault(message)
                await asyncio.sleep(fault.delay)
                await self._flowing.wait()
                if fault.lost:
                    lost.add(request)
                if fault.answer is None:
                    await _send(far, message)
                else:
                    body = b"\0" * 5 + bson.encode(fault.answer)
                    await _send(writer, _HEADER.pack(_HEADER.size + len(body), 0, request, _OP_MSG) + body)
        far.close()

    def _fault(self, message: bytes) -> Fault:
        name, collection = "", ""
        if _HEADER.unpack_from(message)[3] == _OP_MSG:
            (size,) = struct.unpack_from("<i", message, _BODY)
            name, of = next(iter(bson.decode(message[_BODY : _BODY + size]).items()))
            collection = of if isinstance(of, str) else ""
            self.seen.append((name, collection))
        fits = (one for one in self.faults if one.command == name and one.collection in {"", collection})
        return next(fits, Fault(name))

    async def _answer(self, far: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: set[int]) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                message = await _message(far)
                await self._flowing.wait()
                if _HEADER.unpack_from(message)[2] not in lost:
                    await _send(writer, message)
        writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    header = await reader.readexactly(_HEADER.size)
    return header + await reader.readexactly(_HEADER.unpack(header)[0] - _HEADER.size)


async def _send(writer: asyncio.StreamWriter, message: bytes) -> None:
    writer.write(message)
    await writer.drain()
