"""Which statements of a file are one transaction, and which stand alone between them?

A file is one transaction where it can be. Where it holds what PostgreSQL refuses in one, or asks for several, it is a
row of *segments*: runs of statements that commit together, and statements by themselves. Each is done or not done; so
a run that ends in the middle goes on at the right statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from lancio.planner.model import folded
from lancio.reading import tree
from lancio.reading.source import checksum
from lancio.syntax import lexer, parser

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from lancio.planner.model import FileFacts
    from lancio.reading.model import Statement
    from lancio.syntax.parser import Tree

ENUM_IN_TRANSACTION = 12
"""The major version from which ALTER TYPE … ADD VALUE may stand in a transaction block."""

ENUM = "ALTER TYPE … ADD VALUE"
DISCARDS = "DISCARD ALL"


class Segment(NamedTuple):
    """Statements that commit together. `alone` says why there is one only and no transaction around it, "" otherwise.

    `begin` is the file's own BEGIN, where it says more than that (an isolation level).
    """

    statements: tuple[Statement, ...]
    alone: str = ""
    begin: Statement | None = None


class Problem(NamedTuple):
    """A statement for which a file cannot be sent at all, and why."""

    statement: Statement
    message: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Cut:
    """A file's segments, and what stands against sending them."""

    segments: tuple[Segment, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def apart(self) -> bool:
        """Whether it is more than one transaction, or none."""
        return len(self.segments) > 1 or any(each.alone for each in self.segments)


@dataclass(frozen=True, slots=True)
class Ran:
    """A statement of a file that was begun and is not applied whole yet, as the ledger has it.

    `ordinal` counts from 1, without the file's own BEGIN and COMMIT; `text_hash` is of its tokens. `state` is applied,
    begun (it was sent; whether it was carried out has to be looked at), failed, or in doubt (looked at in vain).
    `before` is what stood in the catalog before it was sent.
    """

    ordinal: int
    line: int
    summary: str
    text_hash: str
    alone: bool
    state: Literal["applied", "begun", "failed", "in doubt"]
    before: Mapping[str, object] = field(default_factory=dict)
    duration_ms: float | None = None


def together(facts: FileFacts) -> bool:
    """Whether the file wants to be one transaction: it, or its tool's settings, ask for none otherwise."""
    said = facts.ops.directives if facts.ops is not None else ()
    return facts.migration.transaction and not any(each.word == "no-transaction" for each in said)


def whole(facts: FileFacts) -> tuple[Statement, ...]:
    """All statements of the file but transaction commands, in its order: the ledger counts them from 1."""
    statements = facts.ops.statements if facts.ops is not None else facts.statements
    return tuple(each for each in statements if each.control in ("", "savepoint"))


def text_hash(statement: Statement) -> str:
    """SHA-256 of the statement's tokens, in hex: comments and white space do not count."""
    return checksum(statement.sql.encode())


def cut(facts: FileFacts, major: int, committing: Collection[str] = ()) -> Cut:
    """The segments of a file on a server of that major version.

    `committing` are procedures that end transactions of their own, by the last part of their names.
    """
    one = together(facts)
    explicit = not one or folded(facts.statements) is None
    walk = _Walk(facts, major, committing)
    for statement in facts.statements:
        walk.take(statement, explicit=explicit, one=one)
    if walk.inside is not None:
        walk.refuse(walk.inside, f"{walk.inside.summary} has no COMMIT in the file", _PAIRS)
    walk.close()
    return Cut(tuple(walk.segments), tuple(walk.problems))


_PAIRS = "Let the file be one transaction (BEGIN first and COMMIT last, or neither), or close each BEGIN by a COMMIT."


class _Walk:
    """A file statement by statement; `inside` is the BEGIN of the pair at hand."""

    def __init__(self, facts: FileFacts, major: int, committing: Collection[str]) -> None:
        self.major = major
        self.committing = committing
        self.segments: list[Segment] = []
        self.problems: list[Problem] = []
        self.inside: Statement | None = None
        self._run: list[Statement] = []
        self._begin: Statement | None = None
        self._added: set[tuple[str, str]] = set()  # enum values of this run: type and label
        self._types: set[str] = set()  # types that this run makes
        self._ops: dict[int, list[tuple[str, str, str, str]]] = {}
        if facts.ops is not None:
            starts = [each.span.start for each in facts.ops.statements]
            for op in facts.ops.ops:
                if op.ref.kind in ("label", "type") and op.verb in ("make", "read") and op.statement >= 0:
                    of = op.ref.of[0].name if op.ref.of and op.ref.of[0].kind == "type" else ""
                    said = (op.verb, op.ref.kind, op.ref.name, of)
                    self._ops.setdefault(starts[op.statement], []).append(said)

    def take(self, statement: Statement, *, explicit: bool, one: bool) -> None:
        """The next statement; `explicit`: the file's pairs are transactions, `one`: what is outside of them is, too."""
        control = statement.control
        if control == "begin":
            if self.inside is not None:
                self.refuse(statement, f"{statement.summary} stands inside of another transaction", _PAIRS)
            self.inside = statement
            if explicit:
                self.close()
            if explicit or not (self.segments or self._run):
                self._begin = statement
        elif control == "commit":
            if self.inside is None:
                self.refuse(statement, f"{statement.summary} has no BEGIN in the file", _PAIRS)
            self.inside = None
            if explicit:
                self.close()
        elif control in ("rollback", "prepare"):
            cause = "It would end the step's transaction, and what came before could not be kept with its ledger row."
            self.refuse(statement, f"{statement.summary} stands in the file", "Take it away.", cause)
            self.inside = None
        elif why := self._alone(statement, one):
            if why == DISCARDS:
                cause = "It would give back the runner's lock; the session is made new behind each file anyway."
                self.refuse(statement, f"{statement.summary} cannot run in a migration", "Take it away.", cause)
            elif self.inside is not None:
                cause = f"{why} cannot run inside a transaction, and the file's own BEGIN opens one around it."
                self.refuse(statement, f"{statement.summary} cannot run in a transaction", "COMMIT before it.", cause)
            self.close()
            self.segments.append(Segment((statement,), why))
        else:
            self._join(statement)
            if not one and self.inside is None:
                self.close()

    def close(self) -> None:
        """What was gathered is a transaction."""
        if self._run:
            self.segments.append(Segment(tuple(self._run), "", self._begin))
        self._run, self._begin = [], None
        self._added.clear()
        self._types.clear()

    def refuse(self, statement: Statement, message: str, remedy: str, cause: str = "") -> None:
        """The file cannot be sent because of this statement."""
        said = cause or "A step's transactions must be whole, so that each is in the database or is not."
        self.problems.append(Problem(statement, message, said, remedy))

    def _join(self, statement: Statement) -> None:
        ops = self._ops.get(statement.span.start, ())
        labels = [(of, name) for verb, kind, name, of in ops if (verb, kind) == ("read", "label")]
        used = [(of, name) for of, name in self._added if (of, name) in labels or ("", name) in labels]
        if used and self.inside is not None:
            (of, name), *_ = used
            cause = f"{statement.summary} uses '{name}', and PostgreSQL lets nobody use a new value before that."
            message = f"the value '{name}' of {of} is used in the transaction that adds it"
            self.refuse(statement, message, "COMMIT behind ALTER TYPE … ADD VALUE.", cause)
        # A text in quotes may be that of any enum, or none: a transaction more than needed does no harm.
        quoted = ("'" + name.replace("'", "''") + "'" for _, name in self._added)
        if self.inside is None and (used or any(each in statement.sql for each in quoted)):
            self.close()
        self._types.update(name for verb, kind, name, _ in ops if (verb, kind) == ("make", "type"))
        self._added.update(
            (of, name) for verb, kind, name, of in ops if (verb, kind) == ("make", "label") and of not in self._types
        )
        self._run.append(statement)

    def _alone(self, statement: Statement, one: bool) -> str:
        if statement.alone:
            return statement.alone
        words = statement.sql[:12].lower()
        if words.startswith("alter"):
            labels = [of for verb, kind, _, of in self._ops.get(statement.span.start, ()) if verb + kind == "makelabel"]
            if labels and self.major < ENUM_IN_TRANSACTION and labels[0] not in self._types:
                return ENUM
        elif words.startswith("call"):
            name = what(statement).name.rpartition(".")[2]
            if not one or name in self.committing:
                return "CALL"
        elif words.startswith("do") and commits(statement.sql):
            return "DO"
        return ""


_COMMITS = re.compile(r"(?i)\b(?:commit|rollback)(?:\s+and\s+(?:no\s+)?chain)?\s*;")
_ASIDE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)


