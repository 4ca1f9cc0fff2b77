"""A connection that ends is told by the server's own reason, and what became of the step is found out in the end."""

from __future__ import annotations

import os
import threading
import time

import psycopg
import pytest
from plans import facts, plan
from proxy import Proxy
from test_runner_killed import start

import servers
from lancio.errors import ConnectionLost, StepFailed
from lancio.executor import doubt, events, ledger, runner

SLEEPING = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%%pg_sleep%%' AND pid <> pg_backend_pid()"


def connect(url, **arguments):
    return psycopg.connect(url, autocommit=True, **arguments)


def lost(url, *files, meanwhile=None, **terms):
    told = []
    with connect(url) as connection, pytest.raises(ConnectionLost) as raised:  # noqa: PT012
        for event in runner.apply(plan(*files), connection, **terms):
            told.append(event)
            if meanwhile is not None and isinstance(event, events.StepStarted):
                meanwhile()
    return told, raised.value


def when_it_sleeps(url, act):
    """A thread that waits until a session sleeps and then does something with its process id."""

    def wait():
        with connect(url) as connection:
            until = time.monotonic() + 20
            while not (row := connection.execute(SLEEPING).fetchone()) and time.monotonic() < until:
                time.sleep(0.02)
            act(connection, row[0])

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_an_administrator_who_ends_the_session_is_told_as_one(every_database):
    thread = when_it_sleeps(every_database, lambda c, pid: c.execute("SELECT pg_terminate_backend(%s)", (pid,)))
    told, error = lost(every_database, facts("001.sql", "CREATE TABLE a (id int); SELECT pg_sleep(20);"))
    thread.join()
    assert error.message == "an administrator ended the session (57P01) while 001.sql ran"
    assert "terminating connection due to administrator command" in error.cause
    assert "nothing of 001.sql was kept" in error.cause
    assert error.more == {"rule": "terminated", "sqlstate": "57P01"}
    assert [event.sqlstate for event in told if isinstance(event, events.StepFailed)] == ["57P01"]


def test_a_session_that_was_ended_between_two_steps_still_says_who_did_it(database):
    """The server's last words come to a session that owed no answer: as a notice."""
    with connect(database) as connection, connect(database) as other:
        stream = runner.apply(plan(facts("001.sql", "SELECT 1;"), facts("002.sql", "SELECT 2;")), connection)
        next(stream)
        other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        time.sleep(0.2)
        with pytest.raises(ConnectionLost) as raised:
            list(stream)
    assert "57P01" in raised.value.message


@pytest.mark.embedded
def test_a_crash_of_the_server_is_told_as_one():
    server = servers.start(servers.EMBEDDED)
    try:
        thread = when_it_sleeps(server.url(), lambda c, _: os.kill(c.info.backend_pid, 9))
        _, error = lost(server.url(), facts("001.sql", "CREATE TABLE a (id int); SELECT pg_sleep(20);"))
        thread.join()
        assert error.message == "the server crashed (57P02) while 001.sql ran"
        assert "nothing of 001.sql was kept" in error.cause
    finally:
        server.stop()


def test_a_time_limit_of_the_file_that_ends_the_session_is_told_as_one(database):
    _, error = lost(database, facts("001.sql", "SET transaction_timeout = '300ms'; SELECT pg_sleep(20);"))
    assert error.message == "transaction_timeout ended the session (25P04) while 001.sql ran"


def test_a_broken_network_is_told_as_one(database):
    proxy = Proxy(database, cut_after=b"COMMIT\x00")
    try:
        _, error = lost(
            proxy.url,
            facts("001.sql", "CREATE TABLE a (id int);"),
            meanwhile=lambda: setattr(proxy, "armed", True),
            reconnect=lambda: connect(database),
        )
    finally:
        proxy.close()
    assert error.message == "the connection ended at the COMMIT of 001.sql"
    assert error.more["sqlstate"] == "08006"
    assert "broke without a word of the server's" in error.cause


def test_every_end_has_its_own_words():
    said = {state: doubt.ended(doubt.Lost(0, "…", state)) for state in (*doubt._ENDS, "08006")}
    assert len(set(said.values())) == len(said)
    assert all(state in words for state, words in said.items() if state != "08006")


