"""`lancio new`: the path on stdout, a header above, and no file ever overwritten."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from test_cli_uses import lancio

from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_it_prints_the_path_of_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert lancio("new", "add users")[:2] == (0, "migrations/001_add_users.sql\n")
    status, out, err = lancio("new", "add_tags", "--purpose", "Tags\nof posts")
    assert (status, out, err) == (0, "migrations/002_add_tags.sql\n", "")
    text = (tmp_path / "migrations" / "002_add_tags.sql").read_text()
    assert text.startswith("-- Tags of posts\n--\n")
    found = json.loads(lancio("new", "more", "--json")[1])
    assert found == {"path": "migrations/003_more.sql", "files": ["migrations/003_more.sql"], "layout": "flat"}


def test_the_header_declares_nothing_until_a_mark_is_taken_away(tmp_path: Path) -> None:
    lancio("new", "a", tmp_path)
    path = tmp_path / "001_a.sql"
    status, out, _ = lancio("graph", tmp_path, "--json")
    assert status == 0
    assert json.loads(out)["findings"] == []
    path.write_text(path.read_text().replace("--#", "--"))
    found = json.loads(lancio("graph", tmp_path, "--json")[1])["details"][0]
    assert found["impact"]
    assert found["declared_ms"] == 1000


@pytest.mark.parametrize("layout", ["goose", "dbmate", "sql-migrate"])
def test_a_file_with_markers_has_them(tmp_path: Path, layout: str) -> None:
    assert lancio("new", "a", tmp_path, "--layout", layout)[0] == 0
    assert lancio("new", "b", tmp_path)[0] == 0
    assert read_folder(tmp_path).layout == layout
    assert len(read_folder(tmp_path).migrations) == 2


def test_no_file_is_overwritten_and_none_left_behind(tmp_path: Path) -> None:
    (tmp_path / "000001_a.up.sql").write_text("SELECT 1;")
    (tmp_path / "000001_a.down.sql").write_text("SELECT 1;")
    (tmp_path / "000002_b.down.sql").write_text("-- mine")
    status, out, err = lancio("new", "b", tmp_path)
    assert (status, out) == (1, "")
    assert "is there already" in err
    assert (tmp_path / "000002_b.down.sql").read_text() == "-- mine"
    assert not (tmp_path / "000002_b.up.sql").exists()


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "migrations").write_text("")
    status, _, err = lancio("new", "b", tmp_path / "migrations")
    assert status == 2
    assert "is a file" in err


def test_a_folder_without_numbers_is_told(tmp_path: Path) -> None:
    (tmp_path / "users.sql").write_text("SELECT 1;")
    status, out, err = lancio("new", "tags", tmp_path)
    assert (status, out) == (0, f"{tmp_path}/tags.sql\n")
    assert "no numbers" in err


def test_a_sqitch_project_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sqitch.plan").write_text("%project=x\n")
    status, _, err = lancio("new", "tags", tmp_path)
    assert status == 1
    assert "sqitch" in err
