"""In which order can files run whose names give none?

What each file makes and needs is compared by name, before anything is bound: a file is ready when none of the files
that still wait makes something it needs. Among those that are ready the one with the fewest soft wishes goes first,
and of equals the one with the smaller name, so two machines give the same order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from lancio.planner.bind import CALL_DEPTH, PARTS
from lancio.planner.rows import contradicts
from lancio.reading.model import ANY_SCHEMA, Ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lancio.reading.model import FileOps, Op, RowFact

MAX_VARIADIC = 20
"""How many arguments a variadic routine is looked up with."""


class Key(NamedTuple):
    """An object by its bare names: the kind, the table it belongs to, the name."""

    kind: str
    of: str
    name: str


@dataclass(slots=True)
class Outline:
    """What one file makes, needs and takes away, by name; values are the schemas as written ("" for none)."""

    makes: dict[Key, set[str]] = field(default_factory=dict)
    needs: dict[Key, set[str]] = field(default_factory=dict)
    asks: dict[Key, set[str]] = field(default_factory=dict)
    drops: dict[Key, set[str]] = field(default_factory=dict)
    rows: list[tuple[str, RowFact]] = field(default_factory=list)
    need_rows: list[tuple[str, RowFact]] = field(default_factory=list)
    sets: set[tuple[str, str]] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)  # tables that its foreign keys point to
    taken: set[Key] = field(default_factory=set)  # names that it gives by RENAME, which must be free
    plainly: set[Key] = field(default_factory=set)  # of `makes`, what fails where it is there already


def key(ref: Ref) -> tuple[Key, str]:
    """An object's bare names, and the schema that was written."""
    found, schema = _key(ref)
    return found, "" if schema == ANY_SCHEMA else schema


def _key(ref: Ref) -> tuple[Key, str]:
    kind = "relation" if ref.kind == "type" else ref.kind
    if kind == "routine":
        count = len(ref.args) if ref.args is not None else ref.arity
        return Key(kind, "" if count is None else str(count), ref.name), ref.schema or ""
    if ref.kind in PARTS and ref.of:
        return Key(kind, ref.of[0].name, ref.name), ref.of[0].schema or ref.schema or ""
    return Key(kind, "", ref.name), ref.schema or ""


def made_keys(op: Op) -> list[Key]:
    """All the keys under which an object that is made may be asked for.

    A routine answers to each number of arguments that it accepts, a unique constraint to its columns.
    """
    found, detail = [key(op.ref)[0]], op.detail
    if detail.contype == "enum":
        found += [Key("label", op.ref.name, label.name) for label in detail.columns]
    if op.ref.kind == "routine":
        count = len(op.ref.args or ())
        least = count - detail.defaults - (1 if detail.variadic else 0)
        most = count + MAX_VARIADIC if detail.variadic else count
        found = [Key("routine", str(each), op.ref.name) for each in range(max(least, 0), most + 1)]
        found.append(Key("routine", "", op.ref.name))
    elif detail.contype in ("primary key", "unique") and op.ref.of:
        found.append(Key("unique", op.ref.of[0].name, ",".join(sorted(detail.columns_of))))
        if detail.contype == "primary key":
            found.append(Key("unique", op.ref.of[0].name, ""))
    elif detail.label == "index" and detail.unique and detail.like:
        found.append(Key("unique", detail.like[0].name, ",".join(sorted(detail.keys or detail.columns_of))))
    return found


def _put(into: dict[Key, set[str]], ref: Ref) -> None:
    found, schema = key(ref)
    into.setdefault(found, set()).add(schema)


