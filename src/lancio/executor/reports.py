"""What did a run do, as the ledger has it: who, when, how long, which locks, what was verified, and how it ended?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
from psycopg import rows

from lancio.errors import ServerError, UsageError
from lancio.executor import ledger
from lancio.planner.locks import spoken
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from lancio.executor.session import Connection
    from lancio.planner.model import Graph, Plan

QUERIES = named_queries("lancio.executor", "reports.sql")

WHOLE = 1_000_000
"""More runs than this are not listed at once."""


@dataclass(frozen=True, slots=True)
class Held:
    """A relation and the lock on it, in PostgreSQL's words: ACCESS EXCLUSIVE."""

    relation: str
    mode: str


@dataclass(frozen=True, slots=True)
class Done:
    """A statement that had its result. `duration_ms` is None where its event was lost with its runner."""

    ordinal: int
    line: int
    summary: str
    tag: str = ""
    duration_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the server's."""

    severity: str
    message: str
    sqlstate: str = ""
    detail: str = ""
    hint: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Waited:
    """A time in which nothing went on since others held a lock; `holders` are those who did, in words."""

    what: str
    waited_s: float
    holders: tuple[str, ...]
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step was rolled back; the fields are the diagnosis'."""

    message: str
    cause: str = ""
    solution: str = ""
    where: str = ""
    sqlstate: str = ""
    detail: str = ""
    hint: str = ""
    ordinal: int | None = None
    commands: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepReport:
    """One file of a run.

    `state` is applied, failed (rolled back), interrupted, unfinished (its runner was killed, or it runs still), skipped
    (somebody else had applied it meanwhile), "not reached", adopted or edited. `foreseen` is None where nothing was
    foreseen or it is not known; `edited_since` where the file in the folder is another one now.
    """

    file: str
    position: int
    state: str
    started_at: datetime | None = None
    duration_ms: float | None = None
    expected_ms: float | None = None
    checksum: str = ""
    digest: str = ""
    origin: str = ""
    risk: str = ""
    risk_because: str = ""
    locks: tuple[Held, ...] = ()
    foreseen: tuple[Held, ...] | None = None
    verifications: tuple[str, ...] = ()
    statements: tuple[Done, ...] = ()
    notices: tuple[Said, ...] = ()
    waits: tuple[Waited, ...] = ()
    failure: Failure | None = None
    edited_since: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A finding of the plan."""

    rule: str
    severity: str
    message: str
    where: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All that is known of a run.

    `outcome` is done, failed, interrupted, lost, or "" where it runs still or its runner was killed. The fingerprints
    are "" where they were not recorded, `findings` None. `counters` is what the server had counted in the database at
    the end; None where that was not recorded.
    """

    run: int
    outcome: str
    started_at: datetime
    finished_at: datetime | None
    who: str
    operator: str
    host: str
    lancio_version: str
    server_version: str
    plan_hash: str
    database: str = ""
    fingerprint_before: str = ""
    fingerprint_after: str = ""
    steps: tuple[StepReport, ...] = ()
    waits: tuple[Waited, ...] = ()
    notices: tuple[Said, ...] = ()
    findings: tuple[Found, ...] | None = None
    counters: Mapping[str, Any] | None = None
    events: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def duration_ms(self) -> float | None:
        """From its first to its last word, in milliseconds."""
        if self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds() * 1000

    @property
    def waited_s(self) -> float:
        """How long others kept it waiting, in all."""
        return sum(each.waited_s for each in (*self.waits, *(wait for step in self.steps for wait in step.waits)))

    @property
    def failed(self) -> StepReport | None:
        """The step that failed, if one did."""
        return next((each for each in self.steps if each.state == "failed"), None)


@dataclass(frozen=True, slots=True)
class Listed:
    """A run in one line: how many steps it applied or took over, and which one failed."""

    id: int
    started_at: datetime
    finished_at: datetime | None
    who: str
    operator: str
    host: str
    lancio_version: str
    server_version: str
    plan_hash: str
    outcome: str | None
    applied: int
    taken_over: int
    failed: str | None


def listed(connection: Connection, limit: int = WHOLE) -> list[Listed]:
    """The runs, newest first; empty without a ledger.

    Raises:
        ServerError: the ledger is newer than this Lancio, damaged, or may not be read.
    """
    if not ledger.exists(connection):
        return []
    return [Listed(**row) for row in _all(connection, "listed", limit)]


