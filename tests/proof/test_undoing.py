"""Each kind of change is taken back to the catalog's fingerprint from before it, or refused with the reason."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from histories import planned

from lancio.cli.options import platform_folder
from lancio.executor import fingerprint
from lancio.proof import replay, scratch, undoing
from lancio.reading import source

pytestmark = pytest.mark.embedded

CHANGES = {
    name: text
    for name, _, text in (
        part.partition("\n")
        for part in (Path(__file__).parent / "changes.sql").read_text(encoding="utf-8").split("-- name: ")[1:]
    )
}
BASE = CHANGES.pop("base")

REFUSED = [
    ("ALTER TABLE s.parent DROP COLUMN amount;", "drops column s.parent.amount"),
    ("DROP TABLE s.log;", "drops table s.log"),
    ("DROP SEQUENCE s.numbers;", "sequence s.numbers, whose last value"),
    ("ALTER TYPE s.mood ADD VALUE 'so';", "takes no value out of an enum"),
    ("UPDATE s.t SET size = 1;", "updates rows of s.t (line 1)"),
    ("DELETE FROM s.t;", "deletes rows of s.t"),
    ("TRUNCATE s.t;", "deletes rows of s.t"),
    ('ALTER TABLE s.parent ALTER "Odd Name" SET COMPRESSION pglz;', "takes back what it changes: column s.parent."),
    ("INSERT INTO s.parent SELECT 1, 'x' FROM s.t;", "cannot be told from later ones"),
    ("ALTER TABLE s.t ADD COLUMN plus integer; UPDATE s.t SET plus = 1, size = 2;", "updates rows of s.t"),
    ("DO $$ BEGIN EXECUTE 'DELETE FROM s.' || quote_ident(chr(116)); END $$;", "line 1"),
    ("CREATE FUNCTION s.fill() RETURNS void LANGUAGE sql AS 'UPDATE s.parent SET \"Odd Name\" = 1'; SELECT s.fill();",
     "writes rows of s.parent"),
    ("ALTER TABLE s.parent ALTER amount TYPE text USING 'n' || amount;", "works out the values of column amount"),
    ("ALTER TABLE s.parent ALTER amount TYPE boolean USING amount > 0;", "cannot be told from the new ones"),
    ("ALTER ROLE CURRENT_USER SET work_mem = '5MB';", "settings of role"),
]  # fmt: skip


@pytest.fixture(scope="module")
def base(memory):
    """A database with BASE in it, to be copied."""
    name = memory.create()
    with memory.connect(name, replay.SESSION) as connection:
        connection.execute(BASE)
    return name


@pytest.fixture
def copied(memory, base):
    """A session on a copy of it."""
    name = memory.create(base)
    with memory.connect(name, replay.SESSION) as connection:
        yield connection
    memory.drop(name)


def undo(connection, graph, step):
    """The undoing of a file, and the fingerprints before it, behind it, and after it was taken back."""
    before = fingerprint.take(connection)
    found = undoing.undo(connection, graph.file(step), None)
    after = fingerprint.take(connection)
    with connection.transaction():
        assert undoing.execute(connection, found.statements) == "" or found.refused
    return found, before, after, fingerprint.take(connection)


@pytest.mark.parametrize("change", CHANGES)
def test_the_catalog_comes_back(copied, tmp_path, change):
    graph = planned(tmp_path / "h", BASE, CHANGES[change])
    found, before, after, back = undo(copied, graph, "2.sql")
    assert (found.refused, found.obstacles) == ((), ())
    assert fingerprint.diff(before, back) == ([], [])
    assert (before.hash != after.hash) == (found.way != "none")
    assert not any("CASCADE" in each for each in found.statements)


@pytest.mark.parametrize(("step", "reason"), REFUSED, ids=lambda each: (each or "")[:50])
def test_what_nothing_brings_back_is_refused_with_its_reason(copied, tmp_path, step, reason):
    graph = planned(tmp_path / "h", BASE, step)
    found = undoing.undo(copied, graph.file("2.sql"), None)
    assert reason in "; ".join((*found.refused, *(each.says for each in found.obstacles)))


def test_rows_that_constants_name_are_deleted_by_their_key(copied, tmp_path):
    step = "INSERT INTO s.parent (id, \"Odd Name\") VALUES (7, 'it''s'), (8, 'b');"
    found, *_ = undo(copied, planned(tmp_path / "h", BASE, step), "2.sql")
    assert found.statements == (
        "DELETE FROM s.parent WHERE id = '7'",
        "DELETE FROM s.parent WHERE id = '8'",
    )
    assert [loss.where for loss in found.losses] == ["id = '7'", "id = '8'"]


ROW = 'INSERT INTO s.parent (id, "Odd Name")'


@pytest.mark.parametrize(
    "step",
    [
        f"{ROW} VALUES (7, 'it''s') ON CONFLICT DO NOTHING;",
        f"{ROW} SELECT 7, 'it''s' WHERE NOT EXISTS (SELECT FROM s.parent WHERE id = 7);",
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM s.parent WHERE id = 7) THEN {ROW} VALUES (7, 'it''s'); END IF; END$$",
        f"DO $$ BEGIN {ROW} VALUES (7, 'it''s'); EXCEPTION WHEN unique_violation THEN NULL; END $$;",
    ],
)
def test_a_row_that_may_have_been_there_before_is_deleted_only_where_it_is_the_steps_own(copied, tmp_path, step):
    found, *_ = undo(copied, planned(tmp_path / "h", BASE, step), "2.sql")
    assert found.statements == ("DELETE FROM s.parent WHERE id = '7' AND \"Odd Name\" = 'it''s'",)


def test_more_rows_than_are_told_one_by_one_are_not_left_behind_unsaid(copied, tmp_path):
    step = f"{ROW} VALUES {', '.join(f'({each}, NULL)' for each in range(100, 1101))};"
    found = undoing.undo(copied, planned(tmp_path / "h", BASE, step).file("2.sql"), None)
    assert "cannot be told from later ones" in "; ".join(each.says for each in found.obstacles)


def test_rows_of_a_table_that_goes_with_the_rollback_are_no_obstacle(place, tmp_path):
    graph = planned(
        tmp_path / "h", "CREATE TABLE t (id integer);", "INSERT INTO t SELECT 1;", "CREATE TABLE u (id integer);"
    )
    with place.connect(place.create(), replay.SESSION) as connection:
        files = list(graph.files)
        *each, whole = undoing.rehearse(connection, [], files, {})
        assert each[1].obstacles
        assert [one.obstacles for one in whole.undoings] == [(), (), ()]
        assert undoing.undone(connection, whole) == ""
        assert fingerprint.take(connection).hash == whole.start.hash
        assert {loss.table for one in whole.undoings for loss in one.losses} == {"public.t", "public.u"}


def test_what_the_author_wrote_is_used_where_it_gives_the_catalog_back(place, tmp_path):
    folder = tmp_path / "h"
    folder.mkdir()
    (folder / "1_t.up.sql").write_text("CREATE TABLE t (id integer);")
    (folder / "1_t.down.sql").write_text("BEGIN; DROP TABLE t; COMMIT;")
    (folder / "2_u.up.sql").write_text("CREATE TABLE u (id integer); CREATE INDEX i ON t (id);")
    (folder / "2_u.down.sql").write_text("DROP TABLE u;")
    (folder / "3_w.up.sql").write_text("CREATE TABLE w (id integer);")
    (folder / "3_w.down.sql").write_text("DROP TABLE w; VACUUM;")
    made = source.read_folder(folder)
    downs = {each.name: source.down_part(made, each) for each in made.migrations}
    from lancio.catalog import profile
    from lancio.planner import graph as planning

    graph = planning.build(made, profile.load(18))
    with place.connect(place.create(), replay.SESSION) as connection:
        first, second, third, whole = undoing.rehearse(connection, [], graph.files, downs)
        assert undoing.undone(connection, whole) == ""
    assert (first.way, first.source, first.statements) == ("written", "1_t.down.sql", ("DROP TABLE t",))
    assert second.way == third.way == "computed"
    assert "2_u.down.sql is not used: it does not give back the catalog" in second.notes[0]
    assert "runs in no transaction" in third.notes[0]


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        ({"20260101000000_t.sql": "-- migrate:up\nCREATE TABLE t (id int);\n-- migrate:down\nDROP TABLE t;\n"},
         "dbmate"),
        ({"00001_t.sql": "-- +goose Up\nCREATE TABLE t (id int);\n-- +goose Down\nDROP TABLE t;\n"}, "goose"),
        ({"1_t.sql": "-- +migrate Up\nCREATE TABLE t (id int);\n-- +migrate Down\nDROP TABLE t;\n"}, "sql-migrate"),
        ({"V1__t.sql": "CREATE TABLE t (id int);", "U1__t.sql": "DROP TABLE t;"}, "flyway"),
        ({"2026-01-01-000000_t/up.sql": "CREATE TABLE t (id int);",
          "2026-01-01-000000_t/down.sql": "DROP TABLE t;"}, "diesel"),
        ({"sqitch.plan": "%syntax-version=1.0.0\n%project=p\n\nt 2026-01-01T00:00:00Z A <a@b.c> # t\n",
          "deploy/t.sql": "BEGIN;\nCREATE TABLE t (id int);\nCOMMIT;\n",
          "revert/t.sql": "BEGIN;\nDROP TABLE t;\nCOMMIT;\n"}, "sqitch"),
        ({"1_t.up.sql": "CREATE TABLE {{ .Name }} (id int);", "1_t.down.sql": "DROP TABLE {{ .Name }};"}, "up-down"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_the_down_part_of_each_layout_is_found(tmp_path, files, layout):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    folder = source.read_folder(tmp_path, variables={"Name": "t"})
    assert folder.layout == layout
    down = source.down_part(folder, folder.migrations[0], {"Name": "t"})
    assert down is not None
    assert undoing.written_down(down) == (("DROP TABLE t",), "")


WITHOUT_OLDER = {
    "a_generated_column_with_an_index": 12,
    "things_without_rows_that_are_dropped": 10,
    "a_rule_a_publication_an_operator_a_collation": 14,
    "a_partition_that_is_detached": 11,
    "a_new_partition_and_an_index_on_all": 11,
}
"""The major version from which PostgreSQL runs a change at all."""


def test_older_servers_take_everything_back_as_well(every_server, tmp_path):
    names = [name for name in CHANGES if WITHOUT_OLDER.get(name, 10) <= every_server.version]
    if os.environ.get("LANCIO_PROOF") != "1":  # a copy takes long on a server's disk: a seeded sample of them
        names = random.Random(f"{every_server.version}").sample(names, 4)
    changes = [CHANGES[name] for name in names]
    graph = planned(tmp_path / "h", BASE, *changes)
    server = scratch.at(every_server.url())
    try:
        name = server.create()
        with server.connect(name, replay.SESSION.replace(" -c jit=off", "")) as connection:
            connection.execute(BASE)
        for facts in graph.files[1:]:
            copy = server.create(name)
            with server.connect(copy, replay.SESSION.replace(" -c jit=off", "")) as connection:
                found, before, _, back = undo(connection, graph, facts.name)
                assert (facts.migration.text, found.refused, found.obstacles) == (facts.migration.text, (), ())
                assert fingerprint.diff(before, back) == ([], [])
            server.drop(copy)
    finally:
        server.clear()


def test_all_platform_files_are_taken_back_to_the_empty_database(place):
    from lancio.catalog import profile
    from lancio.planner import graph as planning

    graph = planning.build(source.read_folder(platform_folder()), profile.load(18))
    with place.connect(place.create(), replay.SESSION) as connection:
        empty = fingerprint.take(connection)
        *each, whole = undoing.rehearse(connection, [], graph.files, {})
        assert len(each) == len(graph.files)
        assert all(one.proved and not one.refused for one in each)
        assert undoing.undone(connection, whole) == ""
        assert fingerprint.take(connection).hash == empty.hash
    lost = {loss.table for one in whole.undoings for loss in one.losses if not loss.where and not loss.column}
    assert {"platform.databases", "platform.projects", "platform.organizations"} <= lost
