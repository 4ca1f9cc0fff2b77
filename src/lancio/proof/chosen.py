"""Which queries are watched: those of a file, or those that took the most time here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import rows, sql

from lancio.errors import ServerError, SourceError, SyntaxRefused, UsageError
from lancio.postgres import named_queries
from lancio.syntax import parser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUERIES = named_queries("lancio.proof", "baseline.sql")

LARGEST = 1 << 20
"""Bytes up to which a file of queries is read."""

_NAME = re.compile(r"--[ \t]*(?:name[ \t]*:[ \t]*)?(\S.*?)[ \t]*$")
_WRITING = frozenset(("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"))


@dataclass(frozen=True, slots=True)
class Query:
    """One query that is watched: its name, unique among them, its text without a semicolon, and where it is from.

    With `writes` it changes rows and is rolled back each time. With `generic` it has parameters ($1) whose values
    nobody knows: its plan is looked at, and it is not run.
    """

    name: str
    text: str
    writes: bool = False
    generic: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A query that is not watched, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is watched, and what of the choice is not."""

    queries: tuple[Query, ...]
    left_out: tuple[LeftOut, ...] = ()
    origin: str = ""


def read(path: Path, *, roll_back: bool = False) -> Chosen:
    """The queries of a .sql file, each named by the comment line above it (`-- the latest orders`), else by its line.

    With `roll_back` those that write are taken as well.

    Raises:
        SourceError: the file holds no query, or the same name twice.
        SyntaxRefused: PostgreSQL's grammar does not accept it.
        UsageError: no such file; a statement that is no query, has parameters, or writes without `roll_back`.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise SourceError(
                f"{path} is too large for a file of queries",
                cause=f"It has more than {LARGEST} bytes.",
                remedy="Put the few queries that matter into a file of their own.",
            )
        text = path.read_bytes()
        said = text.decode()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read", cause=f"{error.strerror}.", remedy="Check the path and its rights."
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path} is no text in UTF-8", cause=f"Byte {error.start} fits nothing.", remedy="Save it as UTF-8."
        ) from None
    return parsed(said, str(path), roll_back=roll_back)


def parsed(said: str, where: str, *, roll_back: bool = False) -> Chosen:
    """The queries of a text; `where` names it. Raises as `read`."""
    text = said.encode()
    found: dict[str, Query] = {}
    end = 0
    try:
        statements = parser.parse(text)
    except parser.ParseError as error:
        line = text.count(b"\n", 0, max(0, error.position)) + 1
        raise SyntaxRefused(
            f"{where} is no SQL", cause=f"{error.message}.", remedy="Mend it.", where=f"{where}:{line}"
        ) from None
    for each in statements:
        line = text.count(b"\n", 0, each.start) + 1
        above = [
            match[1] for row in text[end : each.start].decode().splitlines() if (match := _NAME.match(row.strip()))
        ]
        name = above[-1] if above else f"line {line}"
        end = each.end
        place = f"{where}:{line}"
        reads = _reads(each.node, each.tree)
        if reads is None:
            raise UsageError(
                f"{name} is no query",
                cause="Only SELECT, VALUES and WITH are timed, and INSERT, UPDATE, DELETE and MERGE rolled back.",
                remedy="Take it out of the file.",
                where=place,
            )
        if not reads and not roll_back:
            raise UsageError(
                f"{name} writes",
                cause="Queries are timed in a transaction that may only read.",
                remedy="Take it out of the file, or say --roll-back: then it is run in a transaction that is rolled "
                "back each time (sequences go on, and what a trigger does elsewhere stays done).",
                where=place,
            )
        if _parameters(each.tree):
            raise UsageError(
                f"{name} has parameters",
                cause="There is $1 or its like in it, and no value for it.",
                remedy="Write a value, or a subquery that finds one: (SELECT id FROM users ORDER BY id LIMIT 1).",
                where=place,
            )
        if name in found:
            raise SourceError(
                f"{where} has two queries named {name}",
                cause="A query is known by its name.",
                remedy="Give one of them another name in the comment line above it.",
                where=place,
            )
        found[name] = Query(name, text[each.start : each.end].decode().strip(), writes=not reads)
    if not found:
        raise SourceError(f"{where} holds no query", cause="There is no statement in it.", remedy="Write one.")
    return Chosen(tuple(found.values()), origin=where)


def sound(query: Query) -> bool:
    """Whether a query that was kept somewhere is still one that may be asked: one statement, which does what it says.

    A file can be edited, and `SELECT 1; COMMIT; DROP TABLE t` would leave the transaction that may only read.
    """
    try:
        statements = parser.parse(query.text.encode())
    except parser.ParseError:
        return False
    if len(statements) != 1:
        return False
    reads = _reads(statements[0].node, statements[0].tree)
    return reads is not None and reads is not query.writes and _parameters(statements[0].tree) is query.generic


def top(connection: psycopg.Connection[Any], number: int, psql: str = 'psql "$DATABASE_URL"') -> Chosen:
    """The queries of this database that took the most time, by pg_stat_statements.

    Only SELECTs are taken. One with parameters is not run, since nobody knows which values matter, but its generic plan
    is watched; PostgreSQL gives that from 12 on. `psql` is the shell command that reaches this database.

    Raises:
        ServerError: pg_stat_statements is not there or may not be read.
    """
    schema = _extension(connection, psql)
    columns = {row["attname"] for row in _rows(connection, "statement_columns", schema)}
    time = "total_exec_time" if "total_exec_time" in columns else "total_time"  # before 13
    level = sql.SQL("AND s.toplevel") if "toplevel" in columns else sql.SQL("")  # from 14 on
    words = sql.SQL(QUERIES["top"]).format(
        time=sql.Identifier(time), view=sql.Identifier(schema, "pg_stat_statements"), level=level
    )
    taken: list[Query] = []
    left: list[LeftOut] = []
    with connection.cursor(row_factory=rows.dict_row) as cursor:
        for row in cursor.execute(words, (number,)).fetchall():
            name = f"{' '.join((row['query'] or '').split())[:60]} [{row['queryid']}]"
            why, generic = _unfit(row["query"], connection.info.server_version // 10000)
            if why:
                left.append(LeftOut(name, f"{why} ({row['calls']} calls, {row['total']:.0f} ms in all)"))
            else:
                taken.append(Query(name, row["query"].rstrip("; \n"), generic=generic))
    if not taken:
        raise ServerError(
            "none of the queries that took the most time here can be watched",
            cause="; ".join(f"{each.name}: {each.why}" for each in left[:5]) or "pg_stat_statements is empty.",
            remedy="Write the queries that matter into a file and give it by --queries.",
        )
    return Chosen(tuple(taken), tuple(left), f"the first {number} of pg_stat_statements")


GENERIC_SINCE = 12
"""The major version from which a statement can be planned without its parameters' values (plan_cache_mode)."""


