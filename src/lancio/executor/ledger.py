"""What was applied to this database, when, by whom, and how long did it take?"""

from __future__ import annotations

import contextlib
import getpass
import socket
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
from psycopg import rows

from lancio import __version__
from lancio.errors import ConnectionLost, LancioError, ServerError, UsageError
from lancio.executor import lock, session
from lancio.executor.session import LEDGER_QUERIES as QUERIES
from lancio.executor.session import Command, Connection, Session, array
from lancio.planner.segments import Ran, text_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from lancio.executor.events import Event
    from lancio.reading.model import Statement
    from lancio.reading.source import Migration


def _formats() -> list[tuple[int, str]]:
    folder = resources.files("lancio.executor").joinpath("schema")
    return sorted(
        (int(item.name.split("_")[0]), item.read_text(encoding="utf-8"))
        for item in folder.iterdir()
        if item.name.endswith(".sql")
    )


FORMAT = max(number for number, _ in _formats())
"""The ledger's format that this Lancio writes; the newest file of schema/. An older ledger is read as it is,
and brought up to date by the first command that writes; a newer one is refused."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A row of the ledger: a migration that is in the database.

    `state` is `applied` (it ran here), `adopted` (it was found to be here) or `edited` (its file changed afterwards
    and that was accepted); among the steps of one run also `rolled back` (it was taken back).
    `origin` is who says that it ran: "lancio", "facts" (the catalog) or the name of the tool
    whose history had it. `duration_ms` is None for what did not run by Lancio. `ran` is the row that says that it came
    to be applied, which tells what came before what: an edit that was accepted since has a later `id`.
    """

    id: int
    run: int
    migration: str
    checksum: str
    digest: str
    position: int
    state: str
    started_at: datetime
    duration_ms: float | None
    locks: tuple[tuple[str, str], ...]
    verifications: tuple[str, ...]
    origin: str
    who: str
    host: str
    ran: int


@dataclass(frozen=True, slots=True)
class Run:
    """One invocation that changed something; `outcome` is None while it runs, and for ever if it was killed."""

    id: int
    started_at: datetime
    finished_at: datetime | None
    who: str
    operator: str
    host: str
    lancio_version: str
    server_version: str
    plan_hash: str
    outcome: str | None


def exists(connection: Connection) -> bool:
    """Whether this database has a ledger.

    Raises:
        ServerError: there is one, in a format that this Lancio does not know, or it may not be read.
    """
    found = _all(connection, "exists")
    if not found or not found[0]["found"]:
        return False
    formats = _all(connection, "format")
    if not formats:
        raise ServerError(
            "the ledger of this database is damaged",
            cause="lancio.ledger_format is empty: something else than Lancio changed it.",
            remedy="Restore the schema lancio from a backup; nothing was changed.",
        )
    version = formats[0]["version"]
    if version > FORMAT:
        raise _newer(version)
    return True


def read(connection: Connection) -> dict[str, Applied]:
    """What is applied, by the migration's name; empty where there is no ledger. Writes nothing.

    Raises:
        ServerError: the ledger is newer than this Lancio, or may not be read.
    """
    if not exists(connection):
        return {}
    return {row["migration"]: _applied(row) for row in _all(connection, "rows")}


def durations(connection: Connection) -> dict[str, float]:
    """How long each migration took here, in milliseconds: the median of its runs; empty without a ledger."""
    if not exists(connection):
        return {}
    return {row["migration"]: row["duration_ms"] for row in _all(connection, "durations")}


def begun(connection: Connection) -> frozenset[str]:
    """The files that some run sent and that are not applied: they failed, or the run ended before them."""
    if not exists(connection):
        return frozenset()
    return frozenset(row["migration"] for row in _all(connection, "all_begun"))


def in_progress(connection: Connection) -> dict[str, tuple[Ran, ...]]:
    """Of each file that was begun and is not applied whole, the statements that ran or were sent; empty mostly."""
    if not exists(connection) or not _all(connection, "has_segments")[0]["found"]:
        return {}
    found: dict[str, list[Ran]] = {}
    for row in _all(connection, "in_progress"):
        found.setdefault(row.pop("migration"), []).append(Ran(text_hash=row.pop("hash"), **row))
    return {name: tuple(each) for name, each in found.items()}


def runs(connection: Connection, limit: int = 20) -> list[Run]:
    """The latest runs, newest first; empty without a ledger."""
    if not exists(connection):
        return []
    return [Run(**row) for row in _all(connection, "runs", str(limit))]


def steps(connection: Connection, run: int) -> list[Applied]:
    """The steps that a run committed, in its order; empty without a ledger."""
    if not exists(connection):
        return []
    return [_applied(row) for row in _all(connection, "steps_of", str(run))]


def events(connection: Connection, run: int, after: int = 0) -> list[dict[str, object]]:
    """The events of a run whose number is larger than `after`, in the form of `Event.as_dict`."""
    if not exists(connection):
        return []
    return [
        {"event": row["kind"], "number": row["number"], "run": run, "at": row["at"].isoformat(), **row["data"]}
        for row in _all(connection, "events_of", str(run), str(after))
    ]


