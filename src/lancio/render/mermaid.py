"""A graph as a Mermaid flowchart, for READMEs and pull requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancio.render.lines import clean, listed
from lancio.render.outline import outline
from lancio.render.words import noun

if TYPE_CHECKING:
    from collections.abc import Collection

    from lancio.planner.model import Graph

NAMED = 2
"""So many objects stand on an arrow; the rest is counted."""


def graph(
    graph: Graph,
    *,
    only: Collection[str] | None = None,
    center: Collection[str] = (),
    all_edges: bool = False,
    unfold: bool = False,
) -> str:
    """A `flowchart TD`: a node a file (or a folded run of files), an arrow from what is needed to what needs it.

    Late needs are dotted. `only` draws these files alone, `center` marks some; `all_edges` and `unfold` are the
    outline's.
    """
    shown = outline(graph, only=only, keep=center, all_edges=all_edges, unfold=unfold)
    lines = ["flowchart TD"]
    for number, box in enumerate(shown.boxes, 1):
        name = box.files[0] if len(box.files) == 1 else f"{box.files[0]} … {box.files[-1]} ({len(box.files)} files)"
        lines.append(f'    f{number}["{escape(name)}"]')
    for link in shown.links:
        objects = list(dict.fromkeys(noun(because.object) for edge in link.edges for because in edge.because))
        arrow = "-.->" if all(edge.strength in ("late", "set") for edge in link.edges) else "-->"
        label = f'|"{escape(listed(objects, NAMED + 1))}"|' if objects else ""
        lines.append(f"    f{link.before + 1} {arrow}{label} f{link.after + 1}")
    marked = [f"f{number}" for number, box in enumerate(shown.boxes, 1) if set(box.files) & set(center)]
    if marked:
        lines.append(f"    style {','.join(marked)} stroke-width:4px")
    return "\n".join(lines) + "\n"


def escape(label: str) -> str:
    """A label inside double quotes: Mermaid reads `#name;` as a character, and the rest of markup as markup."""
    escaped = clean(label).replace("#", "#35;")
    for char, code in (('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("`", "#96;"), ("&", "#amp;")):
        escaped = escaped.replace(char, code)
    return escaped
