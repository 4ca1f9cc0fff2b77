"""The table of server versions: every version and every capability, made by the command."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[1]
VERSIONS = tuple(range(10, 19))


@pytest.fixture
def matrix(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("make_matrix", ROOT / "scripts" / "make_matrix.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "make_matrix", module)
    spec.loader.exec_module(module)
    return module


def rows(page: str) -> list[list[str]]:
    found = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")
    ]
    return [cells for cells in found if cells[0].isdigit() and len(cells) > 3]


def test_each_version_has_a_row_in_which_each_capability_was_run_and_nothing_failed(matrix: ModuleType) -> None:
    page = matrix.PAGE.read_text(encoding="utf-8")
    table = page.partition(matrix.BEGIN)[2].partition(matrix.END)[0]
    found = rows(table)
    assert tuple(int(cells[0]) for cells in found) == VERSIONS
    for major, exact, on, *cells in found:
        assert exact.split(".")[0] == major
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", on)
        assert len(cells) == len(matrix.CAPABILITIES)
        for cell in cells:
            passed, failed, _ = map(int, cell.split("/"))
            assert passed > 0
            assert failed == 0
    for name in matrix.CAPABILITIES:
        assert f"| {name} |" in page.partition(matrix.END)[2], name


def test_every_test_that_is_counted_is_there(matrix: ModuleType) -> None:
    for files in matrix.CAPABILITIES.values():
        for file in files:
            assert (ROOT / file).is_file(), file


def test_a_row_is_written_in_place_of_the_one_that_was_there_and_the_rest_stays(matrix: ModuleType) -> None:
    page = f"# Title\n\n{matrix.BEGIN}\n{matrix.END}\n\n| 14 | not a row of the table |\n"
    cells = ("14.1", "2026-01-02", *("1/0/0" for _ in matrix.CAPABILITIES))
    page = matrix.written(page, matrix.Row(14, cells, failed=False))
    page = matrix.written(page, matrix.Row(9, ("not to be had",), failed=True))
    page = matrix.written(page, matrix.Row(14, ("14.2", *cells[1:]), failed=False))
    table = page.partition(matrix.BEGIN)[2].partition(matrix.END)[0]
    assert [line.split("|")[1].strip() for line in table.splitlines() if re.match(r"\| \d", line)] == ["9", "14"]
    assert "14.1" not in page
    assert "14.2" in table
    assert page.startswith("# Title\n")
    assert page.endswith("| 14 | not a row of the table |\n")
    with pytest.raises(SystemExit):
        matrix.written("no place", matrix.Row(14, cells, failed=False))
