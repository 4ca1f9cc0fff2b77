"""Histories, run file by file: after each file all before it are told as run, none behind it, and nothing differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from lancio.catalog import profile
from lancio.executor import snapshot
from lancio.planner import graph, outcomes, states
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from pathlib import Path

    from lancio.planner.model import FileState

HISTORIES = {
    "renamed there and back": (
        "CREATE TABLE a (id int PRIMARY KEY, x text); CREATE INDEX a_x ON a (x);",
        "ALTER TABLE a RENAME TO b; ALTER TABLE b RENAME COLUMN x TO y;",
        "CREATE TABLE a (id int PRIMARY KEY); ALTER INDEX a_x RENAME TO b_y;",
        "ALTER TABLE b RENAME TO c; ALTER TABLE a RENAME TO b;",
    ),
    "a type and back": (
        "CREATE TABLE t (n integer, d integer NOT NULL DEFAULT 1);",
        "ALTER TABLE t ALTER n TYPE bigint, ALTER d DROP NOT NULL; CREATE TABLE u ();",
        "ALTER TABLE t ALTER n TYPE integer, ALTER d SET NOT NULL, ALTER d DROP DEFAULT; CREATE TABLE v ();",
        "ALTER TABLE t ALTER n TYPE numeric(10,2), ALTER d SET DEFAULT 2;",
    ),
    "an enum in another one's place": (
        "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE t (m mood, ms mood[]);",
        "ALTER TYPE mood ADD VALUE 'c';",
        (
            "CREATE TYPE mood_new AS ENUM ('a', 'c'); ALTER TABLE t ALTER m TYPE mood_new USING m::text::mood_new;"
            "ALTER TABLE t DROP COLUMN ms; DROP TYPE mood; ALTER TYPE mood_new RENAME TO mood;"
        ),
        "ALTER TABLE t ALTER m TYPE text; DROP TYPE mood;",
    ),
    "dropped and made again": (
        "CREATE TABLE t (a int); CREATE TABLE keep (a int);",
        "DROP TABLE t; ALTER TABLE keep ADD COLUMN b int;",
        "CREATE TABLE t (a int, b text);",
        "ALTER TABLE t DROP COLUMN a; CREATE VIEW v AS SELECT b FROM t;",
        "DROP VIEW v; CREATE VIEW v AS SELECT b, 1 AS one FROM t;",
    ),
    "routines replaced": (
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS $$ SELECT a $$;",
        "CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT a + 1 -- it''s one more';",
        (
            "CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE plpgsql AS $x$ BEGIN\r\n RETURN 2; END $x$;"
            "CREATE FUNCTION f(a text) RETURNS text LANGUAGE sql AS E'SELECT a\\n';"
        ),
        (
            "CREATE TABLE t (a int); CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
            "CREATE TRIGGER g BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION g();"
        ),
    ),
    "keys and checks": (
        "CREATE TABLE p (id serial PRIMARY KEY, code varchar(10) UNIQUE DEFAULT NULL, CHECK (id > 0));",
        (
            "CREATE TABLE c (p int REFERENCES p, q int, CONSTRAINT q_up CHECK (q > 0));"
            "CREATE UNIQUE INDEX c_q ON c (lower(q::text));"
        ),
        "ALTER TABLE c DROP CONSTRAINT c_p_fkey; ALTER TABLE c ADD CONSTRAINT c_p_fkey FOREIGN KEY (q) REFERENCES p;",
        "ALTER TABLE p DROP CONSTRAINT p_pkey CASCADE; ALTER TABLE p ADD PRIMARY KEY (id, code);",
        (
            "CREATE UNIQUE INDEX pq ON c (p, q); ALTER TABLE c ALTER p SET NOT NULL, ALTER q SET NOT NULL;"
            "ALTER TABLE c ADD CONSTRAINT c_pkey PRIMARY KEY USING INDEX pq;"
        ),
    ),
    "partitions, generated and copied": (
        (
            "CREATE TABLE m (id int GENERATED ALWAYS AS IDENTITY, at date NOT NULL, twice int GENERATED ALWAYS AS (1)"
            " STORED) PARTITION BY RANGE (at);"
        ),
        "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM ('2020-01-01') TO ('2021-01-01'); CREATE INDEX m_at ON m (at);",
        "CREATE TABLE copied (LIKE m INCLUDING ALL); CREATE TABLE taken AS SELECT * FROM m;",
        "ALTER TABLE m ADD COLUMN note text DEFAULT 'x';",
        "CREATE MATERIALIZED VIEW mv AS SELECT id, at FROM m; CREATE INDEX mv_at ON mv (at) INCLUDE (id) WHERE id > 0;",
    ),
    "policies and row level security": (
        "CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE TABLE s.u (a int);",
        "ALTER TABLE s.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON s.t FOR SELECT USING (true);",
        (
            "DO $$ DECLARE n text; BEGIN FOREACH n IN ARRAY ARRAY['t', 'u'] LOOP"
            " EXECUTE format('ALTER TABLE s.%I ENABLE ROW LEVEL SECURITY', n); END LOOP; END $$;"
        ),
        "DROP POLICY p ON s.t; CREATE POLICY p ON s.t FOR ALL USING (true);",
        "ALTER TABLE s.u DISABLE ROW LEVEL SECURITY; CREATE EXTENSION pgcrypto SCHEMA s;",
    ),
}


@pytest.mark.parametrize("texts", HISTORIES.values(), ids=HISTORIES)
def test_after_each_file_all_before_are_there_and_none_behind(
    texts: tuple[str, ...], database: str, tmp_path: Path
) -> None:
    for number, text in enumerate(texts, 1):
        (tmp_path / f"{number}.sql").write_bytes(text.encode())
    known = profile.load(18)
    graph_ = graph.build(read_folder(tmp_path), known)
    left = outcomes.of(graph_, known)
    with psycopg.connect(database, autocommit=True) as connection:
        for ran in range(len(texts) + 1):
            if ran:
                for statement in graph_.files[ran - 1].statements:
                    connection.execute(statement.sql.encode())
            told = states.judge(graph_, snapshot.take(connection, graph_), {}, left)
            assert [_way(each) for each in told] == ["ran"] * ran + ["not"] * (len(texts) - ran), told


def _way(state: FileState) -> str:
    if state.missing or state.differs:
        return f"{state.name} {state.state}: {state.missing or state.differs}"
    ran = state.there or (state.state == "unprovable" and state.settled)  # what it drops is not there, no more is seen
    return "not" if state.state == "not applied" else "ran" if ran else state.state
