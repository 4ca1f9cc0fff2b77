"""Steps side by side leave the database, and the ledger, that one after the other leaves."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from sidebyside import beside, planned, random_folder, written

from lancio.errors import ConnectionLost, LockHeld, StepFailed
from lancio.executor import events, fingerprint, ledger, lock, runner, session

PROGRAM = Path(__file__).with_name("sidebyside.py")
SEEDS = 200 if os.environ.get("LANCIO_PROOF") else 5


@pytest.fixture
def new_database(server):
    """Makes empty databases, as many as are asked for."""
    made = []

    def make():
        made.append(server.create_database())
        return made[-1]

    yield make
    for url in made:
        server.drop_database(url)


def connect(url):
    return psycopg.connect(url, autocommit=True)


def run(url, plan, jobs=4, **arguments):
    with connect(url) as connection:
        return list(runner.apply(plan, connection, jobs=jobs, **arguments))


def state(url):
    """The catalog, the ledger's steps by position, and all rows counted."""
    with connect(url) as connection:
        rows = connection.execute(
            # A reading step locks those indexes that are there when it runs, beside one that makes an index.
            "SELECT s.position, s.migration, s.checksum, s.state, s.verifications, "
            "jsonb_path_query_array(s.locks, '$[*] ? (@.mode != \"AccessShareLock\")'), "
            "(SELECT count(*) FROM lancio.statement AS t WHERE t.step = s.id) FROM lancio.step AS s ORDER BY 1"
        ).fetchall()
        tables = connection.execute(
            "SELECT c.oid::regclass::text, (xpath('/row/n/text()', query_to_xml("
            "format('SELECT count(*) AS n FROM %s', c.oid::regclass), false, true, '')))[1]::text "
            "FROM pg_class AS c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
        ).fetchall()
        return fingerprint.take(connection), rows, tables


def of(told, kind):
    return [event for event in told if isinstance(event, kind)]


def numbered_well(told):
    return [event.number for event in told] == list(range(1, len(told) + 1))


def stored(url):
    with connect(url) as connection:
        return ledger.events(connection, ledger.runs(connection)[0].id)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_four_jobs_leave_the_catalog_and_the_ledger_of_one(new_database, tmp_path, seed):
    plan = planned(written(tmp_path, random_folder(random.Random(seed))))
    one, four = new_database(), new_database()
    run(one, plan, jobs=1)
    told = run(four, plan)
    assert told[-1].outcome == "done"
    assert state(four) == state(one)
    assert numbered_well(told)
    assert [event["number"] for event in stored(four)] == [event.number for event in told]
    with connect(four) as connection:
        assert ledger.runs(connection)[0].outcome == "done"
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert connection.execute(deadlocks).fetchone() == (0,)


def test_independent_steps_run_at_once_and_a_dependent_one_waits(new_database, tmp_path):
    slow = {f"{n:03}.sql": f"CREATE TABLE t{n} (id int);\nSELECT pg_sleep(0.5);" for n in range(1, 4)}
    plan = planned(written(tmp_path, slow | {"004.sql": "CREATE VIEW v AS SELECT t1.id FROM t1, t2, t3;"}))
    told = run(new_database(), plan)
    assert told[-1].outcome == "done"
    order = [(event.kind, event.migration) for event in told if hasattr(event, "migration")]
    last = order.index(("step-started", "004.sql"))
    assert {("step-applied", f"00{n}.sql") for n in range(1, 4)} <= set(order[:last])
    first = next(at for at, (kind, _) in enumerate(order) if kind == "step-applied")
    assert {("step-started", f"00{n}.sql") for n in range(1, 4)} <= set(order[:first])


def test_what_runs_outside_of_a_transaction_has_the_run_to_itself(new_database, tmp_path):
    files = {
        "001.sql": "CREATE TABLE a (id int);",
        "002.sql": "CREATE TABLE b (id int); SELECT pg_sleep(0.3);",
        "003.sql": "CREATE INDEX CONCURRENTLY a_id ON a (id);",
        "004.sql": "CREATE TABLE c (id int);",
    }
    told = run(new_database(), planned(written(tmp_path, files)))
    assert told[-1].outcome == "done"
    order = [(event.kind, event.migration) for event in told if hasattr(event, "migration")]
    begun, ended = order.index(("step-started", "003.sql")), order.index(("step-applied", "003.sql"))
    assert all(name == "003.sql" for _, name in order[begun : ended + 1])
    assert {("step-applied", "001.sql"), ("step-applied", "002.sql")} <= set(order[:begun])


