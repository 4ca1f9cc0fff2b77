"""Files that are not one transaction, as a person meets them on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg
import pytest
from test_cli_uses import lancio

if TYPE_CHECKING:
    from pathlib import Path

MIXED = """\
CREATE TABLE item (id integer, note text);
INSERT INTO item SELECT n, 'note' FROM generate_series(1, 100) AS n;
CREATE INDEX CONCURRENTLY item_id ON item (id);
VACUUM ANALYZE item;
SET search_path = aside, public;
CREATE SCHEMA aside;
CREATE TABLE other (id integer);
CREATE INDEX CONCURRENTLY other_id ON other (id);
ALTER TABLE other ADD COLUMN more text;
"""


def write(folder: Path, *texts: str) -> Path:
    folder.mkdir()
    for number, text in enumerate(texts, 1):
        (folder / f"{number:03}.sql").write_text(text)
    return folder


def test_the_command_line_says_how_far_a_file_is_and_finishes_it(database, tmp_path):
    folder = write(tmp_path / "m", MIXED, "SELECT 1;")
    connected = ("--database", database)
    text = (folder / "001.sql").read_text()
    (folder / "001.sql").write_text(
        text.replace("VACUUM ANALYZE item", "VACUUM ANALYZE item; DO $$ BEGIN RAISE 'no'; END $$")
    )
    status, said, talked = lancio("apply", str(folder), *connected, "--yes", "--no-backup", "--no-data")
    assert status == 1, said + talked
    assert "4 of 10 statements ran; goes on at line 4" in said
    for words in (("status",), ("plan",), ("preflight", "--no-data"), ("verify",)):
        _, said, _ = lancio(words[0], str(folder), *connected, *words[1:])
        assert "4 of 10 statements ran; goes on at line 4" in " ".join(said.split()), words
    (folder / "001.sql").write_text(text)
    status, said, talked = lancio("apply", str(folder), *connected, "--yes", "--no-backup", "--no-data")
    assert status == 0, said + talked
    _, said, _ = lancio("status", str(folder), *connected)
    assert "Nothing to do." in said


@pytest.mark.parametrize("words", [
    ("--done", "001.sql"), ("--done", "a:1", "--again", "a:1"), ("--again", ":3"),
    ("--done", "001.sql:1"), ("--again", "002.sql:1"), ("--report", "."), ("--report", "there/is/none.html"),
])  # fmt: skip
def test_a_place_that_is_none_is_a_mistake_in_the_command_line(database, tmp_path, words):
    folder = write(tmp_path / "m", "CREATE TABLE t ();")
    status, _, talked = lancio("apply", str(folder), "--database", database, *words)
    assert status == 2, talked
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('t')").fetchone() == (None,)


def test_a_file_whose_verification_is_left_is_gone_on_with_and_not_taken_over(database, tmp_path):
    """All that it does is there, as if it had been run without Lancio; what is left is that it was verified."""
    verified = "-- lancio: verify SELECT EXISTS (SELECT FROM item)\n"
    folder = write(tmp_path / "m", f"{verified}CREATE TABLE item (id integer);\nVACUUM item;\n", "CREATE TABLE b ();")
    connected = ("--database", database)
    status, said, talked = lancio("apply", str(folder), *connected, "--yes", "--no-backup", "--no-data")
    assert status == 1, said + talked
    status, said, _ = lancio("status", str(folder), *connected, "--json")
    assert json.loads(said)["finish"].startswith(f"lancio apply {folder} --database")
    _, said, _ = lancio("adopt", str(folder), *connected, "--dry-run", "--json")
    assert json.loads(said)["adopted"] == [], said
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO item VALUES (7)")
    status, said, talked = lancio("apply", str(folder), *connected, "--yes", "--no-backup", "--no-data")
    assert status == 0, said + talked
