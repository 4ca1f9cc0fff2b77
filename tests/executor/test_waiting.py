"""A step that waits: how long others wait behind it, who is in its way, and that it succeeds once they are gone."""

from __future__ import annotations

import os
import threading
import time

import psycopg
import pytest
from plans import facts, plan

from lancio.errors import StepFailed
from lancio.executor import events, lock, runner, waiting

PROOF = os.environ.get("LANCIO_PROOF") == "1"
HELD_S = 60.0 if PROOF else 6.0
CLIENTS = 10
EVERY_S = 0.02
SCHEDULING_MS = 60
"""What a client's own turn may add: a dozen threads and as many server processes share this machine's processors. Where
it is busier, so is it for clients of a table that nobody locks: the longest that they waited is allowed besides."""


def connect(url, **arguments):
    return psycopg.connect(url, autocommit=True, **arguments)


class Foreign:
    """Ten clients that read a table, each every 20 ms, and the longest that one was held up; two read one aside."""

    def __init__(self, url, table):
        with connect(url) as connection:
            connection.execute("CREATE TABLE untouched (id int)")
        self.over = threading.Event()
        self.longest = {table: 0.0, "untouched": 0.0}
        self.asked = 0
        self._threads = [
            threading.Thread(target=self._read, args=(url, each), daemon=True)
            for each in (*[table] * CLIENTS, "untouched", "untouched")
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self._threads:
            thread.join(timeout=30)
            assert not thread.is_alive()

    def bounded(self, table, lock_timeout_ms):
        """Whether nobody was held up for longer than the lock timeout and a tenth."""
        allowed = lock_timeout_ms * 1.1 + SCHEDULING_MS + self.longest["untouched"] * 1000
        return self.longest[table] * 1000 <= allowed

    def _read(self, url, table):
        with connect(url, application_name="foreign") as connection:
            while not self.over.wait(EVERY_S):
                began = time.monotonic()
                connection.execute(f"SELECT count(*) FROM {table}").fetchone()
                self.longest[table] = max(self.longest[table], time.monotonic() - began)
                self.asked += 1


def of(told, kind):
    return [event for event in told if isinstance(event, kind)]


def test_while_a_session_holds_a_lock_nobody_else_waits_longer_than_the_lock_timeout(database):
    with connect(database) as connection:
        connection.execute("CREATE TABLE a (id int)")
        connection.execute("INSERT INTO a SELECT generate_series(1, 100)")
    with connect(database, application_name="nightly report") as holder, connect(database) as connection:
        holder.execute("BEGIN")
        holder.execute("SELECT count(*), 'a secret of 4711', 815 FROM a")
        release = threading.Timer(HELD_S, lambda: holder.execute("COMMIT"))
        with Foreign(database, "a") as foreign:
            release.start()
            began = time.monotonic()
            told = list(
                runner.apply(plan(facts("001.sql", "ALTER TABLE a ADD COLUMN b int;")), connection, lock_timeout_ms=500)
            )
            took = time.monotonic() - began
            release.join()
        waits = of(told, events.Waiting)
        named = [each for wait in waits for each in wait.holders if each.application == "nightly report"]
        assert told[-1].outcome == "done"
        assert HELD_S <= took < HELD_S + waiting.LONGEST_PAUSE_S + 2
        assert foreign.asked > CLIENTS * HELD_S * 2, "the clients hardly asked, so this proved nothing"
        assert foreign.longest["a"] > 0.3, "nobody was ever held up, so this proved nothing"
        assert foreign.bounded("a", 500), foreign.longest
        assert {(each.pid, each.user) for each in named} == {(holder.info.backend_pid, holder.info.user)}
        assert "SELECT count(*), '…', … FROM a" in named[0].query
        assert "a secret of" not in str(told)
        assert max(each.age_s for each in named) >= HELD_S / 3
        assert all(wait.holders for wait in waits if wait.retry_in_s)


@pytest.mark.parametrize("file", ["statements", "one DO block"])
def test_what_a_step_has_locked_already_is_held_up_no_longer_than_the_lock_timeout_in_all(database, file):
    """Three tables, each of which is held by somebody just shorter than the timeout: their sum is what counts."""
    tables = ("a", "b", "c")
    with connect(database) as connection:
        for table in tables:
            connection.execute(f"CREATE TABLE {table} (id int)")
    over = threading.Event()

    waited_for = (
        "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = %s::regclass AND NOT granted AND mode LIKE 'AccessEx%%')"
    )

    def hold(table):
        """Hold it until the step has waited for it for 400 ms, and take it again as soon as it is to be had."""
        with connect(database, application_name=f"holder of {table}") as holder, connect(database) as eye:
            while not over.is_set():
                with holder.transaction():
                    holder.execute(f"SELECT FROM {table}")
                    while not eye.execute(waited_for, (table,)).fetchone()[0] and not over.wait(0.01):
                        pass
                    over.wait(0.4)
                over.wait(0.02)

    text = "".join(f"ALTER TABLE {table} ADD COLUMN x int;\n" for table in tables)
    if file == "one DO block":
        text = (
            "DO $$ DECLARE t text; BEGIN FOREACH t IN ARRAY ARRAY['a', 'b', 'c'] LOOP "
            "EXECUTE format('ALTER TABLE %I ADD COLUMN x int', t); END LOOP; END $$;"
        )
    threads = [threading.Thread(target=hold, args=(table,)) for table in tables]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    try:
        with connect(database) as connection, Foreign(database, "a") as foreign:
            stop = threading.Timer(2.5, over.set)
            stop.start()
            told = list(runner.apply(plan(facts("001.sql", text)), connection, lock_timeout_ms=500))
            stop.join()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert told[-1].outcome == "done"
    assert of(told, events.Waiting), "nothing was in the way, so this proved nothing"
    assert foreign.bounded("a", 500), foreign.longest


def test_without_the_budget_the_waits_of_a_step_add_up(database, monkeypatch):
    """The test before would see it: with PostgreSQL's lock_timeout alone a reader is held up for longer."""
    monkeypatch.setattr(waiting.Budget, "saw", lambda *_: False)
    with pytest.raises(AssertionError):
        test_what_a_step_has_locked_already_is_held_up_no_longer_than_the_lock_timeout_in_all(database, "statements")


def test_a_step_is_tried_again_as_often_as_it_may_be_and_no_longer_than_it_may(database):
    with connect(database) as holder:
        holder.execute("CREATE TABLE a (id int)")
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE a")
        for terms, tries in (({"retries": 0}, 1), ({"retries": 2}, 3), ({"lock_wait_s": 0.6}, None)):
            told = []
            began = time.monotonic()
            with connect(database) as connection, pytest.raises(StepFailed) as raised:  # noqa: PT012
                for event in runner.apply(
                    plan(facts("001.sql", "ALTER TABLE a ADD COLUMN b int;")), connection, lock_timeout_ms=100, **terms
                ):
                    told.append(event)  # noqa: PERF402
            again = [event for event in of(told, events.Waiting) if event.retry_in_s is not None]
            assert tries is None or len(again) == tries - 1
            assert time.monotonic() - began < 3
            assert raised.value.more["rule"] == "lock-timeout"
            assert bool(again) == any("given up" in event.message for event in of(told, events.Notice))
    with connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM pg_attribute WHERE attname = 'b' AND attrelid = 'a'::regclass"
                                  ).fetchone() == (0,)  # fmt: skip


