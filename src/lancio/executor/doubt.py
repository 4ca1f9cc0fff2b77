"""The connection is gone: why, what became of the step that was sent, and of runs that came to no end?

A step is in the database with its ledger row or not at all, so whoever can ask the ledger knows. The run itself asks as
soon as the server answers; where it cannot, the next run and `lancio status` do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
import psycopg

from lancio.errors import ConnectionLost, LancioError
from lancio.executor import events, lock, session
from lancio.executor.session import LEDGER_QUERIES, Lost
from lancio.planner.diagnosis import Diagnosis, rule_of
from lancio.planner.diagnosis.printed import state_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.executor.composed import Composed
    from lancio.executor.events import Event
    from lancio.executor.lane import Lane
    from lancio.executor.session import Connection, Session
    from lancio.planner.model import Step

PATIENCE_S = 30.0
"""How long the server is asked what became of a step before it is left in doubt."""

BROKEN = "08006"
"""The SQLSTATE of a connection that broke without a word of the server's."""

_ENDS = {
    "57P01": ("an administrator ended the session", "The session was terminated, or the server shut down."),
    "57P02": ("the server crashed", "Another process of the server crashed, so it ended all sessions."),
    "57P03": ("the server takes no connections", "It is starting up or shutting down."),
    "57P04": ("the database was dropped", "Somebody dropped it while the session was in it."),
    "57P05": ("idle_session_timeout ended the session", "The session was silent for longer than the server allows."),
    "25P03": (
        "idle_in_transaction_session_timeout ended the session",
        "The transaction was silent for longer than the server allows.",
    ),
    "25P04": ("transaction_timeout ended the session", "The transaction took longer than the server allows."),
}
"""What the server says when it ends a session by itself: the words of the message, and of the cause."""


def state(lost: Lost) -> str:
    """The SQLSTATE of a connection's end."""
    return lost.sqlstate or state_of(lost.said) or BROKEN


def ended(lost: Lost) -> str:
    """What ended the connection, as the opening of a sentence: by the server's word, or without one."""
    found = _ENDS.get(state(lost))
    return f"{found[0]} ({state(lost)})" if found else "the connection ended"


def why(lost: Lost) -> str:
    """The cause, as a sentence or two, with the last words that were heard."""
    found = _ENDS.get(state(lost))
    if found:
        return f"{found[1]} It said: {lost.said}."
    return f"The network, or the server's end of it, broke without a word of the server's: {lost.said}."


def resolve(lane: Lane, position: int, step: Step, sent: Composed, lost: Lost) -> Iterator[Event]:
    """Find out by another connection whether the step was committed: it was all sent, COMMIT too.

    So may the next ones have been, which were sent behind it; and where the server itself crashed, those before, whose
    commits were not on the disk yet, are gone with their ledger rows.

    Raises:
        ConnectionLost: always, behind its events.
    """
    run = lane.run
    name = step.facts.name
    following = [run.plan.steps[each - 1].facts.name for each in sorted(lane.composed)]
    lane.work.connection.close()
    found = lane.committed(*lane.unflushed, name, *following)
    committed = None if found is None else name in found
    taken_back = [each for each in lane.unflushed if found is not None and each not in found]
    for each in taken_back:
        run.applied.remove(each)
    where = f"at the COMMIT of {name}" if committed or lost.index >= sent.commit else f"while {name} ran"
    if committed:
        run.applied.append(name)
        yield run.tell(_applied(lane, name, position))
        remedy = "Run the same command again to go on."
        stands = f"A new connection found its ledger row: {name} is applied."
        also = [each for each in following if found and each in found]
        for at, each in enumerate(also, position + 1):
            run.applied.append(each)
            yield run.tell(_applied(lane, each, at))
        if also:
            named = f"{', '.join([name, *also[:-1]])} and {also[-1]}"
            stands = f"A new connection found their ledger rows: {named} are applied."
    elif committed is False:
        remedy = "Check that the server runs, then run the same command again."
        kept = " or ".join([*taken_back, name])
        stands = f"A new connection found no ledger row: nothing of {kept} was kept."
        if run.half_done(name):
            stands = (
                f"A new connection found no ledger row of {name}: {run.half_way(name)}, as far as was heard. "
                "What it began is looked at when it runs again."
            )
    else:
        remedy = (
            "When the server answers again, run the same command: it goes on at the right step. lancio status says "
            "where things stand."
        )
        stands = f"The server could not be asked, so whether {name} was committed is in doubt; the ledger knows."
    message, cause = f"{ended(lost)} {where}", f"{why(lost)} {stands}"
    statement = sent.statements.get(lost.index)
    place = f"{name}:{statement[1].span.line}" if statement else name
    rule = rule_of(state(lost)).name
    if not committed:
        yield run.tell(
            events.StepFailed(
                number=run.next(),
                run=run.id,
                migration=name,
                position=position,
                of=run.of,
                diagnosis=Diagnosis(
                    message=message,
                    cause=cause,
                    solution=remedy,
                    commands=(run.way.lancio(name),),
                    where=place,
                    confidence="certain" if committed is False else "general",
                    sqlstate=state(lost),
                    rule=rule,
                ),
                sqlstate=state(lost),
                ordinal=statement[0] + 1 if statement else None,
            )
        )
    yield lane.finish("lost")
    refusal = ConnectionLost(
        message, cause=cause, remedy=remedy, commands=() if committed else (run.way.lancio(name),), where=place
    )
    refusal.more = {"rule": rule, "sqlstate": state(lost)}
    raise refusal


