"""MongoDB's first exchange: the question, and what its answer says of the server.

It is asked on a line of our own, since pymongo keeps what goes wrong here to itself, tries again, and in the end tells
that no server was found. The question goes as OP_QUERY, which servers of all versions answer, and needs no login.

Sources: MongoDB's wire protocol; the driver specifications "MongoDB Handshake" and "Server Discovery and Monitoring".
"""

from __future__ import annotations

import itertools
import platform
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import bson
import pymongo
from pymongo import common

import lancio

if TYPE_CHECKING:
    import asyncio

    from lancio.drivers.model import Role

_HEADER: Final = struct.Struct("<iiii")
"""Length, number, the number it answers, what it is."""
_REPLY, _QUERY = 1, 2004
_BEFORE_DOCUMENT: Final = 20
"""Bytes of an OP_REPLY between its header and its document."""
_MOST: Final = 1 << 20
"""A hello is some hundred bytes; a replica set has at most 50 members."""
_NUMBERS: Final = itertools.count(1)
_DRIVER: Final = {"name": "PyMongo|Lancio", "version": f"{pymongo.version}|{lancio.__version__}"}


class NotMongoDB(Exception):  # noqa: N818  (what was found)
    """What answers does not speak MongoDB's protocol."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a server says of itself."""

    code: int | None
    """Of the error that it answers instead; 0 where that has none."""
    role: Role | None
    """None where it says nothing of the kind."""
    ready: bool
    """Whether it can be read from, by what it says: an arbiter, or a member that recovers, can't."""
    initiated: bool
    """False for a member of a replica set that is not told of its set yet."""
    set_name: str | None
    oldest: int
    newest: int
    """The wire versions that it speaks."""

    @property
    def spoken(self) -> bool:
        """Whether pymongo speaks one of its wire versions."""
        return self.oldest <= common.MAX_SUPPORTED_WIRE_VERSION and self.newest >= common.MIN_SUPPORTED_WIRE_VERSION


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Hello:
    """Greet the server.

    Raises:
        NotMongoDB: the answer is none of this protocol.
        OSError, asyncio.IncompleteReadError: the line broke.
    """
    number = next(_NUMBERS)
    writer.write(question(number))
    await writer.drain()
    # Byte by byte where need be: whatever is no MongoDB says less, or keeps the line open behind it.
    first = await reader.readexactly(4)
    (length,) = struct.unpack("<i", first)
    if not _HEADER.size + _BEFORE_DOCUMENT < length <= _MOST:
        raise NotMongoDB
    return read(first + await reader.readexactly(length - 4), number)


def question(number: int) -> bytes:
    """The hello as bytes; the server's log shows who asked."""
    document = bson.encode(
        {
            "isMaster": 1,
            "helloOk": True,
            "client": {
                "application": {"name": "lancio"},
                "driver": _DRIVER,
                "os": {"type": platform.system()},
            },
        }
    )
    body = struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + document
    return _HEADER.pack(_HEADER.size + len(body), number, 0, _QUERY) + body


def read(message: bytes, number: int) -> Hello:
    """What the answer to the question of that number says.

    Raises:
        NotMongoDB: it is no such answer.
    """
    _, _, answers, what = _HEADER.unpack_from(message)
    if (answers, what) != (number, _REPLY):
        raise NotMongoDB
    try:
        said: dict[str, Any] = bson.decode(message[_HEADER.size + _BEFORE_DOCUMENT :])
    except bson.InvalidBSON:
        raise NotMongoDB from None
    if not said.get("ok"):
        if "ok" not in said:
            raise NotMongoDB
        return Hello(_whole(said.get("code")), None, ready=False, initiated=True, set_name=None, oldest=0, newest=0)
    role, ready = _role(said)
    name = said.get("setName")
    return Hello(
        None,
        role,
        ready=ready,
        initiated=not said.get("isreplicaset"),
        set_name=name if isinstance(name, str) else None,
        oldest=_whole(said.get("minWireVersion")),
        newest=_whole(said.get("maxWireVersion")),
    )


def _role(said: dict[str, Any]) -> tuple[Role | None, bool]:
    if said.get("msg") == "isdbgrid":
        return "router", True
    if said.get("isreplicaset"):
        return "loading", False
    if said.get("ismaster") or said.get("isWritablePrimary"):
        return ("read-only" if said.get("readOnly") is True else "primary"), True
    if said.get("secondary"):
        return "replica", True
    if said.get("arbiterOnly"):
        return "arbiter", False
    if said.get("setName"):
        return "loading", False
    return None, False


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
