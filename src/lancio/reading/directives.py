"""What do the comments of a file declare?

Our own lines begin with `-- lancio:`; what files say for other tools is read beside them: Sqitch's `-- requires: x`
and yoyo's `-- depends: x y`. What a line declares about objects becomes operations like those of SQL, so that it is
bound, ordered and asked of a database in the same way.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lancio.reading import objects, tree
from lancio.reading.model import Detail, Directive, Output, Query, Ref, RowFact, Span
from lancio.syntax import lexer, parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lancio.reading.model import FileOps
    from lancio.reading.reader import Reader

_LINE = re.compile(r"--\s*lancio:\s*([a-z][a-z-]*)\s*(.*)$")
_SQITCH = re.compile(r"--\s*requires:\s*([\w./@:-]+)\s*$")
_YOYO = re.compile(r"--\s*depends:\s*(.+)$")
_SIGNS = (b"lancio:", b"requires:", b"depends:")

WORDS = frozenset(("requires", "wants", "creates", "after", "verify", "verify-once", "duration", "impact", "after-run",
                   "risk", "allow", "no-transaction", "repeatable", "replaces"))  # fmt: skip

FOREIGN = {"sqitch": "-- requires:", "yoyo": "-- depends:"}
"""The words of directives that other tools' comments become, and how those are written."""

BEFORE = -1
"""The statement that a directive's operations stand in: none of the file's own."""


def read(text: bytes, line: Callable[[int], int]) -> tuple[tuple[Directive, ...], tuple[str, ...]]:
    """The declaring comment lines of a file, and what is wrong with those that cannot be understood."""
    found: list[Directive] = []
    problems: list[str] = []
    if not any(sign in text for sign in _SIGNS):
        return (), ()
    for token in lexer.tokens(text):
        if token.kind != "line comment":
            continue
        comment = text[token.start : token.end].decode().rstrip()
        at = line(token.start)
        if match := _LINE.match(comment):
            if match[1] in WORDS:
                found.append(Directive(match[1], match[2], at))
            else:
                known = ", ".join(sorted(WORDS))
                problems.append(f"line {at}: `lancio: {match[1]}` is not a directive; there are {known}")
        elif match := _SQITCH.match(comment):
            found.append(Directive("sqitch", match[1], at))
        elif match := _YOYO.match(comment):
            found += [Directive("yoyo", name, at) for name in re.split(r"[\s,]+", match[1])]
    return tuple(found), tuple(problems)


def text(directive: Directive) -> str:
    """A directive as it is written in the file."""
    return f"{FOREIGN.get(directive.word) or f'-- lancio: {directive.word}'} {directive.text}"


def words(ops: FileOps, statement: int, line: int) -> str:
    """The opening words of the statement that an operation stands in, or the directive that it comes from."""
    if statement == BEFORE:
        return next((text(each) for each in ops.directives if each.line == line), "")
    return ops.statements[statement].summary


_ROW = re.compile(r"row\s+(\S+?)\s*\((.+)\)$")
_EQUAL = re.compile(r"""\s*([\w"]+)\s*=\s*('(?:[^']|'')*'|[\w.-]+)(?:\s*,|\s+and\s+|\s*$)""", re.IGNORECASE)


def subject(text: str) -> tuple[Ref, Detail] | None:
    """The object or the row that a directive names (`table a.b`, `row a.b (c = 'x')`), or None if it names none.

    Objects are named as in COMMENT ON, so PostgreSQL's own grammar reads them.
    """
    if text.startswith("row "):
        return _row(text)
    try:
        statements = parser.parse(f"COMMENT ON {text}\nIS NULL".encode())
    except parser.ParseError:
        return None
    fields = statements[0].tree if len(statements) == 1 else {}
    objtype, node = fields.get("objtype", ""), fields.get("object", {})
    deepest = 3 if objtype == "OBJECT_COLUMN" or objtype in objects.PARTS else 2
    named = objects.named(objtype, node) if len(tree.items(node)) <= deepest else None
    if named is None or "comment" in fields:
        return None
    ref, label = named
    # Which columns a declared relation has is not said, so none of them is missed.
    opened = Query((Output("*"),)) if ref.kind == "relation" and label not in ("index", "sequence") else None
    return ref, Detail(label=label, query=opened, if_not_exists=True)


def _parts(text: str) -> list[str]:
    """The names of a dotted path, as identifiers; none if it is no such path."""
    raw = text.encode()
    names: list[str] = []
    dot = True
    for token in lexer.tokens(raw):
        if dot and token.kind in ("word", "quoted"):
            names.append(lexer.identifier(raw[token.start : token.end]))
        elif dot or raw[token.start : token.end] != b".":
            return []
        dot = not dot
    return [] if dot else names


def _qualified(parts: list[str]) -> Ref | None:
    """A relation with or without its schema."""
    return Ref("relation", parts[-1], parts[0] if len(parts) == 2 else None) if 1 <= len(parts) <= 2 else None


def _row(text: str) -> tuple[Ref, Detail] | None:
    match = _ROW.match(text) if text.endswith(")") else None
    table = _qualified(_parts(match[1])) if match else None
    if match is None or table is None:
        return None
    values: list[tuple[str, str]] = []
    at = 0
    while pair := _EQUAL.match(match[2], at):
        value = pair[2].encode()
        values.append((
            lexer.identifier(pair[1].encode()),
            lexer.string_value(value) if value.startswith(b"'") else pair[2],
        ))  # fmt: skip
        at = pair.end()
    if not values or at != len(match[2]):
        return None
    return Ref("row", table.name, table.schema, of=(table,)), Detail(row=RowFact(table, tuple(values)))


def require(reader: Reader, found: Iterable[Directive]) -> None:
    """Read what the lines `requires` name: it must be there before the file's first statement."""
    with _declaring(reader):
        for each in found:
            if each.word == "requires" and (named := subject(each.text)) is not None:
                reader.fixed = Span(0, 0, each.line)
                ref, detail = named
                for table in ref.of:
                    reader.emit("read", table)
                reader.emit("read", ref, detail=detail if ref.kind == "row" else Detail(label=detail.label))


def create(reader: Reader, found: Iterable[Directive]) -> None:
    """Make what the lines `creates` name, where the file has a place that cannot be seen through.

    Where all can be seen the SQL alone counts, and a line that says more is a contradiction.
    """
    if not any(op.verb == "opaque" for op in reader.ops):
        return
    with _declaring(reader):
        for each in found:
            if each.word == "creates" and (named := subject(each.text)) is not None:
                reader.fixed = Span(0, 0, each.line)
                ref, detail = named
                reader.emit("rows" if ref.kind == "row" else "make", ref, detail=detail)


@contextmanager
def _declaring(reader: Reader) -> Iterator[None]:
    """While it lasts, operations stand in no statement of the file."""
    reader.statement = BEFORE
    yield
    reader.fixed = None
