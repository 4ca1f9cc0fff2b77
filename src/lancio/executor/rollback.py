"""Take steps back in the live database: each in one transaction with its ledger row, or not at all."""

from __future__ import annotations

import hashlib
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from lancio.errors import LancioError, LockHeld, StepFailed
from lancio.executor import evidence, fingerprint, ledger, lock, session
from lancio.executor.events import Event
from lancio.executor.session import Answer, Command, Failure, ServerMessage
from lancio.executor.waiting import CONTENTION
from lancio.planner.diagnosis import Said, Spot, Way, diagnose, masked
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lancio.executor.fingerprint import Fact, Fingerprint
    from lancio.executor.session import Connection, Session
    from lancio.planner.model import FileFacts, Graph

QUERIES = named_queries("lancio.executor", "rollback.sql")

"""A lock that did not come in time, a deadlock, a serialization failure: what is tried again."""
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each further try."""
COUNT_LIMIT_MS = 30_000


@dataclass(frozen=True, slots=True)
class Undo:
    """One step to be taken back: its statements, and of how many of them a single row may go at most.

    `removed` and `added` are what the step did to the catalog's facts; None where nobody has seen that. `single` are
    the places among the statements, counted from 0, of DELETEs that may find one row. `empty` are tables, each with the
    condition that no row of it met when it was asked whether they may go ("" for any).
    """

    facts: FileFacts
    statements: tuple[str, ...]
    single: frozenset[int] = frozenset()
    change: tuple[tuple[Fact, ...], tuple[Fact, ...]] | None = None
    empty: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepRolledBack(Event):
    """A step was taken back; it is pending again."""

    migration: str
    position: int
    of: int
    duration_ms: float


ELSEWHERE = (
    "What runs here was worked out on a server of another major version, where some things have other names: "
    "name one of this version by --scratch."
)


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows a query found; None where it could not be asked in time, and `why`."""

    rows: int | None
    why: str = ""


def count(connection: Connection, table: str, column: str = "", where: str = "") -> Count:
    """Rows of a table: all, those with a value in a column, or those that a condition finds. Changes nothing."""
    condition = where or (f"{column} IS NOT NULL" if column else "true")
    # Names and conditions are SQL already, quoted where they were made.
    asked = f"SELECT pg_catalog.count(*) FROM {table} WHERE {condition}"  # noqa: S608
    try:
        with connection.transaction(force_rollback=True), psycopg.RawCursor(connection) as cursor:
            cursor.execute(b"SET TRANSACTION READ ONLY")
            # A policy that hides rows would hide what is lost.
            cursor.execute(
                b"SELECT set_config('row_security', 'off', true), set_config('statement_timeout', $1, true)",
                (str(COUNT_LIMIT_MS),),
            )
            cursor.execute(asked.encode())
            row = cursor.fetchone()
            return Count(int(row[0]) if row else 0)
    except psycopg.Error as error:
        if connection.closed:
            raise
        return Count(None, masked(error.diag.message_primary or str(error)))


def plan_hash(undoings: Iterable[Undo]) -> str:
    """SHA-256 of all that will run, in hex."""
    digest = hashlib.sha256()
    for undo in undoings:
        for statement in (undo.facts.name, *undo.statements):
            digest.update(statement.encode())
            digest.update(b"\0")
    return digest.hexdigest()


def roll_back(
    connection: Connection, undoings: Sequence[Undo], *, graph: Graph, role: str | None = None, way: Way | None = None,
    same_version: bool = True,
) -> Iterator[Event]:  # fmt: skip
    """Take the steps back in this order, each in a transaction of its own with its ledger row.

    Before a step's commit its catalog is held against what it should be then: the one from before the transaction
    without what the step had added and with what it had removed. `same_version`: that was seen on a server of the same
    major version, so definitions are compared and not names alone.

    Raises:
        StepFailed: a statement failed, or the catalog would not be as before; that step was left as it was, those
            before it are taken back.
        ServerError, ConnectionLost, LockHeld: as when applying.
    """
    way = way or Way()
    with ledger.writing(connection, "lancio rollback", role=role) as work:
        ledger.ensure(work)
        known = ledger.applied_checksums(work)
        run = ledger.start_run(work, plan_hash(undoings))
        outcome = "failed"
        told: list[Event] = []
        try:
            for position, undo in enumerate(undoings, 1):
                if undo.facts.name not in known:
                    raise _meanwhile(undo.facts)
                try:
                    took = _step(work, run, undo, graph, way, same_version=same_version)
                except StepFailed as failed:
                    if not same_version:
                        failed.remedy = f"{ELSEWHERE} {failed.remedy}"
                    raise
                event = StepRolledBack(
                    number=position,
                    run=run,
                    migration=undo.facts.name,
                    position=position,
                    of=len(undoings),
                    duration_ms=took,
                )
                told.append(event)
                yield event
            outcome = "done"
        except session.Lost:
            outcome = "lost"
            raise
        finally:
            if not work.lost:
                with suppress(session.Lost, session.Refused):
                    session.collect(work, [ledger.add_events(run, told)] if told else [])
                    work.ask(session.LEDGER_QUERIES["finish_run"], str(run), outcome)


