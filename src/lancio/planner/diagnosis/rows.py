"""Rows break a constraint: which, how many, how they are looked at, and what mends it without a loss?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lancio.planner import ways
from lancio.planner.diagnosis import naming
from lancio.planner.diagnosis.model import Answer
from lancio.planner.rows import identifier

if TYPE_CHECKING:
    from lancio.planner.diagnosis.model import Case, Rows

SHOWN = 20
"""Rows that a command shows."""


def null(case: Case) -> Answer | None:
    """NULL where there may be none."""
    said = case.said
    rows, column = case.evidence.rows, identifier(said.column) if said.column else "the column"
    if "contains null values" not in said.message:
        return Answer(
            f"The statement writes NULL into {column} of {said.relation or 'the table'}, which may hold none.",
            f"Give {column} a value in {case.file or 'the statement'}, or a DEFAULT before it.",
            "certain",
        )
    if rows is None or rows.count == 0:
        return _unseen(case, f"{said.relation} has rows with NULL in {said.column}.",
                       f"Fill {said.column} first (UPDATE … WHERE {said.column} IS NULL), then run it "
                       f"again.")  # fmt: skip
    if rows.default:
        return Answer(
            f"{_counted(rows)} have NULL in {column}.",
            f"Fill them first: {column} has a default.",
            "certain",
            commands=(
                _show(case, rows),
                case.way.sql(f"UPDATE {rows.table} SET {column} = DEFAULT WHERE {rows.condition}"),
            ),
            evidence=_evidence(rows),
            again=True,
        )
    return Answer(
        f"{_counted(rows)} have NULL in {column}.",
        f"Which value they are to have is for a person to say: UPDATE {rows.table} SET {column} = … WHERE "
        f"{rows.condition}. Then run it again.",
        "certain",
        commands=(_show(case, rows),),
        evidence=_evidence(rows),
    )


def foreign(case: Case) -> Answer | None:
    """A row that points at nothing, or one that is pointed at and would go."""
    said = case.said
    name = said.constraint or "the foreign key"
    if said.message.startswith("update or delete on table"):
        return Answer(
            f"Rows of {said.relation or 'another table'} still point at what the statement deletes or changes "
            f"({name}).",
            "Delete or change those first, or give the foreign key ON DELETE CASCADE or SET NULL.",
            "certain",
        )
    rows = case.evidence.rows
    if rows is not None and rows.count:
        return _set_aside(case, rows, f"{_counted(rows)} point at rows that are not there ({name}).")
    parent = re.search(rf"is not present in table {naming.QUOTED}", said.detail)
    if parent and case.graph is not None:
        made = naming.row_maker(case.graph, parent[1], but=case.file)
        if made is not None and case.applied is not None and made.name not in case.applied and case.facts is not None:
            names = [facts.name for facts in case.graph.files]
            if names.index(made.name) < names.index(case.file):
                cause, solution, files = ways.way(case.graph, case.file, made.name, case.applied)
                return Answer(
                    cause,
                    solution,
                    "likely",
                    commands=(case.way.lancio(*files, *(() if case.file in files else (case.file,))),),
                    instead=case.way.by_psql(*(case.graph.file(each) for each in files)),
                    evidence=(f"{made.name} puts rows into {parent[1]}", "the row that is pointed at is not there"),
                )
    at = f" of {parent[1]}" if parent else ""
    return _unseen(case, f"A row of {said.relation or 'the table'} points at a row{at} that is not there ({name}).",
                   "Apply the migration that makes the row, or mend the rows that point nowhere.")  # fmt: skip


def unique(case: Case) -> Answer | None:
    """Two rows with one key."""
    said, rows = case.said, case.evidence.rows
    name = said.constraint or "the key"
    if said.message.startswith("could not create unique index") and rows is not None and rows.count:
        cause = f"{_counted(rows)} share their key with another one ({name})."
        if rows.copies and rows.copies * 2 >= rows.count and not rows.referenced and rows.copy:
            aside = _aside(rows.table)
            return Answer(
                f"{cause} {rows.copies} of them are copies that differ in the primary key alone.",
                f"Move the copies into {aside}; the first of each stays.",
                "certain",
                commands=(
                    _show(case, rows),
                    case.way.sql(
                        f"CREATE TABLE {aside} AS SELECT * FROM {rows.table} AS t WHERE {rows.copy}",
                        f"DELETE FROM {rows.table} AS t WHERE {rows.copy}",
                    ),
                ),
                evidence=_evidence(rows),
                again=True,
            )
        return Answer(
            cause,
            "Which row of each is to stay is for a person to say. Delete or merge the others, then run it again.",
            "certain",
            commands=(_show(case, rows),),
            evidence=_evidence(rows),
        )
    if said.message.startswith("could not create unique index"):
        return _unseen(case, f"Rows of {said.relation or 'the table'} have the same key ({name}).",
                       "Remove or merge the duplicates first, then run it again.")  # fmt: skip
    return Answer(
        f"A row with that key is in {said.relation or 'the table'} already ({name}): it was made by an earlier run, or "
        "by hand. No two rows may have the same key.",
        "If it is the same row, write ON CONFLICT DO NOTHING; if not, give the new one another key. Where a sequence "
        "gives the key, it may have fallen behind: setval() to the highest one.",
        "likely",
    )


def check(case: Case) -> Answer | None:
    """A CHECK, a partition's bounds, or a domain's."""
    said, rows = case.said, case.evidence.rows
    name = said.constraint or "the constraint"
    if said.message.startswith("no partition of relation"):
        return Answer(
            f"{said.relation or 'The table'} has no partition for a row.",
            "Make the partition first (CREATE TABLE … PARTITION OF …), or one FOR VALUES … DEFAULT.",
            "certain",
        )
    if "is violated by some row" in said.message and rows is not None and rows.count:
        return _set_aside(case, rows, f"{_counted(rows)} do not satisfy {name}.")
    return _unseen(case, f"Rows of {said.relation or 'the table'} do not satisfy {name}.",
                   "Mend these rows first; or add the constraint NOT VALID, and validate it later.")  # fmt: skip


def exclusion(case: Case) -> Answer | None:
    """Rows that exclude each other."""
    rows = case.evidence.rows
    name = case.said.constraint or "the constraint"
    if rows is None or not rows.count:
        return None
    return Answer(
        f"{_counted(rows)} exclude each other by {name}.",
        "Which of each pair is to change is for a person to say. Mend them, then run it again.",
        "certain",
        commands=(_show(case, rows),),
        evidence=_evidence(rows),
    )


def unfit(case: Case) -> Answer | None:
    """Values in the rows that a column's new type does not take."""
    rows = case.evidence.rows
    if rows is None or not rows.count:
        return None
    return _set_aside(case, rows, f"{_counted(rows)} hold what the new type does not take.")