def adopt_edited(connection: Connection, migration: Migration) -> Applied:
    """Accept that an applied file was edited: its new checksum counts from now on, with who and when.

    Raises:
        UsageError: the file is not in the ledger, or is not edited.
        ServerError, LockHeld: as when applying.
    """
    known = read(connection).get(migration.name)
    if known is None:
        raise UsageError(
            f"{migration.name} is not in the ledger",
            cause="Only a file that was applied here can have been edited since.",
            remedy="Apply it.",
        )
    if known.checksum == migration.checksum:
        raise UsageError(
            f"{migration.name} was not edited since it was applied",
            cause="Its statements are the same; comments and white space do not count.",
            remedy="Nothing is to do.",
        )
    with writing(connection) as work:
        ensure(work)
        run = start_run(work, plan_hash="")
        _record(work, run, Adopted(migration, known.position, known.origin), "edited")
        work.ask(QUERIES["finish_run"], str(run), "done")
    return read(connection)[migration.name]


@dataclass(frozen=True, slots=True)
class Adopted:
    """A migration that is taken over: its place among the files, who says that it ran, and when if that is known."""

    migration: Migration
    position: int
    origin: str
    at: datetime | None = None


def adopt(connection: Connection, rows: Sequence[Adopted]) -> tuple[str, ...]:
    """Record files that ran here without Lancio, all of them in one transaction; the names that were new.

    What came into the ledger meanwhile is left as it is there.

    Raises:
        ServerError, LockHeld: as when applying.
    """
    if not rows:
        return ()
    with writing(connection) as work:
        ensure(work)
        known = applied_checksums(work)
        new = [each for each in rows if each.migration.name not in known]
        if new:
            work.ask("BEGIN")
            run = start_run(work, plan_hash="")
            for each in new:
                _record(work, run, each, "adopted")
            work.ask(QUERIES["finish_run"], str(run), "done")
            work.ask("COMMIT")
    return tuple(each.migration.name for each in new)


@contextlib.contextmanager
def writing(connection: Connection, application: str = "lancio adopt", *, role: str | None = None) -> Iterator[Session]:
    """A session that holds the runner's lock, as `role` if one is given; what it cannot write is refused.

    Raises:
        ServerError, ConnectionLost, LockHeld: as when applying.
    """
    work = session.begin(connection, role=role, application=application)
    try:
        for _ in lock.acquire(work, wait_s=10):
            pass
        try:
            yield work
        finally:
            if not work.lost:
                if work.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    work.connection.execute("ROLLBACK")
                lock.release(work)
    except session.Refused as refused:
        raise session.refusal(refused.error, "the ledger could not be written") from None
    except session.Lost as lost:
        raise ConnectionLost(
            "the connection ended while the ledger was written", cause=lost.said, remedy="Run it again."
        ) from lost
    finally:
        session.end(work)


# --- what the runner writes -------------------------------------------------------------------------------------------


def ensure(work: Session) -> None:
    """Make the ledger's tables if they are not there, all in one transaction. The caller holds the runner's lock.

    Raises:
        ServerError: no right to make them, or the ledger is newer than this Lancio.
    """
    try:
        there: set[int] = set()
        if work.ask(QUERIES["exists"])[0][0] == "t":
            there = {int(row[0] or 0) for row in work.ask(QUERIES["formats"])}
    except session.Refused as refused:
        raise session.refusal(refused.error, "the ledger could not be read") from None
    if (version := max(there, default=0)) > FORMAT:
        raise _newer(version)
    missing = [(number, text) for number, text in _formats() if number not in there]
    if not missing:
        return
    try:
        # One simple query holds many statements; any failure undoes all of them.
        work.connection.execute("BEGIN")
        for number, text in missing:
            work.connection.execute(text.encode())
            with psycopg.RawCursor(work.connection) as cursor:
                cursor.execute(QUERIES["add_format"].encode(), (number, __version__))
        work.connection.execute("COMMIT")
    except psycopg.Error as error:
        if work.lost:
            raise session.Lost(0, str(error)) from error
        work.connection.execute("ROLLBACK")
        raise session.refusal(
            session.message_of(error.diag), "Lancio's ledger cannot be made in this database"
        ) from error


def start_run(work: Session, plan_hash: str) -> int:
    """A new row of lancio.run; its id."""
    row = work.ask(
        QUERIES["start_run"], operator(), socket.gethostname(), __version__, work.server_version_text, plan_hash
    )
    return int(row[0][0] or 0)


