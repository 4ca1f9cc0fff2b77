"""The statement itself does not fit: its grammar, its types, its place in a transaction, what the server can do."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from lancio.planner.diagnosis import missing, naming, present, rows, sessions
from lancio.planner.diagnosis.masking import masked
from lancio.planner.diagnosis.model import Answer
from lancio.planner.rows import literal

if TYPE_CHECKING:
    from lancio.planner.diagnosis.model import Case

COMMANDS = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "TABLE", "INDEX", "UNIQUE", "REFERENCES",
    "PRIMARY", "FOREIGN", "CONSTRAINT", "DEFAULT", "COLUMN", "FUNCTION", "TRIGGER", "EXTENSION", "SCHEMA", "SEQUENCE",
    "VALUES", "RETURNS", "LANGUAGE", "GRANT", "REVOKE", "POLICY", "WHERE", "FROM", "CASCADE", "EXISTS", "CONCURRENTLY",
    "MATERIALIZED", "VIEW", "BEGIN", "COMMIT", "COMMENT", "TRUNCATE", "RENAME", "REPLACE", "PROCEDURE", "DOMAIN",
)  # fmt: skip
"""Words that begin or carry a migration's statements: what a misspelled one may have been meant to be."""

NEWER = {
    "MERGE": 15, "NULLS NOT DISTINCT": 15, "security_invoker": 15, "GENERATED ALWAYS AS": 12, "DETACH PARTITION": 14,
    "INCLUDE": 11, "CREATE PROCEDURE": 11, "CALL": 11, "ATTACH PARTITION": 10, "WITHOUT OVERLAPS": 18, "VIRTUAL": 18,
    "NOT ENFORCED": 18, "ONLY_DATABASE_STATS": 16,
}  # fmt: skip
"""Words of statements, and the major version of PostgreSQL that learned them."""


def grammar(case: Case) -> Answer | None:
    """A text that PostgreSQL's grammar does not accept."""
    found = re.search(r"syntax error at or near \"(.*)\"", case.said.message, re.DOTALL)
    word = found[1] if found else ""
    text = case.said.inner or (case.spot.sql if case.spot else "")
    version = case.evidence.version // 10000
    for words, since in NEWER.items():
        if version and version < since and re.search(rf"(?i)\b{words}\b", text):
            return Answer(
                f"{words} is known from PostgreSQL {since} on, and this server is {version}.",
                "Upgrade the server, or write it without.",
                "likely",
            )
    if word.startswith("\\") or re.match(r"(?m)^\s*\\", text):
        return Answer(
            f"{word or 'The line'} is a command of psql, not of the server.",
            "Run the file by psql, or take the line out.",
            "certain",
        )
    near = difflib.get_close_matches(word.upper(), COMMANDS, n=1, cutoff=0.75) if word else []
    if near and near[0] != word.upper():
        right = near[0] if word.isupper() else near[0].lower()
        edit = case.edit(word, right)
        return Answer(f'"{word}" is no word of the grammar here. Did you mean {right}?', f"Write {right}.", "likely",
                      commands=edit, again=bool(edit))  # fmt: skip
    if case.said.message.startswith("syntax error at end of input"):
        return Answer("The statement ends before it is complete.", "Look for a bracket or a quote that is not closed, "
                      "or a part that is missing.", "likely")  # fmt: skip
    if word:
        return Answer(
            f'PostgreSQL\'s grammar does not accept the statement at "{masked(word)}".',
            "Look at that word and the one before it: a comma too many or too few, a bracket, a reserved word that "
            "needs double quotes.",
            "likely",
        )
    return None