class Arrangement:
    """The outlines of all files, and which of them wait."""

    def __init__(self, files: Iterable[FileOps]) -> None:
        self.files = list(files)
        self.bodies: dict[str, dict[int, list[Op]]] = {}  # by routine and by the file that makes it
        self.triggers: dict[str, list[tuple[str, int]]] = {}  # by table: their routines, and the files that make them
        self.tables: dict[str, set[int]] = {}  # and views: the files that make them
        self.targets: dict[Key, str] = {}  # foreign keys, and the tables they point to
        self.column_types: dict[tuple[str, str], list[Ref]] = {}  # by table and column
        self.stands: dict[Key, set[Key]] = {}  # views, columns, constraints, indexes: what their expressions name
        for index, ops in enumerate(self.files):
            read: dict[int, set[Key]] = {}
            for op in ops.ops:
                self._note(op, read.setdefault(op.statement, set()))
                if op.verb == "make" and op.ref.kind == "routine":
                    self.bodies.setdefault(op.ref.name, {}).setdefault(index, []).extend(op.detail.body)
                elif op.verb == "make" and op.ref.kind == "trigger" and op.detail.routine:
                    self.triggers.setdefault(op.ref.of[0].name, []).append((op.detail.routine.name, index))
                elif op.verb == "make" and op.ref.kind == "relation":
                    self.tables.setdefault(op.ref.name, set()).add(index)
        self.outlines = [self._outline(index, ops) for index, ops in enumerate(self.files)]
        self.after: dict[int, set[int]] = {}  # declared
        self._before: list[set[int]] = []
        self._rather: list[set[int]] = []

    def _note(self, op: Op, read: set[Key]) -> None:
        """What is known of types and views before any file is outlined; `read` is what the statement has read."""
        if op.verb == "read" and op.ref.kind in ("relation", "column"):
            read.add(key(op.ref)[0])
        if op.detail.holder is not None:
            self.stands.setdefault(key(op.detail.holder)[0], set()).add(key(op.ref)[0])
        if op.verb == "make" and op.ref.kind in ("relation", "column"):
            table = op.ref.of[0].name if op.ref.of else op.ref.name
            for column in op.detail.columns:
                if column.type is not None and column.type.schema != "pg_catalog":
                    self.column_types.setdefault((table, column.name), []).append(column.type)
            if op.detail.label in ("view", "materialized view"):
                self.stands.setdefault(key(op.ref)[0], set()).update(read)

    def _outline(self, index: int, ops: FileOps) -> Outline:
        outline = Outline()
        for op in ops.ops:
            self._take(index, outline, op, 0, set())
        return outline

    def _take(self, index: int, outline: Outline, op: Op, depth: int, called: set[str], *, known: bool = True) -> None:
        if not known:
            op = op._replace(soft=True)
        verb, ref = op.verb, op.ref
        for guard in op.guards:
            if guard.ref is not None and guard.truth == "exists":
                _put(outline.asks, guard.ref)
        if verb == "make":
            if ref.kind in PARTS and ref.of:
                self._need(outline, ref.of[0], soft=op.soft)
            if ref.kind == "column":  # who takes all columns over should come later
                outline.makes.setdefault(Key("columns", "", ref.of[0].name), set()).add(ref.of[0].schema or "")
            for each in made_keys(op):
                outline.makes.setdefault(each, set()).add(key(ref)[1])
            if op.detail.references is not None:
                target, columns = op.detail.references
                for table, names in ((op.ref.of[0].name, op.detail.columns_of), (target.name, columns)):
                    for name in names:
                        outline.asks.setdefault(Key("type of", table, name), set()).add("")
                unique = Key("unique", target.name, ",".join(sorted(columns)))
                outline.foreign.add(target.name)
                self.targets[key(op.ref)[0]] = target.name
                if unique not in outline.makes:
                    outline.needs.setdefault(unique, set()).add(target.schema or "")
            unless_there = any(guard.truth == "missing" for guard in op.guards)
            if not (op.detail.replace or op.detail.if_not_exists or unless_there):
                outline.plainly.add(key(ref)[0])
        elif verb == "rows" and op.detail.row is not None:
            outline.rows.append((ref.name, op.detail.row))
        elif ref.kind == "column" and ref.name == "*":
            outline.asks.setdefault(Key("columns", "", ref.of[0].name), set()).add(ref.of[0].schema or "")
        elif ref.kind == "label" and ref.of[0].kind == "column":
            for relation in ref.of[0].of:
                for type_ in self.column_types.get((relation.name, ref.of[0].name), ()):
                    self._need(outline, Ref("label", ref.name, of=(type_,)), soft=op.soft)
        elif ref.kind == "unique":
            unique = Key("unique", ref.of[0].name, ",".join(sorted(ref.name.split(", "))))
            if unique not in outline.makes:
                wanted = outline.asks if op.soft else outline.needs
                wanted.setdefault(unique, set()).add(ref.of[0].schema or "")
        elif ref.kind == "row" and op.detail.row is not None:
            outline.need_rows.append((ref.name, op.detail.row))
        elif ref.kind == "set":
            outline.sets.add((ref.name, ref.schema or ""))
        elif verb == "drop" and op.detail.if_exists:
            _put(outline.drops, ref)
            _put(outline.asks, ref)
        elif verb == "write" and op.detail.facet in ("null", "default") and ref.of:
            outline.makes.setdefault(Key("fillable", "", ref.of[0].name), set()).add(ref.of[0].schema or "")
            self._need(outline, ref, soft=op.soft)
        elif verb == "write" and op.detail.each_row:  # rows that rather come when columns need not be filled
            outline.asks.setdefault(Key("fillable", "", ref.name), set()).add(ref.schema or "")
            self._need(outline, ref, soft=op.soft)
        elif verb == "write" and op.detail.facet == "type":
            outline.makes.setdefault(Key("type of", ref.of[0].name if ref.of else "", ref.name), set()).add("")
            self._need(outline, ref, soft=op.soft)
        elif verb in ("read", "call", "alter", "write", "drop", "rename", "move") and ref.kind != "setting":
            asked = {key(guard.ref)[0] for guard in op.guards if guard.ref is not None and guard.truth == "exists"}
            soft = op.soft or key(ref)[0] in asked or any(key(relation)[0] in asked for relation in ref.of)
            for relation in ref.of if ref.kind == "column" else ():
                self._need(outline, relation, soft=soft)
            if ref.kind != "column" or len(ref.of) == 1:
                self._need(outline, ref, soft=soft)
            if verb in ("drop", "rename", "move"):
                _put(outline.drops, ref)
                if verb == "rename":
                    outline.taken.add(key(ref._replace(name=op.detail.to))[0])
                    _put(outline.makes, ref.__class__(ref.kind, op.detail.to, ref.schema, of=ref.of))
                elif verb == "move":
                    _put(outline.makes, ref.__class__(ref.kind, ref.name, op.detail.to))
        if depth < CALL_DEPTH:
            self._follow(index, outline, op, depth, called, known=known)

    def _need(self, outline: Outline, ref: Ref, *, soft: bool) -> None:
        found, schema = key(ref)
        if found not in outline.makes:  # what it has made itself before is no need
            (outline.asks if soft else outline.needs).setdefault(found, set()).add(schema)

    def _follow(self, index: int, outline: Outline, op: Op, depth: int, called: set[str], *, known: bool) -> None:
        """What is called now, by name or by a trigger, needs what its body needs.

        Where several files write the routine, its own file's body is meant; else nobody knows which one is there by
        then, and what they need is a wish. So it is where another file put the trigger on a third one's table: it may
        as well come later.
        """
        names: list[tuple[str, bool]] = []
        if op.verb == "call" and (op.when == "now" or depth):
            names = [(op.ref.name, True)]
        elif op.verb == "write" and op.detail.facet == "rows" and (op.when == "now" or depth):
            there = {index} | self.tables.get(op.ref.name, set())
            names = [(routine, maker in there) for routine, maker in self.triggers.get(op.ref.name, ())]
        for name, surely in names:
            if name not in called:
                called.add(name)
                bodies = self.bodies.get(name, {})
                meant = {index: bodies[index]} if index in bodies else bodies
                for body in meant.values():
                    for each in body:
                        self._take(index, outline, each, depth + 1, called, known=known and surely and len(meant) == 1)

    def order(self, waiting: list[int], name: Callable[[int], str], bind: Callable[[int], object]) -> list[list[int]]:
        """Call `bind` for each file in an order that can run; what comes back are the loops that had to be broken."""
        if not self._before:
            self._index()
        loops: list[list[int]] = []
        queue = _Queue(self._before, self._rather, waiting, name)
        while queue.remaining:
            chosen = queue.first()
            if chosen is None:
                loops.append(self._loop(queue.remaining))
                chosen = min(loops[-1], key=queue.rank)
            bind(chosen)
            queue.remove(chosen)
        return loops

    def _index(self) -> None:
        """For each file, once: the files that make what it needs, and those that should rather go before it."""
        makers: dict[Key, list[tuple[int, set[str]]]] = {}
        users: dict[Key, list[int]] = {}
        tables: list[tuple[int, set[str]]] = []
        for index, outline in enumerate(self.outlines):
            for each, schemas in outline.makes.items():
                makers.setdefault(each, []).append((index, schemas))
                if each.kind == "relation":
                    tables.append((index, schemas))
            for each in outline.needs:
                if each not in outline.makes:
                    users.setdefault(each, []).append(index)
        row_makers: dict[str, list[tuple[int, RowFact]]] = {}
        for index, outline in enumerate(self.outlines):
            for table, fact in outline.rows:
                row_makers.setdefault(table, []).append((index, fact))

        def makers_of(wanted: dict[Key, set[str]], index: int) -> list[set[int]]:
            found = [
                {maker for maker, theirs in makers.get(each, ()) if maker != index and _same(schemas, theirs)}
                for each, schemas in wanted.items()
            ]
            return [each for each in found if each]

        choices: list[list[set[int]]] = []
        for index, outline in enumerate(self.outlines):
            choices.append(makers_of(outline.needs, index))
            for table, row in outline.need_rows:
                made = {maker for maker, fact in row_makers.get(table, ()) if not contradicts(fact, row)}
                if made and index not in made:
                    choices[-1].append(made)
            choices[-1] += [{each} for each in self.after.get(index, ())]
        # Of several makers of one name, that one is not meant which itself waits for the file that needs it.
        firm = [{maker for each in choice if len(each) == 1 for maker in each} for choice in choices]
        for index, choice in enumerate(choices):
            before: set[int] = set()
            for makers_of_one in choice:
                alone = len(makers_of_one) == 1
                fitting = {maker for maker in makers_of_one if alone or index not in _reach(maker, firm)}
                before |= fitting or makers_of_one
            self._before.append(before - {index})
        droppers: dict[Key, list[int]] = {}
        for index, outline in enumerate(self.outlines):
            for dropped in outline.drops:
                droppers.setdefault(dropped, []).append(index)
        pointing: dict[str, set[int]] = {}  # files that make or drop a foreign key to a table
        for index, outline in enumerate(self.outlines):
            for table in outline.foreign.union(filter(None, map(self.targets.get, outline.drops))):
                pointing.setdefault(table, set()).add(index)
        standing: dict[Key, list[Key]] = {}
        for view, read in self.stands.items():
            for each in read:
                standing.setdefault(each, []).append(view)
        for index, outline in enumerate(self.outlines):
            rather = {maker for found in makers_of(outline.asks, index) for maker in found}
            for each_key in outline.makes:
                if each_key not in outline.plainly:
                    rather |= {
                        maker for maker, _ in makers.get(each_key, ()) if each_key in self.outlines[maker].plainly
                    }
            for each_key in outline.taken:
                rather.update(droppers.get(each_key, ()))
            for dropped in outline.drops:
                rather.update(users.get(dropped, ()))
                for view in standing.get(dropped, ()):  # it stands in the way until it is dropped itself
                    rather.update(droppers.get(view, ()))
                if dropped.kind == "constraint":  # perhaps the key that a foreign key points to
                    rather |= pointing.get(dropped.of, set())
            for kind, schema in outline.sets:
                if kind in ("tables", "relations", "table"):
                    rather |= {maker for maker, schemas in tables if not schema or schema in schemas}
            self._rather.append(rather - {index})

    def _blockers(self, index: int, remaining: set[int]) -> set[int]:
        """The files that still wait and make something which this one needs."""
        return self._before[index] & remaining

    def _loop(self, remaining: set[int]) -> list[int]:
        """A loop among files that all wait for another: walking from any of them must come back on itself."""
        seen: list[int] = []
        at = min(remaining)
        while at not in seen:
            seen.append(at)
            at = min(self._blockers(at, remaining))
        return seen[seen.index(at) :]


