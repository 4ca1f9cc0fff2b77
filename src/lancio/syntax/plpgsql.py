"""What is the structure of a PL/pgSQL body?

libpg_query has a parser for PL/pgSQL, but it gives no places, refuses types of other schemas and variables of row
types, writes broken JSON for trigger functions and ends the process on some input. The language around the SQL is
small, so it is read here from the tokens: statements, expressions and embedded SQL keep their exact byte offsets.
The grammar is that of `src/pl/plpgsql/src/pl_gram.y`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lancio.syntax import lexer

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NESTING = 100


class BodyError(Exception):
    """The body cannot be read; `position` is a byte offset inside of it."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@dataclass(slots=True)
class Piece:
    """An expression or SQL statement: its text (what PL/pgSQL takes out is blanked) and where it stands."""

    text: bytes
    start: int


@dataclass(slots=True)
class Declaration:
    """A variable: its type as written, its initial value, or its cursor's query."""

    name: str
    type: Piece | None = None
    value: Piece | None = None
    query: Piece | None = None


@dataclass(slots=True)
class Node:
    """One statement. Which fields are used depends on `kind`:

    block       declarations, body, handlers
    if          arms (condition, body), otherwise
    case        value, arms, otherwise
    loop        body; while: value; for: target, value, second, step; query: target, value; dynamic: target, value,
                using; foreach: target, value
    sql         value, target (what INTO names), word ("strict")
    perform, assign (target), return, assert, exit     value
    execute     value, target, using
    raise       word (the level), message, using (its parameters and options)
    other       using: expressions that are evaluated; target (FETCH, GET DIAGNOSTICS)
    """

    kind: str
    start: int
    value: Piece | None = None
    target: tuple[str, ...] = ()
    using: tuple[Piece, ...] = ()
    declarations: list[Declaration] = field(default_factory=list)
    body: list[Node] = field(default_factory=list)
    arms: list[tuple[Piece, list[Node]]] = field(default_factory=list)
    otherwise: list[Node] | None = None
    handlers: list[tuple[frozenset[str], list[Node]]] = field(default_factory=list)
    word: str = ""
    message: str = ""


def parse(text: bytes) -> Node:
    """The outermost block of a body.

    Raises:
        BodyError: the text is not a PL/pgSQL block.
    """
    return _Parser(text).whole()


_INTO = frozenset(("insert", "merge"))
"""Words whose INTO names a table and not a variable."""


