"""Which statements ask something of the rows that are there, and which query tells whether they will pass?

The statements of a plan are walked in their order, each over what those before it leave of the rows (`contents`). A
statement that PostgreSQL checks against the rows becomes a question; where what stands before it cannot be said as a
query, the question says so and has none, and where a table is certain to be empty there is no question at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lancio.catalog.model import Name
from lancio.errors import LancioError
from lancio.planner import contents, pieces
from lancio.planner.contents import KEY, Cascade, Column, Index, Kept, Rows
from lancio.planner.model import Place
from lancio.planner.pieces import Edit, Unsaid
from lancio.planner.rows import identifier, literal
from lancio.reading import operations, tree
from lancio.syntax import parser

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from lancio.catalog.model import Live
    from lancio.planner.contents import Called, Facts
    from lancio.planner.model import FileFacts
    from lancio.reading.model import Op, Ref
    from lancio.syntax.parser import Tree

SAMPLES = 3
"""So many of the rows that stand in the way are named."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one statement asks of the rows of one table.

    `find` gives the names of a few rows that stand in the way, none where none does; `count` two numbers, of all rows
    and of those in the way, and of a unique key a third, of the values that come more than once; `sample` the names of
    the first of them. `evaluate` is a query of one column, an expression over every row: where evaluating it fails,
    the statement fails. Its other columns are the rows' ctid, by which a query `… WHERE ctid > $1` can go on.
    `hand` is for a person to run. `unknown` says why there is no query; `found_may_pass` why rows that are found may
    be mended before, and `none_may_fail` why other rows may be there then.
    """

    at: Place
    says: str
    table: str
    sqlstate: str
    singular: str = ""
    plural: str = ""
    find: str = ""
    count: str = ""
    sample: str = ""
    evaluate: str = ""
    go_on: str = ""
    named: str = ""
    """SQL for the name of the row with a ctid ($1)."""
    key: str = "ctid"
    hand: str = ""
    path: tuple[str, ...] = ()
    unknown: str = ""
    found_may_pass: str = ""
    none_may_fail: str = ""
    errors: bool = False
    """Whether an error of the data in any of these queries is an answer: the statement will fail with it."""
    atleast: bool = False
    """Whether `count` finds some of the rows in the way, and not always all."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a database is to be asked about, before the questions can be written."""

    relations: tuple[str, ...]
    domains: tuple[str, ...]


_ASKING = re.compile(r"(?i)\b(?:alter\s+table|alter\s+domain|create\s+(?:unique\s+)?index)\b")
_DOMAIN = re.compile(r"(?i)\balter\s+domain\b")


def wanted(pending: Sequence[FileFacts]) -> Wanted | None:
    """The relations and domains, by their bare names, that the statements of a plan speak of.

    None where no statement asks anything of rows: then there is nothing to be looked at.
    """
    if not any(_ASKING.search(each.sql) for facts in pending for each in facts.statements):
        return None
    relations: set[str] = set()
    domains: set[str] = set()
    for facts in pending:
        for op in facts.ops.ops if facts.ops is not None else ():
            for ref in (op.ref, *op.ref.of, *((op.detail.references[0],) if op.detail.references else ())):
                if ref.kind in ("relation", "row"):
                    relations.add(ref.name)
            if op.ref.kind == "type":
                domains.add(op.ref.name)
    return Wanted(tuple(sorted(relations)), tuple(sorted(domains)))


def questions(pending: Sequence[FileFacts], live: Live, facts: Facts) -> tuple[Question, ...]:
    """What the statements of a plan ask of the rows of a live database, in the order of the plan."""
    walk = _Walk(live, facts, _interesting(pending))
    for each in pending:
        walk.file(each)
    return tuple(walk.found)


def _interesting(pending: Sequence[FileFacts]) -> frozenset[str]:
    """The relations, by bare names, whose rows somebody asks for; rows that go into others need not be looked at."""
    names: set[str] = set()
    for facts in pending:
        for op in facts.ops.ops if facts.ops is not None else ():
            if op.verb == "rows" or (op.detail.facet == "rows" and op.detail.events == ("insert",)):
                continue
            names.update(ref.name for ref in (op.ref, *op.ref.of) if ref.kind == "relation" and op.verb != "make")
    return frozenset(names)


@dataclass(frozen=True, slots=True)
class _Type:
    """A type that the plan makes or changes: what it can be written as until then, or why it cannot."""

    stands_for: str = ""
    labels: tuple[str, ...] = ()
    check: str = ""  # over VALUE
    not_null: bool = False
    reason: str = ""


_FORBIDDEN = re.compile(
    r"(?i)^(?:nextval|setval|currval|lastval|set_config|pg_notify|pg_(?:try_)?advisory_\w+|dblink\w*|lo_\w+|pg_sleep\w*"
    r"|pg_(?:terminate|cancel)_backend|pg_reload_conf|pg_rotate_logfile|pg_logical_\w+|txid_current|pg_current_xact_id)$"
)
"""Functions that do something, or that a read-only transaction refuses: never called to answer a question."""

MOST_INSERTED = 200_000
"""Bytes of an INSERT's text that are taken into a query."""

_INSERT, _DELETE, _UPDATE = 4, 8, 16


