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
from dataclasses import replace
from typing import TYPE_CHECKING

from lancio.errors import LockHeld
from lancio.executor.events import Holder
from lancio.executor.session import LEDGER_QUERIES, LOCK_QUERIES, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lancio.executor.session import Session, Signals

POLL_SECONDS = 0.2
TOLD_EVERY_S = 30.0
LEDGER = "lancio"
"""The ledger's schema: two ledgers in one database would be two locks."""


def key(database: str) -> int:
    """The lock's number, a signed 64-bit integer made of the database's name and the ledger's."""
    digest = hashlib.sha256(f"{database}/{LEDGER}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def workers_key(database: str) -> int:
    """The number of the lock that the sessions beside a runner's own share."""
    return key(f"{database}/workers")


def acquire(
    session: Session, wait_s: float, signals: Signals | None = None, sql: Callable[[str], str] | None = None
) -> Iterator[tuple[float, list[Holder]]]:
    """Take the lock; while it is not free, give the seconds waited and who holds it, less and less often.

    It ends when the lock is held, or when a signal came. `sql` writes the command that runs a statement here by
    psql.

    Raises:
        LockHeld: `wait_s` seconds have passed; the error names the holder.
        session.Lost: the connection ended.
    """
    number = str(key(session.database))
    started = time.monotonic()
    next_at = 0.0
    while session.ask(LOCK_QUERIES["take"], number)[0][0] != "t":
        waited = time.monotonic() - started
        if waited >= wait_s:
            raise _held(holders(session), waited, session.server_version, sql or _by_psql)
        if waited >= next_at:
            next_at = later(waited)
            yield waited, holders(session)
        if signals is not None and signals.name:
            return
        time.sleep(min(POLL_SECONDS, max(0.01, wait_s - waited)))
    while left := workers(session):
        waited = time.monotonic() - started
        if waited >= wait_s:
            release(session)
            raise _held(left, waited, session.server_version, sql or _by_psql)
        if waited >= next_at:
            next_at = later(waited)
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


def later(waited_s: float) -> float:
    """When to tell of a wait again, in seconds since it began: after one, two, four … and then every half minute."""
    return waited_s + min(max(1.0, waited_s), TOLD_EVERY_S)


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
    """The sessions that hold the lock of this database's runner, and the runs that they work for."""
    found = [holder_of(row) for row in session.ask(LOCK_QUERIES["holders"], str(key(session.database)))]
    return [_with_run(session, holder) for holder in found]


def _with_run(session: Session, holder: Holder) -> Holder:
    """Who holds the lock, with what the ledger says of the run: nothing, where it is not there or may not be read."""
    try:
        rows = session.ask(LEDGER_QUERIES["at_work"], str(holder.pid))
    except Refused:
        return holder
    if not rows:
        return holder
    run, operator, host, since = rows[0]
    return replace(holder, run=int(run or 0), operator=operator or "", host=host or "", since=since or holder.since)


def blockers(session: Session, backend_pid: int) -> tuple[str, list[Holder]]:
    """The relation that a backend waits for ("" if it is none), and the sessions it waits for."""
    rows = session.ask(LOCK_QUERIES["blockers"], str(backend_pid))
    return (rows[0][8] or "" if rows else ""), [holder_of(row[:8]) for row in rows]


def holder_of(row: tuple[str | None, ...]) -> Holder:
    """A row of pid, application_name, user, client, since, state, query, age in seconds."""
    pid, application, user, client, since, state, query, age = row
    return Holder(
        pid=int(pid or 0),
        application=application or "",
        user=user or "",
        client=client or "",
        since=since or "",
        state=state or "",
        query=opening(query or ""),
        age_s=None if age is None else round(max(0.0, float(age)), 1),
    )


OPENING = 80

_LITERAL = re.compile(
    r"--[^\n]*|/\*.*?(?:\*/|$)"
    r"|(?P<dollars>\$(?:[^\W\d]\w*)?\$).*?(?:(?P=dollars)|$)"
    r"|'(?:[^']|'')*(?:'|$)"
    r"|(?P<name>\"(?:[^\"]|\"\")*(?:\"|$)|[$]?\b[^\W\d][\w$]*|[$]\d+)"
    r"|\d[\w.]*",
    re.DOTALL,
)


def opening(query: str) -> str:
    """How a statement begins, in one line and without what may be data or a secret: the words around it say enough.

    Strings, numbers and comments go. Where a backslash could make a string's end something else, so does all behind
    the string's beginning.
    """

    def shown(found: re.Match[str]) -> str:
        if found["name"]:
            return found[0]
        return " " if found[0][:2] in ("--", "/*") else "'…'" if found[0][0] in "'$" else "…"

    head, quote, rest = query.partition("'")
    if "\\" in rest:
        query = head + quote
    said = " ".join(_LITERAL.sub(shown, query).split())
    return said if len(said) <= OPENING else said[: OPENING - 1] + "…"


def orphaned(found: Sequence[Holder], server_version: int) -> str:
    """What to know of runners that hold the lock, where one may have been killed; "" where nothing is to be done.

    From 14 on the server notices within a second that the client of a busy session is gone.
    """
    busy = [holder for holder in found if holder.application.startswith("lancio") and holder.state == "active"]
    if not busy or server_version >= 140000:
        return ""
    ends = "; ".join(f"SELECT pg_terminate_backend({holder.pid})" for holder in busy)
    return (
        "if that runner was killed, its server process still works on the statement that is named and rolls back when "
        f"it ends, or when it is ended: {ends}"
    )


def _by_psql(statement: str) -> str:
    return f'psql -c "{statement}"'


def _held(found: list[Holder], waited: float, server_version: int, sql: Callable[[str], str]) -> LockHeld:
    who = "; ".join(str(holder) for holder in found) or "a session that has just ended"
    remedy = "Wait until it has finished, or ask whoever runs it."
    if orphan := orphaned(found, server_version):
        remedy += f" {orphan[0].upper()}{orphan[1:]}."
    return LockHeld(
        "another runner is at work in this database",
        cause=f"Waited {waited:.0f} s for the lock, which is held by {who}.",
        remedy=remedy,
        commands=tuple(sql(f"SELECT pg_terminate_backend({holder.pid})") for holder in found),
    )
