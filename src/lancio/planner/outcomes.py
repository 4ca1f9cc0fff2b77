"""What does each file leave in the catalog, part by part? What a live database is held against, to tell what ran there.

The files are bound once more in the graph's order, and after each statement everything that it touched is written down:
whether it is there, the type of a column, the columns of an index, the text of a routine. So each part has a history of
values, one after the other, and the value that a live database has says how far along that history it stands.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lancio.catalog.model import Catalog, Name, Object
from lancio.planner import graph as graphs
from lancio.planner import types
from lancio.planner.bind import Binder
from lancio.reading import cache, operations
from lancio.reading.garbage import without_collecting
from lancio.syntax import lexer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lancio.catalog.model import Site
    from lancio.catalog.profile import Profile
    from lancio.planner.model import Graph
    from lancio.reading.cache import Cache
    from lancio.reading.model import Op, Statement

THERE, GONE, UNKNOWN = "there", "gone", "?"
"""Values of the facet "" (whether an object is there), and of any facet that is not known any more."""

TABLES = frozenset(("table", "partitioned table"))


class Write(NamedTuple):
    """What one statement leaves of one part of one object.

    `facet` is "" for the object itself (then `value` is THERE or GONE), else what of it: type, null, default, rls,
    columns … `along` marks what came with the object that it belongs to, in that one's own statement: the one is not
    there without the other. Where `sure` is not set, it hangs on something that the files do not tell. `where` are
    objects, as kind and name, that must be there for it to be made at all.
    """

    name: Name
    facet: str
    value: str
    says: str
    statement: int
    line: int
    along: bool = False
    sure: bool = True
    implied: bool = False
    where: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcomes:
    """For each file of a graph, in its order, all that its statements leave.

    `open` are relations of which not all columns are known.
    """

    files: tuple[tuple[Write, ...], ...]
    open: frozenset[Name]


VALUES = (Write, Outcomes, Name, frozenset)


def kept(graph: Graph, profile: Profile, known: Cache | None) -> Outcomes:
    """What `of` gives, from the cache where nothing that it depends on has changed."""
    if known is None:
        return of(graph, profile)
    digest = hashlib.sha256()
    for facts in graph.files:
        digest.update(f"{facts.name}\0{facts.migration.digest}\0".encode())
    name = f"outcomes-{cache.key(str(profile.major), digest.hexdigest())}"
    if (packed := known.get(name)) is not None:
        with without_collecting():
            found = cache.unpack(packed, VALUES)
        if isinstance(found, Outcomes):
            return found
    made = of(graph, profile)
    known.put(name, cache.pack(made))
    return made


def of(graph: Graph, profile: Profile) -> Outcomes:
    """What each file of a graph leaves, bound in its order over an empty database of the same server version."""
    with without_collecting():
        recorder = _Recorder(graph, profile)
        for index in range(len(graph.files)):
            recorder.file(index)
        names = {number: "|".join(sorted(each)) for number, each in recorder.kept.borne.items()}
        files = tuple(
            tuple(
                each._replace(value=names.get(int(each.value[1:]), UNKNOWN)) if each.value.startswith(_OBJECT) else each
                for each in writes
            )
            for writes in recorder.writes
        )
        unknown = {each.name for each in recorder.catalog.objects.values() if each.open}
        return Outcomes(files, frozenset(unknown | recorder.open))


# One object as facets: the same of an object that files made and of one that a live server has.


def shape(catalog: Catalog, each: Object, *, live: bool = False) -> dict[str, str]:
    """What is known of an object beside that it is there, for comparing; a facet that is not known is left out."""
    kind, detail = each.name.kind, each.detail
    found: dict[str, str] = {}
    if kind == "relation":
        found["kind"] = "table" if each.label in TABLES else each.label
        if each.label == "index":
            found["unique"] = _word(detail.unique)
            found["partial"] = _word(detail.partial)
            if not detail.partial and detail.columns_of and (not live or each.facts.get("plain") == "yes"):
                found["columns"] = ", ".join(detail.columns_of)
        elif each.label in TABLES:
            found["rls"] = each.facts.get("rls", "off")
    elif kind == "column" and detail.columns:
        owner = catalog.objects.get(each.parent or 0)
        if owner is None or owner.label not in TABLES:
            return found
        column = detail.columns[0]
        found |= _column_type(column.type_name)
        own = {each.name for each in owner.detail.columns}
        if (owner.detail.query is not None or owner.detail.like) and each.name.name not in own:
            return found  # taken over: its type came along, and what else did is not followed
        default = column.default or column.generated or column.identity
        found["null"] = _word(not column.not_null)
        found["default"] = _word(default)
    elif kind == "constraint":
        found["kind"] = each.label
        if each.label in ("primary key", "unique", "foreign key") and detail.columns_of:
            found["columns"] = ", ".join(detail.columns_of)
    elif kind == "trigger":
        found["events"] = ", ".join(sorted(detail.events))
        found["level"] = "row" if detail.each_row else "statement"
    elif kind == "policy" and detail.events:
        found["command"] = detail.events[0]
    return found


def _word(so: bool) -> str:
    return "yes" if so else "no"


def _column_type(written: str) -> dict[str, str]:
    """A type's name without schema, quotes and modifiers; nothing where the text alone does not tell."""
    text = plain_type(written)
    return {"type": text} if text else {}


