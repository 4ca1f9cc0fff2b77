"""Who really fails when one file is left out? PostgreSQL's own answer, which a graph is measured by."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lancio.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

Pair = tuple[int, int]
"""Two files by their positions from 1: the first stays behind the second."""


@dataclass(frozen=True)
class Truth:
    """What leaving out each of the first `left_out` files did to those behind it.

    `closure` are the pairs (j, i) where j fails without i, also because of a file between that failed; `direct` those
    of them that need no file between to explain them; `changed` where j runs with another effect. `catalog_edges`
    are pairs of which the catalog itself says so. `hazards` are those where j runs without i, but i fails once j has
    run before it. `messages` has PostgreSQL's sentence for a pair, as far as it was kept.
    """

    files: tuple[str, ...]
    left_out: int
    closure: frozenset[Pair]
    direct: frozenset[Pair]
    changed: frozenset[Pair]
    catalog_edges: frozenset[Pair]
    hazards: frozenset[Pair]
    broken: dict[int, str] = field(default_factory=dict)
    """Files that fail with all others before them: nothing is known of them."""
    messages: dict[Pair, str] = field(default_factory=dict)


def load(path: Path) -> Truth:
    """Read a truth from its JSON.

    Raises:
        SourceError: the file cannot be read, or has another form.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return _truth(found)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise SourceError(
            f"{path} is not the truth about a history",
            cause=f"{type(error).__name__}: {error}",
            remedy="Name a JSON file with the lists files, closure, direct, changed, catalog_edges and hazards.",
        ) from error


def _truth(found: dict[str, Any]) -> Truth:
    hazards = found.get("hazards", [])
    messages = {(int(pair.split(",")[0]), int(pair.split(",")[1])): text
                for pair, text in found.get("first_message", {}).items()}  # fmt: skip
    messages |= {(each[0], each[1]): each[2] for each in hazards if len(each) > 2}
    lists = {
        name: frozenset((each[0], each[1]) for each in found.get(name, ()))
        for name in ("closure", "direct", "changed", "catalog_edges")
    }
    return Truth(
        files=tuple(found["files"]),
        left_out=found.get("left_out", len(found["files"])),
        hazards=frozenset((each[0], each[1]) for each in hazards),
        broken={int(position): text for position, text in found.get("broken_in_full_run", {}).items()},
        messages=messages,
        **lists,
    )
