"""Did a file run here? Told from the live catalog alone, and held against what the ledger says.

Each part that a file leaves (an object, a column's type, a table's row level security) has a history of values through
the files. The live value is one of them, or none: if it is the file's own, the file ran; if it is an earlier one, the
file did not; if it is a later one, a later file has superseded it; if it is none, what ran was another version.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lancio.catalog.model import Name
from lancio.planner import outcomes as outcomes_
from lancio.planner import types
from lancio.planner.model import FileState
from lancio.planner.outcomes import GONE, THERE, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lancio.catalog.model import Live, Object
    from lancio.planner.model import FileFacts, Graph, State
    from lancio.planner.outcomes import Outcomes, Write
    from lancio.reading.model import Op

TOLD = frozenset((
    "schema", "extension", "role", "relation", "column", "constraint", "trigger", "policy", "rule", "routine", "type",
    "label", "operator", "opclass", "collation", "text search", "publication", "language", "event trigger", "server",
    "foreign data wrapper",
))  # fmt: skip
"""Kinds of which a live database's catalog is read; of others nothing is said."""

SHARED = frozenset(("schema", "extension"))
"""What many make IF NOT EXISTS, so that it may be there although the file did not run."""

SHOWN = 4
"""So many columns are named in one sentence."""

History = list[tuple[int, "outcomes_.Write"]]


@dataclass(slots=True)
class _Evidence:
    """What the parts of one file say of it."""

    strong: int = 0  # parts that only this file can have left so
    weak: int = 0  # parts that are as the file leaves them, though others may have made them
    again: list[list[int]] = field(default_factory=list)  # as before another file changed it; and which ones did
    gone: list[int] = field(default_factory=list)  # what it drops is not there; and who had made it
    superseded: list[int] = field(default_factory=list)  # files that left other values since
    doubtful: list[tuple[int, Write]] = field(
        default_factory=list
    )  # not there: not made yet, or dropped since, by whom
    missing: list[Write] = field(default_factory=list)
    waits: dict[str, None] = field(default_factory=dict)  # what is not there, and part of it hangs on
    roles: list[Write] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)

    @property
    def proved(self) -> bool:
        """Whether something shows that the file ran."""
        return self.strong > 0


def judge(
    graph: Graph, live: Live, ledger: Mapping[str, str], outcomes: Outcomes, origins: Mapping[str, str] | None = None
) -> tuple[FileState, ...]:
    """How each file of the graph stands, in its order.

    `ledger` maps the names of recorded files to the checksums they were recorded with, and `origins` to where the
    record comes from. Nothing is taken for applied because nothing speaks against it.
    """
    judge = _Judge(graph, live, outcomes)
    return tuple(
        _beside(facts, state, ledger, (origins or {}).get(facts.name, ""))
        for facts, state in zip(graph.files, judge.states(), strict=True)
    )


def _beside(facts: FileFacts, state: FileState, ledger: Mapping[str, str], origin: str) -> FileState:
    """The same with the ledger's word, and where that is another."""
    if facts.name not in ledger:
        said = (
            ("all that it does is so, and the ledger does not have it",) if state.state == "applied" and ledger else ()
        )
        return _with(state, disagrees=said)
    edited = ledger[facts.name] != facts.migration.checksum
    if edited and facts.migration.repeatable:
        because = "it was changed since it ran here, and runs again"
        return _with(state, recorded=True, origin=origin, again=True, differs=(), because=because)
    found = []
    if edited:
        found.append("it was edited after it was recorded: the ledger's checksum is another")
    if state.state == "not applied":
        found.append("the ledger has it, and nothing that it makes is there")
    elif state.missing:
        found.append(f"the ledger has it, and the database lacks {_listed(state.missing)}")
    found += [f"the ledger has it, and {each}" for each in state.differs]
    return _with(state, recorded=True, edited=edited, disagrees=tuple(found), origin=origin)


def _with(known: FileState, **changed: Any) -> FileState:
    return replace(known, **changed)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return f"{', '.join(names[:SHOWN])}{f' and {more} more' if more > 0 else ''}"


