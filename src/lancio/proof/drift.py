"""Is a database still what its files make? Rehearsed on a scratch database, the two catalogs are compared.

What the files make is not read but tried: they run on an empty database of the same major version, and what is so
there of each object is compared with what is so here. PostgreSQL writes an expression otherwise once it has been
through a dump, so where texts differ the scratch database is dumped and restored, and a text that comes out of that is
no difference.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import conninfo, sql

from lancio.catalog.model import Name
from lancio.errors import ServerError
from lancio.executor import facts
from lancio.planner import drift as drifting
from lancio.planner.drift import Difference
from lancio.proof import rehearse, replay
from lancio.proof.replay import Failed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from lancio.executor.facts import Facts, ObjectKey
    from lancio.planner.drift import Drift
    from lancio.planner.owners import Owner, Owners
    from lancio.proof.replay import Script
    from lancio.proof.scratch import Scratch

Connection = psycopg.Connection[Any]

APPLIER = "the role that applies the files"
"""How an owner is called whom the files leave to whoever runs them."""

ROUNDS = 2
"""So often the scratch database is dumped and restored: what comes out of the second time no longer changes."""

NOT_DUMPED = frozenset(("version", "valid"))
"""Attributes that pg_dump does not write, so that a restored database says nothing about them."""

NO_ROLE = "42704"
_ROLE = re.compile(r'role "((?:[^"]|"")+)" does not exist')


@dataclass(frozen=True, slots=True)
class Made:
    """What files make on an empty database: `blank` was there before them."""

    database: str
    facts: Facts
    blank: Facts


class OtherVersion(ServerError):  # noqa: N818  (as all refusals are called)
    """The scratch server is not of the database's major version, so that texts cannot be compared."""


# --- what the files make ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def made(
    server: Scratch,
    scripts: Sequence[Script],
    preamble: bytes = b"",
    live: Connection | None = None,
    roles: Collection[str] = (),
) -> Iterator[Made]:
    """Run files on an empty scratch database, and drop it and the roles that it took at the end.

    A role that a file asks for and no file makes is made there if `live` has it; `roles` are those that the files make.

    Raises:
        ServerError: a file does not run there, or the database cannot be made.
    """
    with roles_of(server, roles) as taken:
        walk = replay.Replay(server, replay.History(tuple(scripts), preamble))
        try:
            with server.connect(walk.name, replay.SESSION) as connection:
                blank = facts.of(connection)
                for script in scripts:
                    run(server, connection, script, live, taken)
                found = facts.of(connection)
            yield Made(walk.name, found, blank)
        finally:
            walk.close()


def run(
    server: Scratch,
    connection: Connection,
    script: Script,
    live: Connection | None = None,
    taken: set[str] | None = None,
) -> None:
    """Run one file on a scratch database; a role that was made for it is added to `taken`.

    Raises:
        ServerError: it does not run there.
    """
    done = replay.run(connection, script)
    while isinstance(done, Failed) and done.sqlstate == NO_ROLE and _make_role(server, done.message, live, taken):
        done = replay.run(connection, script)
    if isinstance(done, Failed):
        raise ServerError(
            f"{script.name} does not run on the scratch database",
            where=f"{script.name}:{done.line}" if done.line else "",
            cause=f"{done.message} (SQLSTATE {done.sqlstate}).",
            remedy="What is there before the first file goes into a file of its own, named by --before; an extension "
            "that is not installed here takes another scratch server, named by --scratch.",
        )


def _make_role(server: Scratch, message: str, live: Connection | None, taken: set[str] | None) -> bool:
    """Make the role that is lacking, where the real database has it."""
    match = _ROLE.search(message)
    if match is None or live is None:
        return False
    name = match[1].replace('""', '"')
    if live.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is None:
        return False
    with psycopg.connect(server.conninfo, autocommit=True) as there:
        try:
            there.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        except psycopg.Error as error:
            if error.sqlstate is None:  # the connection, not the role
                raise
            return False
    if taken is not None:
        taken.add(name)
    return True


