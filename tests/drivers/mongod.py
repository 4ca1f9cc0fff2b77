"""What a MongoDB server says on the wire, without one: the protocol, SCRAM and TLS in full, and faults by script.

It is strict, so that a client is tested and not humoured: a message that is not exactly as the protocol has it hangs
the line up; a login succeeds by the SCRAM proof alone, made from stored keys (no password is kept); a command needs the
login, and the user's right to the database, as MongoDB's own need them.

Sources: MongoDB's wire protocol (OP_MSG, and OP_QUERY for the first hello), RFC 5802 and 7677 (SCRAM), RFC 4013
(SASLprep, written anew here from the tables, so that pymongo's own is tested too), MongoDB's error_codes.yml.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import os
import ssl
import stringprep
import struct
import threading
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import bson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Do = Literal["silence", "drip", "garbage", "hang-up", "not-bson", "huge", "http"]
Document = dict[str, Any]

_HEADER: Final = struct.Struct("<iiii")
_REPLY: Final = struct.Struct("<iqii")
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_MOST: Final = 48_000_000
_NO_LOGIN_NEEDED: Final = frozenset(
    {
        "hello",
        "ismaster",
        "isMaster",
        "ping",
        "buildInfo",
        "buildinfo",
        "saslStart",
        "saslContinue",
        "authenticate",
        "endSessions",
    }
)
_HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}


def error(code: int, name: str, message: str, **more: object) -> Document:
    """An error as the server replies it."""
    return {"ok": 0.0, "errmsg": message, "code": code, "codeName": name, **more}


# --- users ------------------------------------------------------------------------------------------------------------


def prepared(password: str) -> str:
    """SASLprep: spaces mapped, nothing-characters dropped, NFKC of Unicode 3.2.

    Raises:
        ValueError: a character that may not be in a password.
    """
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c))
    normal = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    tables = (stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_a1, stringprep.in_table_c6)
    if any(table(c) for c in normal for table in tables):
        raise ValueError("not for a password")
    return normal


@dataclass(frozen=True)
class Stored:
    """What the server keeps of a password for one mechanism."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


@dataclass(frozen=True)
class User:
    """A user: how he may log in, and where he may read."""

    name: str
    stored: Mapping[str, Stored]
    source: str = "admin"
    reads: frozenset[str] = frozenset()

    @classmethod
    def with_password(
        cls,
        name: str,
        password: str,
        *,
        source: str = "admin",
        reads: tuple[str, ...] = ("app",),
        mechanisms: tuple[str, ...] = ("SCRAM-SHA-256", "SCRAM-SHA-1"),
        iterations: int = 4096,
    ) -> User:
        """As createUser makes one."""
        kept = {}
        for mechanism in mechanisms:
            if mechanism == "SCRAM-SHA-256":
                text = prepared(password)
            else:
                text = hashlib.md5(f"{name}:mongo:{password}".encode()).hexdigest()
            salt, algorithm = os.urandom(16), _HASHES[mechanism]
            salted = hashlib.pbkdf2_hmac(algorithm, text.encode(), salt, iterations)
            client_key = hmac.digest(salted, b"Client Key", algorithm)
            stored = hashlib.new(algorithm, client_key).digest()
            kept[mechanism] = Stored(salt, iterations, stored, hmac.digest(salted, b"Server Key", algorithm))
        return cls(name, kept, source, frozenset(reads))

    @classmethod
    def with_certificate(cls, subject: str, *, reads: tuple[str, ...] = ("app",)) -> User:
        """One who logs in by his client certificate (MONGODB-X509)."""
        return cls(subject, {}, "$external", frozenset(reads))


# --- what it is to be -------------------------------------------------------------------------------------------------

