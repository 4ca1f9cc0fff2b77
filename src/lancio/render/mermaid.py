"""A graph as a Mermaid flowchart, for READMEs and pull requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancio.render.lines import clean, listed
from lancio.render.words import hard, noun

if TYPE_CHECKING:
    from lancio.planner.model import Edge, Graph

NAMED = 2
"""So many objects stand on an arrow; the rest is counted."""


def graph(graph: Graph) -> str:
    """A `flowchart TD`: a node a file, an arrow from what is needed to what needs it.

    Late needs are dotted; an order that only the files' names give is drawn as a thin line without an object.
    """
    ids = {facts.name: f"f{number}" for number, facts in enumerate(graph.files, 1)}
    lines = ["flowchart TD"]
    lines += [f'    {ids[facts.name]}["{escape(facts.name)}"]' for facts in graph.files]
    between: dict[tuple[str, str], list[Edge]] = {}
    for edge in graph.edges:
        if edge.needs in ids and edge.file in ids:
            between.setdefault((edge.needs, edge.file), []).append(edge)
    for (needs, file), edges in between.items():
        strong = [edge for edge in edges if hard(edge)]
        if not strong:
            lines.append(f"    {ids[needs]} --- {ids[file]}")
            continue
        objects = list(dict.fromkeys(noun(because.object) for edge in strong for because in edge.because))
        arrow = "-.->" if all(edge.strength in ("late", "set") for edge in strong) else "-->"
        label = f'|"{escape(listed(objects, NAMED + 1))}"|' if objects else ""
        lines.append(f"    {ids[needs]} {arrow}{label} {ids[file]}")
    return "\n".join(lines) + "\n"


def escape(label: str) -> str:
    """A label inside double quotes: Mermaid reads `#name;` as a character, and the rest of markup as markup."""
    escaped = clean(label).replace("#", "#35;")
    for char, code in (('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("`", "#96;"), ("&", "#amp;")):
        escaped = escaped.replace(char, code)
    return escaped
