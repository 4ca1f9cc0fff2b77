"""MongoDB: a probe of one server, and pymongo's own client for a deployment.

The probe is a line of our own (mongodb_wire); the client is pymongo's, and is given after a probe was let in.

What pymongo or the server say in words is never looked at: numbers and classes decide. Numbers are those of MongoDB's
error_codes.yml; Atlas has 8000 of its own.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pymongo
from dns import resolver as dns
from dns.exception import Timeout as DnsTimeout
from pymongo import AsyncMongoClient, MongoClient, errors
from pymongo.asynchronous.uri_parser import parse_uri

from lancio.drivers import network, tls
from lancio.drivers.findings import DatabaseRefused, Failed, finding
from lancio.drivers.model import DEFAULT_LIMITS
from lancio.drivers.mongodb_wire import (
    Hello,
    Line,
    NotMongoDB,
    Refusal,
    log_in_by_certificate,
    log_in_by_scram,
    log_in_in_clear,
)
from lancio.drivers.walk import until_one, walked
from lancio.registry.connection_strings import ConnectionStringRefused, Host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

    from lancio.drivers.model import Code, Layer, Limits, Probe
    from lancio.drivers.walk import Walk
    from lancio.registry.connection_strings import MongoDB

Client = MongoClient[dict[str, Any]]
AsyncClient = AsyncMongoClient[dict[str, Any]]

_FILES: Final = ("tlsCAFile", "tlsCRLFile", "tlsCertificateKeyFile")
_AMBIENT: Final = frozenset({"GSSAPI", "MONGODB-AWS", "MONGODB-OIDC"})
"""Ways to log in that take, where no password is given, who this machine or its user is."""
_ASIDE_S: Final = 1.0
"""How long a second connection may take that is to find out why the first came to nothing."""
_FAREWELL_S: Final = 0.2
"""For telling the server which sessions are over."""
_DATABASES: Final[dict[str, Any]] = {"listDatabases": 1, "nameOnly": True, "authorizedDatabases": True}
"""Needs a login, where the server has users, and no right at all."""
_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]{1,40}")

_ANYWHERE: Final[dict[int, Code]] = {
    50: "timeout", 89: "timeout", 262: "timeout",
    91: "stopping", 11600: "stopping",
    13436: "starting",
    189: "no-primary", 10058: "no-primary", 10107: "no-primary", 11602: "no-primary", 13435: "no-primary",
    261: "too-many-connections",
}  # fmt: skip
_AT_LOGIN: Final[dict[int, Code]] = {
    11: "login-failed", 18: "login-failed", 8000: "login-failed",
    2: "login-method", 17: "login-method", 59: "login-method", 334: "login-method",
    13: "login-forbidden", 168: "login-forbidden",
}  # fmt: skip


# --- the probe --------------------------------------------------------------------------------------------------------


async def probe(
    target: MongoDB, host: Host, limits: Limits = DEFAULT_LIMITS, upto: Layer = "read", *, local_files: bool = False
) -> Probe:
    """How far one server of the connection string can be reached; of a mongodb+srv name the first that is there.

    Nothing is written. Reading is the list of the database's collections, as far as the user may see them, without
    what they hold; where the string names no database, the list of databases.
    """

    async def way(walk: Walk) -> None:
        usable = _usable(target, local_files=local_files)
        known, member, reached = await _reached(walk, usable, host, limits)
        line: Line | None = None
        try:
            line = await _line(walk, known, member, reached)
            hello = await _greeted(walk, known, line, reached.address)
            with walk.layer("login"):
                if walk.role == "arbiter":
                    raise Failed("login", "login-forbidden", "arbiter")
                await _logged_in(line, known, hello)
            with walk.layer("read"):
                walk.version = await _read(line, known)
        finally:
            if line:
                line.close()
                await asyncio.sleep(0)  # so that it is closed
            reached.socket.close()

    return await walked("mongodb", host, limits, upto, way)


async def _reached(walk: Walk, target: MongoDB, host: Host, limits: Limits) -> tuple[MongoDB, Host, network.Reached]:
    """Layers name and reach: the string without SRV, the server of it, and a connection to that."""
    with walk.layer("name"):
        known = await _listed(target, limits)
    members = known.hosts if target.srv else (host,)
    with walk.layer("name"):
        found = await asyncio.gather(*(network.addresses(each, limits) for each in members), return_exceptions=True)
        places: dict[network.Address, Host] = {}
        for member, addresses in zip(members, found, strict=True):
            if not isinstance(addresses, BaseException):
                places |= {each: member for each in addresses if each not in places}
        for failed in found:
            if isinstance(failed, BaseException) and not places:
                raise failed
    with walk.layer("reach"):
        reached = await network.connected(tuple(places), limits)
    walk.address = reached.address.shown
    return known, places[reached.address], reached


async def _line(walk: Walk, known: MongoDB, member: Host, reached: network.Reached) -> Line:
    """Layer tls."""
    if known.tls == "off":
        return Line(*await asyncio.open_connection(sock=reached.socket))
    with walk.layer("tls"):
        try:
            return Line(*await _encrypted(reached.socket, _context(known), member))
        except (OSError, EOFError, ssl.CertificateError) as broken:
            raise await _why_not_encrypted(broken, reached.address) from None


async def _greeted(walk: Walk, known: MongoDB, line: Line, address: network.Address) -> Hello:
    """Layer hello."""
    with walk.layer("hello"):
        by_password = known.user and known.option("authMechanism") in (None, "DEFAULT")
        try:
            hello = await line.hello(f"{_source(known)}.{known.user}" if by_password else None)
        except (NotMongoDB, OSError, EOFError) as broken:
            raise await _why_no_hello(broken, address, encrypted=known.tls != "off") from None
        walk.role = hello.role
        _check(hello, known)
    return hello


def _check(hello: Hello, known: MongoDB) -> None:
    """Whether it is a server that can be logged in to, and the one that the string means."""
    if hello.code is not None:
        raise Failed("hello", _ANYWHERE.get(hello.code, "other-kind" if hello.code == 59 else "unexpected"))
    if not hello.newest:
        raise Failed("hello", "other-kind")
    if not hello.spoken:
        raise Failed("hello", "unsupported-version")
    if (wanted := known.option("replicaSet")) and hello.initiated and hello.set_name != wanted:
        raise Failed("hello", "option", "replicaSet")
    if not hello.ready and hello.role != "arbiter":
        raise Failed("hello", "starting")


async def _why_not_encrypted(broken: BaseException, address: network.Address) -> Failed:
    """What a handshake that broke means: a server without TLS hangs up on it, and answers a hello as it is."""
    if (code := tls.code_of(broken)) and code != "tls-failed":
        return Failed("tls", code)
    try:
        async with asyncio.timeout(_ASIDE_S):
            reached = await network.connected((address,), DEFAULT_LIMITS)
            line = Line(*await asyncio.open_connection(sock=reached.socket))
            try:
                await line.hello()
            finally:
                line.close()
                await asyncio.sleep(0)
        return Failed("tls", "tls-unsupported")
    except (Failed, NotMongoDB, OSError, EOFError):  # TimeoutError is an OSError
        return Failed("tls", "tls-failed", tls.reason_of(broken))


async def _why_no_hello(broken: Exception, address: network.Address, *, encrypted: bool) -> Failed:
    """What no answer to a hello means: a server that takes TLS only hangs up on it, and answers a handshake."""
    if code := tls.code_of(broken):
        return Failed("tls", code, tls.reason_of(broken))
    if isinstance(broken, NotMongoDB) or (isinstance(broken, asyncio.IncompleteReadError) and broken.partial):
        return Failed("hello", "other-kind")
    if not encrypted:
        context = tls.context(tls.TlsParts("unverified"))
        try:
            async with asyncio.timeout(_ASIDE_S):
                reached = await network.connected((address,), DEFAULT_LIMITS)
                _, writer = await _encrypted(reached.socket, context, None)
            writer.transport.abort()
            await asyncio.sleep(0)
            return Failed("tls", "tls-required")
        except Failed:
            pass
        except (OSError, EOFError) as refused:
            if tls.code_of(refused) == "client-certificate":
                return Failed("tls", "tls-required")
    return Failed("hello", "closed")


async def _encrypted(
    line: socket.socket, context: ssl.SSLContext, host: Host | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    name = host.name.partition("%")[0] if host else ""
    return await asyncio.open_connection(sock=line, ssl=context, server_hostname=name)


# --- logging in and reading -------------------------------------------------------------------------------------------


async def _logged_in(line: Line, known: MongoDB, hello: Hello) -> None:
    """Layer login."""
    mechanism = known.option("authMechanism") or "DEFAULT"
    user, password = known.user or "", known.password.reveal() if known.password else ""
    if mechanism == "DEFAULT":
        if not known.user:
            return
        told = hello.mechanisms
        mechanism = "SCRAM-SHA-1" if told and "SCRAM-SHA-256" not in told else "SCRAM-SHA-256"
    with _telling("login", known):
        if mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
            await log_in_by_scram(line, mechanism, _source(known), user, password)
        elif mechanism == "MONGODB-X509":
            await log_in_by_certificate(line, known.user)
        elif mechanism == "PLAIN":
            await log_in_in_clear(line, known.option("authSource") or known.database or "$external", user, password)
        else:
            raise Failed("login", "login-method", mechanism)


async def _read(line: Line, known: MongoDB) -> str | None:
    """Layer read: what may be seen, and the server's version."""
    direct = {"$readPreference": {"mode": "primaryPreferred"}}  # as it is, primary or not
    if known.database:
        # With both flags any right in the database is enough; of one name, the answer is short.
        seen: dict[str, Any] = {
            "listCollections": 1, "nameOnly": True, "authorizedCollections": True, "filter": {"name": "lancio_probe"}
        }  # fmt: skip
    else:
        seen = _DATABASES
    with _telling("read", known):
        await line.ask(known.database or "admin", seen | direct)
        version = (await line.ask("admin", {"buildInfo": 1} | direct)).get("version")
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else None


