"""What stands around one file or one object: who it needs, who needs it, and why?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lancio.planner.history import find, history

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lancio.planner.chronicle import Chronicle
    from lancio.planner.history import History
    from lancio.planner.model import Edge, Graph


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The files in the middle, the edges that leave them and arrive, and all that lies before and behind.

    Of an object the middle is every file that made, changed or dropped it, the edges are those that it is the reason
    of or that its statements need, and before and behind lie only the files of these edges.
    """

    said: str
    center: tuple[str, ...]
    needs: tuple[Edge, ...]
    needed_by: tuple[Edge, ...]
    before: tuple[str, ...]  # in the order of the graph, without the middle
    behind: tuple[str, ...]
    history: History | None = None

    @property
    def files(self) -> frozenset[str]:
        """All of them."""
        return frozenset((*self.center, *self.before, *self.behind))


def of_file(graph: Graph, name: str) -> Neighbourhood:
    """The neighbourhood of a file: all its ancestors and descendants. An order by names alone makes none."""
    edges = [edge for edge in graph.edges if edge.strength != "order"]
    before = _reach(name, ((edge.file, edge.needs) for edge in edges))
    behind = _reach(name, ((edge.needs, edge.file) for edge in edges))
    return Neighbourhood(
        name,
        (name,),
        tuple(edge for edge in edges if edge.file == name),
        tuple(edge for edge in edges if edge.needs == name),
        tuple(facts.name for facts in graph.files if facts.name in before),
        tuple(facts.name for facts in graph.files if facts.name in behind),
    )


def of_object(chronicle: Chronicle, said: str) -> Neighbourhood:
    """The neighbourhood of an object, as people name it.

    Raises:
        UsageError: no such object, or several.
    """
    graph = chronicle.graph
    numbers = find(chronicle, said)
    told = history(chronicle, numbers)
    own = {(entry.at.file, entry.at.line) for entry in told.entries}
    center = dict.fromkeys(entry.at.file for entry in told.entries)
    chosen = set(numbers)
    names = {
        f"{thing.label} {name.full}"
        for number, thing in chronicle.things.items()
        if number in chosen or thing.parent in chosen
        for name in thing.names
    }
    needs, needed_by = [], []
    for edge in graph.edges:
        if edge.strength == "order":
            continue
        about = tuple(each for each in edge.because if each.object.partition(" (")[0] in names or each.object in names)
        if about and edge.needs in center:
            needed_by.append(replace(edge, because=about))
        elif edge.file in center:
            wanted = tuple(each for each in edge.because if (each.at.file, each.at.line) in own)
            if wanted:
                needs.append(replace(edge, because=wanted))
    before = {edge.needs for edge in needs} - center.keys()
    behind = {edge.file for edge in needed_by} - center.keys()
    order = [facts.name for facts in graph.files]
    return Neighbourhood(
        told.object,
        tuple(center),
        tuple(needs),
        tuple(needed_by),
        tuple(name for name in order if name in before),
        tuple(name for name in order if name in behind),
        told,
    )


def _reach(name: str, pairs: Iterable[tuple[str, str]]) -> set[str]:
    """Everything that is reached from `name`, without itself."""
    steps: dict[str, list[str]] = {}
    for start, end in pairs:
        steps.setdefault(start, []).append(end)
    seen = {name}
    waiting = [name]
    while waiting:
        for each in steps.get(waiting.pop(), ()):
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    return seen - {name}
