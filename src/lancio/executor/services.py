"""Does a service outside answer, in its own protocol, and if not, at which layer does it end?

Each layer in turn: the variable that names it, its address, DNS, TCP, TLS, and the greeting of its driver: Redis's
PING, MongoDB's isMaster, PostgreSQL's startup. Only the standard library is used; no text holds anything of a URL but
host and port.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from lancio.planner.surroundings import Outcome, key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lancio.planner.model import Place, Service

CODES = {
    "answers": "answers",
    "open": "accepts connections; its protocol is not known here",
    "no variable": "no variable names its address, so nothing was asked",
    "unset": "its variable is not set",
    "absent": "said to be absent",
    "not looked up": "SRV names are not looked up here",
    "malformed": "the variable's value is no address",
    "unresolved": "the name of its host is not known to DNS",
    "refused": "nothing listens there: the connection was refused",
    "unreachable": "the network does not lead there",
    "timeout": "no connection within the time limit",
    "tls": "no TLS",
    "certificate": "its certificate is not trusted",
    "silent": "accepts the connection and says nothing within the time limit",
    "closed": "closes the connection without an answer",
    "protocol": "answers in another protocol",
    "denied": "answers, and refuses these credentials",
    "busy": "answers that it cannot serve now",
}
"""Every outcome there is, and what it means. `denied` and `busy` come from the service itself."""

GOOD = frozenset(("answers", "open"))
UNKNOWN = frozenset(("no variable", "not looked up"))

ABSENT = "absent"
LONGEST_ANSWER = 1 << 16
_PORTS = {"redis": 6379, "rediss": 6379, "mongodb": 27017, "postgres": 5432, "postgresql": 5432, "http": 80,
          "https": 443, "amqp": 5672, "amqps": 5671, "nats": 4222, "mysql": 3306, "kafka": 9092}  # fmt: skip
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?|[0-9A-Fa-f:.]+")


class _End(Exception):  # noqa: N818  (how a probe ends, not a fault)
    """The probe ends here with an outcome."""

    def __init__(self, layer: str, code: str, more: str = "") -> None:
        super().__init__(code)
        said = CODES[code] + (f": {more}" if more else "")
        self.outcome = Outcome(layer, code, said)


@dataclass(frozen=True)
class _Address:
    """Where a URL leads; its repr would hold a password, so nothing prints it."""

    scheme: str
    host: str
    port: int
    user: str
    password: str
    database: str
    tls: bool
    verify: bool
    authority: str = ""  # a file of certificates to trust


@contextlib.contextmanager
def asking(
    services: Sequence[tuple[Service, Place]], environ: Mapping[str, str], *, wanted: bool, limit_s: float
) -> Iterator[Callable[[], dict[str, Outcome]]]:
    """Ask all of them at once, each in a thread of its own; the function given waits for the answers.

    A thread that DNS keeps longer than `limit_s` is left to itself.
    """
    asked = {key(service): service for service, _ in services if service.required or wanted}
    answers: dict[str, Outcome] = {}

    def work(name: str, service: Service) -> None:
        answers[name] = probe(service, environ, limit_s)

    threads = [threading.Thread(target=work, args=each, daemon=True) for each in asked.items()]
    for thread in threads:
        thread.start()

    def wait() -> dict[str, Outcome]:
        until = time.monotonic() + limit_s + 0.5
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        late = Outcome("dns", "unresolved", f"{CODES['unresolved']} within {limit_s:g} s")
        return {name: answers.get(name, late) for name in asked}

    yield wait


def probe(service: Service, environ: Mapping[str, str], limit_s: float = 3.0) -> Outcome:
    """How one service answers, within `limit_s` seconds (a slow DNS may take longer)."""
    began = time.monotonic()
    deadline = began + limit_s
    where = ""
    try:
        if not service.variable:
            raise _End("variable", "no variable")
        value = environ.get(service.variable, "").strip()
        if not value:
            raise _End("variable", "unset")
        if value == ABSENT:
            raise _End("variable", "absent")
        address = _address(value)
        where = f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"
        with _connected(address, deadline) as line:
            said = _greet(line, address)
        outcome = Outcome("hello", "answers" if said is not None else "open", said or CODES["open"])
    except _End as end:
        outcome = end.outcome
    return replace(outcome, where=where, took_ms=(time.monotonic() - began) * 1000)


def _address(value: str) -> _Address:
    try:
        parts = urlsplit(value)
        user, at, hosts = parts.netloc.rpartition("@")
        if parts.scheme.lower().startswith("mongodb"):  # of several members the first one will do
            parts = parts._replace(netloc=f"{user}{at}{hosts.split(',')[0]}")
        port, host = parts.port, parts.hostname or ""
        query = {name.lower(): each[-1] for name, each in parse_qs(parts.query).items()}
    except ValueError:
        raise _End("address", "malformed") from None
    scheme = parts.scheme.lower()
    rest = parts.path + parts.query + parts.fragment
    if scheme == "mongodb+srv":
        raise _End("dns", "not looked up")
    # A special character of a password that is not encoded makes a host or a path of its rest.
    if "://" not in value or "@" in rest or parts.netloc.count("@") > 1 or not _HOST.fullmatch(host):
        raise _End("address", "malformed")
    if port is None and (port := _PORTS.get(scheme)) is None:
        raise _End("address", "malformed", "it has no port")
    mode = query.get("sslmode", "")
    tls = scheme in ("rediss", "https", "amqps") or "true" in (query.get("tls"), query.get("ssl"))
    loose = query.get("ssl_cert_reqs") in ("none", "CERT_NONE") or "true" in (
        query.get("tlsinsecure"), query.get("tlsallowinvalidcertificates"),
    )  # fmt: skip
    if scheme.startswith("postgres"):
        tls, loose = mode in ("require", "verify-ca", "verify-full"), not mode.startswith("verify")
    return _Address(
        scheme, host, port, unquote(parts.username or ""), unquote(parts.password or ""),
        unquote(parts.path.lstrip("/")), tls, not loose,
        query.get("tlscafile") or query.get("ssl_ca_certs") or query.get("sslrootcert") or "",
    )  # fmt: skip


class _Wire:
    """A connection with a deadline for all that is said on it."""

    def __init__(self, connection: socket.socket, deadline: float, layer: str) -> None:
        self.connection = connection
        self.deadline = deadline
        self.layer = layer

    def ask(self, question: bytes, enough: Callable[[bytes], bool]) -> bytes:
        """Send, and read until it is enough; what comes slowly byte by byte ends with the deadline as well."""
        answer = b""
        try:
            self._wait()
            self.connection.sendall(question)
            while not enough(answer) and len(answer) < LONGEST_ANSWER:
                self._wait()
                piece = self.connection.recv(4096)
                if not piece:
                    break
                answer += piece
        except TimeoutError:
            if not answer:
                raise _End(self.layer, "silent") from None
        except OSError:
            if not answer:
                raise _End(self.layer, "closed") from None
        if not answer:
            raise _End(self.layer, "closed")
        return answer

    def _wait(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.connection.settimeout(left)


@contextlib.contextmanager
def _connected(address: _Address, deadline: float) -> Iterator[_Wire]:
    """A connection by TCP, and by TLS where the address says so."""
    places = _resolved(address, deadline)
    connection: socket.socket | None = None
    failure = _End("tcp", "unreachable")
    for family, place in places:
        left = deadline - time.monotonic()
        if left <= 0:
            failure = _End("tcp", "timeout")
            break
        candidate = socket.socket(family, socket.SOCK_STREAM)
        candidate.settimeout(left)
        try:
            candidate.connect(place)
        except OSError as error:
            candidate.close()
            failure = _tcp(error)
        else:
            connection = candidate
            break
    if connection is None:
        raise failure
    with contextlib.closing(connection):
        if address.scheme.startswith("postgres"):
            line = _Wire(connection, deadline, "tls")
            # SSLRequest: the server answers with one letter, and then speaks TLS or does not.
            letter = line.ask(struct.pack("!II", 8, 80877103), lambda answer: len(answer) >= 1)[:1]
            if letter not in (b"S", b"N"):
                raise _End("hello", "protocol", "it is not PostgreSQL")
            if letter == b"N" and address.tls:
                raise _End("tls", "tls", "the server does without it, the address asks for it")
            if letter == b"S":
                connection = _secured(connection, address, deadline)
        elif address.tls:
            connection = _secured(connection, address, deadline)
        with contextlib.closing(connection):
            yield _Wire(connection, deadline, "hello")


def _tcp(error: OSError) -> _End:
    if isinstance(error, ConnectionRefusedError):
        return _End("tcp", "refused")
    if isinstance(error, TimeoutError):
        return _End("tcp", "timeout")
    return _End("tcp", "unreachable")


def _resolved(address: _Address, deadline: float) -> list[tuple[socket.AddressFamily, Any]]:
    """The addresses of a host. The question itself has no time limit, so it is asked in a thread that may be left."""
    found: list[tuple[socket.AddressFamily, Any]] = []

    def work() -> None:
        with contextlib.suppress(OSError, UnicodeError):
            answers = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            found.extend((family, place) for family, _, _, _, place in answers)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if thread.is_alive():
        raise _End("dns", "unresolved", "DNS did not answer in time")
    if not found:
        raise _End("dns", "unresolved")
    return found


def _secured(connection: socket.socket, address: _Address, deadline: float) -> ssl.SSLSocket:
    try:
        context = ssl.create_default_context(cafile=address.authority or None)
    except OSError:
        raise _End("tls", "certificate", "the file of trusted certificates cannot be read") from None
    if not address.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    connection.settimeout(max(0.01, deadline - time.monotonic()))
    try:
        return context.wrap_socket(connection, server_hostname=address.host)
    except ssl.SSLCertVerificationError as error:
        raise _End("tls", "certificate", error.verify_message) from None
    except TimeoutError:
        raise _End("tls", "silent") from None
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        raise _End("tls", "closed") from None
    except ssl.SSLError:
        raise _End("tls", "tls", "the service answers without it") from None
    except OSError:
        raise _End("tls", "closed") from None


def _greet(line: _Wire, address: _Address) -> str | None:
    """What the service says in its own protocol; None where that is not known."""
    match address.scheme:
        case "redis" | "rediss":
            return _redis(line, address)
        case "mongodb":
            return _mongodb(line)
        case "postgres" | "postgresql":
            return _postgresql(line, address)
        case _:
            return None


def _redis(line: _Wire, address: _Address) -> str:
    commands = []
    if address.password:
        user = [address.user] if address.user and address.user != "default" else []
        commands.append(["AUTH", *user, address.password])
    commands.append(["PING"])
    question = b"".join(
        b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
        for words in commands
    )

    def enough(answer: bytes) -> bool:
        return (bool(answer) and answer[:1] not in (b"+", b"-")) or answer.count(b"\r\n") >= len(commands)

    answer = line.ask(question, enough)
    replies = answer.split(b"\r\n")[: len(commands)]
    if replies[-1:] == [b"+PONG"]:
        return "answers PING"
    if answer[:2] == b"\x15\x03":
        raise _End("hello", "protocol", "it speaks TLS, and the address does not say so (rediss://)")
    refused = next((reply for reply in replies if reply.startswith(b"-")), b"")
    word = refused[1:].split(b" ")[0].decode(errors="replace")
    if not re.fullmatch(r"[A-Z]{2,20}", word):
        raise _End("hello", "protocol", "it is not Redis")
    if word in ("LOADING", "BUSY", "MASTERDOWN"):
        raise _End("hello", "busy", word)
    raise _End("hello", "denied", word)


def _mongodb(line: _Wire) -> str:
    # isMaster is what drivers of every age begin with; hello is its younger name.
    command = b"\x10isMaster\0" + struct.pack("<i", 1) + b"\x02$db\0" + struct.pack("<i", 6) + b"admin\0"
    document = struct.pack("<i", len(command) + 5) + command + b"\0"
    body = struct.pack("<I", 0) + b"\0" + document
    number = 1
    question = struct.pack("<iiii", 16 + len(body), number, 0, 2013) + body

    def enough(answer: bytes) -> bool:
        return len(answer) >= 4 and (len(answer) >= struct.unpack_from("<i", answer)[0] or not _is_op_msg(answer))

    answer = line.ask(question, enough)
    if len(answer) < 26 or not _is_op_msg(answer) or struct.unpack_from("<i", answer, 8)[0] != number:
        raise _End("hello", "protocol", "it is not MongoDB")
    if b"\x01ok\0" + struct.pack("<d", 1.0) not in answer and b"\x10ok\0" + struct.pack("<i", 1) not in answer:
        raise _End("hello", "denied", "it refuses isMaster")
    return "answers isMaster"


def _is_op_msg(answer: bytes) -> bool:
    size = struct.unpack_from("<i", answer)[0]
    return 16 < size <= 48_000_000 and (len(answer) < 16 or struct.unpack_from("<i", answer, 12)[0] == 2013)


def _postgresql(line: _Wire, address: _Address) -> str:
    user = address.user or "postgres"
    pairs = {"user": user, "database": address.database or user, "application_name": "lancio"}
    body = b"".join(f"{name}\0{value}\0".encode() for name, value in pairs.items()) + b"\0"
    question = struct.pack("!II", 8 + len(body), 196608) + body

    def enough(answer: bytes) -> bool:
        return len(answer) >= 5 and (answer[:1] == b"R" or len(answer) > struct.unpack_from("!I", answer, 1)[0])

    answer = line.ask(question, enough)
    if answer[:1] == b"R":
        return "answers the startup message"
    state = re.search(rb"\0C([0-9A-Z]{5})\0", answer)
    if answer[:1] != b"E" or state is None:
        raise _End("hello", "protocol", "it is not PostgreSQL")
    word = state[1].decode()
    raise _End("hello", "busy" if word in ("57P03", "53300") else "denied", f"SQLSTATE {word}")
