# ruff: noqa: E501  (one case a line)
"""What PostgreSQL itself says that a database holds, and what the planner says it would hold: both as plain names.

The queries here are written apart from the executor's snapshot, so that the two cannot share a mistake.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from lancio.catalog import profile
from lancio.planner import graph
from lancio.planner.bind import Binder
from lancio.reading import operations
from lancio.reading.source import Folder, Migration, read_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg

STORIES = Path(__file__).resolve().parent.parent / "stories"
NAMES = tuple(sorted(folder.name for folder in STORIES.iterdir() if any(folder.glob("*.sql"))))

Item = tuple[str, str]
"""A kind and a full name: ("relation", "public.t"), ("column", "public.t.a"), ("trigger", "x on public.t")."""

KINDS = frozenset(
    ("schema", "extension", "relation", "column", "type", "label", "routine", "constraint", "trigger", "policy", "rule")
)

_HIDDEN = "('pg_catalog', 'information_schema', 'pg_toast', 'lancio')"
_MEMBER = (
    "NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = {0}.oid AND d.deptype = 'e' AND d.classid = '{1}'::regclass)"
)
_SEEN = f"n.nspname NOT IN {_HIDDEN} AND n.nspname !~ '^pg_(toast_)?temp_'"
QUERIES = {
    "schema": f"SELECT nspname FROM pg_namespace n WHERE {_SEEN}",
    "extension": "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'",
    "relation": f"SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE {_SEEN} AND {_MEMBER.format('c', 'pg_class')}",
    "column": "SELECT n.nspname || '.' || c.relname || '.' || a.attname FROM pg_attribute a "
    "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE {_SEEN} AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') "
    f"AND {_MEMBER.format('c', 'pg_class')}",
    "type": "SELECT n.nspname || '.' || t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
    f"WHERE {_SEEN} AND t.typtype IN ('d', 'e', 'r') AND {_MEMBER.format('t', 'pg_type')}",
    "label": "SELECT n.nspname || '.' || t.typname || ' ''' || e.enumlabel || '''' FROM pg_enum e "
    f"JOIN pg_type t ON t.oid = e.enumtypid JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {_SEEN}",
    "routine": "SELECT n.nspname || '.' || p.proname || '(' || (SELECT coalesce(string_agg(format_type(u, NULL), ', ' "
    "ORDER BY o), '') FROM unnest(p.proargtypes) WITH ORDINALITY AS a (u, o)) || ')' FROM pg_proc p "
    f"JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_SEEN} AND {_MEMBER.format('p', 'pg_proc')} "
    # what CREATE TYPE … AS RANGE makes by itself
    "AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid "
    "AND i.deptype = 'i' AND i.refclassid = 'pg_type'::regclass)",
    "constraint": "SELECT k.conname || ' on ' || n.nspname || '.' || c.relname FROM pg_constraint k "
    "JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE {_SEEN} AND k.contype IN ('p', 'u', 'f', 'c', 'x')",
    "trigger": "SELECT t.tgname || ' on ' || n.nspname || '.' || c.relname FROM pg_trigger t "
    f"JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    f"WHERE {_SEEN} AND NOT t.tgisinternal",
    "policy": "SELECT policyname || ' on ' || schemaname || '.' || tablename FROM pg_policies",
    "rule": f"SELECT rulename || ' on ' || schemaname || '.' || tablename FROM pg_rules WHERE schemaname NOT IN {_HIDDEN}",
}


def held(connection: psycopg.Connection) -> frozenset[Item]:
    """All that the database holds."""
    sql = " UNION ALL ".join(
        f"SELECT '{kind}', s.name::text FROM ({query}) AS s (name)" for kind, query in QUERIES.items()
    )
    return frozenset((row[0], row[1]) for row in connection.execute(sql.encode()))


def bound(folder: Folder, major: int = 18) -> Iterator[tuple[Migration, frozenset[Item], frozenset[str]]]:
    """After each file in the order of the folder: what the planner's catalog holds, and which relations are open."""
    facts = profile.load(major)
    files = [(migration, operations.read(migration)) for migration in folder.migrations]
    binder = Binder(graph.empty(facts), facts, files)
    for index, (migration, _) in enumerate(files):
        binder.file(index)
        objects = binder.catalog.objects.values()
        members = {each.id for each in objects if each.extension}
        yield (
            migration,
            frozenset(
                (each.name.kind, each.name.full)
                for each in objects
                if each.name.kind in KINDS and each.id not in members and each.parent not in members
            ),
            frozenset(each.name.full for each in objects if each.open),
        )


def story(name: str) -> Folder:
    return read_folder(STORIES / name)


def said(name: str) -> dict[str, object]:
    """What a story's expected.toml says beyond the oracle."""
    path = STORIES / name / "expected.toml"
    return tomllib.loads(path.read_text()) if path.is_file() else {}


def shuffled(folder: Folder, names: Iterable[str]) -> Folder:
    """The same files under other names, in the order of those."""
    renamed = [Migration(name, Path(name), each.text) for each, name in zip(folder.migrations, names, strict=True)]
    return Folder(folder.path, tuple(sorted(renamed, key=lambda each: each.name)))


def run(connection: psycopg.Connection, migration: Migration) -> None:
    """Run a file as psql would: one simple query, with a session of its own before and after."""
    connection.execute(migration.text)
    connection.execute("RESET ALL")
