"""Redis: a probe of one server, and redis-py's own client of a server, of a cluster, or of the sentinels' primary.

The probe goes all its way on a line of its own (redis_wire), in RESP 2: redis-py's connections ask more than a user may
be allowed to ask, try again, and tell everything in texts. More connections are made only to find out why one came to
nothing: whether a port without TLS has it, and one with TLS has none.

The version and the role come from HELLO without arguments, for which no user needs a right; where the server doesn't
know it (before 6), from INFO and ROLE.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import redis
import redis.asyncio as aio
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import parse_url
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from lancio.drivers import network, tls
from lancio.drivers.findings import DatabaseRefused, Failed, finding
from lancio.drivers.model import DEFAULT_LIMITS, Finding, Limits
from lancio.drivers.redis_wire import Line, NotRedis, Refused
from lancio.drivers.walk import until_one, walked
from lancio.registry.connection_strings import ConnectionStringRefused, Host
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from lancio.drivers.model import Code, Layer, Probe, Role
    from lancio.drivers.redis_wire import Reply
    from lancio.drivers.walk import Walk
    from lancio.registry.connection_strings import Redis

T = TypeVar("T")
Client = redis.Redis | RedisCluster
AsyncClient = aio.Redis | aio.RedisCluster

_FILES: Final = ("ssl_keyfile", "ssl_certfile", "ssl_ca_certs", "ssl_ca_path")
_OFF: Final = frozenset({"0", "f", "false", "n", "no"})
_LOWEST_TLS: Final = int(ssl.TLSVersion.TLSv1_2)
_ASIDE_S: Final = 1.0
"""How long a second connection may take that is to find out why the first came to nothing."""
_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]{1,40}")
_TOLD: Final = re.compile(rb"^redis_(version|mode):([^\r\n]{1,40})\r?$", re.MULTILINE)

_ANYWHERE: Final[dict[str, Code]] = {
    "LOADING": "starting",
    "MASTERDOWN": "starting",
    "MAXCLIENTS": "too-many-connections",
    "DENIED": "login-forbidden",
}
"""What a server says that is not ready for anybody."""
_ANSWERS: Final = frozenset({"NOAUTH", "NOPERM", "MISCONF", "BUSY"})
"""What a server says that is Redis and up, and does not answer this user's PING."""
_ROLES: Final[dict[object, Role]] = {
    b"master": "primary",
    b"slave": "replica",
    b"replica": "replica",
    b"sentinel": "sentinel",
}
_QUESTIONS: Final = (("DBSIZE",), ("INFO", "server"), ("ROLE",))
"""What is asked of who may not ask for a PING."""


# --- the probe --------------------------------------------------------------------------------------------------------


async def probe(
    target: Redis, host: Host, limits: Limits = DEFAULT_LIMITS, upto: Layer = "read", *, local_files: bool = False
) -> Probe:
    """How far one server of the connection string can be reached; with sentinels, one of them.

    Nothing is written, and no key is read. Commands: PING, AUTH, SELECT, HELLO; where there is need DBSIZE, INFO, ROLE,
    CLUSTER INFO, SENTINEL GET-MASTER-ADDR-BY-NAME.
    """
    return await _probed(target, host, limits, upto, [], local_files=local_files)


async def _probed(
    target: Redis, host: Host, limits: Limits, upto: Layer, primaries: list[Host], *, local_files: bool
) -> Probe:
    """The same; where a sentinel says that the primary is goes to `primaries`."""

    async def way(walk: Walk) -> None:
        single = target.single(host)
        _usable(single, local_files=local_files)
        with walk.layer("name"):
            addresses = await network.addresses(host, limits)
        with walk.layer("reach"):
            reached = await network.connected(addresses, limits)
        walk.address = reached.address.shown
        try:
            async with await _lined(walk, single, host, reached, limits) as line:
                greeting = await _greeted(walk, line, single, host, reached)
                with walk.layer("login"):
                    greeting = await _logged_in(walk, line, single, greeting)
                with walk.layer("read"):
                    primaries.extend(await _read(walk, line, target, greeting))
        finally:
            await asyncio.sleep(0)  # a transport that was dropped closes first
            reached.socket.close()

    return await walked("redis", host, limits, upto, way)


