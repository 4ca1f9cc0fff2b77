"""What a backup gives back: tables with their rows and definitions, in one transaction, and nothing beside them.

The live catalog is made to be the backup's again for what the backup is of. What stands in the way of a table is taken
away with it and made again; at the end, before COMMIT, the catalog is compared with what it has to be: as in the backup
for the tables restored, as before for all else. Where it is not, nothing is changed and the refusal names it.
"""

from __future__ import annotations

import functools
import re
import socket
import subprocess
import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from lancio import __version__
from lancio.errors import LancioError, UsageError
from lancio.executor import fingerprint, ledger
from lancio.executor.session import LEDGER_QUERIES
from lancio.postgres import named_queries
from lancio.proof import dump
from lancio.proof import programs as using
from lancio.proof.programs import BackupFailed, problem
from lancio.syntax import parser

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from lancio.executor.session import Connection, Session
    from lancio.proof.dump import Item, Manifest, Table
    from lancio.proof.programs import Programs

QUERIES = named_queries("lancio.proof", "restore.sql")

SHOWN = 6

PARTS = ("constraint", "index", "trigger", "policy", "rule", "statistics")
"""Kinds that can be taken away from a table and added to it without touching its rows."""

_QUALIFIED = re.compile(r'((?:"(?:[^"]|"")*"|[^".\s(]+)\.(?:"(?:[^"]|"")*"|[^".\s(]+))(.*)', re.DOTALL)
_NAME = re.compile(r'"((?:[^"]|"")*)"|([^".\s(,\[]+)')
_OWN_SETTINGS = re.compile(
    r"\s*SET\s+(?:statement_timeout|lock_timeout|idle_in_transaction_session_timeout|transaction_timeout|row_security)\b",
    re.IGNORECASE,
)
_CREATE_ROUTINE = re.compile(r"\ACREATE (FUNCTION|PROCEDURE)\b")


class RestoreRefused(LancioError):  # noqa: N818  (named as the other refusals)
    """A restore that would change or lose something else, or that cannot give back what was there."""

    code = "restore"


