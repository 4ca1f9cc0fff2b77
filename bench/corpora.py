"""How true is the reading, on real histories, with PostgreSQL as the judge?

    python bench/corpora.py FOLDER… [--preamble FILE]… [--truth FILE]… [--var NAME=VALUE]… [--sample N] [--seed N]
                            [--preflight N|all] [--jobs 2] [--limit SECONDS] [--scratch URL] [--json|--table] [-v]

Each FOLDER is one history; several end with a pooled line. `--preamble` and `--truth` are given once a folder, in the
same order (or not at all; `-` for none): SQL that runs before the first file, and a truth made elsewhere. Without a
truth one is made here: each file (or `--sample` so many) is left out and the rest replayed; what that gave is kept in
the cache folder by content, so a second run is quick and an interrupted one goes on. Without FOLDER the packaged
platform's own files are taken.

The measures:
  direct      pairs (j fails when i alone is left out, and no file between explains it) that the graph has, directly or
              through others, by hard and row edges alone; `closure` the same for all pairs that fail. Edges of
              strength order, late and set earn nothing, and write-after-read edges are no needs.
  changed     pairs where j runs without i with another effect; `set` edges count here.
  hazards     pairs where j runs without i, but i fails once j has run before it, that the edges put in order.
  precision   hard and row edges, read-after-write or write-after-write, for which j fails or changes without i, or the
              catalog itself has the edge.
  ordered     pairs of files that the edges put in an order, of all: a mere chain of files would have 100 %.
  made, gone  objects that a file was read to make (take away), against what the catalog gained (lost): `read` is the
              share of the catalog's that was read, `real` the share of those read that the catalog has.
  false go    of the pairs where j fails on the state without i (all files up to j but i), those for which the preflight
              of j alone said go; `false no-go` of those where j runs, those for which it said no-go. Asked of all
              pairs, or of so many drawn with the seed, half of them from those that fail, as far as there are.
Only pairs whose i was left out in time count, and files that fail with all others before them are left aside.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from lancio.catalog import profile
from lancio.errors import LancioError
from lancio.executor import snapshot
from lancio.planner import graph as planning
from lancio.planner import plan as planner
from lancio.planner.bind import Binder
from lancio.proof import cache, leave_one_out, rehearse, replay, scratch
from lancio.proof.cache import Cache
from lancio.reading import operations, source
from lancio.reading.source import Folder, Migration
from lancio.syntax import parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import psycopg

    from lancio.planner.model import Edge, Graph, Plan
    from lancio.proof.leave_one_out import Pair, Truth

PLATFORM = Path(__file__).resolve().parent.parent / "src" / "lancio" / "registry" / "schema"
SESSION = "-c client_min_messages=error -c statement_timeout=60s"
LEFT_OUT = 24
"""Files that are left out for the preflight's sake; each costs a replay of those behind it."""

SHOWN = 12
"""Misses of one kind that are listed without -v."""


@dataclass
class History:
    """One folder, and what runs before its first file."""

    name: str
    folder: Folder
    preamble: bytes
    graph: Graph

    @property
    def migrations(self) -> list[Migration]:
        """The files, in the order they run in."""
        return [facts.migration for facts in self.graph.files]


@dataclass
class Share:
    """So many of so many."""

    hit: int = 0
    of: int = 0

    def __str__(self) -> str:
        return f"{100 * self.hit / self.of:5.1f} % ({self.hit}/{self.of})" if self.of else "    -   (0/0)"

    def add(self, other: Share) -> None:
        self.hit += other.hit
        self.of += other.of


@dataclass(frozen=True)
class Miss:
    """One thing that the reading got wrong: its measure, its class, and where to look."""

    measure: str
    kind: str
    file: str
    other: str
    place: str
    said: str

    def __str__(self) -> str:
        behind = f" ← {self.other}" if self.other else ""
        return f"{self.kind:14} {self.place}{behind}{f'   [{self.said}]' if self.said else ''}"


