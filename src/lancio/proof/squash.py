"""A long history as one file that makes the same, proved on a scratch server.

The history runs there, what it left is dumped, the dump is made into a file that Lancio runs as any other, and that
file runs alone on an empty database. Only where both databases have the same facts and the same rows is there a
baseline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import conninfo, sql

from lancio.errors import NotEqual, ServerError
from lancio.executor import facts
from lancio.postgres import named_queries
from lancio.proof import drift, rehearse, replay
from lancio.proof.replay import Failed
from lancio.reading import headers, operations
from lancio.reading.source import Migration
from lancio.syntax import lexer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from lancio.executor.facts import Facts
    from lancio.planner.drift import Difference
    from lancio.planner.model import FileFacts
    from lancio.proof.scratch import Scratch

    Connection = psycopg.Connection[Any]

QUERIES = named_queries("lancio.proof", "squash.sql")

ROWS = 100
"""So many rows stand in one INSERT."""

MARKS = {"dbmate": "-- migrate:up", "goose": "-- +goose Up", "sql-migrate": "-- +migrate Up"}
"""The line that begins what goes up, in layouts that ask for one."""

Rows = dict[str, str]
"""By table a digest of its rows, by sequence its state."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A file that stands for others: its text, proved, and what is to be known of it.

    `unsteady` are tables whose rows were others when the history ran a second time: the file has those of the first.
    """

    name: str
    text: bytes
    replaces: tuple[str, ...]
    objects: int
    tables: int
    unsteady: tuple[str, ...]
    version: str


def make(
    server: Scratch, files: Sequence[FileFacts], name: str, path: Path, *, layout: str = "flat", preamble: bytes = b""
) -> Baseline:
    """Squash files into one of that name, and prove it; nothing is written.

    Raises:
        ServerError: a file does not run on the scratch server, or there is no pg_dump for it.
        NotEqual: the baseline does not make the same.
    """
    server = rehearse.with_programs(server)
    scripts = [replay.script(each.migration, each.ops) for each in files]
    before = _roles(server)
    read = {effect.name for each in files for effect in each.creates if effect.kind == "role"}
    with drift.made(server, scripts, preamble, roles=read) as history:
        # On a given server a role of the files may have been there already.
        made_roles = {role: said for role, said in _roles(server).items() if role not in before or role in read}
        with server.connect(history.database, replay.SESSION) as connection:
            rows = rows_of(connection)
            tables = [f"{schema}.{name}" for schema, name in connection.execute(QUERIES["tables"].encode())]
            version = str(connection.info.parameter_status("server_version"))
        kept = {(key.schema, key.name) for key in history.blank if key.kind == "table"}
        schemas = {key.name for key in history.blank if key.kind == "schema"}
        text = _text(
            _dump(server, history.database, kept), [each.migration for each in files], made_roles, schemas,
            user=_user(server), layout=layout, version=version,
        )  # fmt: skip
        migration = Migration(name, path, text)
        variants: list[Facts] = []
        if (copy := drift.copied(server, history.database)) is not None:
            with server.connect(copy, replay.SESSION) as connection:
                variants.append(facts.of(connection))
            server.drop(copy)
        count = len(history.facts.keys() - history.blank.keys())
    with drift.roles_of(server, read):  # the history's own are gone now: the file makes them
        _prove(server, migration, preamble, history.facts, rows, variants)
    return Baseline(
        name,
        text,
        tuple(each.name for each in files),
        count,
        sum(1 for name in tables if rows[name] != EMPTY),
        _unsteady(server, scripts, preamble, rows, read),
        version,
    )


def _prove(
    server: Scratch, migration: Migration, preamble: bytes, expected: Facts, rows: Rows, variants: Sequence[Facts]
) -> None:
    script = replay.script(migration)
    walk = replay.Replay(server, replay.History((script,), preamble))
    try:
        with server.connect(walk.name, replay.SESSION) as connection:
            done = replay.run(connection, script)
            if isinstance(done, Failed):
                raise NotEqual(
                    "the baseline does not run by itself on an empty database",
                    where=f"{migration.name}:{done.line}" if done.line else "",
                    cause=f"{done.message} (SQLSTATE {done.sqlstate}).",
                    remedy="Squash up to another file, and leave the history as it is up to there.",
                )
            found, has = facts.of(connection), rows_of(connection)
    finally:
        walk.close()
    differences = drift.compare(expected, found, variants=variants)
    other = sorted(name for name in rows.keys() | has.keys() if rows.get(name, EMPTY) != has.get(name, EMPTY))
    if differences or other:
        said = [_said(each) for each in differences] + [f"rows of {name}" for name in other]
        raise NotEqual(
            "the baseline does not make what the history makes",
            cause=f"Different: {'; '.join(said[:5])}{f' and {len(said) - 5} more' if len(said) > 5 else ''}.",
            remedy="Nothing was written. Squash up to another file, and leave the history as it is up to there.",
        )


def _said(each: Difference) -> str:
    about = f" ({each.attribute}: {each.expected or 'none'}, {each.found or 'none'})" if each.attribute else ""
    return f"{each.deed} {each.says}{about}"


def _unsteady(
    server: Scratch, scripts: Sequence[replay.Script], preamble: bytes, rows: Rows, roles: Collection[str]
) -> tuple[str, ...]:
    """Tables that the history leaves with other rows each time: moments, random values."""
    if all(each == EMPTY for each in rows.values()):
        return ()
    with (
        drift.made(server, scripts, preamble, roles=roles) as again,
        server.connect(again.database, replay.SESSION) as connection,
    ):
        second = rows_of(connection)
    return tuple(sorted(name for name, digest in rows.items() if second.get(name) != digest))


EMPTY = "0"


def rows_of(connection: Connection) -> Rows:
    """A digest of the rows of every table, whatever their order, and the state of every sequence."""
    found: Rows = {}
    for schema, name in connection.execute(QUERIES["tables"].encode()).fetchall():
        query = sql.SQL(QUERIES["rows"]).format(sql.Identifier(schema, name))
        count, digest = connection.execute(query).fetchone() or (0, "")
        found[f"{schema}.{name}"] = f"{count} {digest}" if count else EMPTY
    for (name,) in connection.execute(QUERIES["sequences"].encode()).fetchall():
        found[name] = str(connection.execute(b"SELECT last_value, is_called FROM " + name.encode()).fetchone())
    return found


def _roles(server: Scratch) -> dict[str, tuple[str, list[str]]]:
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        return {row[0]: (row[1], row[2]) for row in connection.execute(QUERIES["roles"].encode())}


def _user(server: Scratch) -> str:
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        row = connection.execute("SELECT session_user::text").fetchone()
    return str(row[0]) if row else ""


def _dump(server: Scratch, database: str, without: Collection[tuple[str, str]]) -> str:
    program = rehearse.program(server, "pg_dump")
    if program is None:
        raise ServerError(
            "there is no pg_dump for the scratch server",
            cause="Neither its installation nor PATH has one.",
            remedy="Install PostgreSQL's client programs of that version, or leave --scratch away.",
        )
    command = [program, "--column-inserts", f"--rows-per-insert={ROWS}", "--no-security-labels", "--no-tablespaces"]
    for schema, name in sorted(without):
        quoted = ".".join('"' + each.replace('"', '""') + '"' for each in (schema, name))
        command += [f"--exclude-table={quoted}"]
    done = rehearse.tool(
        command, conninfo.make_conninfo(server.conninfo, dbname=database), rehearse.programs_of(server)
    )
    if done.returncode:
        raise ServerError(
            "pg_dump cannot dump the scratch database",
            cause=" ".join(done.stderr.split())[:400],
            remedy="Take a pg_dump of the scratch server's version.",
        )
    return done.stdout


# --- the text ---------------------------------------------------------------------------------------------------------

_NOISE = re.compile(
    r"(?is)SET\s+(?:SESSION\s+)?(?:statement_timeout|lock_timeout|idle_in_transaction_session_timeout|transaction_timeout|"
    r"client_encoding|standard_conforming_strings|check_function_bodies|xmloption|client_min_messages|row_security|"
    r"default_tablespace|default_table_access_method)\b.*|"
    r"SELECT\s+pg_catalog\.set_config\('search_path'.*|COMMENT\s+ON\s+EXTENSION\b.*"
)
_OWNER = re.compile(r'(?is)ALTER\s.*\sOWNER\s+TO\s+("(?:[^"]|"")+"|\w+)')
_SCHEMA = re.compile(r'(?i)CREATE\s+SCHEMA\s+("(?:[^"]|"")+"|\w+)')
_RIGHTS = re.compile(r"(?i)(?:GRANT|REVOKE|ALTER\s+DEFAULT\s+PRIVILEGES)\b")


def _text(
    dump: str,
    migrations: Sequence[Migration],
    roles: Mapping[str, tuple[str, list[str]]],
    schemas: Collection[str],
    *,
    user: str,
    layout: str,
    version: str,
) -> bytes:
    """The file: what it stands for, the roles that the history made, and the dump without what belongs to psql."""
    lines = [MARKS[layout]] if layout in MARKS else []
    lines += [
        (
            f"-- The history up to {migrations[-1].name}: made by `lancio squash` on PostgreSQL {version}, "
            "and proved equal to it."
        ),
        *(headers.replaced(each.name, each.checksum) for each in migrations),
        "",
        "SET check_function_bodies = false;",
        *(_role(name, *said) for name, said in roles.items()),
    ]
    body = "\n".join(line for line in dump.splitlines() if not re.match(r"\\(un)?restrict\b", line))
    for statement in _statements(body):
        if _NOISE.fullmatch(statement):
            continue
        owner = _OWNER.fullmatch(statement)
        if owner is not None and lexer.identifier(owner[1].encode()) == user:
            continue
        schema = _SCHEMA.fullmatch(statement)
        if schema is not None and lexer.identifier(schema[1].encode()) in schemas:
            continue
        if _RIGHTS.match(statement):
            statement = re.sub(
                rf'(?<![\w".])(?:"{re.escape(user)}"|{re.escape(user)})(?![\w".])', "CURRENT_USER", statement
            )
        lines += ["", f"{statement};"]
    return ("\n".join(lines) + "\n").encode()


def _statements(text: str) -> list[str]:
    """The statements of a dump, without the comments between them."""
    from pathlib import Path

    found = operations.read(Migration("dump.sql", Path("dump.sql"), text.encode()))
    out = []
    for each in found.statements:
        raw = each.sql.encode()
        at = 0
        for token in lexer.tokens(raw):  # comments before it
            if token.kind not in lexer.BLANK:
                at = token.start
                break
        out.append(raw[at:].decode().strip().removesuffix(";").rstrip())
    return out


def _role(name: str, says: str, groups: Sequence[str]) -> str:
    quoted = name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'
    literal = "'" + name.replace("'", "''") + "'"
    joins = "".join(f"\n        GRANT {group} TO {quoted};" for group in groups)
    return (
        f"\nDO $$\nBEGIN\n    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {literal}) THEN\n"
        f"        CREATE ROLE {quoted} {says};{joins}\n    END IF;\nEND\n$$;"
    )
