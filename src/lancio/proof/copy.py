"""A copy of the real database, with its rows, to try a plan on; it is gone at the end, whatever ends the trial.

On its own server by CREATE DATABASE … TEMPLATE, where that is possible: it reads the files and asks nothing of the
original, but nobody may be connected to that. Else by pg_dump and pg_restore into a scratch server.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import conninfo, sql
from psycopg.rows import dict_row

from lancio import postgres
from lancio.errors import ServerError
from lancio.postgres import named_queries
from lancio.proof import programs as using
from lancio.proof import rehearse, scratch
from lancio.proof.programs import BackupFailed, problem
from lancio.proof.rehearse import Start
from lancio.proof.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lancio.postgres import Target

QUERIES = named_queries("lancio.proof", "copy.sql")

SHOWN = 3
ROOM = 2
"""A scratch server of our own needs this many times the size of the database: its rows, and the log of loading them."""

LISTS = frozenset(("search_path", "temp_tablespaces", "session_preload_libraries", "local_preload_libraries"))
"""Settings whose value is a list that is quoted already."""


@contextlib.contextmanager
def made(
    target: Target, connection: psycopg.Connection[Any], url: str | None, environ: Mapping[str, str] | None = None
) -> Iterator[tuple[Scratch, Start]]:
    """A copy of the database and the server it is on; the copy is dropped at the end.

    `connection` may be closed by this: nobody, so neither we, may be connected to what is copied. Nothing of the
    original is changed. The copy has no subscriptions and no user mappings of foreign servers.

    Raises:
        ServerError: there is no room, no server to be had, or it refuses.
        BackupFailed: no pg_dump that knows the server, or it failed.
    """
    with contextlib.ExitStack() as stack:
        notes, size = [], 0
        if url is None:
            why, size = _why_not(connection)
            if not why:
                settings = _settings(connection)
                notes = _reaching(connection)
                connection.close()
                try:
                    server, name = stack.enter_context(_template(target))
                except ServerError as error:
                    why = f"the server refused to copy it: {error.cause}"
                    connection = postgres.connect(target)
                    stack.callback(connection.close)
                else:
                    notes += _apply(server, name, settings) + _cut_off(server, name)
                    said = f"a copy of {target.display} with its rows, made on its own server"
                    yield server, Start(name, said, tuple(notes))
                    return
            notes = [f"copied by pg_dump, not on its own server: {why}"]
        notes += _reaching(connection)
        environ = dict(os.environ if environ is None else environ)
        if url is None:
            _make_room(size, environ)
        server = stack.enter_context(
            scratch.server(url, environ, major=connection.info.server_version // 10000, exact=False)
        )
        roles, refused = rehearse.copy_roles(server, connection)
        stack.callback(rehearse.drop_roles, server, roles)
        name = server.create()
        # What is put on the stack last comes first: the database goes before its roles.
        stack.callback(server.drop, name)
        settings = _settings(connection)
        notes += [*refused, *_piped(target, connection, server, name)]
        notes += _apply(server, name, settings) + _cut_off(server, name)
        major = connection.info.server_version // 10000
        if server.major != major:
            notes.append(
                f"the database runs PostgreSQL {major}, the copy {server.major}: what differs is not rehearsed"
            )
        yield server, Start(name, f"a copy of {target.display} with its rows, on {server.said}", tuple(notes))


def _rows(connection: psycopg.Connection[Any], name: str) -> list[dict[str, Any]]:
    with psycopg.RawCursor(connection, row_factory=dict_row) as cursor:
        return cursor.execute(QUERIES[name].encode()).fetchall()


def _why_not(connection: psycopg.Connection[Any]) -> tuple[str, int]:
    """Why the server may not copy the database by itself ("" if it may), and its size in bytes."""
    (found,) = _rows(connection, "may")
    if not found["may"]:
        return "this role may not (it takes CREATEDB, and to own the database)", found["size"]
    others = _rows(connection, "others")
    if others:
        who = [f"process {each['pid']} ({each['who']}, {each['application'] or 'no name'})" for each in others]
        more = f" and {len(who) - SHOWN} more" if len(who) > SHOWN else ""
        return f"others are connected to it: {', '.join(who[:SHOWN])}{more}", found["size"]
    return "", found["size"]


@contextlib.contextmanager
def _template(target: Target) -> Iterator[tuple[Scratch, str]]:
    with contextlib.closing(postgres.connect(target)) as connection:
        original, version = connection.info.dbname, connection.info.server_version
    maintenance = "template1" if original == "postgres" else "postgres"
    there = conninfo.make_conninfo(target.conninfo, dbname=maintenance)
    server = Scratch(there, target.display, version)
    try:
        yield server, server.create(original)
    finally:
        with scratch.undisturbed():
            server.clear()


def _settings(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    return _rows(connection, "settings")


def _apply(server: Scratch, name: str, settings: list[dict[str, Any]]) -> list[str]:
    """What ALTER DATABASE … SET says of the original is said of the copy; what could not be comes back as sentences."""
    notes = []
    with psycopg.connect(server.conninfo, autocommit=True) as there:
        for each in settings:
            setting, _, value = each["setting"].partition("=")
            shown: sql.Composable = sql.SQL(value) if setting in LISTS and value else sql.Literal(value)
            words = sql.SQL("ALTER {} SET {} TO {}").format(
                sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(each["role"]), sql.Identifier(name))
                if each["of_role"]
                else sql.SQL("DATABASE {}").format(sql.Identifier(name)),
                sql.SQL(".").join(sql.Identifier(part) for part in setting.split(".")),
                shown,
            )
            try:
                there.execute(words)
            except psycopg.Error as error:
                if error.sqlstate is None:
                    raise
                notes.append(f"{setting} is not set in the copy: {error.diag.message_primary}")
    return notes


def _cut_off(server: Scratch, name: str) -> list[str]:
    """Take the user mappings away: a step that writes to a foreign table would write to the real one."""
    with server.connect(name) as there:
        mappings = _rows(there, "mappings")
        for each in mappings:
            there.execute(f"DROP USER MAPPING FOR {each['who']} SERVER {each['server']}".encode())
    if not mappings:
        return []
    servers = ", ".join(sorted({each["server"] for each in mappings}))
    return [f"the copy has no user mappings, so that nothing reaches {servers}"]


def _reaching(connection: psycopg.Connection[Any]) -> list[str]:
    notes = []
    found = [row["extname"] for row in _rows(connection, "reaching")]
    if found:
        notes.append(f"{', '.join(found)} can reach out of the copy: what a step does by it is done for real")
    try:
        with connection.transaction():
            (row,) = _rows(connection, "subscriptions")
            if row["count"]:
                notes.append("the copy has no subscriptions: nothing is replicated into it")
    except psycopg.errors.InsufficientPrivilege:
        pass  # who may not see subscriptions has none copied either
    return notes


def _make_room(size: int, environ: dict[str, str]) -> None:
    """Let the scratch server lie where there is room for the rows.

    Raises:
        ServerError: there is not.
    """
    needed = size * ROOM
    memory = scratch.MEMORY
    if memory.is_dir() and not environ.get("TMPDIR") and shutil.disk_usage(memory).free >= needed + scratch.MEMORY_FREE:
        return
    place = environ.get("TMPDIR") or tempfile.gettempdir()
    environ["TMPDIR"] = place
    free = shutil.disk_usage(place).free
    if free < needed:
        raise ServerError(
            "there is no room for a copy of the database",
            cause=f"It has {size // 1_000_000} MB, a copy may take {needed // 1_000_000} MB, and {place} has "
            f"{free // 1_000_000} MB free.",
            remedy="Let TMPDIR name a folder with more room, or name a server by --scratch.",
        )


def _piped(target: Target, connection: psycopg.Connection[Any], server: Scratch, name: str) -> list[str]:
    """Dump into the copy, without a file in between; what could not be restored comes back as sentences.

    Raises:
        BackupFailed: the database cannot be dumped.
    """
    programs = using.find(connection.info.server_version // 10000)
    there = conninfo.make_conninfo(server.conninfo, dbname=name)
    dumping = ["-Fc", "-Z0", "--no-password", "--no-subscriptions", "--lock-wait-timeout=60000"]
    with (
        using.command(programs, "pg_dump", dumping, target.conninfo) as (dump, dump_environment),
        using.command(programs, "pg_restore", ["--no-password", "--no-subscriptions"], there) as (load, environment),
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            dump, env=dump_environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
        ) as dumper,
        subprocess.Popen(load, env=environment, stdin=dumper.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        as loader,
    ):  # fmt: skip
        try:
            assert dumper.stdout is not None  # noqa: S101
            dumper.stdout.close()  # the loader's now: it hears when the dump ends
            _, errors = loader.communicate()
            dumper.wait()
        except BaseException:
            for child in (loader, dumper):
                child.terminate()
            raise
        said.seek(0)
        if dumper.returncode > 0:
            raise BackupFailed(
                "the database could not be copied",
                cause=target.redacted(f"pg_dump: {problem(said.read().decode(errors='replace'))}"),
                remedy="Copy as a role that may read all of it, or name one by --role.",
            )
    text = errors.decode(errors="replace")
    found = [line.partition("ERROR:")[2].strip() for line in text.splitlines() if "ERROR:" in line]
    notes = [f"not copied: {each}" for each in found if "unrecognized configuration parameter" not in each]
    if loader.returncode and not found:
        notes.append(f"not all was copied: {problem(text)}")
    return notes
