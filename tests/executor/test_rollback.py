"""Steps taken back in a live database: each with its ledger row, or not at all."""

from __future__ import annotations

import contextlib
import threading
import time

import psycopg
import pytest

from lancio.catalog import profile
from lancio.errors import LockHeld, StepFailed
from lancio.executor import fingerprint, ledger, rollback, runner, session, snapshot
from lancio.planner import graph as planning
from lancio.planner import plan as planner
from lancio.reading.source import read_folder


def built(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return planning.build(read_folder(folder), profile.load(18))


def applied(url, graph):
    with contextlib.closing(psycopg.connect(url, autocommit=True)) as connection:
        made = planner.make(
            graph,
            snapshot.take(connection, graph),
            ledger={name: each.checksum for name, each in ledger.read(connection).items()},
            durations={},
            environ={},
        )
        for _ in runner.apply(made, connection, settings={}, reconnect=lambda: psycopg.connect(url)):
            pass


def undo(graph, name, *statements, change=None, single=()):
    return rollback.Undo(graph.file(f"{name}.sql"), tuple(statements), frozenset(single), change)


def rolled_back(url, graph, *undos):
    with contextlib.closing(psycopg.connect(url, autocommit=True)) as connection:
        return list(rollback.roll_back(connection, undos, graph=graph))


def asked(url, sql):
    with psycopg.connect(url) as connection:
        return connection.execute(sql).fetchall()


def test_rows_that_came_since_they_were_counted_are_not_lost(every_database, tmp_path):
    graph = built(tmp_path / "m", a="CREATE TABLE t (id integer);", b="ALTER TABLE t ADD COLUMN n integer;")
    applied(every_database, graph)
    with psycopg.connect(every_database) as connection:
        connection.execute("INSERT INTO t VALUES (1, NULL), (2, 3)")
    back = rollback.Undo(graph.file("b.sql"), ("ALTER TABLE t DROP COLUMN n",), empty=(("t", "n IS NOT NULL"),))
    with pytest.raises(StepFailed, match="rows of t came meanwhile"):
        rolled_back(every_database, graph, back)
    assert asked(every_database, "SELECT sum(n) FROM t") == [(3,)]
    with psycopg.connect(every_database) as connection:
        connection.execute("UPDATE t SET n = NULL")
    assert len(rolled_back(every_database, graph, back)) == 1


def test_on_a_server_of_another_version_than_it_was_worked_out_on_that_is_said(database, tmp_path):
    graph = built(tmp_path / "m", a="CREATE TABLE t (id integer);")
    applied(database, graph)
    with contextlib.closing(psycopg.connect(database, autocommit=True)) as connection:
        wrong = [undo(graph, "a", "DROP TABLE no_such")]
        with pytest.raises(StepFailed) as failed:
            list(rollback.roll_back(connection, wrong, graph=graph, same_version=False))
    assert "--scratch" in failed.value.remedy


def test_a_step_that_was_taken_back_is_pending_again_and_its_rows_tell_the_story(database, tmp_path):
    graph = built(tmp_path / "m", a="CREATE TABLE t (id integer);", b="CREATE TABLE u (id integer);")
    applied(database, graph)
    events = rolled_back(database, graph, undo(graph, "b", "DROP TABLE u"))
    assert [each.migration for each in events] == ["b.sql"]
    with psycopg.connect(database) as connection:
        assert list(ledger.read(connection)) == ["a.sql"]
        latest = ledger.runs(connection)[0]
        assert latest.outcome == "done"
        assert [(each.migration, each.state) for each in ledger.steps(connection, latest.id)] == [
            ("b.sql", "rolled back")
        ]
        assert [each["event"] for each in ledger.events(connection, latest.id)] == ["step-rolled-back"]
    applied(database, graph)
    with psycopg.connect(database) as connection:
        assert list(ledger.read(connection)) == ["a.sql", "b.sql"]


def test_a_failed_undoing_leaves_the_step_as_it_was_and_those_before_it_taken_back(database, tmp_path):
    graph = built(tmp_path / "m", a="CREATE TABLE t (id integer);", b="CREATE TABLE u (id integer);")
    applied(database, graph)
    with psycopg.connect(database) as connection:
        connection.execute("CREATE VIEW strange AS SELECT id FROM t")
    with pytest.raises(StepFailed, match=r"a\.sql was not taken back: cannot drop table t") as refused:
        rolled_back(database, graph, undo(graph, "b", "DROP TABLE u"), undo(graph, "a", "DROP TABLE t"))
    assert "strange" in f"{refused.value.cause} {refused.value.remedy} {refused.value.more}"
    with psycopg.connect(database) as connection:
        assert list(ledger.read(connection)) == ["a.sql"]
        assert ledger.runs(connection)[0].outcome == "failed"
    assert asked(database, "SELECT to_regclass('t') IS NOT NULL, to_regclass('u') IS NULL") == [(True, True)]


def test_what_something_else_changed_since_is_not_taken_away_with_a_step(database, tmp_path):
    graph = built(tmp_path / "m", a="CREATE TABLE t (id integer);")
    with psycopg.connect(database) as connection:
        before = fingerprint.take(connection)
    applied(database, graph)
    with psycopg.connect(database) as connection:
        removed, added = fingerprint.diff(before, fingerprint.take(connection))
        connection.execute("ALTER TABLE t ADD COLUMN by_hand text")
    step = undo(graph, "a", "DROP TABLE t", change=(tuple(removed), tuple(added)))
    with pytest.raises(StepFailed, match="the catalog would not be as it was") as refused:
        rolled_back(database, graph, step)
    assert "by_hand" in refused.value.cause
    with psycopg.connect(database) as connection:
        connection.execute("ALTER TABLE t DROP COLUMN by_hand")
        connection.execute("CREATE TABLE bystander (id integer)")
    rolled_back(database, graph, step)
    assert asked(database, "SELECT to_regclass('t') IS NULL, to_regclass('bystander') IS NOT NULL") == [(True, True)]


def test_a_delete_that_would_find_more_than_one_row_is_not_kept(database, tmp_path):
    graph = built(tmp_path / "m", a="CREATE TABLE t (n text);", b="INSERT INTO t VALUES ('x');")
    applied(database, graph)
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO t VALUES ('x')")
    with pytest.raises(StepFailed, match="found more than one row"):
        rolled_back(database, graph, undo(graph, "b", "DELETE FROM t WHERE n = 'x'", single=[0]))
    assert asked(database, "SELECT count(*) FROM t") == [(2,)]


def test_while_another_runner_holds_the_lock_nothing_is_taken_back(database, tmp_path, monkeypatch):
    graph = built(tmp_path / "m", a="CREATE TABLE t (id integer);")
    applied(database, graph)
    real = rollback.lock.acquire
    monkeypatch.setattr(ledger.lock, "acquire", lambda work, **_: real(work, 0.3))
    with contextlib.closing(psycopg.connect(database, autocommit=True)) as other:
        work = session.begin(other, application="lancio apply")
        for _ in real(work, 1):
            pass
        with pytest.raises(LockHeld):
            rolled_back(database, graph, undo(graph, "a", "DROP TABLE t"))
    assert asked(database, "SELECT to_regclass('t') IS NOT NULL") == [(True,)]


def test_a_table_that_is_in_use_is_waited_for_in_short_tries(database, tmp_path, monkeypatch):
    monkeypatch.setattr(rollback.session, "begin", begun_quickly(rollback.session.begin))
    graph = built(tmp_path / "m", a="CREATE TABLE t (id integer);")
    applied(database, graph)
    with psycopg.connect(database) as reader:
        reader.execute("SELECT FROM t")
        threading.Thread(target=lambda: (time.sleep(0.8), reader.rollback())).start()
        rolled_back(database, graph, undo(graph, "a", "DROP TABLE t"))
    assert asked(database, "SELECT to_regclass('t') IS NULL") == [(True,)]


def begun_quickly(begin):
    return lambda connection, **given: begin(connection, **given | {"lock_timeout_ms": 100})


def test_an_undoing_that_gives_the_lock_away_is_not_kept(database, tmp_path):
    graph = built(tmp_path / "m", a="CREATE TABLE t (id integer);")
    applied(database, graph)
    with pytest.raises(LockHeld, match="lock was lost"):
        rolled_back(database, graph, undo(graph, "a", "DROP TABLE t", "SELECT pg_advisory_unlock_all()"))
    assert asked(database, "SELECT to_regclass('t') IS NOT NULL") == [(True,)]


def test_a_step_that_somebody_else_took_back_meanwhile_is_said(database, tmp_path):
    graph = built(tmp_path / "m", a="CREATE TABLE t (id integer);")
    applied(database, graph)
    rolled_back(database, graph, undo(graph, "a", "DROP TABLE t"))
    with pytest.raises(StepFailed, match="not applied any more"):
        rolled_back(database, graph, undo(graph, "a", "DROP TABLE t"))


def test_an_older_ledger_is_brought_up_to_date_by_the_first_rollback(every_database, tmp_path):
    graph = built(tmp_path / "m", a="CREATE TABLE t (id integer);")
    applied(every_database, graph)
    with psycopg.connect(every_database) as connection:
        connection.execute("DELETE FROM lancio.ledger_format WHERE version = 7")
        connection.execute(
            "ALTER TABLE lancio.step ADD CONSTRAINT step_state_check CHECK (state IN ('applied', 'adopted', 'edited'))"
        )
    rolled_back(every_database, graph, undo(graph, "a", "DROP TABLE t"))
    with psycopg.connect(every_database) as connection:
        assert ledger.read(connection) == {}


def test_rows_are_counted_past_policies_and_an_unknown_number_is_said(database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute('CREATE TABLE "T" (id integer, "C" text)')
        connection.execute("INSERT INTO \"T\" VALUES (1, 'x'), (2, NULL)")
        assert rollback.count(connection, '"T"').rows == 2
        assert rollback.count(connection, '"T"', '"C"').rows == 1
        assert rollback.count(connection, '"T"', where="id = 1").rows == 1
        missing = rollback.count(connection, "gone")
        assert missing.rows is None
        assert "does not exist" in missing.why
