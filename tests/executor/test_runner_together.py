"""Many small steps on their way at once: each is still its own transaction, ledger row, failure and event."""

from __future__ import annotations

import time

import psycopg
import pytest
from plans import check, facts, plan
from proxy import Proxy

from lancio.errors import ConnectionLost, StepFailed
from lancio.executor import events, ledger, runner
from lancio.executor.lane import SMALL_BYTES

MANY = runner.AHEAD + 8


def connect(url):
    return psycopg.connect(url, autocommit=True)


def tables(count, **other):
    """Files that make a table each; `other` are texts by number."""
    made = [other.get(f"n{n}", f"CREATE TABLE t{n} (id int);\nINSERT INTO t{n} VALUES ({n});") for n in range(count)]
    return [facts(f"{n:03}.sql", text, checks=[check(f"t{n}", "SELECT true")]) for n, text in enumerate(made)]


def run_failing(url, error, files, **arguments):
    told = []
    with connect(url) as connection, pytest.raises(error) as raised:  # noqa: PT012
        for event in runner.apply(plan(*files), connection, **arguments):
            told.append(event)  # noqa: PERF402
    return told, raised.value


def of(told, kind):
    return [event for event in told if isinstance(event, kind)]


def sent_together(monkeypatch):
    """How many steps were under way behind the one at work, at most, as the lane counts them."""
    from lancio.executor.lane import Lane

    seen = []
    ahead = Lane._ahead

    def counting(self, position, sent):
        yield from ahead(self, position, sent)
        seen.append(len(self.composed))

    monkeypatch.setattr(Lane, "_ahead", counting)
    return seen


def test_each_has_its_row_its_events_and_its_place(database, monkeypatch):
    seen = sent_together(monkeypatch)
    with connect(database) as connection:
        told = list(runner.apply(plan(*tables(MANY)), connection))
        rows = connection.execute("SELECT position, migration, xmin::text FROM lancio.step ORDER BY id").fetchall()
        stored = ledger.events(connection, told[0].run)
    assert max(seen) == runner.AHEAD
    assert [(position, name) for position, name, _ in rows] == [(n + 1, f"{n:03}.sql") for n in range(MANY)]
    assert len({transaction for _, _, transaction in rows}) == MANY
    assert [event.number for event in told] == list(range(1, len(told) + 1))
    assert [event["number"] for event in stored] == [event.number for event in told]
    kinds = [(event.kind, event.migration) for event in told if hasattr(event, "migration")]
    for n in range(MANY):
        mine = [kind for kind, name in kinds if name == f"{n:03}.sql"]
        assert mine == ["step-started", "progress", "progress", "verified", "step-applied"]


def test_one_by_one_nothing_is_sent_before_the_step_in_front_is_on_the_disk(database, monkeypatch):
    seen = sent_together(monkeypatch)
    with connect(database) as connection:
        connection.execute("CREATE TABLE waits (how text)")
        how = "INSERT INTO waits SELECT current_setting('synchronous_commit');"
        told = list(runner.apply(plan(*(facts(f"{n}.sql", how) for n in range(5))), connection, ahead=0))
    assert max(seen) == 0
    assert told[-1].outcome == "done"


@pytest.mark.parametrize(
    ("text", "ordinal", "line"),
    [
        ("CREATE TABLE t7 (id int);\n\nSELECT 1/0;\nCREATE TABLE never (id int);", 2, 3),
        ("INSERT INTO t6 VALUES (1);\nSELECT nosuch;", 2, 2),
        ("\nCOMMENT ON TABLE nosuch IS 'x';", 1, 2),
    ],
)
def test_a_failure_in_the_middle_names_its_statement_and_nothing_behind_it_is_kept(database, text, ordinal, line):
    told, error = run_failing(database, StepFailed, tables(MANY, n7=text))
    (failed,) = of(told, events.StepFailed)
    assert (failed.migration, failed.ordinal, failed.position) == ("007.sql", ordinal, 8)
    assert error.where.split("\n")[0] == f"007.sql:{line}"
    assert [event.migration for event in of(told, events.StepApplied)] == [f"{n:03}.sql" for n in range(7)]
    with connect(database) as connection:
        assert sorted(ledger.read(connection)) == [f"{n:03}.sql" for n in range(7)]
        made = connection.execute("SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]+$|^never$'").fetchone()
        assert made == (7,)
        again = list(runner.apply(plan(*tables(MANY)), connection))
        assert again[-1].applied == MANY - 7, "the session is good for another run"


