"""Steps side by side: several connections carry out what the graph proves independent, and one holds the lock.

The runner's own connection holds the lock, writes the events and runs what nothing may run beside. Each worker is a
thread with a connection of its own, which carries out one step at a time, as the only lane does in a run without
`--jobs`: in a transaction with its ledger row. A step is given out once all that it waits for is committed.

The first failure ends the giving out: what runs then is let run to its end. Ctrl-C cancels all. What a worker tells
goes through `Run.tell`, so the events are one stream, numbered in the order in which they are read here.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from lancio.errors import ConnectionLost, LancioError, LockHeld
from lancio.executor import doubt, events, lock, segments, session
from lancio.executor.lane import EVENTS_EVERY_S, Lane
from lancio.executor.session import LEDGER_QUERIES, Lost
from lancio.planner.schedule import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lancio.executor.events import Event
    from lancio.executor.run import Run
    from lancio.planner.model import Step
    from lancio.planner.schedule import Schedule

TICK_S = 0.1
"""How often a signal is looked for while no worker tells anything."""
LISTEN_S = 5.0
"""How often the connection that holds the lock is asked whether it is still there."""


class _Stopped(Exception):  # noqa: N818  (a worker's way to say where it was stopped)
    """A worker's step was cancelled for a signal, and rolled back; `migration` is "" where none was."""

    def __init__(self, migration: str) -> None:
        super().__init__(migration)
        self.migration = migration


@dataclass
class Worker(Lane):
    """A lane beside the one that holds the lock, to which it leaves the run's end and the ledger's events."""

    outcome: str = ""
    """How the run ends for what befell this lane."""

    def finish(self, outcome: str) -> Event:
        """Leave the run's end to the lane that holds the lock; the event is told to nobody."""
        self.outcome = outcome
        return events.RunFinished(number=0, outcome=outcome, applied=0, of=self.run.of, duration_ms=0.0)

    def interrupted(self, migration: str, *, committed: bool) -> Iterator[Event]:
        """Say which step was rolled back.

        Raises:
            _Stopped: always.
        """
        raise _Stopped("" if committed else migration)

    def _due(self) -> list[Event]:
        """None: the lane that holds the lock writes them."""
        return []

    def committed(self, *names: str) -> set[str] | None:
        """Which of these steps the ledger has, once the old server process is gone; None if nobody answers."""
        return doubt.committed_of(self, *names, beside=True)


@dataclass(frozen=True)
class _Ended:
    """A worker has nothing left to do of the step at this position."""

    worker: _Hand
    position: int
    error: BaseException | None


@dataclass
class _Hand:
    """A worker and its thread."""

    lane: Worker
    inbox: queue.SimpleQueue[tuple[int, Step] | None] = field(default_factory=queue.SimpleQueue)
    thread: threading.Thread | None = None

    def start(self, told: Callable[[_Ended], None]) -> None:
        def work() -> None:
            while (given := self.inbox.get()) is not None:
                error: BaseException | None = None
                try:
                    for _ in self.lane.step(*given):
                        pass  # it was told already
                except BaseException as raised:
                    error = raised
                told(_Ended(self, given[0], error))

        self.thread = threading.Thread(target=work, name=f"lancio worker {self.lane.work.backend_pid}", daemon=True)
        self.thread.start()

    def dismiss(self) -> None:
        """End thread and connection, cancelling what runs: it is then rolled back."""
        self.inbox.put(None)
        while self.thread is not None and self.thread.is_alive():
            self.thread.join(timeout=TICK_S)
            if self.thread.is_alive():
                self.lane.work.cancel()
        with suppress(psycopg.Error):
            self.lane.watch.close()
        with suppress(Lost, psycopg.Error, session.Refused):
            lock.release(self.lane.work)
        self.lane.work.connection.close()


