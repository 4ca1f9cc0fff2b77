"""Is there a connection pooler between, and does it keep one server process for a session?

A run needs one: its lock, its settings and its prepared statements live in the server's process. Through a pooler that
gives the process to somebody else at the end of each transaction or statement, they end up there.
"""

from __future__ import annotations

import secrets
import weakref
from typing import TYPE_CHECKING, Any

import psycopg

from lancio.errors import ServerError
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Callable

Connection = psycopg.Connection[Any]

QUERIES = named_queries("lancio.executor", "pooler.sql")

LOOKS = 2
"""So often a session is asked again which process it has, each time in a transaction of its own."""
ROUNDS = 3
"""So often `prove` tempts a pooler to give the process away."""

ITS_ERRORS = (None, "08P01", "58000", "26000", "42P05")
"""SQLSTATEs of what a pooler itself refuses (none, where it hung up), or of what is missing in another process."""

_PROVED: weakref.WeakSet[Connection] = weakref.WeakSet()


def process(connection: Connection) -> int:
    """The server process that answers this connection now."""
    return int(_one(connection, "process"))


def proved(connection: Connection) -> bool:
    """Whether `prove` has proved that this connection keeps its server process."""
    return connection in _PROVED


def prove(connection: Connection, another: Callable[[], Connection]) -> None:
    """Prove that a pooler that is said to be in session mode is, by tempting it to give the server process away.

    A second connection of the same kind takes a transaction just when the first one has ended one: in transaction mode
    it gets the process that the first one had. And what lives in a session has to be there again: a setting, an
    advisory lock, a prepared statement.

    Raises:
        ServerError: it does not keep it; the cause says what was seen.
    """
    token = secrets.token_hex(8)
    mine = process(connection)
    try:
        _one(connection, "keep", token)
        connection.execute("PREPARE lancio_probe AS SELECT 1")
        with another() as other:
            for _ in range(ROUNDS):
                other.execute("BEGIN")
                theirs = process(other)
                if theirs == mine:
                    raise refusal(connection, mine, f"Two sessions were served by one process, {mine}.")
                if (now := process(connection)) != mine:
                    raise refusal(connection, now, f"The session was served by process {mine}, then by {now}.")
                other.execute("ROLLBACK")
        kept = {
            "a setting": _one(connection, "kept") == token,
            "an advisory lock": bool(_one(connection, "locked", token)),
            "a prepared statement": connection.execute("EXECUTE lancio_probe").fetchone() == (1,),
        }
    except psycopg.Error as error:
        said = " ".join(str(error.diag.message_primary or error).split())
        raise refusal(connection, mine, f"What a session may do was refused: {said}.") from error
    if lost := [what for what, held in kept.items() if not held]:
        raise refusal(connection, mine, f"The session lost {' and '.join(lost)}.")
    _one(connection, "forget", token)
    connection.execute("DEALLOCATE lancio_probe")
    _PROVED.add(connection)


def refusal(connection: Connection, seen: int, saw: str = "") -> ServerError:
    """That a pooler stands between, and what was seen of it."""
    told = connection.pgconn.backend_pid
    return ServerError(
        "a connection pooler stands between Lancio and PostgreSQL"
        if not saw
        else "the pooler between Lancio and PostgreSQL is not in session mode",
        cause=f"{saw or f'The server process is {seen}, the connection was told {told}.'} "
        "Through a pooler the session's lock and settings can end up in another session.",
        remedy="Connect to PostgreSQL itself: usually port 5432 instead of the pooler's 6432 or 6543. "
        + (
            "Or to a port of the pooler that is in session mode."
            if saw
            else "If the pooler is in session mode, say so by --pooler session: it is proved before it is used."
        ),
    )


def _one(connection: Connection, name: str, *parameters: str) -> Any:
    with psycopg.RawCursor(connection) as cursor:
        row = cursor.execute(QUERIES[name].encode(), parameters).fetchone()
    if row is None:
        raise AssertionError("a SELECT without FROM gives one row")
    return row[0]