def test_the_first_failure_lets_the_others_end_and_begins_nothing(new_database, tmp_path):
    files = {
        "001.sql": "CREATE TABLE a (id int);\nSELECT pg_sleep(0.2), 1/0;",
        "002.sql": "CREATE TABLE b (id int); SELECT pg_sleep(0.8);",
        "003.sql": "CREATE TABLE c (id int);",
        "004.sql": "CREATE TABLE d (id int);",
    }
    url, told = new_database(), []
    plan = planned(written(tmp_path, files))
    with connect(url) as connection, pytest.raises(StepFailed) as raised:  # noqa: PT012
        for event in runner.apply(plan, connection, jobs=2):
            told.append(event)  # noqa: PERF402
    assert raised.value.where.startswith("001.sql:2")
    (failed,) = of(told, events.StepFailed)
    assert (failed.migration, failed.ordinal) == ("001.sql", 2)
    assert [event.migration for event in of(told, events.StepApplied)] == ["002.sql"]
    assert (told[-1].kind, told[-1].outcome) == ("run-finished", "failed")
    assert len(of(told, events.RunFinished)) == 1
    assert numbered_well(told)
    with connect(url) as connection:
        assert set(ledger.read(connection)) == {"002.sql"}
        assert ledger.runs(connection)[0].outcome == "failed"
    (tmp_path / "001.sql").write_text("CREATE TABLE a (id int);")
    assert run(url, planned(tmp_path, without=["002.sql"]))[-1].applied == 3


def test_a_lost_worker_is_looked_up_and_the_others_end(new_database, tmp_path):
    files = {
        "001.sql": "CREATE TABLE a (id int);\nSELECT pg_sleep(30);",
        "002.sql": "CREATE TABLE b (id int); SELECT pg_sleep(1);",
    }
    url = new_database()
    plan = planned(written(tmp_path, files))
    told = []
    with connect(url) as connection, connect(url) as other, pytest.raises(ConnectionLost) as raised:  # noqa: PT012
        for event in runner.apply(plan, connection, jobs=2):
            told.append(event)
            if len(of(told, events.StepStarted)) == 2 and not of(told, events.StepApplied):
                beside(other, "pg_sleep(30)", "pg_terminate_backend")
    assert "no ledger row" in raised.value.cause
    assert [event.migration for event in of(told, events.StepFailed)] == ["001.sql"]
    assert [event.migration for event in of(told, events.StepApplied)] == ["002.sql"]
    assert told[-1].outcome == "lost"
    with connect(url) as connection:
        assert set(ledger.read(connection)) == {"002.sql"}
        assert ledger.runs(connection)[0].outcome == "lost"
        assert not workers(connection)


def test_the_loss_of_the_lock_begins_nothing_more(new_database, tmp_path, monkeypatch):
    monkeypatch.setattr("lancio.executor.lanes.LISTEN_S", 0.2)
    files = {
        "001.sql": "CREATE TABLE a (id int); SELECT pg_sleep(1.5);",
        "002.sql": "CREATE TABLE b (a int); INSERT INTO b SELECT id FROM a;",
    }
    url = new_database()
    plan = planned(written(tmp_path, files | {"003.sql": "CREATE TABLE c (id int); SELECT pg_sleep(1.5);"}))
    told = []
    with connect(url) as connection, connect(url) as other, pytest.raises(ConnectionLost) as raised:  # noqa: PT012
        pid = connection.info.backend_pid
        for event in runner.apply(plan, connection, jobs=2):
            told.append(event)
            if len(of(told, events.StepStarted)) == 2:
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    assert "holds the runner's lock" in raised.value.message
    assert {event.migration for event in of(told, events.StepApplied)} == {"001.sql", "003.sql"}
    with connect(url) as connection:
        assert set(ledger.read(connection)) == {"001.sql", "003.sql"}
        assert ledger.runs(connection)[0].outcome == "lost"
    assert run(url, planned(tmp_path, without=["001.sql", "003.sql"]))[-1].applied == 1


def workers(connection):
    key = lock.workers_key(connection.info.dbname)
    return connection.execute(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND (classid::bigint << 32 | objid::bigint) = %s", (key,)
    ).fetchall()