@pytest.mark.parametrize("committed", [True, False])
def test_what_nobody_could_ask_is_in_doubt_until_status_or_the_next_run_looks(database, monkeypatch, committed):
    monkeypatch.setattr(doubt, "PATIENCE_S", 0.5)
    first, second = facts("001.sql", "CREATE TABLE a (id int);"), facts("002.sql", "CREATE TABLE b (id int);")
    if not committed:
        first = facts("001.sql", "CREATE TABLE a (id int); SELECT pg_sleep(2);")
    proxy = Proxy(database, cut_after=b"COMMIT\x00" if committed else b"SELECT 0")

    def nobody():
        raise psycopg.OperationalError("nobody answers")

    def cut():
        if committed:
            proxy.armed = True
        else:
            threading.Timer(0.5, proxy.close).start()

    try:
        _, error = lost(proxy.url, first, meanwhile=cut, reconnect=nobody)
    finally:
        proxy.close()
    assert "in doubt" in error.cause
    assert "lancio status" in error.remedy
    with connect(database) as connection:
        until = time.monotonic() + 10
        while (found := doubt.unfinished(connection)[0]).process is not None and time.monotonic() < until:
            time.sleep(0.1)
        assert found.applied == (("001.sql",) if committed else ())
        assert str(found).endswith(
            "1 of its steps is applied, 001.sql the last" if committed else "no step of it is applied"
        )
        # What the plan of the next run is made from: what the ledger has.
        left = [each for each in (first, second) if each.name not in ledger.read(connection)]
        told = list(runner.apply(plan(*left), connection))
        assert told[-1].applied == (1 if committed else 2)
        assert [event.message for event in told if isinstance(event, events.Notice)] == [str(found)]
        assert doubt.unfinished(connection) == []
        assert [run.outcome for run in ledger.runs(connection)] == ["done", "lost"]


def test_the_roles_own_time_limits_do_not_cut_a_step_and_the_files_own_do(every_server):
    url = every_server.create_database()
    name = servers.database_of(url)
    limits = {"statement_timeout": 0, "idle_in_transaction_session_timeout": 0, "idle_session_timeout": 14,
              "transaction_timeout": 17}  # fmt: skip
    try:
        with connect(url) as connection:
            for limit, since in limits.items():
                if every_server.version >= since:
                    connection.execute(f"ALTER DATABASE \"{name}\" SET {limit} = '250ms'")
        with connect(url) as connection:
            assert connection.execute("SHOW statement_timeout").fetchone() == ("250ms",)
            told = list(
                runner.apply(
                    plan(
                        facts("001.sql", "SELECT pg_sleep(0.4); SELECT pg_sleep(0.1);"), facts("002.sql", "SELECT 1;")
                    ),
                    connection,
                )
            )
            assert told[-1].outcome == "done"
            if every_server.version == 10:
                return  # its timer runs from the first statement of a pipeline on, so a file's own has no effect
            with pytest.raises(StepFailed, match="statement timeout"):
                list(
                    runner.apply(plan(facts("003.sql", "SET statement_timeout = 50; SELECT pg_sleep(3);")), connection)
                )
    finally:
        every_server.drop_database(url)


# --- orphans ----------------------------------------------------------------------------------------------------------


def asleep(connection):
    until = time.monotonic() + 20
    while not (row := connection.execute(SLEEPING).fetchone()) and time.monotonic() < until:
        time.sleep(0.02)
    return row[0]


@pytest.mark.parametrize("version", [15, 18])
def test_the_lock_of_a_killed_runner_is_free_within_two_seconds(pool, version):
    server = pool.get(version)
    url = server.create_database()
    process = start(url, count=1, sleep=60)
    try:
        with connect(url) as connection:
            pid = asleep(connection)
            process.kill()
            killed = time.monotonic()
            told = list(runner.apply(plan(facts("next.sql", "SELECT 1;")), connection))
            assert time.monotonic() - killed < 2.0
            assert told[-1].outcome == "done"
            assert connection.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() == (0,)
            assert any("came to no end" in event.message for event in told if isinstance(event, events.Notice))
    finally:
        process.kill()
        process.communicate()
        server.drop_database(url)


@pytest.mark.parametrize("version", [10, 12])
def test_below_14_the_orphan_of_a_killed_runner_is_named_with_its_statement_and_waited_for(pool, version):
    server = pool.get(version)
    url = server.create_database()
    process = start(url, count=1, sleep=60)
    try:
        with connect(url) as connection, connect(url) as other:
            pid = asleep(connection)
            process.kill()
            process.communicate()
            told = []
            for event in runner.apply(plan(facts("next.sql", "SELECT 1;")), connection):
                told.append(event)
                if isinstance(event, events.Waiting) and event.waited_s >= 2:
                    other.execute("SELECT pg_terminate_backend(%s)", (pid,))
            waits = [event for event in told if isinstance(event, events.Waiting)]
            (holder,) = waits[-1].holders
            assert (waits[-1].what, holder.pid) == ("runner", pid)
            assert holder.query == "SELECT pg_sleep(…)"
            assert holder.run == 1
            assert holder.host
            assert "works on the statement" in waits[-1].why
            assert f"pg_terminate_backend({pid})" in waits[-1].why
            assert told[-1].outcome == "done"
    finally:
        process.kill()
        server.drop_database(url)