def plain_type(written: str) -> str:
    """A type as format_type() writes it, or as read from a file, without its schema, quotes and modifiers."""
    array = "[]" if written.endswith("[]") else ""
    text = written.removesuffix("[]")
    if "(" in text:
        head, _, rest = text.partition("(")
        text = f"{head.strip()}{rest.partition(')')[2]}"
    if text.startswith("interval"):
        text = "interval"
    return types.bare(text).replace('"', "") + array


def source(statement: Statement) -> str | None:
    """The text of the routine that a CREATE FUNCTION or PROCEDURE makes, as pg_proc.prosrc will have it.

    None where it is not one literal: a body of SQL itself (BEGIN ATOMIC), a C function's two strings.
    """
    text = statement.sql.encode()
    found: bytes | None = None
    before = b""
    for token in lexer.tokens(text):
        if token.kind in lexer.BLANK:
            continue
        piece = text[token.start : token.end]
        if token.kind == "string" and before == b"as":
            if found is not None:
                return None
            found, before = piece, b"'"
            continue
        if before == b"'" and piece == b",":
            return None
        before = piece.lower()
    return None if found is None else lexer.string_value(found)


def body_mark(text: str) -> str:
    """A routine's text as a short value; line ends are taken for one another, as in a file's checksum."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()[:32]


# Recording.

_OBJECT = "\0"
"""How a value begins that stands for an object by its number, until all the names that it bears are known."""


class _Kept(Catalog):
    """A catalog that notes which names a statement touches, and every name that an object bears."""

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        vars(self).update(vars(graphs.empty(profile)))
        self.touched: dict[Name, None] = {}
        self.borne: dict[int, set[str]] = {}

    def add(self, name: Name, label: str, site: Site, parent: Object | None = None, detail: object = None) -> Object:
        """Enter a new object, and note its name."""
        made = super().add(name, label, site, parent, detail)  # type: ignore[arg-type]
        self.touched[name] = None
        if name.kind in ("type", "relation", "routine"):
            self.borne[made.id] = {name.name}
        return made

    def remove(self, each: Object, site: Site) -> list[Object]:
        """Take an object away, and note its name and those of its parts."""
        gone = super().remove(each, site)
        for part in gone:
            self.touched[part.name] = None
        return gone

    def rename(self, each: Object, name: Name, site: Site) -> None:
        """Give an object another name, and note both, and those of its parts and of what tells of it."""
        parts = [each, *(self.objects[child] for child in each.children)]
        if each.name.kind == "column" and each.parent in self.objects:
            # Its table's constraints and indexes name it among their columns.
            parts += (self.objects[child] for child in self.objects[each.parent].children)
        self.touched.update((part.name, None) for part in parts)
        super().rename(each, name, site)
        self.touched.update((part.name, None) for part in parts)
        if each.id in self.borne:
            self.borne[each.id].add(name.name)


class _Recorder(Binder):
    """A binder that writes down, statement by statement, what became of everything that was touched."""

    def __init__(self, graph: Graph, profile: Profile) -> None:
        files = [(facts.migration, facts.ops or operations.read(facts.migration)) for facts in graph.files]
        self.kept = _Kept(profile)
        super().__init__(self.kept, profile, files)
        self.kept.touched.clear()
        self.now: dict[Name, dict[str, str]] = {name: {"": THERE} for name in self.kept.names}
        self.writes: list[list[Write]] = [[] for _ in files]
        self.open: set[Name] = set()
        self._unsure: set[tuple[Name, str]] = set()
        self._where: dict[tuple[Name, str], tuple[str, ...]] = {}  # what a change of a part hangs on
        self._bodies: dict[int, set[Name]] = {}  # by statement, routines that it made or replaced

    def make(self, op: Op, *, maybe: bool) -> None:
        """Make it, and note what is there only perhaps."""
        before = len(self.kept.touched)
        super().make(op, maybe=maybe)
        if maybe and self._hangs(op):
            self._unsure.update((name, "") for name in list(self.kept.touched)[before:])
        if op.ref.kind == "routine" and not self._depth:
            found = self.routine(op.ref)
            if len(found) == 1:
                self._bodies.setdefault(op.statement, set()).add(found[0].name)
                self.kept.touched[found[0].name] = None

    def rewrite(self, found: Object, facet: str, op: Op, strength: object = "hard") -> None:
        """Write a part, and note whose."""
        before = found.detail.columns
        super().rewrite(found, facet, op, strength)  # type: ignore[arg-type]
        if facet == "type" and before and found.detail.columns:
            # Another type leaves the rest of a column as it was.
            old, new = before[0], found.detail.columns[0]
            column = old._replace(type=new.type, type_name=new.type_name)
            found.detail = found.detail._replace(columns=(column, *found.detail.columns[1:]))
        self.kept.touched[found.name] = None
        if self._hangs(op):
            self._unsure.add((found.name, facet))
        if asked := self.conditions(op):
            self._where[found.name, facet] = tuple(asked)

    def _hangs(self, op: Op) -> bool:
        """Whether it happens only where something is there of which the files tell nothing: a role, say.

        Other conditions that are not known mostly ask whether it has happened before: behind them it has.
        """
        return any(
            guard.ref is not None and guard.truth == "exists" and self.there(guard, op) is None for guard in op.guards
        )

    def drop(self, op: Op) -> None:
        """Drop it, and note what may be gone."""
        found = self.resolve(op.ref)
        if found is not None and (self.guarded(op) is None or op.soft):
            self._unsure.add((found.name, ""))
            self.kept.touched[found.name] = None
        super().drop(op)

    def _end_statement(self) -> None:
        super()._end_statement()
        if not self.kept.touched or self.current < 0:
            return
        statement = self._statement
        _, ops = self.files[self.current]
        known = ops.statements[statement] if 0 <= statement < len(ops.statements) else None
        line = known.span.line if known is not None else 0
        bodies = self._bodies.pop(statement, set())
        mark = source(known) if known is not None and len(bodies) == 1 else None
        for name in self.kept.touched:
            self._write(name, statement, line, body_mark(mark) if name in bodies and mark is not None else None,
                        replaced=name in bodies)  # fmt: skip
        self.kept.touched.clear()
        self._unsure.clear()
        self._where.clear()

    def _write(self, name: Name, statement: int, line: int, body: str | None, *, replaced: bool) -> None:
        if name.schema == "pg_temp":
            return
        each = self.kept.find(name)
        if each is not None and (each.extension or each.label == "not null"):
            return
        before = self.now.get(name, {"": GONE})
        perhaps = (name, "") in self._unsure
        if each is None:
            now = {"": GONE}
            gone = self.kept.gone.get(self.kept.last.get(name, 0))
            says = f"{gone.label if gone is not None else name.kind} {name.full}"
        else:
            now = {"": THERE, **self._shape(each)}
            if each.open:
                self.open.add(name)
            if name.kind == "routine":
                now["body"] = body or (UNKNOWN if replaced else before.get("body", UNKNOWN))
            says = each.says
        for facet in before.keys() - now.keys():
            if now[""] == THERE:
                now[facet] = UNKNOWN
        self.now[name] = now
        fresh = before[""] == GONE and each is not None
        along, implied = False, False
        where: tuple[str, ...] = ()
        if each is not None:
            parent = self.kept.objects.get(each.parent or 0)
            along = (
                fresh
                and parent is not None
                and (parent.maker.file, parent.maker.statement) == (self.current, statement)
                and each.detail.label != "trigger"
                and (each.name.kind != "relation" or each.detail.implied)
            )
            implied = each.detail.implied
            where = tuple(each.facts["where"].split("\n")) if "where" in each.facts else ()
        for facet, value in now.items():
            if before.get(facet) != value or (facet == "" and perhaps):
                sure = not perhaps and (name, facet) not in self._unsure
                self.writes[self.current].append(
                    Write(
                        name,
                        facet,
                        value,
                        says,
                        statement,
                        line,
                        along,
                        sure,
                        implied,
                        self._where.get((name, facet), where),
                    )
                )

    def _shape(self, each: Object) -> Mapping[str, str]:
        found = shape(self.kept, each)
        if each.name.kind == "column" and "type" in found:
            if each.type_id:
                found["type"] = f"{_OBJECT}{each.type_id}"
            elif found["type"].endswith("[]") and not types.known(found["type"][:-2]):
                del found["type"]  # the elements' type may have got another name since
        elif each.name.kind == "constraint" and each.detail.references is not None:
            target = self.resolve(each.detail.references[0])
            if target is not None:
                found["references"] = f"{_OBJECT}{target.id}"
        elif each.name.kind == "trigger" and each.detail.routine is not None:
            executed = self.routine(each.detail.routine)
            if len(executed) == 1:
                found["routine"] = f"{_OBJECT}{executed[0].id}"
        return found


def by_cell(outcomes: Outcomes) -> dict[tuple[Name, str], list[tuple[int, Write]]]:
    """The history of each part: which file left which value, in order, the last one of each file."""
    found: dict[tuple[Name, str], list[tuple[int, Write]]] = {}
    for file, writes in enumerate(outcomes.files):
        for each in writes:
            history = found.setdefault((each.name, each.facet), [])
            if history and history[-1][0] == file:
                history.pop()
            history.append((file, each))
    return found


def last_of(writes: Iterable[Write]) -> Sequence[Write]:
    """Of each part the last value that a file leaves."""
    return tuple({(each.name, each.facet): each for each in writes}.values())
