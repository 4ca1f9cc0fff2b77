"""What happens when the files of this branch meet those of another one?

Both branches stand on the same released files. The new files of one are bound behind those of the other and then the
other way round: a pair is independent where no chain of bonds leads from one to the other in either order, and where
neither needs in one order what it has in the other. That is the proof of `lancio commute`, asked for every pair.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lancio.planner import bonds, chronicle, rules
from lancio.planner.model import Place
from lancio.reading import numbering
from lancio.reading.source import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lancio.catalog.profile import Profile
    from lancio.planner.bonds import Bond, Bonds
    from lancio.planner.chronicle import Chronicle
    from lancio.planner.model import Finding, Graph, Requirement
    from lancio.reading.source import Migration

    Build = Callable[[Folder], Graph]

STAMP = 10**7
"""From here on a number is taken for a time: what lies between two of them is no gap."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A new file of this branch and one of the other: the bonds that lead from one to the other, in either order.

    `unmet` is what one of them needs and has not, once the other has run: its own words and its place.
    """

    ours: str
    theirs: str
    chain: tuple[Bond, ...]
    unmet: tuple[tuple[str, Place], ...] = ()

    @property
    def independent(self) -> bool:
        """Whether it does not matter which of them runs first."""
        return not self.chain and not self.unmet

    @property
    def direct(self) -> bool:
        """Whether they are in each other's way themselves, and not only through a third file."""
        return bool(self.unmet) or len(self.chain) == 1


@dataclass(frozen=True, slots=True)
class Met:
    """Two branches: their new files, every pair of them, and what is to be told.

    `graph` has the released files and behind them those of this branch, as if the other one were not there.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    pairs: tuple[Pair, ...]
    findings: tuple[Finding, ...]
    graph: Graph


def meet(ours: Folder, base: Folder | None, ancestor: Folder | None, build: Build, profile: Profile, said: str) -> Met:
    """Hold this branch's files against those of another branch, `said`, as they are there and as both began.

    None stands for a folder without a migration. `build` binds a folder in the order of its files.
    """
    here = {each.name: each for each in ours.migrations}
    there = {each.name: each for each in base.migrations} if base is not None else {}
    began = {each.name: each for each in ancestor.migrations} if ancestor is not None else {}
    released = _Released(here, there, began, said)
    renamed = {new for _, new in released.renamed}
    order = _order(base, build) if base is not None else []
    common = [there[name] for name in order if name in began]
    theirs = [there[name] for name in order if name not in began and name not in here]
    # What both added with the same text (one took it from the other) is as good as released.
    common += [there[name] for name in order if name not in began and name in here]
    new = [
        here[name] for name in _order(ours, build) if name not in there and name not in began | dict.fromkeys(renamed)
    ]
    behind = _Sequence.of(ours, [*common, *theirs, *new], build, profile)
    before = behind
    findings = list(released.findings)
    pairs: tuple[Pair, ...] = ()
    if new and theirs:
        before = _Sequence.of(ours, [*common, *new, *theirs], build, profile)
        pairs = _pairs(behind, before, [each.name for each in new], [each.name for each in theirs])
        findings += _conflicts(pairs, said)
    names = frozenset(each.name for each in new)
    findings += _numbers(ours, new, theirs, common, said)
    own = build(ours)
    findings += _out_of_order(ours, new, [*common, *theirs], behind, own, said)
    findings += rules.of_graph(own, names)
    findings += rules.of_requirements(before.graph, names, [each.name for each in common])
    return Met(
        tuple(each.name for each in new), tuple(each.name for each in theirs), pairs, tuple(findings), before.graph
    )


def _order(folder: Folder, build: Build) -> list[str]:
    """The files' names in the order in which they run."""
    if all(len(group) == 1 for group in folder.groups):
        return [each.name for each in folder.migrations]
    return [facts.name for facts in build(folder).files]


# What was released already.


class _Released:
    """Files of the other branch that are not here as they are there."""

    def __init__(
        self, here: dict[str, Migration], there: dict[str, Migration], began: dict[str, Migration], said: str
    ) -> None:
        self.renamed: list[tuple[str, str]] = []
        self.findings: list[Finding] = []
        new = {each.checksum: name for name, each in here.items() if name not in there and name not in began}
        for name, theirs in there.items():
            mine = here.get(name)
            if mine is None and name in began:
                self._gone(name, new.get(theirs.checksum), said)
            elif mine is not None and mine.checksum != theirs.checksum:
                self._edited(name, mine, theirs, began.get(name), said)

    def _gone(self, name: str, now: str | None, said: str) -> None:
        if now is None:
            message = f"{name} is on {said} and not on this branch"
            remedy = "Put it back; what it made is taken away by a new migration."
            self.findings.append(rules.found("deleted-file", message, Place(name, 1), remedy))
            return
        self.renamed.append((name, now))
        message = f"{name} of {said} is called {now} on this branch"
        remedy = f"Give it its name back: where {name} ran, {now} would run once more."
        self.findings.append(rules.found("renamed-file", message, Place(now, 1), remedy))

    def _edited(self, name: str, mine: Migration, theirs: Migration, began: Migration | None, said: str) -> None:
        if began is not None and began.checksum == mine.checksum:
            return  # the other branch edited it, and this one did not
        place = Place(name, _first_difference(mine, theirs))
        if began is None:
            message = f"{place}: both branches add {name}, and {said} has other statements in it"
            remedy = "Give one of them another name and number."
        else:
            message = f"{place}: {name} is on {said} with other statements"
            remedy = f"Put its text back (git checkout {said} -- …) and write the change as a new migration."
        self.findings.append(rules.found("edited-file", message, place, remedy))


