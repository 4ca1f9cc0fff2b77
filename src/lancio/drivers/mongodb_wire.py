"""MongoDB's wire protocol, as far as a probe goes: a hello, a login, a question.

pymongo's client keeps what goes wrong on the way to itself, tries again in the background, and in the end tells that no
server was found; it does as many rounds of SCRAM as a server asks for, and no limit of time holds it then. So a probe
is one line of our own. The hello goes as OP_QUERY, which servers of all versions answer, the rest as OP_MSG.

Sources: MongoDB's wire protocol; the driver specifications "MongoDB Handshake", "Server Discovery and Monitoring" and
"Authentication"; RFC 5802 and 7677 (SCRAM).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import itertools
import os
import platform
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import bson
import pymongo
from bson.binary import Binary
from pymongo import common
from pymongo.saslprep import saslprep

import lancio
from lancio.drivers import network
from lancio.drivers.findings import Failed

if TYPE_CHECKING:
    import asyncio

    from lancio.drivers.model import Role

_HEADER: Final = struct.Struct("<iiii")
"""Length, number, the number it answers, what it is."""
_REPLY, _QUERY, _MESSAGE = 1, 2004, 2013
_BEFORE_DOCUMENT: Final = {_REPLY: 20, _MESSAGE: 5}
"""Bytes between a message's header and its document."""
_CHECKSUM: Final = 1
_MOST: Final = 1 << 20
"""Bytes of the longest answer that is read: a hello is some hundred, and no question here asks for much."""
_ROUNDS: Final = range(4096, 1_000_001)
"""Iterations of SCRAM that are done for a server (10,000 and 15,000 are its defaults)."""
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
    initiated: bool = True
    """False for a member of a replica set that is not told of its set yet."""
    set_name: str | None = None
    oldest: int = 0
    newest: int = 0
    """The wire versions that it speaks."""
    mechanisms: tuple[str, ...] | None = None
    """How the user may log in; none for one that is not known, None where it does not tell."""

    @property
    def spoken(self) -> bool:
        """Whether pymongo speaks one of its wire versions."""
        return self.oldest <= common.MAX_SUPPORTED_WIRE_VERSION and self.newest >= common.MIN_SUPPORTED_WIRE_VERSION


class Refusal(Exception):  # noqa: N818
    """The server's answer is an error."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        """Of error_codes.yml; 0 where it has none."""


class Line:
    """One connection to a server. Its errors are NotMongoDB, and OSError and EOFError where it broke."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def hello(self, asked_for: str | None = None) -> Hello:
        """Greet the server; `asked_for` is database.user, whose ways to log in it is to tell."""
        said = await self._exchanged(_QUERY, question(asked_for))
        return read(said)

    async def ask(self, database: str, command: dict[str, Any]) -> dict[str, Any]:
        """What the server answers to a command.

        Raises:
            Refusal: it answers with an error.
        """
        said = await self._exchanged(_MESSAGE, struct.pack("<IB", 0, 0) + bson.encode({**command, "$db": database}))
        if not said.get("ok"):
            raise Refusal(_whole(said.get("code")))
        return said

    def close(self) -> None:
        """Let go of it, without a word."""
        self._writer.transport.abort()

    async def _exchanged(self, what: int, body: bytes) -> dict[str, Any]:
        number = next(_NUMBERS)
        self._writer.write(_HEADER.pack(_HEADER.size + len(body), number, 0, what) + body)
        await self._writer.drain()
        # The length first: what is no MongoDB says less than a header, or keeps the line open behind it.
        first = await self._reader.readexactly(4)
        (length,) = struct.unpack("<i", first)
        if not _HEADER.size + max(_BEFORE_DOCUMENT.values()) < length <= _MOST:
            raise NotMongoDB
        message = first + await self._reader.readexactly(length - 4)
        _, _, answers, kind = _HEADER.unpack_from(message)
        if (answers, kind) != (number, _REPLY if what == _QUERY else _MESSAGE):
            raise NotMongoDB
        document = message[_HEADER.size + _BEFORE_DOCUMENT[kind] :]
        if kind == _MESSAGE and struct.unpack_from("<I", message, _HEADER.size)[0] & _CHECKSUM:
            document = document[:-4]
        try:
            return bson.decode(document)
        except bson.InvalidBSON:
            raise NotMongoDB from None


def question(asked_for: str | None) -> bytes:
    """The hello; the server's log shows who asked."""
    document: dict[str, Any] = {
        "isMaster": 1,
        "helloOk": True,
        "client": {
            "application": {"name": "lancio"},
            "driver": _DRIVER,
            "os": {"type": platform.system()},
        },
    }
    if asked_for is not None:
        document["saslSupportedMechs"] = asked_for
    return struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + bson.encode(document)