@contextlib.contextmanager
def roles_of(server: Scratch, names: Collection[str]) -> Iterator[set[str]]:
    """While it lasts these roles, and those added to what it gives, may come to the scratch server.

    At the end those that were not there before are dropped, unless they own something elsewhere on it. Others are
    somebody else's.
    """
    query = rehearse.QUERIES["roles"].encode()
    with psycopg.connect(server.conninfo, autocommit=True) as there:
        before = {row[0] for row in there.execute(query)}
    taken = set(names)
    try:
        yield taken
    finally:
        with psycopg.connect(server.conninfo, autocommit=True) as there:
            for role in sorted(taken - before):
                with contextlib.suppress(psycopg.errors.DependentObjectsStillExist):
                    there.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def first_makers(
    server: Scratch, scripts: Sequence[Script], wanted: Collection[ObjectKey], live: Connection | None, preamble: bytes
) -> dict[ObjectKey, str]:
    """By object the file that made it last: told by running the files once more and looking behind each."""
    walk = replay.Replay(server, replay.History(tuple(scripts), preamble))
    found: dict[ObjectKey, str] = {}
    try:
        with server.connect(walk.name, replay.SESSION) as connection:
            before = facts.of(connection).keys() & set(wanted)
            for script in scripts:
                run(server, connection, script, live)
                after = facts.of(connection).keys() & set(wanted)
                found.update(dict.fromkeys(after - before, script.name))
                before = after
    finally:
        walk.close()
    return found


def copied(server: Scratch, database: str) -> str | None:
    """A new scratch database restored from a dump of another one's schema; None where there is no pg_dump for it."""
    dump, psql = rehearse.program(server, "pg_dump"), rehearse.program(server, "psql")
    if dump is None or psql is None:
        return None
    programs = rehearse.programs_of(server)
    dumped = rehearse.tool([dump, "--schema-only"], conninfo.make_conninfo(server.conninfo, dbname=database), programs)
    if dumped.returncode:
        return None
    name = server.create()
    rehearse.tool(
        [psql, "-X", "-q"], conninfo.make_conninfo(server.conninfo, dbname=name), programs, given=dumped.stdout
    )
    return name


# --- comparing --------------------------------------------------------------------------------------------------------


def compare(
    expected: Facts,
    found: Facts,
    *,
    blank: Facts | None = None,
    variants: Sequence[Facts] = (),
    owners: Owners | None = None,
) -> list[Difference]:
    """The differences of two catalogs, those that hang on others folded into them.

    `blank` is what was there before the files: what they leave as it was is not theirs, and not compared. `variants`
    are other texts that `expected` can have.
    """
    blank = blank or {}
    differences: list[Difference] = []
    for key in sorted(expected.keys() | found.keys()):
        wanted, there = expected.get(key), found.get(key)
        if there is None:
            if wanted is not None and blank.get(key) != wanted:
                differences.append(_difference("missing", key, owners, wanted))
        elif wanted is None:
            if key not in blank:
                differences.append(_difference("extra", key, owners, there))
        else:
            own = blank.get(key, {}) if key in blank else None
            for attribute in sorted(wanted.keys() | there.keys()):
                one, other = wanted.get(attribute, ""), there.get(attribute, "")
                if one == other or (own is not None and own.get(attribute, "") == one):
                    continue
                if attribute not in NOT_DUMPED and any(
                    each.get(key, {}).get(attribute, "") == other for each in variants
                ):
                    continue
                made_ = _difference("changed", key, owners, wanted, attribute)
                differences.append(
                    replace(
                        made_, attribute=attribute, expected=one, found=other, sql=mends(key, attribute, one, wanted)
                    )
                )
    return drifting.folded(differences)


def _difference(
    deed: drifting.Deed,
    key: ObjectKey,
    owners: Owners | None,
    attributes: dict[str, str],
    attribute: str = "",
) -> Difference:
    whole = f"{key.schema}.{key.of}" if key.of else ""
    if key.kind == "sequence" and "owned by" in attributes:
        whole = attributes["owned by"].rpartition(".")[0]
    owner = None
    if owners is not None:
        owner = owners.find(key.kind, Name("relation", key.schema, key.name, key.of, key.args), attribute)
    return Difference(
        deed,
        key.kind,
        key.full,
        key.schema if key.kind != "schema" else key.name,
        whole,
        owner=owner,
        sql=makes(key, attributes) if deed == "missing" else "",
    )


