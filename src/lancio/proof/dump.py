"""A backup, of a whole database or of what a plan touches, and the proof that it gives back what was there.

The archive is pg_dump's own (custom format). One of what a plan touches has all definitions, which are small, and the
rows of the tables at risk: so whatever a step drops along with a table can be made again. Beside the archive lies its
description, `NAME.json`: how many rows each table had and a sum of them, and a hash of every definition, all of the
same snapshot as the rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from lancio.errors import UsageError
from lancio.executor import fingerprint, planfile
from lancio.postgres import named_queries
from lancio.proof import programs as using
from lancio.proof import rehearse, scratch
from lancio.proof.programs import BackupFailed, problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lancio.executor.fingerprint import Fingerprint
    from lancio.planner.scope import Scope
    from lancio.postgres import Target
    from lancio.proof.programs import Programs
    from lancio.proof.scratch import Scratch

QUERIES = named_queries("lancio.proof", "dump.sql")

FORMAT = 1
SHOWN = 6
SHORTEST_FLOATS = 120000
_VIOLATED = re.compile(r'violates foreign key constraint "(.*)"')
_UNKNOWN_SETTING = "unrecognized configuration parameter"
"""A newer pg_restore sets what an older server does not know; nothing depends on it."""

ACROSS = frozenset(
    ("schema", "relation", "column", "index", "view", "trigger", "policy", "routine", "type", "sequence")
)
"""Kinds whose presence is compared between servers of two major versions; how each prints a definition differs."""


class Item(NamedTuple):
    """A fact of the catalog with a hash for its definition, 16 hex digits of SHA-256."""

    kind: str
    identity: str
    hash: str

    def __str__(self) -> str:
        return f"{self.kind} {self.identity}"


class Table(NamedTuple):
    """A table whose rows are in a backup: `schema.name` as it is and as SQL has it, its rows and a sum of them."""

    name: str
    quoted: str
    rows: int
    sum: str


@dataclass(frozen=True)
class Manifest:
    """What is in a backup. `position` is the last row of the ledger then; `checked` whether it was restored and equal,
    and `doubt` why not. Names are as in `planner.scope`."""

    taken_at: str
    database: str
    identity: str
    """Of the database among all: its server's system identifier and its number there; "" where it may not be known."""
    server: int
    dumped_by: str
    whole: bool
    relations: tuple[str, ...]
    others: tuple[str, ...]
    creates: tuple[str, ...]
    dependents: tuple[str, ...]
    steps: tuple[str, ...]
    tables: tuple[Table, ...]
    parts: Mapping[str, str]
    """Indexes, sequences and statistics, by their own names, with the table that each belongs to."""
    outward: tuple[str, ...]
    """Foreign keys to tables whose rows are not in the backup, as the catalog's facts name them."""
    catalog: tuple[Item, ...]
    position: int
    size: int
    sha256: str
    checked: bool = False
    doubt: str = ""

    @property
    def said(self) -> str:
        """What it is of, in a word."""
        return "whole" if self.whole else "plan"


# --- making -----------------------------------------------------------------------------------------------------------


