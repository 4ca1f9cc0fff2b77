"""Do files that may swap places really leave the same database, whatever their order?

    python bench/orders.py FOLDER… [--preamble FILE]… [--orders 5] [--seed 0] [--scratch URL]

Each FOLDER is one history (without one, the packaged platform's own files); `--preamble` is given once a folder, in
the same order (or not at all; `-` for none): SQL that runs before the first file. The files are run in their own
order, and then in `--orders` others that the bonds of `lancio commute` allow: the first has each file as late as it
may be, the others are drawn with the seed. Of each order it prints how many files stand elsewhere, how many of those
fail that ran in their own order (or the other way round), and how many facts of the database differ: definitions of
tables, columns, constraints, indexes, triggers, views, routines, policies, enums, privileges, and how many rows each
table holds. Where a column stands in its table does not count. Ends with 1 if anything fails or differs."""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from lancio.catalog import profile
from lancio.errors import LancioError
from lancio.planner import bonds, chronicle, graph
from lancio.proof import replay, scratch
from lancio.reading import source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lancio.proof.scratch import Scratch

OURS = "nspname !~ '^pg_' AND nspname <> 'information_schema'"
FACTS = f"""
SELECT 'column', n.nspname || '.' || c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod)
       || a.attnotnull || a.attidentity::text || coalesce(pg_get_expr(d.adbin, d.adrelid), '')
       || coalesce(a.attacl::text, '')
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {OURS}
UNION ALL
SELECT 'relation', n.nspname || '.' || c.relname, c.relkind::text || coalesce(c.relacl::text, '') || c.relrowsecurity
       || c.relforcerowsecurity || coalesce(c.reloptions::text, '') || pg_get_userbyid(c.relowner)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind <> 't' AND {OURS}
UNION ALL
SELECT 'view', n.nspname || '.' || c.relname, pg_get_viewdef(c.oid)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND {OURS}
UNION ALL
SELECT 'constraint', k.conname || ' on ' || k.conrelid::regclass, pg_get_constraintdef(k.oid) || k.convalidated
  FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE k.conrelid <> 0 AND {OURS}
UNION ALL
SELECT 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) || i.indisvalid
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS}
UNION ALL
SELECT 'trigger', t.tgname || ' on ' || t.tgrelid::regclass, pg_get_triggerdef(t.oid) || t.tgenabled::text
  FROM pg_trigger t WHERE NOT t.tgisinternal
UNION ALL
SELECT 'routine', p.oid::regprocedure::text, pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '')
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.prokind <> 'a' AND {OURS}
UNION ALL
SELECT 'policy', policyname || ' on ' || schemaname || '.' || tablename,
       cmd || permissive || roles::text || coalesce(qual, '') || coalesce(with_check, '') FROM pg_policies
UNION ALL
SELECT 'enum', enumtypid::regtype::text, string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum GROUP BY 2
UNION ALL
SELECT 'schema', n.nspname, coalesce(n.nspacl::text, '') FROM pg_namespace n WHERE {OURS}
UNION ALL
SELECT 'extension', extname, extversion FROM pg_extension
"""
TABLES = f"""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND {OURS}
"""

Fact = tuple[str, str, str]


def facts(connection: psycopg.Connection[Any]) -> frozenset[Fact]:
    """All that is compared of a database."""
    found = {(kind, name, said) for kind, name, said in connection.execute(FACTS.encode())}
    for schema, table in connection.execute(TABLES.encode()).fetchall():
        counted = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
        (many,) = connection.execute(counted).fetchone() or (0,)
        found.add(("rows", f"{schema}.{table}", str(many)))
    return frozenset(found)


def run(server: Scratch, preamble: bytes, scripts: Iterable[replay.Script]) -> tuple[frozenset[Fact], dict[str, str]]:
    """Run files in an empty database: what it holds then, and which files failed, with PostgreSQL's sentence."""
    name = server.create()
    failed = {}
    with server.connect(name, replay.SESSION) as connection:
        if preamble:
            connection.execute(preamble)
        for script in scripts:
            done = replay.run(connection, script)
            if isinstance(done, replay.Failed):
                failed[script.name] = done.message
        held = facts(connection)
    server.drop(name)
    return held, failed


def allowed(tied: bonds.Bonds, chosen: random.Random | None) -> list[int]:
    """An order in which every file stands behind those that it is bound to; without `chosen` the latest go first."""
    order: list[int] = []
    done: set[int] = set()
    left = list(range(len(tied.names)))
    while left:
        free = [at for at in left if tied.by_file[at].keys() <= done]
        at = chosen.choice(free) if chosen is not None else free[-1]
        order.append(at)
        done.add(at)
        left.remove(at)
    return order


def measure(folder: Path, preamble: bytes, server: Scratch, orders: int, seed: int) -> bool:
    """Print one history's lines; whether all orders left the same."""
    known = profile.load(server.major)
    found = graph.build(source.read_folder(folder), known)
    tied = bonds.bonds(chronicle.of(found, known))
    scripts = [replay.script(each.migration, each.ops) for each in found.files]
    held, failed = run(server, preamble, scripts)
    print(f"{folder.name}: {len(scripts)} files, {len(failed)} fail here in their own order, {len(held)} facts")
    same = True
    for number in range(orders):
        order = allowed(tied, random.Random(seed + number) if number else None)
        now, failing = run(server, preamble, [scripts[at] for at in order])
        moved = sum(at != place for place, at in enumerate(order))
        differ, other = held ^ now, failed.keys() ^ failing.keys()
        print(f"  order {number}: {moved} files elsewhere, {len(other)} fail otherwise, {len(differ)} facts differ")
        for name in sorted(other):
            print(f"    {name}: {failing.get(name, 'fails in its own order alone')}")
        for kind, what, _ in sorted(differ)[:10]:
            print(f"    {kind} {what}")
        same = same and not differ and not other
    return same


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--preamble", action="append", default=[])
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch")
    given = parser.parse_args(arguments)
    given.folders = given.folders or [Path(str(resources.files("lancio.registry") / "schema"))]
    if given.preamble and len(given.preamble) != len(given.folders):
        parser.error("--preamble is given once a folder, or not at all")
    preambles = [b"" if each == "-" else Path(each).read_bytes() for each in given.preamble]
    same = True
    try:
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(scratch.server(given.scratch))
            for folder, preamble in zip(given.folders, preambles or [b""] * len(given.folders), strict=True):
                same = measure(folder, preamble, server, given.orders, given.seed) and same
    except LancioError as error:
        print(f"{error.message}\n{error.cause}\n{error.remedy}", file=sys.stderr)
        return error.exit_status
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
