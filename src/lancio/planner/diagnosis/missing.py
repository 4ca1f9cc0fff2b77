"""Something that a statement needs is not there: who makes it, who took it away, what was meant?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lancio.planner import ways
from lancio.planner.diagnosis import naming
from lancio.planner.diagnosis.model import Answer
from lancio.planner.rows import identifier, qualified

if TYPE_CHECKING:
    from lancio.planner.diagnosis.model import Case
    from lancio.planner.diagnosis.naming import Thing
    from lancio.planner.model import Effect

PACKAGES = {
    "postgis": "postgresql-{v}-postgis-3", "postgis_topology": "postgresql-{v}-postgis-3",
    "vector": "postgresql-{v}-pgvector", "pg_cron": "postgresql-{v}-cron", "pg_partman": "postgresql-{v}-partman",
    "pgaudit": "postgresql-{v}-pgaudit", "hypopg": "postgresql-{v}-hypopg", "pg_repack": "postgresql-{v}-repack",
    "plpython3u": "postgresql-plpython3-{v}", "plperl": "postgresql-plperl-{v}", "pltcl": "postgresql-pltcl-{v}",
    "pglogical": "postgresql-{v}-pglogical", "orafce": "postgresql-{v}-orafce", "rum": "postgresql-{v}-rum",
    "timescaledb": "timescaledb-2-postgresql-{v}", "plv8": "postgresql-{v}-plv8",
}  # fmt: skip
"""Debian's packages of extensions that the contrib package does not hold."""


def anything(case: Case) -> Answer | None:
    """Cause and solution where the message names an object that is not there."""
    thing = naming.missing(case.said.message)
    if thing is None:
        return None
    if thing.kind == "extension" and "is not available" in case.said.message:
        return extension(case, thing.name)
    if thing.kind == "database":
        return database(case)
    if thing.kind in ("prepared statement", "cursor", "savepoint"):
        return None
    return (
        _written_wrong(case, thing)
        or _not_applied(case, thing)
        or _taken_away(case, thing)
        or _meant(case, thing)
        or _nowhere(case, thing)
    )


def _not_applied(case: Case, thing: Thing) -> Answer | None:
    """The specification's words, as the preflight has them: which file makes it, and that it was not run."""
    made = naming.maker(case.graph, thing, but=case.file) if case.graph is not None else None
    if made is None or case.graph is None:
        return None
    provider = made.facts.name
    applied = case.applied
    names = [facts.name for facts in case.graph.files]
    inside = case.file in names
    says = f"{provider}:{made.effect.line} creates {made.effect.object}"
    if applied is not None and provider in applied:
        went = naming.gone(case.graph, thing, until=case.file)
        if went is not None and names.index(went.file) >= names.index(provider):
            return None
        if made.effect.name in case.evidence.names:
            return _out_of_sight(case, thing, made.effect)
        return Answer(
            f"{ways.label(case.graph, provider)} is applied here, but {thing} is not there any more: it was taken "
            "away by hand, or stands in another schema than the search_path names.",
            f"Run {provider} again, if it may be run again.",
            "likely",
            commands=(case.way.lancio(provider),),
            instead=case.way.by_psql(made.facts),
            evidence=(says, *_near(case, thing)),
            again=True,
        )
    late = inside and names.index(provider) > names.index(case.file)
    if not inside or late:
        cause = f"{ways.label(case.graph, provider)} not applied"
        files: tuple[str, ...] = (provider,)
        if late:
            cause = f"{case.file} needs what {provider} makes, and its name puts it before that"
        solution = f"Run {provider} first"
        if not late:
            cause, solution, files = _way_alone(case, provider)
    else:
        known = applied if applied is not None else ways.unknown(case.graph, provider)
        cause, solution, files = ways.way(case.graph, case.file, provider, frozenset(known) - {provider})
    facts = [case.graph.file(name) for name in files]
    wanted = list(dict.fromkeys((*files, *((case.file,) if case.file else ()))))
    return Answer(
        cause,
        solution,
        # Which files ran is known from the database alone; that a file comes too early is known from the folder.
        "certain" if late or applied is not None else "likely",
        commands=(case.way.lancio(*wanted),),
        instead=case.way.by_psql(*facts),
        evidence=(says,),
    )