Role = Literal[
    "standalone", "primary", "secondary", "hidden", "arbiter", "mongos", "startup", "recovering", "rollback", "other"
]


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and at which command; `at` may be connect (before any byte) or hello (in all its spellings)."""

    at: str
    do: Do | Document
    after: int = 0
    """How often the command works before."""


@dataclass(frozen=True)
class Script:
    """What the server is."""

    role: Role = "standalone"
    users: tuple[User, ...] = ()
    """With none, no login is needed."""
    version: str = "7.0.15"
    wire: tuple[int, int] = (0, 21)
    set_name: str = "rs0"
    hosts: tuple[str, ...] | None = None
    """Of the replica set, itself by default."""
    faults: tuple[Fault, ...] = ()
    hello: Mapping[str, Any] = field(default_factory=dict)
    """What its hello says besides, or instead; None takes a field out."""
    mechanisms: tuple[str, ...] = ("SCRAM-SHA-256", "SCRAM-SHA-1", "MONGODB-X509")
    speculates: bool = True
    skips_empty: bool = True
    collections: tuple[str, ...] = ("orders", "people")
    forges: Literal["", "signature", "nonce", "few", "slow", "many"] = ""
    """What is wrong with its side of SCRAM."""


class Mongod:
    """A responder on a port of its own (or a socket), in a thread; `with` starts and stops it."""

    def __init__(
        self,
        script: Script = Script(),
        tls: ssl.SSLContext | None = None,
        socket: Path | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.script = script
        self.tls = tls
        self.socket = socket
        self.host = host
        self.port = 0
        self.seen: list[str] = []
        """The commands that came, by name."""
        self.logins: list[tuple[str, str]] = []
        """Who logged in, by which mechanism."""
        self.broken: list[str] = []
        """What clients did against the protocol: a test asserts that there is nothing."""
        self.open_lines = 0
        self.accepted = 0
        self._counts: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mongod", daemon=True)
        self._failed: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        if self._failed:
            raise self._failed
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the responder does not stop"

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as failure:  # it is raised in the thread that waits
            self._failed = failure
            self._started.set()
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        # A backlog for a crowd of clients at once.
        if self.socket:
            server = await asyncio.start_unix_server(self._take, str(self.socket))
        else:
            server = await asyncio.start_server(self._take, self.host, 0, backlog=200)
            self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        for listening in server.sockets:
            self._loop.remove_reader(listening.fileno())
        for _ in range(10):
            await asyncio.sleep(0)  # what was just accepted begins, so that it can end
        server.close()
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open_lines += 1
        try:
            if self.tls:
                await self._unwrapped(self.tls, reader, writer)
            else:
                await _Line(self, reader, writer).talk()
        except (asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
            pass  # it went away, or is told to
        except _AgainstProtocol as found:
            self.broken.append(str(found))
        finally:
            self.open_lines -= 1
            writer.transport.abort()

    async def _unwrapped(
        self, context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """The line without its TLS. asyncio's own server does not send the alert that says why a handshake failed."""
        if self.fault("connect") == "silence":
            await asyncio.sleep(3600)
        inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(inside, outside, server_side=True)

        async def flushed() -> None:
            writer.write(outside.read())
            await writer.drain()

        async def more() -> bool:
            await flushed()
            data = await reader.read(65536)
            if not data:
                inside.write_eof()
            inside.write(data) if data else None
            return bool(data)

        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                if not await more():
                    return
            except ssl.SSLError:
                await flushed()  # the alert
                await asyncio.sleep(0.05)
                return
        await flushed()
        plain = asyncio.StreamReader()
        talk = asyncio.create_task(_Line(self, plain, _Sealed(tls, outside, writer)).talk())
        try:
            while not talk.done():
                try:
                    plain.feed_data(tls.read(65536))
                except ssl.SSLWantReadError:
                    reading = asyncio.create_task(more())
                    await asyncio.wait((reading, talk), return_when=asyncio.FIRST_COMPLETED)
                    if not reading.done() or not reading.result():
                        reading.cancel()
                        break
                except ssl.SSLError:
                    break
            plain.feed_eof()
            await talk
        finally:
            talk.cancel()

    def now(self) -> float:
        return self._loop.time()

    def fault(self, command: str) -> Do | Document | None:
        """What goes wrong now with such a command."""
        count = self._counts[command] = self._counts.get(command, 0) + 1
        return next((fault.do for fault in self.script.faults if fault.at == command and count > fault.after), None)


