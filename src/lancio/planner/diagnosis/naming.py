"""Which object does a message name, and what do the migrations know of it?"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lancio.planner.model import Effect, FileFacts, Graph

QUOTED = r'"((?:[^"]|"")+)"'
KINDS = (
    "materialized view|foreign table|event trigger|foreign-data wrapper|operator class|operator family"
    "|access method|text search configuration|text search dictionary|relation|table|view|schema|extension|type|function"
    "|procedure|aggregate|sequence|index|role|policy|trigger|rule|language|collation|constraint|publication|server"
    "|database|tablespace|domain|operator|cast|statistics object|prepared statement|cursor|savepoint"
)
RELATIONS = frozenset({"relation", "table", "view", "sequence", "index", "materialized view", "foreign table"})
ROUTINES = frozenset({"function", "procedure", "aggregate", "routine"})


class Thing(NamedTuple):
    """An object that a message names: its kind in PostgreSQL's word, its name, the relation it is of if it says so."""

    kind: str
    name: str
    of: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" of {self.of}" if self.of else "")


class Maker(NamedTuple):
    """A file that makes an object, and the effect that says so."""

    facts: FileFacts
    effect: Effect


class Gone(NamedTuple):
    """How an object went: dropped or renamed at a place; `now` is its new name, empty where it was dropped."""

    file: str
    line: int
    now: str


def missing(message: str) -> Thing | None:
    """The object that is not there, if that is what a message of PostgreSQL's says."""
    patterns = (
        (rf"^column {QUOTED} of relation {QUOTED} does not exist", "column of"),
        (r"^column ([\w$.\"]+) does not exist", "column"),
        (rf"^(constraint|trigger|policy|rule) {QUOTED} (?:of|for|on) (?:relation|table|domain) {QUOTED} does not exist",
         "part"),
        (r"^(function|procedure|aggregate|routine) (.+?\(.*\)) (?:does not exist|is not unique)", "routine"),
        (r"^could not find a (function|procedure|aggregate) named \"?([^\"]+)\"?", "routine"),
        (rf"^({KINDS}) {QUOTED}.* does not exist", "kind"),
        (rf"^({KINDS}) ([\w.$]+) does not exist", "kind"),
        (rf"^({KINDS}) {QUOTED} is not available", "kind"),
    )  # fmt: skip
    for pattern, shape in patterns:
        found = re.match(pattern, message)
        if not found:
            continue
        groups = [group.replace('""', '"') for group in found.groups()]
        if shape == "column of":
            return Thing("column", groups[0], groups[1])
        if shape == "column":
            owner, _, name = groups[0].replace('"', "").rpartition(".")
            return Thing("column", name, owner)
        return Thing(*groups)
    return None


def present(message: str) -> Thing | None:
    """The object that is there already, if that is what a message says."""
    patterns = (
        rf"^(column) {QUOTED} of relation {QUOTED} already exists",
        rf"^(constraint|trigger|policy|rule) {QUOTED} for (?:relation|table|domain) {QUOTED} already exists",
        rf"^(function|procedure|aggregate) {QUOTED} already exists",
        rf"^({KINDS}) {QUOTED}.*? already exists",
        r"^(enum label) \"(.*)\" already exists",
    )
    for pattern in patterns:
        if found := re.match(pattern, message):
            return Thing(*(group.replace('""', '"') for group in found.groups()))
    return None


def maker(graph: Graph, thing: Thing, *, but: str = "") -> Maker | None:
    """The last file that makes such an object, `but` left out; a column's may be the one that makes its table."""
    found: Maker | None = None
    for facts in graph.files:
        if facts.name == but:
            continue
        for effect in facts.creates:
            if same_kind(thing.kind, effect) and same_name(thing, effect):
                found = Maker(facts, effect)
                break
    return found


def row_maker(graph: Graph, table: str, *, but: str = "") -> FileFacts | None:
    """The one file that puts rows into a table; None where none or several do."""
    makers = [
        facts
        for facts in graph.files
        if facts.name != but
        and any(
            op.verb in ("rows", "write")
            and op.ref.kind == "relation"
            and op.detail.facet in ("rows", "definition")
            and _alike(table, f"{op.ref.schema}.{op.ref.name}" if op.ref.schema else op.ref.name)
            for op in (facts.ops.ops if facts.ops is not None else ())
        )
    ]
    return makers[0] if len(makers) == 1 else None


