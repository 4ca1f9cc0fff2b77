"""Something that a statement makes is there already, or what is there does not fit it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lancio.planner.diagnosis import naming
from lancio.planner.diagnosis.masking import masked
from lancio.planner.diagnosis.model import Answer
from lancio.planner.rows import identifier, qualified

if TYPE_CHECKING:
    from lancio.planner.diagnosis.model import Case, Dependent
    from lancio.planner.diagnosis.naming import Thing


def anything(case: Case) -> Answer | None:
    """A name that is taken: by the same file run before, by another file, or by something else."""
    thing = naming.present(case.said.message)
    if thing is None:
        return None
    by = _maker(case, thing)
    standing = case.evidence.standing
    if by is not None and by[0] != case.file and case.file:
        return Answer(
            f"{thing} is created by {by[0]}:{by[1]} as well.",
            f"Let one of {by[0]} and {case.file} create it.",
            "certain",
            commands=(case.way.status(),),
        )
    cause = (
        f"{thing} is in the database already: {case.file} was run here before, by hand or in part, or something else "
        "made it."
        if by is not None
        else f"{thing} is in the database already, and no file that the ledger has made it."
        if case.graph is not None
        else f"{thing} is in the database already."
    )
    if standing is None:
        return Answer(cause, "See how this file stands; if all of it is there, it need not run again.", "likely",
                      commands=(case.way.status(),) if case.graph is not None else ())  # fmt: skip
    evidence = [f"{standing.kind} {standing.name} " + _fill(standing.rows)]
    evidence += [f"{each} stands on it" for each in standing.dependents[:5]]
    if not standing.idle:
        rows = case.way.sql(f"SELECT * FROM {standing.name} LIMIT 20") if standing.rows > 0 else ""
        return Answer(
            cause,
            "It is in use. If it is the file's own, the file need not run; if not, rename one of them.",
            "certain",
            commands=tuple(filter(None, (case.way.status(), rows))),
            evidence=tuple(evidence),
        )
    return Answer(
        cause,
        "Nothing is in it and nothing stands on it: drop it, and let the file make it."
        if standing.rows == 0
        else "Nothing stands on it: drop it, and let the file make it.",
        "certain",
        commands=(case.way.sql(standing.drop),),
        evidence=tuple(evidence),
        again=True,
    )


def _fill(rows: int) -> str:
    if rows < 0:
        return "is there"
    return "has no rows" if rows == 0 else f"has {rows} row{'' if rows == 1 else 's'}" if rows < 1000 else "has rows"


def _maker(case: Case, thing: Thing) -> tuple[str, int] | None:
    if case.graph is None:
        return None
    if (own := case.facts) is not None:
        for effect in own.creates:
            if naming.same_kind(thing.kind, effect) and naming.same_name(thing, effect):
                return own.name, effect.line
    made = naming.maker(case.graph, thing, but=case.file)
    if made is not None and (case.applied is None or made.facts.name in case.applied):
        return made.facts.name, made.effect.line
    return None


def other_definition(case: Case) -> Answer | None:
    """OR REPLACE cannot turn what is there into what is wanted: it has to go first."""
    message = case.said.message
    view = re.match(
        r"cannot (?:drop columns from|change name of|change data type of|change collation of) view", message
    )
    hinted = re.search(r"Use (DROP (?:FUNCTION|PROCEDURE|ROUTINE) .+?) first", case.said.hint)
    if hinted:
        drop, what = hinted[1], hinted[1].partition(" ")[2].partition(" ")[2]
    elif view:
        made = re.search(r"(?is)\bVIEW\s+((?:[\w$]+|\"[^\"]+\")(?:\.(?:[\w$]+|\"[^\"]+\"))?)", case.statement)
        if not made:
            return None
        drop, what = f"DROP VIEW {made[1]}", made[1]
    else:
        return None
    dependents = case.evidence.dependents
    cause = f"{what} is there with another {'shape' if view else 'signature'}, and OR REPLACE cannot change that"
    if dependents:
        return _rebuilt(case, cause, dependents, first=drop)
    return Answer(
        f"{cause}.",
        "Drop the old one first; the file makes the new one.",
        "certain",
        commands=(case.way.sql(drop),),
        evidence=("privileges granted on it go with it",),
        again=True,
    )


def dependents(case: Case) -> Answer | None:
    """Something stands on what a statement drops or changes."""
    said = case.said
    detail = said.detail or "\n".join(_listed(case))
    standing = case.evidence.dependents
    listed = [line.strip() for line in detail.splitlines() if line.strip()][:6]
    cause = "Other objects stand on it"
    if listed:
        cause += f": {masked('; '.join(listed))}"
    makers = []
    if case.graph is not None:
        for each in standing:
            thing = naming.Thing(each.kind.rpartition(" ")[2] if each.kind != "materialized view" else each.kind,
                                 each.name.replace('"', ""))  # fmt: skip
            if (made := naming.maker(case.graph, thing)) is not None:
                makers.append(f"{made.facts.name}:{made.effect.line} makes {made.effect.object}")
    return _rebuilt(case, cause, standing, evidence=tuple(makers))


def _listed(case: Case) -> list[str]:
    return [f"{each} depends on it" for each in case.evidence.dependents]


def _rebuilt(
    case: Case, cause: str, standing: tuple[Dependent, ...], *, first: str = "", evidence: tuple[str, ...] = ()
) -> Answer:
    """Drop views and rules of no data, run the file, and make them again; anything else is a person's to decide."""
    light = bool(standing) and all(each.definition for each in standing)
    if not light:
        return Answer(
            cause + ".",
            "Drop or change those first, in the same file, rather than by CASCADE, which takes them away unseen.",
            "likely",
            evidence=evidence or tuple(f"{each} stands on it" for each in standing[:6]),
        )
    drops = [f"DROP {each.kind.upper()} {each.name}" for each in standing]
    commands = [case.way.sql(*drops, *([first] if first else []))]
    gone = _drops_it(case)
    if not gone:
        again = [each.definition for each in reversed(standing)]
        commands += [*case.again, case.way.sql(*again)]
    return Answer(
        cause + ".",
        "Views hold no rows: drop them, and run the file."
        if gone
        else "Views hold no rows: drop them, run the file, and make them again as they were (rights on them are "
        "granted anew).",
        "certain",
        commands=tuple(commands),
        evidence=evidence,
        again=gone,
    )


