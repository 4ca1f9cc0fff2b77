"""How does an expression of one statement get into another one? Cut out by its tokens, and proved by parsing it again.

Nothing here writes SQL from a tree: what stands in the file is taken as it stands. A piece is right where the parser
finds the same tree in it alone; where it does not, nothing is said about the statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lancio.reading import tree
from lancio.syntax import lexer, parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lancio.syntax.parser import Tree


class Unsaid(Exception):  # noqa: N818  (an answer, not a failure)
    """What a statement does to the rows, or asks of them, cannot be put into a query; the reason is its message."""


class Edit(NamedTuple):
    """Bytes of a text that give way to others."""

    start: int
    end: int
    text: str


_PLACES = frozenset(("location", "stmt_location", "stmt_len", "list_start", "list_end", "rexpr_list_start",
                     "rexpr_list_end", "name_location"))  # fmt: skip


def bare(node: Any) -> Any:
    """A tree without its places in the text."""
    if isinstance(node, dict):
        return {name: bare(value) for name, value in node.items() if name not in _PLACES}
    if isinstance(node, list):
        return [bare(each) for each in node]
    return node


class Word(NamedTuple):
    """A token that means something: its bytes, how deep in parentheses it stands, and its text in small letters."""

    kind: str
    start: int
    end: int
    depth: int
    text: str


def words(text: bytes) -> list[Word]:
    """The tokens of a text without blanks and comments; a bracket stands outside of what it encloses."""
    found: list[Word] = []
    depth = 0
    for token in lexer.tokens(text):
        if token.kind in lexer.BLANK:
            continue
        piece = text[token.start : token.end].decode(errors="replace")
        if piece in (")", "]") and token.kind == "mark":
            depth -= 1
        said = piece.lower() if token.kind in ("word", "mark", "operator") else ""
        found.append(Word(token.kind, token.start, token.end, depth, said))
        if piece in ("(", "[") and token.kind == "mark":
            depth += 1
    return found


class Statement:
    """The text of one statement with its tree, from which pieces are cut."""

    def __init__(self, sql: str) -> None:
        self.text = sql.encode()
        (raw,) = parser.parse(self.text)
        self.node, self.tree = raw.node, raw.tree
        self._words: list[Word] | None = None

    @property
    def words(self) -> list[Word]:
        """The tokens, found when they are first asked for."""
        if self._words is None:
            self._words = words(self.text)
        return self._words

    def at(self, place: int) -> int:
        """The number of the first token that does not begin before a place.

        Raises:
            Unsaid: there is none.
        """
        for number, word in enumerate(self.words):
            if word.start >= place:
                return number
        raise Unsaid("a part of it was not found in its text")

    def find(self, texts: Iterable[str], start: int, depth: int, *, behind: str = "") -> int | None:
        """The number of the first token of these at a depth, from a number on, not directly behind a certain word."""
        wanted = frozenset(texts)
        for number in range(start, len(self.words)):
            word = self.words[number]
            if word.depth < depth:
                return None
            if word.depth == depth and word.text in wanted and word.kind in ("word", "mark", "operator"):
                if behind and number and self.words[number - 1].text == behind:
                    continue
                return number
        return None

    def must(self, texts: Iterable[str], start: int, depth: int, *, behind: str = "") -> int:
        """As `find`.

        Raises:
            Unsaid: there is none.
        """
        found = self.find(texts, start, depth, behind=behind)
        if found is None:
            raise Unsaid("a part of it was not found in its text")
        return found

    def close(self, opening: int) -> int:
        """The number of the parenthesis that closes the one at a number."""
        return self.must((")",), opening + 1, self.words[opening].depth)

    def slice(self, first: int, end: int) -> str:
        """The text from token `first` up to, and without, token `end`."""
        if first >= end:
            raise Unsaid("a part of it was not found in its text")
        return self.text[self.words[first].start : self.words[end - 1].end].decode()

    def expression(self, first: int, node: Tree, ends: Iterable[int] = ()) -> str:
        """The text of an expression that begins at a token: the piece in which the parser finds the very same tree.

        `ends` are the likeliest ends (numbers of tokens, exclusive); all others behind `first` are tried after them.

        Raises:
            Unsaid: no piece has that tree.
        """
        wanted = bare(node)
        base = self.words[first].depth if first < len(self.words) else 0
        others = (
            number
            for number in range(first + 1, min(len(self.words), first + MOST_TOKENS) + 1)
            if number == len(self.words) or self.words[number].depth <= base
        )
        for end in (*ends, *others):
            text = self.slice(first, end)
            if bare(expression(text)) == wanted:
                return text
        raise Unsaid("an expression of it was not found in its text")

    def sources(self, first: int, end: int, nodes: list[Tree]) -> str:
        """The text of a FROM list between two tokens.

        Raises:
            Unsaid: the parser finds something else in it.
        """
        text = self.slice(first, end)
        raw = parser.parse_one(f"SELECT FROM {text}".encode())
        if raw is None or bare(raw.tree.get("fromClause")) != bare(nodes):
            raise Unsaid("its FROM list was not found in its text")
        return text

    def query(self, first: int, end: int, node: Tree) -> str:
        """The text of a query between two tokens.

        Raises:
            Unsaid: the parser finds something else in it.
        """
        text = self.slice(first, end)
        raw = parser.parse_one(text.encode())
        if raw is None or bare(raw.tree) != bare(node):
            raise Unsaid("its query was not found in its text")
        return text

    def type(self, type_name: Tree) -> str:
        """The text of a type.

        Raises:
            Unsaid: it was not found.
        """
        first = self.at(type_name.get("location", 0))
        wanted = bare(type_name)
        for end in range(first + 1, min(first + 16, len(self.words)) + 1):
            text = self.slice(first, end)
            found = expression(f"NULL::{text}")
            if found is not None and bare(found.get("TypeCast", {}).get("typeName")) == wanted:
                return text
        raise Unsaid("a type of it was not found in its text")

    def items(self, opening: int) -> Iterator[tuple[int, int]]:
        """The parts between commas inside a parenthesis: first token and end of each."""
        closing = self.close(opening)
        depth = self.words[opening].depth + 1
        first = opening + 1
        for number in range(first, closing):
            if self.words[number].depth == depth and self.words[number].text == ",":
                yield first, number
                first = number + 1
        yield first, closing


MOST_TOKENS = 400
"""So many tokens of an expression are tried as its end."""

_OPENING = b"SELECT ("


def expression(text: str) -> Tree | None:
    """The tree of an expression that stands alone; None where it is none, or more than one."""
    raw = parser.parse_one(_OPENING + text.encode() + b"\n)")
    if raw is None or raw.node != "SelectStmt" or raw.tree.keys() - {"targetList", "limitOption", "op"}:
        return None
    targets = [each.get("ResTarget", {}) for each in raw.tree.get("targetList", ())]
    found: Tree | None = targets[0].get("val") if len(targets) == 1 and "name" not in targets[0] else None
    return found


def name_end(text: bytes, start: int) -> tuple[int, int]:
    """Of a dotted name that begins at a place, where its last part begins and where that ends."""
    last = (start, start)
    dot = True
    for token in lexer.tokens(text, start):
        if token.kind in lexer.BLANK:
            continue
        if dot and token.kind in ("word", "quoted"):
            last, dot = (token.start, token.end), False
        elif not dot and text[token.start : token.end] == b".":
            dot = True
        else:
            break
    return last


def rewritten(text: str, opening: bytes, closing: bytes, edits: Callable[[bytes, Tree], Iterable[Edit]]) -> str:
    """A piece with edits, which are found in the tree of the piece inside of `opening` and `closing`.

    Raises:
        Unsaid: the piece cannot be parsed in there.
    """
    whole = opening + text.encode() + closing
    raw = parser.parse_one(whole)
    if raw is None:
        raise Unsaid("a part of it cannot be read by itself")
    for edit in sorted(set(edits(whole, raw.tree)), reverse=True):
        whole = whole[: edit.start] + edit.text.encode() + whole[edit.end :]
    return whole[len(opening) : len(whole) - len(closing)].decode()


def rewritten_expression(text: str, edits: Callable[[bytes, Tree], Iterable[Edit]]) -> str:
    """As `rewritten`, of an expression."""
    return rewritten(text, _OPENING, b"\n)", edits)


def names(nodes: Any) -> frozenset[str]:
    """The last names of all columns that a tree speaks of."""
    return frozenset(tree.last(fields.get("fields")) for name, fields in tree.walk(nodes) if name == "ColumnRef")