def _unseen(case: Case, cause: str, solution: str) -> Answer:
    """Where the database was not asked, or has no such rows: then the file itself, rolled back, made them."""
    rows = case.evidence.rows
    if rows is not None and rows.count == 0:
        return Answer(
            f"{cause} None of the rows that are there now does so: {case.file or 'the statement'} itself writes them.",
            f"Mend what {case.file or 'the statement'} writes.",
            "certain",
        )
    return Answer(cause, solution, "likely")


def _set_aside(case: Case, rows: Rows, cause: str) -> Answer:
    show = _show(case, rows)
    if rows.referenced:
        return Answer(
            cause,
            "Mend these rows; other tables point at them, so they cannot simply go. Then run it again. (A constraint "
            "that is added NOT VALID holds for new rows alone.)",
            "certain",
            commands=(show,),
            evidence=_evidence(rows),
        )
    aside = _aside(rows.table)
    return Answer(
        cause,
        f"Look at them, and mend them; or move them into {aside}, from where they can be put back.",
        "certain",
        commands=(
            show,
            case.way.sql(
                f"CREATE TABLE {aside} AS SELECT * FROM {rows.table} AS t WHERE {rows.condition}",
                f"DELETE FROM {rows.table} AS t WHERE {rows.condition}",
            ),
        ),
        evidence=_evidence(rows),
        again=True,
    )


def _aside(table: str) -> str:
    schema, dot, name = table.rpartition(".")
    bare = name.strip('"').replace('""', '"')
    return f"{schema}{dot}{identifier(bare[:52] + '_set_aside')}"


def _show(case: Case, rows: Rows) -> str:
    order = f" ORDER BY {', '.join(rows.key)}" if rows.key else ""
    return case.way.sql(f"SELECT * FROM {rows.table} AS t WHERE {rows.condition}{order} LIMIT {SHOWN}")


def _counted(rows: Rows) -> str:
    many = f"more than {rows.count}" if rows.more else str(rows.count)
    of = f" of {rows.total}" if rows.total >= rows.count and not rows.more and rows.total > 0 else ""
    return f"{many}{of} row{'' if rows.count == 1 and not of else 's'} of {rows.table}"


def _evidence(rows: Rows) -> tuple[str, ...]:
    if not rows.sample or not rows.key:
        return ()
    ends = "" if len(rows.sample) == rows.count and not rows.more else ", …"
    return (f"their {', '.join(rows.key)}: {', '.join(rows.sample)}{ends}",)
