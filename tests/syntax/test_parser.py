"""Statements, their places, and what is refused before it could end the process."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancio.errors import SyntaxRefused
from lancio.reading import operations
from lancio.reading.source import Migration
from lancio.syntax import parser

NESTINGS = {
    "parentheses": ("SELECT ", "(", "1", ")", ""),
    "casts": ("SELECT 1", "", "", "::int", ""),
    "CAST": ("SELECT ", "CAST(", "1", " AS int)", ""),
    "ISNULL": ("SELECT a", "", "", " ISNULL", ""),
    "IS NOT NULL": ("SELECT a", "", "", " IS NOT NULL", ""),
    "IS JSON": ("SELECT a", "", "", " IS JSON", ""),
    "OPERATOR": ("SELECT 1", "", "", " OPERATOR(+) 1", ""),
    "signs": ("SELECT ", "+-", "1", "", ""),
    "spaced signs": ("SELECT ", "- ", "1", "", ""),
    "NOT": ("SELECT ", "NOT ", "true", "", ""),
    "NOT IN": ("SELECT a", "", "", " NOT IN (1)", ""),
    "concatenation": ("SELECT 1", "", "", " || 1", ""),
    "subqueries": ("SELECT * FROM ", "(SELECT * FROM ", "t", ") x", ""),
    "EXISTS": ("SELECT ", "EXISTS (SELECT ", "1", ")", ""),
    "ANY": ("SELECT ", "1 = ANY(", "a", ")", ""),
    "CASE": ("SELECT ", "CASE WHEN a THEN 1 ELSE ", "1", " END", ""),
    "CASE in its condition": ("SELECT ", "CASE WHEN ", "a", " THEN b END", ""),
    "joins": ("SELECT * FROM t", "", "", " CROSS JOIN t", ""),
    "natural joins": ("SELECT * FROM t", "", "", " NATURAL JOIN t", ""),
    "joins in parentheses": ("SELECT * FROM ", "(", "a", " CROSS JOIN b)", ""),
    "joins without ON yet": ("SELECT * FROM a ", "JOIN b ", "", "ON c ", ""),
    "UNION": ("SELECT 1", "", "", " UNION SELECT 1", ""),
    "EXCEPT": ("SELECT 1", "", "", " EXCEPT ALL SELECT 1", ""),
    "calls": ("SELECT ", "f(", "1", ")", ""),
    "named arguments": ("SELECT ", "f(a => ", "1", ")", ""),
    "old named arguments": ("SELECT ", "f(a := ", "1", ")", ""),
    "arrays": ("SELECT ", "ARRAY[", "1", "]", ""),
    "subscripts in subscripts": ("SELECT ", "a[", "1", "]", ""),
    "rows": ("SELECT ", "ROW(", "1", ")", ""),
    "fields": ("SELECT ", "(", "a", ").b", ""),
    "WITH": ("", "WITH x AS (", "SELECT 1", ") SELECT 1", ""),
    "COLLATE": ("SELECT a", "", "", ' COLLATE "C"', ""),
    "AT TIME ZONE": ("SELECT a", "", "", " AT TIME ZONE 'x'", ""),
    "AT LOCAL": ("SELECT a", "", "", " AT LOCAL", ""),
    "AND in parentheses": ("SELECT ", "(a AND ", "b", ")", ""),
    "OR and NOT": ("SELECT ", "a OR NOT (", "b", ")", ""),
    "XML": ("SELECT ", "xmlelement(name a, ", "1", ")", ""),
    "INSERT": ("INSERT INTO t SELECT ", "(SELECT ", "1", ")", ""),
    "CHECK": ("CREATE TABLE t (a int CHECK (", "(", "a > 0", ")", "))"),
    "EXPLAIN": ("", "EXPLAIN ", "SELECT 1", "", ""),
    "open parentheses": ("SELECT ", "(", "1", "", ""),
    "broken": ("SELECT ", "CASE ", "", "", ""),
}
"""What is repeated before the middle and behind it."""


def nested(name: str, count: int) -> bytes:
    before, opening, middle, closing, after = NESTINGS[name]
    return (before + opening * count + middle + closing * count + after).encode()


@pytest.mark.parametrize("name", NESTINGS)
@pytest.mark.parametrize("count", [100, 199, 1_000])
def test_a_nested_statement_is_read_or_refused(name: str, count: int) -> None:
    """Whatever the depth: operations or a refusal, never a crash."""
    refused = ""
    try:
        operations.read(Migration("a.sql", Path("a.sql"), nested(name, count)))
    except SyntaxRefused as error:
        refused = error.message
    if count == 1_000:
        assert refused
    elif count == 100 and "syntax error" not in refused:
        # Constructs that put two nodes into another count twice.
        assert (
            not refused
            or name in ("signs", "CAST", "joins in parentheses", "CASE in its condition")
            or ("nested too deeply" in refused and _steps(name) > 1)
        )


def _steps(name: str) -> int:
    """How many things of one round can nest, as the guard counts them."""
    text = " ".join(NESTINGS[name][1::2])
    return len(parser._DEEPER.findall(text.encode()))


DEEP = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_parser
from lancio.syntax import parser
for name in test_parser.NESTINGS:
    began = time.perf_counter()
    try:
        parser.parse(test_parser.nested(name, 100_000))
        print(name, "was read")
    except parser.ParseError as error:
        pass
    if time.perf_counter() - began > 4:
        print(name, "took", time.perf_counter() - began)
print("survived")
"""


