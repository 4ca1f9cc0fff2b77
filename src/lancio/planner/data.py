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
from lancio.planner import contents, pieces
from lancio.planner.aftermath import DELETE, INSERT, UPDATE
from lancio.planner.contents import Column, Index, Rows
from lancio.planner.demands import Demands
from lancio.planner.foreseen import Type
from lancio.planner.model import Place
from lancio.planner.pieces import Unsaid
from lancio.planner.rows import identifier
from lancio.reading import tree
from lancio.syntax import parser, plpgsql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lancio.catalog.model import Live
    from lancio.planner.contents import Facts
    from lancio.planner.model import FileFacts
    from lancio.planner.questions import Question
    from lancio.reading.model import Op
    from lancio.syntax.parser import Tree


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a database is to be asked about, before the questions can be written."""

    relations: tuple[str, ...]
    domains: tuple[str, ...]


_ASKING = re.compile(r"(?i)\b(?:alter\s+table|alter\s+domain|create\s+(?:unique\s+)?index)\b")


def wanted(pending: Sequence[FileFacts]) -> Wanted | None:
    """The relations and domains, by their bare names, that the statements of a plan speak of.

    None where no statement asks anything of rows: then there is nothing to be looked at.
    """
    statements = (each for facts in pending for each in facts.statements)
    if not any(_ASKING.search(each.summary) or _ASKING.search(each.sql) for each in statements):
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


_TRUNCATE = 32

MOST_INSERTED = 200_000
"""Bytes of an INSERT's text that are taken into a query."""


