"""Standing checks, asked again later."""

from __future__ import annotations

import psycopg
import pytest
from plans import check, facts

from lancio.errors import ServerError
from lancio.proof.verify import verify


def asked(url, *checks, **arguments):
    with psycopg.connect(url, autocommit=True) as connection:
        return [
            (each.says, each.held, each.why)
            for each in verify(connection, [facts("1.sql", "SELECT 1", checks=checks)], **arguments)
        ]


def test_each_standing_check_gets_its_answer(every_database):
    with psycopg.connect(every_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE a (id int)")
    assert asked(
        every_database,
        check("there", "SELECT to_regclass('a') IS NOT NULL;"),
        check("full", "SELECT count(*) > 0 FROM a -- rows"),
        check("unknown", "SELECT NULL::boolean"),
        check("broken", "SELECT * FROM nosuch"),
        check("only once", "SELECT false", once=True),
        check("after the broken one", "SELECT true"),
    ) == [
        ("there", True, ""),
        ("full", False, ""),
        ("unknown", False, ""),
        ("broken", None, 'relation "nosuch" does not exist'),
        ("after the broken one", True, ""),
    ]


def test_a_check_cannot_write(database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION f() RETURNS boolean LANGUAGE plpgsql AS "
            "$$BEGIN CREATE TABLE b (id int); RETURN true; END$$"
        )
    ((_, held, why),) = asked(database, check("writes", "SELECT f()"))
    assert held is None
    assert "read-only" in why


def test_a_check_that_takes_too_long_is_no_answer(database):
    ((_, held, why), second) = asked(
        database, check("slow", "SELECT pg_sleep(5) IS NOT NULL"), check("quick", "SELECT true"), time_limit_ms=200
    )
    assert held is None
    assert "statement timeout" in why
    assert second == ("quick", True, "")


def test_a_policy_that_hides_rows_gives_no_false_answer(database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "DROP ROLE IF EXISTS lancio_test_reader; CREATE ROLE lancio_test_reader;"
            "CREATE TABLE a (id int); INSERT INTO a VALUES (1); ALTER TABLE a ENABLE ROW LEVEL SECURITY;"
            "GRANT SELECT ON a TO lancio_test_reader; SET ROLE lancio_test_reader"
        )
        (result,) = verify(connection, [facts("1.sql", "", checks=[check("empty", "SELECT count(*) = 0 FROM a")])])
        assert result.held is None
        assert "row-level security" in result.why
        connection.execute("RESET ROLE; DROP OWNED BY lancio_test_reader; DROP ROLE lancio_test_reader")


def test_a_connection_in_use_is_refused(database):
    with psycopg.connect(database) as connection:
        connection.execute("SELECT 1")
        with pytest.raises(ServerError):
            list(verify(connection, []))
