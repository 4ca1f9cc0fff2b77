"""Which objects are there, under which names, and who made and read each part of them?

One value with two producers: the planner's binding walks a file's operations over it, and the executor's snapshot
fills it from a live server. So a requirement that no file provides, a step that is there already and a check after a
run are all the same comparison.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from lancio.reading.model import NOTHING, Detail, Kind, RowFact


class Name(NamedTuple):
    """What an object is called now.

    `schema` is "" for what belongs to no schema. `of` names the relation (or type) that a column, constraint,
    trigger, policy, rule or label belongs to; it lies in the same `schema`. `args` are a routine's input types as
    format_type() writes them, joined by ", "; "" for all others.
    """

    kind: Kind
    schema: str
    name: str
    of: str = ""
    args: str = ""

    @property
    def full(self) -> str:
        """The name as SQL has it, unquoted."""
        base = f"{self.schema}.{self.of or self.name}" if self.schema else self.of or self.name
        if self.kind == "column":
            return f"{base}.{self.name}"
        if self.kind in ("trigger", "policy", "rule", "constraint"):
            return f"{self.name} on {base}"
        if self.kind == "label":
            return f"{base} '{self.name}'"
        return f"{base}({self.args})" if self.kind == "routine" else base


class Site(NamedTuple):
    """A statement of a file: the file's position in the binding, the statement's ordinal, the line in the file."""

    file: int
    statement: int
    line: int


BEFORE = Site(-1, -1, 0)
"""The site of whatever was in the database before the first file."""


@dataclass(slots=True)
class Version:
    """Who last wrote a cell, and who has read it since."""

    maker: Site
    readers: list[Site] = field(default_factory=list)


@dataclass(slots=True)
class Object:
    """One object. Its id stays when it is renamed or moved; its cells carry the hazards."""

    id: int
    name: Name
    label: str
    parent: int | None = None
    children: set[int] = field(default_factory=set)
    cells: dict[str, Version] = field(default_factory=dict)
    detail: Detail = NOTHING
    dependents: set[int] = field(default_factory=set)
    open: bool = False  # a relation whose columns are not all known
    facts: dict[str, str] = field(default_factory=dict)  # what a live server says of it
    extension: str = ""  # the extension that it is a member of
    rows: list[tuple[RowFact, Site]] = field(default_factory=list)
    former: Site | None = None  # who made what bore its name before, where the file that made it took that away
    alike: bool = True  # whether it serves as what bore its name before did
    also: list[Site] = field(default_factory=list)  # who would have made it, had it not been there already
    retyped: list[tuple[str, Site]] = field(default_factory=list)  # of a column: a type it had, and who changed that
    stems: tuple[Site, ...] = ()  # of a column that `*` or LIKE took over: who made those it comes from
    type_id: int | None = None  # of a column: its type, where that is one that somebody made
    placed_by: Site | None = None  # who made the schema that it went to by the search_path
    released: list[tuple[Site, int]] = field(default_factory=list)  # who let go of it, and what by another definition
    _said: tuple[Name | None, str, str] = (None, "", "")  # of a name and a label, what `says` gave

    @property
    def says(self) -> str:
        """The object as people say it: `table platform.projects`."""
        name, label, said = self._said
        if name is not self.name or label is not self.label:
            said = f"{self.label} {self.name.full}"
            self._said = self.name, self.label, said
        return said

    @property
    def maker(self) -> Site:
        """Who made it."""
        version = self.cells.get("exists")
        return version.maker if version else BEFORE


class Former(NamedTuple):
    """What bore a name before: what it was, who had made it, who freed the name."""

    label: str
    detail: Detail
    maker: Site
    freed: Site


@dataclass(slots=True)
class Gone:
    """What was dropped, by whom, and who would have dropped it later."""

    name: Name
    label: str
    maker: Site
    by: Site
    also: list[Site] = field(default_factory=list)


class Catalog:
    """Objects by name and by id. Changed in place by binding; `copy()` before a binding that is only a question."""

    def __init__(self) -> None:
        self.objects: dict[int, Object] = {}
        self.names: dict[Name, int] = {}
        self.routines: dict[tuple[str, str], list[int]] = {}
        self.schemas: dict[str, dict[int, None]] = {}  # what lies in each schema; "" for what lies in none
        self.bases: dict[int, set[int]] = {}  # what an object stands on: `dependents`, the other way round
        self.freed: dict[Name, Site] = {}
        self.former: dict[Name, Former] = {}
        self.gone: dict[int, Gone] = {}  # what was dropped
        self.last: dict[Name, int] = {}  # by name, what was dropped last
        self.path: tuple[str, ...] = ("public",)
        self.live = False  # whether a server filled it
        self._next = 1

    def find(self, name: Name) -> Object | None:
        """The object that bears this name."""
        found = self.names.get(name)
        return self.objects[found] if found is not None else None

    def part(self, kind: Kind, of: Object, name: str) -> Object | None:
        """The column, constraint, trigger, policy, rule or label of that name of an object."""
        return self.find(Name(kind, of.name.schema, name, of.name.name))

    def parts(self, kind: Kind, of: Object) -> list[Object]:
        """All columns, triggers … of an object, in the order of their making."""
        found = [self.objects[child] for child in of.children if self.objects[child].name.kind == kind]
        return sorted(found, key=lambda each: each.id)

    def overloads(self, schema: str, name: str) -> list[Object]:
        """Every routine of that name in a schema."""
        return [self.objects[each] for each in self.routines.get((schema, name), ())]

    def add(
        self, name: Name, label: str, site: Site, parent: Object | None = None, detail: Detail | None = None
    ) -> Object:
        """Enter a new object; whatever bore the name before is forgotten."""
        made = Object(self._next, name, label, parent.id if parent else None)
        self._next += 1
        if detail is not None:
            made.detail = detail
        made.cells["exists"] = Version(site)
        self._again(made, site)
        self.objects[made.id] = made
        if parent is not None:
            parent.children.add(made.id)
        self._enter(made)
        return made

    def within(self, schema: str) -> list[Object]:
        """All objects of a schema, in the order of their making; "" gives those that lie in none."""
        return [self.objects[each] for each in sorted(self.schemas.get(schema, ()))]

    def stands(self, dependent: int, base: Object) -> None:
        """Note that an object stands on another one."""
        base.dependents.add(dependent)
        self.bases.setdefault(dependent, set()).add(base.id)

    def stood_on(self, dependent: int) -> list[Object]:
        """What an object stands on, as far as it is still there."""
        return [self.objects[each] for each in sorted(self.bases.get(dependent, ())) if each in self.objects]

    def release(self, dependent: int, base: Object, site: Site) -> None:
        """Note who let an object stand on another one no longer."""
        base.dependents.discard(dependent)
        self.bases[dependent].discard(base.id)
        base.released.append((site, dependent))

    def _enter(self, each: Object) -> None:
        self.names[each.name] = each.id
        self.schemas.setdefault(each.name.schema, {})[each.id] = None
        if each.name.kind == "routine":
            self.routines.setdefault((each.name.schema, each.name.name), []).append(each.id)

    def _leave(self, each: Object) -> None:
        if self.names.get(each.name) == each.id:
            del self.names[each.name]
        del self.schemas[each.name.schema][each.id]
        if each.name.kind == "routine":
            same = self.routines.get((each.name.schema, each.name.name), [])
            if each.id in same:
                same.remove(each.id)

    def remove(self, each: Object, site: Site) -> list[Object]:
        """Take an object and its children away; their names are free again. What went is returned, parents first."""
        gone = [each]
        for child in sorted(each.children):
            if child in self.objects:
                gone.extend(self.remove(self.objects[child], site))
        if each.parent is not None and each.parent in self.objects:
            self.objects[each.parent].children.discard(each.id)
        self._leave(each)
        self.objects.pop(each.id, None)
        self.gone[each.id], self.last[each.name] = Gone(each.name, each.label, each.maker, site), each.id
        self._freed(each, site)
        return gone

    def _again(self, each: Object, site: Site) -> None:
        """Note what bore the name before, where the same file took that away."""
        former = self.former.get(each.name)
        if former is not None and former.freed.file == site.file and former.label == each.label:
            each.former, each.alike = former.maker, _alike(former, each)

    def _freed(self, each: Object, site: Site) -> None:
        self.freed[each.name] = site
        self.former[each.name] = Former(each.label, each.detail, each.former or each.maker, site)

    def adopt(self, each: Object, parent: Object) -> None:
        """Make an object part of another one than before: a sequence of the column that owns it."""
        if each.parent is not None and each.parent in self.objects:
            self.objects[each.parent].children.discard(each.id)
        each.parent = parent.id
        parent.children.add(each.id)

    def rename(self, each: Object, name: Name, site: Site) -> None:
        """Give an object another name; its parts follow, its id and cells stay."""
        old = each.name
        self._leave(each)
        self._freed(each, site)
        each.name, each.former = name, None
        self._again(each, site)
        self._enter(each)
        if old.kind in ("relation", "type"):
            for child in each.children:
                part = self.objects[child]
                if part.name.of != old.name:
                    if part.name.schema == old.schema != name.schema:  # an index or sequence moves with its table
                        self.rename(part, part.name._replace(schema=name.schema), site)
                    continue
                self._leave(part)
                self.former[part.name] = Former(part.label, part.detail, part.former or part.maker, site)
                part.name = part.name._replace(schema=name.schema, of=name.name)
                self._again(part, site)
                self._enter(part)

    def copy(self) -> Catalog:
        """A catalog that can be changed without changing this one."""
        other = Catalog()
        other.path, other.live = self.path, self.live
        other._next = self._next
        other.names = dict(self.names)
        other.routines = {key: list(value) for key, value in self.routines.items()}
        other.schemas = {key: dict(value) for key, value in self.schemas.items()}
        other.bases = {key: set(value) for key, value in self.bases.items()}
        other.freed, other.former = dict(self.freed), dict(self.former)
        other.gone = {
            key: Gone(each.name, each.label, each.maker, each.by, list(each.also)) for key, each in self.gone.items()
        }
        other.last = dict(self.last)
        for key, each in self.objects.items():
            other.objects[key] = Object(
                each.id, each.name, each.label, each.parent, set(each.children),
                {facet: Version(version.maker, list(version.readers)) for facet, version in each.cells.items()},
                each.detail, set(each.dependents), each.open, dict(each.facts), each.extension, list(each.rows),
                each.former, each.alike, list(each.also), list(each.retyped),
                each.stems, each.type_id, each.placed_by, list(each.released),
            )  # fmt: skip
        return other


def _alike(former: Former, made: Object) -> bool:
    """Whether what bears the name now serves those who need it as what bore it before did."""
    before, now = former.detail, made.detail
    return (
        before.columns_of == now.columns_of
        and before.result == now.result
        and (made.label != "index" or before.implied == now.implied)  # a constraint's index goes with that alone
        and (made.name.kind != "column" or _type(before) == _type(now))
    )


def _type(column: Detail) -> str:
    return column.columns[0].type_name if column.columns else ""


@dataclass(frozen=True, slots=True)
class Live:
    """A database as it stands: its catalog, and the answers to questions that only it can answer.

    `answers` holds, for each probe (a SELECT of one boolean), True, False, or None where it could not be asked
    (its table is not there). `privileges` are facts about the session's role.
    """

    catalog: Catalog
    answers: dict[str, bool | None]
    version: int  # server_version_num: 180001
    user: str = ""
    database: str = ""
    superuser: bool = False
    can_create: bool = True  # CREATE on the database: schemas, and trusted extensions from 13 on
    bypass_rls: bool = False
    read_only: bool = False  # a standby, or a database whose transactions are read-only unless they say otherwise
    extensions: tuple[str, ...] | None = ()  # installable here; None where the server cannot tell
    trusted: tuple[str, ...] = ()  # of them, those that do not need a superuser

    @property
    def major(self) -> int:
        """The major version: 18."""
        return self.version // 10000