def commits(text: str) -> bool:
    """Whether the body of a routine or of a DO block seems to end transactions of its own."""
    body = text
    if "$" not in text.split("'", 1)[0]:
        body = text.partition("'")[2].replace("''", "'")
    return _COMMITS.search(_ASIDE.sub(" ", body)) is not None


_PROCEDURE = re.compile(r"(?is)\s*create\s+(?:or\s+replace\s+)?procedure\s+([^\s(]+)")


def committing(statements: Iterable[Statement]) -> frozenset[str]:
    """Procedures that these statements make and that end transactions of their own, by the last part of their names."""
    found = set()
    for each in statements:
        if (match := _PROCEDURE.match(each.sql)) and commits(each.sql):
            found.add(lexer.identifier(match[1].rpartition(".")[2].encode()))
    return frozenset(found)


# --- what a statement is about ----------------------------------------------------------------------------------------


Kind = Literal[
    "create index", "drop index", "reindex", "repeatable", "create database", "drop database", "create tablespace",
    "drop tablespace", "enum value", "detach", "create subscription", "drop subscription", "call", "unknown",
]  # fmt: skip


class What(NamedTuple):
    """What a statement that stands alone does, and to what: names as SQL, as the statement has them.

    `of` is the table of an index, the label of an enum, the partition of a table; `scope` what a REINDEX is over.
    """

    kind: Kind
    name: str = ""
    of: str = ""
    names: tuple[str, ...] = ()
    scope: str = ""
    waits: bool = False
    """Nobody's reading or writing waits for it while it waits for its locks."""