def until_it_waits(connection, pid):
    """Wait until that session waits for a lock."""
    until = time.monotonic() + 20
    while not connection.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = %s AND NOT granted)", (pid,)
                                 ).fetchone()[0]:  # fmt: skip
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_deadlock_is_tried_again(database):
    """Two locks in the other order, taken by somebody who has the longer patience."""
    with connect(database) as connection, connect(database) as other:
        other.execute("CREATE TABLE a (id int); CREATE TABLE b (id int); SET deadlock_timeout = '20s'")
        other.execute("BEGIN")
        other.execute("LOCK TABLE b")

        def cross():
            until_it_waits(other, connection.info.backend_pid)
            other.execute("LOCK TABLE a")
            other.execute("COMMIT")

        thread = threading.Thread(target=cross)
        thread.start()
        text = "SET LOCAL deadlock_timeout = '1500ms'; LOCK TABLE a; LOCK TABLE b; CREATE TABLE made (id int);"
        told = list(runner.apply(plan(facts("001.sql", text)), connection, lock_timeout_ms=2500))
        thread.join(timeout=30)
    assert [event.why for event in of(told, events.Waiting) if event.retry_in_s] == ["deadlock detected"]
    assert told[-1].outcome == "done"


def test_a_serialization_failure_is_tried_again(database):
    with connect(database) as connection, connect(database) as other:
        other.execute("CREATE TABLE a (id int); INSERT INTO a VALUES (1)")
        other.execute("SELECT pg_advisory_lock(7)")

        def change():
            until_it_waits(other, connection.info.backend_pid)
            other.execute("UPDATE a SET id = 2")
            other.execute("SELECT pg_advisory_unlock(7)")

        thread = threading.Thread(target=change)
        thread.start()
        text = (
            "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM a;\nSELECT pg_advisory_xact_lock(7);\n"
            "UPDATE a SET id = id + 10;\nCOMMIT;"
        )
        told = list(runner.apply(plan(facts("001.sql", text)), connection))
        thread.join(timeout=30)
        assert other.execute("SELECT id FROM a").fetchone() == (12,)
    again = [event.why for event in of(told, events.Waiting) if event.retry_in_s]
    assert again == ["could not serialize access due to concurrent update"]


def test_pauses_double_up_to_ten_seconds_and_differ(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    tries = waiting.Tries(waiting.Patience(lock_timeout_ms=500, lock_wait_s=600))
    pauses = [tries.pause() for _ in range(10)]
    assert all(0.5 * whole <= pause <= whole for pause, whole in zip(pauses, [0.5, 1, 2, 4, 8, *[10] * 5], strict=True))
    assert len(set(pauses)) == 10
    assert waiting.Tries(waiting.Patience(retries=0)).pause() is None


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("SELECT 1", "SELECT …"),
        ("UPDATE a SET b = 'x''y', c1 = 12.5e3 WHERE d=-7", "UPDATE a SET b = '…', c1 = … WHERE d=-…"),
        ("ALTER ROLE x PASSWORD 'cut off", "ALTER ROLE x PASSWORD '…'"),
        ("DO $$ secret $$; SELECT $q$ secret", "DO '…'; SELECT '…'"),
        ('SELECT "it\'s", $1 FROM t2', 'SELECT "it\'s", $1 FROM t2'),
        (r"SELECT E'a\'secret' , 'b", "SELECT E'…'"),
        ("SELECT /* secret */ x -- secret\nFROM t", "SELECT x FROM t"),
        ("", ""),
    ],
)
def test_of_somebody_elses_statement_only_the_words_are_shown(query, shown):
    assert lock.opening(query) == shown