def _out_of_sight(case: Case, thing: Thing, effect: Effect) -> Answer:
    """It is there, in the database that was asked: so who got the error looked elsewhere."""
    schema = effect.name.rpartition(".")[0]
    return Answer(
        f"The {effect.object} is there. The session that got this error did not see it: its search_path lacks the "
        f"schema {schema}, its role may not use that schema, or it was in another database than this one.",
        f"Ask that session for SHOW search_path and SELECT current_database(); or write {qualified(effect.name)} in "
        f"{case.file or 'the statement'}.",
        "likely",
        evidence=(f"there is {thing.kind} {effect.name}",),
    )


def _way_alone(case: Case, provider: str) -> ways.Way:
    """Where nobody knows which file failed: the provider, and before it what it needs if that is known not to be."""
    if case.graph is None:
        raise AssertionError("a provider comes from a graph")
    label = ways.label(case.graph, provider)
    waiting = [
        facts.name
        for facts in case.graph.files
        if case.applied is not None and facts.name in case.graph.ancestors(provider) and facts.name not in case.applied
    ]
    said = "Run" if label.startswith("Step") else "Apply"
    name = label if label.startswith("Step") else label[0].lower() + label[1:]
    cause, solution = f"{label} not applied", f"{said} {name} first"
    if case.applied is None:
        cause += ", or applied and out of sight: in a schema that is not in the search_path, or in another database"
        solution += "; with --database it is told which of these it is"
    return cause, solution, (*waiting, provider)


def _taken_away(case: Case, thing: Thing) -> Answer | None:
    """A file of this folder dropped it or gave it another name."""
    if case.graph is None:
        return None
    went = naming.gone(case.graph, thing, until=case.file)
    if went is None:
        return None
    if went.now:
        old, new = _words(thing.name, went.now)
        return Answer(
            f"{thing} is called {went.now} since {went.file}:{went.line}.",
            f"Write {new} in {case.file or 'the statement'}.",
            "certain",
            commands=case.edit(old, new),
            again=bool(case.edit(old, new)),
        )
    return Answer(
        f"{went.file}:{went.line} drops {thing}.",
        f"Let {case.file or 'the statement'} do without it, or let it stand before {went.file}.",
        "certain",
    )


def _words(old: str, new: str) -> tuple[str, str]:
    """What to write for what: with the schema only where the text has it."""
    if "." not in old and "." in new:
        return old, new.rpartition(".")[2]
    return old, new


def _written_wrong(case: Case, thing: Thing) -> Answer | None:
    """PostgreSQL itself names the column that was meant."""
    if thing.kind != "column":
        return None
    found = re.search(r"Perhaps you meant to reference the column \"([^\"]+)\"", case.said.hint)
    if not found:
        return None
    return _spelling(case, thing, found[1].rpartition(".")[2])


def _meant(case: Case, thing: Thing) -> Answer | None:
    """A name that is spelled alike, or the same name in another schema."""
    candidates = list(case.evidence.names)
    if case.graph is not None:
        made = naming.known(case.graph, thing.kind, thing.of)
        # What the database was asked for is there; what a file makes may not be.
        candidates = candidates or made
    if thing.kind in naming.ROUTINES and case.evidence.functions:
        name = naming.bare(thing.name)
        same = [
            each for each in case.evidence.functions if naming.bare(each).rpartition(".")[2] == name.rpartition(".")[2]
        ]
        if same:
            return Answer(
                f"There is {', '.join(same[:3])}, but none that takes these arguments: {thing.name}.",
                "Cast the arguments to its types, or apply the migration that makes the one with these types.",
                "certain",
            )
        candidates += [naming.bare(each) for each in case.evidence.functions]
    meant = naming.similar(naming.bare(thing.name), candidates)
    if not meant:
        return None
    return _spelling(case, thing, meant)


def _spelling(case: Case, thing: Thing, meant: str) -> Answer:
    name = naming.bare(thing.name)
    of = f" of {thing.of}" if thing.of else ""
    same = meant.rpartition(".")[2] == name.rpartition(".")[2]
    old, new = (name, meant) if same or "." in name else _words(name, meant)
    edit = case.edit(old, qualified(new) if "." in new else identifier(new))
    what = f"{thing.kind} {meant}{of}"
    cause = (
        f"{what} is there, but {name} does not name it: its schema is not in the search_path."
        if same
        else f"There is no {thing.kind} {name}{of}. Did you mean {meant}?"
    )
    return Answer(
        cause,
        f"Write {meant} in {case.file or 'the statement'}, if that is what is meant.",
        "likely",
        commands=edit,
        again=bool(edit),
        evidence=(f"{what} exists",),
    )


def _near(case: Case, thing: Thing) -> tuple[str, ...]:
    meant = naming.similar(naming.bare(thing.name), case.evidence.names)
    return (f"there is {thing.kind} {meant}",) if meant else ()


