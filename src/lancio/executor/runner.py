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
import re
import secrets
import shlex
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import orjson
import psycopg
from psycopg.conninfo import make_conninfo

from lancio.errors import ConnectionLost, EditedFile, Interrupted, LancioError, LockHeld, NoGo, StepFailed
from lancio.executor import events, evidence, ledger, lock, session
from lancio.executor.events import Event, HeldLock
from lancio.executor.session import (
    LEDGER_QUERIES,
    QUERIES,
    Answer,
    Command,
    Connection,
    Failure,
    Lost,
    Quiet,
    Session,
    Signals,
    Told,
)
from lancio.planner.diagnosis import Diagnosis, Evidence, Said, Spot, Way, diagnose, masked, rule_of
from lancio.planner.diagnosis.printed import state_of
from lancio.planner.model import Place, folded
from lancio.planner.rows import identifier
from lancio.postgres import redact, secrets_of
from lancio.syntax import lexer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from lancio.executor.session import ServerMessage
    from lancio.planner.model import Check, Effect, FileFacts, Plan, Step
    from lancio.reading.model import Statement

LOCK_WAIT_SECONDS = 60.0
LOCK_TIMEOUT_MS = 5000
ATTEMPTS = 5
"""How often a step is tried that other sessions keep from its locks."""
CHECKS_AT_ONCE = 400
"""PostgreSQL counts an array's elements without limit, but each check is a subquery to plan."""

_COPY = re.compile(r"copy.*std(?:in|out)", re.IGNORECASE | re.DOTALL)
_DROPS = re.compile(rb"drop", re.IGNORECASE)
_EARLY = re.compile(r"(?i)set\s+transaction\b")
_ISOLATED = re.compile(rb"(?i)isolation\s+level|set\s+transaction")
_DEALLOCATES = re.compile(rb"deallocate", re.IGNORECASE)
EVENTS_EVERY_S = 0.5
"""Seconds between writings of events; what is told in between is lost with a killed runner, its steps are not."""

TOGETHER = 32
TOGETHER_S = 0.05
"""So many steps' commits, or so many seconds' worth of them, wait for the disk together: the log is written in order,
so the last one's waiting is for all. Every end of a run waits, too."""

_CONTENTION = frozenset({"55P03", "40P01", "40001"})


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
    lock_wait_s: float = LOCK_WAIT_SECONDS,
    lock_timeout_ms: int = LOCK_TIMEOUT_MS,
    attempts: int = ATTEMPTS,
) -> Iterator[Event]:
    """Run each step of a plan in a transaction of its own, together with its ledger row.

    The row commits with the change or not at all: after a crash the ledger tells the truth and running again is safe.
    `connection` belongs to the run until the iterator ends, and is given back reset; it is not closed, unless it is
    lost. `settings` are custom settings (`lancio.key`) and their values: a step gets those its file reads, by bound
    parameter, for its transaction alone. `role` is the role that files run as. `reconnect` opens another connection
    to the same database, to see who is in the way and to resolve a COMMIT in doubt; without it one is made from the
    first one's parameters. `folder` is the folder as a command line names it, `flags` what stands behind Lancio's
    own commands and `terms` behind `lancio apply`; `psql` writes the psql line for a path, or for none. Times are
    seconds and milliseconds as named.

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
    _check(plan)
    if not plan.steps:
        yield events.RunFinished(number=1, outcome="done", applied=0, of=0, duration_ms=0.0)
        return
    parameters = connection.info.get_parameters() | {"password": connection.info.password}
    again = make_conninfo("", **{name: value for name, value in parameters.items() if value})

    def another() -> Connection:
        return psycopg.connect(again, autocommit=True)

    signals = Signals()
    with signals.caught():
        work = session.begin(connection, role=role, application="lancio apply", lock_timeout_ms=lock_timeout_ms)
        run = _Run(
            plan=plan,
            work=work,
            signals=signals,
            settings=dict(settings or {}),
            reconnect=reconnect or another,
            way=Way(folder or shlex.quote(plan.graph.folder), psql, flags, terms),
            attempts=attempts,
        )
        try:
            yield from run.go(lock_wait_s)
        finally:
            run.leave()


def plan_hash(plan: Plan) -> str:
    """SHA-256 over the plan's steps: their names, positions and texts."""
    said = [(step.position, step.facts.name, step.facts.migration.digest) for step in plan.steps]
    return hashlib.sha256(orjson.dumps(said)).hexdigest()