def _first_difference(mine: Migration, theirs: Migration) -> int:
    """The first line of mine, from 1, that is not as in theirs."""
    one, other = (each.written(0)[0].splitlines() for each in (mine, theirs))
    for tag, _, _, start, _ in difflib.SequenceMatcher(None, other, one, autojunk=False).get_opcodes():
        if tag != "equal":
            return min(start + 1, max(len(one), 1))
    return 1


# Numbers and order.


def _numbers(
    folder: Folder, new: Sequence[Migration], theirs: Sequence[Migration], common: Sequence[Migration], said: str
) -> list[Finding]:
    layout = folder.layout
    if layout in ("prisma", "sqitch"):  # names count there, not numbers
        return []
    taken: dict[str, str] = {}
    # In a flat folder files of one number are steps of one migration, and another step may come later.
    for each in (*(common if layout != "flat" else ()), *theirs):
        if found := numbering.number(layout, each.name):
            taken[found] = each.name
    findings = []
    for each in new:
        found = numbering.number(layout, each.name)
        if found and found in taken:
            place = Place(each.name, 1)
            message = f"{each.name} and {taken[found]} of {said} have the number {found}"
            remedy = "Give this one the next free number: lancio new tells it."
            findings.append(rules.found("same-number", message, place, remedy))
    return findings + _gaps(layout, new, [*common, *theirs])


def _gaps(layout: object, new: Sequence[Migration], before: Sequence[Migration]) -> list[Finding]:
    """New files whose numbers leave some out, in a folder that has left none out lately."""
    if layout == "flyway":
        return []
    known = sorted({each.number for each in before if each.number is not None})
    if len(known) < 2 or known[-1] >= STAMP or known[-1] - known[-2] != 1:
        return []
    last, findings = known[-1], []
    for number, name in sorted((each.number, each.name) for each in new if each.number is not None):
        if number > last + 1:
            message = f"{name} leaves out {last + 1}" + (f" to {number - 1}" if number > last + 2 else "")
            remedy = "Take the next free number, unless another branch has those."
            findings.append(rules.found("number-gap", message, Place(name, 1), remedy))
        last = max(last, number)
    return findings


def _out_of_order(
    folder: Folder, new: Sequence[Migration], released: Sequence[Migration], behind: _Sequence, own: Graph, said: str
) -> list[Finding]:
    """New files that their names put before released ones: a database that has those runs the new ones behind them.

    `behind` has the new files behind the released ones, `own` this branch's files as their names order them.
    """
    findings = []
    for each in new:
        later = [other.name for other in released if _before(folder, each.name, other.name)]
        if not later:
            continue
        place = Place(each.name, 1)
        bond = next((bond for other in later if (bond := behind.tied.bond(other, each.name))), None)
        lost = behind.lacks(each.name)
        lost = {key: lost[key] for key in lost.keys() - _lacks(own, each.name).keys()}
        if bond is not None:
            message = (
                f"{each.name} comes before {bond.first} by its name, which is on {said} already and is bound to it: "
                f"{bond.says} ({bond.why}), {bond.at} and {bond.before}"
            )
        elif lost:
            first = min(lost.values(), key=lambda one: one.at.line)
            place = first.at
            message = (
                f"{each.name} comes before {_several(later)} by its name, on {said} already; behind that it fails: "
                f"{first.message or f'{first.object} is not there any more'}"
            )
        else:
            message = (
                f"{each.name} comes before {_several(later)} by its name, on {said} already; it commutes with "
                f"{'it' if len(later) == 1 else 'all of them'}, so it may run late"
            )
            late = rules.found("out-of-order", message, place, "Better give it the next free number.")
            findings.append(replace(late, severity="warning"))
            continue
        remedy = "Give it the next free number: where the released files ran, it runs behind them."
        findings.append(rules.found("out-of-order", message, place, remedy))
    return findings


