"""What happened to each object, statement by statement, while the files of a graph were bound?

The graph keeps who needs whom; here is the rest, written down while its files are bound once more in their order: every
making, change, renaming and dropping, whose rows are written and read, which names were asked for and were not there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lancio.catalog.model import Catalog, Name, Site
from lancio.planner import graph as graphs
from lancio.planner.bind import Binder
from lancio.planner.model import Place
from lancio.reading import directives, operations

if TYPE_CHECKING:
    from lancio.catalog.model import Object
    from lancio.catalog.profile import Profile
    from lancio.planner.model import Graph
    from lancio.reading.model import Detail, Op, Ref

Deed = Literal["made", "changed", "renamed", "moved", "dropped", "granted on", "filled"]

ROWS = ("insert", "update", "delete", "truncate")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that one statement did to one object.

    `says` is the object as it was called before, `what` the changed part of it or its new name; `along` marks what
    came, went or was renamed only because the object that it belongs to did.
    """

    deed: Deed
    thing: int
    says: str
    site: Site
    what: str = ""
    along: bool = False


@dataclass(slots=True)
class Thing:
    """An object over its whole life: every name that it bore, the object that it belongs to."""

    label: str
    names: list[Name]
    parent: int | None = None
    extension: bool = False
    columns: tuple[str, ...] = ()  # of its parent, as they were called when it was put on them


@dataclass(frozen=True, slots=True)
class Asked:
    """A name that a statement asked for and that nobody bore, or all the objects of a schema."""

    site: Site
    name: str  # "" for all objects
    schema: str  # "" for any


@dataclass(slots=True)
class Chronicle:
    """All events in the order in which the files run, and what else decides whether two files may swap places.

    Sites count the files of the graph from 0.
    """

    graph: Graph
    events: list[Event] = field(default_factory=list)
    things: dict[int, Thing] = field(default_factory=dict)
    writes: dict[int, dict[int, Site]] = field(default_factory=dict)  # whose rows, by which files, first at
    reads: dict[int, dict[int, Site]] = field(default_factory=dict)
    stars: list[tuple[int, Site]] = field(default_factory=list)  # relations of which all columns were taken
    asked: list[Asked] = field(default_factory=list)
    numbered: list[tuple[Site, Site, str]] = field(default_factory=list)  # a name that got its number from another's
    barriers: list[tuple[Site, str]] = field(default_factory=list)  # what bears on every statement behind it

    def place(self, site: Site) -> Place:
        """The place of a site, for people."""
        facts = self.graph.files[site.file]
        said = directives.words(facts.ops, site.statement, site.line) if facts.ops is not None else ""
        return Place(facts.name, site.line, said)


def of(graph: Graph, profile: Profile) -> Chronicle:
    """The chronicle of a graph, bound again in its own order for the same server version."""
    chronicle = Chronicle(graph)
    recorder = _Recorder(chronicle, profile)
    for index in range(len(graph.files)):
        recorder.file(index)
    return chronicle


class _Recording(Catalog):
    """A catalog that writes down who makes, renames and removes what in it."""

    def __init__(self, chronicle: Chronicle, profile: Profile) -> None:
        super().__init__()
        vars(self).update(vars(graphs.empty(profile)))
        self.chronicle = chronicle
        self.inside = 0  # how deep in a removal or renaming of a whole
        for each in self.objects.values():
            self._enter_thing(each)

    def _enter_thing(self, made: Object) -> None:
        self.chronicle.things[made.id] = Thing(
            made.label, [made.name], made.parent, bool(made.extension), made.detail.columns_of
        )

    def _note(self, deed: Deed, each: Object, site: Site, what: str = "", *, along: bool) -> None:
        self.chronicle.events.append(Event(deed, each.id, each.says, site, what, along))

    def add(
        self, name: Name, label: str, site: Site, parent: Object | None = None, detail: Detail | None = None
    ) -> Object:
        """Enter a new object and write it down."""
        made = super().add(name, label, site, parent, detail)
        self._enter_thing(made)
        along = parent is not None and (parent.maker.file, parent.maker.statement) == (site.file, site.statement)
        self._note("made", made, site, along=along)
        return made

    def remove(self, each: Object, site: Site) -> list[Object]:
        """Take an object away and write it down, its parts as what went along."""
        self._note("dropped", each, site, along=self.inside > 0)
        self.inside += 1
        gone = super().remove(each, site)
        self.inside -= 1
        return gone

    def rename(self, each: Object, name: Name, site: Site) -> None:
        """Give an object another name and write it down."""
        moved = name.name == each.name.name
        to = name.schema if moved else name.name
        self._note("moved" if moved else "renamed", each, site, to, along=self.inside > 0)
        self.inside += 1
        super().rename(each, name, site)
        self.inside -= 1
        for known in (each, *(self.objects[child] for child in each.children)):
            thing = self.chronicle.things[known.id]
            if known.name not in thing.names:
                thing.names.append(known.name)

    def adopt(self, each: Object, parent: Object) -> None:
        """Make an object part of another one."""
        super().adopt(each, parent)
        self.chronicle.things[each.id].parent = parent.id