class _Walk:
    """The statements of a plan in their order, and what they leave of the rows."""

    def __init__(self, live: Live, facts: Facts, interesting: frozenset[str]) -> None:
        self.live = live
        self.facts = facts
        self.interesting = interesting
        self.tables = {(each.schema, each.name): contents.of(each) for each in facts.tables}
        self.others = set(facts.others)
        self.types: dict[Called, _Type] = {}
        self.routines: dict[Called, tuple[str, Op, Place]] = {}
        self.found: list[Question] = []
        self.path = live.catalog.path
        self.place = Place("", 0)
        self.ops: Sequence[Op] = ()
        self.cascades: list[Cascade] = []
        self._live_constraints()

    def _live_constraints(self) -> None:
        for rows in self.tables.values():
            for each in rows.table.constraints:
                parent = self.tables.get(each.references) if each.references else None
                kept = Kept(
                    f"ALTER TABLE {rows.said} ADD CONSTRAINT {identifier(each.name)} {each.definition}",
                    rows,
                    ("pg_catalog",),
                    parent,
                    {name: name for name in rows.columns},
                    {name: name for name in parent.columns} if parent is not None else {},
                )
                rows.constraints[each.name] = kept
                if parent is not None:
                    self.cascades.append(
                        Cascade(each.name, parent, rows, each.keys, each.columns, each.delete, each.update)
                    )

    # Names.

    def called(self, schema: str | None, name: str) -> Called | None:
        """The relation that a name means here, where it is a table or view that is known."""
        for each in (schema,) if schema else self.path:
            if (each, name) in self.tables or (each, name) in self.others:
                return each, name
        return None

    def rows(self, range_var: Tree) -> Rows | None:
        """The table that a RangeVar names."""
        if range_var.get("relpersistence") == "t":
            return None
        called = self.called(range_var.get("schemaname"), range_var.get("relname", ""))
        return self.tables.get(called) if called is not None else None

    def named(self, ref: Ref) -> Rows | None:
        """The table that an operation names."""
        called = self.called(ref.schema, ref.name)
        return self.tables.get(called) if called is not None else None

    def type_of(self, type_name: Tree) -> tuple[Called, _Type] | None:
        """The type of the plan's own that is named."""
        schema, name = tree.qualified(tree.strings(type_name.get("names")))
        for called, each in self.types.items():
            if called[1] == name and (called[0] == schema if schema else called[0] in self.path):
                return called, each
        return None

    # Files and statements.

    def file(self, facts: FileFacts) -> None:
        """Walk over one file."""
        self.path = self.live.catalog.path
        by_statement: dict[int, list[Op]] = {}
        for op in facts.ops.ops if facts.ops is not None else ():
            by_statement.setdefault(op.statement, []).append(op)
        for number, each in enumerate(facts.statements):
            if each.control:
                continue
            self.place = Place(facts.name, each.span.line, each.summary)
            ops = by_statement.get(number, [])
            self.statement(each.sql, each.summary, ops)
            for op in ops:
                if op.verb == "set" and op.ref.name == "search_path" and op.detail.path is not None:
                    self.path = op.detail.path

    def statement(self, sql: str, summary: str, ops: Sequence[Op]) -> None:
        """Walk over one statement."""
        word = (summary.split() or [""])[0]
        if word in ("GRANT", "REVOKE", "COMMENT", "SET", "RESET", "ANALYZE", "VACUUM"):
            return
        if word == "INSERT" and not any(op.verb in ("call", "opaque") for op in ops):
            targets = {op.ref.name for op in ops if op.verb == "write" and op.detail.facet == "rows"}
            if len(targets) == 1 and (len(sql) > MOST_INSERTED or not targets & self.interesting):
                self.effects(ops)
                return
        try:
            statement = pieces.Statement(sql)
        except (ValueError, parser.ParseError):
            self.effects(ops)
            return
        self.ops = ops
        handler = HANDLERS.get(statement.node)
        if handler is None:
            self.effects(ops)
        else:
            handler(self, statement)

    @property
    def before(self) -> str:
        """Why rows are not known behind the statement that is walked over now."""
        return f"rows change before, by {self.place}"

    # What statements do to rows beyond what can be said.

    def effects(self, ops: Iterable[Op], depth: int = 0) -> None:
        """Whatever a statement writes, by its operations alone, is not known behind it."""
        for op in ops:
            if op.verb == "opaque" or depth > _DEEPEST:
                self.blur_all()
                return
            if op.verb == "call":
                self.called_routine(op.ref, depth)
            elif op.verb == "write" and op.detail.facet == "rows":
                rows = self.named(op.ref)
                if rows is not None:
                    self.written(rows, op.detail.events)
            elif op.ref.kind == "relation" and op.verb in ("alter", "rename", "move", "drop"):
                if (rows := self.named(op.ref)) is not None:
                    rows.blur(self.before)
            elif op.ref.kind in ("column", "constraint") and op.verb in ("make", "drop", "rename", "write"):
                if (rows := self.named(op.ref.of[0]) if op.ref.of else None) is not None:
                    self._inside(op, rows)
                    rows.blur(self.before)
            elif op.verb == "make" and op.ref.kind == "relation" and op.detail.unique and not op.detail.implied:
                if op.detail.like and (rows := self.named(op.detail.like[0])) is not None:
                    self.unsaid(rows, f"UNIQUE INDEX {op.ref.name}", "23505", "it stands in a block of code")
            elif op.verb == "make" and op.ref.kind == "type":
                self.types[op.ref.schema or self.path[0], op.ref.name] = _Type(reason=self.made(str(op.ref)))

    def _inside(self, op: Op, rows: Rows) -> None:
        """What a block of code asks of rows is not looked at, and that is said."""
        states = {
            "primary key": "23505",
            "unique": "23505",
            "foreign key": "23503",
            "check": "23514",
            "exclude": "23P01",
        }
        if op.ref.kind == "constraint" and op.verb == "make" and op.detail.validated and op.detail.contype in states:
            says = f"{op.detail.contype.upper()} {op.ref.name} of {short(rows)}"
            self.unsaid(rows, says, states[op.detail.contype], "it stands in a block of code")
        elif op.ref.kind == "column" and op.detail.facet == "null" and op.detail.message != "dropped":
            if not op.detail.implied:
                says = f"SET NOT NULL {short(rows)}.{op.ref.name}"
                self.unsaid(rows, says, "23502", "it stands in a block of code")

    def blur_all(self) -> None:
        """What was done cannot be seen: nothing is known of any table's rows."""
        for rows in self.tables.values():
            rows.blur(self.before)

    def written(self, rows: Rows, events: Collection[str]) -> None:
        """Rows were written in a way that is not known."""
        if set(events) == {"insert"}:
            rows.more = rows.more or self.before
        else:
            rows.blur(self.before)
        bits = sum(
            bit for bit, word in ((_INSERT, "insert"), (_DELETE, "delete"), (_UPDATE, "update")) if word in events
        )
        self.along(rows, bits)

    def along(self, rows: Rows, bits: int, columns: Collection[str] | None = None) -> None:
        """What else changes when rows of a table are written: what keys and triggers do, and other tables' share.

        `columns` are those that an UPDATE sets, where that is known.
        """
        for called in rows.table.relatives if rows.there else ():
            if (other := self.tables.get(called)) is not None:
                other.blur(self.before)
        self._cascade(rows, bits, columns, set())
        for trigger in list(rows.triggers.values()):
            if trigger.bits & bits:
                self._fires(rows, trigger)

    def _cascade(self, rows: Rows, bits: int, columns: Collection[str] | None, seen: set[int]) -> None:
        """What foreign keys do with the rows that point to those that go or change."""
        for each in self.cascades:
            if each.parent is not rows or id(each) in seen:
                continue
            if bits & _DELETE and each.delete == "c":
                seen.add(id(each))
                each.child.blur(self.before)
                self._cascade(each.child, _DELETE, None, seen)
            set_ = (bits & _DELETE and each.delete in "nd") or (
                bits & _UPDATE and each.update in "cnd" and (columns is None or not {*columns}.isdisjoint(each.keys))
            )
            if set_:
                seen.add(id(each))
                for column in each.columns:
                    each.child.vague.setdefault(column, self.before)
                self._cascade(each.child, _UPDATE, each.columns, seen)

    def _fires(self, rows: Rows, trigger: contents.Trigger) -> None:
        """A trigger's routine: which columns of the row it sets, and which tables it writes."""
        text, ops = self._routine(*trigger.routine)
        if text is None:
            rows.blur(self.before)
            return
        self.effects(ops, 1)
        if trigger.bits & 2 and trigger.bits & 1:
            if _WHOLE_ROW.search(text):
                rows.blur(self.before)
            for match in _ASSIGNED.finditer(text):
                rows.vague.setdefault(match[1].strip('"').lower(), self.before)

    def _routine(self, schema: str, name: str) -> tuple[str | None, Sequence[Op]]:
        """A routine's text and what a call does; None where it cannot be read."""
        if (schema, name) in self.routines:
            text, op, _ = self.routines[schema, name]
            return text, op.detail.body
        for each in self.live.catalog.overloads(schema, name):
            text = each.facts.get("definition", "")
            if not text:
                continue
            try:
                return text, operations.read_routine(text).body
            except LancioError:
                return None, ()
        return None, ()

    def called_routine(self, ref: Ref, depth: int) -> None:
        """Everything that a call may do."""
        for schema in (ref.schema,) if ref.schema else self.path:
            if schema is None:
                continue
            known = (schema, ref.name) in self.routines or self.live.catalog.overloads(schema, ref.name)
            if known:
                text, ops = self._routine(schema, ref.name)
                if text is not None:
                    self.effects(ops, depth + 1)
                elif not any(each.extension for each in self.live.catalog.overloads(schema, ref.name)):
                    self.blur_all()
                return

    # Expressions.

    def edits(self, whole: bytes, node: Tree, own: Rows | None) -> Iterator[Edit]:
        """What must be written otherwise in a piece, so that it means over the rows of now what it means then."""
        nodes = list(_nodes(node))
        common = {fields.get("ctename") for name, fields in nodes if name == "CommonTableExpr"}
        starred = any(
            "A_Star" in part for name, fields in nodes if name == "ColumnRef" for part in fields.get("fields", ())
        )
        used = pieces.names(node)
        changed = own is not None and own.touched
        for name, fields in nodes:
            if name == "RangeVar" and not (fields.get("relname") in common and not fields.get("schemaname")):
                edit, replaced = self._range(whole, fields, used)
                changed = changed or replaced
                if edit is not None:
                    yield edit
            elif name == "ColumnRef":
                parts = fields.get("fields", ())
                if len(parts) > 2:
                    yield Edit(fields["location"], _last_two(whole, fields["location"]), "")
                if (
                    own is not None
                    and own.touched
                    and tree.strings(parts) == (own.name,)
                    and own.name not in own.columns
                ):
                    raise Unsaid("it takes a row as a whole")
            elif name == "TypeName" and (known := self.type_of(fields)) is not None:
                if not known[1].stands_for:
                    raise Unsaid(known[1].reason)
                _, end = pieces.name_end(whole, fields["location"])
                yield Edit(fields["location"], end, known[1].stands_for)
            elif name == "FuncCall":
                self._may_call(tree.strings(fields.get("funcname")))
            elif name in ("ParamRef", "CurrentOfExpr", "SetToDefault", "MultiAssignRef"):
                raise Unsaid("it has a part that only stands for a value")
            elif name in ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"):
                raise Unsaid("it writes rows inside of a query")
        if own is not None and (vague := sorted(used & own.vague.keys())):
            raise Unsaid(own.vague[vague[0]])
        if changed and starred:
            raise Unsaid("it takes every column of a table that changes before")

    def _range(self, whole: bytes, fields: Tree, used: frozenset[str]) -> tuple[Edit | None, bool]:
        called = self.called(fields.get("schemaname"), fields.get("relname", ""))
        if called is None:
            return None, False
        last, end = pieces.name_end(whole, fields["location"])
        rows = self.tables.get(called)
        if rows is None:
            if any(each.touched or each.unknown or each.more or each.vague for each in self.tables.values()):
                raise Unsaid(f"it reads {'.'.join(called)}, and tables change before")
            return Edit(fields["location"], end, f"{identifier(called[0])}.{identifier(called[1])}"), False
        if rows.unknown or rows.more:
            raise Unsaid(rows.unknown or rows.more)
        if vague := sorted(used & rows.vague.keys()):
            raise Unsaid(rows.vague[vague[0]])
        if not rows.touched:
            return Edit(fields["location"], end, rows.said), False
        if not fields.get("inh"):
            raise Unsaid("it reads a table that changes before by ONLY")
        alias = "" if fields.get("alias") else f" AS {whole[last:end].decode()}"
        return Edit(fields["location"], end, f"({rows.rows().replace(contents.ONLY, '')}){alias}"), True

    def _may_call(self, name: tuple[str, ...]) -> None:
        schema, bare = tree.qualified(name)
        if _FORBIDDEN.match(bare):
            raise Unsaid(f"it calls {bare}()")
        for called, (_, _, place) in self.routines.items():
            if called[1] == bare and (schema is None or called[0] == schema):
                raise Unsaid(f"it calls {bare}(), which {place} makes")
        touched = {rows.name for rows in self.tables.values() if rows.touched or rows.unknown or rows.more}
        for each in (schema,) if schema else self.path:
            if touched and each is not None and self.live.catalog.overloads(each, bare):
                _, ops = self._routine(each, bare)
                if any(op.ref.kind == "relation" and op.ref.name in touched for op in ops):
                    raise Unsaid(f"it calls {bare}(), which reads tables that change before")

    def fit(self, text: str, own: Rows | None) -> str:
        """An expression, so that it can be asked now over the rows of a table."""
        return pieces.rewritten_expression(text, lambda whole, node: self.edits(whole, node, own))

    def fit_sources(self, text: str) -> str:
        """A FROM list, likewise."""
        return pieces.rewritten(text, b"SELECT FROM ", b"\n", lambda whole, node: self.edits(whole, node, None))

    def fit_query(self, text: str) -> str:
        """A query, likewise."""
        return pieces.rewritten(text, b"", b"\n", lambda whole, node: self.edits(whole, node, None))

    def fit_type(self, statement: pieces.Statement, type_name: Tree) -> str:
        """The text of a type, or of what stands for it until it is made."""
        known = self.type_of(type_name)
        if known is not None:
            if not known[1].stands_for:
                raise Unsaid(known[1].reason)
            return known[1].stands_for
        if tree.is_serial(type_name):
            return tree.type_text(type_name)
        return statement.type(type_name)

    def made(self, what: str) -> str:
        """Why something that the plan makes cannot be used in a question."""
        return f"it needs {what}, which {self.place} makes"

    # Questions.

    def unsaid(self, rows: Rows, says: str, sqlstate: str, reason: str) -> None:
        """A question that cannot be asked."""
        if not rows.nothing:
            self.found.append(Question(self.place, says, rows.said, sqlstate, unknown=reason))

    def _question(
        self, rows: Rows, says: str, sqlstate: str, singular: str, plural: str, queries: Mapping[str, str],
        *, errors: bool = False, parent: Rows | None = None, key: str = "", atleast: bool = False,
    ) -> None:  # fmt: skip
        """Ask it, unless there are certainly no rows to ask about."""
        if rows.nothing:
            return
        if rows.unknown:
            self.unsaid(rows, says, sqlstate, rows.unknown)
            return
        doubt = (parent.unknown or parent.more) if parent is not None else ""
        if parent is not None and parent.unknown:
            self.unsaid(rows, says, sqlstate, parent.unknown)
            return
        columns = rows.key
        named = key or (columns[0] if len(columns) == 1 else f"({', '.join(columns)})" if columns else "ctid")
        self.found.append(
            Question(
                self.place, says, rows.said, sqlstate, singular, plural,
                key=named, path=self.path, found_may_pass=doubt, none_may_fail=rows.more, errors=errors,
                atleast=atleast, **queries,
            )
        )  # fmt: skip

    def rows_break(self, rows: Rows, says: str, sqlstate: str, singular: str, plural: str, bad: str, *,
                   alias: str = "", only: bool = False, errors: bool = False, source: str = "",
                   parent: Rows | None = None) -> None:  # fmt: skip
        """Ask for the rows of which a condition holds."""
        alias = alias or identifier(rows.name)
        source = source or rows.source(alias, only=only)
        name = self._name(rows, alias)
        order = f" ORDER BY {rows.key_of(alias)}, {alias}.ctid"
        queries = {
            "find": f"SELECT {name} FROM {source} WHERE {bad} LIMIT {SAMPLES + 1}",
            "count": f"SELECT (SELECT count(*) FROM {source}), (SELECT count(*) FROM {source} WHERE {bad})",
            "sample": f"SELECT {name} FROM {source} WHERE {bad}{order} LIMIT {SAMPLES + 1}",
            "hand": f"SELECT {name} FROM {source} WHERE {bad}",
        }
        if errors and not rows.touched and rows.table.kind == "r" and not rows.table.parted:
            queries |= self._evaluation(rows, alias, source, bad)
        self._question(rows, says, sqlstate, singular, plural, queries, errors=errors, parent=parent)

    def evaluates(self, rows: Rows, says: str, value: str, *, own: bool = False) -> None:
        """Ask whether an expression can be evaluated for every row; `own`: the statement itself makes the value."""
        alias = identifier(rows.name)
        source = rows.source(alias)
        queries = {
            "evaluate": f"SELECT count({value}) FROM {source}",
            "hand": f"SELECT {self._name(rows, alias)}, {value} FROM {source}",
            "count": f"SELECT count(*), 0 FROM {source}",
        }
        if rows.simple and rows.table.kind == "r" and not rows.table.parted:
            queries |= self._evaluation(rows, alias, source, value)
        self._question(rows, says, "22000", "fails", "fail", queries, errors=own or not rows.touched)

    def _evaluation(self, rows: Rows, alias: str, source: str, value: str) -> dict[str, str]:
        """How to find the rows for which an expression fails: one by one, in the order in which they lie there."""
        return {
            "go_on": f"SELECT {alias}.ctid AS at, {value} IS NULL AS v FROM {source} WHERE {alias}.ctid > $1",
            "named": f"SELECT {self._name(rows, alias)} AS name, {alias}.ctid AS at FROM {source} "
            f"WHERE {alias}.ctid > $1 ORDER BY {alias}.ctid LIMIT 1",
        }

    def _name(self, rows: Rows, alias: str) -> str:
        """How a row is named to people: its key, or the place where it lies."""
        if rows.there and len(rows.key) == 1:
            name = f"{rows.key_of(alias)}::text"
        elif rows.there and rows.key:
            name = f"'(' || array_to_string({rows.key_of(alias)}, ', ') || ')'"
        elif rows.there and (rows.table.parted or rows.table.kind == "p"):
            name = f"{alias}.tableoid::regclass || ' ' || {alias}.ctid"
        else:
            name = f"{alias}.ctid::text"
        return f"coalesce({name}, 'a new row')" if rows.added else name

    def not_null(self, rows: Rows, column: str, says: str, *, source: str = "") -> None:
        """Ask for rows in which a column is NULL."""
        if column not in rows.columns:
            return
        if column in rows.vague:
            self.unsaid(rows, says, "23502", rows.vague[column])
            return
        alias = identifier(rows.name)
        self.rows_break(rows, says, "23502", "is NULL", "are NULL",
                        f"{alias}.{identifier(column)} IS NULL", source=source)  # fmt: skip

    def unique(
        self, rows: Rows, says: str, keys: Sequence[str], *, where: str = "", nulls_distinct: bool = True,
        used: Collection[str] = (), source: str = "", errors: bool = False,
    ) -> None:  # fmt: skip
        """Ask for values that come more than once."""
        if vague := sorted(set(used) & rows.vague.keys()):
            self.unsaid(rows, says, "23505", rows.vague[vague[0]])
            return
        alias = identifier(rows.name)
        source = source or rows.source(alias, only=True)
        conditions = [f"({where})"] if where else []
        if nulls_distinct:
            conditions += [f"{key} IS NOT NULL" for key in keys]
        filtered = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        group = ", ".join(keys)
        name = self._name(rows, alias)
        doubles = f"SELECT count(*) AS n FROM {source}{filtered} GROUP BY {group} HAVING count(*) > 1"
        each = f"SELECT {name} AS name, {rows.key_of(alias)} AS key, {alias}.ctid AS at, " \
               f"count(*) OVER (PARTITION BY {group}) AS n FROM {source}{filtered}"  # fmt: skip
        queries = {
            "find": f"SELECT ''::text FROM ({doubles} LIMIT 1) AS d",
            "count": f"SELECT (SELECT count(*) FROM {source}), coalesce(sum(d.n), 0)::bigint, count(*) FROM ({doubles}) AS d",
            "sample": f"SELECT name FROM ({each}) AS d WHERE n > 1 ORDER BY key, at LIMIT {SAMPLES + 1}",
            "hand": f"SELECT name FROM ({each}) AS d WHERE n > 1",
        }
        self._question(rows, says, "23505", "", "", queries, errors=errors)

    # ALTER TABLE.

    def alter_table(self, statement: pieces.Statement) -> None:
        """Walk over ALTER TABLE."""
        fields = statement.tree
        if fields.get("objtype") not in ("OBJECT_TABLE", None):
            return
        rows = self.rows(fields.get("relation", {}))
        if rows is None:
            return
        commands = [each.get("AlterTableCmd", {}) for each in fields.get("cmds", ())]
        # PostgreSQL runs the commands of one statement by their kinds, and looks at the rows once, behind all of them.
        later: list[Tree] = []
        added: list[tuple[Tree, Tree]] = []
        for command in sorted(commands, key=lambda each: _PASSES.get(each.get("subtype", ""), 3)):
            subtype, name = command.get("subtype", ""), command.get("name", "")
            if subtype == "AT_DropColumn":
                rows.drop_column(name)
            elif subtype == "AT_DropConstraint":
                rows.constraints.pop(name, None)
                rows.indexes.pop(name, None)
                self.cascades = [each for each in self.cascades if each.child is not rows or each.name != name]
            elif subtype == "AT_DropNotNull" and name in rows.columns:
                rows.columns[name] = _nullable(rows.columns[name], not_null=False)
            elif subtype == "AT_ColumnDefault" and name in rows.columns:
                self._default(statement, rows, name, command)
            elif subtype == "AT_AlterColumnType":
                self._retype(statement, rows, command)
            elif subtype in ("AT_AddColumn", "AT_AddColumnToView"):
                definition = command.get("def", {}).get("ColumnDef", {})
                if definition.get("colname") in rows.columns:
                    continue
                self._add_column(statement, rows, definition)
                added.append((command, definition))
            elif subtype in ("AT_SetExpression", "AT_AddIdentity"):
                if name in rows.columns:
                    rows.vague[name] = self.before
            else:
                later.append(command)
        for _, definition in added:
            for each in definition.get("constraints", ()):
                self._constraint(statement, rows, each.get("Constraint", {}), definition.get("colname", ""))
        for command in later:
            self._ask(statement, rows, command)

    def _ask(self, statement: pieces.Statement, rows: Rows, command: Tree) -> None:
        subtype, name = command.get("subtype", ""), command.get("name", "")
        if subtype == "AT_SetNotNull" and name in rows.columns:
            if not rows.columns[name].not_null:
                self.not_null(rows, name, f"SET NOT NULL {short(rows)}.{name}")
                rows.columns[name] = _nullable(rows.columns[name], not_null=True)
        elif subtype in ("AT_AddConstraint", "AT_AddIndexConstraint"):
            self._constraint(statement, rows, command.get("def", {}).get("Constraint", {}))
        elif subtype == "AT_ValidateConstraint":
            self._validate(rows, name)
        elif subtype == "AT_AttachPartition":
            self._attach(statement, rows, command.get("def", {}).get("PartitionCmd", {}))
        elif subtype in ("AT_AddInherit", "AT_DropInherit", "AT_DetachPartition"):
            rows.blur(self.before)

    def _default(self, statement: pieces.Statement, rows: Rows, name: str, command: Tree) -> None:
        text = ""
        if command.get("def"):
            text = "?"
            for number in range(len(statement.words) - 1):
                if (statement.words[number].text, statement.words[number + 1].text) == ("set", "default"):
                    try:
                        text = statement.expression(number + 2, command["def"])
                        break
                    except Unsaid:
                        continue
        column = rows.columns[name]
        rows.columns[name] = Column(name, column.type, column.not_null, text, column.made, column.domain)

    def _add_column(self, statement: pieces.Statement, rows: Rows, definition: Tree) -> None:
        name = definition.get("colname", "")
        type_name = definition.get("typeName", {})
        constraints = [each.get("Constraint", {}) for each in definition.get("constraints", ())]
        kinds = {each.get("contype") for each in constraints}
        vague = ""
        default = ""
        try:
            type_ = self.fit_type(statement, type_name)
        except Unsaid as unsaid:
            type_, vague = "text", str(unsaid)
        value = f"NULL::{type_}"
        made = tree.is_serial(type_name) or bool(kinds & {"CONSTR_IDENTITY", "CONSTR_GENERATED"})
        if tree.is_serial(type_name) or "CONSTR_IDENTITY" in kinds:
            value = f"(row_number() OVER ())::{type_}"  # a sequence: never NULL, never the same
        for each in constraints:
            if each.get("contype") not in ("CONSTR_DEFAULT", "CONSTR_GENERATED"):
                continue
            try:
                default = self._value(statement, each)
                fitted = self.fit(default, rows)
                value = f"({fitted})::{type_}"
            except Unsaid as unsaid:
                called = tree.unwrap(each.get("raw_expr"))
                if tree.last(called[1].get("funcname")) == "nextval":
                    value = f"(row_number() OVER ())::{type_}"
                else:
                    vague = vague or str(unsaid)
        known = self.type_of(type_name)
        strict = known[1] if known is not None and (known[1].check or known[1].not_null) else None
        try:
            rows.add_column(Column(name, type_, False, default, made), value)
        except Unsaid:
            return
        if vague and not rows.nothing:
            rows.vague[name] = vague
        elif strict is not None or self._is_domain(type_name):
            says = f"ADD COLUMN {short(rows)}.{name}"
            alias = identifier(rows.name)
            own = f"{alias}.{identifier(name)}"
            if strict is not None:
                self._of_type(rows, says, own, strict)
            else:
                # A domain that takes no NULL, or not the default.
                self.evaluates(rows, says, own, own=True)
        for each in constraints:  # a generated column's expression may fail
            if each.get("contype") == "CONSTR_GENERATED" and not vague and not value.startswith("NULL"):
                self.evaluates(
                    rows, f"ADD COLUMN {short(rows)}.{name}", f"{identifier(rows.name)}.{identifier(name)}", own=True
                )

    def _is_domain(self, type_name: Tree) -> bool:
        schema, name = tree.qualified(tree.strings(type_name.get("names")))
        for each in (schema,) if schema else self.path:
            found = self.live.catalog.find(Name("type", each or "", name))
            if found is not None:
                return found.label == "domain"
        return False

    def _value(self, statement: pieces.Statement, constraint: Tree) -> str:
        """The text of a default, or of what a column is generated from."""
        first = statement.at(constraint.get("location", 0))
        word = "default" if constraint.get("contype") == "CONSTR_DEFAULT" else "("
        start = statement.must((word,), first, statement.words[first].depth) + 1
        return statement.expression(start, constraint.get("raw_expr", {}))

    def _retype(self, statement: pieces.Statement, rows: Rows, command: Tree) -> None:
        name = command.get("name", "")
        definition = command.get("def", {}).get("ColumnDef", {})
        type_name = definition.get("typeName", {})
        old = rows.columns.get(name)
        if old is None:
            return
        alias = identifier(rows.name)
        own = f"{alias}.{identifier(name)}"
        says = f"ALTER COLUMN {short(rows)}.{name} TYPE {tree.type_text(type_name)}"
        try:
            if name in rows.vague:
                raise Unsaid(rows.vague[name])
            type_ = self.fit_type(statement, type_name)
            says = f"ALTER COLUMN {short(rows)}.{name} TYPE {type_ if self.type_of(type_name) is None else tree.type_text(type_name)}"
            using = definition.get("raw_default")
            value = own
            if using is not None:
                start = statement.must(("using",), statement.at(type_name.get("location", 0)), 0) + 1
                value = f"({self.fit(statement.expression(start, using), rows)})"
        except Unsaid as unsaid:
            self.unsaid(rows, says, "22000", str(unsaid))
            rows.columns[name] = Column(name, "text", old.not_null)
            if not rows.nothing:
                rows.blur(str(unsaid))
            return
        known = self.type_of(type_name)
        length = _LENGTH.fullmatch(type_)
        safe = using is None and _widens(old.type, type_)
        if known is not None:
            self._of_type(rows, says, value, known[1])
        elif length is not None and not safe:
            size = int(length[1] or 1)
            text = f"({value})::text"
            self.rows_break(
                rows, says, "22001", f"is longer than {size}", f"are longer than {size}",
                f"char_length({text}) > {size} AND substr({text}, {size + 1}) ~ '[^ ]'", errors=not rows.touched,
            )  # fmt: skip
        elif not safe:
            self.evaluates(rows, says, f"({value})::{type_}")
        if using is not None and old.not_null:
            self.rows_break(
                rows, says, "23502", "becomes NULL", "become NULL", f"{value} IS NULL", errors=not rows.touched
            )
        rows.retype(name, Column(name, type_, old.not_null, old.default, old.made), f"({value})::{type_}")
        if not safe:
            for index in list(rows.indexes.values()):
                if name in index.columns:
                    keys = [f"{alias}.{identifier(each)}" for each in index.columns]
                    self.unique(rows, f"{says}, UNIQUE {index.name}", keys, used=index.columns,
                                nulls_distinct=index.nulls_distinct)  # fmt: skip

    def _of_type(self, rows: Rows, says: str, value: str, type_: _Type) -> None:
        """Whether values fit a type that the plan itself makes."""
        if type_.labels:
            labels = ", ".join(literal(label) for label in type_.labels)
            self.rows_break(rows, says, "22P02", "is none of its values", "are none of its values",
                            f"({value})::text NOT IN ({labels})", errors=not rows.touched)  # fmt: skip
        if type_.not_null:
            self.rows_break(rows, says, "23502", "is NULL", "are NULL", f"({value}) IS NULL")
        if type_.check:
            checked = _with_value(type_.check, value)
            self.rows_break(rows, says, "23514", "breaks its check", "break its check",
                            f"({checked}) IS FALSE", errors=not rows.touched)  # fmt: skip

    # Constraints.

    def _constraint(
        self, statement: pieces.Statement, rows: Rows, fields: Tree, column: str = "", *, validate: bool = False,
        kept: Kept | None = None,
    ) -> None:  # fmt: skip
        """Ask what a constraint asks of the rows; keep one that is not to be checked yet."""
        kind = fields.get("contype", "")
        columns = (column,) if column else tree.strings(fields.get("keys")) or tree.strings(fields.get("fk_attrs"))
        named = fields.get("conname", "")
        label = f" {named}" if named else ""
        if kind not in _CONSTRAINTS:
            return
        says = f"{_CONSTRAINTS[kind][0]}{label} of {short(rows)}"
        if columns:
            says += f" ({', '.join(columns)})"
        if validate:
            says = f"VALIDATE {says}"
        if not validate:
            self._keep(statement, rows, fields, named or self._chosen(rows, kind, columns), columns)
            if fields.get("skip_validation"):
                return
        try:
            self._asks(statement, rows, fields, kind, columns, says, kept)
        except Unsaid as unsaid:
            self.unsaid(rows, says, _CONSTRAINTS[kind][1], str(unsaid))

    def _keep(self, statement: pieces.Statement, rows: Rows, fields: Tree, name: str, columns: tuple[str, ...]) -> None:
        """Keep a constraint for a later VALIDATE, and what its key does with the rows later on."""
        parent = self._parent(fields)
        if parent is not None:
            keys = tree.strings(fields.get("pk_attrs")) or self._primary(parent)
            columns = tree.strings(fields.get("fk_attrs")) or columns
            actions = (fields.get("fk_del_action") or "a", fields.get("fk_upd_action") or "a")
            self.cascades.append(Cascade(name, parent, rows, keys, columns, *actions))
        if statement.node == "AlterTableStmt" and fields.get("skip_validation"):
            rows.constraints[name] = Kept(
                statement.text.decode(), rows, self.path, parent, {each: each for each in rows.columns},
                {each: each for each in parent.columns} if parent is not None else {},
            )  # fmt: skip

    def _chosen(self, rows: Rows, kind: str, columns: tuple[str, ...]) -> str:
        """The name that PostgreSQL gives to a constraint without one."""
        suffix = {"CONSTR_FOREIGN": "fkey", "CONSTR_CHECK": "check", "CONSTR_NOTNULL": "not_null"}.get(kind, "")
        return "_".join((rows.name, *columns, suffix))

    def _parent(self, fields: Tree) -> Rows | None:
        if fields.get("contype") != "CONSTR_FOREIGN":
            return None
        return self.rows(fields.get("pktable", {}))

    def _asks(
        self, statement: pieces.Statement, rows: Rows, fields: Tree, kind: str, columns: tuple[str, ...], says: str,
        kept: Kept | None,
    ) -> None:  # fmt: skip
        alias = identifier(rows.name)
        names = kept.names if kept is not None else {}
        now = tuple(names.get(each, each) for each in columns)
        own = [f"{alias}.{identifier(each)}" for each in now]
        if any(each not in rows.columns for each in now):
            return  # told as a missing column
        if vague := [each for each in now if each in rows.vague]:
            raise Unsaid(rows.vague[vague[0]])
        if kind == "CONSTR_NOTNULL":
            if not rows.columns[now[0]].not_null or kept is not None:
                self.not_null(rows, now[0], says)
            rows.columns[now[0]] = _nullable(rows.columns[now[0]], not_null=True)
        elif kind in ("CONSTR_PRIMARY", "CONSTR_UNIQUE"):
            self._key(rows, fields, kind, now, own, says)
        elif kind == "CONSTR_CHECK":
            first = statement.at(fields.get("location", 0))
            opening = statement.must(("check",), first, statement.words[first].depth) + 1
            text = statement.expression(opening + 1, fields.get("raw_expr", {}), (statement.close(opening),))
            source = self._as_then(rows, names, alias)
            condition = self._kept_fit(text, rows, names)
            self.rows_break(rows, says, "23514", "breaks it", "break it", f"({condition}) IS FALSE",
                            source=source, only=bool(fields.get("is_no_inherit")), errors=not rows.touched)  # fmt: skip
        elif kind == "CONSTR_FOREIGN":
            self._foreign(rows, fields, own, says, kept)
        elif kind == "CONSTR_EXCLUSION":
            self._exclusion(statement, rows, fields, says)

    def _kept_fit(self, text: str, rows: Rows, names: Mapping[str, str]) -> str:
        """An expression that was written when columns had other names."""
        if all(then == now for then, now in names.items()):
            return self.fit(text, rows)
        parsed = pieces.expression(text)
        used = {names.get(each, each) for each in pieces.names(parsed)}
        if vague := sorted(used & rows.vague.keys()):
            raise Unsaid(rows.vague[vague[0]])
        return self.fit(text, None)

    def _as_then(self, rows: Rows, names: Mapping[str, str], alias: str) -> str:
        """The rows under the names that their columns had when a constraint was written; "" where those are the same."""
        if all(then == now for then, now in names.items()):
            return ""
        renamed = [f"t.{identifier(now)} AS {identifier(then)}" for then, now in names.items() if now in rows.columns]
        head = ("t.ctid", "t.tableoid", f"{rows.key_of('t')} AS {KEY}")
        return f"(SELECT {', '.join((*head, *renamed))} FROM {rows.source('t')}) AS {alias}"

    def _key(self, rows: Rows, fields: Tree, kind: str, columns: tuple[str, ...], own: list[str], says: str) -> None:
        if fields.get("without_overlaps"):
            raise Unsaid("WITHOUT OVERLAPS is not looked at")
        index = rows.indexes.get(fields.get("indexname", ""))
        if fields.get("indexname"):
            columns = index.columns if index is not None else ()
            says = f"{says} ({', '.join(columns)})" if columns else says
        if kind == "CONSTR_PRIMARY":
            for column in columns:
                if column in rows.columns and not rows.columns[column].not_null:
                    self.not_null(rows, column, says)
                    rows.columns[column] = _nullable(rows.columns[column], not_null=True)
        if fields.get("indexname"):
            return  # the index is unique already
        self.unique(rows, says, own, nulls_distinct=not fields.get("nulls_not_distinct"), used=columns)
        name = (
            fields.get("conname") or f"{rows.name}_{'pkey' if kind == 'CONSTR_PRIMARY' else '_'.join(columns) + '_key'}"
        )
        rows.indexes[name] = Index(name, columns, kind == "CONSTR_PRIMARY", not fields.get("nulls_not_distinct"))

    def _foreign(self, rows: Rows, fields: Tree, own: list[str], says: str, kept: Kept | None) -> None:
        parent = kept.parent if kept is not None else self._parent(fields)
        if parent is None:
            raise Unsaid("the table that it points to is not known")
        if fields.get("fk_with_period") or fields.get("pk_with_period"):
            raise Unsaid("PERIOD is not looked at")
        then = tree.strings(fields.get("pk_attrs"))
        keys = tuple(kept.parent_names.get(each, each) for each in then) if kept is not None else then
        keys = keys or self._primary(parent)
        if len(keys) != len(own) or any(each not in parent.columns for each in keys):
            raise Unsaid("the key that it points to is not known")
        if vague := [each for each in keys if each in parent.vague]:
            raise Unsaid(parent.vague[vague[0]])
        pairs = " AND ".join(f'"lancio:to".{identifier(key)} = {each}' for key, each in zip(keys, own, strict=True))
        present = " AND ".join(f"{each} IS NOT NULL" for each in own)
        lost = f"NOT EXISTS (SELECT FROM {parent.source(chr(34) + 'lancio:to' + chr(34), only=True)} WHERE {pairs})"
        bad = f"{present} AND {lost}"
        if fields.get("fk_matchtype") == "f" and len(own) > 1:
            some = " OR ".join(f"{each} IS NOT NULL" for each in own)
            bad = f"(({some}) AND NOT ({present}) OR {bad})"
        says = f"{says} → {short(parent)} ({', '.join(keys)})"
        if parent.nothing:
            bad = (
                present
                if fields.get("fk_matchtype") != "f"
                else f"({' OR '.join(f'{each} IS NOT NULL' for each in own)})"
            )
        self.rows_break(rows, says, "23503", "points to none", "point to none", bad, only=True, parent=parent)

    def _primary(self, rows: Rows) -> tuple[str, ...]:
        """The columns of a table's primary key, as they are called by now."""
        return next((index.columns for index in rows.indexes.values() if index.primary), ())

    def _exclusion(self, statement: pieces.Statement, rows: Rows, fields: Tree, says: str) -> None:
        if rows.added:
            raise Unsaid("it looks at rows that earlier statements of the plan insert")
        first = statement.at(fields.get("location", 0))
        depth = statement.words[first].depth
        opening = statement.must(("(",), statement.must(("exclude",), first, depth), depth)
        left: list[tuple[str, str, str]] = []
        used: set[str] = set()
        parts = list(statement.items(opening))
        for (start, end), each in zip(parts, fields.get("exclusions", ()), strict=True):
            element, operator = tree.items(each)
            item = element.get("IndexElem", {})
            names = tree.strings(tree.items(operator))
            sign = names[-1] if len(names) == 1 else f"OPERATOR({'.'.join((*names[:-1], names[-1]))})"
            if "expr" in item:
                text = self._element(statement, start, end, item["expr"])
                used |= pieces.names(item["expr"])
                left.append((self.fit(text, rows), sign, self._range_type(rows, item)))
            else:
                name = item.get("name", "")
                used.add(name)
                if name not in rows.columns:
                    return
                left.append((f"{identifier(rows.name)}.{identifier(name)}", sign, self._range_type(rows, item)))
        if vague := sorted(used & rows.vague.keys()):
            raise Unsaid(rows.vague[vague[0]])
        where = ""
        if "where_clause" in fields:
            start = statement.must(("where",), statement.close(opening), depth) + 1
            where = self.fit(statement.expression(start + 1, fields["where_clause"], (statement.close(start),)), rows)
        self._excludes(rows, says, left, where)

    def _excludes(self, rows: Rows, says: str, left: Sequence[tuple[str, str, str]], where: str) -> None:
        alias = identifier(rows.name)
        columns = ", ".join(f'{text} AS "lancio:{number}"' for number, (text, _, _) in enumerate(left))
        name = self._name(rows, alias)
        inner = (
            f"SELECT {name} AS name, {rows.key_of(alias)} AS key, {alias}.ctid AS at, {alias}.tableoid AS of, {columns} "
            f"FROM {rows.source(alias, only=True)}" + (f" WHERE {where}" if where else "")
        )
        ranges = [number for number, (_, sign, type_) in enumerate(left) if sign == "&&" and type_]
        equal = [number for number, (_, sign, _) in enumerate(left) if sign == "="]
        total = f"(SELECT count(*) FROM {rows.source(alias, only=True)})"
        if len(ranges) == 1 and len(ranges) + len(equal) == len(left):
            # In the order of their lower bounds, a range that overlaps any before it makes two neighbours overlap.
            span = f'a."lancio:{ranges[0]}"'
            apart = ", ".join(f'a."lancio:{number}"' for number in equal)
            window = f"({'PARTITION BY ' + apart + ' ' if apart else ''}ORDER BY {span}, a.at)"
            present = " AND ".join(f'a."lancio:{number}" IS NOT NULL' for number in (*equal, *ranges))
            pairs = (
                f"SELECT a.name, a.key, a.at, {span} && lag({span}) OVER w OR {span} && lead({span}) OVER w AS bad "
                f"FROM ({inner}) AS a WHERE {present} AND NOT isempty({span}) WINDOW w AS {window}"
            )
            found = f"FROM ({pairs}) AS d WHERE bad"
        else:
            tests = " AND ".join(
                f'a."lancio:{number}" {sign} b."lancio:{number}"' for number, (_, sign, _) in enumerate(left)
            )
            found = (
                f"FROM ({inner}) AS a WHERE EXISTS (SELECT FROM ({inner}) AS b "
                f"WHERE {tests} AND (a.of, a.at) <> (b.of, b.at))"
            )
        queries = {
            "find": f"SELECT name {found} LIMIT {SAMPLES + 1}",
            "count": f"SELECT {total}, (SELECT count(*) {found})",
            "sample": f"SELECT name {found} ORDER BY key, at LIMIT {SAMPLES + 1}",
            "hand": f"SELECT name {found}",
        }
        self._question(rows, says, "23P01", "conflicts with another", "conflict with one another", queries,
                       errors=not rows.touched, atleast=bool(ranges))  # fmt: skip

    def _range_type(self, rows: Rows, item: Tree) -> str:
        """The range type of an element, where its text tells it."""
        if "expr" in item:
            name, fields = tree.unwrap(item["expr"])
            called = tree.last(fields.get("funcname")) if name == "FuncCall" else ""
            return called if called in _RANGES else ""
        column = rows.columns.get(item.get("name", ""))
        return column.type if column is not None and column.type in _RANGES else ""

    def _element(self, statement: pieces.Statement, start: int, end: int, node: Tree) -> str:
        """The text of an index element's expression."""
        if statement.words[start].text == "(":
            return statement.expression(start + 1, node, (statement.close(start),))
        return statement.expression(start, node, (end,))

    def _validate(self, rows: Rows, name: str) -> None:
        kept = rows.constraints.get(name)
        if kept is None:
            return
        live = next((each for each in rows.table.constraints if each.name == name), None)
        if live is not None and live.validated and kept.sql.endswith(live.definition):
            return
        statement = pieces.Statement(kept.sql)
        path, self.path = self.path, kept.path
        try:
            for command in statement.tree.get("cmds", ()):
                fields = command.get("AlterTableCmd", {}).get("def", {}).get("Constraint", {})
                chosen = self._chosen(rows, fields.get("contype", ""),
                                      tree.strings(fields.get("keys")) or tree.strings(fields.get("fk_attrs")))  # fmt: skip
                if fields.get("conname", chosen) == name:
                    self._constraint(statement, rows, fields, validate=True, kept=kept)
        finally:
            self.path = path

    def _attach(self, statement: pieces.Statement, rows: Rows, fields: Tree) -> None:
        """ATTACH PARTITION: rows that lie outside of the bounds."""
        child = self.rows(fields.get("name", {}))
        if child is None:
            return
        bound = fields.get("bound", {})
        says = f"ATTACH PARTITION {short(child)} to {short(rows)}"
        try:
            bad = self._outside(statement, rows, child, bound)
            self.rows_break(child, says, "23514", "lies outside of its bounds", "lie outside of its bounds", bad)
        except Unsaid as unsaid:
            self.unsaid(child, says, "23514", str(unsaid))
        rows.blur(self.before)

    def _outside(self, statement: pieces.Statement, rows: Rows, child: Rows, bound: Tree) -> str:
        match = re.fullmatch(r"(RANGE|LIST|HASH) \((.*)\)", rows.table.partition_key)
        columns = [each.strip() for each in match[2].split(",")] if match is not None else []
        types = {identifier(each.name): each for each in rows.columns.values()}
        if bound.get("is_default") or match is None or any(each not in types for each in columns):
            raise Unsaid("its bounds cannot be said")
        alias = identifier(child.name)
        own = [f"{alias}.{each}" for each in columns]
        if any(types[each].name not in child.columns for each in columns):
            raise Unsaid("its columns are not known")
        if match[1] == "HASH":
            numbers = f"{bound.get('modulus', 0)}, {bound.get('remainder', 0)}"
            return f"NOT satisfies_hash_partition({literal(rows.said)}::regclass, {numbers}, {', '.join(own)})"
        first = statement.at(bound.get("location", 0))
        if match[1] == "LIST":
            opening = statement.must(("(",), first, 0)
            values, nulls = [], False
            for (start, end), node in zip(statement.items(opening), bound.get("listdatums", ()), strict=True):
                if node.get("A_Const", {}).get("isnull"):
                    nulls = True
                else:
                    values.append(
                        f"({self.fit(statement.expression(start, node, (end,)), None)})::{types[columns[0]].type}"
                    )
            inside = f"{own[0]} IN ({', '.join(values)})" if values else "false"
            if nulls:
                return f"NOT ({own[0]} IS NULL OR coalesce({inside}, false))"
            return f"({inside}) IS NOT TRUE"
        lower = self._bound(statement, statement.must(("(",), statement.must(("from",), first, 0), 0), columns, types,
                            bound.get("lowerdatums", ()))  # fmt: skip
        upper = self._bound(statement, statement.must(("(",), statement.must(("to",), first, 0), 0), columns, types,
                            bound.get("upperdatums", ()))  # fmt: skip
        inside = f"{_above(own, lower)} AND NOT ({_above(own, upper)})"
        return f"({inside}) IS NOT TRUE"

    def _bound(self, statement: pieces.Statement, opening: int, columns: Sequence[str], types: Mapping[str, Column],
               nodes: Sequence[Tree]) -> list[str]:  # fmt: skip
        """The values of a bound; "-" and "+" for MINVALUE and MAXVALUE."""
        found = []
        for (start, end), node, column in zip(statement.items(opening), nodes, columns, strict=True):
            word = statement.words[start].text
            if word in ("minvalue", "maxvalue"):
                found.append("-" if word == "minvalue" else "+")
            else:
                found.append(f"({self.fit(statement.expression(start, node, (end,)), None)})::{types[column].type}")
        return found

    # Indexes.

    def create_index(self, statement: pieces.Statement) -> None:
        """Walk over CREATE INDEX."""
        fields = statement.tree
        rows = self.rows(fields.get("relation", {}))
        if rows is None:
            return
        name = fields.get("idxname", "")
        if fields.get("if_not_exists") and name and self._is_index(rows, name):
            return
        elements = [each.get("IndexElem", {}) for each in fields.get("indexParams", ())]
        unique = bool(fields.get("unique"))
        if not unique and all("name" in each for each in elements) and "whereClause" not in fields:
            return
        label = f" {name}" if name else ""
        said = ", ".join(each.get("name", "…") for each in elements)
        says = f"{'UNIQUE ' if unique else ''}INDEX{label} on {short(rows)} ({said})"
        try:
            keys, used = self._index_keys(statement, rows, elements)
            where = ""
            if "whereClause" in fields:
                start = statement.must(("where",), 0, 0) + 1
                where = self.fit(statement.expression(start, fields["whereClause"], (len(statement.words),)), rows)
                used |= pieces.names(fields["whereClause"])
        except Unsaid as unsaid:
            self.unsaid(rows, says, "23505" if unique else "22000", str(unsaid))
            return
        if any(each.get("name") is not None and each["name"] not in rows.columns for each in elements):
            return  # told as a missing column
        if unique:
            self.unique(rows, says, keys, where=where, nulls_distinct=not fields.get("nulls_not_distinct"), used=used,
                        errors=not rows.touched)  # fmt: skip
        else:
            inside = f"ROW({', '.join(keys)})"
            value = f"CASE WHEN {where} THEN {inside} END" if where else inside
            if vague := sorted(used & rows.vague.keys()):
                self.unsaid(rows, says, "22000", rows.vague[vague[0]])
            elif any("expr" in each for each in elements):
                self.evaluates(rows, says, value)
        if unique and not where and all("name" in each for each in elements):
            columns = tuple(each["name"] for each in elements)
            rows.indexes[name or says] = Index(name, columns, False, not fields.get("nulls_not_distinct"))

    def _is_index(self, rows: Rows, name: str) -> bool:
        there = self.live.catalog.find(Name("relation", rows.schema, name))
        return name in rows.indexes or there is not None

    def _index_keys(
        self, statement: pieces.Statement, rows: Rows, elements: Sequence[Tree]
    ) -> tuple[list[str], set[str]]:
        """The key's expressions, and the columns that they use."""
        on = statement.must(("on",), 0, 0)
        opening = statement.must(("(",), on, 0)
        keys: list[str] = []
        used: set[str] = set()
        for (start, end), each in zip(statement.items(opening), elements, strict=True):
            if "expr" in each:
                key = f"({self.fit(self._element(statement, start, end, each['expr']), rows)})"
                used |= pieces.names(each["expr"])
            else:
                key = f"{identifier(rows.name)}.{identifier(each.get('name', ''))}"
                used.add(each.get("name", ""))
            if collation := tree.strings(each.get("collation")):
                key += f" COLLATE {'.'.join(identifier(part) for part in collation)}"
            keys.append(key)
        return keys, used

    # What makes, renames and drops.

    def create_table(self, statement: pieces.Statement) -> None:
        """Walk over CREATE TABLE."""
        fields = statement.tree
        relation = fields.get("relation", {})
        if relation.get("relpersistence") == "t":
            return
        called = (relation.get("schemaname") or self.path[0], relation.get("relname", ""))
        if called in self.tables or called in self.others:
            return  # IF NOT EXISTS, or it fails
        columns: dict[str, Column] = {}
        unknown = ""
        for element in fields.get("tableElts", ()):
            definition = element.get("ColumnDef")
            if definition is None:
                if "TableLikeClause" in element:
                    unknown = "its columns come from another table"
                continue
            column, reason = self._column(statement, definition)
            columns[column.name] = column
            unknown = unknown or reason
        if fields.get("inhRelations") or fields.get("ofTypename"):
            unknown = "its columns come from another table"
        rows = Rows(contents.Table(*called, "r", ()), *called, columns, there=False)
        for element in fields.get("tableElts", ()):
            self._named_key(rows, element)
        if unknown:
            rows.vague = dict.fromkeys(columns, unknown)
        if not fields.get("inhRelations"):
            self.tables[called] = rows

    def _named_key(self, rows: Rows, element: Tree) -> None:
        """A primary key that is made with its table."""
        constraint = element.get("Constraint", {})
        if constraint.get("contype") == "CONSTR_PRIMARY":
            rows.indexes[f"{rows.name}_pkey"] = Index("", tree.strings(constraint.get("keys")), primary=True)
        for each in element.get("ColumnDef", {}).get("constraints", ()):
            if each.get("Constraint", {}).get("contype") == "CONSTR_PRIMARY":
                rows.indexes[f"{rows.name}_pkey"] = Index("", (element["ColumnDef"].get("colname", ""),), primary=True)

    def _column(self, statement: pieces.Statement, definition: Tree) -> tuple[Column, str]:
        """A column of a table that is made, and why it cannot be said."""
        name, type_name = definition.get("colname", ""), definition.get("typeName", {})
        constraints = [each.get("Constraint", {}) for each in definition.get("constraints", ())]
        kinds = {each.get("contype") for each in constraints}
        made = tree.is_serial(type_name) or bool(kinds & {"CONSTR_IDENTITY", "CONSTR_GENERATED"})
        not_null = bool(kinds & {"CONSTR_NOTNULL", "CONSTR_PRIMARY", "CONSTR_IDENTITY"}) or tree.is_serial(type_name)
        default = reason = ""
        try:
            type_ = self.fit_type(statement, type_name)
        except Unsaid as unsaid:
            type_, reason = "text", str(unsaid)
        for each in constraints:
            if each.get("contype") == "CONSTR_DEFAULT":
                try:
                    default = self._value(statement, each)
                except Unsaid:
                    default = "?"
        return Column(name, type_, not_null, default, made), reason

    def create_table_as(self, statement: pieces.Statement) -> None:
        """Walk over CREATE TABLE AS and CREATE MATERIALIZED VIEW."""
        relation = statement.tree.get("into", {}).get("rel", {})
        called = (relation.get("schemaname") or self.path[0], relation.get("relname", ""))
        if called in self.tables or called in self.others or relation.get("relpersistence") == "t":
            return
        if statement.tree.get("objtype") == "OBJECT_MATVIEW":
            self.others.add(called)
            return
        rows = Rows(contents.Table(*called, "r", ()), *called, {}, there=False)
        rows.blur(f"its rows come from a query, {self.place}")
        self.tables[called] = rows
        self.effects([op for op in self.ops if op.verb in ("call", "opaque")])

    def create_view(self, statement: pieces.Statement) -> None:
        """Walk over CREATE VIEW."""
        view = statement.tree.get("view", {})
        if view.get("relpersistence") != "t":
            self.others.add((view.get("schemaname") or self.path[0], view.get("relname", "")))

    def rename(self, statement: pieces.Statement) -> None:
        """Walk over ALTER … RENAME."""
        fields = statement.tree
        kind, new = fields.get("renameType", ""), fields.get("newname", "")
        if kind == "OBJECT_SCHEMA":
            for called in [each for each in self.tables if each[0] == fields.get("subname")]:
                self._move(self.tables[called], new, called[1])
            return
        rows = self.rows(fields.get("relation", {}))
        if kind == "OBJECT_TABLE" and rows is not None:
            self._move(rows, rows.schema, new)
        elif kind == "OBJECT_COLUMN" and rows is not None:
            self._rename_column(rows, fields.get("subname", ""), new)
        elif kind == "OBJECT_TABCONSTRAINT" and rows is not None:
            for held in (rows.constraints, rows.indexes):
                _rename(held, fields.get("subname", ""), new)
        elif kind == "OBJECT_INDEX":
            for each in self.tables.values():
                _rename(each.indexes, fields.get("relation", {}).get("relname", ""), new)

    def _move(self, rows: Rows, schema: str, name: str) -> None:
        """A table is called otherwise from here on; its rows are there under their present name."""
        self.tables.pop((rows.schema, rows.name), None)
        if rows.there and not rows.query:
            rows.query = rows.rows()
        rows.schema, rows.name = schema, name
        self.tables[schema, name] = rows

    def _rename_column(self, rows: Rows, old: str, new: str) -> None:
        if rows.nothing and old in rows.columns:
            rows.columns = {(new if name == old else name): column for name, column in rows.columns.items()}
            return
        try:
            rows.rename_column(old, new)
        except Unsaid:
            rows.blur(self.before)
        for table in self.tables.values():
            for kept in table.constraints.values():
                for owner, names in ((kept.owner, kept.names), (kept.parent, kept.parent_names)):
                    if owner is rows:
                        names.update({then: new for then, now in names.items() if now == old})
        for each in self.cascades:
            if each.parent is rows:
                each.keys = tuple(new if name == old else name for name in each.keys)
            if each.child is rows:
                each.columns = tuple(new if name == old else name for name in each.columns)

    def set_schema(self, statement: pieces.Statement) -> None:
        """Walk over ALTER … SET SCHEMA."""
        fields = statement.tree
        rows = self.rows(fields.get("relation", {}))
        if fields.get("objectType") == "OBJECT_TABLE" and rows is not None:
            self._move(rows, fields.get("newschema", ""), rows.name)

    def drop(self, statement: pieces.Statement) -> None:
        """Walk over DROP."""
        fields = statement.tree
        kind = fields.get("removeType", "")
        for each in fields.get("objects", ()):
            parts = tree.strings(tree.items(each)) or ((tree.text_of(each),) if "String" in each else ())
            schema, name = tree.qualified(parts)
            if kind in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW"):
                called = self.called(schema, name)
                if called is not None:
                    self.tables.pop(called, None)
                    self.others.discard(called)
            elif kind == "OBJECT_SCHEMA":
                self.tables = {called: rows for called, rows in self.tables.items() if called[0] != name}
            elif kind == "OBJECT_INDEX":
                for rows in self.tables.values():
                    rows.indexes.pop(name, None)
            elif kind == "OBJECT_TRIGGER" and len(parts) > 1:
                called = self.called(parts[-3] if len(parts) > 2 else None, parts[-2])
                if called is not None and called in self.tables:
                    self.tables[called].triggers.pop(name, None)

    def create_trigger(self, statement: pieces.Statement) -> None:
        """Walk over CREATE TRIGGER."""
        fields = statement.tree
        rows = self.rows(fields.get("relation", {}))
        if rows is None:
            return
        schema, name = tree.qualified(tree.strings(fields.get("funcname")))
        bits = (1 if fields.get("row") else 0) | fields.get("timing", 0) | fields.get("events", 0)
        for each in (schema,) if schema else self.path:
            if each is not None and ((each, name) in self.routines or self.live.catalog.overloads(each, name)):
                rows.triggers[fields.get("trigname", "")] = contents.Trigger("", bits, (each, name))
                return
        rows.triggers[fields.get("trigname", "")] = contents.Trigger("", bits, ("pg_catalog", name))

    def create_rule(self, statement: pieces.Statement) -> None:
        """Walk over CREATE RULE."""
        rows = self.rows(statement.tree.get("relation", {}))
        if rows is not None:
            rows.triggers[f"rule {statement.tree.get('rulename', '')}"] = contents.Trigger("", 28, ("", ""))

    def create_routine(self, statement: pieces.Statement) -> None:
        """Walk over CREATE FUNCTION."""
        for op in self.ops:
            if op.verb == "make" and op.ref.kind == "routine":
                called = (op.ref.schema or self.path[0], op.ref.name)
                self.routines[called] = (statement.text.decode(), op, self.place)

    def create_enum(self, statement: pieces.Statement) -> None:
        """Walk over CREATE TYPE … AS ENUM."""
        schema, name = tree.qualified(tree.strings(statement.tree.get("typeName")))
        labels = tree.strings(statement.tree.get("vals"))
        self.types[schema or self.path[0], name] = _Type("text", labels, reason=self.made(f"type {name}"))

    def alter_enum(self, statement: pieces.Statement) -> None:
        """Walk over ALTER TYPE … ADD VALUE and its like."""
        fields = statement.tree
        schema, name = tree.qualified(tree.strings(fields.get("typeName")))
        own = self.type_of({"names": fields.get("typeName", ())})
        if own is not None and own[1].labels and not fields.get("oldVal"):
            labels = (*own[1].labels, fields.get("newVal", ""))
            self.types[own[0]] = _Type("text", labels, reason=own[1].reason)
            return
        for each in (schema,) if schema else self.path:
            if each is not None and self.live.catalog.find(Name("type", each, name)) is not None:
                self.types[each, name] = _Type(reason=f"it needs type {name}, which {self.place} changes")
                return

    def create_domain(self, statement: pieces.Statement) -> None:
        """Walk over CREATE DOMAIN."""
        fields = statement.tree
        schema, name = tree.qualified(tree.strings(fields.get("domainname")))
        reason = self.made(f"domain {name}")
        checks: list[str] = []
        not_null = False
        try:
            base = self.fit_type(statement, fields.get("typeName", {}))
            for each in fields.get("constraints", ()):
                constraint = each.get("Constraint", {})
                if constraint.get("contype") == "CONSTR_CHECK":
                    first = statement.at(constraint.get("location", 0))
                    opening = statement.must(("check",), first, statement.words[first].depth) + 1
                    end = statement.close(opening)
                    checks.append(self.fit(statement.expression(opening + 1, constraint["raw_expr"], (end,)), None))
                not_null = not_null or constraint.get("contype") == "CONSTR_NOTNULL"
            check = " AND ".join(f"({each})" for each in checks)
            self.types[schema or self.path[0], name] = _Type(base, (), check, not_null, reason)
        except Unsaid:
            self.types[schema or self.path[0], name] = _Type(reason=reason)

    def create_composite(self, statement: pieces.Statement) -> None:
        """Walk over CREATE TYPE."""
        relation = statement.tree.get("typevar", {})
        name = relation.get("relname", "")
        self.types[relation.get("schemaname") or self.path[0], name] = _Type(reason=self.made(f"type {name}"))

    def create_range(self, statement: pieces.Statement) -> None:
        """Walk over CREATE TYPE … AS RANGE."""
        schema, name = tree.qualified(tree.strings(statement.tree.get("typeName")))
        self.types[schema or self.path[0], name] = _Type(reason=self.made(f"type {name}"))

    def alter_domain(self, statement: pieces.Statement) -> None:
        """Walk over ALTER DOMAIN."""
        fields = statement.tree
        subtype = fields.get("subtype", "")
        schema, name = tree.qualified(tree.strings(fields.get("typeName")))
        constraint = fields.get("def", {}).get("Constraint", {})
        if subtype not in ("O", "C", "V") or (subtype == "C" and constraint.get("skip_validation")):
            return
        check = ""
        says = f"ALTER DOMAIN {name}"
        reason = ""
        try:
            if constraint.get("contype") == "CONSTR_CHECK":
                first = statement.at(constraint.get("location", 0))
                opening = statement.must(("check",), first, statement.words[first].depth) + 1
                end = statement.close(opening)
                check = self.fit(statement.expression(opening + 1, constraint["raw_expr"], (end,)), None)
            elif subtype == "V":
                check = self._domain_check(schema, name, fields.get("name", ""))
        except Unsaid as unsaid:
            reason = str(unsaid)
        for rows in list(self.tables.values()):
            for column in rows.columns.values():
                if column.domain is None or column.domain[1] != name or (schema and column.domain[0] != schema):
                    continue
                own = f"{identifier(rows.name)}.{identifier(column.name)}"
                words = f"{says}: {short(rows)}.{column.name}"
                if reason or column.name in rows.vague:
                    self.unsaid(rows, words, "23514", reason or rows.vague[column.name])
                elif check:
                    self.rows_break(rows, words, "23514", "breaks it", "break it",
                                    f"({_with_value(check, own)}) IS FALSE", errors=not rows.touched)  # fmt: skip
                else:
                    self.not_null(rows, column.name, words)

    def _domain_check(self, schema: str | None, name: str, constraint: str) -> str:
        for called, each in self.facts.domains:
            if called[1] == name and each.name == constraint and (not schema or called[0] == schema):
                definition = each.definition.encode()
                statement = pieces.Statement(f"ALTER DOMAIN d ADD CONSTRAINT c {definition.decode()}")
                opening = statement.must(("check",), 0, 0) + 1
                node = statement.tree["def"]["Constraint"]["raw_expr"]
                return statement.expression(opening + 1, node, (statement.close(opening),))
        raise Unsaid("the constraint is not known")

    # Rows.

    def insert(self, statement: pieces.Statement) -> None:
        """Walk over INSERT."""
        fields = statement.tree
        rows = self.rows(fields.get("relation", {}))
        if rows is None or rows.unknown:
            self.effects(self.ops)
            return
        self.effects([op for op in self.ops if op.verb in ("call", "opaque")])
        try:
            if fields.get("onConflictClause", {}).get("action") == "ONCONFLICT_UPDATE":
                rows.blur(self.before)
            elif fields.get("onConflictClause") or rows.table.ruled or "withClause" in fields:
                raise Unsaid(self.before)
            else:
                self._insert(statement, rows, fields)
        except Unsaid:
            rows.more = rows.more or self.before
        self.along(rows, _INSERT | (_UPDATE if fields.get("onConflictClause") else 0))

    def _insert(self, statement: pieces.Statement, rows: Rows, fields: Tree) -> None:
        given = tuple(each.get("ResTarget", {}).get("name", "") for each in fields.get("cols", ()))
        if any(each.get("ResTarget", {}).get("indirection") for each in fields.get("cols", ())):
            raise Unsaid("it sets a part of a column")
        select = fields.get("selectStmt", {}).get("SelectStmt")
        if select is None:
            raise Unsaid("it inserts defaults only")
        lists = select.get("valuesLists")
        width = len(tree.items(lists[0])) if lists else len(select.get("targetList", ()))
        values = [target.get("ResTarget", {}).get("val", {}) for target in select.get("targetList", ())]
        starred = any("A_Star" in part for value in values for part in value.get("ColumnRef", {}).get("fields", ()))
        if starred or select.get("op") != "SETOP_NONE":
            raise Unsaid("its columns are not counted")
        given = given or tuple(rows.columns)[:width]
        if len(given) != width or any(name not in rows.columns for name in given):
            raise Unsaid("its columns are not known")
        start = statement.must(("values", "select"), 0, 0)
        end = statement.find(("returning",), start, 0) or len(statement.words)
        query = self.fit_query(statement.query(start, end, select))
        defaults = {}
        for name, column in rows.columns.items():
            if name in given:
                continue
            defaults[name] = f"NULL::{column.type}"
            if column.made or column.default:
                try:
                    if column.made or column.default == "?":
                        raise Unsaid(self.before)
                    defaults[name] = self.fit(column.default, None)
                except Unsaid:
                    rows.vague[name] = self.before
        rows.insert(query, given, defaults)

    def update(self, statement: pieces.Statement) -> None:
        """Walk over UPDATE."""
        fields = statement.tree
        relation = fields.get("relation", {})
        rows = self.rows(relation)
        if rows is None:
            self.effects(self.ops)
            return
        self.effects([op for op in self.ops if op.verb in ("call", "opaque")])
        targets = [each.get("ResTarget", {}) for each in fields.get("targetList", ())]
        if not rows.nothing and not rows.unknown:
            try:
                self._update(statement, rows, fields, targets)
            except Unsaid:
                if _moves(fields) or rows.table.ruled:
                    rows.blur(self.before)
                for target in targets:
                    rows.vague[target.get("name", "")] = self.before
        self.along(rows, _UPDATE, [target.get("name", "") for target in targets])

    def _update(self, statement: pieces.Statement, rows: Rows, fields: Tree, targets: Sequence[Tree]) -> None:
        if not fields["relation"].get("inh") or rows.table.ruled:
            raise Unsaid("it updates by ONLY")
        alias = identifier(fields["relation"].get("alias", {}).get("aliasname") or rows.name)
        start = statement.at(fields["relation"].get("location", 0))
        set_ = statement.must(("set",), start, 0)
        end = statement.find(("returning",), set_, 0) or len(statement.words)
        where_at = statement.find(("where",), set_, 0) if "whereClause" in fields else None
        from_at = statement.find(("from",), set_, 0, behind="distinct") if "fromClause" in fields else None
        prefix = self._with(statement, fields)
        values: dict[str, str] = {}
        vague: dict[str, str] = {}
        for target in targets:
            name = target.get("name", "")
            if target.get("indirection") or name not in rows.columns:
                raise Unsaid("it sets a part of a column")
            try:
                if rows.columns[name].made:
                    raise Unsaid(self.before)
                if "SetToDefault" in target.get("val", {}):
                    values[name] = self._default_value(rows, name)
                    continue
                first = statement.must(("=",), statement.at(target.get("location", 0)), 0) + 1
                ends = [each for each in (where_at, from_at, end) if each is not None]
                values[name] = self.fit(statement.expression(first, target["val"], ends), rows)
            except Unsaid as unsaid:
                vague[name] = self.before if "which" not in str(unsaid) else str(unsaid)
        where = ""
        if where_at is not None:
            where = self.fit(statement.expression(where_at + 1, fields["whereClause"], (end,)), rows)
        if from_at is not None:
            sources = self._joined(statement, from_at + 1, where_at or end, fields["fromClause"])
            rows.update_from(alias, values, sources, where, prefix)
        elif values:
            rows.update(alias, values, where, prefix)
        for name in values:
            rows.vague.pop(name, None) if not where and from_at is None else None
        rows.vague |= vague

    def _default_value(self, rows: Rows, name: str) -> str:
        column = rows.columns[name]
        if column.default == "?":
            raise Unsaid(self.before)
        return self.fit(column.default, None) if column.default else "NULL"

    def _joined(self, statement: pieces.Statement, start: int, end: int, nodes: list[Tree]) -> str:
        """A FROM list as one join: a list with commas may not stand inside of another join."""
        text = statement.sources(start, end, nodes)
        found = pieces.words(text.encode())
        if any(word.depth == 0 and word.text in ("right", "full", "natural") for word in found):
            raise Unsaid("its FROM list has an outer join")
        raw = text.encode()
        for word in reversed(found):
            if word.depth == 0 and word.text == ",":
                raw = raw[: word.start] + b" CROSS JOIN " + raw[word.end :]
        return self.fit_sources(raw.decode())

    def _with(self, statement: pieces.Statement, fields: Tree) -> str:
        """The WITH clause of a statement, if it has one."""
        if "withClause" not in fields:
            return ""
        end = statement.must(("update", "delete"), 0, 0)
        text = statement.slice(0, end)
        whole = pieces.rewritten(text, b"", b" SELECT", lambda each, node: self.edits(each, node, None))
        return f"{whole} "

    def delete(self, statement: pieces.Statement) -> None:
        """Walk over DELETE."""
        fields = statement.tree
        rows = self.rows(fields.get("relation", {}))
        if rows is None:
            self.effects(self.ops)
            return
        self.effects([op for op in self.ops if op.verb in ("call", "opaque")])
        if not rows.nothing and not rows.unknown:
            try:
                self._delete(statement, rows, fields)
            except Unsaid:
                rows.blur(self.before)
        self.along(rows, _DELETE)

    def _delete(self, statement: pieces.Statement, rows: Rows, fields: Tree) -> None:
        if not fields["relation"].get("inh") or rows.table.ruled:
            raise Unsaid("it deletes by ONLY")
        alias = identifier(fields["relation"].get("alias", {}).get("aliasname") or rows.name)
        start = statement.at(fields["relation"].get("location", 0))
        end = statement.find(("returning",), start, 0) or len(statement.words)
        where_at = statement.find(("where",), start, 0) if "whereClause" in fields else None
        prefix = self._with(statement, fields)
        where = ""
        if where_at is not None:
            if rows.added and "ctid" in pieces.names(fields["whereClause"]):
                raise Unsaid("it goes by the place of rows that are not there yet")
            where = self.fit(statement.expression(where_at + 1, fields["whereClause"], (end,)), rows)
        if "usingClause" in fields:
            using = statement.must(("using",), start, 0)
            sources = statement.sources(using + 1, where_at or end, fields["usingClause"])
            rows.delete_using(alias, self.fit_sources(sources), where, prefix)
        else:
            rows.delete(alias, where, prefix)

    def truncate(self, statement: pieces.Statement) -> None:
        """Walk over TRUNCATE."""
        for each in statement.tree.get("relations", ()):
            rows = self.rows(each.get("RangeVar", {}))
            if rows is None:
                continue
            if not rows.nothing:
                rows.empty()
            if statement.tree.get("behavior") == "DROP_CASCADE":
                self.blur_all()
            for trigger in rows.triggers.values():
                if trigger.bits & 32:
                    self._fires(rows, trigger)


