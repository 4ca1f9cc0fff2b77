"""What is to be verified, run and done, in three phases, and how much of it do facts say is done?

The specification's execution checklist and critical path, for any folder. Which facts are needed is asked by `wanted`;
`make` turns their answers into lines. A line is ticked by a fact, or unticked with its reason.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lancio.planner import segments

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from lancio.planner.model import Check, FileFacts, FileState, Graph, Plan, Requirement

DONE = frozenset(("applied", "superseded", "implied"))
"""States of a file that count as applied: it is there, or a later file took its place or stands on it."""

THERE = DONE | {"changed since"}
"""States of a file that ran here, in this text or another."""

RAN = THERE | {"partly applied"}
"""States in which it makes sense to ask what verifies a step."""

SHARE = 0.5
"""A step that takes more than this share of all is the bottleneck."""

SHORT_MS = 1000
"""What takes less than this in all holds nobody up."""

NO_BACKUP = "not known: no backup is recorded in this database"
NO_ENDPOINTS = "not tested here: the endpoints are not part of a database"
NO_ACTION = "not known: nothing in the database tells whether it was done"
UNPROVABLE = "not known: it is not in the ledger, and it makes nothing that the catalog shows"
EXIST = frozenset(("schema", "extension", "role", "relation", "column", "routine", "type", "label", "trigger", "policy",
                   "constraint", "row"))  # fmt: skip
"""Kinds of requirements that are there or not; the others are told in their own words."""

SINGLE_POINT = "Database connection stability"
MITIGATION = ("Pre-test connection", "Have rollback ready")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `ticked` is None where a later step has made it history.

    `reason` says why it is not ticked, or, where there is something to say, what proves it. `quoted` is the part of
    `says` that is a file's name or SQL.
    """

    says: str
    ticked: bool | None
    reason: str = ""
    quoted: str = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of the checklist with its lines."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One dependency of the critical path, and how bad it is not to have it: CRITICAL, REQUIRED FOR STEP 3."""

    says: str
    weight: str
    ticked: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The step that takes more than half of the time, or none; `file` is empty then.

    `total_ms` is the sum of what is known of the steps, None where nothing is; `measured`, whether all of it was
    measured in this database (else it is declared by the files); `unknown` the steps that nothing is known of.
    """

    file: str
    takes_ms: int | None
    total_ms: int | None
    measured: bool
    unknown: int


@dataclass(frozen=True, slots=True)
class Path:
    """The critical path analysis."""

    blocking: tuple[Item, ...]
    non_blocking: tuple[Item, ...]
    bottleneck: Bottleneck
    single_point_of_failure: str
    mitigation: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Checklist:
    """The three phases and the critical path."""

    phases: tuple[Phase, ...]
    path: Path

    @property
    def open(self) -> int:
        """How many lines are not ticked."""
        return sum(line.ticked is False for phase in self.phases for line in phase.lines)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the database answered to a check: `held` is None where it could not be asked, and `why` says why.

    `count` is the number itself where the check compares a count; `lacking` names what does not hold.
    """

    held: bool | None
    why: str = ""
    count: int | None = None
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All facts that lines are ticked from."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    """By the SQL of each check that `wanted` names."""
    kept: Mapping[str, Collection[str]] = field(default_factory=dict)
    """For each file in the ledger the checks that held when its step was committed, as they are said."""
    durations: Mapping[str, int] = field(default_factory=dict)
    """What files took here, in milliseconds."""
    backup: tuple[datetime, str] | None = None
    errors: Line | None = None
    """The line of errors since the run."""
    connection: Line | None = None
    """How the connection was tested."""


@dataclass(frozen=True, slots=True)
class Words:
    """How the people of a folder call what is in it, and what they know of that its files do not say.

    `proofs` says what stands behind "Migration N applied", by file; `verifies` the checks in place of those that a
    file declares; `done` the line of an action that is to be done after the run; `later` the dependencies that do not
    block, where they are others than those actions.
    """

    proofs: Mapping[str, str] = field(default_factory=dict)
    verifies: Mapping[str, tuple[Check, ...]] = field(default_factory=dict)
    done: Mapping[str, Line] = field(default_factory=dict)
    later: tuple[Item, ...] | None = None


PLAIN = Words()


@dataclass(frozen=True, slots=True)
class Parts:
    """Which files are verified (phase 1) and which are executed (phase 2), in the order of the graph."""

    before: tuple[FileFacts, ...]
    steps: tuple[FileFacts, ...]


def parts(
    graph: Graph, states: Sequence[FileState], named: Collection[str] = (), last_run: Collection[str] = ()
) -> Parts:
    """Divide a folder.

    The steps are the files that are `named`; else `recent` ones (006_* and what came after); else those that are
    neither in place nor in the ledger; else those of the latest run; else the last file. What is verified is every
    other file that stands before the last of the steps, and what the steps need.
    """
    chosen = set(named) or recent(graph) or _left(states)
    if not chosen:
        chosen = {facts.name for facts in graph.files if facts.name in last_run}
    if not chosen:
        chosen = {facts.name for facts in graph.files[-1:]}
    last = max((at for at, facts in enumerate(graph.files) if facts.name in chosen), default=-1)
    needed = {name for each in chosen for name in graph.ancestors(each)}
    return Parts(
        tuple(
            facts
            for at, facts in enumerate(graph.files)
            if facts.name not in chosen and (at < last or facts.name in needed)
        ),
        tuple(facts for facts in graph.files if facts.name in chosen),
    )


def recent(graph: Graph) -> set[str]:
    """The files that share the last number that is shared, with those behind them, if these are the fewer (006_*, 007).

    None where no number is shared, and where the sharing is history: more files have come since than stood there then.
    """
    numbers = [facts.migration.number for facts in graph.files]
    many = Counter(numbers)
    shared = [at for at, number in enumerate(numbers) if number is not None and many[number] > 1]
    if not shared:
        return set()
    group = {facts.name for facts in graph.files if facts.migration.number == numbers[shared[-1]]}
    behind = {facts.name for facts in graph.files[shared[-1] + 1 :]}
    return group | behind if len(behind) < len(graph.files) - len(behind) else set()


def wanted(parted: Parts, states: Sequence[FileState], words: Words = PLAIN) -> tuple[tuple[str, bool], ...]:
    """The SQL of each check whose answer `make` uses, and whether the planner wrote it: then what lacks has a name."""
    found: dict[str, bool] = {}
    # Of a file that has not run nothing is asked: its checks speak of what it makes.
    ran = {state.name for state in states if state.state in RAN}
    for facts in (*parted.before, *parted.steps):
        if facts.name in ran:
            found |= {check.sql: True for check in facts.standing if not check.declared}
    for facts in parted.steps:
        if facts.name in ran:
            found |= {check.sql: False for check in _declared(facts, words)}
        found |= {item.probe: False for item in facts.requires if item.probe}
    for rows in _rows(parted).values():
        found |= {item.probe: False for item in rows}
    return tuple(found.items())


def make(parted: Parts, plan: Plan, evidence: Evidence, words: Words = PLAIN) -> Checklist:
    """The checklist of the files of `parted` in the database that `plan` was made for."""
    states = {state.name: state for state in plan.states}
    numbers = Counter(facts.migration.number for facts in plan.graph.files)
    told = _Told(parted, plan, states, evidence, words, _rows(parted), numbers)
    return Checklist(
        (
            Phase("Phase 1: Verify Prerequisites", told.prerequisites()),
            Phase("Phase 2: Execute in Order", told.execution()),
            Phase("Phase 3: Post-Migration", told.afterwards()),
        ),
        Path(told.blocking(), told.non_blocking(), told.bottleneck(), SINGLE_POINT, told.mitigation()),
    )


def count_of(sql: str) -> str | None:
    """The query of the count that a check compares (`SELECT count(*) >= 2 FROM t`), or None if it compares none."""
    match = _COUNT.fullmatch(sql.strip())
    return f"SELECT count(*) FROM {match['source']}" if match else None


def said(check: Check) -> tuple[str, str]:
    """A check as the specification writes it (`SELECT COUNT(*) FROM t; returns 2+`), and the SQL in it."""
    match = _COUNT.fullmatch(check.sql.strip())
    if match is None:
        return check.says, check.says if check.declared else ""
    query = f"SELECT COUNT(*) FROM {match['source']};"
    number = match["number"]
    returns = {"=": number, ">=": f"{number}+", ">": f"more than {number}"}.get(match["op"], f"{match['op']} {number}")
    return f"{query} returns {returns}", query


_COUNT = re.compile(
    r"select\s+count\(\s*\*\s*\)\s*(?P<op>=|>=|>|<=|<)\s*(?P<number>\d+)\s+from\s+(?P<source>[^;]+?)\s*;?",
    re.IGNORECASE,
)
_NOT_FOUND = re.compile(r"(?P<what>\S.*) not found")


def _left(states: Sequence[FileState]) -> set[str]:
    """The files that are still to run; one of which nothing can be known is one only behind all that are there."""
    there = [state.recorded or state.state in THERE for state in states]
    last = max((at for at, is_there in enumerate(there) if is_there), default=-1)
    return {
        state.name
        for at, state in enumerate(states)
        if not there[at] and (state.state != "unprovable" or at > last)
    }  # fmt: skip


def _declared(facts: FileFacts, words: Words) -> tuple[Check, ...]:
    return words.verifies.get(facts.name) or tuple(check for check in facts.checks if check.declared)


def _rows(parted: Parts) -> dict[str, list[Requirement]]:
    """The rows that others ask for, by the file that makes them and nothing else: they alone tell of it."""
    bare = {facts.name for facts in (*parted.before, *parted.steps) if not facts.remains}
    found: dict[str, list[Requirement]] = {}
    for facts in (*parted.before, *parted.steps):
        for item in facts.requires:
            if item.probe and item.provider is not None and item.provider.file in bare:
                found.setdefault(item.provider.file, []).append(item)
    return found


@dataclass(frozen=True, slots=True)
class _Told:
    parted: Parts
    plan: Plan
    states: Mapping[str, FileState]
    evidence: Evidence
    words: Words
    rows: Mapping[str, Sequence[Requirement]]
    numbers: Mapping[int | None, int]
    """How many files of the folder bear each number."""

    # Phase 1.

    def prerequisites(self) -> tuple[Line, ...]:
        return (
            self.backup(),
            *(self.migration(facts) for facts in self.parted.before),
            *(Line(_opened(_there(item)), *self.fulfilled(item)) for item in self.outside()),
        )

    def backup(self) -> Line:
        if self.evidence.backup is None:
            return Line("Database backup created", False, NO_BACKUP)
        at, where = self.evidence.backup
        return Line("Database backup created", True, f"at {at.isoformat(sep=' ', timespec='seconds')}, {where}")

    def migration(self, facts: FileFacts) -> Line:
        digits = self.digits(facts)
        what = f"Migration {digits}" if digits else facts.name
        proof = self.words.proofs.get(facts.name) or self.proof(facts)
        ticked, reason = self.standing(facts)
        return Line(f"{what} applied{f' ({proof})' if proof else ''}", ticked, reason, "" if digits else facts.name)

    def digits(self, facts: FileFacts) -> str:
        """The number of a file as its name has it, where it is short and no other file has it."""
        number = facts.migration.number
        match = re.match(r"[Vv]?(\d{1,5})(?!\d)", facts.name.rsplit("/", 1)[-1])
        return match[1] if match and number is not None and self.numbers[number] == 1 else ""

    def proof(self, facts: FileFacts) -> str:
        """What shows that a file ran: the most telling of what it makes, in few words."""
        of: dict[str, list[str]] = {}
        for effect in facts.remains:
            label = "table" if effect.object == f"table {effect.name}" else effect.kind
            of.setdefault(label, []).append(effect.name if label != effect.kind else effect.object)
        for label in ("schema", "extension"):
            if len(of.get(label, ())) == 1:
                name = of[label][0].removeprefix(f"{label} ")
                return f"{name} schema exists" if label == "schema" else f"{name} exists"
        if tables := of.get("table"):
            bare = tables[0].rsplit(".", 1)[-1]
            return (
                f"{bare} exists" if len(tables) == 1 else f"{bare} and {_counted(len(tables) - 1, 'more table')} exist"
            )
        if facts.remains:
            rest = len(facts.remains) - 1
            return f"{facts.remains[0].object}{f' and {rest} more exist' if rest else ' exists'}"
        rows = self.rows.get(facts.name)
        return _there(rows[0]) if rows else ""

    def standing(self, facts: FileFacts) -> tuple[bool, str]:
        """Whether a file is in place, and why not; with a reason too where it is not plainly applied."""
        state = self.states[facts.name]
        rows = [] if state.recorded else self.rows.get(facts.name, ())
        unknown = [answer.why for item in rows if (answer := self.answer(item.probe)).held is None and answer.why]
        if unknown and state.state not in DONE:
            return False, f"not known: {unknown[0]}"
        if state.missing:
            return False, some(f"{state.state}, missing:", state.missing)
        if state.state not in DONE:
            return False, state.state if state.state != "unprovable" else UNPROVABLE
        if state.edited:
            return False, "edited after it was applied"
        for check in self.made(facts):
            if wrong := self.wrong(check):
                return False, wrong
        if state.state == "applied":
            return True, "by the ledger: it makes nothing that the catalog shows" if self.by_ledger(facts) else ""
        return True, state.state

    def by_ledger(self, facts: FileFacts) -> bool:
        """Whether the ledger alone tells of a file."""
        return self.states[facts.name].recorded and not facts.remains

    def made(self, facts: FileFacts) -> list[Check]:
        """The checks of what a file makes."""
        return [check for check in facts.standing if not check.declared]

    def wrong(self, check: Check) -> str:
        """What is wrong with what a file made; "" where nothing is."""
        answer = self.answer(check.sql)
        if answer.held is None:
            return f"not known: {answer.why}" if answer.why else ""
        return some(f"not so: {check.says}:", answer.lacking)

    def outside(self) -> list[Requirement]:
        """What the steps need that no file of the folder makes and not every server has."""
        found: dict[tuple[str, str], Requirement] = {}
        for facts in self.parted.steps:
            for item in facts.requires:
                if item.strength != "late" and item.source in ("missing", "database"):
                    found.setdefault((item.kind, item.object), item)
        return list(found.values())

    def fulfilled(self, item: Requirement) -> tuple[bool, str]:
        """Whether something that is needed is there, and why not."""
        for missing in self.plan.missing:
            if (missing.requirement.kind, missing.requirement.object) == (item.kind, item.object):
                return False, missing.message
        if item.probe:
            answer = self.answer(item.probe)
            if answer.held is None and answer.why:
                return False, f"not known: {answer.why}"
            return (True, "") if answer.held else (False, item.message or f"there is no {item.object}")
        state = self.states.get(item.provider.file) if item.provider is not None else None
        if state is not None and (item.object in state.missing or state.state == "not applied"):
            return False, item.message or f"there is no {item.object}"
        return True, ""

    # Phase 2.

    def execution(self) -> tuple[Line, ...]:
        lines = []
        for position, facts in enumerate(self.parted.steps, 1):
            ticked, reason = self.standing(facts)
            lines.append(Line(f"{self.position_said(facts, position)}: {facts.name}", ticked, reason, facts.name))
            lines += self.verified(facts, ran=self.states[facts.name].state in RAN)
        return tuple(lines)

    def position_said(self, facts: FileFacts, position: int) -> str:
        """`Step 1`, or `Migration 007` for a file alone in its number behind some that share theirs."""
        alone = self.numbers[facts.migration.number] == 1
        beside = any(self.numbers[each.migration.number] > 1 for each in self.parted.steps)
        return f"Migration {self.digits(facts)}" if alone and beside and self.digits(facts) else f"Step {position}"

    def verified(self, facts: FileFacts, *, ran: bool) -> list[Line]:
        declared = _declared(facts, self.words)
        if declared:
            return [self.verify(facts, check, ran=ran) for check in declared]
        if not (made := self.made(facts)):
            return []
        wrong = "; ".join(filter(None, map(self.wrong, made))) if ran else f"{facts.name} has not run"
        return [Line(f"Verify: {', '.join(check.says for check in made)}", not wrong, wrong)]

    def verify(self, facts: FileFacts, check: Check, *, ran: bool) -> Line:
        """A declared check: so now, or, if it was to hold at the step only, so at the step by the ledger's record."""
        says, quoted = said(check)
        answer = self.answer(check.sql)
        if check.once and any(_same(each, check) for each in self.evidence.kept.get(facts.name, ())):
            return Line(f"Verify: {says}", True, "verified at the step", quoted)
        now = "" if answer.count is None else f"{answer.count} now"
        if not ran:
            return Line(f"Verify: {says}", False, f"{facts.name} has not run", quoted)
        if answer.held:
            return Line(f"Verify: {says}", True, now, quoted)
        reason = f"not known: {answer.why}" if answer.held is None and answer.why else now or "it does not hold now"
        if check.once and answer.held is False:
            reason += ", and no record of that moment"
        return Line(f"Verify: {says}", False, reason, quoted)

    # Phase 3.

    def afterwards(self) -> tuple[Line, ...]:
        errors = self.evidence.errors
        return (
            *(self.words.done.get(said) or Line(said, False, NO_ACTION) for said in self.actions()),
            Line("Test application endpoints", False, NO_ENDPOINTS),
            errors if errors is not None else Line("Monitor for errors", False, "not known: the server was not asked"),
        )

    def actions(self) -> list[str]:
        return [action for facts in self.parted.steps for action in facts.after_run.split("; ") if action]

    # The critical path.

    def blocking(self) -> tuple[Item, ...]:
        backup = self.backup()
        items = [Item("Backup database", "CRITICAL", backup.ticked is True, backup.reason)]
        if self.parted.before:
            lines = [(facts, self.migration(facts)) for facts in self.parted.before]
            left = [self.digits(facts) or facts.name for facts, line in lines if not line.ticked]
            items.append(Item(f"Verify {self.range_said()} applied", "CRITICAL", not left, some("not applied:", left)))
        told: set[tuple[str, str]] = set()
        for kinds in (("extension",), ("row",), ()):
            for item, positions in self.needed(kinds):
                told.add((item.kind, item.object))
                items.append(Item(f"Verify {_there(item, installed=True)}", _weight(positions), *self.fulfilled(item)))
        for missing in self.plan.missing:
            of = missing.requirement
            if missing.blocking and (of.kind, of.object) not in told and missing.file in self.names():
                told.add((of.kind, of.object))
                items.append(Item(f"Verify {_there(of)}", "CRITICAL", False, missing.message))
        items += [
            Item(finding.message, "CRITICAL", False, finding.remedy)
            for finding in self.plan.findings
            if finding.severity == "refusal" and (finding.at is None or finding.at.file in self.names())
        ]
        return tuple(items)

    def names(self) -> set[str]:
        return {facts.name for facts in (*self.parted.before, *self.parted.steps)}

    def range_said(self) -> str:
        before = self.parted.before
        digits = [self.digits(facts) for facts in before]
        if len(before) == 1:
            return f"migration {digits[0] or before[0].name}"
        numbers = [int(each) for each in digits if each]
        if len(numbers) == len(before) and numbers == list(range(numbers[0], numbers[-1] + 1)):
            return f"migrations {digits[0]}-{digits[-1]}"
        return f"{len(before)} earlier migrations ({before[0].name} to {before[-1].name})"

    def needed(self, kinds: tuple[str, ...]) -> list[tuple[Requirement, list[int]]]:
        """What the steps need of these kinds (of every other, from outside of the folder, where there are none)."""
        found: dict[tuple[str, str], tuple[Requirement, list[int]]] = {}
        steps = {facts.name for facts in self.parted.steps}
        for position, facts in enumerate(self.parted.steps, 1):
            for item in facts.requires:
                inside = item.provider is not None and item.provider.file in steps
                wanted = item.kind in kinds and item.source != "server" if kinds else (
                    item.kind not in ("extension", "row") and item.source in ("missing", "database")
                )  # fmt: skip
                if wanted and not inside and item.strength != "late":
                    found.setdefault((item.kind, item.object), (item, []))[1].append(position)
        return list(found.values())

    def non_blocking(self) -> tuple[Item, ...]:
        if self.words.later is not None:
            return self.words.later
        items = []
        for action in self.actions():
            line = self.words.done.get(action) or Line(action, False, NO_ACTION)
            items.append(Item(line.says, "Can be done after the migration", line.ticked is True, line.reason))
        seen: set[str] = set()
        steps = {facts.name for facts in self.parted.steps}
        for facts in self.parted.steps:
            for service in facts.services:
                if not service.required and service.name not in seen:
                    seen.add(service.name)
                    is_set = any(each.name == service.name and on for each, on in self.plan.wants)
                    reason = "" if is_set else f"{service.variable} is not set" if service.variable else "not known"
                    items.append(Item(f"{service.name} service", "Optional", is_set, reason))
        items += [
            Item(f"{missing.requirement.object}", "Needed when it is called", False, missing.message)
            for missing in self.plan.missing
            if not missing.blocking and missing.file in steps
        ]
        return tuple(items)

    def bottleneck(self) -> Bottleneck:
        steps = self.parted.steps
        took = {facts.name: self.evidence.durations.get(facts.name) for facts in steps}
        measured = bool(steps) and all(ms is not None for ms in took.values())
        if not measured:
            # What was measured beside what is declared would make the slowest of the one sort look slow.
            took = {facts.name: took[facts.name] if facts.duration_ms is None else facts.duration_ms for facts in steps}
        known = {name: ms for name, ms in took.items() if ms is not None}
        total = sum(known.values())
        slowest = max(known, key=lambda name: known[name], default="")
        dominates = len(known) > 1 and total >= SHORT_MS and known[slowest] > SHARE * total
        return Bottleneck(
            slowest if dominates else "",
            known[slowest] if dominates else None,
            total if known else None,
            measured,
            len(steps) - len(known),
        )

    def mitigation(self) -> tuple[Line, ...]:
        tested, ready = MITIGATION
        alone = [facts.name for facts in self.parted.steps if segments.cut(facts, self.plan.graph.server_version).apart]
        connection = self.evidence.connection
        return (
            replace(connection, says=tested) if connection else Line(tested, False, "it was not tested"),
            Line(ready, False, some("what it does stays if it fails half-way:", alone))
            if alone
            else Line(ready, True, "each step is one transaction: one that fails or is cut off is rolled back"),
        )

    def answer(self, sql: str) -> Answer:
        return self.evidence.answers.get(sql, Answer(None))