@dataclass
class Crew:
    """The workers of a run, and what is under way."""

    run: Run
    main: Lane
    schedule: Schedule
    jobs: int
    said: queue.SimpleQueue[Event | object] = field(default_factory=queue.SimpleQueue)
    idle: list[_Hand] = field(default_factory=list)
    hands: list[_Hand] = field(default_factory=list)
    busy: dict[int, _Hand] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    """Files whose steps a signal ended."""
    wrong: list[tuple[BaseException, str]] = field(default_factory=list)
    """What went wrong, in the order in which it did, and how the run ends by it."""
    heard_at: float = field(default_factory=time.monotonic)
    turns: Turns = field(init=False)

    def __post_init__(self) -> None:
        self.turns = Turns(self.schedule)

    def go(self, skip: Callable[[int, Step], Iterator[Event]]) -> Iterator[Event]:
        """Carry out all steps; `skip` tells of one that is applied already. The run's last event is not among these.

        Raises:
            StepFailed, Interrupted, ConnectionLost, LockHeld, ServerError: as told by the events before.
        """
        self.main.follows = False
        self.run.outbox = self.said
        try:
            while True:
                if not (self.wrong or self.stopped or self.run.signals.name):
                    yield from self._give(skip)
                if not self.busy:
                    break
                yield from self._listen()
                self._keep()
            yield from self._heard()
        finally:
            for each in self.hands:
                each.dismiss()
            self.run.outbox = None
        yield from self._end()

    def _give(self, skip: Callable[[int, Step], Iterator[Event]]) -> Iterator[Event]:
        """Give out what may begin, as far as there are hands."""
        while position := self.turns.next:
            step = self.schedule.steps[position - 1]
            if step.facts.name in self.run.known:
                self.turns.begin()
                yield from self._by_main(skip(position, step))
                self.turns.done(position)
            elif position in self.schedule.solo or segments.apart(self.run, step) or not self.jobs:
                if self.busy:
                    return
                self.turns.begin()
                yield from self._by_main(self.main.step(position, step))
                self.turns.done(position)
                if self.run.signals.name:
                    return
            elif (hand := self._hand()) is not None:
                self.turns.begin()
                self.busy[position] = hand
                hand.inbox.put((position, step))
            elif self.jobs or self.busy:
                return

    def _by_main(self, stream: Iterator[Event]) -> Iterator[Event]:
        """What the runner's own connection does, while nobody else tells anything or behind what they told."""
        yield from self._heard()
        self.run.outbox = None
        yield from stream
        self.run.outbox = self.said

    def _hand(self) -> _Hand | None:
        """A worker that is free; None where all are at work, or no more can be had."""
        if self.idle:
            return self.idle.pop()
        if len(self.hands) >= self.jobs:
            return None
        work = None
        try:
            work = session.begin(
                self.run.reconnect(),
                role=self.main.work.role,
                application="lancio worker",
                lock_timeout_ms=self.main.work.lock_timeout_ms,
                pooled=self.main.work.pooled or None,
            )
            if not lock.join(work, self.main.work.backend_pid):
                raise LockHeld("the runner's lock was lost")
        except (psycopg.Error, LancioError, Lost, session.Refused) as error:
            if work is not None:
                work.connection.close()
            self.jobs = len(self.hands)
            said = f"steps run on {self.jobs or 'one'} connection{'s' if self.jobs > 1 else ''}: no more could be had"
            self.run.tell(
                events.Notice(
                    number=self.run.next(),
                    run=self.run.id,
                    migration="",
                    severity="WARNING",
                    message=said,
                    detail=error.message if isinstance(error, LancioError) else "",
                )
            )
            return None
        hand = _Hand(Worker(self.run, work, follows=False))
        self.hands.append(hand)
        hand.start(self.said.put)
        return hand

    def _listen(self) -> Iterator[Event]:
        """Hand on what is told, waiting a moment for it."""
        with suppress(queue.Empty):
            yield from self._one(self.said.get(timeout=TICK_S))
            yield from self._heard()

    def _heard(self) -> Iterator[Event]:
        """Hand on what was told until now."""
        with suppress(queue.Empty):
            while True:
                yield from self._one(self.said.get_nowait())

    def _one(self, said: Event | object) -> Iterator[Event]:
        if isinstance(said, events.Event):
            yield said
        elif isinstance(said, _Ended):
            del self.busy[said.position]
            if said.error is None:
                self.turns.done(said.position)
                self.idle.append(said.worker)
            elif isinstance(said.error, _Stopped):
                self.stopped.append(said.error.migration)
            else:
                self.wrong.append((said.error, said.worker.lane.outcome or "failed"))

    def _keep(self) -> None:
        """Write events to the ledger, and see that the lock is still held."""
        now = time.monotonic()
        due = self.run.pending and now - self.run.written_at >= EVENTS_EVERY_S
        if self.main.work.lost or not (due or now - self.heard_at >= LISTEN_S):
            return
        self.heard_at = now
        try:
            self.main.keep_events()
        except Lost as lost:
            error = ConnectionLost(
                "the connection that holds the runner's lock ended",
                cause=f"{lost.said}. Steps that were at work came to their end; none was begun behind them.",
                remedy="Run the same command again to go on.",
            )
            self.wrong.append((error, "lost"))

    def _end(self) -> Iterator[Event]:
        """How the run ended, where it did not end well."""
        if self.wrong:
            error, outcome = self.wrong[0]
            yield self.main.finish(outcome)
            if self.main.work.lost:
                self._write_lost()
            raise error
        if self.run.signals.name:
            names = [each for each in self.stopped if each]
            yield from self.main.interrupted(", ".join(names), committed=False)
        if self.turns.left:
            raise AssertionError("steps wait for each other")

    def _write_lost(self) -> None:
        """Let the ledger know that the run is over, though the connection that wrote there is gone."""
        until = time.monotonic() + 10
        with (
            suppress(psycopg.Error, LancioError, Lost, session.Refused),  # the steps are safe; the run has no end
            self.run.reconnect() as connection,
        ):
            connection.autocommit = True
            work = session.begin(connection, role=self.main.work.role, application="lancio apply")
            for _ in lock.acquire(work, max(0.5, until - time.monotonic()), self.run.signals):
                pass
            work.ask(LEDGER_QUERIES["finish_run"], str(self.run.id), "lost")
            lock.release(work)