HANDLERS: Mapping[str, Callable[[_Walk, pieces.Statement], None]] = {
    "AlterTableStmt": _Walk.alter_table,
    "IndexStmt": _Walk.create_index,
    "CreateStmt": _Walk.create_table,
    "CreateTableAsStmt": _Walk.create_table_as,
    "ViewStmt": _Walk.create_view,
    "RenameStmt": _Walk.rename,
    "AlterObjectSchemaStmt": _Walk.set_schema,
    "DropStmt": _Walk.drop,
    "CreateTrigStmt": _Walk.create_trigger,
    "RuleStmt": _Walk.create_rule,
    "CreateFunctionStmt": _Walk.create_routine,
    "CreateEnumStmt": _Walk.create_enum,
    "AlterEnumStmt": _Walk.alter_enum,
    "CreateDomainStmt": _Walk.create_domain,
    "CompositeTypeStmt": _Walk.create_composite,
    "CreateRangeStmt": _Walk.create_range,
    "AlterDomainStmt": _Walk.alter_domain,
    "InsertStmt": _Walk.insert,
    "UpdateStmt": _Walk.update,
    "DeleteStmt": _Walk.delete,
    "TruncateStmt": _Walk.truncate,
}

_DEEPEST = 8
"""So deep are calls of routines followed."""

