"""`plan --sql`: psql alone makes the database that `apply` makes, and no secret is in the script."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from test_cli_uses import lancio

import servers
from lancio import embedded

if TYPE_CHECKING:
    from pathlib import Path

    from servers import TestServer

CORNERS = {
    "001_base.sql": """
BEGIN;
SET search_path = public;
CREATE TABLE t (id int PRIMARY KEY, "odd; name" text DEFAULT 'a;b -- c');
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; -- ; $verify$
END $$;
COMMIT;
""",
    "002_rows.sql": """-- lancio: verify SELECT count(*) = 2 FROM t WHERE "odd; name" = '$verify$'
CREATE TABLE child (t int REFERENCES t DEFERRABLE INITIALLY DEFERRED);
INSERT INTO child VALUES (1);
INSERT INTO t VALUES (1, '$verify$'), (2, '$verify$') -- the last one
""",
    "003_index.sql": 'CREATE INDEX CONCURRENTLY by_name ON t ("odd; name");\n',
    "004_array.sql": "SET search_path = nowhere;\nCREATE VIEW public.part AS SELECT (ARRAY[1, 2, 3])[1:2] AS a;\n",
    "005_unset.sql": "CREATE TABLE plain (id int);\n",
    "006_mixed.sql": """SET search_path = aside, public;
CREATE SCHEMA aside; CREATE TABLE mixed (id int);
CREATE INDEX CONCURRENTLY mixed_id ON mixed (id); VACUUM mixed;
CREATE TYPE kind AS ENUM ('a');
BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO mixed VALUES (1); COMMIT;
CREATE INDEX CONCURRENTLY ON mixed (id);
""",
}


def folder(path: Path, files: dict[str, str]) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def dumped(url: str) -> list[str]:
    """What pg_dump says of a database, but for the ledger and what differs by nature."""
    programs = embedded.unpack(servers.POOL)
    given = conninfo_to_dict(url)
    env = os.environ | {"LD_LIBRARY_PATH": str(programs / "lib")} | {"PGPASSWORD": str(given.pop("password", ""))}
    words = [f"--{'username' if key == 'user' else key}={value}" for key, value in given.items()
             if key in ("host", "port", "user", "dbname")]  # fmt: skip
    dump = programs / "bin" / "pg_dump"
    done = subprocess.run(
        [dump, "--exclude-schema=lancio", *words], env=env, capture_output=True, text=True, check=True
    )
    return [line for line in done.stdout.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


def planned(url: str, *words: object) -> tuple[int, str, str]:
    return lancio("plan", *words, "--sql", "--database", url)


def both(server: TestServer, tmp_path: Path, *words: object, variables: tuple[str, ...] = ()) -> tuple[str, str]:
    """Two databases: one by `apply`, one by psql and the script; their addresses."""
    one, other = server.create_database(), server.create_database()
    status, script, said = planned(other, *words)
    assert status == 0, said
    (tmp_path / "plan.sql").write_text(script)
    done = psql(other, tmp_path / "plan.sql", *variables)
    assert done.returncode == 0, done.stderr
    status, _, said = lancio("apply", *words, "--yes", "--database", one)
    assert status == 0, said
    return one, other


def psql(url: str, path: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    program, own = servers.psql_program()
    given = conninfo_to_dict(url)
    password = str(given.pop("password", ""))
    target = psycopg.conninfo.make_conninfo("", **given)
    words = [word for each in variables for word in ("-c", each)]
    return subprocess.run(
        [program, "-X", "-q", "-v", "ON_ERROR_STOP=1", *words, "-f", str(path), target],
        env=os.environ | own | {"PGPASSWORD": password}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_platform_by_psql_is_the_platform_by_apply(server: TestServer, tmp_path: Path) -> None:
    one, other = both(server, tmp_path, "--platform")
    assert shaped(one) == shaped(other)


def shaped(url: str) -> list[str]:
    """The dump with every row's values left out, of which some are drawn by chance or are the time of the run."""
    return ["a row" if "\t" in line or "setval(" in line else line for line in dumped(url)]


def test_corners_by_psql_are_corners_by_apply(server: TestServer, tmp_path: Path) -> None:
    one, other = both(server, tmp_path, folder(tmp_path / "migrations", CORNERS))
    assert dumped(one) == dumped(other)
    assert any("by_name" in line for line in dumped(other))


def test_a_step_whose_verification_fails_leaves_nothing(server: TestServer, tmp_path: Path) -> None:
    files = {"1.sql": "CREATE TABLE a ();\n", "2.sql": "-- lancio: verify SELECT false\nCREATE TABLE b ();\n"}
    url = server.create_database()
    (tmp_path / "plan.sql").write_text(planned(url, folder(tmp_path / "migrations", files))[1])
    done = psql(url, tmp_path / "plan.sql")
    assert done.returncode == 3
    assert "verification failed: SELECT false" in done.stderr
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT to_regclass('a') IS NULL, to_regclass('b') IS NULL").fetchone() == (
            False,
            True,
        )


def test_what_comes_by_environment_is_a_variable_and_stands_nowhere(
    server: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://cache:6379")
    files = {"1.sql": "CREATE TABLE kept AS SELECT current_setting('lancio.redis_url', true) AS said;\n"}
    where = folder(tmp_path / "migrations", files)
    url = server.create_database()
    status, script, _ = planned(url, where)
    assert status == 0
    assert "cache:6379" not in script
    assert "printenv REDIS_URL" in script
    one, other = both(server, tmp_path, where, variables=(r"\set lancio_redis_url `printenv REDIS_URL`",))
    assert dumped(one) == dumped(other)
    with psycopg.connect(other) as connection:
        assert connection.execute("SELECT said FROM kept").fetchone() == ("redis://cache:6379",)
    password = conninfo_to_dict(url).get("password")
    assert not password or str(password) not in script


def test_names_cannot_leave_their_comment(server: TestServer, tmp_path: Path) -> None:
    files = {
        "1.sql": 'CREATE TABLE "x\nDROP TABLE y; --" (id int);\n',
        "2.sql": 'ALTER TABLE "x\nDROP TABLE y; --" ADD COLUMN n int;\n-- lancio: impact a\\! touch hacked\n',
    }
    _, script, _ = planned(server.create_database(), folder(tmp_path / "migrations", files))
    heads = [line for line in script.splitlines() if "locks:" in line or "verifies:" in line]
    assert len(heads) == 4
    assert all(line.startswith("-- ") for line in heads)
    assert not any(line.startswith("DROP TABLE") and "locks" in line for line in script.splitlines())
    both(server, tmp_path, tmp_path / "migrations")


def test_no_script_of_a_no_go(server: TestServer, tmp_path: Path) -> None:
    where = folder(tmp_path / "migrations", {"1.sql": "CREATE VIEW v AS SELECT * FROM nowhere;\n"})
    status, out, err = planned(server.create_database(), where)
    assert (status, out) == (3, "")
    assert "nowhere" in err


@pytest.mark.parametrize("other", ["--json", "--rehearse"])
def test_sql_goes_with_no_other_form(other: str, tmp_path: Path) -> None:
    assert lancio("plan", tmp_path, "--sql", other)[0] == 2


def test_nothing_left_is_a_comment(server: TestServer, tmp_path: Path) -> None:
    where = folder(tmp_path / "migrations", {"1.sql": "CREATE TABLE a ();\n"})
    url = server.create_database()
    assert lancio("apply", where, "--yes", "--database", url)[0] == 0
    status, script, _ = planned(url, where)
    assert status == 0
    assert all(line.startswith("--") for line in script.splitlines())