def add_step(
    work: Session,
    run: int,
    migration: Migration,
    position: int,
    checks: Sequence[str],
    lines: Sequence[tuple[int, str]],
) -> Command:
    """A step's row, for the step's own pipeline.

    It answers duration in ms and locks, and fails with 23502 on backend_pid where the runner's lock is not held.
    """
    return Command(
        QUERIES["add_step"],
        (
            str(run),
            migration.name,
            migration.checksum,
            migration.digest,
            str(position),
            orjson.dumps(checks).decode(),
            orjson.dumps([{"line": line, "summary": summary} for line, summary in lines]).decode(),
            str(lock.key(work.database) if work.lock_number is None else work.lock_number),
            "f" if work.lock_number is None else "t",
        ),
        name="lancio_add_step",
        keep=True,
    )


def in_progress_here(work: Session) -> dict[str, tuple[Ran, ...]]:
    """The same as `in_progress`, read under the lock."""
    found: dict[str, list[Ran]] = {}
    for name, ordinal, line, summary, digest, alone, state, before, took in work.ask(QUERIES["in_progress"]):
        found.setdefault(str(name), []).append(
            Ran(
                int(ordinal or 0),
                int(line or 0),
                summary or "",
                digest or "",
                alone == "t",
                state,  # type: ignore[arg-type]
                orjson.loads(before or "{}"),
                float(took) if took is not None else None,
            )
        )
    return {name: tuple(each) for name, each in found.items()}


def add_statements(work: Session, run: int, name: str, statements: Sequence[tuple[int, Statement]]) -> Command:
    """The rows of statements in the middle of a file, for their own transaction; ordinals count from 1."""
    return Command(
        QUERIES["add_statements"],
        (
            name,
            str(run),
            str(lock.key(work.database)),
            array([ordinal for ordinal, _ in statements]),
            array([each.span.line for _, each in statements]),
            array([each.summary for _, each in statements]),
            array([text_hash(each) for _, each in statements]),
        ),
        keep=True,
    )


def begin_statement(
    work: Session, run: int, name: str, ordinal: int, statement: Statement, before: Mapping[str, object]
) -> Command:
    """That a statement is about to be sent that stands alone; the commit of this is to wait for the disk."""
    said = (str(statement.span.line), statement.summary, text_hash(statement), orjson.dumps(before).decode())
    key = str(lock.key(work.database))
    return Command(QUERIES["begin_statement"], (name, str(ordinal), str(run), key, *said), keep=True)


def end_statement(name: str, ordinal: int, statement: Statement, state: str, took_ms: float | None) -> Command:
    """What became of it: applied, or failed."""
    took = None if took_ms is None else str(took_ms)
    said = (str(statement.span.line), statement.summary, text_hash(statement))
    return Command(QUERIES["end_statement"], (name, str(ordinal), state, took, *said), keep=True)


def end_file(name: str) -> Command:
    """For the last transaction of a file that had several segments, behind its step's row."""
    return Command(QUERIES["end_file"], (name,), keep=True)


def add_events(run: int, events: Sequence[Event]) -> Command:
    """These events as rows of lancio.event."""
    columns = (
        array([event.number for event in events]),
        array([event.at.isoformat() for event in events]),
        array([event.kind for event in events]),
        array([orjson.dumps(event.data()).decode() for event in events]),
    )
    return Command(QUERIES["add_events"], (str(run), *columns), name="lancio_add_events")


def applied_checksums(work: Session) -> dict[str, str]:
    """The checksum that counts for each migration, read under the lock."""
    return {str(row[2]): str(row[3]) for row in work.ask(QUERIES["rows"])}


def _record(work: Session, run: int, row: Adopted, state: str) -> None:
    work.ask(
        QUERIES["record"],
        str(run),
        row.migration.name,
        row.migration.checksum,
        row.migration.digest,
        str(row.position),
        state,
        row.origin,
        row.at.isoformat() if row.at is not None else None,
    )


def _all(connection: Connection, name: str, *parameters: str) -> list[dict[str, Any]]:
    try:
        with psycopg.RawCursor(connection, row_factory=rows.dict_row) as cursor:
            return cursor.execute(QUERIES[name].encode(), parameters).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        raise ServerError(
            "the ledger may not be read",
            cause=str(error.diag.message_primary),
            remedy="Connect as the role that applies migrations, or name it by --role.",
        ) from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise ServerError(
            "the ledger of this database is damaged, or the schema lancio is not Lancio's",
            cause=str(error.diag.message_primary),
            remedy="Restore the schema lancio from a backup, or give the other schema another name.",
        ) from error


def _applied(row: Mapping[str, Any]) -> Applied:
    fields = dict(row)
    fields["locks"] = tuple((each["relation"], each["mode"]) for each in row["locks"])
    fields["verifications"] = tuple(row["verifications"])
    return Applied(**fields)


def operator() -> str:
    """The account of the operating system that works here; "" where it has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user id without a name
        return ""


def _newer(version: int) -> LancioError:
    return ServerError(
        f"the ledger of this database has format {version}",
        cause=f"A newer Lancio wrote it; this one ({__version__}) knows format {FORMAT}.",
        remedy="Upgrade Lancio on this machine.",
        commands=("pip install --upgrade lancio",),
    )
