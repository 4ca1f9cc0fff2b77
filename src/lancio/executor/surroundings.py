"""What is around a database's catalog: rights, sizes, locks, settings, room, services, backups?

Everything is read; the facts are judged by `planner.preflight`.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from lancio.executor import backups, pooler, services
from lancio.planner.surroundings import (
    Available,
    Backend,
    Held,
    Holder,
    Line,
    Right,
    Rows,
    Setting,
    Surroundings,
    Table,
)
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lancio.executor.session import Connection
    from lancio.planner.surroundings import Asked

QUERIES = named_queries("lancio.executor", "surroundings.sql")

PINGS = 5
LOCK_WAIT = "300ms"
"""How long a question waits for a lock: sizes and rows of a table that somebody holds are told from statistics then."""

ASKED_TABLES = 50
"""So many tables are asked whether they hold a row; three that do are enough to know."""
ENOUGH = 3

_LOOPBACK = re.compile(r"/|@|127\.|::1$|localhost$|$")

Row = dict[str, Any]


def take(
    connection: Connection, asked: Asked, environ: Mapping[str, str], *, wanted: bool = True, limit_s: float = 3.0
) -> Surroundings:
    """Ask everything that these steps need to know. Nothing is changed, and nothing waits long for a lock.

    Services are asked at the same time, each for at most `limit_s` seconds; with `wanted=False` only those that are
    required. Values of variables go nowhere but to the service they name.
    """
    with services.asking(asked.services, environ, wanted=wanted, limit_s=limit_s) as answers:
        pings = tuple(_ping(connection) for _ in range(PINGS))
        backup = backups.latest(connection)
        with connection.transaction(), psycopg.RawCursor(connection, row_factory=dict_row) as cursor:
            cursor.execute(b"SET TRANSACTION READ ONLY")
            settings = {row["name"]: Setting(row["value"], row["source"]) for row in _ask(cursor, "settings")}
            cursor.execute(b"SET LOCAL statement_timeout = '20s'")
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'".encode())
            cursor.execute(b"SET LOCAL row_security = off")  # a filtered answer would be an error, never a fact
            (server,) = _ask(cursor, "server")
            rights = _rights(cursor, asked, server["version"])
            names = _parted(asked.relations)
            local = bool(_LOOPBACK.match(connection.info.host or ""))
            free, why = _free(settings, local=local)
            return Surroundings(
                version=server["version"],
                version_text=server["version_text"],
                user=server["user"],
                superuser=server["superuser"],
                createrole=server["createrole"],
                rights=rights,
                extensions=_extensions(cursor, [each.name for each in asked.extensions]),
                settings=settings,
                custom={row["name"]: row["given"] for row in _ask(cursor, "custom", list(asked.settings))},
                tables=_tables(cursor, names),
                holders=tuple(_holders(cursor, names)),
                oldest=next((_backend(row) for row in _ask(cursor, "oldest")), None),
                volatile=frozenset(row["name"] for row in _ask(cursor, "volatile", asked.calls)),
                free_bytes=free,
                why_unknown=why,
                line=Line(
                    pings,
                    connection.info.backend_pid,
                    server["pid"],
                    local,
                    server["tls"],
                    pooler.proved(connection),
                ),
                services=answers(),
                rows=_rows(cursor),
                backup=backup,
                standby=server["standby"],
                creates_in=server["creates_in"],
            )


def _ask(cursor: psycopg.RawCursor[Row], name: str, *parameters: object) -> list[Row]:
    return cursor.execute(QUERIES[name].encode(), parameters).fetchall()


@contextlib.contextmanager
def _tolerated(cursor: psycopg.RawCursor[Row], *states: str) -> Iterator[list[str]]:
    """A savepoint that takes these errors of PostgreSQL back; the list then holds which it was."""
    met: list[str] = []
    try:
        with cursor.connection.transaction():
            yield met
    except psycopg.Error as error:
        if error.sqlstate not in states:
            raise
        met.append(error.sqlstate or "")


def _ping(connection: Connection) -> float:
    """Milliseconds until the server has answered nothing."""
    began = time.perf_counter()
    connection.execute("SELECT 1")
    return (time.perf_counter() - began) * 1000


def _parted(relations: Sequence[str]) -> tuple[list[str], list[str]]:
    """Schemas and bare names of relations that are named in full."""
    parts = [name.partition(".") for name in relations]
    return [schema for schema, _, _ in parts], [bare for _, _, bare in parts]


def _rights(cursor: psycopg.RawCursor[Row], asked: Asked, version: int) -> dict[Right, Held]:
    wanted = list(asked.rights)
    columns = [list(column) for column in zip(*wanted, strict=True)] or [[]] * len(Right._fields)
    found = {
        Right(*(row[name] for name in Right._fields)): Held(row["held"], row["owner"] or "")
        for row in _ask(cursor, "rights", *columns)
    }
    denied = {each.name: each for each in wanted if each.kind == "setting" and found[each].held is False}
    if denied and version >= 150000:
        for row in _ask(cursor, "parameters", list(denied)):
            found[denied[row["name"]]] = Held(row["held"])
    return found


def _extensions(cursor: psycopg.RawCursor[Row], names: Sequence[str]) -> dict[str, Available]:
    """Those that the server can install. It reads control files to answer; where it cannot read one, none is known."""
    rows: list[Row] = []
    try:
        with cursor.connection.transaction():
            rows = _ask(cursor, "extensions", list(names)) if names else []
    except psycopg.Error as error:
        if error.sqlstate is None:  # the connection, not the question
            raise
    found: dict[str, Available] = {}
    for name in names:
        own = [row for row in rows if row["name"] == name]
        if own:
            first = own[0]
            found[name] = Available(
                tuple(row["version"] for row in own),
                next((row["version"] for row in own if row["is_default"]), ""),
                first["installed"] or "",
                first["schema"] or "",
                {row["version"]: tuple(row["requires"]) for row in own},
                any(row["superuser"] for row in own),
                any(row["trusted"] for row in own),
            )
    return found


def _tables(cursor: psycopg.RawCursor[Row], names: tuple[list[str], list[str]]) -> dict[str, Table]:
    if not names[0]:
        return {}
    rows: list[Row] = []
    with _tolerated(cursor, "55P03", "57014") as met:
        rows = _ask(cursor, "tables", *names)
    if met:
        rows = _ask(cursor, "tables_locked", *names)
    widths: dict[str, dict[str, float]] = {}
    for row in _ask(cursor, "widths", *names):
        widths.setdefault(row["name"], {})[row["column"]] = row["width"]
    return {
        row["name"]: Table(row["bytes"], row["rows"], widths.get(row["name"], {}), row["tablespace"]) for row in rows
    }


def _holders(cursor: psycopg.RawCursor[Row], names: tuple[list[str], list[str]]) -> Iterator[Holder]:
    for row in _ask(cursor, "holders", *names) if names[0] else ():
        mode = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", row["mode"].removesuffix("Lock")).upper()
        yield Holder(row["relation"], mode, _backend(row))


def _backend(row: Row) -> Backend:
    return Backend(
        row["pid"], row["user"], row["application"], row["state"], row["age_s"], row.get("prepared", ""),
        row.get("wraparound", False),
    )  # fmt: skip


def _rows(cursor: psycopg.RawCursor[Row]) -> Rows:
    """Whether there is anything to lose: tables of users with a row in them."""
    candidates: list[Row] = []
    with _tolerated(cursor, "55P03", "57014", "42P01", "XX000") as met:
        candidates = _ask(cursor, "with_pages")
    if met:
        candidates = _ask(cursor, "with_pages_locked")
    held: list[str] = []
    unsure: list[str] = []
    cursor.execute(b"SET LOCAL statement_timeout = '1s'")
    asked = 0
    for asked, row in enumerate(candidates[:ASKED_TABLES], 1):  # noqa: B007
        with _tolerated(cursor, "42501", "55P03", "57014", "42P01") as met:
            query = f"SELECT EXISTS (SELECT FROM {row['name']}) AS there"  # noqa: S608  (quoted by the server)
            there = cursor.execute(query.encode()).fetchone()
            if there is not None and there["there"]:
                held.append(row["name"])
        if met and met != ["42P01"]:  # not dropped meanwhile: it may not be read, or not in time
            (held if row["counted"] else unsure).append(row["name"])
        if len(held) >= ENOUGH:
            break
    return Rows(tuple(held), tuple(unsure), len(candidates) - asked)


def _free(settings: Mapping[str, Setting], *, local: bool) -> tuple[int | None, str]:
    """Bytes free on the disk of the data folder, where that folder is on this machine for certain."""
    if not local:
        return None, "the server is on another machine"
    folder = settings.get("data_directory")
    if folder is None or not folder.value:
        return None, "this role may not see where the data is"
    try:
        # A server in a container has its folder under a name that may mean another one here.
        lines = Path(folder.value, "postmaster.pid").read_text(encoding="utf-8").splitlines()
        if len(lines) < 4 or lines[3].strip() != settings["port"].value:
            return None, "the data folder of that name on this machine is another server's"
        return shutil.disk_usage(folder.value).free, ""
    except (OSError, UnicodeError):
        return None, "the data folder cannot be seen from here"
