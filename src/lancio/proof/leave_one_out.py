"""Who really fails when one file is left out? PostgreSQL's own answer, which a graph is measured by."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from lancio.errors import SourceError
from lancio.postgres import named_queries
from lancio.proof import replay, scratch
from lancio.proof.cache import key as cache_key
from lancio.proof.replay import Failed, Ran

if TYPE_CHECKING:
    from pathlib import Path

    from lancio.proof.cache import Cache
    from lancio.proof.replay import History
    from lancio.proof.scratch import Scratch

QUERIES = named_queries("lancio.proof", "leave_one_out.sql")

METHOD = "1"
"""Changes whenever the same history would give another truth: what is kept of older ones does not count then."""

Pair = tuple[int, int]
"""Two files by their positions from 1: the first stays behind the second."""


@dataclass(frozen=True)
class Truth:
    """What leaving out each of the files in `left_out` did to those behind it.

    `closure` are the pairs (j, i) where j fails without i, also because of a file between that failed; `direct` those
    of them that need no file between to explain them; `changed` where j runs with another effect. `catalog_edges`
    are pairs of which the catalog itself says so. `hazards` are those where j runs without i, but i fails once j has
    run before it. `messages` has PostgreSQL's sentence for a pair, as far as it was kept.
    """

    files: tuple[str, ...]
    left_out: frozenset[int]
    closure: frozenset[Pair]
    direct: frozenset[Pair]
    changed: frozenset[Pair]
    catalog_edges: frozenset[Pair]
    hazards: frozenset[Pair]
    broken: dict[int, str] = field(default_factory=dict)
    """Files that fail with all others before them: nothing is known of them."""
    messages: dict[Pair, str] = field(default_factory=dict)
    lines: dict[Pair, int] = field(default_factory=dict)
    """The line of the first file's text at which it failed, as far as PostgreSQL gave a place."""


def load(path: Path) -> Truth:
    """Read a truth from its JSON.

    Raises:
        SourceError: the file cannot be read, or has another form.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return _truth(found)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{path} is not the truth about a history",
            cause=f"{type(error).__name__}: {error}",
            remedy="Name a JSON file with the lists files, closure, direct, changed, catalog_edges and hazards.",
        ) from error


def _truth(found: dict[str, Any]) -> Truth:
    hazards = found.get("hazards", [])
    messages = {(int(pair.split(",")[0]), int(pair.split(",")[1])): text
                for pair, text in found.get("first_message", {}).items()}  # fmt: skip
    messages |= {(each[0], each[1]): each[2] for each in hazards if len(each) > 2}

    def pairs(name: str) -> frozenset[Pair]:
        return frozenset((each[0], each[1]) for each in found.get(name, ()))

    return Truth(
        files=tuple(found["files"]),
        left_out=frozenset(range(1, found.get("left_out", len(found["files"])) + 1)),
        closure=pairs("closure"),
        direct=pairs("direct"),
        changed=pairs("changed"),
        catalog_edges=pairs("catalog_edges"),
        hazards=pairs("hazards"),
        broken={int(position): text for position, text in found.get("broken_in_full_run", {}).items()},
        messages=messages,
    )


# --- the replay -------------------------------------------------------------------------------------------------------

Effects = tuple[str, ...]


@dataclass(frozen=True)
class Undisturbed:
    """The whole history in order: the effect of each file as one hash, which files fail, what pg_depend has."""

    effects: Effects
    broken: dict[int, str]
    catalog_edges: frozenset[Pair]


@dataclass(frozen=True)
class Row:
    """What leaving out one file did: who fails and why, and who does something else."""

    left_out: int
    failed: dict[int, Failed]
    changed: tuple[int, ...]

    @property
    def disturbed(self) -> set[int]:
        """Both."""
        return {*self.failed, *self.changed}


Swapped = dict[int, dict[int, Failed]]
"""For each file, those that make it fail once they have run before it, with its sentence."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to ask of one file: which of `needs` fail without it, which of `orders` may come before it.

    Those of `doubtful` are asked for the second where the first did not fail.
    """

    left_out: int
    needs: tuple[int, ...] = ()
    orders: tuple[int, ...] = ()
    doubtful: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Who failed without the file, who failed just before it, and with whom before it the file itself failed then.

    `runs` is how many scratch databases that took.
    """

    left_out: int
    without: dict[int, Failed]
    before: dict[int, Failed]
    swapped: dict[int, Failed]
    runs: int


@dataclass(frozen=True, slots=True)
class _State:
    """A catalog between two files: the number of the next transaction, and how many rows each catalog has."""

    next: str
    counts: tuple[int, ...]
    written: str


