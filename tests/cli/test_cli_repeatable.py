"""Files that run again when they change: last of all, in the order of their names, recorded each time."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import psycopg
import pytest

from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.reading import headers
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)


def lancio(*words: str) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, " ".join((out.getvalue() + err.getvalue()).split())


def write(folder: Path, **texts: str) -> str:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.sql").write_text(text)
    return str(folder)


FLYWAY = {
    "V1__users": "CREATE TABLE users (id integer PRIMARY KEY, email text);",
    "V2__more": "ALTER TABLE users ADD COLUMN nick text;",
    "R__b_view": "CREATE OR REPLACE VIEW seen AS SELECT id, twice(id) AS two FROM users;",
    "R__a_function": "CREATE OR REPLACE FUNCTION twice(a integer) RETURNS integer LANGUAGE sql AS 'SELECT a * 2';",
}
FLAT = {
    "001_users": FLYWAY["V1__users"],
    "002_functions": f"-- lancio: repeatable\n{FLYWAY['R__a_function']}",
    "003_views": f"-- lancio: repeatable\n{FLYWAY['R__b_view']}",
    "004_more": FLYWAY["V2__more"],
}
ORDERS = {
    "flyway": (FLYWAY, ["V1__users.sql", "V2__more.sql", "R__a_function.sql", "R__b_view.sql"]),
    "flat": (FLAT, ["001_users.sql", "004_more.sql", "002_functions.sql", "003_views.sql"]),
}


def ran(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT migration FROM lancio.step ORDER BY id")]


@pytest.mark.parametrize("layout", ORDERS)
def test_repeatable_files_run_last_and_again_when_they_change(database: str, tmp_path: Path, layout: str) -> None:
    texts, order = ORDERS[layout]
    folder = write(tmp_path / "m", **texts)
    function, view = order[2:]
    there = (folder, "--database", database)
    assert lancio("apply", *there, "--yes", "--no-backup")[0] == 0
    assert ran(database) == order
    status, said = lancio("apply", *there, "--yes")
    assert (status, "Nothing to do: 4 files applied, none left." in said) == (0, True)

    path = tmp_path / "m" / function
    path.write_text(path.read_text().replace("a * 2", "a + a"))
    status, said = lancio("status", *there)
    assert status == 0
    assert f"{function}: changed, runs again, in the ledger" in said
    assert "EDITED" not in said
    status, said = lancio("plan", *there)
    assert status == 0
    assert f"{function} ran here and was changed since; it is repeatable, so it runs again" in said
    status, said = lancio("plan", *there, "--json")
    found, _ = json.JSONDecoder().raw_decode(said[said.index("{") :])
    assert [step["file"] for step in found["steps"]] == [function]
    status, said = lancio("apply", *there, "--yes", "--no-backup")
    assert (status, "1 of 1 step applied" in said) == (0, True), said
    assert ran(database) == [*order, function]
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT prosrc FROM pg_proc WHERE proname = 'twice'").fetchone() == ("SELECT a + a",)
    assert "Nothing to do" in lancio("apply", *there, "--yes")[1]
    # Comments and white space are no change.
    path.write_text(path.read_text() + "\n-- done\n")
    assert "Nothing to do" in lancio("apply", *there, "--yes")[1]
    # A change of both, and a new versioned file: that one first, and it is not overtaken by what repeats.
    path.write_text(path.read_text().replace("a + a", "2 * a"))
    other = tmp_path / "m" / view
    other.write_text(
        other.read_text().replace("id, twice", "id, email, twice").replace("OR REPLACE VIEW seen", "VIEW more")
    )
    third = "V3__last" if layout == "flyway" else "005_last"
    write(tmp_path / "m", **{third: "CREATE TABLE more_users (id integer);"})
    status, said = lancio("apply", *there, "--yes", "--no-backup")
    assert status == 0, said
    assert ran(database)[-3:] == [f"{third}.sql", function, view]


def test_a_versioned_file_that_was_edited_is_still_refused(database: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "m", **FLYWAY)
    there = (folder, "--database", database)
    assert lancio("apply", *there, "--yes", "--no-backup")[0] == 0
    write(tmp_path / "m", V2__more="ALTER TABLE users ADD COLUMN name text;")
    status, said = lancio("apply", *there, "--yes", "--no-backup")
    assert status == 3
    assert "V2__more.sql was edited after it was applied" in said


def test_a_repeatable_file_that_fails_leaves_its_last_version(database: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "m", **FLYWAY)
    there = (folder, "--database", database)
    assert lancio("apply", *there, "--yes", "--no-backup")[0] == 0
    before = ran(database)
    text = FLYWAY["R__a_function"]
    write(tmp_path / "m", R__a_function=f"{text.replace('a * 2', 'a + a')} DO $$ BEGIN PERFORM 1 / 0; END $$;")
    status, _ = lancio("apply", *there, "--yes", "--no-backup")
    assert status == 1
    assert ran(database) == before
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT prosrc FROM pg_proc WHERE proname = 'twice'").fetchone() == ("SELECT a * 2",)
    assert "R__a_function.sql: changed, runs again" in lancio("status", *there)[1]
    write(tmp_path / "m", R__a_function=text)
    assert "Nothing to do" in lancio("apply", *there, "--yes")[1]


def test_a_file_that_becomes_repeatable_is_noticed_by_what_is_kept_of_the_folder(tmp_path: Path) -> None:
    from lancio.reading import cache, known

    kept = cache.Cache(tmp_path / "cache")
    path = tmp_path / "m"
    write(path, **{"001_a": "SELECT 1;", "002_b": "SELECT 2;", "003_c": "SELECT 3;"})
    names = [each.name for each in known.read_folder(path, kept=kept).migrations]
    assert names == ["001_a.sql", "002_b.sql", "003_c.sql"]
    write(path, **{"001_a": "-- lancio: repeatable\nSELECT 1;"})
    for _ in range(2):
        found = known.read_folder(path, kept=kept).migrations
        assert [(each.name, each.repeatable) for each in found] == [
            ("002_b.sql", False), ("003_c.sql", False), ("001_a.sql", True)
        ]  # fmt: skip


def test_only_a_comment_of_its_own_is_a_header(tmp_path: Path) -> None:
    assert not headers.read(b"SELECT '-- lancio: repeatable';").repeatable
    assert not headers.read(b"/* -- lancio: repeatable */ SELECT 1;").repeatable
    assert headers.read(b"SELECT 1; -- lancio: repeatable").repeatable
    line = headers.replaced("a b.sql", "0" * 64)
    assert headers.read(f"{line}\n".encode()).replaces == (("a b.sql", "0" * 64),)
    assert headers.read(b"-- lancio: replaces nothing\n").replaces == ()
    write(tmp_path / "m", **{"001_a": "SELECT 1;", "002_b": f"{headers.replaced('001_a.sql', '0' * 64)}\nSELECT 1;"})
    assert [each.name for each in read_folder(tmp_path / "m").migrations] == ["002_b.sql"]
