# ruff: noqa: E501  (one case a line)
"""Are our tokens those of PostgreSQL's own scanner?"""

from __future__ import annotations

import os
import time

import postgast
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancio.syntax import lexer

EXAMPLES = 20_000 if os.environ.get("LANCIO_PROOF") == "1" else 400

HARD = [
    "SELECT 1..2, 1.5e10, .5, 5., 1e-3, 1.e5, 2_000.000_1",
    "1_000 + 0x1F + 0X_ab + 0o17 + 0b101",
    "a=-1, a@-1, a+-b, a<=-1, a<>-b, a*-1, a!-1, a~-+b, +-*/",
    "a+/*x*/-b, a/* /* nested */ */b, a*/b, a--c\n+b, a-->b, /**/x/***/y/*/**/*/",
    "E'a\\'b', e'\\\\', E'a''b', E'\\303\\251', E'\n'",
    "'a'\n'b' 'c', 'a'  \n\n\t 'b', 'a'\r'b', E'a'\n'\\'b', 'a' /*x*/ 'b', 'a'''\n'b'",
    "$a$ $b$ $$ $a$, $$x$$, $é$ö$é$, $a$b$a$b$a$, a$b$c, $1$2",
    "U&\"d\\0061t\", U&'x', u&'x' UESCAPE '!', B'01', x'1F', N'x', n'x'",
    "$1+$2, $10::int, :a, a:b, x[1:2], a:=b, a::b, a=>b, a..b, 1..n",
    'é÷x, Größe, "Größe", 名前, ünder$core, _x1',
    "\"a\"\"b\", 'a''b', \"\"\"\", ''''",
    "a<>b a!=b a>=b a<=b a<<b a>>b a->>'b' #>> c @> d ?| e ?& f |/ 4 ||/ 8 !! @#@",
    "{a}\\x ; ; . , ( ) [ ]",
    "CREATE FUNCTION f() RETURNS int AS $body$ BEGIN RETURN '$'; END $body$ LANGUAGE plpgsql",
]

_PIECES = st.sampled_from(
    [
        "'", "''", "\"", "\"\"", "$$", "$a$", "$1", "E'", "U&'", "U&\"", "x'", "\\", "\\'", "--", "\n", "\r\n", "/*", "*/",
        "+", "-", "*", "/", "<", ">", "=", "~", "!", "@", "#", "%", "^", "&", "|", "`", "?", ":", "::", ":=", "..", ".",
        "1", "0x1F", "1_0", "1e5", ".5", "a", "é", "ab", "_", "select", " ", "\t", ";", ",", "(", ")", "[", "]", "{",
    ]
)  # fmt: skip


def ours(text: str) -> list[tuple[int, int]]:
    return [(each.start, each.end) for each in lexer.tokens(text.encode()) if each.kind != "space"]


def theirs(text: str) -> list[tuple[int, int]]:
    return [(each.start, each.end) for each in postgast.scan(text).tokens]


@pytest.mark.parametrize("text", HARD)
def test_hard_cases_have_the_token_boundaries_of_postgresql(text: str) -> None:
    assert ours(text) == theirs(text)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 1000)
@given(st.lists(_PIECES, max_size=25).map("".join))
def test_any_text_that_postgresql_scans_has_its_token_boundaries(text: str) -> None:
    try:
        expected = theirs(text)
    except postgast.PgQueryError:
        expected = None
    found = ours(text)
    if expected is None or _commented_between_strings(text):
        return
    assert found == expected


def _commented_between_strings(text: str) -> bool:
    """libpg_query alone makes a token of a comment between the parts of one string; the server does not."""
    return any(
        token.kind == "string" and text.encode()[token.start : token.start + 1] != b"$" and "--" in text
        for token in lexer.tokens(text.encode())
    )


@settings(max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 1000)
@given(st.one_of(st.binary(max_size=60), st.lists(_PIECES, max_size=40).map(lambda parts: "".join(parts).encode())))
def test_tokens_leave_no_gap_whatever_the_bytes_are(text: bytes) -> None:
    at = 0
    for token in lexer.tokens(text):
        assert token.start == at < token.end
        at = token.end
        if token.kind == "string":
            assert isinstance(lexer.string_value(text[token.start : token.end]), str)
        elif token.kind in ("word", "quoted"):
            assert isinstance(lexer.identifier(text[token.start : token.end]), str)
    assert at == len(text)


@pytest.mark.parametrize(
    "opening", ["'", "E'", '"', "/*", "$$", "$tag$", "/*/*", "U&'", "E'\\", "'a''", "E'\\'", "--", "$", "x'", "'a'\n'"]
)
def test_what_is_never_closed_ends_with_the_text_and_in_linear_time(opening: str) -> None:
    text = b"SELECT " + opening.encode() + b" a'' \\' $x /" * 50_000
    began = time.perf_counter()
    assert list(lexer.tokens(text))[-1].end == len(text)
    assert time.perf_counter() - began < 5


STRINGS = [
    "'a''b'", "''", "'a'\n  'b'", "'a' -- between\n 'b'", "E'a\\'b''c'", "E'\\303\\251\\x41\\u00e9\\U0001F600'",
    "E'\\uD83D\\uDE00'", "E'\\b\\f\\n\\r\\t\\\\\\q'", "E'a'\n'\\tb'", "$$x'y$$", "$q$a $$ b$q$", "U&'d\\0061t\\+000061'",
    "U&'a''b\\\\c'", "U&'\\D83D\\DE00'", "N'ä'", "E'\\101\\7'",
]  # fmt: skip


@pytest.mark.parametrize("text", STRINGS)
def test_a_string_has_the_value_that_the_server_gives_it(text: str, database: str) -> None:
    with psycopg.connect(database) as connection:
        ((expected,),) = connection.execute(f"SELECT {text}::text".encode()).fetchall()
    assert lexer.string_value(text.removeprefix("N").encode()) == expected


NAMES = ["Abc", '"Abc"', '"a""b"', "Größe", "ÄB", 'U&"d\\0061t"', "x" * 70, '"' + "é" * 40 + '"']


@pytest.mark.parametrize("text", NAMES)
def test_an_identifier_is_the_one_that_the_server_makes_of_it(text: str, database: str) -> None:
    with psycopg.connect(database) as connection:
        cursor = connection.execute(f"SELECT 1 AS {text}".encode())
        assert cursor.description is not None
        expected = cursor.description[0].name
    assert lexer.identifier(text.encode()) == expected


def test_comments_nest_and_keep_their_kind() -> None:
    kinds = [each.kind for each in lexer.tokens(b"a /* b /* c */ d */ -- e\n'f' \"g\" $1 1.5 := + \\")]
    assert [kind for kind in kinds if kind != "space"] == [
        "word", "block comment", "line comment", "string", "quoted", "param", "number", "mark", "operator", "other",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", [b"'a' " + b"-- " * 40, b"'a'" + b"--" * 40 + b"\nx", b"+-" * 100_000 + b"1", b"'a'\n" * 50_000]
)
def test_no_text_takes_square_time(text: bytes) -> None:
    began = time.perf_counter()
    assert sum(1 for _ in lexer.tokens(text))
    assert time.perf_counter() - began < 5