def refuse_unsendable(facts: FileFacts) -> None:
    """Refuse what would end or escape the step's transaction; a statement that is alone in its file is sent by itself.

    Raises:
        NoGo: with the place of the statement.
    """
    for statement in _body(facts.statements):
        where = f"{facts.name}:{statement.span.line}"
        if statement.alone and facts.lone is None:
            raise NoGo(
                f"{statement.summary} cannot run in a transaction",
                cause=statement.alone,
                remedy="Each step is one transaction. Put this statement into a file of its own.",
                where=where,
            )
        if statement.control and statement.control != "savepoint":
            raise NoGo(
                f"{statement.summary} stands in the middle of the file",
                cause="It would end the step's transaction, and what came before could not be taken back.",
                remedy="Let the file be one transaction: BEGIN first and COMMIT last, or neither.",
                where=where,
            )
        if _copies(statement.sql):
            raise NoGo(
                "COPY from or to the client cannot run in a migration",
                cause="Its data would have to come through the connection that the statements go through.",
                remedy="Write the rows as INSERT, or copy from a file on the server.",
                where=where,
            )


def line_of(statement: Statement, message: ServerMessage) -> int:
    """The line in the file that an error or notice speaks of, as exactly as the server says it."""
    line = statement.span.line
    if message.position:
        # PostgreSQL counts characters, from 1.
        return line + statement.sql.count("\n", 0, message.position - 1)
    found = re.search(r"PL/pgSQL function inline_code_block line (\d+)", message.context)
    if found and (body := re.search(r"\$(?:[^\W\d]\w*)?\$|'", statement.sql)):
        # PL/pgSQL counts lines from the one that opens the body.
        return line + statement.sql.count("\n", 0, body.end()) + int(found[1]) - 1
    return line


def shown(name: str, statement: Statement, message: ServerMessage) -> str:
    """`file:line` with the line and, where the server gave a position, a caret under it."""
    line = line_of(statement, message)
    lines = statement.sql.split("\n")
    index = line - statement.span.line
    if not 0 <= index < len(lines):
        return f"{name}:{line}"
    text = lines[index].rstrip("\r").replace("\t", " ")
    said = f"{name}:{line}\n  {text.rstrip()}"
    if message.position:
        before = statement.sql[: message.position - 1]
        said += "\n  " + " " * (len(before) - (before.rfind("\n") + 1)) + "^"
    return said


def _check(plan: Plan) -> None:
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
        refuse_unsendable(step.facts)


