"""How is an expression of a statement asked now, when other statements come before it?

Names mean what they will mean then: tables under the names and with the rows that they will have, types that are not
there yet by what they will stand for. What cannot be said so is `Unsaid`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from lancio.errors import LancioError
from lancio.planner import contents, pieces
from lancio.planner.contents import Cascade, Kept, Rows
from lancio.planner.model import Place
from lancio.planner.pieces import Edit, Unsaid
from lancio.planner.rows import identifier
from lancio.reading import operations, tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lancio.catalog.model import Live
    from lancio.planner.contents import Called, Facts
    from lancio.reading.model import Op, Ref
    from lancio.syntax.parser import Tree


@dataclass(frozen=True, slots=True)
class Type:
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


_CATALOGS = frozenset(("pg_catalog", "information_schema"))
_SYSTEM = re.compile(r"pg_\w+$")


class Foreseen:
    """Tables, types and routines as they stand at one place of the plan, and expressions over them."""

    def __init__(self, live: Live, facts: Facts) -> None:
        self.live = live
        self.facts = facts
        self.tables = {(each.schema, each.name): contents.of(each) for each in facts.tables}
        self.others = set(facts.others)
        self.temporary: set[str] = set()
        self.types: dict[Called, Type] = {}
        self.routines: dict[Called, tuple[str, Op, Place]] = {}
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
        if not schema and name in self.temporary:
            return None
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

    def type_of(self, type_name: Tree) -> tuple[Called, Type] | None:
        """The type of the plan's own that is named."""
        schema, name = tree.qualified(tree.strings(type_name.get("names")))
        for called, each in self.types.items():
            if called[1] == name and (called[0] == schema if schema else called[0] in self.path):
                return called, each
        return None

    @property
    def before(self) -> str:
        """Why rows are not known behind the statement that is walked over now."""
        return f"rows change before, by {self.place}"

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
            if fields.get("schemaname") in _CATALOGS or (
                not fields.get("schemaname") and _SYSTEM.match(fields["relname"])
            ):
                raise Unsaid("it reads the catalog")
            return None, False
        last, end = pieces.name_end(whole, fields["location"])
        rows = self.tables.get(called)
        if rows is None:
            if any(each.touched or each.unknown or each.more or each.vague for each in self.tables.values()):
                raise Unsaid(f"it reads {'.'.join(called)}, and tables change before")
            return Edit(fields["location"], end, f"{identifier(called[0])}.{identifier(called[1])}"), False
        if rows.unknown or rows.more:
            raise Unsaid(rows.unknown or rows.more)
        if rows.guesses:
            raise Unsaid("it reads a table that is filled from others before")
        if vague := sorted(used & rows.vague.keys()):
            raise Unsaid(rows.vague[vague[0]])
        if not rows.touched:
            return Edit(fields["location"], end, rows.said), bool(rows.vague)
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
                _, ops = self.routine(each, bare)
                if any(op.ref.kind == "relation" and op.ref.name in touched for op in ops):
                    raise Unsaid(f"it calls {bare}(), which reads tables that change before")

    def routine(self, schema: str, name: str) -> tuple[str | None, Sequence[Op]]:
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

    def fit(self, text: str, own: Rows | None, vague: Mapping[str, str] = MappingProxyType({})) -> str:
        """An expression, so that it can be asked now over the rows of a table.

        `vague` are columns of other tables whose values are not known, and why.
        """
        if vague and (known := sorted(vague.keys() & pieces.names(pieces.expression(text)))):
            raise Unsaid(vague[known[0]])
        return pieces.rewritten_expression(text, lambda whole, node: self.edits(whole, node, own))

    def fit_sources(self, text: str) -> str:
        """A FROM list, likewise."""
        return pieces.rewritten(text, b"SELECT FROM ", b"\n", lambda whole, node: self.edits(whole, node, None))

    def vague_in(self, nodes: Sequence[Tree]) -> dict[str, str]:
        """The columns of the tables in a FROM list whose values are not known, and why."""
        found: dict[str, str] = {}
        for name, fields in _nodes(list(nodes)):
            if name == "RangeVar" and (rows := self.rows(fields)) is not None:
                found |= rows.vague
        return found

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


def with_value(check: str, value: str) -> str:
    """A domain's check over an expression instead of VALUE."""

    def edits(_: bytes, node: Tree) -> Iterator[Edit]:
        for name, fields in _nodes(node):
            if name == "ColumnRef" and tree.strings(fields.get("fields")) == ("value",):
                yield Edit(fields["location"], fields["location"] + len("value"), f"({value})")

    return pieces.rewritten_expression(check, edits)
