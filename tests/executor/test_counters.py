"""What the server counted since a run: recorded at its end, compared now, and not claimed where none can know."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources

import psycopg
import pytest
from plans import facts, migration, plan

from lancio.errors import StepFailed
from lancio.executor import counters, ledger, runner
from lancio.executor.counters import Counters


@pytest.fixture
def connection(every_database):
    with psycopg.connect(every_database, autocommit=True) as connection:
        yield connection


def run(connection, *files):
    return list(runner.apply(plan(*files), connection))


def counted(connection, until):
    """What was counted, as soon as the server has told all of it: sessions tell it when they are idle."""
    for _ in range(60):
        since = counters.since_run(connection)
        if until(since):
            break
        time.sleep(0.1)
    return since


def test_without_a_ledger_there_is_no_moment_to_count_from(connection):
    since = counters.since_run(connection)
    assert (since.run, since.rollbacks) == (None, None)
    assert "no run of Lancio" in since.unknown


def test_a_run_leaves_what_was_counted_by_its_end_and_nothing_of_its_own(connection):
    run(connection, facts("001.sql", "CREATE TABLE a (id int);"))
    time.sleep(1.2)  # a session tells its counts within a second
    connection.execute("SELECT 1")
    since = counters.since_run(connection)
    assert (since.unknown, since.outcome) == ("", "done")
    assert (since.rollbacks, since.deadlocks, since.conflicts) == (0, 0, 0)
    assert since.checksum_failures in (0, None)
    assert since.run == ledger.runs(connection)[0].id


def test_rollbacks_of_others_are_counted(connection, every_database):
    run(connection, facts("001.sql", "CREATE TABLE a (id int);"))
    with psycopg.connect(every_database, autocommit=True) as other:
        for _ in range(3):
            with pytest.raises(psycopg.errors.DivisionByZero):
                other.execute("SELECT 1/0")
    since = counted(connection, lambda found: found.rollbacks == 3)
    assert (since.rollbacks, since.deadlocks) == (3, 0)


def test_a_deadlock_is_counted(connection, every_database):
    run(connection, facts("001.sql", "CREATE TABLE a (id int); CREATE TABLE b (id int);"))
    ended = []

    def locks(first, second, ready):
        with psycopg.connect(every_database) as other:
            other.execute("SET deadlock_timeout = '100ms'")
            other.execute(f"LOCK TABLE {first}")
            ready.wait(10)
            try:
                other.execute(f"LOCK TABLE {second}")
                ended.append("done")
            except psycopg.errors.DeadlockDetected:
                ended.append("deadlock")

    ready = threading.Barrier(2)
    threads = [threading.Thread(target=locks, args=(*pair, ready)) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(ended) == ["deadlock", "done"]
    since = counted(connection, lambda found: found.deadlocks and found.rollbacks)
    assert (since.deadlocks, since.rollbacks) == (1, 1)


def test_a_reset_in_between_is_unknown_and_not_nothing(connection):
    known = "SELECT xact_commit > 0 FROM pg_stat_database WHERE datname = current_database()"
    while connection.execute(known).fetchone() != (True,):
        time.sleep(0.1)
    run(connection, facts("001.sql", "CREATE TABLE a (id int);"))
    connection.execute("SELECT pg_stat_reset()")
    since = counted(connection, lambda found: found.unknown)
    assert "reset" in since.unknown
    assert (since.rollbacks, since.deadlocks) == (None, None)


def test_a_failed_run_is_a_moment_as_well_and_says_so(connection):
    with pytest.raises(StepFailed):
        run(connection, facts("001.sql", "SELECT 1/0;"))
    assert counters.since_run(connection).outcome == "failed"


def test_a_ledger_of_the_first_format_is_brought_up_to_date_by_the_next_run(connection):
    first = resources.files("lancio.executor").joinpath("schema", "001_ledger.sql").read_text(encoding="utf-8")
    connection.execute(first)
    connection.execute("INSERT INTO lancio.ledger_format (version, made_by) VALUES (1, '0.1')")
    connection.execute(
        "INSERT INTO lancio.run (who, operator, host, lancio_version, server_version, plan_hash, outcome)"
        " VALUES ('a', 'b', 'c', '0.1', '10', '', 'done')"
    )
    connection.execute(
        "INSERT INTO lancio.step (run, backend_pid, migration, checksum, digest, position, state, started_at)"
        " VALUES (1, 1, '001.sql', 'x', 'y', 1, 'applied', now())"
    )
    # Reading changes nothing, and knows nothing.
    assert "with the server's counters" in counters.since_run(connection).unknown
    assert ledger.read(connection).keys() == {"001.sql"}
    assert connection.execute("SELECT to_regclass('lancio.counters') IS NULL").fetchone()[0]
    run(connection, facts("002.sql", "CREATE TABLE a (id int);"))
    assert counters.since_run(connection).unknown == ""
    assert ledger.read(connection).keys() == {"001.sql", "002.sql"}
    installed = connection.execute("SELECT version FROM lancio.ledger_format ORDER BY 1").fetchall()
    assert {1, ledger.FORMAT} <= {row[0] for row in installed}


def test_adopting_an_edited_file_works_on_a_ledger_of_the_first_format(connection):
    first = resources.files("lancio.executor").joinpath("schema", "001_ledger.sql").read_text(encoding="utf-8")
    run(connection, facts("001.sql", "CREATE TABLE a (id int);"))
    steps = connection.execute("SELECT checksum, digest FROM lancio.step").fetchone()
    connection.execute("DROP SCHEMA lancio CASCADE")
    connection.execute(first)
    connection.execute("INSERT INTO lancio.ledger_format (version, made_by) VALUES (1, '0.1')")
    connection.execute(
        "INSERT INTO lancio.run (who, operator, host, lancio_version, server_version, plan_hash, outcome)"
        " VALUES ('a', 'b', 'c', '0.1', '10', '', 'done')"
    )
    connection.execute(
        "INSERT INTO lancio.step (run, backend_pid, migration, checksum, digest, position, state, started_at)"
        " VALUES (1, 1, '001.sql', %s, %s, 1, 'applied', now())",
        steps,
    )
    assert ledger.adopt_edited(connection, migration("001.sql", "CREATE TABLE a (id integer);")).state == "edited"


def test_up_to_14_a_database_that_begins_to_be_counted_has_not_been_reset():
    fresh = replace(THEN, commits=0, rollbacks=0, deadlocks=0)
    begun = replace(fresh, at=NOW, rollbacks=2, stats_reset=fresh.at + timedelta(seconds=1))
    assert counters.compare(7, fresh, begun).rollbacks == 2
    assert "reset" in counters.compare(7, fresh, replace(begun, stats_reset=NOW)).unknown
    assert "reset" in counters.compare(7, THEN, replace(begun, commits=200, rollbacks=9)).unknown


NOW = datetime(2026, 1, 2, tzinfo=UTC)
THEN = Counters(NOW - timedelta(hours=1), 100, 5, 1, 0, 0, None, NOW - timedelta(days=9), counting=True)


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (replace(THEN, at=NOW, stats_reset=NOW), "reset at 2026-01-02"),
        (replace(THEN, at=NOW, server_started=NOW), "started anew"),
        (replace(THEN, at=NOW, commits=99), "below"),
        (replace(THEN, at=NOW, deadlocks=0), "below"),
        (replace(THEN, at=NOW, counting=False), "track_counts"),
    ],
)
def test_what_cannot_be_compared_is_unknown_with_its_reason(now, why):
    since = counters.compare(7, THEN, now)
    assert why in since.unknown
    assert (since.rollbacks, since.deadlocks, since.conflicts, since.checksum_failures) == (None,) * 4


def test_the_difference_is_told_and_what_is_not_counted_stays_unknown():
    now = replace(THEN, at=NOW, commits=150, rollbacks=8, deadlocks=1, checksum_failures=None)
    since = counters.compare(7, THEN, now)
    assert (since.run, since.commits, since.rollbacks, since.deadlocks) == (7, 50, 3, 0)
    assert since.checksum_failures is None
