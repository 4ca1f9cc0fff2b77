"""Who may run migrations in this database now?

One session advisory lock a database. It is taken by polling: a session that waits inside pg_advisory_lock holds a
snapshot, and CREATE INDEX CONCURRENTLY waits for every snapshot, so the two would wait for each other.

The sessions that work beside a runner's own hold a second lock, shared. One that has taken it looks whether its runner
still has the first; who takes the first looks for sessions that still have the second, and waits for them. Whichever of
the two comes later sees the other, so no runner begins while a session of another one is at work.
"""

from __future__ import annotations

import hashlib
import re
import time
from typing import TYPE_CHECKING

from lancio.errors import LockHeld
from lancio.executor.events import Holder
from lancio.executor.session import LOCK_QUERIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.executor.session import Session, Signals

POLL_SECONDS = 0.2
LEDGER = "lancio"
"""The ledger's schema: two ledgers in one database would be two locks."""


def key(database: str) -> int:
    """The lock's number, a signed 64-bit integer made of the database's name and the ledger's."""
    digest = hashlib.sha256(f"{database}/{LEDGER}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def workers_key(database: str) -> int:
    """The number of the lock that the sessions beside a runner's own share."""
    return key(f"{database}/workers")


def acquire(session: Session, wait_s: float, signals: Signals | None = None) -> Iterator[tuple[float, list[Holder]]]:
    """Take the lock, giving the seconds waited and who holds it about once a second while it is not free.

    It ends when the lock is held, or when a signal came.

    Raises:
        LockHeld: `wait_s` seconds have passed; the error names the holder.
        session.Lost: the connection ended.
    """
    number = str(key(session.database))
    started = time.monotonic()
    reported = 0.0
    while session.ask(LOCK_QUERIES["take"], number)[0][0] != "t":
        waited = time.monotonic() - started
        if waited >= wait_s:
            raise _held(holders(session), waited, session.server_version)
        if waited - reported >= 1 or not reported:
            reported = waited or 0.001
            yield waited, holders(session)
        if signals is not None and signals.name:
            return
        time.sleep(min(POLL_SECONDS, max(0.01, wait_s - waited)))
    while left := workers(session):
        waited = time.monotonic() - started
        if waited >= wait_s:
            release(session)
            raise _held(left, waited, session.server_version)
        if waited - reported >= 1 or not reported:
            reported = waited or 0.001
            yield waited, left
        if signals is not None and signals.name:
            return
        time.sleep(min(POLL_SECONDS, max(0.01, wait_s - waited)))


def workers(session: Session) -> list[Holder]:
    """The sessions that work beside the session of a runner, or of one that has ended."""
    return [holder_of(row) for row in session.ask(LOCK_QUERIES["holders"], str(workers_key(session.database)))]


def join(session: Session, runner: int) -> bool:
    """Make a session one that works beside the runner's; False where that one, a process id, lacks the lock now.

    Raises:
        session.Lost: the connection ended.
    """
    number = workers_key(session.database)
    if session.ask(LOCK_QUERIES["take_shared"], str(number))[0][0] != "t":
        return False
    session.lock_number = number
    return any(holder.pid == runner for holder in holders(session))


def release(session: Session) -> None:
    """Give the lock back. A connection that is gone has given it back already."""
    if not session.lost:
        if session.lock_number is None:
            session.ask(LOCK_QUERIES["release"], str(key(session.database)))
        else:
            session.ask(LOCK_QUERIES["release_shared"], str(session.lock_number))


def held(session: Session) -> bool:
    """Whether this session holds the lock, as the server's own lock table says."""
    return session.ask(LOCK_QUERIES["held"], str(key(session.database)))[0][0] == "t"


def holders(session: Session) -> list[Holder]:
    """The sessions that hold the lock of this database's runner."""
    return [holder_of(row) for row in session.ask(LOCK_QUERIES["holders"], str(key(session.database)))]


def blockers(session: Session, backend_pid: int) -> tuple[str, list[Holder]]:
    """The relation that a backend waits for ("" if it is none), and the sessions it waits for."""
    rows = session.ask(LOCK_QUERIES["blockers"], str(backend_pid))
    return (rows[0][7] or "" if rows else ""), [holder_of(row[:7]) for row in rows]


def holder_of(row: tuple[str | None, ...]) -> Holder:
    """A row of pid, application_name, user, client, since, state, query."""
    pid, application, user, client, since, state, query = row
    # What stands in quotes may be data, or a secret; the words around it say enough.
    words = re.sub(r"'(?:[^']|'')*(?:'|$)", "'…'", query or "")
    opening = words if len(words) <= 80 else words[:79] + "…"
    return Holder(int(pid or 0), application or "", user or "", client or "", since or "", state or "", opening)


def _held(found: list[Holder], waited: float, server_version: int) -> LockHeld:
    who = "; ".join(str(holder) for holder in found) or "a session that has just ended"
    orphan = any(holder.application.startswith("lancio") and holder.state == "active" for holder in found)
    remedy = "Wait until it has finished, or ask whoever runs it."
    if orphan and server_version < 140000:
        # From 14 on the server notices within a second that the client of a busy session is gone.
        remedy += (
            " If that runner was killed, its server process still works on the statement above and rolls back when "
            "it ends, or when it is ended."
        )
    return LockHeld(
        "another runner is at work in this database",
        cause=f"Waited {waited:.0f} s for the lock, which is held by {who}.",
        remedy=remedy,
        commands=tuple(f'psql -c "SELECT pg_terminate_backend({holder.pid})"' for holder in found),
    )
