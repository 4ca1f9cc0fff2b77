"""How true are other readings of the same histories, by the same measures?

    python bench/others.py FOLDER… [--preamble FILE]… [--truth FILE]… [--var NAME=VALUE]… [--way NAME]…
                           [--sample N] [--seed N] [--jobs 2] [--limit SECONDS] [--scratch URL] [--json]

Folders, preambles and truths are given as to `bench/corpora.py`, which makes the truths that are not given, and scores
the edges of each way of reading. Without FOLDER the packaged platform's own files are taken.

The ways:
  lancio                Lancio's graph.
  pg-topo               @supabase/pg-topo, all files given to it at once, as its documentation shows it.
  pg-topo-stepwise      The same, asked anew for each file with those before it: an object that is made again later is
                        no ambiguity then, and no later file can be taken for the maker.
  transform             The statement graph of @pgsql/transform.
  transform-qualified   The same, after its own pass that gives names their schema (its facts leave the others out).
  transform-facts       Its facts about each statement, qualified so, bound to the nearest maker before instead of by
                        its graph.
  names                 A few lines here: what a statement creates and mentions by name (relations, types, routines),
                        bound to the nearest earlier file that created the name.
  mentions              The same names, bound to the last earlier file that mentions one, whether it created it or not.
  chain                 Each file needs the one before it. Said as strength `order`, it would earn nothing; here it is
                        said as hard, to show what the measures make of it.

pg-topo and transform are npm's packages, which `npm install` in bench/others/ brings; without them the other ways are
measured alone, and it says so. A file of comments alone is given to no tool. "Files unread" are those that a tool could
not read at all.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import corpora

from lancio.catalog import profile
from lancio.errors import LancioError
from lancio.planner import graph as planning
from lancio.planner.model import Edge
from lancio.proof import leave_one_out, scratch
from lancio.reading import source
from lancio.syntax import parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from corpora import History, Share

    from lancio.proof.leave_one_out import Truth

HERE = Path(__file__).resolve().parent / "others"
NEEDS = {"cascade": "no sentence kept"}
"""Where a class of `corpora.py` means something else for a direct pair."""

MEASURES = ("direct", "closure", "precision", "hazards", "ordered")


@dataclass(frozen=True)
class Answer:
    """What one way says of one history."""

    edges: tuple[Edge, ...]
    unread: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)


def edge(file: str, needs: str, strength: Any = "hard") -> Edge:
    """One that reads what the other made, without evidence."""
    return Edge(file, needs, "read-after-write", strength, ())


# --- ways of our own --------------------------------------------------------------------------------------------------


def chain(history: History) -> Answer:
    """Each file needs the one before it."""
    names = [facts.name for facts in history.graph.files]
    return Answer(tuple(edge(file, needs) for needs, file in pairwise(names)))


class Name(NamedTuple):
    """A thing by the last part of its name."""

    kind: str
    name: str


CREATES = {
    "CreateStmt": "relation",
    "ViewStmt": "relation",
    "CreateTableAsStmt": "relation",
    "CreateSeqStmt": "relation",
    "IndexStmt": "relation",
    "CompositeTypeStmt": "type",
    "CreateEnumStmt": "type",
    "CreateRangeStmt": "type",
    "CreateDomainStmt": "type",
    "CreateFunctionStmt": "routine",
}
BEARERS = ("relation", "view", "sequence", "typevar", "domainname", "typeName", "funcname")
DROPPED = {"OBJECT_TYPE": "type", "OBJECT_DOMAIN": "type", "OBJECT_FUNCTION": "routine", "OBJECT_PROCEDURE": "routine"}
DROPPED |= dict.fromkeys(
    ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_SEQUENCE", "OBJECT_INDEX"), "relation"
)


def created(node: str, tree: parser.Tree) -> Name | None:
    """What a statement makes, if it is a relation, a type or a routine."""
    if node not in CREATES:
        return None
    if node == "IndexStmt":
        name = tree.get("idxname", "")
    elif node == "CreateTableAsStmt":
        name = tree["into"]["rel"]["relname"]
    else:
        whole = next(tree[key] for key in BEARERS if key in tree)
        name = whole["relname"] if isinstance(whole, dict) else last(whole)
    return Name(CREATES[node], name) if name else None


def last(names: Sequence[parser.Tree]) -> str:
    """The last part of a name that may have a schema."""
    return str(names[-1]["String"]["sval"]) if names and "String" in names[-1] else ""


def mentioned(tree: Any) -> Iterator[Name]:
    """Every relation, type and routine that a statement has the name of."""
    if isinstance(tree, list):
        for each in tree:
            yield from mentioned(each)
    if not isinstance(tree, dict):
        return
    if "relname" in tree:
        yield Name("relation", tree["relname"])
    if "funcname" in tree:
        yield Name("routine", last(tree["funcname"]))
    if "objname" in tree:
        yield Name("routine", last(tree["objname"]))
    if isinstance(tree.get("typeName"), list):
        yield Name("type", last(tree["typeName"]))
    if "names" in tree:
        yield Name("type", last(tree["names"]))
    if kind := DROPPED.get(tree.get("removeType", "")):
        for each in tree["objects"]:
            names = each.get("List", {}).get("items") or each.get("TypeName", {}).get("names") or ()
            yield Name(kind, last(names))
    for each in tree.values():
        yield from mentioned(each)


def names(history: History) -> Answer:
    """A name is the work of the nearest earlier file that created it."""
    return _by_name(history, passed_on=False)


def mentions(history: History) -> Answer:
    """Once it is created, a name is the work of the last earlier file that has it at all."""
    return _by_name(history, passed_on=True)


def _by_name(history: History, *, passed_on: bool) -> Answer:
    makers: dict[Name, str] = {}
    edges: dict[tuple[str, str], Edge] = {}
    for facts in history.graph.files:
        own: set[Name] = set()
        for raw in parser.parse(facts.migration.text):
            made, seen = created(raw.node, raw.tree), set(mentioned(raw.tree))
            for name in seen - own - {made}:
                if name in makers:
                    edges[facts.name, makers[name]] = edge(facts.name, makers[name])
                    if passed_on:
                        own.add(name)
            if made is not None:
                own.add(made)
        makers |= dict.fromkeys(own, facts.name)
    return Answer(tuple(edges.values()))


# --- the other tools --------------------------------------------------------------------------------------------------


def asked(way: str) -> Callable[[History], Answer]:
    """A way of `others/edges.mjs`."""

    def ask(history: History) -> Answer:
        files = [
            {"name": facts.name, "text": facts.migration.text.decode()}
            for facts in history.graph.files
            if facts.statements
        ]
        try:
            done = subprocess.run(
                ("node", HERE / "edges.mjs", way),
                input=json.dumps({"files": files}),
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "")
            raise LancioError(
                f"{way} gave no answer about {history.name}",
                cause=next((line for line in said.splitlines() if "Error" in line), str(error)),
                remedy=f"Run npm install in {HERE}; node has to be 20 or newer.",
            ) from error
        answer = json.loads(done.stdout)
        pairs = {(each["file"], each["needs"], each["strength"]) for each in answer["edges"]}
        edges = tuple(edge(*each) for each in sorted(pairs) if each[0] != each[1])
        return Answer(edges, answer["unread"], answer["skipped"])

    return ask


def lancio(history: History) -> Answer:
    """The graph as it is. A file that Lancio cannot parse is refused, with its whole folder."""
    return Answer(history.graph.edges)


TOOLS = ("pg-topo", "pg-topo-stepwise", "transform", "transform-qualified", "transform-facts")
WAYS: dict[str, Callable[[History], Answer]] = {
    "lancio": lancio,
    **{way: asked(way) for way in TOOLS},
    "names": names,
    "mentions": mentions,
    "chain": chain,
}


# --- the whole --------------------------------------------------------------------------------------------------------


@dataclass
class Score:
    """What one way is worth on one history, or on all."""

    shares: dict[str, Share] = field(default_factory=dict)
    kinds: dict[str, Share] = field(default_factory=dict)
    """Of the direct pairs, by what PostgreSQL's sentence tells of the need."""

    unread: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    backward: int = 0

    def add(self, other: Score, history: str) -> None:
        for mine, theirs in ((self.shares, other.shares), (self.kinds, other.kinds)):
            for name, share in theirs.items():
                mine.setdefault(name, corpora.Share()).add(share)
        self.unread |= {f"{history}/{file}": message for file, message in other.unread.items()}
        for what, count in other.skipped.items():
            self.skipped[what] = self.skipped.get(what, 0) + count
        self.backward += other.backward