def cast(case: Case) -> Answer | None:
    """Types that do not fit together, and the cast that PostgreSQL itself names."""
    said = case.said
    column = re.match(rf"column {naming.QUOTED} cannot be cast automatically to type ([\w\s\[\]().,\"]+)", said.message)
    if column:
        using = re.search(r"USING (.+?)\"?\.", said.hint)
        expression = using[1] if using else f'"{column[1]}"::{column[2]}'
        old = _type_clause(case)
        edit = case.edit(old, f"{old} USING {expression}") if old else ()
        return Answer(
            f"The rows' {column[1]} is not turned into {column[2]} by itself.",
            f"Say how: USING {expression}.",
            "certain",
            commands=edit,
            again=bool(edit),
        )
    expression = re.match(r"column \"([^\"]+)\" is of type (.+?) but expression is of type (.+)", said.message)
    if expression:
        return Answer(
            f"{expression[1]} is of type {expression[2]}, and the statement gives it {expression[3]}.",
            f"Write the cast: (…)::{expression[2]}.",
            "certain",
        )
    foreign = re.match(r"foreign key constraint \"([^\"]+)\" cannot be implemented", said.message)
    if foreign:
        return Answer(
            f"The two sides of {foreign[1]} are of types that cannot be compared"
            + (f": {masked(said.detail)}" if said.detail else "."),
            "Give the pointing column the type of the one that it points at.",
            "certain",
        )
    return None


def _type_clause(case: Case) -> str:
    """The words `TYPE x` of an ALTER COLUMN as the statement has them, on one line and without USING."""
    found = re.search(
        r"(?i)\bTYPE[ \t]+[\w\"]+(?:[ \t]*\([^()\n]*\))?(?:[ \t]+(?:varying|precision)(?:[ \t]*\([^()\n]*\))?)?"
        r"(?:\[\])?(?![ \t]+USING)(?=[ \t]*(?:[;,']|$|\n))",
        case.spot.sql if case.spot else case.statement,
    )
    return found[0] if found else ""


def no_cast(case: Case) -> Answer | None:
    """No cast between two types: the way over text."""
    found = re.match(r"cannot cast type (.+?) to (.+)", case.said.message)
    if not found:
        return None
    source, target = found[1], found[2]
    spelled = re.search(r"([\w\".]+|\([^()\n]*\)|'[^'\n]*')\s*::\s*(?!text\b)([\w\"]+)", case.statement)
    edit: tuple[str, ...] = ()
    if spelled:
        old = spelled[0]
        edit = case.edit(old, f"{spelled[1]}::text::{spelled[2]}")
    return Answer(
        f"PostgreSQL has no cast from {source} to {target}.",
        "Go by text (x::text::type) where both are written alike, or write a CASE.",
        "likely",
        commands=edit,
        again=bool(edit),
    )


def transaction(case: Case) -> Answer | None:
    """A statement that cannot stand where it stands in a transaction."""
    said = case.said
    if "SET TRANSACTION" in said.message and "before any query" in said.message:
        return Answer(
            "SET TRANSACTION comes after a query; it must be the first of its transaction.",
            "Let it be the file's first statement.",
            "certain",
        )
    if re.search(r"(?i)\bCONCURRENTLY\b", said.message) or re.search(r"(?i)\bCONCURRENTLY\b", case.statement):
        word = next(iter(re.findall(r"(?i)\s?\bCONCURRENTLY\b", case.spot.sql if case.spot else case.statement)), "")
        edit = case.edit(word, "") if word else ()
        return Answer(
            "CONCURRENTLY cannot run inside a transaction block, nor in a routine.",
            "Put the statement into a file of its own, where Lancio runs it by itself; or, where the table is small, "
            "do without CONCURRENTLY (it then blocks writing while it runs).",
            "certain",
            commands=edit,
            again=bool(edit),
        )
    found = re.match(r"(.+?) cannot (?:run inside a transaction block|be executed from)", said.message)
    if found:
        return Answer(
            f"{found[1]} cannot run inside a transaction block.",
            "Put it into a file of its own; what Lancio does not run by itself there (it does VACUUM and "
            "CONCURRENTLY), run by psql.",
            "certain",
        )
    return None


def unsupported(case: Case) -> Answer | None:
    """Something that PostgreSQL does not do here."""
    said = case.said
    if found := re.match(rf"extension {naming.QUOTED} is not available", said.message):
        return missing.extension(case, found[1].replace('""', '"'))
    if re.match(r"cannot alter type of a column used", said.message):
        return present.dependents(case)
    if re.match(r"(?:unsupported|unrecognized) ", said.message) or "not supported" in said.message:
        version = case.evidence.version // 10000
        here = f" (this server is PostgreSQL {version})" if version else ""
        return Answer(f"PostgreSQL does not do this here{here}.", "Write it another way.", "likely")
    if said.detail:
        return Answer(f"PostgreSQL does not do this here: {masked(said.detail)}",
                      "Look at what it names: something that stands on the object, or a feature of another version.",
                      "likely")  # fmt: skip
    return None


