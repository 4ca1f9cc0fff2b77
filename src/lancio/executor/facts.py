"""What is so of every object of a database, attribute by attribute?

Two databases that a person would call equal have equal facts, whatever OIDs and column positions say; where they
differ, the object and the attribute are named. Roles, rows, the ledger's own schema and what extensions brought are no
part of it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from lancio.executor.fingerprint import reading
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Mapping

QUERIES = named_queries("lancio.executor", "facts.sql")

PARTS = frozenset(("column", "constraint", "index", "trigger", "policy", "rule"))
"""Kinds of objects that belong to a relation (a constraint perhaps to a domain): its name is their `of`."""

DEFAULT = "the server's default"
"""An extension's version, where it is the one that the server would install by itself."""


class ObjectKey(NamedTuple):
    """What an object is called: its kind as people say it, its names unquoted.

    `of` is the relation or domain that a part belongs to; it lies in the same schema. `args` are a routine's input
    types, the types of an operator's sides, the access method of an operator class, or the role of default privileges.
    """

    kind: str
    schema: str
    name: str
    of: str = ""
    args: str = ""

    @property
    def full(self) -> str:
        """The name as people say it: "public.users.email", "seen on public.users", "public.f(integer)"."""
        base = f"{self.schema}.{self.of or self.name}" if self.schema else self.of or self.name
        if self.kind == "column":
            return f"{base}.{self.name}"
        if self.kind == "default privileges":
            return f"of {self.args} for {self.name}{f' in {self.schema}' if self.schema else ''}"
        if self.kind in PARTS - {"index"}:
            return f"{self.name} on {base}"
        if self.kind == "index":
            return f"{self.schema}.{self.name}"
        return f"{base}({self.args})" if self.kind in ("function", "procedure", "aggregate", "operator") else base

    def __str__(self) -> str:
        return f"{self.kind} {self.full}"


Facts = dict[ObjectKey, dict[str, str]]
"""By object what is so of it, by attribute; an attribute that is not there has no value."""


def of(connection: psycopg.Connection[Any]) -> Facts:
    """Read the catalog; nothing is written and no lock beyond ACCESS SHARE on the system catalogs is taken.

    In a transaction it sees that transaction's catalog. Works on PostgreSQL 10 to 18; facts of two servers can be
    compared where they are of one major version.

    Raises:
        ServerError: the catalog cannot be read.
    """
    with reading(connection) as cursor:
        # Compiling a query of this length takes longer than any catalog takes to be read.
        cursor.execute(b"SELECT set_config('jit', 'off', true) FROM pg_settings WHERE name = 'jit'")
        found = {
            ObjectKey(*row[:5]): {name: _text(value) for name, value in row[5].items()}
            for row in cursor.execute(QUERIES["facts"].encode())
        }
        _versions(connection, found)
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _versions(connection: psycopg.Connection[Any], found: Facts) -> None:
    """Say where an extension's version is the server's default: what another server installs may be another one."""
    try:
        with connection.transaction(), psycopg.RawCursor(connection) as cursor:
            defaults = dict(cursor.execute(QUERIES["defaults"].encode()).fetchall())
    except psycopg.Error as error:
        if error.sqlstate is None:  # the connection, not the question
            raise
        return  # a control file that the server cannot read fails the whole answer: the plain versions are told
    for key, attributes in found.items():
        if key.kind == "extension" and attributes["version"] == defaults.get(key.name):
            attributes["version"] = DEFAULT


def fingerprint(facts: Mapping[ObjectKey, Mapping[str, str]]) -> str:
    """SHA-256 over facts, in hex: equal facts have equal fingerprints."""
    digest = hashlib.sha256()
    for key in sorted(facts):
        for part in (*key, *(text for pair in sorted(facts[key].items()) for text in pair)):
            digest.update(part.encode())
            digest.update(b"\0")
        digest.update(b"\1")
    return digest.hexdigest()
