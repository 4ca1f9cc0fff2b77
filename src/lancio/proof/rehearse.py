"""What do the steps of a plan really make, alter, drop and lock, and is it what was read?"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg import conninfo, sql

from lancio.catalog import profile as profiles
from lancio.errors import ServerError
from lancio.executor import fingerprint, snapshot
from lancio.planner.bind import Binder
from lancio.planner.locks import MODES, spoken
from lancio.planner.model import Lock
from lancio.postgres import named_queries
from lancio.proof import replay, scratch
from lancio.proof.replay import Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lancio.catalog.model import Catalog
    from lancio.executor.fingerprint import Fingerprint
    from lancio.planner.model import Plan, Step
    from lancio.postgres import Target
    from lancio.proof.replay import Item
    from lancio.proof.scratch import Scratch

QUERIES = named_queries("lancio.proof", "rehearse.sql")

HARMLESS = MODES.index("SHARE UPDATE EXCLUSIVE")
"""Locks weaker than this one stand in nobody's way but that of other changes of the schema."""

Kind = Literal["read, not made", "made, not read", "read, not dropped", "dropped, not read", "altered, not read",
               "lock stronger than read", "lock weaker than read"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which PostgreSQL and the reading disagree; `what` names the object, as people say it."""

    kind: Kind
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One step that ran on the scratch database.

    `duration_ms` is from the first statement to COMMIT, as seen from here. `locks` are those on tables and views that
    were there before, held at its end, the strongest of each; None for a file that does not run in one transaction.
    Where it failed, nothing else is told of it.
    """

    file: str
    position: int
    duration_ms: float
    failed: Failed | None = None
    made: tuple[Item, ...] = ()
    dropped: tuple[Item, ...] = ()
    altered: tuple[str, ...] = ()
    locks: tuple[Lock, ...] | None = ()
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """The scratch database a rehearsal begins on, and what it lacks of the database it stands for."""

    name: str
    said: str
    notes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    """Roles that were made on the scratch server, since the schema names them."""


# --- where it begins --------------------------------------------------------------------------------------------------


def start(server: Scratch, target: Target, connection: psycopg.Connection[Any]) -> Start:
    """A scratch database with the schema of `target`'s, without its rows; empty where that one is empty.

    Raises:
        ServerError: no database can be made.
    """
    name = server.create()
    if not _has_state(connection):
        return Start(name, "an empty database")
    dump, psql = program(server, "pg_dump"), program(server, "psql")
    if dump is None or psql is None:
        note = (
            f"the schema of {target.display} is not there: neither the scratch server nor PATH has pg_dump and psql, "
            "so the rehearsal begins empty"
        )
        return Start(name, "an empty database", (note,))
    major = connection.info.server_version // 10000
    notes = []
    if server.major != major:
        what = f"{target.display} runs PostgreSQL {major}, the scratch server {server.major}"
        notes.append(f"{what}: what differs between them is not rehearsed")
    roles, refused = copy_roles(server, connection)
    notes += refused + _copied(server, name, target, dump, psql)
    return Start(name, f"the schema of {target.display}, without rows", tuple(notes), tuple(roles))


def program(server: Scratch, name: str) -> str | None:
    """The path of a client program: the scratch server's own, else that of PATH; None if there is none."""
    own = server.installation.tool(name) if server.installation is not None else None
    return str(own) if own is not None else shutil.which(name)


def with_programs(server: Scratch) -> Scratch:
    """The same server with client programs that are no older than it, where this machine has some beside PATH's.

    pg_dump refuses a server that is newer than itself.
    """
    if server.installation is not None:
        return server
    found = shutil.which("pg_dump")
    if found is not None:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"\d+", said)
        if version is not None and int(version[0]) >= server.major:
            return server
    try:
        own = scratch.installation(os.environ)
    except ServerError:
        return server  # there are none, and whoever needs them says so
    return replace(server, installation=own) if own.major >= server.major else server


def programs_of(server: Scratch) -> dict[str, str]:
    """The environment that the client programs need."""
    return server.installation.environment() if server.installation else {"PATH": os.environ.get("PATH", "")}


def _has_state(connection: psycopg.Connection[Any]) -> bool:
    return bool(replay.held(connection) - {("schema", "public")})


def _copied(server: Scratch, name: str, target: Target, dump: str, psql: str) -> list[str]:
    """Copy the schema; what could not be copied comes back as sentences."""
    programs = programs_of(server)
    there = conninfo.make_conninfo(server.conninfo, dbname=name)
    dumped = tool([dump, "--schema-only"], target.conninfo, programs)
    if dumped.returncode:
        said = " ".join(dumped.stderr.split())[:400]
        return [target.redacted(f"the schema could not be copied, so the rehearsal begins empty: {said}")]
    restored = tool([psql, "-X", "-q"], there, programs, given=dumped.stdout)
    failed = [line.partition("ERROR:")[2].strip() for line in restored.stderr.splitlines() if "ERROR:" in line]
    return [f"not copied: {each}" for each in failed]