class _Walk(Demands):
    """The statements of a plan in their order, and what they leave of the rows."""

    def __init__(self, live: Live, facts: Facts, interesting: frozenset[str]) -> None:
        super().__init__(live, facts)
        self.interesting = interesting

    # Files and statements.

    def file(self, facts: FileFacts) -> None:
        """Walk over one file."""
        self.path = self.live.catalog.path
        by_statement: dict[int, list[Op]] = {}
        for op in facts.ops.ops if facts.ops is not None else ():
            by_statement.setdefault(op.statement, []).append(op)
        # Of a file that is finished, fewer statements are sent than were read.
        read = facts.ops.statements if facts.ops is not None else facts.statements
        numbers = {each.span.start: number for number, each in enumerate(read)}
        for each in facts.statements:
            number = numbers[each.span.start]
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

    # What makes, renames and drops.

    def create_table(self, statement: pieces.Statement) -> None:
        """Walk over CREATE TABLE."""
        fields = statement.tree
        relation = fields.get("relation", {})
        if relation.get("relpersistence") == "t":
            self.temporary.add(relation.get("relname", ""))
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
            self._named_key(statement, rows, element)
        if unknown:
            rows.vague = dict.fromkeys(columns, unknown)
        if not fields.get("inhRelations"):
            self.tables[called] = rows

    def _named_key(self, statement: pieces.Statement, rows: Rows, element: Tree) -> None:
        """A primary key that is made with its table, and what its foreign keys do."""
        constraint = element.get("Constraint", {})
        column = element.get("ColumnDef", {}).get("colname", "")
        for each in (
            constraint,
            *(each.get("Constraint", {}) for each in element.get("ColumnDef", {}).get("constraints", ())),
        ):
            if each.get("contype") == "CONSTR_FOREIGN":
                self.keep(statement, rows, each, each.get("conname", ""), (column,))
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
                    default = self.value(statement, each)
                except Unsaid:
                    default = "?"
        return Column(name, type_, not_null, default, made, computed="CONSTR_GENERATED" in kinds), reason

    def create_table_as(self, statement: pieces.Statement) -> None:
        """Walk over CREATE TABLE AS and CREATE MATERIALIZED VIEW."""
        relation = statement.tree.get("into", {}).get("rel", {})
        called = (relation.get("schemaname") or self.path[0], relation.get("relname", ""))
        if relation.get("relpersistence") == "t":
            self.temporary.add(called[1])
            return
        if called in self.tables or called in self.others:
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

    def refresh(self, statement: pieces.Statement) -> None:
        """Walk over REFRESH MATERIALIZED VIEW."""
        rows = self.rows(statement.tree.get("relation", {}))
        if rows is not None:
            rows.blur(self.before)

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

    def do(self, statement: pieces.Statement) -> None:
        """Walk over DO: what it asks of the rows as it stands, what it does to them by its operations alone.

        Of what stands under a condition or before a handler nobody knows whether it is reached or kept: rows that are
        found there are a warning.
        """
        words = {each.get("DefElem", {}).get("defname"): each["DefElem"].get("arg", {}) for each in
                 statement.tree.get("args", ())}  # fmt: skip
        language = tree.text_of(words.get("language", {})) or "plpgsql"
        try:
            block = plpgsql.parse(tree.text_of(words.get("as", {})).encode()) if language == "plpgsql" else None
        except plpgsql.BodyError:
            block = None
        self.effects(self.ops, asked=block is not None)
        for text, surely in _embedded(block, surely=True) if block is not None else ():
            try:
                inner = pieces.Statement(text)
            except (ValueError, parser.ParseError):
                continue
            if inner.node == "IndexStmt" or (inner.node == "AlterTableStmt" and _only_asks(inner.tree)):
                rows = self.rows(inner.tree.get("relation", {}))
                if rows is None:
                    continue
                columns, indexes = dict(rows.columns), dict(rows.indexes)
                self.doubt = "" if surely else "it stands under a condition"
                HANDLERS[inner.node](self, inner)
                if not surely:  # nobody can build on it
                    rows.columns, rows.indexes = columns, indexes
                self.doubt = ""

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
        self.types[schema or self.path[0], name] = Type("text", labels, reason=self.made(f"type {name}"))

    def alter_enum(self, statement: pieces.Statement) -> None:
        """Walk over ALTER TYPE … ADD VALUE and its like."""
        fields = statement.tree
        schema, name = tree.qualified(tree.strings(fields.get("typeName")))
        own = self.type_of({"names": fields.get("typeName", ())})
        if own is not None and own[1].labels and not fields.get("oldVal"):
            labels = (*own[1].labels, fields.get("newVal", ""))
            self.types[own[0]] = Type("text", labels, reason=own[1].reason)
            return
        for each in (schema,) if schema else self.path:
            if each is not None and self.live.catalog.find(Name("type", each, name)) is not None:
                self.types[each, name] = Type(reason=f"it needs type {name}, which {self.place} changes")
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
            self.types[schema or self.path[0], name] = Type(base, (), check, not_null, reason)
        except Unsaid:
            self.types[schema or self.path[0], name] = Type(reason=reason)

    def create_composite(self, statement: pieces.Statement) -> None:
        """Walk over CREATE TYPE."""
        relation = statement.tree.get("typevar", {})
        name = relation.get("relname", "")
        self.types[relation.get("schemaname") or self.path[0], name] = Type(reason=self.made(f"type {name}"))

    def create_range(self, statement: pieces.Statement) -> None:
        """Walk over CREATE TYPE … AS RANGE."""
        schema, name = tree.qualified(tree.strings(statement.tree.get("typeName")))
        self.types[schema or self.path[0], name] = Type(reason=self.made(f"type {name}"))

    # Rows.

    def insert(self, statement: pieces.Statement) -> None:
        """Walk over INSERT."""
        fields = statement.tree
        rows = self.rows(fields.get("relation", {}))
        if rows is None or rows.unknown or _moves(fields):
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
        self.along(rows, INSERT | (UPDATE if fields.get("onConflictClause") else 0))

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
        if rows is None or _moves(fields):
            self.effects(self.ops)
            return
        self.effects([op for op in self.ops if op.verb in ("call", "opaque")])
        targets = [each.get("ResTarget", {}) for each in fields.get("targetList", ())]
        if not rows.nothing and not rows.unknown:
            try:
                self._update(statement, rows, fields, targets)
            except Unsaid:
                if rows.table.ruled:
                    rows.blur(self.before)
                for target in targets:
                    rows.vague[target.get("name", "")] = self.before
        for column in rows.columns.values():
            if column.computed:
                rows.vague[column.name] = self.before
        self.along(rows, UPDATE, [target.get("name", "") for target in targets])

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
        others = self.vague_in(fields.get("fromClause", ()))
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
                values[name] = self.fit(statement.expression(first, target["val"], ends), rows, others)
            except Unsaid as unsaid:
                vague[name] = self.before if "which" not in str(unsaid) else str(unsaid)
        where = ""
        if where_at is not None:
            where = self.fit(statement.expression(where_at + 1, fields["whereClause"], (end,)), rows, others)
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
        self.along(rows, DELETE)

    def _delete(self, statement: pieces.Statement, rows: Rows, fields: Tree) -> None:
        if not fields["relation"].get("inh") or rows.table.ruled:
            raise Unsaid("it deletes by ONLY")
        alias = identifier(fields["relation"].get("alias", {}).get("aliasname") or rows.name)
        start = statement.at(fields["relation"].get("location", 0))
        end = statement.find(("returning",), start, 0) or len(statement.words)
        where_at = statement.find(("where",), start, 0) if "whereClause" in fields else None
        prefix = self._with(statement, fields)
        others = self.vague_in(fields.get("usingClause", ()))
        where = ""
        if where_at is not None:
            if rows.added and "ctid" in pieces.names(fields["whereClause"]):
                raise Unsaid("it goes by the place of rows that are not there yet")
            where = self.fit(statement.expression(where_at + 1, fields["whereClause"], (end,)), rows, others)
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
            self._empty(rows, cascade=statement.tree.get("behavior") == "DROP_CASCADE", seen=set())

    def _empty(self, rows: Rows, *, cascade: bool, seen: set[int]) -> None:
        seen.add(id(rows))
        if not rows.nothing:
            rows.empty()
        for called in rows.table.relatives if rows.there else ():
            if (other := self.tables.get(called)) is not None and id(other) not in seen:
                other.blur(self.before)
        for trigger in rows.triggers.values():
            if trigger.bits & _TRUNCATE:
                self.fires(rows, trigger)
        for each in self.cascades if cascade else ():
            if each.parent is rows and id(each.child) not in seen:
                self._empty(each.child, cascade=True, seen=seen)