@dataclass
class Result:
    """What was measured of one history."""

    name: str
    files: int
    statements: int
    opaque: int
    seconds: dict[str, float]
    shares: dict[str, Share] = field(default_factory=dict)
    misses: list[Miss] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


# --- scoring against a truth ------------------------------------------------------------------------------------------


def reach(edges: Iterable[Pair]) -> set[Pair]:
    """Every pair that is joined by a path; loops do no harm."""
    needs: dict[int, set[int]] = {}
    for file, other in edges:
        needs.setdefault(file, set()).add(other)
    joined: set[Pair] = set()
    for start in needs:
        seen: set[int] = set()
        waiting = [start]
        while waiting:
            new = needs.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        joined |= {(start, each) for each in seen if each != start}
    return joined


def positions(truth: Truth, graph: Graph) -> dict[str, int]:
    """Where each file of the graph stands in the truth, which may know it by its base name only."""
    known = {name: place for place, name in enumerate(truth.files, 1)}
    by_base = {name.rsplit("/", 1)[-1]: place for name, place in known.items()}
    found = {}
    for facts in graph.files:
        place = known.get(facts.name) or by_base.get(facts.name.rsplit("/", 1)[-1])
        if place is not None:
            found[facts.name] = place
    return found


def score(history: History, truth: Truth, result: Result) -> None:
    """Compare the edges of the graph with the truth about the same files."""
    at = positions(truth, history.graph)
    if len(at) < len(truth.files):
        result.notes.append(f"{len(truth.files) - len(at)} of the truth's {len(truth.files)} files are not here")
    edges: dict[Pair, list[Edge]] = {}
    for edge in history.graph.edges:
        if edge.file in at and edge.needs in at:
            edges.setdefault((at[edge.file], at[edge.needs]), []).append(edge)

    def chosen(*strengths: str, hazards: Sequence[str] = ("read-after-write", "write-after-write")) -> set[Pair]:
        return {
            pair
            for pair, all_ in edges.items()
            if any(each.strength in strengths and each.hazard in hazards for each in all_)
        }

    firm = chosen("hard", "row")
    ways = {
        "direct": reach(firm),
        "closure": reach(firm),
        "changed": reach(firm | chosen("set")),
        "hazards": reach(edges),
    }
    for measure, way in ways.items():
        wanted = {pair for pair in getattr(truth, measure) if pair[1] in truth.left_out}
        result.shares[measure] = Share(len(wanted & way), len(wanted))
        missed = wanted - way
        if measure == "closure":
            missed -= truth.direct
        result.misses += [_missed(measure, pair, history, truth) for pair in sorted(missed)]
    claims = {pair for pair in firm if pair[1] in truth.left_out and not truth.broken.keys() & set(pair)}
    true = truth.closure | truth.changed | truth.catalog_edges
    result.shares["precision"] = Share(len(claims & true), len(claims))
    result.misses += [_surplus(edges[pair], history) for pair in sorted(claims - true)]
    count = len(truth.files)
    pairs = {(j, i) for j in range(1, count + 1) for i in range(1, j) if i in truth.left_out}
    result.shares["ordered"] = Share(len(ways["hazards"] & pairs), len(pairs))


CLASSES = (
    ("name taken", r"already exists|already an object"),
    ("not null", r"null value in column"),
    ("default", r"default for column"),
    ("view", r"of view column|from view|specified more than once"),
    ("data", r"violates|null values?|duplicate key|cannot be cast|invalid input syntax|more than one row|out of range"),
    ("label", r"enum"),
    ("stood on", r"depend on it|cannot drop|used by a view or rule"),
    ("key", r"no unique constraint|no unique or exclusion"),
    ("column", r"column .* does not exist|has no field|missing FROM-clause"),
    ("constraint", r"constraint .* does not exist"),
    ("index", r"index .* does not exist"),
    ("routine", r"(function|procedure|routine|aggregate) .* does not exist"),
    ("type", r"type .* does not exist"),
    ("schema", r"schema .* does not exist"),
    ("role", r"role .* does not exist"),
    ("relation", r"(relation|table|view|sequence) .* does not exist"),
    ("operator class", r"operator class|operator .* does not exist|access method"),
)
"""What PostgreSQL's sentence tells of the kind of need."""