def _step(work: Session, run: int, undo: Undo, graph: Graph, way: Way, *, same_version: bool) -> float:
    for pause in (*PAUSES, None):
        try:
            return _tried(work, run, undo, graph, same_version=same_version)
        except _Refused as refused:
            if pause is None or refused.error.sqlstate not in CONTENTION:
                raise _explained(work, undo, refused, graph, way) from None
            time.sleep(pause)
    raise AssertionError("the last try has returned or raised")


class _Refused(Exception):  # noqa: N818  (a server's answer on its way to become a LancioError)
    def __init__(self, error: ServerMessage, index: int | None) -> None:
        super().__init__(error.message)
        self.error = error
        self.index = index


def _tried(work: Session, run: int, undo: Undo, graph: Graph, *, same_version: bool) -> float:
    started = time.perf_counter()
    name, migration = undo.facts.name, undo.facts.migration
    position = next((at for at, facts in enumerate(graph.files, 1) if facts.name == name), 0)
    before = [*work.reset(), Command("BEGIN"), Command("SET LOCAL check_function_bodies = off")]
    if work.server_version >= 110000:
        before.append(Command("SET LOCAL jit = off"))  # which takes longer than the questions about the catalog
    body = [
        Command(each, keep=False if at in undo.single else None, flush=True) for at, each in enumerate(undo.statements)
    ]
    behind = [
        Command("SET CONSTRAINTS ALL IMMEDIATE"),
        work.settle(durable=True, lookups=False),
        Command(
            QUERIES["undone"],
            (str(run), name, migration.checksum, migration.digest, str(position), str(lock.key(work.database))),
        ),
    ]
    failed: Failure | None = session.collect(work, before)
    if failed is not None:
        raise session.refusal(failed.error, f"{name} could not be begun to be taken back")
    _still_empty(work, undo)
    live = fingerprint.take(work.connection) if undo.change is not None else None
    many: str = ""
    for answer in work.run([*body, *behind]):
        if isinstance(answer, Failure):
            failed = answer
        elif isinstance(answer, Answer) and int(answer.tag.split()[-1]) > 1:
            many = undo.statements[answer.index]
    if failed is not None:
        _leave(work)
        if failed.error.sqlstate == "23502" and failed.error.column == "backend_pid":
            raise LockHeld(
                "the runner's lock was lost",
                cause=f"What takes back {name} released it, or a pooler changed the session. Nothing of it was kept.",
                remedy="Take pg_advisory_unlock_all() out of it, and connect to PostgreSQL itself.",
            )
        raise _Refused(failed.error, failed.index if failed.index < len(body) else None)
    if many:
        _leave(work)
        raise StepFailed(
            f"{name} was not taken back: `{masked(many)}` found more than one row",
            cause="The rows that it made cannot be told from others like them.",
            remedy="Delete by hand those that are not needed, and roll it back again.",
        )
    if undo.change is not None and live is not None:
        lacking, more = otherwise(live, fingerprint.take(work.connection), undo.change, same_version=same_version)
        if lacking or more:
            _leave(work)
            raise _otherwise(name, lacking, more)
    work.ask("COMMIT")
    return round((time.perf_counter() - started) * 1000, 1)


def _still_empty(work: Session, undo: Undo) -> None:
    """Keep writers away from what had no row, and look once more: nobody has agreed to lose one.

    Raises:
        StepFailed: rows came meanwhile.
    """
    try:
        for table, condition in undo.empty:
            if work.ask(QUERIES["lockable"], table) != (("t",),):
                continue  # a foreign table's rows are elsewhere
            work.ask(f"LOCK TABLE {table} IN SHARE MODE")
            found = work.ask(f"SELECT EXISTS (SELECT FROM {table} WHERE {condition or 'true'})")  # noqa: S608  (as in `count`)
            if found == (("t",),):
                _leave(work)
                raise StepFailed(
                    f"{undo.facts.name} was not taken back: rows of {table} came meanwhile",
                    cause="There were none when it was told what would be lost.",
                    remedy="Run it again: it counts them. Nothing of this step was kept.",
                )
    except session.Refused as refused:
        _leave(work)
        raise _Refused(refused.error, None) from None


