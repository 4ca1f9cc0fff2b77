"""How the next migration of a folder is called: by what the folder's files show."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from lancio.errors import LancioError
from lancio.reading import numbering
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 12, 30, 45, 123456, tzinfo=UTC)
UP_DOWN = ("-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n", "-- migrate:up\nSELECT 1;\n-- migrate:down\n")


def following(path: Path, *names: str, text: str = "SELECT 1;\n", words: str = "add invoices") -> list[str]:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return [name for name, _ in numbering.following(words, read_folder(path), None, NOW).files]


@pytest.mark.parametrize(
    ("names", "text", "made"),
    [
        (["001_a.sql", "002_b.sql"], "", ["003_add_invoices.sql"]),
        (["1_a.sql", "9_b.sql"], "", ["10_add_invoices.sql"]),
        (["0001-add-users.sql", "0002-add-tags.sql"], "", ["0003-add-invoices.sql"]),
        (["010_a.sql", "020_b.sql"], "", ["030_add_invoices.sql"]),
        (["009_a.sql", "006_b.sql", "006_c.sql"], "", ["010_add_invoices.sql"]),
        (["core/001_a.sql", "core/002_b.sql"], "", ["core/003_add_invoices.sql"]),
        (["001_a.sql", "001_a.rollback.sql"], "", ["002_add_invoices.sql", "002_add_invoices.rollback.sql"]),
        (["users.sql", "tags.sql"], "", ["add_invoices.sql"]),
        (["20250101000000_a.sql"], "", ["20261124123045_add_invoices.sql"]),
        (["20990101000000_a.sql"], "", ["20990101000001_add_invoices.sql"]),
        (["202501010000_a.sql"], "", ["202611241230_add_invoices.sql"]),
        (["20250101_a.sql"], "", ["20261124_add_invoices.sql"]),
        (["20261124_a.sql"], "", ["20261125_add_invoices.sql"]),
        (["1510262030_a.up.sql", "1510262030_a.down.sql"], "",
         ["1795523445_add_invoices.up.sql", "1795523445_add_invoices.down.sql"]),
        (["000001_a.up.sql"], "", ["000002_add_invoices.up.sql"]),
        (["000001_a.up.sql", "000001_a.down.sql"], "",
         ["000002_add_invoices.up.sql", "000002_add_invoices.down.sql"]),
        (["2019-02-26-002946_a/up.sql", "2019-02-26-002946_a/down.sql"], "",
         ["2026-11-24-123045_add_invoices/up.sql", "2026-11-24-123045_add_invoices/down.sql"]),
        (["2099-12-31-235959-0000_a/up.sql"], "", ["2099-12-31-235959-0001_add_invoices/up.sql"]),
        (["20230404095503_a/migration.sql"], "", ["20261124123045_add_invoices/migration.sql"]),
        (["V1__a.sql", "V2__b.sql", "R__view.sql"], "", ["V3__add_invoices.sql"]),
        (["V1.9__a.sql"], "", ["V1.10__add_invoices.sql"]),
        (["V1_09__a.sql"], "", ["V1_10__add_invoices.sql"]),
        (["00001_a.sql"], UP_DOWN[0], ["00002_add_invoices.sql"]),
        (["20250101000000_a.sql"], UP_DOWN[1], ["20261124123045_add_invoices.sql"]),
    ],
)  # fmt: skip
def test_the_next_file_is_called_as_the_others(tmp_path: Path, names: list[str], text: str, made: list[str]) -> None:
    assert following(tmp_path, *names, text=text or "SELECT 1;\n") == made


@pytest.mark.parametrize("layout", ["flat", "timestamps", "up-down", "diesel", "prisma", "flyway", "dbmate", "goose"])
def test_the_first_file_and_the_one_behind_it_are_read_in_that_order(tmp_path: Path, layout: str) -> None:
    for words in ("one", "two"):
        folder = read_folder(tmp_path, layout=layout) if any(tmp_path.iterdir()) else None  # type: ignore[arg-type]
        made = numbering.following(words, folder, layout, NOW)  # type: ignore[arg-type]
        for name, text in made.files:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text + "SELECT 1;\n" if "Up" not in text and "up" not in text else text)
    read = read_folder(tmp_path)
    assert [("one" in each.name, "two" in each.name) for each in read.migrations] == [(True, False), (False, True)]
    # A timestamp alone is a flat folder's name too; all others are recognized by what was written.
    assert read.layout == layout


def test_sqitch_is_refused_with_the_command_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "a.sql").write_text("SELECT 1;")
    (tmp_path / "sqitch.plan").write_text("%project=x\n\na 2026-01-01T00:00:00Z A <a@b> # a\n")
    with pytest.raises(LancioError) as refused:
        numbering.following("add invoices", read_folder(tmp_path), None, NOW)
    assert refused.value.commands == ("sqitch add add_invoices -n 'add invoices'",)


@pytest.mark.parametrize("words", ["", "  ", "../../etc/passwd", "a/b", "a\nb", "--", "..", "a\\b"])
def test_what_is_no_name_is_refused(tmp_path: Path, words: str) -> None:
    with pytest.raises(LancioError, match="no name"):
        following(tmp_path, "001_a.sql", words=words)


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("flat", ["9_a.sql", "010_b.sql", "V11__c.sql", "none.sql"]),
        ("up-down", ["9_z.up.sql", "10_a.up.sql"]),
        ("flyway", ["V1__z.sql", "V1.2__a.sql", "V1_10__a.sql", "V2__a.sql", "R__a.sql"]),
        ("diesel", ["2019-02-26-002946_z/up.sql", "2019-02-27-000000_a/up.sql"]),
        ("dbmate", ["10_z.sql", "9_a.sql"]),
        ("goose", ["9_z.sql", "10_a.sql"]),
    ],
)
def test_places_compare_as_the_tool_orders_files(layout: numbering.Name, names: list[str]) -> None:
    for one, other in itertools.pairwise(names):
        assert numbering.place(layout, one) < numbering.place(layout, other)


def test_one_version_written_in_two_ways_is_one_number() -> None:
    assert numbering.number("flyway", "V1_2__a.sql") == numbering.number("flyway", "x/V1.2.0__b.sql") == "1.2"
    assert numbering.number("flat", "007_a.sql") == numbering.number("flat", "x/7-b.sql") == "7"
    assert numbering.number("flat", "007 a.sql") == "7"
    assert numbering.number("flat", "users.sql") == ""
