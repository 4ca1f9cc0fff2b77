"""PostgreSQL: a probe of one server, and psycopg's connection to a database.

The probe goes all its way on a line of its own (postgresql_wire), one connection where that is enough. A second one is
made where libpq would make one (sslmode allow and prefer), and to find out whether a user who is not let in without TLS
would be with it. The client is libpq's; where that fails, a probe tells why.

What the environment says to libpq (PGPASSWORD, ~/.pgpass, ~/.postgresql) is not taken: it is meant for another server.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import random
import re
import ssl
import stat
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from lancio.drivers import network, tls
from lancio.drivers.findings import DatabaseRefused, Failed, finding
from lancio.drivers.model import DEFAULT_LIMITS, Limits
from lancio.drivers.postgresql_wire import Asked, Line, Login, Refusal, failure
from lancio.drivers.walk import walked
from lancio.registry.connection_strings import Host
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from lancio.drivers.model import Finding, Layer, Probe, Role
    from lancio.drivers.walk import Walk
    from lancio.registry.connection_strings import PostgreSQL

Connection = psycopg.Connection[tuple[Any, ...]]
AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]

OLDEST: Final = 10
"""The oldest major version that psycopg speaks to."""

_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_NOT_HERE: Final = ("service", "passfile", "sslcrldir", "scram_client_key", "scram_server_key", "oauth_issuer")
"""Options that would say elsewhere what a registered connection string says itself, would have libpq ask another server
(oauth_issuer), and some that few use."""
_SOCKET_FOLDERS: Final = ("/var/run/postgresql", "/tmp")  # noqa: S108  (libpq's own)
_NO_FILE: Final = os.devnull + "/none"
"""A path where there can be no file: libpq falls back to files of the user's home where it is given none."""
_OF_PROTOCOL: Final = ("min_protocol_version", "max_protocol_version")
"""Where libpq takes no empty text for its own default, which is 3.0."""
_CONNECTING: Final = 0.6
"""The part of the time that a client may take to connect; the rest is for finding out why not."""
_ASIDE_S: Final = 1.0
"""How long a second connection may take that is to find out why the first came to nothing."""
_VERSION: Final = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,3}(?:(?:alpha|beta|devel|rc)[0-9]{0,3})?")
_QUESTION: Final = (
    "SELECT pg_catalog.pg_is_in_recovery()::pg_catalog.text,"
    " pg_catalog.current_setting('transaction_read_only'), pg_catalog.current_setting('server_version')"
)


# --- the probe --------------------------------------------------------------------------------------------------------


async def probe(
    target: PostgreSQL, host: Host, limits: Limits = DEFAULT_LIMITS, upto: Layer = "read", *, local_files: bool = False
) -> Probe:
    """How far one server of the connection string can be reached. Nothing is written, and one SELECT is made."""

    async def way(walk: Walk) -> None:
        single = target.single(host)
        where = _placed(host)
        _usable(single, local_files=local_files)
        with walk.layer("name"):
            addresses = await _addresses(where, limits)
        with walk.layer("reach"):
            reached = await network.connected(addresses, limits)
        walk.address = reached.address.shown
        await _ways(walk, single, where, reached, limits)

    return await walked("postgresql", host, limits, upto, way)


async def _ways(walk: Walk, target: PostgreSQL, host: Host, reached: network.Reached, limits: Limits) -> None:
    """The line in the ways that sslmode allows, the first that does wins."""
    mode = "disable" if host.socket else _sslmode(target)
    ways = {"disable": (False,), "allow": (False, True), "prefer": (True, False)}.get(mode, (True,))
    first: Failed | None = None
    try:
        for place, encrypted in enumerate(ways):
            try:
                if place:
                    reached = await network.connected([reached.address], limits)
                await _through(walk, target, host, reached, encrypted=encrypted)
            except Failed as failed:
                first = first or failed
                if failed.code not in ("tls-failed", "client-certificate", "login-forbidden"):
                    break
            else:
                return
        assert first is not None  # noqa: S101  (there is one way at least)
        with suppress(Failed, TimeoutError):
            async with asyncio.timeout(_ASIDE_S):
                if mode == "disable" and not host.socket and first.code == "login-forbidden":
                    reached = await network.connected([reached.address], limits)
                    if await _with_tls(target, host, reached):
                        first = Failed("tls", "tls-required")
                elif mode != "disable" and (first.layer, first.code) == ("hello", "closed"):
                    reached = await network.connected([reached.address], limits)
                    first = await _last_words(target, host, reached) or first
        raise first
    finally:
        reached.socket.close()


