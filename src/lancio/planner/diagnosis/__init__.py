"""What does PostgreSQL's error mean here, and what is to be typed?

Four things answer: the SQLSTATE with the error's own fields, the object that the message names, the graph, which knows
the file that makes it, and, where it was asked, the live database (`Evidence`; the asking is executor/evidence.py's).
The words are the specification's: an error, its cause, its solution, and the commands that carry it out.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from lancio.planner.diagnosis.masking import masked, masked_detail
from lancio.planner.diagnosis.model import Answer, Case, Diagnosis, Evidence, Said, Spot, Way
from lancio.planner.diagnosis.rules import rule_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from lancio.planner.diagnosis.model import Rule
    from lancio.planner.model import Graph, Place

__all__ = ["Diagnosis", "Evidence", "Said", "Spot", "Way", "diagnose", "masked", "rule_of"]


def diagnose(
    said: Said, *, graph: Graph | None = None, file: str = "", at: Place | None = None, where: str = "",
    way: Way | None = None, spot: Spot | None = None, evidence: Evidence | None = None,
    applied: Collection[str] | None = None,
) -> Diagnosis:  # fmt: skip
    """Turn a server's error into cause and solution.

    `file` is the migration that failed, if one did, and `spot` its statement; `where` the place as it should be shown,
    else `at` is. `applied` names the files that are applied in the database at hand, where one was asked.
    """
    rule = rule_of(said.sqlstate)
    case = Case(
        said,
        graph,
        file,
        spot,
        evidence or Evidence(),
        way or Way(shlex.quote(graph.folder) if graph else "."),
        frozenset(applied) if applied is not None else None,
    )
    # An SQLSTATE alone says no more than its rule, unless the database knows who it is about.
    known = rule.answer is not None and bool(said.message or case.evidence.holders or case.evidence.slots)
    answer = (rule.answer(case) if known and rule.answer else None) or _hinted(case) or _usual(case, rule)
    commands = (*answer.commands, *(case.again if answer.again else ()))
    if not commands and rule.passes:
        commands = case.again
    left = tuple(f"index {each} was left invalid by an earlier attempt" for each in case.evidence.invalid)
    late = tuple(f"{each} could not be asked in time" for each in case.evidence.unfinished)
    return Diagnosis(
        message=masked(said.message),
        cause=masked(answer.cause),
        solution=answer.solution,
        commands=tuple(dict.fromkeys(commands)),
        where=where or (str(at) if at else ""),
        confidence=answer.confidence,
        sqlstate=said.sqlstate,
        detail=masked_detail(said.sqlstate, said.detail),
        hint=masked(said.hint),
        rule=rule.name,
        evidence=(*answer.evidence, *left, *late),
        instead=answer.instead,
    )


def _hinted(case: Case) -> Answer | None:
    """A file's own guard says in its HINT which file to run, whatever SQLSTATE it raises."""
    from lancio.planner.diagnosis import statements

    if case.said.sqlstate[:2] in ("P0", "55", "42", "22", "3F", "0A", "02") and case.said.hint:
        answer = statements.raised(case)
        return answer if answer is not None and (answer.commands or case.said.sqlstate[:2] == "P0") else None
    return None


def _usual(case: Case, rule: Rule) -> Answer:
    fill = {
        "{relation}": case.said.relation or "the table",
        "{column}": case.said.column or "the column",
        "{constraint}": case.said.constraint or "the constraint",
        "{file}": case.file or "the statement",
    }
    cause, solution = rule.cause, rule.solution
    for word, value in fill.items():
        cause, solution = cause.replace(word, value), solution.replace(word, value)
    cause, solution = cause[0].upper() + cause[1:], solution[0].upper() + solution[1:]
    if case.said.hint:
        # The one who raised it knows better than a table of codes.
        solution = masked(case.said.hint)
    return Answer(cause, solution, rule.confidence)