def control_file(case: Case) -> Answer | None:
    """A file that the server looks for and does not have; older versions say so of an extension."""
    found = re.search(r"could not open extension control file \"[^\"]*/([\w-]+)\.control\"", case.said.message)
    return missing.extension(case, found[1]) if found else None


def state(case: Case) -> Answer | None:
    """An object that is not in the state that the statement needs."""
    said = case.said
    if said.message.startswith("the session does not have the active key of organization"):
        bare = tuple(f"env -u REDIS_URL -u MONGO_URL {each}" for each in case.again if each.startswith("lancio "))
        return Answer(
            "The organization has a data key of its own, which no run of migrations is given: `lancio db` has it.",
            "Run the step without the connection string, which leaves a placeholder, and then replace that.",
            "certain",
            commands=(*bare, "lancio db update --from-env --org lancio"),
        )
    unfilled = re.match(rf"materialized view {naming.QUOTED} has not been populated", said.message)
    if unfilled:
        name = _named_in(case.statement, unfilled[1])
        return Answer(
            f"{unfilled[1]} was made WITH NO DATA and has no rows to be read yet.",
            "Fill it first.",
            "certain",
            commands=(case.way.sql(f"REFRESH MATERIALIZED VIEW {name}"),),
            again=True,
        )
    together = re.match(r"cannot refresh materialized view \"([^\"]+)\" concurrently", said.message)
    if together:
        word = next(iter(re.findall(r"(?i)\s?\bCONCURRENTLY\b", case.spot.sql if case.spot else "")), "")
        edit = case.edit(word, "") if word else ()
        return Answer(
            f"{together[1]} has no unique index over plain columns of all its rows, which CONCURRENTLY needs.",
            "Make one (CREATE UNIQUE INDEX … ON it), or refresh it without CONCURRENTLY.",
            "certain",
            commands=edit,
            again=bool(edit),
        )
    if "currval" in said.message and "not yet defined" in said.message:
        return Answer("currval() asks for a value that nextval() has not given in this session.",
                      "Call nextval() first, or let INSERT … RETURNING give the key.", "certain")  # fmt: skip
    if "is not in a state" not in said.message and "must be loaded via shared_preload_libraries" in said.message:
        return Answer("The extension must be loaded when the server starts.",
                      "Add it to shared_preload_libraries and restart the server.", "certain")  # fmt: skip
    if "cannot be dropped because it is in use" in said.message or "is being accessed by other users" in said.message:
        return in_use(case)
    return None


def _named_in(sql: str, name: str) -> str:
    """A name as the statement writes it, with its schema where it has one."""
    found = re.search(rf"(?i)(?:(?:[\w$]+|\"[^\"]+\")\.)?\"?{re.escape(name)}\"?", sql)
    return found[0] if found else '"' + name.replace('"', '""') + '"'


def in_use(case: Case) -> Answer | None:
    """An object that somebody is at work with: this transaction itself, or other sessions."""
    said = case.said
    if "pending trigger events" in said.message:
        facts, edit = case.facts, ""
        if facts is not None and case.spot is not None:
            text = facts.migration.text.decode(errors="replace").split("\n")
            opening = case.spot.sql.split("\n", 1)[0]
            line = text[case.spot.line - 1] if case.spot.line <= len(text) else ""
            if opening and line.lstrip().startswith(opening[:20]):
                edit = case.way.edit(facts, case.spot.line, "", "SET CONSTRAINTS ALL IMMEDIATE; ")
        return Answer(
            "An earlier statement of the same transaction left deferred checks on the table, which have to be done "
            "before it can be altered.",
            "Let SET CONSTRAINTS ALL IMMEDIATE stand before the statement, or put it into a file of its own.",
            "certain",
            commands=(edit,) if edit else (),
            again=bool(edit),
        )
    if "being used by active queries in this session" in said.message:
        return Answer("A query of the same session is still open on the table: a trigger or a routine alters what it "
                      "stands on.", "Alter the table outside of that routine.", "certain")  # fmt: skip
    if "is being accessed by other users" in said.message or "in use" in said.message:
        return sessions.ended(case, "Other sessions use it.")
    return None