REASONS = {
    "name taken": "a name has to be free first: a file that drops or renames its bearer was not seen as needed",
    "data": "the rows that are there decide, and they come from a file that was not seen to make them so",
    "not null": "a column may be NULL from a file on that was not seen as needed",
    "default": "a column's default stands in the way of its other type, and the file that takes it away was not seen",
    "view": "the columns that a view has had stand in the way of its new ones",
    "label": "an enum value was not seen as needed",
    "stood on": "something that stands on the object has to go first",
    "key": "a foreign key or ON CONFLICT needs a unique key that was not seen",
    "column": "a column was not seen as needed, or not as made by that file",
    "constraint": "a constraint was not seen as needed, or its name not known",
    "index": "an index was not seen as needed, or its name not known",
    "routine": "a call was not resolved, or not followed",
    "type": "a type was not seen as needed",
    "schema": "a schema was not seen as needed",
    "role": "roles belong to the server; leaving a file out does not take them away",
    "relation": "a table, view or sequence was not seen as needed, or not as made by that file",
    "operator class": "an operator class of an extension was not seen as needed",
    "cascade": "only files between fail by themselves; one of their edges is missing too, and is listed as direct",
    "other effect": "the file runs, and does something else; nothing that it needs is missing",
    "transaction": "PostgreSQL runs it by itself; Lancio refuses to send it",
    "dependents": "what would be left without what it stands on is gone, or goes with it",
}
"""What a class of misses comes from."""


def class_of(sentence: str) -> str:
    """The class of a miss by PostgreSQL's sentence; "cascade" where none was kept."""
    if not sentence:
        return "cascade"
    return next((kind for kind, words in CLASSES if re.search(words, sentence)), "other")


def _missed(measure: str, pair: Pair, history: History, truth: Truth) -> Miss:
    file, other = (truth.files[position - 1] for position in pair)
    sentence = truth.messages.get(pair, "")
    kind = class_of(sentence) if measure != "changed" else "other effect"
    opaque = [each for each in history.graph.opaque if each.at.file.endswith((file, other))]
    said = sentence or ("" if measure == "changed" else "no sentence was kept: look at the files between")
    if opaque:
        said += f"{'; ' if said else ''}opaque: {opaque[0].at} {opaque[0].reason}"
    return Miss(measure, kind, file, other, _place(history, file, sentence), said)


def _place(history: History, file: str, sentence: str) -> str:
    """The first line of a file that has the last name of the sentence."""
    names = re.findall(r'"([^"]+)"|(\w+(?:\.\w+)+)|(?:column|type|function|table|relation) (\w+)', sentence)
    for migration in history.migrations:
        if migration.name.rsplit("/", 1)[-1] == file.rsplit("/", 1)[-1]:
            for found in names:
                name = next(each for each in found if each).rpartition(".")[2].encode()
                if (offset := migration.text.find(name)) >= 0:
                    line = migration.text.count(b"\n", 0, offset) + 1
                    return f"{migration.name}:{line}"
    return file


def _surplus(edges: list[Edge], history: History) -> Miss:
    firm = [each for each in edges if each.strength in ("hard", "row") and each.hazard != "write-after-read"]
    because = [each for edge in firm for each in edge.because]
    said = "; ".join(f"{each.object} (line {each.provider.line})" for each in because[:3])
    later = " needs a LATER file" if _position(history, firm[0].needs) > _position(history, firm[0].file) else ""
    kinds = "/".join(dict.fromkeys(each.kind for each in because))
    place = str(because[0].at) if because else firm[0].file
    how = "/".join(dict.fromkeys(f"{each.strength} {each.hazard}" for each in firm))
    return Miss("precision", kinds, firm[0].file, firm[0].needs, place, f"{how}{later}: {said}")


