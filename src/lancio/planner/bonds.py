"""May two files swap places, which may run side by side, and what stands in the way of the others?

A bond keeps two files in their order. The graph's edges are bonds; so is every pair that shares what an edge does not
tell: rows of one table, a name that one asked for in vain and the other makes, all objects of a schema. A file with a
place that cannot be seen through is bound to every other. Without a chain of bonds between two files nothing that one
does is seen by the other, so either order ends in the same database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lancio.planner.locks import CONFLICTS
from lancio.planner.model import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.catalog.model import Site
    from lancio.planner.chronicle import Asked, Chronicle, Thing
    from lancio.planner.model import Edge, Graph, Lock

    Bind = Callable[[Site, Site, str, str], None]

QUIET = frozenset(("comment",))
"""Changes that neither the rows of a table nor what is done to them can see."""


@dataclass(frozen=True, slots=True)
class Bond:
    """Why `then` stays behind `first`: an object or another reason, and where each of the two meets it."""

    first: str
    then: str
    says: str
    why: str  # "read after write", "rows", "not seen through" …
    at: Place
    before: Place


@dataclass(frozen=True, slots=True)
class Bonds:
    """For each pair of files that is bound directly, the reason that binds it most; files by their place from 0."""

    graph: Graph
    names: tuple[str, ...]
    by_file: tuple[dict[int, Bond], ...]  # for each file those before it that it is bound to

    def bond(self, first: str, then: str) -> Bond | None:
        """What binds two files directly, of which `first` comes first."""
        return self.by_file[self.names.index(then)].get(self.names.index(first))

    def chain(self, first: int, then: int) -> list[Bond]:
        """The bonds that lead from `then` back to `first`, as few as can be; none where the two are free."""
        came: dict[int, Bond | None] = {then: None}
        waiting = [then]
        for file in waiting:
            if file == first:
                break
            for before in sorted(self.by_file[file], reverse=True):
                if before not in came and before >= first:
                    came[before] = self.by_file[file][before]
                    waiting.append(before)
        found = []
        bond = came.get(first)
        while bond is not None:
            found.append(bond)
            bond = came[self.names.index(bond.then)]
        return found

    def behind(self, first: int, last: int) -> set[int]:
        """The files up to `last` that must stay behind `first`."""
        found = {first}
        for file in range(first + 1, last + 1):
            if not found.isdisjoint(self.by_file[file]):
                found.add(file)
        return found - {first}

    def ahead(self, then: int, least: int) -> set[int]:
        """The files from `least` on that must stay before `then`."""
        found: set[int] = set()
        waiting = [then]
        while waiting:
            more = {before for before in self.by_file[waiting.pop()] if before >= least} - found
            found |= more
            waiting += sorted(more)
        return found


@dataclass(frozen=True, slots=True)
class Commute:
    """Whether two files may swap places: the chain that forbids it, or what was looked at that does not."""

    first: str
    then: str
    chain: tuple[Bond, ...]
    shared: tuple[str, ...]  # relations that both touch, each in cells of its own
    locks: tuple[str, ...]  # of them, those whose locks exclude each other: they may swap, not run side by side
    between: int  # how many files stand between
    moved: tuple[str, ...]  # of them, those that have to move along

    @property
    def may(self) -> bool:
        """Whether they may."""
        return not self.chain


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a wave, and what kept it out of the wave before; None in the first."""

    file: str
    because: Bond | None


@dataclass(frozen=True, slots=True)
class Wave:
    """Files that may run side by side, once the waves before have run."""

    files: tuple[Member, ...]


