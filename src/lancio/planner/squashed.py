"""Which baseline files stand for what already ran here, and which cannot, because only a part of it did?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lancio.planner.model import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lancio.planner.model import FileFacts, FileState, Graph

ORIGIN = "replaced"
"""Who says that a baseline ran: the ledger, which has all that it stands for."""

RULE = "half-way"
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Squashed:
    """`known` are baselines all of whose files ran here: recorded, not run. `names` are all files that are replaced."""

    known: tuple[str, ...]
    names: frozenset[str]
    findings: tuple[Finding, ...]


def judge(graph: Graph, ledger: Mapping[str, str], states: Sequence[FileState] = ()) -> Squashed:
    """What the ledger's files (by name, with their checksums) say of the baselines of a graph."""
    known: list[str] = []
    findings: list[Finding] = []
    by_name = {each.name: each for each in states}
    names: set[str] = set()
    for facts in graph.files:
        replaces = facts.migration.replaces
        names |= {name for name, _ in replaces}
        if not replaces or facts.name in ledger:
            continue
        ran = [name for name, _ in replaces if name in ledger]
        other = [name for name, checksum in replaces if name in ledger and ledger[name] != checksum]
        if ran and len(ran) < len(replaces):
            findings.append(_half(facts, ran, [name for name, _ in replaces if name not in ledger]))
        elif other:
            findings.append(_other(facts, other))
        elif ran:
            known.append(facts.name)
        elif (state := by_name.get(facts.name)) is not None and state.state == "partly applied":
            findings.append(_unrecorded(facts, state))
    return Squashed(tuple(known), frozenset(names), tuple(findings))


def _half(facts: FileFacts, ran: Sequence[str], lacking: Sequence[str]) -> Finding:
    message = (
        f"{facts.name} stands for {len(ran) + len(lacking)} files, of which {len(ran)} ran here; "
        f"{_some(lacking)} did not"
    )
    remedy = (
        "Run the files that are lacking first, from the folder as it was before it was squashed (the archive, or the "
        "commit before); then come back with this one:"
    )
    return Finding(RULE, "refusal", message, None, remedy, (f"lancio apply FOLDER-AS-IT-WAS --to {lacking[-1]}",))


def _other(facts: FileFacts, other: Sequence[str]) -> Finding:
    message = f"{facts.name} stands for {_some(other)}, which ran here in another version than the one it was made of"
    remedy = "Compare the database with it (lancio drift), and if it is as it should be, take the file as what ran:"
    return Finding(RULE, "refusal", message, None, remedy, (f"lancio adopt FOLDER --only {facts.name}",))


def _unrecorded(facts: FileFacts, state: FileState) -> Finding:
    message = (
        f"{facts.name} stands for {len(facts.migration.replaces)} files; a part of what they make is here "
        f"({_some(state.missing)} is missing), and no ledger tells which of them ran"
    )
    remedy = "Finish the files that it stands for first, from the folder as it was before it was squashed:"
    return Finding(RULE, "refusal", message, None, remedy, ("lancio apply FOLDER-AS-IT-WAS --adopt",))


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return f"{', '.join(names[:SHOWN])}{f' and {more} more' if more > 0 else ''}"