def test_a_verification_that_fails_in_the_middle_takes_back_its_own_step_alone(database):
    files = tables(MANY)
    files[5] = facts(
        "005.sql", "CREATE TABLE t5 (id int);", checks=[check("rows in t5", "SELECT count(*) > 0 FROM t5")]
    )
    _, error = run_failing(database, StepFailed, files)
    assert error.message.endswith("\nrows in t5")
    with connect(database) as connection:
        assert len(ledger.read(connection)) == 5


def test_a_step_that_waits_for_a_lock_is_tried_again_with_all_behind_it(database):
    with connect(database) as connection:
        connection.execute("CREATE TABLE taken (id int)")
    files = tables(MANY, n4="ALTER TABLE taken ADD COLUMN note text;")
    told = []
    with connect(database) as connection, psycopg.connect(database) as holder:
        holder.execute("LOCK TABLE taken")
        for event in runner.apply(plan(*files), connection, lock_timeout_ms=300):
            told.append(event)
            if isinstance(event, events.Waiting) and event.retry_in_s:
                holder.rollback()
    assert told[-1].outcome == "done"
    assert [event.migration for event in of(told, events.StepApplied)] == [f"{n:03}.sql" for n in range(MANY)]
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM lancio.step").fetchone() == (MANY,)


def test_the_progress_of_a_long_step_is_told_while_it_runs(database):
    """The server hands over what it has at the end of each step, and at each statement of one."""
    files = tables(MANY, n3="SELECT 1;\nSELECT pg_sleep(1.5);\nSELECT 2;")
    at = {}
    with connect(database) as connection:
        for event in runner.apply(plan(*files), connection):
            at[event.kind, getattr(event, "migration", ""), getattr(event, "ordinal", 0)] = time.monotonic()
    slept = at["progress", "003.sql", 2]
    assert slept - at["step-applied", "002.sql", 0] > 1
    assert slept - at["progress", "003.sql", 1] > 1


def test_a_large_step_is_not_sent_behind_others(database, monkeypatch):
    seen = sent_together(monkeypatch)
    large = "INSERT INTO t0 VALUES (1);\n" * (SMALL_BYTES // 20)
    with connect(database) as connection:
        told = list(runner.apply(plan(*tables(6, n1=large, n2=large, n3=large)), connection))
    assert told[-1].outcome == "done"
    assert max(seen) <= 2


def test_what_was_committed_behind_a_lost_answer_is_looked_up_step_by_step(database):
    """The wire is cut at the end of a step; those behind it, at the server already, are in the ledger or not at all."""
    proxy = Proxy(database, cut_after=b"look here")
    try:
        told = []
        files = tables(MANY, n9="DO $$ BEGIN RAISE NOTICE 'look here'; END $$;")
        with psycopg.connect(proxy.url, autocommit=True) as connection, pytest.raises(ConnectionLost) as raised:  # noqa: PT012
            proxy.armed = True
            for event in runner.apply(plan(*files), connection, reconnect=lambda: connect(database)):
                told.append(event)  # noqa: PERF402
        with connect(database) as connection:
            kept = sorted(ledger.read(connection))
            assert ledger.runs(connection)[0].outcome == "lost"
    finally:
        proxy.close()
    applied = [event.migration for event in of(told, events.StepApplied)]
    assert proxy.cuts == 1
    assert sorted(applied) == kept
    assert kept[:9] == [f"{n:03}.sql" for n in range(9)]
    resolved = [event.migration for event in of(told, events.StepApplied) if event.resolved]
    assert len(resolved) > 1, "what stood behind the lost answer was not looked up"
    assert all(name in raised.value.cause for name in resolved)
