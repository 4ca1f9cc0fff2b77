"""Which facts does a checklist stand on, in this database, now?"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import psycopg

from lancio.errors import ConnectionLost
from lancio.executor import backups, counters, ledger
from lancio.planner import checklist, checks
from lancio.planner.checklist import Answer, Evidence, Line
from lancio.planner.diagnosis import masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lancio.executor.counters import Since
    from lancio.planner.model import FileState
    from lancio.proof.verify import Result

    Connection = psycopg.Connection[Any]

TIME_LIMIT_MS = 30_000
"""For one question, in milliseconds."""

ROUND_TRIPS = 20
"""So often the connection is tried before it is called good."""

SHOWN = 3


def gather(
    connection: Connection,
    parts: checklist.Parts,
    states: Sequence[FileState],
    words: checklist.Words,
    failed: Sequence[Result],
) -> Evidence:
    """Ask everything that the checklist of these files is made from. Changes nothing; the connection is idle.

    `failed` are the standing checks of what was applied that do not hold now.

    Raises:
        ServerError: the ledger may not be read.
        ConnectionLost: the connection ended.
    """
    backup = backups.latest(connection)
    return Evidence(
        answers=answers(connection, checklist.wanted(parts, states, words)),
        kept={name: each.verifications for name, each in ledger.read(connection).items()},
        durations={name: round(took) for name, took in ledger.durations(connection).items()},
        backup=(backup.at, backup.where) if backup is not None else None,
        errors=errors(counters.since_run(connection), failed),
        connection=tested(connection),
    )


def answers(connection: Connection, wanted: Iterable[tuple[str, bool]]) -> dict[str, Answer]:
    """What the database says to each check, under a time limit each, in one READ ONLY transaction.

    A check that fails to run is an answer (`held` None), not an error. `wanted` has each check's SQL and whether the
    planner wrote it, so that what it lacks can be named.

    Raises:
        ConnectionLost: the connection ended.
    """
    found: dict[str, Answer] = {}
    try:
        with psycopg.RawCursor(connection) as cursor:
            cursor.execute(b"BEGIN READ ONLY")
            try:
                cursor.execute(b"SELECT set_config('statement_timeout', $1, true)", (str(TIME_LIMIT_MS),))
                # A policy that hides rows would let a check hold that does not.
                cursor.execute(b"SET LOCAL row_security = off")
                for sql, ours in wanted:
                    found[sql] = _answer(cursor, sql, ours=ours)
            finally:
                if not connection.closed:
                    cursor.execute(b"COMMIT")  # of nothing; a ROLLBACK would be counted as an error since the run
    except psycopg.OperationalError as error:
        raise ConnectionLost(
            "the connection ended while facts were asked", cause=" ".join(str(error).split()), remedy="Run it again."
        ) from error
    return found


def _answer(cursor: psycopg.RawCursor[Any], sql: str, *, ours: bool) -> Answer:
    text = sql.strip().rstrip(";")
    held, why = _ask(cursor, f"(\n{text}\n) IS TRUE")
    if held is None:
        return Answer(None, why)
    if ours and not held and (asks := checks.lacking(sql)):
        names, why = _ask(cursor, asks)
        return Answer(False, why, lacking=tuple(names or ()))
    counts = checklist.count_of(text)
    number = _ask(cursor, counts)[0] if counts else None
    return Answer(bool(held), count=number)


def _ask(cursor: psycopg.RawCursor[Any], sql: str) -> tuple[Any, str]:
    cursor.execute(b"SAVEPOINT asked")
    try:
        # With a parameter the protocol takes one statement only, whatever the text of a check says.
        row = cursor.execute(f"SELECT (\n{sql}\n) WHERE $1 = ''".encode(), ("",)).fetchone()
    except psycopg.Error as error:
        if cursor.connection.closed:
            raise
        cursor.execute(b"ROLLBACK TO SAVEPOINT asked")
        return None, masked(error.diag.message_primary or str(error))
    cursor.execute(b"RELEASE SAVEPOINT asked")
    return row[0] if row else None, ""


def tested(connection: Connection) -> Line:
    """The connection tried by some round trips: none may fail.

    Raises:
        ConnectionLost: one did.
    """
    took: list[float] = []
    try:
        for _ in range(ROUND_TRIPS):
            began = time.perf_counter()
            connection.execute(b"SELECT 1")
            took.append((time.perf_counter() - began) * 1000)
    except psycopg.OperationalError as error:
        raise ConnectionLost(
            f"the connection ended at round trip {len(took) + 1} of {ROUND_TRIPS}",
            cause=" ".join(str(error).split()),
            remedy="Find out what ends it before you run anything.",
        ) from error
    slow = f"median {statistics.median(took):.1f} ms, slowest {max(took):.1f} ms"
    return Line("", True, f"{ROUND_TRIPS} of {ROUND_TRIPS} round trips answered, {slow}")


def errors(since: Since, failed: Sequence[Result]) -> Line:
    """The checklist's line of errors: ticked where none was counted since the run and all that was applied stands."""
    says = "Monitor for errors"
    lost = [f"{each.migration}: {each.says}" for each in failed]
    stands = f"{_many(len(lost), 'check')} of what was applied {'does' if len(lost) == 1 else 'do'} not hold: " + (
        "; ".join(lost[:SHOWN]) + (f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else "")
    )
    if since.unknown:
        return Line(says, False, f"not known: {since.unknown}{f'. {stands}' if lost else ''}")
    counts = counted(since)
    moment = f"since run {since.run} ended {since.at:%Y-%m-%d %H:%M:%S %z}"
    if since.outcome != "done":
        moment += f" ({since.outcome}: what it rolled back itself may be among them)"
    wrong = [said for number, said in counts if number] + ([stands] if lost else [])
    if wrong:
        return Line(says, False, f"{', '.join(wrong)}, {moment}")
    none = ", ".join(said for _, said in counts)
    return Line(says, True, f"{none}, and every check holds, {moment}")


def counted(since: Since) -> list[tuple[int, str]]:
    """Each thing that was counted, with its number, in words; what is not known here is left out."""
    found = (
        (since.rollbacks, "rollback"),
        (since.deadlocks, "deadlock"),
        (since.conflicts, "conflict with recovery"),
        (since.checksum_failures, "failed page checksum"),
    )
    return [(number, _many(number, noun)) for number, noun in found if number is not None]


def _many(number: int, noun: str) -> str:
    first, _, rest = noun.partition(" ")
    if number == 1:
        return f"1 {noun}"
    return f"{number} {first}s{f' {rest}' if rest else ''}" if first == "conflict" else f"{number} {noun}s"
