"""What is left of a graph that has to fit a page? Links that say something new, and what hangs together as one box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lancio.render.lines import clean
from lancio.render.words import hard

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from lancio.planner.model import Edge, Graph

MANY = 60
"""With more files than this, pictures fold what hangs together."""


@dataclass(frozen=True, slots=True)
class Box:
    """Files that are drawn as one: a single one, a run of which nothing else hangs on any but the last, or several
    between the same neighbours.
    """

    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """One box must run before another, because of these edges between their files."""

    before: int
    after: int
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """Boxes in an order that can run, and the links between them, each to a later box."""

    boxes: tuple[Box, ...]
    links: tuple[Link, ...]
    files: int  # how many files the boxes hold
    needs: int  # how many pairs of files are bound to their order directly
    told: int  # how many of them are left without those that follow from others


def short(name: str) -> str:
    """A file's name without its ending; of a folder for each migration, the folder's."""
    folder, _, last = clean(name).rpartition("/")
    return folder if folder and last in ("up.sql", "migration.sql") else clean(name).removesuffix(".sql")


def outline(
    graph: Graph,
    *,
    only: Collection[str] | None = None,
    keep: Collection[str] = (),
    all_edges: bool = False,
    unfold: bool = False,
) -> Outline:
    """The outline of a graph, or of the files in `only`.

    A link that follows from others is left out unless `all_edges` asks for it. Files that hang together become one
    box where there are many, unless `unfold` forbids it; those in `keep` always have a box of their own. An order
    that only the names of the files give is no link.
    """
    names = [facts.name for facts in graph.files if only is None or facts.name in only]
    place = {name: at for at, name in enumerate(names)}
    between: dict[tuple[int, int], list[Edge]] = {}
    for edge in graph.edges:
        if hard(edge) and edge.needs in place and edge.file in place and place[edge.needs] < place[edge.file]:
            between.setdefault((place[edge.needs], place[edge.file]), []).append(edge)
    told = reduced(len(names), between)
    drawn = sorted(between) if all_edges else told
    groups = [[at] for at in range(len(names))]
    if not unfold and len(names) > MANY:
        groups = _folded(len(names), told, {place[name] for name in keep if name in place})
    home = {at: number for number, group in enumerate(groups) for at in group}
    links: dict[tuple[int, int], list[Edge]] = {}
    for before, after in drawn:
        if home[before] != home[after]:
            links.setdefault((home[before], home[after]), []).extend(between[before, after])
    return Outline(
        tuple(Box(tuple(names[at] for at in group)) for group in groups),
        tuple(Link(before, after, tuple(edges)) for (before, after), edges in sorted(links.items())),
        len(names),
        len(between),
        len(told),
    )


def reduced(size: int, pairs: Collection[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of pairs (before, after), each to a later number, those that do not follow from others; sorted."""
    before: list[list[int]] = [[] for _ in range(size)]
    for start, end in pairs:
        before[end].append(start)
    above = [0] * size  # all that lies before each, as bits
    kept = []
    for end in range(size):
        for start in sorted(set(before[end]), reverse=True):
            if not above[end] >> start & 1:
                kept.append((start, end))
                above[end] |= above[start] | 1 << start
    return sorted(kept)


def _folded(size: int, pairs: Iterable[tuple[int, int]], keep: Collection[int]) -> list[list[int]]:
    """Groups of numbers that hang together, in an order in which every pair leads to a later group.

    Those between the same neighbours become one group, and so do those that follow one another with nothing else
    between; again until nothing more folds. Files side by side do not fold with the one before them: a table and all
    that hangs on it would be a single box.
    """
    beside: set[int] = set()
    groups = {at: [at] for at in range(size)}
    before: dict[int, set[int]] = {at: set() for at in groups}
    after: dict[int, set[int]] = {at: set() for at in groups}
    for start, end in pairs:
        before[end].add(start)
        after[start].add(end)

    def merge(into: int, other: int) -> None:
        groups[into] = sorted(groups[into] + groups.pop(other))
        for each in before.pop(other) - {into}:
            after[each].discard(other)
            after[each].add(into)
            before[into].add(each)
        for each in after.pop(other) - {into}:
            before[each].discard(other)
            before[each].add(into)
            after[into].add(each)
        before[into].discard(other)
        after[into].discard(other)

    folding = True
    while folding:
        count = len(groups)
        alike: dict[tuple[frozenset[int], frozenset[int]], int] = {}
        for at in sorted(groups):
            if at not in keep:
                first = alike.setdefault((frozenset(before[at]), frozenset(after[at])), at)
                if first != at:
                    merge(first, at)
                    beside.add(first)
        for at in sorted(groups):
            while at in groups and at not in keep and at not in beside and len(after[at]) == 1:
                (other,) = after[at]
                if other in keep or other in beside or len(before[other]) != 1:
                    break
                merge(at, other)
        folding = len(groups) < count
    return _ordered(groups, before, after)


def _ordered(groups: dict[int, list[int]], before: dict[int, set[int]], after: dict[int, set[int]]) -> list[list[int]]:
    """The groups so that each stands behind those before it; ties go to the one that begins first."""
    from heapq import heapify, heappop, heappush

    waits = {at: len(before[at]) for at in groups}
    ready = [at for at, count in waits.items() if count == 0]
    heapify(ready)
    order = []
    while ready:
        at = heappop(ready)
        order.append(groups[at])
        for other in after[at]:
            waits[other] -= 1
            if waits[other] == 0:
                heappush(ready, other)
    return order
