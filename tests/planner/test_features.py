"""Which server version does a file's own syntax need? PostgreSQL is asked."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from lancio.planner import features
from lancio.syntax import parser

TABLES = (
    "CREATE TABLE t (a int, b int)",
    "CREATE TABLE s (a int, b int)",
    "CREATE TABLE w (a int, b int) PARTITION BY RANGE (a)",
    "CREATE VIEW v AS SELECT 1 AS x",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
)

USES = (
    ("CREATE TABLE x (a int GENERATED ALWAYS AS IDENTITY)", 10),
    ("CREATE TRIGGER g AFTER INSERT ON t REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE PROCEDURE f()", 10),
    ("CREATE TABLE x (a int) PARTITION BY HASH (a)", 11),
    ("CREATE TABLE x PARTITION OF w DEFAULT", 11),
    ("CREATE TABLE x (a int PRIMARY KEY) PARTITION BY RANGE (a)", 11),
    ("CREATE INDEX i ON t (a) INCLUDE (b)", 11),
    ("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", 11),
    ("CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'", 11),
    ("CREATE TABLE x (a int, b int GENERATED ALWAYS AS (a) STORED)", 12),
    ("WITH x AS MATERIALIZED (SELECT 1) SELECT * FROM x", 12),
    ("SELECT a FROM t ORDER BY a FETCH FIRST 1 ROW WITH TIES", 13),
    ("CREATE FUNCTION x(a int) RETURNS int RETURN a + 1", 14),
    ("CREATE OR REPLACE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE PROCEDURE f()", 14),
    ("SELECT a FROM t GROUP BY DISTINCT a", 14),
    ("CREATE STATISTICS st ON (a + b) FROM t", 14),
    ("CREATE UNIQUE INDEX i ON t (a) NULLS NOT DISTINCT", 15),
    ("CREATE TABLE x (a int, UNIQUE NULLS NOT DISTINCT (a))", 15),
    ("CREATE VIEW x WITH (security_invoker = true) AS SELECT 1 AS a", 15),
    ("ALTER VIEW v SET (security_invoker = true)", 15),
    ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", 15),
    ("SELECT '{}' IS JSON", 16),
    ("CREATE TABLE x (a text STORAGE external)", 16),
    ("MERGE INTO t USING s ON t.a = s.a WHEN NOT MATCHED BY SOURCE THEN DELETE", 17),
    ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE RETURNING t.a", 17),
    ("SELECT json_value(jsonb '{\"a\": 1}', '$.a')", 17),
    ("CREATE TABLE x (a int, b int GENERATED ALWAYS AS (a) VIRTUAL)", 18),
    ("UPDATE t SET a = 1 RETURNING old.a", 18),
    ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT ENFORCED", 18),
    ("ALTER TABLE t ADD CONSTRAINT c NOT NULL a NOT VALID", 18),
    # What every version takes has no feature that is newer than 10.
    ("CREATE TABLE x (a serial PRIMARY KEY, b int REFERENCES t2 (a) ON DELETE CASCADE CHECK (b > 0))", 0),
    ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING RETURNING a", 0),
    ("UPDATE t AS old SET a = 1 RETURNING old.a", 0),
    ("CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE PROCEDURE f()", 0),
    ("CREATE UNIQUE INDEX i ON t (a, b) WHERE a > 0", 0),
)


def needed(sql: str) -> int:
    (statement,) = parser.parse(sql.encode())
    return max((feature.since for feature, _ in features.used(statement, sql)), default=0)


@pytest.mark.parametrize(("sql", "since"), USES, ids=[sql[:50] for sql, _ in USES])
def test_a_statement_needs_the_version_that_knows_its_syntax(sql: str, since: int) -> None:
    assert needed(sql) == since


def test_servers_agree_which_of_them_take_it(pool: Any) -> None:
    """Below its version a statement fails, from that one on it runs."""
    wrong: list[str] = []
    asked = 0
    for version in (10, 12, 15, 17, 18):
        server = pool.get(version)
        url = server.create_database()
        for sql, since in USES:
            if " t2 " in sql:
                continue
            with psycopg.connect(url) as connection:
                for table in TABLES:
                    connection.execute(table)
                try:
                    connection.execute(sql)
                    ran = True
                except psycopg.Error:
                    ran = False
                connection.rollback()
            asked += 1
            if ran != (version >= since):
                wrong.append(f"{sql} on {version}: {'ran' if ran else 'failed'}, told {since}")
        server.drop_database(url)
    assert wrong == []
    assert asked == 5 * (len(USES) - 1)