class _Recorder(Binder):
    """A binder that looks at each operation before it is bound."""

    def __init__(self, chronicle: Chronicle, profile: Profile) -> None:
        files = [(facts.migration, facts.ops or operations.read(facts.migration)) for facts in chronicle.graph.files]
        super().__init__(_Recording(chronicle, profile), profile, files)
        self.chronicle = chronicle

    def op(self, op: Op) -> None:
        """Write down what an operation is about to change or to ask for, then bind it."""
        if op.verb != "opaque" and self.guarded(op) is not False:
            self._look(op)
        super().op(op)

    def free_name(self, name: Name) -> Name:
        """The name that PostgreSQL chooses; where it puts a number behind it, who bears the first choice counts."""
        chosen = super().free_name(name)
        if chosen != name and (taken := self.catalog.find(name)) is not None:
            here = Site(self.current, self._statement, taken.maker.line)
            self.chronicle.numbered.append((here, taken.maker, f"name {chosen.full}"))
        return chosen

    def _look(self, op: Op) -> None:
        site = self.site(op)
        for guard in op.guards:
            if guard.ref is not None:
                self._missed(guard.ref, site)
        facet, ref = op.detail.facet, op.ref
        if op.verb == "read":
            self._read(op, site)
        elif op.verb == "drop" and op.detail.if_exists:
            self._missed(ref, site)
        elif op.verb == "make" and ref.kind == "event trigger":
            self.chronicle.barriers.append((site, f"event trigger {ref.name} fires for what comes behind it"))
        elif op.verb in ("alter", "write"):
            found = self.resolve(ref)
            if found is None:
                self._missed(ref, site)
            elif facet == "rows":
                self._filled(found, op.detail.events, site, set())
            elif facet == "default privileges":
                self.chronicle.asked.append(Asked(site, "", found.name.name))
            elif facet != "touched":
                deed: Deed = "granted on" if facet == "acl" else "changed"
                fresh = (found.maker.file, found.maker.statement) == (site.file, site.statement)
                self.chronicle.events.append(Event(deed, found.id, found.says, site, facet, along=fresh))

    def _read(self, op: Op, site: Site) -> None:
        ref = op.ref
        if ref.kind == "set":
            self.chronicle.asked.append(Asked(site, "", ref.schema or ""))
        elif ref.kind == "column" and ref.name == "*":
            owners = [owner for relation in ref.of if (owner := self.resolve(relation)) is not None]
            self.chronicle.stars += [(owner.id, site) for owner in owners]
        elif ref.kind == "relation" and (op.when == "now" or self._depth):
            found = self.resolve(ref)
            if found is not None:
                refreshed = directives.words(self.files[site.file][1], site.statement, site.line).startswith("REFRESH")
                if found.label == "sequence" or refreshed:  # a value that is taken is gone
                    self._touch(self.chronicle.writes, found, site)
                self._seen(found, site, set())

    def _missed(self, ref: Ref, site: Site) -> None:
        """Note a name that is asked for and not there: whoever makes it may not come before."""
        if self.resolve(ref) is None and not self.builtin(ref):
            self.chronicle.asked.append(Asked(site, ref.name, ref.schema or ""))

    def _touch(self, into: dict[int, dict[int, Site]], found: Object, site: Site) -> None:
        into.setdefault(found.id, {}).setdefault(site.file, site)

    def _seen(self, found: Object, site: Site, seen: set[int]) -> None:
        """The rows of a relation are read, and those of all that a view stands on."""
        if found.id in seen:
            return
        seen.add(found.id)
        self._touch(self.chronicle.reads, found, site)
        if found.label in ("view", "materialized view"):
            for base in self.catalog.stood_on(found.id):
                if base.name.kind == "relation":
                    self._seen(base, site, seen)

    def _filled(self, found: Object, events: tuple[str, ...], site: Site, seen: set[int]) -> None:
        """The rows of a table are written; the rows that its keys point to are read, those that point to it may go."""
        if found.id in seen:
            return
        seen.add(found.id)
        if len(seen) == 1:
            what = next((each for each in ROWS if each in events), "")
            self.chronicle.events.append(Event("filled", found.id, found.says, site, what))
        self._touch(self.chronicle.writes, found, site)
        for key in self.catalog.parts("constraint", found):
            if key.detail.references is not None:
                target = self.resolve(key.detail.references[0])
                if target is not None:
                    self._touch(self.chronicle.reads, target, site)
        if set(events) - {"insert"}:
            for each in sorted(found.dependents):
                pointing = self.catalog.objects.get(each)
                if pointing is not None and pointing.label == "foreign key" and pointing.parent is not None:
                    self._filled(self.catalog.objects[pointing.parent], events, site, seen)
        if found.label == "view":
            for base in self.catalog.stood_on(found.id):
                if base.name.kind == "relation":
                    self._filled(base, events, site, seen)
