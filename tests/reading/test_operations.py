# ruff: noqa: E501, ISC004  (one case a line)
"""What does each kind of statement read, make, change and take away?"""

from __future__ import annotations

import compact
import psycopg
import pytest

from lancio.reading.relations import object_name

QUERIES = [
    ("WITH q AS (SELECT a, b AS x FROM s.t) SELECT q.a, x, y FROM q JOIN u USING (a)",
     ["read relation s.t", "read column s.t.a", "read column s.t.b", "read relation u", "?read column u.a",
      "read column u.y"]),
    ("SELECT t.a, (SELECT max(u.b) FROM u WHERE u.c = t.d AND e = 1) AS m FROM t ORDER BY m, a",
     ["read relation t", "read column t.a", "read relation u", "read column u.b", "call routine max(…)",
      "read column u.c", "read column t.d", "read column u|t.e"]),
    ("SELECT x.a FROM t AS x, LATERAL (SELECT b FROM u WHERE u.id = x.id) AS l WHERE l.b > 1",
     ["read relation t", "read relation u", "read column u|t.b", "read column u.id", "read column t.id",
      "read column t.a"]),
    ("SELECT x.a FROM t AS x, (SELECT b FROM u) AS l",
     ["read relation t", "read relation u", "read column u.b", "read column t.a"]),
    ("SELECT t, u.* FROM t, s.u", ["read relation t", "read relation s.u", "?read column s.u.*"]),
    ("SELECT a FROM t UNION SELECT b FROM u ORDER BY a",
     ["read relation t", "read column t.a", "read relation u", "read column u.b"]),
    ("WITH RECURSIVE r AS (SELECT id FROM t UNION ALL SELECT t.p FROM t JOIN r ON r.id = t.p) SELECT id FROM r",
     ["read relation t", "read column t.id", "read column t.p"]),
    ("SELECT f.x, g FROM f(1) AS f, generate_series(1, 2) AS g",
     ["call routine f(…)", "call routine generate_series(…)"]),
    ("SELECT x FROM (VALUES (1)) AS v (x) WHERE EXISTS (SELECT FROM t WHERE t.a = v.x)",
     ["read relation t", "read column t.a"]),
    ("SELECT 'a.b'::regclass, nextval('s.q'), to_regclass('a.c'), CAST(y AS other.kind)",
     ["read type regclass", "read relation a.b", "read relation s.q", "call routine nextval(…)",
      "read type other.kind"]),
    ("SELECT a AS b FROM t GROUP BY b HAVING max(c) > 1",
     ["read relation t", "read column t.a", "read column t.c", "call routine max(…)"]),
    ("INSERT INTO t AS x (a, b) SELECT c, d FROM u ON CONFLICT (a) DO UPDATE SET b = excluded.b + x.e WHERE x.f RETURNING g",
     ["read column t.a", "read column t.b", "read relation u", "read column u.c", "read column u.d",
      "write relation t rows insert", "rows row t ()", "read unique a", "read column t.e", "read column t.f",
      "write relation t rows update", "read column t.g"]),
    ("INSERT INTO t (a, b) VALUES (1, 'x'), (f(), 'y')",
     ["read column t.a", "read column t.b", "call routine f()", "write relation t rows insert",
      "read label t.b.x", "read label t.b.y", "rows row t (a = 1, b = x)", "rows row t (b = y)"]),
    ("UPDATE t SET a = u.b FROM u WHERE u.id = t.id AND c",
     ["read relation u", "write relation t rows update", "read column t.a", "read column u.b", "read column u.id",
      "read column t.id", "read column t|u.c"]),
    ("DELETE FROM t AS x USING u WHERE x.id = u.id RETURNING x.a",
     ["read relation u", "write relation t rows delete", "read column t.id", "read column u.id", "read column t.a"]),
    ("MERGE INTO t AS g USING (SELECT k, v FROM s) AS f ON g.k = f.k WHEN MATCHED AND g.z THEN UPDATE SET v = f.v"
     " WHEN NOT MATCHED THEN INSERT (k) VALUES (f.k)",
     ["read relation s", "read column s.k", "read column s.v", "read column t.k", "read column t.z",
      "write relation t rows update", "read column t.v", "write relation t rows insert"]),
    ("CREATE VIEW v AS SELECT g(a) AS n FROM t WHERE b = ANY (SELECT c FROM u)",
     ["kept read relation t", "kept read column t.a", "kept call routine g(…)", "kept read column t.b",
      "kept read relation u", "kept read column u|t.c", "make relation v"]),
    ("CREATE POLICY p ON t TO r USING (a = f() AND EXISTS (SELECT 1 FROM m WHERE m.x = t.id AND y))",
     ["read relation t", "read role r", "kept read column t.a", "kept call routine f()", "kept read relation m",
      "kept read column m.x", "kept read column t.id", "kept read column m|t.y", "make policy p on t"]),
    ("CREATE TRIGGER g BEFORE UPDATE OF a ON s.t FOR EACH ROW WHEN (OLD.c IS DISTINCT FROM NEW.d) EXECUTE FUNCTION x.f()",
     ["read relation s.t", "read routine x.f()", "read column s.t.a", "read column s.t.c", "read column s.t.d",
      "make trigger s.g on s.t"]),
    ("DROP TABLE IF EXISTS a, s.b CASCADE", ["drop relation a", "drop relation s.b"]),
    ("DROP FUNCTION s.f(uuid, int), g", ["drop routine s.f(uuid, integer)", "drop routine g()"]),
    ("DROP TRIGGER g ON s.t", ["drop trigger s.g on s.t"]),
    ("ALTER TABLE t RENAME COLUMN a TO b", ["rename column t.a to b"]),
    ("ALTER TABLE s.t RENAME TO u", ["rename relation s.t to u"]),
    ("ALTER TABLE s.t SET SCHEMA z", ["read schema z", "move relation s.t to z"]),
    ("ALTER TYPE m RENAME VALUE 'a' TO 'b'", ["read label m.a", "rename label m.a to b"]),
    ("ALTER TYPE m ADD VALUE 'b' AFTER 'a'", ["read label m.a", "make label m.b"]),
    ("SET search_path TO app, public", ["?read schema app", "set setting search_path"]),
    ("SELECT set_config('search_path', 'app', true)", ["set setting search_path"]),
    ("CREATE UNIQUE INDEX i ON s.t USING gin (a, lower(b) x.ops) INCLUDE (c) WHERE d > 0",
     ["read relation s.t", "read column s.t.a", "read column s.t.b", "call routine lower(…)", "read opclass x.ops",
      "read column s.t.d", "read column s.t.c", "read access method gin", "make relation s.i"]),
    ("CREATE TEMP TABLE x (a int); INSERT INTO x VALUES (1); DROP TABLE x", []),
    ("GRANT SELECT (a) ON t TO r; GRANT EXECUTE ON FUNCTION f(int) TO PUBLIC",
     ["read role r", "alter relation t", "read column t.a", "alter routine f(integer)"]),
    ("COMMENT ON COLUMN s.t.a IS 'x'", ["alter column s.t.a"]),
    ("TRUNCATE a, s.b", ["write relation a rows truncate", "write relation s.b rows truncate"]),
    ("CALL s.p(1)", ["call routine s.p(…)"]),
    ("BEGIN; COMMIT; SHOW x; NOTIFY y", []),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), QUERIES)
