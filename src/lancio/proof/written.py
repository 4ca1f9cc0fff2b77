"""Which rows, of tables that were there before, did a file write, and can that be taken back?

Catalogs are compared by what they hold; rows are not in them. So the reading says what the file writes, and
PostgreSQL's own locks say on which tables it did: ROW EXCLUSIVE is what INSERT, UPDATE and DELETE take, through
triggers, routines and dynamic SQL too.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lancio.planner import rows
from lancio.proof.inverse import Key
from lancio.reading import queries, tree
from lancio.syntax import parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lancio.planner.model import FileFacts
    from lancio.proof.inverse import Survey
    from lancio.reading.model import FileOps, Op, Ref, RowFact, Span


@dataclass(frozen=True, slots=True)
class Row:
    """Rows that a file made, named by constants: the table, what `WHERE` finds them, and the line that makes them."""

    table: Key
    where: str
    line: int


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Rows that were written and cannot be taken back.

    Where `if_empty` is set, a table that has no row now has nothing left of it; where the table itself goes with the
    same rollback, none of it matters.
    """

    table: Key | None
    says: str
    if_empty: bool = False
    name: str = ""
    """The table's name behind the file."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a file did to rows: what DELETE takes back, and what nothing does."""

    made: tuple[Row, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()


@dataclass
class _Table:
    key: Key
    name: str
    events: dict[str, int] = field(default_factory=dict)  # and the line of each
    named: list[tuple[RowFact, int, bool]] = field(default_factory=list)  # the row, its line, was it surely made
    unnamed: int = 0  # the line of rows that no constants name
    harmless: bool = False


def written(
    facts: FileFacts,
    ops: FileOps,
    before: Survey,
    after: Survey,
    locked: Iterable[int],
    find: Callable[[Ref], int | None],
) -> Written:
    """What the file did to the rows of tables that were there before and still are.

    `locked` are the OIDs of tables on which it held ROW EXCLUSIVE; `find` gives a table's OID for a name in the file.
    """
    tables: dict[int, _Table] = {}

    def table(oid: int | None) -> _Table | None:
        key = Key("pg_class", oid or 0)
        if key not in before.things or key not in after.things:
            return None
        return tables.setdefault(key.objid, _Table(key, after.things[key].name))

    obstacles: list[Obstacle] = []
    # INSERTs whose rows were not there before, or they would have failed; by their statement and place.
    sure: set[tuple[int, Span]] = set()
    told: Counter[tuple[int, Span]] = Counter()
    for op in ops.ops:
        if op.when != "now":
            continue
        if op.verb == "opaque":
            obstacles.append(
                Obstacle(
                    None,
                    f"line {op.span.line} cannot be seen through ({op.detail.reason}), so what it did to rows is "
                    "unknown",
                )
            )
        elif op.verb == "write" and op.detail.facet == "rows" and (found := table(find(op.ref))):
            _event(found, op, ops, before)
            if op.detail.each_row:
                sure.add((op.statement, op.span))
        elif op.verb == "rows" and op.detail.row is not None and (found := table(find(op.detail.row.table))):
            if op.detail.row.values:
                # In a block or a routine a condition may have passed it over, or a handler taken its failure.
                new = (op.statement, op.span) in sure and not op.via
                found.named.append((op.detail.row, op.span.line, new))
                told[op.statement, op.span] += 1
                if told[op.statement, op.span] >= queries.ROWS_READ:
                    found.unnamed = op.span.line  # there may be more
            else:
                found.unnamed = op.span.line
    for lock in facts.locks:
        if lock.mode == "ROW EXCLUSIVE":
            key = next(
                (
                    key
                    for key, each in after.things.items()
                    if each.kind == "relation" and each.name == rows.qualified(lock.relation)
                ),
                None,
            )
            if key is not None and (found := table(key.objid)) and not found.events:
                found.events["somehow"] = lock.line
    for oid in locked:
        if (found := table(oid)) and not found.events and not _explained(found, tables, after):
            found.events["somehow"] = 0
    obstacles += _worked_out(ops)
    made: list[Row] = []
    for each in sorted(tables.values(), key=lambda each: each.name):
        rows_, refused = _judged(each, _keys(before, each.key), _without_equality(before, each.key))
        made += rows_
        obstacles += refused
    return Written(tuple(made), tuple(dict.fromkeys(obstacles)))


def _worked_out(ops: FileOps) -> Iterator[Obstacle]:
    """Columns whose type is changed by an expression that is more than a cast: the values were made anew."""
    for statement in ops.statements:
        parsed = parser.parse_one(statement.sql.encode())
        if parsed is None or parsed.node != "AlterTableStmt":
            continue
        for _, command in map(tree.unwrap, parsed.tree.get("cmds", ())):
            using = tree.unwrap(command.get("def"))[1].get("raw_default")
            if command.get("subtype") != "AT_AlterColumnType" or using is None:
                continue
            node, fields = tree.unwrap(using)
            while node == "TypeCast":
                node, fields = tree.unwrap(fields.get("arg"))
            if node != "ColumnRef" or tree.strings(fields.get("fields"))[-1:] != (command.get("name"),):
                says = f"it works out the values of column {command.get('name')} anew (line {statement.span.line})"
                yield Obstacle(None, f"{says}, and what they were is in no file")


def _event(found: _Table, op: Op, ops: FileOps, before: Survey) -> None:
    for event in op.detail.events:
        if event == "update" and _sets_only_new(op, ops, found, before):
            found.harmless = True
            continue
        found.events.setdefault(event, op.span.line)


def _sets_only_new(op: Op, ops: FileOps, found: _Table, before: Survey) -> bool:
    """Whether an UPDATE sets nothing but columns that the file itself adds: they go, and the values with them."""
    statement = parser.parse_one(ops.statements[op.statement].sql.encode())
    if statement is None or statement.node != "UpdateStmt" or "withClause" in statement.tree:
        return False
    old = {
        thing.name for thing in before.things.values() if thing.kind == "column" and thing.above == found.key
    }  # quoted, as SQL has them
    names = {
        fields.get("name", "")
        for kind, fields in map(tree.unwrap, statement.tree.get("targetList", ()))
        if kind == "ResTarget"
    }
    return bool(names) and not {rows.identifier(name) for name in names} & {
        rows.identifier(each.strip('"')) for each in old
    }


def _explained(found: _Table, tables: dict[int, _Table], after: Survey) -> bool:
    """Whether it is a partition of a table that is known to be written."""
    parents = after.things[found.key].facts.get("parents") or ()
    return found.harmless or any(each.name in parents and (each.events or each.named) for each in tables.values())


def _keys(of: Survey, table: Key) -> list[frozenset[str]]:
    """The columns of a table that name one row, key by key, quoted as SQL has them."""
    numbers = {
        thing.key.sub: thing.name for thing in of.things.values() if thing.kind == "column" and thing.above == table
    }
    found = []
    for thing in of.things.values():
        if thing.above != table:
            continue
        if thing.kind == "constraint" and thing.facts["type"] in ("p", "u"):
            found.append(frozenset(numbers.get(each, "") for each in thing.facts["columns"]))
        elif thing.kind == "index" and (plain := _UNIQUE.fullmatch(thing.facts["definition"])):
            found.append(frozenset(each.strip() for each in plain[1].split(",")))
    return found


_UNIQUE = re.compile(r'CREATE UNIQUE INDEX [^(]* USING btree \(((?:\w+|"[^"(),]+")(?:, (?:\w+|"[^"(),]+"))*)\)')


def _without_equality(of: Survey, table: Key) -> frozenset[str]:
    """The columns of a table whose values `=` does not compare, or only their size."""
    columns = (thing for thing in of.things.values() if thing.kind == "column" and thing.above == table)
    return frozenset(each.name for each in columns if str(each.facts["type"]).removesuffix("[]") in _NO_EQUALITY)


_NO_EQUALITY = frozenset(("json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"))


def _judged(found: _Table, keys: list[frozenset[str]], unequal: frozenset[str]) -> tuple[list[Row], list[Obstacle]]:
    name = found.name
    if found.events.keys() & {"delete", "truncate"}:
        line = min(found.events[each] for each in found.events.keys() & {"delete", "truncate"})
        return [], [Obstacle(found.key, f"it deletes rows of {name} (line {line}), which are in no file")]
    if "update" in found.events:
        line = found.events["update"]
        return [], [
            Obstacle(
                found.key,
                f"it updates rows of {name} (line {line}), whose earlier values are in no file",
                if_empty=True,
                name=name,
            )
        ]
    if found.unnamed or ("insert" in found.events and not found.named):
        line = found.unnamed or found.events["insert"]
        return [], [
            Obstacle(
                found.key,
                f"it inserts rows into {name} (line {line}) that cannot be told from later ones",
                if_empty=True,
                name=name,
            )
        ]
    if found.named:
        seen = dict.fromkeys((_where(row, keys if new else [], unequal), line) for row, line, new in found.named)
        return [Row(found.key, where, line) for where, line in seen], []
    if "somehow" in found.events:
        line = found.events["somehow"]
        place = f" (line {line})" if line else ""
        return [], [
            Obstacle(
                found.key,
                f"it writes rows of {name} through a routine or a trigger{place}, which cannot be told from later ones",
                if_empty=True,
                name=name,
            )
        ]
    return [], []


def _where(row: RowFact, keys: list[frozenset[str]], unequal: frozenset[str]) -> str:
    """What finds the row: its key, where the constants hold one, since other columns may have changed; else all.

    A row that ON CONFLICT or a condition may have left alone is looked for by all of them: it may be another's.
    """
    named = {rows.identifier(column): rows.literal(value).strip() for column, value in row.values}
    values = {column: value for column, value in named.items() if column not in unequal} or named
    key = min(
        (key for key in keys if key and key <= values.keys()), key=lambda each: (len(each), sorted(each)), default=None
    )
    return " AND ".join(f"{column} = {value}" for column, value in values.items() if key is None or column in key)
