"""Errors of a real server, turned into cause and solution."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from plans import facts, plan

from lancio.executor.session import message_of
from lancio.planner.diagnosis import Said, Way, diagnose, masked
from lancio.planner.model import Effect

SETUP = """
CREATE TABLE parent (id int PRIMARY KEY, email text NOT NULL UNIQUE, age int CONSTRAINT grown CHECK (age > 17));
CREATE TABLE child (parent int REFERENCES parent);
INSERT INTO parent VALUES (1, 'ann@example.org', 20);
CREATE VIEW over AS SELECT id FROM parent;
CREATE FUNCTION there() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE SCHEMA full_one;
"""

FILES = plan(
    facts("001_first.sql", "", creates=[
        Effect("table app.users", "relation", "app.users", 3),
        Effect("schema app", "schema", "app", 1),
    ]),
    facts("003_crypto.sql", "", creates=[
        Effect("extension pgcrypto", "extension", "pgcrypto", 2),
        Effect("column app.users.email", "column", "app.users.email", 5),
        Effect("function app.touch()", "routine", "app.touch()", 9),
        Effect("type app.mood", "type", "app.mood", 12),
    ]),
).graph  # fmt: skip

PROVIDED = [
    ("SELECT * FROM app.users", "42P01", "001_first.sql"),
    ("INSERT INTO users VALUES (1)", "42P01", "001_first.sql"),
    ("CREATE TABLE app.other (id int)", "3F000", "001_first.sql"),
    ("ALTER EXTENSION pgcrypto UPDATE", "42704", "003_crypto.sql"),
    ("SELECT app.touch()", "3F000", "001_first.sql"),
    ("SELECT touch()", "42883", "003_crypto.sql"),
    ("CREATE TABLE x (m mood)", "42704", "003_crypto.sql"),
    ("DO $$BEGIN RAISE 'relation app.users does not exist'; END$$", "P0001", "001_first.sql"),
    ("DO $$BEGIN RAISE 'extension pgcrypto does not exist'; END$$", "P0001", "003_crypto.sql"),
    ("DO $$BEGIN RAISE 'table app.users does not exist'; END$$", "P0001", "001_first.sql"),
    ("DO $$BEGIN RAISE 'no project' USING HINT = 'Apply 003_crypto.sql first'; END$$", "P0001", "003_crypto.sql"),
]  # fmt: skip

GENERAL = [
    ("INSERT INTO parent VALUES (2, NULL, 20)", "23502", "writes NULL into email"),
    ("INSERT INTO child VALUES (99)", "23503", "not there (child_parent_fkey)"),
    (
        "INSERT INTO parent VALUES (3, 'ann@example.org', 20)",
        "23505",
        "with that key is in public.parent already (parent_email_key)",
    ),
    ("INSERT INTO parent VALUES (4, 'bob@example.org', 7)", "23514", "do not satisfy grown"),
    ("CREATE TABLE parent (id int)", "42P07", "relation parent is in the database already"),
    ("CREATE SCHEMA full_one", "42P06", "schema full_one is in the database already"),
    (
        "CREATE FUNCTION there() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "42723",
        "function there is in the database already",
    ),
    (
        "ALTER TABLE parent ADD CONSTRAINT grown CHECK (true)",
        "42710",
        "constraint grown of parent is in the database already",
    ),
    ("DROP TABLE parent", "2BP01", "view over depends on table parent"),
    ("SELEC 1", "42601", "grammar"),
    ("VACUUM", "25001", "transaction block"),
    ("SELECT 'x'::int", "22P02", "not written as its type wants it"),
    ("DO $$BEGIN RAISE 'tampered' USING ERRCODE = '22000'; END$$", "22000", "refused"),
    ("DO $$BEGIN RAISE 'no key' USING ERRCODE = '55000'; END$$", "55000", "state"),
    ("DO $$BEGIN RAISE 'no' USING ERRCODE = '0A000'; END$$", "0A000", "does not do this"),
    ("SET LOCAL statement_timeout = 20; SELECT pg_sleep(2)", "57014", "a time limit allows"),
    ("SET LOCAL ROLE pg_monitor; SELECT * FROM child", "42501", "no such right"),
]


def said(url, statement):
    with psycopg.connect(url) as connection:
        connection.execute(SETUP)
        with pytest.raises(psycopg.Error) as raised:  # noqa: PT012 (a stream is read to its error)
            # In one message the time limit would count from the message's beginning only from 11 on.
            for part in statement.split("; ") if statement.startswith("SET LOCAL") else [statement]:
                connection.execute(part)
        found = message_of(raised.value.diag)
        connection.rollback()
    return Said(found.sqlstate, found.message, found.detail, found.hint, found.context, found.schema, found.table,
                found.column, found.constraint, found.datatype)  # fmt: skip


@pytest.mark.parametrize(("statement", "sqlstate", "provider"), PROVIDED)
def test_a_missing_object_names_the_file_that_creates_it(database, statement, sqlstate, provider):
    error = said(database, statement)
    assert error.sqlstate == sqlstate
    diagnosis = diagnose(error, graph=FILES, way=Way("migrations", lambda path: f"psql x -f {path}"))
    assert diagnosis.instead == (f"psql x -f {Path('migrations') / provider}",)
    assert diagnosis.commands == (f"lancio apply migrations --only {provider}",)


@pytest.mark.parametrize(("statement", "sqlstate", "words"), GENERAL)
def test_each_error_has_a_cause_in_words(every_database, statement, sqlstate, words):
    error = said(every_database, statement)
    assert error.sqlstate == sqlstate
    diagnosis = diagnose(error, graph=FILES, file="006.sql")
    assert words in diagnosis.cause
    assert diagnosis.solution
    assert "{" not in diagnosis.cause + diagnosis.solution


def test_no_value_of_a_row_is_shown(database):
    for statement, _, _ in GENERAL:
        error = said(database, statement)
        text = str(diagnose(error, graph=FILES, file="006.sql"))
        assert "example.org" not in text
        assert "99" not in text


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [
        ("cannot reach redis://default:s3cr3t@host:6379/0", "redis://***@host:6379", "s3cr3t"),
        ("bad dsn postgresql://u:p%40s3cr3t@h/db?sslmode=require", "h", "s3cr3t"),
        ("password=s3cr3t host=h", "host=h", "s3cr3t"),
        ("Failing row contains (1, s3cr3t (with) parens, x).", "Failing row contains (…)", "s3cr3t"),
        ("Key (email, name)=(a@s3cr3t, b) already exists.", "Key (email, name)=(…) already exists.", "s3cr3t"),
        ('invalid input syntax for type integer: "s3cr3t"', "invalid input syntax for type integer", "s3cr3t"),
        ("Key (v)=(a) b, c) is duplicated s3cr3t", "Key (v)=(…)", "a) b"),
    ],
)
def test_what_may_be_secret_is_masked(text, kept, gone):
    assert kept in masked(text)
    assert gone not in masked(text)


def test_an_error_without_a_graph_and_of_an_unknown_class_still_gets_an_answer():
    diagnosis = diagnose(Said("ZZ999", "strange"))
    assert diagnosis.cause
    assert diagnosis.solution
    assert diagnosis.confidence == "general"


@pytest.mark.parametrize("sqlstate", ["40P01", "40001", "53300", "53100", "08006", "57P01", "25P02", "55P03"])
def test_states_of_the_world_have_an_answer_of_their_own(sqlstate):
    diagnosis = diagnose(Said(sqlstate, "x"), file="006.sql", way=Way("migrations"))
    assert diagnosis.confidence != "general"
    if sqlstate != "25P02":
        assert diagnosis.commands == ("lancio apply migrations --only 006.sql",)
