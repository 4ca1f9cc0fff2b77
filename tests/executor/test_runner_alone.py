"""A statement that PostgreSQL runs outside of a transaction alone: sent by itself, looked at when it was cut off."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from lancio.catalog import profile
from lancio.errors import Interrupted, NoGo, StepFailed
from lancio.executor import events, ledger, runner, snapshot
from lancio.planner import graph, plan
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "CREATE TABLE item (id integer, note text); INSERT INTO item VALUES (1, 'a'), (1, 'b');"
INDEX = "CREATE UNIQUE INDEX CONCURRENTLY item_id ON item (id);"


def planned(url: str, folder: Path, *texts: str) -> plan.Plan:
    for number, text in enumerate(texts, 1):
        folder.mkdir(exist_ok=True)
        (folder / f"{number:03}.sql").write_text(text)
    with psycopg.connect(url, autocommit=True) as connection:
        found = graph.build(read_folder(folder), profile.load(connection.info.server_version // 10000))
        applied = {name: each.checksum for name, each in ledger.read(connection).items()}
        return plan.make(found, snapshot.take(connection, found), ledger=applied, durations={}, environ={},
                         begun=ledger.begun(connection))  # fmt: skip


def run(url: str, made: plan.Plan) -> list[events.Event]:
    with psycopg.connect(url, autocommit=True) as connection:
        return list(runner.apply(made, connection))


def state(url: str, index: str = "item_id") -> bool | None:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (index,)
        ).fetchone()
        return None if row is None else row[0]


def applied(url: str) -> list[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        return sorted(ledger.read(connection))


def test_it_is_applied_verified_and_recorded(every_database, tmp_path):
    texts = (
        "CREATE TABLE item (id integer, note text);",
        INDEX,
        "ALTER TABLE item ADD COLUMN more text;",
        "VACUUM item;",
        "DROP INDEX CONCURRENTLY item_id;",
    )
    told = run(every_database, planned(every_database, tmp_path / "m", *texts[:3]))
    assert state(every_database) is True
    assert [each.checks for each in told if isinstance(each, events.Verified)][1]
    told = run(every_database, planned(every_database, tmp_path / "m", *texts))
    assert told[-1].outcome == "done"
    assert state(every_database) is None
    assert applied(every_database) == ["001.sql", "002.sql", "003.sql", "004.sql", "005.sql"]
    with psycopg.connect(every_database, autocommit=True) as connection:
        rows = connection.execute("SELECT summary FROM lancio.statement ORDER BY step, ordinal").fetchall()
    assert ("CREATE UNIQUE INDEX CONCURRENTLY item_id",) in rows


def test_an_index_that_could_not_be_built_is_named_and_built_anew_when_it_can_be(every_database, tmp_path):
    made = planned(every_database, tmp_path / "m", TABLE, INDEX)
    assert made.go
    with pytest.raises(StepFailed) as raised:
        run(every_database, made)
    assert "item_id" in raised.value.message
    assert "left invalid" in raised.value.cause
    assert state(every_database) is False
    assert applied(every_database) == ["001.sql"]
    with psycopg.connect(every_database, autocommit=True) as connection:
        connection.execute("DELETE FROM item WHERE note = 'b'")
    told = run(every_database, planned(every_database, tmp_path / "m", TABLE, INDEX))
    assert any("made anew" in each.message for each in told if isinstance(each, events.Notice))
    assert state(every_database) is True
    assert applied(every_database) == ["001.sql", "002.sql"]


def test_what_a_run_had_done_before_it_ended_is_not_done_again(database, tmp_path):
    with pytest.raises(StepFailed):
        run(database, planned(database, tmp_path / "m", TABLE, INDEX))
    with psycopg.connect(database, autocommit=True) as connection:  # as a run that ends behind its statement leaves it
        connection.execute("DELETE FROM item WHERE note = 'b'")
        connection.execute("DROP INDEX item_id")
        connection.execute("CREATE UNIQUE INDEX item_id ON item (id)")
    told = run(database, planned(database, tmp_path / "m", TABLE, INDEX))
    assert any("had done this" in each.message for each in told if isinstance(each, events.Notice))
    assert applied(database) == ["001.sql", "002.sql"]


def test_somebody_elses_index_of_that_name_is_no_work_of_ours(database, tmp_path):
    run(database, planned(database, tmp_path / "m", "CREATE TABLE item (id integer, note text);"))
    made = planned(database, tmp_path / "m", "CREATE TABLE item (id integer, note text);", INDEX)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE INDEX item_id ON item (note)")
    with pytest.raises(StepFailed, match="already exists"):
        run(database, made)


def test_stopped_in_the_middle_it_says_so_and_a_rerun_completes(database, tmp_path):
    run(database, planned(database, tmp_path / "m", "CREATE TABLE item (id integer, note text);"))
    made = planned(database, tmp_path / "m", "CREATE TABLE item (id integer, note text);", INDEX)
    with psycopg.connect(database) as other:
        other.execute("INSERT INTO item VALUES (7, 'open')")  # CONCURRENTLY waits for this transaction

        def stop() -> None:
            until = time.monotonic() + 20
            while state(database) is None and time.monotonic() < until:
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(Interrupted) as raised:
            run(database, made)
        stopping.join()
    assert "looked at when it runs again" in raised.value.message
    assert state(database) is False
    run(database, planned(database, tmp_path / "m", "CREATE TABLE item (id integer, note text);", INDEX))
    assert state(database) is True


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TYPE new_kind AS ENUM ('b'); BEGIN; CREATE TABLE a (id integer); COMMIT; CREATE TABLE b (id integer);",
        "BEGIN; CREATE TABLE a (id integer); COMMIT; START TRANSACTION; CREATE TABLE b (id integer); COMMIT;",
    ],
)
def test_the_transactions_of_a_file_become_one(database, tmp_path, text):
    made = planned(database, tmp_path / "m", text + " SELECT 1 / 0;")
    with pytest.raises(StepFailed):
        run(database, made)
    run(database, planned(database, tmp_path / "m", text))
    assert applied(database) == ["001.sql"]


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN; CREATE TABLE a (id integer);",
        "CREATE TABLE a (id integer); COMMIT;",
        "BEGIN; CREATE TABLE a (id integer); ROLLBACK; CREATE TABLE b (id integer);",
        "BEGIN; BEGIN; CREATE TABLE a (id integer); COMMIT; COMMIT;",
        "BEGIN; CREATE TABLE a (id integer); VACUUM; COMMIT;",
    ],
)
def test_transactions_that_are_not_whole_are_refused(database, tmp_path, text):
    made = planned(database, tmp_path / "m", text)
    assert not made.go
    with pytest.raises(NoGo):
        run(database, made)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE a (id integer); BEGIN; SET LOCAL work_mem = '1MB'; COMMIT; CREATE TABLE b (id integer);",
        "CREATE TABLE a (id integer); BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; COMMIT; CREATE TABLE b (id int);",
        "CREATE TABLE a (); BEGIN; ALTER TYPE t ADD VALUE 'b'; COMMIT; CREATE TABLE b (v t DEFAULT 'b');",
    ],
)
def test_transactions_that_cannot_become_one_run_one_after_the_other(database, tmp_path, text):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TYPE t AS ENUM ('a')")
    run(database, planned(database, tmp_path / "m", text))
    assert applied(database) == ["001.sql"]
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('a') IS NOT NULL, to_regclass('b') IS NOT NULL").fetchone() == (
            True, True,
        )  # fmt: skip


def test_the_isolation_level_of_a_file_comes_before_any_query_of_ours(database, tmp_path):
    text = (
        "BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; "
        "CREATE TABLE level AS SELECT current_setting('transaction_isolation') AS is_now; "
        "DROP TABLE IF EXISTS other; COMMIT;"
    )
    other = (
        "BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO level SELECT current_setting('transaction_isolation'); COMMIT;"
    )
    run(database, planned(database, tmp_path / "m", "SELECT 1;", text, other))
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT is_now FROM level").fetchall()
    assert found == [("repeatable read",), ("serializable",)]
