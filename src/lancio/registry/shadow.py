"""What would migration 007 deny, and whom, before it denies anything?

Shadow mode puts a policy on each of the 26 tables that has 007's predicate and lets every row pass all the same. Where
the predicate does not hold, the statement is noted once: the role, the program, the statement's text without its
literals, the table, and whether rows would be hidden from it or a written row refused. The context of 007 exists
meanwhile, so that a program that is being prepared for it can set one. See docs/decisions/0013-shadow-mode.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from lancio.errors import LancioError
from lancio.postgres import named_queries
from lancio.registry.context import looking

if TYPE_CHECKING:
    from datetime import datetime

ISOLATION = "007_isolate_organizations.sql"
BEGIN, END = "-- [context]\n", "-- [/context]\n"
"""The marks in 007 between which stands what shadow mode runs of it."""


class ShadowRefused(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """Shadow mode cannot be begun, read or ended as this database stands."""

    code = "shadow"


@dataclass(frozen=True, slots=True)
class Denial:
    """A statement that 007 would keep from rows."""

    role: str
    """Who asked; behind a view or a definer function of the platform, the role that logged in."""
    application_name: str
    query: str
    """The text without its literals; only its beginning where they cannot be told for sure."""
    relation: str
    """The table, in schema platform."""
    kind: str
    """`hidden`: rows are not seen, changed or deleted; `refused`: a row that is written is an error."""
    context: bool
    """Whether an organization was in the context: false is a program that sets none yet."""
    sessions: int
    """How often it was noted; each session notes a statement once."""
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """All that was noted since shadow mode began."""

    denials: tuple[Denial, ...]
    full: bool
    """Nothing more is noted: 64 MiB are reached."""


def on(connection: psycopg.Connection[Any]) -> None:
    """Begin: one transaction, ACCESS EXCLUSIVE on the 26 tables for its moment, and no row that anyone stops seeing.

    Raises:
        ShadowRefused: 006 is not there, 007 is already, it is on already, or this role may not.
    """
    state = _state(connection)
    if state["on"]:
        raise ShadowRefused("shadow mode is on already", remedy="Read what it has noted.", commands=(_REPORT,))
    if state["isolated"]:
        raise ShadowRefused(
            "migration 007 is applied here",
            cause="What it would deny, it denies.",
            remedy="Take it back first, if you want to look once more before it.",
        )
    if not state["ready"]:
        raise ShadowRefused(
            "there are no permissive policies to look behind",
            cause="Migration 006 is not applied here, or only in part.",
            remedy="Apply 001 to 006 first.",
            commands=("lancio apply --platform --to 006_register_railway_databases.sql",),
        )
    text = (resources.files("lancio.registry") / "schema" / ISOLATION).read_text("utf-8")
    prepared = text[text.index(BEGIN) + len(BEGIN) : text.index(END)]
    _run(connection, prepared, _script("shadow_on.sql"))


def off(connection: psycopg.Connection[Any]) -> None:
    """End: everything is as it was before, and what was noted is gone.

    Raises:
        ShadowRefused: it is not on, or this role may not.
    """
    _asked(connection)
    _run(connection, _script("shadow_off.sql"))


def report(connection: psycopg.Connection[Any]) -> Report:
    """What was noted until now, in a fixed order.

    Raises:
        ShadowRefused: it is not on, or this role may not read it.
    """
    _asked(connection)
    queries = named_queries("lancio.registry", "shadow.sql")
    try:
        with looking(connection), connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(queries["report"]).fetchall()
            found = cursor.execute(queries["full"]).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        raise _may_not(error) from error
    assert found is not None  # noqa: S101  a SELECT without FROM has one row
    return Report(tuple(Denial(**row) for row in rows), found["full"])


_REPORT = "lancio shadow report"


def _script(name: str) -> str:
    return (resources.files("lancio.registry") / name).read_text("utf-8")


def _state(connection: psycopg.Connection[Any]) -> dict[str, bool]:
    with looking(connection), connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(named_queries("lancio.registry", "shadow.sql")["state"]).fetchone()
    assert found is not None  # noqa: S101  a SELECT without FROM has one row
    return found


def _asked(connection: psycopg.Connection[Any]) -> None:
    if not _state(connection)["on"]:
        raise ShadowRefused(
            "shadow mode is off", remedy="Begin it, and let the programs work.", commands=("lancio shadow on",)
        )


def _run(connection: psycopg.Connection[Any], *scripts: str) -> None:
    try:
        with connection.transaction():
            # A busy table keeps everyone behind us waiting too: rather give up and be called again.
            connection.execute("SET LOCAL lock_timeout = '5s'")
            for script in scripts:
                connection.execute(script.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        raise _may_not(error) from error
    except psycopg.errors.LockNotAvailable as error:
        raise ShadowRefused(
            "a table of the platform is busy",
            cause="Somebody has held a lock on it for 5 seconds; nothing was changed.",
            remedy="Try again.",
        ) from error


def _may_not(error: psycopg.Error) -> ShadowRefused:
    return ShadowRefused(
        "this role may not do that",
        cause=error.diag.message_primary or "",
        remedy="Shadow mode takes a superuser, or the owner of the platform's tables that may create roles.",
    )