def what(statement: Statement) -> What:
    """What a statement that stands alone is about; `unknown` where PostgreSQL's grammar does not say."""
    try:
        found = parser.parse(statement.sql.encode())
    except parser.ParseError:
        return What("unknown")
    return _what(found[0].node, found[0].tree) if len(found) == 1 else What("unknown")


_BY_NAME: dict[str, tuple[Kind, str]] = {
    "CreatedbStmt": ("create database", "dbname"),
    "DropdbStmt": ("drop database", "dbname"),
    "CreateTableSpaceStmt": ("create tablespace", "tablespacename"),
    "DropTableSpaceStmt": ("drop tablespace", "tablespacename"),
    "CreateSubscriptionStmt": ("create subscription", "subname"),
    "DropSubscriptionStmt": ("drop subscription", "subname"),
}


def _what(node: str, fields: Tree) -> What:
    if node in _BY_NAME:
        kind, key = _BY_NAME[node]
        return What(kind, fields.get(key, ""))
    if node == "IndexStmt":
        return What("create index", _ident(fields.get("idxname", "")), _range(fields.get("relation", {})), waits=True)
    if node == "DropStmt":
        names = tuple(_dotted(each["List"]["items"]) for each in fields.get("objects", ()) if "List" in each)
        return What("drop index", names=names, waits=True)
    if node == "ReindexStmt":
        scope = fields.get("kind", "").removeprefix("REINDEX_OBJECT_").lower()
        named = _range(fields["relation"]) if "relation" in fields else _ident(fields.get("name", ""))
        return What("reindex", named, scope=scope, waits=bool(tree.option(fields.get("params"), "concurrently")))
    if node == "VacuumStmt":
        return What("repeatable", waits=not tree.option(fields.get("options"), "full"))
    if node in ("AlterSystemStmt", "ClusterStmt"):
        return What("repeatable")
    if node == "AlterEnumStmt":
        return What("enum value", _dotted(fields.get("typeName", ())), fields.get("newVal", ""))
    if node == "AlterTableStmt":
        command = fields.get("cmds", [{}])[0].get("AlterTableCmd", {})
        part = command.get("def", {}).get("PartitionCmd", {}).get("name", {})
        return What("detach", _range(fields.get("relation", {})), _range(part), waits=True)
    if node == "CallStmt":
        called = fields.get("funccall", {}).get("funcname", ())
        return What("call", ".".join(each["String"]["sval"] for each in called if "String" in each))
    return What("unknown")


