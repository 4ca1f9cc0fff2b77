"""The servers of the registry's databases: are they there, who are they, and a client that is ready to use.

model        layers, codes, findings, limits
network      names and addresses, and a connection to one of them
tls          contexts from validated parts, and what their errors mean
findings     the words for each code
walk         a probe's way through the layers
postgresql, redis, mongodb
             the drivers, each with

    async def probe(target, host, limits, upto, *, local_files=False) -> Probe
    def client(target, limits, *, local_files=False) -> a context manager of the kind's own client
    def async_client(target, limits, *, local_files=False) -> the same of its asynchronous one

Files that options of a connection string name are read, and Unix sockets are connected to, only with `local_files`,
else they are the code `option`: the string may be somebody else's, who has no right to what is on this machine.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from lancio.drivers import network
from lancio.drivers.findings import DatabaseRefused
from lancio.drivers.model import DEFAULT_LIMITS, LAYERS, Code, Finding, Layer, Limits, Probe, Role

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from lancio.registry.connection_strings import ConnectionString, Host, Kind

__all__ = [
    "LAYERS",
    "Code",
    "DatabaseRefused",
    "Finding",
    "Layer",
    "Limits",
    "Probe",
    "Role",
    "async_client",
    "client",
    "probe",
    "probe_all",
]


class _Driver(Protocol):
    async def probe(
        self, target: Any, host: Host, limits: Limits, upto: Layer, *, local_files: bool = False
    ) -> Probe: ...

    def client(self, target: Any, limits: Limits, *, local_files: bool = False) -> AbstractContextManager[Any]: ...

    def async_client(
        self, target: Any, limits: Limits, *, local_files: bool = False
    ) -> AbstractAsyncContextManager[Any]: ...


_MODULES: Final[dict[Kind, str]] = {
    "postgresql": "lancio.drivers.postgresql",
    "redis": "lancio.drivers.redis",
    "mongodb": "lancio.drivers.mongodb",
}


def probe(
    target: ConnectionString, limits: Limits = DEFAULT_LIMITS, upto: Layer = "read", *, local_files: bool = False
) -> tuple[Probe, ...]:
    """Each host of a connection string, all side by side, in the string's order. Ends within `limits.total_s`.

    It waits; what runs in an event loop awaits `probe_all` instead.
    """
    return network.waited(probe_all(target, limits, upto, local_files=local_files))


async def probe_all(
    target: ConnectionString, limits: Limits = DEFAULT_LIMITS, upto: Layer = "read", *, local_files: bool = False
) -> tuple[Probe, ...]:
    """The same, to be awaited."""
    driver = _driver(target)
    probes = (driver.probe(target, host, limits, upto, local_files=local_files) for host in target.hosts)
    return tuple(await asyncio.gather(*probes))


def client(
    target: ConnectionString, limits: Limits = DEFAULT_LIMITS, *, local_files: bool = False
) -> AbstractContextManager[Any]:
    """The kind's own client, connected: psycopg's Connection, redis-py's Redis, pymongo's MongoClient.

    Raises (on entering):
        DatabaseRefused: with the finding that a probe would give, and nothing of the driver's own text.
    """
    return _driver(target).client(target, limits, local_files=local_files)


def async_client(
    target: ConnectionString, limits: Limits = DEFAULT_LIMITS, *, local_files: bool = False
) -> AbstractAsyncContextManager[Any]:
    """The kind's own asynchronous client: psycopg's AsyncConnection, redis.asyncio's Redis, pymongo's AsyncMongoClient.

    Raises as `client`.
    """
    return _driver(target).async_client(target, limits, local_files=local_files)


def _driver(target: ConnectionString) -> _Driver:
    driver: Any = importlib.import_module(_MODULES[target.kind])
    return driver  # type: ignore[no-any-return]