def _position(history: History, name: str) -> int:
    return next(place for place, facts in enumerate(history.graph.files) if facts.name == name)


# --- what the catalog gains and loses ---------------------------------------------------------------------------------


def objects(history: History, server: scratch.Scratch, result: Result) -> None:
    """Run every file, and compare what the planner's catalog gains and loses with what the real one does."""
    facts = profile.load(min(server.major, 18))
    first = Migration("preamble", Path("preamble"), history.preamble)
    files = [(each, operations.read(each)) for each in (first, *history.migrations)]
    binder = Binder(planning.empty(facts), facts, files)
    totals = {f"{what} {side}": Share() for what in ("made", "gone") for side in ("read", "real")}
    name = server.create()
    started = time.perf_counter()
    with server.connect(name, SESSION) as connection:
        connection.execute(history.preamble)
        binder.file(0)
        before, read_before = replay.held(connection), rehearse.read_objects(binder.catalog)
        for index, (migration, ops) in enumerate(files[1:], 1):
            done = replay.run(connection, replay.script(migration, ops))
            if isinstance(done, replay.Failed):
                result.notes.append(f"{migration.name}:{done.line or ''} fails by itself: {done.message}")
                continue
            binder.file(index)
            after, read_after = replay.held(connection), rehearse.read_objects(binder.catalog)
            for what, real, read in (
                ("made", after - before, read_after - read_before),
                ("gone", before - after, read_before - read_after),
            ):
                totals[f"{what} read"].add(Share(len(real & read), len(real)))
                totals[f"{what} real"].add(Share(len(real & read), len(read)))
                for side, items in (("not read", real - read), ("not real", read - real)):
                    result.misses += [
                        Miss("objects", item[0], migration.name, "", migration.name, f"{what}, {side}: {item[1]}")
                        for item in sorted(items)
                    ]
            before, read_before = after, read_after
    server.drop(name)
    result.seconds["replay"] = time.perf_counter() - started
    result.shares |= totals


# --- the preflight ----------------------------------------------------------------------------------------------------


@dataclass
class Judge:
    """One process's share of the pairs; it walks forward from file to file that is left out."""

    history: History
    scripts: tuple[replay.Script, ...]
    walk: replay.Replay

    def judge(self, left_out: int, asked: set[int]) -> list[tuple[bool, bool, Miss | None]]:
        """For each asked file on the state without one: does it fail, was that misjudged, and how."""
        judged = []
        self.walk.before(left_out)
        with self.walk.copy() as connection:
            for position in range(left_out + 1, max(asked) + 1):
                plan = _planned(self.history, connection, position) if position in asked else None
                done = replay.run(connection, self.scripts[position - 1])
                if plan is not None:
                    failed = isinstance(done, replay.Failed)
                    wrong = plan.go == failed
                    miss = _misjudged(self.history, plan, left_out, position, done) if wrong else None
                    judged.append((failed, wrong, miss))
        return judged


_judge: Judge
"""Of a process of the pool; set by `_begin`."""


def _begin(history: History, scripts: tuple[replay.Script, ...], url: str, family: str) -> None:
    global _judge
    walk = replay.Replay(scratch.at(url, family), replay.History(scripts, history.preamble))
    _judge = Judge(history, scripts, walk)


def _judged(task: tuple[int, set[int]]) -> list[tuple[bool, bool, Miss | None]]:
    return _judge.judge(*task)


