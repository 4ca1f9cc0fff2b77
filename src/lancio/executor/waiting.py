"""How long does a step wait for others, how long do others wait for it, and when is it tried again?

A step that waits for ACCESS EXCLUSIVE has everybody behind it who came later, and what it has locked already it holds
meanwhile. So what others lose is the sum of a step's waits, and that sum is what is limited: PostgreSQL's own
lock_timeout ends each single wait, and a second connection that looks on ends a step whose waits come to as much
together. Between two tries nothing is held (docs/decisions/0009-waiting-is-one-budget.md).
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg

from lancio.errors import LancioError
from lancio.executor import events, lock, remains, session
from lancio.executor.session import LOCK_QUERIES, Lost

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from lancio.executor.events import Event, Holder
    from lancio.executor.remains import Underway
    from lancio.executor.run import Run
    from lancio.executor.session import Failure, ServerMessage, Session

LOCK_TIMEOUT_MS = 2000
LOCK_WAIT_S = 600.0

CONTENTION = frozenset({"55P03", "40P01", "40001"})
"""Lock timeout, deadlock, serialization failure: what a step did not get because of others, and may get later."""

PROGRESS_EVERY_S = 1.0
STRAY_S = 5.0
"""For how long a request to cancel may still be on its way to a server."""

LONGEST_PAUSE_S = 10.0
SHORTEST_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Patience:
    """How a run waits: `lock_timeout_ms` at most in one try, `lock_wait_s` in all tries of one step together, as well
    as for another runner; `retries` times again at most (None: as often as that time allows)."""

    lock_timeout_ms: int = LOCK_TIMEOUT_MS
    lock_wait_s: float = LOCK_WAIT_S
    retries: int | None = None


@dataclass(slots=True)
class Tries:
    """The tries of one step, or of one statement outside of a transaction."""

    patience: Patience
    began: float = field(default_factory=time.monotonic)
    made: int = 0

    def pause(self) -> float | None:
        """One more try failed: seconds until the next, or None where patience is at its end.

        The pauses double, from a lock timeout to ten seconds, so that others get through in between for at least as
        long as they were held up; each is shortened by up to a half at random, so that two that met do not meet again.
        """
        self.made += 1
        left = self.patience.lock_wait_s - (time.monotonic() - self.began)
        if left <= 0 or (self.patience.retries is not None and self.made > self.patience.retries):
            return None
        timeout = self.patience.lock_timeout_ms / 1000
        first = max(SHORTEST_PAUSE_S, min(timeout, LONGEST_PAUSE_S))
        whole = min(max(LONGEST_PAUSE_S, timeout), first * 2.0 ** min(self.made - 1, 16))
        return min(left, whole * random.uniform(0.5, 1.0))  # noqa: S311  (no secret)


@dataclass(slots=True)
class Budget:
    """How long one try has waited for locks, from looks at it; an interval counts whole if it waited at one end."""

    limit_s: float
    tick_s: float
    at: float
    lock: str = ""
    earlier_s: float = 0.0
    current_s: float = 0.0

    def saw(self, lock_: str, now: float, heard: float) -> bool:
        """Take note of the lock that it waits for ("" for none); whether the waits are too long together.

        `heard` is when the server last answered: before that it did not wait for this lock. The first wait is for
        PostgreSQL to end, unless it did not.
        """
        interval = max(0.0, now - max(self.at, heard))
        if not lock_ or (self.lock and lock_ != self.lock):
            self.earlier_s += self.current_s + (interval if self.lock else 0.0)
            self.current_s = 0.0
        elif lock_:
            self.current_s += interval
        self.lock, self.at = lock_, now
        if not lock_ or not self.limit_s:
            return False
        if self.earlier_s:
            return self.earlier_s + self.current_s + self.tick_s >= self.limit_s
        return self.current_s >= self.limit_s * 1.05 + 2 * self.tick_s


@dataclass
class Watch:
    """A second connection that looks on while a step is at work, and what it has seen of the try at hand."""

    run: Run
    work: Session
    observer: Session | None = None
    budget: Budget = field(default_factory=lambda: Budget(0.0, 1.0, 0.0))
    holders: tuple[Holder, ...] = ()
    relation: str = ""
    cancelled: bool = False
    """Whether it has cancelled a statement of this try whose error has not come yet."""
    _cancelled_at: float = -STRAY_S
    """When it last did: a request that came too late for one try may meet a later one."""
    _asked_at: float = 0.0
    _progress_at: float = field(default_factory=time.monotonic)
    _next_s: float = 0.0
    """From which wait on, in seconds, it is told again."""

    @property
    def tick_s(self) -> float:
        """How often to look: often enough that no limit is exceeded by more than a twentieth."""
        timeout = self.work.lock_timeout_ms / 1000
        return min(0.25, max(0.01, timeout / 20)) if timeout else 1.0

    def begin(self) -> None:
        """A new try begins."""
        self.budget = Budget(self.work.lock_timeout_ms / 1000, self.tick_s, time.monotonic())
        self.cancelled = False
        self.holders, self.relation, self._asked_at, self._next_s = (), "", 0.0, 0.0

    def look(self, name: str, heard: float, *, limited: bool = True) -> Event | None:
        """Look at the try, and cancel it where it has waited too long; what is to be told of it, if anything.

        What is not `limited` may wait as long as it likes: nobody else waits behind it.

        `heard` is when the server last answered, on the monotonic clock. A look that fails is none: a wait that nobody
        can explain is still a wait, and PostgreSQL ends it.
        """
        try:
            observer = self._observer()
            found = observer.ask(LOCK_QUERIES["waits_for"], str(self.work.backend_pid))
            waits = (found[0][0] or "") if found else ""
            now = time.monotonic()
            if self.budget.saw(waits, now, heard) and limited and not self.cancelled:
                self.cancelled, self._cancelled_at = True, now
                self.work.cancel()
            if not waits or (self.holders and now - self._asked_at < 1.0):
                return None
            self._asked_at = now
            self.relation, holders = lock.blockers(observer, self.work.backend_pid)
        except (psycopg.Error, LancioError, Lost, session.Refused):
            return None
        if not holders:
            return None
        self.holders = tuple(holders)
        waited = self.budget.earlier_s + self.budget.current_s
        if waited < max(self._next_s, min(1.0, (self.budget.limit_s or 2.0) / 2)):
            return None
        self._next_s = lock.later(waited)
        return self.told(name, waited)

    def progress(self) -> Underway | None:
        """How far the server says that the statement at work is, at most once in `PROGRESS_EVERY_S`; None if it does
        not say, or nobody can ask."""
        now = time.monotonic()
        if now - self._progress_at < PROGRESS_EVERY_S:
            return None
        self._progress_at = now
        try:
            return remains.underway(self._observer().ask, self.work.backend_pid, self.work.server_version)
        except (psycopg.Error, LancioError, Lost, session.Refused):
            return None  # the statement goes on whether it is seen or not

    def told(self, name: str, waited_s: float) -> Event:
        """Who keeps this file waiting."""
        return events.Waiting(
            number=self.run.next(),
            run=self.run.id,
            what=self.relation or "a lock",
            holders=self.holders,
            waited_s=round(waited_s, 1),
            migration=name,
        )

    def owned(self, failure: Failure) -> Failure:
        """A failure as it is to be told: one that this watch has made is a lock timeout."""
        strayed = time.monotonic() - self._cancelled_at < STRAY_S
        if failure.error.sqlstate != "57014" or not (self.cancelled or strayed):
            return failure
        self.cancelled, self._cancelled_at = False, -STRAY_S
        said = f"canceling statement due to lock timeout: its waits came to {self.work.lock_timeout_ms} ms together"
        return replace(failure, error=replace(failure.error, sqlstate="55P03", message=said))

    def close(self) -> None:
        """Hang up."""
        if self.observer is not None:
            self.observer.connection.close()
            self.observer = None

    def _observer(self) -> Session:
        if self.observer is None or self.observer.lost:
            self.observer = session.begin(
                self.run.reconnect(), application="lancio observer", pooled=self.work.pooled or None
            )
        return self.observer


def again(
    run: Run, tries: Tries, name: str, error: ServerMessage, watch: Watch | None = None
) -> Generator[Event, None, bool]:
    """Whether to try once more what failed with this error; the pause lies behind when the answer comes.

    For a step as a whole, and for a statement outside of a transaction as well. A signal ends the pause: the caller
    looks whether there was one.
    """
    if error.sqlstate not in CONTENTION or run.signals.name:
        return False
    pause = tries.pause()
    if pause is None:
        if tries.made > 1:
            yield run.tell(_given_up(run, tries, name))
        return False
    yield run.tell(
        events.Waiting(
            number=run.next(),
            run=run.id,
            what=(watch.relation if watch is not None else "") or "a lock",
            holders=watch.holders if watch is not None else (),
            waited_s=round(time.monotonic() - tries.began, 1),
            migration=name,
            retry_in_s=round(pause, 3),
            why=error.message,
        )
    )
    sleep(pause, lambda: bool(run.signals.name))
    return not run.signals.name


def sleep(seconds: float, over: Callable[[], bool]) -> None:
    """Sleep, but not on when it is over."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not over():
        time.sleep(min(0.05, left))


def _given_up(run: Run, tries: Tries, name: str) -> Event:
    lasted = time.monotonic() - tries.began
    return events.Notice(
        number=run.next(),
        run=run.id,
        migration=name,
        severity="WARNING",
        message=f"{name} was tried {tries.made} times in {lasted:.0f} seconds, and given up",
        hint="--lock-wait and --retries say how long and how often it is tried.",
    )
