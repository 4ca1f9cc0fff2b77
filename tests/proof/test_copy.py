"""A plan tried on a copy of the real database: nothing of the original changes, and nothing of the copy is left."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.executor import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lancio.proof import scratch

pytestmark = pytest.mark.embedded


def lancio(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


def said(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def live(memory: scratch.Scratch) -> Iterator[str]:
    """A database with rows that stand in a step's way."""
    name = memory.create()
    with memory.connect(name) as connection:
        connection.execute("CREATE TABLE people (id serial PRIMARY KEY, email text)")
        connection.execute("INSERT INTO people (email) SELECT nullif('x' || i, 'x7') FROM generate_series(1, 20) AS i")
    parts = conninfo_to_dict(memory.conninfo)
    yield f"postgresql://{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}/{name}"
    memory.drop(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "migrations"
    found.mkdir()
    (found / "001.sql").write_text("UPDATE people SET email = email || '!'; CREATE TABLE fresh (id integer);")
    return found


def state(url: str) -> tuple[str, list[tuple[object, ...]]]:
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("SELECT id, email FROM people ORDER BY id").fetchall()
        return fingerprint.take(connection).hash, rows


def databases(server: scratch.Scratch) -> set[str]:
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


def test_a_plan_runs_on_a_copy_with_its_rows_made_on_the_same_server(memory, live, folder):
    before, there = state(live), databases(memory)
    status, out, err = lancio("plan", str(folder), "--rehearse", "--copy", "--database", live, "--json", "--no-backup")
    assert status == 0, out + err
    told = json.loads(out)["rehearsal"]
    assert "with its rows, made on its own server" in told["begins"]
    (step,) = told["steps"]
    assert step["failed"] is None
    assert step["duration_ms"] > 0
    assert {each["relation"]: each["mode"] for each in step["locks"]}["public.people"] == "ROW EXCLUSIVE"
    assert state(live) == before
    assert databases(memory) == there


def test_rows_that_stand_in_the_way_show_on_the_copy(memory, live, folder):
    (folder / "002.sql").write_text("ALTER TABLE people ALTER email SET NOT NULL;")
    before, there = state(live), databases(memory)
    status, out, _ = lancio("plan", str(folder), "--rehearse", "--copy", "--no-data", "--no-backup", "--database", live)
    assert status == 1
    assert 'column "email" of relation "people" contains null values' in said(out)
    assert state(live) == before
    assert databases(memory) == there


def test_who_is_connected_is_named_and_the_copy_made_by_pg_dump(memory, live, folder):
    before = state(live)
    with psycopg.connect(live, application_name="the shop"):
        words = ("plan", str(folder), "--rehearse", "--copy", "--no-backup", "--database", live)
        status, out, err = lancio(*words)
        assert status == 0, out + err
        assert "others are connected to it" in said(out)
        assert "the shop" in said(out)
        there = databases(memory)
        status, out, _ = lancio(*words, "--scratch", memory.conninfo)  # where it is said
        assert status == 0
        assert "others are connected" not in said(out)
        assert databases(memory) == there
    assert state(live) == before


def test_who_may_not_copy_is_told_why(memory, live, folder):
    with psycopg.connect(live, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS lancio_test_small")
        connection.execute("CREATE ROLE lancio_test_small LOGIN PASSWORD 'small'")
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO lancio_test_small")
        connection.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO lancio_test_small")
        connection.execute("GRANT CREATE ON SCHEMA public TO lancio_test_small")
    parts = conninfo_to_dict(live)
    url = f"postgresql://lancio_test_small:small@{parts['host']}:{parts['port']}/{parts['dbname']}"
    try:
        status, out, err = lancio("plan", str(folder), "--rehearse", "--copy", "--no-backup", "--database", url)
        assert status == 0, out + err
        assert "this role may not" in said(out)
    finally:
        with psycopg.connect(live, autocommit=True) as connection:
            connection.execute("DROP OWNED BY lancio_test_small; DROP ROLE lancio_test_small")


def test_settings_of_the_database_hold_in_the_copy_and_foreign_servers_are_cut_off(memory, live, folder):
    with psycopg.connect(live, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute("CREATE SCHEMA app")
        connection.execute(f'ALTER DATABASE "{name}" SET search_path TO app, public')
        connection.execute(f"ALTER DATABASE \"{name}\" SET lancio.words TO 'it''s'")
        connection.execute("CREATE FOREIGN DATA WRAPPER w; CREATE SERVER away FOREIGN DATA WRAPPER w")
        connection.execute("CREATE USER MAPPING FOR PUBLIC SERVER away OPTIONS (password 'not-to-be-used')")
    (folder / "001.sql").write_text(
        "DO $$ BEGIN ASSERT current_setting('lancio.words') = 'it''s';"
        " ASSERT NOT EXISTS (SELECT FROM pg_user_mappings);"
        " ASSERT current_schema() = 'app'; END $$;"
    )
    for more in ((), ("--scratch", memory.conninfo)):
        status, out, err = lancio("plan", str(folder), "--rehearse", "--copy", "--no-backup", "--database", live, *more)
        assert status == 0, out + err
        assert "no user mappings, so that nothing reaches away" in said(out)
    with psycopg.connect(live, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM pg_user_mappings").fetchone()[0] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("others", [False, True])
def test_a_copy_is_gone_after_a_signal(memory, live, folder, number, others):
    (folder / "001.sql").write_text("SELECT pg_sleep(60);")
    there = databases(memory)
    more = ["--scratch", memory.conninfo] if others else []
    command = [sys.executable, "-c", "from lancio.cli.main import main; main()", "plan", str(folder), "--rehearse",
               "--copy", "--no-backup", "--database", live, *more]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)) as child:
        until = time.monotonic() + 60
        while time.monotonic() < until and not sleeping(memory):
            time.sleep(0.1)
        assert len(databases(memory)) == len(there) + 1
        child.send_signal(number)
        child.communicate(timeout=60)
        assert child.returncode == 130
    assert databases(memory) == there


def sleeping(server: scratch.Scratch) -> bool:
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query ~ 'pg_sleep.60' AND pid <> pg_backend_pid())"
        return bool(connection.execute(query).fetchone()[0])


def test_copy_and_scratch_go_with_rehearse(live, folder):
    for flag in ("--copy", "--scratch=x"):
        status, _, err = lancio("plan", str(folder), flag, "--database", live)
        assert status == 2
        assert "goes with --rehearse" in err