def committed_of(lane: Lane, *names: str, beside: bool = False) -> set[str] | None:
    """Which of these steps the ledger has, once the old server process is gone; None if nobody answers.

    Of a lane `beside` the one that holds the runner's lock, the run goes on: its end is left to that one.
    """
    run = lane.run
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and not run.signals.name:
        try:
            with run.reconnect() as connection:
                connection.autocommit = True
                work = session.begin(
                    connection, role=lane.work.role, application="lancio apply", pooled=lane.work.pooled or None
                )
                # The lock, or a worker's share in it, is free only when the old process has ended, and its step.
                if beside:
                    while lane.work.backend_pid in {each.pid for each in lock.workers(work)}:
                        if time.monotonic() >= until:
                            return None
                        time.sleep(lock.POLL_SECONDS)
                else:
                    for _ in lock.acquire(work, max(0.5, until - time.monotonic()), run.signals):
                        pass
                found = {name for name in names if name and work.ask(LEDGER_QUERIES["find_step"], str(run.id), name)}
                if beside:
                    return found
                work.ask(LEDGER_QUERIES["finish_run"], str(run.id), "lost")
                lock.release(work)
                return found
        except (psycopg.Error, LancioError, Lost, session.Refused):
            time.sleep(0.5)  # a server that restarts refuses connections for a while
    return None


# --- runs without an end ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that the ledger has no end of: it is at work, or its runner was killed or lost its connection.

    `applied` are its steps, in their order; `begun` is the last file it told of, "" where it told of none.
    """

    run: int
    operator: str
    host: str
    since: str
    applied: tuple[str, ...]
    begun: str
    process: int | None = None
    """Its server process, where that still holds the runner's lock."""

    def __str__(self) -> str:
        who = f"run {self.run}" + (f" of {self.operator}" if self.operator else "")
        said = f"{who} on {self.host} since {self.since[:19]}"
        if self.process is not None:
            return f"{said} has no end yet: server process {self.process} holds the runner's lock for it"
        said += " came to no end, and nobody holds its lock: "
        if self.begun and self.begun not in self.applied:
            said += f"{self.begun}, the last it told of, is not in the ledger, so it was not committed; "
        last = f", {self.applied[-1]} the last" if self.applied else ""
        many = "no step of it" if not self.applied else f"{len(self.applied)} of its steps"
        return f"{said}{many} {'are' if len(self.applied) > 1 else 'is'} applied{last}"


def unfinished(connection: Connection) -> list[Unfinished]:
    """The latest runs that the ledger has no end of, newest first; it has to be there."""
    with psycopg.RawCursor(connection) as cursor:
        rows = cursor.execute(
            LEDGER_QUERIES["unfinished"].encode(), (str(lock.key(connection.info.dbname)),)
        ).fetchall()
    return [
        Unfinished(run, operator, host, since, tuple(applied), begun, holder)
        for run, operator, host, since, applied, begun, holder in rows
    ]


def close_earlier(work: Session, run: int) -> list[str]:
    """Write down that earlier runs without an end are over, as the runner's lock proves; what became of each.

    The caller holds that lock.
    """
    rows = work.ask(LEDGER_QUERIES["close_runs"], str(run))
    said = []
    for number, operator, host, since, applied, begun in rows:
        found = Unfinished(
            int(number or 0), operator or "", host or "", since or "", tuple(orjson.loads(applied or "[]")), begun or ""
        )
        said.append(str(found))
    return said


def _applied(lane: Lane, name: str, position: int) -> Event:
    return events.StepApplied(
        number=lane.run.next(),
        run=lane.run.id,
        migration=name,
        position=position,
        of=lane.run.of,
        duration_ms=0.0,
        resolved=True,
    )