def gone(graph: Graph, thing: Thing, *, until: str = "") -> Gone | None:
    """Which file dropped or renamed the object last, up to and with the file `until`."""
    found: Gone | None = None
    for facts in graph.files:
        for op in facts.ops.ops if facts.ops is not None else ():
            if op.verb not in ("drop", "rename", "move") or op.when == "call":
                continue
            full = f"{op.ref.schema}.{op.ref.name}" if op.ref.schema else op.ref.name
            of = str(op.ref.of[0]) if op.ref.of else ""
            if not _kind_of(thing.kind, op.ref.kind) or not _alike(thing.name, full):
                continue
            if thing.of and of and not _alike(thing.of, of):
                continue
            schema = f"{op.ref.schema}." if op.ref.schema and thing.kind != "column" else ""
            now = "" if op.verb == "drop" else schema + op.detail.to
            if op.verb == "move":
                now = f"{op.detail.to}.{op.ref.name}"
            found = Gone(facts.name, op.span.line, now)
        if facts.name == until:
            break
    return found


def known(graph: Graph, kind: str, of: str = "") -> list[str]:
    """The names of objects of a kind that the files make, with their schemas; of columns those of one relation."""
    names: dict[str, None] = {}
    for facts in graph.files:
        for effect in facts.creates:
            if same_kind(kind, effect):
                if kind == "column":
                    owner, _, name = effect.name.rpartition(".")
                    if not of or _alike(of, owner):
                        names[name] = None
                else:
                    names[effect.name.split("(")[0]] = None
        if kind == "column":
            for op in facts.ops.ops if facts.ops is not None else ():
                full = f"{op.ref.schema}.{op.ref.name}" if op.ref.schema else op.ref.name
                if op.verb == "make" and op.ref.kind == "relation" and (not of or _alike(of, full)):
                    names |= dict.fromkeys(column.name for column in op.detail.columns)
    return list(names)


def similar(name: str, candidates: Iterable[str]) -> str:
    """The one candidate that was probably meant: the same name in another schema, or one that is spelled alike."""
    bare = name.rpartition(".")[2]
    found = [each for each in dict.fromkeys(candidates) if each != name]
    elsewhere = [each for each in found if each.rpartition(".")[2] == bare]
    if elsewhere:
        return elsewhere[0] if len(elsewhere) == 1 else ""
    folded = [each for each in found if each.rpartition(".")[2].lower() == bare.lower()]
    if len(folded) == 1:
        return folded[0]
    short = {each.rpartition(".")[2]: each for each in found}
    near = difflib.get_close_matches(bare, short, n=2, cutoff=0.75)
    if len(near) == 2 and difflib.SequenceMatcher(None, bare, near[1]).ratio() > 0.9 and len(bare) < 20:
        # Two that are nearly as like: naming one of them would be a guess.
        first, second = (difflib.SequenceMatcher(None, bare, each).ratio() for each in near)
        if first - second < 0.02:
            return ""
    return short[near[0]] if near else ""


def bare(name: str) -> str:
    """A name without quotes and argument types."""
    return name.split("(")[0].replace('"', "")


def same_kind(asked: str, effect: Effect) -> bool:
    """Whether an effect's object is of the kind that a message calls so."""
    if asked == "column":
        return effect.kind == "column"
    return _kind_of(asked, effect.kind) or effect.object.startswith(asked + " ")


def _kind_of(asked: str, kind: str) -> bool:
    if asked in RELATIONS:
        return kind in RELATIONS
    if asked in ROUTINES:
        return kind in ROUTINES
    return asked == kind or (asked == "domain" and kind == "type")


def same_name(thing: Thing, effect: Effect) -> bool:
    """Whether an effect's object bears the name that a message gives."""
    name = f"{thing.of}.{thing.name}" if thing.kind == "column" and thing.of else thing.name
    if thing.kind == "column" and thing.of:
        owner, _, column = effect.name.rpartition(".")
        return column == thing.name and _alike(thing.of, owner)
    if thing.of:
        part, _, owner = effect.name.partition(" on ")
        return part == thing.name and _alike(thing.of, owner)
    return _alike(bare(name), bare(effect.name))


def _alike(asked: str, made: str) -> bool:
    # PostgreSQL's messages leave out a schema that the statement left out.
    if "." in asked and "." in made:
        return asked == made
    return asked.rpartition(".")[2] == made.rpartition(".")[2]