def undisturbed(server: Scratch, history: History) -> Undisturbed:
    """Run the whole history once.

    Raises:
        ServerError: no database can be made, or the preamble fails.
    """
    replay_ = replay.Replay(server, history)
    effects: list[str] = []
    broken: dict[int, str] = {}
    edges: set[Pair] = set()
    makers: dict[tuple[int, int, int], int] = {}
    with replay_.copy() as connection:
        before = _state(connection, "")
        for position, script in enumerate(history.scripts, 1):
            done = replay.run(connection, script)
            after = _state(connection, before.next)
            if isinstance(done, Failed):
                broken[position] = done.message
                effects.append("")
            else:
                effects.append(_effect(before, after, done))
            _note(connection, position, before.next, makers, edges)
            before = _state(connection, "")
    replay_.close()
    return Undisturbed(tuple(effects), broken, frozenset(edges))


def broken(server: Scratch, history: History) -> Undisturbed:
    """Run the whole history once, for those that fail in it alone.

    Raises:
        ServerError: no database can be made, or the preamble fails.
    """
    replay_ = replay.Replay(server, history)
    with server.connect(replay_.name, replay.SESSION) as connection:
        outcomes = [replay.run(connection, script) for script in history.scripts]
    replay_.close()
    failed = {place: each.message for place, each in enumerate(outcomes, 1) if isinstance(each, Failed)}
    return Undisturbed((), failed, frozenset())


def _state(connection: psycopg.Connection[Any], since: str) -> _State:
    # What nobody has seen yet was written since "now": nothing.
    since = since or connection.execute(QUERIES["next"].encode()).fetchone()[0]  # type: ignore[index]
    with psycopg.RawCursor(connection) as cursor:
        row = cursor.execute(QUERIES["effect"].encode(), (since,), prepare=True).fetchone()
    assert row is not None  # noqa: S101  (a query without FROM)
    return _State(row[0], tuple(row[1]), row[2])


def _effect(before: _State, after: _State, done: Ran) -> str:
    gained = [new - old for old, new in zip(before.counts, after.counts, strict=True)]
    return hashlib.sha256(repr((after.written, gained, done.tags)).encode()).hexdigest()[:16]


def _note(
    connection: psycopg.Connection[Any],
    position: int,
    since: str,
    makers: dict[tuple[int, int, int], int],
    edges: set[Pair],
) -> None:
    """The edges that the catalog itself has: a file wrote a row that another made, or one that depends on it."""
    with psycopg.RawCursor(connection) as cursor:
        rows = cursor.execute(QUERIES["touched"].encode(), (since,)).fetchall()
    written = [(row[0], row[1], row[2]) for row in rows if row[3]]
    needed = [each for row in rows if not row[3] for each in {(row[0], row[1], row[2]), (row[0], row[1], 0)}]
    for each in (*written, *needed):
        maker = makers.get(each, position)
        if maker != position:
            edges.add((position, maker))
    for each in written:
        makers.setdefault(each, position)