def test_a_statement_does_what_it_says(sql: str, expected: list[str]) -> None:
    noise = ("read type pg_catalog", "read type text")
    assert [each for each in compact.lines(sql) if not each.startswith(noise)] == expected


def test_a_routines_body_belongs_to_its_call_and_what_is_checked_to_now() -> None:
    ops = compact.file(
        "CREATE FUNCTION s.f(x uuid, VARIADIC y int[] DEFAULT '{}') RETURNS trigger LANGUAGE plpgsql SET search_path = a, b"
        " AS $$ DECLARE r s.kind; BEGIN INSERT INTO log VALUES (NEW.id); PERFORM g(x); RETURN NEW; END $$"
    ).ops
    (made,) = [op for op in ops if op.verb == "make"]
    assert (made.ref.args, made.detail.defaults, made.detail.variadic, made.detail.path, made.detail.result) == (
        ("uuid", "integer[]"), 1, True, ("a", "b"), "trigger",
    )  # fmt: skip
    assert [compact.line(each) for each in made.detail.body] == [
        "call read type s.kind", "call write relation log rows insert", "call call routine g(…)",
    ]  # fmt: skip
    assert "read type s.kind" in [compact.line(op) for op in ops]
    assert not [op for op in ops if op.when == "now" and op.ref.name in ("log", "g")]


def test_a_place_inside_a_body_is_the_line_of_the_file() -> None:
    ops = compact.file(
        "-- größe\nDO $$\nBEGIN\n  -- é\n  IF true THEN\n    INSERT INTO größe (é) VALUES (1);\n  END IF;\nEND\n$$;\n"
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS '\n  SELECT a\n  FROM naïve';"
    ).ops
    lines = {compact.name(op.ref): op.span.line for op in ops if op.ref.kind == "relation"}
    assert lines == {"größe": 6, "naïve": 12}


def test_statements_say_what_they_are() -> None:
    found = compact.file(
        'BEGIN;\nCREATE TABLE IF NOT EXISTS "A b".c (d int);\nCREATE OR REPLACE FUNCTION s.f() RETURNS int LANGUAGE sql'
        " RETURN 1;\nCREATE INDEX CONCURRENTLY i ON t (a);\nVACUUM t;\nSAVEPOINT a;\nEND;"
    ).statements
    assert [(each.control, each.alone, each.span.line) for each in found] == [
        ("begin", "", 1), ("", "", 2), ("", "", 3), ("", "CONCURRENTLY", 4), ("", "VACUUM", 5), ("savepoint", "", 6),
        ("commit", "", 7),
    ]  # fmt: skip
    assert found[1].summary == 'CREATE TABLE IF NOT EXISTS "A b".c'
    assert found[2].summary == "CREATE OR REPLACE FUNCTION s.f"


LONG = [
    ("t", "a"),
    ("x" * 63, "a"),
    ("x" * 40, "y" * 40),
    ("é" * 31, "ü" * 31),
    ("x" * 63, "é" * 31),
    ("ab" * 30, "c" * 9),
]


@pytest.mark.parametrize(("table", "column"), LONG)
def test_names_that_postgresql_makes_are_cut_as_it_cuts_them(table: str, column: str, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            f'CREATE TABLE "{table}" (id serial PRIMARY KEY, "{column}" integer UNIQUE CHECK ("{column}" > 0) '
            f'REFERENCES "{table}"); CREATE INDEX ON "{table}" ("{column}")'.encode()
        )
        names = {
            row[0]
            for row in connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('i', 'S') "
                "UNION ALL SELECT conname FROM pg_constraint WHERE contype IN ('c', 'f') "
                "AND connamespace = 'public'::regnamespace"
            )
        }
    assert names == {
        object_name(table, "id", "seq"), object_name(table, "", "pkey"), object_name(table, column, "key"),
        object_name(table, column, "check"), object_name(table, column, "fkey"), object_name(table, column, "idx"),
    }  # fmt: skip
