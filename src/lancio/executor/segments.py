"""A file that is not one transaction, segment by segment, up to its last transaction.

Statements that share a transaction commit with their rows in lancio.begun. One that stands alone has its row, on the
disk, before it is sent, and another word in it after; where a run ended in between, the catalog is looked at. The last
transaction, with the verification and the step's own row, is the lane's, as that of every other file.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from lancio.errors import EditedFile, NoGo
from lancio.executor import events, ledger, remains, session
from lancio.executor.composed import Composed, Part, open_part
from lancio.executor.failures import line_of
from lancio.executor.session import QUERIES, Answer, Command, Failure, Lost, Quiet, Told
from lancio.planner import segments as cutting
from lancio.planner.model import Place

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from lancio.executor.events import Event
    from lancio.executor.lane import Lane
    from lancio.executor.run import Run
    from lancio.planner.model import Step
    from lancio.planner.segments import Begun, Cut, Ran, Segment
    from lancio.reading.model import Statement

UNDERWAY_STEP = 1.0
"""Percent by which a statement has to go on until it is told again."""


TELL_EVERY_S = 10.0
POLL_S = 0.2


class Failed(NamedTuple):
    """What was sent when the server said no."""

    sent: Composed
    failure: Failure


def apart(run: Run, step: Step) -> bool:
    """Whether a file is more than one transaction here, or was when an earlier run began it."""
    return step.facts.name in run.begun or cut(run, step).apart


def cut(run: Run, step: Step) -> Cut:
    """The step's segments, as the plan has them."""
    if step.cut is not None:
        return step.cut
    return cutting.cut(step.facts, run.major)


def stands(run: Run, step: Step) -> Begun:
    """How far a file is, by what this run knows of it."""
    return cutting.begun(step.facts, run.begun.get(step.facts.name, ()))


