"""The cache changes nothing but the time."""

from __future__ import annotations

import os
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lancio.catalog import profile
from lancio.errors import SyntaxRefused
from lancio.planner import graph, kept, model
from lancio.reading import cache, known, reads
from lancio.reading.source import read_folder
from lancio.render import json

PLATFORM = Path(__file__).parents[2] / "src" / "lancio" / "registry" / "schema"
STORIES = Path(__file__).parents[1] / "stories"
FOLDERS = [PLATFORM, *(STORIES / name for name in ("row_need", "do_block", "extension_member", "numbered_names"))]
P18 = profile.load(18)


@pytest.fixture
def ours(tmp_path: Path) -> cache.Cache:
    found = cache.usual({cache.VARIABLE: str(tmp_path / "cache")})
    assert found is not None
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "migrations"
    path.mkdir()
    (path / "001_users.sql").write_text("CREATE TABLE users (id int PRIMARY KEY);")
    (path / "002_view.sql").write_text("CREATE VIEW names AS SELECT id FROM users;")
    return path


def said(made: model.Graph) -> tuple[str, str]:
    """All that is in a graph: as other programs see it, and each value."""
    return json.document(json.graph(made)), repr([(each, each.ops and each.ops.ops) for each in made.files])


def build(path: Path, ours: cache.Cache | None) -> model.Graph:
    return kept.build(read_folder(path), P18, kept=ours)


@pytest.mark.parametrize("path", FOLDERS, ids=lambda path: path.name)
def test_a_graph_from_the_cache_is_the_graph(path: Path, ours: cache.Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = said(graph.build(read_folder(path), P18))
    assert said(build(path, ours)) == plain
    monkeypatch.setattr(graph, "build", None)  # from here on nothing is bound
    monkeypatch.setattr(reads.operations, "read", None)  # nor read
    assert said(build(path, ours)) == plain


def test_a_changed_file_alone_is_read_again(folder: Path, ours: cache.Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    build(folder, ours)
    (folder / "002_view.sql").write_text("CREATE VIEW others AS SELECT id FROM users;")
    plain = said(graph.build(read_folder(folder), P18))
    read = reads.operations.read
    asked = []
    monkeypatch.setattr(reads.operations, "read", lambda each: asked.append(each.name) or read(each))
    assert said(build(folder, ours)) == plain
    assert asked == ["002_view.sql"]


def test_other_names_another_server_and_another_order_are_other_questions(folder: Path, ours: cache.Cache) -> None:
    build(folder, ours)
    (folder / "002_view.sql").rename(folder / "003_view.sql")
    assert [each.name for each in build(folder, ours).files] == ["001_users.sql", "003_view.sql"]
    assert kept.build(read_folder(folder), profile.load(14), kept=ours).server_version == 14
    (folder / "003_view.sql").rename(folder / "000_view.sql")
    by_graph = kept.build(read_folder(folder), P18, order="graph", kept=ours)
    assert [each.name for each in by_graph.files] == ["001_users.sql", "000_view.sql"]
    assert [each.name for each in build(folder, ours).files] == ["000_view.sql", "001_users.sql"]


@pytest.mark.parametrize("damage", [lambda _: b"", lambda whole: whole[:-1], lambda whole: whole[:80] + b"x" * 500,
                                    lambda whole: whole.replace(b"users", b"resus")])  # fmt: skip
def test_a_damaged_answer_is_worked_out_anew(folder: Path, ours: cache.Cache, damage: object) -> None:
    plain = said(build(folder, ours))
    for each in ours.folder.iterdir():
        each.write_bytes(damage(each.read_bytes()))  # type: ignore[operator]
    assert said(build(folder, ours)) == plain


def test_an_answer_from_a_stranger_runs_nothing(folder: Path, ours: cache.Cache, tmp_path: Path) -> None:
    plain = said(build(folder, ours))

    class Hostile:
        def __reduce__(self) -> object:
            return os.mkdir, (str(tmp_path / "stranger"),)

    for each in list(ours.folder.iterdir()):
        ours.put(each.name, pickle.dumps(Hostile()))
    assert said(build(folder, ours)) == plain
    assert not (tmp_path / "stranger").exists()


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "file").touch()
    for place in ("open", "file", "file/below"):
        assert cache.usual({cache.VARIABLE: str(tmp_path / place)}) is None
    assert cache.usual({cache.VARIABLE: "off"}) is None


def test_the_usual_folder_is_the_users_own(tmp_path: Path) -> None:
    found = cache.usual({"XDG_CACHE_HOME": str(tmp_path)})
    assert found is not None
    assert found.folder == tmp_path / "lancio"
    assert found.folder.stat().st_mode & 0o777 == 0o700
    at_home = cache.usual({"XDG_CACHE_HOME": "relative", "HOME": str(tmp_path)})
    assert at_home is not None
    assert at_home.folder == tmp_path / ".cache" / "lancio"


def test_many_at_once_agree(folder: Path, ours: cache.Cache) -> None:
    plain = said(graph.build(read_folder(folder), P18))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: said(build(folder, ours)), range(24)))
    assert set(found) == {plain}
    assert not [each for each in ours.folder.iterdir() if each.name.count(".")]