class _Sealed:
    """Writes through TLS, for what writes as to a line without."""

    def __init__(self, tls: ssl.SSLObject, outside: ssl.MemoryBIO, writer: asyncio.StreamWriter) -> None:
        self._tls = tls
        self._outside = outside
        self._writer = writer

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._writer.write(self._outside.read())

    async def drain(self) -> None:
        await self._writer.drain()

    def get_extra_info(self, name: str) -> Any:
        return self._tls.getpeercert() if name == "peercert" else None


class _AgainstProtocol(Exception):  # noqa: N818
    """A client said what it may not."""


@dataclass
class _Conversation:
    mechanism: str
    source: str
    user: User | None
    first_bare: bytes
    server_first: bytes
    nonce: bytes
    skips_empty: bool
    proved: bool = False


class _Line:
    """One connection."""

    def __init__(self, server: Mongod, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | _Sealed) -> None:
        self.server = server
        self.script = server.script
        self.reader = reader
        self.writer = writer
        self.user: User | None = None
        self.conversation: _Conversation | None = None
        self.greeted = False
        self.conversations = 0

    async def talk(self) -> None:
        if (do := self.server.fault("connect")) is not None:
            await self._misbehave(do, 0, _OP_MSG)
            return
        while True:
            length, request, answers, code = _HEADER.unpack(await self.reader.readexactly(_HEADER.size))
            if not 16 < length <= _MOST or answers != 0:
                # A real server hangs up on what is no message, as on a TLS ClientHello.
                return
            body = await self.reader.readexactly(length - _HEADER.size)
            if code == _OP_QUERY:
                command, database, more = self._query(body), "admin", 0
            elif code == _OP_MSG:
                command, more = self._message(body)
                database = command.pop("$db", None)
                if not isinstance(database, str) or not database:
                    raise _AgainstProtocol("no $db")
            else:
                raise _AgainstProtocol(f"opcode {code}")
            name = next(iter(command))
            self.server.seen.append(name)
            at = "hello" if name in ("hello", "isMaster", "ismaster") else name
            fault = self.server.fault(at)
            if isinstance(fault, str):
                await self._misbehave(fault, request, code)
                return
            if fault is not None:
                reply = dict(fault)
            elif not self.greeted and at != "hello":
                raise _AgainstProtocol("a command before the first hello")
            else:
                reply = await self._answer(name, database, command)
            self.greeted = True
            if more & 2:
                continue  # moreToCome: the client wants no answer
            await self._send(reply, request, code)

    def _query(self, body: bytes) -> Document:
        """The command of an OP_QUERY: a hello, since 5.1 nothing else is taken."""
        collection, _, rest = body[4:].partition(b"\0")
        skip, count = struct.unpack_from("<ii", rest)
        if collection != b"admin.$cmd" or skip or count not in (-1, 1):
            raise _AgainstProtocol("an OP_QUERY that is no command")
        command = _document(rest[8:])
        if next(iter(command)) not in ("hello", "isMaster", "ismaster"):
            raise _AgainstProtocol("an OP_QUERY that is no hello")
        return command

    def _message(self, body: bytes) -> tuple[Document, int]:
        """The command of an OP_MSG: one body, and its document sequences."""
        (flags,) = struct.unpack_from("<I", body)
        if flags & ~0x10003 or flags & 1:
            raise _AgainstProtocol(f"flags {flags:x}")
        at, command, sequences = 4, None, {}
        while at < len(body):
            kind, at = body[at], at + 1
            (size,) = struct.unpack_from("<i", body, at)
            part = body[at : at + size]
            if len(part) != size:
                raise _AgainstProtocol("a section that is too short")
            if kind == 0 and command is None:
                command = _document(part)
            elif kind == 1:
                name, _, documents = part[4:].partition(b"\0")
                sequences[name.decode()] = bson.decode_all(documents)
            else:
                raise _AgainstProtocol(f"section {kind}")
            at += size
        if not command:
            raise _AgainstProtocol("no body")
        return command | sequences, flags

    async def _send(self, reply: Document, request: int, code: int) -> None:
        self.writer.write(_packed(bson.encode(reply), request, code))
        await self.writer.drain()

    async def _misbehave(self, do: Do | Document, request: int, code: int) -> None:
        whole = _packed(bson.encode({"ok": 1.0, "isWritablePrimary": True, "maxWireVersion": 21}), request, code)
        match do:
            case "silence":
                await asyncio.sleep(3600)
            case "drip":
                while True:
                    for byte in struct.pack("<i", 1_000_000) + whole[4:] + b"\0" * 1_000_000:
                        self.writer.write(bytes([byte]))
                        await self.writer.drain()
                        await asyncio.sleep(0.05)
            case "garbage":
                self.writer.write(b"\xde\xad\xbe\xef" * 64)
            case "huge":
                self.writer.write(_HEADER.pack(2**31 - 1, 1, request, _OP_MSG) + b"\0" * 1000)
                await self.writer.drain()
                await asyncio.sleep(3600)
            case "not-bson":
                self.writer.write(_packed(struct.pack("<i", 12) + b"\x99a\0zzzz\0", request, code))
            case "http":
                self.writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            case "hang-up":
                return
            case _:
                await self._send(dict(do), request, code)  # type: ignore[arg-type]
        await self.writer.drain()
        await asyncio.sleep(0.05)

    # --- commands -----------------------------------------------------------------------------------------------------

    async def _answer(self, name: str, database: str, command: Document) -> Document:
        if self.script.users and self.user is None and name not in _NO_LOGIN_NEEDED:
            return error(13, "Unauthorized", f"Command {name} requires authentication")
        match name:
            case "hello" | "isMaster" | "ismaster":
                return await self._hello(name, command)
            case "ping":
                return {"ok": 1.0}
            case "buildInfo" | "buildinfo":
                numbers = [int(part) for part in self.script.version.split(".")]
                return {"version": self.script.version, "versionArray": [*numbers, 0], "modules": [], "ok": 1.0}
            case "saslStart":
                return self._sasl_start(database, command)
            case "saslContinue":
                return self._sasl_continue(database, command)
            case "authenticate":
                return self._by_certificate(database, command)
            case "listDatabases":
                known = sorted(self.user.reads) if self.user else ["admin", "app", "config", "local"]
                return {"databases": [{"name": each} for each in known], "ok": 1.0}
            case "endSessions":
                return {"ok": 1.0}
            case "listCollections" | "find":
                if self.user and database not in self.user.reads:
                    return error(
                        13, "Unauthorized", f"not authorized on {database} to execute command {{ {name}: 1.0 }}"
                    )
                documents = (
                    [{"name": each, "type": "collection"} for each in self.script.collections]
                    if name == "listCollections"
                    else [{"_id": 1, "what": "a document"}]
                )
                namespace = f"{database}.{command['find'] if name == 'find' else '$cmd.listCollections'}"
                return {"cursor": {"id": bson.Int64(0), "ns": namespace, "firstBatch": documents}, "ok": 1.0}
        return error(59, "CommandNotFound", f"no such command: '{name}'")

    async def _hello(self, name: str, command: Document) -> Document:
        if self.greeted and "client" in command:
            return error(186, "ClientMetadataCannotBeMutated", "The client metadata document may only be sent once")
        if "topologyVersion" in command:
            until = self.server.now() + command["maxAwaitTimeMS"] / 1000
            while self.server.now() < until and not self.reader.at_eof():
                await asyncio.sleep(0.02)
        script = self.script
        me = f"{self.server.host}:{self.server.port}"
        primary = script.role in ("standalone", "primary", "mongos")
        reply: Document = {
            "isWritablePrimary" if name == "hello" else "ismaster": primary,
            "topologyVersion": {"processId": bson.ObjectId("65f0c0c0c0c0c0c0c0c0c0c0"), "counter": bson.Int64(6)},
            "maxBsonObjectSize": 16_777_216,
            "maxMessageSizeBytes": _MOST,
            "maxWriteBatchSize": 100_000,
            "logicalSessionTimeoutMinutes": 30,
            "connectionId": self.server.accepted,
            "minWireVersion": script.wire[0],
            "maxWireVersion": script.wire[1],
            "readOnly": False,
            "ok": 1.0,
        }
        if command.get("helloOk") is True:
            reply["helloOk"] = True
        if script.role == "mongos":
            reply["msg"] = "isdbgrid"
        elif script.role == "startup":
            reply |= {"isreplicaset": True, "secondary": False, "info": "Does not have a valid replica set config"}
        elif script.role != "standalone":
            hosts = list(script.hosts or (me,))
            reply |= {
                "hosts": hosts,
                "setName": script.set_name,
                "setVersion": 1,
                "secondary": script.role in ("secondary", "hidden"),
                "me": me,
                "primary": hosts[0],
            }
            if script.role == "primary":
                reply["electionId"] = bson.ObjectId("7fffffff0000000000000001")
            if script.role == "arbiter":
                reply |= {"arbiterOnly": True, "arbiters": [me], "hosts": [each for each in hosts if each != me]}
            if script.role == "hidden":
                reply |= {"hidden": True, "passive": True, "hosts": [each for each in hosts if each != me]}
        reply |= script.hello
        reply = {key: value for key, value in reply.items() if value is not None}
        if isinstance(asked := command.get("saslSupportedMechs"), str):
            source, _, who = asked.partition(".")
            user = self._known(source, who)
            reply["saslSupportedMechs"] = [each for each in user.stored if each in script.mechanisms] if user else []
        if script.speculates and isinstance(guess := command.get("speculativeAuthenticate"), dict):
            source, first = guess.pop("db", "$external"), next(iter(guess))
            answer = self._sasl_start(source, guess) if first == "saslStart" else self._by_certificate(source, guess)
            if answer["ok"] == 1.0:
                reply["speculativeAuthenticate"] = answer
        return reply

    # --- logging in ---------------------------------------------------------------------------------------------------

    def _known(self, source: str, name: str) -> User | None:
        return next((user for user in self.script.users if (user.source, user.name) == (source, name)), None)

    def _sasl_start(self, source: str, command: Document) -> Document:
        mechanism = command["mechanism"]
        if mechanism not in self.script.mechanisms or mechanism not in _HASHES:
            return error(
                334,
                "MechanismUnavailable",
                f"Received authentication for mechanism {mechanism} which is unknown or not enabled",
            )
        header, _, first_bare = bytes(command["payload"]).partition(b",,")
        parts = dict(part.split(b"=", 1) for part in first_bare.split(b","))
        if header != b"n" or set(parts) != {b"n", b"r"} or len(parts[b"r"]) < 16:
            raise _AgainstProtocol("a first message of SCRAM that is none")
        name = parts[b"n"].decode()
        if "=" in name.replace("=2C", "").replace("=3D", ""):
            raise _AgainstProtocol("a name that is not escaped")
        user = self._known(source, name.replace("=2C", ",").replace("=3D", "="))
        if user is None or mechanism not in user.stored:
            return error(18, "AuthenticationFailed", "Authentication failed.")
        stored = user.stored[mechanism]
        nonce = parts[b"r"] + base64.b64encode(os.urandom(24))
        if self.script.forges == "nonce":
            nonce = base64.b64encode(os.urandom(48))
        iterations = {"few": 100, "slow": 5_000_000, "many": 2**31 - 1}.get(self.script.forges, stored.iterations)
        server_first = b"r=%s,s=%s,i=%d" % (nonce, base64.b64encode(stored.salt), iterations)
        skips = bool(command.get("options", {}).get("skipEmptyExchange")) and self.script.skips_empty
        self.conversation = _Conversation(mechanism, source, user, first_bare, server_first, nonce, skips)
        self.conversations += 1
        return {"conversationId": self.conversations, "done": False, "payload": server_first, "ok": 1.0}

    def _sasl_continue(self, source: str, command: Document) -> Document:
        talk = self.conversation
        if talk is None or talk.user is None or command["conversationId"] != self.conversations:
            return error(17, "ProtocolError", "No SASL session state found")
        if talk.source != source:
            return error(17, "ProtocolError", "Attempt to switch database target during SASL authentication.")
        payload = bytes(command["payload"])
        if talk.proved:
            if payload:
                raise _AgainstProtocol("a last message of SCRAM that is not empty")
            return self._in(talk.user, talk.mechanism, b"")
        without_proof, _, proof = payload.rpartition(b",p=")
        parts = dict(part.split(b"=", 1) for part in without_proof.split(b","))
        if parts != {b"c": base64.b64encode(b"n,,"), b"r": talk.nonce}:
            raise _AgainstProtocol("a final message of SCRAM with another nonce or header")
        algorithm, stored = _HASHES[talk.mechanism], talk.user.stored[talk.mechanism]
        message = b",".join((talk.first_bare, talk.server_first, without_proof))
        signature = hmac.digest(stored.stored_key, message, algorithm)
        given = base64.b64decode(proof, validate=True)
        client_key = bytes(a ^ b for a, b in zip(given, signature, strict=True))
        if not hmac.compare_digest(hashlib.new(algorithm, client_key).digest(), stored.stored_key):
            self.conversation = None
            return error(18, "AuthenticationFailed", "Authentication failed.")
        server_signature = hmac.digest(stored.server_key, message, algorithm)
        if self.script.forges == "signature":
            server_signature = os.urandom(len(server_signature))
        last = b"v=" + base64.b64encode(server_signature)
        if talk.skips_empty:
            return self._in(talk.user, talk.mechanism, last)
        talk.proved = True
        return {"conversationId": self.conversations, "done": False, "payload": last, "ok": 1.0}

    def _in(self, user: User, mechanism: str, payload: bytes) -> Document:
        self.user, self.conversation = user, None
        self.server.logins.append((user.name, mechanism))
        return {"conversationId": self.conversations, "done": True, "payload": payload, "ok": 1.0}

    def _by_certificate(self, source: str, command: Document) -> Document:
        if command.get("mechanism") != "MONGODB-X509" or source != "$external":
            return error(334, "MechanismUnavailable", "Received authentication for an unknown mechanism")
        subject = _subject(self.writer)
        user = self._known("$external", subject) if subject else None
        if user is None or command.get("user", subject) != subject:
            return error(18, "AuthenticationFailed", "Authentication failed.")
        self.user = user
        self.server.logins.append((user.name, "MONGODB-X509"))
        return {"dbname": "$external", "user": subject, "ok": 1.0}


def _subject(writer: asyncio.StreamWriter | _Sealed) -> str:
    """The subject of the client's certificate, as RFC 2253 writes one; empty where there is none."""
    certificate = writer.get_extra_info("peercert")
    if not certificate:
        return ""
    short = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C"}
    parts = [f"{short.get(name, name)}={value}" for rdn in certificate["subject"] for name, value in rdn]
    return ",".join(reversed(parts))


def _document(data: bytes) -> Document:
    try:
        return bson.decode(data)
    except bson.InvalidBSON as broken:
        raise _AgainstProtocol("no BSON") from broken


def _packed(document: bytes, request: int, code: int) -> bytes:
    if code == _OP_QUERY:
        body, code = _REPLY.pack(8, 0, 0, 1) + document, _OP_REPLY
    else:
        body, code = struct.pack("<IB", 0, 0) + document, _OP_MSG
    return _HEADER.pack(_HEADER.size + len(body), 1, request, code) + body


@contextlib.contextmanager
def running(script: Script = Script(), **how: Any) -> Iterator[Mongod]:
    """A responder; afterwards no client has said anything against the protocol."""
    with Mongod(script, **how) as server:
        yield server
    assert server.broken == [], server.broken