class Server:
    """A live catalog, asked by the names that files use."""

    def __init__(self, live: Live) -> None:
        self.catalog = live.catalog
        self._shapes: dict[int, dict[str, str]] = {}
        self._said = frozenset(f"{name.kind} {name.full}" for name in live.catalog.names)

    def find(self, name: Name) -> Object | None:
        """The object of that name; a routine by its arguments' types without their schemas."""
        found = self.catalog.find(name)
        if found is None and name.kind in ("relation", "type"):
            other = "type" if name.kind == "relation" else "relation"
            found = self.catalog.find(name._replace(kind=other))  # type: ignore[arg-type]
        if found is None and name.kind == "routine":
            wanted = [types.bare(each) for each in name.args.split(", ")]
            for each in self.catalog.overloads(name.schema, name.name):
                if [types.bare(arg).replace('"', "") for arg in each.name.args.split(", ")] == wanted:
                    return each
        return found

    def has(self, said: str) -> bool:
        """Whether an object is there that is named by kind and full name: "relation platform.projects"."""
        return said in self._said

    def value(self, each: Object, facet: str) -> str | None:
        """The live value of a facet; None where it is not known."""
        found = self._shapes.get(each.id)
        if found is None:
            found = outcomes_.shape(self.catalog, each, live=True)
            if "source" in each.facts:
                found["body"] = outcomes_.body_mark(each.facts["source"])
            if "references" in each.facts:
                found["references"] = each.facts["references"]
            if each.name.kind == "trigger" and each.detail.routine is not None:
                found["routine"] = each.detail.routine.name
            self._shapes[each.id] = found
        return found.get(facet)


def same(value: str, live: str) -> bool:
    """Whether a value is the live one; an object may be called by any name that it bears."""
    return value == live or ("|" in value and live in value.split("|"))


