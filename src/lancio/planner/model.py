"""The nouns of planning: plain data that prints, travels as JSON and compares equal for equal input."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from lancio.planner.segments import Cut
    from lancio.reading.layouts import Name
    from lancio.reading.model import FileOps, RowFact, Statement
    from lancio.reading.source import Migration

Hazard = Literal["read-after-write", "write-after-read", "write-after-write"]
Strength = Literal["hard", "late", "row", "set", "external", "order"]
State = Literal[
    "applied", "partly applied", "not applied", "changed since", "superseded", "implied", "unprovable"
]  # fmt: skip
RISKS = ("none", "low", "medium", "high")


class Place(NamedTuple):
    """A statement of a file: its name, its line (from 1) and the statement's opening words."""

    file: str
    line: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Because(NamedTuple):
    """Why one file needs another: the object, where it is needed and where it is made (or used)."""

    object: str  # as people say it: "table platform.projects"
    kind: str  # the kind of object, or "row"
    at: Place
    provider: Place


@dataclass(frozen=True, slots=True)
class Edge:
    """`file` must stay behind `needs`, because of these objects."""

    file: str
    needs: str
    hazard: Hazard
    strength: Strength
    because: tuple[Because, ...]


@dataclass(frozen=True, slots=True)
class Requirement:
    """What must be true before a file runs, and who makes it true.

    `source` says where it comes from: `file` (then `provider` names the place), `database` (it was there before),
    `server` (built in), or `missing`. `probe`, where there is one, is a SELECT of one boolean that asks the live
    database; it is the only way to know about rows.
    """

    object: str
    kind: str
    strength: Strength
    at: Place
    source: Literal["file", "database", "server", "missing"]
    provider: Place | None = None
    probe: str = ""
    message: str = ""  # the file's own words where its guard would refuse
    row: RowFact | None = None


class Opaque(NamedTuple):
    """A place that the reading cannot see through, and why."""

    at: Place
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a person should know before running: a risk, a contradiction, a name that misleads."""

    rule: str
    severity: Literal["note", "warning", "refusal"]
    message: str
    at: Place | None = None
    remedy: str = ""
    commands: tuple[str, ...] = ()


class Effect(NamedTuple):
    """An object that a file makes, changes or drops, as people say it."""

    object: str
    kind: str
    name: str
    line: int
    implied: bool = False
    where: tuple[str, ...] = ()  # made only where these objects are there, as kind and name: "relation platform.x"


class Lock(NamedTuple):
    """A lock that a step will take on a relation that was there before: PostgreSQL's mode name."""

    relation: str
    mode: str
    line: int


@dataclass(frozen=True, slots=True)
class Service:
    """Something outside of the database that a file wants or requires."""

    name: str
    variable: str
    required: bool
    line: int


@dataclass(frozen=True, slots=True)
class Check:
    """What must hold after a step: one SELECT that returns one boolean."""

    says: str
    sql: str
    once: bool
    declared: bool


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One migration as the planner understands it."""

    migration: Migration
    statements: tuple[Statement, ...]
    requires: tuple[Requirement, ...]
    creates: tuple[Effect, ...]
    changes: tuple[Effect, ...]
    drops: tuple[Effect, ...]
    rows: tuple[str, ...]  # rows it makes, as people say it
    locks: tuple[Lock, ...]
    checks: tuple[Check, ...]
    settings: tuple[str, ...]  # custom settings that it reads
    services: tuple[Service, ...]
    risk: str  # computed
    risk_because: str
    declared_risk: str
    duration_ms: int | None  # declared
    impact: str
    after_run: str
    opaque: tuple[Opaque, ...]
    minimum_version: int = 0  # server_version_num that it declares to require
    ops: FileOps | None = field(default=None, repr=False, compare=False)
    questions: tuple[str, ...] = ()  # about rows that its conditions ask for: each a SELECT of one boolean
    remains: tuple[Effect, ...] = ()  # of `creates`, what no later file drops or renames, under its name then
    standing: tuple[Check, ...] = ()  # of `checks`, what still holds after all files have run: `lancio verify` asks it

    @property
    def name(self) -> str:
        """The file's path relative to its folder."""
        return self.migration.name


_PLAIN_BEGIN = re.compile(r"(?is)\s*(?:begin|start)(?:\s+(?:work|transaction))?\s*;?\s*")
_BOUND_TO_ITS_TRANSACTION = re.compile(r"(?is)\bset\s+local\b|\badd\s+value\b|\bset_config\b")


