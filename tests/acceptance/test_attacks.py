"""What a hostile second reader found, and what must not come back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg
import pytest
from outside import lancio

if TYPE_CHECKING:
    from pathlib import Path

CANARY = "s3cr3t-canary-of-redis"


def folder(path: Path, **files: str) -> str:
    for name, text in files.items():
        (path / f"{name.lstrip('_')}.sql").write_text(text, encoding="utf-8")
    return str(path)


def test_a_verification_in_a_comment_cannot_run_a_second_statement(database: str, tmp_path: Path) -> None:
    where = folder(tmp_path, _1="CREATE TABLE t (a int);\n")
    assert lancio("apply", where, "--database", database, "--yes").status == 0
    folder(
        tmp_path,
        _1="-- lancio: verify SELECT true) IS TRUE; COMMIT; DROP TABLE t; SELECT (true\nCREATE TABLE t (a int);\n",
    )
    lancio("verify", where, "--database", database)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('t') IS NOT NULL").fetchone() == (True,)
    assert "cannot be understood" in lancio("preflight", where, "--database", database).text


def test_the_password_of_an_address_is_masked_by_itself_and_a_keys_number_is_not(database: str, tmp_path: Path) -> None:
    key = tmp_path / "lancio.key"
    key.write_text(f"key_id = 1\nkey = {'ab' * 64}\n", encoding="ascii")
    key.chmod(0o600)
    assert lancio("apply", "--platform", "--database", database, "--yes", "--to",
                  "006_enable_rls_with_permissive_policies.sql").status == 0  # fmt: skip
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION betray() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'pw is % 1181', "
            "substring(NEW.connection_string from '://[^:]*:([^@]*)@'); END$$"
        )
        connection.execute(
            "CREATE TRIGGER aaa BEFORE INSERT ON platform.databases FOR EACH ROW "
            "WHEN (NEW.type = 'redis') EXECUTE PROCEDURE betray()"
        )
    said = lancio(
        "apply", "--no-backup", "--platform", "--database", database, "--json",
        env={"REDIS_URL": f"redis://default:{CANARY}@redis.railway.internal:6379", "LANCIO_KEY_FILE": str(key)},
    )  # fmt: skip
    assert said.status == 1, said.text
    assert CANARY not in said.text
    assert "1181" in said.text
    with psycopg.connect(database) as connection:
        (kept,) = connection.execute("SELECT string_agg(data::text, '') FROM lancio.event").fetchone() or ("",)
    assert CANARY not in kept


@pytest.mark.parametrize(
    ("before", "text", "word"),
    [
        ("CREATE TABLE t (a int, b int); CREATE VIEW v AS SELECT b FROM t", "ALTER TABLE t DROP COLUMN b", "view"),
        ("CREATE TABLE t (a int, b int); CREATE VIEW v AS SELECT b FROM t", "ALTER TABLE t ALTER b TYPE text", "view"),
        ("CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE c (a int REFERENCES p)", "DROP TABLE p", "depend"),
        ("CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (x e)", "DROP TYPE e", "depend"),
        ("", "DISCARD ALL", "DISCARD ALL"),
        ("", "SET TRANSACTION READ ONLY; CREATE TABLE t ()", "read-only"),
        ("", "SELECT pg_advisory_unlock_all()", "advisory"),
        ("", "CREATE SCHEMA lancio", "ledger"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_would_fail_is_no_go(database: str, tmp_path: Path, before: str, text: str, word: str) -> None:
    if before:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(before)
    said = lancio("preflight", folder(tmp_path, _1=text), "--database", database)
    assert said.status == 3, said.text
    assert word in said.text


def test_what_the_database_has_is_shown_as_met(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a int)")
    said = lancio("preflight", folder(tmp_path, _1="ALTER TABLE t ADD COLUMN b int"), "--database", database)
    assert said.status == 0, said.text
    assert "✗" not in said.text


def test_a_dropped_thing_and_what_stands_on_it_may_go_together(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE c (a int REFERENCES p)")
        connection.execute("CREATE VIEW v AS SELECT a FROM c")
    where = folder(tmp_path, _1="DROP VIEW v; DROP TABLE p, c;")
    assert lancio("apply", where, "--database", database, "--yes").status == 0


def test_a_renamed_file_is_recognized(database: str, tmp_path: Path) -> None:
    where = folder(tmp_path, _1="CREATE TABLE t (a int);\n")
    assert lancio("apply", where, "--database", database, "--yes").status == 0
    (tmp_path / "1.sql").rename(tmp_path / "01.sql")
    said = lancio("preflight", where, "--database", database)
    assert said.status == 3
    assert "1.sql is recorded as applied and is called 01.sql in this folder" in " ".join(said.text.split())


@pytest.mark.parametrize("setting", ["statement_timeout = '1ms'", "default_transaction_read_only = on"])
def test_a_database_that_does_not_answer_or_takes_no_changes_is_a_refusal(
    database: str, tmp_path: Path, setting: str
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET {setting}')
    said = lancio("preflight", folder(tmp_path, _1="CREATE TABLE t ()"), "--database", database)
    assert "Traceback" not in said.text
    assert said.status in (0, 1, 3)
    if "read_only" in setting:
        assert said.status == 3


def test_a_duration_longer_than_a_year_and_a_damaged_ledger_are_refused(database: str, tmp_path: Path) -> None:
    where = folder(tmp_path, _1="-- lancio: duration 99999999999999999999999999 h\nCREATE TABLE t ();\n")
    assert "longer than a year" in lancio("preflight", where, "--database", database).text
    folder(tmp_path, _1="CREATE TABLE t ();\n")
    assert lancio("apply", where, "--database", database, "--yes").status == 0
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE lancio.step RENAME TO stepp")
    said = lancio("status", where, "--database", database)
    assert (said.status, "Traceback" in said.text) == (1, False)
    assert "ledger" in said.text


def test_names_that_a_terminal_would_obey_are_refused(tmp_path: Path) -> None:
    (tmp_path / "1\x1b[31m.sql").write_text("SELECT 1", encoding="ascii")
    said = lancio("graph", str(tmp_path), "--json")
    assert said.status == 1
    assert "\x1b" not in said.text
    assert json.loads(said.out or "{}") is not None