def _several(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _lacks(graph: Graph, name: str) -> dict[tuple[str, str], Requirement]:
    """What a file needs and has not, calls that come later left out."""
    return {
        (each.kind, each.object): each
        for each in graph.file(name).requires
        if each.source == "missing" and each.strength not in ("late", "external")
    }


def _before(folder: Folder, one: str, other: str) -> bool:
    """Whether names put one file before another."""
    layout = folder.layout
    if layout == "flat":
        mine, theirs = numbering.number(layout, one), numbering.number(layout, other)
        return bool(mine) and bool(theirs) and int(mine) < int(theirs)
    return numbering.place(layout, one) < numbering.place(layout, other)


# Pairs.


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Files bound in one order."""

    graph: Graph
    chronicle: Chronicle
    tied: Bonds

    @classmethod
    def of(cls, folder: Folder, migrations: Sequence[Migration], build: Build, profile: Profile) -> _Sequence:
        """Bind these files in exactly this order."""
        graph = build(Folder(folder.path, tuple(migrations), folder.layout, ordered=True))
        told = chronicle.of(graph, profile)
        return cls(graph, told, bonds.bonds(told))

    def chain(self, first: str, then: str) -> list[Bond]:
        """The bonds between two files, of which `first` runs first."""
        return self.tied.chain(self.tied.names.index(first), self.tied.names.index(then))

    def lacks(self, name: str) -> dict[tuple[str, str], Requirement]:
        """What a file needs and has not in this order."""
        return _lacks(self.graph, name)

    def touches(self, name: str) -> set[str]:
        """The names of all that a file makes, changes, renames or drops, without their schemas."""
        place = self.tied.names.index(name)
        found: set[str] = set()
        for event in self.chronicle.events:
            if event.site.file == place:
                found.update(each.name for each in self.chronicle.things[event.thing].names)
        return found


def _pairs(behind: _Sequence, before: _Sequence, ours: Sequence[str], theirs: Sequence[str]) -> tuple[Pair, ...]:
    """Every pair of new files; what one lacks behind the other branch and has without it is laid to a file of it."""
    unmet: dict[tuple[str, str], dict[tuple[str, Place], None]] = {}
    for sequence, other, mine, others in ((behind, before, ours, theirs), (before, behind, theirs, ours)):
        touched = {name: sequence.touches(name) for name in others}
        for name in mine:
            alone = other.lacks(name)
            for key, requirement in sequence.lacks(name).items():
                if key in alone:
                    continue
                said = (requirement.message or f"{requirement.object} is not there any more", requirement.at)
                for culprit in _culprits(requirement, touched):
                    pair = (name, culprit) if mine is ours else (culprit, name)
                    unmet.setdefault(pair, {})[said] = None
    pairs = []
    for one in ours:
        for other_ in theirs:
            chain = _shorter(behind.chain(other_, one), before.chain(one, other_))
            pairs.append(Pair(one, other_, chain, tuple(unmet.get((one, other_), ()))))
    return tuple(pairs)


def _shorter(one: list[Bond], other: list[Bond]) -> tuple[Bond, ...]:
    """Of the chains in either order the one that says more: the shorter, and of two alike the first."""
    return tuple(other if other and (not one or len(other) < len(one)) else one)


def _culprits(requirement: Requirement, touched: dict[str, set[str]]) -> Iterable[str]:
    """Files that touched something that a requirement's words name; all of them where none did."""
    words = set(re.findall(r"\w+", f"{requirement.object} {requirement.message}"))
    found = [
        name for name, names in touched.items() if any(words.issuperset(re.findall(r"\w+", each)) for each in names)
    ]
    return found or touched


def _conflicts(pairs: Iterable[Pair], said: str) -> list[Finding]:
    findings = []
    opaque: dict[Place, list[Pair]] = {}
    for pair in pairs:
        if not pair.direct:
            continue
        bond = pair.chain[0] if len(pair.chain) == 1 else None
        if bond is not None and bond.why == "not seen through" and not pair.unmet:
            opaque.setdefault(bond.at if bond.at.text else bond.before, []).append(pair)
        else:
            findings.append(_conflict(pair, bond, said))
    for at, hidden in opaque.items():
        mine = at.file == hidden[0].ours
        others = [each.theirs if mine else each.ours for each in hidden]
        where = f"{len(others)} file{'s' if len(others) > 1 else ''} of {said if mine else 'this branch'}"
        message = f"{at} cannot be seen through: whether {at.file} conflicts with {where} is not known"
        place = at if mine else Place(hidden[0].ours, 1)
        remedy = "Try both orders by hand, or say what it does: -- lancio: requires …, -- lancio: creates …"
        findings.append(rules.found("opaque", message, place, remedy))
    return findings


def _conflict(pair: Pair, bond: Bond | None, said: str) -> Finding:
    if pair.unmet:
        words, at = pair.unmet[0]
        place = at if at.file == pair.ours else Place(pair.ours, 1)
        who = pair.theirs if at.file == pair.ours else pair.ours
        message = f"{at}: {words}, once {who} has run{f', which is on {said}' if who == pair.theirs else ''}"
        return rules.found("conflict", message, place, _REMEDY)
    if bond is None:
        raise AssertionError("a pair that is bound directly has a bond or lacks something")
    place = bond.at if bond.at.file == pair.ours else bond.before
    other = bond.before if place is bond.at else bond.at
    message = f"{place} and {other} of {said}: {bond.says} ({bond.why})"
    if bond.says.startswith("rows of "):
        return rules.found(
            "shared-rows", message, place, "See that no key is written twice, and that order is no matter."
        )
    finding = rules.found("conflict", message, place, _REMEDY)
    return replace(finding, severity="warning") if bond.why.endswith(", late") else finding


_REMEDY = "Take the other branch's files in first (git merge or rebase), then write this one behind them."
