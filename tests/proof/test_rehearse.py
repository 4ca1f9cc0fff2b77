"""Steps on a scratch database, and where PostgreSQL and the reading disagree."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from histories import folder, planned

from lancio import postgres
from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.executor import snapshot
from lancio.planner import plan
from lancio.proof import rehearse, scratch
from lancio.reading import operations
from lancio.reading.source import Migration

pytestmark = pytest.mark.embedded


def rehearsed(place, graph, *, read_as=None):
    """The steps of a graph on an empty scratch database; `read_as` are other texts to have read of some files."""
    begin = rehearse.Start(place.create(), "an empty database")
    with place.connect(begin.name) as connection:
        live = snapshot.take(connection, graph)
    made = plan.make(graph, live, ledger={}, durations={}, environ={})
    steps = []
    for step in made.steps:
        text = (read_as or {}).get(step.facts.name)
        ops = operations.read(Migration("x", Path("x"), text.encode())) if text else step.facts.ops
        steps.append(replace(step, facts=replace(step.facts, ops=ops)))
    return list(rehearse.rehearse(replace(made, steps=tuple(steps)), place, begin))


def differences(step):
    return [str(each) for each in step.differences]


def test_a_history_that_does_what_was_read_shows_no_difference(place, tmp_path):
    first, second, third = rehearsed(place, planned(
        tmp_path / "h",
        "CREATE TABLE t (id serial PRIMARY KEY, n text);",
        "ALTER TABLE t ALTER n SET NOT NULL; CREATE VIEW v AS SELECT id FROM t;",
        "DROP VIEW v;",
    ))  # fmt: skip
    assert first.differences == second.differences == third.differences == ()
    assert ("relation", "public.t_id_seq") in first.made
    assert second.altered
    assert third.dropped == (("column", "public.v.id"), ("relation", "public.v"))
    assert {(lock.relation, lock.mode) for lock in second.locks} == {("public.t", "ACCESS EXCLUSIVE")}
    assert first.duration_ms > 0


def test_what_was_made_and_not_read_and_the_other_way_round_is_told(place, tmp_path):
    (step,) = rehearsed(
        place, planned(tmp_path / "h", "CREATE TABLE a (x int);"), read_as={"1.sql": "CREATE TABLE b (y int);"}
    )
    assert differences(step) == [
        "read, not made: column public.b.y",
        "read, not made: relation public.b",
        "made, not read: column public.a.x",
        "made, not read: relation public.a",
    ]


def test_what_was_dropped_or_altered_and_not_read_is_told(place, tmp_path):
    graph = planned(
        tmp_path / "h", "CREATE TABLE a (x int); CREATE TABLE b ();", "DROP TABLE b; ALTER TABLE a ALTER x TYPE bigint;"
    )
    _, step = rehearsed(place, graph, read_as={"2.sql": "SELECT 1;"})
    assert differences(step) == [
        "dropped, not read: relation public.b",
        "altered, not read: column public.a.x",
        "lock stronger than read: public.a: ACCESS EXCLUSIVE, read none",
        "lock stronger than read: public.b: ACCESS EXCLUSIVE, read none",
    ]


def test_a_lock_weaker_than_read_is_told(place, tmp_path):
    graph = planned(tmp_path / "h", "CREATE TABLE a (x int);", "CREATE INDEX i ON a (x);")
    _, step = rehearsed(place, graph, read_as={"2.sql": "CREATE INDEX i ON a (x); ALTER TABLE a ALTER x SET NOT NULL;"})
    assert differences(step) == ["lock weaker than read: public.a: SHARE, read ACCESS EXCLUSIVE"]


def test_the_first_failure_ends_it_with_its_place(place, tmp_path):
    steps = rehearsed(
        place, planned(tmp_path / "h", "CREATE TABLE a ();", "SELECT 1;\nSELECT 1/0;", "CREATE TABLE b ();")
    )
    assert [step.file for step in steps] == ["1.sql", "2.sql"]
    assert (steps[1].failed.message, steps[1].failed.sqlstate) == ("division by zero", "22012")


def test_a_constraint_that_fails_at_commit_is_a_failure(place, tmp_path):
    steps = rehearsed(place, planned(
        tmp_path / "h",
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED);",
        "INSERT INTO b VALUES (1);",
    ))  # fmt: skip
    assert steps[1].failed.sqlstate == "23503"


def test_what_cannot_stand_in_a_transaction_runs_as_it_is_written(place, tmp_path):
    graph = planned(tmp_path / "h", "CREATE TABLE a (x int);", "CREATE INDEX CONCURRENTLY i ON a (x);")
    _, step = rehearsed(place, graph)
    assert step.locks is None
    assert step.made == (("relation", "public.i"),)
    assert differences(step) == []


def test_it_begins_on_the_schema_of_the_database_without_its_rows(place, database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE ROLE rehearsed_owner; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        connection.execute("ALTER TABLE t OWNER TO rehearsed_owner")
        begin = rehearse.start(place, postgres.resolve(database), connection)
    try:
        assert begin.notes == ()
        with place.connect(begin.name) as connection:
            assert connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 't'").fetchone() == (
                "rehearsed_owner",
            )
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    finally:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("DROP OWNED BY rehearsed_owner; DROP ROLE rehearsed_owner")


def test_roles_of_the_database_are_lent_to_the_scratch_server_and_taken_back(memory, server, database):
    asked = "SELECT count(*) FROM pg_roles WHERE rolname = 'lent_role'"
    with psycopg.connect(database, autocommit=True) as connection, psycopg.connect(memory.conninfo) as there:
        connection.execute("CREATE TABLE t ()")
        connection.execute("CREATE ROLE lent_role")
        try:
            with rehearse.begun(memory, postgres.resolve(database), connection) as begin:
                assert "lent_role" in begin.roles
                assert there.execute(asked).fetchone() == (1,)
            there.rollback()
            assert there.execute(asked).fetchone() == (0,)
            assert connection.execute(asked).fetchone() == (1,)
        finally:
            connection.execute("DROP ROLE lent_role")


def lancio(*words):
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


def test_the_command_tells_each_step_and_leaves_nothing(server, database, tmp_path):
    where = str(
        folder(
            tmp_path / "h", "CREATE TABLE a (x int);", "DO $$ BEGIN EXECUTE concat('CREATE', ' TABLE b ()'); END $$;"
        )
    )
    given = ("plan", where, "--rehearse", "--database", database, "--scratch", server.url())
    status, out, err = lancio(*given)
    assert (status, err) == (0, "")
    assert "[1/2] 1.sql" in out
    assert "2 made; nothing that was there before is locked" in out
    status, out, _ = lancio(*given, "--json")
    told = json.loads(out)["rehearsal"]
    assert [step["file"] for step in told["steps"]] == ["1.sql", "2.sql"]
    assert told["steps"][0]["made"] == ["column public.a.x", "relation public.a"]
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('a'), to_regclass('b')").fetchone() == (None, None)
        left = connection.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'lancio%scratch%'").fetchone()
    assert left == (0,)


def test_a_step_that_fails_is_the_exit_status(server, database, tmp_path):
    where = str(folder(tmp_path / "h", "SELECT 1/0;"))
    status, out, _ = lancio("plan", where, "--rehearse", "--database", database, "--scratch", server.url())
    assert status == 1
    assert "division by zero" in out


def test_scratch_without_rehearse_is_refused(tmp_path, database):
    status, _, err = lancio("plan", str(folder(tmp_path / "h", "SELECT 1;")), "--scratch", database)
    assert status == 2
    assert "--scratch goes with --rehearse" in err


def test_an_interrupted_rehearsal_drops_its_database(server, database, tmp_path):
    where = str(folder(tmp_path / "h", "SELECT pg_sleep(50);"))
    words = ["plan", where, "--rehearse", "--database", database, "--scratch", server.url()]
    process = subprocess.Popen(
        [sys.executable, "-m", "lancio", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    )
    try:
        with server.connect() as connection:
            running = (
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(50)%%' AND datname LIKE %s"
            )
            deadline = time.monotonic() + 60
            while not connection.execute(running, (f"{scratch.PREFIX}%",)).fetchone()[0]:
                assert time.monotonic() < deadline, process.communicate(timeout=5)
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 130
            found = connection.execute(
                "SELECT count(*) FROM pg_database WHERE datname LIKE %s", (f"{scratch.PREFIX}%",)
            )
            assert found.fetchone() == (0,)
    finally:
        process.kill()
        process.communicate()
