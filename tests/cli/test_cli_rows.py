"""Rows in the way, from the command line: told before the run, refused, left alone on request."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import psycopg
import pytest

from lancio.cli import main
from lancio.cli.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path


def lancio(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, " ".join(out.getvalue().split()), " ".join(err.getvalue().split())


SAYS = "SET NOT NULL users.email: 5 of 50 rows are NULL (id 10, 20, 30 …)"


@pytest.fixture
def there(database: str, tmp_path: Path) -> tuple[str, ...]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE users (id int PRIMARY KEY, email text)")
        connection.execute(
            "INSERT INTO users SELECT i, CASE WHEN i % 10 > 0 THEN 'secret' || i END FROM generate_series(1, 50) AS i"
        )
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "001_note.sql").write_text("CREATE TABLE notes (id int);")
    (folder / "002_email.sql").write_text("ALTER TABLE users ALTER email SET NOT NULL;")
    return str(folder), "--no-backup", "--database", database


@pytest.mark.parametrize("command", ["preflight", "apply"])
def test_rows_in_the_way_are_a_no_go_with_their_keys_and_a_command(there: tuple[str, ...], command: str) -> None:
    status, out, _ = lancio(command, *there)
    assert status == 3
    assert SAYS in out
    assert "needed at 002_email.sql:1" in out
    assert "Provider" not in out
    assert "✗ SET NOT NULL users.email (rows stand in the way)" in out
    assert "SELECT users.id::text FROM public.users AS users WHERE users.email IS NULL" in out
    assert "secret" not in out
    with psycopg.connect(there[-1]) as connection:
        assert connection.execute("SELECT to_regclass('notes')").fetchone() == (None,)


def test_the_plan_and_the_json_have_them_too(there: tuple[str, ...]) -> None:
    assert lancio("plan", *there)[0] == 3
    status, out, _ = lancio("preflight", *there, "--json")
    shown = json.loads(out)
    assert (status, shown["go"]) == (3, False)
    (missing,) = shown["missing"]
    assert missing["message"] == SAYS
    assert missing["requirement"] == {
        "object": "SET NOT NULL users.email", "kind": "data", "strength": "hard", "file": "002_email.sql", "line": 1,
        "source": "missing", "provider": None,
    }  # fmt: skip


def test_mended_rows_are_a_go(there: tuple[str, ...]) -> None:
    with psycopg.connect(there[-1], autocommit=True) as connection:
        connection.execute("UPDATE users SET email = '' WHERE email IS NULL")
    status, out, _ = lancio("preflight", *there)
    assert (status, "✓ SET NOT NULL users.email (in the database)" in out) == (0, True)
    assert lancio("apply", *there, "--yes")[0] == 0


def test_without_looking_the_step_fails_and_is_rolled_back(there: tuple[str, ...]) -> None:
    status, out, _ = lancio("preflight", *there, "--no-data")
    assert status == 0
    assert "the rows were not looked at (--no-data): a statement may fail on them" in out
    status, out, err = lancio("apply", *there, "--no-data", "--yes")
    assert status == 1
    assert "contains null values" in out + err


@pytest.mark.parametrize("limit", ["0", "-1", "1e9", "nan"])
def test_a_time_limit_that_is_none_is_refused(there: tuple[str, ...], limit: str) -> None:
    status, _, err = lancio("preflight", *there, f"--data-limit={limit}")
    assert status == 2
    assert "is no time limit" in err


def test_past_the_limit_the_command_for_a_longer_one_is_shown(there: tuple[str, ...]) -> None:
    status, out, _ = lancio("preflight", *there, "--data-limit", "0.0005")
    assert status == 3
    assert "SET NOT NULL users.email: not known, the time limit was over" in out
    assert f"lancio preflight {there[0]} --data-limit 0.005 --database" in out


def test_status_and_graph_do_not_look_at_rows(there: tuple[str, ...]) -> None:
    assert SAYS not in lancio("status", *there)[1]
    assert SAYS not in lancio("graph", *there)[1]
