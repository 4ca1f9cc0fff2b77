# ruff: noqa: E501  (one case a line)
"""Do we read the PL/pgSQL that PostgreSQL accepts, and where does each piece stand?"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from bodies import BODIES, HEADS, SETUP
from hypothesis import given, settings
from hypothesis import strategies as st

from lancio.syntax import plpgsql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.syntax.plpgsql import Node, Piece

PROOF = os.environ.get("LANCIO_PROOF") == "1"


def test_there_are_enough_bodies() -> None:
    assert len(BODIES) >= 60


def create(name: str, body: str) -> str:
    kind = name.partition(":")[0] if ":" in name else "void"
    if name == "transactions":
        return f"CREATE PROCEDURE f(a integer, b text) LANGUAGE plpgsql AS $the_body${body}$the_body$"
    return f"CREATE FUNCTION f{HEADS[kind]} LANGUAGE plpgsql AS $the_body${body}$the_body$"


def test_every_body_is_one_that_postgresql_accepts(database: str) -> None:
    refused = {}
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SETUP.encode())
        for name, body in BODIES.items():
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(create(name, body).encode())
            except psycopg.Error as error:
                refused[name] = str(error)
    assert not refused


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_postgresql_accepts_is_read(name: str) -> None:
    body = BODIES[name]
    block = plpgsql.parse(body.encode())
    assert block.kind == "block"
    for node in nodes(block):
        for piece in pieces(node):
            assert_there(piece, body.encode())


def nodes(node: Node) -> Iterator[Node]:
    """A statement and all that stand inside of it."""
    yield node
    inner = [*node.body, *(node.otherwise or ())]
    for _, body in (*node.arms, *node.handlers):
        inner += body
    for each in inner:
        yield from nodes(each)


def pieces(node: Node) -> Iterator[Piece]:
    yield from (piece for piece in (node.value, *node.using, *(arm for arm, _ in node.arms)) if piece is not None)
    for declared in node.declarations:
        yield from (piece for piece in (declared.type, declared.value, declared.query) if piece is not None)


def assert_there(piece: Piece, body: bytes) -> None:
    """The piece stands where it says, but for what INTO took out, which is blank."""
    real = body[piece.start : piece.start + len(piece.text)]
    assert len(real) == len(piece.text)
    for ours, theirs in zip(piece.text, real, strict=True):
        assert ours == theirs or ours == 32


def outline(node: Node) -> object:
    """A statement as a few words."""
    if node.kind == "block":
        return [outline(each) for each in node.body]
    words = [node.kind]
    if node.target:
        words.append("->" + ",".join(node.target))
    if node.value is not None:
        words.append(" ".join(node.value.text.decode().split()))
    words += ["using " + piece.text.decode() for piece in node.using]
    if node.word:
        words.append(node.word)
    if node.message:
        words.append(repr(node.message))
    inner = [(" ".join(arm.text.decode().split()), [outline(each) for each in body]) for arm, body in node.arms]
    rest = [outline(each) for each in node.body], [outline(each) for each in node.otherwise or ()]
    return (
        " ".join(words) if not inner and not any(rest) else (" ".join(words), *inner, *(each for each in rest if each))
    )


SHAPES = [
    ("x := 1;", "assign ->x 1"),
    ("r.tags[1] := f(a, b);", "assign ->r.tags[1] f(a, b)"),
    ("x = 5 = 5;", "assign ->x 5 = 5"),
    ("SELECT a, b INTO STRICT x, r.y FROM t;", "sql ->x,r.y SELECT a, b FROM t strict"),
    ("SELECT INTO x max(id) FROM t;", "sql ->x SELECT max(id) FROM t"),
    ("INSERT INTO t VALUES (1) RETURNING id INTO q[1];", "sql ->q[1] INSERT INTO t VALUES (1) RETURNING id"),
    ("EXECUTE s INTO x USING a, b;", "execute ->x s using a using b"),
    ("EXECUTE s USING a INTO STRICT x;", "execute ->x s using a"),
    ("RETURN QUERY EXECUTE s USING a;", "execute s using a"),
    ("RETURN QUERY SELECT 1;", "sql SELECT 1"),
    ("PERFORM f(1) FROM t;", "perform f(1) FROM t"),
    ("RAISE NOTICE 'a % b', x;", "raise using x notice 'a % b'"),
    ("RAISE 'a'\n 'b';", "raise exception 'ab'"),
    ("RAISE no_data_found;", "raise exception 'no_data_found'"),
    ("GET DIAGNOSTICS n = ROW_COUNT, m := PG_CONTEXT;", "other ->n,m get"),
    ("FETCH NEXT FROM c INTO x, y;", "other ->x,y fetch"),
    ("OPEN c FOR SELECT 1;", "sql SELECT 1"),
    ("OPEN c FOR EXECUTE s USING 1;", "execute s using 1"),
    ("ASSERT a, b || 'c';", "other using a using b || 'c'"),
    ("EXIT l WHEN a > 1;", "exit using a > 1"),
    ("IF a THEN NULL; ELSIF b THEN x := 1; ELSE COMMIT; END IF;",
     ("if", ("a", ["other null"]), ("b", ["assign ->x 1"]), ["other commit"])),
    ("CASE a WHEN 1, 2 THEN NULL; ELSE x := 1; END CASE;", ("case a", ("1, 2", ["other null"]), ["assign ->x 1"])),
    ("FOR i IN REVERSE 10..1 BY 2 LOOP NULL; END LOOP;", ("for ->i using 10 using 1 using 2", ["other null"])),
    ("FOR a, b IN SELECT 1, 2 LOOP NULL; END LOOP;", ("query ->a,b SELECT 1, 2", ["other null"])),
    ("FOR r IN EXECUTE s USING a, b LOOP NULL; END LOOP;", ("dynamic ->r s using a using b", ["other null"])),
    ("FOREACH x SLICE 1 IN ARRAY xs LOOP NULL; END LOOP;", ("foreach ->x xs", ["other null"])),
    ("<<l>> WHILE a < 1 LOOP EXIT l; END LOOP l;", ("while a < 1", ["exit"])),
    ("x := r.end; y := r.case; z := 1;", None),
    ("SELECT a AS case INTO x FROM t; y := 1;", None),
    ("CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; x := 1;", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SHAPES)
def test_a_statement_has_the_parts_that_it_has(text: str, expected: object) -> None:
    block = plpgsql.parse(f"BEGIN {text} END".encode())
    found = [outline(each) for each in block.body]
    assert found == ([expected] if expected is not None else found)
    if expected is None:  # none of the statements swallows the next one
        assert len(found) == text.count(";") - text.count("SELECT 1; SELECT 2;") * 2
        assert found[-1] in ("assign ->z 1", "assign ->y 1", "assign ->x 1")


def test_declarations_handlers_and_options() -> None:
    block = plpgsql.parse(
        b"#variable_conflict use_column\nDECLARE a CONSTANT numeric(5, 2) NOT NULL := 1; B text COLLATE \"C\" DEFAULT 'x';"
        b' "C d" t%ROWTYPE; e CURSOR (k int) FOR SELECT k; f ALIAS FOR $1; BEGIN NULL;'
        b" EXCEPTION WHEN unique_violation OR SQLSTATE '22012' THEN NULL; WHEN OTHERS THEN RAISE; END"
    )
    declared = [
        (each.name, *(piece.text.decode() if piece else None for piece in (each.type, each.value, each.query)))
        for each in block.declarations
    ]
    assert declared == [
        ("a", "numeric(5, 2)", "1", None),
        ("b", "text", "'x'", None),
        ("C d", "t%ROWTYPE", None, None),
        ("e", None, None, "SELECT k"),
        ("f", None, None, None),
    ]
    assert [(sorted(names), len(body)) for names, body in block.handlers] == [
        (["'22012'", "unique_violation"], 1),
        (["others"], 1),
    ]


BROKEN = [
    "", "BEGIN", "BEGIN END x END", "DECLARE", "DECLARE x", "BEGIN IF a THEN END", "BEGIN x := (; END", "SELECT 1",
    "BEGIN RETURN QUERY", "BEGIN EXECUTE 'x' INTO", "BEGIN OPEN c FOR", "BEGIN FETCH c INTO", "BEGIN RAISE USING", "<<",
    "BEGIN FOR", "BEGIN FOR i IN", "BEGIN GET DIAGNOSTICS", "BEGIN CASE", "BEGIN <<x", "#", "BEGIN SELECT INTO", "BEGIN x[",
    "BEGIN SELECT (1; END", "BEGIN CREATE FUNCTION f() BEGIN ATOMIC SELECT 1; END", "BEGIN INTO x; END; END",
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_body_is_an_error_with_a_place(text: str) -> None:
    with pytest.raises(plpgsql.BodyError) as caught:
        plpgsql.parse(text.encode())
    assert 0 <= caught.value.position <= len(text.encode())
    assert caught.value.message.startswith("expected")


def survives(text: bytes) -> None:
    """A node or a BodyError, soon."""
    began = time.perf_counter()
    try:
        block = plpgsql.parse(text)
    except plpgsql.BodyError as error:
        inside = 0 <= error.position <= len(text)
    else:
        inside = True
        for node in nodes(block):
            for piece in pieces(node):
                assert_there(piece, text)
    assert inside
    assert time.perf_counter() - began < 1 + len(text) / 10_000


def test_a_mutated_body_is_read_or_refused_in_bounded_time() -> None:
    chosen = random.Random(6)
    words = " ".join(BODIES.values()).split()
    everything = list(BODIES.values())
    for _ in range(100_000 if PROOF else 3_000):
        parts = chosen.choice(everything).split(" ")[:300]
        for _ in range(chosen.randint(1, 4)):
            at = chosen.randrange(len(parts))
            match chosen.randrange(4):
                case 0:
                    del parts[at : at + chosen.randint(1, 3)]
                case 1:
                    parts.insert(at, chosen.choice(words))
                case 2:
                    parts[at] = chosen.choice(
                        [";", "(", ")", "'", "[", "]", ":=", "INTO", "END", "$$", "/*", "CASE", "."]
                    )
                case _:
                    parts = parts[:at]
            if not parts:
                break
        survives(" ".join(parts).encode())


_TOKENS = st.sampled_from(
    [
        "BEGIN",
        "END",
        ";",
        "DECLARE",
        "IF",
        "THEN",
        "ELSE",
        "ELSIF",
        "LOOP",
        "FOR",
        "IN",
        "x",
        "y",
        ":=",
        "=",
        "1",
        "..",
        "EXECUTE",
        "USING",
        "INTO",
        ",",
        "(",
        ")",
        "[",
        "]",
        "SELECT",
        "RETURN",
        "QUERY",
        "NEXT",
        "RAISE",
        "NOTICE",
        "'a'",
        "EXCEPTION",
        "WHEN",
        "OTHERS",
        "CASE",
        "<<",
        ">>",
        "EXIT",
        "GET",
        "DIAGNOSTICS",
        "FETCH",
        "OPEN",
        "CURSOR",
        ".",
        "$1",
        '"q"',
        "CREATE",
        "FUNCTION",
        "ATOMIC",
        "STRICT",
        "FOREACH",
        "SLICE",
        "ARRAY",
        "REVERSE",
        "BY",
        "WHILE",
        "PERFORM",
        "#",
        "ALIAS",
        "CONSTANT",
        "NOT",
        "NULL",
        "DEFAULT",
        "COLLATE",
    ]
)


@settings(max_examples=20_000 if PROOF else 500, deadline=None, derandomize=not PROOF)
@given(st.lists(_TOKENS, max_size=40))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    survives(" ".join(words).encode())
    survives(("BEGIN " + " ".join(words) + " END").encode())


@settings(max_examples=5_000 if PROOF else 200, deadline=None, derandomize=not PROOF)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    survives(text)
    survives(b"BEGIN " + text + b"; END")


@pytest.mark.parametrize(
    "text",
    ["BEGIN " * 100_000, "BEGIN " + "IF a THEN " * 100_000, "BEGIN x := " + "(" * 100_000, "<<a>> " * 100_000,
     "BEGIN " + "x[" * 100_000, "BEGIN " + "CASE " * 100_000, "BEGIN " + "x := 1; " * 100_000 + "END",
     "BEGIN " + "x." * 100_000 + "y := 1; END", "DECLARE " * 100_000, "BEGIN SELECT " + "1 INTO x, " * 50_000 + "; END"],
    ids=range(10),
)  # fmt: skip
def test_depth_and_length_end_neither_the_process_nor_our_patience(text: str) -> None:
    survives(text.encode())
