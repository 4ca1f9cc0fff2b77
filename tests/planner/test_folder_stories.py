"""Folders in the shapes of real projects, and files that declare what their SQL does not say.

Each story's `expected.toml` tells what is read of it; the files then run on a real server in the order told.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from lancio.catalog import profile
from lancio.planner import chronicle, graph
from lancio.reading import operations
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from lancio.planner.model import Graph, Place
    from lancio.reading.source import Folder

STORIES = Path(__file__).resolve().parent.parent / "stories"
LAYOUTS = sorted(each.name for each in (STORIES / "layouts").iterdir())
DECLARED = sorted(each.name for each in (STORIES / "declared").iterdir())


def story(path: str) -> tuple[Folder, Graph, dict[str, Any]]:
    expected = tomllib.loads((STORIES / path / "expected.toml").read_text(encoding="utf-8"))
    folder = read_folder(STORIES / path, variables=expected.get("variables"))
    return folder, graph.build(folder, profile.load(18)), expected


def holds_findings(found: Graph, expected: dict[str, Any]) -> None:
    """Every finding that is told is there, and none besides."""
    told = [tuple(each) for each in expected.get("findings", ())]
    left = [(each.rule, each.severity, each.message) for each in found.findings]
    for rule, severity, part in told:
        match = next((each for each in left if each[:2] == (rule, severity) and part in each[2]), None)
        assert match is not None, (part, left)
        left.remove(match)
    assert left == []


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_is_read_as_its_own_tool_reads_it(name: str) -> None:
    folder, found, expected = story(f"layouts/{name}")
    assert folder.layout == found.layout == expected["layout"]
    assert [facts.name for facts in found.files] == [each.name for each in folder.migrations] == expected["order"]
    downs = [each.down.name if each.down is not None else "" for each in folder.migrations]
    assert downs == expected.get("down", [""] * len(downs))
    assert [each.name for each in folder.migrations if not each.transaction] == expected.get("outside", [])
    edges = {(edge.file, edge.needs) for edge in found.edges if edge.because[0].kind == "declared"}
    assert edges == {tuple(each) for each in expected.get("edges", ())}
    holds_findings(found, expected)


@pytest.mark.parametrize("name", [*(f"layouts/{each}" for each in LAYOUTS), *(f"declared/{each}" for each in DECLARED)])
def test_its_files_run_in_the_order_told(name: str, database: str) -> None:
    _, found, expected = story(name)
    if not expected.get("runs", True):
        assert any(each.severity == "refusal" for each in found.findings)
        return
    assert not any(each.severity == "refusal" for each in found.findings)
    if expected.get("unprovided") or expected.get("opaque") == [] or name == "declared/requires_table":
        return
    with psycopg.connect(database, autocommit=True) as connection:
        for facts in found.files:
            for statement in facts.statements:
                connection.execute(statement.sql.encode())
        if "holds" in expected:
            assert connection.execute(expected["holds"].encode()).fetchone() == (True,)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_line_is_the_files_own(name: str) -> None:
    """A statement's line in the file is where its first word stands, whatever was blanked out or filled in."""
    folder, _, _ = story(f"layouts/{name}")
    for migration in folder.migrations:
        written = migration.path.read_bytes()
        assert migration.text.count(b"\n") == written.count(b"\n")
        for statement in operations.read(migration).statements:
            line = written.split(b"\n")[statement.span.line - 1]
            assert line.lstrip().startswith(statement.sql.split()[0].encode()), migration.name


@pytest.mark.parametrize("name", DECLARED)
def test_what_a_comment_declares_is_known(name: str) -> None:
    _, found, expected = story(f"declared/{name}")
    assert [facts.name for facts in found.files] == expected["order"]
    holds_findings(found, expected)
    if "edges" in expected:
        strengths = {(edge.file, edge.needs, edge.strength) for edge in found.edges}
        assert {tuple(each) for each in expected["edges"]} <= strengths
    if "unprovided" in expected:
        assert [each.object for each in found.unprovided] == expected["unprovided"]
    if "opaque" in expected:
        assert {each.at.file for each in found.opaque} == set(expected["opaque"])
    first = found.files[0]
    assert first.minimum_version == expected.get("minimum", 0)
    services = [[each.name, each.variable, each.required] for each in first.services]
    assert services == expected.get("services", [])
    declared = [[each.sql, each.once] for each in first.checks if each.declared]
    assert declared == expected.get("checks", [])
    for field, value in expected.get("shown", {}).items():
        assert getattr(first, field) == value


@pytest.mark.parametrize("name", DECLARED)
def test_what_was_declared_can_be_asked_for_like_the_rest(name: str) -> None:
    _, found, _ = story(f"declared/{name}")
    written = chronicle.of(found, profile.load(18))
    assert all(place.file in {facts.name for facts in found.files} for place in _places(written))


def test_a_declaration_is_shown_as_it_is_written() -> None:
    _, found, _ = story("declared/creates_unseen")
    (edge,) = found.edges
    assert edge.because[0].provider.text == "-- lancio: creates table orders_2026"


def _places(written: chronicle.Chronicle) -> list[Place]:
    return [written.place(event.site) for event in written.events]
