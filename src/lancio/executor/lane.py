"""One connection of a run and the steps that go through it, one after the other: sent, watched, mended, told."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import orjson
import psycopg

from lancio.errors import ConnectionLost, Interrupted, LancioError, LockHeld, StepFailed
from lancio.executor import events, evidence, ledger, lock, session
from lancio.executor.composed import Composed, body, compose, deallocates, isolated
from lancio.executor.events import Event, HeldLock
from lancio.executor.failures import explained, line_of, said_by, shown, without
from lancio.executor.session import (
    LEDGER_QUERIES,
    QUERIES,
    Answer,
    Command,
    Failure,
    Lost,
    Quiet,
    Session,
    Told,
)
from lancio.planner.diagnosis import Diagnosis, Evidence, Said, Spot, diagnose, masked, rule_of
from lancio.planner.diagnosis.printed import state_of
from lancio.planner.model import Place
from lancio.planner.rows import identifier
from lancio.postgres import redact, secrets_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from lancio.executor.run import Run
    from lancio.executor.session import ServerMessage
    from lancio.planner.model import Effect, Step
    from lancio.reading.model import Statement

EVENTS_EVERY_S = 0.5
"""Seconds between writings of events; what is told in between is lost with a killed runner, its steps are not."""

TOGETHER = 32
TOGETHER_S = 0.05
"""So many steps' commits, or so many seconds' worth of them, wait for the disk together: the log is written in order,
so the last one's waiting is for all. Every end of a run waits, too."""

SMALL_BYTES = 32_768
SMALL_MS = 100
"""A file up to this size, and not known to take longer, may be under way together with others."""

_CONTENTION = frozenset({"55P03", "40P01", "40001"})