class _Worker:
    """One process's share of the work; it walks forward, so positions are best asked in ascending order."""

    def __init__(self, server: Scratch, history: History, known: Undisturbed) -> None:
        self.history = history
        self.known = known
        self.replay = replay.Replay(server, history)

    def row(self, left_out: int) -> Row:
        self._before(left_out)
        failed, changed = self._without(
            [each for each in range(left_out + 1, len(self.history.scripts) + 1) if each not in self.known.broken]
        )
        return Row(left_out, failed, tuple(changed))

    def swapped(self, first: int, candidates: list[int]) -> dict[int, Failed]:
        self._before(first)
        return self._swapped(first, candidates)[1]

    def answer(self, task: Task) -> Answer:
        self._before(task.left_out)
        without = self._failing(task.left_out, task.needs) if task.needs else {}
        asked = sorted({*task.orders, *(each for each in task.doubtful if each not in without)})
        asked = [each for each in asked if self.history.file(each).together]
        swapping = bool(asked) and self.history.file(task.left_out).together
        before, swapped = self._swapped(task.left_out, asked) if swapping else ({}, {})
        return Answer(task.left_out, without, before, swapped, bool(task.needs) + swapping)

    def _failing(self, left_out: int, wanted: Sequence[int]) -> dict[int, Failed]:
        """Those of the later files that fail without one."""
        failed: dict[int, Failed] = {}
        with self.replay.copy() as connection:
            for position in range(left_out + 1, max(wanted) + 1):
                if position in self.known.broken:
                    continue
                done = replay.run(connection, self.history.file(position))
                if isinstance(done, Failed) and position in wanted:
                    failed[position] = done
        return failed

    def _before(self, position: int) -> None:
        if position < self.replay.at:
            self.replay.close()
            self.replay = replay.Replay(self.replay.server, self.history)
        self.replay.before(position)

    def _without(self, later: list[int]) -> tuple[dict[int, Failed], list[int]]:
        """All later files without the one that is left out."""
        failed: dict[int, Failed] = {}
        changed: list[int] = []
        with self.replay.copy() as connection:
            before = _state(connection, "")
            for position in later:
                done = replay.run(connection, self.history.file(position))
                after = _state(connection, before.next)
                if isinstance(done, Failed):
                    failed[position] = done
                elif _effect(before, after, done) != self.known.effects[position - 1]:
                    changed.append(position)
                before = after
        return failed, changed

    def _swapped(self, first: int, candidates: list[int]) -> tuple[dict[int, Failed], dict[int, Failed]]:
        """Each of the later files alone before the first one: which of them fail, and with which that one does."""
        own = self.history.file(first)
        early: dict[int, Failed] = {}
        hazards: dict[int, Failed] = {}
        settle = replay.QUERIES["settle"].encode()
        with self.replay.copy() as connection:
            connection.execute("BEGIN; SAVEPOINT here")
            alone = replay.send(connection, own)
            connection.execute("ROLLBACK TO here")
            if isinstance(alone, Failed):
                return early, hazards  # not in a transaction, or not with a new enum value
            for position in candidates:
                script = self.history.file(position)
                came = replay.send(connection, script)
                if isinstance(came, Failed):
                    early[position] = came
                elif self._settled(connection, settle):
                    done = replay.send(connection, own)
                    if isinstance(done, Failed) and done.sqlstate != replay.UNSAFE_ENUM:
                        hazards[position] = done
                connection.execute("ROLLBACK TO here")
            connection.execute("ROLLBACK")
        return early, hazards

    def _settled(self, connection: psycopg.Connection[Any], settle: bytes) -> bool:
        try:
            connection.execute(settle)
        except psycopg.Error as error:  # what the file left for its end fails
            if error.sqlstate is None:
                raise
            return False
        return True


_worker: _Worker
"""Of a process of the pool; set by `_begin`."""


def _begin(url: str, family: str, history: History, known: Undisturbed) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends us
    _worker = _Worker(scratch.at(url, family), history, known)


def _row(left_out: int) -> Row:
    return _worker.row(left_out)


def _swap(task: tuple[int, list[int]]) -> tuple[int, dict[int, Failed]]:
    return task[0], _worker.swapped(*task)


def _answer(task: Task) -> Answer:
    return _worker.answer(task)


def ask(server: Scratch, history: History, known: Undisturbed, tasks: Sequence[Task], jobs: int) -> Iterator[Answer]:
    """Do tasks, in so many processes; their answers come as they are ready.

    Raises:
        ServerError: no database can be made, or the preamble fails.
    """
    if tasks:
        with _workers(server, history, known, min(jobs, len(tasks))) as over:
            yield from over(_answer, tasks)


def truth(
    server: Scratch,
    history: History,
    *,
    sample: int | None = None,
    seed: int = 0,
    limit_s: float | None = None,
    jobs: int = 2,
    cache: Cache | None = None,
    tell: Callable[[int, int], object] | None = None,
) -> Truth:
    """Leave out each file (or a seeded sample of them) and run the rest.

    What `cache` has is not run again, so an interrupted run goes on where it was. After `limit_s` seconds no more
    files are left out; `tell` hears how many of how many are done.

    Raises:
        ServerError: no database can be made, or the preamble fails.
    """
    started = time.monotonic()
    digests = (f"{each.name} {each.digest}" for each in history.scripts)
    base = cache_key([METHOD, str(server.version), history.preamble.decode(), *digests])
    known = _known(server, history, cache, base)
    chosen = list(range(1, len(history.scripts) + 1))
    if sample is not None and sample < len(chosen):
        chosen = sorted(random.Random(seed).sample(chosen, sample))  # noqa: S311  (a sample, not a secret)
    rows = {}
    for position in chosen:
        found = cache.get(cache_key([base, str(position)])) if cache is not None else None
        if found is not None:
            rows[position] = Row(position, _failures(found["failed"]), tuple(found["changed"]))
    waiting = [position for position in chosen if position not in rows]
    with _workers(server, history, known, jobs if len(waiting) > 1 else 1) as over:
        for row in over(_row, waiting):
            rows[row.left_out] = row
            if cache is not None:
                kept = {"failed": _sentences(row.failed), "changed": row.changed}
                cache.put(cache_key([base, str(row.left_out)]), kept)
            if tell is not None:
                tell(len(rows), len(chosen))
            if limit_s is not None and time.monotonic() - started > limit_s:
                break
    swapped = _hazards(server, history, known, rows, jobs, cache, base)
    return assemble(history, known, rows, swapped)


