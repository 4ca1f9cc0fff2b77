"""What the ledger remembers, and what only readers must not do to it."""

from __future__ import annotations

import psycopg
import pytest
from plans import facts, migration, plan

from lancio.errors import ServerError, UsageError
from lancio.executor import fingerprint, ledger, runner


@pytest.fixture
def connection(database):
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def test_reading_where_there_is_no_ledger_makes_none(connection):
    assert ledger.read(connection) == {}
    assert ledger.runs(connection) == []
    assert ledger.durations(connection) == {}
    assert ledger.steps(connection, 1) == []
    assert ledger.events(connection, 1) == []
    assert connection.execute("SELECT to_regnamespace('lancio') IS NULL").fetchone()[0]


def test_reading_works_in_a_read_only_transaction(connection):
    list(runner.apply(plan(facts("001.sql", "SELECT 1;")), connection))
    connection.execute("BEGIN READ ONLY")
    assert ledger.read(connection).keys() == {"001.sql"}
    connection.execute("ROLLBACK")


def test_the_ledger_is_no_part_of_the_users_catalog(connection):
    before = fingerprint.take(connection)
    list(runner.apply(plan(facts("001.sql", "SELECT 1;")), connection))
    assert fingerprint.take(connection) == before


def test_a_ledger_of_a_newer_lancio_is_refused(connection):
    list(runner.apply(plan(facts("001.sql", "SELECT 1;")), connection))
    connection.execute("INSERT INTO lancio.ledger_format (version, made_by) VALUES (99, '9.9')")
    with pytest.raises(ServerError, match="format 99"):
        ledger.read(connection)
    with pytest.raises(ServerError, match="format 99"):
        list(runner.apply(plan(facts("002.sql", "SELECT 1;")), connection))


def test_a_ledger_of_the_first_format_is_read_as_it_is_and_brought_up_to_date_by_the_next_run(connection):
    connection.execute(ledger._formats()[0][1].encode())
    connection.execute("INSERT INTO lancio.ledger_format (version, made_by) VALUES (1, '0.0.1')")
    connection.execute(
        "INSERT INTO lancio.run (who, operator, host, lancio_version, server_version, plan_hash, finished_at, outcome)"
        " VALUES (session_user, 'somebody', 'there', '0.0.1', '10', 'x', now(), 'done')"
    )
    connection.execute(
        "INSERT INTO lancio.step (run, backend_pid, migration, checksum, digest, position, state, started_at)"
        " VALUES (1, 1, '001.sql', 'x', 'x', 1, 'applied', now())"
    )
    assert {name: row.origin for name, row in ledger.read(connection).items()} == {"001.sql": "lancio"}
    adopted = [ledger.Adopted(migration("002.sql", "SELECT 2;"), 2, "facts")]
    assert ledger.adopt(connection, adopted) == ("002.sql",)
    assert ledger.adopt(connection, adopted) == ()
    assert ledger.read(connection)["002.sql"].origin == "facts"
    assert ledger.adopt(connection, []) == ()


def test_a_schema_named_lancio_that_is_not_ours_is_left_as_it_is(connection):
    connection.execute("CREATE SCHEMA lancio; CREATE TABLE lancio.run (mine int)")
    with pytest.raises(ServerError, match="cannot be made"):
        list(runner.apply(plan(facts("001.sql", "SELECT 1;")), connection))
    tables = connection.execute(
        "SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = 'lancio'"
    ).fetchone()
    assert tables == (["run"],)


def test_an_edited_file_is_adopted_with_who_and_when(connection):
    list(runner.apply(plan(facts("001.sql", "CREATE TABLE a (id int);")), connection))
    edited = migration("001.sql", "CREATE TABLE a (id integer);")
    row = ledger.adopt_edited(connection, edited)
    assert (row.checksum, row.state, row.who) == (edited.checksum, "edited", "postgres")
    assert ledger.read(connection)["001.sql"] == row
    assert len(ledger.runs(connection)) == 2
    assert ledger.durations(connection).keys() == {"001.sql"}
    with pytest.raises(UsageError, match="not edited"):
        ledger.adopt_edited(connection, edited)


def test_a_file_that_was_never_applied_cannot_be_adopted_as_edited(connection):
    with pytest.raises(UsageError, match="not in the ledger"):
        ledger.adopt_edited(connection, migration("001.sql", "SELECT 1;"))
    assert connection.execute("SELECT to_regnamespace('lancio') IS NULL").fetchone()[0]


def test_who_may_not_read_the_ledger_is_told_so(connection):
    list(runner.apply(plan(facts("001.sql", "SELECT 1;")), connection))
    connection.execute("DROP ROLE IF EXISTS lancio_test_nobody")
    connection.execute("CREATE ROLE lancio_test_nobody")
    connection.execute("SET ROLE lancio_test_nobody")
    with pytest.raises(ServerError, match="may not be read"):
        ledger.read(connection)
    connection.execute("RESET ROLE")
    connection.execute("DROP ROLE lancio_test_nobody")