def _drops_it(case: Case) -> bool:
    """Whether the statement takes away what they stand on, so that they cannot come back."""
    return bool(re.search(r"(?i)^\s*DROP\b|\bDROP\s+COLUMN\b", case.statement or case.said.message)) or (
        case.said.message.startswith("cannot drop")
    )


def primary_key(case: Case) -> Answer | None:
    """A second primary key, or another definition that a table cannot take."""
    if other := other_definition(case):
        return other
    found = re.match(rf"multiple primary keys for table {naming.QUOTED} are not allowed", case.said.message)
    if not found:
        return None
    standing = case.evidence.standing
    if standing is None or standing.dependents:
        return Answer(
            f"{found[1]} has a primary key already"
            + (f" ({standing.name}), and foreign keys stand on it." if standing else "."),
            "Take the new one out of the file, or let the file drop the old one first.",
            "certain",
        )
    return Answer(
        f"{found[1]} has a primary key already: {standing.name}.",
        "If the new one is to take its place, drop the old one first; no foreign key stands on it.",
        "certain",
        commands=(case.way.sql(standing.drop),),
        again=True,
    )


def enum_value(case: Case) -> Answer | None:
    """A value of an enum that the same transaction has added."""
    found = re.match(r"unsafe use of new value \"(.*)\" of enum type ([\w.\"]+)", case.said.message)
    if not found:
        return None
    label, type_ = found[1], found[2]
    facts = case.facts
    name = type_.replace('"', "")
    add = f"ALTER TYPE {qualified(name) if '.' in name else identifier(name)} ADD VALUE IF NOT EXISTS "
    add += "'" + label.replace("'", "''") + "'"
    edit = ""
    if facts is not None:
        for statement in facts.statements:
            words = re.search(r"(?i)\bADD\s+VALUE\s+(?!IF\b)", statement.sql)
            if words and label in statement.sql:
                line = statement.span.line + statement.sql.count("\n", 0, words.start())
                edit = case.way.edit(facts, line, words[0].rstrip(), words[0].rstrip() + " IF NOT EXISTS")
                break
    return Answer(
        f"The value '{label}' is added and used in one transaction; PostgreSQL lets it be used only after that.",
        "Add it in a transaction of its own first, and let the file add it IF NOT EXISTS; or part the file.",
        "certain",
        commands=(case.way.sql(add), *((edit,) if edit else ())),
        again=True,
    )
