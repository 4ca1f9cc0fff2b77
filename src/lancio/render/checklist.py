"""The checklist and the critical path, for a terminal and as Markdown for a pull request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lancio.render.lines import clean, counted, heading, lasted, width, wrap
from lancio.render.text import joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lancio.executor.counters import Since
    from lancio.planner.checklist import Bottleneck, Checklist, Item, Line, Path, Phase

MARKS = {True: "- [x]", False: "- [ ]", None: "- [·]"}

EACH = 30
"""So many lines of a phase are told one by one; of more, those that are ticked are counted."""

MITIGATION = "Pre-test connection, have rollback ready"

Shown = tuple["Line | int", ...]
"""The lines of a phase, and numbers in place of so many ticked ones."""


def text(checklist: Checklist, cells: int) -> str:
    """The three phases, each line ticked or with its reason, then the critical path."""
    return joined([*phases(checklist, cells), "", *_path(checklist.path, cells)])


def phases(checklist: Checklist, cells: int) -> list[str]:
    """The three phases alone, as lines."""
    lines = heading("EXECUTION CHECKLIST", cells)
    for phase in checklist.phases:
        lines += ["", phase.title]
        for line in _shown(phase):
            if isinstance(line, int):
                lines += wrap(f"{counted(line, 'more line')} as well", cells, first=f"{MARKS[True]} ")
            else:
                lines += _line(line.says, line.ticked, line.reason, cells)
    return lines


def data(checklist: Checklist) -> dict[str, Any]:
    """The checklist as plain data."""
    path = checklist.path
    return {
        "phases": [
            {"title": phase.title, "lines": [_plain(line) for line in phase.lines]} for phase in checklist.phases
        ],
        "open": checklist.open,
        "critical_path": {
            "blocking": [_item(item) for item in path.blocking],
            "non_blocking": [_item(item) for item in path.non_blocking],
            "bottleneck": {
                "says": bottleneck(path.bottleneck),
                "file": path.bottleneck.file or None,
                "takes_ms": path.bottleneck.takes_ms,
                "total_ms": path.bottleneck.total_ms,
                "measured": path.bottleneck.measured,
                "unknown_steps": path.bottleneck.unknown,
            },
            "single_point_of_failure": path.single_point_of_failure,
            "mitigation": [_plain(line) for line in path.mitigation],
        },
    }


def since(found: Since, lost: Sequence[str], says_not: str, cells: int) -> str:
    """What was counted since a run, what was applied and does not stand any more, and what the counts can't tell."""
    lines = heading("SINCE THE RUN", cells)
    if found.at is not None:
        ended = "ended" if found.outcome == "done" else f"ended ({found.outcome}; its own rollback may be counted)"
        lines += wrap(f"Run {found.run} {ended} {found.at:%Y-%m-%d %H:%M:%S %z}.", cells)
    if found.later:
        said = f"{counted(found.later, 'later run')} without an end (killed, or still at work): also in the counts."
        lines += wrap(said, cells)
    if found.unknown:
        lines += wrap(f"not known: {found.unknown}", cells, first="  · ")
    for number, noun in (
        (found.rollbacks, "rollback"),
        (found.deadlocks, "deadlock"),
        (found.conflicts, "recovery conflict"),
        (found.checksum_failures, "checksum failure"),
    ):
        if number is not None:
            lines += wrap(counted(number, noun), cells, first=f"  {'✗' if number else '✓'} ")
    if found.checksum_failures is None and not found.unknown:
        lines += wrap("checksum failures are not counted here", cells, first="  · ")
    for each in lost:
        lines += wrap(f"does not hold: {each}", cells, first="  ✗ ")
    if not lost:
        lines += wrap("every check of what was applied holds", cells, first="  ✓ ")
    return joined([*lines, "", *wrap(says_not, cells)])


def bottleneck(found: Bottleneck) -> str:
    """`None (total execution ~6 seconds)`, or the step that takes more than half of the time."""
    if found.total_ms is None:
        return "not known: nothing was measured here, and no file declares a duration"
    about = "" if found.measured else "~"
    total = f"{about}{lasted(found.total_ms)}"
    unknown = f", without {counted(found.unknown, 'step')} of unknown duration" if found.unknown else ""
    if not found.file:
        return f"None (total execution {total}{unknown})"
    return f"{found.file} ({about}{lasted(found.takes_ms or 0)} of {total}{unknown})"