@contextmanager
def _telling(layer: Layer, known: MongoDB) -> Iterator[None]:
    """What goes wrong on a line that was greeted, as a failure of that layer."""
    try:
        yield
    except Refusal as refusal:
        raise _refused(refusal.number, layer, known) from None
    except NotMongoDB:
        raise Failed(layer, "unexpected", "Protocol") from None
    except (OSError, EOFError) as broken:
        raise _broken_line(broken, layer) from None


def _source(known: MongoDB) -> str:
    """The database that the user was made in."""
    return known.option("authSource") or known.database or "admin"


def _refused(number: int, layer: Layer, target: MongoDB) -> Failed:
    """The failure that an error of the server's is, by its number."""
    if number in _ANYWHERE:
        return Failed(layer, _ANYWHERE[number])
    if layer == "login":
        return Failed(layer, _AT_LOGIN.get(number, "unexpected"))
    if number == 13:
        return Failed(layer, "read-denied" if _logs_in(target) else "login-required")
    return Failed(layer, "read-failed", f"{number}" if number else "")


def _told(error: BaseException, layer: Layer, target: MongoDB, made: AsyncClient | Client | None = None) -> Failed:
    """The failure that an error of pymongo's is."""
    if isinstance(error, errors.ServerSelectionTimeoutError) and made is not None:
        servers = made.topology_description.server_descriptions().values()
        if any(server.is_server_type_known for server in servers):
            return Failed(layer, "no-primary")
        return next(
            (_told(server.error, layer, target) for server in servers if server.error is not None),
            Failed(layer, "timeout"),
        )
    number = _number(error)
    if number is not None:
        return _refused(number, layer, target)
    if getattr(error, "timeout", False) is True:
        return Failed(layer, "timeout")
    if isinstance(error, errors.OperationFailure) and layer == "login":
        return Failed(layer, "unexpected", "SCRAM")  # pymongo's own: the server's part is not as it should be
    if isinstance(error, errors.ConfigurationError):
        return Failed(layer, "login-method" if layer == "login" else "option")
    if isinstance(error, errors.ConnectionFailure):
        return _broken_line(error, layer)
    return Failed(layer, "unexpected", type(error).__name__)