def test_a_hundred_thousand_of_anything_is_refused_by_a_living_process() -> None:
    code = DEEP.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout.strip(), done.returncode) == ("survived", 0), done.stderr[-500:]


@pytest.mark.parametrize("word", ["AND", "OR"])
def test_ten_thousand_terms_of_a_list_are_no_depth(word: str) -> None:
    text = "SELECT * FROM t WHERE " + f" {word} ".join(["a = -1 + 2"] * 10_000)
    assert len(parser.parse(text.encode())) == 1


def test_five_thousand_rows_of_values_are_no_depth() -> None:
    rows = ",\n".join(["(1, -2.5, 'a' || 'b', now() - interval '1 day', (1 + 2) * 3, NULL)"] * 5_000)
    began = time.perf_counter()
    assert len(parser.parse(f"INSERT INTO t VALUES {rows};".encode())) == 1
    assert time.perf_counter() - began < 10


def test_a_long_file_of_small_statements_is_no_depth() -> None:
    assert len(parser.parse(b"SELECT a + b * c - (d) WHERE NOT x IN (1);\n" * 2_000)) == 2_000


def test_statements_stand_where_they_are_among_accents_and_comments() -> None:
    text = (
        "-- Überschrift\nCREATE TABLE größe (é text); /* ä */ ;;\n  "
        "INSERT INTO größe VALUES ('naïve; ''☃''')  -- Ende\n;\nSELECT 1 /* übrig */ -- nichts\n"
    ).encode()
    pieces = [text[each.start : each.end].decode() for each in parser.parse(text)]
    assert pieces == [
        "CREATE TABLE größe (é text)",
        "INSERT INTO größe VALUES ('naïve; ''☃''')  -- Ende\n",
        "SELECT 1",
    ]


_STATEMENTS = ["SELECT 'é'", "CREATE TABLE ü (a int)", "SELECT $$;ß$$", 'DROP TABLE "naïve;"', "COMMIT", "SELECT 1"]
_BETWEEN = st.sampled_from([" ", "\n", "-- é;\n", "/* ; ☃ */", "\t", "\r\n"])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(_STATEMENTS), _BETWEEN, _BETWEEN), min_size=1, max_size=6), st.booleans())
def test_spans_survive_accents(parts: list[tuple[str, str, str]], closed: bool) -> None:
    text = ";".join(before + sql + after for sql, before, after in parts) + (";" if closed else "")
    raw = text.encode()
    found = [raw[each.start : each.end].decode().rstrip() for each in parser.parse(raw)]
    for piece, (sql, _, _) in zip(found, parts, strict=True):
        assert piece.startswith(sql)
        assert all(not rest.strip() or rest.lstrip().startswith(("--", "/*")) for rest in [piece.removeprefix(sql)])


ERRORS = [
    ("SELECT 1;\nSELEC 2;", "SELEC", 'syntax error at or near "SELEC"'),
    ("SELECT 'é☃' ; SELECT é FROM @@ x", "@@", 'syntax error at or near "@@"'),
    ("CREATE TABLE t (a int,);", ");", 'syntax error at or near ")"'),
    ("-- ö\nSELECT 'offen", "'offen", "unterminated quoted string"),
    ('SELECT "offen', '"offen', "unterminated quoted identifier"),
    ("SELECT 1 /* ä", "/* ä", "unterminated /* comment"),
    ("SELECT ü; DO $é$ BEGIN", "$é$", "unterminated dollar-quoted string"),
]


@pytest.mark.parametrize(("text", "place", "message"), ERRORS)
def test_an_error_stands_where_the_text_is_wrong(text: str, place: str, message: str) -> None:
    with pytest.raises(parser.ParseError) as caught:
        parser.parse(text.encode())
    assert message in caught.value.message
    assert text.encode()[caught.value.position :].startswith(place.encode())


@pytest.mark.parametrize("end", ["'offen", '"offen', "/* offen", "$$offen", "U&'\\00'"])
def test_a_text_that_is_looked_at_in_pieces_may_end_in_the_middle_of_a_string(end: str) -> None:
    text = "SELECT 1; SELECT 2; " + "SELECT -(-1); " * parser.MAX_DEPTH + f"SELECT {end}"
    with pytest.raises(parser.ParseError) as caught:
        parser.parse(text.encode())
    assert text[caught.value.position :].startswith(end) or "Unicode" in caught.value.message


def test_a_refusal_shows_the_line_and_points_at_the_place_behind_accents() -> None:
    text = "SELECT 1;\nSELECT 'ééé' FROM t WERE a = 1 b;\n"
    with pytest.raises(SyntaxRefused) as caught:
        operations.read(Migration("002_größe.sql", Path("002.sql"), text.encode()))
    name, line, caret = caught.value.where.split("\n")
    assert name == "002_größe.sql:2"
    assert line.strip() == "SELECT 'ééé' FROM t WERE a = 1 b;"
    assert line[caret.index("^") :].startswith("a = 1")


def test_an_error_in_an_empty_file_or_at_its_end_is_told() -> None:
    assert parser.parse(b"") == []
    assert parser.parse(b"-- nothing\n;;") == []
    with pytest.raises(parser.ParseError, match="end of input") as caught:
        parser.parse("SELECT 'é' FROM".encode())
    assert caught.value.position == len("SELECT 'é' FROM".encode())