def _nowhere(case: Case, thing: Thing) -> Answer | None:
    if case.graph is None:
        return None
    cause = f"No file of this folder makes it, and the database does not have it: {thing}."
    commands: tuple[str, ...] = ()
    own = naming.maker(case.graph, thing)
    if own is not None and own.facts.name == case.file:
        return Answer(
            f"{case.file}:{own.effect.line} creates {thing}, but not before it is used.",
            "Let the statement that makes it stand before the one that uses it.",
            "likely",
        )
    if thing.kind == "extension":
        solution = f"Create it first: CREATE EXTENSION {identifier(thing.name)}, or a migration that does."
        commands = (case.way.sql(f"CREATE EXTENSION IF NOT EXISTS {identifier(thing.name)}"),)
    elif thing.kind == "role":
        solution = f"Have the role created: CREATE ROLE {identifier(thing.name)}."
        commands = (case.way.sql(f"CREATE ROLE {identifier(thing.name)}"),)
    elif thing.kind == "schema":
        solution = "Add the migration that makes it, or make it by hand, and run again."
        commands = (case.way.sql(f"CREATE SCHEMA {identifier(thing.name)}"),)
    elif thing.kind in ("function", "type", "procedure", "aggregate"):
        solution = (
            "Add the migration that makes it, or make it by hand, and run again. If it comes from an extension, create "
            "that one first and look that its schema is in the search_path."
        )
    else:
        solution = "Add the migration that makes it, or make it by hand, and run again."
    return Answer(cause, solution, "certain", commands=commands, again=bool(commands))


def extension(case: Case, name: str) -> Answer:
    """An extension whose files the server does not have."""
    version = (
        str(case.evidence.version // 10000) if case.evidence.version else "$(psql -V | grep -oE '[0-9]+' | head -1)"
    )
    package = PACKAGES.get(name, "").format(v=version)
    solution = "Install its package on the server's machine."
    if package:
        solution = f"Install {package} on the server's machine (Debian's name), or take a service that offers it."
    elif name not in PACKAGES:
        solution = "Install its package on the server's machine; PostgreSQL's contrib package holds most of them."
    return Answer(
        f"The server has no files of the extension {name}: its package is not installed there.",
        solution,
        "certain",
        commands=(f"sudo apt-get install {package}",) if package and "$" not in package else (),
    )


def database(case: Case) -> Answer | None:
    """The database that a connection names is not on the server."""
    found = re.search(rf"database {naming.QUOTED} does not exist", case.said.message)
    if not found:
        return None
    return Answer(
        f"The server is there, but has no database {found[1]}.",
        "Create it, or name another one.",
        "certain",
    )


def role(case: Case) -> Answer | None:
    """A role of SET ROLE, of a grant or of a login that is not there."""
    found = re.match(rf"role {naming.QUOTED} does not exist", case.said.message)
    if not found:
        return None
    return anything(case)


def key(case: Case) -> Answer | None:
    """A unique key that a foreign key or ON CONFLICT needs."""
    said = case.said.message
    foreign = re.match(rf"there is no unique constraint matching given keys for referenced table {naming.QUOTED}", said)
    if not foreign and "ON CONFLICT" not in said:
        return None
    sql = case.statement
    columns: tuple[str, ...] = ()
    table = ""
    if foreign:
        found = re.search(
            r"(?is)\bREFERENCES\s+((?:[\w$]+|\"[^\"]+\")(?:\.(?:[\w$]+|\"[^\"]+\"))?)\s*\(([^()]+)\)", sql
        )
        if found:
            table, columns = found[1], tuple(part.strip() for part in found[2].split(","))
    else:
        found = re.search(r"(?is)\bINSERT\s+INTO\s+((?:[\w$]+|\"[^\"]+\")(?:\.(?:[\w$]+|\"[^\"]+\"))?)", sql)
        keys = re.search(r"(?is)\bON\s+CONFLICT\s*\(([^()]+)\)", sql)
        if found and keys:
            table, columns = found[1], tuple(part.strip() for part in keys[1].split(","))
    needs = "A foreign key" if foreign else "ON CONFLICT"
    if not table:
        return None
    listed = ", ".join(columns)
    make = f"CREATE UNIQUE INDEX ON {table} ({listed})"
    return Answer(
        f"{needs} needs a unique key over exactly these columns, and {table} has none over ({listed}).",
        "Make it first; it fails where two rows have the same key.",
        "certain",
        commands=(case.way.sql(make),),
        again=True,
    )
