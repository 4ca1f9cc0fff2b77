"""Which files may the ledger have though Lancio did not run them, on what proof, and what stands against it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lancio.planner.states import AGAIN

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from lancio.planner.model import FileFacts, FileState, Graph

FACTS = "facts"
"""The origin of what the catalog itself proves."""

ORDER = "order"
"""The origin of what nothing proves, and stands before a file that ran."""

NAMED = "named"
"""The origin of what somebody named, and the catalog can't prove."""

SHOWN = 6
"""So many missing objects are told."""


class Where(NamedTuple):
    """The history of another tool: whose it is, and in which table."""

    tool: str
    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.tool} ({self.schema}.{self.table})"


@dataclass(frozen=True, slots=True)
class Told:
    """Another tool's history, held against the files of a folder.

    `files` maps each file that it has to when it ran; `edited` are those whose checksum is another there, `strangers`
    entries without a file, `open` files without an entry.
    """

    where: Where
    files: Mapping[str, datetime | None]
    edited: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A file that is to be recorded: who says that it ran, when if that is known, and the proof in words."""

    file: str
    position: int
    origin: str
    at: datetime | None
    proof: str


@dataclass(frozen=True, slots=True)
class Left:
    """A file that is not recorded, and why not."""

    file: str
    state: str
    why: str


@dataclass(frozen=True, slots=True)
class Adoption:
    """What would be written, what not, and entries of another tool's history that no file answers to.

    `doubts` are files of which nobody can say whether they ran, although they would change rows a second time: a run
    may not go over them. `against` is what the history says and the catalog contradicts.
    """

    rows: tuple[Row, ...]
    left: tuple[Left, ...]
    doubts: tuple[str, ...] = ()
    history: Told | None = None
    against: tuple[str, ...] = ()


def propose(
    graph: Graph,
    states: Sequence[FileState],
    history: Told | None = None,
    *,
    implied: bool = False,
    by_order: bool = False,
    only: Collection[str] = (),
    besides: bool = True,
    trust: bool = False,
) -> Adoption:
    """Hold facts, and a history if there is one, against each file that is not recorded.

    Proved by the catalog are files that are applied or superseded; `implied` takes those as well that only a later
    file speaks for, or that what they drop is not there; `by_order` also what can be proved by nothing and stands
    before a proved file. `only` names the files that are meant; of them it is enough that nothing speaks against it.
    Without `besides`, a history alone decides. With `trust` it decides against the catalog, too.
    """
    rows: list[Row] = []
    left: list[Left] = []
    against: list[str] = []
    proved = [index for index, each in enumerate(states) if _proved(each)]
    frontier = max(proved, default=-1)
    for position, state in enumerate(states, 1):
        if state.recorded or (only and state.name not in only):
            continue
        told = history is not None and state.name in history.files
        if history is not None and told:
            contradiction = _contradiction(state, edited=state.name in history.edited, tool=history.where.tool)
            if contradiction and not trust:
                against.append(contradiction)
                continue
            rows.append(
                Row(
                    state.name,
                    position,
                    history.where.tool,
                    history.files[state.name],
                    f"{history.where.tool} ran it" + (f"; {_proof(state)}" if state.there else ""),
                )
            )
            continue
        origin = _origin(state, implied=implied, by_order=by_order and position <= frontier, named=bool(only))
        if origin and (besides or history is None or only):
            proof = {NAMED: f"on your word: {state.because}", ORDER: "nothing proves it; it stands before what ran"}
            rows.append(Row(state.name, position, origin, None, proof.get(origin) or _proof(state)))
        else:
            missing = history is not None and state.there and not besides
            why = f"{history.where.tool} does not have it" if history is not None and missing else _why(state)
            left.append(Left(state.name, state.state, why))
    taken = {row.file for row in rows}
    doubts = _doubts(graph, states, frontier, taken)
    return Adoption(tuple(rows), tuple(left), doubts, history, tuple(against))


def least(graph: Graph, states: Sequence[FileState], history: Told | None = None) -> tuple[Adoption, tuple[str, ...]]:
    """The adoption that leaves no doubt and asks for the fewest words, with those words as flags."""
    flags: tuple[str, ...]
    for flags in ((), ("--implied",), ("--implied", "--by-order")):
        proposed = propose(graph, states, history, implied="--implied" in flags, by_order="--by-order" in flags)
        if not proposed.doubts:
            break
    else:
        flags = _needed(graph, states, history, len(proposed.doubts))
        proposed = propose(graph, states, history, implied="--implied" in flags, by_order="--by-order" in flags)
    return proposed, flags


def _needed(graph: Graph, states: Sequence[FileState], history: Told | None, doubts: int) -> tuple[str, ...]:
    """The fewest flags where none is enough: those that still help."""
    for flags in ((), ("--implied",)):
        if len(propose(graph, states, history, implied="--implied" in flags).doubts) == doubts:
            return flags
    return ("--implied", "--by-order")


def _proved(state: FileState) -> bool:
    return state.state in ("applied", "superseded", "changed since", "partly applied")


def _origin(state: FileState, *, implied: bool, by_order: bool, named: bool) -> str:
    """On whose word a file may be recorded; "" where on nobody's.

    One that a run of ours has begun is not taken over: the next run goes on with it, its verification included.
    """
    if state.waits or state.begun:
        return ""
    if state.state in ("applied", "superseded"):
        return FACTS
    if state.state == "implied" or (state.state == "unprovable" and state.settled):
        return FACTS if implied or by_order else NAMED if named else ""
    if state.state == "unprovable":
        return ORDER if by_order else NAMED if named else ""
    return ""


def _contradiction(state: FileState, *, edited: bool, tool: str) -> str:
    if state.state == "not applied":
        return f"{state.name}: {tool} ran it, and nothing that it makes is there"
    if state.state == "partly applied":
        return f"{state.name}: {tool} ran it, and {', '.join(state.missing[:3])} is missing"
    if state.state == "changed since":
        return f"{state.name}: {tool} ran it, and {state.differs[0]}"
    return f"{state.name}: its checksum is not the one that {tool} ran" if edited else ""


def _proof(state: FileState) -> str:
    match state.state:
        case "applied":
            return state.because or "all that it makes is there"
        case _:
            return state.because


def _why(state: FileState) -> str:
    if state.begun:
        return f"a run has begun it: {state.begun}"
    match state.state:
        case "partly applied":
            return f"missing: {', '.join(state.missing[:SHOWN])}"
        case "changed since":
            return state.differs[0]
        case "not applied":
            return "nothing that it makes is there"
        case "applied":
            return state.because or "it was not asked for"
        case _:
            return state.because


def _doubts(graph: Graph, states: Sequence[FileState], frontier: int, taken: Collection[str]) -> tuple[str, ...]:
    """Files of which nobody can say whether they ran, and that may not run twice.

    Behind the last proved file only those before the next one that did not run: the others come after that one.
    """
    found = []
    if frontier < 0:
        return ()
    for index, (facts, state) in enumerate(zip(graph.files, states, strict=True)):
        if index > frontier and state.state == "not applied":
            break
        if state.state not in ("unprovable", "implied") or state.recorded or state.begun or state.name in taken:
            continue
        if index < frontier or state.settled or not _harmless(facts):
            found.append(state.name)
    return tuple(found)


def _harmless(facts: FileFacts) -> bool:
    """Whether a file leaves the same however often it runs: rights, comments, owners, settings."""
    ops = facts.ops.ops if facts.ops is not None else ()
    return all(op.verb in ("read", "set") or op.detail.facet in AGAIN for op in ops)