def test_a_runner_waits_for_what_works_beside_one_that_has_ended(new_database):
    url = new_database()
    with connect(url) as left, connect(url) as connection, connect(url) as main:
        runner_of = session.begin(main)
        list(lock.acquire(runner_of, 1))
        worker = session.begin(left)
        assert lock.join(worker, runner_of.backend_pid)
        lock.release(runner_of)
        late = session.begin(connection)
        assert not lock.join(late, runner_of.backend_pid), "its runner is gone"
        lock.release(late)
        late.lock_number = None
        with pytest.raises(LockHeld) as raised:
            list(lock.acquire(late, 0.5))
        assert f"process {worker.backend_pid}" in raised.value.cause
        threading.Timer(0.5, left.close).start()
        list(lock.acquire(late, 10))
        assert lock.held(late)


def test_a_file_that_gives_up_its_share_of_the_lock_is_rolled_back(new_database, tmp_path):
    files = {
        "001.sql": "CREATE TABLE a (id int); SELECT pg_advisory_unlock_all();",
        "002.sql": "CREATE TABLE b (i int);",
    }
    url = new_database()
    with pytest.raises(LockHeld, match="lock was lost"):
        run(url, planned(written(tmp_path, files)))
    with connect(url) as connection:
        assert "001.sql" not in ledger.read(connection)


def test_without_another_connection_the_steps_run_on_the_one(new_database, tmp_path):
    def refused():
        raise psycopg.OperationalError("too many clients")

    url = new_database()
    plan = planned(written(tmp_path, {f"{n}.sql": f"CREATE TABLE t{n} (id int);" for n in range(3)}))
    told = run(url, plan, reconnect=refused)
    assert told[-1].outcome == "done"
    assert [event.message for event in of(told, events.Notice)] == ["steps run on one connection: no more could be had"]
    assert numbered_well(told)


def test_a_reader_who_leaves_gives_everything_back(new_database, tmp_path):
    files = {f"{n}.sql": f"CREATE TABLE t{n} (id int); SELECT pg_sleep(20);" for n in range(3)}
    url = new_database()
    threads = threading.active_count()
    with connect(url) as connection:
        stream = runner.apply(planned(written(tmp_path, files)), connection, jobs=3)
        while not isinstance(next(stream), events.StepStarted):
            pass
        began = time.monotonic()
        stream.close()
        assert time.monotonic() - began < 5
        assert ledger.read(connection) == {}
        assert ledger.runs(connection)[0].outcome == "interrupted"
        assert not workers(connection)
    assert threading.active_count() == threads


def started(url, folder):
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), url, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_ctrl_c_cancels_all_that_runs(new_database, tmp_path):
    files = {f"{n}.sql": f"CREATE TABLE t{n} (id int); SELECT pg_sleep(60);" for n in range(3)}
    url = new_database()
    process = started(url, written(tmp_path, files))
    with connect(url) as connection:
        until = time.monotonic() + 20
        while beside(connection, "pg_sleep(60)", "count") < 3 and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 130, out + err
        assert "stopped by SIGINT: 0 of 3 steps are applied" in out
        assert "were rolled back, nothing of it is left" in out
        assert beside(connection, "pg_sleep(60)", "count") == 0
        assert ledger.runs(connection)[0].outcome == "interrupted"
        assert [event["event"] for event in stored(url)][-2:] == ["interrupted", "run-finished"]


def test_kill_9_leaves_each_step_whole_or_not_at_all_and_one_command_completes(new_database, tmp_path):
    dice = random.Random(11)
    files = {
        f"{n:02}.sql": f"CREATE TABLE t{n} (id int);\nSELECT pg_sleep(0.02);\nINSERT INTO t{n} VALUES (1);"
        for n in range(12)
    }
    folder = written(tmp_path, files)
    url = new_database()
    between = 0
    with connect(url) as connection:
        for _ in range(4):
            process = started(url, folder)
            for _ in range(dice.randint(4, 20)):
                process.stdout.readline()
            process.kill()
            process.communicate()
            applied = completed(connection)
            between += 0 < len(applied) < len(files)
        process = started(url, folder)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
        assert completed(connection) == set(files)
        counted = connection.execute("SELECT count(*), count(DISTINCT migration) FROM lancio.step").fetchone()
        assert counted == (12, 12)
    assert between, "no kill hit the middle of a run, so this proved nothing"


def completed(connection):
    """What the ledger has, once nobody of the killed run is left; each file's table is there exactly where it has."""
    work = session.begin(connection)
    list(lock.acquire(work, 20))
    lock.release(work)
    session.end(work)
    applied = set(ledger.read(connection))
    tables = connection.execute("SELECT relname FROM pg_class WHERE relname ~ '^t[0-9]+$'").fetchall()
    assert {f"{int(name[1:]):02}.sql" for (name,) in tables} == applied
    return applied