def gather(connection: Connection, run: int | None = None, graph: Graph | None = None) -> Report:
    """The report of a run, or of the newest one. Where the ledger does not know what was foreseen, the `graph` of the
    same files does.

    Raises:
        UsageError: there is no such run, or none at all.
        ServerError: the ledger is newer than this Lancio, damaged, or may not be read.
    """
    known = listed(connection, 1)
    if run is None and known:
        run = known[0].id
    found = _all(connection, "run", run) if known and run is not None else []
    if not found:
        raise UsageError(
            "no run of Lancio is recorded in this database" if not known else f"there is no run {run}",
            cause="The ledger is empty: nothing was applied here by Lancio."
            if not known
            else f"The newest one is {known[0].id}.",
            remedy="Name another database." if not known else "List them.",
            commands=() if not known else ("lancio report --list",),
        )
    row = found[0]
    counted = _all(connection, "counters", run) if _has_counters(connection) else []
    events = ledger.events(connection, row["id"])
    report = _told(row, ledger.steps(connection, row["id"]), _all(connection, "statements", row["id"]), events)
    report = replace(report, counters=counted[0]["counters"] if counted else None)
    return report if graph is None else _completed(report, graph, recorded=row["foreseen"] is not None)


def note(connection: Connection, run: int, before: str, after: str, plan: Plan) -> None:
    """Record with a run the catalog's fingerprints before and behind it, and what the plan foresaw.

    Raises:
        ServerError: it cannot be written.
    """
    with psycopg.RawCursor(connection) as cursor:
        try:
            cursor.execute(QUERIES["note"].encode(), (run, before, after, orjson.dumps(foreseen(plan)).decode()))
        except psycopg.Error as error:
            raise ServerError(
                "the report's facts could not be written to the ledger",
                cause=f"{error.diag.message_primary or error}.",
                remedy="The run itself is recorded. `lancio report` tells what is known of it.",
            ) from None


def foreseen(plan: Plan) -> dict[str, Any]:
    """What a plan foresees, JSON-able: findings, and of each step the locks and the risk."""
    return {
        "findings": [
            {
                "rule": each.rule,
                "severity": each.severity,
                "message": each.message,
                "where": str(each.at) if each.at is not None else "",
                "remedy": each.remedy,
            }
            for each in plan.findings
        ],
        "steps": {
            step.facts.name: {
                "locks": [[lock.relation, lock.mode] for lock in step.facts.locks],
                "risk": step.facts.risk,
                "risk_because": step.facts.risk_because,
                "expected_ms": step.expected_ms,
            }
            for step in plan.steps
        },
    }


# --- putting it together ----------------------------------------------------------------------------------------------


