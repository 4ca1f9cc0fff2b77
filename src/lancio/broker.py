"""Which client does a program get for a registered database, and on whose word?

    with lancio.connect("cache", project="shop") as client:
        client.ping()

The registry is asked, the connection string is opened in this process and written down, and the client is the kind's
own: psycopg's Connection, redis-py's Redis, pymongo's MongoClient. Where the registry is, who asks and which key opens
is said as for the commands: by `database` or DATABASE_URL, PG*, the embedded PostgreSQL; by LANCIO_USER, else the
operator; by LANCIO_ORG, else the only organization there is; by LANCIO_KEK_FILE, LANCIO_KEK or LANCIO_KEK_COMMAND. A
lancio.toml is not read.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lancio import postgres
from lancio.errors import UsageError
from lancio.registry import acting, data_keys, databases, organizations, secrets
from lancio.registry import key_encryption_key as keks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    import psycopg

    from lancio.drivers.model import Limits
    from lancio.registry.acting import Actor
    from lancio.registry.connection_strings import ConnectionString
    from lancio.registry.data_keys import DataKeys

KEK_SECONDS = 30.0
"""How long a program that prints the key-encryption key may take."""


@contextmanager
def connect(
    name: str,
    *,
    project: str | None = None,
    organization: str | None = None,
    database: str | None = None,
    limits: Limits | None = None,
    local_files: bool = False,
) -> Iterator[Any]:
    """The ready client of a registered database; it is closed when the block ends.

    Args:
        name: the database's name, or its id.
        project: the project's slug; without it the name must be there once in the organization.
        organization: its slug; without it LANCIO_ORG, else the only one.
        database: the registry's own connection string; without it DATABASE_URL and the rest, as for the commands.
        limits: how long connecting may take.
        local_files: whether the registered string may name files (certificates) and Unix sockets of this machine.

    Raises:
        NotThere: there is none of that name, or it is another organization's.
        Ambiguous: several projects have one, and none was named.
        Placeholder: its connection string was never registered.
        NotAllowed, ActingRefused: who asks may not.
        KeyRefused, OpeningRefused, SealBroken: its secret cannot be opened, or its key was destroyed.
        DatabaseRefused: it cannot be reached, with the finding that a probe would give.
        ServerError: the registry itself cannot be reached, or does not answer this login.
    """
    from lancio import drivers
    from lancio.drivers.model import Limits

    value = opened(name, project=project, organization=organization, database=database)
    with drivers.client(value, limits or Limits(), local_files=local_files) as client:
        del value
        yield client


@asynccontextmanager
async def connect_async(
    name: str,
    *,
    project: str | None = None,
    organization: str | None = None,
    database: str | None = None,
    limits: Limits | None = None,
    local_files: bool = False,
) -> AsyncIterator[Any]:
    """The same for `async with`: psycopg's AsyncConnection, redis.asyncio's Redis, pymongo's AsyncMongoClient."""
    from lancio import drivers
    from lancio.drivers import network
    from lancio.drivers.model import Limits

    value = await network.apart(lambda: opened(name, project=project, organization=organization, database=database))
    async with drivers.async_client(value, limits or Limits(), local_files=local_files) as client:
        del value
        yield client


def opened(
    name: str,
    *,
    project: str | None = None,
    organization: str | None = None,
    database: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> ConnectionString:
    """The connection string of a registered database; that it was opened is written down. Raises as `connect`."""
    import psycopg

    environ = os.environ if environ is None else environ
    target = postgres.resolve(database, environ)
    try:
        with postgres.connect(target, application_name="lancio broker") as connection:
            keys = keys_of(connection, environ)
            actor = actor_of(connection, environ)
            named = organization or environ.get("LANCIO_ORG", "").strip() or _only(connection, actor)
            with acting.acting(connection, actor, organization=named) as work:
                return databases.value_of(work, keys, databases.one(work, name, project=project))
    except psycopg.Error as error:
        raise postgres.interrupted(target, error) from None


def actor_of(connection: psycopg.Connection[Any], environ: Mapping[str, str]) -> Actor:
    """The user that LANCIO_USER names, else the operator.

    Raises:
        ActingRefused: there is no such user.
    """
    email = environ.get("LANCIO_USER", "").strip()
    return acting.user_actor(connection, email) if email else acting.operator()


def keys_of(connection: psycopg.Connection[Any], environ: Mapping[str, str]) -> DataKeys:
    """The data keys, by the key-encryption key that the environment names.

    Raises:
        KeyRefused: it names none, or not the one of this database.
    """
    source = keks.named(environ)
    if source is None:
        raise keks.missing()
    old = keks.named(environ, old=True)
    current = source.read(environ, seconds=KEK_SECONDS)
    before = () if old is None else (old.read(environ, seconds=KEK_SECONDS),)
    ring = keks.Ring(current, tuple(each for each in before if each != current))
    data_keys.refuse_wrong(connection, ring)
    single = environ.get("LANCIO_KEY_FILE", "").strip()
    return data_keys.DataKeys(ring, single=secrets.read_key_file(Path(single).expanduser()) if single else None)


def _only(connection: psycopg.Connection[Any], actor: Actor) -> str:
    with acting.belonging(connection, actor):
        found = organizations.page(connection, limit=5)
    if len(found.rows) == 1:
        return found.rows[0].slug
    raise UsageError(
        "no organization is named" if found.rows else f"{actor.said} belongs to no organization",
        cause=f"There are several: {', '.join(each.slug for each in found.rows)}{' and more' if found.next else ''}."
        if found.rows
        else "Databases belong to one.",
        remedy="Name it: lancio.connect(…, organization=…), or LANCIO_ORG.",
        commands=("lancio org list",),
    )