async def _through(walk: Walk, target: PostgreSQL, host: Host, reached: network.Reached, *, encrypted: bool) -> None:
    """The layers from tls to read, on one connection."""
    login = _login(target)
    if encrypted:
        with walk.layer("tls"):
            line, secured = await _encrypted(target, host, reached)
    else:
        line, secured = await Line.over(reached), False
    async with line:
        if not secured:
            walk.without("tls")
        line.layer = "hello"
        with walk.layer("hello"):
            asked = await line.start(login)
            if isinstance(asked, Refusal):
                found = failure(asked, "hello", over_tls=secured)
                walk.role = "loading" if found.code == "starting" else None
                raise found
        line.layer = "login"
        with walk.layer("login"):
            told = await line.log_in(asked, login)
            if isinstance(told, Refusal):
                raise failure(told, "login", over_tls=secured)
        walk.version = _version(told.get("server_version"))
        line.layer = "read"
        with walk.layer("read"):
            walk.role = await _read(line, walk)


async def _encrypted(target: PostgreSQL, host: Host, reached: network.Reached) -> tuple[Line, bool]:
    """A line under TLS; without it where the server has none and sslmode takes that too."""
    context = tls.context(_tls_parts(target))
    context.set_alpn_protocols(["postgresql"])
    name = host.name or host.address
    if target.option("sslnegotiation") == "direct":
        return await Line.over_tls(reached, context, name), True
    line = await Line.over(reached)
    try:
        if await line.offers_tls():
            await line.encrypt(context, name)
            return line, True
        if target.tls != "optional":
            raise Failed("tls", "tls-unsupported")
    except BaseException as error:
        await line.__aexit__(type(error))
        raise
    return line, False


async def _with_tls(target: PostgreSQL, host: Host, reached: network.Reached) -> bool:
    """Whether the server would go on with this user under TLS. Nothing secret is sent."""
    try:
        line = await Line.over(reached)
        async with line:
            if not await line.offers_tls():
                return False
            await line.encrypt(tls.context(tls.TlsParts(check="unverified")), host.name or host.address)
            return isinstance(await line.start(_login(target)), Asked)
    except Failed:
        return False


async def _last_words(target: PostgreSQL, host: Host, reached: network.Reached) -> Failed | None:
    """What the server says of our certificate to one who listens.

    In TLS 1.3 it says so behind the handshake, and its words are lost where ours cross them.
    """
    try:
        line, secured = await _encrypted(target, host, reached)
        async with line:
            if secured:
                await line.listen()
    except Failed as failed:
        return failed if failed.layer == "tls" and failed.code != "closed" else None
    return None


async def _read(line: Line, walk: Walk) -> Role:
    row = await line.ask(_QUESTION)
    if isinstance(row, Refusal):
        if row.state == "42501":
            raise Failed("read", "read-denied")
        if row.state.startswith("57P"):
            raise failure(row, "read")
        raise Failed("read", "read-failed", row.state)
    if len(row) != 3:
        raise Failed("read", "read-failed")
    recovering, read_only, version = row
    walk.version = _version(version)
    if walk.version is not None and int(walk.version.split(".")[0]) < OLDEST:
        raise Failed("read", "unsupported-version")
    return "replica" if recovering == "true" else "read-only" if read_only == "on" else "primary"


def _version(told: str | None) -> str | None:
    found = _VERSION.match(told or "")
    return found[0] if found else None


# --- what a connection string asks for --------------------------------------------------------------------------------


def _usable(target: PostgreSQL, *, local_files: bool) -> None:
    """Refuse options that are not for here."""
    for name in _NOT_HERE:
        if target.option(name) is not None:
            raise Failed("name", "option", name)
    if target.option("gssencmode") == "require":
        raise Failed("name", "option", "gssencmode")
    if not local_files:
        network.refuse_sockets(map(_placed, target.hosts))
        for name in _FILES:
            if target.option(name) is not None and (name, target.option(name)) != ("sslrootcert", "system"):
                raise Failed("name", "option", name)


def _placed(host: Host) -> Host:
    """The host, or where libpq looks if there is none: a socket, else this machine."""
    if host.name or host.address:
        return host
    for folder in _SOCKET_FOLDERS:
        if os.path.exists(f"{folder}/.s.PGSQL.{host.port}"):  # noqa: PTH110
            return Host(folder, host.port)
    return Host(_SOCKET_FOLDERS[0], host.port)


async def _addresses(host: Host, limits: Limits) -> tuple[network.Address, ...]:
    if host.socket:
        return (network.socket_address(f"{host.name}/.s.PGSQL.{host.port}"),)
    return await network.addresses(host, limits)


def _sslmode(target: PostgreSQL) -> str:
    return target.option("sslmode") or ("verify-full" if target.option("sslrootcert") == "system" else "prefer")


def _user(target: PostgreSQL) -> str:
    try:
        return target.user or pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user without a name
        raise Failed("name", "option", "user") from None