def _unfit(text: str | None, major: int) -> tuple[str, bool]:
    """Why a query of pg_stat_statements is not watched ("" where it is), and whether only its plan is."""
    if not text or text == "<insufficient privilege>":
        return "its text may not be read: that takes pg_read_all_stats", False
    try:
        statements = parser.parse(text.encode())
    except parser.ParseError:
        return "its text cannot be parsed, perhaps because it is cut off", False
    if len(statements) != 1 or not _reads(statements[0].node, statements[0].tree):
        return "not a SELECT that only reads", False
    relations = _relations(statements[0].tree)
    if not relations:
        return "it reads no table", False
    if any(schema in ("lancio", "pg_catalog", "information_schema") for schema in relations):
        return "it reads the system's catalog, or Lancio's ledger", False
    if not _parameters(statements[0].tree):
        return "", False
    if major < GENERIC_SINCE:
        return "it has parameters, and PostgreSQL plans without their values from 12 on", False
    return "", True


def _extension(connection: psycopg.Connection[Any], psql: str) -> str:
    remedy = "Write the queries that matter into a file and give it by --queries, or have it installed."
    found = _rows(connection, "statements_schema")
    if not found:
        raise ServerError(
            "pg_stat_statements is not installed in this database",
            cause="Nothing else knows which queries took the most time here.",
            remedy=f"{remedy} It needs shared_preload_libraries = 'pg_stat_statements' and a restart of the server.",
            commands=(f"{psql} -c 'CREATE EXTENSION pg_stat_statements'",),
        )
    schema = str(found[0]["nspname"])
    try:
        connection.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(schema, "pg_stat_statements")))
    except psycopg.Error as error:
        raise ServerError(
            "pg_stat_statements cannot be read",
            cause=f"{error.diag.message_primary}.",
            remedy=f"{remedy} It counts only where the server was started with it in shared_preload_libraries.",
        ) from None
    return schema


def _rows(connection: psycopg.Connection[Any], name: str, *parameters: object) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=rows.dict_row) as cursor:
        return cursor.execute(QUERIES[name].encode(), parameters or None).fetchall()


# --- trees ------------------------------------------------------------------------------------------------------------


def _reads(node: str, tree: dict[str, Any]) -> bool | None:
    """Whether a statement only reads; None if it is no query. What its functions do is the server's to refuse."""
    if node in _WRITING:
        return False
    if node != "SelectStmt":
        return None
    for name, _each in _nodes(tree):
        if name == "intoClause":
            return None
        if name in _WRITING or name == "lockingClause":
            return False
    return True


def _parameters(tree: dict[str, Any]) -> bool:
    return any(name == "ParamRef" for name, _ in _nodes(tree))


def _relations(tree: dict[str, Any]) -> list[str]:
    """The schemas of the relations that are read, "" where none is written."""
    return [str(each.get("schemaname", "")) for name, each in _nodes(tree) if name == "RangeVar"]


def _nodes(tree: Any) -> Iterator[tuple[str, Any]]:
    waiting: list[Any] = [tree]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            for name, value in each.items():
                if isinstance(value, dict | list):
                    yield name, value
                    waiting.append(value)
        elif isinstance(each, list):
            waiting.extend(each)