HANDLERS: Mapping[str, Callable[[_Walk, pieces.Statement], None]] = {
    "AlterTableStmt": _Walk.alter_table,
    "IndexStmt": _Walk.create_index,
    "CreateStmt": _Walk.create_table,
    "CreateTableAsStmt": _Walk.create_table_as,
    "ViewStmt": _Walk.create_view,
    "RenameStmt": _Walk.rename,
    "AlterObjectSchemaStmt": _Walk.set_schema,
    "DropStmt": _Walk.drop,
    "DoStmt": _Walk.do,
    "RefreshMatViewStmt": _Walk.refresh,
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


def _rename(held: dict[str, Any], old: str, new: str) -> None:
    if old in held:
        held[new] = held.pop(old)


def _embedded(node: plpgsql.Node, *, surely: bool) -> Iterator[tuple[str, bool]]:
    """The SQL statements of a block, and whether each is certainly run, and what it raises certainly raised."""
    if node.kind == "sql" and node.value is not None:
        yield node.value.text.decode(errors="replace"), surely
        return
    inside = surely and node.kind == "block" and not node.handlers
    for each in node.body:
        yield from _embedded(each, surely=inside)
    for _, body in (*node.arms, *node.handlers):
        for each in body:
            yield from _embedded(each, surely=False)
    for each in node.otherwise or ():
        yield from _embedded(each, surely=False)


_ASKS = frozenset(("AT_SetNotNull", "AT_AddConstraint", "AT_ValidateConstraint"))


def _only_asks(fields: Tree) -> bool:
    """Whether an ALTER TABLE leaves the rows, and what they are called, as they are."""
    return all(each.get("AlterTableCmd", {}).get("subtype") in _ASKS for each in fields.get("cmds", ()))


def _moves(fields: Tree) -> bool:
    """Whether an UPDATE writes rows inside of its WITH."""
    return any(name in ("InsertStmt", "DeleteStmt", "UpdateStmt", "MergeStmt") for name, _ in
               tree.walk(fields.get("withClause", {})))  # fmt: skip