def default_owners(expected: Facts, found: Facts, known: Collection[str]) -> set[str]:
    """The roles that stand for whoever applies the files: those of the ledger, and who owns most of what they made."""
    owners = Counter(
        found[key]["owner"]
        for key, each in expected.items()
        if each.get("owner") == APPLIER and "owner" in found.get(key, {})
    )
    most = owners.most_common(1)
    return {*known, *(name for name, _ in most)}


def without_roles(found: Facts, appliers: Collection[str]) -> Facts:
    """The same, with these roles called by what they are: whoever applies the files."""
    changed: Facts = {}
    for key, attributes in found.items():
        named = {}
        for attribute, value in attributes.items():
            role = attribute.removeprefix("privileges of ")
            known = role != attribute and role in appliers
            named[f"privileges of {APPLIER}" if known else attribute] = (
                APPLIER if attribute == "owner" and value in appliers else value
            )
        by_default = key.kind == "default privileges" and key.args in appliers
        changed[key._replace(args=APPLIER) if by_default else key] = named
    return changed


# --- mending ----------------------------------------------------------------------------------------------------------


def makes(key: ObjectKey, attributes: dict[str, str]) -> str:
    """The statement that makes a missing object again, where its definition is one; else ""."""
    definition = attributes.get("definition", "")
    if key.kind == "index":
        return f"{definition}{f' WHERE {where}' if (where := attributes.get('predicate')) else ''};"
    if key.kind in ("trigger", "rule", "statistics"):
        return f"{definition.removesuffix(';')};"
    if key.kind == "constraint":
        return f"ALTER TABLE {_whole(key)} ADD CONSTRAINT {_quoted(key.name)} {definition};"
    if key.kind == "view":
        return f"CREATE VIEW {_name(key)} AS\n{definition.removesuffix(';')};"
    if key.kind == "policy":
        return _policy(key, attributes)
    return ""


def mends(key: ObjectKey, attribute: str, wanted: str, attributes: dict[str, str]) -> str:
    """The statement that gives an attribute its expected value, where there is a plain one; else ""."""
    table = _whole(key)
    column = f"ALTER TABLE {table} ALTER COLUMN {_quoted(key.name)}"
    match key.kind, attribute:
        case "table", "row level security":
            return f"ALTER TABLE {_name(key)} {'ENABLE' if wanted == 'on' else 'DISABLE'} ROW LEVEL SECURITY;"
        case "table", "forced row level security":
            return f"ALTER TABLE {_name(key)} {'FORCE' if wanted == 'on' else 'NO FORCE'} ROW LEVEL SECURITY;"
        case "column", "null":
            return f"{column} {'DROP' if wanted == 'allowed' else 'SET'} NOT NULL;"
        case "column", "default":
            return f"{column} {f'SET DEFAULT {wanted}' if wanted else 'DROP DEFAULT'};"
        case "trigger", "fires" if wanted in ("yes", "no"):
            return f"ALTER TABLE {table} {'ENABLE' if wanted == 'yes' else 'DISABLE'} TRIGGER {_quoted(key.name)};"
        case "constraint", "validated" if wanted == "yes":
            return f"ALTER TABLE {table} VALIDATE CONSTRAINT {_quoted(key.name)};"
        case "constraint", "definition":
            name = _quoted(key.name)
            return f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {wanted};"
        case "index", "valid":
            return f"REINDEX INDEX {_quoted(key.schema)}.{_quoted(key.name)};"
        case "view", "definition":
            return f"CREATE OR REPLACE VIEW {_name(key)} AS\n{wanted.removesuffix(';')};"
        case "policy", _:
            return f"DROP POLICY {_quoted(key.name)} ON {table};\n{_policy(key, attributes)}"
    return ""


