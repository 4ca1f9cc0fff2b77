"""What is there to know of one file or one object before anything goes wrong: needs, makes, state, likely failures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lancio.planner import neighbourhood
from lancio.planner.diagnosis.model import Diagnosis, Way
from lancio.planner.diagnosis.rules import BY_STATE

if TYPE_CHECKING:
    from collections.abc import Collection

    from lancio.planner.chronicle import Chronicle
    from lancio.planner.model import FileFacts, Graph, Missing, Plan


@dataclass(frozen=True, slots=True)
class Account:
    """A file or an object explained. `state` is its state in the database, empty where none was asked.

    `failures` are what may go wrong when a file runs, each in the shape of any other diagnosis; `history` who made,
    changed and dropped an object.
    """

    subject: str
    kind: str  # "file", or the object's kind
    state: str = ""
    missing: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    failures: tuple[Diagnosis, ...] = ()
    commands: tuple[str, ...] = ()


def of_file(graph: Graph, name: str, *, plan: Plan | None = None, way: Way) -> Account:
    """What a file needs and makes, how it stands, and what is likely to go wrong with it."""
    facts = graph.file(name)
    needs = tuple(
        f"{item.object}" + (f" (from {item.provider})" if item.provider is not None else f" ({item.source})")
        for item in facts.requires
    )
    behind = tuple(dict.fromkeys(edge.file for edge in graph.edges if edge.needs == name and edge.strength != "order"))
    state = next((each for each in plan.states if each.name == name), None) if plan is not None else None
    said = ""
    if state is not None:
        said = state.state + (", in the ledger" if state.recorded else "") + (", EDITED since" if state.edited else "")
    unmet = tuple(_unmet(item) for item in plan.missing if item.file == name) if plan is not None else ()
    return Account(
        subject=name,
        kind="file",
        state=said,
        missing=state.missing if state is not None else (),
        needs=needs,
        makes=(*(effect.object for effect in facts.creates if not effect.implied), *facts.rows),
        needed_by=behind,
        failures=(*unmet, *_likely(facts)),
        commands=() if state is not None and state.recorded and state.state == "applied" else (way.lancio(name),),
    )


def of_object(
    chronicle: Chronicle, said: str, *, live: Collection[str] | None, way: Way, invalid: Collection[str] = ()
) -> Account:
    """Who makes, changes and drops an object, who needs it, and whether it is in the database.

    `live` are the full names of all that the database has, `invalid` of its indexes that no query uses. Raises
    UsageError where no file names such an object, or several are called so.
    """
    around = neighbourhood.of_object(chronicle, said)
    entries = around.history.entries if around.history is not None else ()
    names = around.history.names if around.history is not None else (around.said,)
    makers = dict.fromkeys(entry.at.file for entry in entries for did in entry.did if did == f"made {around.said}")
    state = ""
    if live is not None:
        called = [each for each in names if each.partition(" ")[2] in live]
        state = (
            f"in the database{f', as {called[-1]}' if called[-1] != around.said else ''}"
            if called
            else "not in the database"
        )
        if any(each.partition(" ")[2] in invalid for each in called):
            state += ", invalid: an attempt to build it was cut off; no query uses it"
    needs = [
        f"{because.object} at {because.at} (from {because.provider})"
        for edge in around.needs
        for because in edge.because
    ]
    users = [f"{because.at} ({because.at.text})" if because.at.text else str(because.at)
             for edge in around.needed_by for because in edge.because]  # fmt: skip
    return Account(
        subject=around.said,
        kind=around.said.partition(" ")[0],
        state=state,
        needs=tuple(dict.fromkeys(needs)),
        needed_by=tuple(dict.fromkeys(users)),
        history=tuple(
            f"{entry.at}: {', '.join(entry.did[:3])}{' …' if len(entry.did) > 3 else ''}" for entry in entries
        ),
        commands=(way.lancio(*makers),) if makers and state.startswith("not") else (),
    )


def _unmet(item: Missing) -> Diagnosis:
    """An unmet requirement of the preflight, as a diagnosis: the same words, before the run."""
    state = {"relation": "42P01", "column": "42703", "routine": "42883", "schema": "3F000", "privilege": "42501",
             "row": "P0001", "extension": "42704", "name": "42P07", "dependents": "2BP01"}.get(item.requirement.kind,
             "42704")  # fmt: skip
    return Diagnosis(
        message=item.message,
        cause=item.cause,
        solution=item.solution,
        commands=item.commands,
        where=str(item.requirement.at),
        confidence="certain",
        sqlstate=state,
        rule=BY_STATE[state].name,
    )


_LIKELY: tuple[tuple[str, str, str], ...] = (
    # What a statement says, the SQLSTATE that it can end with, and when.
    (r"\bSET\s+NOT\s+NULL\b", "23502", "it fails where a row has NULL there"),
    (r"\bCREATE\s+UNIQUE\s+INDEX\b|^\s*ALTER\s+TABLE\b.*\bADD\b.*\b(?:UNIQUE|PRIMARY\s+KEY)\b", "23505",
     "it fails where two rows have one key"),
    (r"^\s*ALTER\s+TABLE\b.*\b(?:FOREIGN\s+KEY|REFERENCES)\b(?!.*\bNOT\s+VALID\b)", "23503",
     "it fails where a row points at nothing"),
    (r"^\s*ALTER\s+TABLE\b.*\bADD\b.*\bCHECK\s*\((?!.*\bNOT\s+VALID\b)", "23514",
    "it fails where a row does not satisfy it"),
    (r"^\s*ALTER\s+TABLE\b.*\bEXCLUDE\b", "23P01", "it fails where two rows exclude each other"),
    (r"\bVALIDATE\s+CONSTRAINT\b", "23514", "it fails where a row does not satisfy it"),
    (r"^\s*ALTER\s+TABLE\b.*\bALTER\b.*\bTYPE\b", "22P02", "it fails where a value cannot be turned into the new type"),
    (r"^\s*(?:ALTER\s+TABLE\b.*\bDROP\s+COLUMN|DROP)\b(?!.*\bCASCADE\b)", "2BP01",
    "it fails where something stands on it"),
)  # fmt: skip


def _likely(facts: FileFacts) -> tuple[Diagnosis, ...]:
    found: dict[tuple[str, int], Diagnosis] = {}
    there = {lock.line for lock in facts.locks}
    for statement in facts.statements:
        for pattern, state, when in _LIKELY:
            if statement.span.line in there and re.search(pattern, statement.sql, re.IGNORECASE | re.DOTALL):
                found.setdefault(
                    (state, statement.span.line), _may(facts, state, statement.span.line, statement.summary, when)
                )
    strong = [lock for lock in facts.locks if lock.mode == "ACCESS EXCLUSIVE"]
    if strong:
        lock = strong[0]
        more = (
            f" and {len({each.relation for each in strong}) - 1} more"
            if len({each.relation for each in strong}) > 1
            else ""
        )
        said = (
            f"it needs {lock.mode} on {lock.relation}{more}, which a long transaction of another session keeps from it"
        )
        found[("55P03", lock.line)] = _may(facts, "55P03", lock.line, "", said)
    for place in facts.opaque:
        found[("P0001", place.at.line)] = _may(
            facts, "P0001", place.at.line, place.at.text, f"not to be seen before it runs: {place.reason}"
        )
    return tuple(found.values())


def _may(facts: FileFacts, state: str, line: int, summary: str, when: str) -> Diagnosis:
    rule = BY_STATE[state]
    what = f"{summary}: " if summary else ""
    solution = rule.solution
    for word, value in {
        "{relation}": "the table",
        "{column}": "the column",
        "{constraint}": "it",
        "{file}": facts.name,
    }.items():
        solution = solution.replace(word, value)
    return Diagnosis(
        message=f"{what}{when}",
        cause=f"{what}{when}.",
        solution=solution,
        where=f"{facts.name}:{line}",
        confidence="general",
        sqlstate=state,
        rule=rule.name,
    )