def _leave(work: Session) -> None:
    failure = session.collect(work, [Command("ROLLBACK"), *work.reset()])
    if failure is not None:
        raise session.refusal(failure.error, "the session could not be made new")


def otherwise(
    live: Fingerprint,
    found: Fingerprint,
    change: tuple[tuple[Fact, ...], tuple[Fact, ...]],
    *,
    same_version: bool = True,
) -> tuple[list[Fact], list[Fact]]:
    """What the catalog lacks, and what it has too much, held against the one before it without the step's change.

    What differed from the files before goes on to differ, and is nobody's fault here. On servers of two versions
    PostgreSQL writes definitions in two ways, so there only what is there is compared.
    """
    removed, added = change
    if same_version:
        wanted, has = (clockless(live.facts) - clockless(added)) | clockless(removed), clockless(found.facts)
        return sorted(wanted - has), sorted(has - wanted)
    names = {(each.kind, each.identity) for each in removed}
    gone = {(each.kind, each.identity) for each in added} - names
    lacking = [each for each in live.facts if (each.kind, each.identity) not in gone]
    has_names = {(each.kind, each.identity) for each in found.facts}
    wanted_names = {(each.kind, each.identity) for each in lacking} | names
    return (
        [each for each in (*lacking, *removed) if (each.kind, each.identity) not in has_names and not _unnamed(each)],
        [each for each in found.facts if (each.kind, each.identity) not in wanted_names and not _unnamed(each)],
    )


_CLOCK = re.compile(r"'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+(?:[+-]\d\d(?::?\d\d)?)?'")


def clockless(facts: Iterable[Fact]) -> set[Fact]:
    """The facts without the moment that a definition was made at: 'now'::timestamp stands for it, written out."""
    return {fact._replace(definition=_CLOCK.sub("'now'", fact.definition)) for fact in facts}


def _unnamed(fact: Fact) -> bool:
    """Whether only some versions have such a fact: NOT NULL is a constraint with a name from 18 on."""
    return fact.kind == "constraint" and fact.definition.startswith("NOT NULL")


def _otherwise(name: str, lacking: Sequence[Fact], more: Sequence[Fact]) -> LancioError:
    said = [f"lacks {each.kind} {each.identity}" for each in lacking] + [
        f"has {each.kind} {each.identity}" for each in more
    ]
    rest = f", and {len(said) - 5} more" if len(said) > 5 else ""
    return StepFailed(
        f"{name} was not taken back: the catalog would not be as it was before it",
        cause=f"Behind it the database {', '.join(said[:5])}{rest}. Something else than the files changed it since.",
        remedy="Look at what differs from the files, take that back by hand or write it into a file, and try again. "
        "Nothing of this step was kept.",
    )


def _meanwhile(facts: FileFacts) -> LancioError:
    return StepFailed(
        f"{facts.name} is not applied any more",
        cause="Somebody else rolled it back while this was prepared.",
        remedy="Look at lancio status, and run it again for what is left.",
    )


def _explained(work: Session, undo: Undo, refused: _Refused, graph: Graph, way: Way) -> LancioError:
    error = refused.error
    sql = undo.statements[refused.index] if refused.index is not None else ""
    said = Said(
        sqlstate=error.sqlstate, message=error.message, detail=error.detail, hint=error.hint, context=error.context,
        schema=error.schema, table=error.table, column=error.column, constraint=error.constraint,
        datatype=error.datatype,
    )  # fmt: skip
    spot = Spot(sql, 1, 1) if sql else None
    seen = evidence.gather(work.connection, said, sql=sql) if sql and not work.lost else None
    found = diagnose(said, graph=graph, file=undo.facts.name, way=way, spot=spot, evidence=seen)
    opening = masked(" ".join(sql.split())[:120])
    refusal = StepFailed(
        f"{undo.facts.name} was not taken back: {found.message}",
        cause=f"{found.cause} It was said of: {opening}" if opening else found.cause,
        remedy=f"{found.solution} Nothing of this step was kept.".strip(),
    )
    refusal.more = found.more()
    return refusal
