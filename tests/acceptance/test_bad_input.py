"""What cannot be right is refused: one clear message with cause and remedy, a true exit status, nothing changed."""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING

import outside
import pytest
from outside import FOUNDATION, Said, lancio, whole, words

from servers import database_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Stage
    from servers import TestServer

CANARY = "Can4ry-of-bad-input"


def folder_of(path: Path, files: dict[str, bytes]) -> str:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return str(path)


BAD = {
    "an empty folder": ({}, "holds no .sql file", ""),
    "a folder without migrations": ({"README.md": b"hello"}, "holds no .sql file", ""),
    "a file that does not parse": (
        {"001_good.sql": b"CREATE TABLE a (id int);\n", "002_bad.sql": b"SELECT 1;\n\nCREATE TABEL b (id int);\n"},
        '002_bad.sql: syntax error at or near "TABEL"',
        "002_bad.sql:3\n      CREATE TABEL b (id int);\n             ^",
    ),
    "an open string": ({"001_a.sql": b"SELECT 'abc;\n"}, "001_a.sql: unterminated quoted string", "001_a.sql:1\n"),
    "an accent before the mistake": (
        {"001_a.sql": "SELECT 'äöü€';  SELEC 2;\n".encode()},
        'syntax error at or near "SELEC"',
        "001_a.sql:1\n      SELECT 'äöü€';  SELEC 2;\n                      ^",
    ),
    "a command of psql": (
        {"001_a.sql": b"CREATE TABLE a (id int);\n\\i other.sql\n"},
        "\\i is a command of psql",
        "001_a.sql:2\n      \\i other.sql\n      ^",
    ),
    "a variable of psql": ({"001_a.sql": b"SELECT 1 AS x;\nSELECT :name;\n"}, "001_a.sql", "001_a.sql:2\n"),
    "a file that is not UTF-8": (
        {"001_a.sql": b"CREATE TABLE a (id int);\n-- caf\xe9\n"}, "001_a.sql is not UTF-8", "001_a.sql:2",
    ),
    "a file in UTF-16": ({"001_a.sql": "SELECT 1;".encode("utf-16")}, "001_a.sql is not UTF-8", ""),
    "a file with a NUL": ({"001_a.sql": b"SELECT 1;\nSELECT '\x00';\n"}, "001_a.sql", ""),
    "two files of one name": (
        {"001_a.sql": b"SELECT 1;", "001_A.sql": b"SELECT 2;"}, "001_A.sql and 001_a.sql are two files of one name", "",
    ),
}  # fmt: skip


def refused(said: Said, status: int, message: str) -> None:
    """One refusal on stderr, and no word on stdout."""
    assert said.status == status, said.text
    assert said.out == ""
    assert said.err.count("Error: ") == 1, said.err
    assert words(message) in words(said.err), said.err
    for part in ("Cause:", "Solution:"):
        assert said.err.count(part) == 1, said.err
        assert said.err.partition(part)[2].strip(), said.err


