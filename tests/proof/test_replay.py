"""A file run in one transaction, and what PostgreSQL says to it."""

from __future__ import annotations

from pathlib import Path

import oracle
import psycopg
import pytest

from lancio.proof import replay
from lancio.reading.source import Migration


def script(text: str) -> replay.Script:
    return replay.script(Migration("1.sql", Path("1.sql"), text.encode()))


@pytest.fixture
def connection(database):
    with psycopg.connect(database, autocommit=True, prepare_threshold=None) as connection:
        yield connection


def test_its_own_transaction_and_concurrently_are_blanked_out_where_they_stand():
    text = 'BEGIN;\nCREATE INDEX CONCURRENTLY i ON t ("concurrently");\nCOMMIT;\n'
    made = script(text)
    assert len(made.text) == len(text)
    assert made.text.split() == b'; CREATE INDEX i ON t ("concurrently"); ;'.split()
    assert made.together
    assert [piece for _, piece in made.pieces] == [b'CREATE INDEX              i ON t ("concurrently")']


def test_what_stands_in_no_transaction_is_sent_in_pieces(connection):
    made = script("CREATE TABLE t ();\nVACUUM t;\nCREATE TABLE u ();")
    assert not made.together
    assert replay.run(connection, made) == replay.Ran(("CREATE TABLE", "VACUUM", "CREATE TABLE"))


def test_a_failure_leaves_nothing_and_tells_its_line(connection):
    failed = replay.run(connection, script("CREATE TABLE t ();\n\nSELECT 'é', missing\nFROM nowhere;"))
    assert failed == replay.Failed('relation "nowhere" does not exist', "42P01", 4)
    assert ("relation", "public.t") not in replay.held(connection)


def test_a_new_enum_value_may_be_used_at_once(connection):
    replay.run(connection, script("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (m mood);"))
    done = replay.run(connection, script("ALTER TYPE mood ADD VALUE 'glad'; INSERT INTO t VALUES ('glad');"))
    assert done == replay.Ran(("ALTER TYPE", "INSERT 0 1"))


def test_nothing_of_a_session_reaches_the_next_file(connection):
    replay.run(connection, script("CREATE SCHEMA s; SET search_path = s; CREATE TEMP TABLE gone ();"))
    assert replay.run(connection, script("CREATE TABLE t ();")) == replay.Ran(("CREATE TABLE",))
    assert ("relation", "public.t") in replay.held(connection)
    assert isinstance(replay.run(connection, script("TABLE gone")), replay.Failed)


def test_comments_alone_are_nothing(connection):
    assert replay.run(connection, script("-- nothing\nBEGIN; COMMIT;")) == replay.Ran(())


@pytest.mark.parametrize("name", oracle.NAMES)
def test_what_is_held_is_what_another_query_of_the_catalog_says(name, connection):
    for migration in oracle.story(name).migrations:
        replay.run(connection, replay.script(migration))
        assert replay.held(connection) == oracle.held(connection)
