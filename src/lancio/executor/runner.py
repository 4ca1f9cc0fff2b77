"""Run a plan: every step is in the database with its ledger row, or not at all.

A step is one pipeline, sent at once:

    BEGIN · the file's statements · deferred constraints · role and path as before · ledger row · verification · COMMIT
    the session as new, for the next step

An error anywhere makes the server skip the rest up to the end of the pipeline, so the first command without a result
is the one that failed, and nothing behind it was even tried. The relations still locked are read with the ledger row,
before the verification adds locks of its own; a verification that fails takes the row back with all the rest. The
ledger row is written only while the runner's lock is held, so each step is also the proof that the next one may begin.
"""

from __future__ import annotations

import hashlib
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import orjson
import psycopg
from psycopg.conninfo import make_conninfo

from lancio.errors import ConnectionLost, EditedFile, LockHeld, NoGo
from lancio.executor import doubt, events, lanes, ledger, lock, session
from lancio.executor.composed import refuse_unsendable
from lancio.executor.lane import Lane
from lancio.executor.run import Run
from lancio.executor.session import Connection, Lost, Signals
from lancio.executor.waiting import LOCK_TIMEOUT_MS, LOCK_WAIT_S, Patience
from lancio.planner import schedule
from lancio.planner import segments as cutting
from lancio.planner.diagnosis import Way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lancio.executor.events import Event
    from lancio.planner.model import Plan, Step

AHEAD = 16
"""How many small steps are on their way to the server while it is at another one."""


