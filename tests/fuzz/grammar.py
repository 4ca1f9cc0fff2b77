# ruff: noqa: E501  (a table, several templates a line)
"""Statements made from nothing, by a small grammar of SQL and PL/pgSQL that makes good ones and nearly good ones.

`<name>` in a template stands for any of that name's own; the first of each ends quickly, and is taken where the text
is deep already.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cases import Case
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

GRAMMAR: dict[str, tuple[str, ...]] = {
    "name": ("a", "b", "c", "t", "u", "v", "users", '"A b"', '"a""b"', "größe", '"select"', "new", "old", "x1", 'U&"d\\0061t"', "_", "value"),
    "path": ("<name>", "<name>", "public.<name>", "app.<name>", "pg_temp.<name>", "<name>.<name>.<name>", "pg_catalog.<name>"),
    "text": ("'x'", "''", "'it''s'", "E'a\\'b\\u00e9'", "$q$x$q$", "$q$ ' $q$", "U&'\\0061'", "'a'\n'b'", "'{a,b}'", "'a; b'", "'-- c'", "E'\\xff'",
             "'☃'", "'%I'", "'public.t'", "'SELECT 1'"),
    "string": ("<text>", "<text>", "<text>", "<text>", "B'01'", "x'1F'", "N'x'", "int '1'", "interval '1' day"),
    "type": ("int", "text", "<path>", "varchar(10)", "numeric(10, 2)", "int[]", "<path>[][]", "timestamp with time zone", "interval day to second(2)",
             "bit varying(3)", "double precision", "serial", "\"char\"", "uuid", "jsonb"),
    "loose": ("int", "<type>", "<path>%TYPE", "<path>.<name>%TYPE", "SETOF <path>", "anyelement", "record"),
    "number": ("1", "0", "-1", "1.5e10", "2_000", "0x1F", ".5", "99999999999999999999", "$1"),
    "sign": ("+", "=", "||", "<>", "AND", "OR", "->>", "@>", "IS DISTINCT FROM", "LIKE", "<@", "OPERATOR(pg_catalog.+)", "~*", "~~", "-", "<=>"),
    "atom": ("<number>", "<string>", "<name>", "<path>.<name>", "NULL", "(<expr>)", "<call>", "(<query>)", "ARRAY[<exprs>]", "CAST(<expr> AS <type>)",
             "CASE WHEN <expr> THEN <expr> ELSE <expr> END", "CASE <expr> WHEN <expr> THEN <expr> END", "ARRAY(<query>)", "EXISTS (<query>)",
             "<text>::regclass", "nextval(<text>)", "(<expr>).<name>", "<name>[1:2]", "<name>[<expr>]", "current_user"),
    "expr": ("<number>", "<atom>", "<atom>", "<atom> <sign> <atom>", "<atom> <sign> <atom>", "NOT <atom>", "<atom> IN (<exprs>)", "<atom> IN (<query>)",
             "<atom>::<type>", "ROW(<exprs>)", "<atom> IS NULL", "<atom> BETWEEN <atom> AND <atom>", "<atom> = ANY (<atom>)", "<atom> COLLATE \"C\"",
             "<atom> AT TIME ZONE <atom>", "current_setting(<text>, true)", "EXTRACT(year FROM <expr>)", "<atom> IS JSON", "GROUPING(<name>)",
             "xmlelement(name a, <expr>)", "json_object(<text>: <expr>)", "(<atom>, <expr>) OVERLAPS (<expr>, <expr>)"),
    "exprs": ("<expr>", "<expr>, <expr>", "<expr>, <exprs>"),
    "targets": ("<expr>", "*", "<name>.*", "<expr> AS <name>", "<expr>, <targets>", "<name> AS <name>, <targets>"),
    "names": ("<name>", "<name>, <name>", "<name>, <names>"),
    "call": ("f()", "<path>(<exprs>)", "now()", "gen_random_uuid()", "count(*) FILTER (WHERE <expr>)", "sum(<expr>) OVER (PARTITION BY <expr>)",
             "format(<text>, <exprs>)", "<path>(VARIADIC <expr>)", "<path>(<name> => <expr>)", "quote_ident(<expr>)", "coalesce(<exprs>)",
             "to_regclass(<text>)", "string_agg(<expr>, ',' ORDER BY <expr>)"),
    "from": ("t", "<path>", "<path> AS <name>", "(<query>) AS <name>", "<from> JOIN <from> ON <expr>", "<from> LEFT JOIN <from> USING (<names>)",
             "<path>(<exprs>) AS <name>(<names>)", "LATERAL (<query>) <name>", "<from> CROSS JOIN <from>", "ROWS FROM (f(), g())", "ONLY <path>",
             "unnest(<exprs>) WITH ORDINALITY <name>", "(VALUES (<exprs>)) AS <name>(<names>)", "<path> TABLESAMPLE system (1)", "pg_tables",
             "information_schema.columns", "json_table('{}', '$' COLUMNS (a int PATH '$'))", "<path>, <from>", "f() AS <name>(<name> <type>)",
             "xmltable('/a' PASSING <expr> COLUMNS a int)", "(<from> JOIN <from> USING (<name>)) AS <name>"),
    "query": ("SELECT 1", "SELECT <targets> FROM <from>", "SELECT * FROM <from> WHERE <expr>", "(<query>) UNION ALL (<query>)", "VALUES (<exprs>)", "TABLE <path>",
              "WITH <name> AS (<query>) SELECT <targets> FROM <from>", "WITH RECURSIVE <name>(<names>) AS ((<query>) UNION (<query>)) SELECT * FROM <name>",
              "SELECT DISTINCT ON (<expr>) <targets> FROM <from> ORDER BY <expr>", "(<query>) EXCEPT (<query>)", "SELECT", "SELECT <targets> INTO <path> FROM <from>",
              "SELECT <expr> AS <name>, <name>.* FROM <from> GROUP BY ROLLUP (1) HAVING <expr> LIMIT 1 FOR UPDATE", "WITH <name> AS (<dml> RETURNING *) TABLE <name>",
              "SELECT <targets> FROM <from> WINDOW w AS (ORDER BY <expr>) ORDER BY <expr> USING <"),
    "dml": ("DELETE FROM t", "INSERT INTO <path> (<names>) VALUES (<exprs>)", "INSERT INTO <path> <query> ON CONFLICT (<name>) DO UPDATE SET <name> = excluded.<name>",
            "UPDATE <path> SET <name> = <expr> FROM <from> WHERE <expr>", "UPDATE <path> SET (<names>) = (<query>)", "DELETE FROM <path> USING <from> WHERE <expr>",
            "MERGE INTO <path> USING <path> AS <name> ON <expr> WHEN MATCHED THEN UPDATE SET <name> = <expr> WHEN NOT MATCHED THEN INSERT VALUES (<exprs>)",
            "INSERT INTO <path> DEFAULT VALUES", "WITH <name> AS (<query>) INSERT INTO <path> SELECT * FROM <name>", "INSERT INTO <path> VALUES (<exprs>), (DEFAULT)",
            "UPDATE <path> SET <name>.<name> = <expr>, <name>[1] = DEFAULT WHERE CURRENT OF <name>", "INSERT INTO <path> AS <name> SELECT 1 ON CONFLICT ON CONSTRAINT <name> DO NOTHING"),
    "write": ("<dml>", "<dml>", "TRUNCATE <path>, <path> CASCADE", "COPY <path> (<names>) FROM '/x'", "COPY (<query>) TO '/x'", "COPY <path> TO STDOUT"),
    "column": ("<name> <type>", "<name> <type> NOT NULL DEFAULT <atom>", "<name> <type> PRIMARY KEY", "<name> <type> REFERENCES <path> (<name>) ON DELETE CASCADE",
               "<name> <type> GENERATED ALWAYS AS (<expr>) STORED", "<name> <type> GENERATED BY DEFAULT AS IDENTITY", "<name> <type> CHECK (<expr>)",
               "<name> <type> COLLATE \"C\" UNIQUE", "<name> serial"),
    "columns": ("<column>", "<column>, <column>", "<column>, <columns>", "<constraint>, <column>", "LIKE <path> INCLUDING ALL"),
    "constraint": ("CHECK (<expr>)", "CONSTRAINT <name> UNIQUE (<names>)", "FOREIGN KEY (<names>) REFERENCES <path>", "PRIMARY KEY (<names>)",
                   "CONSTRAINT <name> EXCLUDE USING gist (<name> WITH =) WHERE (<expr>)", "CONSTRAINT <name> FOREIGN KEY (<name>) REFERENCES <path> (<names>) NOT VALID",
                   "UNIQUE NULLS NOT DISTINCT (<name>)", "CONSTRAINT <name> NOT NULL <name>", "PRIMARY KEY USING INDEX <name>", "EXCLUDE USING gist ((<expr>) WITH &&)"),
    "change": ("ADD <column>", "DROP COLUMN IF EXISTS <name> CASCADE", "ALTER <name> TYPE <type> USING <expr>", "ALTER <name> SET DEFAULT <expr>", "ADD <constraint>",
               "ALTER <name> SET NOT NULL", "DROP CONSTRAINT <name>", "ENABLE ROW LEVEL SECURITY", "OWNER TO <name>", "INHERIT <path>", "ALTER <name> SET STATISTICS 1",
               "VALIDATE CONSTRAINT <name>", "SET (fillfactor = 70)", "ALTER <name> ADD GENERATED ALWAYS AS IDENTITY", "ALTER CONSTRAINT <name> DEFERRABLE",
               "REPLICA IDENTITY USING INDEX <name>", "DISABLE TRIGGER ALL", "ENABLE ALWAYS TRIGGER <name>", "DISABLE RULE <name>", "SET LOGGED", "SET SCHEMA <name>",
               "ALTER <name> DROP EXPRESSION", "ALTER <name> SET EXPRESSION AS (<expr>)", "CLUSTER ON <name>", "OF <path>", "NOT OF", "SET ACCESS METHOD <name>"),
    "parting": ("ATTACH PARTITION <path> DEFAULT", "DETACH PARTITION <path> CONCURRENTLY", "ATTACH PARTITION <path> FOR VALUES IN (<exprs>)", "DETACH PARTITION <path> FINALIZE"),
    "option": ("LANGUAGE sql", "LANGUAGE plpgsql", "AS $$ <query> $$", "AS $body$ <block> $body$", "AS 'SELECT 1'", "SECURITY DEFINER", "SET search_path = a, pg_temp",
               "IMMUTABLE STRICT", "AS 'obj', 'link'", "LANGUAGE c", "SET x FROM CURRENT", "SUPPORT <name>", "WINDOW", "TRANSFORM FOR TYPE <path>", "COST 1 ROWS 5"),
    "options": ("LANGUAGE sql AS $$ <query> $$", "LANGUAGE plpgsql AS $$ <block> $$", "AS $body$ <block> $body$ LANGUAGE plpgsql", "LANGUAGE sql AS $$ <query>; <write> $$",
                "LANGUAGE sql RETURN <expr>", "LANGUAGE sql BEGIN ATOMIC <query>; <dml>; END", "BEGIN ATOMIC END", "BEGIN ATOMIC SELECT CASE WHEN <expr> THEN <expr> END; END",
                "<option>", "<option> <options>", "LANGUAGE plpython3u AS 'x'", "LANGUAGE plpgsql", "SECURITY DEFINER LANGUAGE plpgsql SET search_path = a AS $$ <block> $$"),
    "parameters": ("", "<name> <loose>", "<type>", "<name> <loose> DEFAULT <expr>, <name> <type>", "OUT <name> <type>, <type>", "VARIADIC <name> <type>", "INOUT <type>"),
    "returns": ("", "RETURNS int", "RETURNS trigger", "RETURNS <loose>", "RETURNS TABLE (<name> <type>)", "RETURNS SETOF record", "RETURNS event_trigger"),
    "block": ("BEGIN NULL; END", "BEGIN <plines> END", "DECLARE <declared> BEGIN <plines> END;", "<<l>> DECLARE <declared> BEGIN <plines> EXCEPTION WHEN others THEN <plines> END",
              "BEGIN <plines> EXCEPTION WHEN undefined_table OR SQLSTATE '42P01' THEN <plines> END", "DECLARE <declared> BEGIN <plines> RETURN NEW; END;", "BEGIN <plines>",
              "#variable_conflict use_column\nBEGIN <plines> END"),
    "declared": ("r record;", "<name> <loose>;", "<name> <loose> := <expr>; <declared>", "<name> CONSTANT <type> NOT NULL = <expr>;", "<name> CURSOR (a int) FOR <query>;",
                 "<name> ALIAS FOR $1;", "<name> text[] := ARRAY['a', 'b']; <declared>", "<name> refcursor;", "<name> <path>%ROWTYPE;"),
    "plines": ("NULL;", "<pline>", "<pline> <pline>", "<pline> <plines>"),
    "pline": ("NULL;", "<name> := <expr>;", "IF <expr> THEN <plines> END IF;", "IF NOT EXISTS (SELECT 1 FROM pg_class WHERE relname = <text>) THEN <statement>; END IF;",
              "FOR r IN <query> LOOP <plines> END LOOP;", "FOR <name> IN 1..<expr> LOOP <plines> END LOOP;", "FOREACH <name> IN ARRAY <expr> LOOP <plines> END LOOP;",
              "EXECUTE <expr>;", "EXECUTE format(<text>, <exprs>) INTO <name> USING <expr>;", "EXECUTE 'CREATE TABLE ' || <expr> || ' ()';", "PERFORM <targets>;",
              "<query>;", "SELECT <expr> INTO STRICT <name> FROM <from>;", "IF NOT FOUND THEN RAISE EXCEPTION 'no %', <expr> USING HINT = <expr>; END IF;", "<statement>;",
              "RETURN <expr>;", "RETURN QUERY <query>;", "RETURN NEXT <expr>;", "RAISE NOTICE <text>;", "WHILE <expr> LOOP <plines> END LOOP;", "<block>;", "<write>;",
              "CASE <expr> WHEN <expr> THEN <plines> ELSE <plines> END CASE;", "CASE WHEN <expr> THEN <plines> END CASE;", "EXIT WHEN <expr>;", "CONTINUE <name>;",
              "GET DIAGNOSTICS <name> = ROW_COUNT;", "OPEN <name> FOR <query>;", "FETCH NEXT FROM <name> INTO <name>;", "ASSERT <expr>, <text>;", "CALL <path>(<exprs>);", "COMMIT;",
              "NEW.<name> := <expr>;", "<name>[<expr>] := <expr>;", "IF <expr> THEN <plines> ELSIF <expr> THEN <plines> ELSE <plines> END IF;", "LOOP <plines> END LOOP <name>;",
              "<dml> RETURNING <expr> INTO <name>;", "FOR r IN EXECUTE <expr> USING <exprs> LOOP <plines> END LOOP;", "RAISE;", "RETURN;", "EXECUTE $x$ <statement> $x$;",
              "FOR r IN SELECT tablename FROM pg_tables WHERE schemaname = <text> LOOP EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', r.tablename); END LOOP;",
              "SELECT <name> INTO <name> FROM <path> WHERE <name> = <text>; IF NOT FOUND THEN RAISE EXCEPTION 'none'; END IF;",
              "IF (SELECT count(*) FROM <path> WHERE <name> = <text>) > 0 THEN <plines> END IF;", "IF <name> IS NULL THEN RAISE 'x' USING ERRCODE = '42P01'; END IF;",
              "IF EXISTS (SELECT FROM pg_type WHERE typname = <text>) AND NOT EXISTS (SELECT 1 FROM <path>) THEN RETURN; END IF;"),
    "object": ("TABLE <path>", "VIEW <path>", "COLUMN <path>.<name>", "FUNCTION <path>(<parameters>)", "TYPE <path>", "SCHEMA <name>", "INDEX <path>", "SEQUENCE <path>",
               "CONSTRAINT <name> ON <path>", "TRIGGER <name> ON <path>", "POLICY <name> ON <path>", "EXTENSION <name>", "DOMAIN <path>", "AGGREGATE <path>(*)",
               "OPERATOR + (int, NONE)", "CAST (<type> AS <type>)", "RULE <name> ON <path>", "ROLE <name>", "PUBLICATION <name>", "MATERIALIZED VIEW <path>", "FUNCTION <path>",
               "OPERATOR CLASS <path> USING btree", "CONSTRAINT <name> ON DOMAIN <path>", "TEXT SEARCH CONFIGURATION <path>", "FOREIGN TABLE <path>", "STATISTICS <path>",
               "EVENT TRIGGER <name>", "LARGE OBJECT 1", "COLLATION <path>", "CONVERSION <path>", "ACCESS METHOD <name>", "TRANSFORM FOR <type> LANGUAGE sql", "ROUTINE <path>",
               "LANGUAGE plpgsql", "SERVER <name>", "FOREIGN DATA WRAPPER <name>", "TABLESPACE <name>", "SUBSCRIPTION <name>", "DATABASE <name>", "OPERATOR FAMILY <path> USING gin"),
    "statement": (
        "<query>", "<write>", "CREATE TABLE <path> (<columns>)", "CREATE TABLE IF NOT EXISTS <path> (<columns>) PARTITION BY RANGE (<name>, (<expr>))", "ALTER TABLE <path> <change>",
        "ALTER TABLE ONLY <path> <change>, <change>", "ALTER TABLE <path> <parting>", "CREATE TABLE <path> PARTITION OF <path> FOR VALUES FROM (<exprs>) TO (MAXVALUE)", "CREATE TABLE <path> () INHERITS (<path>)",
        "CREATE TEMP TABLE <name> AS <query>", "CREATE OR REPLACE VIEW <path> (<names>) AS <query>", "CREATE MATERIALIZED VIEW <path> AS <query> WITH NO DATA",
        "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS <name> ON <path> USING gin (<name> gin_trgm_ops, (<expr>)) INCLUDE (<name>) WHERE <expr>", "CREATE INDEX ON <path> ((<expr>), <name> DESC)",
        "CREATE OR REPLACE FUNCTION <path>(<parameters>) <returns> <options>", "CREATE FUNCTION <path>(<parameters>) <returns> <options>", "CREATE PROCEDURE <path>(<parameters>) <options>",
        "CREATE TRIGGER <name> BEFORE INSERT OR UPDATE OF <names> ON <path> FOR EACH ROW WHEN (<expr>) EXECUTE FUNCTION <path>(<text>)", "DO $$ <block> $$", "DO $x$ <block> $x$ LANGUAGE plpgsql",
        "DO LANGUAGE <name> <text>", "CREATE TYPE <path> AS ENUM (<text>, 'a')", "CREATE TYPE <path> AS (<name> <type>)", "ALTER TYPE <path> ADD VALUE IF NOT EXISTS <text> AFTER <text>",
        "CREATE DOMAIN <path> AS <type> CHECK (<expr>)", "CREATE POLICY <name> ON <path> AS RESTRICTIVE FOR ALL TO <name> USING (<expr>) WITH CHECK (<expr>)", "DROP <object>",
        "DROP TABLE IF EXISTS <path>, <path> CASCADE", "COMMENT ON <object> IS <text>", "ALTER <object> RENAME TO <name>", "ALTER <object> SET SCHEMA <name>", "ALTER <object> OWNER TO <name>",
        "ALTER TABLE <path> RENAME <name> TO <name>", "GRANT SELECT (<names>), UPDATE ON <path> TO <name> WITH GRANT OPTION", "GRANT ALL ON <grantable> TO <name>, PUBLIC", "GRANT <name> TO <name>", "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA <name> FROM PUBLIC", "REVOKE ALL ON <grantable> FROM <name>", "SET check_function_bodies = off", "ALTER EXTENSION <name> UPDATE", "DROP ROLE <name>", "DROP <object> CASCADE", "REINDEX (CONCURRENTLY) TABLE <path>", "REINDEX SCHEMA <name>", "CREATE SUBSCRIPTION a CONNECTION 'x' PUBLICATION b", "ALTER PUBLICATION <name> ADD TABLE <path>", "ALTER ROUTINE <path> STRICT",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA <name> GRANT SELECT ON TABLES TO <name>", "CREATE SCHEMA <name> CREATE TABLE <name> (<columns>) CREATE VIEW <name> AS <query>",
        "CREATE SCHEMA IF NOT EXISTS <name> AUTHORIZATION <name>", "CREATE EXTENSION IF NOT EXISTS <name> WITH SCHEMA <name>", "SET search_path = <names>", "SET LOCAL search_path TO ''",
        "SELECT set_config('search_path', <expr>, false)", "CREATE SEQUENCE <path> OWNED BY <path>.<name>", "ALTER SEQUENCE <path> OWNED BY NONE", "CREATE RULE <name> AS ON INSERT TO <path> DO INSTEAD (<write>; <query>)",
        "CREATE AGGREGATE <path>(<type>) (SFUNC = <name>, STYPE = <type>)", "CREATE OPERATOR public.+ (FUNCTION = f, LEFTARG = <type>, RIGHTARG = <type>)", "CREATE CAST (<type> AS <type>) WITH FUNCTION <path>(<type>)",
        "CREATE PUBLICATION <name> FOR TABLE <path> (<names>) WHERE (<expr>), TABLES IN SCHEMA <name>", "CREATE STATISTICS <path> ON <exprs> FROM <path>", "EXPLAIN <statement>", "PREPARE <name> AS <query>",
        "CREATE EVENT TRIGGER <name> ON ddl_command_end EXECUTE FUNCTION f()", "REFRESH MATERIALIZED VIEW CONCURRENTLY <path>", "VACUUM <path>", "LOCK TABLE <path>", "CALL <path>(<exprs>)", "BEGIN", "COMMIT",
        "ROLLBACK", "SAVEPOINT <name>", "CREATE ROLE <name>", "ALTER ROLE <name> SET search_path = <names>", "CREATE FOREIGN TABLE <path> (<columns>) SERVER <name>", "IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c",
        "CREATE TRIGGER <name> AFTER UPDATE ON <path> REFERENCING OLD TABLE AS <name> FOR EACH STATEMENT EXECUTE PROCEDURE <path>()", "ALTER DOMAIN <path> ADD CHECK (<expr>)", "CREATE TYPE <path> AS RANGE (subtype = <type>)",
        "CREATE OPERATOR CLASS <path> DEFAULT FOR TYPE <type> USING btree AS OPERATOR 1 <, FUNCTION 1 f(<type>, <type>)", "CREATE TEXT SEARCH CONFIGURATION <path> (COPY = simple)", "ALTER SYSTEM SET x = 1",
        "CREATE COLLATION <path> FROM \"C\"", "SECURITY LABEL ON <object> IS <text>", "REASSIGN OWNED BY <name> TO <name>", "DROP OWNED BY <name>", "NOTIFY <name>", "DECLARE <name> CURSOR FOR <query>",
        "ALTER TRIGGER <name> ON <path> RENAME TO <name>", "ALTER INDEX <path> ATTACH PARTITION <path>", "ALTER FUNCTION <path>(<type>) SET search_path = <names>", "ALTER VIEW <path> ALTER <name> SET DEFAULT <expr>",
        "ALTER TYPE <path> RENAME VALUE <text> TO <text>", "ALTER TYPE <path> ADD ATTRIBUTE <name> <type> CASCADE", "CLUSTER <path> USING <name>", "REINDEX INDEX CONCURRENTLY <path>", "DISCARD ALL", "CREATE DATABASE <name>",
        "CREATE TABLE <path> OF <path> (PRIMARY KEY (<name>))", "CREATE VIEW <path> AS <query> WITH CHECK OPTION", "CREATE RECURSIVE VIEW <path> (<names>) AS <query>", "ALTER EXTENSION <name> ADD <object>", "CREATE LANGUAGE <name>"),
    "grantable": ("<path>", "TABLE <path>, <path>", "SEQUENCE <path>", "FUNCTION <path>(<type>)", "SCHEMA <name>", "TYPE <path>", "DOMAIN <path>", "LANGUAGE sql", "DATABASE <name>",
                  "ALL TABLES IN SCHEMA <name>", "FOREIGN SERVER <name>", "LARGE OBJECT 1", "TABLESPACE <name>", "PARAMETER x"),
    "comment": ("-- x\n", "/* a /* b */ c */", "-- lancio: requires <object>\n", "-- lancio: creates <object>\n", "-- lancio: requires row <path> (<name> = <string>, <name> = 1)\n", "-- lancio: verify <query>\n",
                "-- lancio: requires service redis env <name>\n", "-- lancio: requires server >= <number>\n", "-- lancio: after <name>.sql\n", "-- requires: <name>\n", "-- depends: <names>\n", "-- lancio: duration <number>s\n",
                "-- lancio: <name> <expr>\n", "-- +goose Up\n", "-- migrate:down\n", "-- lancio: wants <object>\n"),
    "break": (";\n", ";\n", ";\n", ";\n", "; ", ";;\r\n", ";\n<comment>", "/* x */;\n"),
    "file": ("<statement>", "<statement><break>", "<comment><statement><break>", "<statement><break><file>", "<statement>;<file>", "<comment><file>"),
}  # fmt: skip

DEPTH = 7
"""How deep templates stand in one another before the short ones are taken."""

LENGTH = 400
"""How many templates one text is made of before the short ones are taken."""

_HOLE = re.compile(r"(?<!<)<([a-z]+)>(?!>)")
_CHOICES = {name: st.integers(0, len(templates) - 1) for name, templates in GRAMMAR.items()}
_SPLIT = {name: [_HOLE.split(each) for each in templates] for name, templates in GRAMMAR.items()}


@st.composite
def texts(draw: DrawFn) -> str:
    """A file of statements."""
    left = LENGTH

    def one(name: str, depth: int) -> str:
        nonlocal left
        left -= 1
        parts = _SPLIT[name][0 if depth > DEPTH or left < 0 else draw(_CHOICES[name])]
        inner = depth + (name not in ("file", "plines", "exprs"))
        return "".join(one(part, inner) if index % 2 else part for index, part in enumerate(parts))

    return one("file", 0)


def text_cases(number: int, count: int) -> list[Case]:
    """So many different texts; the same number gives the same ones."""
    found: dict[str, None] = {}

    @seed(number)
    @settings(max_examples=count, database=None, deadline=None, phases=(Phase.generate,),
              suppress_health_check=tuple(HealthCheck))  # fmt: skip
    @given(texts())
    def collect(text: str) -> None:
        found[text] = None

    collect()
    return [Case("text", f"grammar {number}/{at}", {"a.sql": text.encode()}) for at, text in enumerate(found)]
