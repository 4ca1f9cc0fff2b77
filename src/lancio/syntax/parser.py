"""What is the syntax tree of a text? The only module that knows the parser library.

The library is libpg_query, PostgreSQL 18's own grammar; it is reached by ctypes in its JSON form, which costs a
third of its protobuf form. Three things would otherwise end the process or lose the file, and are met here: trees
too deep for the C stack or the JSON reader, offsets in bytes, and one bad statement hiding the good ones behind it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from lancio.syntax import lexer

if TYPE_CHECKING:
    from collections.abc import Iterator

Tree = dict[str, Any]
"""A node's fields, as libpg_query names them."""

TOO_DEEP = "the statement is nested too deeply to be read"

MAX_DEPTH = 200
"""Nested parentheses, subqueries or operators in one statement that are still read (seen: the JSON reader gives up
at 500 operators in one another, the C stack at some ten thousand)."""


CHUNK = 1 << 20
"""Bytes of a long text that are parsed at once: their JSON and its trees take about a hundred times as much memory."""


class ParseError(Exception):
    """PostgreSQL's grammar does not accept the text.

    `message` is PostgreSQL's own; `position` the byte offset of the place, or -1 where it gives none.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


class RawStatement(NamedTuple):
    """One statement: the name of its node, its fields, and where it stands (byte offsets, blanks taken away)."""

    node: str
    tree: Tree
    start: int
    end: int


class _Error(ctypes.Structure):
    _fields_ = (
        ("message", ctypes.c_char_p),
        ("funcname", ctypes.c_char_p),
        ("filename", ctypes.c_char_p),
        ("lineno", ctypes.c_int),
        ("cursorpos", ctypes.c_int),
        ("context", ctypes.c_char_p),
    )


class _Split(ctypes.Structure):
    _fields_ = (("location", ctypes.c_int), ("length", ctypes.c_int))


class _SplitResult(ctypes.Structure):
    _fields_ = (
        ("statements", ctypes.POINTER(ctypes.POINTER(_Split))),
        ("count", ctypes.c_int),
        ("stderr_buffer", ctypes.c_char_p),
        ("error", ctypes.POINTER(_Error)),
    )


class _Result(ctypes.Structure):
    _fields_ = (
        ("parse_tree", ctypes.c_char_p),
        ("stderr_buffer", ctypes.c_char_p),
        ("error", ctypes.POINTER(_Error)),
    )


@cache
def library_path() -> Path:
    """The shared library inside the `postgast` package, without importing that package.

    Its `__init__` imports the protobuf classes, 80 ms that no command of ours needs.
    """
    spec = importlib.util.find_spec("postgast")
    if spec is None or not spec.submodule_search_locations:
        message = "the package postgast is not installed"
        raise ImportError(message)
    suffix = {"Darwin": "libpg_query.dylib", "Windows": "pg_query.dll"}.get(platform.system(), "libpg_query.so")
    return Path(spec.submodule_search_locations[0]) / suffix


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(library_path()))
    library.pg_query_parse.argtypes = [ctypes.c_char_p]
    library.pg_query_parse.restype = _Result
    library.pg_query_free_parse_result.argtypes = [_Result]
    library.pg_query_free_parse_result.restype = None
    library.pg_query_split_with_scanner.argtypes = [ctypes.c_char_p]
    library.pg_query_split_with_scanner.restype = _SplitResult
    library.pg_query_free_split_result.argtypes = [_SplitResult]
    library.pg_query_free_split_result.restype = None
    return library


def parse(text: bytes) -> list[RawStatement]:
    """The statements of `text`, in order.

    Raises:
        ParseError: the grammar does not accept it, or a statement is nested deeper than can be read.
    """
    return list(statements(text))


def statements(text: bytes) -> Iterator[RawStatement]:
    """The statements of `text`, in order, with the trees of at most CHUNK bytes of it in memory at once.

    Raises:
        ParseError: as `parse` does; what stands before the place was yielded where the text is long.
    """
    if len(text) <= CHUNK and _depth_bound(text) <= MAX_DEPTH:
        yield from _parsed(text, 0, len(text))
        return
    pieces = list(_pieces(text))
    for start, end in pieces:
        piece = text[start:end]
        if _depth_bound(piece) > MAX_DEPTH and (deep := _too_deep(piece)) is not None:
            raise ParseError(TOO_DEEP, start + deep)
    for start, end in _chunks(pieces):
        try:
            found = list(_parsed(text, start, end))
        except ParseError:
            # The scanner takes the semicolons inside of BEGIN ATOMIC for ends of statements.
            yield from _parsed(text, start, len(text))
            return
        yield from found


_SIGNS = re.compile(rb"[-+*/<>=~!@#%^&|`?]{200,}")
"""PostgreSQL's scanner takes square time for a run of signs."""


def _pieces(text: bytes) -> Iterator[tuple[int, int]]:
    """Where each statement begins and ends, by the scanner alone: it does not recurse, whatever the text."""
    if _SIGNS.search(text):
        return iter(((0, len(text)),))
    library = _library()
    result = library.pg_query_split_with_scanner(text)
    try:
        # It counts first and notes the places then: where the scanner fails there is a count and no place.
        count = 0 if result.error else result.count
        starts = [result.statements[at].contents.location for at in range(1, count)]
    finally:
        library.pg_query_free_split_result(result)
    return pairwise((0, *starts, len(text)))


