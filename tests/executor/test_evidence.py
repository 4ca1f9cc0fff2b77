"""What the live database says to an error: on every version, under limits, and never more than may be shown."""

from __future__ import annotations

import re
import threading
import time

import psycopg
import pytest

from lancio.executor import evidence
from lancio.executor.session import message_of
from lancio.planner.diagnosis import Said, diagnose
from lancio.planner.diagnosis.rules import BY_STATE
from lancio.postgres import named_queries

TABLE = """
CREATE SCHEMA app;
CREATE TABLE app.t (id int PRIMARY KEY, n int, v text, e text DEFAULT 'x');
INSERT INTO app.t SELECT g, nullif(g % 5, 0), 's3cr3t' || g, NULL FROM generate_series(1, 20) g;
CREATE TABLE app.child (id uuid PRIMARY KEY, t int);
INSERT INTO app.child VALUES ('00000000-0000-0000-0000-000000000001', 1), ('00000000-0000-0000-0000-000000000002', 77);
CREATE TABLE app.natural (mail text PRIMARY KEY, n int);
INSERT INTO app.natural VALUES ('ann@example.org', NULL);
CREATE VIEW app.v AS SELECT n FROM app.t;
CREATE VIEW app.w AS SELECT n FROM app.v;
CREATE TYPE app.mood AS ENUM ('a');
"""

FAILING = {
    "ALTER TABLE app.t ALTER COLUMN n SET NOT NULL": (4, ("5", "10", "15", "20")),
    "ALTER TABLE app.t ADD CONSTRAINT small CHECK (n < (2 + 1) AND v <> ')')": (8, ("3", "4", "8", "9", "13")),
    "ALTER TABLE app.child ADD CONSTRAINT c_t FOREIGN KEY (t) REFERENCES app.t": (
        1, ("00000000-0000-0000-0000-000000000002",),
    ),
    "CREATE UNIQUE INDEX ON app.t (n)": (16, ("1", "2", "3", "4", "6")),
    "ALTER TABLE app.natural ALTER COLUMN n SET NOT NULL": (1, ()),
    "ALTER TABLE app.t ALTER COLUMN v TYPE varchar(7)": (11, ("10", "11", "12", "13", "14")),
}  # fmt: skip


def failure(url: str, statement: str) -> Said:
    with psycopg.connect(url) as connection:
        with pytest.raises(psycopg.Error) as raised:
            connection.execute(statement)
        found = message_of(raised.value.diag)
    return Said(found.sqlstate, found.message, found.detail, found.hint, found.context, found.schema, found.table,
                found.column, found.constraint, found.datatype)  # fmt: skip


@pytest.fixture
def filled(every_database: str) -> str:
    with psycopg.connect(every_database, autocommit=True) as connection:
        connection.execute(TABLE)
    return every_database


def test_every_question_is_one_that_each_version_understands(filled: str) -> None:
    """`_Asker.send` takes a refused question for an unknown answer, so that each is asked here by itself."""
    with psycopg.connect(filled, autocommit=True) as connection:
        for name, query in named_queries("lancio.executor", "evidence.sql").items():
            count = max((int(each) for each in re.findall(r"\$(\d)", query)), default=0)
            first = {
                "holders": ["{app.t}", "{AccessShareLock}"], "processes": ["{1}"], "views_on": ["{app.t}"],
                "lacks": ["'app.t'::regclass::oid", "SELECT"], "lacks_sequence": ["0", "USAGE"],
                "stands_on": ["pg_class", "0", "-1"],
                "relation": ["app.t"],
            }.get(name)  # fmt: skip
            numbers = {"key", "names_of", "referenced", "in_schema", "index"}
            parameters = first or (["0"] * count if name in numbers else ["0", "x", "x"][:count])
            if name == "lacks":
                parameters[0] = str(connection.execute("SELECT 'app.t'::regclass::oid::bigint").fetchone()[0])
            if name == "lacks_sequence":
                continue  # its number has to be a sequence's
            with psycopg.RawCursor(connection) as cursor:
                cursor.execute(query.encode(), parameters).fetchall()


@pytest.mark.parametrize("statement", FAILING)
def test_the_rows_in_the_way_are_counted_and_named_by_their_keys(filled: str, statement: str) -> None:
    said = failure(filled, statement)
    with psycopg.connect(filled, autocommit=True) as connection:
        found = evidence.gather(connection, said, sql=statement)
    count, sample = FAILING[statement]
    assert found.rows is not None
    assert (found.rows.count, found.rows.sample) == (count, sample)
    assert found.unfinished == ()
    shown = str(diagnose(said, evidence=found))
    assert "s3cr3t" not in shown
    assert "example.org" not in shown


def test_what_a_text_from_elsewhere_quotes_is_not_sent(filled: str) -> None:
    """Without the statement of a file that was run, nothing but names that the catalog has goes into a question."""
    said = Said(
        "23505", 'could not create unique index "x"', "Key (n) OR pg_sleep(9) IS NULL OR (n)=(1) is duplicated.",
        context="SQL statement \"ALTER TABLE app.t ADD CHECK (pg_sleep(9) IS NULL)\"\nPL/pgSQL function f() line 1",
        schema="app", table="t", constraint="x",
    )  # fmt: skip
    started = time.monotonic()
    with psycopg.connect(filled, autocommit=True) as connection:
        assert evidence.gather(connection, said).rows is None
        check = Said("23514", 'check constraint "x" of relation "t" is violated by some row', context=said.context,
                     schema="app", table="t", constraint="x")  # fmt: skip
        assert evidence.gather(connection, check).rows is None
    assert time.monotonic() - started < 4


