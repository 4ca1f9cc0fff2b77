"""Does what the applied files made still hold?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from lancio.errors import ConnectionLost, ServerError
from lancio.planner.diagnosis import masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lancio.planner.model import Check, FileFacts

TIME_LIMIT_MS = 30_000


@dataclass(frozen=True, slots=True)
class Result:
    """One standing check, asked now: `held` is None where it could not be asked, and `why` says why."""

    migration: str
    says: str
    held: bool | None
    why: str = ""


def verify(
    connection: psycopg.Connection[Any], files: Iterable[FileFacts], *, time_limit_ms: int = TIME_LIMIT_MS
) -> Iterator[Result]:
    """Ask every standing check of these files, each under a time limit, in one READ ONLY transaction.

    Checks that hold at the step only (`once`) are not asked. Nothing is written: PostgreSQL itself refuses a check
    that tries to. A check that fails to run is an answer (`held` None), not an error. The connection must be idle.

    Raises:
        ServerError: the connection is in use.
        ConnectionLost: it ended.
    """
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        raise ServerError(
            "the connection is in a transaction", cause="It is in use.", remedy="Hand over one of its own."
        )
    before = connection.autocommit
    connection.autocommit = True
    try:
        with psycopg.RawCursor(connection) as cursor:
            cursor.execute(b"BEGIN READ ONLY")
            try:
                cursor.execute(b"SELECT set_config('statement_timeout', $1, true)", (str(time_limit_ms),))
                # A policy that hides rows would let a check hold that does not.
                cursor.execute(b"SET LOCAL row_security = off")
                for facts in files:
                    for check in facts.standing:
                        yield Result(facts.name, check.says, *_ask(cursor, check))
            finally:
                if not connection.closed:
                    cursor.execute(b"COMMIT")  # of nothing; a ROLLBACK would be counted as an error since the run
    except psycopg.OperationalError as error:
        raise ConnectionLost(
            "the connection ended while checks were asked", cause=" ".join(str(error).split()), remedy="Run it again."
        ) from error
    finally:
        if not connection.closed:
            connection.autocommit = before


def _ask(cursor: psycopg.RawCursor[Any], check: Check) -> tuple[bool | None, str]:
    cursor.execute(b"SAVEPOINT asked")
    try:
        # With a parameter the protocol takes one statement only, whatever the text of a check says.
        asked = f"SELECT (\n{check.sql.strip().rstrip(';')}\n) IS TRUE WHERE $1 = ''"
        row = cursor.execute(asked.encode(), ("",)).fetchone()
    except psycopg.Error as error:
        if cursor.connection.closed:
            raise
        cursor.execute(b"ROLLBACK TO SAVEPOINT asked")
        return None, masked(error.diag.message_primary or str(error))
    cursor.execute(b"RELEASE SAVEPOINT asked")
    return bool(row and row[0]), ""