def preflight(
    history: History, truth: Truth, server: scratch.Scratch, options: argparse.Namespace, result: Result
) -> None:
    """On the state without one file: does the preflight of a later file alone say no-go exactly when that one fails?"""
    started = time.perf_counter()
    scripts = tuple(replay.script(facts.migration, facts.ops) for facts in history.graph.files)
    tasks = drawn(history, truth, options.preflight, options.seed)
    wrong_go, wrong_no = Share(), Share()
    # Forked, so that the graph need not travel.
    with multiprocessing.get_context("fork").Pool(
        options.jobs, _begin, (history, scripts, server.conninfo, server.family)
    ) as pool:
        for done, judged in enumerate(pool.imap(_judged, tasks), 1):
            for failed, wrong, miss in judged:
                (wrong_go if failed else wrong_no).add(Share(int(wrong), 1))
                if miss is not None:
                    result.misses.append(miss)
            progress(f"{history.name}: preflights without {done} of {len(tasks)} files", last=done == len(tasks))
    result.seconds["preflight"] = time.perf_counter() - started
    result.shares |= {"false go": wrong_go, "false no-go": wrong_no}


def drawn(history: History, truth: Truth, wanted: int | None, seed: int) -> list[tuple[int, set[int]]]:
    """Files to leave out, in order, and for each the later files to ask about."""
    chance = random.Random(seed)
    at = positions(truth, history.graph)
    here = {place: index for index, facts in enumerate(history.graph.files, 1) if (place := at.get(facts.name))}
    count = len(truth.left_out) if wanted is None else min(LEFT_OUT, len(truth.left_out))
    chosen = sorted(chance.sample(sorted(truth.left_out), count))
    pairs = [(j, i) for i in chosen for j in range(i + 1, len(truth.files) + 1) if j in here and i in here]
    pairs = [pair for pair in pairs if not truth.broken.keys() & set(pair)]
    taken = pairs
    if wanted is not None:
        failing = [pair for pair in pairs if pair in truth.closure]
        others = [pair for pair in pairs if pair not in truth.closure]
        taken = chance.sample(failing, min(wanted // 2, len(failing)))
        taken += chance.sample(others, min(wanted - len(taken), len(others)))
    asked: dict[int, set[int]] = {}
    for file, other in taken:
        asked.setdefault(here[other], set()).add(here[file])
    return sorted(asked.items())


def _planned(history: History, connection: psycopg.Connection[Any], position: int) -> Plan:
    live = snapshot.take(connection, history.graph)
    name = history.graph.files[position - 1].name
    return planner.make(history.graph, live, ledger={}, durations={}, environ={}, only=(name,))


def _misjudged(history: History, plan: Plan, left_out: int, position: int, done: replay.Ran | replay.Failed) -> Miss:
    file, other = (history.graph.files[each - 1].name for each in (position, left_out))
    if isinstance(done, replay.Failed):
        place = f"{file}:{done.line}" if done.line else file
        return Miss("false go", class_of(done.message), file, other, place, done.message)
    for item in plan.missing:
        if item.blocking:
            return Miss("false no-go", item.requirement.kind, file, other, str(item.requirement.at), item.message)
    finding = next(each for each in plan.findings if each.severity == "refusal")
    return Miss("false no-go", finding.rule, file, other, str(finding.at or file), finding.message)


# --- time -------------------------------------------------------------------------------------------------------------


def best(work: Callable[[], object]) -> float:
    """The shortest of three runs, in seconds, without the garbage collector."""
    taken = []
    for _ in range(3):
        gc.collect()
        gc.disable()
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
        gc.enable()
    return min(taken)


def parse(migrations: Iterable[Migration]) -> None:
    """libpg_query's JSON form of every file, read by orjson: the floor below which no reading can get."""
    library = parser._library()
    for migration in migrations:
        result = library.pg_query_parse(migration.text)
        orjson.loads(result.parse_tree)
        library.pg_query_free_parse_result(result)


# --- the whole --------------------------------------------------------------------------------------------------------


def measure(
    path: Path, preamble: Path | None, truth: Path | None, server: scratch.Scratch, options: argparse.Namespace
) -> Result:
    """All measures of one history.

    Raises:
        LancioError: the folder, the preamble or the truth cannot be read, or there is no server.
    """
    folder = source.read_folder(path, variables=dict(options.var))
    facts = profile.load(18)
    graph = planning.build(folder, facts)
    history = History(path.name, folder, preamble.read_bytes() if preamble else b"", graph)
    result = Result(
        history.name,
        len(graph.files),
        sum(len(facts.statements) for facts in graph.files),
        len(graph.opaque),
        {
            "graph": best(lambda: planning.build(folder, facts)),
            "parse": best(lambda: parse(history.migrations)),
        },
    )
    known = leave_one_out.load(truth) if truth is not None else replayed(history, server, options, result)
    score(history, known, result)
    objects(history, server, result)
    if options.preflight != 0:
        preflight(history, known, server, options, result)
    return result


def replayed(history: History, server: scratch.Scratch, options: argparse.Namespace, result: Result) -> Truth:
    """The truth about a history, made here or found in the cache."""
    started = time.perf_counter()
    scripts = tuple(replay.script(facts.migration, facts.ops) for facts in history.graph.files)
    truth = leave_one_out.truth(
        server,
        replay.History(scripts, history.preamble),
        sample=options.sample,
        seed=options.seed,
        limit_s=options.limit,
        jobs=options.jobs,
        cache=Cache(cache.folder() / "leave-one-out"),
        tell=lambda done, of: progress(f"{history.name}: {done} of {of} left out", last=done == of),
    )
    if len(truth.left_out) < len(scripts):
        result.notes.append(f"{len(truth.left_out)} of {len(scripts)} files were left out")
    result.seconds["leave-one-out"] = time.perf_counter() - started
    return truth


def progress(said: str, *, last: bool) -> None:
    """One line that changes, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r{said}", end="\n" if last else "", file=sys.stderr, flush=True)


def pooled(results: Sequence[Result]) -> Result:
    """Everything added up."""
    whole = Result(
        "pooled",
        sum(each.files for each in results),
        sum(each.statements for each in results),
        sum(each.opaque for each in results),
        {},
    )
    for each in results:
        for name, seconds in each.seconds.items():
            whole.seconds[name] = whole.seconds.get(name, 0.0) + seconds
        for name, share in each.shares.items():
            whole.shares.setdefault(name, Share()).add(share)
    return whole


def text(result: Result, shown: int) -> str:
    """One history for people."""
    times = result.seconds
    ratio = times["graph"] / times["parse"] if times.get("parse") else 0
    lines = [f"{result.name}: {result.files} files, {result.statements} statements, {result.opaque} opaque places"]
    lines += [
        f"  graph {1000 * times['graph']:.0f} ms = {ratio:.1f} × the parser's {1000 * times['parse']:.1f} ms",
    ]
    lines += [f"  {name:10} {share}" for name, share in result.shares.items()]
    others = [f"{name} {seconds:.1f} s" for name, seconds in times.items() if name not in ("graph", "parse")]
    lines.append(f"  on the server: {', '.join(others)}")
    lines += [f"  note: {note}" for note in result.notes]
    by_measure: dict[str, list[Miss]] = {}
    for miss in result.misses:
        by_measure.setdefault(miss.measure, []).append(miss)
    for name, misses in by_measure.items():
        classes = ", ".join(f"{kind} {count}" for kind, count in Counter(miss.kind for miss in misses).most_common())
        lines.append(f"  missed, {name}: {len(misses)} ({classes})")
        lines += [
            f"    {kind}: {REASONS[kind]}" for kind in dict.fromkeys(miss.kind for miss in misses) if kind in REASONS
        ]
        lines += [f"    {miss}" for miss in misses[:shown]]
        if len(misses) > shown:
            lines.append(f"    … and {len(misses) - shown} more (-v)")
    return "\n".join(lines)


COLUMNS = ("direct", "closure", "precision", "hazards", "made read", "made real", "false go", "false no-go")


def table(results: Sequence[Result]) -> str:
    """All histories as a table of Markdown."""
    head = ["history", "files", "statements", "opaque", *COLUMNS, "× parser"]
    rows = [head, ["---"] * len(head)]
    for result in results:
        shares = [result.shares.get(name, Share()) for name in COLUMNS]
        ratio = result.seconds["graph"] / result.seconds["parse"]
        cells = [f"{100 * each.hit / each.of:.1f} % of {each.of}" if each.of else "–" for each in shares]
        rows.append(
            [result.name, str(result.files), str(result.statements), str(result.opaque), *cells, f"{ratio:.1f}"]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def as_dict(result: Result) -> dict[str, Any]:
    """One history as JSON."""
    return {
        "name": result.name,
        "files": result.files,
        "statements": result.statements,
        "opaque": result.opaque,
        "seconds": {name: round(seconds, 3) for name, seconds in result.seconds.items()},
        "shares": {name: {"hit": each.hit, "of": each.of} for name, each in result.shares.items()},
        "misses": [
            {
                **{name: getattr(miss, name) for name in ("measure", "kind", "file", "other", "place", "said")},
                "reason": REASONS.get(miss.kind, ""),
            }
            for miss in result.misses
        ],
        "notes": result.notes,
    }


def main() -> int:
    arguments = _arguments()
    folders: list[Path] = arguments.folders or [PLATFORM]
    results = []
    try:
        with scratch.server(arguments.scratch) as server:
            for index, folder in enumerate(folders):
                given = _nth(arguments.preamble, index), _nth(arguments.truth, index)
                result = measure(folder, *given, server, arguments)
                results.append(result)
                if not (arguments.json or arguments.table):
                    print(text(result, 1_000_000 if arguments.verbose else SHOWN), flush=True)
    except LancioError as error:
        print(f"{error.message}\n  {error.cause}\n  {error.remedy}", file=sys.stderr)
        return error.exit_status
    if arguments.json:
        print(json.dumps([as_dict(each) for each in (*results, pooled(results))], indent=1, ensure_ascii=False))
    elif arguments.table:
        print(table([*results, pooled(results)]))
    elif len(results) > 1:
        print(text(pooled(results), 0))
    return 0


def _nth(paths: list[Path], index: int) -> Path | None:
    if index >= len(paths) or str(paths[index]) == "-":
        return None
    return paths[index]


def _pairs(text: str) -> int | None:
    return None if text == "all" else int(text)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=VALUE")
    return name, value


def _arguments() -> argparse.Namespace:
    parser_ = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser_.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser_.add_argument("--preamble", action="append", default=[], type=Path, metavar="FILE")
    parser_.add_argument("--truth", action="append", default=[], type=Path, metavar="FILE")
    parser_.add_argument("--var", action="append", default=[], type=_variable, metavar="NAME=VALUE")
    parser_.add_argument("--sample", type=int, metavar="N", help="leave out so many files only, drawn with the seed")
    parser_.add_argument("--seed", type=int, default=0)
    parser_.add_argument(
        "--preflight", type=_pairs, default=200, metavar="N|all", help="pairs to ask the preflight about"
    )
    parser_.add_argument("--jobs", type=int, default=2, metavar="N", help="processes that replay at once")
    parser_.add_argument("--limit", type=float, metavar="SECONDS", help="leave out no more files of a folder after it")
    parser_.add_argument("--scratch", metavar="URL", help="a server to make databases on, instead of one of our own")
    form = parser_.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--table", action="store_true", help="one line a history, as Markdown")
    parser_.add_argument("-v", "--verbose", action="store_true", help="list every miss")
    return parser_.parse_intermixed_args()


if __name__ == "__main__":
    sys.exit(main())
