"""How does PostgreSQL answer a query: which nodes, over which relations and indexes, joined in which order?

What differs from run to run (costs, rows, times, workers, conditions) is no part of a shape: equal shapes are equal
plans in the eyes of a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUFFERS = ("Shared Hit Blocks", "Shared Read Blocks", "Local Hit Blocks", "Local Read Blocks", "Temp Read Blocks",
            "Temp Written Blocks")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """What EXPLAIN says of one query at one moment.

    `lines` is the shape, a node a line, indented by depth. `buffers` are the pages that it touched, wherever they came
    from; None where it was not run. `cost` is the planner's own estimate, in its own unit.
    """

    lines: tuple[str, ...]
    relations: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    parallel: bool = False
    cost: float = 0.0
    buffers: int | None = None


def look(document: Any) -> Look:
    """A shape from what EXPLAIN (VERBOSE, FORMAT JSON) gives."""
    root = document[0]["Plan"]
    nodes = list(_nodes(root, 0))
    buffers = [int(root[name]) for name in _BUFFERS if name in root]
    return Look(
        tuple(f"{'  ' * depth}{_said(node)}" for depth, node in nodes),
        tuple(sorted({name for _, node in nodes if (name := _relation(node))})),
        tuple(sorted({str(node["Index Name"]) for _, node in nodes if "Index Name" in node})),
        any(str(node["Node Type"]).startswith("Gather") for _, node in nodes),
        float(root.get("Total Cost", 0)),
        sum(buffers) if buffers else None,
    )


def _nodes(node: dict[str, Any], depth: int) -> Iterator[tuple[int, dict[str, Any]]]:
    yield depth, node
    for child in node.get("Plans", ()):
        yield from _nodes(child, depth + 1)


def _said(node: dict[str, Any]) -> str:
    words = [str(node["Node Type"])]
    if node.get("Join Type", "Inner") != "Inner":
        words.append(f"({node['Join Type']})")
    if node.get("Strategy", "Plain") != "Plain":
        words.append(f"({node['Strategy']})")
    if node.get("Scan Direction") == "Backward":
        words.append("backward")
    if "Index Name" in node:
        words.append(f"by {node['Index Name']}")
    if relation := _relation(node):
        words.append(f"on {relation}")
    words += [f"on {node[name]}" for name in ("Function Name", "CTE Name") if name in node]
    if "Subplan Name" in node:
        words.append(f"[{node['Subplan Name']}]")
    return " ".join(words)


def _relation(node: dict[str, Any]) -> str:
    if "Relation Name" not in node:
        return ""
    return ".".join(_quoted(str(node[part])) for part in ("Schema", "Relation Name") if part in node)


def _quoted(name: str) -> str:
    plain = name.isascii() and name.replace("_", "a").isalnum() and name.islower() and not name[0].isdigit()
    return name if plain else '"' + name.replace('"', '""') + '"'