def scored(history: History, truth: Truth, answer: Answer) -> Score:
    """The measures of `bench/corpora.py`, of other edges; `backward` are edges that need a later file."""
    result = corpora.Result(history.name, len(truth.files), 0, 0, {})
    said = replace(history, graph=replace(history.graph, edges=answer.edges, opaque=()))
    corpora.score(said, truth, result)
    at = {facts.name: place for place, facts in enumerate(history.graph.files)}
    backward = {(each.file, each.needs) for each in answer.edges if at[each.needs] > at[each.file]}
    shares = {name: result.shares[name] for name in MEASURES}
    missed = Counter(miss.kind for miss in result.misses if miss.measure == "direct")
    asked_of = Counter(
        corpora.class_of(truth.messages.get(pair, "")) for pair in truth.direct if pair[1] in truth.left_out
    )
    kinds = {kind: corpora.Share(count - missed[kind], count) for kind, count in asked_of.items()}
    return Score(shares, kinds, dict(answer.unread), dict(answer.skipped), len(backward))


def read(path: Path, preamble: Path | None, variables: dict[str, str]) -> History:
    """One history, with Lancio's graph of it.

    Raises:
        LancioError: the folder cannot be read.
    """
    folder = source.read_folder(path, variables=variables)
    before = preamble.read_bytes() if preamble else b""
    return corpora.History(path.name, folder, before, planning.build(folder, profile.load(18)))


