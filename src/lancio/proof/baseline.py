"""Do the chosen queries take longer than before, touch more pages, or go another way?

Two ways to know. *Side by side*: both states are there at once, and each query is timed in them in turn (A B B A), in
one block after another with new sessions each; what else the machine does meets both alike. *From a record*: only what
was measured earlier is there; then each time is told in yardsticks, a fixed piece of work measured just before and just
behind it, and the verdict is less sure. Where the server tells what a message cost it in processor time (superusers),
that is the measure, since others who use the processor don't lengthen it; else it is the time that passed.

Reading is all that is done: each sample is a READ ONLY transaction that is rolled back, under a time limit.
"""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any, Literal, Self

import psycopg
from psycopg import rows, sql

from lancio import postgres
from lancio.errors import ServerError, UsageError
from lancio.proof import shape, significance
from lancio.proof.chosen import QUERIES, Chosen, Query

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from psycopg.errors import Diagnostic

    from lancio.postgres import Target
    from lancio.proof.shape import Look
    from lancio.proof.significance import Ratio

SAMPLE_MS = 8.0
"""A quick query is run so often that a sample takes about this long."""

MOST_TIMES = 400
"""More often than this no query is run for one sample."""

ALPHA = 0.01
"""How often all the times of a comparison together may cry wolf; each query gets its share."""

PAGES = 16
"""Fewer pages more than before are no finding, whatever the ratio: an index may have grown by a level."""

SMALL, SMALL_TIMES = 8, 150
"""A query that is run more often than this for one sample is held against that many small statements."""

WARM = 2
"""So often a query is run in a new session before it counts: plans, catalog and pages are there then."""

Measure = Literal["cpu", "elapsed"]
Verdict = Literal["same", "faster", "slower", "waits", "pages", "plan", "fails", "undecided"]
FINDINGS: frozenset[Verdict] = frozenset(("slower", "waits", "pages", "plan", "fails"))
"""The verdicts that are findings; the others let a comparison pass."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a comparison goes about it. `limit` is the part by which a query may get slower: 0.1 is 10 %."""

    limit: float = 0.10
    timeout_s: float = 60.0
    least: int = 10
    most: int = 40
    budget_s: float = 120.0
    """Once a query has been measured for this long, no further block of it is begun."""