def _ident(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if name else ""


def _range(relation: Tree) -> str:
    parts = [relation[key] for key in ("schemaname", "relname") if relation.get(key)]
    return ".".join(map(_ident, parts))


def _dotted(items: Sequence[Tree]) -> str:
    return ".".join(_ident(each["String"]["sval"]) for each in items if "String" in each)


_SETS = re.compile(r"(?is)\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*(?:set|reset|select)\b")


def sets(statement: Statement) -> bool:
    """Whether a statement only sets the session for what stands behind it: it is sent again where a run goes on."""
    if not _SETS.match(statement.sql):
        return False
    try:
        found = parser.parse(statement.sql.encode())
    except parser.ParseError:
        return False
    node, fields = found[0].node, found[0].tree
    if node == "VariableSetStmt":
        return not fields.get("is_local") and fields.get("name") != "TRANSACTION"
    if node != "SelectStmt" or "fromClause" in fields or "whereClause" in fields:
        return False
    calls = [each.get("ResTarget", {}).get("val", {}).get("FuncCall", {}) for each in fields.get("targetList", ())]
    return bool(calls) and all(_sets(each) for each in calls)


def _sets(call: Tree) -> bool:
    names = [each["String"]["sval"] for each in call.get("funcname", ()) if "String" in each]
    arguments = call.get("args", ())
    if names[-1:] != ["set_config"] or len(arguments) != 3:
        return False
    last = arguments[2].get("A_Const", {})
    return "boolval" in last and not last["boolval"].get("boolval", False)


# --- a file that was begun --------------------------------------------------------------------------------------------


class Begun(NamedTuple):
    """How far a file is: statements that ran, all it has, the line where it goes on, and what stands against it."""

    done: frozenset[int]  # ordinals from 1
    of: int
    line: int | None  # None: all ran, the verification is to come
    changed: tuple[tuple[Ran, Statement | None], ...]  # those that ran, and read otherwise now
    doubts: tuple[Ran, ...]

    @property
    def says(self) -> str:
        """In words: "2 of 5 statements ran; goes on at line 14"."""
        said = f"{len(self.done)} of {self.of} statements ran"
        if self.doubts:
            lines = ", ".join(str(each.line) for each in self.doubts)
            return f"{said}; whether the one at line {lines} did cannot be told"
        return f"{said}; goes on at line {self.line}" if self.line is not None else f"{said}; its verification is left"


def begun(facts: FileFacts, rows: Iterable[Ran]) -> Begun:
    """How far a file is, of which the ledger has these statements."""
    statements = whole(facts)
    changed: list[tuple[Ran, Statement | None]] = []
    done = set()
    doubts = []
    for row in rows:
        now = statements[row.ordinal - 1] if row.ordinal <= len(statements) else None
        if row.state in ("applied", "in doubt") and (now is None or text_hash(now) != row.text_hash):
            changed.append((row, now))
        elif row.state == "applied":
            done.add(row.ordinal)
        elif row.state == "in doubt":
            doubts.append(row)
    line = next((each.span.line for at, each in enumerate(statements, 1) if at not in done), None)
    return Begun(frozenset(done), len(statements), line, tuple(changed), tuple(doubts))
