"""The fingerprint sees every change of a definition, and nothing that is none."""

from __future__ import annotations

import psycopg
import pytest
from plans import facts, plan

import servers
from lancio.errors import ConnectionLost
from lancio.executor import facts as catalog
from lancio.executor import fingerprint, runner

BASE = """
CREATE SCHEMA s;
CREATE TYPE s.mood AS ENUM ('good', 'bad');
CREATE DOMAIN s.positive AS int CHECK (VALUE > 0);
CREATE TABLE s.parent (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x', mood s.mood);
CREATE TABLE s.child (id serial, parent int REFERENCES s.parent ON DELETE CASCADE, CHECK (id > 0));
CREATE INDEX child_parent ON s.child (parent) WHERE parent > 3;
CREATE VIEW s.v AS SELECT id, name FROM s.parent;
CREATE FUNCTION s.f(a int) RETURNS int LANGUAGE sql AS 'SELECT a + 1';
CREATE FUNCTION s.tr() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT ON s.parent FOR EACH ROW EXECUTE PROCEDURE s.tr();
CREATE POLICY p ON s.parent USING (true);
CREATE RULE r AS ON DELETE TO s.child DO INSTEAD NOTHING;
CREATE AGGREGATE s.total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE SEQUENCE s.seq;
COMMENT ON TABLE s.parent IS 'one';
COMMENT ON POLICY p ON s.parent IS 'a policy';
"""

CHANGES = [
    "CREATE SCHEMA s2",
    "CREATE TABLE s.other (id int)",
    "ALTER TABLE s.parent ADD COLUMN c int",
    "ALTER TABLE s.parent DROP COLUMN mood",
    "ALTER TABLE s.parent ALTER COLUMN name SET (n_distinct = 7)",
    "ALTER TABLE s.parent ALTER COLUMN name DROP NOT NULL",
    "ALTER TABLE s.parent ALTER COLUMN name SET DEFAULT 'y'",
    "ALTER TABLE s.like_child ALTER COLUMN id TYPE bigint",
    "ALTER TABLE s.parent ALTER COLUMN name SET STORAGE EXTERNAL",
    "ALTER TABLE s.parent ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE s.parent FORCE ROW LEVEL SECURITY",
    "ALTER TABLE s.parent SET (fillfactor = 70)",
    "ALTER TABLE s.parent OWNER TO pg_monitor",
    "ALTER TABLE s.parent DISABLE TRIGGER t",
    "ALTER TABLE s.parent REPLICA IDENTITY FULL",
    "ALTER TABLE s.parent ADD CONSTRAINT more CHECK (id > 0) NOT VALID",
    "ALTER TABLE s.child DROP CONSTRAINT child_parent_fkey",
    "ALTER TABLE s.child ADD UNIQUE (id)",
    "ALTER TABLE s.child INHERIT s.like_child",
    "ALTER TABLE s.child ALTER COLUMN id DROP DEFAULT",
    "DROP INDEX s.child_parent",
    "CREATE OR REPLACE VIEW s.v AS SELECT id, upper(name) AS name FROM s.parent",
    "ALTER VIEW s.v SET (security_barrier)",
    "CREATE OR REPLACE FUNCTION s.f(a int) RETURNS int LANGUAGE sql AS 'SELECT a + 2'",
    "ALTER FUNCTION s.f(int) SECURITY DEFINER",
    "ALTER FUNCTION s.f(int) SET search_path = s",
    "REVOKE EXECUTE ON FUNCTION s.f(int) FROM PUBLIC",
    "GRANT SELECT ON s.parent TO PUBLIC",
    "GRANT SELECT (name) ON s.parent TO PUBLIC",
    "GRANT USAGE ON SCHEMA s TO PUBLIC",
    "ALTER POLICY p ON s.parent USING (id > 0)",
    "ALTER POLICY p ON s.parent TO pg_monitor",
    "DROP RULE r ON s.child",
    "ALTER TYPE s.mood RENAME VALUE 'bad' TO 'worse'",
    "ALTER DOMAIN s.positive SET NOT NULL",
    "ALTER DOMAIN s.positive DROP CONSTRAINT positive_check",
    "ALTER SEQUENCE s.seq INCREMENT 5",
    "ALTER SEQUENCE s.seq OWNED BY s.parent.id",
    "COMMENT ON TABLE s.parent IS 'two'",
    "COMMENT ON COLUMN s.parent.id IS 'the key'",
    "COMMENT ON POLICY p ON s.parent IS 'another'",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA s GRANT SELECT ON TABLES TO PUBLIC",
    "DROP AGGREGATE s.total (int)",
    "CREATE PUBLICATION pub FOR TABLE s.parent",
    "CREATE STATISTICS s.st ON id, name FROM s.parent",
]

