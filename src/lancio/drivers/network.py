"""To which addresses does a host's name lead, and does one of them take a connection?

Nothing here blocks past its limit. A resolver that hangs keeps a thread of its own, which neither the call nor the
interpreter's exit waits for (the threads of asyncio's own executor are joined at exit).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import itertools
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lancio.drivers.findings import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from lancio.drivers.model import Code, Limits
    from lancio.registry.connection_strings import Host

T = TypeVar("T")

STAGGER_S: Final = 0.25
"""How long one address is tried alone before the next is tried beside it (RFC 8305)."""
_MOST_ADDRESSES: Final = 16

_UNKNOWN: Final = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)
_BY_ERRNO: Final[dict[int, Code]] = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "refused",
    errno.ENOTSOCK: "refused",
    errno.EPROTOTYPE: "refused",
    errno.ENOTCONN: "refused",  # a Unix socket whose queue is full
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
    errno.EHOSTDOWN: "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",
    errno.EAFNOSUPPORT: "unreachable",
    errno.EINVAL: "unreachable",  # a link-local address without its zone
    errno.EPERM: "unreachable",  # a firewall of this machine
    errno.ETIMEDOUT: "timeout",
    errno.ENOENT: "socket-missing",
    errno.ENOTDIR: "socket-missing",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a connection can be tried."""

    family: int
    sockaddr: Any
    """As the socket module takes it."""

    @property
    def shown(self) -> str | None:
        """The IP address, one of a link with its zone; None for a Unix socket."""
        if self.family == socket.AF_UNIX:
            return None
        text = str(self.sockaddr[0])
        zone = self.sockaddr[3] if self.family == socket.AF_INET6 and "%" not in text else 0
        return f"{text}%{zone}" if zone else text


@dataclass(frozen=True, slots=True)
class Reached:
    """A connection that was taken. Whoever has it closes it."""

    socket: socket.socket
    """Connected and non-blocking, as asyncio wants it."""
    address: Address


def socket_address(path: str) -> Address:
    """The address of a Unix socket; @ and a name is an abstract one."""
    return Address(socket.AF_UNIX, "\0" + path[1:] if path.startswith("@") else path)


def refuse_sockets(hosts: Iterable[Host]) -> None:
    """Refuse Unix sockets: behind them are services of this machine that nobody else reaches.

    Raises:
        Failed: option.
    """
    if any(host.socket for host in hosts):
        raise Failed("name", "option", "socket")


async def addresses(host: Host, limits: Limits) -> tuple[Address, ...]:
    """Layer name: the addresses of a host, both families in turn; a Unix socket's is its name.

    Of PostgreSQL's sockets the caller makes the path.

    Raises:
        Failed: name-unknown, name-failed, private-network, timeout.
    """
    if host.socket:
        return (socket_address(host.name),)
    try:
        async with asyncio.timeout(limits.connect_s):
            found = await _looked_up(host.address or host.name, host.port or 0)
    except TimeoutError:
        raise Failed("name", "private-network" if host.railway else "timeout") from None
    except (socket.gaierror, UnicodeError) as error:
        if host.railway:
            raise Failed("name", "private-network") from None
        unknown = isinstance(error, UnicodeError) or error.errno in _UNKNOWN
        raise Failed("name", "name-unknown" if unknown else "name-failed") from None
    except OSError:
        raise Failed("name", "name-failed") from None
    return tuple(_interleaved(found))[:_MOST_ADDRESSES]