class _Parser:
    def __init__(self, text: bytes) -> None:
        self.text = text
        self.tokens = [token for token in lexer.tokens(text) if token.kind not in lexer.BLANK]
        self.words = [
            text[token.start : token.end].lower().decode(errors="replace") if token.kind in ("word", "mark", "operator")
            else "" for token in self.tokens
        ]  # fmt: skip
        for index in range(2, len(self.words)):
            if self.words[index - 1] == "." and self.tokens[index].kind == "word":
                self.words[index] = ""  # a part of a name, whatever it says: rec.end
        self.at = 0
        self.depth = 0

    # Looking and moving.

    def word(self, ahead: int = 0) -> str:
        """The lower-case word or mark at the cursor; "" for other tokens and the end."""
        index = self.at + ahead
        return self.words[index] if index < len(self.words) else ""

    @property
    def ended(self) -> bool:
        return self.at >= len(self.tokens)

    def offset(self) -> int:
        return self.tokens[self.at].start if not self.ended else len(self.text)

    def fail(self, expected: str) -> BodyError:
        return BodyError(f"expected {expected}", self.offset())

    def take(self, *expected: str) -> str:
        word = self.word()
        if word not in expected:
            raise self.fail(" or ".join(expected))
        self.at += 1
        return word

    def accept(self, word: str) -> bool:
        if self.word() == word:
            self.at += 1
            return True
        return False

    def name(self) -> str:
        if self.ended or self.tokens[self.at].kind not in ("word", "quoted", "param"):
            raise self.fail("a name")
        token = self.tokens[self.at]
        self.at += 1
        return lexer.identifier(self.text[token.start : token.end])

    def until(self, *stops: str) -> Piece:
        """The text up to one of the words, outside of parentheses and CASE … END; the cursor stands on the word."""
        first = self.at
        parens = cases = 0
        while not self.ended:
            word = self.word()
            if parens == 0 and (word == ";" or (cases == 0 and word in stops)):
                break
            if word in ("(", "["):
                parens += 1
            elif word in (")", "]"):
                parens -= 1
            elif word == "case" and self.word(-1) != "as":
                cases += 1
            elif word == "end" and cases:
                cases -= 1
            self.at += 1
        if self.ended:
            raise self.fail(" or ".join(stops))
        return self.piece(first, self.at)

    def command(self) -> None:
        """Go to the semicolon that ends an SQL statement: not one in BEGIN ATOMIC … END or in parentheses."""
        opened: list[str] = []
        routine = self.word() == "create" and {"function", "procedure"} & {self.word(1), self.word(3)}
        while not self.ended:
            word = self.word()
            if word == ";" and not opened:
                return
            if word in ("(", "["):
                opened.append(word)
            elif word in (")", "]"):
                if not opened:
                    break
                opened.pop()
            elif routine and (word == "case" or (word == "begin" and self.word(1) == "atomic")):
                opened.append(word)
            elif word == "end" and opened and opened[-1] in ("case", "begin"):
                opened.pop()
            self.at += 1
        raise self.fail(";")

    def piece(self, first: int, last: int) -> Piece:
        """The tokens [first, last) as they stand in the text."""
        if first >= last:
            return Piece(b"", self.offset())
        start = self.tokens[first].start
        return Piece(self.text[start : self.tokens[last - 1].end], start)

    # The language.

    def whole(self) -> Node:
        while self.word() == "#":  # an option: #variable_conflict use_column
            self.at += 3
        node = self.block()
        self.accept(";")
        if not self.ended:
            raise self.fail("the end of the body")
        return node

    def label(self) -> None:
        if self.word() == "<<":
            self.at += 1
            self.name()
            self.take(">>")

    def block(self) -> Node:
        self.label()
        node = Node("block", self.offset())
        while self.accept("declare"):
            while self.word() not in ("begin", "declare"):
                self.label()
                if self.word() in ("begin", "declare"):
                    break
                node.declarations.append(self.declaration())
        self.take("begin")
        node.body = self.statements("exception", "end")
        if self.accept("exception"):
            while self.accept("when"):
                conditions = self.until("then")
                self.take("then")
                names = conditions.text.decode(errors="replace").lower().replace("sqlstate", " ").split()
                node.handlers.append((frozenset(names) - {"or"}, self.statements("when", "end")))
        self.take("end")
        if self.word() != ";" and not self.ended:
            self.name()
        return node

    def declaration(self) -> Declaration:
        declared = Declaration(self.name())
        if self.accept("alias"):
            self.until(";")
        else:
            self.accept("constant")
            first = self.at
            self.until("cursor", "not", "default", ":=", "=", ";", "collate")
            scroll = self.word() == "not"
            if self.word() == "cursor" or (self.at == first + 1 and self.word(-1) == "scroll"):
                self.until("for", "is")
                self.at += 1
                declared.query = self.until(";")
            else:
                declared.type = self.piece(first, self.at)
                if scroll or self.word() == "collate":
                    self.until("default", ":=", "=", ";")
                if self.word() != ";":
                    self.at += 1
                    declared.value = self.until(";")
        self.take(";")
        return declared

    def statements(self, *stops: str) -> list[Node]:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise BodyError("blocks are nested too deeply to be read", self.offset())
        found: list[Node] = []
        while not self.ended and self.word() not in stops:
            found.append(self.statement())
        if self.ended:
            raise self.fail(" or ".join(stops))
        self.depth -= 1
        return found

    def statement(self) -> Node:
        if self.word() == "<<":
            ahead = 3
            if self.word(ahead) not in ("declare", "begin"):
                self.label()
        start = self.offset()
        special = None if self.is_assignment() else _STATEMENTS.get(self.word())
        node = special(self) if special else self.plain()
        node.start = start
        if node.kind != "empty":
            self.take(";")
        return node

    def is_assignment(self) -> bool:
        """Whether `:=` or `=` follows something that can be assigned to."""
        index = self.at
        if index >= len(self.tokens) or self.tokens[index].kind not in ("word", "quoted", "param"):
            return False
        index += 1
        depth = 0
        while index < len(self.tokens):
            word = self.words[index]
            if depth == 0 and word in (":=", "="):
                return True
            if word == "[":
                depth += 1
            elif word == "]":
                depth -= 1
            elif depth == 0 and word == ".":
                index += 1
            elif depth == 0:
                return False
            index += 1
        return False

    def plain(self) -> Node:
        """An assignment or an SQL statement."""
        if self.is_assignment():
            first = self.at
            self.until(":=", "=")
            target = self.piece(first, self.at).text.decode(errors="replace").lower()
            self.at += 1
            return Node("assign", 0, value=self.until(";"), target=(target,))
        return self.sql(self.at)

    def sql(self, first: int) -> Node:
        """A statement of SQL; INTO and its targets are taken out, as PL/pgSQL does before it sends the rest."""
        if self.ended or self.word() == ";":
            raise self.fail("a statement")
        verb = self.words[first]
        self.command()
        last = self.at
        start, end = self.tokens[first].start, self.tokens[last - 1].end
        text = self.text[start:end]
        target: tuple[str, ...] = ()
        strict = ""
        if verb not in ("create", "import", "copy", "alter"):
            parens = 0
            for index in range(first, last):
                word = self.words[index]
                parens += (word in ("(", "[")) - (word in (")", "]"))
                if word == "into" and parens == 0 and (index == first or self.words[index - 1] not in _INTO):
                    strict = "strict" if self.words[index + 1] == "strict" else ""
                    stop, target = self.targets(index + 1, last)
                    cut = slice(self.tokens[index].start - start, self.tokens[stop - 1].end - start)
                    text = text[: cut.start] + b" " * (cut.stop - cut.start) + text[cut.stop :]
                    break
        return Node("sql", 0, value=Piece(text, start), target=target, word=strict)

    def targets(self, index: int, last: int) -> tuple[int, tuple[str, ...]]:
        """The variables from `index` on, and the token behind them."""
        if index < last and self.words[index] == "strict":
            index += 1
        names: list[str] = []
        while index < last and self.tokens[index].kind in ("word", "quoted", "param"):
            first = index
            index += 1
            depth = 0
            while index < last and (depth or self.words[index] in (".", "[")):
                depth += (self.words[index] == "[") - (self.words[index] == "]")
                index = min(index + (2 if self.words[index] == "." else 1), last)
            names.append(self.piece(first, index).text.decode(errors="replace").lower())
            if index >= last or self.words[index] != ",":
                break
            index += 1
        return index, tuple(names)

    def if_(self) -> Node:
        node = Node("if", 0)
        self.at += 1
        condition = self.until("then")
        self.take("then")
        node.arms.append((condition, self.statements("elsif", "elseif", "else", "end")))
        while self.word() in ("elsif", "elseif"):
            self.at += 1
            condition = self.until("then")
            self.take("then")
            node.arms.append((condition, self.statements("elsif", "elseif", "else", "end")))
        if self.accept("else"):
            node.otherwise = self.statements("end")
        self.take("end")
        self.take("if")
        return node

    def case(self) -> Node:
        node = Node("case", 0)
        self.at += 1
        if self.word() != "when":
            node.value = self.until("when")
        while self.accept("when"):
            condition = self.until("then")
            self.take("then")
            node.arms.append((condition, self.statements("when", "else", "end")))
        if self.accept("else"):
            node.otherwise = self.statements("end")
        self.take("end")
        self.take("case")
        return node

    def loop_body(self, node: Node) -> Node:
        self.take("loop")
        node.body = self.statements("end")
        self.take("end")
        self.take("loop")
        if self.word() != ";":
            self.name()
        return node

    def loop(self) -> Node:
        return self.loop_body(Node("loop", 0))

    def while_(self) -> Node:
        self.at += 1
        return self.loop_body(Node("while", 0, value=self.until("loop")))

    def for_(self) -> Node:
        self.at += 1
        first = self.at
        self.until("in")
        _, target = self.targets(first, self.at)
        self.take("in")
        if self.accept("execute"):
            value = self.until("using", "loop")
            return self.loop_body(Node("dynamic", 0, value=value, target=target, using=self.using("loop")))
        reverse = self.accept("reverse")
        first = self.at
        piece = self.until("..", "loop")
        if self.word() == "..":
            self.at += 1
            parts = [piece, self.until("by", "loop")]
            if self.accept("by"):
                parts.append(self.until("loop"))
            return self.loop_body(Node("for", 0, target=target, using=tuple(parts)))
        if reverse:
            raise self.fail("..")
        return self.loop_body(Node("query", 0, value=piece, target=target))

    def foreach(self) -> Node:
        self.at += 1
        first = self.at
        self.until("slice", "in")
        _, target = self.targets(first, self.at)
        self.until("in")
        self.take("in")
        self.take("array")
        return self.loop_body(Node("foreach", 0, value=self.until("loop"), target=target))

    def using(self, *stops: str) -> tuple[Piece, ...]:
        if not self.accept("using"):
            return ()
        found = [self.until(",", *stops)]
        while self.accept(","):
            found.append(self.until(",", *stops))
        return tuple(found)

    def execute(self) -> Node:
        self.at += 1
        value = self.until("into", "using", ";")
        target: tuple[str, ...] = ()
        using: tuple[Piece, ...] = ()
        for _ in range(2):  # INTO and USING may come in either order
            if self.word() == "into":
                self.at, target = self.targets(self.at + 1, len(self.tokens))
            elif self.word() == "using":
                using = self.using("into", ";")
        return Node("execute", 0, value=value, target=target, using=using)

    def return_(self) -> Node:
        self.at += 1
        if self.accept("query"):
            if self.accept("execute"):
                return Node("execute", 0, value=self.until("using", ";"), using=self.using(";"))
            return self.sql(self.at)
        if self.accept("next"):  # adds a row and goes on
            return Node("other", 0, value=self.until(";"))
        return Node("return", 0, value=self.until(";"))

    def perform(self) -> Node:
        self.at += 1
        return Node("perform", 0, value=self.until(";"))

    def raise_(self) -> Node:
        self.at += 1
        node = Node("raise", 0, word="exception")
        if self.word() in ("debug", "log", "info", "notice", "warning", "exception"):
            node.word = self.word()
            self.at += 1
        using: list[Piece] = []
        if not self.ended and self.tokens[self.at].kind == "string":
            token = self.tokens[self.at]
            node.message = lexer.string_value(self.text[token.start : token.end])
            self.at += 1
            while self.accept(","):
                using.append(self.until(",", "using", ";"))
        elif self.word() not in ("using", ";"):
            condition = self.until("using", ";")
            node.message = condition.text.decode(errors="replace")
        node.declarations = []
        if self.accept("using"):
            while self.word() != ";":
                name = self.word()
                self.at += 1
                self.take("=", ":=")
                piece = self.until(",", ";")
                if name == "message":
                    node.declarations.append(Declaration("message", value=piece))
                else:
                    node.declarations.append(Declaration(name, value=piece))
                self.accept(",")
        node.using = tuple(using)
        return node

    def expressions(self, *, skip: int) -> Node:
        """EXIT, CONTINUE, ASSERT: words, then perhaps conditions."""
        self.at += skip
        found = []
        while self.word() != ";":
            found.append(self.until(",", ";"))
            self.accept(",")
        return Node("other", 0, using=tuple(found))

    def exit(self) -> Node:
        node = Node(self.word(), 0)
        self.at += 1
        self.until("when", ";")
        if self.accept("when"):
            node.using = (self.until(";"),)
        return node

    def assert_(self) -> Node:
        return self.expressions(skip=1)

    def open(self) -> Node:
        self.at += 1
        self.until("for", "(", ";")
        if self.accept("for"):
            if self.accept("execute"):
                return Node("execute", 0, value=self.until("using", ";"), using=self.using(";"))
            return self.sql(self.at)
        value = self.until(";") if self.word() == "(" else None
        return Node("other", 0, using=(value,) if value else ())

    def skip(self) -> Node:
        """MOVE, CLOSE, NULL, COMMIT, ROLLBACK: nothing of the catalog."""
        word = self.word()
        self.until(";")
        return Node("other", 0, word=word)

    def fetch(self) -> Node:
        """FETCH … INTO variables."""
        self.until("into", ";")
        target: tuple[str, ...] = ()
        if self.word() == "into":
            self.at, target = self.targets(self.at + 1, len(self.tokens))
        return Node("other", 0, word="fetch", target=target)

    def diagnostics(self) -> Node:
        """GET DIAGNOSTICS variable = item, …"""
        self.until("diagnostics", ";")
        self.take("diagnostics")
        found: list[str] = []
        while self.word() != ";":
            found.append(self.until("=", ":=", ";").text.decode(errors="replace").lower())
            self.until(",", ";")
            self.accept(",")
        return Node("other", 0, word="get", target=tuple(found))

    def nested(self) -> Node:
        return self.block()


_STATEMENTS: dict[str, Callable[[_Parser], Node]] = {
    "if": _Parser.if_, "case": _Parser.case, "loop": _Parser.loop, "while": _Parser.while_, "for": _Parser.for_,
    "foreach": _Parser.foreach, "execute": _Parser.execute, "return": _Parser.return_, "perform": _Parser.perform,
    "raise": _Parser.raise_, "exit": _Parser.exit, "continue": _Parser.exit, "assert": _Parser.assert_,
    "open": _Parser.open, "fetch": _Parser.fetch, "move": _Parser.skip, "close": _Parser.skip,
    "get": _Parser.diagnostics, "null": _Parser.skip, "commit": _Parser.skip, "rollback": _Parser.skip,
    "begin": _Parser.nested, "declare": _Parser.nested, "<<": _Parser.nested,
}  # fmt: skip