_PASSES = {"AT_DropColumn": 0, "AT_DropConstraint": 0, "AT_AlterColumnType": 1, "AT_AddColumn": 2}
"""The order in which PostgreSQL runs the commands of one ALTER TABLE (AlterTablePass in tablecmds.c)."""

_CONSTRAINTS = {
    "CONSTR_PRIMARY": ("PRIMARY KEY", "23505"), "CONSTR_UNIQUE": ("UNIQUE", "23505"),
    "CONSTR_FOREIGN": ("FOREIGN KEY", "23503"), "CONSTR_CHECK": ("CHECK", "23514"),
    "CONSTR_EXCLUSION": ("EXCLUDE", "23P01"), "CONSTR_NOTNULL": ("NOT NULL", "23502"),
}  # fmt: skip

_RANGES = frozenset(("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"))

_LENGTH = re.compile(r"(?i)(?:varchar|character varying|char|character|bpchar)\s*\(\s*(\d+)\s*\)|char|character")
_WHOLE_ROW = re.compile(
    r"(?i)\bnew\s*:?=|\binto\s+(?:strict\s+)?new\b|\breturn\s+(?:null|old)\b|\breturn\s+(?!new\b|query\b)\w"
)
_ASSIGNED = re.compile(r'(?i)\bnew\s*\.\s*("[^"]+"|\w+)\s*(?::=|=(?!=))')
_INTEGERS = {"smallint": 1, "int2": 1, "integer": 2, "int": 2, "int4": 2, "bigint": 3, "int8": 3}