async def _lined(walk: Walk, single: Redis, host: Host, reached: network.Reached, limits: Limits) -> Line:
    """Layer tls, where the string asks for it."""
    if not single.secured:
        return Line(*await asyncio.open_connection(sock=reached.socket))
    with walk.layer("tls"):
        shaking = asyncio.create_task(_encrypted(reached, tls.context(_tls_parts(single)), host))
        try:
            # A Redis without TLS takes a handshake for half a command, and waits for the rest.
            await asyncio.wait({shaking}, timeout=min(_ASIDE_S, limits.total_s / 4))
            if not shaking.done() and await _answers_without_tls(reached.address):
                raise Failed("tls", "tls-unsupported")
            return await shaking
        except (OSError, EOFError, ssl.CertificateError) as broken:
            code = tls.code_of(broken) or "tls-failed"
            if code == "tls-failed" and await _answers_without_tls(reached.address):
                code = "tls-unsupported"
            raise Failed("tls", code, tls.reason_of(broken)) from None
        finally:
            if not shaking.done():
                shaking.cancel()
                await asyncio.gather(shaking, return_exceptions=True)


async def _encrypted(reached: network.Reached, context: ssl.SSLContext, host: Host | None) -> Line:
    name = host.name.partition("%")[0] if host else ""
    return Line(*await asyncio.open_connection(sock=reached.socket, ssl=context, server_hostname=name))


async def _greeted(walk: Walk, line: Line, single: Redis, host: Host, reached: network.Reached) -> Reply:
    """Layer hello: what it says to a PING."""
    with walk.layer("hello"):
        try:
            said = await line.ask("PING")
        except (NotRedis, OSError, EOFError) as broken:
            raise await _why_no_hello(broken, single, host, reached.address) from None
        if not isinstance(said, Refused):
            if said != "PONG":
                raise Failed("hello", "other-kind")
        elif said.word not in _ANSWERS:
            raise _not_ready(walk, said) or Failed("hello", "other-kind")
        return said


async def _why_no_hello(broken: BaseException, single: Redis, host: Host, address: network.Address) -> Failed:
    """What no answer to a PING means."""
    if code := tls.code_of(broken):
        # In TLS 1.3 a server says what it has against our certificate behind the handshake.
        return Failed("tls", code, tls.reason_of(broken))
    if isinstance(broken, NotRedis):
        alert = broken.alert and not single.secured
        return Failed("tls", "tls-required") if alert else Failed("hello", "other-kind")
    if isinstance(broken, asyncio.IncompleteReadError) and broken.partial:
        return Failed("hello", "other-kind")
    if single.secured:
        return await _last_words(single, host, address) or Failed("hello", "closed")
    if address.shown is not None and await _answers_with_tls(address):
        return Failed("tls", "tls-required")
    return Failed("hello", "closed")


async def _answers_without_tls(address: network.Address) -> bool:
    """Whether a server answers without TLS. Nothing secret is sent."""

    async def asked(reached: network.Reached) -> bool:
        async with Line(*await asyncio.open_connection(sock=reached.socket)) as line:
            await line.ask("PING")
        return True

    return bool(await _aside(address, asked))


async def _answers_with_tls(address: network.Address) -> bool:
    """Whether a server goes on under TLS, or would with a certificate of ours."""

    async def asked(reached: network.Reached) -> bool:
        try:
            async with await _encrypted(reached, tls.context(tls.TlsParts("unverified")), None):
                return True
        except ssl.SSLError as broken:
            return tls.code_of(broken) == "client-certificate"

    return bool(await _aside(address, asked))


async def _last_words(single: Redis, host: Host, address: network.Address) -> Failed | None:
    """What a server says of our certificate to one who listens: its words are lost where ours cross them."""

    async def asked(reached: network.Reached) -> Failed | None:
        try:
            async with await _encrypted(reached, tls.context(_tls_parts(single)), host) as line:
                await line.listen()
        except OSError as broken:
            if code := tls.code_of(broken):
                return Failed("tls", code, tls.reason_of(broken))
        return None

    return await _aside(address, asked)


