"""The product as its users have it: a command line in a process of its own, psql beside it, and what a database holds.

Of what it tests nothing is imported here but the place of the eight files. What a database holds is asked by queries of
our own, so that a fault in Lancio's own reading of a catalog cannot hide itself.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import tuple_row

import servers
from servers import run_psql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(str(resources.files("lancio.registry") / "schema"))
PLATFORM, BILLING, USERS, LANCIO, AUDIT = (
    "001_create_platform_schema.sql",
    "002_platform_billing_schema.sql",
    "003_user_management_and_permissions.sql",
    "004_create_lancio_org.sql",
    "005_create_audit_logs.sql",
)
STEP_1, STEP_2, STEP_3 = (
    "006_add_platform_databases_table.sql",
    "006_enable_rls_with_permissive_policies.sql",
    "006_register_railway_databases.sql",
)
FOUNDATION = (PLATFORM, BILLING, USERS, LANCIO, AUDIT)
SIX = (*FOUNDATION, STEP_1, STEP_2, STEP_3)
"""001 to 006: what the specification is about."""
ISOLATION = "007_isolate_organizations.sql"
KEYS = "008_seal_with_organization_keys.sql"
NAMES = "009_name_databases_once.sql"
CHAIN = "010_chain_audit_logs.sql"
ROTATIONS = "011_rotate_credentials.sql"
ALL = (*SIX, ISOLATION, KEYS, NAMES, CHAIN, ROTATIONS)

PROOF = os.environ.get("LANCIO_PROOF") == "1"
"""Whether the full figures are asked for; else the same code runs on a small seeded sample."""

LIMIT = 300
"""Seconds after which a command counts as hanging; far beyond what any takes on a busy machine."""


@dataclass(frozen=True)
class Said:
    """How a command ended, and all that it said."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams on one line: where a picture breaks its lines is not what is tested."""
        return words(self.out + " " + self.err)

    @property
    def json(self) -> Any:
        """stdout as one JSON document."""
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        """stdout as JSON, one document a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def words(text: str) -> str:
    """A text without the line breaks and the indentation of its picture."""
    return re.sub(r"\s+", " ", text)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a user who has set nothing for Lancio or PostgreSQL but `more`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "LANCIO_")) and name not in ("DATABASE_URL", "REDIS_URL", "MONGO_URL", "COLUMNS")
    }
    # A command that wrongly takes the embedded server must not find, or leave, one in the user's own folder.
    return kept | {"LANCIO_HOME": "/nonexistent/lancio", "NO_COLOR": "1"} | (more or {})


def command(*arguments: str) -> list[str]:
    """The command line `lancio …`."""
    return [sys.executable, "-m", "lancio", *arguments]


def lancio(*arguments: str, env: Mapping[str, str] | None = None, stdin: str = "", cwd: Path | None = None) -> Said:
    """Run `lancio …` to its end. A traceback is a fault whatever was asked."""
    done = subprocess.run(
        command(*arguments), env=environment(env), input=stdin, capture_output=True, text=True, timeout=LIMIT,
        check=False, cwd=cwd,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def psql(url: str, *names: str, folder: Path = FOLDER, env: dict[str, str] | None = None) -> Said:
    """Run files by plain psql, which goes on after an error; what it says of all of them."""
    done = [run_psql(url, file=folder / name, env=env) for name in names]
    return Said(
        max(each.returncode for each in done), "".join(each.stdout for each in done),
        "".join(each.stderr for each in done),
    )  # fmt: skip


def launched(url: str, *names: str, folder: Path = FOLDER, env: dict[str, str] | None = None) -> None:
    """Run files by psql, none of which may fail."""
    for name in names:
        said = psql(url, name, folder=folder, env=env)
        assert "ERROR" not in said.err, f"{name}: {said.err}"
        assert said.status == 0, f"{name}: {said.err}"


@functools.cache
def _programs() -> str:
    """A folder with `lancio` and `psql`, as a user has them in PATH."""
    folder = Path(tempfile.mkdtemp(prefix="lancio-acceptance-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    program, own = servers.psql_program()
    lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in own.items())
    for name, start in (("lancio", f"{shlex.quote(sys.executable)} -m lancio"), ("psql", f"{shlex.quote(program)} -X")):
        file = folder / name
        file.write_text(f'#!/bin/sh\n{lines if name == "psql" else ""}exec {start} "$@"\n', encoding="utf-8")
        file.chmod(0o755)
    return str(folder)


def shell(line: str, password: str, env: Mapping[str, str] | None = None) -> Said:
    """Run a command that Lancio printed, letter for letter, as a user who pastes it into his shell.

    The commands have no password in them: it comes from where libpq looks for it.
    """
    surroundings = environment({"PGPASSWORD": password} | dict(env or {}))
    surroundings["PATH"] = f"{_programs()}:{surroundings['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", line], env=surroundings, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=LIMIT, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


# What a database holds.

OURS = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'lancio')"
"""Schemas that belong neither to the server nor to Lancio's ledger."""