def _widens(old: str, new: str) -> bool:
    """Whether every value of one type is one of the other, with the same text or number."""
    before, after = old.lower().strip(), new.lower().strip()
    if after in ("text", "varchar", "character varying"):
        return not before.startswith(("character(", "char", "bpchar")) or before.startswith("character varying")
    if after in _INTEGERS:
        return before in _INTEGERS and _INTEGERS[before] <= _INTEGERS[after]
    if after in ("numeric", "decimal"):
        return before in _INTEGERS or before.startswith("numeric")
    sizes = [re.fullmatch(r"(?:varchar|character varying)\s*\(\s*(\d+)\s*\)", each) for each in (before, after)]
    return bool(sizes[0] and sizes[1] and int(sizes[0][1]) <= int(sizes[1][1]))


def _nullable(column: Column, *, not_null: bool) -> Column:
    return Column(column.name, column.type, not_null, column.default, column.made, column.domain)


def _rename(held: dict[str, Any], old: str, new: str) -> None:
    if old in held:
        held[new] = held.pop(old)


def _moves(fields: Tree) -> bool:
    """Whether an UPDATE writes rows inside of its WITH."""
    return any(name in ("InsertStmt", "DeleteStmt", "UpdateStmt", "MergeStmt") for name, _ in
               tree.walk(fields.get("withClause", {})))  # fmt: skip


