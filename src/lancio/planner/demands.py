"""What do ALTER TABLE, CREATE INDEX and ALTER DOMAIN ask of the rows?"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lancio.catalog.model import Name
from lancio.planner import pieces
from lancio.planner.aftermath import Aftermath
from lancio.planner.contents import KEY, Cascade, Column, Index, Kept, Rows
from lancio.planner.foreseen import Type, with_value
from lancio.planner.pieces import Unsaid
from lancio.planner.questions import SAMPLES, short
from lancio.planner.rows import identifier, literal
from lancio.reading import tree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lancio.catalog.model import Live
    from lancio.planner.contents import Facts
    from lancio.syntax.parser import Tree


class Demands(Aftermath):
    """Asks for each of them."""

    def __init__(self, live: Live, facts: Facts) -> None:
        super().__init__(live, facts)
        self.retyped: set[str] = set()  # columns of which this statement has changed the type
        self.fresh: dict[str, str] = {}  # columns that this statement adds, and whether it leaves them NULL

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
        added: list[Tree] = []
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
                added.append(definition)
            elif subtype == "AT_SetExpression" and name in rows.columns:
                rows.vague[name] = self.before
            else:
                later.append(command)
        for definition in added:
            for each in definition.get("constraints", ()):
                self._constraint(statement, rows, each.get("Constraint", {}), definition.get("colname", ""))
        for command in later:
            self._ask(statement, rows, command)
        self.fresh.clear()
        self.retyped.clear()

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
        rows.columns[name] = replace(column, default=text)

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
                default = self.value(statement, each)
                fitted = self.fit(default, rows)
                value = f"({fitted})::{type_}"
            except Unsaid as unsaid:
                called = tree.unwrap(each.get("raw_expr"))
                if tree.last(called[1].get("funcname")) == "nextval":
                    value = f"(row_number() OVER ())::{type_}"
                else:
                    vague = vague or str(unsaid)
        if (made and "CONSTR_GENERATED" not in kinds) or _never_null(constraints):
            self.fresh[name] = "set"
        elif value == f"NULL::{type_}" and not vague:
            self.fresh[name] = "null"
        known = self.type_of(type_name)
        strict = known[1] if known is not None and (known[1].check or known[1].not_null) else None
        try:
            rows.add_column(Column(name, type_, False, default, made, computed="CONSTR_GENERATED" in kinds), value)
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

    def value(self, statement: pieces.Statement, constraint: Tree) -> str:
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
            if self.type_of(type_name) is None:
                says = f"ALTER COLUMN {short(rows)}.{name} TYPE {type_}"
            using = definition.get("raw_default")
            value = own
            if using is not None:
                if self.retyped & pieces.names(using):
                    raise Unsaid("its USING means a column as it was before the statement")
                start = statement.must(("using",), statement.at(type_name.get("location", 0)), 0) + 1
                value = f"({self.fit(statement.expression(start, using), rows)})"
        except Unsaid as unsaid:
            self.unsaid(rows, says, "22000", str(unsaid))
            if not rows.nothing:
                rows.vague[name] = str(unsaid)
            return
        self.retyped.add(name)
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

    def _of_type(self, rows: Rows, says: str, value: str, type_: Type) -> None:
        """Whether values fit a type that the plan itself makes."""
        if type_.labels:
            labels = ", ".join(literal(label) for label in type_.labels)
            self.rows_break(rows, says, "22P02", "is none of its values", "are none of its values",
                            f"({value})::text NOT IN ({labels})", errors=not rows.touched)  # fmt: skip
        if type_.not_null:
            self.rows_break(rows, says, "23502", "is NULL", "are NULL", f"({value}) IS NULL")
        if type_.check:
            checked = with_value(type_.check, value)
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
            self.keep(statement, rows, fields, named or self._chosen(rows, kind, columns), columns)
            if fields.get("skip_validation"):
                return
        if self._settled(fields, columns):
            return
        try:
            self._asks(statement, rows, fields, kind, columns, says, kept)
        except Unsaid as unsaid:
            self.unsaid(rows, says, _CONSTRAINTS[kind][1], str(unsaid))

    def _settled(self, fields: Tree, columns: tuple[str, ...]) -> bool:
        """Whether a constraint holds by what the same statement puts into its new columns, whatever the rows are."""
        values = {self.fresh.get(column, "") for column in columns}
        if fields.get("contype") == "CONSTR_NOTNULL":
            return values == {"set"}
        return fields.get("contype") == "CONSTR_FOREIGN" and "null" in values and fields.get("fk_matchtype") != "f"

    def keep(self, statement: pieces.Statement, rows: Rows, fields: Tree, name: str, columns: tuple[str, ...]) -> None:
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
        """The rows under the names that columns had when a constraint was written; "" where those are the same."""
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
        if fields.get("nulls_not_distinct") or "null" not in {self.fresh.get(column) for column in columns}:
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
                text = self.element(statement, start, end, item["expr"])
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
        name = self.name(rows, alias)
        inner = (
            f"SELECT {name} AS name, {rows.key_of(alias)} AS key, {alias}.ctid AS at, {alias}.tableoid AS of, "
            f"{columns} "
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
        elif len(equal) == len(left):
            apart = ", ".join(f'a."lancio:{number}"' for number in equal)
            present = " AND ".join(f'a."lancio:{number}" IS NOT NULL' for number in equal)
            window = f"SELECT a.name, a.key, a.at, count(*) OVER (PARTITION BY {apart}) AS n FROM ({inner}) AS a"
            found = f"FROM ({window} WHERE {present}) AS d WHERE n > 1"
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
        self.question(rows, says, "23P01", "conflicts with another", "conflict with one another", queries,
                       errors=not rows.touched, atleast=bool(ranges))  # fmt: skip

    def _range_type(self, rows: Rows, item: Tree) -> str:
        """The range type of an element, where its text tells it."""
        if "expr" in item:
            name, fields = tree.unwrap(item["expr"])
            called = tree.last(fields.get("funcname")) if name == "FuncCall" else ""
            return called if called in _RANGES else ""
        column = rows.columns.get(item.get("name", ""))
        return column.type if column is not None and column.type in _RANGES else ""

    def element(self, statement: pieces.Statement, start: int, end: int, node: Tree) -> str:
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
                columns = tree.strings(fields.get("keys")) or tree.strings(fields.get("fk_attrs"))
                chosen = self._chosen(rows, fields.get("contype", ""), columns)
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
                key = f"({self.fit(self.element(statement, start, end, each['expr']), rows)})"
                used |= pieces.names(each["expr"])
            else:
                key = f"{identifier(rows.name)}.{identifier(each.get('name', ''))}"
                used.add(each.get("name", ""))
            if collation := tree.strings(each.get("collation")):
                key += f" COLLATE {'.'.join(identifier(part) for part in collation)}"
            keys.append(key)
        return keys, used

    # Domains.

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
                                    f"({with_value(check, own)}) IS FALSE", errors=not rows.touched)  # fmt: skip
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


_PASSES = {"AT_DropColumn": 0, "AT_DropConstraint": 0, "AT_AlterColumnType": 1, "AT_AddColumn": 2}
"""The order in which PostgreSQL runs the commands of one ALTER TABLE (AlterTablePass in tablecmds.c)."""

_CONSTRAINTS = {
    "CONSTR_PRIMARY": ("PRIMARY KEY", "23505"), "CONSTR_UNIQUE": ("UNIQUE", "23505"),
    "CONSTR_FOREIGN": ("FOREIGN KEY", "23503"), "CONSTR_CHECK": ("CHECK", "23514"),
    "CONSTR_EXCLUSION": ("EXCLUDE", "23P01"), "CONSTR_NOTNULL": ("NOT NULL", "23502"),
}  # fmt: skip

_RANGES = frozenset(("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"))

_LENGTH = re.compile(r"(?i)(?:varchar|character varying|char|character|bpchar)\s*\(\s*(\d+)\s*\)|char|character")
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


def _never_null(constraints: Sequence[Tree]) -> bool:
    """Whether a default gives a value for certain, whatever the row."""
    default = next((each for each in constraints if each.get("contype") == "CONSTR_DEFAULT"), {})
    name, fields = tree.unwrap(default.get("raw_expr"))
    while name == "TypeCast":
        name, fields = tree.unwrap(fields.get("arg"))
    if name == "FuncCall":
        return tree.last(fields.get("funcname")) in _VALUED
    return name == "SQLValueFunction" or (name == "A_Const" and not fields.get("isnull"))


_VALUED = frozenset(("now", "clock_timestamp", "transaction_timestamp", "statement_timestamp", "gen_random_uuid",
                     "uuid_generate_v4", "random", "nextval"))  # fmt: skip


def _nullable(column: Column, *, not_null: bool) -> Column:
    return replace(column, not_null=not_null)


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