def read(said: dict[str, Any]) -> Hello:
    """What the answer to a hello says.

    Raises:
        NotMongoDB: it is none.
    """
    if "ok" not in said:
        raise NotMongoDB
    if not said["ok"]:
        return Hello(_whole(said.get("code")), None, ready=False)
    role, ready = _role(said)
    name, mechanisms = said.get("setName"), said.get("saslSupportedMechs")
    return Hello(
        None,
        role,
        ready=ready,
        initiated=not said.get("isreplicaset"),
        set_name=name if isinstance(name, str) else None,
        oldest=_whole(said.get("minWireVersion")),
        newest=_whole(said.get("maxWireVersion")),
        mechanisms=tuple(str(each) for each in mechanisms) if isinstance(mechanisms, list) else None,
    )


# --- logging in -------------------------------------------------------------------------------------------------------


async def log_in_by_scram(line: Line, mechanism: str, source: str, user: str, password: str) -> None:
    """Prove that the password is known, and have the server prove that it knows it too.

    Raises:
        Refusal: the server says no.
        Failed: its part of the login is not as it should be, or no user can have such a password.
    """
    algorithm = "sha256" if mechanism == "SCRAM-SHA-256" else "sha1"
    try:
        secret = (
            saslprep(password) if algorithm == "sha256" else
            hashlib.md5(f"{user}:mongo:{password}".encode(), usedforsecurity=False).hexdigest()
        )  # fmt: skip
    except (ValueError, IndexError):  # IndexError: pymongo's, where nothing is left of it
        raise Failed("login", "login-failed") from None
    nonce = base64.b64encode(os.urandom(24))
    escaped = user.replace("=", "=3D").replace(",", "=2C").encode()
    bare = b"n=" + escaped + b",r=" + nonce
    said = await line.ask(
        source,
        {"saslStart": 1, "mechanism": mechanism, "payload": Binary(b"n,," + bare), "autoAuthorize": 1,
         "options": {"skipEmptyExchange": True}},
    )  # fmt: skip
    first = _payload(said)
    try:
        parts = _parts(first)
        full, salt, rounds = parts[b"r"], base64.b64decode(parts[b"s"], validate=True), int(parts[b"i"])
    except (KeyError, ValueError, binascii.Error):
        raise Failed("login", "unexpected", "SCRAM") from None
    if not full.startswith(nonce) or full == nonce or rounds not in _ROUNDS:
        raise Failed("login", "unexpected", "SCRAM")
    salted = await network.apart(lambda: hashlib.pbkdf2_hmac(algorithm, secret.encode(), salt, rounds))
    client_key = hmac.digest(salted, b"Client Key", algorithm)
    final = b"c=biws,r=" + full
    signed = b",".join((bare, first, final))
    signature = hmac.digest(hashlib.new(algorithm, client_key).digest(), signed, algorithm)
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True)))
    going_on = {"saslContinue": 1, "conversationId": said.get("conversationId")}
    said = await line.ask(source, {**going_on, "payload": Binary(final + b",p=" + proof)})
    theirs = hmac.digest(hmac.digest(salted, b"Server Key", algorithm), signed, algorithm)
    if not hmac.compare_digest(_payload(said), b"v=" + base64.b64encode(theirs)):
        raise Failed("login", "unexpected", "ServerSignature")
    if not said.get("done"):
        said = await line.ask(source, {**going_on, "payload": Binary(b"")})
    if not said.get("done"):
        raise Failed("login", "unexpected", "SCRAM")


async def log_in_by_certificate(line: Line, user: str | None) -> None:
    """Be who the certificate of the line says.

    Raises:
        Refusal: the server says no.
    """
    named = {"user": user} if user else {}
    await line.ask("$external", {"authenticate": 1, "mechanism": "MONGODB-X509", **named})


async def log_in_in_clear(line: Line, source: str, user: str, password: str) -> None:
    """Send the password (PLAIN, as for LDAP).

    Raises:
        Refusal: the server says no.
    """
    payload = Binary(f"\0{user}\0{password}".encode())
    await line.ask(source, {"saslStart": 1, "mechanism": "PLAIN", "payload": payload, "autoAuthorize": 1})


def _payload(said: dict[str, Any]) -> bytes:
    payload = said.get("payload")
    if not isinstance(payload, bytes):
        raise Failed("login", "unexpected", "SCRAM")
    return payload


def _parts(message: bytes) -> dict[bytes, bytes]:
    return {part[:1]: part[2:] for part in message.split(b",") if part[1:2] == b"="}


# --- what a hello says ------------------------------------------------------------------------------------------------


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
