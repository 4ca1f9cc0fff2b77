"""A squashed history makes the same as the history; old databases go on, half-way ones are refused."""

from __future__ import annotations

import errno
import io
import json
import shutil
from typing import TYPE_CHECKING

import psycopg
import pytest

from lancio.catalog import profile
from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.executor import facts
from lancio.planner import graph
from lancio.proof import squash
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from pathlib import Path

    from servers import TestServer

FILES = {
    "001_users.sql": """CREATE SCHEMA app;
CREATE EXTENSION pgcrypto;
CREATE TYPE app.mood AS ENUM ('well', 'ill');
CREATE TABLE app.users (id serial PRIMARY KEY, email text NOT NULL, mood app.mood DEFAULT 'well', old text);
COMMENT ON TABLE app.users IS 'who -- they are';
INSERT INTO app.users (email) VALUES ('a@b'), ('c''d; e');
""",
    "002_orders.sql": """DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'squash_reader') THEN CREATE ROLE squash_reader; END IF;
END $$;
CREATE TABLE app.orders (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    buyer integer REFERENCES app.users (id), state text CHECK (state IN ('new', 'paid')),
    doubled integer GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO app.orders (buyer, state) SELECT id, 'new' FROM app.users;
GRANT SELECT ON app.orders TO squash_reader;
ALTER TABLE app.orders OWNER TO squash_reader;
""",
    "003_code.sql": """SET search_path = app;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN -- a comment that stays
    NEW.email := lower(NEW.email);
    RETURN NEW;
END $$;
CREATE TRIGGER touched BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE VIEW ill AS SELECT id, email FROM users WHERE mood IN ('ill');
CREATE MATERIALIZED VIEW sums AS SELECT buyer, count(*) FROM orders GROUP BY buyer;
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON users USING (id > 0);
ALTER TABLE users DROP COLUMN old;
""",
    "004_more.sql": "CREATE INDEX by_mood ON app.users (mood);\nINSERT INTO app.users (email) VALUES ('F@G');",
}
OUT = "003_baseline.sql"
SCRATCH: list[str] = []
"""Where files are tried, unless a server of its own is asked for."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, scratch_url: str) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    SCRATCH[:] = [scratch_url]


@pytest.fixture
def folder(tmp_path: Path, server: TestServer) -> Path:
    made = tmp_path / "m"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(text)
    yield made
    with server.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS squash_reader")


def lancio(*words: object) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    if words[0] in ("squash", "drift") and "own" not in words:
        words = (*words, "--scratch", SCRATCH[0])
    words = tuple(word for word in words if word != "own")
    status = main.run([str(word) for word in words], Terminal(out, err, {}))
    return status, " ".join((out.getvalue() + err.getvalue()).split())


def apply(folder: Path, url: str, *more: str) -> tuple[int, str]:
    return lancio("apply", folder, "--database", url, "--yes", "--no-backup", *more)


def recorded(url: str) -> dict[str, tuple[str, str]]:
    with psycopg.connect(url) as connection:
        return {
            row[0]: row[1:]
            for row in connection.execute("SELECT migration, state, origin FROM lancio.step ORDER BY id")
        }


def held(url: str) -> tuple[facts.Facts, squash.Rows]:
    with psycopg.connect(url, autocommit=True) as connection:
        return facts.of(connection), squash.rows_of(connection)


@pytest.fixture
def other(server: TestServer):
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture
def databases(database: str, other: str, server: TestServer, folder: Path):
    """Their databases are gone before the role that they know."""
    yield database, other
    server.drop_database(database)
    server.drop_database(other)


def test_a_new_database_runs_the_baseline_alone_and_an_old_one_goes_on(
    databases: tuple[str, str], folder: Path, tmp_path: Path
) -> None:
    database, other = databases
    assert apply(folder, other, "--to", "003_code.sql")[0] == 0
    status, said = lancio("squash", folder, "--to", "003_code.sql", "--out", OUT, "--archive", tmp_path / "old", "own")
    assert status == 0, said
    assert "CREATE ROLE squash_reader" in (folder / OUT).read_text()
    assert "stands for 3 files, and makes the same" in said
    assert sorted(each.name for each in folder.iterdir()) == [OUT, "004_more.sql"]
    assert sorted(each.name for each in (tmp_path / "old").iterdir()) == sorted(FILES)[:3]
    text = (folder / OUT).read_text()
    assert "restrict" not in text
    assert "search_path', ''" not in text
    assert "-- a comment that stays" in text
    assert [name for name, _ in read_folder(folder).migrations[0].replaces] == sorted(FILES)[:3]

    status, said = apply(folder, database)
    assert (status, "2 of 2 steps applied" in said) == (0, True), said
    assert recorded(database) == {OUT: ("applied", "lancio"), "004_more.sql": ("applied", "lancio")}

    assert OUT not in " ".join(step["file"] for step in planned(folder, other)["steps"])
    status, said = apply(folder, other)
    assert (status, "1 of 1 step applied" in said) == (0, True), said
    assert f"{OUT}: recorded, not run; all that it stands for ran here." in said
    assert recorded(other)[OUT] == ("adopted", "replaced")
    for url in databases:
        assert "Nothing to do" in apply(folder, url)[1]
        assert lancio("drift", folder, "--database", url)[0] == 0
    ours, theirs = held(database), held(other)
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1]


def planned(folder: Path, url: str) -> dict[str, object]:
    _, said = lancio("plan", folder, "--database", url, "--json")
    found, _ = json.JSONDecoder().raw_decode(said[said.index("{") :])
    return found


@pytest.mark.parametrize("there", [1, 2])
def test_a_half_way_database_is_refused_with_what_to_do(
    databases: tuple[str, str], folder: Path, tmp_path: Path, there: int
) -> None:
    _, url = databases
    last = sorted(FILES)[there - 1]
    assert apply(folder, url, "--to", last)[0] == 0
    before = held(url)
    assert lancio("squash", folder, "--to", "003_code.sql", "--out", OUT, "--archive", tmp_path / "old")[0] == 0
    status, said = apply(folder, url)
    assert status == 3
    assert f"{OUT} stands for 3 files, of which {there} ran here" in said
    assert "the folder as it was before it was squashed" in said
    assert held(url) == before
    # What it says mends it.
    assert apply(tmp_path / "old", url)[0] == 0
    status, said = apply(folder, url)
    assert (status, OUT in recorded(url)) == (0, True), said


def test_a_half_way_database_without_a_ledger_is_refused_too(
    databases: tuple[str, str], folder: Path, tmp_path: Path
) -> None:
    _, url = databases
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FILES["001_users.sql"].encode())
    assert lancio("squash", folder, "--to", "003_code.sql", "--out", OUT, "--archive", tmp_path / "old")[0] == 0
    before = held(url)
    status, said = apply(folder, url)
    assert status == 3
    assert f"{OUT} stands for 3 files; a part of what they make is here" in said
    assert held(url) == before


def test_a_file_that_ran_in_another_version_is_refused(
    databases: tuple[str, str], folder: Path, tmp_path: Path
) -> None:
    _, url = databases
    assert apply(folder, url, "--to", "003_code.sql")[0] == 0
    path = folder / "001_users.sql"
    path.write_text(path.read_text().replace("'a@b'", "'z@b'"))
    assert lancio("squash", folder, "--to", "003_code.sql", "--out", OUT, "--archive", tmp_path / "old")[0] == 0
    status, said = apply(folder, url)
    assert status == 3
    assert "which ran here in another version" in said


def test_an_archive_that_cannot_be_written_leaves_the_folder_as_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    (tmp_path / "file").write_text("")
    words = ("squash", folder, "--to", "003", "--out", OUT, "--archive")
    status, said = lancio(*words, tmp_path / "file" / "old")
    assert (status, "The folder is as it was" in said) == (1, True), said
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    move, moved = shutil.move, []

    def full(old: Path, new: Path) -> None:
        if len(moved) == 2:
            moved.append(new)
            raise OSError(errno.ENOSPC, "No space left on device", str(new))
        moved.append(new)
        move(old, new)

    monkeypatch.setattr("lancio.cli.squash.shutil.move", full)
    status, said = lancio(*words, tmp_path / "old")
    assert (status, "No space left on device" in said) == (1, True), said
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_files_that_stay_beside_the_baseline_are_not_read(databases: tuple[str, str], folder: Path) -> None:
    database, _ = databases
    assert lancio("squash", folder, "--to", "003", "--out", OUT)[0] == 0
    assert [each.name for each in read_folder(folder).migrations] == [OUT, "004_more.sql"]
    assert apply(folder, database)[0] == 0
    assert list(recorded(database)) == [OUT, "004_more.sql"]


def test_a_file_that_is_to_stay_behind_a_replaced_one_stays_behind_the_baseline(folder: Path) -> None:
    (folder / "004_more.sql").write_text(f"-- lancio: after 001_users.sql\n{FILES['004_more.sql']}")
    assert lancio("squash", folder, "--to", "003_code.sql", "--out", OUT)[0] == 0
    built = graph.build(read_folder(folder), profile.load(18))
    assert [each for each in built.findings if each.severity == "refusal"] == []
    assert OUT in built.ancestors("004_more.sql")


def test_of_flyways_files_a_baseline_may_have_the_version_of_the_last(folder: Path, tmp_path: Path) -> None:
    for name in FILES:
        (folder / name).rename(folder / f"V{name[2]}__{name[4:]}")
    words = ("squash", folder, "--to", "V3__code.sql", "--out", "V3__baseline.sql")
    status, said = lancio(*words)
    assert (status, "same version" in said) == (1, True), said
    assert lancio(*words, "--archive", tmp_path / "old")[0] == 0
    assert sorted(each.name for each in folder.iterdir()) == ["V3__baseline.sql", "V4__more.sql"]


def test_what_is_there_before_the_first_file_is_no_part_of_the_baseline(database: str, tmp_path: Path) -> None:
    folder, before = tmp_path / "m", tmp_path / "before.sql"
    folder.mkdir()
    before.write_text("CREATE SCHEMA host; CREATE TABLE host.users (id integer PRIMARY KEY);")
    (folder / "1_a.sql").write_text("CREATE TABLE mine (id integer REFERENCES host.users (id));")
    (folder / "2_b.sql").write_text("ALTER TABLE mine ADD COLUMN a text;")
    status, said = lancio("squash", folder, "--to", "2_b.sql", "--out", "2_base.sql", "--before", before)
    assert status == 0, said
    assert "host.users(id)" in (folder / "2_base.sql").read_text()
    assert "CREATE SCHEMA host" not in (folder / "2_base.sql").read_text()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(before.read_bytes())
    assert apply(folder, database)[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--to", "003_code.sql", "--out", "001_users.sql"), "is there already"),
        (("--to", "003_code.sql", "--out", "../003_base.sql"), "is no name of a .sql file"),
        (("--to", "003_code.sql", "--out", "009_base.sql"), "would not come first"),
        (("--to", "003_code.sql", "--out", "_base.sql"), "is not read as a migration"),
        (("--to", "nothing.sql", "--out", OUT), "there is no file nothing.sql"),
        (("--to", "003_code.sql", "--out", OUT, "--archive", "m/old"), "lies in the folder of migrations"),
    ],
)
def test_a_baseline_that_would_not_stand_in_their_place_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = lancio("squash", "m", *words)
    assert status == 2
    assert says in said
    assert sorted(each.name for each in folder.iterdir()) == sorted(FILES)


def test_what_cannot_be_proved_equal_is_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = squash._dump
    monkeypatch.setattr(squash, "_dump", lambda *given: real(*given).replace("'a@b'", "'x@b'"))
    status, said = lancio("squash", folder, "--to", "003_code.sql", "--out", OUT)
    assert status == 1
    assert "the baseline does not make what the history makes" in said
    assert "rows of app.users" in said
    monkeypatch.setattr(squash, "_dump", lambda *given: real(*given).replace("(id > 0)", "(id > 1)"))
    status, said = lancio("squash", folder, "--to", "003_code.sql", "--out", OUT)
    assert (status, "policy own on app.users" in said) == (1, True)
    assert not (folder / OUT).exists()


def test_a_history_that_does_not_run_is_told_with_its_line(folder: Path) -> None:
    (folder / "002_orders.sql").write_text("SELECT 1;\nCREATE TABLE t (id nothing);")
    status, said = lancio("squash", folder, "--to", "003_code.sql", "--out", OUT)
    assert (status, "002_orders.sql does not run on the scratch database" in said) == (1, True), said


def test_the_graph_of_a_baseline_is_a_go(folder: Path) -> None:
    assert lancio("squash", folder, "--to", "003_code.sql", "--out", OUT)[0] == 0
    built = graph.build(read_folder(folder), profile.load(18))
    assert built.unprovided == ()
    assert [each for each in built.findings if each.severity == "refusal"] == []
