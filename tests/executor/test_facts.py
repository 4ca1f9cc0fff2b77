"""The facts of a catalog hold what a person would compare, on every server version, and nothing else."""

from __future__ import annotations

import psycopg

from lancio.executor import facts
from lancio.executor.facts import ObjectKey

SCHEMA = """
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('well', 'ill');
CREATE DOMAIN app.short AS varchar(8) NOT NULL DEFAULT 'x' CHECK (VALUE <> '');
CREATE TYPE app.pair AS (a integer, b text);
CREATE TABLE app.users (id bigserial PRIMARY KEY, email varchar(200) NOT NULL UNIQUE, mood app.mood DEFAULT 'well',
    short app.short, CONSTRAINT filled CHECK (email <> ''));
COMMENT ON COLUMN app.users.email IS 'where they read';
CREATE INDEX by_mood ON app.users (mood) WHERE mood = 'ill';
CREATE VIEW app.ill AS SELECT id FROM app.users WHERE mood = 'ill';
CREATE FUNCTION app.f(a integer, b text DEFAULT 'x') RETURNS integer LANGUAGE sql STABLE AS 'SELECT a';
CREATE AGGREGATE app.total (integer) (SFUNC = int4pl, STYPE = integer, INITCOND = '0');
CREATE FUNCTION app.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON app.users FOR EACH ROW EXECUTE PROCEDURE app.t();
ALTER TABLE app.users ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.users USING (true);
CREATE TABLE app.parts (a integer, b integer) PARTITION BY LIST (a);
CREATE TABLE app.parts_1 PARTITION OF app.parts FOR VALUES IN (1);
CREATE STATISTICS app.both (dependencies) ON a, b FROM app.parts_1;
CREATE RULE quiet AS ON DELETE TO app.parts_1 DO INSTEAD NOTHING;
CREATE PUBLICATION told FOR TABLE app.users;
GRANT SELECT ON app.users TO PUBLIC;
"""


def test_each_object_has_its_facts_on_every_version(every_database: str) -> None:
    with psycopg.connect(every_database, autocommit=True) as connection:
        connection.execute("SET search_path = app, public")
        connection.execute(SCHEMA)
        found = facts.of(connection)
        assert connection.execute("SELECT current_setting('search_path')").fetchone() == ("app, public",)
    email = found[ObjectKey("column", "app", "email", "users")]
    assert email == {"type": "character varying(200)", "null": "refused", "comment": "where they read"}
    assert found[ObjectKey("column", "app", "mood", "users")]["default"] == "'well'::app.mood"
    assert found[ObjectKey("enum", "app", "mood")]["labels"] == "'well', 'ill'"
    assert found[ObjectKey("constraint", "app", "filled", "users")]["validated"] == "yes"
    assert found[ObjectKey("index", "app", "by_mood", "users")]["predicate"] == "(mood = 'ill'::app.mood)"
    assert "WHERE" not in found[ObjectKey("index", "app", "by_mood", "users")]["definition"]
    assert found[ObjectKey("function", "app", "f", "", "integer, text")]["volatility"] == "stable"
    assert found[ObjectKey("table", "app", "users")]["privileges of public"] == "select"
    assert found[ObjectKey("table", "app", "parts_1")]["partition"].startswith("of app.parts FOR VALUES IN (")
    assert found[ObjectKey("composite type", "app", "pair")]["columns"] == "a integer, b text"
    assert found[ObjectKey("domain", "app", "short")]["type"] == "character varying(8)"
    kinds = {key.kind for key in found}
    assert kinds >= {
        "schema",
        "view",
        "aggregate",
        "trigger",
        "policy",
        "statistics",
        "rule",
        "publication",
        "sequence",
    }
    # A constraint's index is no object beside it.
    assert not [key for key in found if key.kind == "index" and key.name in ("users_pkey", "users_email_key")]


def test_what_an_extension_brings_and_the_ledger_are_no_facts(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        before = facts.of(connection)
        connection.execute("CREATE SCHEMA lancio; CREATE TABLE lancio.step (a int)")
        assert facts.of(connection) == before
        connection.execute("CREATE EXTENSION pgcrypto")
        after = facts.of(connection)
    new = after.keys() - before.keys()
    assert new == {ObjectKey("extension", "", "pgcrypto")}
    assert after[ObjectKey("extension", "", "pgcrypto")]["version"] == facts.DEFAULT
    assert facts.fingerprint(after) != facts.fingerprint(before)