@dataclass
class Walk:
    """One attempt at a file: what is left of it, and where it is."""

    lane: Lane
    position: int
    step: Step

    @property
    def name(self) -> str:
        """The file's name."""
        return self.step.facts.name

    @property
    def run(self) -> Run:
        """The run it belongs to."""
        return self.lane.run

    @property
    def run_id(self) -> int:
        """The run's number in the ledger."""
        if self.run.id is None:
            raise AssertionError("the run begins before its steps")
        return self.run.id

    def until_last(self) -> Generator[Event, None, Failed | Part]:
        """Carry out all but the last transaction; the value is what is to be sent last, or what failed.

        Raises:
            EditedFile: a statement that ran reads otherwise now.
            NoGo: whether a statement ran cannot be told.
            ConnectionLost, Interrupted: as for every step.
        """
        facts = self.step.facts
        statements = cutting.whole(facts)
        self._refuse_changed()
        ordinals = {each.span.start: at for at, each in enumerate(statements, 1)}
        done = stands(self.run, self.step).done
        # Of a session that is new, or was made new behind a failure, what the file had set is gone.
        replays: tuple[Statement, ...] = tuple(
            each for at, each in enumerate(statements, 1) if at in done and cutting.sets(each)
        )
        parts = [
            Part(
                statements=tuple((ordinals[each.span.start], each) for each in segment.statements),
                begin=segment.begin,
                alone=segment.alone,
                of=len(statements),
            )
            for segment in left(cut(self.run, self.step).segments, ordinals, done)
        ]
        if replays:
            yield from self._replay(replays)
        last = parts.pop() if parts and not parts[-1].alone else Part((), None, "", len(statements))
        for part in parts:
            failed = yield from (self._alone(part) if part.alone else self._transaction(part))
            if failed is not None:
                return failed
            if self.run.signals.name:
                yield from self.lane.interrupted(self.name, committed=False)
        spent = sum(each.duration_ms or 0.0 for each in self.run.begun.get(self.name, ()))
        return replace(last, last=True, spent_ms=round(spent, 3), lines=statements)

    # --- what is there already ------------------------------------------------------------------------------------

    def _refuse_changed(self) -> None:
        here = stands(self.run, self.step)
        if not here.changed:
            return
        ran, now = here.changed[0]
        self.lane.write("failed")
        raise EditedFile(
            f"{self.name} was edited where it has run: the statement at line {now.span.line if now else ran.line}",
            cause=f"Statement {ran.ordinal} ({ran.summary}) is in the database in another version.",
            remedy="Put its text back; what stands behind the statements that ran may be changed.",
            commands=(f"lancio status {self.run.plan.graph.folder}",),
        )

    def _replay(self, statements: Sequence[Statement]) -> Generator[Event, None, None]:
        """Set the session as the statements of the file that ran had set it."""
        commands = [Command(each.sql) for each in statements]
        try:
            failure = session.collect(self.lane.work, commands)
        except Lost as lost:
            yield from self._lost(lost)
            raise AssertionError("a lost connection ends the run") from lost
        if failure is not None:
            self.lane.write("failed")
            raise session.refusal(failure.error, f"{self.name} cannot go on, its settings are refused")

    # --- a transaction in the middle --------------------------------------------------------------------------------

    def _transaction(self, part: Part) -> Generator[Event, None, Failed | None]:
        sent = open_part(self.lane.work, self.run_id, self.step, part, settings=self.run.settings)
        failed, took = yield from self._watch(sent, part)
        if failed is not None:
            self.lane._roll_back()
            return failed
        self.lane.unflushed = []
        self._note(part, "applied", took)
        return None

    # --- a statement by itself --------------------------------------------------------------------------------------

    def _alone(self, part: Part) -> Generator[Event, None, Failed | None]:
        ordinal, statement = part.statements[0]
        about = cutting.what(statement)
        work = self.lane.work
        try:
            ran = self._ran(ordinal, statement)
            now = remains.look(work.ask, about, ran.before if ran is not None else None)
            verdict = remains.judge(about, ran, now)
            if ran is not None and (decided := self.run.decided.get((self.name, statement.span.line))):
                verdict = remains.Verdict("done" if decided == "done" else "again")
            if verdict.became == "unknown":
                yield self.lane.finish("failed")
                raise in_doubt(self.name, statement, self.run.plan.graph.folder)
            if verdict.clear and (yield from self._until_nobody_builds(verdict)):
                verdict = remains.judge(about, ran, remains.look(work.ask, about))
            for sql, words in verdict.clear:
                failed = yield from self._clear(sql, words, part)
                if failed is not None:
                    return failed
            if verdict.became == "done":
                yield self._remark(f"line {statement.span.line}: an earlier run had done this before it ended")
                self._write(ledger.end_statement(self.name, ordinal, statement, "applied", None))
                self._note(part, "applied", None)
                return None
            before = remains.look(work.ask, about)
            self._write(
                ledger.begin_statement(work, self.run_id, self.name, ordinal, statement, before), with_events=True
            )
            self._note(part, "begun", None, before)
            limit = work.ask(QUERIES["lock_timeout"])[0][0] or "0"
            if about.waits:
                # Nobody's reading or writing waits for such a statement, so it may wait for others.
                work.ask(QUERIES["wait_for_locks"], "0")
            self._hand_over()
        except Lost as lost:
            yield from self._lost(lost, part)
            raise AssertionError("a lost connection ends the run") from lost
        except session.Refused as refused:
            yield self.lane.finish("failed")
            raise session.refusal(refused.error, f"{self.name} cannot be begun") from None
        sent = Composed(statements={0: (ordinal - 1, statement)}, commit=1, alone=True)
        sent.add(Command(statement.sql, keep=False))
        failed, took = yield from self._watch(sent, part)
        try:
            state = "applied" if failed is None else "failed"
            self._write(ledger.end_statement(self.name, ordinal, statement, state, took))
            self._note(part, state, took, before)
            if failed is not None:
                session.collect(work, work.reset(f"{self.run.token}:{self.position - 1}"))
            elif about.waits:
                work.ask(QUERIES["wait_for_locks"], limit)
        except Lost as lost:
            yield from self._lost(lost, part)
            raise AssertionError("a lost connection ends the run") from lost
        return failed

    def _clear(self, sql: str, words: str, part: Part) -> Generator[Event, None, Failed | None]:
        """Take away what an earlier attempt left."""
        ordinal, statement = part.statements[0]
        yield self._remark(words)
        sent = Composed(statements={0: (ordinal - 1, statement)}, commit=1, alone=True)
        sent.add(Command(QUERIES["wait_for_locks"], ("0",), keep=False))
        session.collect(self.lane.work, sent.commands)
        sent.commands = [Command(sql, keep=False)]
        failed, _ = yield from self._watch(sent, part, quiet=True)
        if failed is not None:
            session.collect(self.lane.work, self.lane.work.reset(f"{self.run.token}:{self.position - 1}"))
        return failed

    def _until_nobody_builds(self, verdict: remains.Verdict) -> Generator[Event, None, bool]:
        """An index may be invalid because somebody is at work on it now: that one is waited for, not dropped.

        The value is whether anybody was.
        """
        names = [sql.rpartition(" EXISTS ")[2] for sql, _ in verdict.clear if sql.startswith("DROP INDEX")]
        started = time.monotonic()
        told = -TELL_EVERY_S
        while found := [each for name in names for each in remains.builders(self.lane.work.ask, name)]:
            waited = time.monotonic() - started
            if waited - told >= TELL_EVERY_S:
                told = waited
                yield self.run.tell(
                    events.Waiting(
                        number=self.run.next(),
                        run=self.run.id,
                        what=names[0],
                        holders=tuple(found),
                        waited_s=round(waited, 1),
                        migration=self.name,
                    )
                )
            if self.run.signals.name:
                yield from self.lane.interrupted(self.name, committed=False)
            time.sleep(POLL_S)
        return told >= 0

    def _hand_over(self) -> None:
        """The settings that the file reads, for a statement that has no transaction to bind them to."""
        for setting in self.step.facts.settings:
            if setting in self.run.settings:
                self.lane.work.ask(QUERIES["session_setting"], setting, self.run.settings[setting])

    def _ran(self, ordinal: int, statement: Statement) -> Ran | None:
        """What the ledger has of a statement; nothing that a changed text could be taken for."""
        for each in self.run.begun.get(self.name, ()):
            if each.ordinal == ordinal and each.text_hash == cutting.text_hash(statement):
                return each
        return None

    def _write(self, row: Command, *, with_events: bool = False) -> None:
        """A row of the ledger in a transaction of its own, under the runner's role, whose commit waits for the disk.

        What the file has set of the session stands again behind it. Events so far may go with it.

        Raises:
            Lost: the connection ended.
            session.Refused: the row was not taken.
        """
        work = self.lane.work
        pending = len(self.run.pending) if with_events else 0
        told = [ledger.add_events(self.run_id, self.run.pending[:pending])] if pending else []
        commands = [Command("BEGIN"), work.settle(durable=True, lookups=False), *told, row, Command("COMMIT")]
        failure = session.collect(work, commands)
        if failure is not None:
            self.lane._roll_back()
            raise session.Refused(failure.error)
        if pending:
            del self.run.pending[:pending]
            self.run.written_at = time.monotonic()
        self.lane.unflushed = []

    def _note(self, part: Part, state: str, took: float | None, before: remains.Standing | None = None) -> None:
        """Know what was written."""
        rows = {each.ordinal: each for each in self.run.begun.get(self.name, ())}
        for ordinal, statement in part.statements:
            rows[ordinal] = cutting.Ran(
                ordinal,
                statement.span.line,
                statement.summary,
                cutting.text_hash(statement),
                bool(part.alone),
                state,  # type: ignore[arg-type]
                before or {},
                took if ordinal == part.statements[-1][0] else None,
            )
        self.run.begun[self.name] = tuple(rows[each] for each in sorted(rows))

    # --- watching ---------------------------------------------------------------------------------------------------

    def _watch(
        self, sent: Composed, part: Part, *, quiet: bool = False
    ) -> Generator[Event, None, tuple[Failed | None, float]]:
        """Send commands and tell what comes; the value is what failed, and the milliseconds it all took."""
        lane, run = self.lane, self.run
        failure: Failure | None = None
        cancelled = False
        shown: remains.Underway | None = None
        # For a statement that takes no lock others would wait for, nobody is held up.
        limited = not part.alone or not cutting.what(part.statements[0][1]).waits
        lane.watch.begin()
        started = clock = time.monotonic()
        at = part.statements[0][1]
        try:
            for came in lane.work.run(sent.commands, quiet=lane.watch.tick_s, signals=run.signals):
                if isinstance(came, Answer):
                    now = time.monotonic()
                    if (found := sent.statements.get(came.index)) and not quiet:
                        ordinal, statement = found
                        yield run.tell(
                            events.Progress(
                                number=run.next(),
                                run=run.id,
                                migration=self.name,
                                ordinal=ordinal + 1,
                                of=part.of,
                                line=statement.span.line,
                                summary=statement.summary,
                                tag=came.tag,
                                duration_ms=round((now - clock) * 1000, 3),
                            )
                        )
                    clock = now
                elif isinstance(came, Failure):
                    failure = lane.watch.owned(came)
                elif isinstance(came, Told):
                    _, statement = sent.statements.get(came.index, (0, at))
                    place = Place(self.name, line_of(statement, came.notice), statement.summary)
                    yield run.tell(lane._notice(self.name, came.notice, place))
                elif isinstance(came, Quiet) and not run.signals.name:
                    _, statement = sent.statements.get(came.index, (0, at))
                    if event := lane.underway(self.name, statement, shown):
                        shown = remains.Underway(event.phase, event.percent)
                        yield run.tell(event)
                    if waiting := lane.watch.look(self.name, clock, limited=limited):
                        yield run.tell(waiting)
                if run.signals.name and not cancelled:
                    cancelled = True
                    lane.work.cancel()
        except Lost as lost:
            yield from self.lane._lost(self.position, self.step, sent, lost)
            raise AssertionError("a lost connection ends the run") from lost
        took = round((time.monotonic() - started) * 1000, 3)
        if failure is None:
            return None, took
        if cancelled and failure.error.sqlstate == "57014":
            yield from self._stopped(sent, part)
        return Failed(sent, failure), took

    def _stopped(self, sent: Composed, part: Part) -> Generator[Event, None, None]:
        """Cancelled as asked: what is left of it is looked at by the next run."""
        if not sent.alone:
            self.lane._roll_back()
        else:
            work = self.lane.work
            ordinal, statement = part.statements[0]
            try:
                if self._ran(ordinal, statement) is not None:
                    self._write(ledger.end_statement(self.name, ordinal, statement, "failed", None))
                session.collect(work, work.reset())
            except Lost:
                work.connection.close()
        yield from self.lane.interrupted(self.name, committed=False)

    def _lost(self, lost: Lost, part: Part | None = None) -> Generator[Event, None, None]:
        at, statement = part.statements[0] if part is not None else (0, None)
        statements = {0: (at - 1, statement)} if statement is not None else {}
        yield from self.lane._lost(
            self.position, self.step, Composed(statements=statements, commit=1, alone=True), lost
        )

    def _remark(self, message: str) -> Event:
        return self.run.tell(
            events.Notice(
                number=self.run.next(), run=self.run.id, migration=self.name, severity="NOTICE", message=message
            )
        )


def left(segments: Sequence[Segment], ordinals: dict[int, int], done: frozenset[int]) -> Generator[Segment, None, None]:
    """The segments without the statements that ran, and without those that are empty then."""
    for segment in segments:
        rest = tuple(each for each in segment.statements if ordinals[each.span.start] not in done)
        if rest:
            yield segment._replace(statements=rest)


def in_doubt(name: str, statement: Statement, folder: str) -> NoGo:
    """A statement that was sent, of which nothing tells whether it was carried out."""
    place = f"{name}:{statement.span.line}"
    return NoGo(
        f"{place} was sent, and nothing tells whether it was carried out",
        cause=f"{statement.summary} stands outside of a transaction, and the run ended before its answer came.",
        remedy="Look at what it does. If it was done, go on behind it; if not, or if it may run again, send it again.",
        commands=(f"lancio apply {folder} --done {place}", f"lancio apply {folder} --again {place}"),
        where=place,
    )