NOT_CHANGES = [
    "INSERT INTO s.parent VALUES (1, 'a', 'good')",
    "ANALYZE s.parent",
    "SELECT nextval('s.seq')",
    "GRANT EXECUTE ON FUNCTION s.f(int) TO PUBLIC",
    "CREATE TEMP TABLE gone (id int)",
    "SET search_path = s",
    "CREATE OR REPLACE VIEW s.v AS SELECT id, name FROM s.parent",
    "COMMENT ON TABLE s.parent IS 'one'",
    "VACUUM FULL s.parent",
    "ALTER TABLE s.parent ADD gone int; GRANT SELECT (gone) ON s.parent TO PUBLIC; ALTER TABLE s.parent DROP gone",
]


@pytest.fixture(scope="module")
def filled(every_server):
    url = every_server.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BASE)
        connection.execute("CREATE TABLE s.like_child (id int, CONSTRAINT child_id_check CHECK (id > 0))")
        yield connection
    every_server.drop_database(url)


def test_every_change_of_a_definition_is_seen(filled):
    before = fingerprint.take(filled)
    unseen = []
    for change in CHANGES:
        with filled.transaction(force_rollback=True):
            filled.execute(change)
            after = fingerprint.take(filled)
            if after == before or after.hash == before.hash:
                unseen.append(change)
    assert unseen == []
    assert fingerprint.take(filled) == before


def test_what_changes_no_definition_is_not_seen(every_database):
    with psycopg.connect(every_database, autocommit=True) as connection:
        connection.execute(BASE)
        before = fingerprint.take(connection)
        for statement in NOT_CHANGES:
            connection.execute(statement)
            assert fingerprint.diff(before, fingerprint.take(connection)) == ([], []), statement
        assert connection.execute("SHOW search_path").fetchone() == ("s",)


def test_a_difference_names_both_sides(database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE a (id int)")
        before = fingerprint.take(connection)
        connection.execute("ALTER TABLE a ALTER id TYPE bigint")
        old, new = fingerprint.diff(before, fingerprint.take(connection))
    assert [str(fact) for fact in old] == ["column public.a.id: integer"]
    assert [str(fact) for fact in new] == ["column public.a.id: bigint"]


def test_order_of_columns_and_numbers_of_objects_do_not_count(server):
    urls = [server.create_database(), server.create_database()]
    taken = []
    for url, text in zip(
        urls,
        (
            "CREATE TABLE a (x int); CREATE TABLE b (id int, c text)",
            (
                "CREATE TABLE b (c text); ALTER TABLE b ADD gone int; ALTER TABLE b DROP gone;"
                "ALTER TABLE b ADD id int; CREATE TABLE a (x int)"
            ),
        ),
        strict=True,
    ):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(text)
            taken.append(fingerprint.take(connection))
        server.drop_database(url)
    assert taken[0] == taken[1]


def test_psql_and_lancio_give_the_same_catalog(every_server, tmp_path):
    urls = [every_server.create_database(), every_server.create_database()]
    (tmp_path / "001.sql").write_text(f"BEGIN;{BASE}COMMIT;")
    assert servers.run_psql(urls[0], tmp_path / "001.sql", stop_on_error=True).returncode == 0
    with psycopg.connect(urls[0], autocommit=True) as one, psycopg.connect(urls[1], autocommit=True) as two:
        list(runner.apply(plan(facts("001.sql", f"BEGIN;{BASE}COMMIT;")), two))
        assert fingerprint.diff(fingerprint.take(one), fingerprint.take(two)) == ([], [])
    for url in urls:
        every_server.drop_database(url)


@pytest.mark.parametrize("read", [fingerprint.take, catalog.of])
def test_a_connection_that_ends_meanwhile_is_not_told_as_an_object_that_was_dropped(database, read):
    with psycopg.connect(database, autocommit=True) as connection:
        with psycopg.connect(database, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        with pytest.raises(ConnectionLost, match="the connection ended while the catalog was read"):
            read(connection)
