# ruff: noqa: E501  (one case a line)
"""Which layout does a folder show, which are refused, and in which order do its files come?"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancio.catalog import profile
from lancio.errors import LancioError, SourceError
from lancio.planner import folders, graph
from lancio.reading import operations, sqitch
from lancio.reading.layouts import NAMES, SAYS
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from lancio.reading.layouts import Name


def write(folder: Path, *names: str, **texts: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts.get("text", "SELECT 1;\n"), encoding="utf-8")
    return folder


def names(folder: Path, layout: Name | None = None) -> list[str]:
    return [each.name for each in read_folder(folder, layout=layout).migrations]


def refused(folder: Path, layout: Name | None = None) -> SourceError:
    with pytest.raises(SourceError) as caught:
        read_folder(folder, layout=layout)
    assert caught.value.cause
    assert caught.value.remedy
    return caught.value


ORDERS: list[tuple[Name, list[str]]] = [
    ("up-down", ["1_b.up.sql", "02_a.up.sql", "10_c.up.sql", "20240101000000_d.up.sql"]),
    ("diesel", ["00000000000000_s/up.sql", "2025-09-19-132648-0000_a/up.sql", "20250919132649_b/up.sql", "2025-10-01-000000_c/up.sql"]),
    ("prisma", ["0_init/migration.sql", "10_c/migration.sql", "2_b/migration.sql"]),
    ("flyway", ["V0.9__a.sql", "V1__b.sql", "V1.0.1__c.sql", "V1_2__d.sql", "V1.10__e.sql", "V2__f.sql", "R__a.sql", "R__b_c.sql"]),
    ("flat", ["2_a.sql", "V3__f.sql", "010_b.sql", "10_c.sql", "alpha.sql"]),
    ("timestamps", ["20230101000000_b.sql", "20230102000000_a.sql"]),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "order"), ORDERS)
def test_files_come_in_the_order_of_their_tool(layout: Name, order: list[str], tmp_path: Path) -> None:
    folder = read_folder(write(tmp_path, *reversed(order)))
    assert (folder.layout, [each.name for each in folder.migrations]) == (layout, order)
    assert len(folder.groups) == (4 if layout == "flat" else len(order))


PARTED: list[tuple[Name, str, list[str]]] = [
    ("dbmate", "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n", ["10_a.sql", "2_b.sql"]),
    ("goose", "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n", ["2_b.sql", "10_a.sql"]),
    ("sql-migrate", "-- +migrate Up\nSELECT 1;\n-- +migrate Down\nSELECT 2;\n", ["2_b.sql", "10_a.sql", "a.sql"]),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "text", "order"), PARTED)
def test_parted_files_come_in_the_order_of_their_tool(
    layout: Name, text: str, order: list[str], tmp_path: Path
) -> None:
    folder = read_folder(write(tmp_path, *order, text=text))
    assert (folder.layout, [each.name for each in folder.migrations]) == (layout, order)
    for migration in folder.migrations:
        assert [each.sql for each in operations.read(migration).statements] == ["SELECT 1"]
        assert migration.down is not None
        assert migration.down.text is not None
        assert b"SELECT 2;" in migration.down.text
        assert b"SELECT 1" not in migration.down.text


def test_markers_with_windows_line_ends_part_a_file_as_well(tmp_path: Path) -> None:
    (tmp_path / "1_a.sql").write_bytes(
        b"-- migrate:up transaction:false\r\nSELECT 1;\r\n-- migrate:down\r\nSELECT 2;\r\n"
    )
    (migration,) = read_folder(tmp_path).migrations
    assert (migration.transaction, migration.text.strip().endswith(b"SELECT 1;")) == (False, True)


def test_a_change_of_the_down_part_changes_no_checksum(tmp_path: Path) -> None:
    write(tmp_path, "1_a.sql", text="-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n")
    before = read_folder(tmp_path).migrations[0].checksum
    write(tmp_path, "1_a.sql", text="-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 3;\n")
    assert read_folder(tmp_path).migrations[0].checksum == before


def test_an_error_at_the_end_of_the_up_part_is_shown_there(tmp_path: Path) -> None:
    write(tmp_path, "1_a.sql", text="-- migrate:up\nCREATE TABLE é (\n\n-- migrate:down\nSELECT 2;\n")
    (migration,) = read_folder(tmp_path).migrations
    with pytest.raises(LancioError) as caught:
        operations.read(migration)
    assert caught.value.where.splitlines()[:2] == ["1_a.sql:2", "    CREATE TABLE é ("]


def test_a_file_without_a_marker_among_parted_ones_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "1_a.sql", "2_b.sql", text="-- migrate:up\nSELECT 1;\n")
    write(tmp_path, "3_c.sql")
    error = refused(tmp_path)
    assert (error.message, error.where) == ("3_c.sql has no line `-- migrate:up`", "3_c.sql:1")


def test_a_statement_above_the_marker_is_refused_with_its_place(tmp_path: Path) -> None:
    write(tmp_path, "1_a.sql", text="/* a note */\n  SELECT 0;\n-- +goose Up\nSELECT 1;\n")
    assert refused(tmp_path).where == "1_a.sql:2\n      SELECT 0;\n      ^"


MIXED = [
    (["1_a.up.sql"], ["2_b.sql", "3_c.sql"], "--layout up-down"),
    (["x/up.sql"], ["2_b.sql", "3_c.sql"], "--layout diesel"),
    (["x/migration.sql"], ["2_b.sql", "3_c.sql"], "--layout prisma"),
]


@pytest.mark.parametrize(("few", "many", "flag"), MIXED)
def test_a_folder_of_two_layouts_is_refused_with_the_flags_to_choose(
    few: list[str], many: list[str], flag: str, tmp_path: Path
) -> None:
    error = refused(write(tmp_path, *few, *many))
    assert "more than one way" in error.message
    assert flag in error.remedy
    assert "--layout flat" in error.remedy
    assert names(tmp_path, "flat") == sorted([*few, *many], key=lambda each: (not each[0].isdigit(), each))
    assert names(tmp_path, flag.split()[1]) == few  # type: ignore[arg-type]


def test_few_parted_files_among_plain_ones_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "1_a.sql", text="-- +goose Up\nSELECT 1;\n-- +goose Down\nDROP TABLE t;\n")
    error = refused(write(tmp_path, "2_b.sql", "3_c.sql"))
    assert "1 of 3 are files parted by `-- +goose Up`" in error.cause
    assert len(names(tmp_path, "flat")) == 3


@pytest.mark.parametrize("deeper", ["pg/1_a.up.sql", "pg/x/up.sql", "pg/x/migration.sql"])
def test_migrations_one_folder_deeper_are_named(deeper: str, tmp_path: Path) -> None:
    error = refused(write(tmp_path, deeper))
    assert "no folder of migrations" in error.message
    assert str(tmp_path / "pg") in error.remedy
    write(tmp_path / "other", "db/1_a.sql", text="-- migrate:up\nSELECT 1;\n")
    assert str(tmp_path / "other" / "db") in refused(tmp_path / "other").remedy


@pytest.mark.parametrize("layout", [each for each in NAMES if each != "flat"])
def test_a_layout_that_is_wanted_and_not_there_is_refused(layout: Name, tmp_path: Path) -> None:
    assert refused(write(tmp_path, "a.sql"), layout).message


def test_only_other_databases_files_are_no_migrations(tmp_path: Path) -> None:
    error = refused(write(tmp_path, "1_a.mysql.up.sql", "1_a.sqlite3.up.sql"))
    assert "holds no migration that can be read" in error.message


def test_two_files_of_one_version_are_told_and_flyways_refused(tmp_path: Path) -> None:
    folder = read_folder(write(tmp_path / "a", "1_b.up.sql", "1_a.up.sql", "1_b.down.sql"))
    assert [(each.name, each.down is not None) for each in folder.migrations] == [
        ("1_a.up.sql", False),
        ("1_b.up.sql", True),
    ]
    assert ["have the same version" in each.message for each in folders.findings(folder)] == [True]
    assert (
        "V1_0__b.sql and V1__a.sql have the same version"
        in refused(write(tmp_path / "b", "V1__a.sql", "V1_0__b.sql")).message
    )


def test_a_part_of_a_sqitch_project_leads_to_its_plan(tmp_path: Path) -> None:
    write(tmp_path, "deploy/a.sql", "sqitch.plan")
    assert str(tmp_path) in refused(tmp_path / "deploy").remedy


BAD_PLANS = [
    ("a 2024-01-01T00:00:00Z A <a@b>\nb [c] 2024\n", "sqitch.plan: b requires c, which is not in the plan before it"),
    ("a 2024\na 2025\n", "sqitch.plan has the change a twice"),
    ("a 2024\n-a 2025\n", "sqitch.plan has a line that cannot be followed"),
    ("[a]\n", "sqitch.plan has a line that cannot be followed"),
    ("a 2024\nmissing 2025\n", "sqitch.plan has the change missing, and there is no deploy/missing.sql"),
]


@pytest.mark.parametrize(("plan", "message"), BAD_PLANS)
def test_a_plan_that_cannot_be_followed_is_refused_with_its_line(plan: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, "deploy/a.sql", "deploy/b.sql")
    (tmp_path / "sqitch.plan").write_text(plan, encoding="utf-8")
    error = refused(tmp_path)
    assert error.message == message
    assert error.where.startswith(("sqitch.plan:1", "sqitch.plan:2"))


def test_a_plan_names_changes_by_tag_too(tmp_path: Path) -> None:
    plan = tmp_path / "sqitch.plan"
    plan.write_text(
        "%project=p\na 2024\n@v1 2024\nb [a@v1] 2024\na [@v1 p:b] 2025\n@v2 2025\nc [a !b x:y] 2026\n", encoding="utf-8"
    )
    changes = sqitch.read(plan)
    assert [(each.name, each.requires, each.conflicts) for each in changes] == [
        ("a", (), ()), ("b", (0,), ()), ("a", (0, 1), ()), ("c", (2,), (1,)),
    ]  # fmt: skip
    assert [each.scripts for each in changes] == [("a@v1",), ("b",), ("a",), ("c",)]
    assert changes[3].elsewhere == ("x:y",)


def test_every_layout_is_said_in_words() -> None:
    assert set(SAYS) == set(NAMES)


_PIECES = st.sampled_from([
    "-- migrate:up", "-- migrate:down", "-- +goose Up", "-- +goose Down", "-- +goose StatementBegin", "-- +migrate Up",
    "-- +migrate Down", "\n", "\r\n", "SELECT 1;", "'", '"', "$$", "/*", "${a}", "{{ .b }}", "{{", ":c", "é", "%project=x",
    "a [b] 2024", "@v1", "-- lancio: requires table x", "-- lancio: creates", "-- depends: a b", "-- requires: c",
])  # fmt: skip
_NAMES = st.sampled_from([
    "1_a.sql", "2.sql", "V1__a.sql", "R__b.sql", "1_a.up.sql", "1_a.down.sql", "1_b.postgres.up.sql", "x/up.sql",
    "x/down.sql", "x/migration.sql", "20240101000000_a.sql", "deploy/a.sql", "sqitch.plan", "x/metadata.toml", "é.sql",
    "V1__a.sql.conf",
])  # fmt: skip


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    st.dictionaries(_NAMES, st.lists(_PIECES, max_size=8).map("".join), min_size=1, max_size=6),
    st.one_of(st.none(), st.sampled_from(NAMES)),
)
def test_whatever_a_folder_holds_is_read_or_refused(files: dict[str, str], layout: Name | None) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for file, text in files.items():
            (root / file).parent.mkdir(exist_ok=True)
            (root / file).write_bytes(text.encode())
        try:
            folder = read_folder(root, layout=layout, variables={"a": "v"})
            graph.build(folder, profile.load(18))
        except LancioError as error:
            assert error.cause  # noqa: PT017
            return
        assert folder.migrations
        assert all(each.text.count(b"\n") == each.path.read_bytes().count(b"\n") for each in folder.migrations)