class _Judge:
    def __init__(self, graph: Graph, live: Live, outcomes: Outcomes) -> None:
        self.graph = graph
        self.live = live
        self.outcomes = outcomes
        self.server = Server(live)
        self.cells = outcomes_.by_cell(outcomes)
        self.probes: dict[str, list[str]] = {}  # by the file that makes rows, what asks for them
        for facts in graph.files:
            for each in facts.requires:
                if each.probe and each.provider is not None:
                    self.probes.setdefault(each.provider.file, []).append(each.probe)
        self.remain = {f"{each.kind} {each.name}" for facts in graph.files for each in facts.remains}
        self.evidence = [self.gather(index) for index in range(len(graph.files))]
        self._extra_columns()
        for found in self.evidence:  # what is again as it once was shows something where it was otherwise in between
            found.strong += sum(any(self.evidence[file].proved for file in files) for files in found.again)
        self.frontier = max((index for index, each in enumerate(self.evidence) if each.proved), default=-1)
        self._resolve()

    # Evidence.

    def gather(self, file: int) -> _Evidence:
        """What the live database says to each part that a file leaves."""
        found = _Evidence()
        last = outcomes_.last_of(self.outcomes.files[file])
        gone = {write.name for write in last if write.facet == "" and write.value == GONE}
        for write in last:
            if write.facet and write.name in gone:
                continue  # changed, and then dropped or renamed
            if write.name.kind not in TOLD or (write.name.kind == "constraint" and not self._on_table(write.name)):
                continue
            history = self.cells[write.name, write.facet]
            at = next(index for index, each in enumerate(history) if each[0] == file)
            if write.facet == "":
                self._existence(found, write, history, at)
            else:
                self._facet(found, write, history, at)
        return found

    def _on_table(self, name: Name) -> bool:
        """Constraints of domains are not read from a live database."""
        return (Name("relation", name.schema, name.of), "") in self.cells or bool(
            self.server.find(Name("relation", name.schema, name.of))
        )

    def _existence(self, found: _Evidence, write: Write, history: History, at: int) -> None:
        live = self.server.find(write.name)
        before = history[at - 1][1].value if at else GONE
        if write.value == GONE:
            if live is None and before == THERE:
                if write.sure:
                    found.gone.append(history[at - 1][0])
            elif (
                live is not None
                and before == THERE
                and write.sure
                and not any(later.value == THERE for _, later in history[at + 1 :])
            ):
                found.missing.append(write._replace(says=f"drop of {write.says}"))
            return
        if before == THERE:
            return
        if write.name.kind == "role":
            if live is None and write.sure:
                found.roles.append(write)
            return
        if live is not None:
            if any(each.value == THERE for _, each in history[:at]):
                found.again.append([index for index, each in history[:at] if each.value == GONE])
            elif write.name.kind in SHARED:
                found.weak += 1
            else:
                found.strong += 1
            return
        if not write.sure:
            return
        if self._waits(found, write):
            return
        dropped = next((index for index, later in history[at + 1 :] if later.value == GONE), None)
        if dropped is not None:
            found.doubtful.append((dropped, write))
        elif write.along:
            self._lacks_part(found, write)
        elif not self._twin_told(write):
            found.missing.append(write)

    def _waits(self, found: _Evidence, write: Write) -> bool:
        """Whether it hangs on what is not there; what another file will make of that is noted."""
        waits = [each for each in write.where if not self.server.has(each)]
        found.waits.update((each, None) for each in waits if each in self.remain)
        return bool(waits)

    def _lacks_part(self, found: _Evidence, write: Write) -> None:
        """What came with the object that it belongs to is not there, and that object is, in another version."""
        owner = self._owner(write)
        if owner is None or (
            write.implied and write.name.kind == "constraint" and self._under_another_name(write, owner)
        ):
            return
        name = Name("type" if write.name.kind == "label" else "relation", write.name.schema, write.name.of)
        times = [each.value for _, each in self.cells.get((name, ""), ())]
        if times.count(THERE) > 1:  # perhaps it is the one that bore the name before
            found.missing.append(write)
        else:
            found.differs.append(f"{write.says} is not there")

    def _under_another_name(self, write: Write, table: Object) -> bool:
        """Whether PostgreSQL may have chosen another name: the table has such a one that no file names."""
        label = write.says.removesuffix(f" {write.name.full}")
        return any(
            each.label == label and (each.name, "") not in self.cells
            for each in self.live.catalog.parts("constraint", table)
        )

    def _owner(self, write: Write) -> Object | None:
        """The live object that a part belongs to."""
        name = write.name
        if name.of:
            return self.server.find(Name("type" if name.kind == "label" else "relation", name.schema, name.of))
        return None

    def _twin_told(self, write: Write) -> bool:
        """Whether an index is its constraint's: then that one is told of."""
        return write.implied and write.name.kind == "relation"

    def _facet(self, found: _Evidence, write: Write, history: History, at: int) -> None:
        live = self.server.find(write.name)
        if not write.sure or write.value == UNKNOWN:
            return
        if live is None:
            self._of_nothing(found, write, history, at)
            return
        value = self.server.value(live, write.facet)
        if value is None:
            return
        earlier = [each.value for _, each in history[:at]]
        later = [(index, each.value) for index, each in history[at + 1 :]]
        if same(write.value, value):
            if earlier and earlier[-1] != UNKNOWN and not same(earlier[-1], value):
                if any(same(each, value) for each in earlier):
                    found.again.append([index for index, each in history[:at] if not same(each.value, value)])
                else:
                    found.strong += 1
            return
        if UNKNOWN in earlier[-1:] or any(each == UNKNOWN for _, each in later):
            return
        superseding = next((index for index, each in later if same(each, value)), None)
        if superseding is not None and any(same(each, value) for each in earlier):
            found.doubtful.append((superseding, write._replace(says=_change(write))))
        elif superseding is not None:
            found.superseded.append(superseding)
        elif any(same(each, value) for each in earlier):
            found.missing.append(write._replace(says=_change(write)))
        else:
            found.differs.append(_otherwise(write, value))

    def _of_nothing(self, found: _Evidence, write: Write, history: History, at: int) -> None:
        """A change of what is not there: it did not happen, or that was dropped since."""
        file = history[at][0]
        times = self.cells[write.name, ""]
        there = [each.value for index, each in times if index < file]
        if not at or not there or there[-1] == GONE:
            return  # made by the file itself: that is told already
        if write.implied or self._waits(found, write):
            return  # PostgreSQL may have given it another name
        dropped = next((index for index, each in times if index > file and each.value == GONE), None)
        if dropped is not None:
            found.doubtful.append((dropped, write._replace(says=_change(write))))
        else:
            found.missing.append(write._replace(says=_change(write)))

    def _extra_columns(self) -> None:
        """Columns of a table that no file makes: the file that makes the table was another when it ran."""
        known: dict[Name, set[str]] = {}
        for name, facet in self.cells:
            if facet == "" and name.kind == "column":
                known.setdefault(Name("relation", name.schema, name.of), set()).add(name.name)
        for (name, facet), history in self.cells.items():
            if facet or name.kind != "relation" or name in self.outcomes.open or name not in known:
                continue
            table = self.server.find(name)
            if table is None or table.label not in outcomes_.TABLES or history[-1][1].value != THERE:
                continue
            makers = [index for index, each in history if each.value == THERE and each.sure]
            if not makers or self.server.value(table, "kind") != "table":
                continue
            extra = [
                each.name.name for each in self.live.catalog.parts("column", table) if each.name.name not in known[name]
            ]
            if extra:
                column, are, them = ("column", "is", "it") if len(extra) == 1 else ("columns", "are", "them")
                self.evidence[makers[-1]].differs.append(
                    f"{column} {_listed(extra)} of {table.says} {are} there, and no file makes {them}"
                )

    def _resolve(self) -> None:
        """Of what is not there and is dropped by a later file: was it never made, or is it gone already?"""
        for file, each in enumerate(self.evidence):
            left = []
            for by, write in each.doubtful:
                other = self.evidence[by]
                denied = bool(other.missing) and not other.proved
                if other.proved or (file <= self.frontier and not denied):
                    each.superseded.append(by)
                elif not write.along:
                    left.append(write)
                else:
                    self._lacks_part(each, write)
            each.doubtful.clear()
            each.missing += left

    # States.

    def states(self) -> list[FileState]:
        """The state of each file, beside nothing."""
        found = [self._state(index) for index in range(len(self.graph.files))]
        self._follow(found)
        return found

    def _state(self, file: int) -> FileState:
        facts, each = self.graph.files[file], self.evidence[file]
        missing = [*each.missing, *(each.roles if each.strong or not each.missing else ())]
        says = tuple(dict.fromkeys(write.says for write in sorted(missing, key=lambda write: write.line)))
        differs = tuple(dict.fromkeys(each.differs))
        if missing and each.strong:
            left = self._left(file)
            return FileState(facts.name, "partly applied", False, says, differs=differs, left=left)
        if missing and not each.superseded:
            return FileState(facts.name, "not applied", False)
        if missing:  # some of it was made over by later files that ran; the rest is not there
            return FileState(facts.name, "partly applied", False, says, differs=differs, left=None)
        if differs:
            return FileState(facts.name, "changed since", False, differs=differs)
        if each.strong or (each.weak and not each.superseded):
            waits = tuple(said.partition(" ")[2] for said in each.waits)
            because = f"{_listed(waits)} was not there yet: it has to run again behind that" if waits else ""
            return FileState(facts.name, "applied", False, because=because, settled=not waits, waits=waits)
        if each.superseded:
            by = self.graph.files[max(each.superseded)].name
            return FileState(
                facts.name, "superseded", False, because=f"{by} dropped or replaced what it made", settled=True
            )
        if each.gone:
            return self._by_absence(file)
        return self._by_rows(facts)

    def _by_absence(self, file: int) -> FileState:
        """A file that only drops, where what it drops is not there."""
        name, each = self.graph.files[file].name, self.evidence[file]
        if not any(self.evidence[maker].proved or maker < self.frontier for maker in each.gone):
            return FileState(name, "not applied", False)
        if file < self.frontier:
            return FileState(name, "applied", False, settled=True, because="what it drops is gone, and later files ran")
        return FileState(
            name, "unprovable", False, settled=True, because="it only drops, and what it drops is not there"
        )

    def _by_rows(self, facts: FileFacts) -> FileState:
        """A file that leaves nothing in the catalog: whether the rows are there that other files need of it."""
        answers = [self.live.answers.get(probe) for probe in self.probes.get(facts.name, ())]
        held = [answer is True for answer in answers]
        if not answers:
            return FileState(facts.name, "unprovable", False, because=_silence(facts))
        state: State = "applied" if all(held) else "partly applied" if any(held) else "not applied"
        return FileState(facts.name, state, False, settled=all(held))

    def _follow(self, found: list[FileState]) -> None:
        """What cannot be proved by itself: implied by a later file that ran, or impossible without an earlier one."""
        position = {facts.name: index for index, facts in enumerate(self.graph.files)}
        needs: dict[int, list[int]] = {}
        for edge in self.graph.edges:
            if edge.hazard == "read-after-write" and edge.strength in ("hard", "row"):
                needs.setdefault(position[edge.file], []).append(position[edge.needs])
        waiting = [index for index, each in enumerate(found) if each.there and not each.because]
        waiting += [index for index, each in enumerate(found) if each.state in ("superseded", "partly applied")]
        while waiting:
            file = waiting.pop()
            for needed in needs.get(file, ()):
                if found[needed].state == "unprovable":
                    name = self.graph.files[file].name
                    found[needed] = _with(found[needed], state="implied", because=f"{name} ran, and needs it")
                    waiting.append(needed)
        for file, each in enumerate(found):
            if each.state != "unprovable":
                continue
            lacking = next((needed for needed in needs.get(file, ()) if found[needed].state == "not applied"), None)
            if lacking is not None:
                found[file] = FileState(each.name, "not applied", False)

    # Statement by statement.

    def _left(self, file: int) -> tuple[int, ...] | None:
        """The statements of a partly applied file that did not run; None where that cannot be told of each."""
        facts = self.graph.files[file]
        if facts.ops is None:
            return None
        writes: dict[int, list[Write]] = {}
        for each in self.outcomes.files[file]:
            writes.setdefault(each.statement, []).append(each)
        ops: dict[int, list[Op]] = {}
        for op in facts.ops.ops:
            ops.setdefault(op.statement, []).append(op)
        left: list[int] = []
        for ordinal, statement in enumerate(facts.ops.statements):
            if statement.control:
                continue
            told = self._ran(writes.get(ordinal, []), ops.get(ordinal, []))
            if told is None:
                return None
            if not told:
                left.append(ordinal)
        return tuple(left)

    def _ran(self, writes: list[Write], ops: list[Op]) -> bool | None:
        """Whether one statement ran; False also for one that may run again without harm; None if it can't be told."""
        if any(op.verb in _ROWS or (op.verb == "write" and op.detail.facet == "rows") for op in ops):
            return None
        if any(op.guards or op.soft for op in ops) or any(not each.sure for each in writes):
            return None
        told = set(self._told(writes))
        if len(told) == 1:
            return told.pop()
        if told:
            return None
        return False if all(op.verb in ("read", "set") or op.detail.facet in AGAIN for op in ops) else None

    def _told(self, writes: list[Write]) -> Iterator[bool]:
        """For each part that a statement leaves, whether it is so."""
        for each in writes:
            if each.along or each.name.kind not in TOLD or (each.implied and each.name.kind == "relation"):
                continue
            live = self.server.find(each.name)
            if each.facet == "":
                yield (live is not None) is (each.value == THERE)
            elif live is not None:
                value = self.server.value(live, each.facet)
                fresh = any(other.name == each.name and other.facet == "" for other in writes)
                if value is not None and each.value != UNKNOWN and not fresh:
                    yield same(each.value, value)