def test_who_holds_the_lock_is_named_without_what_he_asks(filled: str) -> None:
    said = Said("55P03", "canceling statement due to lock timeout")
    with (
        psycopg.connect(filled, application_name="report") as other,
        psycopg.connect(filled) as reader,
        psycopg.connect(filled, autocommit=True) as connection,
    ):
        other.execute("SELECT 's3cr3t', n FROM app.t FOR UPDATE")
        reader.execute("SELECT 1 FROM app.child")
        found = evidence.gather(connection, said, sql="ALTER TABLE app.t ADD COLUMN z int")
        (holder,) = found.holders
        assert (holder.pid, holder.application, holder.relation) == (other.info.backend_pid, "report", "app.t")
        assert holder.state == "idle in transaction"
        assert "s3cr3t" not in str(holder)
        # CREATE INDEX does not wait for a reader, so a reader is not to blame.
        assert evidence.gather(connection, said, sql="CREATE INDEX ON app.child (t)").holders == ()
        assert evidence.gather(connection, said, sql="DROP TABLE app.child").holders != ()


def test_a_question_that_takes_too_long_is_named_and_the_error_still_told(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE big (id int PRIMARY KEY, n int)")
        connection.execute("INSERT INTO big VALUES (1, 1)")
        said = Said("23514", 'check constraint "slow" of relation "big" is violated by some row', schema="public",
                    table="big", constraint="slow")  # fmt: skip
        sql = "ALTER TABLE big ADD CONSTRAINT slow CHECK (pg_sleep(30) IS NULL)"
        started = time.monotonic()
        found = evidence.gather(connection, said, sql=sql)
        assert time.monotonic() - started < evidence.LIMIT_MS / 1000 * 3
    assert found.rows is None
    assert "the rows that stand in the way could not be asked in time" in diagnose(said, evidence=found).evidence


def test_a_table_that_is_locked_delays_nobody(database: str) -> None:
    with psycopg.connect(database) as other, psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int)")
        other.execute("LOCK TABLE t")
        said = Said(
            "23502", 'column "id" of relation "t" contains null values', schema="public", table="t", column="id"
        )
        started = time.monotonic()
        assert evidence.gather(connection, said).rows is None
        assert time.monotonic() - started < 5


def test_nothing_is_changed_and_no_transaction_is_left(filled: str) -> None:
    with psycopg.connect(filled, autocommit=True) as connection:
        for state in BY_STATE:
            evidence.gather(connection, Said(state, 'relation "t" does not exist', "x", "y", schema="app", table="t"))
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        check = Said("23514", 'check constraint "c" of relation "t" is violated by some row', schema="app", table="t")
        evidence.gather(connection, check, sql="ALTER TABLE app.t ADD CHECK (nextval('s') > 0)")
        assert connection.execute("SELECT count(*) FROM app.t").fetchone() == (20,)


def test_a_connection_that_is_gone_gives_no_evidence_and_no_error(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.close()
        assert evidence.gather(connection, Said("23502", "x")) == evidence.Evidence()


def test_views_come_back_in_the_order_they_stand_on_each_other(filled: str) -> None:
    said = failure(filled, "ALTER TABLE app.t ALTER COLUMN n TYPE bigint")
    with psycopg.connect(filled, autocommit=True) as connection:
        found = evidence.gather(connection, said, sql="")
    assert [each.name for each in found.dependents] == ["app.w", "app.v"]
    assert all(each.definition.startswith("CREATE VIEW app.") for each in found.dependents)


def test_two_that_ask_at_once_do_not_disturb_each_other(filled: str) -> None:
    said = failure(filled, "ALTER TABLE app.t ALTER COLUMN n SET NOT NULL")
    counts: list[int] = []

    def ask() -> None:
        with psycopg.connect(filled, autocommit=True) as connection:
            found = evidence.gather(connection, said)
            counts.append(found.rows.count if found.rows else -1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [4, 4, 4, 4]


@pytest.mark.parametrize(
    ("sql", "mode"),
    [
        ("ALTER TABLE a ADD COLUMN b int", "AccessExclusiveLock"),
        ("CREATE  UNIQUE\nINDEX ON a (b)", "ShareLock"),
        ("CREATE INDEX CONCURRENTLY i ON a (b)", "ShareUpdateExclusiveLock"),
        ("ALTER TABLE a VALIDATE CONSTRAINT c", "ShareUpdateExclusiveLock"),
        ("ALTER TABLE a ADD FOREIGN KEY (x) REFERENCES b", "ShareRowExclusiveLock"),
        ("UPDATE a SET x = 1", "RowExclusiveLock"),
        ("SELECT * FROM a", "AccessShareLock"),
        ("LOCK TABLE a IN SHARE ROW EXCLUSIVE MODE", "ShareRowExclusiveLock"),
        ("LOCK TABLE a", "AccessExclusiveLock"),
    ],
)
def test_the_lock_that_a_statement_asks_for_is_known(sql: str, mode: str) -> None:
    assert evidence.requested(sql) == mode


@pytest.mark.parametrize(
    ("sql", "inside"),
    [
        ("CHECK (a < (b + 1) AND c <> ')') NOT VALID", "a < (b + 1) AND c <> ')'"),
        ('check("x)" > 1)', '"x)" > 1'),
        ("CHECK (a", ""),
        ("CHECK ('a", ""),
        ("nothing", ""),
    ],
)
def test_what_stands_in_brackets_is_taken_whole(sql: str, inside: str) -> None:
    assert evidence.bracketed(sql, "CHECK") == inside
