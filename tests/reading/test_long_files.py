"""Long files are parsed in pieces, and rows beyond a number are counted, not looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from lancio.errors import SyntaxRefused
from lancio.reading import operations
from lancio.reading.source import Migration
from lancio.syntax import parser

PLATFORM = sorted((Path(__file__).parents[2] / "src" / "lancio" / "registry" / "schema").glob("*.sql"))
TAIL = """
-- a comment; with a semicolon
CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;
INSERT INTO t VALUES ('a;b', $$;$$, E'\\';', "é;") /* ; */ ; ;
SELECT 'größe'
"""


def read(text: str) -> operations.FileOps:
    return operations.read(Migration("a.sql", Path("a.sql"), text.encode()))


@pytest.mark.parametrize("chunk", [1, 100, 5_000])
def test_pieces_give_what_the_whole_gives(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"\n".join(each.read_bytes() for each in PLATFORM) + TAIL.encode()
    whole = parser.parse(text)
    monkeypatch.setattr(parser, "CHUNK", chunk)
    found = parser.parse(text)
    assert [(each.node, each.start, each.end) for each in found] == [
        (each.node, each.start, each.end) for each in whole
    ]


def test_a_mistake_in_a_later_piece_has_its_own_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "CHUNK", 50)
    with pytest.raises(SyntaxRefused) as caught:
        read("SELECT 'é', 1;\n" * 30 + "SELECT FROM FROM;\n")
    assert caught.value.where is not None
    assert caught.value.where.startswith("a.sql:31\n    SELECT FROM FROM;\n                ^")


def test_rows_beyond_a_number_are_statements_without_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAX_ROWS", 3)
    lines = [f"INSERT INTO s.t (id, name) VALUES ({at}, 'x');" for at in range(6)]
    found = read("\n".join([*lines, "INSERT INTO s.t (id) VALUES (7);", "INSERT INTO s.t (id, name) SELECT f(), 'x';"]))
    assert [each.sql + ";" for each in found.statements[:6]] == lines
    assert {each.summary for each in found.statements} == {"INSERT INTO s.t"}
    assert [each.span.line for each in found.statements] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert sorted({op.statement for op in found.ops if op.verb == "rows"}) == [0, 1, 2, 6, 7]
    assert [(op.statement, op.detail.reason) for op in found.ops if op.verb == "opaque"] == [
        (3, "more rows for s.t than 3 in this file are not looked at")
    ]
    assert [op.ref.name for op in found.ops if op.verb == "call"] == ["f"]