def bonds(chronicle: Chronicle) -> Bonds:
    """Every pair of files that is bound directly."""
    graph = chronicle.graph
    names = tuple(facts.name for facts in graph.files)
    place = {name: at for at, name in enumerate(names)}
    found: tuple[dict[int, Bond], ...] = tuple({} for _ in names)
    for edge in sorted(graph.edges, key=_strength):
        first, then = place[edge.needs], place[edge.file]
        if first < then and then < len(found) and first not in found[then] and edge.because:
            because = edge.because[0]
            why = edge.hazard.replace("-", " ") + ("" if edge.strength in ("hard", "order") else f", {edge.strength}")
            found[then][first] = Bond(names[first], names[then], because.object, why, because.at, because.provider)

    for facts in graph.files:  # where both make one name, either of them fails behind the other
        for need in facts.requires:
            maker = need.provider.file if need.kind == "name" and need.provider is not None else facts.name
            first, then = place[maker], place[facts.name]
            if first < then and need.provider is not None:
                found[then].setdefault(
                    first, Bond(maker, facts.name, need.object, "both make it", need.at, need.provider)
                )

    def bind(one: Site, other: Site, says: str, why: str) -> None:
        first, then = sorted((one, other), key=lambda site: site.file)
        if first.file >= 0 and first.file != then.file and first.file not in found[then.file]:
            found[then.file][first.file] = Bond(
                names[first.file], names[then.file], says, why, chronicle.place(then), chronicle.place(first)
            )

    _lost(chronicle, found, place)
    _names(chronicle, bind)
    _parts(chronicle, bind)
    for here, taken, says in chronicle.numbered:
        bind(here, taken, says, "chosen beside one that was taken")
    for site, says in chronicle.barriers:
        for at in range(len(names)):
            if at != site.file:
                bind(site, site._replace(file=at, statement=0, line=1), says, "bears on every statement")
    _rows(chronicle, bind)  # the weakest: where a pair is bound in another way as well, that is what is told
    for opaque in graph.opaque:
        at = place[opaque.at.file]
        for other, name in enumerate(names):
            first, then = min(at, other), max(at, other)
            if first != then and first not in found[then]:
                found[then][first] = Bond(
                    names[first],
                    names[then],
                    opaque.reason,
                    "not seen through",
                    *_ends(opaque.at, name, later=at > other),
                )
    return Bonds(graph, names, found)


def commute(bonds: Bonds, one: str, other: str) -> Commute:
    """Whether two files may swap places, with the reason."""
    first, then = sorted((bonds.names.index(one), bonds.names.index(other)))
    chain = bonds.chain(first, then)
    a, b = bonds.graph.files[first], bonds.graph.files[then]
    held = {lock.relation: lock for lock in a.locks}
    both = [(held[lock.relation], lock) for lock in b.locks if lock.relation in held]
    moved = (bonds.behind(first, then - 1) | bonds.ahead(then, first + 1)) if not chain else set()
    return Commute(
        a.name,
        b.name,
        tuple(chain),
        tuple(sorted(lock.relation for lock, _ in both)),
        tuple(sorted(mine.relation for mine, theirs in both if _exclude(mine, theirs))),
        then - first - 1,
        tuple(bonds.names[each] for each in sorted(moved)),
    )


def waves(bonds: Bonds) -> tuple[Wave, ...]:
    """The files in waves: whoever is in one is free of all the others in it, and their locks do not exclude each other.

    Every file is in the earliest wave that it can be in.
    """
    level: list[int] = []
    because: list[Bond | None] = []
    holders: dict[str, list[tuple[int, Lock]]] = {}
    for file, facts in enumerate(bonds.graph.files):
        at, why = 0, None
        for first in sorted(bonds.by_file[file]):
            if level[first] >= at:
                at, why = level[first] + 1, bonds.by_file[file][first]
        held = [(other, theirs, lock) for lock in facts.locks for other, theirs in holders.get(lock.relation, ())]
        for other, theirs, lock in sorted(held, key=lambda each: (level[each[0]], each[0])):
            if level[other] >= at and _exclude(theirs, lock):
                at, why = level[other] + 1, _locked(bonds, other, file, theirs, lock)
        level.append(at)
        because.append(why)
        for lock in facts.locks:
            holders.setdefault(lock.relation, []).append((file, lock))
    return tuple(
        Wave(tuple(Member(bonds.names[file], because[file]) for file, its in enumerate(level) if its == wave))
        for wave in range(max(level, default=-1) + 1)
    )


def _rows(chronicle: Chronicle, bind: Bind) -> None:
    """Who writes the rows of a table is bound to who writes or reads them, or changes what they are checked by."""
    shaped: dict[int, dict[int, Site]] = {}
    for event in chronicle.events:
        if event.deed != "filled" and event.what not in QUIET and event.site.file >= 0:
            parent = chronicle.things[event.thing].parent
            for each in (event.thing, parent):
                if each is not None:
                    shaped.setdefault(each, {}).setdefault(event.site.file, event.site)
    for thing, writers in chronicle.writes.items():
        says = f"rows of {chronicle.things[thing].label} {chronicle.things[thing].names[-1].full}"
        for others, why in (
            (writers, "both write them"),
            (chronicle.reads.get(thing, {}), "one writes them, the other reads them"),
            (shaped.get(thing, {}), "one writes them, the other changes their table"),
        ):
            for writer in writers.values():
                for other in others.values():
                    bind(writer, other, says, why)


