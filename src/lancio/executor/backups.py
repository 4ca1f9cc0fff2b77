"""Which backups of this database are known?"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
from psycopg.rows import dict_row

from lancio.errors import ServerError, UsageError
from lancio.executor import ledger
from lancio.planner.surroundings import Backup
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
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
    scope: str = "whole"
    files: Sequence[str] = ()
    checked: bool = False
    size: int | None = None
    sha256: str | None = None
    """`scope` is `plan` for one of what `files` touch; `checked`, `size` (bytes) and `sha256` are known of those that
    Lancio made."""


def known(connection: Connection, limit: int = 20) -> list[Known]:
    """The latest backups, youngest first; none where there is no ledger, or one from before there were backups in it.

    Raises:
        ServerError: the ledger may not be read, or is newer than this Lancio.
    """
    if not ledger.exists(connection) or not _all(connection, "exists")[0]["found"]:
        return []
    return [Known(**row) for row in _all(connection, "latest", str(limit))]


def latest(connection: Connection, files: Collection[str] = ()) -> Backup | None:
    """The youngest known backup: of the whole database, or of all that these files touch.

    Raises:
        ServerError: as `known`.
    """
    for each in known(connection):
        if each.scope == "whole" or (files and set(files) <= set(each.files)):
            return Backup(each.taken_at, each.place, each.who, each.age_s)
    return None


def refuse_unrecordable(connection: Connection) -> None:
    """Return if this role may record a backup: to be asked before one is made, which may take hours.

    Raises:
        ServerError: it may not, or the ledger may not be looked at.
    """
    if not _all(connection, "recordable")[0]["held"]:
        raise ServerError(
            "this role may not record a backup",
            cause="A backup counts once it is in the ledger, and the role may not write there or make one.",
            remedy="Connect as the role that applies migrations, or name it by --role.",
        )


def record(connection: Connection, at: datetime, place: str, details: Mapping[str, Any]) -> Known:
    """Record a backup that Lancio made; `details` are the columns of 009 by their names.

    Raises:
        ServerError, LockHeld: as when applying.
    """
    with ledger.writing(connection, "lancio backup") as work:
        ledger.ensure(work)
        made = work.ask(
            QUERIES["made"], at.isoformat(), place, ledger.operator(), socket.gethostname(), details["scope"],
            orjson.dumps(details["files"]).decode(), str(details["checked"]).lower(), str(details["size"]),
            details["sha256"], orjson.dumps(details["tables"]).decode(),
        )  # fmt: skip
    number = int(made[0][0] or 0)
    return next(each for each in known(connection, 1000) if each.id == number)


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
