"""PostgreSQL's protocol up to its first answer: what a server says of itself before and while it lets a user in.

libpq tells only a text of why it came to nothing, in the server's language and with names in it. Here the server's own
SQLSTATE is read, on a line that is bounded in time, in the length of a message and in all that is read.

Sources: the manual's "Frontend/Backend Protocol"; RFC 5802, RFC 7677 and RFC 5929 for SCRAM.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import re
import secrets
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from lancio.drivers import network, tls
from lancio.drivers.findings import Failed

if TYPE_CHECKING:
    import ssl

    from lancio.drivers.model import Code, Layer
    from lancio.registry.secrets import Secret

_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)
_PROTOCOL: Final = 196608  # 3.0, which all servers speak
_LONGEST_MESSAGE: Final = 1 << 16
"""Bytes of a message that is believed; of what is asked here no answer is longer."""
_MOST: Final = 1 << 20
"""Bytes that are read of one server at all."""
_MOST_ROUNDS: Final = 1_000_000
"""SCRAM's iterations that are done for a server (4096 is its default): half a second; more would only keep us busy."""
_GOODBYE_S: Final = 0.5
"""How long a server may take to hang up."""

_METHODS: Final = {2: "krb5", 3: "password", 5: "md5", 6: "scm", 7: "gss", 9: "sspi"}
_SASL, _SASL_MORE, _SASL_END = 10, 11, 12


