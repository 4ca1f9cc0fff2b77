"""A ledger outlives the Lancio that made it: an older one is read and brought up to date, a newer one left alone."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.executor import facts, ledger
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "001_users.sql": "CREATE TABLE users (id integer PRIMARY KEY, email text NOT NULL);",
    "002_orders.sql": "CREATE TABLE orders (id integer PRIMARY KEY, buyer integer REFERENCES users (id));",
    "003_more.sql": "CREATE INDEX by_buyer ON orders (buyer);",
}
APPLIED = ("001_users.sql", "002_orders.sql")
OLDER = [number for number, _ in ledger._formats()][:-1]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "MONGO_URL", "LANCIO_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "migrations"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made


def lancio(*words: str) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, " ".join((out.getvalue() + err.getvalue()).split())


def contents(url: str) -> dict[str, object]:
    """Every row of the ledger's tables, the shape of these, and the facts of all the rest."""
    with psycopg.connect(url, autocommit=True) as connection:
        tables = [
            row[0] for row in connection.execute(
                "SELECT relname FROM pg_class"
                " WHERE relnamespace = to_regnamespace('lancio') AND relkind = 'r' ORDER BY 1"
            )
        ]  # fmt: skip
        found: dict[str, object] = {
            name: connection.execute(
                sql.SQL("SELECT t::text FROM lancio.{} AS t ORDER BY 1").format(sql.Identifier(name))
            ).fetchall()
            for name in tables
        }
        found["columns"] = connection.execute(
            "SELECT attrelid::regclass::text, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
            " WHERE relnamespace = to_regnamespace('lancio') AND attnum > 0 ORDER BY 1, attnum"
        ).fetchall()
        found["facts"] = facts.of(connection)
    return found


def rows(url: str, table: str, columns: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(f"SELECT {columns} FROM lancio.{table} ORDER BY 1, 2").fetchall()


KEPT = {
    "run": "id, started_at, finished_at, who, operator, host, lancio_version, server_version, plan_hash, outcome",
    "step": "id, run, backend_pid, migration, checksum, digest, position, state, started_at, duration_ms, locks,"
            " verifications",
    "statement": "step, ordinal, line, summary, state, duration_ms",
    "event": "run, number, at, kind, data",
}  # fmt: skip
"""The tables of the first format and their columns."""


def make(url: str, folder: Path, version: int) -> None:
    """A database with a ledger as the Lancio of that format made it, from the files of the format and rows by hand."""
    found = {each.name: each for each in read_folder(folder).migrations}
    with psycopg.connect(url, autocommit=True) as connection:
        for number, text in ledger._formats():
            if number <= version:
                connection.execute(text.encode())
                connection.execute(
                    "INSERT INTO lancio.ledger_format (version, made_by) VALUES (%s, %s)", (number, f"0.0.{number}")
                )
        connection.execute(
            "INSERT INTO lancio.run (who, operator, host, lancio_version, server_version, plan_hash, finished_at,"
            " outcome) VALUES (session_user, 'somebody', 'there', '0.0.1', '10', 'x', now(), 'done')"
        )
        for position, name in enumerate(APPLIED, 1):
            connection.execute(FILES[name].encode())
            connection.execute(
                "INSERT INTO lancio.step (run, backend_pid, migration, checksum, digest, position, state, started_at,"
                " duration_ms) VALUES (1, 1, %s, %s, %s, %s, 'applied', now(), 12)",
                (name, found[name].checksum, found[name].digest, position),
            )
            connection.execute(
                "INSERT INTO lancio.statement VALUES (%s, 1, 1, 'CREATE TABLE', 'applied', NULL)"
                if version < 10
                else """UPDATE lancio.step SET statements = '[{"line": 1, "summary": "CREATE TABLE"}]' WHERE id = %s""",
                (position,),
            )
            connection.execute(
                "INSERT INTO lancio.event VALUES (1, %s, now(), 'step-applied', '{}')", (position,)
            )  # fmt: skip


def readers(folder: Path, url: str) -> dict[str, tuple[str, ...]]:
    there = (str(folder), "--database", url)
    return {
        "status": ("status", *there),
        "status since": ("status", *there, "--since-run"),
        "plan": ("plan", *there),
        "preflight": ("preflight", *there),
        "verify": ("verify", *there),
        "drift": ("drift", *there, "--read"),
        "checklist": ("checklist", *there),
        "graph": ("graph", *there),
        "explain": ("explain", "003_more.sql", *there),
        "backup list": ("backup", "list", "--database", url),
    }


@pytest.mark.parametrize("version", OLDER)
def test_an_older_ledger_is_read_as_it_is_and_brought_up_to_date_by_apply(
    database: str, folder: Path, version: int
) -> None:
    make(database, folder, version)
    before = contents(database)
    for name, words in readers(folder, database).items():
        status, said = lancio(*words)
        assert status == 0, (name, said)
        assert contents(database) == before, name
    kept = {table: rows(database, table, columns) for table, columns in KEPT.items()}

    status, said = lancio("apply", str(folder), "--database", database, "--yes", "--no-backup")
    assert status == 0, said
    assert "1 of 1 step applied" in said
    for table, columns in KEPT.items():
        now = rows(database, table, columns)
        assert [row for row in now if row in kept[table]] == kept[table], table
        assert len(now) > len(kept[table]) or table == "statement"
    versions = rows(database, "ledger_format", "version, made_by")
    assert versions[: len([each for each in OLDER if each <= version])] == [
        (each, f"0.0.{each}") for each in OLDER if each <= version
    ]
    assert versions[-1][0] == ledger.FORMAT
    status, said = lancio("apply", str(folder), "--database", database, "--yes")
    assert (status, said) == (0, "Nothing to do: 3 files applied, none left.")


def writers(folder: Path, url: str) -> dict[str, tuple[str, ...]]:
    there = (str(folder), "--database", url)
    return {
        "apply": ("apply", *there, "--yes", "--no-backup"),
        "apply json": ("apply", *there, "--yes", "--no-backup", "--json"),
        "apply adopt": ("apply", *there, "--yes", "--no-backup", "--adopt"),
        "adopt": ("adopt", *there),
        "adopt only": ("adopt", *there, "--only", "003_more.sql"),
        "adopt edited": ("adopt", *there, "--edited", "001_users.sql"),
        "backup note": ("backup", "note", "--at", "now", "--where", "nightly.dump", "--database", url),
    }


@pytest.mark.parametrize("shape", ["as it is", "otherwise"])
def test_an_older_lancio_that_meets_a_newer_ledger_says_so_and_changes_nothing(
    database: str, folder: Path, shape: str
) -> None:
    make(database, folder, ledger.FORMAT)
    (folder / "001_users.sql").write_text(FILES["001_users.sql"].replace("email", "mail"))
    with psycopg.connect(database, autocommit=True) as connection:
        newer = ledger.FORMAT + 1
        connection.execute("INSERT INTO lancio.ledger_format (version, made_by) VALUES (%s, '99.0')", (newer,))
        if shape == "otherwise":  # what a format of the future may do to what is known today
            connection.execute("ALTER TABLE lancio.step RENAME TO steps; ALTER TABLE lancio.run RENAME TO runs")
            connection.execute("DROP TABLE lancio.counters, lancio.backups")
    before = contents(database)
    asked = {**readers(folder, database), **writers(folder, database)}
    for name, words in asked.items():
        status, said = lancio(*words)
        assert status == 1, (name, said)
        assert f"the ledger of this database has format {newer}" in said, (name, said)
        assert "pip install --upgrade lancio" in said, name
        assert contents(database) == before, name