async def connected(candidates: Sequence[Address], limits: Limits) -> Reached:
    """Layer reach: a connection to the first address that takes one; the next is tried beside a slow one.

    Raises:
        Failed: refused, unreachable, timeout, socket-missing, socket-denied.
    """
    running: set[asyncio.Task[Reached]] = set()
    codes: list[Code] = []
    waiting = list(candidates)
    won: Reached | None = None
    try:
        async with asyncio.timeout(limits.connect_s):
            while won is None and (waiting or running):
                if waiting:
                    running.add(asyncio.create_task(_connection(waiting.pop(0))))
                done, running = await asyncio.wait(
                    running, timeout=STAGGER_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    error = task.exception()
                    if error is None and won is None:
                        won = task.result()
                    elif error is None:
                        task.result().socket.close()
                    elif isinstance(error, Failed):
                        codes.append(error.code)
                    else:
                        raise error
    except TimeoutError:
        raise Failed("reach", "timeout") from None
    finally:
        await _dropped(running)
    if won is None:
        # Whoever refuses is there, which tells more than that another address leads nowhere.
        raise Failed("reach", "refused" if "refused" in codes else codes[0] if codes else "unreachable")
    return won


def code_of(error: OSError, family: int = socket.AF_INET) -> Code | None:
    """The code for an error of a socket while it connects; None if there is none for it."""
    if error.errno == errno.EACCES:
        return "socket-denied" if family == socket.AF_UNIX else "unreachable"
    if error.errno is not None and error.errno in _BY_ERRNO:
        return _BY_ERRNO[error.errno]
    if family == socket.AF_UNIX and error.errno is None:  # Python's own: too long a path for any socket
        return "socket-missing"
    return "timeout" if isinstance(error, TimeoutError) else None


async def _connection(address: Address) -> Reached:
    try:
        line = socket.socket(address.family, socket.SOCK_STREAM)
    except OSError as error:
        raise Failed("reach", code_of(error, address.family) or "unexpected", type(error).__name__) from None
    try:
        line.setblocking(False)
        if address.family != socket.AF_UNIX:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(line, address.sockaddr)
        line.getpeername()  # asyncio takes a full queue of a Unix socket for a connection
    except OSError as error:
        line.close()
        raise Failed("reach", code_of(error, address.family) or "unexpected", type(error).__name__) from None
    except BaseException:
        line.close()
        raise
    return Reached(line, address)


async def _dropped(tasks: Iterable[asyncio.Task[Reached]]) -> None:
    """Cancel what still connects, and close what came in at the last moment."""
    left = list(tasks)
    for task in left:
        task.cancel()
    for outcome in await asyncio.gather(*left, return_exceptions=True):
        if isinstance(outcome, Reached):
            outcome.socket.close()


async def _looked_up(name: str, port: int) -> list[Address]:
    listed = await apart(lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM))
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in listed]


async def apart(call: Callable[[], T], unwanted: Callable[[T], object] = lambda _: None) -> T:
    """What a call gives that may take long. It has a thread of its own, which nothing waits for but the answer.

    `unwanted` is given what comes too late, as to close it.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(found: T | None, error: Exception | None) -> None:
        if error is not None:
            if not answer.done():
                answer.set_exception(error)
        elif answer.done():
            unwanted(found)  # type: ignore[arg-type]
        else:
            answer.set_result(found)  # type: ignore[arg-type]

    def work() -> None:
        found: T | None = None
        failed: Exception | None = None
        try:
            found = call()
        except Exception as error:  # raised where it is waited for
            failed = error
        try:
            loop.call_soon_threadsafe(tell, found, failed)
        except RuntimeError:  # the loop is closed: nobody waits any more
            if failed is None:
                unwanted(found)  # type: ignore[arg-type]

    threading.Thread(target=work, name="lancio-apart", daemon=True).start()
    try:
        return await answer
    except asyncio.CancelledError:
        if not answer.cancelled() and answer.exception() is None:  # it came, and is not taken
            unwanted(answer.result())
        raise


def waited(work: Coroutine[Any, Any, T]) -> T:
    """The outcome of a coroutine for a caller that has no event loop, or stands inside of one that it holds up."""
    if not _in_a_loop():
        return asyncio.run(work)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _interleaved(found: Sequence[Address]) -> Iterable[Address]:
    """One family, then the other, in the resolver's order; none twice."""
    unique = list(dict.fromkeys(found))
    if not unique:
        return []
    first = [each for each in unique if each.family == unique[0].family]
    others = [each for each in unique if each.family != unique[0].family]
    pairs = itertools.zip_longest(first, others)
    return [each for pair in pairs for each in pair if each is not None]