def folded(statements: tuple[Statement, ...]) -> tuple[Statement, ...] | None:
    """A file's statements without its own BEGIN and COMMIT, where one transaction may take the place of all of them.

    None where it may not: pairs that do not close or nest, other control, an isolation level in the middle, and what
    means something else in a longer transaction (SET LOCAL, a new enum value that is used behind its COMMIT).
    """
    controls = [each for each in statements if each.control and each.control != "savepoint"]
    if len(controls) == 2 and (statements[0], statements[-1]) == tuple(controls):
        whole = (controls[0].control, controls[1].control) == ("begin", "commit")
        return statements[1:-1] if whole else None
    if [each.control for each in controls] != ["begin", "commit"] * (len(controls) // 2):
        return None
    body = tuple(each for each in statements if each not in controls)
    plain = all(_PLAIN_BEGIN.fullmatch(each.sql) for each in controls[::2])
    bound = controls and any(_BOUND_TO_ITS_TRANSACTION.search(each.sql) for each in body)
    return body if plain and not bound else None


@dataclass(frozen=True, slots=True)
class Graph:
    """The files in the order they can run in, and why."""

    folder: str
    files: tuple[FileFacts, ...]
    edges: tuple[Edge, ...]
    opaque: tuple[Opaque, ...]
    unprovided: tuple[Requirement, ...]
    findings: tuple[Finding, ...]
    server_version: int  # the major version it was bound for
    layout: Name = "flat"  # how the folder is laid out

    def file(self, name: str) -> FileFacts:
        """The file of that name; KeyError if there is none."""
        for facts in self.files:
            if facts.name == name:
                return facts
        raise KeyError(name)

    def needs(self, name: str) -> tuple[Edge, ...]:
        """The edges that leave `name`: what it must stay behind."""
        return tuple(edge for edge in self.edges if edge.file == name)

    def ancestors(self, name: str) -> frozenset[str]:
        """Every file that must have run before `name`, directly or through others."""
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            for edge in self.needs(waiting.pop()):
                if edge.needs not in seen:
                    seen.add(edge.needs)
                    waiting.append(edge.needs)
        return frozenset(seen - {name})


@dataclass(frozen=True, slots=True)
class Step:
    """One file that will run."""

    facts: FileFacts
    position: int
    expected_ms: int | None = None
    measured: bool = False  # where expected_ms comes from: an earlier run, or the file's own declaration
    cut: Cut | None = None  # what of it commits together; None where nobody has looked
    begun: str = ""  # how far an earlier run was, in words; "" if none began it


@dataclass(frozen=True, slots=True)
class Missing:
    """An unmet requirement, answered: who provides it, how that file stands here, and what to type.

    `cause` and `solution` are the specification's: "Step 3 run before Step 1", "Run Step 1 first".
    """

    requirement: Requirement
    file: str
    message: str
    cause: str
    solution: str
    provider: str = ""
    provider_state: State | Literal[""] = ""
    missing_objects: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    blocking: bool = True
    here: str = ""  # how it stands here, where no file provides it: "not granted", "refused", "not set"


Group = Literal[
    "objects", "rows", "server", "privileges", "settings", "locks", "room", "services", "backup", "connection"
]
Mark = Literal["met", "unmet", "unknown", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a preflight looked at besides objects and rows, and what it saw.

    What is unmet has its `Missing` in the plan as well; a warning and what is unknown stop nothing.
    """

    group: Group
    mark: Mark
    says: str  # what was looked at
    evidence: str = ""  # what was seen
    at: Place | None = None  # what needs it
    provider: str = ""  # who makes it true: a file, a role, a variable
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileState:
    """How one file stands in the live database, from facts, beside what the ledger says.

    `missing` are objects (or changes of objects) that it makes and the database lacks; with "not applied" it is empty.
    `differs` says what is there otherwise than the file makes it. `because` is the evidence of a state that the file's
    own objects do not show: the file that superseded it, the one that implies it, why it cannot be proved.

    `settled`: nothing is left of it to do, as far as the catalog shows. `left` are the ordinals of those of its
    statements that did not run, where each one can be told; None where not. `disagrees` names every point in which the
    ledger (`recorded`, `edited`) and the catalog contradict each other; `origin` is where the ledger has it from.
    `begun` says how far a run came with it that has not ended (it is then not recorded, or was recorded before).
    `waits` are objects that are not there yet and that it does something to where they are: once another file has made
    them, it has to run again.
    """

    name: str
    state: State
    recorded: bool
    missing: tuple[str, ...] = ()
    edited: bool = False
    differs: tuple[str, ...] = ()
    because: str = ""
    settled: bool = False
    left: tuple[int, ...] | None = None
    disagrees: tuple[str, ...] = ()
    origin: str = ""
    waits: tuple[str, ...] = ()
    again: bool = False  # a repeatable file that was changed since it was recorded: it runs again
    begun: str = ""

    @property
    def there(self) -> bool:
        """Whether the facts say that it ran here, in this or another version."""
        return self.state in THERE


THERE: frozenset[State] = frozenset(("applied", "changed since", "superseded", "implied"))
"""The states of a file that ran."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will run, in which order, and whether it may."""

    graph: Graph
    steps: tuple[Step, ...]
    done: tuple[str, ...]  # files that need not run: recorded in the ledger
    states: tuple[FileState, ...]
    missing: tuple[Missing, ...]
    findings: tuple[Finding, ...]
    wants: tuple[tuple[Service, bool], ...] = field(default=())  # and whether its variable is set
    items: tuple[Item, ...] = ()  # what a complete preflight saw; empty where it was not asked

    @property
    def go(self) -> bool:
        """Every requirement met, nothing refused."""
        return not any(item.blocking for item in self.missing) and not any(
            finding.severity == "refusal" for finding in self.findings
        )