def _chunks(pieces: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Statements that follow one another, put together up to CHUNK bytes."""
    beginning = 0
    for start, end in pieces:
        if end - beginning > CHUNK and start > beginning:
            yield beginning, start
            beginning = start
    yield beginning, pieces[-1][1]


def _parsed(text: bytes, start: int, end: int) -> Iterator[RawStatement]:
    """The statements that stand in `text[start:end]`."""
    library = _library()
    result = library.pg_query_parse(text if end - start == len(text) else text[start:end])
    try:
        if result.error:
            error = result.error.contents
            message = (error.message or b"syntax error").decode(errors="replace")
            at = _bytes(text[start:end], error.cursorpos - 1)
            raise ParseError(message, at + start if at >= 0 else at)
        document = result.parse_tree
    finally:
        library.pg_query_free_parse_result(result)
    try:
        found = orjson.loads(document).get("stmts", ())
    except orjson.JSONDecodeError as error:
        raise ParseError(TOO_DEEP, start) from error
    for raw in found:
        yield _statement(text, raw, start, end)


def _bytes(text: bytes, characters: int) -> int:
    """The byte offset of a place that PostgreSQL counts in characters; -1 for none."""
    return len(text.decode(errors="replace")[:characters].encode()) if characters >= 0 else -1


def parse_one(text: bytes) -> RawStatement | None:
    """The first statement of `text`, or None if it holds none or cannot be parsed."""
    try:
        statements = parse(text)
    except ParseError:
        return None
    return statements[0] if statements else None


_BLANKS = re.compile(rb"(?:[ \t\n\r\f\v]+|--[^\n\r]*)*")


def _statement(text: bytes, raw: Tree, base: int, limit: int) -> RawStatement:
    start = base + raw.get("stmt_location", 0)
    length = raw.get("stmt_len", 0)
    end = start + length if length else limit
    ((node, tree),) = raw["stmt"].items()
    start = _BLANKS.match(text, start, end).end()  # type: ignore[union-attr]  # it matches nothing, too
    if text.startswith(b"/*", start):
        start = next((each.start for each in lexer.tokens(text, start, end) if each.kind not in lexer.BLANK), start)
    if not length:  # the last statement of a text without a semicolon reaches over what follows it
        for token in lexer.tokens(text, start, end):
            if token.kind not in lexer.BLANK and text[token.start : token.end] != b";":
                last = token.end
        end = last
    return RawStatement(node, tree, start, end)


# Each of these can put one node into another without a parenthesis.
_DEEPER = re.compile(
    rb"(?i)\b(?:not|join|union|intersect|except|case|is|isnull|notnull|like|ilike|similar|in|collate|between|at|explain"
    rb"|with|operator)\b|-{2,}|[-+]|[*/<>=~!@#%^&|`?]+|::|[(\[]"
)
_DEEPER_WORDS = frozenset((b"not", b"join", b"union", b"intersect", b"except", b"case", b"is", b"isnull", b"notnull",
                           b"like", b"ilike", b"similar", b"in", b"collate", b"between", b"at", b"explain", b"with",
                           b"operator"))  # fmt: skip
_DEEPER_SIGNS = re.compile(rb"-{2,}|[-+]|[*/<>=~!@#%^&|`?]+|::|[(\[]")
_WORDS = bytes(byte if chr(byte).isalnum() and byte < 128 else 95 if byte == 95 else 32 for byte in range(256)).lower()
_OPENING = frozenset((b"(", b"[", b"case"))
_CLOSING = frozenset((b")", b"]", b"end"))
_SIBLING = frozenset((b",", b"and", b"or", b"when", b"then", b"else"))
"""What ends an operand: AND and OR, commas and the arms of a CASE are lists in the tree, however long."""


def _depth_bound(text: bytes) -> int:
    """How many places of `_DEEPER` there are, counted without looking for each word at each place of the text."""
    if len(text) <= MAX_DEPTH:
        return len(text)
    words = text.translate(_WORDS).split()
    return sum(map(_DEEPER_WORDS.__contains__, words)) + len(_DEEPER_SIGNS.findall(text))


def _too_deep(text: bytes) -> int | None:
    """The offset of a statement whose tree may be deeper than MAX_DEPTH, or None.

    An upper bound, from the tokens: inside each parenthesis the operators since the last comma, added up over the
    parentheses that are open.
    """
    stack = [0]
    total = 0
    beginning = 0
    for token in lexer.tokens(text):
        if token.kind in lexer.BLANK or token.kind in ("string", "quoted", "number", "param", "other"):
            continue
        piece = text[token.start : token.end].lower()
        if piece in _OPENING:
            stack.append(1)
            total += 1
        elif piece in _CLOSING:
            if len(stack) > 1:
                total -= stack.pop()
        elif piece == b";":
            stack, total, beginning = [0], 0, token.end
        elif piece in _SIBLING:
            total -= stack[-1] - 1
            stack[-1] = 1
        elif piece == b"::" or token.kind == "operator" or (token.kind == "word" and _DEEPER.fullmatch(piece)):
            stack[-1] += 1
            total += 1
        if total > MAX_DEPTH:
            return beginning
    return None