@dataclass(frozen=True, slots=True)
class Place:
    """A database in which queries are timed, and the role they are asked as."""

    target: Target
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """How a table stands that a plan reads. `rows` is the planner's idea of it; below 0 it has none."""

    relation: str
    rows: int
    pages: int
    row_security: bool
    changed_since_analyze: int
    analyzed: bool
    indexes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What one execution took, in milliseconds; `cpu` is None where the server does not tell."""

    elapsed: float
    cpu: float | None = None

    def of(self, measure: Measure) -> float:
        """One of the two; never 0, since ratios are made of it."""
        return max(self.cpu if measure == "cpu" and self.cpu is not None else self.elapsed, 1e-6)


@dataclass(frozen=True, slots=True)
class Taken:
    """One session's median of a query, and of the yardstick beside it."""

    query: Sample
    yardstick: Sample

    def normal(self, measure: Measure) -> float:
        """How many yardsticks the query took."""
        return self.query.of(measure) / self.yardstick.of(measure)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One query as it was measured: `failed` is PostgreSQL's sentence where it could not be, and then nothing else.

    `times` is how often it was run for one sample: a later record of it does it as often.
    """

    query: Query
    look: shape.Look | None = None
    relations: tuple[Relation, ...] = ()
    samples: tuple[Taken, ...] = ()
    failed: str = ""
    times: int = 1


@dataclass(frozen=True, slots=True)
class Compared:
    """One query, before and after.

    `ratio` is of the processor's time or the time that passed (`measure`); None where it is not run. `before_ms` and
    `after_ms` are medians of one execution, `spread` the larger one's median distance from it, in parts of it.
    `because` says why the verdict is what it is, `advice` what to look at, and `commands` is SQL that may mend it.
    """

    query: Query
    verdict: Verdict
    because: str
    measure: Measure = "elapsed"
    ratio: Ratio | None = None
    before_ms: float | None = None
    after_ms: float | None = None
    spread: float = 0.0
    before: shape.Look | None = None
    after: shape.Look | None = None
    advice: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()

    @property
    def finding(self) -> bool:
        """Whether it is to be looked at before going on."""
        return self.verdict in FINDINGS

    @property
    def plan_changed(self) -> bool:
        """Whether PostgreSQL answers it another way now."""
        return self.before is not None and self.after is not None and self.before.lines != self.after.lines


@dataclass(frozen=True, slots=True)
class Comparison:
    """All queries; `how` says in words in which way they were measured, and how sure that is."""

    queries: tuple[Compared, ...]
    limit: float
    how: str
    sure: bool
    """Whether both states were measured side by side."""

    @property
    def findings(self) -> tuple[Compared, ...]:
        """What is to be looked at."""
        return tuple(each for each in self.queries if each.finding)


Tell = Callable[[str], object]
"""Who is told how far it is."""


# --- one session ------------------------------------------------------------------------------------------------------

_USAGE = re.compile(r"([\d.]+) s user, ([\d.]+) s system, ([\d.]+) s elapsed")


@dataclass
class Failing(Exception):  # noqa: N818  (PostgreSQL's answer to a query, which becomes a verdict)
    """PostgreSQL refused a query."""

    said: str
    sqlstate: str


class Timer:
    """A session in which queries are timed; it is closed at the end of `with`.

    Raises:
        ServerError: nobody answers there, or the role cannot be taken.
    """

    def __init__(self, place: Place, timeout_s: float) -> None:
        self.place = place
        self._usage = ""
        self.connection: psycopg.Connection[Any] = postgres.connect(place.target, application_name="lancio baseline")
        try:
            self._stand_alone()
            self.connection.execute(QUERIES["session"].encode(), {"timeout": f"{round(timeout_s * 1000)}ms"})
            self.counts = self._count()
            if place.role is not None:
                self.connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(place.role)))
        except psycopg.Error as error:
            self.connection.close()
            raise ServerError(
                f"{place.target.display} cannot be measured",
                cause=f"{error.diag.message_primary or error}.",
                remedy="Check --role and the rights of the role.",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def _stand_alone(self) -> None:
        """Behind a pooler the session's settings would reach the sessions of others.

        Raises:
            ServerError: one stands between.
        """
        found = self.connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
        if found is not None and found[0] != self.connection.info.backend_pid:
            self.connection.close()
            raise ServerError(
                f"a connection pooler stands before {self.place.target.display}",
                cause="Queries are timed with settings of the session, and a pooler hands sessions on to others.",
                remedy="Connect to PostgreSQL itself.",
            )

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.connection.info.server_version // 10000

    def _count(self) -> bool:
        """Have the server tell what each message cost; False where that is not for this role, or not told."""
        found = self.connection.execute(QUERIES["may_count"].encode()).fetchone()
        if found is None or not found[0]:
            return False
        try:
            self.connection.execute(QUERIES["counting"].encode())
        except psycopg.Error:  # a server that keeps these settings to itself, as some hosts do
            return False
        self.connection.add_notice_handler(self._hear)
        self.connection.execute("SELECT 1")
        return bool(self._usage)

    def _hear(self, notice: Diagnostic) -> None:
        if notice.severity_nonlocalized == "LOG" and notice.message_detail and "system usage" in notice.message_detail:
            self._usage = notice.message_detail

    def sample(self, text: str, times: int, *, writes: bool = False) -> Sample:
        """Run a query so often, in one message and one transaction that is rolled back; what one execution took.

        Raises:
            Failing: PostgreSQL refuses it.
        """
        message = "\n;\n".join([text] * times).encode()  # a comment may end it
        with self._transaction(writes=writes):
            self._usage = ""
            started = time.perf_counter()
            self.connection.execute(message)
            elapsed = (time.perf_counter() - started) * 1000
            usage = _USAGE.search(self._usage) if self.counts else None
        if usage is None:
            return Sample(elapsed / times)
        # What passed is the server's account as well: the way to it and back is no part of the query.
        return Sample(float(usage[3]) * 1000 / times, (float(usage[1]) + float(usage[2])) * 1000 / times)

    def yardstick(self, times: int) -> Sample:
        """What a fixed piece of work takes just now.

        There are two, since the machine does not slow down all work alike: many small statements for a query that is
        run `times` over to be measured, one that computes for the others.
        """
        if times > SMALL:
            return self.sample(QUERIES["yardstick_small"], SMALL_TIMES)
        return self.sample(QUERIES["yardstick"], 1)

    def look(self, query: Query) -> Look:
        """The query's plan, and the pages that it touches once they have been touched before.

        Raises:
            Failing: PostgreSQL refuses it.
        """
        if query.generic:
            return self._generic(query)
        words = f"EXPLAIN (ANALYZE, VERBOSE, BUFFERS, TIMING OFF, FORMAT JSON) {query.text}".encode()
        found = []
        for _ in range(2):  # the first one may leave hints in the pages that the second one does not look up again
            with self._transaction(writes=query.writes):
                found.append(self.connection.execute(words).fetchone())
        assert found[-1] is not None  # noqa: S101
        return shape.look(found[-1][0])

    def _generic(self, query: Query) -> Look:
        if self.major >= 16:
            with self._transaction():
                row = self.connection.execute(
                    f"EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) {query.text}".encode()
                ).fetchone()
        else:
            numbers = [int(number) for number in re.findall(r"\$(\d+)", query.text)]
            nulls = ", ".join(["NULL"] * max(numbers))
            try:
                with self._transaction():
                    self.connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
                    self.connection.execute(f"PREPARE lancio_generic AS {query.text}".encode())
                    row = self.connection.execute(
                        f"EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE lancio_generic ({nulls})"
                    ).fetchone()
            finally:
                self.connection.execute("DEALLOCATE ALL")
        assert row is not None  # noqa: S101
        return shape.look(row[0])

    def relations(self, names: Sequence[str]) -> tuple[Relation, ...]:
        """How these tables stand."""
        with self.connection.cursor(row_factory=rows.dict_row) as cursor:
            found = cursor.execute(QUERIES["relations"].encode(), (list(names),)).fetchall()
        return tuple(Relation(**{**row, "indexes": tuple(row["indexes"])}) for row in found)

    @contextlib.contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[None]:
        self.connection.execute("BEGIN" if writes else "BEGIN READ ONLY")
        try:
            yield
        except psycopg.Error as error:
            if error.sqlstate is None or error.sqlstate.startswith(("57P", "08")):
                raise  # the connection, not the query
            raise Failing(" ".join(str(error.diag.message_primary).split()), error.sqlstate) from None
        finally:
            if not self.connection.closed and not self.connection.broken:
                self.connection.execute("ROLLBACK")


def _times(timer: Timer, query: Query) -> int:
    """How often the query is run for one sample."""
    took = [timer.sample(query.text, 1, writes=query.writes).elapsed for _ in range(WARM + 1)][-1]
    return max(1, min(MOST_TIMES, math.ceil(SAMPLE_MS / max(took, 1e-3))))


def _refuse_writing(query: Query, failed: Failing) -> None:
    """A query that was to read and writes nevertheless (a function does) is the user's to change.

    Raises:
        UsageError: it is one.
    """
    if failed.sqlstate == "25006":
        raise UsageError(
            f"{query.name} writes",
            cause=f"{failed.said}: queries are timed in a transaction that may only read.",
            remedy="Take it out, or say --roll-back: then it is run in a transaction that is rolled back each time.",
        )


# --- from a record ----------------------------------------------------------------------------------------------------

SESSIONS, SAMPLES = 12, 4
"""So many sessions a record is made of, and so many samples of each query in each of them."""


def record(
    place: Place, chosen: Chosen, options: Options, tell: Tell = lambda _: None, like: Sequence[Recorded] = ()
) -> tuple[Recorded, ...]:
    """Measure the queries as they are now, in the way of an earlier record; changes nothing.

    Raises:
        UsageError: a query writes.
        ServerError: nobody answers there.
    """
    found: dict[str, Recorded] = {}
    spent = dict.fromkeys((each.name for each in chosen.queries), 0.0)
    known = {each.query.name: each.times for each in like if not each.failed}
    with Timer(place, options.timeout_s) as timer:
        for query in chosen.queries:
            try:
                times = 1 if query.generic else known.get(query.name) or _times(timer, query)
                look = timer.look(query)
            except Failing as failed:
                _refuse_writing(query, failed)
                found[query.name] = Recorded(query, failed=failed.said)
                continue
            found[query.name] = Recorded(query, look, timer.relations(look.relations), times=times)
    for number in range(SESSIONS):
        tell(f"session {number + 1} of {SESSIONS}")
        with Timer(place, options.timeout_s) as timer:
            for name, each in found.items():
                if each.failed or each.query.generic or (spent[name] > options.budget_s and len(each.samples) > 1):
                    continue
                started = time.monotonic()
                try:
                    found[name] = replace(each, samples=(*each.samples, _taken(timer, each.query, each.times)))
                except Failing as failed:
                    found[name] = Recorded(each.query, failed=failed.said)
                spent[name] += time.monotonic() - started
    return tuple(found[each.name] for each in chosen.queries)


def _taken(timer: Timer, query: Query, times: int) -> Taken:
    for _ in range(WARM):
        timer.sample(query.text, 1, writes=query.writes)
    timer.yardstick(times)
    yards, samples = [timer.yardstick(times)], []
    for _ in range(SAMPLES):
        samples.append(timer.sample(query.text, times, writes=query.writes))
        yards.append(timer.yardstick(times))
    return Taken(_middle(samples), _middle(yards))


def _middle(samples: Sequence[Sample]) -> Sample:
    cpus = [each.cpu for each in samples if each.cpu is not None]
    return Sample(
        median(each.elapsed for each in samples), median(cpus) if cpus and len(cpus) == len(samples) else None
    )


def against_record(before: Sequence[Recorded], after: Sequence[Recorded], limit: float) -> Comparison:
    """Hold what was measured now against a record of the same queries."""
    now = {each.query.name: each for each in after}
    share = ALPHA / max(1, len(before))
    compared = []
    for old in before:
        new = now.get(old.query.name)
        if new is None:
            continue
        told = [each.query.cpu is not None for each in (*old.samples, *new.samples)]
        parallel = any(each.look is not None and each.look.parallel for each in (old, new))
        measure: Measure = "cpu" if told and all(told) and not parallel else "elapsed"
        ratio = None
        if old.samples and new.samples:
            ratio = significance.unpaired(
                [each.normal(measure) for each in old.samples], [each.normal(measure) for each in new.samples]
            )
        compared.append(
            _judge(
                old,
                new,
                _Times(
                    measure,
                    ratio,
                    None,
                    [each.query.of(measure) for each in old.samples],
                    [each.query.of(measure) for each in new.samples],
                ),
                limit,
                share,
            )
        )
    how = (
        f"measured at two moments, in {SESSIONS} sessions each, and told in yardsticks measured beside each sample: "
        "what the machine did meanwhile is taken out as far as it slows down both; a difference of a few percent is "
        "not seen for certain"
    )
    return Comparison(tuple(compared), limit, how, sure=False)


# --- side by side -----------------------------------------------------------------------------------------------------


@dataclass
class _Pair:
    """A query on its way: what was seen of it in both states until now."""

    query: Query
    before: Recorded
    after: Recorded
    times: int = 1
    turns: int = 2
    measure: Measure = "elapsed"
    ratios: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    old: list[float] = field(default_factory=list)
    new: list[float] = field(default_factory=list)
    spent_s: float = 0.0
    open: bool = True


def side_by_side(
    before: Place, after: Place, chosen: Chosen, options: Options, tell: Tell = lambda _: None
) -> Comparison:
    """Time each query in both states in turn, until each is decided or `options.most` blocks are over.

    A query is decided when the interval of its ratio is on one side of the limit. Changes nothing.

    Raises:
        UsageError: a query writes.
        ServerError: nobody answers at one of the two.
    """
    pairs = _begun(before, after, chosen, options)
    share = ALPHA / max(1, len(pairs))
    for number in range(options.most):
        at_work = [each for each in pairs if each.open]
        if not at_work:
            break
        tell(f"block {number + 1}: {len(at_work)} of {len(pairs)} still open")
        # New sessions for each block: where a process happens to have its memory makes some percent of a difference
        # that would last as long as the process. The first to be opened takes turns as well.
        with contextlib.ExitStack() as stack:
            places = (before, after) if number % 2 == 0 else (after, before)
            timers = [stack.enter_context(Timer(place, options.timeout_s)) for place in places]
            first, second = timers if number % 2 == 0 else reversed(timers)
            for pair in at_work:
                started = time.monotonic()
                try:
                    _block(pair, first, second, number)
                except Failing as failed:
                    _refuse_writing(pair.query, failed)
                    pair.after, pair.open = replace(pair.after, failed=failed.said), False
                pair.spent_s += time.monotonic() - started
                if len(pair.ratios) >= options.least and pair.open:
                    pair.open = not _decided(pair, options.limit, share) and pair.spent_s < options.budget_s
    compared = tuple(
        _judge(
            each.before,
            each.after,
            _Times(
                each.measure,
                significance.paired(each.ratios) if each.ratios else None,
                significance.paired(each.waits) if each.waits and each.measure == "cpu" else None,
                each.old,
                each.new,
            ),
            options.limit,
            share,
        )
        for each in pairs
    )
    how = (
        "measured side by side, in turn (A B B A), in blocks with new sessions each, until each query was decided or "
        f"{options.most} blocks were over"
    )
    return Comparison(compared, options.limit, how, sure=True)


def _begun(before: Place, after: Place, chosen: Chosen, options: Options) -> list[_Pair]:
    pairs = []
    with Timer(before, options.timeout_s) as first, Timer(after, options.timeout_s) as second:
        for query in chosen.queries:
            seen = []
            times, took = 1, 0.0
            for timer in (first, second):
                try:
                    if not query.generic:
                        times = max(times, _times(timer, query))
                        took = max(took, timer.sample(query.text, 1, writes=query.writes).elapsed)
                    look = timer.look(query)
                    seen.append(Recorded(query, look, timer.relations(look.relations)))
                except Failing as failed:
                    _refuse_writing(query, failed)
                    seen.append(Recorded(query, failed=failed.said))
            looks = [each.look for each in seen]
            parallel = any(each is not None and each.parallel for each in looks)
            measure: Measure = "cpu" if first.counts and second.counts and not parallel else "elapsed"
            pairs.append(
                _Pair(
                    query,
                    seen[0],
                    seen[1],
                    times=times,
                    turns=(1 if took > 100 else 2) * (1 if measure == "cpu" else 2),
                    measure=measure,
                    open=not query.generic and all(each is not None for each in looks),
                )
            )
    return pairs


def _block(pair: _Pair, first: Timer, second: Timer, number: int) -> None:
    """Some pairs of samples in two new sessions; together they are one observation."""
    query, writes = pair.query, pair.query.writes
    for timer in (first, second):
        for _ in range(WARM):
            timer.sample(query.text, 1, writes=writes)
    found: list[tuple[Sample, Sample]] = []
    for turn in range(2 * pair.turns):
        if (turn + number) % 2 == 0:
            before = first.sample(query.text, pair.times, writes=writes)
            after = second.sample(query.text, pair.times, writes=writes)
        else:
            after = second.sample(query.text, pair.times, writes=writes)
            before = first.sample(query.text, pair.times, writes=writes)
        found.append((before, after))
    old, new = ([side.of(pair.measure) for side in sides] for sides in zip(*found, strict=True))
    if pair.measure == "cpu":
        pair.ratios.append(math.exp(median(math.log(b / a) for a, b in zip(old, new, strict=True))))
        pair.waits.append(math.exp(median(math.log(b.elapsed / a.elapsed) for a, b in found)))
        pair.old.append(median(old))
        pair.new.append(median(new))
    else:  # what others do can only add to the time that passes: the quickest sample has the least of it
        pair.ratios.append(min(new) / min(old))
        pair.old.append(min(old))
        pair.new.append(min(new))


def _decided(pair: _Pair, limit: float, alpha: float) -> bool:
    ratio = significance.paired(pair.ratios)
    if ratio.above(limit):
        return ratio.over(limit, alpha)
    if not ratio.below(limit):
        return False
    # The processor has no more to do; but perhaps the query waits for something.
    return pair.measure == "elapsed" or significance.paired(pair.waits).value < 1 + limit


# --- the verdict ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Times:
    measure: Measure
    ratio: Ratio | None
    waits: Ratio | None
    old: Sequence[float]
    new: Sequence[float]


def _judge(before: Recorded, after: Recorded, times: _Times, limit: float, alpha: float) -> Compared:
    made = Compared(
        before.query,
        "same",
        "",
        times.measure,
        times.ratio,
        median(times.old) if times.old else None,
        median(times.new) if times.new else None,
        max(significance.spread(times.old), significance.spread(times.new)),
        before.look,
        after.look,
    )
    verdict, because = _verdict(before, after, times, limit, alpha)
    made = replace(made, verdict=verdict, because=because)
    if not made.finding or verdict == "fails":
        return made
    advice, commands = _advice(before, after)
    return replace(made, advice=advice, commands=commands)


def _verdict(before: Recorded, after: Recorded, times: _Times, limit: float, alpha: float) -> tuple[Verdict, str]:
    """In this order: it fails, it takes longer, it touches more pages, it is not known and the plan is another one."""
    if before.failed:
        if after.failed:
            return "undecided", f"it failed before, too: {before.failed}"
        return "undecided", f"it failed before ({before.failed}) and does not now"
    if after.failed:
        return "fails", after.failed
    assert before.look is not None  # noqa: S101
    assert after.look is not None  # noqa: S101
    ratio = times.ratio
    what = "the processor's time" if times.measure == "cpu" else "the time"
    changed = before.look.lines != after.look.lines
    another = " by another plan" if changed else ""
    if ratio is not None and ratio.over(limit, alpha):
        return "slower", f"{what} is {_said(ratio)}{another}"
    waits = times.waits
    if waits is not None and waits.over(limit, alpha) and waits.above(limit):
        return "waits", f"the time that passes is {_said(waits)}, though the processor's is not: it waits for something"
    if before.look.buffers is not None and after.look.buffers is not None:
        more = after.look.buffers - before.look.buffers
        if more >= PAGES and after.look.buffers > before.look.buffers * (1 + limit):
            return "pages", f"it touches {after.look.buffers} pages{another}, before it were {before.look.buffers}"
    if ratio is not None and ratio.below(limit):
        if ratio.high < 1 and ratio.value < 1 / (1 + limit):
            return "faster", f"{what} is {_said(ratio)}{another}"
        return "same", f"{what} is {_said(ratio)}{another}"
    dearer = after.look.cost > before.look.cost * (1 + limit)
    if changed and dearer and (ratio is None or ratio.value > 1 + limit):
        times_more = after.look.cost / max(before.look.cost, 1e-9)
        return "plan", f"another plan, which the planner takes for {times_more:.1f} times as dear"
    if ratio is None:
        return "same", "the plan is another one, and no dearer to the planner" if changed else "the plan is the same"
    return "undecided", f"{what} is {_said(ratio)}: that is on both sides of the limit"


def _said(ratio: Ratio) -> str:
    if ratio.high == math.inf:
        return f"{_percent(ratio.value)}, from {ratio.samples} samples, too few to be sure"
    bounds = f"{_percent(ratio.low)} to {_percent(ratio.high)}"
    return f"{_percent(ratio.value)} (for {significance.CONFIDENCE:.0%} sure {bounds})"


def _percent(ratio: float) -> str:
    """`+15 %`, `−3 %`, `×3.4`."""
    if ratio >= 2:
        return f"×{ratio:.3g}"
    change = round((ratio - 1) * 100, 1)
    return f"{'+' if change > 0 else '−' if change < 0 else '±'}{abs(change):g} %"


def _advice(before: Recorded, after: Recorded) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What may have done it, as far as the tables and plans show, and the SQL that may mend it."""
    assert before.look is not None  # noqa: S101
    assert after.look is not None  # noqa: S101
    advice: list[str] = []
    commands: list[str] = []
    there = {index for each in after.relations for index in each.indexes}
    for index in before.look.indexes:
        if index in after.look.indexes:
            continue
        advice.append(
            f"index {index} was used before and is not now: it is there, and the planner prefers another way"
            if index in there
            else f"index {index} was used before and is gone: build it again if that was not meant"
        )
    old = {each.relation: each for each in before.relations}
    for each in after.relations:
        was = old.get(each.relation)
        if each.row_security and was is not None and not was.row_security:
            advice.append(f"row level security is on for {each.relation} now: its policies are asked for each row")
        if was is not None and each.pages > 2 * max(was.pages, PAGES):
            advice.append(
                f"{each.relation} has {each.pages} pages, before it were {was.pages}: rewritten rows leave dead ones "
                "until VACUUM"
            )
            commands.append(f"VACUUM (ANALYZE) {each.relation}")
        elif not each.analyzed or each.changed_since_analyze > max(50, each.rows // 10):
            advice.append(
                f"{each.relation} was {'not analyzed' if not each.analyzed else 'much changed since it was analyzed'}: "
                "the planner does not know what is in it"
            )
            commands.append(f"ANALYZE {each.relation}")
    if not advice and before.look.lines == after.look.lines:
        advice.append(
            "the plan is the same, so each row costs more: look at functions, triggers, views and checks that the "
            "migration changed"
        )
    return tuple(advice), tuple(commands)