def _login(target: PostgreSQL) -> Login:
    user = _user(target)
    return Login(
        user,
        target.password,
        target.database or user,
        target.option("options"),
        target.option("channel_binding") or "prefer",
        target.option("require_auth") or "",
    )


_TLS_VERSIONS: Final = {"tlsv1.2": ssl.TLSVersion.TLSv1_2, "tlsv1.3": ssl.TLSVersion.TLSv1_3}


def _tls_parts(target: PostgreSQL) -> tls.TlsParts:
    highest = (target.option("ssl_max_protocol_version") or "tlsv1.3").lower()
    if highest not in _TLS_VERSIONS:
        raise Failed("tls", "option", "ssl_max_protocol_version")
    lowest = (target.option("ssl_min_protocol_version") or "").lower()
    root = target.option("sslrootcert")
    key = target.option("sslkey")
    if key is not None:
        _closed(key)
    certificate = target.option("sslcert") if target.option("sslcertmode") != "disable" else None
    password = target.option("sslpassword")
    return tls.TlsParts(
        check=target.tls,
        ca_file=None if root == "system" else root,
        certificate=certificate,
        key=key if certificate else None,
        key_password=Secret(password) if password else None,
        revoked=target.option("sslcrl"),
        lowest=_TLS_VERSIONS.get(lowest, ssl.TLSVersion.TLSv1_2),
        highest=_TLS_VERSIONS[highest],
    )


def _closed(key: str) -> None:
    """Refuse a key that others may read, as libpq does."""
    try:
        found = os.stat(key)  # noqa: PTH116
    except OSError:
        raise Failed("tls", "tls-files", "sslkey") from None
    allowed = 0o640 if found.st_uid == 0 else 0o600
    if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) & 0o077 & ~allowed:
        raise Failed("tls", "tls-files", "sslkey")


# --- the client -------------------------------------------------------------------------------------------------------


@contextmanager
def client(target: PostgreSQL, limits: Limits = DEFAULT_LIMITS, *, local_files: bool = False) -> Iterator[Connection]:
    """A connection to the first host that is as the connection string wants it; closed behind the block.

    As psycopg's own: in a transaction, which is committed at the block's end and rolled back if it raises.

    Raises:
        DatabaseRefused: with what a probe finds.
    """
    raw = network.waited(_opened(target, limits, local_files=local_files))
    with psycopg.Connection[tuple[Any, ...]](raw) as connection:
        yield connection


@asynccontextmanager
async def async_client(
    target: PostgreSQL, limits: Limits = DEFAULT_LIMITS, *, local_files: bool = False
) -> AsyncIterator[AsyncConnection]:
    """The same for a caller in an event loop."""
    raw = await _opened(target, limits, local_files=local_files)
    async with psycopg.AsyncConnection[tuple[Any, ...]](raw) as connection:
        yield connection


async def _opened(target: PostgreSQL, limits: Limits, *, local_files: bool) -> pq.abc.PGconn:
    """libpq's connection.

    Raises:
        DatabaseRefused: with what a probe finds.
    """
    start = time.monotonic()
    outcome = await _attempted(target, limits, local_files=local_files)
    if isinstance(outcome, Failed):
        raise DatabaseRefused(finding("postgresql", target.hosts[0], outcome))
    if outcome is not None:
        return outcome
    took = time.monotonic() - start
    left = max(limits.total_s - took, 0.05)
    found = await _reason(target, Limits(min(limits.connect_s, left), left), local_files=local_files)
    if found is None:
        late = took >= min(limits.connect_s, limits.total_s * _CONNECTING)
        failed = Failed("login", "timeout") if late else Failed("login", "unexpected", "libpq")
        found = finding("postgresql", target.hosts[0], failed)
    raise DatabaseRefused(found)


async def _attempted(target: PostgreSQL, limits: Limits, *, local_files: bool) -> pq.abc.PGconn | Failed | None:
    """libpq's connection; what is wrong with the string; None where libpq came to nothing."""
    try:
        _usable(target, local_files=local_files)
        if target.tls != "off":
            tls.context(_tls_parts(target))  # files that cannot be used are told before libpq stumbles over them
        async with asyncio.timeout(limits.total_s * _CONNECTING):
            return await _first(target, limits)
    except Failed as failed:
        return failed
    except TimeoutError:
        return None


async def _reason(target: PostgreSQL, limits: Limits, *, local_files: bool) -> Finding | None:
    """Why there is no connection; None if all hosts are as the string wants them."""
    probes = await asyncio.gather(*(probe(target, host, limits, local_files=local_files) for host in target.hosts))
    for each in probes:
        if each.finding is not None:
            return each.finding
    wanted = target.option("target_session_attrs") or "any"
    if wanted in ("any", "prefer-standby"):
        return None
    if wanted in ("read-write", "primary"):
        return finding("postgresql", target.hosts[0], Failed("read", "no-primary"))
    return finding("postgresql", target.hosts[0], Failed("read", "option", "target_session_attrs"))