def _told(
    row: Mapping[str, Any],
    applied: Sequence[ledger.Applied],
    statements: Iterable[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
) -> Report:
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        by_kind.setdefault(str(event["event"]), []).append(event)
    started = by_kind.get("run-started", [])
    expected = row["foreseen"] or {}
    names = list(
        dict.fromkeys([*(name for each in started for name in each["steps"]), *(a.migration for a in applied)])
    )
    lines: dict[int, list[Mapping[str, Any]]] = {}
    for each in statements:
        lines.setdefault(each["step"], []).append(each)
    rows_of = {each.migration: each for each in applied}
    steps = tuple(
        _step(name, position, rows_of.get(name), lines, by_kind, expected.get("steps", {}).get(name), row["outcome"])
        for position, name in enumerate(names, 1)
    )
    return Report(
        run=row["id"],
        outcome=row["outcome"] or "",
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        who=row["who"],
        operator=row["operator"],
        host=row["host"],
        lancio_version=row["lancio_version"],
        server_version=row["server_version"],
        plan_hash=row["plan_hash"],
        database=str(started[0]["database"]) if started else "",
        fingerprint_before=row["fingerprint_before"] or "",
        fingerprint_after=row["fingerprint_after"] or "",
        steps=steps,
        waits=_waits(by_kind.get("waiting", ()), ""),
        notices=_notices(by_kind.get("notice", ()), ""),
        findings=tuple(Found(**each) for each in expected["findings"]) if "findings" in expected else None,
        events=tuple(events),
    )


def _step(
    name: str,
    position: int,
    row: ledger.Applied | None,
    lines: Mapping[int, Sequence[Mapping[str, Any]]],
    by_kind: Mapping[str, Sequence[Mapping[str, Any]]],
    expected: Mapping[str, Any] | None,
    outcome: str | None,
) -> StepReport:
    own = {kind: [e for e in found if e.get("migration") == name] for kind, found in by_kind.items()}
    begun = own.get("step-started", [])
    failed = own.get("step-failed", [])
    if row is not None:
        state = row.state
    elif failed:
        state = "failed"
    elif own.get("step-skipped"):
        state = "skipped"
    elif own.get("interrupted") or (begun and outcome == "interrupted"):
        state = "interrupted"
    else:
        state = "unfinished" if begun else "not reached"
    progress = {each["ordinal"]: each for each in own.get("progress", ())}  # of a step tried again, the last try counts
    if row is not None:
        done = tuple(
            Done(
                each["ordinal"],
                each["line"],
                each["summary"],
                str(progress.get(each["ordinal"], {}).get("tag", "")),
                each["duration_ms"] or progress.get(each["ordinal"], {}).get("duration_ms"),
            )
            for each in lines.get(row.id, ())
        )
    else:
        done = tuple(
            Done(ordinal, each["line"], each["summary"], each["tag"], each["duration_ms"])
            for ordinal, each in sorted(progress.items())
        )
    expected_ms = begun[-1].get("expected_ms") if begun else None
    return StepReport(
        file=name,
        position=position,
        state=state,
        started_at=row.started_at if row is not None else None,
        duration_ms=row.duration_ms if row is not None else None,
        expected_ms=expected_ms if expected_ms is not None else (expected or {}).get("expected_ms"),
        checksum=row.checksum if row is not None else "",
        digest=row.digest if row is not None else "",
        origin=row.origin if row is not None else "",
        risk=(expected or {}).get("risk", ""),
        risk_because=(expected or {}).get("risk_because", ""),
        locks=tuple(Held(relation or "(dropped)", spoken(mode)) for relation, mode in row.locks) if row else (),
        foreseen=tuple(Held(relation, mode) for relation, mode in expected["locks"]) if expected else None,
        verifications=row.verifications if row is not None else (),
        statements=done,
        notices=_notices(own.get("notice", ()), name),
        waits=_waits(own.get("waiting", ()), name),
        failure=_failure(failed[-1]) if failed else None,
    )


def _failure(event: Mapping[str, Any]) -> Failure:
    told = event.get("diagnosis") or {}
    return Failure(
        message=str(told.get("message", "")),
        cause=str(told.get("cause", "")),
        solution=str(told.get("solution", "")),
        where=str(told.get("where", "")),
        sqlstate=str(event.get("sqlstate") or told.get("sqlstate", "")),
        detail=str(told.get("detail", "")),
        hint=str(told.get("hint", "")),
        ordinal=event.get("ordinal"),
        commands=tuple(map(str, told.get("commands", ()))),
        evidence=tuple(map(str, told.get("evidence", ()))),
    )


def _notices(events: Iterable[Mapping[str, Any]], migration: str) -> tuple[Said, ...]:
    names = ("severity", "message", "sqlstate", "detail", "hint", "where")
    return tuple(
        Said(**{name: str(each.get(name, "")) for name in names})
        for each in events
        if (each.get("migration") or "") == migration
    )


def _waits(events: Iterable[Mapping[str, Any]], migration: str) -> tuple[Waited, ...]:
    """One for each wait: its events tell how long it has lasted until then, so the last one of each counts."""
    found: list[Waited] = []
    last: dict[str, float] = {}
    for each in events:
        if (each.get("migration") or "") != migration:
            continue
        what, waited = str(each["what"]), float(each["waited_s"])
        holders = tuple(_holder(holder) for holder in each.get("holders", ()))
        again = int(each.get("retry_in_s") is not None)
        at = next((i for i in range(len(found) - 1, -1, -1) if found[i].what == what), None)
        if at is not None and waited >= last[what]:
            found[at] = Waited(what, waited, holders or found[at].holders, found[at].retries + again)
        else:
            found.append(Waited(what, waited, holders, again))
        last[what] = waited
    return tuple(found)


def _holder(holder: Mapping[str, Any]) -> str:
    said = [f"process {holder.get('pid')}"]
    if application := holder.get("application"):
        said.append(f"({application})")
    if user := holder.get("user"):
        said.append(f"of {user}")
    if since := holder.get("since"):
        said.append(f"since {str(since)[:19]}")
    return " ".join(said)


def _completed(report: Report, graph: Graph, *, recorded: bool) -> Report:
    """With what the files say of locks and risk, where they are still the files that ran."""
    facts = {each.name: each for each in graph.files}
    steps = []
    for step in report.steps:
        file = facts.get(step.file)
        if file is None:
            steps.append(step)
        elif step.checksum and step.checksum != file.migration.checksum:
            steps.append(replace(step, edited_since=True))
        elif recorded:
            steps.append(step)
        else:
            steps.append(
                replace(
                    step,
                    foreseen=tuple(Held(lock.relation, lock.mode) for lock in file.locks),
                    risk=file.risk,
                    risk_because=file.risk_because,
                )
            )
    return replace(report, steps=tuple(steps))


def _has_counters(connection: Connection) -> bool:
    found = connection.execute("SELECT pg_catalog.to_regclass('lancio.counters') IS NOT NULL").fetchone()
    return bool(found and found[0])


def _all(connection: Connection, name: str, *parameters: object) -> list[dict[str, Any]]:
    with psycopg.RawCursor(connection, row_factory=rows.dict_row) as cursor:
        return cursor.execute(QUERIES[name].encode(), parameters).fetchall()
