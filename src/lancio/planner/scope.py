"""What of a database does a plan put at risk: rows that it changes or drops, definitions that it touches?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lancio.planner.locks import MODES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lancio.planner.model import Effect, Plan

WRITES = MODES.index("ROW EXCLUSIVE")
"""A lock this strong or stronger is one of a statement that writes rows or changes a definition."""

_FACET = re.compile(r" \([^()]*\)$")
_KINDS = ("routine", "aggregate", "type", "relation", "schema", "extension", "publication", "event trigger")


@dataclass(frozen=True, slots=True)
class Scope:
    """Names are `schema.name` without quotes, as the planner has them; `schema x` and `extension x` for those two.

    `relations` are written to, changed or dropped; `others` are routines, types and what else is changed or dropped;
    `creates` is what the plan makes anew. `opaque` says where it cannot be seen what a file does: then the scope may
    lack something.
    """

    relations: tuple[str, ...]
    others: tuple[str, ...]
    creates: tuple[str, ...]
    opaque: tuple[str, ...]
    steps: tuple[str, ...]


def of(plan: Plan) -> Scope:
    """The scope of all steps of a plan, by what was read of them."""
    relations: set[str] = set()
    others: set[str] = set()
    creates: set[str] = set()
    opaque = []
    for step in plan.steps:
        facts = step.facts
        relations |= {lock.relation for lock in facts.locks if MODES.index(lock.mode) >= WRITES}
        for effect in (*facts.drops, *facts.changes):
            (relations if _of_relation(effect) else others).update(_names(effect))
        for effect in facts.creates:
            made = creates if effect.kind in _KINDS else others if effect.kind == "label" else relations
            made.update(_names(effect))
        opaque += [f"{place.at}: {place.reason}" for place in facts.opaque]
    return Scope(
        tuple(sorted(relations)), tuple(sorted(others)), tuple(sorted(creates)), tuple(opaque),
        tuple(step.facts.name for step in plan.steps),
    )  # fmt: skip


def _of_relation(effect: Effect) -> bool:
    return effect.kind not in _KINDS or effect.kind == "relation"


def _names(effect: Effect) -> Iterable[str]:
    """`schema.name` of what an effect is on: of a column its table, of a routine its name without arguments."""
    name = _FACET.sub("", effect.name)
    if effect.kind in ("schema", "extension", "publication", "event trigger"):
        yield f"{effect.kind} {name.removeprefix(effect.kind).strip()}"
        return
    if effect.kind == "label":  # public.mood 'happy'
        name = name.partition(" '")[0]
    _, on, owner = name.partition(" on ")
    words = (owner if on else name).partition("(")[0].split(" ")
    parts = words[-1].split(".")
    if len(parts) > 1:
        yield ".".join(parts[:2])
