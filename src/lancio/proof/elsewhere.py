"""All of a backup in a database of its own: one that is made for it, or an empty one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg
from psycopg import conninfo, sql

from lancio import postgres
from lancio.errors import ServerError
from lancio.proof import dump
from lancio.proof import programs as using
from lancio.proof.restore import QUERIES, RestoreRefused

if TYPE_CHECKING:
    from pathlib import Path

    from lancio.postgres import Target
    from lancio.proof.dump import Manifest

SHOWN = 6
MAINTENANCE = "postgres"
"""The database that is connected to where the one to restore into is not there yet."""


def restore(manifest: Manifest, archive: Path, url: str) -> str:
    """Restore an archive into the database that `url` names, made if it is not there, and compare; its name in words.

    Where it fails, a database that was made for it is dropped again.

    Raises:
        UsageError: `url` is no connection string.
        ServerError: nobody answers there, or the role may make no database.
        RestoreRefused: something is in that database, it does not restore, or what came out is not equal.
        BackupFailed: there is no pg_restore for that server.
    """
    target = postgres.resolve(url)
    made = _make_if_missing(target)
    try:
        with contextlib.closing(postgres.connect(target)) as connection:
            programs = using.find(connection.info.server_version // 10000)
            row = connection.execute(QUERIES["empty"].encode()).fetchone()
            if row is None or not row[0]:
                raise RestoreRefused(
                    f"{target.display} is not empty",
                    cause="A backup is restored whole into a new database, never over a live one.",
                    remedy="Name a database that is not there yet; once it is restored, ALTER DATABASE … RENAME TO "
                    "puts it in the other's place. Or restore single tables by --only.",
                )
            failed = dump.restore(manifest, programs, archive, target.conninfo)
            unlike = dump.differences(manifest, connection) if not failed else ()
        if failed or unlike:
            raise RestoreRefused(
                f"the backup did not restore into {target.display}",
                cause=target.redacted("; ".join([*failed, *unlike][:SHOWN])) + ".",
                remedy="That database was dropped again."
                if made
                else "What came into it is still there: drop it, and restore into a new one.",
            )
    except BaseException:
        if made:
            _drop(target)
        raise
    return target.display


def _make_if_missing(target: Target) -> bool:
    try:
        with psycopg.connect(target.conninfo, autocommit=True, connect_timeout=postgres.CONNECT_SECONDS):
            return False
    except psycopg.errors.InvalidCatalogName:
        pass
    except psycopg.Error as error:
        if "does not exist" not in str(error) or "database" not in str(error):
            postgres.connect(target).close()  # which tells in words what is wrong
            return False
    name = str(conninfo.conninfo_to_dict(target.conninfo).get("dbname", ""))
    try:
        with psycopg.connect(conninfo.make_conninfo(target.conninfo, dbname=MAINTENANCE), autocommit=True) as there:
            there.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    except psycopg.Error as error:
        raise ServerError(
            f"the database {target.display} is not there and cannot be made",
            cause=target.redacted(" ".join(str(error.diag.message_primary or error).split())),
            remedy="Make it, or name another one.",
        ) from None
    return True


def _drop(target: Target) -> None:
    name = str(conninfo.conninfo_to_dict(target.conninfo).get("dbname", ""))
    with psycopg.connect(conninfo.make_conninfo(target.conninfo, dbname=MAINTENANCE), autocommit=True) as there:
        there.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