def tool(
    command: list[str], target: str, environ: dict[str, str], given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a client program on a database; the password goes by the environment: anybody can read a command line."""
    parts = {key: str(value) for key, value in conninfo.conninfo_to_dict(target).items()}
    libpq = {key: value for key, value in os.environ.items() if key.startswith("PG")}
    environment = libpq | environ | {"PGPASSWORD": parts.pop("password", libpq.get("PGPASSWORD", ""))}
    if "HOME" in os.environ:
        environment["HOME"] = os.environ["HOME"]  # of ~/.pgpass and ~/.pg_service.conf
    return subprocess.run(
        [*command, "-d", conninfo.make_conninfo("", **parts)],
        input=given,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def copy_roles(server: Scratch, connection: psycopg.Connection[Any]) -> tuple[list[str], list[str]]:
    """Make the roles that the scratch server lacks: those that were made, and a sentence for each other one."""
    wanted = {row[0] for row in connection.execute(QUERIES["roles"].encode())}
    made, refused = [], []
    with psycopg.connect(server.conninfo, autocommit=True) as there:
        for role in sorted(wanted - {row[0] for row in there.execute(QUERIES["roles"].encode())}):
            try:
                there.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
                made.append(role)
            except psycopg.Error as error:
                if error.sqlstate is None:  # the connection, not the role
                    raise
                refused.append(f"the role {role} cannot be made on the scratch server: {error.diag.message_primary}")
    return made, refused


# --- the rehearsal ----------------------------------------------------------------------------------------------------


def rehearse(plan: Plan, server: Scratch, begin: Start) -> Iterator[Rehearsed]:
    """Run the steps of a plan in their order, and compare each with what was read of it; the first failure ends it.

    Raises:
        ServerError: the catalog cannot be read.
    """
    files = [(step.facts.migration, step.facts.ops) for step in plan.steps if step.facts.ops is not None]
    with server.connect(begin.name, replay.SESSION) as connection:
        live = snapshot.take(connection, plan.graph)
        binder = Binder(live.catalog.copy(), profiles.load(live.major), files)
        before, facts, read = replay.held(connection), fingerprint.take(connection), read_objects(binder.catalog)
        for index, step in enumerate(plan.steps):
            names = dict(connection.execute(QUERIES["relations"].encode()).fetchall())
            done, took, real_locks = _run(connection, step, names)
            if isinstance(done, Failed):
                yield Rehearsed(step.facts.name, step.position, took, done)
                return
            bound = binder.file(index)
            after, facts_after, read_after = (
                replay.held(connection), fingerprint.take(connection), read_objects(binder.catalog),
            )  # fmt: skip
            altered = tuple(sorted(_altered(facts, facts_after)))
            touched = (*(each[0] for each in bound.changed), *bound.made)
            mentioned = {owner for each in touched if (owner := _owner(binder.catalog, each))}
            mentioned |= {_first_two(each[1]) for each in read ^ read_after} | {
                _first_two(each[2]) for each in bound.dropped
            }
            yield Rehearsed(
                step.facts.name,
                step.position,
                took,
                None,
                tuple(sorted(after - before)),
                tuple(sorted(before - after)),
                altered,
                real_locks,
                (
                    *_compare(before, after, read, read_after),
                    *(Difference("altered, not read", each) for each in altered if _bare(each) not in mentioned),
                    *_compare_locks(real_locks, binder.locks(), names.values()),
                ),
            )
            before, facts, read = after, facts_after, read_after


def read_objects(catalog: Catalog) -> frozenset[Item]:
    """All that the planner's catalog holds, of the kinds that `replay.held` tells."""
    members = {each.id for each in catalog.objects.values() if each.extension}
    return frozenset(
        (each.name.kind, each.name.full)
        for each in catalog.objects.values()
        if each.name.kind in replay.KINDS and each.id not in members and each.parent not in members
    )


def _run(
    connection: psycopg.Connection[Any], step: Step, names: dict[int, str]
) -> tuple[replay.Ran | Failed, float, tuple[Lock, ...] | None]:
    """Run one step as it will run: in a transaction where it can, its statements one by one where it cannot."""
    migration = step.facts.migration
    script = replay.script(migration, step.facts.ops)
    alone = not migration.transaction or any(each.alone for each in step.facts.statements)
    if alone:
        script = replay.as_written(migration, step.facts.ops)
    started = time.perf_counter()
    locks: tuple[Lock, ...] | None = None
    if script.together:
        connection.execute("BEGIN")
        done = replay.send(connection, script)
        if not isinstance(done, Failed):
            locks = _held_locks(connection, names)
            done = _commit(connection) or done
        elif done.sqlstate == replay.UNSAFE_ENUM:
            connection.execute("ROLLBACK")
            done, locks = replay.run(connection, script), None
    else:
        done = replay.send(connection, script)
    took = (time.perf_counter() - started) * 1000
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        connection.execute("ROLLBACK")
    connection.execute(replay.QUERIES["reset"].encode())
    return done, took, locks


def _commit(connection: psycopg.Connection[Any]) -> Failed | None:
    """COMMIT, where what was deferred may fail."""
    try:
        connection.execute("COMMIT")
    except psycopg.Error as error:
        if error.sqlstate is None:  # the connection, not the file
            raise
        return Failed(error.diag.message_primary or str(error), error.sqlstate)
    return None


def _held_locks(connection: psycopg.Connection[Any], names: dict[int, str]) -> tuple[Lock, ...]:
    """The strongest lock on each table and view that was there before the step."""
    strongest: dict[str, int] = {}
    for relation, mode in connection.execute(QUERIES["locks"].encode()):
        if relation in names:
            rank = MODES.index(spoken(mode))
            strongest[names[relation]] = max(strongest.get(names[relation], rank), rank)
    ordered = sorted(strongest.items(), key=lambda each: (-each[1], each[0]))
    return tuple(Lock(relation, MODES[rank], 0) for relation, rank in ordered)


# --- comparing --------------------------------------------------------------------------------------------------------


def _compare(
    before: frozenset[Item], after: frozenset[Item], read: frozenset[Item], read_after: frozenset[Item]
) -> Iterator[Difference]:
    made, said = after - before, read_after - read
    dropped, said_dropped = before - after, read - read_after
    groups: tuple[tuple[Kind, frozenset[Item]], ...] = (
        ("read, not made", said - made),
        ("made, not read", made - said),
        ("read, not dropped", said_dropped - dropped),
        ("dropped, not read", dropped - said_dropped),
    )
    for kind, items in groups:
        for item in sorted(items):
            yield Difference(kind, " ".join(item))


def _compare_locks(real: tuple[Lock, ...] | None, read: Iterable[Lock], there: Iterable[str]) -> Iterator[Difference]:
    if real is None:
        return
    tables = set(there)
    found = {lock.relation: MODES.index(lock.mode) for lock in real}
    said = {lock.relation: MODES.index(lock.mode) for lock in read if lock.relation in tables}
    for relation in sorted(found.keys() | said.keys()):
        real_rank, said_rank = found.get(relation, -1), said.get(relation, -1)
        if max(real_rank, said_rank) < HARMLESS or real_rank == said_rank:
            continue
        real_said, read_said = (MODES[rank] if rank >= 0 else "none" for rank in (real_rank, said_rank))
        kind: Kind = "lock stronger than read" if real_rank > said_rank else "lock weaker than read"
        yield Difference(kind, f"{relation}: {real_said}, read {read_said}")


_PART = re.compile(r'"(?:[^"]|"")*"|[^."\s]+')


def _altered(before: Fingerprint, after: Fingerprint) -> set[str]:
    """What is there before and after with another definition: "relation public.t", "routine public.f(integer)"."""
    old = {(fact.kind, fact.identity): fact.definition for fact in before.facts}
    found = set()
    for fact in after.facts:
        if old.get((fact.kind, fact.identity), fact.definition) != fact.definition:
            found.add(f"{fact.kind} {fact.identity}")
    return found


def _bare(said: str) -> str:
    """The schema and name at the beginning of what a fact is about, without quotes."""
    words = said.split(" ")
    kind_words = 2 if words[0] in ("grant", "comment") or said.startswith(("default grant", "event trigger")) else 1
    return _first_two(" ".join(words[kind_words:]))


def _first_two(name: str) -> str:
    """`public.t` of `public.t.c`, of `k on public.t` and of `public.f(integer)`."""
    name = name.partition(" on ")[2] or name
    parts = [part.strip('"').replace('""', '"') for part in _PART.findall(name.partition("(")[0])]
    return ".".join(parts[:2])


def _owner(catalog: Catalog, id_: int) -> str:
    """The table, routine or other object that an id belongs to, as `schema.name`."""
    found = catalog.objects.get(id_)
    if found is None:
        return ""
    name = found.name
    return ".".join(part for part in (name.schema, name.of or name.name) if part)


@contextlib.contextmanager
def begun(server: Scratch, target: Target, connection: psycopg.Connection[Any]) -> Iterator[Start]:
    """`start`, with its database and roles dropped at the end."""
    begin = start(server, target, connection)
    try:
        yield begin
    finally:
        server.drop(begin.name)
        drop_roles(server, begin.roles)


def drop_roles(server: Scratch, roles: Iterable[str]) -> None:
    """Take away the roles that were made for a scratch database, once that is dropped."""
    if roles:
        with psycopg.connect(server.conninfo, autocommit=True) as there:
            for role in roles:
                # What a file gave it elsewhere on that server keeps it there.
                with contextlib.suppress(psycopg.errors.DependentObjectsStillExist):
                    there.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