async def _first(target: PostgreSQL, limits: Limits) -> pq.abc.PGconn | None:
    """The first connection that libpq makes, host by host and address by address; None if there is none."""
    ends = time.monotonic() + limits.total_s * _CONNECTING
    wanted = target.option("target_session_attrs") or "any"
    rounds = ("standby", "any") if wanted == "prefer-standby" else (wanted,)
    hosts = [_placed(host) for host in target.hosts]
    patience = Limits(min(limits.connect_s, (ends - time.monotonic()) / 2))
    found = await asyncio.gather(*(_addresses(host, patience) for host in hosts), return_exceptions=True)
    places: list[tuple[Host, network.Address]] = []
    for host, addresses in zip(hosts, found, strict=True):
        if not isinstance(addresses, BaseException):
            places += [(host, address) for address in addresses]
        elif not isinstance(addresses, Failed):
            raise addresses
    if target.option("load_balance_hosts") == "random":
        random.shuffle(places)
    attempts = [(*place, attrs) for attrs in rounds for place in places]
    for left, (host, address, attrs) in zip(range(len(attempts), 0, -1), attempts, strict=True):
        # One that says nothing leaves the same time to each that comes behind it.
        made = await _polled(_conninfo(target, host, address, attrs), (ends - time.monotonic()) / left)
        if made is not None:
            return made
    return None


async def _polled(conninfo: str, seconds: float) -> pq.abc.PGconn | None:
    """Connect by libpq without blocking; None where it does not come to a connection."""
    made = pq.PGconn.connect_start(conninfo.encode())
    kept = False
    try:
        if made.status == pq.ConnStatus.BAD:
            return None
        made.nonblocking = 1
        step: int = pq.PollingStatus.WRITING
        async with asyncio.timeout(seconds):
            while step in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
                await _ready(made.socket, writing=step == pq.PollingStatus.WRITING)
                step = made.connect_poll()
        kept = step == pq.PollingStatus.OK
        return made if kept else None
    except (TimeoutError, psycopg.Error):
        return None
    finally:
        if not kept:
            made.finish()


async def _ready(number: int, *, writing: bool) -> None:
    """Wait until a socket can be read or written."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    watch, forget = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    watch(number, tell)
    try:
        await ready
    finally:
        forget(number)


def _conninfo(target: PostgreSQL, host: Host, address: network.Address, attrs: str) -> str:
    """What libpq is told: all that a string can say, so that neither the environment nor the user's home does."""
    user = _user(target)
    given: dict[str, str | int] = {
        name: value.reveal() if isinstance(value, Secret) else value for name, value in target.options
    }
    given.pop("load_balance_hosts", None)
    parts: dict[str, str | int] = {
        "host": host.name,
        "hostaddr": address.shown or "",
        "port": host.port or target.default_port,
        "user": user,
        "password": target.password.reveal() if target.password else "",
        "dbname": target.database or user,
        "passfile": _NO_FILE,
        "gssencmode": "disable",
        "application_name": "lancio",
    }
    if pq.version() >= 160000:  # the ways that a probe goes: a ticket of this machine's user is not for the server
        parts["require_auth"] = "none,password,md5,scram-sha-256"
    parts |= given | {"target_session_attrs": attrs}
    parts |= _trusted(target)
    if "min_protocol_version" in given:
        parts.setdefault("max_protocol_version", "latest")  # as libpq has it
    if "sslcert" in given:
        parts.setdefault("sslkey", given["sslcert"])
    elif pq.version() >= 160000:
        parts["sslcertmode"] = "disable"
    else:
        parts["sslcert"] = parts["sslkey"] = _NO_FILE
    for option in pq.Conninfo.get_defaults():
        name = option.keyword.decode()
        if name != "service" and name not in parts and option.val is not None and option.val != option.compiled:
            # The environment has a say in it.
            parts[name] = option.compiled.decode() if option.compiled else "3.0" if name in _OF_PROTOCOL else ""
    return make_conninfo("", **parts)


def _trusted(target: PostgreSQL) -> dict[str, str]:
    """Whom libpq is to trust: the authorities that are named, else the system's where it verifies."""
    root = target.option("sslrootcert")
    if root not in (None, "system"):
        return {}
    if target.tls in ("ca", "full"):
        return {"sslmode": _sslmode(target), "sslrootcert": tls.system_authorities() or "system"}
    return {"sslrootcert": _NO_FILE}