def test_what_was_not_used_for_long_is_forgotten(folder: Path, ours: cache.Cache) -> None:
    ours.put("old", b"1")
    ours.put("new", b"2")
    long_ago = (ours.folder / "old").stat().st_mtime - 31 * 86_400
    os.utime(ours.folder / "old", (long_ago, long_ago))
    os.utime(ours.folder / "swept", (long_ago, long_ago))
    ours.put("newer", b"3")
    assert sorted(each.name for each in ours.folder.iterdir()) == ["new", "newer", "swept"]


def test_a_file_that_does_not_parse_is_refused_each_time(folder: Path, ours: cache.Cache) -> None:
    (folder / "003_bad.sql").write_text("CREATE TABEL x ();")
    for _ in range(2):
        with pytest.raises(SyntaxRefused):
            build(folder, ours)


EDITS = (
    "CREATE TABLE extra (id int PRIMARY KEY, users_id int REFERENCES users);", "DROP TABLE IF EXISTS extra CASCADE;",
    "ALTER TABLE users ADD COLUMN IF NOT EXISTS email text NOT NULL DEFAULT '';", "ALTER TABLE users RENAME TO people;",
    "ALTER TABLE IF EXISTS people RENAME TO users;", "CREATE OR REPLACE VIEW names AS SELECT id FROM users;",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT id FROM users';", "DROP FUNCTION IF EXISTS f();",
    "ALTER TABLE users ENABLE ROW LEVEL SECURITY;", "CREATE POLICY own ON users USING (true);", "-- a word",
    "CREATE TYPE mood AS ENUM ('low', 'high');", "SELECT * FROM missing;", "INSERT INTO users (id) VALUES (1);",
    "-- lancio: after 002_view.sql", "-- lancio: duration 2s", "CREATE SCHEMA IF NOT EXISTS app;",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(40 if os.environ.get("LANCIO_PROOF") == "1" else 6))
def test_after_any_changes_the_graph_is_the_one_that_is_made_anew(folder: Path, ours: cache.Cache, seed: int) -> None:
    dice = random.Random(seed)
    for turn in range(12):
        files = sorted(folder.iterdir())
        at = dice.choice((files[-1], files[-1], dice.choice(files)))
        kind = dice.choice(("edit", "edit", "edit", "add", "drop", "same number", "nothing"))
        if kind == "edit":
            at.write_text(f"{at.read_text()}\n{dice.choice(EDITS)}")
        elif kind == "add":
            (folder / f"{turn + 3:03}_more.sql").write_text(dice.choice(EDITS))
        elif kind == "same number":
            (folder / f"{at.name[:3]}_twin{turn}.sql").write_text(dice.choice(EDITS))
        elif kind == "drop" and len(files) > 1:
            at.unlink()
        found = kept.build(known.read_folder(folder, kept=ours), P18, kept=ours)
        assert said(found) == said(graph.build(read_folder(folder), P18)), (seed, turn, kind)


def test_of_a_history_whose_end_changed_the_end_alone_is_bound(
    folder: Path, ours: cache.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(folder, ours)
    bound = []
    bind = graph.Binder.file
    monkeypatch.setattr(graph.Binder, "file", lambda self, index: bound.append(index) or bind(self, index))
    (folder / "002_view.sql").write_text("CREATE VIEW others AS SELECT id FROM users;")
    build(folder, ours)
    (folder / "003_more.sql").write_text("DROP VIEW others;")
    build(folder, ours)
    assert bound == [1, 1, 2]
