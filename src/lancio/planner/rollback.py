"""Which steps are taken back together, and in which order?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lancio.planner.model import Edge, Graph


@dataclass(frozen=True, slots=True)
class Choice:
    """The steps that are taken back, in the order in which they were applied, and what hangs on them.

    `hanging` has an edge for each applied step that was not asked for and must go as well; `kept` are the applied steps
    that stay. Where `together`, the last steps go, so that those that stay were all applied before them.
    """

    steps: tuple[str, ...]
    kept: tuple[str, ...]
    hanging: tuple[Edge, ...]
    together: bool


def choose(graph: Graph, applied: Sequence[str], wanted: Iterable[str]) -> Choice:
    """The steps that go with the wanted ones; `applied` are all applied steps, in the order they were applied in.

    A step hangs on another one where the graph has an edge between them, of whatever strength: it uses, changes or was
    only told apart by what the other one made.
    """
    going = set(wanted)
    there = set(applied)
    hanging: dict[str, Edge] = {}
    waiting = sorted(going)
    while waiting:
        name = waiting.pop(0)
        for edge in graph.edges:
            if edge.needs == name and edge.file in there and edge.file not in going:
                going.add(edge.file)
                hanging[edge.file] = edge
                waiting.append(edge.file)
    steps = tuple(name for name in applied if name in going)
    kept = tuple(name for name in applied if name not in going)
    order = {name: at for at, name in enumerate(applied)}
    return Choice(
        steps,
        kept,
        tuple(hanging[name] for name in steps if name in hanging),
        tuple(applied) == (*kept, *sorted(steps, key=order.__getitem__)),
    )
