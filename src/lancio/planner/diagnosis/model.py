"""The nouns of diagnosis: what the server said, what is known besides, and the answer."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lancio.planner.model import FileFacts, Graph

Confidence = Literal["certain", "likely", "general"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """An error with its cause and its solution: one shape before, during and after a run.

    No field holds a password, nor a value out of a row but sample keys that are numbers, dates or UUIDs. `rule` is the
    stable name of what was recognized. `confidence` is `certain` where the graph, the database or PostgreSQL's own
    words leave no doubt, `likely` where the error has one usual reason, `general` where only its class is known.
    `where` is `file:line`, perhaps with the line and a caret. `evidence` says what the migrations and the database know
    of it. `commands` are run in their order; `instead` is another way to the same, by plain psql.
    """

    message: str
    cause: str
    solution: str
    commands: tuple[str, ...] = ()
    where: str = ""
    confidence: Confidence = "general"
    sqlstate: str = ""
    detail: str = ""
    hint: str = ""
    rule: str = ""
    evidence: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()

    def more(self) -> dict[str, object]:
        """What a refusal has no field of its own for; what is empty is left out."""
        found = {
            "rule": self.rule,
            "sqlstate": self.sqlstate,
            "confidence": self.confidence,
            "detail": self.detail,
            "hint": self.hint,
            "evidence": list(self.evidence),
            "instead": list(self.instead),
        }
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Said:
    """What the server said, in the fields of its protocol."""

    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""
    context: str = ""
    schema: str = ""
    table: str = ""
    column: str = ""
    constraint: str = ""
    datatype: str = ""

    @property
    def relation(self) -> str:
        """The table that the error's own fields name, with its schema; empty if they name none."""
        return f"{self.schema}.{self.table}" if self.schema and self.table else self.table

    @property
    def inner(self) -> str:
        """The statement inside a routine or DO block that failed, as PL/pgSQL's context quotes it; perhaps empty."""
        found = re.match(r'(?s)SQL (?:statement|expression) "(.*?)"(?:\nPL/pgSQL |\nSQL |\Z)', self.context)
        return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Spot:
    """The statement that failed as it stands in its file: its text, its first line, and the line the error means."""

    sql: str
    line: int
    at: int


@dataclass(frozen=True, slots=True)
class Way:
    """How commands are to be written here: the folder as a command line has it, and the psql line for a file.

    `psql(None)` is the psql line without a file. `flags` stand behind each of Lancio's own commands, `terms`
    behind `lancio apply`: what the run was started with.
    """

    folder: str = "."
    psql: Callable[[Path | None], str] | None = None
    flags: str = ""
    terms: str = ""

    def by_psql(self, *files: FileFacts) -> tuple[str, ...]:
        """The files run by plain psql; nothing where one of them is not a whole file."""
        if any(facts.migration.source is not None for facts in files):
            return ()
        return tuple(self._psql(facts.migration.path) for facts in files)

    def lancio(self, *names: str) -> str:
        """Lancio's own command for these files."""
        only = " ".join(f"--only {shlex.quote(name)}" for name in names)
        return f"lancio apply {self.folder} {only}{self.terms}{self.flags}"

    def status(self) -> str:
        """The command that shows where the database stands."""
        return f"lancio status {self.folder}{self.flags}"

    def sql(self, *statements: str, together: bool = True) -> str:
        """One psql line that runs these statements, several in one transaction unless they are not `together`."""
        single = " -1" if len(statements) > 1 and together else ""
        return f"{self._psql(None)}{single}" + "".join(f" -c {shlex.quote(each)}" for each in statements)

    def edit(self, facts: FileFacts, line: int, old: str, new: str) -> str:
        """The command that writes `new` for `old` in a line of a file, keeping a copy; empty where that cannot be.

        Files that other programs fill, parts of files and the packaged ones are not for editing.
        """
        migration = facts.migration
        if migration.source is not None or migration.filled is not None or self.folder.startswith("--platform"):
            return ""
        lines = migration.text.decode(errors="replace").split("\n")
        if not (0 < line <= len(lines) and old in lines[line - 1]) or "\n" in old + new or not (old or new):
            return ""
        pattern = re.sub(r"([\\/.*\[\]^$])", r"\\\1", old) if old else "^"
        written = re.sub(r"([\\/&])", r"\\\1", new)
        return f"sed -i.bak {shlex.quote(f'{line}s/{pattern}/{written}/')} {shlex.quote(str(migration.path))}"

    def _psql(self, path: Path | None) -> str:
        if self.psql is not None:
            return self.psql(path)
        return 'psql "$DATABASE_URL"' + (f" -f {shlex.quote(str(path))}" if path is not None else "")


# What a live database says to an error. Names are SQL as it stands in a statement, quoted where that is needed.