def measured(arguments: argparse.Namespace, ways: Sequence[str]) -> dict[str, dict[str, Score]]:
    """Each way on each history.

    Raises:
        LancioError: a folder or a truth cannot be read, there is no server, or a tool gives no answer.
    """
    scores: dict[str, dict[str, Score]] = {}
    with ExitStack() as stack:
        server = None
        for index, path in enumerate(arguments.folders or [corpora.PLATFORM]):
            given = [corpora._nth(paths, index) for paths in (arguments.preamble, arguments.truth)]
            history = read(path, given[0], dict(arguments.var))
            if given[1] is not None:
                truth = leave_one_out.load(given[1])
            else:
                server = server or stack.enter_context(scratch.server(arguments.scratch))
                truth = corpora.replayed(history, server, arguments, corpora.Result(history.name, 0, 0, 0, {}))
            scores[history.name] = {}
            for way in ways:
                corpora.progress(f"{history.name}: {way}", last=way == ways[-1])
                scores[history.name][way] = scored(history, truth, WAYS[way](history))
    return scores


def percent(share: Share) -> str:
    return f"{100 * share.hit / share.of:.1f}" if share.of else "–"


def tables(scores: dict[str, dict[str, Score]], pooled: dict[str, Score]) -> str:
    """Markdown: recall and precision for each history; all measures pooled; recall by the kind of need."""
    rows = [["history", "direct pairs", *pooled], ["---"] * (len(pooled) + 2)]
    for history, ways in (*scores.items(), ("pooled", pooled)):
        cells = [f"{percent(each.shares['direct'])} / {percent(each.shares['precision'])}" for each in ways.values()]
        rows.append([history, str(next(iter(ways.values())).shares["direct"].of), *cells])
    more = [["way", *MEASURES, "need a later file", "files unread"], ["---"] * (len(MEASURES) + 3)]
    for way, score in pooled.items():
        shares = [f"{percent(share)} of {share.of}" for share in score.shares.values()]
        more.append([way, *shares, str(score.backward), str(len(score.unread))])
    most = sorted(next(iter(pooled.values())).kinds.items(), key=lambda item: (-item[1].of, item[0]))
    kinds = [["need", "direct pairs", *pooled], ["---"] * (len(pooled) + 2)]
    kinds += [
        [NEEDS.get(kind, kind), str(all_.of), *(percent(each.kinds[kind]) for each in pooled.values())]
        for kind, all_ in most
    ]
    return "\n\n".join("\n".join(f"| {' | '.join(row)} |" for row in each) for each in (rows, more, kinds))


def as_dict(score: Score) -> dict[str, Any]:
    """One score as JSON."""
    return {
        "shares": {name: {"hit": share.hit, "of": share.of} for name, share in score.shares.items()},
        "kinds": {name: {"hit": share.hit, "of": share.of} for name, share in score.kinds.items()},
        "unread": score.unread,
        "skipped": score.skipped,
        "backward": score.backward,
    }


def main() -> int:
    arguments = _arguments()
    ways = arguments.way or list(WAYS)
    if not arguments.way and not (HERE / "node_modules").is_dir():
        ways = [way for way in ways if way not in TOOLS]
        print(f"not asked: {', '.join(TOOLS)} (run npm install in {HERE})", file=sys.stderr)
    try:
        scores = measured(arguments, ways)
    except LancioError as error:
        print(f"{error.message}\n  {error.cause}\n  {error.remedy}", file=sys.stderr)
        return error.exit_status
    pooled = {way: Score() for way in ways}
    for history, by_way in scores.items():
        for way, score in by_way.items():
            pooled[way].add(score, history)
    if arguments.json:
        whole = {
            name: {way: as_dict(score) for way, score in by_way.items()}
            for name, by_way in {**scores, "pooled": pooled}.items()
        }
        print(json.dumps(whole, indent=1, ensure_ascii=False))
    else:
        print(tables(scores, pooled))
    return 0


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    options.add_argument("--preamble", action="append", default=[], type=Path, metavar="FILE")
    options.add_argument("--truth", action="append", default=[], type=Path, metavar="FILE")
    options.add_argument("--var", action="append", default=[], type=corpora._variable, metavar="NAME=VALUE")
    options.add_argument("--way", action="append", choices=tuple(WAYS), help="only these (default: all)")
    options.add_argument("--sample", type=int, metavar="N", help="leave out so many files only, drawn with the seed")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--jobs", type=int, default=2, metavar="N", help="processes that replay at once")
    options.add_argument("--limit", type=float, metavar="SECONDS", help="leave out no more files of a folder after it")
    options.add_argument("--scratch", metavar="URL", help="a server to make databases on, instead of one of our own")
    options.add_argument("--json", action="store_true")
    return options.parse_intermixed_args()


if __name__ == "__main__":
    sys.exit(main())
