"""What has gone wrong in this database since the last run, as far as the server counts it?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from lancio.errors import ServerError
from lancio.executor import ledger
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lancio.executor.session import Connection

SAYS_NOT = (
    "A rollback is counted for each transaction that ended without a commit, also where the application meant it so or "
    "only looked; which statement it was, whose, and whether it mattered, no count tells. An error that was caught "
    "inside of a transaction is not counted, nor is a connection that was refused, and the counts of the last second "
    "may be missing."
)
"""What the numbers can't tell."""

BEGINS_WITHIN = timedelta(seconds=5)
"""So soon after a run its own session has told the server what it did, and the database is counted."""


@dataclass(frozen=True, slots=True)
class Counters:
    """pg_stat_database of one database at a moment.

    `checksum_failures` is None where pages have no checksums, and below PostgreSQL 12. `counting` is whether
    track_counts was on.
    """

    at: datetime
    commits: int
    rollbacks: int
    deadlocks: int
    conflicts: int
    checksum_failures: int | None
    stats_reset: datetime | None
    server_started: datetime
    counting: bool


@dataclass(frozen=True, slots=True)
class Since:
    """What was counted between the end of a run and now; None everywhere where `unknown` says why nothing is known.

    `outcome` is how the run ended: what a failed one rolled back may be in the counts. `later` is the number of runs
    that began afterwards and have no end: theirs is in the counts as well.
    """

    run: int | None
    at: datetime | None
    until: datetime | None
    unknown: str = ""
    commits: int | None = None
    rollbacks: int | None = None
    deadlocks: int | None = None
    conflicts: int | None = None
    checksum_failures: int | None = None
    outcome: str = ""
    later: int = 0


def since_run(connection: Connection) -> Since:
    """What the server counted since the latest run that was recorded to its end. Changes nothing.

    Raises:
        ServerError: the ledger is newer than this Lancio, damaged, or may not be read.
    """
    if not ledger.exists(connection):
        return Since(
            None, None, None, "no run of Lancio is recorded in this database, so there is no moment to count from"
        )
    queries = named_queries("lancio.executor", "counters.sql")
    try:
        with connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(queries["exists"].encode()).fetchone()
            recorded = None
            if found is not None and found["found"]:
                recorded = cursor.execute(queries["recorded"].encode()).fetchone()
            now = cursor.execute(queries["now"].encode()).fetchone()
    except psycopg.errors.InsufficientPrivilege as error:
        raise ServerError(
            "the ledger may not be read",
            cause=str(error.diag.message_primary),
            remedy="Connect as the role that applies migrations, or name it by --role.",
        ) from error
    if recorded is None or now is None:
        return Since(None, None, None, "no run was recorded to its end with the server's counters")
    since = compare(recorded["run"], _counters(recorded), _counters(now))
    return replace(since, outcome=recorded["outcome"] or "", later=recorded["later"])


def compare(run: int, then: Counters, now: Counters) -> Since:
    """The difference of two moments, or why there is none: the server began to count anew, or does not count."""
    unknown = ""
    if not now.counting:
        unknown = "the server does not count: track_counts is off"
    elif now.stats_reset != then.stats_reset and not _began(then, now):
        unknown = f"the server's counters were reset {_moment(now.stats_reset)}, after the run"
    elif now.server_started != then.server_started:
        unknown = (
            f"the server was started anew {_moment(now.server_started)}, after the run, and after a crash it counts "
            "from nothing"
        )
    elif any(getattr(now, name) < getattr(then, name) for name in ("commits", "rollbacks", "deadlocks", "conflicts")):
        unknown = "the server's counters are below those at the end of the run: they were reset in between"
    if unknown:
        return Since(run, then.at, now.at, unknown)
    broken = None
    if now.checksum_failures is not None:
        broken = now.checksum_failures - (then.checksum_failures or 0)
    return Since(
        run,
        then.at,
        now.at,
        commits=now.commits - then.commits,
        rollbacks=now.rollbacks - then.rollbacks,
        deadlocks=now.deadlocks - then.deadlocks,
        conflicts=now.conflicts - then.conflicts,
        checksum_failures=broken,
    )


def _began(then: Counters, now: Counters) -> bool:
    """Whether the server just began to count a new database: up to PostgreSQL 14 that sets the time of a reset."""
    nothing = then.stats_reset is None and not then.commits and not then.rollbacks
    return nothing and now.stats_reset is not None and now.stats_reset - then.at < BEGINS_WITHIN


def _counters(row: Mapping[str, Any]) -> Counters:
    return Counters(**{name: row[name] for name in Counters.__dataclass_fields__})


def _moment(at: datetime | None) -> str:
    return "at an unknown time" if at is None else f"at {at.isoformat(sep=' ', timespec='seconds')}"