def make(
    connection: psycopg.Connection[Any], target: Target, scope: Scope | None, out: Path, *, role: str | None = None
) -> Manifest:
    """Dump the database, or with a `scope` what is in it, to `out`, and describe it; nothing is checked yet.

    Rows and description are of one snapshot. The file can be read by its owner alone, and is there whole or not at
    all; one that is there already is not touched.

    Raises:
        UsageError: the folder of `out` is none that can be written to, or the file is there.
        BackupFailed: no pg_dump that knows this server, or it failed, with its own words.
    """
    programs = using.find(connection.info.server_version // 10000)
    part = _reserve(out)
    try:
        with _snapshot(connection) as (moment, name):
            found = _scope(connection, scope)
            wanted = None if scope is None else frozenset(found[0])
            _hold(connection, wanted)
            left = [] if scope is None else _left_out(connection, found[0])
            arguments = ["-Fc", f"--file={part}", f"--snapshot={name}", "--no-password", "--lock-wait-timeout=60000"]
            arguments += [f"--role={role}"] if role is not None else []
            if scope is not None:
                arguments += ["--exclude-schema=lancio", "--no-blobs" if programs.major < 16 else "--no-large-objects"]
                arguments += ["--no-subscriptions", *(f"--exclude-table-data={pattern}" for pattern in left)]
            done = using.run(programs, "pg_dump", arguments, target.conninfo)
            if done.returncode:
                raise _refusal(problem(done.stderr), out, target)
            tables = tuple(_sums(connection, wanted))
            belonging, outward = parts(connection), _outward(connection, found[0]) if scope is not None else ()
            catalog = items(fingerprint.take(connection))
            position, identity = _position(connection), identity_of(connection)
        manifest = Manifest(
            moment, target.display, identity, connection.info.server_version, programs.version, scope is None, *found,
            scope.steps if scope is not None else (), tables, belonging, outward, catalog, position,
            part.stat().st_size, digest(part),
        )  # fmt: skip
        os.link(part, out)  # not os.replace: whoever made a file of that name meanwhile keeps it
        try:
            write(manifest, out)
        except OSError:
            out.unlink()
            raise
    except OSError as error:
        raise _refusal(error.strerror or str(error), out, target) from error
    finally:
        part.unlink(missing_ok=True)
    return manifest


def beside(archive: Path) -> Path:
    """Where the description of an archive lies."""
    return archive.with_name(f"{archive.name}.json")


def _reserve(out: Path) -> Path:
    """An empty file of our own beside `out`, which the dump is written to first."""
    problem = ""
    if out.exists() or beside(out).exists():
        problem = "There is a file of that name already."
    else:
        part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
        try:
            out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            return part
        except OSError as error:
            problem = f"{error.strerror}."
    raise UsageError(f"no backup can be written to {out}", cause=problem, remedy="Name another file or folder.")


def _refusal(said: str, out: Path, target: Target) -> BackupFailed:
    if "No space left" in said or "Disk quota" in said:
        return BackupFailed(
            f"the disk of {out.parent} is full",
            cause=f"{said}. What was written was removed.",
            remedy="Make room, or name a folder on another disk.",
        )
    remedy = "Look at the cause, then run it again."
    if "row-level security" in said:
        remedy = "Dump as a role that sees all rows: the owner where FORCE is not set, one with BYPASSRLS, a superuser."
    elif "permission denied" in said:
        remedy = "Dump as a role that may read all of it, or name one by --role."
    return BackupFailed("the backup could not be made", cause=target.redacted(f"pg_dump: {said}"), remedy=remedy)


@contextlib.contextmanager
def _snapshot(connection: psycopg.Connection[Any]) -> Iterator[tuple[str, str]]:
    """A transaction that sees one moment: that moment, and the name under which others can see the same."""
    before = connection.isolation_level
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            pin(connection, connection.info.server_version)
            row = connection.execute("SELECT pg_catalog.now(), pg_catalog.pg_export_snapshot()").fetchone()
            if row is None:
                raise AssertionError("a SELECT without FROM gives one row")
            yield row[0].isoformat(), row[1]
    finally:
        if not connection.closed:
            connection.isolation_level = before


def pin(connection: psycopg.Connection[Any], server: int) -> None:
    """Let values print alike everywhere, until the transaction ends; in it nothing is filtered by a policy.

    `server` is the version of the server that the values come from (150004).
    """
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(QUERIES["pinned"].encode(), ("3" if server >= SHORTEST_FLOATS else "0",))


def _scope(
    connection: psycopg.Connection[Any], scope: Scope | None
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Relations with what hangs on them, others, what is to be made, and what stands on them."""
    if scope is None:
        return (), (), (), ()
    with psycopg.RawCursor(connection) as cursor:
        found = [
            row[0] for row in cursor.execute(QUERIES["scope"].encode(), (list(scope.relations), list(scope.others)))
        ]
        relations = sorted({*found, *scope.relations})
        dependents = [row[0] for row in cursor.execute(QUERIES["dependents"].encode(), (relations,))]
    return tuple(relations), scope.others, scope.creates, tuple(sorted({*dependents} - {*relations}))


def _tables(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    with psycopg.RawCursor(connection, row_factory=dict_row) as cursor:
        return cursor.execute(QUERIES["tables"].encode()).fetchall()


def _left_out(connection: psycopg.Connection[Any], relations: Iterable[str]) -> list[str]:
    """Patterns for pg_dump of the tables whose rows are not wanted, a whole schema by one."""
    wanted = set(relations)
    schemas: dict[str, list[dict[str, Any]]] = {}
    for each in _tables(connection):
        schemas.setdefault(each["schema"], []).append(each)
    patterns = []
    for schema, tables in schemas.items():
        if not any(each["full"] in wanted for each in tables):
            patterns.append(f"{_pattern(schema)}.*")
        else:
            patterns += [
                f"{_pattern(schema)}.{_pattern(each['name'])}" for each in tables if each["full"] not in wanted
            ]
    return patterns


def _pattern(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _hold(connection: psycopg.Connection[Any], wanted: frozenset[str] | None) -> None:
    """Let nobody change these tables' definitions until all is described; rows may be read and written meanwhile."""
    connection.execute("SET LOCAL lock_timeout = '60s'")
    for each in _tables(connection):
        if wanted is None or each["full"] in wanted:
            connection.execute(f"LOCK TABLE ONLY {each['quoted']} IN ACCESS SHARE MODE".encode())


def _sums(connection: psycopg.Connection[Any], wanted: frozenset[str] | None) -> Iterator[Table]:
    for each in _tables(connection):
        if wanted is None or each["full"] in wanted:
            yield counted(connection, each["full"], each["quoted"])


def parts(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """What belongs to a table under a name of its own, and the table's."""
    with psycopg.RawCursor(connection) as cursor:
        return dict(cursor.execute(QUERIES["parts"].encode()).fetchall())


def _outward(connection: psycopg.Connection[Any], relations: Sequence[str]) -> tuple[str, ...]:
    with psycopg.RawCursor(connection) as cursor:
        return tuple(row[0] for row in cursor.execute(QUERIES["outward"].encode(), (list(relations),)))


def counted(connection: psycopg.Connection[Any], name: str, quoted: str) -> Table:
    """A table with its rows and a sum of them that does not depend on their order; the caller has pinned the session.

    Each row counts with 64 bits of the MD5 of its text.
    """
    query = QUERIES["sum"].replace("{table}", quoted)
    row = connection.execute(query.encode()).fetchone()
    if row is None:
        raise AssertionError("an aggregate gives one row")
    return Table(name, quoted, row[0], row[1])


def identity_of(connection: psycopg.Connection[Any]) -> str:
    """What tells a database from every other one, whatever it is called; "" where this role may not know."""
    found = planfile.identity(connection)
    return f"{found.system}/{found.oid}" if found.system else ""


def _position(connection: psycopg.Connection[Any]) -> int:
    found = connection.execute("SELECT pg_catalog.to_regclass('lancio.step') IS NOT NULL").fetchone()
    if found is None or not found[0]:
        return 0
    row = connection.execute(QUERIES["position"].encode()).fetchone()
    return int(row[0]) if row is not None else 0


def items(catalog: Fingerprint) -> tuple[Item, ...]:
    """The facts with hashes in the place of definitions."""
    return tuple(
        Item(fact.kind, fact.identity, hashlib.sha256(fact.definition.encode()).hexdigest()[:16])
        for fact in catalog.facts
    )


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


# --- its description --------------------------------------------------------------------------------------------------


def write(manifest: Manifest, archive: Path) -> None:
    """Write the description beside the archive, for its owner's eyes."""
    path = beside(archive)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        fresh.write_text(json.dumps({"lancio_backup": FORMAT} | asdict(manifest)), encoding="utf-8")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def read(archive: Path) -> Manifest:
    """What is in a backup, by the description beside it; the archive is the one that it describes, byte for byte.

    Raises:
        UsageError: there is no such backup, or no description of it.
        BackupFailed: the archive is not what was written then.
    """
    try:
        if not archive.is_file():
            raise UsageError(
                f"there is no backup {archive}", cause="No file of that name is there.", remedy="Name the archive."
            )
        data = json.loads(beside(archive).read_bytes())
        if data.pop("lancio_backup") != FORMAT:
            raise ValueError
        listed: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        manifest = replace(
            Manifest(**listed),
            tables=tuple(Table(*each) for each in data["tables"]),
            catalog=tuple(Item(*each) for each in data["catalog"]),
        )
        found = digest(archive)
    except OSError as error:
        raise UsageError(
            f"{error.filename} cannot be read",
            cause=f"{error.strerror}. A backup is an archive and the description beside it, which `lancio backup make` "
            "writes.",
            remedy="Put both beside each other; what pg_dump alone made, pg_restore restores.",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"{beside(archive)} describes no backup",
            cause="It is not what `lancio backup make` of this version writes.",
            remedy="Take the one that was written with the archive.",
        ) from None
    if found != manifest.sha256:
        raise BackupFailed(
            f"{archive} is not what was written then",
            cause=f"Its SHA-256 is {found[:16]}… and was {manifest.sha256[:16]}…: it was changed, or cut off.",
            remedy="Take another copy of it. Nothing was changed.",
        )
    return manifest


# --- the proof --------------------------------------------------------------------------------------------------------


def check(
    manifest: Manifest, archive: Path, connection: psycopg.Connection[Any], url: str | None = None
) -> tuple[str, ...]:
    """Restore a backup into a scratch database and compare it; a sentence for each thing that is not the same.

    Raises:
        UsageError, ServerError: there is no scratch server to be had.
        BackupFailed: it does not restore.
    """
    programs = using.find(connection.info.server_version // 10000)
    with scratch.server(url, major=manifest.server // 10000, exact=False) as server:
        name = server.create()
        made, _ = rehearse.copy_roles(server, connection)
        try:
            there = psycopg.conninfo.make_conninfo(server.conninfo, dbname=name)
            failed = restore(manifest, programs, archive, there)
            if failed:
                raise BackupFailed(
                    f"the backup {archive} does not restore on {server.said}",
                    cause=f"{'; '.join(failed[:SHOWN])}.",
                    remedy="Name by --scratch a server that has what this database needs (extensions, collations), "
                    "or go without the proof by --no-check.",
                )
            return _compared(manifest, server, name)
        finally:
            server.drop(name)
            rehearse.drop_roles(server, made)


def restore(manifest: Manifest, programs: Programs, archive: Path, there: str) -> list[str]:
    """Restore an archive into a database that is reached by the conninfo `there`; what failed, in words.

    A foreign key to rows that are not in the backup is left out without a word.
    """
    words = ["--no-password", "--no-subscriptions", str(archive)]
    done = using.run(programs, "pg_restore", words, there)
    said = [line.partition("ERROR:")[2].strip() for line in done.stderr.splitlines() if "ERROR:" in line]
    outward = {each.rpartition(" ")[2].strip('"') for each in manifest.outward}
    failed = [
        line
        for line in said
        if _UNKNOWN_SETTING not in line and not ((key := _VIOLATED.search(line)) and key[1].strip('"') in outward)
    ]
    if done.returncode and not said:
        failed.append(problem(done.stderr))
    return failed


def _compared(manifest: Manifest, server: Scratch, name: str) -> tuple[str, ...]:
    with server.connect(name) as connection:
        return differences(manifest, connection)


def differences(manifest: Manifest, connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    """In what a database differs from what a backup holds: its tables' rows, and every definition.

    Between servers of two major versions definitions print differently: then only what is there is compared.
    """
    told = []
    with connection.transaction():
        pin(connection, manifest.server)
        for table in manifest.tables:
            try:
                with connection.transaction():
                    found = counted(connection, table.name, table.quoted)
            except psycopg.errors.UndefinedTable:
                told.append(f"{table.name} is not there")
                continue
            if found != table:
                told.append(
                    f"{table.name} has {found.rows} rows, and had {table.rows}"
                    if found.rows != table.rows
                    else f"rows of {table.name} are not the same"
                )
        now = items(fingerprint.take(connection))
    same = connection.info.server_version // 10000 == manifest.server // 10000
    held = [each for each in manifest.catalog if each.kind != "constraint" or each.identity not in manifest.outward]
    now = tuple(each for each in now if each.kind != "constraint" or each.identity not in manifest.outward)
    before, after = (_comparable(each, same=same) for each in (held, now))
    told += [f"{' '.join(each[:2])} is not there as it was" for each in sorted(before - after)]
    told += [f"{' '.join(each[:2])} is not as it was" for each in sorted(after - before)
             if each[:2] not in {key[:2] for key in before - after}]  # fmt: skip
    return tuple(told)


def _comparable(catalog: Iterable[Item], *, same: bool) -> set[tuple[str, ...]]:
    # An extension comes in the version that the server has.
    return {
        (each.kind, each.identity) if each.kind == "extension" or not same else tuple(each)
        for each in catalog
        if same or each.kind in ACROSS
    }