@dataclass
class Lane:
    """A session that carries out steps of a run, and what it has sent, watches and may still lose."""

    run: Run
    work: Session
    locked: bool = False
    """Whether its session holds the runner's lock."""
    observer: Session | None = None
    follows: bool = True
    """Whether its steps are the plan's, one behind the other, so that the next ones may be sent ahead."""
    composed: dict[int, Composed] = field(default_factory=dict)
    """Steps whose commands are put together already, by position."""
    together: int = 0
    """Steps put together since the last one whose commit waits for the disk."""
    waited_at: float = 0.0
    """When that one was put together, on the monotonic clock."""
    spent_ms: float = 0.0
    """What the statement took that stands alone in the file at hand, in milliseconds."""
    unflushed: list[str] = field(default_factory=list)
    """Committed steps that a crash of the server could still take back, with their ledger rows."""

    def step(self, position: int, step: Step) -> Iterator[Event]:
        """Carry out a step, again where other sessions kept it from its locks; it is applied, or the run is over.

        Raises:
            StepFailed, Interrupted, ConnectionLost, LockHeld, ServerError: as told by the events before.
        """
        name = step.facts.name
        yield self.run.tell(
            events.StepStarted(
                number=self.run.next(),
                run=self.run.id,
                migration=name,
                position=position,
                of=self.run.of,
                statements=len(body(step.facts.statements)),
                expected_ms=step.expected_ms,
            )
        )
        for attempt in range(1, self.run.attempts + 1):
            failure = yield from self._attempt(position, step)
            if failure is None:
                return
            sent, wrong = failure
            if wrong.error.sqlstate not in _CONTENTION or attempt == self.run.attempts or self.run.signals.name:
                yield from self._failed(position, step, sent, wrong)
            pause = 0.5 * 2 ** (attempt - 1)
            yield self.run.tell(
                events.Waiting(
                    number=self.run.next(),
                    run=self.run.id,
                    what=wrong.error.message,
                    holders=(),
                    waited_s=0.0,
                    migration=name,
                    retry_in_s=pause,
                )
            )
            until = time.monotonic() + pause
            while time.monotonic() < until and not self.run.signals.name:
                time.sleep(0.05)
            if self.run.signals.name:
                yield from self.interrupted(name, committed=False)

    def _attempt(self, position: int, step: Step) -> Generator[Event, None, tuple[Composed, Failure] | None]:
        """Send the step once; the generator's value is None when it is committed, else what failed."""
        if self.run.id is None:
            raise AssertionError("the run begins before its steps")
        name = step.facts.name
        if step.facts.lone is not None:
            wrong = yield from self._alone(position, step, step.facts.lone)
            if wrong is not None:
                return wrong
        composed = self.composed.pop(position, None)
        if composed is not None and self.work.in_flight:
            sent = composed  # it was sent while the step before was at work
        else:
            sent = self._composed(position, step)
            self._carry_events(sent)
        kept: list[Event] = []
        answers: Answer | None = None
        failure: Failure | None = None
        committed = cancelled = False
        waited = 0.0
        clock = time.monotonic()
        try:
            for came in self.work.run(
                sent.commands, signals=self.run.signals, meanwhile=lambda: self._ahead(position, sent)
            ):
                if isinstance(came, Answer):
                    now = time.monotonic()
                    if found := sent.statements.get(came.index):
                        ordinal, statement = found
                        if len(sent.statements) == 1:
                            continue
                        yield self.run.tell(
                            events.Progress(
                                number=self.run.next(),
                                run=self.run.id,
                                migration=name,
                                ordinal=ordinal + 1,
                                of=len(sent.statements),
                                line=statement.span.line,
                                summary=statement.summary,
                                tag=came.tag,
                                duration_ms=round((now - clock) * 1000, 3),
                            )
                        )
                    elif came.index == sent.ledger:
                        answers = came
                    elif came.index == sent.commit:
                        committed = True
                        if sent.written:
                            del self.run.pending[: sent.written]
                            self.run.written_at = time.monotonic()
                    clock, waited = now, 0.0
                elif isinstance(came, Failure):
                    failure = came
                elif isinstance(came, Told):
                    place = sent.statements.get(came.index)
                    where = Place(name, line_of(place[1], came.notice), place[1].summary) if place else None
                    yield self.run.tell(self._notice(name, came.notice, where))
                elif isinstance(came, Quiet) and not self.run.signals.name:
                    waited = time.monotonic() - clock
                    if waiting := self._in_the_way(name, waited):
                        yield self.run.tell(waiting)
                if self.run.signals.name and not cancelled and not committed:
                    cancelled = True
                    self.work.cancel()
        except Lost as lost:
            yield from self._lost(position, step, sent, lost)
            raise AssertionError("a lost connection ends the run") from lost
        if failure is not None and not committed:
            self._roll_back()
        if deallocates(step):
            self.work.forget_prepared()
        if failure is not None and not committed:
            if cancelled and failure.error.sqlstate == "57014":
                yield from self.interrupted(name, committed=False)
            return sent, failure
        duration, locks = _ledger_answer(answers)
        self.run.applied.append(name)
        self.unflushed = [] if sent.durable else [*self.unflushed, name]
        checks = tuple(check.says for check in step.facts.checks)
        if checks:
            kept.append(
                self.run.tell(events.Verified(number=self.run.next(), run=self.run.id, migration=name, checks=checks))
            )
        kept.append(
            self.run.tell(
                events.StepApplied(
                    number=self.run.next(),
                    run=self.run.id,
                    migration=name,
                    position=position,
                    of=self.run.of,
                    duration_ms=duration,
                    locks=locks,
                )
            )
        )
        yield from kept
        if self.run.signals.name and not self.work.in_flight:
            yield from self.interrupted(name, committed=True)
        if failure is not None:
            yield self.finish("failed")
            raise session.refusal(failure.error, f"{name} is applied, but the session could not be reset behind it")
        return None

    # --- a statement that cannot run in a transaction -----------------------------------------------------------------

    def _alone(
        self, position: int, step: Step, statement: Statement
    ) -> Generator[Event, None, tuple[Composed, Failure] | None]:
        """Send a file's only statement by itself; the value is None when it is done, else what failed.

        That the file was begun is in the ledger before it is sent, and the file's row comes after it: in between, a
        run that ends leaves the statement done, not done, or, of an index, half done. The next run looks.
        """
        name = step.facts.name
        sent = Composed(statements={0: (0, statement)}, commit=1, alone=True)
        self.spent_ms = 0.0
        sent.add(Command(statement.sql, keep=False))
        clock = time.monotonic()
        try:
            self.keep_events()
            made = next((each for each in step.facts.creates if each.kind == "relation"), None)
            gone = next((each for each in step.facts.drops if each.kind == "relation"), None)
            state = self._index_state(made or gone)
            begun = self.work.ask(LEDGER_QUERIES["begun"], name, str(self.run.id))[0][0] == "t"
            if made is not None and state == "f":
                yield self.run.tell(
                    self._remark(name, f"{made.object} was left invalid by an earlier attempt: made anew")
                )
                session.collect(self.work, [Command(f"DROP INDEX CONCURRENTLY {_quoted(made.name)}")])
            if begun and ((made is not None and state == "t") or (gone is not None and state == "")):
                yield self.run.tell(self._remark(name, "an earlier run had done this before it ended"))
                return None
            # Nobody's reading or writing waits for such a statement, so it may wait for others.
            self.work.ask(QUERIES["wait_for_locks"], "0")
            failure: Failure | None = None
            cancelled = False
            for came in self.work.run(sent.commands, signals=self.run.signals):
                if isinstance(came, Failure):
                    failure = came
                elif isinstance(came, Told):
                    place = Place(name, line_of(statement, came.notice), statement.summary)
                    yield self.run.tell(self._notice(name, came.notice, place))
                elif (
                    isinstance(came, Quiet)
                    and not self.run.signals.name
                    and (waiting := self._in_the_way(name, time.monotonic() - clock))
                ):
                    yield self.run.tell(waiting)
                if self.run.signals.name and not cancelled:
                    cancelled = True
                    self.work.cancel()
            if failure is not None:
                session.collect(self.work, self.work.reset(f"{self.run.token}:{position - 1}"))
        except Lost as lost:
            yield from self._lost(position, step, sent, lost)
            raise AssertionError("a lost connection ends the run") from lost
        self.spent_ms = round((time.monotonic() - clock) * 1000, 3)
        if failure is not None and cancelled and failure.error.sqlstate == "57014":
            yield from self.interrupted(name, committed=False)
        return None if failure is None else (sent, failure)

    def _index_state(self, index: Effect | None) -> str:
        """ "t" for a valid index, "f" for an invalid one, "" where there is none."""
        rows = self.work.ask(QUERIES["index_state"], _quoted(index.name)) if index is not None else ()
        return (rows[0][0] or "") if rows else ""

    def _remark(self, name: str, message: str) -> Event:
        return events.Notice(
            number=self.run.next(), run=self.run.id, migration=name, severity="NOTICE", message=message
        )

    def keep_events(self) -> None:
        """Write the events so far, and wait for the disk."""
        if self.run.id is not None:
            self._store(self.run.id)

    def _store(self, run: int, *more: Command) -> None:
        """Write the pending events, and more, in a transaction of the runner's own whose commit waits for the disk.

        Raises:
            Lost: the connection ended.
        """
        commands = [Command("BEGIN"), *self.work.reset()]
        pending = list(self.run.pending)
        if pending:
            commands.append(ledger.add_events(run, pending))
        if session.collect(self.work, [*commands, *more, Command("COMMIT")]) is None:
            del self.run.pending[: len(pending)]  # others may have told more meanwhile
            self.run.written_at = time.monotonic()
            self.unflushed = []
        else:
            self._roll_back()

    def _carry_events(self, sent: Composed) -> None:
        """Let the step's ledger row carry the events so far, if it is time.

        Rows of events cost a small step a tenth of its time: several steps' worth are written together.
        """
        if time.monotonic() - self.run.written_at >= EVENTS_EVERY_S:
            sent.written = len(self.run.pending)
        sent.commands[sent.ledger] = ledger.with_events(sent.commands[sent.ledger], self.run.pending[: sent.written])

    def _composed(self, position: int, step: Step, *, guarded: bool = False) -> Composed:
        if self.run.id is None:
            raise AssertionError("the run begins before its steps")
        now = time.monotonic()
        alone = not (self.run.ahead and self.follows)
        durable = alone or self.together >= TOGETHER or now - self.waited_at >= TOGETHER_S
        self.together, self.waited_at = (0, now) if durable else (self.together + 1, self.waited_at)
        return compose(
            self.work,
            self.run.id,
            step,
            position=position,
            settings=self.run.settings,
            token=self.run.token,
            durable=durable,
            guarded=guarded,
            spent_ms=self.spent_ms,
        )

    def _ahead(self, position: int, sent: Composed) -> Iterator[list[Command]]:
        """The commands of steps to come, to be sent while the server is at this one's.

        Each begins with a guard: where the step before fails, or leaves its session as no step may, it is refused, and
        so are all behind it. So a step's way to the server, and the client's work, cost no time of their own. What is
        under way is filled up by several at once, and only as long as those are small: of a large one nobody gains,
        and the next ones' place in memory is wasted.
        """
        if not self.work.in_flight:
            self.composed.clear()  # refused with the step that failed
        if len(self.composed) > self.run.ahead // 2 or self.run.signals.name:
            return
        carries = bool(sent.written) or any(each.written for each in self.composed.values())
        last = max(self.composed, default=position)
        while len(self.composed) < self.run.ahead and self._may_follow(last):
            last += 1
            following = self._composed(last, self.run.plan.steps[last - 1], guarded=True)
            if carries:
                following.commands[following.ledger] = ledger.with_events(following.commands[following.ledger], [])
            else:
                self._carry_events(following)
                carries = bool(following.written)
            self.composed[last] = following
            yield following.commands

    def _may_follow(self, last: int) -> bool:
        """Whether the step behind the one at this position may be sent before that one has ended."""
        if last >= self.run.of or not self.follows:
            return False
        before, step = self.run.plan.steps[last - 1], self.run.plan.steps[last]
        if self.composed and not (small(before) and small(step)):
            return False
        return not (
            isolated(step)  # an isolation level must come before any query, the guard among them
            or step.facts.name in self.run.known
            or step.facts.lone is not None
            or deallocates(before)
        )

    def _roll_back(self) -> None:
        try:
            session.collect(self.work, [Command("ROLLBACK"), *self.work.reset()])
        except Lost:
            self.work.connection.close()

    # --- what can go wrong --------------------------------------------------------------------------------------------

    def _failed(self, position: int, step: Step, sent: Composed, failure: Failure) -> Iterator[Event]:
        facts = step.facts
        error = failure.error
        ordinal: int | None = None
        spot: Spot | None = None
        where = facts.name
        if failure.index == sent.ledger and error.sqlstate == "23502" and error.column == "backend_pid":
            yield self.finish("failed")
            raise LockHeld(
                "the runner's lock was lost",
                cause=f"{facts.name} released it, or a pooler changed the session. The step was rolled back.",
                remedy="Take pg_advisory_unlock_all() out of the files, and connect to PostgreSQL itself.",
            )
        if found := sent.statements.get(failure.index):
            ordinal, statement = found[0] + 1, found[1]
            spot = Spot(statement.sql, statement.span.line, line_of(statement, error))
            where = masked(shown(facts.name, statement, error))
        said = said_by(error)
        # What fails in the runner's own commands is not for the files to provide.
        ours = ordinal is None and failure.index not in sent.checks
        graph = None if ours else self.run.plan.graph
        diagnosis = diagnose(
            said,
            graph=graph,
            file=facts.name,
            where=where,
            way=self.run.way,
            spot=spot,
            evidence=self._evidence(said, spot),
            applied=self.run.standing(),
        )
        diagnosis = explained(diagnosis, sent, failure)
        diagnosis = without(diagnosis, secrets_of(self.run.settings))
        yield self.run.tell(
            events.StepFailed(
                number=self.run.next(),
                run=self.run.id,
                migration=facts.name,
                position=position,
                of=self.run.of,
                diagnosis=diagnosis,
                sqlstate=error.sqlstate,
                ordinal=ordinal,
            )
        )
        yield self.finish("failed")
        refusal = StepFailed(
            f"{facts.name} failed: {diagnosis.message}",
            cause=diagnosis.cause,
            remedy=diagnosis.solution,
            commands=diagnosis.commands,
            where=diagnosis.where,
        )
        refusal.more = diagnosis.more()
        raise refusal

    def _evidence(self, said: Said, spot: Spot | None) -> Evidence:
        """What the database knows of a failure; the step has been rolled back. Only of the files' own statements."""
        if spot is None or self.work.lost:
            return Evidence()
        return evidence.gather(self.work.connection, said, sql=spot.sql)

    def interrupted(self, migration: str, *, committed: bool) -> Iterator[Event]:
        """Tell where a run stands that was asked to stop.

        Raises:
            Interrupted: always, behind its event.
        """
        names = [step.facts.name for step in self.run.plan.steps]
        remaining = tuple(name for name in names if name not in self.run.applied)
        yield self.run.tell(
            events.Interrupted(
                number=self.run.next(),
                run=self.run.id,
                signal=self.run.signals.name,
                applied=tuple(self.run.applied),
                remaining=remaining,
                migration=migration,
                committed=committed,
            )
        )
        yield self.finish("interrupted")
        stands = f"{len(self.run.applied)} of {len(names)} steps are applied"
        if migration and not committed and self.run.half_done(migration):
            stands += f"; {migration} was stopped, and what it began is looked at when it runs again"
        elif migration and not committed:
            stands += f"; {migration} {'were' if ', ' in migration else 'was'} rolled back, nothing of it is left"
        raise Interrupted(
            f"stopped by {self.run.signals.name}: {stands}",
            cause="You asked to stop." if self.run.signals.name == "SIGINT" else "The process was asked to end.",
            remedy="Run the same command again to go on." if remaining else "Nothing is left to do.",
        )

    def _lost(self, position: int, step: Step, sent: Composed, lost: Lost) -> Iterator[Event]:
        """Find out by another connection whether the step was committed: it was all sent, COMMIT too.

        So may the next ones have been, which were sent behind it; and where the server itself crashed, those before,
        whose commits were not on the disk yet, are gone with their ledger rows.
        """
        name = step.facts.name
        following = [self.run.plan.steps[each - 1].facts.name for each in sorted(self.composed)]
        self.work.connection.close()
        found = self._committed(*self.unflushed, name, *following)
        committed = None if found is None else name in found
        taken_back = [each for each in self.unflushed if found is not None and each not in found]
        for each in taken_back:
            self.run.applied.remove(each)
        where = f"at the COMMIT of {name}" if committed or lost.index >= sent.commit else f"while {name} ran"
        if committed:
            self.run.applied.append(name)
            yield self.run.tell(
                events.StepApplied(
                    number=self.run.next(),
                    run=self.run.id,
                    migration=name,
                    position=position,
                    of=self.run.of,
                    duration_ms=0.0,
                    resolved=True,
                )
            )
            remedy = "Run the same command again to go on."
            stands = f"A new connection found its ledger row: {name} is applied."
            also = [each for each in following if found and each in found]
            for at, each in enumerate(also, position + 1):
                self.run.applied.append(each)
                yield self.run.tell(
                    events.StepApplied(
                        number=self.run.next(),
                        run=self.run.id,
                        migration=each,
                        position=at,
                        of=self.run.of,
                        duration_ms=0.0,
                        resolved=True,
                    )
                )
            if also:
                named = f"{', '.join([name, *also[:-1]])} and {also[-1]}"
                stands = f"A new connection found their ledger rows: {named} are applied."
        elif committed is False:
            remedy = "Check that the server runs, then run the same command again."
            kept = " or ".join([*taken_back, name])
            stands = f"A new connection found no ledger row: nothing of {kept} was kept."
            if self.run.half_done(name):
                stands = (
                    f"A new connection found no ledger row of {name}: what it began is looked at when it runs again."
                )
        else:
            remedy = "When the server answers again, run the same command: it goes on at the right step."
            stands = f"The server could not be asked, so whether {name} was committed is in doubt; the ledger knows."
        if not committed:
            statement = sent.statements.get(lost.index)
            state = state_of(lost.said) or "08006"
            yield self.run.tell(
                events.StepFailed(
                    number=self.run.next(),
                    run=self.run.id,
                    migration=name,
                    position=position,
                    of=self.run.of,
                    diagnosis=Diagnosis(
                        message=f"the connection ended {where}",
                        cause=f"{lost.said}. {stands}",
                        solution=remedy,
                        commands=(self.run.way.lancio(name),),
                        where=f"{name}:{statement[1].span.line}" if statement else name,
                        confidence="certain" if committed is False else "general",
                        sqlstate=state,
                        rule=rule_of(state).name,
                    ),
                    sqlstate="08006",
                    ordinal=statement[0] + 1 if statement else None,
                )
            )
        yield self.finish("lost")
        refusal = ConnectionLost(
            f"the connection ended {where}",
            cause=f"{lost.said}. {stands}",
            remedy=remedy,
            commands=() if committed else (self.run.way.lancio(name),),
            where=f"{name}:{sent.statements[lost.index][1].span.line}" if lost.index in sent.statements else name,
        )
        state = state_of(lost.said) or "08006"
        refusal.more = {"rule": rule_of(state).name, "sqlstate": state}
        raise refusal

    def _committed(self, *names: str) -> set[str] | None:
        """Which of these steps the ledger has, once the old server process is gone; None if nobody answers."""
        until = time.monotonic() + 30
        while time.monotonic() < until and not self.run.signals.name:
            try:
                with self.run.reconnect() as connection:
                    connection.autocommit = True
                    work = session.begin(connection, role=self.work.role, application="lancio apply")
                    # The lock is free only when the old process has ended, and with it the step.
                    for _ in lock.acquire(work, max(0.5, until - time.monotonic()), self.run.signals):
                        pass
                    found = {
                        name for name in names if name and work.ask(LEDGER_QUERIES["find_step"], str(self.run.id), name)
                    }
                    work.ask(LEDGER_QUERIES["finish_run"], str(self.run.id), "lost")
                    lock.release(work)
                    return found
            except (psycopg.Error, LancioError, Lost, session.Refused):
                time.sleep(0.5)  # a server that restarts refuses connections for a while
        return None

    def _in_the_way(self, name: str, waited: float) -> Event | None:
        """Who keeps the step waiting, seen by a second connection; None if nobody does, or it cannot be had."""
        try:
            if self.observer is None or self.observer.lost:
                self.observer = session.begin(self.run.reconnect(), application="lancio observer")
            relation, found = lock.blockers(self.observer, self.work.backend_pid)
        except (psycopg.Error, LancioError, Lost, session.Refused):
            return None  # a wait that nobody can explain is still a wait
        if not found:
            return None
        return events.Waiting(
            number=self.run.next(),
            run=self.run.id,
            what=relation or "a lock",
            holders=tuple(found),
            waited_s=round(waited, 1),
            migration=name,
        )

    def _notice(self, name: str, notice: ServerMessage, where: Place | None) -> Event:
        secrets = secrets_of(self.run.settings)

        def clean(text: str) -> str:
            return masked(redact(text, secrets))

        said = replace(notice, message=clean(notice.message), detail=clean(notice.detail), hint=clean(notice.hint))
        return events.told(self.run.next(), self.run.id, name, said, where)

    # --- events -------------------------------------------------------------------------------------------------------

    def finish(self, outcome: str) -> Event:
        """The run's last event, written together with its outcome."""
        event = self.run.finished(outcome)
        self.write(outcome)
        return event

    def write(self, outcome: str) -> None:
        """The run's outcome and its last events, if there is a connection and a run to write them to."""
        self.run.outcome = outcome
        if self.run.id is None or self.work.lost:
            return
        with suppress(Lost):  # the steps are safe; the ledger shows a run without an end
            self._store(self.run.id, Command(LEDGER_QUERIES["finish_run"], (str(self.run.id), outcome)))


def _ledger_answer(answer: Answer | None) -> tuple[float, tuple[HeldLock, ...]]:
    if answer is None:
        raise AssertionError("a committed step has a ledger row")
    duration, locks = answer.rows[0]
    held = tuple(HeldLock(each["relation"], each["mode"]) for each in orjson.loads(locks or "[]"))
    return round(float(duration or 0), 3), held


def small(step: Step) -> bool:
    """Whether a step is little enough to be under way together with several others."""
    return len(step.facts.migration.text) <= SMALL_BYTES and (step.expected_ms is None or step.expected_ms <= SMALL_MS)


def _quoted(full_name: str) -> str:
    """A schema's object by its full name, as SQL."""
    schema, _, name = full_name.partition(".")
    return f"{identifier(schema)}.{identifier(name)}"
