"""What does a Sqitch plan say: which changes, in which order, and what each one requires?"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lancio.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

PLAN = "sqitch.plan"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a plan: what it is called, its line, and the names of what it requires and conflicts with.

    `scripts` is the name of its files: of a change that was reworked later, with one of the tags it was good at.
    Dependencies are positions of earlier changes in the plan; those on other projects cannot be seen and are kept as
    they are written in `elsewhere`.
    """

    name: str
    line: int
    scripts: tuple[str, ...]
    requires: tuple[int, ...] = ()
    conflicts: tuple[int, ...] = ()
    elsewhere: tuple[str, ...] = ()


_CHANGE = re.compile(r"(?P<sign>[+-]?)(?P<name>[^\s\[\]@:#!%+-][^\s\[\]:#@]*)\s*(?:\[(?P<needs>[^\]]*)\])?(?:\s|$)")
_PROJECT = re.compile(r"%project=(\S+)")
_TAG = re.compile(r"@(?P<name>[^\s@:#\[\]]+)")
_NEED = re.compile(r"(?P<conflict>!?)(?:(?P<project>[^\s:@!]*):)?(?P<change>[^\s:@!]+)?(?:@(?P<tag>[^\s:@!]+))?$")


def read(path: Path) -> tuple[Change, ...]:
    """The changes of a plan in order.

    Raises:
        SourceError: a line that is none of a plan's, a change that is taken back, or one that requires what the plan
            does not have before it.
    """
    plan = _Plan(path.name)
    for number, line in enumerate(_lines(path), 1):
        text = line.strip()
        if project := _PROJECT.match(text):
            plan.project = project[1]
        elif text and not text.startswith(("#", "%")):
            plan.take(text, number, line)
    return tuple(plan.changes)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path.name} cannot be read", cause=str(error), remedy="Save it as UTF-8.") from error


class _Plan:
    """A plan as far as it was read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.changes: list[Change] = []
        self.latest: dict[str, int] = {}  # the last change of a name
        self.tags: dict[str, int] = {}  # the change that a tag stands behind
        self.project = ""

    def take(self, text: str, number: int, line: str) -> None:
        """Read one line that is neither a pragma nor a comment."""
        if tag := _TAG.match(text):
            self.tags[tag["name"]] = len(self.changes) - 1
            return
        match = _CHANGE.match(text)
        if match is None or match["sign"] == "-":
            raise SourceError(
                f"{self.file} has a line that cannot be followed",
                where=f"{self.file}:{number}\n    {line.strip()}\n    ^",
                cause="A line of a plan is a change (`name [requires !conflicts] time planner # note`), a tag "
                "(`@name …`), a pragma (`%…`) or a comment.",
                remedy="Mend the line.",
            )
        name = match["name"]
        if (before := self.latest.get(name)) is not None:
            self.reworked(before, number)
        change = Change(name, number, (name,))
        for need in (match["needs"] or "").split():
            change = self.need(change, need)
        self.latest[name] = len(self.changes)
        self.changes.append(change)

    def reworked(self, before: int, number: int) -> None:
        """An earlier change of the same name: its files bear a tag that stands behind it."""
        change = self.changes[before]
        tags = [name for name, position in self.tags.items() if position >= before]
        if not tags:
            raise SourceError(
                f"{self.file} has the change {change.name} twice",
                where=f"{self.file}:{number}",
                cause=f"It stands in line {change.line} already, and no tag is between the two: a change is reworked "
                "behind a tag only.",
                remedy="Rename one of them, or put the tag back.",
            )
        self.changes[before] = replace(change, scripts=tuple(f"{change.name}@{tag}" for tag in reversed(tags)))

    def need(self, change: Change, text: str) -> Change:
        """Add what a change requires or conflicts with."""
        match = _NEED.match(text)
        found = None if match is None else self.find(match["change"], match["tag"])
        if match is not None and match["project"] and match["project"] != self.project:
            return replace(change, elsewhere=(*change.elsewhere, text))
        if match is not None and match["conflict"]:
            return change if found is None else replace(change, conflicts=(*change.conflicts, found))
        if found is None:
            raise SourceError(
                f"{self.file}: {change.name} requires {text}, which is not in the plan before it",
                where=f"{self.file}:{change.line}",
                cause="Changes are deployed in the order of the plan.",
                remedy=f"Move {change.name} behind it, or take the requirement away.",
            )
        return replace(change, requires=(*change.requires, found))

    def find(self, change: str | None, tag: str | None) -> int | None:
        """The position of a change that a dependency names, by itself, as of a tag, or by a tag alone."""
        if tag is None:
            return self.latest.get(change) if change else None
        at = self.tags.get(tag)
        if at is None or change is None:
            return at
        return next((index for index in range(at, -1, -1) if self.changes[index].name == change), None)