def _broken_line(error: BaseException, layer: Layer) -> Failed:
    """What the system said of a line, behind what pymongo says."""
    cause: BaseException | None = error
    while cause is not None:
        if code := tls.code_of(cause):
            return Failed("tls", code, tls.reason_of(cause))
        if isinstance(cause, socket.gaierror):
            return Failed("name", "name-unknown")
        if isinstance(cause, ConnectionRefusedError):
            return Failed("reach", "refused")
        cause = cause.__cause__ or cause.__context__
    return Failed(layer, "closed")


def _number(error: BaseException) -> int | None:
    if isinstance(error, errors.OperationFailure):
        return error.code
    if isinstance(error, errors.NotPrimaryError) and isinstance(error.details, dict):
        number = error.details.get("code")
        return number if isinstance(number, int) else None
    return None


def _logs_in(target: MongoDB) -> bool:
    return bool(target.user or target.option("authMechanism"))


# --- what the string means --------------------------------------------------------------------------------------------


def _usable(target: MongoDB, *, local_files: bool) -> MongoDB:
    """The string, if it is for here.

    Raises:
        Failed: what is not for here: files and sockets of this machine, or being somebody because this machine is.
    """
    if not local_files:
        network.refuse_sockets(target.hosts)
        for name in _FILES:
            if target.option(name):
                raise Failed("name", "option", name)
        if target.option("authMechanism") in _AMBIENT:
            raise Failed("name", "option", "authMechanism")
    if target.option("tls") == "false" and target.means_tls:
        raise Failed("name", "option", "tls")
    return target


