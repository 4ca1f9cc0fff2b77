"""A complete preflight on one screen: what was looked at, group by group, each with its evidence."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from lancio.planner.model import Group
from lancio.render.lines import clean, counted, listed, wrap
from lancio.render.words import requires

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lancio.planner.model import FileFacts, Item, Plan
    from lancio.render.words import Steps

MARKS = {"met": "✓", "unmet": "✗", "unknown": "?", "warning": "!", "note": "·"}

TITLES = {"room": "ROOM ON THE DISK", "services": "SERVICES OUTSIDE"}

FOLDED = 6
"""So many lines that are met stand in a group, or at a step; more are a count, unless all are asked for."""

STEPS = 10
"""So many steps are listed; of more, those with everything met are a count."""

ERRORS = 20
"""So many of what is missing are told in full."""

ROWS = frozenset(("row", "data"))
"""Kinds of requirements that are about rows."""


def groups(plan: Plan, steps: Steps, cells: int, *, unfold: bool) -> list[str]:
    """Objects and rows by their steps, then every other group that has something to say."""
    lines = _by_steps(plan, steps, cells, unfold=unfold, rows=False)
    lines += _by_steps(plan, steps, cells, unfold=unfold, rows=True)
    for group in get_args(Group):
        items = [item for item in plan.items if item.group == group]
        if items:
            lines += [*_title(group, Counter(item.mark for item in items)), *_items(items, cells, unfold=unfold), ""]
    return lines


def _title(group: str, marks: Counter[str]) -> list[str]:
    total = sum(count for mark, count in marks.items() if mark != "note")
    said = [f"{marks['met']} of {total} met"] if total else []
    said += [counted(marks["warning"], "warning")] if marks["warning"] else []
    said += [f"{marks['unknown']} unknown"] if marks["unknown"] else []
    worst = next((mark for mark in ("unmet", "warning", "unknown") if marks[mark]), "met" if total else "note")
    summary = f": {', '.join(said)}" if said else ""
    return [f"{MARKS[worst]} {TITLES.get(group, group.upper())}{summary}"]


def _items(items: Sequence[Item], cells: int, *, unfold: bool) -> list[str]:
    lines: list[str] = []
    met = [item for item in items if item.mark == "met"]
    fold = len(met) > FOLDED and not unfold
    first = {id(item) for item in met[: FOLDED // 2]}
    shown = [item for item in items if item.mark != "met" or not fold or id(item) in first]
    hidden = 0
    if not unfold and len(shown) > 2 * FOLDED:
        worst_first = sorted(shown, key=lambda item: list(MARKS).index(item.mark) if item.mark != "met" else len(MARKS))
        keep = {id(item) for item in worst_first[: 2 * FOLDED]}
        hidden = len(shown) - len(keep)
        shown = [item for item in shown if id(item) in keep]
    for item in shown:
        place = f" ({item.at})" if item.at is not None else ""
        evidence = f": {item.evidence}" if item.evidence else ""
        lines += wrap(f"{item.says}{evidence}{place}", cells, first=f"  {MARKS[item.mark]} ", rest="      ")
        if item.mark != "unmet":  # what is unmet has its commands below
            lines += [f"      {clean(command)}" for command in item.commands]
    if hidden:
        lines += wrap(f"and {hidden} more (--all lists them)", cells, first="  · ")
    if fold:
        lines += wrap(f"{_alike(met[FOLDED // 2 :])} (--all lists them)", cells, first="  ✓ ")
    return lines


def _alike(items: Sequence[Item]) -> str:
    """Many that are met, in one line: their number, and what was seen where that is the same of all."""
    seen = {item.evidence for item in items}
    return f"{len(items)} more met" + (f": {seen.pop()}" if len(seen) == 1 else "")


def _by_steps(plan: Plan, steps: Steps, cells: int, *, unfold: bool, rows: bool) -> list[str]:
    """What the files themselves require, step by step: of objects, or of rows."""
    blocks: list[tuple[str, list[tuple[str, str]]]] = []
    for step in plan.steps:
        facts = step.facts
        shown = requires(_only(facts, rows=rows), steps, plan)
        if rows:
            found = [item for item in plan.missing if item.file == facts.name and item.requirement.kind == "data"]
            shown += [("✗" if item.blocking else "?", item.message) for item in found]
        if shown or not rows:
            blocks.append((steps.title(facts.name), shown))
    if not blocks:
        return []
    names = {"✓": "met", "✗": "unmet", "?": "unknown", "·": "note"}
    marks = Counter(names[mark] for _, shown in blocks for mark, _ in shown)
    lines = _title("rows" if rows else "objects", marks)
    folded = hidden = listed_ = 0
    for title, shown in blocks:
        met = all(mark == "✓" for mark, _ in shown)
        if len(blocks) > STEPS and not unfold and (met or listed_ >= STEPS):
            folded, hidden = folded + met, hidden + (not met)
            continue
        listed_ += 1
        lines += wrap(title, cells, first="  ")
        good = [said for mark, said in shown if mark == "✓"]
        fold = len(good) > FOLDED and not unfold
        for mark, said in shown:
            if mark != "✓" or not fold:
                lines += wrap(said, cells, first=f"    {mark} ")
        if not shown:
            lines.append("    ✓ requires nothing")
        if fold:
            lines += wrap(f"{listed(good, 3)} (--all lists them)", cells, first="    ✓ ")
    if hidden:
        lines += wrap(f"and {counted(hidden, 'step')} more that lack something (--all lists them)", cells, first="  ✗ ")
    if folded:
        lines += wrap(f"{counted(folded, 'step')}, every requirement met (--all lists them)", cells, first="  ✓ ")
    return [*lines, ""]


def _only(facts: FileFacts, *, rows: bool) -> FileFacts:
    """A file with its requirements of rows alone, or of all else; services have a group of their own."""
    kept = tuple(each for each in facts.requires if (each.kind in ROWS) == rows)
    return replace(facts, requires=kept, services=())