async def _aside(address: network.Address, asked: Callable[[network.Reached], Awaitable[T]]) -> T | None:
    """What is found out on a second connection; None if it comes to nothing in a second."""
    try:
        async with asyncio.timeout(_ASIDE_S):
            reached = await network.connected((address,), DEFAULT_LIMITS)
            try:
                return await asked(reached)
            finally:
                await asyncio.sleep(0)
                reached.socket.close()
    except (Failed, NotRedis, OSError, EOFError):
        return None


# --- logging in and reading -------------------------------------------------------------------------------------------


async def _logged_in(walk: Walk, line: Line, single: Redis, greeting: Reply) -> Reply:
    """Layer login: as redis-py does it, the user and the database. What the server says to a PING then."""
    password = single.password.reveal() if single.password else ""
    if single.user or password:
        said = await _asked(walk, line, "login", "AUTH", *([single.user] if single.user else []), password)
        if said == Refused("ARGUMENTS") and single.user:  # before 6 there are no users
            said = await _asked(walk, line, "login", "AUTH", password)
        if isinstance(said, Refused):
            codes: dict[str, Code] = {"WRONGPASS": "login-failed", "ERR": "login-method"}
            raise Failed("login", codes.get(said.word, "unexpected"), said.word)
    elif greeting == Refused("NOAUTH"):
        raise Failed("login", "login-required")
    if single.database != "0":
        said = await _asked(walk, line, "login", "SELECT", single.database or "0")
        if isinstance(said, Refused):
            codes = {"ERR": "database-missing", "UNKNOWN": "database-missing", "NOPERM": "login-forbidden"}
            raise Failed("login", codes.get(said.word, "unexpected"), "SELECT")
    if single.user or password:
        # That it loads, or is a replica without data, it says only to who has logged in. And this user may have other
        # rights than the one that everybody is before.
        greeting = await _asked(walk, line, "login", "PING")
        if isinstance(greeting, Refused) and (greeting.word not in _ANSWERS or greeting.word == "NOAUTH"):
            raise Failed("login", "unexpected", greeting.word)
    return greeting


async def _read(walk: Walk, line: Line, target: Redis, greeting: Reply) -> list[Host]:
    """Layer read: version and role, and whether the user may ask anything. Of a sentinel, where the primary is."""
    mode = await _introduced(walk, line)
    if isinstance(greeting, Refused):
        if greeting.word == "NOPERM":
            heard = [await _asked(walk, line, "read", *question) for question in _QUESTIONS]
            if all(answer == Refused("NOPERM") for answer in heard):
                raise Failed("read", "read-denied")
        elif greeting.word == "MISCONF":
            walk.role = "read-only" if walk.role == "primary" else walk.role
        else:
            raise Failed("read", "read-failed", greeting.word)
    if target.mode == "cluster" and mode not in (b"cluster", None):
        raise Failed("read", "option", "cluster")
    if target.mode == "sentinel" and walk.role not in ("sentinel", None):
        raise Failed("read", "option", "sentinel")
    if mode == b"cluster":
        state = await _asked(walk, line, "read", "CLUSTER", "INFO")
        if isinstance(state, bytes) and b"cluster_state:fail" in state:
            raise Failed("read", "no-primary")
    return await _primary_of(walk, line, target) if target.mode == "sentinel" else []


async def _introduced(walk: Walk, line: Line) -> bytes | None:
    """The mode that the server says it is in; version and role go into the walk."""
    said = await _asked(walk, line, "read", "HELLO")
    told: dict[object, object] = {}
    if isinstance(said, list):
        told = {name: value for name, value in zip(said[::2], said[1::2], strict=False) if isinstance(name, bytes)}
    else:
        said = await _asked(walk, line, "read", "INFO", "server")
        told = dict(_TOLD.findall(said)) if isinstance(said, bytes) else {}
        said = await _asked(walk, line, "read", "ROLE")
        told[b"role"] = said[0] if isinstance(said, list) and said else None
    mode, role, version = told.get(b"mode"), told.get(b"role"), told.get(b"version")
    walk.role = "sentinel" if mode == b"sentinel" else _ROLES.get(role) if isinstance(role, bytes) else None
    shown = version.decode(errors="replace") if isinstance(version, bytes) else ""
    walk.version = shown if _VERSION.fullmatch(shown) else None
    return mode if isinstance(mode, bytes) else None


