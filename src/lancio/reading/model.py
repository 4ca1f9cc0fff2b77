"""What a file says, before anyone has asked which objects its names mean.

Everything here is a function of the bytes of one file alone, so it can be cached by content and made in parallel.
Names stand as written: without a schema, the `search_path` decides later, when the planner binds them to a catalog.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal[
    "schema", "relation", "column", "constraint", "index", "trigger", "policy", "rule", "routine", "type", "label",
    "extension", "role", "row", "set", "setting", "cast", "operator", "opclass", "collation", "language", "server",
    "publication", "subscription", "event trigger", "statistics", "aggregate", "conversion", "access method",
    "unique", "foreign data wrapper", "text search", "transform", "tablespace", "service", "server version", "other",
]  # fmt: skip
"""PostgreSQL's words. Tables, views, sequences and indexes share one namespace and so the kind `relation`."""

Verb = Literal["make", "alter", "drop", "rename", "move", "read", "write", "call", "rows", "set", "opaque", "guard"]

Truth = Literal["exists", "missing", "unknown"]

Moment = Literal["now", "kept", "call"]
"""Now; kept (in a view, default, policy or check: what it names must be there now, and runs later); or when called."""


class Span(NamedTuple):
    """Where in the file: byte offsets (end exclusive) and the line, counted from 1."""

    start: int
    end: int
    line: int


ANY_SCHEMA = "*"
"""The schema of what a query on the catalogs asks for without naming one."""


class Ref(NamedTuple):
    """An object as the text names it.

    `args` are the argument types of a routine as declared (`("uuid", "text")`), or None where the text gives none;
    `arity` is then how many arguments a call passes. `of` is the relation that a column, constraint, trigger, policy
    or rule belongs to; for a column in a query it is every relation that the column may come from, nearest first.
    """

    kind: Kind
    name: str
    schema: str | None = None
    args: tuple[str, ...] | None = None
    arity: int | None = None
    of: tuple[Ref, ...] = ()

    def __str__(self) -> str:
        full = f"{self.schema}.{self.name}" if self.schema else self.name
        if self.kind == "routine":
            inside = ", ".join(self.args) if self.args is not None else "…" if self.arity else ""
            return f"{full}({inside})"
        if self.of and self.kind in ("trigger", "policy", "rule", "constraint"):
            return f"{full} on {self.of[0]}"
        if self.of and self.kind == "column":
            return f"{self.of[0]}.{self.name}"
        return full


class Guard(NamedTuple):
    """A test of the catalog around an operation: it runs only where `ref` is as `truth` says."""

    ref: Ref | None
    truth: Truth
    asked: int = 0
    """Which of the file's conditions asks it: both branches of an IF go by one answer."""
    row: RowFact | None = None
    """The row whose presence is asked for, where `ref` is one."""


class Column(NamedTuple):
    """A column of a table or a view that an operation makes."""

    name: str
    type: Ref | None = None
    type_name: str = ""
    not_null: bool = False
    default: bool = False
    generated: bool = False
    identity: bool = False


class RowFact(NamedTuple):
    """Rows named by constants: `table` has one where each of `values` holds (column, SQL literal's text)."""

    table: Ref
    values: tuple[tuple[str, str], ...]


class Detail(NamedTuple):
    """What some verbs need beside the name; each field is used by the verbs named behind it."""

    label: str = ""  # make: the word for the object, as PostgreSQL's error messages have it ("table", "view")
    columns: tuple[Column, ...] = ()  # make of a relation
    query: Query | None = None  # make of a view or CREATE TABLE AS: its output columns
    like: tuple[Ref, ...] = ()  # make of a table: LIKE and INHERITS; of an index or owned sequence: its table
    copies: tuple[frozenset[str], ...] = ()  # for each of `like`, what is taken over: checks, indexes, identity, parts
    replace: bool = False  # make: OR REPLACE
    if_not_exists: bool = False  # make, alter
    if_exists: bool = False  # drop, alter, rename
    cascade: bool = False  # drop
    to: str = ""  # rename: the new name; move: the new schema
    facet: str = "definition"  # alter, write: which cell
    references: tuple[Ref, tuple[str, ...]] | None = None  # make of a foreign key: table and columns
    columns_of: tuple[str, ...] = ()  # make of a constraint, index: the columns; of a trigger: its transition tables
    base: str = ""  # make of an index: what PostgreSQL's own name for it is built from, beside the table's
    contype: str = ""  # make of a constraint: primary key, unique, foreign key, check, exclude, not null
    routine: Ref | None = None  # make of a trigger: what it executes
    body: tuple[Op, ...] = ()  # make of a routine: what a call does
    defaults: int = 0  # make of a routine: arguments that a call may leave out
    variadic: bool = False
    result: str = ""  # make of a routine: its result type, "trigger" among them
    events: tuple[str, ...] = ()  # make of a trigger or policy: insert, update, delete, truncate, select
    each_row: bool = False  # make of a trigger: FOR EACH ROW; write of rows: there are some for certain
    path: tuple[str, ...] | None = None  # set search_path; make of a routine: its own path, () the one that stands
    local: bool = False  # set: for this transaction only
    row: RowFact | None = None  # rows (makes them) and read (needs them)
    reason: str = ""  # opaque: why it cannot be seen
    message: str = ""  # guard: what is raised where it fails
    validated: bool = True  # make of a constraint
    unique: bool = False  # make of an index
    keys: tuple[str, ...] = ()  # make of a unique index: the columns that it makes unique
    partial: bool = False  # make of an index: over some rows only; read of a unique key: one over some rows will do
    concurrently: bool = False
    implied: bool = False  # PostgreSQL makes it by itself with something else, or chooses its name
    holder: Ref | None = None  # read, call: the column, constraint or index whose expression names it
    part_of: Ref | None = None  # make: the table or column whose own statement makes it; left alone together


NOTHING = Detail()


class Op(NamedTuple):
    """What a statement does to one object."""

    verb: Verb
    ref: Ref
    span: Span
    detail: Detail = NOTHING
    when: Moment = "now"
    guards: tuple[Guard, ...] = ()
    statement: int = 0
    via: str = ""
    soft: bool = False
    """A failure would be handled in the file itself (an EXCEPTION block, IF EXISTS): no need, but an order."""


class Output(NamedTuple):
    """One output column of a query: its name, or every column of the relations in `star`."""

    name: str
    star: tuple[Ref, ...] = ()


class Query(NamedTuple):
    """What a query reads and what columns come out of it."""

    outputs: tuple[Output, ...] = ()


class Directive(NamedTuple):
    """One `-- lancio:` comment line: its word, the rest of the line, and its line number."""

    word: str
    text: str
    line: int


class Statement(NamedTuple):
    """One SQL statement of a file, as it will be sent.

    `summary` is its opening words and its object, for people (`CREATE TABLE platform.databases`). `control` is the
    transaction command it is, if it is one. `alone` says why it cannot run inside a transaction block, if so.
    """

    sql: str
    span: Span
    summary: str
    control: Literal["", "begin", "commit", "rollback", "prepare", "savepoint"] = ""
    alone: str = ""


@dataclass(frozen=True, slots=True)
class FileOps:
    """All that one file says."""

    statements: tuple[Statement, ...]
    ops: tuple[Op, ...]
    directives: tuple[Directive, ...]
    problems: tuple[str, ...] = field(default=())
