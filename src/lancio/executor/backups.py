"""Which backups of this database are known?"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from lancio.errors import ServerError, UsageError
from lancio.executor import ledger
from lancio.planner.surroundings import Backup
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from datetime import datetime

    from lancio.executor.session import Connection

QUERIES = named_queries("lancio.executor", "backups.sql")


@dataclass(frozen=True, slots=True)
class Known:
    """A backup in the ledger. `taken_at` is the moment whose state it holds, `age_s` by the server's clock."""

    id: int
    taken_at: datetime
    place: str
    noted_at: datetime
    who: str
    operator: str
    host: str
    origin: str
    age_s: float


def known(connection: Connection, limit: int = 20) -> list[Known]:
    """The latest backups, youngest first; none where there is no ledger, or one from before there were backups in it.

    Raises:
        ServerError: the ledger may not be read, or is newer than this Lancio.
    """
    if not ledger.exists(connection) or not _all(connection, "exists")[0]["found"]:
        return []
    return [Known(**row) for row in _all(connection, "latest", str(limit))]


def latest(connection: Connection) -> Backup | None:
    """The youngest known backup.

    Raises:
        ServerError: as `known`.
    """
    found = known(connection, 1)
    return Backup(found[0].taken_at, found[0].place, found[0].who, found[0].age_s) if found else None


def note(connection: Connection, at: datetime, place: str, *, origin: str = "noted") -> Known:
    """Record a backup; the ledger is made, or brought up to date, where it is not.

    Raises:
        UsageError: `at` lies ahead of the server's clock by more than a minute.
        ServerError, LockHeld: as when applying.
    """
    with ledger.writing(connection, "lancio backup") as work:
        ledger.ensure(work)
        made = work.ask(QUERIES["note"], at.isoformat(), place, ledger.operator(), socket.gethostname(), origin)
    if not made:
        raise UsageError(
            f"{at.isoformat()} has not come yet",
            cause="A backup holds a moment that has passed, by the server's clock.",
            remedy="Give the time at which the backup was begun.",
        )
    number = int(made[0][0] or 0)
    return next(each for each in known(connection, 1000) if each.id == number)


def _all(connection: Connection, name: str, *parameters: str) -> list[dict[str, Any]]:
    try:
        with psycopg.RawCursor(connection, row_factory=dict_row) as cursor:
            return cursor.execute(QUERIES[name].encode(), parameters).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        raise ServerError(
            "the ledger may not be read",
            cause=str(error.diag.message_primary),
            remedy="Connect as the role that applies migrations, or name it by --role.",
        ) from error