def _context(target: MongoDB) -> ssl.SSLContext:
    """How the line is to be encrypted.

    Raises:
        Failed: tls-files.
    """
    password = next((value for name, value in target.options if name == "tlsCertificateKeyFilePassword"), None)
    return tls.context(
        tls.TlsParts(
            target.tls,
            ca_file=target.option("tlsCAFile"),
            certificate=target.option("tlsCertificateKeyFile"),
            key_password=password if not isinstance(password, str) else None,
            revoked=target.option("tlsCRLFile"),
        )
    )


async def _listed(target: MongoDB, limits: Limits) -> MongoDB:
    """The servers that DNS lists under a mongodb+srv name, and the options it gives; any other string as it is.

    Which servers and options are allowed is pymongo's to say: those below the name's own domain, and of the options
    authSource, replicaSet and loadBalanced.

    Raises:
        Failed: name-unknown, name-failed, timeout.
    """
    if not target.srv:
        return target
    lookup = tuple(option for option in target.options if option[0] in ("replicaSet", "srvMaxHosts", "srvServiceName"))
    bare = replace(target, user=None, password=None, database=None, options=lookup)
    try:
        async with asyncio.timeout(limits.connect_s):
            found = await parse_uri(bare.build(), connect_timeout=limits.connect_s)
    except (TimeoutError, DnsTimeout):
        raise Failed("name", "timeout") from None
    except (errors.PyMongoError, TypeError, ValueError) as error:
        if isinstance(error.__cause__, DnsTimeout):
            raise Failed("name", "timeout") from None
        unknown = isinstance(error.__cause__, (dns.NXDOMAIN, dns.NoAnswer))
        raise Failed("name", "name-unknown" if unknown else "name-failed") from None
    given = dict(target.options)
    for name in ("authSource", "replicaSet", "loadBalanced"):
        if (value := found["options"].get(name)) is not None and name not in given:
            given[name] = str(value).lower() if isinstance(value, bool) else str(value)
    given.setdefault("tls", "true")
    given = {name: value for name, value in given.items() if name not in ("srvMaxHosts", "srvServiceName")}
    # readPreferenceTags may be there several times.
    tags = tuple(option for option in target.options if option[0] == "readPreferenceTags")
    options = (*(item for item in given.items() if item[0] != "readPreferenceTags"), *tags)
    try:
        hosts = tuple(Host(name, port) for name, port in found["nodelist"])
        return replace(target, hosts=hosts, srv=False, options=options)
    except ConnectionStringRefused:
        raise Failed("name", "name-failed") from None


# --- the client -------------------------------------------------------------------------------------------------------


@contextmanager
def client(target: MongoDB, limits: Limits = DEFAULT_LIMITS, *, local_files: bool = False) -> Iterator[Client]:
    """pymongo's own client for the whole deployment, logged in; it is closed behind the block.

    Options of the string hold. Where it says nothing, a server is looked for as long as `limits.total_s`, and a
    connection is tried as long as `limits.connect_s`; calls in the block have no time limit but the string's.

    Raises:
        DatabaseRefused: with the finding that a probe would give; within `limits.total_s`.
    """
    made = network.waited(_opened(target, limits, local_files=local_files))
    try:
        yield made
    finally:
        _close(made)


