"""A pooler that gives the session's process away is refused before anything is done; one in session mode works."""

from __future__ import annotations

import contextlib
import io
import json
import os

import psycopg
import pytest
from plans import facts, plan
from poolers import Liar, pgbouncer

from lancio.cli import main, work
from lancio.cli.terminal import Terminal
from lancio.errors import ConnectionLost, ServerError
from lancio.executor import events, ledger, pooler, runner

TIMES = 100 if os.environ.get("LANCIO_PROOF") == "1" else 8


def connect(url, **arguments):
    return psycopg.connect(url, autocommit=True, prepare_threshold=None, **arguments)


def lancio(*words):
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, " ".join((out.getvalue() + err.getvalue()).split())


def untouched(url):
    with connect(url) as connection:
        return connection.execute(
            "SELECT to_regnamespace('lancio') IS NULL AND to_regclass('a') IS NULL AND NOT EXISTS "
            "(SELECT FROM pg_locks WHERE locktype = 'advisory')"
        ).fetchone()[0]


@pytest.fixture
def folder(tmp_path):
    there = tmp_path / "migrations"
    there.mkdir()
    (there / "001.sql").write_text("CREATE TABLE a (id int);")
    (there / "002.sql").write_text("CREATE INDEX a_id ON a (id);")
    return str(there)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("named", [False, True])
def test_a_pooler_that_gives_the_process_away_is_refused_each_time(server, database, folder, mode, named):
    with pgbouncer(server, mode) as through:
        url = through(database)
        for _ in range(TIMES):
            with connect(url) as connection, pytest.raises(ServerError) as raised:  # noqa: PT012
                if named:
                    pooler.prove(connection, lambda: connect(url))
                list(runner.apply(plan(facts("001.sql", "CREATE TABLE a (id int);")), connection))
            assert "pooler" in raised.value.message
            assert raised.value.cause
            assert "Connect to PostgreSQL itself" in raised.value.remedy
        for command in (("apply", folder, "--yes"), ("backup", "note", "--at", "now", "--where", "x")):
            status, said = lancio(*command, "--database", url, *(("--pooler", "session") if named else ()))
            assert status in (1, 3), said
            assert "pooler" in said
            assert "Connect to PostgreSQL itself" in said
    assert untouched(database)


def test_a_pooler_in_session_mode_works_where_it_is_named(server, database, folder, tmp_path):
    with pgbouncer(server, "session") as through:
        url = through(database)
        status, said = lancio("apply", folder, "--database", url, "--yes")
        assert status == 3
        assert "--pooler session" in said
        assert untouched(database)
        status, said = lancio("preflight", folder, "--database", url, "--pooler", "session")
        assert status == 0, said
        assert "a pooler in session mode, as was proved" in said
        config = tmp_path / "lancio.toml"
        config.write_text('default = "dev"\n[environments.dev]\ndatabase_env = "POOLED"\npooler = "session"\n')
        os.environ["POOLED"] = url
        try:
            status, said = lancio("apply", folder, "--config", str(config), "--yes", "--json")
        finally:
            del os.environ["POOLED"]
        assert status == 0, said
    with connect(database) as connection:
        assert sorted(ledger.read(connection)) == ["001.sql", "002.sql"]


def test_a_connection_that_broke_is_no_pooler(database):
    with pytest.raises(ConnectionLost), work.session(database, None) as session:  # noqa: PT012
        with connect(database) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (session.connection.info.backend_pid,))
        with contextlib.suppress(psycopg.errors.AdminShutdown):
            session.connection.execute("SELECT")
        session.connection.execute("SELECT")  # its error has no SQLSTATE, as those of a pooler that hangs up


def test_through_a_session_pooler_who_is_in_the_way_is_seen_and_waited_for(server, database):
    with pgbouncer(server, "session") as through, connect(database, application_name="the other") as other:
        other.execute("CREATE TABLE a (id int)")
        other.execute("BEGIN")
        other.execute("LOCK TABLE a")
        with connect(through(database)) as connection:
            pooler.prove(connection, lambda: connect(through(database)))
            told = []
            for event in runner.apply(
                plan(facts("001.sql", "ALTER TABLE a ADD COLUMN b int;")), connection, lock_timeout_ms=400
            ):
                told.append(event)
                if isinstance(event, events.Waiting) and event.retry_in_s:
                    other.execute("COMMIT")
        waits = [event for event in told if isinstance(event, events.Waiting)]
        assert waits[0].holders[0].application == "the other"
        assert told[-1].outcome == "done"


def test_a_pooler_that_tells_a_real_process_id_is_found_by_asking_again(database):
    liar = Liar(database)
    try:
        with connect(liar.url) as connection, pytest.raises(ServerError) as raised:
            list(runner.apply(plan(facts("001.sql", "CREATE TABLE a (id int);")), connection))
        assert raised.value.message == "a connection pooler stands between Lancio and PostgreSQL"
        with connect(liar.url) as connection, pytest.raises(ServerError) as raised:
            pooler.prove(connection, lambda: connect(liar.url))
        assert "not in session mode" in raised.value.message
    finally:
        liar.close()
    assert untouched(database)


def test_a_connection_without_a_pooler_may_be_proved_as_well(database, folder):
    status, said = lancio("apply", folder, "--database", database, "--pooler", "session", "--yes", "--json")
    assert status == 0, said
    assert json.loads(said[said.rindex('{"event":"run-finished"') :])["applied"] == 2