@pytest.mark.parametrize("case", BAD)
def test_a_folder_that_cannot_be_read_is_refused_and_nothing_is_changed(
    server: TestServer, stage: Stage, tmp_path: Path, case: str
) -> None:
    files, message, where = BAD[case]
    folder = folder_of(tmp_path / "m", files)
    url = stage(server)
    stood = whole(url)
    said = lancio("apply", folder, "--database", url)
    refused(said, 1, message)
    assert where in said.err
    assert whole(url) == stood
    if where and not where.endswith("^"):
        return
    # Without a database and as JSON it is the same refusal.
    as_json = lancio("graph", folder, "--json")
    assert (as_json.status, as_json.err) == (1, "")
    error = as_json.json["error"]
    assert words(message) in words(error["message"])
    assert error["cause"]
    assert error["remedy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("apply", "{folder}/none"), "there is no folder"),
        (("apply", "{folder}/m/001_a.sql"), "is a file, not a folder"),
        (("apply", "{folder}/m", "--database", "mysql://u@h/d"), "--database"),
        (("apply", "{folder}/m", "--database", ""), "--database is empty"),
        (("apply", "{folder}/m", "--only", "002.sql", "--database", "{url}"), "there is no file 002.sql"),
        (("apply", "{folder}/m", "--to", "002.sql", "--database", "{url}"), "there is no file 002.sql"),
        (("apply", "{folder}/m", "--platform"), "DIR and --platform are both given"),
        (("apply", "--unknown"), "--unknown"),
        (("nothing",), "nothing"),
    ],
)
def test_a_command_line_that_cannot_be_right_is_refused(
    database: str, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    folder_of(tmp_path / "m", {"001_a.sql": b"CREATE TABLE a (id int);\n"})
    stood = whole(database)
    said = lancio(*(each.format(folder=tmp_path, url=database) for each in arguments))
    refused(said, 2, message)
    assert whole(database) == stood


def test_an_unreachable_server_is_named_without_the_password() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = lancio("apply", "--platform", "--database", f"postgresql://me:{CANARY}@127.0.0.1:{port}/x")
    refused(said, 1, f"no PostgreSQL answers at postgresql://me@127.0.0.1:{port}/x")
    assert CANARY not in said.err
    by_variable = lancio("status", "--platform", env={"DATABASE_URL": f"postgresql://me:{CANARY}@127.0.0.1:{port}/x"})
    refused(by_variable, 1, "no PostgreSQL answers")
    assert CANARY not in by_variable.err


def test_a_wrong_password_is_said_and_not_shown(server: TestServer, database: str) -> None:
    stood = whole(database)
    said = lancio("apply", "--platform", "--database", server.url(database_of(database), password=CANARY))
    refused(said, 1, "the password of postgres is wrong")
    assert CANARY not in said.err
    assert whole(database) == stood
    refused(lancio("apply", "--platform", "--database", server.url("no_such_database")), 1, "has no database")


@pytest.fixture
def stranger(server: TestServer) -> Iterator[Callable[[str], str]]:
    """The URL of a database as seen by a role that owns nothing and may create nothing."""
    role = f"acceptance_stranger_{os.getpid()}"
    outside.execute(server.url(), f"DROP ROLE IF EXISTS {role}", f"CREATE ROLE {role} LOGIN PASSWORD 'weak'")
    yield lambda url: server.url(database_of(url), user=role, password="weak")
    outside.execute(server.url(), f"DROP ROLE {role}")


def test_a_role_without_rights_is_refused_and_nothing_is_changed(
    server: TestServer, database: str, stranger: Callable[[str], str], tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "m", {"001_a.sql": b"CREATE SCHEMA app;\nCREATE TABLE app.a (id int);\n"})
    stood = whole(database)
    said = lancio("apply", folder, "--database", stranger(database))
    assert said.status in (1, 3)
    shown = said.text
    assert "permission denied" in shown
    assert shown.count("Cause:") == shown.count("Solution:") == 1
    assert "--role" in shown
    assert whole(database) == stood


def test_the_preflight_knows_that_a_role_may_not_create(
    server: TestServer, database: str, stranger: Callable[[str], str], tmp_path: Path
) -> None:
    """A privilege is a requirement as well: a GO that apply then refuses is none."""
    folder = folder_of(tmp_path / "m", {"001_a.sql": b"CREATE SCHEMA app;\nCREATE TABLE app.a (id int);\n"})
    said = lancio("preflight", folder, "--database", stranger(database))
    assert said.status == 3, said.text
    assert "permission denied" in said.text


def test_a_role_that_is_not_the_owner_is_refused_on_a_made_platform(
    server: TestServer, stage: Stage, stranger: Callable[[str], str]
) -> None:
    url = stage(server, *FOUNDATION)
    stood = whole(url)
    said = lancio("apply", "--platform", "--database", stranger(url))
    assert said.status in (1, 3), said.text
    assert "permission denied" in said.text
    assert whole(url) == stood


def test_a_role_that_may_not_look_is_told_so_by_status(
    server: TestServer, stage: Stage, stranger: Callable[[str], str]
) -> None:
    said = lancio("status", "--platform", "--database", stranger(stage(server, *FOUNDATION)))
    assert said.status in (0, 1), said.text
    assert re.search("cannot be read|permission denied|may not", said.text)


def test_a_role_that_is_not_there_is_named(database: str) -> None:
    refused(lancio("apply", "--platform", "--database", database, "--role", "nobody_here"), 1, "nobody_here")


@pytest.mark.parametrize("value", [f"redis://default:{CANARY}@redis.railway.internal:6379", f"redis://:{CANARY}@h"])
def test_a_credential_without_a_key_is_refused_before_anything_is_sent(
    server: TestServer, stage: Stage, value: str
) -> None:
    url = stage(server)
    stood = whole(url)
    outside.execute(url, f'ALTER DATABASE "{database_of(url)}" SET default_transaction_read_only = on')
    said = lancio("apply", "--platform", "--database", url, env={"REDIS_URL": value})
    refused(said, 2, "REDIS_URL is set, but there is no key to seal the credential with")
    assert "LANCIO_KEY_FILE" in said.err
    assert CANARY not in said.err
    assert whole(url) == stood


def test_a_key_file_that_is_none_is_refused_before_anything_is_sent(
    server: TestServer, stage: Stage, tmp_path: Path
) -> None:
    url = stage(server)
    stood = whole(url)
    redis = f"redis://default:{CANARY}@redis.railway.internal:6379"
    broken, open_ = tmp_path / "broken", tmp_path / "open"
    broken.write_text(f"key_id = 1\nkey = {CANARY}\n", encoding="ascii")
    broken.chmod(0o600)
    open_.write_text(f"key_id = 1\nkey = {'ab' * 64}\n", encoding="ascii")
    open_.chmod(0o644)
    for file in (tmp_path / "none", broken, open_):
        said = lancio("apply", "--platform", "--database", url, env={"REDIS_URL": redis, "LANCIO_KEY_FILE": str(file)})
        assert said.status in (1, 2)
        refused(said, said.status, str(file.name))
        assert CANARY not in said.text
        assert "ab" * 64 not in said.text
    assert whole(url) == stood


def test_a_failing_statement_of_the_user_is_shown_with_its_place_and_rolled_back(database: str, tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "m",
        {
            "001_a.sql": b"CREATE TABLE a (id int);\nINSERT INTO a VALUES (1), (NULL);\n",
            "002_b.sql": b"CREATE TABLE b (id int);\n\nALTER TABLE a ADD CONSTRAINT one CHECK (id > 1);\n",
        },
    )
    assert lancio("apply", folder, "--database", database).status == 3  # the rows are known before
    said = lancio("apply", folder, "--database", database, "--no-data")
    assert said.status == 1
    assert said.err.count("Error: ") == 1
    assert "002_b.sql:3" in said.err
    assert "Cause:" in said.err
    names = {name for kind, name, _ in outside.facts(database) if kind == "relation"}
    assert names == {"public.a"}
