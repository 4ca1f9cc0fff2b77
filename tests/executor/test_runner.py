"""What the runner promises, asked of real servers."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest
from plans import check, facts, migration, plan, statements
from proxy import Proxy
from psycopg.rows import dict_row

from lancio.errors import ConnectionLost, EditedFile, LockHeld, NoGo, ServerError, StepFailed
from lancio.executor import events, fingerprint, ledger, runner
from lancio.planner.model import Effect


def connect(url, **arguments):
    return psycopg.connect(url, autocommit=True, **arguments)


def run(url, *files, **arguments):
    with connect(url) as connection:
        return list(runner.apply(plan(*files), connection, **arguments))


def run_failing(url, error, *files, **arguments):
    """The events until the error, and the error."""
    told = []
    with connect(url) as connection, pytest.raises(error) as raised:  # noqa: PT012
        for event in runner.apply(plan(*files), connection, **arguments):
            told.append(event)  # noqa: PERF402
    return told, raised.value


def one(url, sql, *parameters):
    with connect(url) as connection:
        return connection.execute(sql, parameters).fetchone()[0]


def catalog(url):
    with connect(url) as connection:
        return fingerprint.take(connection)


def of(told, kind):
    return [event for event in told if isinstance(event, kind)]


def test_each_step_is_committed_with_its_ledger_row(every_database):
    told = run(
        every_database,
        facts("001.sql", "BEGIN;\nCREATE TABLE a (id int);\nINSERT INTO a VALUES (1);\nCOMMIT;\n"),
        facts(
            "002.sql", "ALTER TABLE a ADD COLUMN b text;", checks=[check("column a.b", "SELECT count(b) = 0 FROM a")]
        ),
    )
    assert [event.migration for event in of(told, events.StepApplied)] == ["001.sql", "002.sql"]
    assert told[-1].outcome == "done"
    assert [event.number for event in told] == list(range(1, len(told) + 1))
    with connect(every_database) as connection:
        rows = ledger.read(connection)
        assert (
            rows["001.sql"].checksum
            == migration("001.sql", "BEGIN;\nCREATE TABLE a (id int);\nINSERT INTO a VALUES (1);\nCOMMIT;\n").checksum
        )
        assert rows["002.sql"].verifications == ("column a.b",)
        assert rows["002.sql"].duration_ms > 0
        statements = connection.execute(
            "SELECT ordinal, line, summary FROM lancio.statement WHERE step = %s ORDER BY 1", (rows["001.sql"].id,)
        ).fetchall()
        assert statements == [(1, 2, "CREATE TABLE a (id int)"), (2, 3, "INSERT INTO a VALUES (1)")]
        (row,) = ledger.runs(connection)
        assert (row.outcome, row.who) == ("done", "postgres")
        assert ledger.durations(connection).keys() == {"001.sql", "002.sql"}
        assert ledger.steps(connection, row.id) == [rows["001.sql"], rows["002.sql"]]


def test_the_event_table_holds_the_stream_that_was_told(database):
    with connect(database) as connection:
        told = []
        files = plan(
            facts("001.sql", "CREATE TABLE a (id int); DO $$BEGIN RAISE WARNING 'look \"here\\'; END$$;"),
            facts("002.sql", "CREATE TABLE b (id nosuch);"),
        )
        with pytest.raises(StepFailed):  # noqa: PT012
            for event in runner.apply(files, connection):
                told.append(event.as_dict())  # noqa: PERF401
        stored = ledger.events(connection, told[0]["run"])
    for event in (*told, *stored):
        event["at"] = event["at"].replace("+00:00", "")[:23]
    assert stored == told
    assert ledger_after(database, told[0]["run"], 3) == [event["number"] for event in told if event["number"] > 3]


def ledger_after(url, run, number):
    with connect(url) as connection:
        return [event["number"] for event in ledger.events(connection, run, number)]


def test_a_failed_step_leaves_no_trace_and_the_steps_before_it_stay(every_database):
    run(every_database, facts("001.sql", "CREATE TABLE a (id int);"))
    before = catalog(every_database)
    told, error = run_failing(
        every_database, StepFailed, facts("002.sql", "CREATE TABLE b (id int);\nSELECT 1/0;\nCREATE TABLE c (id int);")
    )
    assert catalog(every_database) == before
    (failed,) = of(told, events.StepFailed)
    assert (failed.ordinal, failed.sqlstate) == (2, "22012")
    assert error.where.startswith("002.sql:2")
    with connect(every_database) as connection:
        assert ledger.read(connection).keys() == {"001.sql"}
        assert ledger.runs(connection)[0].outcome == "failed"


@pytest.mark.parametrize(
    ("text", "ordinal", "line", "caret"),
    [
        ("CREATE TABLE a (id int);\n\n-- è\nCREATE TABLE b (\n  é int,\n  ü nosuch\n);", 2, 6, "nosuch"),
        ("SELECT 'ünïcødé', nosuch;", 1, 1, "nosuch"),
        ("CREATE TABLE a (id int);\nDO $body$\nBEGIN\n  PERFORM 1;\n  RAISE 'no';\nEND\n$body$;", 2, 5, None),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETRUN 1;\nEND $$;", 1, 3, "RETRUN"),
    ],
)  # fmt: skip
def test_the_failing_statement_and_its_line_are_named(database, text, ordinal, line, caret):
    told, error = run_failing(database, StepFailed, facts("001.sql", text))
    assert of(told, events.StepFailed)[0].ordinal == ordinal
    shown = error.where.split("\n")
    assert shown[0] == f"001.sql:{line}"
    if caret:
        assert shown[1][shown[2].index("^") :].startswith(caret)


def test_a_verification_that_fails_takes_the_whole_step_back_and_names_each_check(every_database):
    before = catalog(every_database)
    _, error = run_failing(
        every_database,
        StepFailed,
        facts(
            "001.sql",
            "CREATE TABLE a (id int);",
            checks=[
                check("table a", "SELECT to_regclass('public.a') IS NOT NULL -- there"),
                check('it\'s "full"', "SELECT count(*) > 0 FROM a;"),
                check("never NULL", "SELECT NULL::boolean"),
            ],
        ),
    )
    assert error.message.split("\n")[1:] == ['it\'s "full"', "never NULL"]
    assert catalog(every_database) == before
    with connect(every_database) as connection:
        assert ledger.read(connection) == {}


def test_names_in_the_planners_checks_may_hold_quotes_and_signs(database):
    """They become parameters of one prepared statement; a text with a backslash in it stays as it is."""
    for n in range(7):
        name = f"it's ${n} -- \\"
        quoted = "E'" + name.replace("\\", "\\\\").replace("'", "''") + "'"
        exists = "SELECT EXISTS (SELECT FROM pg_class WHERE relname = {})"
        text = f'CREATE TABLE "{name}" (id int); CREATE TABLE plain{n} (id int);'
        checks = [check("plain", exists.format(f"('plain{n}')")), check("odd", exists.format(quoted))]
        run(database, facts(f"{n}.sql", text, checks=checks))
        missing = check("gone", exists.format(f"('gone{n}')"))
        _, error = run_failing(database, StepFailed, facts("x.sql", "SELECT 1;", checks=[checks[0], missing]))
        assert error.message.split("\n")[1:] == ["gone"]


def test_a_check_that_cannot_be_asked_is_named(database):
    _, error = run_failing(
        database,
        StepFailed,
        facts("001.sql", "SELECT 1;", checks=[check("first", "SELECT true"), check("second", "SELECT x FROM nosuch")]),
    )
    assert "the check 'second' could not be asked" in error.cause


def test_a_deferred_constraint_fails_before_the_commit(database):
    text = (
        "CREATE TABLE a (id int PRIMARY KEY);\n"
        "CREATE TABLE b (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO b VALUES (7);"
    )
    _, error = run_failing(database, StepFailed, facts("001.sql", text))
    assert error.cause.startswith("A deferred constraint fails at the step's end")
    assert "7" not in str(error.as_dict())


def test_the_files_own_begin_keeps_its_isolation_level(database):
    run(
        database,
        facts(
            "001.sql",
            "BEGIN ISOLATION LEVEL SERIALIZABLE;\n"
            "CREATE TABLE a AS SELECT current_setting('transaction_isolation') AS level;\nCOMMIT;",
        ),
    )
    assert one(database, "SELECT level FROM a") == "serializable"


def test_nothing_of_a_file_reaches_the_next_one(every_database):
    with connect(every_database) as connection:
        connection.execute("DROP ROLE IF EXISTS lancio_test_stray")
        connection.execute("CREATE ROLE lancio_test_stray")
    first = (
        "CREATE SCHEMA other; SET search_path = other; SET my.thing = 'left'; SET TimeZone = 'Asia/Tokyo';\n"
        "CREATE TEMP TABLE left_over (id int); LISTEN something; CREATE SEQUENCE s; SELECT nextval('s');\n"
        "SET standard_conforming_strings = off; SET lock_timeout = 17; SET row_security = on;\n"
        "PREPARE mine AS SELECT 1; DECLARE held CURSOR WITH HOLD FOR SELECT 1;\n"
        "SET SESSION AUTHORIZATION lancio_test_stray;"
    )
    second = (
        "CREATE TABLE seen AS SELECT current_user::text AS who, session_user::text AS login,\n"
        "  current_setting('search_path') AS path, coalesce(current_setting('my.thing', true), '') AS thing,\n"
        "  current_setting('TimeZone') <> 'Asia/Tokyo' AS zone, to_regclass('left_over') IS NULL AS temp,\n"
        "  (SELECT count(*) FROM pg_listening_channels()) AS listening,\n"
        "  (SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine')\n"
        "  + (SELECT count(*) FROM pg_cursors WHERE name = 'held') AS kept,\n"
        "  current_setting('standard_conforming_strings') AS strings, current_setting('lock_timeout') AS lock,\n"
        "  current_setting('row_security') AS rows;"
    )
    run(every_database, facts("001.sql", first), facts("002.sql", second))
    with connect(every_database, row_factory=dict_row) as connection:
        seen = connection.execute("SELECT * FROM seen").fetchone()
        assert seen == {
            "who": "postgres", "login": "postgres", "path": '"$user", public', "thing": "", "zone": True,
            "temp": True, "listening": 0, "kept": 0, "strings": "on", "lock": "2s", "rows": "off",
        }  # fmt: skip


def test_the_connection_comes_back_as_it_was(database):
    with connect(database) as connection:
        connection.execute("SET search_path = pg_catalog")
        list(runner.apply(plan(facts("001.sql", "SELECT 1;")), connection))
        assert connection.execute("SHOW row_security").fetchone() == ("on",)
        assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_what_the_driver_prepared_before_does_not_end_the_runners_own(database):
    with psycopg.connect(database, autocommit=True) as connection:
        for _ in range(7):
            connection.execute("SELECT 1")
        made = plan(*(facts(f"{at:03}.sql", f"CREATE TABLE t{at} (id int);") for at in range(3)))
        told = list(runner.apply(made, connection))
        assert isinstance(told[-1], events.RunFinished)
        assert told[-1].outcome == "done"
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT 1")
        made = plan(*(facts(f"{at:03}.sql", f"CREATE TABLE t{at} (id int);") for at in range(6)), only=["005.sql"])
        assert list(runner.apply(made, connection))[-1].outcome == "done"


def test_settings_reach_only_the_files_that_read_them_and_end_with_the_step(database):
    secret = "k3y-of-the-test"
    read = "CREATE TABLE {} AS SELECT md5(coalesce(current_setting('lancio.key', true), '')) AS seen;"
    run(
        database,
        facts("001.sql", read.format("a"), settings=["lancio.key"]),
        facts("002.sql", read.format("b")),
        settings={"lancio.key": secret, "lancio.unread": "never sent"},
    )
    assert one(database, "SELECT seen = md5(%s) FROM a", secret)
    assert one(database, "SELECT seen = md5('') FROM b")


def test_a_setting_stays_out_of_errors_events_and_the_ledger(database):
    secret = "k3y-of-the-test"
    text = "DO $$BEGIN RAISE 'no: %', current_setting('lancio.key') USING HINT = current_setting('lancio.key'); END$$;"
    told, error = run_failing(
        database, StepFailed, facts("001.sql", text, settings=["lancio.key"]), settings={"lancio.key": secret}
    )
    notice = "DO $$BEGIN RAISE NOTICE 'it is %', current_setting('lancio.key'); END$$;"
    told += run(database, facts("002.sql", notice, settings=["lancio.key"]), settings={"lancio.key": secret})
    assert secret not in str(error.as_dict())
    assert secret not in str([event.as_dict() for event in told])
    assert one(database, "SELECT count(*) FROM lancio.event WHERE data::text LIKE '%%' || %s || '%%'", secret) == 0


def test_files_run_as_the_role_that_is_named(every_database):
    with connect(every_database) as connection:
        connection.execute("DROP ROLE IF EXISTS lancio_test_owner")
        connection.execute("CREATE ROLE lancio_test_owner")
        connection.execute("ALTER SCHEMA public OWNER TO lancio_test_owner")
        name = connection.execute("SELECT quote_ident(current_database())").fetchone()[0]
        connection.execute(f"GRANT CREATE ON DATABASE {name} TO lancio_test_owner")
    try:
        files = [facts("001.sql", "CREATE TABLE a (id int); RESET ROLE;"), facts("002.sql", "CREATE TABLE b (id int);")]
        run(every_database, *files, role="lancio_test_owner")
        owners = one(
            every_database,
            "SELECT array_agg(DISTINCT tableowner::text) FROM pg_tables WHERE schemaname IN ('public', 'lancio')",
        )
        assert owners == ["lancio_test_owner"]
    finally:
        with connect(every_database) as connection:
            connection.execute("DROP OWNED BY lancio_test_owner CASCADE")
            connection.execute("DROP ROLE lancio_test_owner")


def test_an_unknown_role_is_refused(database):
    _, error = run_failing(database, ServerError, facts("001.sql", "SELECT 1;"), role="nosuch")
    assert "nosuch" in error.message


def test_a_file_that_releases_the_runners_lock_is_rolled_back(every_database):
    before = catalog(every_database)
    _, error = run_failing(
        every_database, LockHeld, facts("001.sql", "CREATE TABLE a (id int); SELECT pg_advisory_unlock_all();")
    )
    assert "001.sql released it" in error.cause
    assert catalog(every_database) == before


def test_a_file_may_deallocate_everything(database):
    run(database, facts("001.sql", "DEALLOCATE ALL;"), facts("002.sql", "CREATE TABLE b (id int);"))
    assert one(database, "SELECT to_regclass('b') IS NOT NULL")


@pytest.mark.parametrize(
    "text",
    [
        "COPY a FROM STDIN;",
        "/* rows */ COPY a TO STDOUT;",
        "CREATE TABLE a (id int); COMMIT; CREATE TABLE b (id int);",
        "BEGIN; CREATE TABLE a (id int);",
        "CREATE TABLE a (id int); ROLLBACK;",
    ],
)
def test_what_would_escape_the_step_is_refused_before_anything_is_sent(database, text):
    told, _ = run_failing(database, NoGo, facts("000.sql", "CREATE TABLE z (id int);"), facts("001.sql", text))
    assert told == []
    assert one(database, "SELECT to_regclass('lancio.run') IS NULL AND to_regclass('z') IS NULL")


def test_a_plan_without_steps_touches_nothing(database):
    (told,) = run(database)
    assert (told.outcome, told.of) == ("done", 0)
    assert one(database, "SELECT to_regnamespace('lancio') IS NULL")


def test_the_ledger_row_has_the_locks_on_what_was_there_before(every_database):
    run(
        every_database,
        facts("001.sql", "CREATE TABLE a (id int); CREATE TABLE b (id int); CREATE VIEW v AS SELECT 1 AS x;"),
    )
    told = run(
        every_database,
        facts(
            "002.sql",
            "ALTER TABLE a ADD COLUMN c int; DROP TABLE b; CREATE TABLE d (id int); SELECT * FROM v;",
            checks=[check("v", "SELECT count(*) = 1 FROM v")],
        ),
    )
    (applied,) = of(told, events.StepApplied)
    held = {(lock.relation, lock.mode) for lock in applied.locks}
    assert held == {
        ("public.a", "AccessExclusiveLock"),
        ("public.b", "AccessExclusiveLock"),
        ("public.v", "AccessShareLock"),
    }
    with connect(every_database) as connection:
        assert set(ledger.read(connection)["002.sql"].locks) == held


def test_a_step_that_waits_names_who_is_in_the_way_and_tries_again(every_database):
    run(every_database, facts("001.sql", "CREATE TABLE a (id int);"))
    with connect(every_database, application_name="the other one") as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE a")
        told = []
        with connect(every_database) as connection:
            for event in runner.apply(
                plan(facts("002.sql", "ALTER TABLE a ADD COLUMN b int;")), connection, lock_timeout_ms=1500
            ):
                told.append(event)
                if isinstance(event, events.Waiting) and event.retry_in_s:
                    other.execute("COMMIT")
    waits = of(told, events.Waiting)
    assert waits[0].what == "public.a"
    assert waits[0].holders[0].application == "the other one"
    assert waits[-1].retry_in_s
    assert of(told, events.StepApplied)


def test_a_lock_that_never_comes_ends_the_step_with_a_command_to_try_again(database):
    run(database, facts("001.sql", "CREATE TABLE a (id int);"))
    with connect(database) as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE a")
        _, error = run_failing(
            database, StepFailed, facts("002.sql", "ALTER TABLE a ADD COLUMN b int;"), lock_timeout_ms=100, retries=1
        )
        pid = other.info.backend_pid
    assert error.commands == (
        f"psql \"$DATABASE_URL\" -c 'SELECT pg_terminate_backend({pid})'",
        "lancio apply migrations --only 002.sql",
    )
    assert f"process {pid}" in str(error.more["evidence"])


def test_two_runners_apply_each_step_once(database):
    files = [facts(f"{n:03}.sql", f"CREATE TABLE t{n} (id int); SELECT pg_sleep(0.02);") for n in range(8)]
    told = [[], []]

    def work(which):
        told[which].extend(run(database, *files))

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    applied = [len(of(each, events.StepApplied)) for each in told]
    skipped = [len(of(each, events.StepSkipped)) for each in told]
    assert sorted(applied) == [0, 8]
    assert sorted(skipped) == [0, 8]


def test_a_file_that_somebody_else_applied_in_another_version_is_refused(database):
    run(database, facts("001.sql", "CREATE TABLE a (id int);"))
    _, error = run_failing(database, EditedFile, facts("001.sql", "CREATE TABLE a (id bigint);"))
    assert error.exit_status == 3


def test_a_second_runner_is_told_who_holds_the_lock(database):
    with connect(database) as first, connect(database) as second:
        stream = runner.apply(plan(facts("001.sql", "SELECT 1;")), first)
        next(stream)
        told = []
        with pytest.raises(LockHeld) as raised:  # noqa: PT012
            for event in runner.apply(plan(facts("002.sql", "SELECT 1;")), second, lock_wait_s=1.2):
                told.append(event)  # noqa: PERF402
        assert told[0].holders[0].pid == first.info.backend_pid
        assert told[0].holders[0].application.startswith("lancio apply")
        assert f"process {first.info.backend_pid}" in raised.value.cause
        stream.close()
        assert list(runner.apply(plan(facts("002.sql", "SELECT 1;")), second))[-1].outcome == "done"


def test_a_connection_that_ends_in_a_step_leaves_nothing_of_it(database):
    before = catalog(database)
    with connect(database) as connection:
        pid = connection.info.backend_pid

        def end():
            while not one(database, "SELECT query LIKE '%%pg_sleep%%' FROM pg_stat_activity WHERE pid = %s", pid):
                time.sleep(0.05)
            one(database, "SELECT pg_terminate_backend(%s)", pid)

        thread = threading.Thread(target=end)
        thread.start()
        told = []
        with pytest.raises(ConnectionLost) as raised:  # noqa: PT012
            for event in runner.apply(
                plan(facts("001.sql", "CREATE TABLE a (id int); SELECT pg_sleep(30);")), connection
            ):
                told.append(event)  # noqa: PERF402
        thread.join()
    assert "nothing of 001.sql was kept" in raised.value.cause
    assert told[-2].ordinal == 2
    assert catalog(database) == before


def test_a_commit_whose_answer_is_lost_is_looked_up(database):
    proxy = Proxy(database, cut_after=b"COMMIT\x00")
    try:
        with connect(proxy.url) as connection:
            told = []
            with pytest.raises(ConnectionLost) as raised:  # noqa: PT012
                for event in runner.apply(
                    plan(facts("001.sql", "CREATE TABLE a (id int);"), facts("002.sql", "CREATE TABLE b (id int);")),
                    connection,
                ):
                    told.append(event)
                    if isinstance(event, events.StepStarted):
                        proxy.armed = True
    finally:
        proxy.close()
    assert proxy.cuts == 1
    assert "at the COMMIT of 001.sql" in raised.value.message
    # The second step was on its way already: what is told of it is what became of it.
    applied = [event.migration for event in of(told, events.StepApplied)]
    assert all(event.resolved for event in of(told, events.StepApplied))
    assert one(database, "SELECT to_regclass('a') IS NOT NULL")
    assert applied == ["001.sql", *(["002.sql"] if one(database, "SELECT to_regclass('b') IS NOT NULL") else [])]
    assert all(name in raised.value.cause for name in applied)
    assert "applied" in raised.value.cause
    with connect(database) as connection:
        assert ledger.runs(connection)[0].outcome == "lost"


def test_a_pooler_is_refused(database):
    proxy = Proxy(database, backend_pid=4711)
    try:
        _, error = run_failing(proxy.url, ServerError, facts("001.sql", "SELECT 1;"))
    finally:
        proxy.close()
    assert "pooler" in error.message
    assert "4711" in error.cause
    assert one(database, "SELECT to_regnamespace('lancio') IS NULL")


def test_a_connection_in_a_transaction_is_refused(database):
    with psycopg.connect(database) as connection:
        connection.execute("SELECT 1")
        with pytest.raises(ServerError, match="in a transaction"):
            list(runner.apply(plan(facts("001.sql", "SELECT 1;")), connection))


def test_a_read_only_database_is_refused(database):
    _, _error = None, None
    with (
        connect(database, options="-c default_transaction_read_only=on") as connection,
        pytest.raises(ServerError) as raised,
    ):
        list(runner.apply(plan(facts("001.sql", "SELECT 1;")), connection))
    assert "takes no changes" in raised.value.message


def test_a_role_without_rights_is_told_so_and_nothing_is_made(database):
    with connect(database) as connection:
        connection.execute("DROP ROLE IF EXISTS lancio_test_guest")
        connection.execute("CREATE ROLE lancio_test_guest")
    _, error = run_failing(database, ServerError, facts("001.sql", "SELECT 1;"), role="lancio_test_guest")
    assert "ledger cannot be made" in error.message
    assert "--role" in error.remedy
    assert one(database, "SELECT to_regnamespace('lancio') IS NULL")


def test_a_missing_table_names_the_file_that_creates_it(database):
    provider = facts(
        "001_first.sql", "CREATE TABLE a (id int);", creates=[Effect("table public.a", "relation", "public.a", 1)]
    )
    with connect(database) as connection, pytest.raises(StepFailed) as raised:
        list(
            runner.apply(
                plan(provider, facts("002.sql", "INSERT INTO public.a VALUES (1);"), only=["002.sql"]), connection
            )
        )
    error = raised.value
    assert error.message == '002.sql failed: relation "public.a" does not exist'
    assert error.cause == "Migration 001_first.sql not applied"
    assert error.commands == ("lancio apply migrations --only 001_first.sql --only 002.sql",)
    assert error.more["instead"] == ['psql "$DATABASE_URL" -f migrations/001_first.sql']
    assert error.more["evidence"] == ["001_first.sql:1 creates table public.a"]


def test_a_reader_who_leaves_in_the_middle_gives_lock_and_run_back(database):
    with connect(database) as connection:
        stream = runner.apply(
            plan(facts("001.sql", "CREATE TABLE a (id int);"), facts("002.sql", "SELECT 1;")), connection
        )
        for event in stream:
            if isinstance(event, events.StepApplied):
                break
        stream.close()
        assert ledger.runs(connection)[0].outcome == "interrupted"
        assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def test_a_very_long_file_runs_in_one_pipeline(database):
    """More than the sockets' buffers hold in either direction, so that nobody may wait for the other."""
    text = "CREATE TABLE a (id int, t text);" + "".join(
        f"INSERT INTO a VALUES ({n}, '{'x' * 200}'); SELECT repeat('y', 3000);" for n in range(1500)
    )
    told = run(database, facts("001.sql", text))
    assert len(of(told, events.Progress)) == 3001
    assert one(database, "SELECT count(*) FROM a") == 1500