def _free(catalog: str, oid: str) -> str:
    """The condition that an object is no member of an extension."""
    return (
        f"NOT EXISTS (SELECT 1 FROM pg_depend x WHERE x.classid = '{catalog}'::regclass AND x.objid = {oid}"
        " AND x.objsubid = 0 AND x.deptype = 'e')"
    )


def _rights(acl: str) -> str:
    return f"coalesce((SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest({acl}) a), 'default')"


FACTS = f"""
SELECT 'schema', n.nspname::text, pg_get_userbyid(n.nspowner)::text || ' ' || {_rights("n.nspacl")}
FROM pg_namespace n WHERE {OURS}
UNION ALL
SELECT 'extension', e.extname::text, e.extversion || ' ' || n.nspname
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
UNION ALL
SELECT 'relation', c.oid::regclass::text,
       concat_ws(' ', c.relkind, c.relpersistence, pg_get_userbyid(c.relowner), c.relrowsecurity, c.relforcerowsecurity,
                 c.reloptions, pg_get_expr(c.relpartbound, c.oid), {_rights("c.relacl")})
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS} AND {_free("pg_class", "c.oid")}
UNION ALL
SELECT 'column', c.oid::regclass || '.' || a.attname,
       concat_ws(' ', (SELECT count(*) FROM pg_attribute b WHERE b.attrelid = a.attrelid AND NOT b.attisdropped
                       AND b.attnum BETWEEN 1 AND a.attnum),
                 format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attstorage,
                 (SELECT k.collname FROM pg_collation k WHERE k.oid = a.attcollation),
                 pg_get_expr(d.adbin, d.adrelid), {_rights("a.attacl")})
FROM pg_attribute a
     JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE {OURS} AND a.attnum > 0 AND NOT a.attisdropped AND {_free("pg_class", "c.oid")}
UNION ALL
SELECT 'constraint', concat_ws('.', nullif(k.conrelid, 0)::regclass, nullif(k.contypid, 0)::regtype, k.conname),
       concat_ws(' ', pg_get_constraintdef(k.oid), k.convalidated, k.condeferrable, k.condeferred)
FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE {OURS}
UNION ALL
SELECT 'index', i.indexrelid::regclass::text,
       concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready, i.indisunique, i.indisprimary)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS}
UNION ALL
SELECT 'trigger', g.tgrelid::regclass || '.' || g.tgname, concat_ws(' ', pg_get_triggerdef(g.oid), g.tgenabled)
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {OURS} AND NOT g.tgisinternal
UNION ALL
SELECT 'routine', p.oid::regprocedure::text,
       concat_ws(' ', pg_get_userbyid(p.proowner), p.prosecdef, p.provolatile, p.proconfig, {_rights("p.proacl")},
                 CASE WHEN EXISTS (SELECT 1 FROM pg_aggregate a WHERE a.aggfnoid = p.oid) THEN 'aggregate'
                      ELSE pg_get_functiondef(p.oid) END)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {OURS} AND {_free("pg_proc", "p.oid")}
UNION ALL
SELECT 'rule', r.ev_class::regclass || '.' || r.rulename, concat_ws(' ', pg_get_ruledef(r.oid), r.ev_enabled)
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS}
UNION ALL
SELECT 'policy', p.polrelid::regclass || '.' || p.polname,
       concat_ws(' ', p.polcmd, p.polpermissive,
                 (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r)::text END, ',' ORDER BY 1)
                  FROM unnest(p.polroles) r),
                 pg_get_expr(p.polqual, p.polrelid), '/', pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_policy p
UNION ALL
SELECT 'type', t.oid::regtype::text,
       concat_ws(' ', t.typtype, pg_get_userbyid(t.typowner), {_rights("t.typacl")}, t.typnotnull, t.typdefault,
                 (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e
                  WHERE e.enumtypid = t.oid))
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE {OURS} AND {_free("pg_type", "t.oid")}
UNION ALL
SELECT 'default rights', concat_ws(' ', pg_get_userbyid(d.defaclrole), n.nspname, d.defaclobjtype),
       {_rights("d.defaclacl")}
FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
UNION ALL
SELECT 'event trigger', e.evtname::text, concat_ws(' ', e.evtevent, e.evtfoid::regproc) FROM pg_event_trigger e
UNION ALL
SELECT 'comment', i.type || ' ' || i.identity, d.description
FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE i.schema !~ '^pg_' AND i.schema NOT IN ('information_schema', 'lancio')
      AND NOT EXISTS (SELECT 1 FROM pg_depend x WHERE x.classid = d.classoid AND x.objid = d.objoid AND x.deptype = 'e')
"""

