"""What `lancio check --base` tells of planted conflicts and of independent pairs, beside what PostgreSQL says.

A sample of the kinds, drawn with a seed; all of them with LANCIO_PROOF=1, as bench/branches.py does on whole histories.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from histories import folder

from lancio.cli.options import platform_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.proof.scratch import Scratch

BENCH = Path(__file__).resolve().parents[2] / "bench" / "branches.py"
MADE_UP = (
    "CREATE TABLE people (id int PRIMARY KEY, name text, born int, town text);",
    "CREATE TABLE visits (id int PRIMARY KEY, person int REFERENCES people, at timestamptz, why text);",
    'CREATE TABLE "Odd Names" ("the id" bigint PRIMARY KEY, "a ""quoted"" one" text, "Other" int);',
    "CREATE VIEW townspeople AS SELECT id, town FROM people;",
)
WHOLE = os.environ.get("LANCIO_PROOF") == "1"


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("branches", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["branches"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["branches"]


def sample(kinds: Any, seed: int, many: int) -> list[str]:
    return list(kinds) if WHOLE else random.Random(seed).sample(list(kinds), many)


@pytest.mark.embedded
@pytest.mark.parametrize("history", ["platform", "made up"])
def test_planted_conflicts_are_found_and_independent_pairs_are_free(
    bench: Any, place: Scratch, tmp_path: Path, history: str
) -> None:
    path = platform_folder() if history == "platform" else folder(tmp_path / "migrations", *MADE_UP)
    given = argparse.Namespace(var=[], seed=len(history))
    asked = bench.Bench(path, b"", given, place, tmp_path / "place")
    assert asked.failed == ()
    cases = [asked.pair(kind, bench.CONFLICTS[kind], conflict=True) for kind in sample(bench.CONFLICTS, 1, 6)]
    cases += [asked.pair(kind, bench.INDEPENDENT[kind], conflict=False) for kind in sample(bench.INDEPENDENT, 2, 5)]
    cases += [asked.file(kind) for kind in bench.OF_FILES[1:]]
    assert [case for case in cases if not case.right] == []
    assert {case.truth for case in cases} == {True, False}


@pytest.mark.embedded
def test_the_bench_ends_with_1_where_check_is_wrong(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two files that may run in either order, planted as a conflict: nothing is told, and the bench says so."""
    monkeypatch.setattr(bench, "CONFLICTS", {"none": ("CREATE TABLE lb.a ();", "CREATE TABLE lb.b ();")})
    monkeypatch.setattr(bench, "INDEPENDENT", {"bound": ("DROP TABLE lb.spare;", "COMMENT ON TABLE lb.spare IS 'x';")})
    monkeypatch.setattr(bench, "OF_FILES", ())
    assert bench.main([str(folder(tmp_path / "migrations", *MADE_UP)), "--seed", "1"]) == 1
    said = capsys.readouterr().out
    assert "WRONG none: check independent [], PostgreSQL independent" in said
    assert "WRONG bound: check conflict ['conflict'], PostgreSQL conflict" in said