def _body(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """The statements without the file's own BEGIN and COMMIT; the step's take their place."""
    body = folded(statements)
    return statements if body is None else body


def _copies(sql: str) -> bool:
    if not _COPY.search(sql):
        return False
    text = sql.encode()
    words = [text[token.start : token.end].lower() for token in lexer.tokens(text) if token.kind == "word"]
    return words[:1] == [b"copy"] and (b"stdin" in words or b"stdout" in words)


@dataclass
class _Sent:
    """A step's commands, and which of them is what."""

    commands: list[Command] = field(default_factory=list)
    statements: dict[int, tuple[int, Statement]] = field(default_factory=dict)  # command -> ordinal from 0
    checks: dict[int, tuple[Check, ...]] = field(default_factory=dict)
    constraints: int = -1
    ledger: int = -1
    commit: int = -1
    settings: range = range(0)
    guarded: bool = False  # begins with a guard, to be sent ahead of the end of the step before
    written: int = 0  # how many of the pending events its ledger row carries
    durable: bool = True  # its commit waits for the disk
    alone: bool = False  # one statement outside of a transaction, and nothing else

    def add(self, command: Command) -> int:
        self.commands.append(command)
        return len(self.commands) - 1


@dataclass
class _Run:
    plan: Plan
    work: Session
    signals: Signals
    settings: dict[str, str]
    reconnect: Callable[[], Connection]
    way: Way
    attempts: int
    id: int | None = None
    number: int = 0
    pending: list[Event] = field(default_factory=list)
    """Events that are not in the ledger yet: they go there with a commit to come."""
    written_at: float = 0.0
    """When events were last written, on the monotonic clock."""
    applied: list[str] = field(default_factory=list)
    locked: bool = False
    outcome: str = ""
    started: float = field(default_factory=time.monotonic)
    backend_start: str = ""
    observer: Session | None = None
    known: dict[str, str] = field(default_factory=dict)
    """Checksums of what the ledger had when the run began."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    composed: dict[int, _Sent] = field(default_factory=dict)
    """Steps whose commands are put together already, by position."""
    together: int = 0
    """Steps put together since the last one whose commit waits for the disk."""
    waited_at: float = 0.0
    """When that one was put together, on the monotonic clock."""
    spent_ms: float = 0.0
    """What the statement took that stands alone in the file at hand, in milliseconds."""
    unflushed: list[str] = field(default_factory=list)
    """Committed steps that a crash of the server could still take back, with their ledger rows."""

    # --- the run ------------------------------------------------------------------------------------------------------

    def go(self, lock_wait_s: float) -> Iterator[Event]:
        """The whole run, from the lock to its last event."""
        try:
            for waited, holders in lock.acquire(self.work, lock_wait_s, self.signals):
                yield self._tell(
                    events.Waiting(
                        number=self._next(), what="runner", holders=tuple(holders), waited_s=round(waited, 1)
                    )
                )
            self.locked = lock.held(self.work)
            if self.signals.name:
                yield from self._interrupted("", committed=False)
            if not self.locked:
                raise LockHeld("the lock was lost at once", cause="The server's lock table does not show it.",
                               remedy="Connect to PostgreSQL itself, without a pooler.")  # fmt: skip
            ledger.ensure(self.work)
            self.known = ledger.applied_checksums(self.work)
            self.backend_start = (
                self.work.ask(
                    "SELECT backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()"
                )[0][0]
                or ""
            )
            fingerprint = plan_hash(self.plan)
            self.id = ledger.start_run(self.work, fingerprint)
        except Lost as lost:
            raise ConnectionLost(
                "the connection ended before the first step",
                cause=lost.said,
                remedy="Nothing was changed. Run the same command again.",
            ) from lost
        except session.Refused as refused:
            raise session.refusal(refused.error, "the ledger could not be written") from None
        yield self._tell(
            events.RunStarted(
                number=self._next(),
                run=self.id,
                steps=tuple(step.facts.name for step in self.plan.steps),
                database=self.work.database,
                server_version=self.work.server_version_text,
                plan_hash=fingerprint,
            )
        )
        # What the ledger had when the plan was made is run again because the plan says so.
        for state in self.plan.states:
            if state.recorded:
                self.known.pop(state.name, None)
        for position, step in enumerate(self.plan.steps, 1):
            migration = step.facts.migration
            if migration.name in self.known:
                self._refuse_edited(step, self.known[migration.name])
                yield self._tell(
                    events.StepSkipped(
                        number=self._next(), run=self.id, migration=migration.name, position=position, of=self._of
                    )
                )
                continue
            if self.signals.name and not self.work.in_flight:
                yield from self._interrupted(migration.name, committed=False)
            yield from self._step(position, step)
        yield self._finish("done")

    def _refuse_edited(self, step: Step, checksum: str) -> None:
        if checksum == step.facts.migration.checksum:
            return
        self._write("failed")
        raise EditedFile(
            f"{step.facts.name} was applied by somebody else, in another version",
            cause="It came into the ledger after this plan was made, with other statements.",
            remedy="Get that version of the file, or accept this one by `lancio adopt --edited`.",
            commands=(f"lancio status {self.plan.graph.folder}",),
        )

    @property
    def _of(self) -> int:
        return len(self.plan.steps)

    def leave(self) -> None:
        """Give back lock and connection; a run that nobody read to its end is closed as interrupted."""
        if self.observer is not None:
            with suppress(psycopg.Error):
                self.observer.connection.close()
        if self.work.lost:
            self.work.connection.close()
            return
        try:
            self.work.abandon()
            if self.id is not None and not self.outcome:
                self._write("interrupted")
            if self.locked:
                lock.release(self.work)
            session.end(self.work)
        except (Lost, psycopg.Error, session.Refused):
            # What the lock and the settings were for has been done; a session that ends gives back both.
            self.work.connection.close()

    # --- one step -----------------------------------------------------------------------------------------------------

    def _step(self, position: int, step: Step) -> Iterator[Event]:
        name = step.facts.name
        yield self._tell(
            events.StepStarted(
                number=self._next(),
                run=self.id,
                migration=name,
                position=position,
                of=self._of,
                statements=len(_body(step.facts.statements)),
                expected_ms=step.expected_ms,
            )
        )
        for attempt in range(1, self.attempts + 1):
            failure = yield from self._attempt(position, step)
            if failure is None:
                return
            sent, wrong = failure
            if wrong.error.sqlstate not in _CONTENTION or attempt == self.attempts or self.signals.name:
                yield from self._failed(position, step, sent, wrong)
            pause = 0.5 * 2 ** (attempt - 1)
            yield self._tell(
                events.Waiting(
                    number=self._next(),
                    run=self.id,
                    what=wrong.error.message,
                    holders=(),
                    waited_s=0.0,
                    migration=name,
                    retry_in_s=pause,
                )
            )
            until = time.monotonic() + pause
            while time.monotonic() < until and not self.signals.name:
                time.sleep(0.05)
            if self.signals.name:
                yield from self._interrupted(name, committed=False)

    def _attempt(self, position: int, step: Step) -> Generator[Event, None, tuple[_Sent, Failure] | None]:
        """Send the step once; the generator's value is None when it is committed, else what failed."""
        if self.id is None:
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
            sent = self._compose(position, step)
            self._carry_events(sent)
        kept: list[Event] = []
        answers: Answer | None = None
        failure: Failure | None = None
        committed = cancelled = False
        waited = 0.0
        clock = time.monotonic()
        try:
            for came in self.work.run(
                sent.commands, signals=self.signals, meanwhile=lambda: self._ahead(position, sent)
            ):
                if isinstance(came, Answer):
                    now = time.monotonic()
                    if found := sent.statements.get(came.index):
                        ordinal, statement = found
                        if len(sent.statements) == 1:
                            continue
                        yield self._tell(
                            events.Progress(
                                number=self._next(),
                                run=self.id,
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
                            del self.pending[: sent.written]
                            self.written_at = time.monotonic()
                    clock, waited = now, 0.0
                elif isinstance(came, Failure):
                    failure = came
                elif isinstance(came, Told):
                    place = sent.statements.get(came.index)
                    where = Place(name, line_of(place[1], came.notice), place[1].summary) if place else None
                    yield self._tell(self._notice(name, came.notice, where))
                elif isinstance(came, Quiet) and not self.signals.name:
                    waited = time.monotonic() - clock
                    if waiting := self._in_the_way(name, waited):
                        yield self._tell(waiting)
                if self.signals.name and not cancelled and not committed:
                    cancelled = True
                    self.work.cancel()
        except Lost as lost:
            yield from self._lost(position, step, sent, lost)
            raise AssertionError("a lost connection ends the run") from lost
        if failure is not None and not committed:
            self._roll_back()
        if _DEALLOCATES.search(step.facts.migration.text):
            self.work.forget_prepared()
        if failure is not None and not committed:
            if cancelled and failure.error.sqlstate == "57014":
                yield from self._interrupted(name, committed=False)
            return sent, failure
        duration, locks = _ledger_answer(answers)
        self.applied.append(name)
        self.unflushed = [] if sent.durable else [*self.unflushed, name]
        checks = tuple(check.says for check in step.facts.checks)
        if checks:
            kept.append(self._tell(events.Verified(number=self._next(), run=self.id, migration=name, checks=checks)))
        kept.append(
            self._tell(
                events.StepApplied(
                    number=self._next(),
                    run=self.id,
                    migration=name,
                    position=position,
                    of=self._of,
                    duration_ms=duration,
                    locks=locks,
                )
            )
        )
        yield from kept
        if self.signals.name and not self.work.in_flight:
            yield from self._interrupted(name, committed=True)
        if failure is not None:
            yield self._finish("failed")
            raise session.refusal(failure.error, f"{name} is applied, but the session could not be reset behind it")
        return None

    # --- a statement that cannot run in a transaction -----------------------------------------------------------------

    def _alone(
        self, position: int, step: Step, statement: Statement
    ) -> Generator[Event, None, tuple[_Sent, Failure] | None]:
        """Send a file's only statement by itself; the value is None when it is done, else what failed.

        That the file was begun is in the ledger before it is sent, and the file's row comes after it: in between, a
        run that ends leaves the statement done, not done, or, of an index, half done. The next run looks.
        """
        name = step.facts.name
        sent = _Sent(statements={0: (0, statement)}, commit=1, alone=True)
        self.spent_ms = 0.0
        sent.add(Command(statement.sql, keep=False))
        clock = time.monotonic()
        try:
            self._keep_events()
            made = next((each for each in step.facts.creates if each.kind == "relation"), None)
            gone = next((each for each in step.facts.drops if each.kind == "relation"), None)
            state = self._index_state(made or gone)
            begun = self.work.ask(LEDGER_QUERIES["begun"], name, str(self.id))[0][0] == "t"
            if made is not None and state == "f":
                yield self._tell(self._remark(name, f"{made.object} was left invalid by an earlier attempt: made anew"))
                session.collect(self.work, [Command(f"DROP INDEX CONCURRENTLY {_quoted(made.name)}")])
            if begun and ((made is not None and state == "t") or (gone is not None and state == "")):
                yield self._tell(self._remark(name, "an earlier run had done this before it ended"))
                return None
            # Nobody's reading or writing waits for such a statement, so it may wait for others.
            self.work.ask(QUERIES["wait_for_locks"], "0")
            failure: Failure | None = None
            cancelled = False
            for came in self.work.run(sent.commands, signals=self.signals):
                if isinstance(came, Failure):
                    failure = came
                elif isinstance(came, Told):
                    place = Place(name, line_of(statement, came.notice), statement.summary)
                    yield self._tell(self._notice(name, came.notice, place))
                elif (
                    isinstance(came, Quiet)
                    and not self.signals.name
                    and (waiting := self._in_the_way(name, time.monotonic() - clock))
                ):
                    yield self._tell(waiting)
                if self.signals.name and not cancelled:
                    cancelled = True
                    self.work.cancel()
            if failure is not None:
                session.collect(self.work, self.work.reset(f"{self.token}:{position - 1}"))
        except Lost as lost:
            yield from self._lost(position, step, sent, lost)
            raise AssertionError("a lost connection ends the run") from lost
        self.spent_ms = round((time.monotonic() - clock) * 1000, 3)
        if failure is not None and cancelled and failure.error.sqlstate == "57014":
            yield from self._interrupted(name, committed=False)
        return None if failure is None else (sent, failure)

    def _index_state(self, index: Effect | None) -> str:
        """ "t" for a valid index, "f" for an invalid one, "" where there is none."""
        rows = self.work.ask(QUERIES["index_state"], _quoted(index.name)) if index is not None else ()
        return (rows[0][0] or "") if rows else ""

    def _remark(self, name: str, message: str) -> Event:
        return events.Notice(number=self._next(), run=self.id, migration=name, severity="NOTICE", message=message)

    def _keep_events(self) -> None:
        """Write the events so far, and wait for the disk."""
        if self.id is not None:
            self._store(self.id)

    def _store(self, run: int, *more: Command) -> None:
        """Write the pending events, and more, in a transaction of the runner's own whose commit waits for the disk.

        Raises:
            Lost: the connection ended.
        """
        commands = [Command("BEGIN"), *self.work.reset()]
        if self.pending:
            commands.append(ledger.add_events(run, self.pending))
        if session.collect(self.work, [*commands, *more, Command("COMMIT")]) is None:
            self.pending.clear()
            self.written_at = time.monotonic()
            self.unflushed = []
        else:
            self._roll_back()

    def _half_done(self, name: str) -> bool:
        """Whether a file's statement may have been carried out, or half so, though its step is not applied."""
        return any(step.facts.name == name and step.facts.lone is not None for step in self.plan.steps)

    def _carry_events(self, sent: _Sent) -> None:
        """Let the step's ledger row carry the events so far, if it is time.

        Rows of events cost a small step a tenth of its time: several steps' worth are written together.
        """
        if time.monotonic() - self.written_at >= EVENTS_EVERY_S:
            sent.written = len(self.pending)
        sent.commands[sent.ledger] = ledger.with_events(sent.commands[sent.ledger], self.pending[: sent.written])

    def _compose(self, position: int, step: Step, *, guarded: bool = False) -> _Sent:
        if self.id is None:
            raise AssertionError("the run begins before its steps")
        now = time.monotonic()
        sent = _Sent(guarded=guarded, durable=self.together >= TOGETHER or now - self.waited_at >= TOGETHER_S)
        self.together, self.waited_at = (0, now) if sent.durable else (self.together + 1, self.waited_at)
        if guarded:
            sent.add(self.work.guard(f"{self.token}:{position - 1}"))
        facts = step.facts
        statements = () if facts.lone is not None else _body(facts.statements)
        own = next((each for each in facts.statements[:1] if each.control == "begin"), None)
        # The file's BEGIN may ask for an isolation level.
        sent.add(Command(own.sql) if own else Command("BEGIN", name="lancio_begin"))
        # PostgreSQL takes SET TRANSACTION before any query only, ours among them.
        early = next((at for at, each in enumerate(statements) if not _EARLY.match(each.sql)), len(statements))
        for ordinal, statement in enumerate(statements[:early]):
            sent.statements[sent.add(Command(statement.sql, keep=False))] = (ordinal, statement)
        first = len(sent.commands)
        for setting in facts.settings:
            if setting in self.settings:
                sent.add(Command(QUERIES["setting"], (setting, self.settings[setting])))
        sent.settings = range(first, len(sent.commands))
        if facts.lone is not None:
            sent.add(Command(QUERIES["spent"], (str(self.spent_ms),)))
        if _DROPS.search(facts.migration.text):
            sent.add(Command(QUERIES["relations"], name="lancio_relations"))
        for ordinal, statement in enumerate(statements[early:], early):
            # The last one's result comes soon enough with what stands behind it.
            flush = ordinal < len(statements) - 1
            sent.statements[sent.add(Command(statement.sql, flush=flush, keep=False))] = (ordinal, statement)
        # A deferred failure would otherwise come at COMMIT, where no statement is to blame.
        sent.constraints = sent.add(Command("SET CONSTRAINTS ALL IMMEDIATE", name="lancio_constraints"))
        lookups = not any(check.declared for check in facts.checks)
        sent.add(self.work.settle(durable=sent.durable, lookups=lookups))
        lines = [(statement.span.line, statement.summary) for statement in _body(facts.statements)]
        says = [check.says for check in facts.checks]
        sent.ledger = sent.add(ledger.add_step(self.work, self.id, facts.migration, position, says, lines))
        for start in range(0, len(facts.checks), CHECKS_AT_ONCE):
            checks = facts.checks[start : start + CHECKS_AT_ONCE]
            sent.checks[sent.add(verification(checks))] = checks
        sent.commit = sent.add(Command("COMMIT", name="lancio_commit", keep=False))
        sent.commands += self.work.reset(f"{self.token}:{position}")
        if _DEALLOCATES.search(facts.migration.text):
            sent.commands = [replace(command, name="") for command in sent.commands]
        return sent

    def _ahead(self, position: int, sent: _Sent) -> list[Command] | None:
        """The next step's commands, to be sent while the server is at this one's.

        They begin with a guard: where this step fails, or leaves its session as no step may, they are refused. So the
        next step's way to the server, and the client's work, cost no time of their own.
        """
        if position >= self._of or self.signals.name:
            return None
        step = self.plan.steps[position]
        if _ISOLATED.search(step.facts.migration.text):
            return None  # an isolation level must come before any query, the guard among them
        if (
            step.facts.name in self.known
            or step.facts.lone is not None
            or _DEALLOCATES.search(self.plan.steps[position - 1].facts.migration.text)
        ):
            return None
        following = self._compose(position + 1, step, guarded=True)
        if not sent.written:
            self._carry_events(following)
        else:
            following.commands[following.ledger] = ledger.with_events(following.commands[following.ledger], [])
        self.composed[position + 1] = following
        return following.commands

    def _roll_back(self) -> None:
        try:
            session.collect(self.work, [Command("ROLLBACK"), *self.work.reset()])
        except Lost:
            self.work.connection.close()

    # --- what can go wrong --------------------------------------------------------------------------------------------

    def _failed(self, position: int, step: Step, sent: _Sent, failure: Failure) -> Iterator[Event]:
        facts = step.facts
        error = failure.error
        ordinal: int | None = None
        spot: Spot | None = None
        where = facts.name
        if failure.index == sent.ledger and error.sqlstate == "23502" and error.column == "backend_pid":
            yield self._finish("failed")
            raise LockHeld(
                "the runner's lock was lost",
                cause=f"{facts.name} released it, or a pooler changed the session. The step was rolled back.",
                remedy="Take pg_advisory_unlock_all() out of the files, and connect to PostgreSQL itself.",
            )
        if found := sent.statements.get(failure.index):
            ordinal, statement = found[0] + 1, found[1]
            spot = Spot(statement.sql, statement.span.line, line_of(statement, error))
            where = masked(shown(facts.name, statement, error))
        said = Said(
            sqlstate=error.sqlstate,
            message=error.message,
            detail=error.detail,
            hint=error.hint,
            context=error.context,
            schema=error.schema,
            table=error.table,
            column=error.column,
            constraint=error.constraint,
            datatype=error.datatype,
        )
        # What fails in the runner's own commands is not for the files to provide.
        ours = ordinal is None and failure.index not in sent.checks
        graph = None if ours else self.plan.graph
        diagnosis = diagnose(
            said,
            graph=graph,
            file=facts.name,
            where=where,
            way=self.way,
            spot=spot,
            evidence=self._evidence(said, spot),
            applied=self._standing(),
        )
        diagnosis = self._explained(diagnosis, sent, failure)
        diagnosis = _without(diagnosis, secrets_of(self.settings))
        yield self._tell(
            events.StepFailed(
                number=self._next(),
                run=self.id,
                migration=facts.name,
                position=position,
                of=self._of,
                diagnosis=diagnosis,
                sqlstate=error.sqlstate,
                ordinal=ordinal,
            )
        )
        yield self._finish("failed")
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

    def _standing(self) -> frozenset[str]:
        """The files that are applied here, those of this run among them."""
        return frozenset(self.applied).union(
            state.name for state in self.plan.states if state.recorded or state.state == "applied"
        )

    def _explained(self, diagnosis: Diagnosis, sent: _Sent, failure: Failure) -> Diagnosis:
        """Add which command failed, where it was none of the file's statements."""
        if checks := sent.checks.get(failure.index):
            if failure.error.sqlstate == "P0004":
                return diagnosis
            check = _check_at(checks, failure.error.position)
            named = f"the check {check.says!r}" if check else "a check"
            return _replaced(diagnosis, cause=f"{named} could not be asked: {diagnosis.cause}")
        if sent.alone:
            left = "An index that it was building is left invalid; running it again drops that and builds it anew."
            return _replaced(diagnosis, cause=f"{diagnosis.cause} It ran outside of a transaction. {left}")
        if failure.index == sent.constraints:
            return _replaced(diagnosis, cause=f"A deferred constraint fails at the step's end: {diagnosis.cause}")
        if failure.index == sent.ledger:
            return _replaced(diagnosis, cause=f"The ledger row could not be written: {diagnosis.cause}")
        if failure.index in sent.settings:
            return _replaced(diagnosis, cause=f"A setting could not be handed over: {diagnosis.cause}")
        return diagnosis

    def _interrupted(self, migration: str, *, committed: bool) -> Iterator[Event]:
        names = [step.facts.name for step in self.plan.steps]
        remaining = tuple(name for name in names if name not in self.applied)
        yield self._tell(
            events.Interrupted(
                number=self._next(),
                run=self.id,
                signal=self.signals.name,
                applied=tuple(self.applied),
                remaining=remaining,
                migration=migration,
                committed=committed,
            )
        )
        yield self._finish("interrupted")
        stands = f"{len(self.applied)} of {len(names)} steps are applied"
        if migration and not committed and self._half_done(migration):
            stands += f"; {migration} was stopped, and what it began is looked at when it runs again"
        elif migration and not committed:
            stands += f"; {migration} was rolled back, nothing of it is left"
        raise Interrupted(
            f"stopped by {self.signals.name}: {stands}",
            cause="You asked to stop." if self.signals.name == "SIGINT" else "The process was asked to end.",
            remedy="Run the same command again to go on." if remaining else "Nothing is left to do.",
        )

    def _lost(self, position: int, step: Step, sent: _Sent, lost: Lost) -> Iterator[Event]:
        """Find out by another connection whether the step was committed: it was all sent, COMMIT too.

        So may the next one have been, which was sent behind it; and where the server itself crashed, those before,
        whose commits were not on the disk yet, are gone with their ledger rows.
        """
        name = step.facts.name
        following = self.plan.steps[position].facts.name if self.work.in_flight else ""
        self.work.connection.close()
        found = self._committed(*self.unflushed, name, following)
        committed = None if found is None else name in found
        taken_back = [each for each in self.unflushed if found is not None and each not in found]
        self.applied = [each for each in self.applied if each not in taken_back]
        where = f"at the COMMIT of {name}" if committed or lost.index >= sent.commit else f"while {name} ran"
        if committed:
            self.applied.append(name)
            yield self._tell(
                events.StepApplied(
                    number=self._next(),
                    run=self.id,
                    migration=name,
                    position=position,
                    of=self._of,
                    duration_ms=0.0,
                    resolved=True,
                )
            )
            remedy = "Run the same command again to go on."
            stands = f"A new connection found its ledger row: {name} is applied."
            if found and following in found:
                self.applied.append(following)
                yield self._tell(
                    events.StepApplied(
                        number=self._next(),
                        run=self.id,
                        migration=following,
                        position=position + 1,
                        of=self._of,
                        duration_ms=0.0,
                        resolved=True,
                    )
                )
                stands = f"A new connection found their ledger rows: {name} and {following} are applied."
        elif committed is False:
            remedy = "Check that the server runs, then run the same command again."
            kept = " or ".join([*taken_back, name])
            stands = f"A new connection found no ledger row: nothing of {kept} was kept."
            if self._half_done(name):
                stands = (
                    f"A new connection found no ledger row of {name}: what it began is looked at when it runs again."
                )
        else:
            remedy = "When the server answers again, run the same command: it goes on at the right step."
            stands = f"The server could not be asked, so whether {name} was committed is in doubt; the ledger knows."
        if not committed:
            statement = sent.statements.get(lost.index)
            state = state_of(lost.said) or "08006"
            yield self._tell(
                events.StepFailed(
                    number=self._next(),
                    run=self.id,
                    migration=name,
                    position=position,
                    of=self._of,
                    diagnosis=Diagnosis(
                        message=f"the connection ended {where}",
                        cause=f"{lost.said}. {stands}",
                        solution=remedy,
                        commands=(self.way.lancio(name),),
                        where=f"{name}:{statement[1].span.line}" if statement else name,
                        confidence="certain" if committed is False else "general",
                        sqlstate=state,
                        rule=rule_of(state).name,
                    ),
                    sqlstate="08006",
                    ordinal=statement[0] + 1 if statement else None,
                )
            )
        yield self._finish("lost")
        refusal = ConnectionLost(
            f"the connection ended {where}",
            cause=f"{lost.said}. {stands}",
            remedy=remedy,
            commands=() if committed else (self.way.lancio(name),),
            where=f"{name}:{sent.statements[lost.index][1].span.line}" if lost.index in sent.statements else name,
        )
        state = state_of(lost.said) or "08006"
        refusal.more = {"rule": rule_of(state).name, "sqlstate": state}
        raise refusal

    def _committed(self, *names: str) -> set[str] | None:
        """Which of these steps the ledger has, once the old server process is gone; None if nobody answers."""
        until = time.monotonic() + 30
        while time.monotonic() < until and not self.signals.name:
            try:
                with self.reconnect() as connection:
                    connection.autocommit = True
                    work = session.begin(connection, role=self.work.role, application="lancio apply")
                    # The lock is free only when the old process has ended, and with it the step.
                    for _ in lock.acquire(work, max(0.5, until - time.monotonic()), self.signals):
                        pass
                    found = {
                        name for name in names if name and work.ask(LEDGER_QUERIES["find_step"], str(self.id), name)
                    }
                    work.ask(LEDGER_QUERIES["finish_run"], str(self.id), "lost")
                    lock.release(work)
                    return found
            except (psycopg.Error, LancioError, Lost, session.Refused):
                time.sleep(0.5)  # a server that restarts refuses connections for a while
        return None

    def _in_the_way(self, name: str, waited: float) -> Event | None:
        """Who keeps the step waiting, seen by a second connection; None if nobody does, or it cannot be had."""
        try:
            if self.observer is None or self.observer.lost:
                self.observer = session.begin(self.reconnect(), application="lancio observer")
            relation, found = lock.blockers(self.observer, self.work.backend_pid)
        except (psycopg.Error, LancioError, Lost, session.Refused):
            return None  # a wait that nobody can explain is still a wait
        if not found:
            return None
        return events.Waiting(
            number=self._next(),
            run=self.id,
            what=relation or "a lock",
            holders=tuple(found),
            waited_s=round(waited, 1),
            migration=name,
        )

    def _notice(self, name: str, notice: ServerMessage, where: Place | None) -> Event:
        secrets = secrets_of(self.settings)

        def clean(text: str) -> str:
            return masked(redact(text, secrets))

        said = replace(notice, message=clean(notice.message), detail=clean(notice.detail), hint=clean(notice.hint))
        return events.told(self._next(), self.id, name, said, where)

    # --- events -------------------------------------------------------------------------------------------------------

    def _next(self) -> int:
        self.number += 1
        return self.number

    def _tell(self, event: Event) -> Event:
        self.pending.append(event)
        return event

    def _finish(self, outcome: str) -> Event:
        event = self._tell(
            events.RunFinished(
                number=self._next(),
                run=self.id,
                outcome=outcome,
                applied=len(self.applied),
                of=self._of,
                duration_ms=round((time.monotonic() - self.started) * 1000, 1),
            )
        )
        self._write(outcome)
        return event

    def _write(self, outcome: str) -> None:
        """The run's outcome and its last events, if there is a connection and a run to write them to."""
        self.outcome = outcome
        if self.id is None or self.work.lost:
            return
        with suppress(Lost):  # the steps are safe; the ledger shows a run without an end
            self._store(self.id, Command(LEDGER_QUERIES["finish_run"], (str(self.id), outcome)))


def verification(checks: tuple[Check, ...]) -> Command:
    """One statement that asks all checks and raises, naming each that does not hold.

    The planner's own checks are a few texts with different names in them: with the names as parameters, a folder of
    many alike files is planned by the server a few times instead of once a file.
    """
    pieces, names = _pieces(checks)
    sql = f"{_VERIFY}{','.join(pieces)}]::boolean[], $1::text[])"
    name = "lancio_check_" + hashlib.sha256(sql.encode()).hexdigest()[:16] if names else ""
    return Command(sql, (session.array([check.says for check in checks]), *names), name=name)


_VERIFY = "SELECT lancio.verify(ARRAY["
_PLAIN_STRING = re.compile(r"'(?:[^']|'')*'")
_UNPLAIN = re.compile(r"\w'|[\"\\$]|--|/\*|\w\s+'")
"""What, outside of plain strings, could make a quote something else: a prefix, an identifier in quotes, a comment."""
_NAMES_AT_MOST = 300
"""Names in a step's checks up to which they become parameters: statements that rare are not asked twice."""


def _pieces(checks: tuple[Check, ...]) -> tuple[list[str], list[str]]:
    names: list[str] = []

    def parameter(found: re.Match[str]) -> str:
        names.append(found[0][1:-1].replace("''", "'"))
        return f"${len(names) + 1}::text"

    pieces = []
    for check in checks:
        text = check.sql.strip().rstrip(";")
        if not check.declared and not _UNPLAIN.search(_PLAIN_STRING.sub("''", text)):
            text = _PLAIN_STRING.sub(parameter, text)
        pieces.append(f"(\n{text}\n)")
    if len(names) > _NAMES_AT_MOST:
        return _pieces(tuple(replace(check, declared=True) for check in checks))
    return pieces, names


def _check_at(checks: tuple[Check, ...], position: int) -> Check | None:
    end = len(_VERIFY)
    for check, piece in zip(checks, _pieces(checks)[0], strict=True):
        end += len(piece) + 1
        if position and position <= end:
            return check
    return None


def _ledger_answer(answer: Answer | None) -> tuple[float, tuple[HeldLock, ...]]:
    if answer is None:
        raise AssertionError("a committed step has a ledger row")
    duration, locks = answer.rows[0]
    held = tuple(HeldLock(each["relation"], each["mode"]) for each in orjson.loads(locks or "[]"))
    return round(float(duration or 0), 3), held


def _quoted(full_name: str) -> str:
    """A schema's object by its full name, as SQL."""
    schema, _, name = full_name.partition(".")
    return f"{identifier(schema)}.{identifier(name)}"


def _replaced(diagnosis: Diagnosis, **changes: str) -> Diagnosis:
    return replace(diagnosis, **changes)  # type: ignore[arg-type]


def _without(diagnosis: Diagnosis, secrets: Sequence[str]) -> Diagnosis:
    """The diagnosis without the values of the settings that were handed over."""
    listed = {
        name: tuple(redact(each, secrets) for each in getattr(diagnosis, name))
        for name in ("commands", "evidence", "instead")
    }
    return _replaced(
        replace(diagnosis, **listed),  # type: ignore[arg-type]
        **{
            name: redact(getattr(diagnosis, name), secrets)
            for name in ("message", "cause", "solution", "where", "detail", "hint")
        },
    )