@dataclass(frozen=True, slots=True)
class Refusal:
    """An ErrorResponse: its SQLSTATE, and where in the server's source it came from. Its text is not kept."""

    state: str
    routine: str
    names_pg_hba: bool
    """Whether the text names pg_hba.conf, as it does in all languages."""
    stopping: bool
    """Whether it says that it is shutting down: 57P03 is that, and starting up."""
    pooler: Code | None = None
    """What a pooler in between means, which has one SQLSTATE for all."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the server asks for before it lets the user in: a method (libpq's names), and SCRAM's ways."""

    method: str
    salt: bytes = b""
    mechanisms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in, and how it may be done."""

    user: str
    password: Secret | None
    database: str
    options: str | None = field(default=None, repr=False)
    channel_binding: str = "prefer"
    require_auth: str = ""


class Line:
    """A connection to what may be a PostgreSQL server. `async with` closes it, politely where there is time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._read = 0
        self._greeted = False
        self._inside = False
        """Whether a farewell is understood: who is asked for a password may only hang up."""
        self.layer: Layer = "tls"
        """Where the probe is: what breaks off, breaks off there."""

    @classmethod
    async def over(cls, reached: network.Reached) -> Self:
        """The line over a connection, not encrypted."""
        return cls(*await asyncio.open_connection(sock=reached.socket))

    @classmethod
    async def over_tls(cls, reached: network.Reached, context: ssl.SSLContext, name: str) -> Self:
        """The line over a connection that begins with TLS at once (sslnegotiation=direct)."""
        try:
            streams = await asyncio.open_connection(sock=reached.socket, ssl=context, server_hostname=name)
        except OSError as error:  # ssl.SSLError is one
            raise _tls_failure(error) from None
        if streams[1].get_extra_info("ssl_object").selected_alpn_protocol() != "postgresql":
            streams[1].transport.abort()
            raise Failed("tls", "other-kind")
        return cls(*streams)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or not issubclass(kind, asyncio.CancelledError):
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    if self._inside:
                        self._writer.write(b"X\0\0\0\x04")
                    self._writer.close()
                    await self._writer.wait_closed()
        self._writer.transport.abort()
        await asyncio.sleep(0)  # the transport's own end

    async def offers_tls(self) -> bool:
        """Ask for TLS; whether the server has it.

        Raises:
            Failed: other-kind, closed, or what the server says instead.
        """
        await self._send(_SSL_REQUEST)
        answer = await self._some(256)
        if answer in (b"S", b"N"):
            return answer == b"S"
        if answer[:1] == b"E":
            raise failure(self._refusal(await self._body(answer[1:])), self.layer)
        if answer[:1] == b"S":  # somebody has put words behind it that were not encrypted
            raise Failed("tls", "tls-failed")
        raise Failed("hello", "other-kind")

    async def encrypt(self, context: ssl.SSLContext, name: str) -> None:
        """Go on under TLS.

        Raises:
            Failed: a code of the layer tls.
        """
        try:
            await self._writer.start_tls(context, server_hostname=name)
        except OSError as error:
            raise _tls_failure(error) from None

    async def listen(self) -> None:
        """Wait for words of the server's that nobody asked for.

        Raises:
            Failed: what TLS makes of them.
        """
        await self._some(1)

    async def start(self, login: Login) -> Asked | Refusal:
        """Say who wants in, and what the server asks for.

        Raises:
            Failed: other-kind, closed, timeout.
        """
        pairs = {"user": login.user, "database": login.database, "application_name": "lancio probe"}
        if login.options:
            pairs["options"] = login.options
        words = b"".join(f"{name}\0{value}\0".encode() for name, value in pairs.items()) + b"\0"
        await self._send(struct.pack("!ii", len(words) + 8, _PROTOCOL) + words)
        while True:
            kind, body = await self._message()
            if kind == b"E":
                return self._refusal(body)
            if kind == b"R" and len(body) >= 4:
                self._greeted = True
                asked = _asked(body)
                self._inside = asked.method == "none"
                return asked
            if kind not in (b"N", b"v"):
                raise Failed("hello", "other-kind")

    async def log_in(self, asked: Asked, login: Login) -> dict[str, str] | Refusal:
        """Answer what is asked, and what the server then says of itself (its parameters).

        Raises:
            Failed: login-required, login-method, closed, unexpected.
        """
        _allowed(asked.method, login)
        if asked.method == "scram-sha-256":
            refused = await self._scram(asked, login)
            if refused is not None:
                return refused
        elif asked.method != "none":
            await self._send_password(_plain_answer(asked, login))
        told: dict[str, str] = {}
        while True:
            kind, body = await self._message()
            if kind == b"E":
                return self._refusal(body)
            if kind == b"Z":
                self._inside = True
                return told
            if kind == b"S":
                name, _, value = body.removesuffix(b"\0").partition(b"\0")
                told[name.decode(errors="replace")] = value.decode(errors="replace")
            elif kind == b"R" and body != b"\0\0\0\0":
                raise Failed("login", "unexpected", "Authentication")

    async def ask(self, sql: str) -> list[str | None] | Refusal:
        """The first row of an answer."""
        text = sql.encode() + b"\0"
        await self._send(b"Q" + struct.pack("!i", len(text) + 4) + text)
        found: list[str | None] | Refusal = []
        while True:
            kind, body = await self._message()
            if kind == b"E":
                refused = self._refusal(body)
                if refused.state.startswith(("57P", "08")):
                    return refused  # nothing comes behind it
                found = refused
            elif kind == b"D" and found == []:
                found = _row(body)
            elif kind == b"Z":
                return found

    # --- SCRAM --------------------------------------------------------------------------------------------------------

    async def _scram(self, asked: Asked, login: Login) -> Refusal | None:
        password = _password(login)
        binding = None
        certificate = self._certificate()
        if certificate is not None and login.channel_binding != "disable":
            binding = _endpoint(certificate)
        plus = binding is not None and "SCRAM-SHA-256-PLUS" in asked.mechanisms
        if login.channel_binding == "require" and not plus:
            raise Failed("login", "login-method", "channel_binding")
        if not plus and "SCRAM-SHA-256" not in asked.mechanisms:
            raise Failed("login", "login-method", "SASL")
        # y: we could have bound the login to the channel, and the server does not offer it.
        header = b"p=tls-server-end-point,," if plus else b"y,," if binding is not None else b"n,,"
        nonce = base64.b64encode(secrets.token_bytes(18))
        first = b"n=,r=" + nonce
        mechanism = b"SCRAM-SHA-256-PLUS\0" if plus else b"SCRAM-SHA-256\0"
        await self._send_password(mechanism + struct.pack("!i", len(header + first)) + header + first)
        said = await self._sasl(_SASL_MORE)
        if isinstance(said, Refusal):
            return said
        fields = dict(part.partition(b"=")[::2] for part in said.split(b","))
        try:
            theirs, salt, rounds = fields[b"r"], base64.b64decode(fields[b"s"], validate=True), int(fields[b"i"])
        except (KeyError, ValueError):
            raise Failed("login", "unexpected", "SCRAM") from None
        if not theirs.startswith(nonce) or theirs == nonce or not 1 <= rounds <= _MOST_ROUNDS:
            raise Failed("login", "unexpected", "SCRAM")
        salted = await network.apart(lambda: hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, rounds))
        bound = base64.b64encode(header + (binding or b"" if plus else b""))
        last = b"c=" + bound + b",r=" + theirs
        signed = first + b"," + said + b"," + last
        client_key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(client_key).digest(), signed)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        await self._send_password(last + b",p=" + base64.b64encode(proof))
        said = await self._sasl(_SASL_END)
        if isinstance(said, Refusal):
            return said
        expected = b"v=" + base64.b64encode(_hmac(_hmac(salted, b"Server Key"), signed))
        if not hmac.compare_digest(said, expected):
            # It let us in without knowing the password.
            raise Failed("login", "unexpected", "ServerSignature")
        return None

    async def _sasl(self, step: int) -> bytes | Refusal:
        kind, body = await self._message()
        if kind == b"E":
            return self._refusal(body)
        if kind != b"R" or body[:4] != struct.pack("!i", step):
            raise Failed("login", "unexpected", "SASL")
        return body[4:]

    def _certificate(self) -> bytes | None:
        found = self._writer.get_extra_info("ssl_object")
        return found.getpeercert(binary_form=True) if found is not None else None

    # --- messages -----------------------------------------------------------------------------------------------------

    async def _message(self) -> tuple[bytes, bytes]:
        kind = await self._exactly(1)
        return kind, await self._body(b"")

    async def _body(self, begun: bytes) -> bytes:
        """The rest of a message whose kind was read, of which `begun` has come already."""
        while len(begun) < 4:
            begun += await self._exactly(4 - len(begun))
        length = int(struct.unpack("!i", begun[:4])[0])
        if not 4 <= length <= _LONGEST_MESSAGE:
            raise self._strange()
        missing = length - len(begun)
        return begun[4:] + (await self._exactly(missing) if missing > 0 else b"")

    async def _exactly(self, count: int) -> bytes:
        self._read += count
        if self._read > _MOST:
            raise self._strange()
        try:
            return await self._reader.readexactly(count)
        except asyncio.IncompleteReadError:
            raise Failed(self.layer, "closed") from None
        except OSError as error:
            raise self._broken(error) from None

    async def _some(self, most: int) -> bytes:
        try:
            found = await self._reader.read(most)
        except OSError as error:
            raise self._broken(error) from None
        if not found:
            raise Failed(self.layer, "closed")
        return found

    async def _send(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise self._broken(error) from None

    async def _send_password(self, data: bytes) -> None:
        await self._send(b"p" + struct.pack("!i", len(data) + 4) + data)

    def _broken(self, error: OSError) -> Failed:
        code = tls.code_of(error)
        if code is not None:
            # In TLS 1.3 what the server thinks of our certificate comes behind the handshake.
            return Failed("tls", code, tls.reason_of(error))
        return Failed(self.layer, "timeout" if isinstance(error, TimeoutError) else "closed")

    def _strange(self) -> Failed:
        return Failed("hello", "other-kind") if not self._greeted else Failed(self.layer, "unexpected", "Protocol")

    def _refusal(self, body: bytes) -> Refusal:
        fields = {part[:1]: part[1:] for part in body.split(b"\0") if part}
        state = fields.get(b"C", b"")
        if not re.fullmatch(rb"[0-9A-Z]{5}", state):
            raise self._strange()
        text = fields.get(b"M", b"")
        return Refusal(
            state.decode("ascii"),
            fields.get(b"R", b"").decode("ascii", "replace"),
            b"pg_hba.conf" in text,
            any(word in text for word in _SHUTTING_DOWN),
            # A server tells the place in its source.
            None if b"R" in fields else next((code for word, code in _POOLERS if word in text), None),
        )


def failure(said: Refusal, layer: Layer, *, over_tls: bool = False) -> Failed:
    """The code for what a server says instead of letting the user in."""
    code = _BY_STATE.get(said.state)
    if code is None and said.pooler is not None:
        return _told("hello" if said.pooler == "too-many-connections" else "login", said.pooler)
    if said.state == "57P03":
        return Failed("hello", "stopping" if said.stopping else "starting")
    if said.state == "28000":
        # ClientAuthentication says three things: two name pg_hba.conf, the third wants a certificate. auth_failed
        # under TLS is a certificate too (cert), or one of the ways that ask another server.
        if said.routine == "ClientAuthentication" and not said.names_pg_hba:
            return Failed("tls", "client-certificate")
        return Failed(
            "login", "client-certificate" if said.routine == "auth_failed" and over_tls else "login-forbidden"
        )
    if code is None:
        return Failed(layer, "unexpected", said.state)
    if code in ("stopping", "too-many-connections"):
        return Failed(layer if layer in ("login", "read") else "hello", code)
    return _told("hello" if code == "unsupported-version" else "login", code)


def _told(layer: Layer, code: Code) -> Failed:
    return Failed(layer, code, "options" if code == "option" else "")


_BY_STATE: Final[dict[str, Code]] = {
    "0A000": "unsupported-version",
    "28P01": "login-failed",
    "3D000": "database-missing",
    "57P04": "database-missing",
    "42501": "login-forbidden",
    "55000": "login-forbidden",  # the database takes no connections, or is half dropped
    "53300": "too-many-connections",
    "57P01": "stopping",
    "57P02": "stopping",
    "22023": "option",  # what `options` sets is not to be set so
    "42704": "option",
    "55P02": "option",
}


_SHUTTING_DOWN: Final = tuple(
    word.encode()
    for word in (
        "shutting down", "fährt herunter", "apagándose", "s'arrête", "spegnendo", "シャットダウン", "ითიშება",
        "중지 중", "останавливается", "stänger ner", "завершує роботу", "正在关闭", "正在關閉",
    )
)  # fmt: skip
"""In the languages that PostgreSQL 15's server speaks (in the others it speaks English)."""

_POOLERS: Final[tuple[tuple[bytes, Code], ...]] = (
    (b"authentication failed", "login-failed"),
    (b"no such user", "login-failed"),
    (b"ser not found", "login-failed"),
    (b"no such database", "database-missing"),
    (b"does not exist", "database-missing"),
    (b"no more connections", "too-many-connections"),
    (b"unsupported startup parameter", "option"),
    (b"not allowed", "login-forbidden"),
    (b"cannot connect to server", "closed"),
    (b"server login", "closed"),
)
"""Words of pgbouncer's and Supavisor's, which are not translated and come with 08P01 or XX000, whatever it is."""


def _tls_failure(error: OSError) -> Failed:
    return Failed("tls", tls.code_of(error) or "tls-failed", tls.reason_of(error))


def _asked(body: bytes) -> Asked:
    number = int(struct.unpack("!i", body[:4])[0])
    if number == 0:
        return Asked("none")
    if number == _SASL:
        listed = tuple(word.decode("ascii", "replace") for word in body[4:].split(b"\0") if word)
        scram = any(word.startswith("SCRAM-SHA-256") for word in listed)
        return Asked("scram-sha-256" if scram else "oauth" if "OAUTHBEARER" in listed else "sasl", mechanisms=listed)
    return Asked(_METHODS.get(number, "other"), body[4:8])


def _allowed(method: str, login: Login) -> None:
    """By the connection string's require_auth, and by what can be done here."""
    words = login.require_auth.split(",") if login.require_auth else []
    if words and (f"!{method}" in words if words[0].startswith("!") else method not in words):
        raise Failed("login", "login-method", "require_auth")
    if method not in ("none", "password", "md5", "scram-sha-256"):
        raise Failed("login", "login-method", method)
    if method != "scram-sha-256" and login.channel_binding == "require":
        raise Failed("login", "login-method", "channel_binding")


def _password(login: Login) -> bytes:
    if login.password is None:
        raise Failed("login", "login-required")
    return login.password.reveal().encode()


def _plain_answer(asked: Asked, login: Login) -> bytes:
    password = _password(login)
    if asked.method == "password":
        return password + b"\0"
    inner = hashlib.md5(password + login.user.encode(), usedforsecurity=False).hexdigest()
    outer = hashlib.md5(inner.encode() + asked.salt, usedforsecurity=False).hexdigest()
    return b"md5" + outer.encode() + b"\0"


def _prepared(password: bytes) -> bytes:
    """SASLprep, or the bytes as they are where it does not take them, as the server does it too."""
    if password.isascii():  # in which it changes nothing
        return password
    from pymongo.saslprep import saslprep

    try:
        return str(saslprep(password.decode(), prohibit_unassigned_code_points=True)).encode() or password
    except ValueError:
        return password


def _endpoint(certificate: bytes) -> bytes | None:
    """RFC 5929's hash of the server's certificate; None where its signature names no hash."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        found = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return None
    if found is None:
        return None
    name = "sha256" if found.name in ("md5", "sha1") else found.name
    return hashlib.new(name, certificate).digest() if name in hashlib.algorithms_available else None


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _row(body: bytes) -> list[str | None]:
    try:
        (count,) = struct.unpack_from("!h", body)
        at, found = 2, list[str | None]()
        for _ in range(count):
            (length,) = struct.unpack_from("!i", body, at)
            at += 4
            found.append(None if length < 0 else body[at : at + length].decode(errors="replace"))
            at += max(length, 0)
    except struct.error:
        raise Failed("read", "unexpected", "Protocol") from None
    return found