class Holder(NamedTuple):
    """A session that holds a lock which keeps others waiting; `seconds` is its transaction's age."""

    pid: int
    user: str
    application: str
    state: str
    seconds: int
    relation: str = ""
    mode: str = ""

    def __str__(self) -> str:
        who = f"process {self.pid}" + (f" ({self.application})" if self.application else "")
        who += f" of {self.user}" if self.user else ""
        does = f" holds {self.mode} on {self.relation}" if self.relation else " stands in the way"
        state = f", {self.state}" if self.state else ""
        return f"{who}{does}{state}, its transaction is {age(self.seconds)} old"


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table that stand in the way: how many, keys of some of them, and how they are asked for.

    `count` is exact up to `more`. `condition` is SQL over the table's columns; `default` whether the column in question
    has one; `copies` how many rows could go without a loss, because another row says the same in all columns but the
    primary key; `referenced` whether other tables point at this one.
    """

    table: str
    count: int
    more: bool
    total: int
    condition: str
    key: tuple[str, ...] = ()
    sample: tuple[str, ...] = ()
    default: bool = False
    copies: int = 0
    copy: str = ""  # the condition of such copies
    referenced: bool = False


class Dependent(NamedTuple):
    """An object that stands on another; `definition` is the statement that makes it anew, for views."""

    kind: str
    name: str
    definition: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Standing(NamedTuple):
    """An object that is there already under the wanted name; `rows` is -1 where that is no question.

    `drop` takes it away, and fails where something stands on it.
    """

    kind: str
    name: str
    rows: int
    dependents: tuple[Dependent, ...]
    drop: str

    @property
    def idle(self) -> bool:
        """Nothing is in it, and nothing stands on it: taking it away loses nothing but its definition."""
        return self.rows <= 0 and not self.dependents


class Grant(NamedTuple):
    """A right that the role lacks; `on` as GRANT has it: "TABLE app.users"."""

    privilege: str
    on: str
    owner: str
    grantable: bool  # the user that is logged in may grant it


class Setting(NamedTuple):
    """A setting that stands in the way: its value, where it comes from, and what takes it away there."""

    name: str
    value: str
    source: str
    undo: str = ""


class Slots(NamedTuple):
    """How many connections there are and may be, and how many of them are idle."""

    used: int
    limit: int
    idle: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the live database says to an error: plain values, never another session's query, never a row's values."""

    user: str = ""
    login: str = ""
    database: str = ""
    version: int = 0
    holders: tuple[Holder, ...] = ()
    rows: Rows | None = None
    dependents: tuple[Dependent, ...] = ()
    standing: Standing | None = None
    grants: tuple[Grant, ...] = ()
    owner: str = ""  # of the object that only its owner may change
    owner_of: str = ""
    names: tuple[str, ...] = ()  # what is there of the kind that is missing: names as SQL
    setting: Setting | None = None
    slots: Slots | None = None
    invalid: tuple[str, ...] = ()  # indexes that an earlier attempt left invalid
    functions: tuple[str, ...] = ()  # functions of the wanted name, with their argument types
    columns: tuple[str, ...] = ()  # of a key that is missing
    unfinished: tuple[str, ...] = field(default=())  # questions that were not answered in time


@dataclass(frozen=True, slots=True)
class Case:
    """All that a rule may look at."""

    said: Said
    graph: Graph | None
    file: str
    spot: Spot | None
    evidence: Evidence
    way: Way
    applied: frozenset[str] | None  # files that are applied here; None where no database was asked

    @property
    def facts(self) -> FileFacts | None:
        """The file that failed, where there is one in the graph."""
        if self.graph is None or not self.file:
            return None
        return next((facts for facts in self.graph.files if facts.name == self.file), None)

    @property
    def again(self) -> tuple[str, ...]:
        """The command that tries the file once more."""
        return (self.way.lancio(self.file),) if self.file else ()

    @property
    def statement(self) -> str:
        """The SQL that failed: inside a routine the statement there, else the file's."""
        return self.said.inner or (self.spot.sql if self.spot else "")

    def edit(self, old: str, new: str) -> tuple[str, ...]:
        """The command that writes `new` for `old` where the statement stands; its lines are looked through."""
        facts = self.facts
        if facts is None or self.spot is None:
            return ()
        lines = range(self.spot.line, self.spot.line + self.spot.sql.count("\n") + 1)
        for line in (self.spot.at, *lines):
            if command := self.way.edit(facts, line, old, new):
                return (command,)
        return ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a rule finds; `commands` mend it, and the one that tries again is added where `again` is set."""

    cause: str
    solution: str
    confidence: Confidence = "likely"
    commands: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    again: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """What errors of some SQLSTATEs mean: the usual words, and a function that knows better from the case at hand.

    `{relation}`, `{column}`, `{constraint}` and `{file}` in the words are filled from the error's own fields.
    """

    name: str
    states: tuple[str, ...]
    cause: str
    solution: str
    confidence: Confidence = "likely"
    answer: Callable[[Case], Answer | None] | None = None
    passes: bool = False
    """A state of the world, not of the file: the same command can succeed later."""


def age(seconds: int) -> str:
    """A time as people say it: `14 minutes`."""
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