Facts = frozenset[tuple[str, str, str]]


def facts(url: str) -> Facts:
    """Every object of a database by definition: no OIDs, no members of extensions, not Lancio's ledger."""
    with psycopg.connect(url, row_factory=tuple_row) as connection:
        # PostgreSQL leaves out the schema of what is on the path, so the path is the same everywhere.
        connection.execute("SELECT set_config('search_path', 'pg_catalog', true)")
        return frozenset(tuple(row) for row in connection.execute(FACTS))


def rows(url: str) -> dict[str, list[str]]:
    """All rows of all tables, whole."""
    return _rows(url, "t::text")


def contents(url: str) -> dict[str, list[str]]:
    """All rows of all tables without what differs each time they are made: ids, random keys and moments."""
    stripped = """(SELECT string_agg(e.key || '=' || (e.value)::text, ',' ORDER BY e.key)
                   FROM jsonb_each(to_jsonb(t)) e WHERE e.key !~ '(^|_)id$|_at$|^key$' AND e.value <> 'null')"""
    return _rows(url, stripped)


def _rows(url: str, expression: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with psycopg.connect(url, row_factory=tuple_row) as connection:
        connection.execute("SET row_security = off")
        named = connection.execute(
            "SELECT format('%I.%I', n.nspname, c.relname)"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE {OURS} AND c.relkind IN ('r', 'p') ORDER BY 1"
        ).fetchall()
        for (table,) in named:
            found[table] = [str(row[0]) for row in connection.execute(f"SELECT {expression} FROM {table} t ORDER BY 1")]
    return found


def whole(url: str) -> tuple[Facts, dict[str, list[str]], bool]:
    """All that must stay as it was where nothing may change: objects, rows, and whether there is a ledger."""
    return facts(url), rows(url), ledger(url)


def ledger(url: str) -> bool:
    """Whether Lancio has ever written here."""
    return bool(one(url, "SELECT count(*) > 0 FROM pg_namespace WHERE nspname = 'lancio'"))


def one(url: str, query: str, *arguments: object) -> Any:
    """The one value a query gives."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query, arguments or None).fetchone()
    assert row is not None
    return row[0]


def execute(url: str, *statements: str) -> None:
    """Run statements as the superuser of the tests, each by itself."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def differs(one_: Facts, other: Facts) -> list[str]:
    """What one has and the other has not, in words short enough for an assertion."""
    return [
        *(f"- {kind} {name}: {text[:300]}" for kind, name, text in sorted(one_ - other)),
        *(f"+ {kind} {name}: {text[:300]}" for kind, name, text in sorted(other - one_)),
    ]


def named(names: Sequence[str]) -> list[str]:
    """`--only` before each of the names."""
    return [word for name in names for word in ("--only", name)]