@dataclass(frozen=True, slots=True)
class Replaced:
    """A table that would be restored: its rows now (None where it is not there) and in the backup (None where it was
    not there: it is dropped)."""

    table: str
    now: int | None
    then: int | None
    same: bool
    """The rows are the same already."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a restore would do: tables, definitions that are not as they were, and files that it undoes.

    `later` are files that were applied since and that it does not undo.
    """

    tables: tuple[Replaced, ...]
    definitions: tuple[str, ...]
    undone: tuple[str, ...]
    later: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Everything is as in the backup."""
        return not self.definitions and not self.undone and all(each.same for each in self.tables)


@dataclass(frozen=True)
class _Extent:
    """What of the manifest is to be restored; keys are `schema.name`, or `schema x`, `extension x`."""

    tables: tuple[Table, ...]
    keys: frozenset[str]
    """What has to be as in the backup: changed, dropped and made anew for that."""
    around: frozenset[str]
    """What stands on it: what is missing of these is made again, nothing of them is dropped."""


# --- what it would do -------------------------------------------------------------------------------------------------


def outlook(connection: Connection, manifest: Manifest, only: Sequence[str] = ()) -> Outlook:
    """Compare the live database with a backup; nothing is changed.

    Raises:
        UsageError: `only` names a table whose rows are not in the backup; or the backup is whole and `only` is empty.
    """
    _refuse_another(connection, manifest, only)
    with connection.transaction():
        extent = _extent(connection, manifest, only)
        dump.pin(connection, manifest.server)
        now = {each: each for each in dump.items(fingerprint.take(connection))}
        there = _there(connection, extent.keys)
        told = []
        for table in extent.tables:
            found = dump.counted(connection, table.name, table.quoted) if table.name in there else None
            told.append(Replaced(table.name, found.rows if found else None, table.rows, found == table))
        known = {table.name for table in manifest.tables}
        for name, row in there.items():
            if row["kind"] == "r" and name not in known:
                rows = dump.counted(connection, name, row["quoted"]).rows
                told.append(Replaced(name, rows, None, same=False))
        lacking, beyond = _apart(manifest, now, extent)
        since = _since(connection, manifest.position) if not only else []
    undone = tuple(row["migration"] for row in since if row["migration"] in manifest.steps)
    later = tuple(row["migration"] for row in since if row["migration"] not in manifest.steps)
    names = sorted({*(str(each) for each in lacking), *(str(each) for each in beyond)})
    return Outlook(tuple(sorted(told, key=lambda each: each.table)), tuple(names), undone, later)


def _refuse_another(connection: Connection, manifest: Manifest, only: Sequence[str]) -> None:
    """Undo a plan only where it was run; single tables go where one wants them."""
    here = dump.identity_of(connection)
    if not only and not manifest.whole and here and manifest.identity and here != manifest.identity:
        raise RestoreRefused(
            "this backup is of another database",
            cause=f"It was made of {manifest.database}. What a plan did there cannot be undone here.",
            remedy="Name that database, single tables by --only, or a new database by --into.",
        )


def _extent(connection: Connection, manifest: Manifest, only: Sequence[str]) -> _Extent:
    """The extent with what belongs to its tables, in the backup or here."""
    extent = _named(manifest, only)
    belonging = {
        part
        for parts in (manifest.parts, dump.parts(connection))
        for part, table in parts.items()
        if table in extent.keys
    }
    return replace(extent, keys=extent.keys | belonging)


def _named(manifest: Manifest, only: Sequence[str]) -> _Extent:
    if not only:
        if manifest.whole:
            raise UsageError(
                "a backup of a whole database is restored into a new one",
                cause="Over a live one it would take away all that came since.",
                remedy="Name a new database by --into, or the tables to restore here by --only.",
            )
        keys = frozenset((*manifest.relations, *manifest.others, *manifest.creates))
        return _Extent(manifest.tables, keys, frozenset(manifest.dependents))
    known = {name: table for table in manifest.tables for name in (table.name, table.quoted)}
    for each in only:
        if each not in known:
            raise UsageError(
                f"the rows of {each} are not in this backup",
                cause=f"It has those of: {', '.join(table.name for table in manifest.tables[:12]) or 'no table'}.",
                remedy="Name one of them as schema.table.",
            )
    tables = tuple({known[each].name: known[each] for each in only}.values())
    return _Extent(tables, frozenset(table.name for table in tables), frozenset())


def _apart(manifest: Manifest, now: Collection[Item], extent: _Extent) -> tuple[list[Item], list[Item]]:
    """What the backup's catalog has and the live one lacks, and the other way round, within the extent."""
    before, after = set(manifest.catalog), set(now)
    lacking = [each for each in sorted(before - after) if names(each) & (extent.keys | extent.around)]
    beyond = [each for each in sorted(after - before) if names(each) & extent.keys]
    return lacking, beyond


def names(item: Item) -> frozenset[str]:
    """The keys of what a fact is about: `schema.name` without quotes, of a column or constraint those of its table."""
    identity = item.identity
    if item.kind in ("schema", "extension", "publication", "event trigger", "statistics"):
        return frozenset((f"{item.kind} {_bare(identity)}",))
    if item.kind == "grant":
        what, _, rest = identity.rpartition(" to ")[0].partition(" ")
        if what == "schema":
            return frozenset((f"schema {_bare(rest)}",))
        identity = rest
    if item.kind == "comment":
        _, on, owner = identity.rpartition(" on ")
        words = (owner if on else identity).split(" ")
        identity = next((word for word in words if "." in word), words[-1])
        if words[0] in ("schema", "extension"):
            return frozenset((f"{words[0]} {_bare(words[-1])}",))
    match = _QUALIFIED.match(identity)
    if match is None:
        return frozenset()
    return frozenset((".".join(_bare(part) for part in _parts(match[1])),))