def _nodes(node: object) -> Iterator[tuple[str, Tree]]:
    """Every node of a tree, types of casts among them, which have no name of their own in it."""
    if isinstance(node, dict):
        for name, value in node.items():
            if isinstance(value, dict) and (name[:1].isupper() or name == "typeName"):
                yield ("TypeName" if name == "typeName" else name), value
            yield from _nodes(value)
    elif isinstance(node, list):
        for each in node:
            yield from _nodes(each)


def _last_two(text: bytes, start: int) -> int:
    """Where the last two parts of a dotted name begin."""
    starts: list[int] = []
    dot = True
    for word in pieces.words(text[start:]):
        if dot and word.kind in ("word", "quoted"):
            starts.append(start + word.start)
        elif word.text != ".":
            break
        dot = not dot
    return starts[-2]


def _above(own: Sequence[str], bound: Sequence[str]) -> str:
    """Whether a row's key is not below a bound of several columns."""
    if not own:
        return "true"
    if bound[0] == "-":
        return f"{own[0]} IS NOT NULL"
    if bound[0] == "+":
        return f"({own[0]} IS NOT NULL AND false)"
    if len(own) == 1:
        return f"{own[0]} >= {bound[0]}"
    return f"({own[0]} > {bound[0]} OR {own[0]} = {bound[0]} AND {_above(own[1:], bound[1:])})"


def _with_value(check: str, value: str) -> str:
    """A domain's check over an expression instead of VALUE."""

    def edits(_: bytes, node: Tree) -> Iterator[Edit]:
        for name, fields in _nodes(node):
            if name == "ColumnRef" and tree.strings(fields.get("fields")) == ("value",):
                yield Edit(fields["location"], fields["location"] + len("value"), f"({value})")

    return pieces.rewritten_expression(check, edits)


def short(rows: Rows) -> str:
    """A table as people say it."""
    return rows.name if rows.schema == "public" else f"{rows.schema}.{rows.name}"
