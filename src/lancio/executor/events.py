"""What happens during a run: one stream for the terminal, for JSON lines, for the API, and for the ledger.

RunStarted ─▶ (StepStarted ─▶ Progress* ─▶ Verified ─▶ StepApplied)* ─▶ RunFinished
                  └▶ StepFailed or Interrupted, and the run ends there
Waiting, Underway and Notice may stand between any two of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from lancio.executor.session import ServerMessage
    from lancio.planner.diagnosis import Diagnosis
    from lancio.planner.model import Place


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened. `number` counts from 1 inside a run; `run` is None before the ledger knows it."""

    number: int
    run: int | None = None
    at: datetime = field(default_factory=_now)
    _kind: ClassVar[str] = ""
    _own: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls._kind = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    @property
    def kind(self) -> str:
        """The class's name in the words of the JSON: `step-applied`."""
        return self._kind

    def data(self) -> dict[str, object]:
        """The fields of this kind of event alone, JSON-able."""
        cls = type(self)
        if not cls._own:
            cls._own = tuple(each.name for each in fields(self) if each.name not in ("number", "run", "at"))
        return {name: _plain(getattr(self, name)) for name in cls._own}

    def as_dict(self) -> dict[str, object]:
        """JSON-able: event, number, run, at (ISO 8601, UTC) and the fields of its kind."""
        return {
            "event": self.kind,
            "number": self.number,
            "run": self.run,
            "at": self.at.isoformat(),
            **self.data(),
        }


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """The lock is held and the ledger is there."""

    steps: tuple[str, ...]
    database: str
    server_version: str
    plan_hash: str


@dataclass(frozen=True, slots=True)
class Holder:
    """A session that keeps another one waiting.

    `since` is when its transaction began, or the run that it works for; `query` its statement's opening, without
    strings and numbers; `age_s` how long its transaction is open, in seconds (None: none is). `run`, `operator` and
    `host` are the ledger's words about a runner.
    """

    pid: int
    application: str = ""
    user: str = ""
    client: str = ""
    since: str = ""
    state: str = ""
    query: str = ""
    age_s: float | None = None
    run: int | None = None
    operator: str = ""
    host: str = ""

    def __str__(self) -> str:
        said = [f"process {self.pid}"]
        if self.application:
            said.append(f"({self.application})")
        if self.user:
            said.append(f"of {self.user}" + (f" at {self.client}" if self.client else ""))
        if self.run is not None:
            said.append(f"for run {self.run}" + (f" of {self.operator}" if self.operator else "") + f" on {self.host}")
        if self.since:
            said.append(f"since {self.since[:19]}")
        if self.age_s is not None:
            said.append(f"(transaction open for {self.age_s:.0f} s)")
        if self.query:
            said.append(f"{'was last at' if self.state.startswith('idle') else 'at'}: {self.query}")
        return " ".join(said)


@dataclass(frozen=True, kw_only=True)
class Waiting(Event):
    """Nothing goes on because somebody else holds a lock.

    `what` is "runner" for the runner's own lock, else the relation, or "a lock" where it is none or not known;
    `waited_s` the seconds so far. `retry_in_s` is set when the step was rolled back and will be tried again, and `why`
    has the server's words then; of a runner it says what to do if that one was killed.
    """

    what: str
    holders: tuple[Holder, ...]
    waited_s: float
    migration: str = ""
    retry_in_s: float | None = None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class StepStarted(Event):
    """A file is about to be sent. `position` counts from 1 in this run, up to `of`."""

    migration: str
    position: int
    of: int
    statements: int
    expected_ms: int | None = None


@dataclass(frozen=True, kw_only=True)
class StepSkipped(Event):
    """Somebody else applied the same file between planning and now."""

    migration: str
    position: int
    of: int


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """A statement of the step has its result; nothing of it is committed yet.

    `duration_ms` is the time since the result before it, as seen from here.
    """

    migration: str
    ordinal: int
    of: int
    line: int
    summary: str
    tag: str
    duration_ms: float


@dataclass(frozen=True, kw_only=True)
class Underway(Event):
    """How far a long statement is, as the server's own views of progress have it; told when it has moved on.

    `percent` is of the phase, None where the server does not count it.
    """

    migration: str
    line: int
    summary: str
    phase: str
    percent: float | None = None


@dataclass(frozen=True, kw_only=True)
class Notice(Event):
    """What the server told besides: NOTICE, WARNING, INFO."""

    migration: str
    severity: str
    message: str
    sqlstate: str = ""
    detail: str = ""
    hint: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A relation that was there before, and PostgreSQL's mode of the lock that the step held until its end."""

    relation: str
    mode: str


@dataclass(frozen=True, kw_only=True)
class Verified(Event):
    """What the step should have done was asked inside its transaction, and is so."""

    migration: str
    checks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StepApplied(Event):
    """Committed, together with its ledger row. `duration_ms` is the server's, from BEGIN to the ledger row."""

    migration: str
    position: int
    of: int
    duration_ms: float
    locks: tuple[HeldLock, ...] = ()
    resolved: bool = False
    """The connection broke at COMMIT, and a look at the ledger by a new one told that it is there."""


@dataclass(frozen=True, kw_only=True)
class StepFailed(Event):
    """The step was rolled back; the steps before it stay.

    `ordinal` is the failing statement, counted from 1; None where it was not a statement of the file. `kept` says, of
    a file that is not one transaction, which of its statements stay.
    """

    migration: str
    position: int
    of: int
    diagnosis: Diagnosis
    sqlstate: str = ""
    ordinal: int | None = None
    kept: str = ""


@dataclass(frozen=True, kw_only=True)
class Interrupted(Event):
    """The user asked to stop: the step at work was rolled back, unless `committed` was quicker; `kept` as above."""

    signal: str
    applied: tuple[str, ...]
    remaining: tuple[str, ...]
    migration: str = ""
    committed: bool = False
    kept: str = ""


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    """The end of every run; `outcome` is done, failed, interrupted or lost."""

    outcome: str
    applied: int
    of: int
    duration_ms: float


def told(number: int, run: int | None, migration: str, notice: ServerMessage, where: Place | None) -> Notice:
    """A server's message as an event."""
    return Notice(
        number=number,
        run=run,
        migration=migration,
        severity=notice.severity,
        message=notice.message,
        sqlstate=notice.sqlstate,
        detail=notice.detail,
        hint=notice.hint,
        where=str(where) if where else "",
    )


def _plain(value: object) -> object:
    if value is None or isinstance(value, str | int | float):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value