async def _primary_of(walk: Walk, line: Line, target: Redis) -> list[Host]:
    """Where a sentinel says that the primary of the service is; nothing where it may not say."""
    said = await _asked(walk, line, "read", "SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.service or "")
    if isinstance(said, Refused):
        return []
    match said:
        case [bytes(name), bytes(port)] if port.isdigit() and 0 < int(port[:6]) < 65536:
            with contextlib.suppress(ConnectionStringRefused):
                host = Host(name.decode(errors="replace"), int(port))
                if not host.socket:
                    return [host]
    raise Failed("read", "no-primary")


async def _asked(walk: Walk, line: Line, layer: Layer, *words: str) -> Reply:
    """The answer of a server that is known to be Redis."""
    try:
        said = await line.ask(*words)
    except NotRedis:
        raise Failed(layer, "unexpected", "Protocol") from None
    except (OSError, EOFError) as broken:
        if code := tls.code_of(broken):
            raise Failed("tls", code, tls.reason_of(broken)) from None
        raise Failed(layer, "closed") from None
    if isinstance(said, Refused) and (failed := _not_ready(walk, said)):
        raise failed
    return said


def _not_ready(walk: Walk, said: Refused) -> Failed | None:
    code = _ANYWHERE.get(said.word)
    if code is None:
        return None
    if said.word in ("LOADING", "MASTERDOWN"):
        walk.role = "loading" if said.word == "LOADING" else "replica"
    return Failed("hello", code, said.word)


# --- what a connection string asks for --------------------------------------------------------------------------------


def _usable(single: Redis, *, local_files: bool) -> None:
    """Refuse files and sockets of this machine."""
    if not local_files:
        network.refuse_sockets(single.hosts)
        for name in _FILES:
            if single.option(name) is not None:
                raise Failed("name", "option", name)


def _tls_parts(single: Redis) -> tls.TlsParts:
    """As redis-py reads them, but that named authorities stand alone, not beside the system's."""
    password = next((value for name, value in single.options if name == "ssl_password"), None)
    lowest = max(int(single.option("ssl_min_version") or _LOWEST_TLS), _LOWEST_TLS)
    named = single.option("ssl_check_hostname") not in _OFF
    return tls.TlsParts(
        # Of a server `optional` is `required`: it always has a certificate.
        check="unverified" if single.option("ssl_cert_reqs") == "none" else "full" if named else "ca",
        ca_file=single.option("ssl_ca_certs"),
        ca_path=single.option("ssl_ca_path"),
        ca_data=single.option("ssl_ca_data"),
        certificate=single.option("ssl_certfile"),
        key=single.option("ssl_keyfile"),
        key_password=password if isinstance(password, Secret) else None,
        ciphers=single.option("ssl_ciphers"),
        lowest=ssl.TLSVersion(lowest),
    )


# --- the client -------------------------------------------------------------------------------------------------------


@contextmanager
def client(target: Redis, limits: Limits = DEFAULT_LIMITS, *, local_files: bool = False) -> Iterator[Client]:
    """redis-py's own client, connected and logged in; it is closed behind the block.

    `redis.Redis` for one server and for the primary that sentinels know (it follows a failover), `RedisCluster` for a
    cluster. Options of the string hold. Where it says nothing, a connection is tried as long as `limits.connect_s`; in
    the block redis-py's own time limits and attempts hold. RESP 2 is spoken where the server knows nothing newer.

    Raises:
        DatabaseRefused: with the finding that a probe would give; within `limits.total_s`.
    """
    made, _ = network.waited(_opened(target, limits, local_files=local_files))
    try:
        yield made
    finally:
        _close(made)


@asynccontextmanager
async def async_client(
    target: Redis, limits: Limits = DEFAULT_LIMITS, *, local_files: bool = False
) -> AsyncIterator[AsyncClient]:
    """The same of redis-py's asynchronous clients, once the other has logged in. They connect when they are used."""
    for name in ("retry_on_timeout", "ssl_ca_path", "ssl_password"):
        if target.mode == "cluster" and target.option(name) is not None:
            raise DatabaseRefused(finding("redis", target.hosts[0], Failed("name", "option", name)))
    proof, known = await _opened(target, limits, local_files=local_files)
    _close(proof)
    made = _unconnected(known, limits, _IN_A_LOOP)
    try:
        yield made
    finally:
        await made.aclose()
        if target.mode == "sentinel":
            for sentinel in made.connection_pool.sentinel_manager.sentinels:
                await sentinel.aclose()


class _NodeFailed(Exception):  # noqa: N818
    """A node of a cluster that gives no connection."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host


async def _opened(target: Redis, limits: Limits, *, local_files: bool) -> tuple[Client, Redis]:
    """A client that has a connection, and the string that it is of.

    Raises:
        DatabaseRefused: with what a probe finds.
    """
    ends = time.monotonic() + limits.total_s
    known = await _known(target, limits, local_files=local_files)
    if isinstance(known, Finding):
        raise DatabaseRefused(known)
    made = await _made(known, limits, ends)
    refused: Finding | None = None
    if isinstance(made, _NodeFailed):
        found = await probe(target, made.host, _rest(limits, ends), "login", local_files=local_files)
        refused, made = found.finding, Failed("login", "unexpected", "Node")
    if isinstance(made, Failed):
        raise DatabaseRefused(refused or finding("redis", target.hosts[0], made))
    return made


async def _known(target: Redis, limits: Limits, *, local_files: bool) -> Redis | Finding:
    """The string, with those hosts first that let the user in: redis-py asks one after the other.

    Or else why there can be no client.
    """
    ends = time.monotonic() + limits.total_s
    if target.mode == "cluster":
        for name in ("ssl_ciphers", "ssl_min_version"):
            if target.option(name) is not None:  # redis-py takes it of a cluster, and drops it
                return finding("redis", target.hosts[0], Failed("name", "option", name))
    upto: Layer = "login" if target.mode == "single" else "read"
    primaries: list[Host] = []
    found = await until_one(
        (_probed(target, host, limits, upto, primaries, local_files=local_files) for host in target.hosts),
        lambda each: _let_in(each) and bool(primaries or target.mode != "sentinel"),
    )
    if not any(map(_let_in, found)) and found[0].finding:
        return found[0].finding
    if primaries:
        primary = await probe(
            _of_primary(target, primaries[0]), primaries[0], _rest(limits, ends), "login", local_files=local_files
        )
        if primary.finding:
            return primary.finding
    there = [each.host for each in found if _let_in(each)]
    return replace(target, hosts=(*there, *(host for host in target.hosts if host not in there)))


def _let_in(probe: Probe) -> bool:
    return probe.finding is None or probe.finding.code == "read-denied"


async def _made(target: Redis, limits: Limits, ends: float) -> tuple[Client, Redis] | Failed | _NodeFailed:
    """redis-py's client and its string, or why there is none."""
    begun: list[Client] = []

    def make() -> tuple[Client, Redis]:
        try:
            return _connected(target, limits, begun), target
        except redis.ResponseError:
            if target.option("protocol") is not None:
                raise
        older = replace(target, options=(*target.options, ("protocol", "2")))
        return _connected(older, limits, begun), older

    try:
        async with asyncio.timeout(max(ends - time.monotonic(), 0.001)):
            return await network.apart(make, lambda made: _close(made[0]))
    except TimeoutError:
        for each in begun:  # it would read on for as long as a server sends
            _close(each)
        return Failed("login", "timeout")
    except _NodeFailed as failed:
        return _NodeFailed(failed.host)
    except Exception as error:  # it tells what it is, or that it is not known
        return next(
            (Failed(layer, code) for kind, layer, code in _ERRORS if isinstance(error, kind)),
            Failed("login", "unexpected", type(error).__name__),
        )


_ERRORS: Final[tuple[tuple[type[Exception], Layer, Code], ...]] = (
    (redis.AuthenticationError, "login", "login-failed"),
    (redis.BusyLoadingError, "hello", "starting"),
    (redis.exceptions.MaxConnectionsError, "login", "option"),
    (redis.exceptions.NoPermissionError, "login", "login-forbidden"),
    (MasterNotFoundError, "read", "no-primary"),
    (redis.exceptions.RedisClusterException, "read", "no-primary"),
    (redis.exceptions.ClusterDownError, "read", "no-primary"),
    (redis.TimeoutError, "login", "timeout"),
    (redis.ConnectionError, "login", "closed"),
)
"""What redis-py raises although a probe found nothing: something has changed since. The first that fits."""


def _connected(target: Redis, limits: Limits, begun: list[Client]) -> Client:
    """redis-py's client with a connection. It waits, as long as redis-py does; what is begun is put into the list."""
    made: Client = _unconnected(target, limits, _IN_TURN)
    begun.append(made)
    try:
        if isinstance(made, RedisCluster):
            for node in made.get_primaries():  # type: ignore[no-untyped-call]
                try:
                    _connect(made.get_redis_connection(node))
                except (redis.ConnectionError, redis.TimeoutError):
                    raise _NodeFailed(Host(node.host, node.port)) from None
        else:
            _connect(made)
    except BaseException:
        _close(made)
        raise
    return made


@dataclass(frozen=True, slots=True)
class _Classes:
    """redis-py's own, of which it has two sets."""

    server: Any
    cluster: Any
    node: Any
    sentinel: Any


_IN_TURN: Final = _Classes(redis.Redis, RedisCluster, ClusterNode, Sentinel)
_IN_A_LOOP: Final = _Classes(aio.Redis, aio.RedisCluster, aio.cluster.ClusterNode, aio.Sentinel)


def _unconnected(target: Redis, limits: Limits, classes: _Classes) -> Any:
    """redis-py's client; in turn, a cluster's asks for the nodes at once."""
    given = {"socket_connect_timeout": limits.connect_s}
    single = _lasting(target.single(target.hosts[0]))
    if target.mode == "single":
        return classes.server.from_url(single.build(), **given)
    places = [(host.name, host.port or target.default_port) for host in target.hosts]
    if target.mode == "cluster":
        return classes.cluster(startup_nodes=[classes.node(*place) for place in places], **given | _arguments(single))
    primary = _lasting(_of_primary(target, target.hosts[0]))
    sentinel = classes.sentinel(
        places, sentinel_kwargs=given | _arguments(single), **given | _arguments(primary), db=int(primary.database or 0)
    )
    return sentinel.master_for(target.service)


def _connect(made: redis.Redis) -> None:
    """Have a connection in the client's pool; logged in, which asks for no right of the user."""
    made.connection_pool.release(made.connection_pool.get_connection())


def _close(made: Client) -> None:
    made.close()
    if not isinstance(made, RedisCluster) and isinstance(made.connection_pool, SentinelConnectionPool):
        made.connection_pool.sentinel_manager.close()


def _of_primary(target: Redis, host: Host) -> Redis:
    """The server that sentinels call the primary."""
    options = tuple(option for option in target.options if not option[0].startswith("sentinel_"))
    return replace(target, hosts=(host,), mode="single", service=None, options=options)


def _lasting(single: Redis) -> Redis:
    """Without what would let redis-py speak versions below TLS 1.2, which Python does not by itself."""
    old = single.option("ssl_min_version")
    if old is None or int(old) >= _LOWEST_TLS:
        return single
    return replace(single, options=tuple(option for option in single.options if option[0] != "ssl_min_version"))


def _arguments(single: Redis) -> dict[str, Any]:
    """What redis-py reads in the string, but for the place and the database."""
    read: dict[str, Any] = dict(parse_url(single.build()))  # type: ignore[no-untyped-call]
    arguments = {name: value for name, value in read.items() if name not in ("host", "port", "db", "connection_class")}
    return arguments | ({"ssl": True} if single.secured else {})


def _rest(limits: Limits, ends: float) -> Limits:
    left = max(ends - time.monotonic(), 0.05)
    return Limits(min(limits.connect_s, left), left)