class _Queue:
    """Which of the files that wait can go, and which of these goes first; a step costs what it changes."""

    def __init__(
        self, before: list[set[int]], rather: list[set[int]], waiting: Iterable[int], name: Callable[[int], str]
    ) -> None:
        self.remaining = set(waiting)
        self._rather = rather
        self._name = name
        self._blockers = {each: before[each] & self.remaining for each in self.remaining}
        self._behind: dict[int, list[int]] = {}
        for each, blockers in self._blockers.items():
            for blocker in blockers:
                self._behind.setdefault(blocker, []).append(each)
        self._wishes: dict[int, set[int]] = {}  # of those that can go
        self._wished: dict[int, list[int]] = {}
        self._heap: list[tuple[int, str, int]] = []
        for each in self.remaining:
            if not self._blockers[each]:
                self._enter(each)

    def first(self) -> int | None:
        """The file with the fewest wishes, and of equals the smaller name; None where each waits for another."""
        while self._heap:
            wishes, _, each = self._heap[0]
            if each in self.remaining and wishes == len(self._wishes[each]):
                return each
            heappop(self._heap)
        return None

    def rank(self, each: int) -> tuple[int, str]:
        """What decides between files."""
        return len(self._unfulfilled(each)), self._name(each)

    def remove(self, chosen: int) -> None:
        """It has gone."""
        self.remaining.discard(chosen)
        for each in self._behind.get(chosen, ()):
            self._blockers[each].discard(chosen)
            if each in self.remaining and not self._blockers[each]:
                self._enter(each)
        if self._blockers[chosen]:  # a loop was broken: who waits for whom has changed for all
            for each in [each for each in self._wishes if each in self.remaining]:
                self._enter(each)
        for each in self._wished.pop(chosen, ()):
            if each in self.remaining and chosen in self._wishes[each]:
                self._wishes[each].discard(chosen)
                heappush(self._heap, (len(self._wishes[each]), self._name(each), each))

    def _enter(self, each: int) -> None:
        wishes = self._wishes[each] = self._unfulfilled(each)
        for other in wishes:
            self._wished.setdefault(other, []).append(each)
        heappush(self._heap, (len(wishes), self._name(each), each))

    def _unfulfilled(self, index: int) -> set[int]:
        """The files that wait and should rather go first: they make what it asks for, or use what it drops.

        Who waits for this one itself, directly or through others, cannot go first.
        """
        wanted = self._rather[index] & self.remaining
        seen: set[int] = set()
        todo = [index]
        while todo and wanted:
            for each in self._behind.get(todo.pop(), ()):
                if each in self.remaining and each not in seen:
                    seen.add(each)
                    wanted.discard(each)
                    todo.append(each)
        return wanted


def _reach(start: int, before: list[set[int]]) -> set[int]:
    """Everything that lies before `start`, directly or through others."""
    seen: set[int] = set()
    todo = [start]
    while todo:
        for each in before[todo.pop()] - seen:
            seen.add(each)
            todo.append(each)
    return seen


def _same(one: set[str], other: set[str]) -> bool:
    """Whether two sets of schemas as written may mean the same: an unwritten one may be any."""
    return "" in one or "" in other or bool(one & other)