def _there(item: Requirement, *, installed: bool = False) -> str:
    """That something that is needed is there, in words; a row by the words of the guard that asks for it."""
    if item.kind == "row" and (match := _NOT_FOUND.fullmatch(item.message)):
        return f"{match['what']} exists"
    if item.kind == "extension" and installed:
        return f"{item.object.removeprefix('extension ')} extension installed"
    return f"{item.object} exists" if item.kind in EXIST and " to be " not in item.object else item.object


def _opened(said: str) -> str:
    """A sentence with a capital at its beginning."""
    return said[:1].upper() + said[1:]


def _weight(positions: Sequence[int]) -> str:
    """What the first step needs, or more than one, stops everything."""
    return "CRITICAL" if positions[0] == 1 or len(positions) > 1 else f"REQUIRED FOR STEP {positions[0]}"


def _same(kept: str, check: Check) -> bool:
    return _squeezed(kept) in (_squeezed(check.says), _squeezed(check.sql))


def _squeezed(sql: str) -> str:
    return re.sub(r"\s+", " ", sql).strip().rstrip(";").casefold()


def some(opening: str, names: Sequence[str]) -> str:
    """An opening and the first of some names; nothing where there is none."""
    if not names:
        return ""
    shown = ", ".join(names[:4])
    return f"{opening} {shown}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
