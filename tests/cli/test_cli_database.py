"""The command line against a real PostgreSQL: go, no-go, run, failure, interruption, and what is said of each."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from lancio.cli import main
from lancio.cli.options import platform_folder
from lancio.cli.terminal import Terminal
from servers import database_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import TestServer

PACKAGED = sorted(path.name for path in platform_folder().glob("*.sql") if ".rollback." not in path.name)
STEPS = len(PACKAGED)
VARIABLES = ("DATABASE_URL", "REDIS_URL", "MONGO_URL", "LANCIO_KEY_FILE")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def lancio(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


def said(text: str) -> str:
    return " ".join(text.split())


def objects(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM pg_class) + (SELECT count(*) FROM pg_proc)"
            " + (SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_t')"
        ).fetchone()
    assert row is not None
    return int(row[0])


def write(folder: Path, **files: str) -> str:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name.lstrip('_')}.sql").write_text(text, encoding="utf-8")
    return str(folder)


def test_the_platform_goes_from_preflight_to_ready_and_then_nothing_is_to_do(database: str) -> None:
    there = ("--platform", "--database", database)
    status, out, err = lancio("preflight", *there)
    assert (status, err) == (0, "")
    assert f"GO: {STEPS} steps to run, every requirement met." in out
    status, out, _ = lancio("apply", *there, "--yes")
    assert status == 0
    assert [line.split()[2] for line in out.splitlines() if line.startswith("[")] == PACKAGED
    assert f"{STEPS} of {STEPS} steps applied" in out
    status, out, _ = lancio("apply", *there, "--yes")
    assert (status, out) == (0, f"Nothing to do: {STEPS} files applied, none left.\n")
    status, out, _ = lancio("status", *there)
    assert status == 0
    assert "State: READY FOR REDIS INTEGRATION" in out
    assert "Nothing to do." in out
    shown = json.loads(lancio("status", *there, "--json")[1])
    assert shown["ready"] is True
    assert {each["state"] for each in shown["files"]} == {"applied"}


def test_measured_times_take_the_place_of_declared_ones(database: str) -> None:
    there = ("--platform", "--database", database)
    assert "~2 seconds declared" in lancio("plan", *there)[1]
    assert lancio("apply", *there, "--yes")[0] == 0
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA platform CASCADE")
    drawn = lancio("graph", *there)[1]
    assert "ms measured" in drawn or "Duration: ~2 seconds declared" in drawn


@pytest.mark.parametrize(
    ("before", "only", "error", "cause", "command"),
    [
        (5, PACKAGED[7], "relation platform.databases does not exist", "Step 3 run before Step 1", PACKAGED[5]),
        (2, PACKAGED[5], "extension pgcrypto does not exist", "Migration 003 not applied", PACKAGED[2]),
        (3, PACKAGED[7], "Lancio project not found", "Migration 004 not applied", PACKAGED[3]),
        (0, PACKAGED[5], "table platform.projects does not exist", "Migration 001 not applied", PACKAGED[0]),
    ],
)
def test_each_violation_of_the_specification_is_a_no_go_before_anything_is_sent(
    database: str, before: int, only: str, error: str, cause: str, command: str
) -> None:
    there = ("--platform", "--database", database)
    if before:
        assert lancio("apply", *there, "--to", PACKAGED[before - 1])[0] == 0
    stands = objects(database)
    for verb in ("preflight", "apply"):
        status, out, _ = lancio(verb, *there, "--only", only)
        assert status == 3
        shown = said(out)
        # A table that nobody has seen yet may be called a relation.
        assert error in shown or error.replace("table ", "relation ") in shown
        assert cause in shown
        assert re.search(rf"psql .* -f \S*{re.escape(command)}", out)
        assert re.search(rf"lancio apply --platform .*--only {re.escape(command)}", out)
        assert "NO-GO" in shown
    assert objects(database) == stands


def test_a_no_go_as_json_lists_all_of_it(database: str) -> None:
    status, out, err = lancio("apply", "--platform", "--database", database, "--only", PACKAGED[7], "--json")
    assert (status, err) == (3, "")
    shown = json.loads(out)
    assert shown["event"] == "no-go"
    assert {item["provider"] for item in shown["missing"]} >= {PACKAGED[0], PACKAGED[3], PACKAGED[5]}


def test_commands_lead_to_the_database_that_was_asked(database: str) -> None:
    out = json.loads(
        lancio("preflight", "--platform", "--database", database, "--only", PACKAGED[7], "--json")[1]
    )  # fmt: skip
    own = [each for item in out["missing"] for each in item["commands"] if each.startswith("lancio ")]
    assert own
    assert all(" --database " in each for each in own)


def test_apply_streams_one_json_line_an_event(database: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "m", _001_a="CREATE TABLE a (id int);\n", _002_b="CREATE VIEW b AS SELECT id FROM a;\n")
    status, out, err = lancio("apply", folder, "--database", database, "--json")
    assert (status, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "run-started"
    assert kinds[-1] == "run-finished"
    assert kinds.count("step-applied") == 2
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))


def test_a_failing_step_says_where_and_why_and_leaves_the_ones_before(database: str, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "m", _001_a="CREATE TABLE a (id int);\nINSERT INTO a VALUES (NULL);\n",
        _002_b="CREATE TABLE b ();\nSELECT 1 / 0;\n",
    )  # fmt: skip
    status, out, err = lancio("apply", folder, "--database", database, "--yes")
    assert status == 1
    assert "✓ 001_a.sql" in out
    assert "✗ 002_b.sql  rolled back, nothing of it is left" in out
    assert "1 of 2 steps applied" in out
    assert "division by zero" in err
    assert "002_b.sql:2" in err
    assert "Cause:" in err
    assert "Traceback" not in err
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('a') IS NOT NULL, to_regclass('b') IS NULL").fetchone() == (
            True,
            True,
        )


def test_an_edited_file_is_refused_until_it_is_adopted(database: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "m", _001_a="CREATE TABLE a (id int);\n")
    there = (folder, "--database", database)
    assert lancio("apply", *there)[0] == 0
    write(tmp_path / "m", _001_a="-- a comment\nCREATE  TABLE a (id int);\r\n")
    assert lancio("apply", *there)[0] == 0
    write(tmp_path / "m", _001_a="CREATE TABLE a (id bigint);\n")
    status, out, _ = lancio("apply", *there)
    assert status == 3
    assert "001_a.sql" in out
    assert lancio("adopt", *there, "--edited", "001_a.sql")[0] == 0
    assert lancio("apply", *there)[0] == 0
    assert lancio("adopt", *there, "--edited", "none.sql")[0] == 2


def test_a_credential_without_a_key_is_refused_before_anything_is_sent(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@cache:6379")
    stands = objects(database)
    status, out, err = lancio("apply", "--platform", "--database", database, "--yes")
    assert status == 2
    assert "REDIS_URL is set, but there is no key" in err
    assert "LANCIO_KEY_FILE" in err
    assert "hunter2" not in out + err
    assert objects(database) == stands


def test_what_needs_no_sealing_needs_no_key(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://cache:6379")
    monkeypatch.setenv("MONGO_URL", "absent")
    status, _, err = lancio("apply", "--platform", "--database", database, "--yes")
    assert status == 0, err
    assert "Railway MongoDB not found" in err
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT type, connection_string FROM platform.databases").fetchall() == [
            ("redis", "redis://cache:6379")
        ]


def test_a_credential_with_a_key_is_sealed_and_never_shown(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.write_text(f"key_id = 1\nkey = {'ab' * 64}\n", encoding="ascii")
    key.chmod(0o600)
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@cache:6379")
    monkeypatch.setenv("LANCIO_KEY_FILE", str(key))
    status, out, err = lancio("apply", "--platform", "--database", database, "--json")
    assert status == 0, out
    assert "hunter2" not in out + err
    assert "ab" * 64 not in out + err
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT connection_string, connection_string_encrypted IS NOT NULL FROM platform.databases"
            " WHERE type = 'redis'"
        ).fetchone()
    assert row is not None
    assert row[0].startswith("redis://sealed:")
    assert row[1] is True


def test_a_file_that_is_not_there_is_named(database: str) -> None:
    status, _, err = lancio("plan", "--platform", "--database", database, "--to", "007.sql")
    assert status == 2
    assert "there is no file 007.sql" in err


@pytest.mark.parametrize(
    ("url", "code"),
    [("postgresql://nobody:hunter2@127.0.0.1:1/x", 1), ("mysql://nobody:hunter2@h/x", 2), ("", 2)],
)
def test_a_server_that_cannot_be_reached_is_a_refusal_without_the_password(url: str, code: int) -> None:
    status, out, err = lancio("plan", "--platform", "--database", url)
    assert (status, out) == (code, "")
    assert "Solution:" in err
    assert "hunter2" not in err


def test_ctrl_c_rolls_back_says_where_things_stand_and_ends_with_130(database: str, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "m", _001_a="CREATE TABLE a (id int);\n", _002_b="CREATE TABLE b ();\nSELECT pg_sleep(60);\n"
    )
    with (
        subprocess.Popen(
            [sys.executable, "-m", "lancio", "apply", folder, "--database", database, "--yes"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as running,
        psycopg.connect(database, autocommit=True) as connection,
    ):  # fmt: skip
        try:
            _wait_for_sleep(connection)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=30)
        except BaseException:
            running.kill()
            raise
        assert running.returncode == 130
        assert "✗ 002_b.sql" in out
        assert "1 of 2 steps" in out + err
        assert "Traceback" not in err
        row = connection.execute("SELECT to_regclass('a') IS NOT NULL, to_regclass('b') IS NULL").fetchone()
        assert row == (True, True)


def _wait_for_sleep(connection: psycopg.Connection) -> None:
    """Until another session of this database is asleep on purpose."""
    for _ in range(300):
        found = connection.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
        ).fetchone()
        if found is not None:
            return
        time.sleep(0.1)
    raise AssertionError("the second step never ran")


def test_on_a_terminal_the_run_moves_and_leaves_the_same_lines(database: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "m", _001_a="CREATE TABLE a (id int);\n", _002_b="SELECT pg_sleep(0.5);\n")
    terminal, inner = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "lancio", "apply", folder, "--database", database, "--yes"],
        stdin=inner, stdout=inner, stderr=inner, env=os.environ | {"TERM": "xterm", "COLUMNS": "90"},
    )  # fmt: skip
    os.close(inner)
    shown = b""
    while select.select([terminal], [], [], 60)[0]:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    assert running.wait(timeout=60) == 0
    text = shown.decode()
    assert "\033[2K" in text
    plain = re.sub(r"\033\[[0-9;?]*[A-Za-z]", "", text)
    assert "[1/2] ✓ 001_a.sql" in plain
    assert "[2/2] ✓ 002_b.sql" in plain
    assert "2 of 2 steps applied" in plain


@pytest.fixture
def home() -> Iterator[Path]:
    """A home for an embedded server that every account may enter: under root PostgreSQL runs as another one."""
    with tempfile.TemporaryDirectory(prefix="lancio-demo-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "home"


@pytest.mark.embedded
def test_the_demo_runs_whatever_the_environment_says_and_has_nothing_to_do_the_second_time(home: Path) -> None:
    environ = os.environ | {
        "LANCIO_HOME": str(home), "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "PGHOST": "127.0.0.1",
        "PGPORT": "1", "REDIS_URL": "redis://:hunter2@cache:6379", "MONGO_URL": "absent", "LANCIO_KEY_FILE": "/nowhere",
    }  # fmt: skip

    def demo() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lancio", "demo"],
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    try:
        first = demo()
        assert first.returncode == 0, first.stderr
        for line in (
            "STEP 1: 006_add_platform_databases_table.sql", f"GO: {STEPS} steps to run, every requirement met.",
            f"{STEPS} of {STEPS} steps applied", "- [x] Migration 004 applied (Lancio project exists)",
            "State: READY FOR REDIS INTEGRATION",
        ):  # fmt: skip
            assert line in first.stdout
        assert "hunter2" not in first.stdout + first.stderr
        again = demo()
        assert again.returncode == 0, again.stderr
        assert f"Nothing to do: {STEPS} files applied, none left." in again.stdout
        # What other versions of the files made is kept, and the demo begins anew.
        other = (
            "import psycopg; from lancio import embedded;"
            "c = psycopg.connect(**embedded.start().parameters() | {'dbname': 'lancio_demo'}, autocommit=True);"
            "c.execute('CREATE TABLE mine ()'); "
            "c.execute(\"UPDATE lancio.step SET (checksum, digest) = (repeat('0', 64), repeat('0', 64))\")"
        )
        subprocess.run([sys.executable, "-c", other], env=environ, check=True)
        anew = demo()
        assert anew.returncode == 0, anew.stdout + anew.stderr
        assert "Other versions of these files had made lancio_demo: it is kept as lancio_demo_2" in anew.stderr
        assert f"{STEPS} of {STEPS} steps applied" in anew.stdout
        assert "STEP 1" not in again.stdout
    finally:
        stopped = subprocess.run(
            [sys.executable, "-m", "lancio", "server", "stop"], env=environ, capture_output=True, text=True, check=False
        )
        assert stopped.stdout == "Stopped.\n", stopped.stderr


def test_a_table_that_is_there_is_not_said_to_be_gone(database: str, tmp_path: Path) -> None:
    (tmp_path / "users.sql").write_text("CREATE TABLE users (id int);")
    asked = ("explain", 'relation "users" does not exist', str(tmp_path))
    unasked = " ".join(lancio(*asked, "--offline")[1].split())
    assert "not applied, or applied and out of sight" in unasked
    assert lancio("apply", str(tmp_path), "--database", database, "--yes")[0] == 0
    assert re.search(r"The one check holds\.", lancio("verify", str(tmp_path), "--database", database)[1])
    status, out, _ = lancio(*asked, "--database", database)
    assert status == 0
    assert "The table public.users is there." in out
    assert "search_path" in out
    assert "by hand" not in out
    assert "Run:" not in out
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP TABLE users")
    assert "taken away by hand" in " ".join(lancio(*asked, "--database", database)[1].split())


def test_verify_tells_what_no_longer_stands(database: str) -> None:
    there = ("--platform", "--database", database)
    assert "nothing to verify" in lancio("verify", *there)[1]
    assert lancio("apply", *there)[0] == 0
    status, out, _ = lancio("verify", *there)
    assert status == 0
    assert "✗" not in out
    assert re.search(r"All \d+ checks hold\.", out)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP POLICY permissive_all_users ON platform.users")
    status, out, _ = lancio("verify", *there)
    assert status == 1
    assert re.search(r"✗ 006_enable_rls_with_permissive_policies.sql: .*polic", out)
    shown = json.loads(lancio("verify", *there, "--json")[1])
    assert shown["holds"] is False
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP SCHEMA platform CASCADE")
    status, out, err = lancio("verify", *there)
    assert status == 1
    assert "Traceback" not in err


def test_a_person_may_think_longer_than_the_database_lets_a_session_idle(server: TestServer, database: str) -> None:
    from lancio.cli import work

    with server.connect() as connection:
        connection.execute(f"ALTER DATABASE {database_of(database)} SET idle_session_timeout = '100ms'")
        connection.execute(f"ALTER DATABASE {database_of(database)} SET transaction_timeout = '100ms'")
    with work.session(database, None) as session:
        time.sleep(0.5)
        assert session.connection.execute("SELECT 1 FROM pg_sleep(0.3)").fetchone() == (1,)