def _parts(qualified: str) -> list[str]:
    return [found[0] for found in _NAME.finditer(qualified)]


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') and name.endswith('"') and len(name) > 1 else name


def _there(connection: Connection, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    with psycopg.RawCursor(connection, row_factory=dict_row) as cursor:
        return {row["full"]: row for row in cursor.execute(QUERIES["sizes"].encode(), (sorted(keys),))}


def _since(connection: Connection, position: int) -> list[dict[str, Any]]:
    row = connection.execute("SELECT pg_catalog.to_regclass('lancio.step') IS NOT NULL").fetchone()
    if row is None or not row[0]:
        return []
    with psycopg.RawCursor(connection, row_factory=dict_row) as cursor:
        return cursor.execute(QUERIES["since"].encode(), (position,)).fetchall()


# --- doing it ---------------------------------------------------------------------------------------------------------


def restore(
    connection: Connection, manifest: Manifest, archive: Path, only: Sequence[str] = (), *, role: str | None = None
) -> Outlook:
    """Give back what a backup has of its tables (or of those in `only`), all in one transaction under the runner's
    lock, with the ledger put right: files that were undone are not applied any more. What was done.

    Raises:
        RestoreRefused: something else would be changed or lost, or what was there cannot be made again; nothing was.
        UsageError, ServerError, ConnectionLost, LockHeld: as `outlook`, and as when applying.
    """
    programs = using.find(connection.info.server_version // 10000)
    with ledger.writing(connection, "lancio restore") as work:
        ledger.ensure(work)
        try:
            with connection.transaction():
                if role is not None:
                    connection.execute(psycopg.sql.SQL("SET LOCAL ROLE {}").format(psycopg.sql.Identifier(role)))
                extent = _extent(connection, manifest, only)
                for row in _there(connection, extent.keys).values():
                    if row["kind"] in ("r", "p"):
                        connection.execute(f"LOCK TABLE ONLY {row['quoted']}".encode())
                seen = outlook(connection, manifest, only)
                if seen.nothing:
                    return seen
                _Work(connection, manifest, archive, programs, extent, seen).run()
                if seen.undone:
                    connection.execute("SET LOCAL ROLE NONE")
                    _undo(connection, manifest, seen.undone, work)
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise
            raise _refused(error) from error
    return seen


def _refused(error: psycopg.Error) -> RestoreRefused:
    said, diagnosis = str(error.diag.message_primary), error.diag
    if error.sqlstate == "23503":
        table = f"{diagnosis.schema_name}.{diagnosis.table_name}"
        return RestoreRefused(
            f"rows of {table} hang on rows that the backup does not have",
            cause=f"{said}: its rows are not among what is restored, or came later.",
            remedy=f"Mend the rows of {table} first, or restore that table as well. Nothing was changed.",
        )
    if error.sqlstate == "55P03":
        return RestoreRefused(
            "a table that is restored is in use",
            cause=said,
            remedy="Run it again when whoever uses it has finished. Nothing was changed.",
        )
    return RestoreRefused(
        f"the backup cannot be restored here: {said}",
        cause=f"PostgreSQL refused with SQLSTATE {error.sqlstate}.",
        remedy="Restore it into another database by --into and take from there what you need. Nothing was changed.",
    )


def _undo(connection: Connection, manifest: Manifest, files: Sequence[str], work: Session) -> None:
    """Say in the ledger that these files are not applied any more; in the transaction of the restore."""
    with psycopg.RawCursor(connection) as cursor:
        cursor.execute(
            LEDGER_QUERIES["start_run"].encode(),
            (ledger.operator(), socket.gethostname(), __version__, work.server_version_text, ""),
        )
        row = cursor.fetchone()
        run = row[0] if row is not None else 0
        for each in _since(connection, manifest.position):
            if each["migration"] in files:
                values = (run, each["migration"], each["checksum"], each["digest"], each["position"])
                cursor.execute(QUERIES["undo"].encode(), values)
        cursor.execute(LEDGER_QUERIES["finish_run"].encode(), (run, "done"))


class _Work:
    """One restore, inside its transaction."""

    def __init__(
        self, connection: Connection, manifest: Manifest, archive: Path, programs: Programs, extent: _Extent,
        seen: Outlook,
    ) -> None:  # fmt: skip
        self.connection = connection
        self.manifest, self.archive, self.programs, self.extent, self.seen = manifest, archive, programs, extent, seen
        self.failed: list[str] = []

    def run(self) -> None:
        before = self._catalog()
        lacking, beyond = _apart(self.manifest, before, self.extent)
        there = _there(self.connection, self.extent.keys)
        rebuilt = self._rebuilt(lacking, beyond, there)
        refilled = [
            table
            for table in self.extent.tables
            if table.name not in rebuilt
            and not next(each for each in self.seen.tables if each.table == table.name).same
        ]
        keys = self._keys([*rebuilt, *(table.name for table in refilled)])
        sequences = self._sequences()
        for key in keys:
            self._do(f"ALTER TABLE {key['quoted']} DROP CONSTRAINT {key['name']}")
        self._drop(beyond, lacking, there, rebuilt)
        missing = [
            each
            for each in sorted(set(self.manifest.catalog) - self._catalog())
            if each in before or names(each) & (self.extent.keys | self.extent.around)
        ]
        entries = self._entries(missing)
        self._define(entries, "pre-data")
        self._fill([table for table in self.extent.tables if table.name in rebuilt or table in refilled], refilled)
        self._define(entries, "post-data")
        for each in _apart(self.manifest, self._catalog(), self.extent)[0]:
            # Default rights are in no archive, and all of them are what GRANT ALL gives.
            if each.kind == "grant" and (words := self._granted(each)):
                self._try(f"GRANT ALL ON {words[0]} TO {words[1]}")
        self._again(keys)
        self._set(sequences, entries)
        self._prove(before)

    def _catalog(self) -> frozenset[Item]:
        return frozenset(dump.items(fingerprint.take(self.connection)))

    def _try(self, statement: str | bytes) -> None:
        """Run a statement that may fail: what it leaves undone shows when all is compared."""
        try:
            with self.connection.transaction():
                self.connection.execute(statement.encode() if isinstance(statement, str) else statement)
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise
            self.failed.append(str(error.diag.message_primary))

    def _do(self, statement: str) -> None:
        self.connection.execute(statement.encode())

    def _rebuilt(
        self, lacking: Iterable[Item], beyond: Iterable[Item], there: dict[str, dict[str, Any]]
    ) -> frozenset[str]:
        """Tables of the backup that have to be made anew: gone, or with another definition than a part of it."""
        had = {(each.kind, each.identity) for each in self.manifest.catalog}
        found: set[str] = set()
        for each in (*lacking, *beyond):
            added = each.kind == "column" and (each.kind, each.identity) not in had
            alone = each.kind in (*PARTS, "comment", "view", "sequence", "routine", "type")
            if (not alone and not added) or (
                each.kind == "constraint" and each in lacking and not self._listed_alone(each)
            ):
                found |= names(each)
        types = sorted(key for each in beyond if each.kind == "type" for key in names(each))
        with psycopg.RawCursor(self.connection) as cursor:
            found.update(row[0] for row in cursor.execute(QUERIES["users"].encode(), (types,)))
        known = {table.name for table in self.extent.tables}
        gone = {name for name in known if name not in there}
        tables = {name for name in self.extent.keys if there.get(name, {}).get("kind") in ("r", "p", "f")}
        wanted = {key for item in self.manifest.catalog if item.kind == "relation" for key in names(item)}
        parts = {name for name, row in there.items() if row["partition"]}
        rebuilt = (found & (tables | known) & wanted) | gone
        # A partition goes with its parent, so all of a tree is made anew if any of it is.
        return frozenset(rebuilt | (parts if rebuilt & {n for n, r in there.items() if r["kind"] == "p"} else set()))

    def _keys(self, tables: Sequence[str]) -> list[dict[str, Any]]:
        with psycopg.RawCursor(self.connection, row_factory=dict_row) as cursor:
            return cursor.execute(QUERIES["keys"].encode(), (list(tables),)).fetchall()

    def _sequences(self) -> dict[str, int]:
        """Where the sequences stand: a number that was handed out is not handed out again."""
        with psycopg.RawCursor(self.connection) as cursor:
            found = [row[0] for row in cursor.execute(QUERIES["sequences"].encode(), (sorted(self.extent.keys),))]
        standing = {}
        for quoted in found:
            row = self.connection.execute(f"SELECT last_value, is_called FROM {quoted}".encode()).fetchone()  # noqa: S608
            if row is not None and row[1]:
                standing[quoted] = row[0]
        return standing

    def _drop(
        self, beyond: Iterable[Item], lacking: Iterable[Item], there: dict[str, dict[str, Any]], rebuilt: frozenset[str]
    ) -> None:
        """Take away what was not there, and what is there otherwise; parts of tables first."""
        had = {(each.kind, each.identity) for each in self.manifest.catalog}
        stood = {key for each in self.manifest.catalog if each.kind in ("relation", "index") for key in names(each)}
        going = rebuilt | (there.keys() - stood)
        going |= {part for part, table in dump.parts(self.connection).items() if table in going}
        changed = sorted(beyond, key=lambda each: (each.kind not in PARTS, each.kind != "constraint", each.identity))
        for each in changed:
            match = _QUALIFIED.match(each.identity)
            if match is None or names(each) & going:
                continue
            on, rest = match[1], match[2].strip()
            kind = {"trigger": "TRIGGER", "policy": "POLICY", "rule": "RULE"}.get(each.kind)
            if not self._still(on):
                continue
            if each.kind == "constraint":
                self._do(f"ALTER TABLE {on} DROP CONSTRAINT IF EXISTS {rest} CASCADE")
            elif each.kind == "index":
                self._do(f"DROP INDEX IF EXISTS {on} CASCADE")
            elif kind is not None:
                self._do(f"DROP {kind} IF EXISTS {rest} ON {on} CASCADE")
            elif each.kind == "column" and (each.kind, each.identity) not in had:
                relation = there.get(next(iter(names(each)), ""), {})
                if relation.get("kind") in ("r", "p", "f"):
                    self._do(f"ALTER TABLE {on} DROP COLUMN IF EXISTS {rest.removeprefix('.')} CASCADE")
        for each in beyond:
            if names(each) & going:
                continue
            if each.kind == "grant" and (words := self._granted(each)):
                self._try(f"REVOKE ALL ON {words[0]} FROM {words[1]} CASCADE")
            elif each.kind == "comment" and (each.kind, each.identity) not in had:
                self._try(f"COMMENT ON {_commented(each.identity)} IS NULL")
        for name, row in there.items():
            differs = any(name in names(each) for each in (*beyond, *lacking))
            what = {"r": "TABLE", "p": "TABLE", "f": "FOREIGN TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW",
                    "S": "SEQUENCE"}.get(row["kind"])  # fmt: skip
            if what is not None and (name in going or (row["kind"] in "vmS" and differs)):
                self._do(f"DROP {what} IF EXISTS {row['quoted']} CASCADE")
        for each in changed:
            match = _QUALIFIED.match(each.identity)
            if each.kind == "routine" and match is not None and (each.kind, each.identity) not in had:
                word = "ROUTINE" if self.connection.info.server_version >= 110000 else "FUNCTION"
                self._do(f"DROP {word} IF EXISTS {each.identity} CASCADE")
            elif each.kind == "type" and match is not None:
                self._do(f"DROP TYPE IF EXISTS {each.identity} CASCADE")
            elif each.kind in ("schema", "extension") and (each.kind, each.identity) not in had:
                self._do(f"DROP {each.kind.upper()} IF EXISTS {each.identity} CASCADE")

    def _granted(self, grant: Item) -> tuple[str, str] | None:
        """What a grant is on and whom it is to, as SQL has it; None for tables and columns, which are made anew."""
        what, _, grantee = grant.identity.rpartition(" to ")
        kind, _, name = what.partition(" ")
        routine = "ROUTINE" if self.connection.info.server_version >= 110000 else "FUNCTION"
        word = {"schema": "SCHEMA", "routine": routine, "type": "TYPE"}.get(kind)
        if word is None:
            return None
        role = "PUBLIC" if grantee == "public" else psycopg.sql.Identifier(grantee).as_string(self.connection)
        return f"{word} {name}", role

    def _still(self, quoted: str) -> bool:
        row = self.connection.execute("SELECT pg_catalog.to_regclass(%s) IS NOT NULL", (quoted,)).fetchone()
        return row is not None and bool(row[0])

    # The archive.

    def _listed_alone(self, constraint: Item) -> bool:
        """Whether a constraint has an entry of its own; else only its table's own statement makes it."""
        match = _QUALIFIED.match(constraint.identity)
        if match is None:
            return False
        schema, table = (_one_line(_bare(part)) for part in _parts(match[1]))
        words = f"CONSTRAINT {schema} {table} {_one_line(_bare(match[2].strip()))} "
        return any(words in f"{line} " for line in self._listed())

    @functools.cache  # noqa: B019  (one restore, one list)
    def _listed(self) -> list[str]:
        done = using.run(self.programs, "pg_restore", ["-l", str(self.archive)])
        if done.returncode:
            raise BackupFailed(
                f"{self.archive} cannot be read",
                cause=f"pg_restore: {problem(done.stderr)}.",
                remedy="Take another copy.",
            )
        return [line for line in done.stdout.splitlines() if line and not line.startswith(";")]

    def _entries(self, missing: Iterable[Item]) -> list[str]:
        """The lines of the archive's list that may make what is missing; rather one too many than one too few."""
        wanted: dict[str, set[str]] = {}
        whole = set()
        for each in missing:
            for key in names(each):
                schema, dot, name = key.partition(".")
                if dot:
                    wanted.setdefault(schema, set()).add(name)
                else:
                    whole.add(key.partition(" ")[2])
        chosen = []
        patterns = {
            schema: re.compile(
                rf'(?:^|[\s".])(?:{"|".join(re.escape(_one_line(n)) for n in sorted(found))})(?:$|[\s".(])'
            )
            for schema, found in wanted.items()
        }
        for line in self._listed():
            words = line.split(" ", 3)[-1]
            for schema, pattern in patterns.items():
                where = re.search(rf"(?:^|\s){re.escape(_one_line(schema))}\s", words)
                if where is not None and pattern.search(words[where.end() - 1 :]):
                    chosen.append(line)
                    break
            else:
                # In no schema ("-"), or under a name that only they have.
                apart = " - " in words or words.startswith(("PUBLICATION", "STATISTICS"))
                if apart and any(re.search(rf'(?:^|[\s"]){re.escape(name)}(?:$|[\s"])', words) for name in whole):
                    chosen.append(line)
        return chosen

    def _script(self, entries: Sequence[str], *arguments: str) -> Iterator[bytes]:
        """The SQL of these entries, line by line."""
        with tempfile.NamedTemporaryFile("w", prefix="lancio-list-", encoding="utf-8") as listing:
            listing.write("\n".join(entries) + "\n")
            listing.flush()
            # Before 12 it writes to stdout unasked, and takes - for a file's name.
            out = ("--file=-",) if self.programs.major >= 12 else ()
            words = [f"--use-list={listing.name}", *out, *arguments, str(self.archive)]
            with (
                using.command(self.programs, "pg_restore", words) as (command, environment),
                tempfile.TemporaryFile() as said,
                subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
                ) as child,
            ):
                try:
                    assert child.stdout is not None  # noqa: S101
                    yield from child.stdout
                    if child.wait():
                        said.seek(0)
                        why = problem(said.read().decode(errors="replace"))
                        raise BackupFailed(
                            f"{self.archive} cannot be read", cause=f"pg_restore: {why}.", remedy="Take another copy."
                        )
                finally:
                    child.kill()

    def _define(self, entries: Sequence[str], section: str) -> None:
        """Run the definitions; what is there already is left, and what cannot be made shows when all is compared."""
        if not entries:
            return
        # A line of psql's own keeps a script from being turned into commands; it is no SQL.
        lines = [
            line for line in self._script(entries, f"--section={section}") if not re.match(rb"\\(un)?restrict ", line)
        ]
        text = b"".join(lines)
        for statement in parser.parse(text):
            words = text[statement.start : statement.end].strip()
            plain = _without_comments(words)
            if not plain or _OWN_SETTINGS.match(plain):
                continue
            words = _CREATE_ROUTINE.sub(r"CREATE OR REPLACE \1", plain, count=1).encode()
            self._try(words)

    def _fill(self, tables: Sequence[Table], refilled: Sequence[Table]) -> None:
        """Rows into the tables, without a trigger of a user's in between."""
        with psycopg.RawCursor(self.connection, row_factory=dict_row) as cursor:
            triggers = cursor.execute(
                QUERIES["triggers"].encode(), ([table.name for table in refilled],)
            ).fetchall()  # fmt: skip
        for table in refilled:
            self._do(f"ALTER TABLE {table.quoted} DISABLE TRIGGER USER")
        if refilled:
            self._do(f"TRUNCATE {', '.join(f'ONLY {table.quoted}' for table in refilled)}")
        if tables:
            keys = {f"TABLE DATA {_one_line(_parted(table)[0])} {_one_line(_parted(table)[1])} " for table in tables}
            lines = [line for line in self._listed() if (line.split(" ", 3)[-1] + " ").startswith(tuple(keys))]
            self._rows(self._script(lines, "--data-only"))
        words = {"O": "ENABLE TRIGGER", "R": "ENABLE REPLICA TRIGGER", "A": "ENABLE ALWAYS TRIGGER"}
        for each in triggers:
            if each["enabled"] in words:
                self._do(f"ALTER TABLE {each['quoted']} {words[each['enabled']]} {each['name']}")

    def _rows(self, lines: Iterator[bytes]) -> None:
        for line in lines:
            if not line.startswith(b"COPY "):
                continue  # settings and comments: ours are made already
            while not line.endswith(b" FROM stdin;\n"):  # a name may hold a line's end
                line += next(lines)
            with self.connection.cursor() as cursor, cursor.copy(line.rstrip().removesuffix(b";")) as copy:
                for row in lines:
                    if row.rstrip(b"\r\n") == b"\\.":
                        break
                    copy.write(row)

    def _again(self, keys: Iterable[dict[str, Any]]) -> None:
        """Foreign keys that stood in the way, unless they are back already or were not there at all."""
        had = {(each.kind, each.identity) for each in self.manifest.catalog}
        for key in keys:
            identity = f"{key['quoted']} {key['name']}"
            if key["full"] in self.extent.keys and ("constraint", identity) not in had:
                continue  # a step made it that is undone
            row = self.connection.execute(
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conrelid = pg_catalog.to_regclass(%s)"
                " AND pg_catalog.quote_ident(conname) = %s)", (key["quoted"], key["name"]),
            ).fetchone()  # fmt: skip
            if not self._still(key["quoted"]) or (row is not None and row[0]):
                continue
            self._do(f"ALTER TABLE {key['quoted']} ADD CONSTRAINT {key['name']} {key['definition']}")
            if key["comment"]:
                literal = psycopg.sql.Literal(key["comment"]).as_string(self.connection)
                self._do(f"COMMENT ON CONSTRAINT {key['name']} ON {key['quoted']} IS {literal}")

    def _set(self, sequences: dict[str, int], entries: Sequence[str]) -> None:
        """Sequences that were made again stand where they stood in the backup; none goes back behind where it was."""
        made = [line for line in entries if " SEQUENCE SET " in line]
        for line in self._script(made, "--data-only") if made else ():
            if line.startswith(b"SELECT pg_catalog.setval("):
                self.connection.execute(line.strip().removesuffix(b";"))
        for quoted, value in sequences.items():
            if self._still(quoted):
                row = self.connection.execute(f"SELECT last_value, is_called FROM {quoted}".encode()).fetchone()  # noqa: S608
                if row is not None and (row[0] < value or not row[1]):
                    self.connection.execute("SELECT pg_catalog.setval(%s::regclass, %s)", (quoted, value))

    def _prove(self, before: frozenset[Item]) -> None:
        """Compare before COMMIT: tables and definitions as in the backup, all else as it was before.

        Raises:
            RestoreRefused: it is not so.
        """
        now = self._catalog()
        lacking, beyond = _apart(self.manifest, now, self.extent)
        inside = self.extent.keys | self.extent.around
        # A publication that lost a table with it gets it back.
        back = {each.identity for each in now & set(self.manifest.catalog) if each.kind == "publication"}
        lost = [
            each
            for each in sorted(before - now)
            if not names(each) & inside and not (each.kind == "publication" and each.identity in back)
        ]
        # What only comes back with a table (a foreign key to it, a view on it) is no loss.
        gained = [
            each for each in sorted(now - before) if not names(each) & inside and each not in set(self.manifest.catalog)
        ]
        rows = []
        for table in self.extent.tables:
            found = dump.counted(self.connection, table.name, table.quoted) if self._still(table.quoted) else None
            if found != table:
                rows.append(f"the rows of {table.name}")
        told = [
            *(f"{each} would be lost or changed" for each in lost),
            *(f"{each} would come anew" for each in gained),
            *(f"{each} cannot be made as it was" for each in lacking),
            *(f"{each} stays" for each in beyond if each not in lacking),
            *(f"{each} cannot be given back as they were" for each in rows),
        ]
        if told:
            more = f"; and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
            why = f" PostgreSQL said: {'; '.join(dict.fromkeys(self.failed[:3]))}." if self.failed else ""
            raise RestoreRefused(
                "the backup cannot be restored here without changing something else",
                cause=f"{'; '.join(told[:SHOWN])}{more}.{why}",
                remedy="What came since stands in the way: take it away or back it up first, restore single tables by "
                "--only, or restore into another database by --into. Nothing was changed.",
            )


def _commented(identity: str) -> str:
    """What a comment is on, as COMMENT has it: `COLUMN public.t.c` for `table column public.t.c`."""
    found = re.match(r"(?:table|view|materialized view|foreign table|composite type) column (.*)", identity, re.DOTALL)
    if found is not None:
        return f"COLUMN {found[1]}"
    found = re.match(r"domain constraint (.*) on (.*)", identity, re.DOTALL)
    if found is not None:
        return f"CONSTRAINT {found[1]} ON DOMAIN {found[2]}"
    return identity.replace("table constraint ", "constraint ", 1) if identity.startswith("table c") else identity


def _one_line(name: str) -> str:
    """A name as pg_restore lists it."""
    return name.replace("\r", " ").replace("\n", " ")


def _parted(table: Table) -> tuple[str, str]:
    schema, name = (_bare(part) for part in _parts(table.quoted))
    return schema, name


def _without_comments(words: bytes) -> str:
    return re.sub(r"(?m)^\s*--.*\n?", "", words.decode(errors="replace")).lstrip()
