"""Backups that are known, and the ledger that learns of them."""

from __future__ import annotations

import datetime as dt
import threading
from importlib import resources

import psycopg
import pytest
from plans import facts, plan

from lancio.errors import ServerError, UsageError
from lancio.executor import backups, ledger, runner

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def connection(database):
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def first_format(connection: psycopg.Connection) -> None:
    """The ledger as a Lancio made it that knew no backups."""
    text = resources.files("lancio.executor").joinpath("schema/001_ledger.sql").read_text(encoding="utf-8")
    connection.execute(text.encode())
    connection.execute("INSERT INTO lancio.ledger_format (version, made_by) VALUES (1, '0.1')")
    connection.execute(
        "INSERT INTO lancio.run (who, operator, host, lancio_version, server_version, plan_hash)"
        " VALUES ('postgres', 'me', 'here', '0.1', '18', 'x')"
    )


def formats(connection: psycopg.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT version FROM lancio.ledger_format ORDER BY 1")]


def test_a_ledger_of_the_first_format_is_read_and_stays_as_it_is(connection):
    first_format(connection)
    assert backups.known(connection) == []
    assert backups.latest(connection) is None
    assert len(ledger.runs(connection)) == 1
    assert formats(connection) == [1]


def test_noting_a_backup_brings_the_ledger_up_to_date_and_keeps_its_rows(connection):
    first_format(connection)
    made = backups.note(connection, NOW, "nightly.dump")
    assert (made.place, made.origin, made.taken_at) == ("nightly.dump", "noted", NOW)
    assert formats(connection) == [number for number, _ in ledger._formats()]
    assert len(ledger.runs(connection)) == 1
    found = backups.latest(connection)
    assert found is not None
    assert (found.where, found.at, found.who) == ("nightly.dump", NOW, "postgres")
    assert 0 <= found.age_s < (dt.datetime.now(dt.UTC) - NOW).total_seconds() + 60


def test_applying_brings_the_ledger_up_to_date_too(connection):
    first_format(connection)
    list(runner.apply(plan(facts("001.sql", "SELECT 1;")), connection))
    assert formats(connection) == [number for number, _ in ledger._formats()]
    assert ledger.read(connection).keys() == {"001.sql"}
    backups.note(connection, NOW, "a")
    list(runner.apply(plan(facts("002.sql", "SELECT 1;")), connection))
    assert formats(connection) == [number for number, _ in ledger._formats()]


def test_the_youngest_state_counts_whatever_was_noted_last(connection):
    backups.note(connection, NOW, "young")
    backups.note(connection, NOW - dt.timedelta(days=3), "old")
    assert [each.place for each in backups.known(connection)] == ["young", "old"]


def test_a_moment_that_has_not_come_is_refused(connection):
    with pytest.raises(UsageError, match="not come yet"):
        backups.note(connection, NOW + dt.timedelta(days=1), "x")
    assert backups.known(connection) == []


def test_nothing_is_known_and_nothing_made_where_there_is_no_ledger(connection):
    assert backups.known(connection) == []
    assert connection.execute("SELECT to_regnamespace('lancio') IS NULL").fetchone()[0]


def test_several_note_at_once(connection, database):
    def work(number: int) -> None:
        with psycopg.connect(database, autocommit=True) as own:
            backups.note(own, NOW, f"number {number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.place for each in backups.known(connection)} == {f"number {number}" for number in range(4)}


def test_who_may_not_read_the_ledger_is_told_so(connection):
    backups.note(connection, NOW, "x")
    connection.execute("DROP ROLE IF EXISTS lancio_test_stranger")
    connection.execute("CREATE ROLE lancio_test_stranger")
    connection.execute("SET ROLE lancio_test_stranger")
    with pytest.raises(ServerError, match="may not be read"):
        backups.known(connection)
    with pytest.raises(ServerError, match="may not be read"):
        backups.refuse_unrecordable(connection)
    connection.execute("RESET ROLE")
    connection.execute("GRANT USAGE ON SCHEMA lancio TO lancio_test_stranger")
    connection.execute("GRANT SELECT ON lancio.backups TO lancio_test_stranger")
    connection.execute("SET ROLE lancio_test_stranger")
    with pytest.raises(ServerError, match="may not record a backup"):
        backups.refuse_unrecordable(connection)
    connection.execute("RESET ROLE")
    backups.refuse_unrecordable(connection)
    connection.execute("DROP OWNED BY lancio_test_stranger")
    connection.execute("DROP ROLE lancio_test_stranger")