def _names(chronicle: Chronicle, bind: Bind) -> None:
    """Who asked in vain for a name, or for all objects of a schema, is bound to who makes such a one later.

    So are those who add values to one enum, which sorts by their order.
    """
    added: dict[int, Site] = {}
    asked: dict[str, list[Asked]] = {}
    for each in chronicle.asked:
        asked.setdefault(each.name, []).append(each)
    stars: dict[int, list[Site]] = {}
    for number, site in chronicle.stars:
        stars.setdefault(number, []).append(site)
    for event in chronicle.events:
        thing = chronicle.things[event.thing]
        name = thing.names[0]
        if event.along:
            continue
        if event.deed == "made":
            for each in asked.get(name.name, ()):
                if each.schema in ("", name.schema) and each.site.file < event.site.file:
                    bind(each.site, event.site, event.says, "asked for, and made later")
            for each in asked.get("", ()) if thing.parent is None else ():
                if each.schema in ("", name.schema) and each.site.file < event.site.file:
                    bind(each.site, event.site, event.says, "all of its schema were meant")
        if thing.label == "label" and thing.parent is not None:
            if (last := added.get(thing.parent)) is not None:
                bind(last, event.site, event.says, "the order of an enum's values")
            added[thing.parent] = event.site
        if thing.label == "column" and thing.parent is not None:
            for site in stars.get(thing.parent, ()):
                bind(site, event.site, event.says, "all columns were taken")


def _lost(chronicle: Chronicle, found: tuple[dict[int, Bond], ...], place: dict[str, int]) -> None:
    """What a file needs and has not is bound to those that dropped or renamed something of that name before."""
    names = chronicle.graph.files
    gone: dict[frozenset[str], Site] = {}
    lacks = [
        (frozenset(re.findall(r"\w+", need.object)), need)
        for facts in names
        for need in facts.requires
        if need.source == "missing" and need.strength not in ("late", "external")
    ]
    for event in chronicle.events if lacks else ():
        if event.deed in ("dropped", "renamed", "moved") and event.site.file >= 0:
            for name in chronicle.things[event.thing].names:
                gone.setdefault(frozenset(re.findall(r"\w+", name.name)), event.site)
    for words, need in lacks:
        then = place[need.at.file]
        for name_words, site in gone.items():
            if name_words and name_words <= words and site.file < then:
                bond = Bond(
                    names[site.file].name,
                    need.at.file,
                    need.object,
                    "not there any more",
                    need.at,
                    chronicle.place(site),
                )
                found[then].setdefault(site.file, bond)


def _parts(chronicle: Chronicle, bind: Bind) -> None:
    """What a table or a column takes along when it is dropped had to be done with it before."""
    parts: dict[int, list[tuple[Thing, Site]]] = {}
    for event in chronicle.events:
        thing = chronicle.things[event.thing]
        if event.along:
            continue
        if event.deed == "dropped":
            for _, site in parts.get(event.thing, ()):
                bind(site, event.site, event.says, "dropped with its parts later")
            names = {name.name for name in thing.names} if thing.label == "column" else set()
            for part, site in parts.get(thing.parent or 0, ()):
                if names.intersection(part.columns):
                    bind(site, event.site, event.says, "dropped with what stands on it later")
        if thing.parent is not None:
            parts.setdefault(thing.parent, []).append((thing, event.site))


def _locked(bonds: Bonds, first: int, then: int, theirs: Lock, mine: Lock) -> Bond:
    return Bond(
        bonds.names[first], bonds.names[then], mine.relation, f"{mine.mode} excludes {theirs.mode}",
        _at(bonds.graph, then, mine), _at(bonds.graph, first, theirs),
    )  # fmt: skip


def _at(graph: Graph, file: int, lock: Lock) -> Place:
    return Place(graph.files[file].name, lock.line)


def _ends(opaque: Place, name: str, *, later: bool) -> tuple[Place, Place]:
    other = Place(name, 1)
    return (opaque, other) if later else (other, opaque)


def _exclude(one: Lock, other: Lock) -> bool:
    return other.mode in CONFLICTS[one.mode]


def _strength(edge: Edge) -> int:
    return ("hard", "row", "late", "external", "set", "order").index(edge.strength)