def _policy(key: ObjectKey, attributes: dict[str, str]) -> str:
    parts = [
        f"CREATE POLICY {_quoted(key.name)} ON {_whole(key)}",
        "" if attributes.get("permissive") == "yes" else "AS RESTRICTIVE",
        f"FOR {attributes.get('command', 'all').upper()}",
        "TO " + ", ".join(each if each == "public" else _quoted(each) for each in attributes["roles"].split(", ")),
        f"USING ({attributes['using']})" if "using" in attributes else "",
        f"WITH CHECK ({attributes['with check']})" if "with check" in attributes else "",
    ]
    return " ".join(part for part in parts if part) + ";"


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _name(key: ObjectKey) -> str:
    return f"{_quoted(key.schema)}.{_quoted(key.name)}"


def _whole(key: ObjectKey) -> str:
    return f"{_quoted(key.schema)}.{_quoted(key.of)}"


# --- the whole --------------------------------------------------------------------------------------------------------


def rehearsed(
    server: Scratch,
    live: Connection,
    scripts: Sequence[Script],
    *,
    owners: Owners,
    appliers: Collection[str] = (),
    ignore: Sequence[str] = (),
    preamble: bytes = b"",
    notes: Sequence[str] = (),
    roles: Collection[str] = (),
) -> Drift:
    """The drift of `live` from what these files make; nothing is changed there.

    `appliers` are the roles that are known to have applied files, `roles` those that the files make.

    Raises:
        OtherVersion: the scratch server is of another major version.
        ServerError: a file does not run on it, or a catalog cannot be read.
    """
    major = live.info.server_version // 10000
    if server.major != major:
        raise OtherVersion(
            f"the scratch server runs PostgreSQL {server.major}, the database {major}",
            cause="Texts of views, functions and expressions can be compared on one major version only.",
            remedy="Name a server of that version by --scratch, or its programs by LANCIO_PGBIN; or compare without "
            "one by --read.",
        )
    said = list(notes)
    server = rehearse.with_programs(server)
    with made(server, scripts, preamble, live, roles) as there:
        own = {str(psycopg.conninfo.conninfo_to_dict(server.conninfo).get("user", ""))}
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            own.add(str(connection.execute("SELECT session_user").fetchone()[0]))  # type: ignore[index]
        expected, blank = without_roles(there.facts, own), without_roles(there.blank, own)
        raw = facts.of(live)
        found = without_roles(raw, default_owners(expected, raw, appliers))
        differences = compare(expected, found, blank=blank, owners=owners)
        if any(each.deed == "changed" for each in differences):
            variants: list[Facts] = []
            database, copies = there.database, []
            try:
                for _ in range(ROUNDS):
                    name = copied(server, database)
                    if name is None:
                        said.append(
                            "there is no pg_dump and psql for the scratch server: where a dump and restore changed the "
                            "text of an expression, that shows as a difference"
                        )
                        break
                    copies.append(name)
                    with server.connect(name, replay.SESSION) as connection:
                        variants.append(without_roles(facts.of(connection), own))
                    database = name
            finally:
                for name in copies:
                    server.drop(name)
            differences = compare(expected, found, blank=blank, variants=variants, owners=owners)
        dark = _unseen(differences, expected)
        if dark:
            makers = first_makers(server, scripts, dark.values(), live, preamble)
            differences = [_owned(each, dark, makers) for each in differences]
    left, ignored = drifting.parted(differences, ignore)
    return drifting.Drift(
        "rehearsed",
        left,
        ignored,
        tuple(said),
        tuple(each.name for each in scripts),
        len(expected.keys() - blank.keys()),
    )


def _unseen(differences: Sequence[Difference], expected: Facts) -> dict[tuple[str, str], ObjectKey]:
    """What the files make and the reading does not see who."""
    wanted = {(each.kind, each.object) for each in differences if each.owner is None and each.deed != "extra"}
    return {(key.kind, key.full): key for key in expected if (key.kind, key.full) in wanted} if wanted else {}


def _owned(each: Difference, dark: dict[tuple[str, str], ObjectKey], makers: dict[ObjectKey, str]) -> Difference:
    from lancio.planner.model import Place
    from lancio.planner.owners import Owner

    key = dark.get((each.kind, each.object))
    file = makers.get(key) if key is not None else None
    owner: Owner | None = Owner(Place(file, 0)) if file is not None else each.owner
    return replace(each, owner=owner)
