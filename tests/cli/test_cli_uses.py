"""The graph put to use from the command line: what is printed, how wide, with which exit status."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import psycopg
import pytest

from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.render.lines import width
from lancio.render.outline import MANY

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "001_users.sql": "CREATE TABLE users (id int PRIMARY KEY, email text);\n",
    "002_posts.sql": "CREATE TABLE posts (id int PRIMARY KEY,\n  author int REFERENCES users);\n",
    "003_age.sql": "ALTER TABLE users ADD COLUMN age int;\n",
    "004_view.sql": "\nCREATE VIEW authors AS SELECT email FROM users JOIN posts ON posts.author = users.id;\n",
    "005_tags.sql": "CREATE TABLE tags (id int PRIMARY KEY);\n",
}


def lancio(*words: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run([str(word) for word in words], Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "migrations"
    made.mkdir()
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """More files than a picture draws one by one: a table, columns of it, and a view on each."""
    made = tmp_path / "long"
    made.mkdir()
    (made / "0000_base.sql").write_text("CREATE TABLE t (id int PRIMARY KEY);\n")
    for number in range(1, MANY, 2):
        name = "a_name_that_is_rather_long_and_so_does_not_fit_into_a_line_of_a_usual_terminal"
        (made / f"{number:04}_{name}.sql").write_text(f"ALTER TABLE t ADD COLUMN c{number} int;\n")
        (made / f"{number + 1:04}_view.sql").write_text(f"CREATE VIEW v{number} AS SELECT c{number} FROM t;\n")
    return made


def test_of_a_file_both_sides_are_told_with_both_places(folder: Path) -> None:
    status, out, _ = lancio("graph", folder, "--of", "002")
    assert status == 0
    assert "002_posts.sql:2 ← 001_users.sql:1" in " ".join(out.split())
    assert "004_view.sql:2 ← 002_posts.sql:1" in " ".join(out.split())
    assert "Needed by: 1 file directly" in out
    found = json.loads(lancio("graph", folder, "--of", "2", "--json")[1])
    assert (found["before"], found["behind"]) == (["001_users.sql"], ["004_view.sql"])
    assert found["needs"][0]["because"][0]["provider"]["file"] == "001_users.sql"


def test_of_an_object_its_history_and_its_users_are_told(folder: Path) -> None:
    found = json.loads(lancio("graph", folder, "--of", "users", "--json")[1])
    assert found["center"] == ["001_users.sql", "003_age.sql"]
    assert found["behind"] == ["002_posts.sql", "004_view.sql"]
    assert [entry["did"] for entry in found["history"]["entries"]] == [
        ["made table public.users"], ["made column public.users.age"],
    ]  # fmt: skip
    assert "made column public.users.age" in lancio("graph", folder, "--of", "users")[1]


def test_an_unknown_object_is_2_with_what_is_near(folder: Path) -> None:
    status, out, err = lancio("graph", folder, "--of", "user")
    assert (status, out) == (2, "")
    assert "table public.users" in err
    assert json.loads(lancio("history", folder, "user", "--json")[1])["error"]["code"] == "usage"


@pytest.mark.parametrize("format_", ["svg", "mermaid"])
def test_a_picture_of_a_neighbourhood_leaves_the_others_out(folder: Path, format_: str) -> None:
    _, out, _ = lancio("graph", folder, "--of", "004_view.sql", "--format", format_)
    assert "002_posts" in out
    assert "005_tags" not in out
    if format_ == "svg":
        assert 'class="box center"' in out
        assert "004_view.sql in migrations</title>" in out
        ET.fromstring(out)


def test_history_tells_file_line_and_opening_words(folder: Path) -> None:
    status, out, _ = lancio("history", folder, "users")
    assert status == 0
    assert "001_users.sql:1  CREATE TABLE users" in out or "001_users.sql:1 CREATE TABLE users" in out
    found = json.loads(lancio("history", folder, "authors", "--json")[1])
    assert found["entries"] == [
        {"file": "004_view.sql", "line": 2, "text": "CREATE VIEW authors", "did": ["made view public.authors"]}
    ]


def test_commute_is_0_with_the_proof_and_1_with_the_object_in_the_way(folder: Path) -> None:
    status, out, _ = lancio("commute", folder, "003", "005")
    assert status == 0
    assert out.startswith("YES:")
    status, out, _ = lancio("commute", folder, "004", "001")
    assert status == 1
    assert "004_view.sql stays behind 001_users.sql" in out
    found = json.loads(lancio("commute", folder, "1", "4", "--json")[1])
    assert found["may"] is False
    assert found["chain"][0]["provider"] == {"file": "001_users.sql", "line": 1, "text": "CREATE TABLE users"}


def test_dir_may_be_left_out_before_what_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert lancio("commute", "003", "005")[0] == 0
    assert lancio("history", "tags")[0] == 0
    status, _, err = lancio("commute", "003")
    assert status == 2
    assert "A and B are not given" in err
    status, _, err = lancio("commute", "003", "3")
    assert status == 2
    assert "A and B are both 003_age.sql" in err


def test_waves_tell_why_a_file_is_not_in_the_one_before(folder: Path) -> None:
    waves = json.loads(lancio("graph", folder, "--waves", "--json")[1])["waves"]
    assert [[member["file"][:3] for member in wave] for wave in waves] == [
        ["001", "005"], ["002"], ["003"], ["004"],
    ]  # fmt: skip
    assert all((member["because"] is None) == (at == 0) for at, wave in enumerate(waves) for member in wave)
    assert "ACCESS EXCLUSIVE excludes" in waves[2][0]["because"]["why"]
    assert "1. 2 files" in lancio("graph", folder, "--waves")[1]


def test_many_files_are_summed_up_and_no_line_is_wider_than_the_terminal(long: Path) -> None:
    _, out, _ = lancio("graph", long)
    assert out.startswith("GRAPH OF 61 FILES")
    assert "Most needed: 0000 (by 60)" in out
    for words in ((), ("--waves",), ("--of", "t"), ("--of", "0000_base.sql"), ("--unfold",), ("--all-edges",)):
        _, out, _ = lancio("graph", long, *words)
        assert max(width(line) for line in out.splitlines()) <= 80, words
    assert len(lancio("graph", long)[1].splitlines()) < len(lancio("graph", long, "--unfold")[1].splitlines()) / 2
    assert max(width(line) for line in lancio("history", long, "t")[1].splitlines()) <= 80


def test_many_files_are_told_with_their_state_where_a_database_is_asked(long: Path, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute((long / "0000_base.sql").read_bytes())
    _, out, _ = lancio("graph", long, "--database", database)
    assert "0000_base.sql: applied" in out
    assert re.search(r"\(\d+ files\): \d+ not applied|0002_view\.sql: 2 not applied", " ".join(out.split()))


@pytest.mark.parametrize("words", [("--format", "svg"), (), ("--waves",), ("--of", "t"), ("--json",)])
def test_the_same_folder_gives_the_same_bytes(long: Path, words: tuple[str, ...]) -> None:
    assert lancio("graph", long, *words)[1] == lancio("graph", long, *words)[1]


@pytest.mark.parametrize(
    "words",
    [("--tree", "--waves"), ("--of", "users", "--waves"), ("--waves", "--format", "svg"),
     ("--format", "svg", "--database", "postgresql://nowhere")],
)  # fmt: skip
def test_options_of_which_one_would_do_nothing_are_refused(folder: Path, words: tuple[str, ...]) -> None:
    status, out, err = lancio("graph", folder, *words)
    assert (status, out) == (2, "")
    assert "not go" in err


def test_the_least_plan_runs_what_a_file_needs_and_no_more(folder: Path, database: str) -> None:
    plan = json.loads(lancio("plan", folder, "--to", "004_view.sql", "--minimal", "--database", database, "--json")[1])
    assert plan["go"] is True
    assert [step["file"] for step in plan["steps"]] == ["001_users.sql", "002_posts.sql", "004_view.sql"]
    with psycopg.connect(database, autocommit=True) as connection:
        for step in plan["steps"]:
            connection.execute(FILES[step["file"]].encode())
    status, out, _ = lancio("plan", folder, "--to", "005_tags.sql", "--minimal", "--database", database)
    assert status == 0
    assert "PLAN: 1 step" in out


def test_the_least_plan_tells_what_it_leaves_out_to_fail_later(folder: Path, database: str) -> None:
    (folder / "006_index.sql").write_text("CREATE INDEX by_email ON users (email);\n")
    (folder / "007_drop.sql").write_text("ALTER TABLE users DROP COLUMN email CASCADE;\n")
    plan = json.loads(lancio("plan", folder, "--to", "007_drop.sql", "--minimal", "--database", database, "--json")[1])
    assert plan["go"] is True
    assert [step["file"] for step in plan["steps"]] == ["001_users.sql", "007_drop.sql"]
    left = [finding["message"] for finding in plan["findings"] if finding["rule"] == "left out"]
    assert [message.split(" ")[0] for message in left] == ["004_view.sql", "006_index.sql"]


def test_minimal_without_to_is_refused(folder: Path) -> None:
    status, _, err = lancio("plan", folder, "--minimal")
    assert status == 2
    assert "--minimal goes with --to" in err