async def _opened(target: MongoDB, limits: Limits, *, local_files: bool) -> Client:
    ends = time.monotonic() + limits.total_s
    known = await _proved(target, limits, local_files=local_files)
    with _making(target):
        made: Client = MongoClient(known.build(), **_patience(known, limits))

    def ask() -> None:
        with pymongo.timeout(max(ends - time.monotonic(), 0.001)):
            made.admin.command(_proof(known)[1], read_preference=made.read_preference)

    try:
        # In a thread, for pymongo's own limit does not hold while it does a server's rounds of SCRAM.
        await _answered(network.apart(ask), made, known, ends)
    except BaseException:
        _close(made)
        raise
    return made


def _close(made: Client) -> None:
    with pymongo.timeout(_FAREWELL_S):
        made.close()


@asynccontextmanager
async def async_client(
    target: MongoDB, limits: Limits = DEFAULT_LIMITS, *, local_files: bool = False
) -> AsyncIterator[AsyncClient]:
    """The same of pymongo's asynchronous client."""
    ends = time.monotonic() + limits.total_s
    known = await _proved(target, limits, local_files=local_files)
    with _making(target):
        made: AsyncClient = AsyncMongoClient(known.build(), **_patience(known, limits))
    try:
        asked = made.admin.command(_proof(known)[1], read_preference=made.read_preference)
        await _answered(asked, made, known, ends)
        yield made
    finally:
        with pymongo.timeout(_FAREWELL_S):
            await made.close()


async def _answered(
    asked: Coroutine[Any, Any, object], made: Client | AsyncClient, known: MongoDB, ends: float
) -> None:
    """Wait for a client's first answer.

    Raises:
        DatabaseRefused: there is none.
    """
    layer, _ = _proof(known)
    try:
        async with asyncio.timeout(max(ends - time.monotonic(), 0.001)):
            await asked
        return
    except TimeoutError:
        found = made.topology_description.has_readable_server(made.read_preference)
        failed = Failed(layer, "timeout") if found else _told(errors.ServerSelectionTimeoutError(), layer, known, made)
    except Exception as error:  # it tells what it is, or that it is not known
        failed = _told(error, layer, known, made)
    raise DatabaseRefused(finding("mongodb", known.hosts[0], failed))


async def _proved(target: MongoDB, limits: Limits, *, local_files: bool) -> MongoDB:
    """The string without SRV, one of whose servers lets its user in.

    Raises:
        DatabaseRefused: none is; the finding is the first one's.
    """
    try:
        known = await _listed(_usable(target, local_files=local_files), limits)
    except Failed as failed:
        raise DatabaseRefused(finding("mongodb", target.hosts[0], failed)) from None
    upto: Layer = "hello" if known.option("authMechanism") in _AMBIENT else "login"
    probes = (probe(known, host, limits, upto, local_files=local_files) for host in known.hosts)
    found = await until_one(probes, lambda each: each.finding is None)
    if all(each.finding for each in found) and found[0].finding:
        raise DatabaseRefused(found[0].finding)
    return known


@contextmanager
def _making(target: MongoDB) -> Iterator[None]:
    """What pymongo takes for no way to log in before it has connected."""
    failed = False
    try:
        yield
    except errors.ConfigurationError:
        failed = True
    if failed:
        raise DatabaseRefused(finding("mongodb", target.hosts[0], Failed("login", "login-method")))


def _proof(target: MongoDB) -> tuple[Layer, dict[str, Any]]:
    """What a client is asked first: to come in; without a user, whether one is needed (a ping is answered to all)."""
    return ("login", {"ping": 1}) if _logs_in(target) else ("read", _DATABASES)


def _patience(target: MongoDB, limits: Limits) -> dict[str, Any]:
    """What holds where the string says nothing.

    Servers are asked how they are every ten seconds, instead of telling it when it changes: a thread that waits for
    that is not always woken when its client is closed, and would be left for as long. An error asks anew in both.
    """
    wanted = {
        "appname": ("appName", "lancio"),
        "serverMonitoringMode": ("serverMonitoringMode", "poll"),
        "serverSelectionTimeoutMS": ("serverSelectionTimeoutMS", int(limits.total_s * 1000)),
        "connectTimeoutMS": ("connectTimeoutMS", int(limits.connect_s * 1000)),
    }
    return {name: value for name, (option, value) in wanted.items() if target.option(option) is None}