def test_the_statements_of_the_helper_are_those_of_the_file():
    assert [each.span.line for each in statements("SELECT 1;\n\nSELECT 2")] == [1, 3]


def test_what_was_sent_ahead_of_a_failure_is_refused(database):
    """The third step is at the server before the second one fails; its guard keeps it out."""
    files = (
        facts("001.sql", "CREATE TABLE a (id int);"),
        facts("002.sql", "CREATE TABLE b (id int); SELECT pg_sleep(0.3), 1/0;"),
        facts("003.sql", "CREATE TABLE c (id int);"),
    )
    with connect(database) as connection, pytest.raises(StepFailed):
        list(runner.apply(plan(*files), connection))
    assert one(database, "SELECT ARRAY[to_regclass('a'), to_regclass('b'), to_regclass('c')]::text[]") == [
        "a", None, None,
    ]  # fmt: skip
    with connect(database) as connection:
        assert list(ledger.read(connection)) == ["001.sql"]


def test_a_run_that_nobody_reads_to_its_end_tells_the_truth_in_the_ledger(database):
    files = [facts(f"{number:03}.sql", f"CREATE TABLE t{number} (id int);") for number in range(20)]
    with connect(database) as connection:
        run = runner.apply(plan(*files), connection)
        while not isinstance(next(run), events.StepApplied):
            pass
        run.close()
    with connect(database) as connection:
        recorded = sorted(ledger.read(connection))
        made = connection.execute(
            "SELECT array_agg(substr(relname, 2)::int ORDER BY 1) FROM pg_class WHERE relname ~ '^t[0-9]+$'"
        ).fetchone()[0]
    assert [f"{number:03}.sql" for number in sorted(made)] == recorded
    assert 1 <= len(recorded) < 20