def volatile(case: Case) -> Answer | None:
    """An expression that must always give the same, and calls what need not."""
    message = case.said.message
    if "must be marked IMMUTABLE" in message or "is not immutable" in message:
        named = f" ({', '.join(case.evidence.functions[:3])})" if case.evidence.functions else ""
        return Answer(
            f"The expression calls a function that may give another value another time{named}.",
            "Write it with immutable functions alone: a timestamptz AT TIME ZONE 'UTC', to_tsvector('english', x) with "
            "its configuration; mark a function of your own IMMUTABLE only if it truly is.",
            "certain",
        )
    if "infinite recursion detected in policy" in message:
        return Answer(
            "The policy asks its own table, whose policy asks again.",
            "Ask through a SECURITY DEFINER function that passes by row level security.",
            "certain",
        )
    return None


def parameter(case: Case) -> Answer | None:
    """A value that a setting or an option does not take; SET ROLE of a role that is not there is one as well."""
    said = case.said
    if answer := missing.role(case):
        return answer
    found = re.match(r"invalid value for parameter \"([^\"]+)\"", said.message)
    if found:
        hint = f" {masked(said.hint)}" if said.hint else ""
        columns = "name, setting, unit, vartype, min_val, max_val, enumvals"
        return Answer(
            f"{found[1]} does not take that value.{hint}",
            "Write one that it takes; the command shows which these are.",
            "certain",
            commands=(case.way.sql(f"SELECT {columns} FROM pg_settings WHERE name = {literal(found[1])}"),),
        )
    return None


def reserved(case: Case) -> Answer | None:
    """A name that PostgreSQL keeps for itself."""
    found = re.match(
        r"(?:unacceptable schema name|role name|unacceptable tablespace name) \"([^\"]+)\"", case.said.message
    )
    if not found:
        return None
    return Answer(
        f"{found[1]} is a name that PostgreSQL keeps for itself"
        + (": what begins with pg_ is its own." if found[1].startswith("pg_") else "."),
        "Choose another name.",
        "certain",
    )


def raised(case: Case) -> Answer | None:
    """A file's own RAISE: about an object that is not there, or with a HINT that names the file to run."""
    if answer := missing.anything(case):
        return answer
    if case.graph is None:
        return None
    said = case.said
    for text in (said.hint, said.detail, said.message):
        named = [
            facts
            for facts in case.graph.files
            if facts.name != case.file and re.search(rf"(?<![\w./-]){re.escape(facts.name)}(?![\w-])", text)
        ]
        if named:
            names = [facts.name for facts in named]
            return Answer(
                _own_words(case),
                masked(said.hint or f"Run {' and '.join(names)} first."),
                "likely",
                commands=(case.way.lancio(*names, *((case.file,) if case.file else ())),),
                instead=case.way.by_psql(*named),
            )
    if said.hint or said.detail:
        return Answer(_own_words(case), masked(said.hint or "Do what its message asks for."), "likely")
    return None


def _own_words(case: Case) -> str:
    who = case.file or "The statement"
    return masked(case.said.detail) if case.said.detail else f"{who} raised this error itself."


def value(case: Case) -> Answer | None:
    """A value that does not fit its type: in the rows, where a column changes its type, else in the statement."""
    said = case.said
    if unfit := rows.unfit(case):
        return unfit
    if re.search(r"value too long for type", said.message):
        found = re.search(r"value too long for type (.+)", said.message)
        return Answer(f"A text is longer than {found[1] if found else 'the type'} takes.",
                      "Shorten it, or give the column a longer type.", "certain")  # fmt: skip
    if "out of range" in said.message:
        return Answer("A number or a time is beyond what its type can hold.",
                      "Give the column a wider type (bigint, numeric), or mend the value.", "certain")  # fmt: skip
    return None