def _path(path: Path, cells: int) -> list[str]:
    lines = [*heading("CRITICAL PATH ANALYSIS", cells), "", "Blocking (must complete before migration)"]
    lines += _items(path.blocking, cells)
    lines += ["", "Non-blocking (can fix after migration)"]
    lines += _items(path.non_blocking, cells) or ["(none)"]
    lines += ["", *wrap(bottleneck(path.bottleneck), cells, first="Bottleneck: ")]
    lines += ["", *wrap(path.single_point_of_failure, cells, first="Single point of failure: ")]
    lines += wrap(MITIGATION, cells, first="Mitigation: ")
    for line in path.mitigation:
        lines += _line(line.says, line.ticked, line.reason, cells)
    return lines


def _items(items: Sequence[Item], cells: int) -> list[str]:
    lines: list[str] = []
    for number, item in enumerate(items, 1):
        mark = f"{number}. {'✓' if item.ticked else '✗'} "
        lines += wrap(f"{item.says} ← {item.weight}", cells, first=mark)
        if item.reason:
            lines += wrap(item.reason, cells, first=f"{' ' * width(mark)}  ")
    return lines


def _line(says: str, ticked: bool | None, reason: str, cells: int) -> list[str]:
    mark = MARKS[ticked]
    lines = wrap(says, cells, first=f"{mark} ")
    return lines + (wrap(reason, cells, first=f"{' ' * width(mark)}   ") if reason else [])


def _shown(phase: Phase) -> Shown:
    if len(phase.lines) <= EACH:
        return phase.lines
    left = tuple(line for line in phase.lines if line.ticked is not True)
    return (*left, len(phase.lines) - len(left)) if len(left) < len(phase.lines) else left


# Markdown.


def markdown(checklist: Checklist) -> str:
    """The same as a task list of GitHub's Markdown. Whatever a file or an object is called, it stays text."""
    lines = ["## Execution checklist", ""]
    for phase in checklist.phases:
        lines += [f"**{phase.title}**", ""]
        for line in _shown(phase):
            if isinstance(line, int):
                lines.append(f"- [x] {counted(line, 'more line')} as well")
            else:
                lines.append(_task(line))
        lines.append("")
    path = checklist.path
    lines += ["## Critical path", "", "**Blocking** (must complete before migration)", ""]
    lines += _numbered(path.blocking)
    lines += ["", "**Non-blocking** (can fix after migration)", ""]
    lines += _numbered(path.non_blocking) or ["none"]
    lines += ["", f"**Bottleneck**: {escape(bottleneck(path.bottleneck))}"]
    lines += [
        "",
        f"**Single point of failure**: {escape(path.single_point_of_failure)}",
        "",
        f"**Mitigation**: {MITIGATION}",
        "",
    ]
    lines += [_task(line) for line in path.mitigation]
    return "\n".join(lines) + "\n"


def escape(given: str) -> str:
    """A text inside of a line that Markdown shows as it is: no markup, no HTML, no link, no mention, no issue."""
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~&$]|:(?=//)|(?<=www)\.)", r"\\\1", clean(given))
    # A mention is looked for in what Markdown has made of the text, where no backslash is left: a comment parts it.
    return re.sub(r"(@|\\#|\bGH-)(?=\w)", r"\1<!-- -->", escaped)


def code(given: str) -> str:
    """A text as code, also where there are backticks in it."""
    given = clean(given)
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", given)), default=0))
    pad = " " if given.startswith("`") or given.endswith("`") else ""
    return f"{fence}{pad}{given}{pad}{fence}"


def _task(line: Line) -> str:
    says = escape(line.says)
    if line.quoted and line.quoted in line.says:
        before, _, after = line.says.partition(line.quoted)
        says = f"{escape(before)}{code(line.quoted)}{escape(after)}"
    return f"- [{'x' if line.ticked else ' '}] {says}{f': {escape(line.reason)}' if line.reason else ''}"


def _numbered(items: Iterable[Item]) -> list[str]:
    return [
        f"{number}. {'✓' if item.ticked else '✗'} {escape(item.says)} ← {escape(item.weight)}"
        f"{f': {escape(item.reason)}' if item.reason else ''}"
        for number, item in enumerate(items, 1)
    ]


def _plain(line: Line) -> dict[str, Any]:
    return {"says": line.says, "ticked": line.ticked, "reason": line.reason}


def _item(item: Item) -> dict[str, Any]:
    return {"says": item.says, "weight": item.weight, "ticked": item.ticked, "reason": item.reason}