_ROWS = frozenset(("rows", "opaque", "call", "guard", "drop"))
"""Operations of which a catalog does not show whether they were done, or that must not be done twice."""

AGAIN = frozenset(("acl", "comment", "owner", "default privileges"))
"""Parts that are written by statements which leave the same however often they run."""

FACETS = {
    "type": "type", "null": "NULL", "default": "default", "rls": "row level security", "columns": "columns",
    "body": "text", "unique": "uniqueness", "partial": "condition", "kind": "kind", "events": "events",
    "level": "level", "command": "command", "references": "reference", "routine": "function",
}  # fmt: skip


def _change(write: Write) -> str:
    """A change that did not happen, as an object is said that is missing."""
    value = write.value.partition("|")[0]
    match write.facet:
        case "rls":
            return f"row level security {value} of {write.says}"
        case "null":
            return f"{'NULL' if value == 'yes' else 'NOT NULL'} of {write.says}"
        case "default":
            return f"{'default' if value == 'yes' else 'no default'} of {write.says}"
        case "body":
            return f"new text of {write.says}"
        case _:
            return f"{FACETS[write.facet]} {value} of {write.says}"


def _otherwise(write: Write, live: str) -> str:
    """What is there in another way than the file makes it."""
    value = write.value.partition("|")[0]
    match write.facet:
        case "rls":
            return f"row level security of {write.says} is {live} here, and {value} in the file"
        case "null":
            here, there = ("takes NULL", "NOT NULL") if live == "yes" else ("is NOT NULL", "takes NULL")
            return f"{write.says} {here} here, and {'is ' if there == 'NOT NULL' else ''}{there} in the file"
        case "default":
            return f"{write.says} has {'a' if live == 'yes' else 'no'} default here, and {_not(live)} in the file"
        case "body":
            return f"{write.says} has another text here than in the file"
        case "unique" | "partial":
            word = "unique" if write.facet == "unique" else "over some of the rows"
            return f"{write.says} is {'' if live == 'yes' else 'not '}{word} here, and {_is(value)} in the file"
        case _:
            return f"{write.says}: {FACETS[write.facet]} {live or 'none'} here, {value or 'none'} in the file"


def _not(live: str) -> str:
    return "none" if live == "yes" else "one"


def _is(value: str) -> str:
    return "is" if value == "yes" else "is not"


def _silence(facts: FileFacts) -> str:
    """Why nothing can be said of a file."""
    ops = facts.ops.ops if facts.ops is not None else ()
    if facts.rows or any(op.verb == "write" and op.detail.facet == "rows" for op in ops):
        return "it changes rows alone, and no other file asks for them"
    if facts.opaque:
        return "what it does cannot be seen"
    return "it leaves nothing that can be compared"
