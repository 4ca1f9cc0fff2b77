"""One connection of a run and the steps that go through it, one after the other: sent, watched, mended, told."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import orjson

from lancio.errors import Interrupted, LockHeld, StepFailed
from lancio.executor import doubt, events, evidence, ledger, remains, segments, session
from lancio.executor.composed import Composed, Part, body, compose, isolated, prepares
from lancio.executor.events import Event, HeldLock
from lancio.executor.failures import explained, line_of, said_by, shown, without
from lancio.executor.session import (
    LEDGER_QUERIES,
    Answer,
    Command,
    Failure,
    Lost,
    Quiet,
    Session,
    Told,
)
from lancio.executor.waiting import CONTENTION, Tries, Watch, again
from lancio.planner.diagnosis import Evidence, Said, Spot, diagnose, masked
from lancio.planner.model import Place
from lancio.postgres import redact, secrets_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from lancio.executor.run import Run
    from lancio.executor.session import ServerMessage
    from lancio.planner.model import Step
    from lancio.reading.model import Statement

EVENTS_EVERY_S = 0.5
"""Seconds between writings of events; what is told in between is lost with a killed runner, its steps are not."""

TOGETHER_S = 0.25
"""So many seconds' worth of steps' commits wait for the disk together: the log is written in order, so the last one's
waiting is for all, and meanwhile the server's own process has written most of it. Every end of a run waits, too."""

SMALL_BYTES = 32_768
SMALL_MS = 100
"""A file up to this size, and not known to take longer, may be under way together with others."""


