"""A file that later ones have overtaken: it runs if it commutes with them, else it is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from lancio.executor import fingerprint

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
from test_cli_uses import lancio

if TYPE_CHECKING:
    from servers import TestServer

FILES = {
    "001_t.sql": "CREATE TABLE t (id int PRIMARY KEY, a int);\nCREATE TABLE kept (id int);\n",
    "003_b.sql": "ALTER TABLE t ADD COLUMN b int;\n",
    "004_v.sql": "CREATE VIEW v AS SELECT a FROM t;\n",
    "005_rows.sql": "INSERT INTO kept VALUES (1);\n",
}
FREE = {
    "another column": "ALTER TABLE t ADD COLUMN c int;\n",
    "a table": "CREATE TABLE u (id int REFERENCES t);\n",
    "an index": "CREATE INDEX by_a ON t (id) ;\n",
    "a comment": "COMMENT ON TABLE t IS 'said';\n",
}
BOUND = {
    "a column's new name": "ALTER TABLE t RENAME COLUMN a TO z;\n",
    "a dropped column": "ALTER TABLE t DROP COLUMN a;\n",
    "rows of the same table": "UPDATE kept SET id = 2;\n",
    "a dark place": "DO $$ BEGIN EXECUTE coalesce(current_setting('x.y', true), 'SELECT 1'); END $$;\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def applied(folder: Path, url: str) -> None:
    status, _, err = lancio("apply", folder, "--no-backup", "--yes", "--database", url)
    assert status == 0, err


def facts(url: str) -> frozenset[fingerprint.Fact]:
    with psycopg.connect(url) as connection:
        return frozenset(each for each in fingerprint.take(connection).facts if "lancio" not in each.identity)


def findings(folder: Path, url: str, *words: str) -> tuple[int, list[tuple[str, str]]]:
    status, out, _ = lancio("plan", folder, "--no-backup", "--database", url, "--json", *words)
    return status, [
        (each["severity"], each["message"]) for each in json.loads(out)["findings"] if each["rule"] == "out-of-order"
    ]


@pytest.mark.parametrize("late", FREE)
def test_what_commutes_runs_late_and_leaves_what_it_would_have_left(
    server: TestServer, database: str, folder: Path, late: str
) -> None:
    applied(folder, database)
    (folder / "002_late.sql").write_text(FREE[late])
    status, found = findings(folder, database)
    assert (status, [severity for severity, _ in found]) == (0, ["note"])
    applied(folder, database)
    fresh = server.create_database()
    applied(folder, fresh)
    assert facts(database) == facts(fresh)


@pytest.mark.parametrize("late", BOUND)
def test_what_does_not_commute_is_refused_with_what_is_in_the_way(database: str, folder: Path, late: str) -> None:
    applied(folder, database)
    (folder / "002_late.sql").write_text(BOUND[late])
    before = facts(database)
    status, found = findings(folder, database)
    assert status == 3
    assert [severity for severity, _ in found] == ["refusal"]
    assert "002_late.sql:1" in found[0][1]
    status, out, _ = lancio("apply", folder, "--no-backup", "--yes", "--database", database)
    assert status == 3
    assert "--only 002_late.sql" in " ".join(out.split())
    assert facts(database) == before


def test_named_by_itself_it_runs_with_a_warning(database: str, folder: Path) -> None:
    applied(folder, database)
    (folder / "002_late.sql").write_text("UPDATE kept SET id = 2;\n")
    status, found = findings(folder, database, "--only", "002_late.sql")
    assert (status, [severity for severity, _ in found]) == (0, ["warning"])
    assert lancio("apply", folder, "--no-backup", "--only", "002_late.sql", "--yes", "--database", database)[0] == 0
    assert findings(folder, database) == (0, [])


def test_what_is_bound_to_a_pending_file_alone_runs(database: str, folder: Path) -> None:
    applied(folder, database)
    # 002 and 0025 are bound to each other, and neither to what is applied: in their own order they run.
    (folder / "002_late.sql").write_text("CREATE TABLE u (id int);\n")
    (folder / "0025_later.sql").write_text("ALTER TABLE u ADD COLUMN a int;\n")
    (folder / "0025_later.sql").rename(folder / "002_later.sql")
    status, found = findings(folder, database)
    assert (status, [severity for severity, _ in found]) == (0, ["note", "note"])
    applied(folder, database)


def test_what_ran_by_other_hands_is_not_judged(database: str, folder: Path) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, a int); ALTER TABLE t ADD COLUMN b int;")
    assert lancio("apply", folder, "--no-backup", "--only", "004_v.sql", "--yes", "--database", database)[0] == 0
    _, found = findings(folder, database, "--to", "003_b.sql")
    assert found == []


def test_where_nothing_was_applied_nothing_is_overtaken(database: str, folder: Path) -> None:
    assert findings(folder, database) == (0, [])
