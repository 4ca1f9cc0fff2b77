"""Is the catalog the same as before, or the same as elsewhere?

A catalog as its definitions: what a person would call equal is equal here, whatever OIDs and column positions say.
Roles, rows and the ledger's own schema are no part of it.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from lancio.errors import ConnectionLost, ServerError
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.executor.session import Connection

QUERIES = named_queries("lancio.executor", "fingerprint.sql")


class Fact(NamedTuple):
    """One thing that is so: `kind` and `identity` say of what, `definition` what."""

    kind: str
    identity: str
    definition: str

    def __str__(self) -> str:
        return f"{self.kind} {self.identity}: {' '.join(self.definition.split())}"


@dataclass(frozen=True)
class Fingerprint:
    """All facts of a catalog, sorted."""

    facts: tuple[Fact, ...]

    @property
    def hash(self) -> str:
        """SHA-256 over the facts, in hex: equal catalogs have equal hashes on servers of one version."""
        digest = hashlib.sha256()
        for fact in self.facts:
            for part in fact:
                digest.update(part.encode())
                digest.update(b"\0")
        return digest.hexdigest()


def take(connection: Connection) -> Fingerprint:
    """Read the catalog; nothing is written and no lock beyond ACCESS SHARE on the system catalogs is taken.

    In a transaction it sees that transaction's catalog. Definitions are written with every name qualified, whatever
    the session's search_path is.

    Raises:
        ServerError: the catalog cannot be read.
    """
    with reading(connection) as cursor:
        facts = tuple(Fact(*row) for row in cursor.execute(QUERIES["facts"].encode()))
    return Fingerprint(facts)


@contextmanager
def reading(connection: Connection) -> Iterator[psycopg.RawCursor[Any]]:
    """A cursor that reads the catalog with every name qualified, whatever the session's search_path is.

    Raises:
        ConnectionLost: the connection ended.
        ServerError: the catalog cannot be read.
    """
    try:
        with connection.transaction(), psycopg.RawCursor(connection) as cursor:
            before = cursor.execute(b"SELECT current_setting('search_path')").fetchone()
            # pg_get_viewdef and its kind leave out a schema that the path makes superfluous.
            cursor.execute(b"SELECT set_config('search_path', 'pg_catalog', true)")
            yield cursor
            cursor.execute(b"SELECT set_config('search_path', $1, true)", before)
    except psycopg.Error as error:
        if not error.sqlstate or error.sqlstate.startswith(("08", "57P")):
            raise ConnectionLost(
                "the connection ended while the catalog was read",
                cause=error.diag.message_primary or str(error),
                remedy="Check that the server runs, then run it again.",
            ) from error
        raise ServerError(
            "the catalog could not be read",
            cause=error.diag.message_primary or str(error),
            remedy="Run it again; an object that was dropped while it was read is the usual reason.",
        ) from error


def diff(before: Fingerprint, after: Fingerprint) -> tuple[list[Fact], list[Fact]]:
    """The facts that only `before` has, and those that only `after` has."""
    old, new = set(before.facts), set(after.facts)
    return sorted(old - new), sorted(new - old)