def _hazards(
    server: Scratch,
    history: History,
    known: Undisturbed,
    rows: dict[int, Row],
    jobs: int,
    cache: Cache | None,
    base: str,
) -> Swapped:
    """The second pass: only files that need nothing from the first one on can come before it."""
    latest: dict[int, int] = {}
    for other, row in rows.items():
        for file in row.disturbed:
            latest[file] = max(latest.get(file, 0), other)
    swapped: Swapped = {}
    waiting = []
    for first in sorted(rows):
        candidates = [
            each
            for each in range(first + 1, len(history.scripts) + 1)
            if each not in known.broken and latest.get(each, 0) < first and history.file(each).together
        ]
        if first in known.broken or not history.file(first).together or not candidates:
            continue
        name = cache_key([base, "swapped", str(first), *map(str, candidates)])
        found = cache.get(name) if cache is not None else None
        if found is None:
            waiting.append((first, candidates, name))
        else:
            swapped[first] = _failures(found)
    names = {first: name for first, _, name in waiting}
    with _workers(server, history, known, jobs if len(waiting) > 1 else 1) as over:
        for first, hazards in over(_swap, [(first, candidates) for first, candidates, _ in waiting]):
            swapped[first] = hazards
            if cache is not None:
                cache.put(names[first], _sentences(hazards))
    return swapped


Over = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]]
"""Maps a task's function over tasks; results come as they are ready."""


@contextlib.contextmanager
def _workers(server: Scratch, history: History, known: Undisturbed, jobs: int) -> Iterator[Over]:
    """So many processes, each with a database of its own that walks forward; ended at the end, whatever they do."""
    arguments = (server.conninfo, server.family, history, known)
    with multiprocessing.Pool(jobs, _begin, arguments) as pool:
        yield lambda function, tasks: pool.imap_unordered(function, tasks)


def _known(server: Scratch, history: History, cache: Cache | None, base: str) -> Undisturbed:
    name = cache_key([base, "undisturbed"])
    found = cache.get(name) if cache is not None else None
    if found is not None:
        return Undisturbed(
            tuple(found["effects"]),
            {int(position): message for position, message in found["broken"].items()},
            frozenset((each[0], each[1]) for each in found["catalog_edges"]),
        )
    known = undisturbed(server, history)
    if cache is not None:
        cache.put(
            name,
            {"effects": known.effects, "broken": known.broken, "catalog_edges": sorted(known.catalog_edges)},
        )
    return known


def _sentences(failures: dict[int, Failed]) -> dict[int, list[Any]]:
    return {position: [each.message, each.sqlstate, each.line] for position, each in failures.items()}


def _failures(found: dict[str, list[Any]]) -> dict[int, Failed]:
    return {int(position): Failed(*each) for position, each in found.items()}


def assemble(history: History, known: Undisturbed, rows: dict[int, Row], swapped: Swapped) -> Truth:
    """The rows as one truth.

    A failed pair is direct when the catalog has it, or when no other file between was disturbed that, left out
    itself, disturbs the failing one; where a file between was not left out that cannot be known, and the pair is not.
    """
    disturbed = {left_out: row.disturbed for left_out, row in rows.items()}

    def direct(file: int, other: int) -> bool:
        if (file, other) in known.catalog_edges:
            return True
        between = [each for each in disturbed[other] if each < file]
        return not any(each not in disturbed or file in disturbed[each] for each in between)

    closure = {(file, other): failed for other, row in rows.items() for file, failed in row.failed.items()}
    hazards = {(file, first): failed for first, found in swapped.items() for file, failed in found.items()}
    return Truth(
        files=tuple(each.name for each in history.scripts),
        left_out=frozenset(rows),
        closure=frozenset(closure),
        direct=frozenset(pair for pair in closure if direct(*pair)),
        changed=frozenset((file, other) for other, row in rows.items() for file in row.changed),
        catalog_edges=known.catalog_edges,
        hazards=frozenset(hazards),
        broken=known.broken,
        messages={pair: failed.message for pair, failed in (closure | hazards).items()},
        lines={pair: failed.line for pair, failed in (closure | hazards).items() if failed.line},
    )
