"""The ten packaged files, and what a database holds after them: a fingerprint by definition, without OIDs."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg.rows import tuple_row

from lancio.registry.secrets import Key
from servers import run_psql

if TYPE_CHECKING:
    import subprocess

FOLDER = Path(str(resources.files("lancio.registry") / "schema"))
PLATFORM, BILLING, USERS, LANCIO, AUDIT = (
    "001_create_platform_schema.sql",
    "002_platform_billing_schema.sql",
    "003_user_management_and_permissions.sql",
    "004_create_lancio_org.sql",
    "005_create_audit_logs.sql",
)
DATABASES, POLICIES, RAILWAY = (
    "006_add_platform_databases_table.sql",
    "006_enable_rls_with_permissive_policies.sql",
    "006_register_railway_databases.sql",
)
ALL = (PLATFORM, BILLING, USERS, LANCIO, AUDIT, DATABASES, POLICIES, RAILWAY)
"""001 to 006, after which policies let all rows pass."""
ISOLATION = "007_isolate_organizations.sql"
BACK = "007_isolate_organizations.rollback.sql"
NINE = (*ALL, ISOLATION)
KEYS = "008_seal_with_organization_keys.sql"
KEYS_BACK = "008_seal_with_organization_keys.rollback.sql"
TEN = (*NINE, KEYS)
NAMED = "009_name_databases_once.sql"
NAMED_BACK = "009_name_databases_once.rollback.sql"
ROTATIONS = "011_rotate_credentials.sql"
ROTATIONS_BACK = "011_rotate_credentials.rollback.sql"
CHAIN = "010_chain_audit_logs.sql"
CHAIN_BACK = "010_chain_audit_logs.rollback.sql"

LISTED = [
    "organizations",
    "organization_members",
    "organization_invitations",
    "organization_feature_flags",
    "projects",
    "project_members",
    "project_addons",
    "project_metrics",
    "subscriptions",
    "invoices",
    "payment_methods",
    "tax_ids",
    "customer_profiles",
    "credits",
    "disk_config",
    "compute_config",
    "addons",
    "usage_metrics",
    "users",
    "user_sessions",
    "api_keys",
    "audit_logs",
    "feature_flags",
    "billing_plans",
    "credentials",
]
"""The 25 tables of the specification's list."""

KEY = "0123456789abcdef" * 8
KEYED = {"PGOPTIONS": f"-c lancio.key_id=7 -c lancio.key={KEY}"}

OBJECTS = """
SELECT 'schema', nspname::text, coalesce(nspacl::text, ''), '' FROM pg_namespace WHERE nspname = 'platform'
UNION ALL
SELECT 'extension', extname::text, extversion, n.nspname::text
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
UNION ALL
SELECT 'relation', c.relname::text, c.relkind::text || c.relrowsecurity || c.relforcerowsecurity,
       coalesce(c.relacl::text, '') || coalesce(c.reloptions::text, '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'platform'
UNION ALL
SELECT 'column', c.relname || '.' || a.attname,
       format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || a.attnum,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE n.nspname = 'platform' AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v', 'p')
UNION ALL
SELECT 'constraint', k.conrelid::regclass || '.' || k.conname, pg_get_constraintdef(k.oid), k.convalidated::text
FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE n.nspname = 'platform'
UNION ALL
SELECT 'index', c.relname::text, pg_get_indexdef(c.oid), i.indisvalid::text
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'platform'
UNION ALL
SELECT 'trigger', g.tgrelid::regclass || '.' || g.tgname, pg_get_triggerdef(g.oid), g.tgenabled::text
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'platform' AND NOT g.tgisinternal
UNION ALL
SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid), coalesce(p.proacl::text, '')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'platform'
UNION ALL
SELECT 'view', viewname::text, definition, '' FROM pg_views WHERE schemaname = 'platform'
UNION ALL
SELECT 'policy', tablename || '.' || policyname, permissive || cmd || roles::text,
       coalesce(qual, '') || coalesce(with_check, '')
FROM pg_policies WHERE schemaname = 'platform'
UNION ALL
SELECT 'comment', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description, ''
FROM pg_description d
WHERE d.objoid IN (SELECT oid FROM pg_class WHERE relnamespace = to_regnamespace('platform'))
   OR d.objoid IN (SELECT oid FROM pg_proc WHERE pronamespace = to_regnamespace('platform'))
"""


def psql(url: str, name: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One of the files by plain psql, which goes on after an error."""
    return run_psql(url, file=FOLDER / name, env=env)


def launch(url: str, *names: str, env: dict[str, str] | None = None) -> None:
    """Some of the files in their order, none of which may fail."""
    for name in names:
        done = psql(url, name, env)
        assert "ERROR" not in done.stderr, done.stderr


def run(url: str, *names: str) -> None:
    """Some of the files, each sent whole through one connection: as `launch`, without a process for each."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name in names:
            connection.execute((FOLDER / name).read_bytes())


def objects(url: str) -> set[tuple[str, str, str, str]]:
    """Everything in schema platform, by definition."""
    with psycopg.connect(url, row_factory=tuple_row) as connection:
        # As PostgreSQL prints names without a schema when they are on the path, it is the same everywhere.
        connection.execute("SELECT set_config('search_path', 'pg_catalog', true)")
        return {tuple(row) for row in connection.execute(OBJECTS)}


def rows(url: str) -> dict[str, str]:
    """The rows of each table, whole (updated_at too), as one hash a table."""
    found: dict[str, str] = {}
    with psycopg.connect(url, row_factory=tuple_row) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'platform'").fetchall()
        for (table,) in tables:
            content = connection.execute(f"SELECT t::text FROM platform.{table} t ORDER BY 1").fetchall()
            found[table] = hashlib.sha256(repr(content).encode()).hexdigest()
    return found


def state(url: str) -> tuple[set[tuple[str, str, str, str]], dict[str, str]]:
    return objects(url), rows(url)


def give_key(connection: psycopg.Connection, key: str = KEY, key_id: str = "7", local: bool = False) -> None:
    connection.execute(
        "SELECT set_config('lancio.key_id', %s, %s), set_config('lancio.key', %s, %s)", (key_id, local, key, local)
    )


def add_key(connection: psycopg.Connection, key: Key, replaces: int | None = None) -> None:
    """Make a key the active one of its organization. Nothing here opens what stands for the wrapped one."""
    added = connection.execute(
        "SELECT platform.add_data_key(%s, %s, %s, 'test', %s, %s)",
        (key.id, key.organization, b"wrapped elsewhere", key.check_value(), replaces),
    ).fetchone()
    assert added == (True,)


def own_key(connection: psycopg.Connection) -> Key:
    """KEY, as the key 7 that `keyed` sessions seal with: from 008 on it is the organization's."""
    if connection.execute("SELECT to_regclass('platform.data_keys') IS NULL").fetchone() == (True,):
        return Key(7, bytes.fromhex(KEY))
    row = connection.execute("SELECT organization_id FROM platform.data_keys WHERE key_id = 7").fetchone()
    assert row is not None
    return Key(7, bytes.fromhex(KEY), row[0])
