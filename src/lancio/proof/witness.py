"""Is an edge of the graph so? PostgreSQL is asked to run the one file without the other, and its sentence is kept."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from lancio.proof import leave_one_out, replay
from lancio.proof.cache import key as cache_key
from lancio.proof.leave_one_out import Task
from lancio.proof.replay import History

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager

    from lancio.planner.model import Edge, Graph
    from lancio.proof.cache import Cache
    from lancio.proof.leave_one_out import Answer
    from lancio.proof.replay import Failed
    from lancio.proof.scratch import Scratch

METHOD = "1"
"""Changes whenever the same files would be asked otherwise: what is kept of older ones does not count then."""

Kind = Literal["without", "before", "swapped", "runs", "broken"]
"""How an edge is witnessed, `file` being the one that must stay behind `needs`:
without  `file` fails where `needs` was left out
before   `file` fails when it runs just before `needs`
swapped  `file` runs just before `needs`, and then `needs` fails
runs     neither: the edge is not witnessed
broken   `file` fails in the whole history too, so nothing can be told"""

Sought = Literal["need", "order"]
"""What an edge claims: that `file` cannot do without `needs`, or that it may not come before it."""


Pair = tuple[int, int, Sought]
"""Two files by their positions from 1, and what is claimed of them."""


@dataclass(frozen=True, slots=True)
class Witness:
    """What PostgreSQL said to one pair of files: its sentence, SQLSTATE and the line of the file that failed."""

    kind: Kind
    message: str = ""
    sqlstate: str = ""
    line: int = 0

    @property
    def stands(self) -> bool:
        """Whether it proves the edge."""
        return self.kind in ("without", "before", "swapped")


@dataclass(frozen=True)
class Proof:
    """Witnesses of edges by file, needed file and hazard; how many were `kept` from earlier, how many were `proved`
    now by how many `runs` over scratch databases, in how many seconds."""

    witnesses: dict[tuple[str, str, str], Witness]
    kept: int
    proved: int
    runs: int
    seconds: float


def prove(
    graph: Graph,
    cache: Cache,
    server: Callable[[], AbstractContextManager[Scratch]],
    version: str,
    *,
    preamble: bytes = b"",
    jobs: int = 2,
    tell: Callable[[int, int], object] | None = None,
) -> Proof:
    """Witness every hard or row edge, and every write-after-read edge, on a scratch server.

    An answer holds as long as both files and all before the later one are the same bytes: it is kept by their hashes,
    and only what is new is asked. `server` gives a scratch server of `version`, and is called where there is
    something to ask. `tell` hears how many of how many left-out files are done.

    Raises:
        ServerError: no database can be made, or the preamble fails.
    """
    started = time.monotonic()
    scripts = tuple(replay.script(facts.migration, facts.ops) for facts in graph.files)
    at = {script.name: position for position, script in enumerate(scripts, 1)}
    # What stands before a file, as one hash each: of the preamble, and of all files up to it.
    first = cache_key([METHOD, version, preamble.decode()])
    states = list(accumulate((each.digest for each in scripts), lambda *two: cache_key(two), initial=first))

    def key(pair: Pair) -> str:
        file, needs, sought = pair
        return cache_key([states[file - 1], scripts[file - 1].digest, scripts[needs - 1].digest, str(needs), sought])

    wanted = {
        (at[edge.file], at[edge.needs], _sought(edge))
        for edge in graph.edges
        if _claims(edge) and at[edge.needs] < at[edge.file]
    }
    doubtful = {
        (at[edge.file], at[edge.needs]) for edge in graph.edges if edge.hazard == "write-after-write" and _claims(edge)
    }
    found: dict[Pair, Witness] = {}
    for pair in wanted:
        kept = cache.get(key(pair))
        if kept is not None:
            found[pair] = Witness(*kept)
    kept_count = len(found)
    runs = 0
    if len(found) < len(wanted):
        new = wanted - found.keys()
        with server() as scratch:
            answers = _ask(scratch, History(scripts, preamble), new, doubtful, jobs, tell)
            for answered, took in answers:
                found |= answered
                runs += took
        for pair in new:
            witness = found[pair]
            cache.put(key(pair), [witness.kind, witness.message, witness.sqlstate, witness.line])
    return Proof(
        {
            (edge.file, edge.needs, edge.hazard): found[at[edge.file], at[edge.needs], _sought(edge)]
            for edge in graph.edges
            if _claims(edge) and at[edge.needs] < at[edge.file]
        },
        kept_count,
        len(wanted) - kept_count,
        runs,
        time.monotonic() - started,
    )


def _ask(
    server: Scratch,
    history: History,
    new: Collection[Pair],
    doubtful: Collection[tuple[int, int]],
    jobs: int,
    tell: Callable[[int, int], object] | None,
) -> Iterator[tuple[dict[Pair, Witness], int]]:
    """Witnesses as they come, and how many runs over a scratch database they took."""
    known = leave_one_out.broken(server, history)
    hopeless = {}
    for pair in new:
        failing = next((each for each in pair[:2] if each in known.broken), None)
        if failing is not None:
            hopeless[pair] = Witness("broken", known.broken[failing])
    yield hopeless, 1
    asked = [pair for pair in new if pair not in hopeless]
    tasks = _tasks(asked, doubtful)
    for done, answer in enumerate(leave_one_out.ask(server, history, known, tasks, jobs), 1):
        yield {pair: _witness(pair, answer) for pair in asked if pair[1] == answer.left_out}, answer.runs
        if tell is not None:
            tell(done, len(tasks))


def _claims(edge: Edge) -> bool:
    return edge.strength in ("hard", "row") or edge.hazard == "write-after-read"


def _sought(edge: Edge) -> Sought:
    return "order" if edge.hazard == "write-after-read" else "need"


def _tasks(pairs: Collection[Pair], doubtful: Collection[tuple[int, int]]) -> list[Task]:
    """One task a left-out file, in their order."""
    tasks = []
    for left_out in sorted({pair[1] for pair in pairs}):
        needs = tuple(sorted(file for file, other, sought in pairs if (other, sought) == (left_out, "need")))
        orders = tuple(sorted(file for file, other, sought in pairs if (other, sought) == (left_out, "order")))
        tasks.append(Task(left_out, needs, orders, tuple(each for each in needs if (each, left_out) in doubtful)))
    return tasks


def _witness(pair: Pair, answer: Answer) -> Witness:
    file, _, sought = pair
    kinds: tuple[tuple[Kind, dict[int, Failed]], ...] = (
        ("without", answer.without),
        ("swapped", answer.swapped),
        ("before", answer.before),
    )
    for kind, failures in kinds if sought == "need" else kinds[1:]:
        if file in failures:
            said = failures[file]
            return Witness(kind, said.message, said.sqlstate, said.line)
    return Witness("runs")
