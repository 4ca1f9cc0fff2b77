"""Which steps of a plan may run side by side, which one waits for which, and how long would it take?

A step waits for the steps before it that a bond or a chain of bonds ties it to (`bonds`), and for those whose predicted
locks exclude its own: those two could run in either order, but one would stand behind the other with its transaction
open. A statement that runs outside of a transaction waits for every transaction on the server, so it has the run to
itself; so has a file with a place that cannot be seen through, which is bound to every other.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lancio.catalog import profile
from lancio.planner import bonds as bonding
from lancio.planner import chronicle, segments
from lancio.planner.locks import CONFLICTS

if TYPE_CHECKING:
    from collections.abc import Collection

    from lancio.planner.bonds import Bonds
    from lancio.planner.model import Lock, Plan, Step


@dataclass(frozen=True, slots=True)
class Schedule:
    """For each step of a plan, by its position from 1, the positions that it waits for; all of them are smaller.

    `solo` are steps that nothing else may run beside; the steps before and behind them wait like others.
    """

    steps: tuple[Step, ...]
    after: tuple[frozenset[int], ...]
    solo: frozenset[int]


class Turns:
    """Who is next: the positions that may begin, the longest expected first, then in the plan's order."""

    def __init__(self, schedule: Schedule) -> None:
        self._expected = [step.expected_ms or 0 for step in schedule.steps]
        self._waits = [len(after) for after in schedule.after]
        self._behind: list[list[int]] = [[] for _ in schedule.after]
        for position, after in enumerate(schedule.after, 1):
            for each in after:
                self._behind[each - 1].append(position)
        self._ready: list[tuple[int, int]] = []
        self.left = len(self._waits)
        """How many have not begun."""
        for position, waits in enumerate(self._waits, 1):
            if not waits:
                self._enter(position)

    def _enter(self, position: int) -> None:
        heapq.heappush(self._ready, (-self._expected[position - 1], position))

    @property
    def next(self) -> int:
        """The position to begin with now; 0 where none may begin."""
        return self._ready[0][1] if self._ready else 0

    def begin(self) -> int:
        """Take that position out."""
        self.left -= 1
        return heapq.heappop(self._ready)[1]

    def done(self, position: int) -> None:
        """A step is committed: what waited for it alone may begin."""
        for each in self._behind[position - 1]:
            self._waits[each - 1] -= 1
            if not self._waits[each - 1]:
                self._enter(each)


@dataclass(frozen=True, slots=True)
class Course:
    """A run as it would go on so many connections: for each step its start and its end, in expected milliseconds.

    Where no duration is known, each step counts as one. `width` is how many run at once at most.
    """

    jobs: int
    times: tuple[tuple[float, float], ...]
    width: int
    known: bool

    @property
    def ends(self) -> float:
        """When the last step ends."""
        return max((end for _, end in self.times), default=0.0)

    @property
    def one_by_one(self) -> float:
        """How long the steps take one after the other."""
        return sum(end - start for start, end in self.times)


def made(plan: Plan) -> Schedule:
    """What each step of a plan waits for, when the plan is all that there is."""
    return schedule(plan, bonding.bonds(chronicle.of(plan.graph, profile.load(plan.graph.server_version))))


def schedule(plan: Plan, bonds: Bonds) -> Schedule:
    """What each step of a plan waits for; `bonds` are those of the plan's graph."""
    place = {name: at for at, name in enumerate(bonds.names)}
    position = {place[step.facts.name]: at for at, step in enumerate(plan.steps, 1)}
    after: list[set[int]] = [set() for _ in plan.steps]
    for file, own in position.items():
        for other in _bound(bonds, file, position):
            first, then = sorted((own, position[other]))
            after[then - 1].add(first)
    holders: dict[str, list[tuple[int, Lock]]] = {}
    for own, step in enumerate(plan.steps, 1):
        for lock in step.facts.locks:
            held = holders.setdefault(lock.relation, [])
            after[own - 1].update(at for at, theirs in held if theirs.mode in CONFLICTS[lock.mode])
        for lock in step.facts.locks:
            holders[lock.relation].append((own, lock))
    major = plan.graph.server_version
    solo = frozenset(at for at, step in enumerate(plan.steps, 1) if (step.cut or segments.cut(step.facts, major)).apart)
    for at in solo:
        after[at - 1].update(range(1, at))
        for each in range(at + 1, len(after) + 1):
            after[each - 1].add(at)
    return Schedule(plan.steps, tuple(frozenset(each - {at}) for at, each in enumerate(after, 1)), solo)


def _bound(bonds: Bonds, file: int, steps: Collection[int]) -> set[int]:
    """The steps' files that a file is bound to, directly or through files that are no steps of the plan."""
    found: set[int] = set()
    seen = {file}
    waiting = [file]
    while waiting:
        for other in bonds.by_file[waiting.pop()]:
            if other not in seen:
                seen.add(other)
                if other in steps:
                    found.add(other)
                else:
                    waiting.append(other)
    return found


def course(schedule: Schedule, jobs: int) -> Course:
    """How a run would go on `jobs` connections, if each step took as long as is expected of it."""
    expected = [step.expected_ms for step in schedule.steps]
    known = all(each is not None for each in expected)
    takes = [float(each or 0) if known else 1.0 for each in expected]
    times: dict[int, tuple[float, float]] = {}
    running: list[tuple[float, int]] = []
    turns = Turns(schedule)
    now, width = 0.0, 0
    while running or turns.next:
        while turns.next and len(running) < jobs:
            position = turns.begin()
            times[position] = (now, now + takes[position - 1])
            heapq.heappush(running, (now + takes[position - 1], position))
        width = max(width, len(running))
        now, ended = heapq.heappop(running)
        turns.done(ended)
    return Course(jobs, tuple(times[at] for at in range(1, len(takes) + 1)), width, known)
