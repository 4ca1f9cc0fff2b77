"""`lancio drift` as people use it: what is said, what counts as applied, what is ignored, what it refuses."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import conninfo

from lancio.cli import main
from lancio.cli.terminal import Terminal
from servers import database_of

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Pool
    from servers import TestServer

FILES = {
    "001_users.sql": "CREATE TABLE users (id integer PRIMARY KEY, email varchar(20) NOT NULL);",
    "002_view.sql": "CREATE VIEW seen AS SELECT id FROM users WHERE id > 0;",
    "003_later.sql": "CREATE TABLE later (id integer);",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    made = tmp_path / "m"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made


def lancio(*words: object) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run([str(word) for word in words], Terminal(out, err, {}))
    return status, " ".join((out.getvalue() + err.getvalue()).split())


def execute(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements.encode())


def test_the_plan_names_the_command_that_shows_a_change_by_hand(database: str, folder: Path) -> None:
    assert lancio("apply", folder, "--database", database, "--yes", "--to", "002_view.sql")[0] == 0
    execute(database, "ALTER TABLE users ALTER email TYPE text")
    status, said = lancio("preflight", folder, "--database", database)
    assert status == 0
    assert "001_users.sql ran here in another version: column public.users.email" in said
    assert f"this shows what mends each difference: lancio drift {folder}" in said


def test_a_change_by_hand_is_told_with_its_file_and_nothing_is_changed(
    scratch_url: str, database: str, folder: Path
) -> None:
    there = (folder, "--database", database, "--scratch", scratch_url)
    assert lancio("apply", folder, "--database", database, "--yes", "--to", "002_view.sql")[0] == 0
    status, said = lancio("drift", *there)
    assert status == 0
    assert "No drift: 5 objects as the files make them." in said
    execute(database, "ALTER TABLE users ALTER email TYPE varchar(30); CREATE INDEX slow ON users (email)")
    status, said = lancio("drift", *there)
    assert status == 1
    assert "≠ column public.users.email: type expected: character varying(20) found: character varying(30)" in said
    assert "made at 001_users.sql:1" in said
    assert "EXTRA: made by no file (1) + index public.slow of public.users" in said
    status, said = lancio("drift", *there, "--json")
    found = json.loads(said)
    assert (status, found["drift"], found["way"]) == (1, True, "rehearsed")
    assert found["files"] == ["001_users.sql", "002_view.sql"]
    assert [(each["deed"], each["object"]) for each in found["differences"]] == [
        ("changed", "public.users.email"), ("extra", "public.slow")
    ]  # fmt: skip
    assert found["differences"][0]["made_at"] == {"file": "001_users.sql", "line": 1}
    with psycopg.connect(scratch_url) as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'lancio_scratch%'").fetchall()
    assert left == []


def test_without_a_ledger_what_the_catalog_shows_counts_as_applied(
    scratch_url: str, database: str, folder: Path
) -> None:
    execute(database, f"{FILES['001_users.sql']}{FILES['002_view.sql']}")
    assert lancio("drift", folder, "--database", database, "--scratch", scratch_url)[0] == 0
    execute(database, "CREATE OR REPLACE VIEW seen AS SELECT id FROM users WHERE id > 1")
    status, said = lancio("drift", folder, "--database", database, "--scratch", scratch_url)
    assert (status, "view public.seen: definition" in said) == (1, True)


def test_an_empty_database_has_no_drift(scratch_url: str, database: str, folder: Path) -> None:
    status, said = lancio("drift", folder, "--database", database, "--scratch", scratch_url)
    assert (status, "No drift: 0 objects" in said) == (0, True), said


def test_read_says_what_it_cannot_tell(database: str, folder: Path) -> None:
    there = (folder, "--database", database)
    assert lancio("apply", *there, "--yes")[0] == 0
    status, said = lancio("drift", *there, "--read")
    assert (status, "No drift" in said, "texts are not compared" in said) == (0, True, True)
    execute(
        database,
        "ALTER TABLE users ALTER email TYPE text, ADD COLUMN more int; DROP TABLE later; CREATE TABLE other (id int);"
        "CREATE TRIGGER twice BEFORE INSERT OR DELETE ON users EXECUTE PROCEDURE suppress_redundant_updates_trigger()",
    )
    status, said = lancio("drift", *there, "--read", "--json")
    found = json.loads(said)
    assert (status, found["way"]) == (1, "read")
    assert [(each["deed"], each["kind"], each["object"]) for each in found["differences"]] == [
        ("missing", "table", "public.later"),
        ("changed", "column", "public.users.email"),
        ("extra", "column", "public.users.more"),
        ("extra", "table", "public.other"),
        ("extra", "trigger", "twice on public.users"),
    ]
    assert found["differences"][0]["made_at"] == {"file": "003_later.sql", "line": 1}


def test_the_ignore_list_of_lancio_toml_and_of_the_command_line(
    scratch_url: str, database: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ("m", "--database", database, "--scratch", scratch_url)
    monkeypatch.chdir(tmp_path)
    assert lancio("apply", "m", "--database", database, "--yes")[0] == 0
    execute(
        database,
        "CREATE SCHEMA audit; CREATE TABLE audit.log (id int); CREATE TABLE tmp_1 (id int);"
        "COMMENT ON TABLE users IS 'x'",
    )
    assert lancio("drift", *there)[0] == 1
    (tmp_path / "lancio.toml").write_text('[drift]\nignore = ["audit", "public.tmp_*", "*: comment"]\n')
    status, said = lancio("drift", *there)
    assert (status, "3 differences ignored." in said) == (0, True), said
    # The command line's list takes the place of the file's, as elsewhere.
    assert lancio("drift", *there, "--ignore", "audit")[0] == 1
    (tmp_path / "lancio.toml").write_text("[drift]\nignored = []\n")
    status, said = lancio("drift", *there)
    assert (status, "unknown key ignored" in said) == (2, True)


def test_the_history_of_another_tool_is_no_drift(scratch_url: str, database: str, folder: Path) -> None:
    assert lancio("apply", folder, "--database", database, "--yes")[0] == 0
    execute(database, "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL)")
    assert lancio("drift", folder, "--database", database, "--scratch", scratch_url)[0] == 0


def test_what_is_there_before_the_first_file(scratch_url: str, database: str, folder: Path, tmp_path: Path) -> None:
    (folder / "004_host.sql").write_text("CREATE TABLE mine (id integer REFERENCES host.users (id));")
    before = tmp_path / "before.sql"
    before.write_text("CREATE SCHEMA host; CREATE TABLE host.users (id integer PRIMARY KEY);")
    execute(database, before.read_text())
    assert lancio("apply", folder, "--database", database, "--yes")[0] == 0
    there = (folder, "--database", database, "--scratch", scratch_url)
    status, said = lancio("drift", *there)
    assert (status, "004_host.sql does not run on the scratch database" in said, "--before" in said) == (1, True, True)
    execute(database, "ALTER TABLE host.users ADD COLUMN theirs text")
    status, said = lancio("drift", *there, "--before", before)
    assert (status, "column host.users.theirs" in said) == (1, True)
    assert lancio("drift", *there, "--before", before, "--ignore", "host")[0] == 0


def test_another_role_applied_it_and_other_roles_are_granted_to(
    server: TestServer, scratch_url: str, database: str, folder: Path
) -> None:
    role = f"drift_{database_of(database)}"
    with server.connect() as connection:
        connection.execute(
            f"CREATE ROLE {role}; CREATE ROLE {role}_reader; GRANT CREATE ON DATABASE {database_of(database)} TO {role}"
        )
        connection.execute(f"GRANT {role} TO CURRENT_USER")
    execute(database, f"GRANT ALL ON SCHEMA public TO {role}")
    (folder / "004_grant.sql").write_text(f"GRANT SELECT ON users TO {role}_reader;")
    there = (folder, "--database", database)
    try:
        status, said = lancio("apply", *there, "--yes", "--role", role)
        assert status == 0, said
        # The scratch server has none of these roles, and has none at the end.
        status, said = lancio("drift", *there, "--scratch", scratch_url)
        assert status == 0, said  # what was there before the files, the schema public, is not theirs
        with psycopg.connect(scratch_url) as connection:
            assert connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'drift%'").fetchall() == []
        execute(database, f"REVOKE SELECT ON users FROM {role}_reader; ALTER TABLE later OWNER TO {role}_reader")
        status, said = lancio("drift", *there)
        assert status == 1
        assert f"table public.users: privileges of {role}_reader expected: select found: none" in said
        assert f"table public.later: owner expected: the role that applies the files found: {role}_reader" in said
    finally:
        server.drop_database(database)
        with server.connect() as connection:
            connection.execute(f"DROP ROLE {role}; DROP ROLE {role}_reader")


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("--read", "--rehearse"), 2, "--read goes without a scratch server"),
        (("--scratch", "postgresql://nobody@127.0.0.1:1/none"), 1, "127.0.0.1"),
        (("--before", "not/there.sql"), 2, "not/there.sql cannot be read"),
    ],
)
def test_what_cannot_be_done_is_refused(
    database: str, folder: Path, words: tuple[str, ...], status: int, says: str
) -> None:
    found, said = lancio("drift", folder, "--database", database, *words)
    assert (found, says in said) == (status, True), said


def test_a_scratch_server_of_another_version_is_refused_or_done_without(
    scratch_url: str, pool: Pool, folder: Path
) -> None:
    older = pool.get(10)
    url = older.create_database()
    there = (folder, "--database", url)
    execute(url, FILES["001_users.sql"])
    status, said = lancio("drift", *there, "--scratch", scratch_url)
    assert (status, "Texts of views, functions" in said) == (1, True), said
    status, said = lancio("drift", *there, "--scratch", older.url())
    assert (status, "run on a scratch database" in said) == (0, True), said
    # By itself it does without, where there is no PostgreSQL 10 to be started.
    status, said = lancio("drift", *there)
    assert (status, "Not rehearsed: no PostgreSQL 10 can be started here" in said) == (0, True), said
    assert lancio("drift", *there, "--rehearse")[0] == 1
    older.drop_database(url)


def test_who_may_not_make_databases_on_the_scratch_server_is_told_so(
    server: TestServer, scratch_url: str, database: str, folder: Path
) -> None:
    with server.connect() as connection:
        connection.execute("CREATE ROLE drift_poor LOGIN PASSWORD 'poor'")
    try:
        poor = conninfo.make_conninfo(server.url(), user="drift_poor", password="poor")
        status, said = lancio("drift", folder, "--database", database, "--scratch", poor)
        assert (status, "permission denied to create database" in said) == (1, True), said
        # Reading alone takes no right but to look.
        assert (
            lancio(
                "drift",
                folder,
                "--database",
                conninfo.make_conninfo(database, user="drift_poor", password="poor"),
                "--scratch",
                server.url(),
            )[0]
            == 0
        )
    finally:
        with server.connect() as connection:
            connection.execute("DROP ROLE drift_poor")