def apply(
    plan: Plan,
    connection: Connection,
    *,
    settings: Mapping[str, str] | None = None,
    role: str | None = None,
    reconnect: Callable[[], Connection] | None = None,
    folder: str = "",
    flags: str = "",
    terms: str = "",
    psql: Callable[..., str] | None = None,
    lock_wait_s: float = LOCK_WAIT_S,
    lock_timeout_ms: int = LOCK_TIMEOUT_MS,
    retries: int | None = None,
    decided: Mapping[tuple[str, int], Literal["done", "again"]] | None = None,
    ahead: int = AHEAD,
    jobs: int = 1,
) -> Iterator[Event]:
    """Run each step of a plan in a transaction of its own, together with its ledger row.

    The row commits with the change or not at all: after a crash the ledger tells the truth and running again is safe.
    `connection` belongs to the run until the iterator ends, and is given back reset; it is not closed, unless it is
    lost. `settings` are custom settings (`lancio.key`) and their values: a step gets those its file reads, by bound
    parameter, for its transaction alone. `role` is the role that files run as. `reconnect` opens another connection
    to the same database, to see who is in the way and to resolve a COMMIT in doubt; without it one is made from the
    first one's parameters. `folder` is the folder as a command line names it, `flags` what stands behind Lancio's
    own commands and `terms` behind `lancio apply`; `psql` writes the psql line for a path, or for none. Times are
    seconds and milliseconds as named: `lock_timeout_ms` is for all waits of a step's one try together (0: no limit),
    `lock_wait_s` for all its tries, and for another runner; `retries` is how often a step is tried again at most.
    `decided` says of statements in doubt, by file and line, whether they were done. `ahead` steps at most are on their
    way while the server is at another one; with 0 each is sent when the one before is on the disk. With more than one
    of `jobs`, so many steps that the graph proves independent run at once, each on a connection of its own
    (`reconnect`) beside this one.

    While it runs, Ctrl-C and SIGTERM are caught (in the main thread): the statement is cancelled on the server.

    Raises:
        NoGo: the plan is not a go, or holds a statement that cannot run in a transaction.
        EditedFile: a file of the plan was applied by somebody else in another version.
        LockHeld: another runner kept the lock for `lock_wait_s`.
        StepFailed: a statement or verification failed; `StepFailed` came as an event before.
        Interrupted: the user asked to stop; the event came before.
        ConnectionLost: the connection ended; what became of the step was found out where that was possible.
        ServerError: the connection or the server cannot be used for a run.
    """
    _check(plan, connection.info.server_version // 10000)
    if not plan.steps:
        yield events.RunFinished(number=1, outcome="done", applied=0, of=0, duration_ms=0.0)
        return
    course = schedule.made(plan) if jobs > 1 and len(plan.steps) > 1 else None
    parameters = connection.info.get_parameters() | {"password": connection.info.password}
    again = make_conninfo("", **{name: value for name, value in parameters.items() if value})

    def another() -> Connection:
        return psycopg.connect(again, autocommit=True)

    signals = Signals()
    with signals.caught():
        work = session.begin(connection, role=role, application="lancio apply", lock_timeout_ms=lock_timeout_ms)
        run = Run(
            plan=plan,
            signals=signals,
            settings=dict(settings or {}),
            reconnect=reconnect or another,
            way=Way(folder or shlex.quote(plan.graph.folder), psql, flags, terms),
            patience=Patience(lock_timeout_ms, lock_wait_s, retries),
            decided=decided or {},
            major=work.server_version // 10000,
            ahead=ahead,
        )
        lane = Lane(run, work)
        try:
            yield from _begin(run, lane, lock_wait_s)
            if course is None:
                yield from _go(run, lane)
            else:
                yield from lanes.Crew(run, lane, course, jobs).go(lambda at, step: _skip(run, lane, at, step))
            yield lane.finish("done")
        finally:
            _leave(run, lane)


def plan_hash(plan: Plan) -> str:
    """SHA-256 over the plan's steps: their names, positions and texts."""
    said = [(step.position, step.facts.name, step.facts.migration.digest) for step in plan.steps]
    return hashlib.sha256(orjson.dumps(said)).hexdigest()


def _check(plan: Plan, major: int) -> None:
    if not plan.go:
        blocking = [item for item in plan.missing if item.blocking]
        said = [item.message for item in blocking] + [
            finding.message for finding in plan.findings if finding.severity == "refusal"
        ]
        raise NoGo(
            "the plan is not a go: " + "; ".join(said),
            cause="Requirements are not met, or something was refused." if not blocking else blocking[0].cause,
            remedy=blocking[0].solution if blocking else "Look at `lancio preflight`.",
            commands=tuple(dict.fromkeys(command for item in blocking for command in item.commands)),
        )
    for step in plan.steps:
        refuse_unsendable(step.facts, step.cut or cutting.cut(step.facts, major))


def _begin(run: Run, lane: Lane, lock_wait_s: float) -> Iterator[Event]:
    """From the lock to the run's row in the ledger."""
    work = lane.work
    try:
        for waited, holders in lock.acquire(work, lock_wait_s, run.signals, run.way.sql):
            yield run.tell(
                events.Waiting(
                    number=run.next(),
                    what="runner",
                    holders=tuple(holders),
                    waited_s=round(waited, 1),
                    why=lock.orphaned(holders, work.server_version),
                )
            )
        lane.locked = lock.held(work)
        if run.signals.name:
            yield from lane.interrupted("", committed=False)
        if not lane.locked:
            raise LockHeld(
                "the lock was lost at once",
                cause="The server's lock table does not show it.",
                remedy="Connect to PostgreSQL itself, without a pooler.",
            )
        ledger.ensure(work)
        run.known = ledger.applied_checksums(work)
        run.begun = ledger.in_progress_here(work)
        fingerprint = plan_hash(run.plan)
        run.id = ledger.start_run(work, fingerprint)
        earlier = doubt.close_earlier(work, run.id)
    except Lost as lost:
        raise ConnectionLost(
            f"{doubt.ended(lost)} before the first step",
            cause=doubt.why(lost),
            remedy="Nothing was changed. Run the same command again.",
        ) from lost
    except session.Refused as refused:
        raise session.refusal(refused.error, "the ledger could not be written") from None
    # What the ledger had when the plan was made is run again because the plan says so.
    for state in run.plan.states:
        if state.recorded:
            run.known.pop(state.name, None)
    yield run.tell(
        events.RunStarted(
            number=run.next(),
            run=run.id,
            steps=tuple(step.facts.name for step in run.plan.steps),
            database=work.database,
            server_version=work.server_version_text,
            plan_hash=fingerprint,
        )
    )
    for said in earlier:
        yield run.tell(events.Notice(number=run.next(), run=run.id, migration="", severity="WARNING", message=said))


def _go(run: Run, lane: Lane) -> Iterator[Event]:
    """Each step in turn."""
    for position, step in enumerate(run.plan.steps, 1):
        name = step.facts.name
        if name in run.known:
            yield from _skip(run, lane, position, step)
            continue
        if run.signals.name and not lane.work.in_flight:
            yield from lane.interrupted(name, committed=False)
        yield from lane.step(position, step)


def _skip(run: Run, lane: Lane, position: int, step: Step) -> Iterator[Event]:
    """Pass over a step that came into the ledger after the plan was made."""
    _refuse_edited(run, lane, step)
    yield run.tell(
        events.StepSkipped(number=run.next(), run=run.id, migration=step.facts.name, position=position, of=run.of)
    )


def _refuse_edited(run: Run, lane: Lane, step: Step) -> None:
    migration = step.facts.migration
    if run.known[migration.name] == migration.checksum:
        return
    lane.write("failed")
    raise EditedFile(
        f"{migration.name} was applied by somebody else, in another version",
        cause="It came into the ledger after this plan was made, with other statements.",
        remedy="Get that version of the file, or accept this one by `lancio adopt --edited`.",
        commands=(f"lancio status {run.plan.graph.folder}",),
    )


def _leave(run: Run, lane: Lane) -> None:
    """Give back lock and connection; a run that nobody read to its end is closed as interrupted."""
    with suppress(psycopg.Error):
        lane.watch.close()
    work = lane.work
    if work.lost:
        work.connection.close()
        return
    try:
        work.abandon()
        if run.id is not None and not run.outcome:
            lane.write("interrupted")
        if lane.locked:
            lock.release(work)
        session.end(work)
    except (Lost, psycopg.Error, session.Refused):
        # What the lock and the settings were for has been done; a session that ends gives back both.
        work.connection.close()
