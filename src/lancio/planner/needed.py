"""Which files does one need to run, and what would come too late once it has run without the others?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancio.planner.model import Finding

if TYPE_CHECKING:
    from collections.abc import Collection

    from lancio.planner.model import Graph

BINDING = frozenset(("hard", "row", "late"))
"""Edges of this strength are needs; the others only give an order."""


def least(graph: Graph, name: str) -> frozenset[str]:
    """The file and all that it needs, directly or through others: without one of them it, or a call, fails.

    A file that only reads what this one changes later (write after read) is not needed.
    """
    needs: dict[str, list[str]] = {}
    for edge in graph.edges:
        if edge.strength in BINDING and edge.hazard != "write-after-read":
            needs.setdefault(edge.file, []).append(edge.needs)
    found = {name}
    waiting = [name]
    while waiting:
        for before in needs.get(waiting.pop(), ()):
            if before not in found:
                found.add(before)
                waiting.append(before)
    return frozenset(found)


def left_out(graph: Graph, chosen: Collection[str], pending: Collection[str]) -> list[Finding]:
    """Files among `pending` that would have to run before one of `chosen`, are not needed by it, and are left out.

    Run afterwards, such a file meets what it does not expect: what it reads is dropped or changed already, or it
    writes over a later change.
    """
    found: dict[str, Finding] = {}
    for edge in graph.edges:
        if edge.file in chosen and edge.needs not in chosen and edge.needs in pending and edge.needs not in found:
            because = edge.because[0]
            does = "uses" if edge.hazard == "write-after-read" else "makes or changes"
            found[edge.needs] = Finding(
                "left out",
                "warning",
                f"{edge.needs} is left out, and {does} {because.object} at line {because.provider.line} before "
                f"{because.at} changes it; afterwards it may fail, or undo that",
                because.at,
                f"Run {edge.needs} too, before {edge.file}: leave --minimal away.",
            )
    return list(found.values())