@dataclass
class Lane:
    """A session that carries out steps of a run, and what it has sent, watches and may still lose."""

    run: Run
    work: Session
    locked: bool = False
    """Whether its session holds the runner's lock."""
    watch: Watch = field(init=False)
    """Who looks on while it waits."""
    follows: bool = True
    """Whether its steps are the plan's, one behind the other, so that the next ones may be sent ahead."""
    composed: dict[int, Composed] = field(default_factory=dict)
    """Steps whose commands are put together already, by position."""
    waited_at: float = 0.0
    """When the last step was put together whose commit waits for the disk, on the monotonic clock."""
    unflushed: list[str] = field(default_factory=list)
    """Committed steps that a crash of the server could still take back, with their ledger rows."""

    def __post_init__(self) -> None:
        self.watch = Watch(self.run, self.work)

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
        tries = Tries(self.run.patience)
        while (failure := (yield from self._attempt(position, step))) is not None:
            sent, wrong = failure
            once_more = yield from again(self.run, tries, name, wrong.error, self.watch)
            if self.run.signals.name:
                yield from self.interrupted(name, committed=False)
            if not once_more:
                yield from self._failed(position, step, sent, wrong)

    def _attempt(self, position: int, step: Step) -> Generator[Event, None, tuple[Composed, Failure] | None]:
        """Send the step once; the generator's value is None when it is committed, else what failed."""
        if self.run.id is None:
            raise AssertionError("the run begins before its steps")
        name = step.facts.name
        part: Part | None = None
        if segments.apart(self.run, step):
            came_to = yield from segments.Walk(self, position, step).until_last()
            if isinstance(came_to, segments.Failed):
                return came_to
            part = came_to
        self.watch.begin()
        composed = self.composed.pop(position, None)
        if composed is not None and self.work.in_flight:
            sent = composed  # it was sent while the step before was at work
        else:
            sent = self._composed(position, step, part=part, told=self._due())
        kept: list[Event] = []
        answers: Answer | None = None
        failure: Failure | None = None
        committed = cancelled = False
        shown: remains.Underway | None = None
        clock = time.monotonic()
        try:
            for came in self.work.run(
                sent.commands,
                quiet=self.watch.tick_s,
                signals=self.run.signals,
                meanwhile=lambda: self._ahead(position, sent),
            ):
                if isinstance(came, Answer):
                    now = time.monotonic()
                    if found := sent.statements.get(came.index):
                        ordinal, statement = found
                        if len(sent.statements) == 1 and part is None:
                            continue
                        yield self.run.tell(
                            events.Progress(
                                number=self.run.next(),
                                run=self.run.id,
                                migration=name,
                                ordinal=ordinal + 1,
                                of=len(sent.statements) if part is None else part.of,
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
                    clock = now
                elif isinstance(came, Failure):
                    failure = self.watch.owned(came)
                elif isinstance(came, Told):
                    place = sent.statements.get(came.index)
                    where = Place(name, line_of(place[1], came.notice), place[1].summary) if place else None
                    yield self.run.tell(self._notice(name, came.notice, where))
                elif isinstance(came, Quiet) and not self.run.signals.name:
                    if (found := sent.statements.get(came.index)) and (told := self.underway(name, found[1], shown)):
                        shown = remains.Underway(told.phase, told.percent)
                        yield self.run.tell(told)
                    if waiting := self.watch.look(name, clock):
                        yield self.run.tell(waiting)
                if self.run.signals.name and not cancelled and not committed:
                    cancelled = True
                    self.work.cancel()
        except Lost as lost:
            yield from self._lost(position, step, sent, lost)
            raise AssertionError("a lost connection ends the run") from lost
        if failure is not None and not committed:
            self._roll_back()
        if prepares(step):
            self.work.forget_prepared()
        if failure is not None and not committed:
            if cancelled and failure.error.sqlstate == "57014":
                yield from self.interrupted(name, committed=False)
            return sent, failure
        duration, locks = _ledger_answer(answers)
        self.run.begun.pop(name, None)
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
        if failure is not None and failure.error.sqlstate in CONTENTION:
            # The watch's request to stop was slower than the commit.
            failure = session.collect(self.work, self.work.reset(f"{self.run.token}:{position}"))
        if failure is not None:
            yield self.finish("failed")
            raise session.refusal(failure.error, f"{name} is applied, but the session could not be reset behind it")
        return None

    # --- how far it is ------------------------------------------------------------------------------------------------

    def underway(self, name: str, statement: Statement, shown: remains.Underway | None) -> events.Underway | None:
        """What the server reports of the statement at work, where that is news; seen by a second connection."""
        now = self.watch.progress()
        if now is None or (
            shown is not None
            and now.phase == shown.phase
            and abs((now.percent or 0.0) - (shown.percent or 0.0)) < segments.UNDERWAY_STEP
        ):
            return None
        return events.Underway(
            number=self.run.next(),
            run=self.run.id,
            migration=name,
            line=statement.span.line,
            summary=statement.summary,
            phase=now.phase,
            percent=now.percent,
        )

    def keep_events(self) -> None:
        """Write the events so far, and wait for the disk.

        Raises:
            Lost: the connection ended.
        """
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

    def _due(self) -> list[Event]:
        """The events that are to be written with the next step: all so far if it is time, else none.

        Rows of events cost a small step a tenth of its time: several steps' worth are written together.
        """
        return list(self.run.pending) if time.monotonic() - self.run.written_at >= EVENTS_EVERY_S else []

    def _composed(
        self, position: int, step: Step, *, told: Sequence[Event], guarded: bool = False, part: Part | None = None
    ) -> Composed:
        if self.run.id is None:
            raise AssertionError("the run begins before its steps")
        now = time.monotonic()
        alone = part is not None or not (self.run.ahead and self.follows)
        if durable := alone or now - self.waited_at >= TOGETHER_S:
            self.waited_at = now
        return compose(
            self.work,
            self.run.id,
            step,
            position=position,
            settings=self.run.settings,
            token=self.run.token,
            durable=durable,
            guarded=guarded,
            part=part,
            told=told,
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
            told = [] if carries else self._due()
            following = self._composed(last, self.run.plan.steps[last - 1], guarded=True, told=told)
            carries = carries or bool(following.written)
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
            or segments.apart(self.run, step)
            or prepares(before)
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
        sent.kept = self.run.half_way(facts.name)
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
                kept=self.run.half_way(facts.name),
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
                kept=self.run.half_way(migration) if migration and not committed else "",
            )
        )
        yield self.finish("interrupted")
        stands = f"{len(self.run.applied)} of {len(names)} steps are applied"
        if migration and not committed and self.run.half_done(migration):
            stands += f"; of {migration} {self.run.half_way(migration)}; what it began is looked at when it runs again"
        elif migration and not committed:
            stands += f"; {migration} {'were' if ', ' in migration else 'was'} rolled back, nothing of it is left"
        raise Interrupted(
            f"stopped by {self.run.signals.name}: {stands}",
            cause="You asked to stop." if self.run.signals.name == "SIGINT" else "The process was asked to end.",
            remedy="Run the same command again to go on." if remaining else "Nothing is left to do.",
        )

    def _lost(self, position: int, step: Step, sent: Composed, lost: Lost) -> Iterator[Event]:
        """Find out what became of a step whose connection ended.

        Raises:
            ConnectionLost: always, behind its events.
        """
        return doubt.resolve(self, position, step, sent, lost)

    def committed(self, *names: str) -> set[str] | None:
        """Which of these steps the ledger has, once the old server process is gone; None if nobody answers."""
        return doubt.committed_of(self, *names)

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
